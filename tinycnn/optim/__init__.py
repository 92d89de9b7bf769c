"""Optimizers, learning-rate schedules and limits on gradients."""

import importlib
from typing import TYPE_CHECKING, Any

from tinycnn.optim import lr_scheduler
from tinycnn.optim.adadelta import Adadelta
from tinycnn.optim.adagrad import Adagrad
from tinycnn.optim.adam import Adam, AdamW
from tinycnn.optim.adamax import Adamax
from tinycnn.optim.asgd import ASGD
from tinycnn.optim.clip_grad import clip_grad_norm_, clip_grad_value_
from tinycnn.optim.lbfgs import LBFGS
from tinycnn.optim.lion import Lion
from tinycnn.optim.muon import Muon
from tinycnn.optim.nadam import NAdam
from tinycnn.optim.optimizer import Optimizer
from tinycnn.optim.radam import RAdam
from tinycnn.optim.rmsprop import RMSprop
from tinycnn.optim.rprop import Rprop
from tinycnn.optim.sgd import SGD

if TYPE_CHECKING:
    from tinycnn.optim import swa_utils

__all__ = [
    "ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Lion", "Muon", "NAdam", "Optimizer",
    "RAdam", "RMSprop", "Rprop", "SGD", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler", "swa_utils",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "swa_utils":  # averages of nets are nets, which know nothing of optimizers
        return importlib.import_module("tinycnn.optim.swa_utils")
    raise AttributeError(f"module 'tinycnn.optim' has no attribute {name!r}")
