"""Power-average pooling: the p-norm of each window."""

from __future__ import annotations

from tinycnn.checks import Number
from tinycnn.nn.arguments import Size, sizes
from tinycnn.nn.module import Module
from tinycnn.nn.pool import avg_pool1d, avg_pool2d, avg_pool3d
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.unary import relu, sign
from tinycnn.tensor import Tensor

__all__ = ["LPPool1d", "LPPool2d", "LPPool3d"]


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(N, C, L) to (N, C, OL): (Σ x^norm_type)^(1 / norm_type) of each window; see `lp_pool2d`."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(N, C, H, W) to (N, C, OH, OW): (Σ x^norm_type)^(1 / norm_type) of each window, nan where the sum is negative.

    Windows as in `avg_pool2d`, without padding; in one that reaches beyond the input, the sum is in proportion.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """(N, C, D, H, W) to (N, C, OD, OH, OW): (Σ x^norm_type)^(1 / norm_type) of each window; see `lp_pool2d`."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(dims: int, input: Tensor, p: float, kernel_size: Size, stride: Size | None, ceil_mode: bool) -> Tensor:
    name = f"lp_pool{dims}d"
    check_floating(name, input)
    p = Number(above=0)(name, "norm_type", p)
    count = 1
    for k in sizes(kernel_size, dims, name, "kernel_size"):
        count *= k
    average = (avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1]
    means = average(widened(input) ** p, kernel_size, stride, 0, ceil_mode)
    return narrowed((sign(means) * relu(means.abs()) * count) ** (1.0 / p), input)


class _LPPoolNd(Module):
    dims: int

    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False):
        super().__init__()
        self.norm_type = Number(above=0)(type(self).__name__, "norm_type", norm_type)
        self.kernel_size, self.stride, self.ceil_mode = kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return _lp_pool(self.dims, input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The p-norm of each window of (N, C, L); see `F.lp_pool2d`."""

    dims = 1


class LPPool2d(_LPPoolNd):
    """The p-norm of each window of (N, C, H, W); see `F.lp_pool2d`."""

    dims = 2


class LPPool3d(_LPPoolNd):
    """The p-norm of each window of (N, C, D, H, W); see `F.lp_pool2d`."""

    dims = 3
