"""Optimizers, learning-rate schedules and limits on gradients."""

from tinycnn.optim import lr_scheduler
from tinycnn.optim.adagrad import Adagrad
from tinycnn.optim.adam import Adam, AdamW
from tinycnn.optim.clip_grad import clip_grad_norm_, clip_grad_value_
from tinycnn.optim.optimizer import Optimizer
from tinycnn.optim.rmsprop import RMSprop
from tinycnn.optim.sgd import SGD

__all__ = [
    "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
]  # fmt: skip
