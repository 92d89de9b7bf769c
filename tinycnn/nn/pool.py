"""Pooling layers: one class a kind, and thin ones for 1, 2 and 3 dimensions."""

from __future__ import annotations

from typing import Any

from tinycnn.nn import functional as F
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class _MaxPoolNd(Module):
    dims: int

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ):
        super().__init__()
        name, dims = type(self).__name__, self.dims
        F.sizes(kernel_size, dims, name, "kernel_size")
        F.sizes(padding, dims, name, "padding", least=0)
        F.sizes(dilation, dims, name, "dilation")
        if stride is not None:
            F.sizes(stride, dims, name, "stride")
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pooling(
            self.dims, type(self).__name__, input, self.kernel_size, self.stride, self.padding, self.dilation,
            self.ceil_mode,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest element of each window: (N, C, L) to (N, C, OL); see `tinycnn.nn.functional.max_pool2d`."""

    dims = 1


class MaxPool2d(_MaxPoolNd):
    """The largest element of each window: (N, C, H, W) to (N, C, OH, OW), or without N for one sample.

    Arguments as in `tinycnn.nn.functional.max_pool2d`; stride defaults to kernel_size.
    """

    dims = 2


class MaxPool3d(_MaxPoolNd):
    """The largest element of each window: (N, C, D, H, W) to (N, C, OD, OH, OW); see `MaxPool2d`."""

    dims = 3


class _AvgPoolNd(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__()
        name, dims = type(self).__name__, self.dims
        F.sizes(kernel_size, dims, name, "kernel_size")
        F.sizes(padding, dims, name, "padding", least=0)
        if stride is not None:
            F.sizes(stride, dims, name, "stride")
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pooling(
            self.dims, type(self).__name__, input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window: (N, C, L) to (N, C, OL); see `AvgPool2d`."""

    dims = 1


class AvgPool2d(_AvgPoolNd):
    """The mean of each window: (N, C, H, W) to (N, C, OH, OW), or without N for one sample.

    Arguments as in `tinycnn.nn.functional.avg_pool2d`; stride defaults to kernel_size.
    """

    dims = 2


class AvgPool3d(_AvgPoolNd):
    """The mean of each window: (N, C, D, H, W) to (N, C, OD, OH, OW); see `AvgPool2d`."""

    dims = 3
