"""Learning-rate schedules: each sets `lr` in the optimizer's groups as a function of the epoch.

    scheduler = CosineAnnealingLR(optimizer, T_max=10)
    for epoch in range(10):
        ...                 # the batches: backward(), optimizer.step()
        scheduler.step()

"Epoch" is whatever lies between two calls of `scheduler.step()`: for OneCycleLR it is one batch.

The schedules are closed formulas of the epoch and of `initial_lr`, which the first scheduler notes in each
group. Torch's multiply the current `lr`, and compose when several are stepped in turn; these do not. Use
`SequentialLR` for one after another, `LambdaLR` for products. A change of `lr` from elsewhere is warned of.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinycnn.optim._checks import check_choice, check_flag, check_integer, check_number
from tinycnn.optim.optimizer import Optimizer


class LRScheduler:
    """Base class: a subclass gives `get_lr()`, the learning rate of each group at `self.last_epoch`.

    Args:
        optimizer: its groups' `lr` is set, now for the first epoch and in each `step()` for the next.
        last_epoch: the last epoch done, to resume after it; the groups must then have `initial_lr`, from the
            optimizer's loaded state_dict. Default -1: start with epoch 0.

    Attributes:
        last_epoch: the epoch that the current learning rates are for.
        base_lrs: `initial_lr` of each group.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = self._check_optimizer(optimizer)
        check_integer(self._name, "last_epoch", last_epoch, at_least=-1)
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

    def _per_group(self, argument: str, value: Any) -> list:
        """One value a group: those of a list, or the same for all."""
        count = len(self.optimizer.param_groups)
        if not isinstance(value, (list, tuple)):
            return [value] * count
        if len(value) != count:
            raise ValueError(f"{self._name}: expected {count} {argument}, one a group, got {len(value)}")
        return list(value)

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
        """Continues where the scheduler that made `state_dict` stood. Load the optimizer's state_dict too.

        Raises ValueError, and changes nothing, for the state of another scheduler or number of groups.
        """
        self._check_state(state_dict)
        self._restore(state_dict)

    def _check_state(self, state_dict: Any) -> None:
        expected = self.state_dict()
        if not isinstance(state_dict, dict) or set(state_dict) != set(expected):
            keys = sorted(state_dict) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f"{self._name}.load_state_dict: expected the keys {sorted(expected)}, got {keys}")
        count, got = len(self.optimizer.param_groups), len(state_dict["_last_lr"])
        if got != count:
            raise ValueError(f"{self._name}.load_state_dict: expected lr of {count} groups, got {got}")

    def _restore(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)


class LambdaLR(LRScheduler):
    """lr = initial_lr · lr_lambda(epoch)

    Args:
        lr_lambda: a function of the epoch, or a list of them, one a group.

    Functions are not saved in the state_dict; the attributes of callable objects are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        self.optimizer = self._check_optimizer(optimizer)
        self.lr_lambdas = self._per_group("lr_lambda", lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"{self._name}: expected lr_lambda as a function, got {function!r}")
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
        step_size: epochs between two decays, at least 1.
        gamma: factor of a decay. Default 0.1.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        check_integer(self._name, "step_size", step_size, at_least=1)
        check_number(self._name, "gamma", gamma, at_least=0)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """lr = initial_lr · gamma^(number of milestones reached)

    Args:
        milestones: the epochs at which the rate decays; one that is listed twice counts twice.
        gamma: factor of a decay. Default 0.1.
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = _epochs(self._name, milestones)
        check_number(self._name, "gamma", gamma, at_least=0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma ** bisect_right(self.milestones, self.last_epoch) for lr in self.base_lrs]


def _epochs(owner: str, milestones: Any) -> list[int]:
    """The milestones in ascending order."""
    if isinstance(milestones, (str, dict)) or not isinstance(milestones, Iterable):
        raise TypeError(f"{owner}: expected milestones as a list of ints, got {milestones!r}")
    milestones = list(milestones)
    for i, milestone in enumerate(milestones):
        check_integer(owner, f"milestones[{i}]", milestone, at_least=0)
    return sorted(milestones)


