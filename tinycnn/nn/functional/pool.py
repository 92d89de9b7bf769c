"""Max, average and adaptive pooling, and max pooling undone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tinycnn.nn.functional.arguments import batched, check_fits, hashable, sizes, unbatched
from tinycnn.ops import pool, windows
from tinycnn.tensor import Tensor


def _pool_window(
    name: str, x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> windows.Window:
    return _pool_spec(name, x.shape[2:], hashable(kernel_size), hashable(stride), hashable(padding),
                      hashable(dilation), bool(ceil_mode))  # fmt: skip


@lru_cache(maxsize=1024, typed=True)
def _pool_spec(
    name: str, input_size: tuple, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> windows.Window:
    dims = len(input_size)
    kernel = sizes(kernel_size, dims, name, "kernel_size")
    pads = sizes(padding, dims, name, "padding", least=0)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(f"{name}: expected padding of at most half the kernel size {kernel}, got {padding}")
    window = windows.Window(
        input_size, kernel, kernel if stride is None else sizes(stride, dims, name, "stride"),
        tuple((p, p) for p in pads), sizes(dilation, dims, name, "dilation"), ceil_mode,
    )  # fmt: skip
    if any(size < 1 for size in window.output_size):
        check_fits(window, name)
    return window


def max_pooling(
    dims: int, name: str, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Max pooling over `dims` spatial dimensions; errors speak of `name`."""
    x, added = batched(input, dims, name)
    window = _pool_window(name, x, kernel_size, stride, padding, dilation, ceil_mode)
    if not return_indices:
        return unbatched(pool.max_pool(x, window), added)
    y, indices = pool.max_pool_with_indices(x, window)
    return unbatched(y, added), unbatched(indices, added)


