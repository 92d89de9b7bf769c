"""LRScheduler, the base class of schedules: steps, and what is saved and loaded."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, TypeVar

from tinycnn import backend
from tinycnn.checks import Check, Integer, check_count
from tinycnn.optim.optimizer import Optimizer

T = TypeVar("T")
Factor = Callable[[int], float]  # of the epoch


class LRScheduler:
    """Base class: a subclass gives `get_lr()`, the learning rate of each group at `self.last_epoch`.

    Args:
        optimizer: the constructor sets `lr` of its groups for the first epoch, each `step()` for the next one.
        last_epoch: the last epoch done, to resume after it; the groups must then have `initial_lr`, from the
            optimizer's loaded state_dict. Default -1: start with epoch 0.

    Raises, as all schedulers do:
        TypeError: no Optimizer, an argument of the wrong type.
        ValueError: an argument out of its range, a list that has not one value for each group, groups without
            `initial_lr` when resuming.

    Attributes:
        last_epoch: the epoch that the current learning rates are for.
        base_lrs: `initial_lr` of each group.
    """

    _is_initial = False  # whether the constructor sets the first rates now

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = self._check_optimizer(optimizer)
        Integer(at_least=-1)(self._name, "last_epoch", last_epoch)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{self._name}: expected 'initial_lr' in param_groups[{i}] to resume after "
                    f"last_epoch={last_epoch}: load the optimizer's state_dict first"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Sets the learning rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _check_optimizer(self, optimizer: Any) -> Optimizer:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self._name}: expected an Optimizer, got {type(optimizer).__name__}")
        return optimizer

    def _per_group(self, check: Check, argument: str, value: T | Sequence[T]) -> list[T]:
        """A checked value for each group: those of a list, or the same for all."""
        count = len(self.optimizer.param_groups)
        values: list[T] = list(value) if isinstance(value, (list, tuple)) else [value] * count  # type: ignore[list-item]
        if len(values) != count:
            raise ValueError(f"{self._name}: expected {count} {argument}, one a group, got {len(values)}")
        return [check(self._name, argument, each) for each in values]

    def get_lr(self) -> list[float]:
        """The learning rate of each group at `self.last_epoch`, which may depend on the current one."""
        raise NotImplementedError(f"{self._name}: a scheduler defines get_lr()")

    def _get_closed_form_lr(self) -> list[float]:
        """The learning rate of each group at `self.last_epoch`, whatever the current one is."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as this scheduler last left it."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Sets the learning rates for the next epoch; to be called after `optimizer.step()`.

        Args:
            epoch: go to this epoch instead, as torch deprecates. Default None.
        """
        self._check_is_repeated()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(f"{self._name}.step: epoch is deprecated: call step() once an epoch", stacklevel=2)
            check_count(f"{self._name}.step", "epoch", epoch)
        self._update_lr(epoch)

    def _check_is_repeated(self) -> None:
        """RuntimeError in a step that is being recorded: a replay would not change the learning rate."""
        if "cupy" in sys.modules and backend.recorded() is not None:
            raise RuntimeError(f"{self._name}.step: cannot be part of a captured step; call it after that")

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.get_lr() if epoch is None else self._get_closed_form_lr())

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = self._current()

    def _current(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, which has its own state_dict: save both."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state of a scheduler of the same kind. Load the optimizer's state_dict too.

        Args:
            state_dict: what `state_dict()` returned, here or in torch.

        Raises ValueError, and changes nothing, for the state of another scheduler or number of groups, or for values of
        another kind.
        """
        if isinstance(state_dict, dict):
            state_dict = self._own_form(state_dict)
        self._check_state(state_dict)
        self._restore(state_dict)

    def _own_form(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Entries of a state_dict, which are torch's, as the attributes are."""
        return state_dict

    def _check_state(self, state_dict: Any) -> None:
        expected = {name: each for name, each in self._own_form(self.state_dict()).items() if name not in _OF_TORCH}
        if not isinstance(state_dict, dict) or set(state_dict) - _OF_TORCH != set(expected):
            keys = sorted(state_dict) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f"{self._name}.load_state_dict: expected the keys {sorted(expected)}, got {keys}")
        owner, count = f"{self._name}.load_state_dict", len(self.optimizer.param_groups)
        for name, own in expected.items():
            wanted, got = _kind(own), _kind(state_dict[name])
            both_lists = wanted.startswith("list") and got.startswith("list")
            if wanted != got and not (both_lists and "list" in (wanted, got)):
                raise ValueError(f"{owner}: expected {name} as {wanted}, got {got}")
        for name, words in _PER_GROUP.items():
            if name in expected and (given := len(state_dict[name])) != count:
                raise ValueError(f"{owner}: expected {words} of {count} groups, got {given}")

    def _restore(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            if name not in _OF_TORCH:
                setattr(self, name, list(value) if isinstance(value, list) else value)


# Entries that torch's schedulers save, and these do not need.
_OF_TORCH = {
    "_get_lr_called_within_step", "_is_initial", "_scale_fn_custom", "default_min_lr", "mode_worse", "use_beta1",
    "verbose",
}  # fmt: skip

# Entries of a state_dict that are lists with a value for each group, and their names in errors.
_PER_GROUP = {"_last_lr": "lr", "base_lrs": "base_lrs", "lr_lambdas": "lr_lambdas", "min_lrs": "min_lrs"}


def _kind(value: Any) -> str:
    """What a value of a state_dict is; an int may stand for a float, and an empty list is one of anything."""
    if isinstance(value, (list, tuple)):
        return "list of " + " and ".join(sorted({_kind(each) for each in value})) if value else "list"
    return "number" if isinstance(value, Real) and not isinstance(value, bool) else type(value).__name__


def check_function(owner: str, name: str, value: T) -> T:
    """`value`; TypeError unless it can be called."""
    if not callable(value):
        raise TypeError(f"{owner}: expected {name} as a function, got {value!r}")
    return value


def epochs_of(owner: str, milestones: Any) -> list[int]:
    """The milestones in ascending order."""
    if isinstance(milestones, (str, dict)) or not isinstance(milestones, Iterable):
        raise TypeError(f"{owner}: expected milestones as a list of ints, got {milestones!r}")
    return sorted(check_count(owner, f"milestones[{i}]", milestone) for i, milestone in enumerate(milestones))


def cosine(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def linear(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along a straight line."""
    return start + (end - start) * done
