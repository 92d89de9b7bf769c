"""Schedules made of others: one after another, and all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from tinycnn.optim.lr_scheduler.base import LRScheduler, epochs_of
from tinycnn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinycnn.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """What both share: schedulers of one optimizer, saved and loaded together."""

    _schedulers: list[LRScheduler]

    def _check_schedulers(self, optimizer: Optimizer | None, schedulers: Any) -> list[LRScheduler]:
        name = self._name
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise ValueError(f"{name}: expected a list of at least one scheduler, got {schedulers!r}")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                raise TypeError(f"{name}: expected schedulers[{i}] as a schedule, got {type(scheduler).__name__}")
            if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ValueError(f"{name}: expected schedulers of this optimizer, schedulers[{i}] has another")
        return list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        count, got = len(self._schedulers), len(state_dict["_schedulers"])
        if got != count:
            raise ValueError(f"{self._name}.load_state_dict: expected {count} schedulers, got {got}")
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler._check_state(saved)

    def _restore(self, state_dict: dict[str, Any]) -> None:
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler._restore(saved)
        super()._restore({**state_dict, "_schedulers": self._schedulers})


class SequentialLR(_Combined):
    """One schedule after another, each counting its epochs from 0.

    Args:
        optimizer: that of the schedulers.
        schedulers: schedulers of the same optimizer, in their order.
        milestones: the epochs at which the second, the third, ... takes over.
        last_epoch: the last epoch done; the first scheduler starts all the same, as in torch. Default -1.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        name = self._name
        self.optimizer = self._check_optimizer(optimizer)
        self._schedulers = self._check_schedulers(optimizer, schedulers)
        if epochs_of(name, milestones) != list(milestones):
            raise ValueError(f"{name}: expected milestones in ascending order, got {milestones!r}")
        count, got = len(schedulers), len(milestones)
        if got != count - 1:
            raise ValueError(f"{name}: expected {count - 1} milestones between {count} schedulers, got {got}")
        self._milestones = list(milestones)
        for group in optimizer.param_groups:  # which the constructors of all schedulers have changed
            group["lr"] = group["initial_lr"]
        self._initial_step()
        self.last_epoch = last_epoch + 1

    def _initial_step(self) -> None:
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first.last_epoch = -1
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Steps the scheduler whose turn it is; at its milestone it starts with its epoch 0."""
        self._check_is_repeated()
        self._update_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        starts = self.last_epoch == (self._milestones[i - 1] if i else 0)
        scheduler._update_lr(0) if starts else scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Combined):
    """All schedules at once: their factors multiply.

    Args:
        schedulers: schedulers of one optimizer; each step steps them in turn.
        optimizer: theirs. Default None: that of the first.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        self._schedulers = self._check_schedulers(optimizer, schedulers)
        self.optimizer = self._schedulers[0].optimizer
        self._last_lr = self._current()

    def step(self) -> None:  # type: ignore[override]
        """Steps all schedulers in turn."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._current()
