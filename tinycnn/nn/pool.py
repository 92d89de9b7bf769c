"""Max, average and adaptive pooling, and max pooling undone: functions and layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from tinycnn import dtypes
from tinycnn.checks import check_flag, check_int, shortened
from tinycnn.nn.arguments import Shape, Size, cacheable, check_fits, check_input, is_batch, sizes
from tinycnn.nn.module import Module
from tinycnn.ops import pool as ops
from tinycnn.ops.adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.windows import Window
from tinycnn.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d",
    "MaxUnpool2d", "MaxUnpool3d",
]  # fmt: skip

AdaptiveSize: TypeAlias = int | Sequence[int | None]  # None keeps the input's size

# --- max and average pooling: functions ---------------------------------------------------------------------


def _window(
    dims: int, name: str, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Tensor, Window, bool]:
    """The input as a batch, the checked window, and whether it was a batch."""
    if not isinstance(input, Tensor):
        check_input(name, input, dims)
    arguments = (dims, name, input._array.shape, kernel_size, stride, padding, dilation, ceil_mode)
    try:
        window, batched = _pool_geometry(*arguments)
    except TypeError:  # also of an argument that the cache cannot take
        window, batched = _pool_geometry.__wrapped__(*arguments)
    return input if batched else input.unsqueeze(0), window, batched


@lru_cache(maxsize=1024, typed=True)
def _pool_geometry(
    dims: int, name: str, x: Shape, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Window, bool]:
    """The checked window, and whether the input is a batch; cached: a network repeats the same
    few in every step."""
    check_flag(name, "ceil_mode", ceil_mode)
    batched = is_batch(x, dims, name)
    if x[-dims - 1] == 0:
        raise ValueError(f"{name}: expected an input with no empty dimension but N, got {x}")
    kernel = sizes(kernel_size, dims, name, "kernel_size")
    pads = sizes(padding, dims, name, "padding", least=0)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(f"{name}: expected padding of at most half the kernel size {kernel}, got {padding}")
    window = Window(
        x[-dims:], kernel, kernel if stride is None else sizes(stride, dims, name, "stride"),
        tuple((p, p) for p in pads), sizes(dilation, dims, name, "dilation"), ceil_mode,
    )  # fmt: skip
    if any(size < 1 for size in window.output_size):
        check_fits(window, name)
    return window, batched


def _max_pool(
    dims: int, name: str, input: Tensor, ceil_mode: bool, return_indices: bool, kernel_size: Any, stride: Any,
    padding: Any, dilation: Any,
) -> Any:  # fmt: skip
    """Max pooling over `dims` spatial dimensions; errors name `name`."""
    x, window, batched = _window(dims, name, input, kernel_size, stride, padding, dilation, ceil_mode)
    if x._array.dtype.kind == "b":
        raise TypeError(f"{name}: not defined for booleans; convert them with .to()")
    if return_indices.__class__ is not bool:
        check_flag(name, "return_indices", return_indices)
    if not return_indices:
        y = ops.max_pool(x, window)
        return y if batched else y.squeeze(0)
    if window.misses_input:
        raise ValueError(
            f"{name}: a window of kernel size {window.kernel_size} with dilation {window.dilation} would lie wholly in "
            f"the padding {window.padding} of input size {window.input_size}, where no element has an index"
        )
    y, indices = ops.max_pool_with_indices(x, window)
    return (y, indices) if batched else (y.squeeze(0), indices.squeeze(0))


def _avg_pool(
    dims: int, name: str, input: Tensor, ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
    kernel_size: Any, stride: Any, padding: Any,
) -> Tensor:  # fmt: skip
    """Average pooling over `dims` spatial dimensions; errors name `name`."""
    if divisor_override is not None and check_int(name, "divisor_override", divisor_override) == 0:
        raise ValueError(f"{name}: expected a divisor_override other than 0")
    check_flag(name, "count_include_pad", count_include_pad)
    x, window, batched = _window(dims, name, input, kernel_size, stride, padding, 1, ceil_mode)
    check_floating(name, x)
    y = ops.avg_pool(x, window, count_include_pad, divisor_override)
    return y if batched else y.squeeze(0)


def max_pool1d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor:  # fmt: skip
    """(N, C, L) to (N, C, OL): the largest element of each window; see `max_pool2d`."""
    return _max_pool(
        1, "max_pool1d", input, ceil_mode, return_indices, *cacheable(kernel_size, stride, padding, dilation)
    )


def max_pool2d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor:  # fmt: skip
    """(N, C, H, W) to (N, C, OH, OW): the largest element of each window.

    Args:
        kernel_size, stride (default: kernel_size), dilation: positive ints, or one for each of H and W.
        padding: elements of −∞ added on both sides, at most half the kernel size.
        ceil_mode: round the output size up, so that the last window may reach beyond the padded input.
        return_indices: return (values, indices) with the place of each maximum in the flattened H·W. ValueError if a
            window lies wholly in the padding.

    The gradient goes to the first largest element of the window.
    """
    return _max_pool(
        2, "max_pool2d", input, ceil_mode, return_indices, *cacheable(kernel_size, stride, padding, dilation)
    )


def max_pool3d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor:  # fmt: skip
    """(N, C, D, H, W) to (N, C, OD, OH, OW): the largest element of each window; see `max_pool2d`."""
    return _max_pool(
        3, "max_pool3d", input, ceil_mode, return_indices, *cacheable(kernel_size, stride, padding, dilation)
    )


def avg_pool1d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """(N, C, L) to (N, C, OL): the mean of each window; see `avg_pool2d`."""
    return _avg_pool(
        1, "avg_pool1d", input, ceil_mode, count_include_pad, None, *cacheable(kernel_size, stride, padding)
    )


def avg_pool2d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, H, W) to (N, C, OH, OW): the mean of each window.

    Args:
        kernel_size, stride (default: kernel_size): positive ints, or one for each of H and W.
        padding: zeros added on both sides, at most half the kernel size.
        ceil_mode: round the output size up, so that the last window may reach beyond the padded input.
        count_include_pad: whether the zeros of the padding count in the mean.
        divisor_override: divide the sum by this instead of the number of elements.
    """
    return _avg_pool(
        2, "avg_pool2d", input, ceil_mode, count_include_pad, divisor_override, *cacheable(kernel_size, stride, padding)
    )


