"""Normalisation by sizes alone, means stay: by the root mean square, and by neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycnn import creation
from tinycnn.autocast_mode import autocasts
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag, check_not_negative, check_number
from tinycnn.dtypes import DTypeLike
from tinycnn.nn import init
from tinycnn.nn.arguments import check_shapes
from tinycnn.nn.arguments import size as size_of
from tinycnn.nn.module import Module
from tinycnn.nn.norm import _normalized_shape
from tinycnn.nn.parameter import Parameter
from tinycnn.nn.pool import avg_pool2d
from tinycnn.nn.resize import pad
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating
from tinycnn.tensor import Tensor

__all__ = ["LocalResponseNorm", "RMSNorm"]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / √(mean(x²) + eps) · weight, the mean over the last dimensions, of sizes `normalized_shape`.

    `eps` is by default the smallest step of the dtype at 1. Source: Zhang, Sennrich, "Root mean square layer
    normalization", 2019.
    """
    check_floating("rms_norm", input)
    shape = _normalized_shape("rms_norm", normalized_shape)
    if input.shape[-len(shape) :] != shape:
        raise ValueError(f"rms_norm: expected input (*, {', '.join(map(str, shape))}), got {input.shape}")
    if eps is not None:
        check_not_negative("rms_norm", "eps", eps)
    check_shapes("rms_norm", input, shape, weight=weight)
    x = widened(input)
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    y = x * ((x * x).mean(tuple(range(-len(shape), 0)), keepdim=True) + eps) ** -0.5
    return narrowed(y if weight is None else y * weight, input)


@autocasts
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · mean(x²))^beta, the mean over `size` neighbouring channels of (N, C, *); beyond the first and
    the last there are zeros. Source: Krizhevsky et al., 2012."""
    check_floating("local_response_norm", input)
    size = size_of(size, "local_response_norm", "size")
    for argument, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        check_number("local_response_norm", argument, value)
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: expected input (N, C, *) with something behind C, got {input.shape}")
    if input.numel() == 0:
        return input.clone()
    x = widened(input)
    squares = pad((x * x).reshape(len(input), 1, input.shape[1], -1), (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(squares, (size, 1), 1).reshape(*input.shape)
    return narrowed(x / (means * alpha + k) ** beta, input)


class LocalResponseNorm(Module):
    """Each channel divided by what it and its neighbours show; see `F.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size = size_of(size, "LocalResponseNorm", "size")
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class RMSNorm(Module):
    """x / √(mean(x²) + eps) · weight over the last dimensions, of sizes `normalized_shape`; weight starts at 1."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: DeviceLike = None, dtype: DTypeLike = None,
    ):  # fmt: skip
        super().__init__()
        self.normalized_shape = _normalized_shape("RMSNorm", normalized_shape)
        self.eps = None if eps is None else check_not_negative("RMSNorm", "eps", eps)
        self.elementwise_affine = check_flag("RMSNorm", "elementwise_affine", elementwise_affine)
        weight = creation.empty(self.normalized_shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", None if weight is None else Parameter(weight))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to 1 again."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
