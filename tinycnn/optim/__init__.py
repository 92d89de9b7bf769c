"""Optimizers, learning-rate schedules and limits on gradients."""

from tinycnn.optim import lr_scheduler
from tinycnn.optim.adadelta import Adadelta
from tinycnn.optim.adagrad import Adagrad
from tinycnn.optim.adam import Adam, AdamW
from tinycnn.optim.adamax import Adamax
from tinycnn.optim.asgd import ASGD
from tinycnn.optim.clip_grad import clip_grad_norm_, clip_grad_value_
from tinycnn.optim.lbfgs import LBFGS
from tinycnn.optim.nadam import NAdam
from tinycnn.optim.optimizer import Optimizer
from tinycnn.optim.radam import RAdam
from tinycnn.optim.rmsprop import RMSprop
from tinycnn.optim.rprop import Rprop
from tinycnn.optim.sgd import SGD

__all__ = [
    "ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "NAdam", "Optimizer", "RAdam", "RMSprop",
    "Rprop", "SGD", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
]  # fmt: skip
