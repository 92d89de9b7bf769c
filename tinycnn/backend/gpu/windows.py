"""Sliding windows: im2col and its adjoint, pooling. In all of these, the last D axes are spatial and `window` is a
`ops.windows.Window` over them; any memory order.

The functions that make the structs of a launch are cached; they take strides in bytes, as arrays give them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import cupy
import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import MAX_BLOCKS, NULL, THREADS, Sizes, launch_packs, packs, run
from tinycnn.backend.gpu.order import same_order

__all__ = ["fold_into", "gather_taps", "max_pool", "scatter_taps", "unfold_into", "window_spread", "window_sum"]


MOST_TAPS = 64  # of the windows for which kernels are compiled; a longer loop gains little by being unrolled


class Launch(NamedTuple):
    """What a kernel on windows is launched with, besides arrays."""

    walks: geometry.Walks
    struct: np.ndarray
    sizes: Sizes | None  # with which it is compiled


def _launch(file: str, name: str, dtype: np.dtype, launch: Launch, arrays: tuple, *others: Any) -> None:
    walks, struct, sizes = launch
    launch_packs(file, name, dtype, walks, arrays, struct, *others, sizes=sizes)


def _sizes(window: Any) -> Sizes | None:
    if math.prod(window.kernel_size) > MOST_TAPS:
        return None
    return tuple(map(geometry.window_sizes, window.kernel_size, window.stride, window.dilation))


COPY = np.dtype([("walk", geometry.WALK), ("repeated", "i4")], align=True)
NO_COPY = geometry.passed(np.zeros((), COPY))


def unfold_into(columns: Any, x: Any, window: Any, copies: Sequence[tuple[Any, Any]] = ()) -> None:
    """As the CPU's; up to two of the copies are made by the same launch."""
    launch = _unfolding(window, columns.shape, columns.strides, x.shape, x.strides, x.itemsize)
    width, walk = packs(launch.walks, (columns, x))
    beside: list[Any] = []
    for to, source in copies[:2]:
        source = cupy.broadcast_to(source, to.shape)
        is_aligned = to.data.ptr % 16 == 0
        beside += (to, source, _copying(to.shape, to.strides, source.strides, to.itemsize, width if is_aligned else 1))
    for to, source in copies[2:]:
        to[...] = source
    beside += [NULL, NULL, NO_COPY] * (2 - len(beside) // 3)
    if size := max([launch.walks.size // width, *[to.size for to, _ in copies[:2]]]):
        blocks = min(-(-size // THREADS), MAX_BLOCKS)
        run("window", "unfold", x.dtype, (blocks,), (columns, x, walk, launch.struct, *beside), width=width)


@lru_cache(maxsize=4096)
def _copying(shape: tuple, to: tuple, source: tuple, itemsize: int, width: int) -> np.ndarray:
    """The struct Copy, as `passed`, in a kernel that takes packs of `width`."""
    in_to, in_source = (geometry.in_elements(shape, strides, itemsize) for strides in (to, source))
    walks = geometry.walks(itemsize, shape, in_to, in_source, once="b")
    repeated = walks.width == width > 1
    result = np.zeros((), COPY)
    result["walk"] = (walks.packed if repeated else walks.single).view(geometry.WALK)
    result["repeated"] = repeated
    return geometry.passed(result)


@lru_cache(maxsize=4096)
def _unfolding(window: Any, shape: tuple, columns: tuple, x_shape: tuple, x: tuple, itemsize: int) -> Launch:
    d = len(window.kernel_size)
    outer = len(shape) - 2 * d
    in_columns, strides = geometry.in_elements(shape, columns, itemsize), geometry.in_elements(x_shape, x, itemsize)
    step = strides[outer:]
    of_kernel = [k * s for k, s in zip(window.dilation, step, strict=True)]
    of_output = [k * s for k, s in zip(window.stride, step, strict=True)]
    positions = []
    for i in range(d):
        position = [0] * len(shape)
        position[i], position[d + outer + i] = window.dilation[i], window.stride[i]
        positions.append(tuple(position))
    in_x = (*of_kernel, *strides[:outer], *of_output)
    walks = geometry.walks(itemsize, shape, in_columns, in_x, None, tuple(positions), further=step)
    return Launch(walks, geometry.window_struct(window, step=step), None)  # it has no loop over taps


def fold_into(x: Any, columns: Any, window: Any) -> None:
    """x[.., i] = Σ of columns[k][.., o] over all (k, o) that meet at i: the adjoint of `unfold_into`."""
    launch = _adjoint(window, x.shape, x.strides, columns.shape, columns.strides, x.itemsize)
    _launch("window", "fold", x.dtype, launch, (x, columns))


def window_spread(g: Any, window: Any) -> Any:
    """x[.., i] = Σ of g[.., o] over all windows o that cover i: the adjoint of `window_sum`."""
    x = _like(g, window.input_size, g.dtype)
    launch = _adjoint(window, x.shape, x.strides, g.shape, g.strides, x.itemsize)
    _launch("window", "fold", x.dtype, launch, (x, g))
    return x


@lru_cache(maxsize=4096)
def _adjoint(
    window: Any, shape: tuple, x: tuple, g_shape: tuple, g: tuple, itemsize: int,
    taps: tuple | None = None, taps_itemsize: int = 0,
) -> Launch:  # fmt: skip
    """For kernels that walk over input positions and read at output positions: columns, or g and the chosen taps."""
    d = len(window.kernel_size)
    outer, none = len(shape) - d, (0,) * d
    steps = geometry.in_elements(g_shape, g, itemsize)
    of_kernel = steps[:d] if len(steps) > len(shape) else none
    steps = steps[-len(shape) :]
    other = None if taps is None else geometry.in_elements(g_shape, taps, taps_itemsize)
    further = {
        "step_output": steps[outer:], "step_kernel": of_kernel, "step_other": none if other is None else other[outer:]
    }  # fmt: skip
    positions = [tuple(int(axis == outer + i) for axis in range(len(shape))) for i in range(d)]
    walks = geometry.walks(
        max(itemsize, taps_itemsize), shape, geometry.in_elements(shape, x, itemsize), (*steps[:outer], *none),
        None if other is None else (*other[:outer], *none), tuple(positions), further=sum(further.values(), ()),
    )  # fmt: skip
    return Launch(walks, geometry.window_struct(window, **further), _sizes(window))


@lru_cache(maxsize=4096)
def _pooling(
    window: Any, shape: tuple, y: tuple, x_shape: tuple, x: tuple, itemsize: int,
    taps: tuple | None = None, taps_itemsize: int = 0,
) -> Launch:  # fmt: skip
    """For kernels that walk over output positions and read x at the input positions in their windows."""
    d = len(window.kernel_size)
    outer = len(shape) - d
    steps = geometry.in_elements(x_shape, x, itemsize)
    other = None if taps is None else geometry.in_elements(shape, taps, taps_itemsize)
    positions = [tuple(window.stride[i] * (axis == outer + i) for axis in range(len(shape))) for i in range(d)]
    walks = geometry.walks(
        max(itemsize, taps_itemsize), shape, geometry.in_elements(shape, y, itemsize), (*steps[:outer], *(0,) * d),
        other, tuple(positions), further=steps[outer:],
    )  # fmt: skip
    return Launch(walks, geometry.window_struct(window, step=steps[outer:]), _sizes(window))


def _like(x: Any, spatial: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised (N, C, *spatial) array in the memory order of `x`."""
    return cupy.empty_like(x, dtype=dtype, shape=x.shape[:2] + spatial)


def window_sum(x: Any, window: Any) -> Any:
    """y[.., o] = Σ over the window o of x; padding counts as 0."""
    y = _like(x, window.output_size, x.dtype)
    launch = _pooling(window, y.shape, y.strides, x.shape, x.strides, x.itemsize)
    _launch("window", "window_sum", x.dtype, launch, (y, x))
    return y


def max_pool(x: Any, window: Any, keeps_argmax: bool) -> tuple[Any, Any]:
    """The largest x in each window, and (or None) the number of the tap where it lies, the first of equals."""
    y = _like(x, window.output_size, x.dtype)
    taps = "u1" if math.prod(window.kernel_size) <= 256 else "i4"
    argmax = cupy.empty_like(y, dtype=taps) if keeps_argmax else None
    if argmax is None:
        launch = _pooling(window, y.shape, y.strides, x.shape, x.strides, x.itemsize)
    else:
        launch = _pooling(window, y.shape, y.strides, x.shape, x.strides, x.itemsize, argmax.strides, argmax.itemsize)
        assert same_order(argmax, y)
    _launch("pool", f"max_pool_{taps}", x.dtype, launch, (y, NULL if argmax is None else argmax, x), _lowest(x.dtype))
    return y, argmax


@cache
def _lowest(dtype: np.dtype) -> Any:
    lowest = np.array(-np.inf if dtype.kind in FLOATING else np.iinfo(dtype).min, dtype)
    return lowest.view(np.uint16 if dtype.kind == "V" else dtype)[()]  # CuPy passes no bfloat16, but its bits


def scatter_taps(g: Any, argmax: Any, window: Any) -> Any:
    """x[.., o·stride + k·dilation − padding] += g[.., o] with the tap k that `argmax` names for each o."""
    x = _like(argmax, window.input_size, g.dtype)
    launch = _adjoint(window, x.shape, x.strides, g.shape, g.strides, g.itemsize, argmax.strides, argmax.itemsize)
    _launch("pool", f"scatter_taps_{argmax.dtype.str[1:]}", g.dtype, launch, (x, g, argmax))
    return x


def gather_taps(x: Any, argmax: Any, window: Any) -> Any:
    """y[.., o] = x[.., o·stride + k·dilation − padding] with the tap k that `argmax` names for each o."""
    y = _like(x, window.output_size, x.dtype)
    launch = _pooling(window, y.shape, y.strides, x.shape, x.strides, x.itemsize, argmax.strides, argmax.itemsize)
    _launch("pool", f"gather_taps_{argmax.dtype.str[1:]}", x.dtype, launch, (y, x, argmax))
    return y
