"""Pooling layers: one class a kind, and thin ones for 1, 2 and 3 dimensions."""

from __future__ import annotations

from typing import Any

from tinycnn.nn.functional.arguments import sizes
from tinycnn.nn.functional.pool import (
    adaptive_avg_pooling,
    adaptive_max_pooling,
    avg_pooling,
    max_pooling,
    max_unpooling,
)
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class _MaxPoolNd(Module):
    dims: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        name, dims = type(self).__name__, self.dims
        sizes(kernel_size, dims, name, "kernel_size")
        sizes(padding, dims, name, "padding", least=0)
        sizes(dilation, dims, name, "dilation")
        if stride is not None:
            sizes(stride, dims, name, "stride")
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return max_pooling(
            self.dims, type(self).__name__, input, self.kernel_size, self.stride, self.padding, self.dilation,
            self.ceil_mode, self.return_indices,
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
        sizes(kernel_size, dims, name, "kernel_size")
        sizes(padding, dims, name, "padding", least=0)
        if stride is not None:
            sizes(stride, dims, name, "stride")
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return avg_pooling(
            self.dims, type(self).__name__, input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window: (N, C, L) to (N, C, OL); see `AvgPool2d`. It has no divisor_override, as in torch."""

    dims = 1

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        for argument in ("kernel_size", "stride", "padding"):  # it prints them as tuples, as in torch
            setattr(self, argument, sizes(getattr(self, argument), 1, "AvgPool1d", argument, least=0))


class AvgPool2d(_AvgPoolNd):
    """The mean of each window: (N, C, H, W) to (N, C, OH, OW), or without N for one sample.

    Arguments as in `tinycnn.nn.functional.avg_pool2d`; stride defaults to kernel_size.
    """

    dims = 2


class AvgPool3d(_AvgPoolNd):
    """The mean of each window: (N, C, D, H, W) to (N, C, OD, OH, OW); see `AvgPool2d`."""

    dims = 3


class _MaxUnpoolNd(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        super().__init__()
        name, dims = type(self).__name__, self.dims
        self.kernel_size = sizes(kernel_size, dims, name, "kernel_size")
        self.stride = self.kernel_size if stride is None else sizes(stride, dims, name, "stride")
        self.padding = sizes(padding, dims, name, "padding", least=0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return max_unpooling(
            self.dims, type(self).__name__, input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts maxima back where MaxPool1d found them: (N, C, OL) to (N, C, L); see `F.max_unpool2d`."""

    dims = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """Puts maxima back where MaxPool2d found them: (N, C, OH, OW) to (N, C, H, W); see `F.max_unpool2d`."""

    dims = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """Puts maxima back where MaxPool3d found them: (N, C, OD, OH, OW) to (N, C, D, H, W); see `F.max_unpool2d`."""

    dims = 3


class _AdaptiveAvgPoolNd(Module):
    dims: int

    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pooling(self.dims, type(self).__name__, input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The mean of bins of nearly equal size: (N, C, L) to (N, C, output_size)."""

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The mean of bins of nearly equal size: (N, C, H, W) to (N, C, *output_size); see `F.adaptive_avg_pool2d`."""

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The mean of bins of nearly equal size: (N, C, D, H, W) to (N, C, *output_size)."""

    dims = 3


class _AdaptiveMaxPoolNd(Module):
    dims: int

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pooling(self.dims, type(self).__name__, input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The largest element of bins of nearly equal size: (N, C, L) to (N, C, output_size)."""

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The largest element of bins of nearly equal size: (N, C, H, W) to (N, C, *output_size)."""

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The largest element of bins of nearly equal size: (N, C, D, H, W) to (N, C, *output_size)."""

    dims = 3
