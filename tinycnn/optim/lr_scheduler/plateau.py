"""A schedule that watches a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import SupportsFloat

from tinycnn.checks import Number, check_choice, check_count, check_not_negative, check_number
from tinycnn.optim.lr_scheduler.base import LRScheduler
from tinycnn.optim.optimizer import Optimizer


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

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Decays lr after more than `patience` calls without a better metric.

        Args:
            metrics: the epoch's metric, a number or a Tensor of one element.
            epoch: the epoch that this is, as torch deprecates. Default None: the next one.
        """
        self._check_is_repeated()
        if getattr(metrics, "ndim", 1) == 0 or getattr(metrics, "shape", None) == (1,):  # a Tensor or an array
            metrics = metrics.item()  # type: ignore[attr-defined]
        metric = float(check_number(f"{self._name}.step", "metrics", metrics))
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
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
