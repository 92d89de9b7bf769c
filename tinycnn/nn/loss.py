"""Losses, functions and layers. Most are a few public operators; cross-entropy of class indices has an operator of
its own."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import ON_CPU, Function, Gradients, is_grad_enabled, wrap
from tinycnn.backend import Array
from tinycnn.checks import LARGEST, check_choice, check_flag, check_int, check_not_negative, check_share
from tinycnn.dtypes import promote
from tinycnn.grad_mode import thread_mode
from tinycnn.nn.activation import logsigmoid
from tinycnn.nn.arguments import refuse_others
from tinycnn.nn.module import Module
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import where
from tinycnn.tensor import Tensor

__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss"]

REDUCTIONS = ("mean", "sum", "none")

# --- cross-entropy ------------------------------------------------------------------------------------------


class CrossEntropy(Function):
    """−(1 − s) w[t] log p[t] − s/C Σ_j w[j] log p[j] with p = softmax(x) over C classes, target class t, weights w and
    label smoothing s; 0 where the target is `ignore_index`. Reduced; the mean is over the w[t] that count.

    Backward: the softmax and the logarithm cancel, what is left is w[t] (p − q) with the smoothed target q.
    """

    saves_inputs = True
    consumes_gradient = True
    in_float32 = ON_CPU

    def __init__(self, ignore_index: int, smoothing: float, reduction: str, class_dim: int, caller: str):
        self.ignore_index, self.smoothing, self.reduction = ignore_index, smoothing, reduction
        self.class_dim, self.caller = class_dim, caller

    def forward(self, x: Array, target: Array, weight: Array | None) -> Array:
        wrong = self.kernels.wrong_class(target, x.shape[self.class_dim], self.ignore_index)
        _refuse_class(wrong, self.caller, x.shape, self.class_dim)
        options = (self.ignore_index, self.smoothing, self.reduction, self.class_dim)
        loss, self.saved = self.kernels.cross_entropy(x, target, weight, *options)
        return loss

    def backward(self, grad_output: Tensor) -> Gradients:
        x, target, weight = self.inputs
        if is_grad_enabled():
            return self._differentiable(grad_output, x, target, weight), None, None
        u, of_class = grad_output._array, None if weight is None else weight._array
        g = self.kernels.cross_entropy_backward(u, x._array, self.saved, of_class, self.class_dim)
        return wrap(g), None, None

    def _differentiable(self, u: Tensor, x: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """The gradient in public operators, which can be differentiated again."""
        dim, classes = self.class_dim, x.shape[self.class_dim]
        target = target.unsqueeze(dim)
        counts = target != self.ignore_index
        # uint8 would be a mask of w; whatever an ignored row holds adds nothing.
        index, x = target.long() * counts, where(counts, x, 0.0)
        w = wrap(self.xp.ones(classes, x.dtype)) if weight is None else weight
        counted = where(counts, w[index], 0.0)
        of_class = (classes, *[1] * (x.ndim - dim - 1))
        is_target = index == wrap(self.xp.arange(classes)).reshape(*of_class)
        u = u if u.ndim == 0 else u.unsqueeze(dim)
        if self.reduction == "mean":
            u = u / where(counts.any(), counted.sum(), 1.0)
        near, far = counted * (1 - self.smoothing), counts.to(x.dtype) * (self.smoothing / classes)
        slope = (near + far * w.sum()) * x.softmax(dim) - near * is_target - far * w.reshape(*of_class)
        return where(counts, u * slope, 0.0)


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0, *,
    name: str = "cross_entropy",
) -> Tensor:  # fmt: skip
    """−log softmax(input)[target]: the softmax over classes and the negative log-likelihood in one.

    Args:
        input: scores (logits) (N, C), (N, C, *) or (C).
        target: class indices, integers, of the input's shape without C; or probabilities of the input's shape.
        weight: (C), a factor for each class; the mean is then the weighted one.
        ignore_index: targets with this value add nothing to loss and gradient.
        reduction: "mean", "sum" or "none"; size_average and reduce, flags, are its old form.
        label_smoothing: this share of the target's probability is spread evenly over all classes.
        name: the function or layer that errors name.

    A class index out of range is a ValueError on a CPU. On a GPU it is not checked, which would make the host
    wait: the loss becomes nan.
    """
    if thread_mode.autocast is not None:
        input, target, weight = thread_mode.autocast.cast("cross_entropy", (input, target, weight))
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    _check_input(name, input, target, reduction)
    if label_smoothing.__class__ is not float or not 0 <= label_smoothing <= 1:
        check_share(name, "label_smoothing", label_smoothing)
    if ignore_index.__class__ is not int or abs(ignore_index) > LARGEST:
        check_int(name, "ignore_index", ignore_index)
    shape = input._array.shape
    class_dim = 0 if len(shape) == 1 else 1
    classes = shape[class_dim]
    if weight is not None:
        _check_weight(name, input, classes, weight)
    if target._array.dtype.kind not in FLOATING or target._array.shape != shape:
        _check_target(name, input, target)
        if weight is not None:
            _refuse_gradient(name, weight)
        if classes == 0:
            return nll_loss(input, target, ignore_index=ignore_index, reduction=reduction, name=name)
        if weight is not None and weight.dtype != input.dtype:
            weight = weight.to(input.dtype)
        return CrossEntropy(ignore_index, label_smoothing, reduction, class_dim, name)(input, target, weight)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / max(classes, 1)
    per_class = target * widened(input).log_softmax(class_dim)
    if weight is not None:
        per_class = per_class * weight.reshape(-1, *[1] * (input.ndim - class_dim - 1))
    return narrowed(reduced(-per_class.sum(class_dim), reduction), input, target, weight)


@autocasts
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean", *, name: str = "nll_loss",
) -> Tensor:  # fmt: skip
    """−weight[target] · input[target] for log-probabilities (N, C), (N, C, *) or (C); see `cross_entropy`."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    _check_input(name, input, target, reduction)
    _check_target(name, input, target)
    check_int(name, "ignore_index", ignore_index)
    classes, class_dim = target._array, 0 if input.ndim == 1 else 1
    if weight is not None:
        _check_weight(name, input, input.shape[class_dim], weight)
        _refuse_gradient(name, weight)
    wrong = backend.kernels(classes).wrong_class(classes, input.shape[class_dim], ignore_index)
    _refuse_class(wrong, name, input.shape, class_dim)
    if input.shape[class_dim] == 0:  # all are ignored
        return reduced(input.sum(class_dim), reduction)
    xp = backend.array_module(classes)
    with backend.current(classes):
        counts = classes != ignore_index
        is_class = (classes >= 0) & (classes < input.shape[class_dim])
        index = wrap(xp.where(counts & is_class, classes, 0).astype("int64"))
        # A class out of range, which is not checked on a GPU, makes the loss nan, as in `cross_entropy`.
        factors = wrap(xp.where(counts, xp.where(is_class, 1.0, math.nan), 0.0).astype(input.dtype))
    loss = -widened(input.gather(class_dim, index.unsqueeze(class_dim)).squeeze(class_dim))
    if weight is None and backend.host_reads(classes) and counts.all():
        return narrowed(reduced(loss, reduction), input)
    weights = widened(factors)
    if weight is not None:
        weights = where(wrap(counts), widened(weight)[index], 0.0) * weights
    loss = where(wrap(counts), loss, 0.0) * weights
    loss = loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction)
    return narrowed(loss, input, weight)


