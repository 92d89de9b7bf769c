"""Devices, array modules, random state and scratch memory: the one place that knows where arrays live.

Nothing else in the package imports CuPy (its kernel file, `kernels/gpu.py`, aside). Every other module asks
`array_module(array)` for NumPy or CuPy and runs the same code on either.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # a numpy.ndarray or a cupy.ndarray


@dataclass(frozen=True, slots=True)
class Device:
    """Where an array lives: `Device("cpu")` or `Device("cuda", index)`. Prints as torch's devices do."""

    type: str
    index: int = 0

    def __str__(self) -> str:
        return "cpu" if self.type == "cpu" else f"cuda:{self.index}"

    def __repr__(self) -> str:
        return f"device('{self}')"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other in (str(self), "cuda" if str(self) == "cuda:0" else "")
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


CPU = Device("cpu")


def device(spec: str | Device | None) -> Device:
    """The device that `spec` names: "cpu", "gpu" or "cuda" (the first GPU), "cuda:N", "auto" (a GPU if there
    is a usable one) or None (the CPU).

    Raises ValueError for another name or a GPU that this machine lacks, RuntimeError without a driver and
    ImportError without CuPy; each says what to do.
    """
    if spec is None:
        return CPU
    if isinstance(spec, Device):
        return spec
    if spec == "cpu":
        return CPU
    if spec == "auto":
        try:
            return device("cuda:0")
        except (ImportError, RuntimeError, ValueError):
            return CPU
    kind, _, index = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if (kind not in ("cuda", "gpu")) or not (index.isdigit() or spec in ("cuda", "gpu")):
        raise ValueError(f"device: expected 'cpu', 'gpu', 'cuda', 'cuda:N' or 'auto', got {spec!r}")
    found = Device("cuda", int(index or 0))
    count = _gpu_count()
    if found.index >= count:
        raise ValueError(f"device: {found} does not exist, this machine has {count} GPU(s): cuda:0 to cuda:{count - 1}")
    return found


@cache
def cupy() -> ModuleType:
    """The module cupy, imported on first use, or an ImportError that names the extra to install."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError(
            "device: a GPU needs CuPy, which is not installed: pip install 'tinycnn[cuda12x]' "
            "(NVIDIA driver 525 or newer) or 'tinycnn[cuda13x]' (driver 580 or newer)"
        ) from error
    return cupy


def _gpu_count() -> int:
    cp = cupy()
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except cp.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"device: CuPy found no usable GPU ({error}): install or update the NVIDIA driver, or use the device 'cpu'"
        ) from None
    if count == 0:
        raise RuntimeError("device: the NVIDIA driver reports no GPU: use the device 'cpu'")
    return count


def array_module(array: Array) -> ModuleType:
    """numpy for a NumPy array or scalar, cupy for a CuPy array."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    return cupy().get_array_module(array)


def kernels(array: Array) -> ModuleType:
    """The kernels, from `tinycnn.kernels`, for the device that holds `array`."""
    if isinstance(array, np.ndarray):
        from tinycnn.kernels import cpu

        return cpu
    from tinycnn.kernels import gpu

    return gpu


def device_of(array: Array) -> Device:
    """The device that holds `array`."""
    return CPU if isinstance(array, np.ndarray) else Device("cuda", array.device.id)


def address(array: Array) -> int:
    """Where in memory the elements of `array` begin."""
    return array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr


def to_device(array: Array, target: Device) -> Array:
    """`array` on the device `target`: itself if it lives there, else a copy."""
    if device_of(array) == target:
        return array
    if target.type == "cpu":
        return cupy().asnumpy(array)
    cp = cupy()
    with cp.cuda.Device(target.index):
        return cp.asarray(array)


def module_of(target: Device) -> ModuleType:
    """The array module whose new arrays lie on `target`; a GPU becomes CuPy's current device."""
    if target.type == "cpu":
        return np
    cupy().cuda.Device(target.index).use()
    return cupy()


def as_strided(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view of the memory of `array` with another shape and other strides (bytes), unchecked."""
    if not isinstance(array, np.ndarray):
        return cupy().lib.stride_tricks.as_strided(array, shape, strides)
    if array.flags.c_contiguous:  # what as_strided does, in a tenth of the time
        return np.ndarray(shape, array.dtype, array, 0, strides)
    return np.lib.stride_tricks.as_strided(array, shape, strides)


def broadcast_to(array: Array, shape: tuple[int, ...]) -> Array:
    """A read-only view of `shape`, in which missing dimensions and those of size 1 are repeated."""
    if not isinstance(array, np.ndarray) or not array.flags.c_contiguous or array.size == 0:
        return array_module(array).broadcast_to(array, shape)
    strides = [0 if own == 1 else stride for own, stride in zip(array.shape, array.strides)]
    view = np.ndarray(shape, array.dtype, array, 0, (0,) * (len(shape) - array.ndim) + tuple(strides))
    view.flags.writeable = False  # np.broadcast_to, in a third of the time
    return view


# --- random state -----------------------------------------------------------------------------------------

_seed: int | None = None
_generators: dict[Device, Any] = {}


def manual_seed(seed: int) -> None:
    """Seeds the random state of every device: the next draws on each depend on `seed` alone."""
    global _seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"manual_seed: expected an int of at least 0, got {seed!r}")
    _seed = int(seed)
    _generators.clear()


def random_generator(target: Device = CPU) -> Any:
    """The random generator of a device: a numpy.random.Generator, or CuPy's of the same interface."""
    if target not in _generators:
        _generators[target] = module_of(target).random.default_rng(_seed)
    return _generators[target]


# --- scratch memory ---------------------------------------------------------------------------------------


class _Scratch(threading.local):
    """One growing buffer a thread, name and device. A fresh large array costs a page fault every 4 KiB each
    time; a buffer that stays costs them once."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[str, Device], Array] = {}


_scratch = _Scratch()


def scratch(name: str, shape: tuple[int, ...], like: Array) -> Array:
    """An uninitialised array of `shape` with the dtype and device of `like`, valid until this thread next asks
    for the same `name`. Never to be returned from an operator."""
    xp = array_module(like)
    count = 1
    for size in shape:
        count *= size
    size = count * like.dtype.itemsize
    key = (name, device_of(like))
    buffer = _scratch.buffers.get(key)
    if buffer is None or buffer.size < size:
        buffer = _scratch.buffers[key] = xp.empty(size, np.uint8)
    return buffer[:size].view(like.dtype).reshape(shape)