def avg_pooling(
    dims: int, name: str, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    """Average pooling over `dims` spatial dimensions; errors speak of `name`."""
    if divisor_override == 0:
        raise ValueError(f"{name}: expected a divisor_override other than 0")
    x, added = batched(input, dims, name)
    window = _pool_window(name, x, kernel_size, stride, padding, 1, ceil_mode)
    return unbatched(pool.avg_pool(x, window, count_include_pad, divisor_override), added)


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """(N, C, L) to (N, C, OL): the largest element of each window; see `max_pool2d`."""
    return max_pooling(1, "max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """(N, C, H, W) to (N, C, OH, OW): the largest element of each window.

    Args:
        kernel_size, stride (default: kernel_size), dilation: positive ints, or one for each of H and W.
        padding: elements of −∞ added on both sides, at most half the kernel size.
        ceil_mode: round the output size up, so that the last window may reach beyond the padded input.
        return_indices: return (values, indices) with the place of each maximum in the flattened H·W.

    The gradient goes to the first largest element of the window.
    """
    return max_pooling(2, "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """(N, C, D, H, W) to (N, C, OD, OH, OW): the largest element of each window; see `max_pool2d`."""
    return max_pooling(3, "max_pool3d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """(N, C, L) to (N, C, OL): the mean of each window; see `avg_pool2d`."""
    return avg_pooling(1, "avg_pool1d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
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
    return avg_pooling(
        2, "avg_pool2d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, D, H, W) to (N, C, OD, OH, OW): the mean of each window; see `avg_pool2d`."""
    return avg_pooling(
        3, "avg_pool3d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# --- max pooling undone -----------------------------------------------------------------------------------


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """(N, C, OL) to (N, C, L): see `max_unpool2d`."""
    return max_unpooling(1, "max_unpool1d", input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """(N, C, OH, OW) to (N, C, H, W): each value at the place that max pooling found it, zeros elsewhere.

    `indices` are those of `max_pool2d(return_indices=True)`; `output_size`, the spatial size (or whole shape) of the
    pooling's input, is needed where several sizes pool to one.
    """
    return max_unpooling(2, "max_unpool2d", input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """(N, C, OD, OH, OW) to (N, C, D, H, W): see `max_unpool2d`."""
    return max_unpooling(3, "max_unpool3d", input, indices, kernel_size, stride, padding, output_size)


def max_unpooling(
    dims: int, name: str, input: Any, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    """The inverse of max pooling over `dims` spatial dimensions; errors speak of `name`."""
    x, added = batched(input, dims, name)
    if not isinstance(indices, Tensor) or indices.dtype.kind not in "iu" or indices.shape != input.shape:
        got = f"{indices.dtype} {indices.shape}" if isinstance(indices, Tensor) else type(indices).__name__
        raise ValueError(f"{name}: expected integer indices of the input's shape {input.shape}, got {got}")
    kernel = sizes(kernel_size, dims, name, "kernel_size")
    step = kernel if stride is None else sizes(stride, dims, name, "stride")
    pads = sizes(padding, dims, name, "padding", least=0)
    smallest = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], step, pads, kernel, strict=True))
    size = smallest if output_size is None else sizes(tuple(output_size)[-dims:], dims, name, "output_size")
    if any(abs(n - m) >= s for n, m, s in zip(size, smallest, step, strict=True)):
        raise ValueError(f"{name}: output_size {size} is not within stride {step} of {smallest}")
    index = indices.unsqueeze(0) if added else indices
    return unbatched(pool.max_unpool(x, index, size, name), added)


# --- adaptive pooling -------------------------------------------------------------------------------------


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, L) to (N, C, output_size): see `adaptive_avg_pool2d`."""
    return adaptive_avg_pooling(1, "adaptive_avg_pool1d", input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, H, W) to (N, C, *output_size): output i averages input ⌊i·H/OH⌋ to ⌈(i + 1)·H/OH⌉ − 1.

    output_size: an int, or one for each of H and W; None keeps a size.
    """
    return adaptive_avg_pooling(2, "adaptive_avg_pool2d", input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, D, H, W) to (N, C, *output_size): see `adaptive_avg_pool2d`."""
    return adaptive_avg_pooling(3, "adaptive_avg_pool3d", input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """(N, C, L) to (N, C, output_size): see `adaptive_max_pool2d`."""
    return adaptive_max_pooling(1, "adaptive_max_pool1d", input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """(N, C, H, W) to (N, C, *output_size): the largest element of the bins of `adaptive_avg_pool2d`."""
    return adaptive_max_pooling(2, "adaptive_max_pool2d", input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """(N, C, D, H, W) to (N, C, *output_size): see `adaptive_max_pool2d`."""
    return adaptive_max_pooling(3, "adaptive_max_pool3d", input, output_size, return_indices)


def adaptive_avg_pooling(dims: int, name: str, input: Any, output_size: Any) -> Tensor:
    """Adaptive average pooling over `dims` spatial dimensions; errors speak of `name`."""
    x, added = batched(input, dims, name)
    return unbatched(pool.adaptive_avg_pool(x, _adaptive_size(name, x, output_size)), added)


def adaptive_max_pooling(dims: int, name: str, input: Any, output_size: Any, return_indices: bool) -> Any:
    """Adaptive max pooling over `dims` spatial dimensions; errors speak of `name`."""
    x, added = batched(input, dims, name)
    y, indices = pool.adaptive_max_pool(x, _adaptive_size(name, x, output_size))
    return (unbatched(y, added), unbatched(indices, added)) if return_indices else unbatched(y, added)


def _adaptive_size(name: str, x: Tensor, output_size: Any) -> tuple[int, ...]:
    if 0 in x.shape[1:]:
        raise ValueError(f"{name}: expected an input with no empty dimension but N, got {x.shape}")
    dims = x.ndim - 2
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    given = given * dims if len(given) == 1 else given
    if len(given) == dims:
        given = tuple(n if g is None else g for g, n in zip(given, x.shape[2:], strict=True))
    return sizes(given, dims, name, "output_size")
