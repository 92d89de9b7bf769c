"""Losses that want a margin between scores or distances: functions and layers."""

from __future__ import annotations

from typing import Any

from tinycnn import backend, creation
from tinycnn.autocast_mode import autocasts
from tinycnn.checks import Number, check_choice, check_flag, check_int, check_number, shortened
from tinycnn.nn.activation import logsigmoid
from tinycnn.nn.arguments import refuse_others
from tinycnn.nn.distance import pairwise_distance
from tinycnn.nn.loss import (
    REDUCTIONS,
    _check_target,
    _check_weight,
    _Loss,
    _weighted,
    _WeightedLoss,
    legacy_reduction,
    reduced,
)
from tinycnn.nn.loss import difference_of_floats as checked
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import clamp, minimum, where
from tinycnn.tensor import Tensor

__all__ = [
    "CosineEmbeddingLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "SoftMarginLoss", "TripletMarginLoss",
]  # fmt: skip

# --- functions ----------------------------------------------------------------------------------------------


@autocasts
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, −target · (input1 − input2) + margin): target 1 wants the first to be larger, −1 the second."""
    name = "margin_ranking_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    check_number(name, "margin", margin)
    distance = checked(name, input1, input2, reduction)
    _same_shape(name, input1, target=target)
    return narrowed(reduced(clamp(-target * distance + margin, min=0.0), reduction), input1, input2)


@autocasts
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The input where the target is 1, max(0, margin − input) where it is −1."""
    name = "hinge_embedding_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    check_number(name, "margin", margin)
    check_floating(name, input)
    _same_shape(name, input, target=target)
    x = widened(input)
    loss = where(target != 1, clamp(margin - x, min=0.0), 0.0) + where(target != -1, x, 0.0)
    return narrowed(reduced(loss, reduction), input)


@autocasts
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 − cos where the target is 1, max(0, cos − margin) where it is −1, for vectors (N, D) or (D)."""
    name = "cosine_embedding_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    check_number(name, "margin", margin)
    checked(name, input1, input2, reduction)
    refuse_others(name, target=target)
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ValueError(f"{name}: expected inputs (N, D) and a target (N), got {input1.shape} and {target.shape}")
    a, b = widened(input1), widened(input2)
    lengths = ((a * a).sum(-1) + 1e-12) * ((b * b).sum(-1) + 1e-12)
    cosine = (a * b).sum(-1) / lengths.sqrt()
    loss = where(target == 1, 1 - cosine, 0.0) + where(target == -1, clamp(cosine - margin, min=0.0), 0.0)
    return narrowed(reduced(loss, reduction), input1, input2)


@autocasts
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, margin + d(anchor, positive) − d(anchor, negative)), d the p-norm of differences of vectors (N, D).

    `swap` takes d(positive, negative) for the second where it is smaller. Source: Balntas et al., 2016.
    """
    name = "triplet_margin_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    Number(above=0)(name, "margin", margin)
    check_flag(name, "swap", swap)
    checked(name, anchor, positive, reduction)
    checked(name, anchor, negative, reduction)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    far = minimum(far, pairwise_distance(positive, negative, p, eps)) if swap else far
    return reduced(clamp(near - far + margin, min=0.0), reduction)


@autocasts
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """log(1 + exp(−target · input)), the target −1 or 1."""
    reduction = _reduction("soft_margin_loss", size_average, reduce, reduction)
    check_floating("soft_margin_loss", input)
    _same_shape("soft_margin_loss", input, target=target)
    loss = -logsigmoid(widened(input) * target)
    return narrowed(reduced(loss, reduction), input, target)


