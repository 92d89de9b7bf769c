"""Kernels of the CUDA sources, compiled and run."""

from __future__ import annotations

from functools import cache
from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu import cuda

THREADS = 256
MAX_BLOCKS = 1 << 14  # each thread then takes several elements

NULL = np.uint64(0)  # a null pointer; for None, CuPy would pass no argument


@cache
def _module(file: str, dtype: np.dtype) -> Any:
    # --fmad=false would make sums equal a CPU's more often; fused multiply-adds are faster and more exact.
    return cupy.RawModule(code=cuda.source(file, dtype.name), options=("--std=c++17",))


@cache
def _loaded(file: str, name: str, dtype: np.dtype, device: int) -> Any:
    return _module(file, dtype).get_function(name)


def kernel(file: str, name: str, dtype: np.dtype) -> Any:
    """The function `name` of cuda/`file`.cu, for elements of `dtype`: call it with (grid, block, arguments).

    A kernel is loaded for each GPU and runs only there.
    """
    return _loaded(file, name, dtype, cupy.cuda.runtime.getDevice())


def run(file: str, name: str, dtype: np.dtype, grid: tuple[int, ...], arguments: tuple, threads: int = THREADS) -> None:
    """Runs a kernel in blocks of `threads`. Arguments are CuPy arrays (passed as pointers), NumPy scalars of the
    parameter's type, and structs from `geometry.passed` (by value)."""
    kernel(file, name, dtype)(grid, (threads,), arguments)


def launch(file: str, name: str, dtype: np.dtype, size: int, *arguments: Any) -> None:
    """`run` of a kernel that takes one element, of `size`, at a time."""
    if size:
        run(file, name, dtype, (min(-(-size // THREADS), MAX_BLOCKS),), arguments)
