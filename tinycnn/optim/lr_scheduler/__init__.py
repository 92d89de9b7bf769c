"""Learning-rate schedules: each sets `lr` in the optimizer's groups, epoch by epoch.

    scheduler = CosineAnnealingLR(optimizer, T_max=10)
    for epoch in range(10):
        ...                 # the batches: backward(), optimizer.step()
        scheduler.step()

"Epoch" is whatever lies between two calls of `scheduler.step()`: for OneCycleLR it is one batch.

As in torch, most schedules change the current `lr`: several that are stepped in turn compose, and a change from
elsewhere stays. LambdaLR and those that go in cycles compute it from `initial_lr`, which the first scheduler stores in
each group.
"""

from tinycnn.optim.lr_scheduler.base import LRScheduler
from tinycnn.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from tinycnn.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from tinycnn.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinycnn.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

_LRScheduler = LRScheduler  # its name in older programs
