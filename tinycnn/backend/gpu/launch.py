"""Kernels of the CUDA sources, compiled and run."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu import cuda
from tinycnn.backend.gpu.geometry import Walks

THREADS = 256
MAX_BLOCKS = 1 << 14  # each thread then takes several elements

NULL: Any = np.uint64(0)  # a null pointer; for None, CuPy would pass no argument


Sizes = tuple[tuple[int, ...], ...]  # of a window: see cuda.source

_kernels: dict[tuple, Any] = {}


@cache
def _module(file: str, dtype: np.dtype, width: int, sizes: Sizes | None) -> Any:
    # --fmad=false would make sums equal a CPU's more often; fused multiply-adds are faster and more exact.
    return cupy.RawModule(code=cuda.source(file, dtype.name, width, sizes), options=("--std=c++17",))


def kernel(file: str, name: str, dtype: np.dtype, width: int = 1, sizes: Sizes | None = None) -> Any:
    """The function `name` of cuda/`file`.cu, compiled for elements of `dtype`, packs of `width` and windows of `sizes`:
    call it with (grid, block, arguments).

    A kernel is loaded for each GPU and runs only there.
    """
    key = file, name, dtype, width, sizes, cupy.cuda.runtime.getDevice()
    if key not in _kernels:
        _kernels[key] = _module(file, dtype, width, sizes).get_function(name)
    return _kernels[key]


def run(
    file: str, name: str, dtype: np.dtype, grid: tuple[int, ...], arguments: tuple, threads: int = THREADS,
    width: int = 1,
) -> None:  # fmt: skip
    """Runs a kernel in blocks of `threads`, with packs of `width`. Arguments are CuPy arrays (passed as pointers),
    NumPy scalars of the parameter's type, and structs from `geometry.passed` (by value)."""
    kernel(file, name, dtype, width)(grid, (threads,), arguments)


def launch(file: str, name: str, dtype: np.dtype, size: int, *arguments: Any) -> None:
    """`run` of a kernel that takes one element, of `size`, at a time."""
    if size:
        blocks = min(-(-size // THREADS), MAX_BLOCKS)
        kernel(file, name, dtype)((blocks,), (THREADS,), arguments)


def launch_packs(
    file: str, name: str, dtype: np.dtype, walks: Walks, arrays: tuple, *others: Any, sizes: Sizes | None = None
) -> None:
    """Runs a kernel that takes packs of neighbours where arrays lie so: with the `arrays`, which may be NULL, a walk
    over them and the other arguments."""
    width, walk = packs(walks, arrays)
    if size := walks.size // width:
        blocks = min(-(-size // THREADS), MAX_BLOCKS)
        kernel(file, name, dtype, width, sizes)((blocks,), (THREADS,), (*arrays, walk, *others))


def packs(walks: Walks, arrays: tuple) -> tuple[int, np.ndarray]:
    """The width of packs that a kernel can take of these arrays, some of which may be NULL, and the walk over them."""
    _, single, width, packed = walks
    if width > 1:
        for array in arrays:
            if array is not NULL and array.data.ptr % 16:  # a view may begin between two packs
                return 1, single
    return width, packed


_counters: dict[tuple[int, int, int], list[Any]] = {}  # graphs have the addresses of shorter ones


def counters(count: int) -> Any:
    """Numbers in device memory, 0 before a launch and after it, by which its blocks find out which of them is the last.

    Each thread has its own on each stream, where one launch follows another.
    """
    stream = cupy.cuda.get_current_stream()
    key = (threading.get_ident(), cupy.cuda.runtime.getDevice(), stream.ptr)
    known = _counters.setdefault(key, [])
    if known and known[-1].size >= count:
        return known[-1]
    made = cupy.zeros(1 << max(10, (count - 1).bit_length()), np.uint32)
    if not stream.is_capturing():  # what a graph sets to 0 is not 0 before its first replay
        known.append(made)
    return made
