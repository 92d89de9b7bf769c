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
from tinycnn.backend.gpu.launch import THREADS, launch, run
from tinycnn.backend.gpu.order import axis_order, inverse, same_order

__all__ = ["along", "reduced", "standardize", "standardize_backward", "sum_over"]

LARGE_SUM = 1 << 15  # CuPy has one block for each result; larger arrays are worth two launches of many blocks


def sum_over(x: Any, dims: tuple[int, ...], keepdims: bool) -> Any:
    """The sum of a floating-point array over `dims`, in a fixed order."""
    shape = _kept_shape(x.shape, dims)
    y = cupy.empty(shape, x.dtype)
    kept, reduced = _reduction(x.shape, dims, geometry.elements(x), None, geometry.elements(y))
    count = math.prod([x.shape[d] for d in dims])
    if y.size >= THREADS and count <= THREADS:  # a thread for each result
        launch("reduce", "sum_few", x.dtype, y.size, y, x, kept, reduced)
    else:
        shares = _shares(y.size, count)
        sums = cupy.empty((y.size, shares), sum_type(x.dtype))
        _reduce("sum_shares", x.dtype, y.size, shares, (sums, x, kept, reduced))
        _join("add_shares", x.dtype, y.size, shares, (y, sums, kept))
    return y if keepdims else y.reshape([n for d, n in enumerate(x.shape) if d not in dims])


def standardize(x: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any, Any, Any]:
    """((x − mean) / √(variance + eps), mean, variance, 1 / √(variance + eps)), the statistics over `dims`, which are
    float32 where x has 16 bits."""
    shape = _kept_shape(x.shape, dims)
    y, mean, variance, inverse_std = cupy.empty_like(x), *[cupy.empty(shape, sum_type(x.dtype)) for _ in range(3)]
    kept, reduced = _reduction(x.shape, dims, geometry.elements(x), None, geometry.elements(mean))
    shares = _shares(mean.size, math.prod([x.shape[d] for d in dims]))
    moments = cupy.empty((mean.size, shares, 3), sum_type(x.dtype))
    _reduce("moments_shares", x.dtype, mean.size, shares, (moments, x, kept, reduced))
    arrays = (mean, variance, inverse_std, moments, kept)
    _join("join_moments", x.dtype, mean.size, shares, arrays, np.float64(eps))
    walk = geometry.walk(x.shape, geometry.elements(y), geometry.elements(x), _repeated(mean, dims))
    launch("reduce", "standardize", x.dtype, x.size, y, x, mean, inverse_std, walk)
    return y, mean, variance, inverse_std


def standardize_backward(u: Any, y: Any, inverse_std: Any, dims: tuple[int, ...]) -> Any:
    """(u − mean(u) − y · mean(u · y)) · inverse_std, the means over `dims`."""
    g = cupy.empty_like(y)
    count = math.prod(u.shape[d] for d in dims)
    kept, reduced = _reduction(
        u.shape, dims, geometry.elements(u), geometry.elements(y), geometry.elements(inverse_std), counted_in_c=True
    )
    size = inverse_std.size
    shares = _shares(size, count)
    sums = cupy.empty((size, shares, 2), sum_type(u.dtype))
    means = cupy.empty((size, 2), sum_type(u.dtype))
    _reduce("standardize_sums", u.dtype, size, shares, (sums, u, y, kept, reduced))
    _join("standardize_means", u.dtype, size, shares, (means, sums, kept), np.int32(count))
    walk = geometry.walk(u.shape, geometry.elements(g), geometry.elements(u), _repeated(inverse_std, dims))
    assert same_order(g, y)
    launch("reduce", "standardize_backward", u.dtype, u.size, g, u, y, inverse_std, means, walk)
    return g


def _kept_shape(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


def sum_type(dtype: np.dtype) -> np.dtype:
    """As `Sum` in common.cuh."""
    return np.dtype("float32") if dtype.itemsize == 2 and dtype.kind in FLOATING else dtype


def _repeated(x: Any, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of x, of size 1 along `dims`, as if it were repeated there."""
    return tuple(0 if d in dims else step for d, step in enumerate(geometry.elements(x)))


@lru_cache(maxsize=4096)
def _reduction(
    shape: tuple[int, ...], dims: tuple[int, ...], x: Any, y: Any, result: Any, counted_in_c: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The walks over what is kept and over `dims`: a in x, b in y or, if there is none, in the result; else c."""
    walks = []
    for axes in ([d for d in range(len(shape)) if d not in dims], sorted(dims)):
        at = [None if strides is None else tuple(strides[d] for d in axes) for strides in (x, y, result)]
        b, c = (at[1], at[2]) if counted_in_c else (at[2], None)
        walks.append(geometry.walk(tuple(shape[d] for d in axes), at[0], b, c))
    return walks[0], walks[1]


def _shares(results: int, count: int) -> int:
    """Into how many shares the sum of `count` numbers is split, for each result: enough blocks to fill a GPU, each
    with enough work."""
    blocks_wanted, least = 1024, 4 * THREADS
    return max(1, min(blocks_wanted // max(results, 1), count // least))


def _reduce(name: str, dtype: np.dtype, results: int, shares: int, arguments: tuple) -> None:
    """The first step: a block for each share."""
    if results:
        run("reduce", name, dtype, (results, shares), arguments)


def _join(name: str, dtype: np.dtype, results: int, shares: int, arguments: tuple, *numbers: Any) -> None:
    """The second step, with a thread for each share of a result, as far as a block has threads."""
    lanes = min(THREADS, 1 << (shares - 1).bit_length())
    if results:
        blocks = -(-results * lanes // THREADS)
        run("reduce", name, dtype, (blocks,), (*arguments, np.int32(shares), np.int32(lanes), *numbers))


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
