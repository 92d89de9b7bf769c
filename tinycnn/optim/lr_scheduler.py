"""Learning-rate schedules: each sets `lr` in the optimizer's groups as a function of the epoch.

    scheduler = CosineAnnealingLR(optimizer, T_max=10)
    for epoch in range(10):
        ...                 # the batches: backward(), optimizer.step()
        scheduler.step()

"Epoch" is whatever lies between two calls of `scheduler.step()`: for OneCycleLR it is one batch.

The schedules are closed formulas of the epoch and of `initial_lr`, which the first scheduler stores in each
group. Torch's multiply the current `lr`, and compose when several are stepped in turn; these do not. Use
`SequentialLR` for one after another, `LambdaLR` for products. `step()` warns if `lr` was changed elsewhere.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, SupportsFloat, TypeVar

from tinycnn.checks import (
    Check,
    Integer,
    Number,
    check_choice,
    check_count,
    check_flag,
    check_not_negative,
    check_number,
    check_positive,
    check_share,
)
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
        self._go_to(last_epoch + 1)

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
        """The learning rate of each group at `self.last_epoch`."""
        raise NotImplementedError(f"{self._name}: a scheduler defines get_lr()")

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as this scheduler last set it."""
        return self._last_lr

    def step(self) -> None:
        """Sets the learning rates for the next epoch; to be called after `optimizer.step()`."""
        current = [group["lr"] for group in self.optimizer.param_groups]
        if current != self._last_lr:
            warnings.warn(
                f"{self._name}: lr is {current}, not {self._last_lr} as this scheduler set it, and will be "
                "overwritten: it is computed from initial_lr; SequentialLR or LambdaLR combine schedules",
                stacklevel=2,
            )
        self._go_to(self.last_epoch + 1)

    def _go_to(self, epoch: int) -> None:
        self.last_epoch = epoch
        self._last_lr = list(self.get_lr())
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, which has its own state_dict: save both."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state of a scheduler of the same kind. Load the optimizer's state_dict too.

        Args:
            state_dict: what `state_dict()` returned.

        Raises ValueError, and changes nothing, for the state of another scheduler or number of groups, or for values of
        another kind.
        """
        self._check_state(state_dict)
        self._restore(state_dict)

    def _check_state(self, state_dict: Any) -> None:
        expected = self.state_dict()
        if not isinstance(state_dict, dict) or set(state_dict) != set(expected):
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
            setattr(self, name, list(value) if isinstance(value, list) else value)


# Entries of a state_dict that are lists with a value for each group, and their names in errors.
_PER_GROUP = {"_last_lr": "lr", "base_lrs": "base_lrs", "lr_lambdas": "lr_lambdas", "min_lrs": "min_lrs"}


def _kind(value: Any) -> str:
    """What a value of a state_dict is; an int may stand for a float, and an empty list is one of anything."""
    if isinstance(value, (list, tuple)):
        return "list of " + " and ".join(sorted({_kind(each) for each in value})) if value else "list"
    return "number" if isinstance(value, Real) and not isinstance(value, bool) else type(value).__name__


def _check_function(owner: str, name: str, value: T) -> T:
    """`value`; TypeError unless it can be called."""
    if not callable(value):
        raise TypeError(f"{owner}: expected {name} as a function, got {value!r}")
    return value


class LambdaLR(LRScheduler):
    """lr = initial_lr · lr_lambda(epoch)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        lr_lambda: a function of the epoch, or a list with one for each group.

    Functions are not saved in the state_dict; the attributes of callable objects are.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1):
        self.optimizer = self._check_optimizer(optimizer)
        self.lr_lambdas = self._per_group(_check_function, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        attributes = [dict(getattr(f, "__dict__", {})) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": attributes}

    def _restore(self, state_dict: dict[str, Any]) -> None:
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes:
                vars(function).update(attributes)
        super()._restore({**state_dict, "lr_lambdas": self.lr_lambdas})


class StepLR(LRScheduler):
    """lr = initial_lr · gamma^(epoch // step_size)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        step_size: epochs between two decays, at least 1.
        gamma: factor of a decay, at least 0. Default 0.1.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size = check_positive(self._name, "step_size", step_size)
        self.gamma = check_not_negative(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """lr = initial_lr · gamma^(number of milestones reached)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        milestones: the epochs at which the rate decays; one that is listed twice counts twice.
        gamma: factor of a decay, at least 0. Default 0.1.
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = _epochs(self._name, milestones)
        self.gamma = check_not_negative(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma ** bisect_right(self.milestones, self.last_epoch) for lr in self.base_lrs]


def _epochs(owner: str, milestones: Any) -> list[int]:
    """The milestones in ascending order."""
    if isinstance(milestones, (str, dict)) or not isinstance(milestones, Iterable):
        raise TypeError(f"{owner}: expected milestones as a list of ints, got {milestones!r}")
    return sorted(check_count(owner, f"milestones[{i}]", milestone) for i, milestone in enumerate(milestones))


class ExponentialLR(LRScheduler):
    """lr = initial_lr · gamma^epoch

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        gamma: factor of the decay in each epoch, at least 0.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = check_not_negative(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """lr = initial_lr · f, where f goes in a straight line from start_factor to end_factor, and stays there

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        start_factor: f at epoch 0, above 0 and at most 1. Default 1/3.
        end_factor: f from epoch `total_iters` on, between 0 and 1. Default 1.
        total_iters: epochs to get there, at least 1. Default 5.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ):  # fmt: skip
        self.start_factor = Number(above=0, at_most=1)(self._name, "start_factor", start_factor)
        self.end_factor = check_share(self._name, "end_factor", end_factor)
        self.total_iters = check_positive(self._name, "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        done = min(self.last_epoch, self.total_iters) / self.total_iters
        factor = _linear(self.start_factor, self.end_factor, done)
        return [lr * factor for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial_lr − eta_min) · (1 + cos(π · epoch / T_max)) / 2

    Half a cosine wave down to eta_min at epoch T_max; after it, the wave goes up again.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        T_max: epochs of half a wave, at least 1.
        eta_min: the lowest learning rate, at least 0. Default 0.

    Source: Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017),
    equation 5; as in torch, without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max = check_positive(self._name, "T_max", T_max)
        self.eta_min = check_not_negative(self._name, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [_cosine(lr, self.eta_min, self.last_epoch / self.T_max) for lr in self.base_lrs]


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def _linear(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along a straight line."""
    return start + (end - start) * done


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to far below the start, over the whole training;
    momentum (SGD, RMSprop) or the first beta (Adam) does the opposite. To be stepped after every batch.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        max_lr: the highest learning rate, or a list with one for each group.
        total_steps: number of batches of the training; or instead of it
        epochs, steps_per_epoch: whose product it is.
        pct_start: share of the steps in which the rate rises, between 0 and 1. Default 0.3.
        anneal_strategy: "cos" (default) or "linear".
        cycle_momentum: whether the momentum changes, too. Default True.
        base_momentum, max_momentum: its lowest (at max_lr) and highest value, or lists. Default 0.85, 0.95.
        div_factor: the rate starts at max_lr / div_factor, which becomes `initial_lr`. Default 25.
        final_div_factor: the rate ends at initial_lr / final_div_factor. Default 1e4.
        three_phase: come down to initial_lr as fast as up, the rest is for the final descent. Default False.

    The constructor sets the rate of the first batch, call total_steps − 1 of `step()` that of the last one, the lowest.
    Call total_steps extrapolates, as in torch; `step()` raises ValueError when called more often.

    Source: Smith, Topin, "Super-convergence: very fast training of neural networks using large learning
    rates" (2018).
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ):  # fmt: skip
        name = self._name
        self.optimizer = self._check_optimizer(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(f"{name}: expected total_steps, or both epochs and steps_per_epoch")
            check_positive(name, "epochs", epochs)
            total_steps = epochs * check_positive(name, "steps_per_epoch", steps_per_epoch)
        self.total_steps = check_positive(name, "total_steps", total_steps)
        self.anneal_strategy = check_choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.cycle_momentum = check_flag(name, "cycle_momentum", cycle_momentum)
        peak = check_share(name, "pct_start", pct_start) * total_steps - 1
        Number(above=0)(name, "div_factor", div_factor)
        Number(above=0)(name, "final_div_factor", final_div_factor)
        max_lrs = self._per_group(check_not_negative, "max_lr", max_lr)
        max_momenta = self._per_group(check_not_negative, "max_momentum", max_momentum)
        base_momenta = self._per_group(check_not_negative, "base_momentum", base_momentum)
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"{name}: expected an optimizer with momentum or betas for cycle_momentum=True, "
                f"got {type(optimizer).__name__}: pass cycle_momentum=False"
            )
        # The phases: last step, then the keys in the groups of lr and of momentum, from and to.
        last, up = total_steps - 1, (peak, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if check_flag(name, "three_phase", three_phase):
            down = (2 * peak, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            self.phases: list[tuple] = [up, down, (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
        else:
            self.phases = [up, (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                start = max_lrs[i] / div_factor
                group.update(max_lr=max_lrs[i], initial_lr=start, min_lr=start / final_div_factor)
                if cycle_momentum:
                    group.update(max_momentum=max_momenta[i], base_momentum=base_momenta[i])
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group; also sets the groups' momentum."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"{self._name}: expected at most total_steps={self.total_steps} calls of step(), got one more"
            )
        anneal = _cosine if self.anneal_strategy == "cos" else _linear
        i = sum(self.last_epoch > end for end, *_ in self.phases[:-1])
        first = self.phases[i - 1][0] if i else 0
        last, start_lr, end_lr, start_momentum, end_momentum = self.phases[i]
        done = (self.last_epoch - first) / (last - first) if last != first else 1
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = anneal(group[start_momentum], group[end_momentum], done)
                if "betas" in group:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum
        return [anneal(group[start_lr], group[end_lr], done) for group in self.optimizer.param_groups]


class SequentialLR(LRScheduler):
    """One schedule after another, each counting its epochs from 0.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        schedulers: schedulers of the same optimizer, in their order.
        milestones: the epochs at which the second, the third, ... takes over.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        name = self._name
        self._check_optimizer(optimizer)
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise ValueError(f"{name}: expected a list of at least one scheduler, got {schedulers!r}")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                raise TypeError(f"{name}: expected schedulers[{i}] as a schedule, got {type(scheduler).__name__}")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name}: expected schedulers of this optimizer, schedulers[{i}] has another")
        if _epochs(name, milestones) != list(milestones):
            raise ValueError(f"{name}: expected milestones in ascending order, got {milestones!r}")
        count, got = len(schedulers), len(milestones)
        if got != count - 1:
            raise ValueError(f"{name}: expected {count - 1} milestones between {count} schedulers, got {got}")
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        super().__init__(optimizer, last_epoch)

    def _go_to(self, epoch: int) -> None:
        i = bisect_right(self.milestones, epoch)
        self.schedulers[i]._go_to(epoch - (self.milestones[i - 1] if i else 0))
        self.last_epoch = epoch
        self._last_lr = self.schedulers[i].get_last_lr()

    def get_lr(self) -> list[float]:
        return self.schedulers[bisect_right(self.milestones, self.last_epoch)].get_lr()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def _check_state(self, state_dict: Any) -> None:
        super()._check_state(state_dict)
        count, got = len(self.schedulers), len(state_dict["schedulers"])
        if got != count:
            raise ValueError(f"{self._name}.load_state_dict: expected {count} schedulers, got {got}")
        for scheduler, saved in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler._check_state(saved)

    def _restore(self, state_dict: dict[str, Any]) -> None:
        for scheduler, saved in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler._restore(saved)
        super()._restore({**state_dict, "schedulers": self.schedulers})


class ReduceLROnPlateau(LRScheduler):
    """Multiplies lr by `factor` when a metric has not improved for more than `patience` calls of `step()`.

    Args:
        optimizer: its groups' `lr` is changed.
        mode: "min" (default) if a smaller metric is better, "max" if a larger one is.
        factor: factor of a decay, at least 0 and below 1. Default 0.1.
        patience: number of calls without improvement after which the next one decays lr. Default 10.
        threshold: by how much a metric must exceed the best one to count as better. Default 1e-4.
        threshold_mode: "rel" (default), as a share of the best metric, or "abs".
        cooldown: calls after a decay in which bad metrics are not counted. Default 0.
        min_lr: lr never falls below it; a number, or a list with one for each group. Default 0.
        eps: lr is left unchanged where it would change by no more than this. Default 1e-8.
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
        min_lr: float | Sequence[float] = 0, eps: float = 1e-8,
    ):  # fmt: skip
        name = self._name
        self.optimizer = self._check_optimizer(optimizer)
        self.mode = check_choice(name, "mode", mode, ("min", "max"))
        self.factor = Number(at_least=0, below=1)(name, "factor", factor)
        self.patience = check_count(name, "patience", patience)
        self.threshold = check_not_negative(name, "threshold", threshold)
        self.threshold_mode = check_choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = check_count(name, "cooldown", cooldown)
        self.min_lrs = self._per_group(check_not_negative, "min_lr", min_lr)
        self.eps = check_not_negative(name, "eps", eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _is_better(self, metric: float) -> bool:
        margin = self.threshold if self.mode == "max" else -self.threshold
        goal = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return metric > goal if self.mode == "max" else metric < goal

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Decays lr after more than `patience` calls without a better metric.

        Args:
            metrics: the epoch's metric, a number or a Tensor of one element.
        """
        if getattr(metrics, "ndim", 1) == 0 or getattr(metrics, "shape", None) == (1,):  # a Tensor or an array
            metrics = metrics.item()  # type: ignore[attr-defined]
        metric = float(check_number(f"{self._name}.step", "metrics", metrics))
        self.last_epoch += 1
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        groups = self.optimizer.param_groups
        if self.num_bad_epochs > self.patience:
            self.num_bad_epochs = 0
            self.cooldown_counter = self.cooldown
            for group, min_lr in zip(groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, min_lr)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
        self._last_lr = [group["lr"] for group in groups]
