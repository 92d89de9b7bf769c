"""Array kernels for CuPy, of the same names as those in `cpu`. The CUDA sources are in `cuda/`."""

from __future__ import annotations

from functools import cache
from typing import Any

import cupy
import cupyx
import cupyx.scipy.special
import numpy as np

from tinycnn.kernels import cuda, geometry

THREADS = 256
MAX_BLOCKS = 1 << 14  # each thread then takes several elements

NULL = np.uint64(0)  # a pointer to nothing; for None, CuPy would pass no argument at all


@cache
def _module(file: str, dtype: np.dtype) -> Any:
    # --fmad=false would make sums equal a CPU's more often; fused multiply-adds are faster and more exact.
    return cupy.RawModule(code=cuda.source(file, dtype), options=("--std=c++17",))


@cache
def kernel(file: str, name: str, dtype: np.dtype) -> Any:
    """The function `name` of cuda/`file`.cu, for elements of `dtype`: call it with (grid, block, arguments)."""
    return _module(file, dtype).get_function(name)


def launch(file: str, name: str, dtype: np.dtype, size: int, *arguments: Any) -> None:
    """Runs a kernel that takes one element, of `size`, at a time. Arguments are CuPy arrays (passed as pointers),
    NumPy scalars of the parameter's type, and structs as NumPy arrays without dimensions (passed by value)."""
    if size:
        blocks = min(-(-size // THREADS), MAX_BLOCKS)
        kernel(file, name, dtype)((blocks,), (THREADS,), arguments)


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
