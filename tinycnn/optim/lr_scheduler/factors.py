"""Schedules that multiply the learning rate by factors.

Each step multiplies the current `lr` by the ratio of this epoch's factor to the last one's, as in torch: schedules that
are stepped in turn compose, and a change of `lr` from elsewhere stays.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tinycnn.checks import Number, check_count, check_not_negative, check_positive, check_share
from tinycnn.optim.lr_scheduler.base import Factor, LRScheduler, check_function, cosine, epochs_of, linear
from tinycnn.optim.optimizer import Optimizer


class _FactorLR(LRScheduler):
    """lr = initial_lr · factor(epoch), by the ratios of neighbouring factors."""

    def _ratio(self, epoch: int) -> float:
        """The factor of this epoch divided by that of the last one."""
        raise NotImplementedError

    def _factor(self, epoch: int) -> float:
        """What multiplies `initial_lr` in this epoch."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        ratio = self._ratio(self.last_epoch)
        return [lr * ratio for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        factor = self._factor(self.last_epoch)
        return [lr * factor for lr in self.base_lrs]


class _FunctionLR(LRScheduler):
    """Functions of the epoch, one for each group, which are not saved; the attributes of callable objects are."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1):
        self.optimizer = self._check_optimizer(optimizer)
        self.lr_lambdas = self._per_group(check_function, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        attributes = [dict(getattr(f, "__dict__", {})) or None for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": attributes}

    def _own_form(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        saved = state_dict.get("lr_lambdas")
        return {**state_dict, "lr_lambdas": [each or {} for each in saved]} if isinstance(saved, list) else state_dict

    def _restore(self, state_dict: dict[str, Any]) -> None:
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes:
                vars(function).update(attributes)
        super()._restore({**state_dict, "lr_lambdas": self.lr_lambdas})


class LambdaLR(_FunctionLR):
    """lr = initial_lr · lr_lambda(epoch)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        lr_lambda: a function of the epoch, or a list with one for each group.

    Functions are not saved in the state_dict; the attributes of callable objects are.
    """

    def get_lr(self) -> list[float]:
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_FunctionLR):
    """Each step multiplies lr by lr_lambda(epoch).

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        lr_lambda: a function of the epoch, or a list with one for each group.

    Functions are not saved in the state_dict; the attributes of callable objects are.
    """

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current()
        return [lr * f(self.last_epoch) for lr, f in zip(self._current(), self.lr_lambdas, strict=True)]


class StepLR(_FactorLR):
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

    def _ratio(self, epoch: int) -> float:
        return self.gamma if epoch and epoch % self.step_size == 0 else 1.0

    def _factor(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(_FactorLR):
    """lr = initial_lr · gamma^(number of milestones reached)

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        milestones: the epochs at which the rate decays; one that is listed twice counts twice.
        gamma: factor of a decay, at least 0. Default 0.1.
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = epochs_of(self._name, milestones)
        self.gamma = check_not_negative(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "milestones": Counter(self.milestones)}

    def _own_form(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        saved = state_dict.get("milestones")
        return {**state_dict, "milestones": sorted(saved.elements())} if isinstance(saved, Counter) else state_dict

    def _ratio(self, epoch: int) -> float:
        return self.gamma ** self.milestones.count(epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma ** bisect_right(self.milestones, epoch)


class ConstantLR(_FactorLR):
    """lr = initial_lr · factor before epoch total_iters, initial_lr from then on

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        factor: above 0 and at most 1. Default 1/3.
        total_iters: epochs with the factor, at least 0. Default 5.
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        self.factor = Number(above=0, at_most=1)(self._name, "factor", factor)
        self.total_iters = check_count(self._name, "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def _ratio(self, epoch: int) -> float:
        return self.factor if epoch == 0 else 1 / self.factor if epoch == self.total_iters else 1.0

    def _factor(self, epoch: int) -> float:
        return 1.0 if epoch >= self.total_iters else self.factor


class ExponentialLR(_FactorLR):
    """lr = initial_lr · gamma^epoch

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        gamma: factor of the decay in each epoch, at least 0.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = check_not_negative(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _ratio(self, epoch: int) -> float:
        return 1.0 if self._is_initial else self.gamma

    def _factor(self, epoch: int) -> float:
        return self.gamma**epoch


class LinearLR(_FactorLR):
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

    def _ratio(self, epoch: int) -> float:
        if epoch == 0:
            return self.start_factor
        if self._is_initial or epoch > self.total_iters:
            return 1.0
        change = self.end_factor - self.start_factor
        return 1 + change / (self.total_iters * self.start_factor + (epoch - 1) * change)

    def _factor(self, epoch: int) -> float:
        return linear(self.start_factor, self.end_factor, min(epoch, self.total_iters) / self.total_iters)


class PolynomialLR(_FactorLR):
    """lr = initial_lr · (1 − epoch / total_iters)^power, 0 from epoch total_iters on

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        total_iters: epochs to get to 0, at least 1. Default 5.
        power: at least 0. Default 1.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters = check_positive(self._name, "total_iters", total_iters)
        self.power = check_not_negative(self._name, "power", power)
        super().__init__(optimizer, last_epoch)

    def _ratio(self, epoch: int) -> float:
        if self._is_initial or epoch > self.total_iters:
            return 1.0
        return ((1 - epoch / self.total_iters) / (1 - (epoch - 1) / self.total_iters)) ** self.power

    def _factor(self, epoch: int) -> float:
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


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
        """The learning rates: lr − eta_min is multiplied by the ratio of neighbouring heights of the wave."""
        if self._is_initial:
            return self._current()
        step, low = math.pi / self.T_max, self.eta_min
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # the last height was 0
            rise = (1 - math.cos(step)) / 2
            return [lr + (base - low) * rise for lr, base in zip(self._current(), self.base_lrs, strict=True)]
        ratio = (1 + math.cos(step * self.last_epoch)) / (1 + math.cos(step * (self.last_epoch - 1)))
        return [low + (lr - low) * ratio for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        return [cosine(lr, self.eta_min, self.last_epoch / self.T_max) for lr in self.base_lrs]