def avg_pool3d(
    input: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, D, H, W) to (N, C, OD, OH, OW): the mean of each window; see `avg_pool2d`."""
    return _avg_pool(
        3, "avg_pool3d", input, ceil_mode, count_include_pad, divisor_override, *cacheable(kernel_size, stride, padding)
    )


# --- max pooling undone, and adaptive pooling: functions ----------------------------------------------------


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, OL) to (N, C, L): see `max_unpool2d`."""
    return _max_unpool(1, "max_unpool1d", input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, OH, OW) to (N, C, H, W): each value at the place that max pooling found it, zeros elsewhere.

    `indices` are those of `max_pool2d(return_indices=True)`; `output_size`, the spatial size (or whole shape) of the
    pooling's input, is needed where several sizes pool to one.
    """
    return _max_unpool(2, "max_unpool2d", input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, OD, OH, OW) to (N, C, D, H, W): see `max_unpool2d`."""
    return _max_unpool(3, "max_unpool3d", input, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    dims: int, name: str, input: Tensor, indices: Tensor, kernel_size: Size, stride: Size | None, padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    """The inverse of max pooling over `dims` spatial dimensions; errors name `name`."""
    check_floating(name, input)
    batched = is_batch(input.shape, dims, name)
    if not isinstance(indices, Tensor) or indices.dtype != dtypes.int64 or indices.shape != input.shape:
        got = f"{indices.dtype} {indices.shape}" if isinstance(indices, Tensor) else type(indices).__name__
        raise ValueError(f"{name}: expected int64 indices of the input's shape {input.shape}, got {got}")
    kernel = sizes(kernel_size, dims, name, "kernel_size")
    step = kernel if stride is None else sizes(stride, dims, name, "stride")
    pads = sizes(padding, dims, name, "padding", least=0)
    pooled = input.shape[-dims:]
    smallest = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(pooled, step, pads, kernel, strict=True))
    size = smallest if output_size is None else _spatial(name, output_size, dims, input.ndim)
    if any(abs(n - m) >= s for n, m, s in zip(size, smallest, step, strict=True)):
        raise ValueError(f"{name}: output_size {size} is not within stride {step} of {smallest}")
    if batched:
        return ops.max_unpool(input, indices, size, name)
    return ops.max_unpool(input.unsqueeze(0), indices.unsqueeze(0), size, name).squeeze(0)


def _spatial(name: str, output_size: Any, dims: int, ndim: int) -> Shape:
    """The spatial size, given alone or as the end of a whole shape."""
    if not isinstance(output_size, (tuple, list)) or len(output_size) not in (dims, ndim):
        got = shortened(output_size)
        raise ValueError(f"{name}: expected output_size as {dims} sizes or as a whole shape, got {got}")
    return sizes(output_size[-dims:], dims, name, "output_size")


