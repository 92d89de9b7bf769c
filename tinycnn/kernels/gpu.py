"""Array kernels for CuPy, of the same names as those in `cpu`."""

from __future__ import annotations

from typing import Any

import cupy
import cupyx
import cupyx.scipy.special


def add_at(array: Any, index: Any, values: Any) -> None:
    """array[index] += values, where an element that is indexed several times gets every value."""
    cupyx.scatter_add(array, index, values)


def masked(x: Any, mask: Any, out: Any = None) -> Any:
    """x where the boolean `mask`, of the same shape, is true, and 0 elsewhere."""
    chosen = cupy.where(mask, x, x.dtype.type(0))
    if out is None:
        return chosen
    out[...] = chosen
    return out


def relu(x: Any) -> Any:
    """max(x, 0), nan for nan."""
    return cupy.maximum(x, 0)


def erf(x: Any) -> Any:
    """The error function."""
    return cupyx.scipy.special.erf(x)
