"""Losses. Most are a few public operators; the cross-entropy of class indices is an operator of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import Function, is_grad_enabled
from tinycnn.backend import Array
from tinycnn.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


def reduced(loss: Any, reduction: str, name: str) -> Any:
    """The mean, the sum or (reduction='none') each of the losses."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def check_target(name: str, input: Any, target: Any) -> None:
    """Class indices (N, *) for input (N, C, *) or () for (C): integers."""
    class_dim = 0 if input.ndim == 1 else 1
    expected = input.shape[:class_dim] + input.shape[class_dim + 1 :]
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: expected class indices as an integer tensor of shape {expected}, "
            f"got {target.dtype} of shape {target.shape}; convert them with .long()"
        )
    if target.shape != expected:
        raise ValueError(
            f"{name}: for input {input.shape} expected class indices of shape {expected}, got {target.shape}"
        )


def check_classes(name: str, input: Any, target: Any, ignore_index: int) -> None:
    """Refuses class indices other than 0 to C − 1 and ignore_index."""
    class_dim = 0 if input.ndim == 1 else 1
    classes = target._array
    wrong = ((classes < 0) | (classes >= input.shape[class_dim])) & (classes != ignore_index)
    if wrong.any():
        raise ValueError(
            f"{name}: class index {int(classes[wrong].flat[0])} is out of range: "
            f"the input {input.shape} has classes 0 to {input.shape[class_dim] - 1}"
        )


class CrossEntropy(Function):
    """−(1 − s) w[t] log p[t] − s/C Σ_j w[j] log p[j] with p = softmax(x) over C classes, target class t, weights w and
    label smoothing s; 0 where the target is `ignore_index`. Reduced; the mean is over the w[t] that count.

    Backward: the softmax and the logarithm cancel, what is left is w[t] (p − q) with the smoothed target q.
    """

    saves_inputs = True

    def __init__(
        self, target: Array, weight: Array | None, ignore_index: int, smoothing: float, reduction: str, class_dim: int
    ):
        self.target, self.weight, self.ignore_index = target, weight, ignore_index
        self.smoothing, self.reduction, self.class_dim = smoothing, reduction, class_dim

    def forward(self, x: Array) -> Array:
        options = (self.ignore_index, self.smoothing, self.reduction, self.class_dim)
        loss, self.saved = backend.kernels(x).cross_entropy(x, self.target, self.weight, *options)
        return loss

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        if is_grad_enabled():
            return self._differentiable(grad_output, x)
        u = grad_output._array
        g = backend.kernels(u).cross_entropy_backward(u, x._array, self.saved, self.weight, self.class_dim)
        return Tensor._wrap(g)

    def _differentiable(self, u: Any, x: Any) -> Any:
        """The gradient in public operators, which can be differentiated again."""
        dim, classes = self.class_dim, x.shape[self.class_dim]
        target = Tensor._wrap(self.target).unsqueeze(dim)
        counts = target != self.ignore_index
        index = target * counts
        w = Tensor._wrap(backend.array_module(x._array).ones(classes, x.dtype) if self.weight is None else self.weight)
        counted = w[index] * counts
        of_class = (classes, *[1] * (x.ndim - dim - 1))
        is_target = index == Tensor._wrap(backend.array_module(x._array).arange(classes)).reshape(*of_class)
        u = u if u.ndim == 0 else u.unsqueeze(dim)
        if self.reduction == "mean":
            u = u / counted.sum()
        near, far = counted * (1 - self.smoothing), counts * (self.smoothing / classes)
        return u * ((near + far * w.sum()) * x.softmax(dim) - near * is_target - far * w.reshape(*of_class))


def cross_entropy(
    x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float, reduction: str, name: str
) -> Any:
    """The cross-entropy of scores (N, C, *) or (C) and class indices (N, *) or ()."""
    check_target(name, x, target)
    if x.device == backend.CPU:  # to look at values on a GPU, the host would wait for it
        check_classes(name, x, target, ignore_index)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    weight = None if weight is None else weight._array.astype(x.dtype, copy=False)
    return CrossEntropy(target._array, weight, ignore_index, smoothing, reduction, 0 if x.ndim == 1 else 1)(x)


def nll_loss(
    log_probs: Any, target: Any, weight: Any, ignore_index: int, reduction: str, name: str = "nll_loss"
) -> Any:
    """−weight[target] · log_probs[n, target[n], ..]; 'mean' divides by the sum of the weights that took part."""
    check_target(name, log_probs, target)
    classes, class_dim = target._array, 0 if log_probs.ndim == 1 else 1
    on_cpu = isinstance(classes, np.ndarray)
    if on_cpu:
        check_classes(name, log_probs, target, ignore_index)
    xp = backend.array_module(classes)
    with backend.current(classes):
        counts = classes != ignore_index
        is_class = (classes >= 0) & (classes < log_probs.shape[class_dim])
        index = Tensor._wrap(xp.where(counts & is_class, classes, 0))
        # A class out of range, for which nobody looks on a GPU, makes the loss nan, as in `cross_entropy`.
        factors = xp.where(counts, xp.where(is_class, 1.0, math.nan), 0.0).astype(log_probs.dtype)
    loss = -log_probs.gather(class_dim, index.unsqueeze(class_dim)).squeeze(class_dim)
    if on_cpu and weight is None and counts.all():
        return reduced(loss, reduction, name)
    weights = Tensor._wrap(factors) if weight is None else weight[index] * Tensor._wrap(factors)
    loss = loss * weights
    return loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction, name)


def binary_cross_entropy(p: Any, target: Any) -> Any:
    """−(target · log p + (1 − target) · log(1 − p)), logarithms limited to −100: p = 0 and p = 1 stay finite."""
    return -(target * p.log().clamp(min=-100.0) + (1 - target) * (1 - p).log().clamp(min=-100.0))
