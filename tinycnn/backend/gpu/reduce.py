"""Sums and other reductions over dimensions, and normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import NULL, THREADS, counters, launch, launch_packs, packs, run
from tinycnn.backend.gpu.order import axis_order, inverse, same_order

__all__ = ["along", "reduced", "standardize", "standardize_backward", "sum_over"]

LARGE_SUM = 1 << 15  # CuPy has one block for each result; for larger arrays, many blocks share one

# As in cuda/reduce.cu.
RUNNING = np.dtype([(name, "u8") for name in ("mean", "variance", "batches", "average")] + [("momentum", "f8")])


def sum_over(x: Any, dims: tuple[int, ...], keepdims: bool) -> Any:
    """The sum of a floating-point array over `dims`, in a fixed order."""
    y = cupy.empty(_kept_shape(x.shape, dims), x.dtype)
    kept, reduced = _reduction(x.shape, dims, (x.strides, x.itemsize), (y.strides, y.itemsize))
    count = math.prod([x.shape[d] for d in dims])
    if y.size >= THREADS and count <= THREADS:  # a thread for each result
        launch("reduce", "sum_few", x.dtype, y.size, y, x, kept, reduced.single)
    else:
        _reduce("sum", x.dtype, y.size, 1, (y, x), (kept, reduced))
    return y if keepdims else y.reshape([n for d, n in enumerate(x.shape) if d not in dims])


def standardize(
    x: Any, dims: tuple[int, ...], eps: float, weight: Any = None, bias: Any = None, running: Any = None
) -> tuple[Any, Any, Any, Any]:
    """As the CPU's; sums, statistics and their running values are float32 for 16 bits."""
    shape, wide = _kept_shape(x.shape, dims), sum_type(x.dtype)
    y, mean, variance, inverse_std = cupy.empty_like(x), *[cupy.empty(shape, wide) for _ in range(3)]
    kept, reduced = _reduction(x.shape, dims, (x.strides, x.itemsize), (mean.strides, mean.itemsize))
    moving = [] if running is None else [_contiguous(array, wide) for array in running[:2]]
    numbers = (np.float64(eps), _running_struct(moving, running))
    _reduce("moments", x.dtype, mean.size, 3, (mean, variance, inverse_std, x), (kept, reduced), *numbers)
    for array, moved in zip(running or (), moving):
        if array is not moved:
            array[...] = moved
    affine = [NULL if array is None else _contiguous(array, wide) for array in (weight, bias)]
    walks = _standardized(x.shape, dims, *[(array.strides, array.itemsize) for array in (y, x, mean)])
    launch_packs("reduce", "standardize", x.dtype, walks, (y, x, mean, inverse_std, *affine))
    return y, mean, variance, (mean, inverse_std)


def _contiguous(array: Any, dtype: np.dtype) -> Any:
    """The array itself, if it is so already: kernels number its elements in the order of its axes."""
    return array.astype(dtype, order="C", copy=False)


def _running_struct(moving: list[Any], running: Any) -> np.ndarray:
    """The struct Running, as `passed`, for (mean, variance, momentum, count of batches or None)."""
    struct = np.zeros((), RUNNING)
    if running is not None:
        _, _, momentum, batches = running
        struct["mean"], struct["variance"] = [array.data.ptr for array in moving]
        struct["batches"] = 0 if batches is None else batches.data.ptr
        if isinstance(momentum, cupy.ndarray):
            struct["average"] = momentum.data.ptr
        else:
            struct["momentum"] = momentum
    return geometry.passed(struct)


def standardize_backward(
    u: Any, x: Any, saved: Any, dims: tuple[int, ...], weight: Any = None, needs_x: bool = True
) -> tuple[Any, Any, Any]:
    """As the CPU's."""
    mean, inverse_std = saved
    g = cupy.empty_like(x)
    if not same_order(g, x):  # x has gaps or overlaps in memory
        x = x.copy(order="K")
    of_u, of_x, of_g, of_mean = [(array.strides, array.itemsize) for array in (u, x, g, mean)]
    walks = _reduction(u.shape, dims, of_u, of_x, of_mean)
    sum_u, sum_ux = cupy.empty_like(mean), cupy.empty_like(mean)  # each may become the gradient of a parameter
    _reduce("standardize_sums", u.dtype, mean.size, 2, (sum_u, sum_ux, u, x, mean, inverse_std), walks)
    if not needs_x:
        return None, sum_ux, sum_u
    count = np.int32(math.prod([u.shape[d] for d in dims]))
    weight = NULL if weight is None else _contiguous(weight, mean.dtype)
    arrays = (g, u, x, mean, inverse_std, weight, sum_u, sum_ux)
    of_arrays = _standardized(u.shape, dims, of_g, of_u, of_mean)
    launch_packs("reduce", "standardize_backward", u.dtype, of_arrays, arrays, count)
    return g, sum_ux, sum_u