@autocasts
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over the classes (N, C) of −target · log σ(input) − (1 − target) · log σ(−input), times `weight` (C)."""
    name = "multilabel_soft_margin_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    checked(name, input, target, reduction)
    x = widened(input)
    loss = _weighted(-(target * logsigmoid(x) + (1 - target) * logsigmoid(-x)), weight, "weight", name)
    return narrowed(reduced(loss.mean(-1), reduction), input, target)


@autocasts
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Σ max(0, 1 − input[j] + input[i]) / C over the right classes j and the wrong ones i, for scores (N, C). The
    target (N, C) lists the right classes; −1 ends the list."""
    name = "multilabel_margin_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    check_floating(name, input)
    _same_shape(name, input, target=target)
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: expected scores (N, C) or (C), got {input.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected target as integers, got {target.dtype}")
    count = input.shape[-1]
    seen = target.numel() and backend.host_reads(target._array)
    if seen and not -1 <= target.min().item() <= target.max().item() < count:
        raise ValueError(f"{name}: expected classes from 0 to {count - 1}, or -1, got {shortened(target.tolist())}")
    listed = (target < 0).cumsum(-1) == 0
    classes = where(listed, target, 0).long()
    right = ((classes.unsqueeze(-1) == creation.arange(count, device=input.device)) & listed.unsqueeze(-1)).any(-2)
    x = widened(input)
    short = 1 - x.gather(-1, classes).unsqueeze(-1) + x.unsqueeze(-2)
    counted = listed.unsqueeze(-1) & ~right.unsqueeze(-2) & (short > 0)
    loss = where(counted, short, 0.0).sum((-2, -1)) / count
    return narrowed(reduced(loss, reduction), input)


@autocasts
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Σ_j max(0, margin − input[target] + input[j])^p / C over the other classes j, times weight[target], for scores
    (N, C) and class indices (N)."""
    name = "multi_margin_loss"
    reduction = _reduction(name, size_average, reduce, reduction)
    check_number(name, "margin", margin)
    if check_int(name, "p", p) not in (1, 2):
        raise ValueError(f"{name}: expected p as 1 or 2, got {p}")
    check_floating(name, input)
    refuse_others(name, target=target)
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: expected scores (N, C) or (C), got {input.shape}")
    _check_target(name, input, target)
    classes = target.unsqueeze(-1).long()
    x = widened(input)
    short = x - x.gather(-1, classes) + margin
    short = where(short > 0, short, 0.0)  # of nan nothing, as in torch
    short = short if p == 1 else short * short
    if weight is not None:
        _check_weight(name, input, input.shape[-1], weight)
        short = short * weight[classes]
    others = classes != creation.arange(input.shape[-1], device=input.device)
    return narrowed(reduced(where(others, short, 0.0).mean(-1), reduction), input, weight)


def _reduction(name: str, size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    if size_average is not None or reduce is not None:
        return legacy_reduction(name, size_average, reduce)
    return check_choice(name, "reduction", reduction, REDUCTIONS)


def _same_shape(name: str, input: Tensor, **others: Any) -> None:
    refuse_others(name, input=input, **others)
    for argument, x in others.items():
        if x.shape != input.shape:
            raise ValueError(f"{name}: expected {argument} of the input's shape {input.shape}, got {x.shape}")


# --- layers -------------------------------------------------------------------------------------------------


class _MarginLoss(_Loss):
    """A loss with a margin."""

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin


class MarginRankingLoss(_MarginLoss):
    """max(0, −target · (input1 − input2) + margin); see `F.margin_ranking_loss`."""

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_MarginLoss):
    """The input where the target is 1, max(0, margin − input) where it is −1."""

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ):
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """1 − cos where the target is 1, max(0, cos − margin) where it is −1."""

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_MarginLoss):
    """An anchor is to be nearer to the positive than to the negative, by a margin; see `F.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    ):  # fmt: skip
        super().__init__(Number(above=0)("TripletMarginLoss", "margin", margin), size_average, reduce, reduction)
        self.p, self.eps, self.swap = p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        options = (self.margin, self.p, self.eps, self.swap)
        return triplet_margin_loss(anchor, positive, negative, *options, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(−target · input)), the target −1 or 1."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross-entropy of sigmoid(input), averaged over the classes; see `F.multilabel_soft_margin_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Each right class is to score higher than each wrong one, by 1; see `F.multilabel_margin_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """The right class is to score higher than each other, by a margin; see `F.multi_margin_loss`."""

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: bool | None = None,
        reduce: bool | None = None, reduction: str = "mean",
    ):  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)