class ExponentialLR(LRScheduler):
    """lr = initial_lr · gamma^epoch

    Args:
        gamma: factor of the decay in each epoch.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        check_number(self._name, "gamma", gamma, at_least=0)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """lr = initial_lr · f, where f goes in a straight line from start_factor to end_factor, and stays there

    Args:
        start_factor: f at epoch 0, above 0 and at most 1. Default 1/3.
        end_factor: f from epoch `total_iters` on, between 0 and 1. Default 1.
        total_iters: epochs to get there, at least 1. Default 5.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        check_number(self._name, "start_factor", start_factor, above=0, at_most=1)
        check_number(self._name, "end_factor", end_factor, at_least=0, at_most=1)
        check_integer(self._name, "total_iters", total_iters, at_least=1)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        done = min(self.last_epoch, self.total_iters) / self.total_iters
        factor = _linear(self.start_factor, self.end_factor, done)
        return [lr * factor for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial_lr − eta_min) · (1 + cos(π · epoch / T_max)) / 2

    Half a cosine wave down to eta_min at epoch T_max; after it, the wave goes up again.

    Args:
        T_max: epochs of half a wave, at least 1.
        eta_min: the lowest learning rate. Default 0.

    Source: Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017),
    equation 5; as in torch, without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        check_integer(self._name, "T_max", T_max, at_least=1)
        check_number(self._name, "eta_min", eta_min, at_least=0)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [_cosine(lr, self.eta_min, self.last_epoch / self.T_max) for lr in self.base_lrs]


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` (done = 0) to `end` (done = 1) along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def _linear(start: float, end: float, done: float) -> float:
    return start + (end - start) * done


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to far below the start, over the whole training;
    momentum (SGD, RMSprop) or the first beta (Adam) does the opposite. To be stepped after every batch.

    Args:
        max_lr: the highest learning rate, or a list, one a group.
        total_steps: number of batches of the training; or instead of it
        epochs, steps_per_epoch: whose product it is.
        pct_start: share of the steps in which the rate rises, between 0 and 1. Default 0.3.
        anneal_strategy: "cos" (default) or "linear".
        cycle_momentum: whether the momentum changes, too. Default True.
        base_momentum, max_momentum: its lowest (at max_lr) and highest value, or lists. Default 0.85, 0.95.
        div_factor: the rate starts at max_lr / div_factor, which becomes `initial_lr`. Default 25.
        final_div_factor: the rate ends at initial_lr / final_div_factor. Default 1e4.
        three_phase: come down to initial_lr as fast as up, the rest is for the final descent. Default False.

    `step()` raises ValueError when called more than total_steps times. The first batch has the rate set
    here, the last one that of call total_steps − 1, the lowest; the call after it extrapolates, as in torch.

    Source: Smith, Topin, "Super-convergence: very fast training of neural networks using large learning
    rates" (2018).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        name = self._name
        self.optimizer = self._check_optimizer(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(f"{name}: expected total_steps, or both epochs and steps_per_epoch")
            check_integer(name, "epochs", epochs, at_least=1)
            check_integer(name, "steps_per_epoch", steps_per_epoch, at_least=1)
            total_steps = epochs * steps_per_epoch
        check_integer(name, "total_steps", total_steps, at_least=1)
        check_number(name, "pct_start", pct_start, at_least=0, at_most=1)
        check_choice(name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        check_flag(name, "cycle_momentum", cycle_momentum)
        check_number(name, "div_factor", div_factor, above=0)
        check_number(name, "final_div_factor", final_div_factor, above=0)
        check_flag(name, "three_phase", three_phase)
        per_group = {
            "max_lr": self._per_group("max_lr", max_lr),
            "max_momentum": self._per_group("max_momentum", max_momentum),
            "base_momentum": self._per_group("base_momentum", base_momentum),
        }
        for argument, values in per_group.items():
            for value in values:
                check_number(name, argument, value, at_least=0)
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"{name}: expected an optimizer with momentum or betas for cycle_momentum=True, "
                f"got {type(optimizer).__name__}: pass cycle_momentum=False"
            )
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        # The phases: last step, then the keys in the groups of lr and of momentum, from and to.
        last = total_steps - 1
        peak = pct_start * total_steps - 1
        up = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
        if three_phase:
            down = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
            end = ("initial_lr", "min_lr", "max_momentum", "max_momentum")
            self.phases: list[tuple] = [(peak, *up), (2 * peak, *down), (last, *end)]
        else:
            self.phases = [(peak, *up), (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group["max_lr"] = per_group["max_lr"][i]
                group["initial_lr"] = group["max_lr"] / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["max_momentum"] = per_group["max_momentum"][i]
                    group["base_momentum"] = per_group["base_momentum"][i]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group; also sets the groups' momentum."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"{self._name}: expected at most total_steps={self.total_steps} calls of step(), got one more"
            )
        anneal = _cosine if self.anneal_strategy == "cos" else _linear
        i = 0
        while i < len(self.phases) - 1 and self.last_epoch > self.phases[i][0]:
            i += 1
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
        schedulers: schedulers of the same optimizer, in their order.
        milestones: the epochs at which the second, the third, ... takes over.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
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
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{name}: expected {len(schedulers) - 1} milestones between {len(schedulers)} schedulers, "
                f"got {len(milestones)}"
            )
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
        mode: "min" (default) if a smaller metric is better, "max" if a larger one is.
        factor: of the decay, below 1. Default 0.1.
        patience: number of calls without improvement that are put up with. Default 10.
        threshold: by how much a metric must beat the best one to count as better. Default 1e-4.
        threshold_mode: "rel" (default), as a share of the best metric, or "abs".
        cooldown: calls after a decay in which bad metrics are not counted. Default 0.
        min_lr: lr never falls below it; a number, or a list, one a group. Default 0.
        eps: a decay by less than this is not done. Default 1e-8.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ):
        name = self._name
        self.optimizer = self._check_optimizer(optimizer)
        check_choice(name, "mode", mode, ("min", "max"))
        check_number(name, "factor", factor, at_least=0, below=1)
        check_integer(name, "patience", patience, at_least=0)
        check_number(name, "threshold", threshold, at_least=0)
        check_choice(name, "threshold_mode", threshold_mode, ("rel", "abs"))
        check_integer(name, "cooldown", cooldown, at_least=0)
        check_number(name, "eps", eps, at_least=0)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = self._per_group("min_lr", min_lr)
        for value in self.min_lrs:
            check_number(name, "min_lr", value, at_least=0)
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _is_better(self, metric: float) -> bool:
        margin = self.threshold if self.mode == "max" else -self.threshold
        goal = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return metric > goal if self.mode == "max" else metric < goal

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Takes the epoch's metric, a number or a Tensor of one element, and decays lr if it is time to."""
        metric = float(metrics)
        self.last_epoch += 1
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
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
