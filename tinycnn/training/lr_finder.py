"""The learning rate range test: which learning rates a training stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from tinycnn.checks import check_number, check_positive, shortened
from tinycnn.training.state import copied
from tinycnn.training.trainer import Trainer

_SHARE = 0.9  # of the smoothed loss that a step keeps
_TOO_HIGH = 3.0  # times the least loss, by which the loss is above it when the test ends


def find_lr(
    trainer: Trainer, loader: Iterable[Any], low: float = 1e-6, high: float = 1.0, steps: int = 100
) -> tuple[float, list[tuple[float, float]]]:  # fmt: skip
    """Trains for some steps with ever higher learning rates, and then restores the trainer and the loader.

    Args:
        trainer: one without a scheduler, or before its first step.
        loader: gives (images, targets); it is begun again where it ends.
        low, high: the first and the last learning rate, above 0. Default 1e-6 and 1.
        steps: how many. Default 100.

    Returns (lr, curve): the learning rate at which the loss fell fastest, and (learning rate, smoothed loss) of each
    step, up to where the loss is four times its least.

    Raises TypeError for what is no Trainer or loader, ValueError for rates that do not grow, or if the loss does not
    fall at any rate.
    Source: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3.
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"find_lr: expected a Trainer, got {shortened(trainer)}")
    if not isinstance(loader, Iterable):
        raise TypeError(f"find_lr: expected loader as an iterable of batches, got {shortened(loader)}")
    for name, value in (("low", low), ("high", high)):
        check_number("find_lr", name, value)
    if not 0 < low < high < math.inf:
        raise ValueError(f"find_lr: expected 0 < low < high, got low={low} and high={high}")
    check_positive("find_lr", "steps", steps)
    before = copied(trainer.state_dict())
    position = loader.state_dict() if hasattr(loader, "state_dict") else None
    curve: list[tuple[float, float]] = []
    try:
        trainer.model.train()
        average, least = 0.0, math.inf
        for i, (images, targets) in zip(range(steps), _endless(loader)):
            lr = low * (high / low) ** (i / max(steps - 1, 1))
            for group in trainer.optimizer.param_groups:
                group["lr"] = lr
            loss = trainer.run_step(images.to(trainer.device), targets.to(trainer.device))["loss"].item()
            average = _SHARE * average + (1 - _SHARE) * loss
            smoothed = average / (1 - _SHARE ** (i + 1))
            if not math.isfinite(smoothed) or smoothed - least > _TOO_HIGH * abs(least):
                break
            least = min(least, smoothed)
            curve.append((lr, smoothed))
    finally:
        trainer.load_state_dict(before)
        if position is not None:
            loader.load_state_dict(position)  # type: ignore[attr-defined]
    slopes = [(b[1] - a[1], a[0]) for a, b in pairwise(curve)]
    if not slopes or min(slopes)[0] >= 0:
        raise ValueError(f"find_lr: the loss falls at no learning rate from {low} to {high}")
    return min(slopes)[1], curve


def _endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        count = 0
        for batch in loader:
            count += 1
            yield batch
        if not count:
            raise ValueError("find_lr: expected a loader that gives batches, got an empty one")
