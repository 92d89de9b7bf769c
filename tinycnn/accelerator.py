"""The accelerator of this machine, whatever its kind: here a GPU that CuPy can use, or none."""

from __future__ import annotations

from tinycnn import backend, cuda
from tinycnn.backend import Device, DeviceLike
from tinycnn.cuda import current_device as current_device_idx
from tinycnn.cuda import current_device as current_device_index
from tinycnn.cuda import (
    device_count,
    empty_cache,
    is_available,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
)
from tinycnn.cuda import set_device as set_device_idx
from tinycnn.cuda import set_device as set_device_index

__all__ = [
    "current_accelerator", "current_device_idx", "current_device_index", "device_count", "empty_cache", "is_available",
    "max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved", "memory_stats",
    "reset_peak_memory_stats", "set_device_idx", "set_device_index", "synchronize",
]  # fmt: skip


def current_accelerator(check_available: bool = False) -> Device | None:
    """The device "cuda" where there is a usable GPU, else None."""
    return backend.device("cuda") if is_available() else None


def synchronize(device: DeviceLike = None) -> None:
    """Waits until all work submitted to the GPU is done; without one there is nothing to wait for."""
    if is_available():
        cuda.synchronize(device)
