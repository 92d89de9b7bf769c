"""Sliding windows: im2col and its adjoint, pooling. In all of these, the last D axes are spatial and `window` is a
`ops.windows.Window` over them; any memory order."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import NULL, launch
from tinycnn.backend.gpu.order import same_order

__all__ = ["fold_into", "gather_taps", "max_pool", "scatter_taps", "unfold_into", "window_spread", "window_sum"]


def unfold_into(columns: Any, x: Any, window: Any) -> None:
    """columns[k][.., o] = x[.., o·stride + k·dilation − padding], 0 outside: im2col into given memory.

    Shapes: x (..., *input_size), columns (*kernel_size, ..., *output_size).
    """
    walk, struct = _unfold_structs(window, columns.shape, geometry.elements(columns), geometry.elements(x))
    launch("window", "unfold", x.dtype, columns.size, columns, x, walk, struct)


@lru_cache(maxsize=4096)
def _unfold_structs(window: Any, shape: tuple[int, ...], columns: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    d = len(window.kernel_size)
    outer = len(shape) - 2 * d
    step = x[outer:]
    of_kernel = [k * s for k, s in zip(window.dilation, step, strict=True)]
    of_output = [k * s for k, s in zip(window.stride, step, strict=True)]
    positions = []
    for i in range(d):
        position = [0] * len(shape)
        position[i], position[d + outer + i] = window.dilation[i], window.stride[i]
        positions.append(tuple(position))
    in_x = (*of_kernel, *x[:outer], *of_output)
    return geometry.walk(shape, columns, in_x, None, tuple(positions)), geometry.window_struct(window, step=step)


def fold_into(x: Any, columns: Any, window: Any) -> None:
    """x[.., i] = Σ of columns[k][.., o] over all (k, o) that meet at i: the adjoint of `unfold_into`."""
    d = len(window.kernel_size)
    steps = geometry.elements(columns)
    _fold(x, columns, window, steps[d:], steps[:d])


def window_spread(g: Any, window: Any) -> Any:
    """x[.., i] = Σ of g[.., o] over all windows o that cover i: the adjoint of `window_sum`."""
    x = _like(g, window.input_size, g.dtype)
    _fold(x, g, window, geometry.elements(g), (0,) * len(window.kernel_size))
    return x


def _fold(x: Any, columns: Any, window: Any, steps: Any, kernel_steps: Any) -> None:
    structs = _adjoint_structs(window, x.shape, geometry.elements(x), steps, None, kernel_steps)
    launch("window", "fold", x.dtype, x.size, x, columns, *structs)


@lru_cache(maxsize=4096)
def _adjoint_structs(
    window: Any, shape: tuple[int, ...], x: Any, g: Any, other: Any, kernel: Any
) -> tuple[np.ndarray, np.ndarray]:
    """For kernels that walk over input positions and read at output positions, from up to two arrays."""
    d = len(window.kernel_size)
    outer = len(shape) - d
    none = (0,) * d
    positions = [tuple(int(axis == outer + i) for axis in range(len(shape))) for i in range(d)]
    second = None if other is None else (*other[:outer], *none)
    walk = geometry.walk(shape, x, (*g[:outer], *none), second, tuple(positions))
    steps = {"step_output": g[outer:], "step_kernel": kernel, "step_other": none if other is None else other[outer:]}
    return walk, geometry.window_struct(window, **steps)


@lru_cache(maxsize=4096)
def _window_structs(window: Any, shape: tuple[int, ...], y: Any, x: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    """For kernels that walk over output positions and read x at the input positions in their windows."""
    d = len(window.kernel_size)
    outer = len(shape) - d
    none = (0,) * d
    positions = [tuple(window.stride[i] * (axis == outer + i) for axis in range(len(shape))) for i in range(d)]
    walk = geometry.walk(shape, y, (*x[:outer], *none), other, tuple(positions))
    return walk, geometry.window_struct(window, step=x[outer:])


def _like(x: Any, spatial: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised (N, C, *spatial) array in the memory order of `x`."""
    return cupy.empty_like(x, dtype=dtype, shape=x.shape[:2] + spatial)


def window_sum(x: Any, window: Any) -> Any:
    """y[.., o] = Σ over the window o of x; padding counts as 0."""
    y = _like(x, window.output_size, x.dtype)
    structs = _window_structs(window, y.shape, geometry.elements(y), geometry.elements(x), None)
    launch("window", "window_sum", x.dtype, y.size, y, x, *structs)
    return y


def max_pool(x: Any, window: Any, keeps_argmax: bool) -> tuple[Any, Any]:
    """The largest x in each window, and (or None) the number of the tap where it lies, the first of equals."""
    y = _like(x, window.output_size, x.dtype)
    taps = "u1" if math.prod(window.kernel_size) <= 256 else "i4"
    argmax = cupy.empty_like(y, dtype=taps) if keeps_argmax else None
    if argmax is not None:
        assert same_order(argmax, y)
    lowest = np.array(-np.inf if x.dtype.kind in FLOATING else np.iinfo(x.dtype).min, x.dtype)
    lowest = lowest.view(np.uint16 if x.dtype.kind == "V" else x.dtype)[()]  # CuPy passes no bfloat16, but its bits
    structs = _window_structs(window, y.shape, geometry.elements(y), geometry.elements(x), None)
    launch("window", f"max_pool_{taps}", x.dtype, y.size, y, NULL if argmax is None else argmax, x, lowest, *structs)
    return y, argmax


def scatter_taps(g: Any, argmax: Any, window: Any) -> Any:
    """x[.., o·stride + k·dilation − padding] += g[.., o] with the tap k that `argmax` names for each o."""
    x = _like(argmax, window.input_size, g.dtype)
    strides = [geometry.elements(array) for array in (x, g, argmax)]
    structs = _adjoint_structs(window, x.shape, *strides, (0,) * len(window.kernel_size))
    launch("window", f"scatter_taps_{argmax.dtype.str[1:]}", g.dtype, x.size, x, g, argmax, *structs)
    return x


def gather_taps(x: Any, argmax: Any, window: Any) -> Any:
    """y[.., o] = x[.., o·stride + k·dilation − padding] with the tap k that `argmax` names for each o."""
    y = _like(x, window.output_size, x.dtype)
    structs = _window_structs(window, y.shape, *[geometry.elements(array) for array in (y, x, argmax)])
    launch("window", f"gather_taps_{argmax.dtype.str[1:]}", x.dtype, y.size, y, x, argmax, *structs)
    return y