def _kept_shape(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


def sum_type(dtype: np.dtype) -> np.dtype:
    """As `Sum` in common.cuh."""
    return np.dtype("float32") if dtype.itemsize == 2 and dtype.kind in FLOATING else dtype


Layout = tuple[tuple[int, ...], int]  # of an array: its strides in bytes, and the bytes of an element


@lru_cache(maxsize=4096)
def _standardized(
    shape: tuple[int, ...], dims: tuple[int, ...], a: Layout, b: Layout, statistic: Layout
) -> geometry.Walks:
    """The walks over two arrays and, in c, a statistic of size 1 along `dims`."""
    repeated = tuple([0 if d in dims else step for d, step in enumerate(statistic[0])])
    return geometry.elementwise(shape, a, b, (repeated, statistic[1]))


@lru_cache(maxsize=4096)
def _reduction(shape: tuple[int, ...], dims: tuple[int, ...], *arrays: Layout) -> tuple[np.ndarray, geometry.Walks]:
    """The walk over what is kept of up to three arrays, and those over `dims`; the last array, of results, has size 1
    along `dims`."""
    kept, reduced = [d for d in range(len(shape)) if d not in dims], sorted(dims)
    steps = [geometry.in_elements(of, *layout) for of, layout in zip(
        [shape] * (len(arrays) - 1) + [_kept_shape(shape, dims)], arrays
    )]  # fmt: skip
    of_kept = [tuple([own[d] for d in kept]) for own in steps]
    first, second = [tuple([own[d] for d in reduced]) for own in (*steps[:-1], steps[0])[:2]]
    to_first = tuple([step for own in of_kept[:-1] for step in own])
    widest = max(itemsize for _, itemsize in arrays[:-1])
    walks = geometry.walks(widest, tuple([shape[d] for d in reduced]), first, second, further=to_first)
    return geometry.walk(tuple([shape[d] for d in kept]), *of_kept), walks


def _reduce(
    name: str, dtype: np.dtype, results: int, numbers: int, arrays: tuple, walks: tuple[np.ndarray, geometry.Walks],
    *more: Any,
) -> None:  # fmt: skip
    """Runs a kernel that joins elements to so many results, of so many `numbers`. Where the results are few, several
    blocks share each: enough to fill a GPU, each with enough work."""
    blocks_wanted, least = 1024, 4 * THREADS
    kept, of_reduced = walks
    blocks = max(1, min(blocks_wanted // max(results, 1), of_reduced.size // least))
    if results:
        shares = cupy.empty((results, blocks, numbers), sum_type(dtype)) if blocks > 1 else NULL
        shared = (shares, counters(results) if blocks > 1 else NULL)
        width, reduced = packs(of_reduced, arrays)
        arguments = (*arrays, *shared, kept, reduced, *more)
        run("reduce", name, dtype, (results, blocks), arguments, width=width)


def reduced(method: str, x: Any, dims: Any, keepdims: bool) -> Any:
    """The method "sum", "max", "all", "argmax", ... of x over `dims`: an int, several, or None for all; "mean" takes
    several.

    CuPy is given x with its axes in memory order, so that neighbouring threads read neighbouring places.
    """
    if method == "mean":
        total = reduced("sum", x.astype(sum_type(x.dtype), copy=False), dims, keepdims)
        return (total / math.prod([x.shape[d] for d in dims])).astype(x.dtype, copy=False)
    options = {"dtype": np.int64} if method == "sum" and x.dtype.kind not in FLOATING else {}
    is_large = dims is not None and x.size >= LARGE_SUM
    if method == "sum" and x.dtype.kind in FLOATING and (is_large or x.dtype.kind == "V"):  # CuPy sums it in bfloat16
        dims = range(x.ndim) if dims is None else (dims,) if isinstance(dims, int) else dims
        with x.device:
            return sum_over(x, tuple(dims), keepdims)
    order = axis_order((x.shape, x.strides))
    with x.device:
        if order is None or dims is None:  # all elements are numbered in the order of the axes
            return getattr(x, method)(axis=dims, keepdims=keepdims, **options)
        there = order.index(dims) if isinstance(dims, int) else tuple(map(order.index, dims))
        y = getattr(x.transpose(order), method)(axis=there, keepdims=True, **options).transpose(inverse(order))
        gone = (dims,) if isinstance(dims, int) else dims
        return y if keepdims else y.reshape([size for d, size in enumerate(y.shape) if d not in gone])


def along(function: Callable[[Any, int], Any], x: Any, dim: int) -> Any:
    """function(x, dim), which works along one dimension and keeps the shape of x."""
    order = axis_order((x.shape, x.strides))
    if order is None:
        return function(x, dim)
    return function(x.transpose(order), order.index(dim)).transpose(inverse(order))
