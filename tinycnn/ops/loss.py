"""Losses. Most are a few public operators; cross-entropy picks log-probabilities at class indices."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


def reduced(loss: Any, reduction: str, name: str) -> Any:
    """The mean, the sum or (reduction='none') each of the losses."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def check_classes(name: str, input: Any, target: Any, ignore_index: int) -> None:
    """Class indices (N, *) for input (N, C, *) or () for (C): integers from 0 to C − 1, or ignore_index."""
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
    classes = target._array
    wrong = ((classes < 0) | (classes >= input.shape[class_dim])) & (classes != ignore_index)
    if wrong.any():
        raise ValueError(
            f"{name}: class index {int(classes[wrong].flat[0])} is out of range: "
            f"the input {input.shape} has classes 0 to {input.shape[class_dim] - 1}"
        )


def nll_loss(
    log_probs: Any, target: Any, weight: Any, ignore_index: int, reduction: str, name: str = "nll_loss"
) -> Any:
    """−weight[target] · log_probs[n, target[n], ..]; 'mean' divides by the sum of the weights that took part."""
    check_classes(name, log_probs, target, ignore_index)
    class_dim = 0 if log_probs.ndim == 1 else 1
    xp = backend.array_module(target._array)
    ignored = target._array == ignore_index
    index = Tensor._wrap(xp.where(ignored, 0, target._array))
    loss = -log_probs.gather(class_dim, index.unsqueeze(class_dim)).squeeze(class_dim)
    if weight is None and not ignored.any():
        return reduced(loss, reduction, name)
    weights = weight[index] if weight is not None else Tensor._wrap(xp.ones_like(loss._array))
    weights = weights * Tensor._wrap(~ignored)
    loss = loss * weights
    return loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction, name)


def binary_cross_entropy(p: Any, target: Any) -> Any:
    """−(target · log p + (1 − target) · log(1 − p)), logarithms limited to −100: p = 0 and p = 1 stay finite."""
    return -(target * p.log().clamp(min=-100.0) + (1 - target) * (1 - p).log().clamp(min=-100.0))
