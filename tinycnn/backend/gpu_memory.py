"""Figures of the memory of GPUs: what CuPy's pools hold now, and the most they have held."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from tinycnn.backend.devices import cupy, gpu_count

# What has a memory pool of CuPy's as its attribute `pool`, beside CuPy's default one.
pool_owners: weakref.WeakSet[Any] = weakref.WeakSet()
_peaks: dict[int, tuple[int, int]] = {}  # by device: the most bytes of arrays, and of pools; empty: nobody has asked
_counting = threading.Lock()


def now() -> tuple[int, int]:
    """The bytes of arrays on the current GPU, and those that the pools hold."""
    pools = [cupy().get_default_memory_pool(), *[owner.pool for owner in pool_owners]]
    return sum(pool.used_bytes() for pool in pools), sum(pool.total_bytes() for pool in pools)


def peaks() -> tuple[int, int]:
    """The most that `now` has been on the current GPU since `reset_peaks`.

    CuPy's pools keep no peak. From the first call on, each allocation is followed by a look at the figures. Until then
    an allocation costs nothing; what the pools hold is the nearest figure known that is no less than the peak.
    """
    if not _peaks:
        cuda = cupy().cuda
        for index in range(gpu_count()):
            with cuda.Device(index):
                _peaks[index] = now()[1], now()[1]
        cuda.set_allocator(counted(cuda.get_allocator()))
    return _peaks[cupy().cuda.runtime.getDevice()]


def reset_peaks() -> None:
    """Lets `peaks` on the current GPU start from what there is now."""
    peaks()
    _peaks[cupy().cuda.runtime.getDevice()] = now()


def counted(allocator: Callable[[int], Any]) -> Callable[[int], Any]:
    """The allocator, followed by a look at the figures if somebody has asked for peaks."""

    def allocate(size: int) -> Any:
        allocated = allocator(size)
        if _peaks:
            device, (arrays, pools) = cupy().cuda.runtime.getDevice(), now()
            with _counting:
                _peaks[device] = max(_peaks[device][0], arrays), max(_peaks[device][1], pools)
        return allocated

    return allocate
