"""Losses that are negative log-likelihoods, and Huber's: functions and layers. Shapes of input and target are equal."""

from __future__ import annotations

import math
import warnings

from tinycnn.autocast_mode import autocasts
from tinycnn.checks import Number, check_choice, check_flag, check_not_negative
from tinycnn.nn.loss import REDUCTIONS, _Loss, difference, difference_of_floats, legacy_reduction, reduced
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import clamp, where
from tinycnn.tensor import Tensor

__all__ = ["GaussianNLLLoss", "HuberLoss", "KLDivLoss", "PoissonNLLLoss"]

# --- functions ----------------------------------------------------------------------------------------------


@autocasts
def kl_div(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", log_target: bool = False,
) -> Tensor:  # fmt: skip
    """target · (log target − input) for log-probabilities `input`; the target is of probabilities, or of their
    logarithms if `log_target`.

    reduction="batchmean" divides the sum by the batch size, as the divergence is defined; "mean" by all elements.
    Source: Kullback, Leibler, 1951.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction("kl_div", size_average, reduce)
    check_choice("kl_div", "reduction", reduction, ("batchmean", *REDUCTIONS))
    check_flag("kl_div", "log_target", log_target)
    if reduction == "mean":
        warnings.warn("kl_div: 'mean' divides by the batch and the classes; 'batchmean' by the batch", stacklevel=2)
    difference_of_floats("kl_div", input, target, "sum" if reduction == "batchmean" else reduction)
    x, t = widened(input), widened(target)
    if log_target:
        loss = t.exp() * (t - x)
    else:
        is_zero = t == 0
        loss = where(is_zero, 0.0, t * where(is_zero, 1.0, t).log()) - t * x
    if reduction == "batchmean":
        return narrowed(loss.sum() / max(len(input) if input.ndim else 1, 1), input, target)
    return narrowed(reduced(loss, reduction), input, target)


@autocasts
def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d² / 2 where d = |input − target| is at most delta, delta · (d − delta / 2) elsewhere. Source: Huber, 1964."""
    Number(above=0)("huber_loss", "delta", delta)
    distance = difference_of_floats("huber_loss", input, target, reduction).abs()
    is_far = distance > delta
    near = where(is_far, delta, distance)  # the slope of the square is not to meet infinity
    loss = where(is_far, (distance - 0.5 * delta) * delta, near * near * 0.5)
    return narrowed(reduced(loss, reduction), input, target)


@autocasts
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: bool | None = None,
    eps: float = 1e-8, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """rate − target · log rate, where `input` is log rate, or the rate if not `log_input` (eps is added under the
    logarithm); `full` adds Stirling's approximation of log(target!) where the target is above 1."""
    name = "poisson_nll_loss"
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    check_flag(name, "log_input", log_input)
    check_flag(name, "full", full)
    check_not_negative(name, "eps", eps)
    difference(name, input, target, reduction)
    x, t = widened(input), widened(target)
    loss = x.exp() - t * x if log_input else x - t * (x + eps).log()
    if full:
        is_large = t > 1
        n = where(is_large, t, 1.0)
        loss = loss + where(is_large, n * n.log() - n + (n * (2 * math.pi)).log() * 0.5, 0.0)
    return narrowed(reduced(loss, reduction), input, target)


@autocasts
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """½ (log var + (input − target)² / var), var at least eps; `full` adds ½ log 2π.

    `var` is a number, or of the input's shape, or the same with a last dimension of 1 or without it.
    """
    name = "gaussian_nll_loss"
    check_flag(name, "full", full)
    Number(above=0)(name, "eps", eps)
    distance = difference_of_floats(name, input, target, reduction)
    if isinstance(var, Tensor):
        check_floating(name, var)
    var = distance.detach() * 0 + check_not_negative(name, "var", var) if not isinstance(var, Tensor) else var
    if var.shape == input.shape[:-1] != input.shape:
        var = var.unsqueeze(-1)
    if var.shape not in (input.shape, (*input.shape[:-1], 1)):
        raise ValueError(f"{name}: expected var of shape {input.shape} or {(*input.shape[:-1], 1)}, got {var.shape}")
    var = widened(var)
    var = var + clamp(eps - var, min=0.0).detach()  # the gradient is that of var, also below eps
    loss = (var.log() + distance * distance / var) * 0.5
    loss = loss + 0.5 * math.log(2 * math.pi) if full else loss
    return narrowed(reduced(loss, reduction), input, target)


# --- layers -------------------------------------------------------------------------------------------------


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of probabilities from log-probabilities; see `F.kl_div`."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
        log_target: bool = False,
    ):  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class HuberLoss(_Loss):
    """Quadratic in |input − target| up to `delta`, linear above: see `F.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return huber_loss(input, target, self.reduction, self.delta)


class PoissonNLLLoss(_Loss):
    """Negative log-likelihood of counts of a Poisson distribution; see `F.poisson_nll_loss`."""

    def __init__(
        self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
        reduce: bool | None = None, reduction: str = "mean",
    ):  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        options = (self.log_input, self.full)
        return poisson_nll_loss(log_input, target, *options, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood of a normal distribution; see `F.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