def _check_weight(name: str, input: Tensor, classes: int, weight: Tensor) -> None:
    """A factor for each class, of the input's dtype."""
    refuse_others(name, weight=weight)
    if weight.shape != (classes,):
        raise ValueError(f"{name}: expected a weight of shape ({classes},), got {weight.shape}")
    if weight.dtype != input.dtype:
        raise TypeError(f"{name}: input is {input.dtype}, weight is {weight.dtype}: convert one with .to()")


def _refuse_gradient(name: str, weight: Tensor) -> None:
    """RuntimeError for a weight of class indices that asks for a gradient, as in torch."""
    if weight.requires_grad:
        raise RuntimeError(f"{name}: the weight gets no gradient with class indices: pass weight.detach()")


def _check_target(name: str, x: Tensor, target: Tensor) -> None:
    """Class indices (N, *) for input (N, C, *), or () for (C): integers."""
    shape, classes = x._array.shape, target._array
    class_dim = 0 if len(shape) == 1 else 1
    expected = shape[:class_dim] + shape[class_dim + 1 :]
    if classes.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: expected class indices as an integer tensor of shape {expected}, "
            f"got {classes.dtype} of shape {classes.shape}; convert them with .long()"
        )
    if classes.shape != expected:
        raise ValueError(f"{name}: for input {shape} expected class indices of shape {expected}, got {classes.shape}")


