"""Losses as modules: the functions of the same names with their options bound."""

from __future__ import annotations

from tinycnn.nn import functional as F
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class CrossEntropyLoss(Module):
    """Cross-entropy between scores (N, C, *) and class indices (N, *) or probabilities (N, C, *).

    Arguments as in `tinycnn.nn.functional.cross_entropy`.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing, name="CrossEntropyLoss",
        )  # fmt: skip


class NLLLoss(Module):
    """Negative log-likelihood of class indices (N, *) under log-probabilities (N, C, *)."""

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction, name="NLLLoss"
        )


class MSELoss(Module):
    """The mean (or sum, or each) of (input − target)²; shapes must be equal."""

    def __init__(self, *, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction, name="MSELoss")


class L1Loss(Module):
    """The mean (or sum, or each) of |input − target|; shapes must be equal."""

    def __init__(self, *, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction, name="L1Loss")


class SmoothL1Loss(Module):
    """Quadratic in |input − target| below `beta`, linear above: see `F.smooth_l1_loss`."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0):
        super().__init__()
        self.reduction, self.beta = reduction, beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta, name="SmoothL1Loss")


class BCELoss(Module):
    """Binary cross-entropy of probabilities; shapes must be equal."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean"):
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction, name="BCELoss")


class BCEWithLogitsLoss(Module):
    """Binary cross-entropy of sigmoid(input), without overflow; shapes must be equal."""

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight, name="BCEWithLogitsLoss"
        )