def adaptive_avg_pool1d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """(N, C, L) to (N, C, output_size): see `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(1, "adaptive_avg_pool1d", input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """(N, C, H, W) to (N, C, *output_size): output i averages input ⌊i·H/OH⌋ to ⌈(i + 1)·H/OH⌉ − 1.

    output_size: an int, or one for each of H and W, of which None keeps a size.
    """
    return _adaptive_avg_pool(2, "adaptive_avg_pool2d", input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """(N, C, D, H, W) to (N, C, *output_size): see `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(3, "adaptive_avg_pool3d", input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Tensor:
    """(N, C, L) to (N, C, output_size): see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(1, "adaptive_max_pool1d", input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Tensor:
    """(N, C, H, W) to (N, C, *output_size): the largest element of the bins of `adaptive_avg_pool2d`."""
    return _adaptive_max_pool(2, "adaptive_max_pool2d", input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Tensor:
    """(N, C, D, H, W) to (N, C, *output_size): see `adaptive_max_pool2d`."""
    return _adaptive_max_pool(3, "adaptive_max_pool3d", input, output_size, return_indices)


def _adaptive_avg_pool(dims: int, name: str, input: Tensor, output_size: Any) -> Tensor:
    """Adaptive average pooling over `dims` spatial dimensions; errors name `name`."""
    check_floating(name, input)
    size, batched = _adaptive_size(dims, name, input, output_size)
    y = adaptive_avg_pool(input if batched else input.unsqueeze(0), size)
    return y if batched else y.squeeze(0)


def _adaptive_max_pool(dims: int, name: str, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    """Adaptive max pooling over `dims` spatial dimensions; errors name `name`."""
    check_floating(name, input)
    check_flag(name, "return_indices", return_indices)
    size, batched = _adaptive_size(dims, name, input, output_size)
    y, indices = adaptive_max_pool(input if batched else input.unsqueeze(0), size)
    if not batched:
        y, indices = y.squeeze(0), indices.squeeze(0)
    return (y, indices) if return_indices else y


def _adaptive_size(dims: int, name: str, input: Tensor, output_size: Any) -> tuple[Shape, bool]:
    """The output's spatial size, and whether the input is a batch."""
    check_input(name, input, dims)
    batched = is_batch(input.shape, dims, name)
    if 0 in input.shape[-dims - 1 :]:
        raise ValueError(f"{name}: expected an input with no empty dimension but N, got {input.shape}")
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    if output_size is None or len(given) != dims:
        got = shortened(output_size)
        raise ValueError(f"{name}: expected output_size as an int or {dims}, each an int or None, got {got}")
    given = tuple(n if g is None else g for g, n in zip(given, input.shape[-dims:], strict=True))
    return sizes(given, dims, name, "output_size"), batched


# --- layers -----------------------------------------------------------------------------------------------


class _PoolNd(Module):
    """What windows of max and average pooling share; they are kept, and shown, as they were given."""

    dims: int
    kernel_size: Any
    stride: Any
    padding: Any

    def _set_window(
        self, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
    ) -> None:
        name, dims = type(self).__name__, self.dims
        check_flag(name, "ceil_mode", ceil_mode)
        sizes(kernel_size, dims, name, "kernel_size")
        sizes(padding, dims, name, "padding", least=0)
        sizes(dilation, dims, name, "dilation")
        if stride is not None:
            sizes(stride, dims, name, "stride")
        stride = kernel_size if stride is None else stride
        self.kernel_size, self.stride, self.padding = cacheable(kernel_size, stride, padding)


class _MaxPoolNd(_PoolNd):
    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ):  # fmt: skip
        super().__init__()
        self._set_window(kernel_size, stride, padding, dilation, ceil_mode)
        (self.dilation,) = cacheable(dilation)
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return _max_pool(
            self.dims, type(self).__name__, input, self.ceil_mode, self.return_indices, self.kernel_size, self.stride,
            self.padding, self.dilation,
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


class _AvgPoolNd(_PoolNd):
    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ):  # fmt: skip
        super().__init__()
        self._set_window(kernel_size, stride, padding, 1, ceil_mode)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return _avg_pool(
            self.dims, type(self).__name__, input, self.ceil_mode, self.count_include_pad, self.divisor_override,
            self.kernel_size, self.stride, self.padding,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window: (N, C, L) to (N, C, OL); see `AvgPool2d`. It has no divisor_override, as in torch."""

    dims = 1

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
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

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0):
        super().__init__()
        name, dims = type(self).__name__, self.dims
        self.kernel_size = sizes(kernel_size, dims, name, "kernel_size")
        self.stride = self.kernel_size if stride is None else sizes(stride, dims, name, "stride")
        self.padding = sizes(padding, dims, name, "padding", least=0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return _max_unpool(
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

    def __init__(self, output_size: AdaptiveSize):
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return _adaptive_avg_pool(self.dims, type(self).__name__, input, self.output_size)

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

    def __init__(self, output_size: AdaptiveSize, return_indices: bool = False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return _adaptive_max_pool(self.dims, type(self).__name__, input, self.output_size, self.return_indices)

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