def _refuse_class(wrong: int | None, name: str, shape: tuple[int, ...], class_dim: int) -> None:
    """ValueError for a class index that the kernels have found wrong."""
    if wrong is not None:
        raise ValueError(
            f"{name}: class index {wrong} is out of range: the input {shape} has classes 0 to {shape[class_dim] - 1}"
        )


# --- other losses -------------------------------------------------------------------------------------------


@autocasts
def mse_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", *, name: str = "mse_loss",
) -> Tensor:  # fmt: skip
    """(input − target)², its mean, sum or each. Shapes must be equal."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    distance = difference(name, input, target, reduction)
    return narrowed(reduced(distance * distance, reduction), input, target)


@autocasts
def l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", *, name: str = "l1_loss",
) -> Tensor:  # fmt: skip
    """|input − target|, its mean, sum or each. Shapes must be equal."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    distance = difference(name, input, target, reduction).abs()
    return narrowed(reduced(distance, reduction), input, target)


@autocasts
def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", beta: float = 1.0, *, name: str = "smooth_l1_loss",
) -> Tensor:  # fmt: skip
    """d² / (2·beta) where d = |input − target| is below beta, d − beta / 2 elsewhere. Source: Girshick, 2015."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    check_not_negative(name, "beta", beta)
    distance = difference(name, input, target, reduction).abs()
    if beta > 0:
        is_far = distance >= beta
        near = where(is_far, beta, distance)  # the slope of the square is not to meet infinity
        distance = where(is_far, distance - 0.5 * beta, near * near * (0.5 / beta))
    return narrowed(reduced(distance, reduction), input, target)


class BinaryCrossEntropy(Function):
    """−(t log p + (1 − t) log(1 − p)), the logarithms at least −100. Backward: u (p − t) / (p (1 − p)), whose divisor
    is at least 1e-12, as in torch: p = 0 and p = 1 stay finite. For t: u (log(1 − p) − log p), which does not."""

    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, p: Array, t: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p, log_q = (self.xp.maximum(self.xp.log(x), -100.0) for x in (p, 1 - p))
        return -(t * log_p + (1 - t) * log_q)

    def backward(self, grad_output: Tensor) -> Gradients:
        p, t = self.inputs
        need_p, need_t = self.needs_input_grad
        return (
            grad_output * (p - t) / (p * (1 - p)).clamp(min=1e-12) if need_p else None,
            grad_output * ((1 - p).log() - p.log()) if need_t else None,
        )


@autocasts
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", *, name: str = "binary_cross_entropy",
) -> Tensor:  # fmt: skip
    """−(target · log input + (1 − target) · log(1 − input)) for probabilities; logarithms are at least −100.

    Values outside [0, 1] raise ValueError on a CPU and give nan on a GPU, where a check would make the host wait.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    _check_binary(name, input, target, reduction)
    for argument, x in (("input", input._array), ("target", target._array)):
        if x.size and backend.host_reads(x) and not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(
                f"{name}: expected probabilities from 0 to 1 as {argument}, got {x.min():.4g} to {x.max():.4g}; "
                "for scores use binary_cross_entropy_with_logits"
            )
    loss = BinaryCrossEntropy()(widened(input), widened(target))
    return narrowed(reduced(_weighted(loss, weight, "weight", name), reduction), input, target, weight)


@autocasts
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", pos_weight: Tensor | None = None, *,
    name: str = "binary_cross_entropy_with_logits",
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of sigmoid(input), without overflow; `pos_weight` multiplies the term of target 1."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(name, size_average, reduce)
    _check_binary(name, input, target, reduction)
    x, t = widened(input), widened(target)
    log_p, log_q = logsigmoid(x), logsigmoid(-x)  # of p and of 1 − p
    positive = _weighted(t * log_p, pos_weight, "pos_weight", name)
    loss = -(positive + (1 - t) * log_q)
    return narrowed(reduced(_weighted(loss, weight, "weight", name), reduction), input, target, weight)


