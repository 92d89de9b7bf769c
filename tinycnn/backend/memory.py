"""Memory on a CPU: what the process keeps, and scratch buffers."""

from __future__ import annotations

import os
import threading

import numpy as np

from tinycnn.backend.devices import Array, cupy

MMAP_BYTES, TRIM_BYTES = 1 << 28, 1 << 30  # see _keep_freed_memory

def _keep_freed_memory() -> None:
    """Lets the process keep memory that was freed for the next training step, which needs the same again.

    By default, glibc returns large blocks to the system as they are freed. To get them back costs a page fault every
    4 KiB: a fifth of the time of a LeNet step. Blocks above MMAP_BYTES, and free memory above TRIM_BYTES, still go
    back. Settings that the user made in the environment stand; other C libraries have no such setting.
    """
    made = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    try:
        is_glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # no such function, or no such question, on this system
        return
    if not is_glibc or any(name in os.environ for name in made):
        return
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)


_keep_freed_memory()




class _Scratch(threading.local):
    """One growing buffer a thread and name. A fresh large array costs a page fault every 4 KiB each
    time; a buffer that stays costs them once."""

    def __init__(self) -> None:
        self.buffers: dict[str, Array] = {}


_scratch = _Scratch()


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Array:
    """An uninitialised array of `shape` with the dtype and device of `like`, valid until this thread next asks
    for the same `name`. Never to be returned from an operator.

    On a GPU it comes from CuPy's pool: nothing is faulted in there, and a recorded graph needs memory of its own.
    """
    if not isinstance(like, np.ndarray):
        return cupy().empty(shape, like.dtype)
    count = 1
    for size in shape:
        count *= size
    size = count * like.dtype.itemsize
    buffer = _scratch.buffers.get(name)
    if buffer is None or buffer.size < size:
        buffer = _scratch.buffers[name] = np.empty(size, np.uint8)
    return buffer[:size].view(like.dtype).reshape(shape)
