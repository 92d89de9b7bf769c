"""The memory order of arrays, in which neighbouring threads should access them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from tinycnn.backend.gpu import geometry

__all__ = ["in_memory_order"]


def in_memory_order(function: Callable[..., Any], *operands: Any) -> Any:
    """function(*operands), an elementwise function of arrays and numbers, with the result in the memory order of the
    first array that has its shape.

    CuPy's functions walk through all arrays in the order of the axes and give a row-major result. They are given
    views whose axes are in memory order: neighbouring threads then read and write neighbouring places.
    """
    order = axis_order(*[(x.shape, x.strides) for x in operands if hasattr(x, "strides")])
    if order is None:
        return function(*operands)
    return function(*[_transposed(x, order) for x in operands]).transpose(inverse(order))


@lru_cache(maxsize=4096)
def axis_order(*arrays: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[int, ...] | None:
    """The axes of a result from the outermost to the innermost in memory, for arrays of these (shape, strides); None
    if it is row-major."""
    full = np.broadcast_shapes(*[shape for shape, _ in arrays])
    for shape, strides in arrays:
        if shape == full and all(step or size == 1 for size, step in zip(shape, strides, strict=True)):
            ones = [d for d, size in enumerate(shape) if size == 1]
            others = [d for d, size in enumerate(shape) if size != 1]
            by_step = sorted(others, key=lambda d: -abs(strides[d]))
            return None if by_step == others or 0 in shape else (*ones, *by_step)
    return None


def _transposed(x: Any, order: tuple[int, ...]) -> Any:
    """x, an array or a number, with the axes of the result in another order."""
    if not getattr(x, "ndim", 0):
        return x
    return x[(None,) * (len(order) - x.ndim)].transpose(order)


def inverse(order: tuple[int, ...]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def same_order(a: Any, b: Any) -> bool:
    """Whether two arrays of one shape have the same memory order: along axes of size 1, strides do not matter."""
    return _same_order(a.shape, a.strides, a.itemsize, b.strides, b.itemsize)


@lru_cache(maxsize=4096)
def _same_order(shape: tuple[int, ...], a: tuple[int, ...], a_size: int, b: tuple[int, ...], b_size: int) -> bool:
    steps = zip(shape, geometry.in_elements(shape, a, a_size), geometry.in_elements(shape, b, b_size), strict=True)
    return 0 in shape or all(size == 1 or step_a == step_b for size, step_a, step_b in steps)
