"""Lengths, directions and distances of vectors, and products of two of them: functions and layers."""

from __future__ import annotations

import math
from typing import Any

from tinycnn import creation
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import check_broadcast
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag, check_int, check_not_negative
from tinycnn.dtypes import DTypeLike
from tinycnn.nn import init
from tinycnn.nn.arguments import check_alike, refuse_others, size
from tinycnn.nn.linear import linear
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating, norm
from tinycnn.ops.select import clamp
from tinycnn.tensor import Tensor

__all__ = ["Bilinear", "CosineSimilarity", "PairwiseDistance"]

# --- functions ----------------------------------------------------------------------------------------------


@autocasts
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(‖input‖, eps): vectors along `dim` of p-norm 1."""
    check_floating("normalize", input)
    check_not_negative("normalize", "eps", eps)
    x = widened(input)
    return narrowed(x / clamp(norm(x, p, dim, keepdim=True), min=float(eps)), input)


@autocasts
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`, x₁ · x₂ / (max(‖x₁‖, eps) · max(‖x₂‖, eps)); x1 and x2
    broadcast."""
    check_floating("cosine_similarity", x1)
    check_floating("cosine_similarity", x2)
    check_int("cosine_similarity", "dim", dim)
    check_broadcast("cosine_similarity", [x1, x2])
    x1, x2 = (x1 + x2 * 0.0, x2 + x1 * 0.0) if x1.shape != x2.shape else (x1, x2)
    return (normalize(x1, 2.0, dim, eps) * normalize(x2, 2.0, dim, eps)).sum(dim)


@autocasts
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x₁ − x₂ + eps‖, the p-norm along the last dimension; x1 and x2 broadcast."""
    check_floating("pairwise_distance", x1)
    check_floating("pairwise_distance", x2)
    check_not_negative("pairwise_distance", "eps", eps)
    check_broadcast("pairwise_distance", [x1, x2])
    return norm(x1 - x2 + eps, p, -1, keepdim)


@autocasts
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input1ᵀ · weight · input2 + bias.

    Shapes: input1 (*, I), input2 (*, J), weight (O, I, J), bias (O), y (*, O).
    """
    refuse_others("bilinear", input1=input1, input2=input2, weight=weight)
    a, b = input1.shape, input2.shape
    if weight.ndim != 3 or a[:-1] != b[:-1] or a[-1:] + b[-1:] != weight.shape[1:]:
        raise ValueError(
            f"bilinear: expected inputs (*, I) and (*, J) for a weight (O, I, J), got {a}, {b} and {weight.shape}"
        )
    check_alike("bilinear", (input1.dtype, weight.dtype, None))
    check_alike("bilinear", (input2.dtype, weight.dtype, None))
    products = (input1.unsqueeze(-1) * input2.unsqueeze(-2)).flatten(-2)  # (*, I·J)
    return linear(products, weight.flatten(1), bias)


# --- layers -------------------------------------------------------------------------------------------------


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`; see `F.cosine_similarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x₁ − x₂ + eps along the last dimension."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, check_flag("PairwiseDistance", "keepdim", keepdim)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class Bilinear(Module):
    """y = x₁ᵀ · weight · x₂ + bias: (*, in1_features) and (*, in2_features) to (*, out_features).

    weight is (out_features, in1_features, in2_features), bias (out_features); both start uniform on ±1 / √in1_features.
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: DeviceLike = None,
        dtype: DTypeLike = None,
    ):  # fmt: skip
        super().__init__()
        self.in1_features = size(in1_features, "Bilinear", "in1_features")
        self.in2_features = size(in2_features, "Bilinear", "in2_features")
        self.out_features = size(out_features, "Bilinear", "out_features")
        check_flag("Bilinear", "bias", bias)
        make: dict[str, Any] = {"device": device, "dtype": dtype}
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(creation.empty(shape, **make))
        self.register_parameter("bias", Parameter(creation.empty(self.out_features, **make)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
