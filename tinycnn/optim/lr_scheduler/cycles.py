"""Schedules that go up and down, over the whole training or again and again: functions of the epoch alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinycnn.checks import (
    Number,
    check_choice,
    check_flag,
    check_not_negative,
    check_number,
    check_positive,
    check_share,
)
from tinycnn.optim.lr_scheduler.base import Factor, LRScheduler, check_function, cosine, linear
from tinycnn.optim.optimizer import Optimizer


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
        anneal = cosine if self.anneal_strategy == "cos" else linear
        i = sum(self.last_epoch > end for end, *_ in self.phases[:-1])
        first = self.phases[i - 1][0] if i else 0
        last, start_lr, end_lr, start_momentum, end_momentum = self.phases[i]
        done = (self.last_epoch - first) / (last - first) if last != first else 1
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                set_momentum(group, anneal(group[start_momentum], group[end_momentum], done))
        return [anneal(group[start_lr], group[end_lr], done) for group in self.optimizer.param_groups]


    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        phases = [dict(zip(_PHASE, phase, strict=True)) for phase in state.pop("phases")]
        strategy = state.pop("anneal_strategy")
        return {**state, "_schedule_phases": phases, "_anneal_func_type": strategy}

    def _own_form(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        names = {"_schedule_phases": "phases", "_anneal_func_type": "anneal_strategy"}
        state = {names.get(name, name): value for name, value in state_dict.items()}
        if isinstance(phases := state.get("phases"), list) and all(isinstance(phase, dict) for phase in phases):
            state["phases"] = [tuple(phase.get(name) for name in _PHASE) for phase in phases]
        return state


_PHASE = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")  # what a phase is in a state_dict


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (initial_lr − eta_min) · (1 + cos(π · T_cur / T_i)) / 2, T_cur epochs after the last restart

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        T_0: epochs to the first restart, at least 1.
        T_mult: factor by which the epochs T_i between restarts grow, at least 1. Default 1.
        eta_min: the lowest learning rate, at least 0. Default 0.

    `step(epoch)` takes fractions of epochs, to be called after every batch.

    Source: Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017).
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_0 = self.T_i = check_positive(self._name, "T_0", T_0)
        self.T_mult = check_positive(self._name, "T_mult", T_mult)
        self.eta_min = check_not_negative(self._name, "eta_min", eta_min)
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [cosine(lr, self.eta_min, self.T_cur / self.T_i) for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Sets the learning rates for the next epoch or, given one, for that `epoch`, which may be a fraction."""
        self._check_is_repeated()
        if epoch is None and self.last_epoch >= 0:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = check_not_negative(f"{self._name}.step", "epoch", epoch or 0)
            n = 0  # restarts so far
            if self.T_mult > 1 and epoch >= self.T_0:
                n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_i = self.T_0 * self.T_mult**n
            begun = self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1) if n else 0
            self.T_cur = epoch % self.T_0 if self.T_mult == 1 else epoch - begun
            self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr and down again in straight lines, again and again; momentum (SGD, RMSprop) or the first
    beta (Adam) does the opposite. To be stepped after every batch.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        base_lr, max_lr: the lowest and the highest learning rate, or lists with one for each group.
        step_size_up: batches of the way up, at least 1. Default 2000.
        step_size_down: batches of the way down. Default: as many.
        mode: "triangular" (default); "triangular2", whose height is halved after each cycle; "exp_range", whose height
            is multiplied by gamma^batch.
        gamma: for "exp_range". Default 1.
        scale_fn: a function that gives the factor of the height, in the place of a mode. Default None.
        scale_mode: whether scale_fn gets the number of the "cycle" (default; from 1) or the batch ("iterations").
        cycle_momentum: whether the momentum changes, too. Default True.
        base_momentum, max_momentum: its lowest (at max_lr) and highest value, or lists. Default 0.8, 0.9.

    Source: Smith, "Cyclical learning rates for training neural networks" (2017).
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | Sequence[float], max_lr: float | Sequence[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Factor | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8, max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ):  # fmt: skip
        name = self._name
        self.optimizer = self._check_optimizer(optimizer)
        base_lrs = self._per_group(check_not_negative, "base_lr", base_lr)
        self.max_lrs = self._per_group(check_not_negative, "max_lr", max_lr)
        up = check_positive(name, "step_size_up", step_size_up)
        down = up if step_size_down is None else check_positive(name, "step_size_down", step_size_down)
        self.total_size, self.step_ratio = float(up + down), up / (up + down)
        if scale_fn is None:
            check_choice(name, "mode", mode, ("triangular", "triangular2", "exp_range"))
        else:
            check_function(name, "scale_fn", scale_fn)
        self.mode, self.gamma, self._scale_fn = mode, check_number(name, "gamma", gamma), scale_fn
        check_choice(name, "scale_mode", scale_mode, ("cycle", "iterations"))
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = check_flag(name, "cycle_momentum", cycle_momentum)
        self.base_momentums = self._per_group(check_not_negative, "base_momentum", base_momentum)
        self.max_momentums = self._per_group(check_not_negative, "max_momentum", max_momentum)
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"{name}: expected an optimizer with momentum or betas for cycle_momentum=True, "
                f"got {type(optimizer).__name__}: pass cycle_momentum=False"
            )
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The factor of the height in cycle or batch `x`."""
        if self._scale_fn is not None:
            return self._scale_fn(x)  # type: ignore[arg-type]
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        """The learning rate of each group; also sets the groups' momentum."""
        cycles, place = divmod(self.last_epoch / self.total_size, 1)
        height = place / self.step_ratio if place <= self.step_ratio else (place - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycles + 1 if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in groups:
                set_momentum(group, linear(high, low, height))
        return [linear(low, high, height) for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        state = {name: value for name, value in super().state_dict().items() if name != "_scale_fn"}
        return {**state, "_scale_fn_custom": dict(getattr(self._scale_fn, "__dict__", {})) or None}


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Sets a group's first beta, where there are betas, or else its momentum."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