def _check_binary(name: str, input: Tensor, target: Tensor, reduction: str) -> None:
    """Input and target of one shape and one floating-point dtype."""
    difference(name, input, target, reduction)
    if input.dtype != target.dtype:
        raise TypeError(f"{name}: input is {input.dtype}, target is {target.dtype}: convert one with .to()")


def _weighted(loss: Tensor, weight: Tensor | None, argument: str, name: str) -> Tensor:
    """loss · weight, of the loss's shape: a weight of another one would silently count losses several times."""
    if weight is None:
        return loss
    refuse_others(name, **{argument: weight})
    if weight.dtype.kind == "b":
        raise TypeError(f"{name}: expected {argument} as a Tensor of numbers, got {weight.dtype}")
    try:
        weighted: Tensor | None = loss * weight
    except ValueError:
        weighted = None
    if weighted is None or weighted.shape != loss.shape:
        raise ValueError(f"{name}: expected {argument} to broadcast to shape {loss.shape}, got {weight.shape}")
    return weighted


def difference(name: str, input: Any, target: Any, reduction: str) -> Tensor:
    """input − target, after refusing to broadcast: (N, 1) against (N,) would silently compare every pair."""
    _check_input(name, input, target, reduction, least_dims=0)
    if input.shape != target.shape:
        raise ValueError(f"{name}: expected a target of the input's shape {input.shape}, got {target.shape}")
    dtype = promote(input.dtype, target.dtype)
    return widened(input.to(dtype)) - widened(target.to(dtype))


def difference_of_floats(name: str, input: Any, target: Any, reduction: str) -> Tensor:
    """`difference`, of floating-point tensors alone."""
    check_floating(name, input)
    check_floating(name, target)
    return difference(name, input, target, reduction)


def _check_input(name: str, input: Tensor, target: Tensor, reduction: str, least_dims: int = 1) -> None:
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        refuse_others(name, input=input, target=target)
    x = input._array
    if x.dtype.kind not in FLOATING and (least_dims or target._array.dtype.kind not in FLOATING):
        raise TypeError(f"{name}: expected a floating-point input, got {x.dtype}")
    if x.ndim < least_dims:
        raise ValueError(f"{name}: expected input (N, C), (N, C, *) or (C), got a tensor without dimensions")
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        check_choice(name, "reduction", reduction, REDUCTIONS)
    if reduction == "mean" and x.size == 0:
        raise ValueError(f"{name}: the mean over an empty batch is undefined, got input of shape {x.shape}")


def legacy_reduction(name: str, size_average: bool | None, reduce: bool | None) -> str:
    """What torch's flags of old, each True by default, say as a reduction; with its warning."""
    for argument, flag in (("size_average", size_average), ("reduce", reduce)):
        if flag is not None:
            check_flag(name, argument, flag)
    reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(f"{name}: size_average and reduce are deprecated: pass reduction={reduction!r}", stacklevel=3)
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum or (reduction='none') each of the losses."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


# --- layers -----------------------------------------------------------------------------------------------


class _Loss(Module):
    """The `reduction` of a loss: "mean", "sum" or "none"; size_average and reduce, flags, are its old form."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = legacy_reduction(type(self).__name__, size_average, reduce)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a tensor of weights, or None."""

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ):  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy between scores (N, C, *) and class indices (N, *) or probabilities (N, C, *).

    Arguments as in `tinycnn.nn.functional.cross_entropy`.
    """

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
    ):  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing, name="CrossEntropyLoss",
        )  # fmt: skip


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood of class indices (N, *) under log-probabilities (N, C, *)."""

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ):  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction, name="NLLLoss"
        )


class MSELoss(_Loss):
    """The mean (or sum, or each) of (input − target)²; shapes must be equal."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mse_loss(input, target, reduction=self.reduction, name="MSELoss")


class L1Loss(_Loss):
    """The mean (or sum, or each) of |input − target|; shapes must be equal."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return l1_loss(input, target, reduction=self.reduction, name="L1Loss")


class SmoothL1Loss(_Loss):
    """Quadratic in |input − target| below `beta`, linear above: see `F.smooth_l1_loss`."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ):
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta, name="SmoothL1Loss")


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities; shapes must be equal."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy(input, target, self.weight, reduction=self.reduction, name="BCELoss")


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross-entropy of sigmoid(input), without overflow; shapes must be equal."""

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean", pos_weight: Tensor | None = None,
    ):  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight, name="BCEWithLogitsLoss"
        )
