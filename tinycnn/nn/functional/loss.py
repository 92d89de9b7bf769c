"""Losses."""

from __future__ import annotations

from typing import Any

from tinycnn.ops import activation
from tinycnn.ops import loss as loss_ops
from tinycnn.ops.arithmetic import where
from tinycnn.tensor import Tensor


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    name: str = "cross_entropy",
) -> Tensor:
    """−log softmax(input)[target]: the softmax over classes and the negative log-likelihood in one.

    Args:
        input: scores (logits) (N, C), (N, C, *) or (C).
        target: class indices, integers, of the input's shape without C; or probabilities of the input's shape.
        weight: (C), a factor for each class; the mean is then the weighted one.
        ignore_index: targets of this value count nowhere.
        reduction: "mean", "sum" or "none".
        label_smoothing: this share of the target's probability is spread evenly over all classes.

    A class index out of range is an error on the CPU; on a GPU, where looking for it would make the host wait, the
    loss is nan.
    """
    _check_loss_input(name, input, target, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: expected label_smoothing from 0 to 1, got {label_smoothing}")
    class_dim = 0 if input.ndim == 1 else 1
    classes = input.shape[class_dim]
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{name}: expected a weight of shape ({classes},), got {weight.shape}")
    if not (target.is_floating_point() and target.shape == input.shape):
        return loss_ops.cross_entropy(input, target, weight, ignore_index, label_smoothing, reduction, name)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    per_class = target * input.log_softmax(class_dim)
    if weight is not None:
        per_class = per_class * weight.reshape(-1, *[1] * (input.ndim - class_dim - 1))
    return loss_ops.reduced(-per_class.sum(class_dim), reduction, name)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    name: str = "nll_loss",
) -> Tensor:
    """−weight[target] · input[target] for log-probabilities (N, C), (N, C, *) or (C); see `cross_entropy`."""
    _check_loss_input(name, input, target, reduction)
    return loss_ops.nll_loss(input, target, weight, ignore_index, reduction, name)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", name: str = "mse_loss") -> Tensor:
    """(input − target)², its mean, sum or each. Shapes must be equal."""
    difference = _difference(name, input, target, reduction)
    return loss_ops.reduced(difference * difference, reduction, name)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", name: str = "l1_loss") -> Tensor:
    """|input − target|, its mean, sum or each. Shapes must be equal."""
    return loss_ops.reduced(_difference(name, input, target, reduction).abs(), reduction, name)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0, name: str = "smooth_l1_loss"
) -> Tensor:
    """d² / (2·beta) where d = |input − target| is below beta, d − beta / 2 elsewhere. Source: Girshick, 2015."""
    if beta < 0:
        raise ValueError(f"{name}: expected beta of at least 0, got {beta}")
    distance = _difference(name, input, target, reduction).abs()
    if beta > 0:
        distance = where(distance < beta, distance * distance * (0.5 / beta), distance - 0.5 * beta)
    return loss_ops.reduced(distance, reduction, name)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean",
    name: str = "binary_cross_entropy",
) -> Tensor:  # fmt: skip
    """−(target · log input + (1 − target) · log(1 − input)) for probabilities; logarithms are at least −100.

    What is no probability is an error on the CPU and nan on a GPU, where looking for it would make the host wait.
    """
    _difference(name, input, target, reduction)
    on_cpu = input.device.type == "cpu"
    if on_cpu and input.numel() and not (input._array.min() >= 0 and input._array.max() <= 1):
        raise ValueError(
            f"{name}: expected probabilities from 0 to 1, got {input._array.min():.4g} to {input._array.max():.4g}; "
            "for scores use binary_cross_entropy_with_logits"
        )
    loss = loss_ops.binary_cross_entropy(input, target)
    return loss_ops.reduced(_weighted(loss, weight, "weight", name), reduction, name)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean",
    pos_weight: Tensor | None = None, name: str = "binary_cross_entropy_with_logits",
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of sigmoid(input), without overflow; `pos_weight` multiplies the term of target 1."""
    _difference(name, input, target, reduction)
    log_p, log_q = activation.log_sigmoid(input), activation.log_sigmoid(-input)  # of p and of 1 − p
    positive = _weighted(target * log_p, pos_weight, "pos_weight", name)
    loss = -(positive + (1 - target) * log_q)
    return loss_ops.reduced(_weighted(loss, weight, "weight", name), reduction, name)


def _weighted(loss: Tensor, weight: Tensor | None, argument: str, name: str) -> Tensor:
    """loss · weight, of the loss's shape: a weight of another one would silently count losses several times."""
    if weight is None:
        return loss
    weighted = loss * weight
    if weighted.shape != loss.shape:
        raise ValueError(f"{name}: expected {argument} to broadcast to shape {loss.shape}, got {weight.shape}")
    return weighted


def _difference(name: str, input: Any, target: Any, reduction: str) -> Tensor:
    """input − target, after refusing to broadcast: (N, 1) against (N,) would silently compare every pair."""
    _check_loss_input(name, input, target, reduction, least_dims=0)
    if input.shape != target.shape:
        raise ValueError(f"{name}: expected a target of the input's shape {input.shape}, got {target.shape}")
    return input - (target.to(input.dtype) if target.dtype.kind == "b" else target)


def _check_loss_input(name: str, input: Any, target: Any, reduction: str, least_dims: int = 1) -> None:
    for argument, x in (("input", input), ("target", target)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected {argument} as a Tensor, got {type(x).__name__}")
    if not input.is_floating_point():
        raise TypeError(f"{name}: expected a floating-point input, got {input.dtype}")
    if input.ndim < least_dims:
        raise ValueError(f"{name}: expected input (N, C), (N, C, *) or (C), got a tensor without dimensions")
    if reduction == "mean" and input.numel() == 0:
        raise ValueError(f"{name}: the mean over an empty batch is undefined, got input of shape {input.shape}")
