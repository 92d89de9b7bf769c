"""Devices: where an array lies, its array module and kernels, and copies from one device to another."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from types import ModuleType
from typing import Any, NoReturn, TypeAlias

import numpy as np

from tinycnn._bfloat16 import is_bfloat16
from tinycnn._extras import how_to_install
from tinycnn.backend import cpu
from tinycnn.backend.recording import kept_constants, recorded
from tinycnn.checks import shortened

__all__ = [
    "CPU", "DRIVERS", "Array", "Device", "DeviceLike", "address", "array_module", "compute", "constant", "cupy",
    "check_bfloat16", "current", "current_gpu", "device", "device_of", "elementwise", "get_default_device", "gpu_count",
    "host_reads", "is_gpu_array", "is_writeable", "kernels", "memory_address", "modules_of", "on", "one",
    "one_device",
    "set_current_gpu", "set_default_device", "to_device",
]  # fmt: skip

# A numpy.ndarray or a cupy.ndarray, which has the same methods. To type checkers it is the first.
Array: TypeAlias = np.ndarray

DRIVERS = {12: 525, 13: 580}  # the oldest NVIDIA driver for each version of CUDA, hence for each extra


class Device:
    """Where an array lies. Prints as torch's devices do, and equals the string that it prints.

    Args:
        type: "cpu", "gpu" or "cuda" (the current GPU), "cuda:N" or N, "auto" (a GPU if there is a usable one), a
            device, or None (the default one: the CPU unless changed).
        index: the N of "cuda".

    Attributes:
        type: "cpu" or "cuda".
        index: which GPU; None for the CPU.

    Raises ValueError for another name or a GPU that this machine lacks, RuntimeError without a driver and
    ImportError without CuPy; each says what to do.
    """

    __slots__ = ("index", "type")
    type: str
    index: Any

    def __new__(cls, type: str | int | Device | None = None, index: int | None = None) -> Device:
        if type is None:
            return _default
        if isinstance(type, Device):
            return type
        if isinstance(type, bool) or not isinstance(type, (str, int)):
            _refuse_device(type)
        if type == "cpu" or (type == "cpu:0" and index is None):
            return CPU
        if type == "auto":
            try:
                return cls("cuda")
            except (ImportError, RuntimeError, ValueError):
                return CPU
        if isinstance(type, int):
            type = f"cuda:{type}"
        elif index is not None:
            type = f"{type}:{index}"
        kind, _, number = type.partition(":")
        if (kind not in ("cuda", "gpu")) or not (number.isdigit() or type in ("cuda", "gpu")):
            _refuse_device(type)
        found = cls.named("cuda", int(number or _gpu_index))
        count = gpu_count()
        if found.index >= count:
            raise ValueError(
                f"device: {found} does not exist, this machine has {count} GPU(s): cuda:0 to cuda:{count - 1}"
            )
        return found

    @classmethod
    def named(cls, type: str, index: int | None = None) -> Device:
        """The device of this type and index, whether this machine has it or not."""
        found = object.__new__(cls)
        object.__setattr__(found, "type", type)
        object.__setattr__(found, "index", index if type == "cuda" else None)
        return found

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"device: {name} cannot be changed")

    def __reduce__(self) -> Any:
        return Device.named, (self.type, self.index)

    def __str__(self) -> str:
        return "cpu" if self.type == "cpu" else f"cuda:{self.index}"

    def __repr__(self) -> str:
        return "device(type='cpu')" if self.type == "cpu" else f"device(type='cuda', index={self.index})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, str):
            return other == str(self)
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash(str(self))  # that of the string which is equal

    def __enter__(self) -> Device:
        """Makes this the default device inside the block, as torch does."""
        _outer.append(_default)
        set_default_device(self)
        return self

    def __exit__(self, *exc: object) -> None:
        set_default_device(_outer.pop())


device = Device  # torch's name of the class

CPU = Device.named("cpu")
_default = CPU
_outer: list[Device] = []  # the default devices around the present one
_gpu_index = 0  # of "cuda" and "gpu"

DeviceLike: TypeAlias = Device | str | None  # what `device` takes


def set_default_device(device: DeviceLike) -> None:
    """Sets the device of new tensors for which none is given: the CPU unless changed."""
    global _default
    _default = CPU if device is None else Device(device)


def get_default_device() -> Device:
    """The device of new tensors for which none is given."""
    return _default


def current_gpu() -> int:
    """The index of the GPU that "cuda" means: 0 unless changed by `set_current_gpu`."""
    return _gpu_index


def set_current_gpu(index: int) -> None:
    """Chooses the GPU that "cuda" means."""
    global _gpu_index
    _gpu_index = index


@cache
def cupy() -> ModuleType:
    """The module cupy, imported on first use, or an ImportError that names the extra to install."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError(
            f"device: a GPU needs CuPy, which is not installed; with NVIDIA driver {DRIVERS[13]} or newer: "
            f"{how_to_install('cuda13x')}; with {DRIVERS[12]} or newer: {how_to_install('cuda12x')}"
        ) from error
    return cupy


def gpu_count() -> int:
    """The number of GPUs that CuPy can use; RuntimeError or ImportError, saying what to do, if it can use none."""
    cp = cupy()
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except cp.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"device: {_no_gpu(cp.cuda.runtime, error)}") from None
    if count == 0:
        raise RuntimeError("device: the NVIDIA driver reports no GPU: use the device 'cpu'")
    try:
        cp.cuda.nvrtc.getVersion()
    except (ImportError, RuntimeError) as error:
        cuda = cp.cuda.runtime.runtimeGetVersion() // 1000
        raise RuntimeError(
            f"device: CuPy does not find NVRTC, which compiles kernels ({str(error).splitlines()[0]}): "
            f"{how_to_install(f'cuda{cuda}x')}, which brings it, or install the CUDA {cuda} toolkit"
        ) from None
    return count


def _no_gpu(runtime: Any, error: Exception) -> str:
    """Why there is no usable GPU, and what helps."""
    driver = runtime.driverGetVersion()  # the newest CUDA that it knows, 12080 for 12.8; 0 without a driver
    needed = runtime.runtimeGetVersion() // 1000
    if driver == 0:
        return "no NVIDIA driver was found: install it (nvidia-smi then lists the GPU), or use the device 'cpu'"
    if driver // 1000 >= needed:
        return f"CuPy found no usable GPU ({error}): see what nvidia-smi says, or use the device 'cpu'"
    newest = f"{driver // 1000}.{driver % 1000 // 10}"
    update = f"update it to {DRIVERS[needed]} or newer" if needed in DRIVERS else "update it"
    other = [major for major in DRIVERS if major <= driver // 1000]
    instead = f", or {how_to_install(f'cuda{other[-1]}x')} in place of the CuPy installed now" if other else ""
    return f"the NVIDIA driver knows CUDA up to {newest}, this CuPy needs CUDA {needed}: {update}{instead}"


def array_module(array: Array) -> ModuleType:
    """numpy for a NumPy array or scalar, cupy for a CuPy array."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    _note([array])
    return cupy()


def kernels(array: Array) -> ModuleType:
    """The kernels, for the device that holds `array`."""
    if isinstance(array, np.ndarray):
        return cpu
    _note([array])
    return gpu_kernels()


def _note(arrays: Iterable[Array]) -> None:
    """Notes, of a step that is being recorded, arrays on a GPU that are about to be read."""
    if (step := recorded()) is not None:
        step.reads(arrays)


@cache
def gpu_kernels() -> ModuleType:
    from tinycnn.backend.gpu import kernels  # imports CuPy

    return kernels


def modules_of(operands: Sequence[Any]) -> tuple[ModuleType, ModuleType]:
    """The array module and the kernels for the arrays among the operands."""
    gpu_arrays = "cupy" in sys.modules and any(isinstance(x, cupy().ndarray) for x in operands)
    return (cupy(), gpu_kernels()) if gpu_arrays else (np, cpu)


def host_reads(array: Array) -> bool:
    """Whether the host can read the elements without waiting for a GPU. Checks of values are made only then."""
    return isinstance(array, np.ndarray)


def device_of(array: Array) -> Device:
    """The device that holds `array`."""
    return CPU if isinstance(array, np.ndarray) else _gpu(array.data.device_id)


@cache
def _gpu(index: int) -> Device:
    return Device.named("cuda", index)


def address(array: Array) -> int:
    """Where in memory the elements of `array` begin."""
    return array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr


def memory_address(array: Array) -> int:
    """Where the memory begins that `array` lies in."""
    if is_gpu_array(array):
        return array.data.mem.ptr  # type: ignore[attr-defined]  # CuPy's
    while isinstance(array.base, np.ndarray):
        array = array.base
    return address(array)


def to_device(array: Array, target: Device) -> Array:
    """`array` on the device `target`: itself if it lives there, else a copy of the same memory order."""
    if device_of(array) == target:
        return array
    if is_bfloat16(array.dtype):
        check_bfloat16()
    gpu = gpu_kernels()
    if target.type == "cpu":
        return gpu.in_memory_order(cupy().asnumpy, array)
    if is_gpu_array(array) and array.ndim:  # CuPy copies arrays without gaps only from one GPU to another
        with array.device:  # type: ignore[attr-defined]  # CuPy's is a context manager
            array = gpu.in_memory_order(cupy().ascontiguousarray, array)
    with cupy().cuda.Device(target.index):
        if isinstance(array, np.ndarray) and array.ndim and cupy().cuda.get_current_stream().is_capturing():
            # CuPy would record a copy of what the array holds now, and from then on free no host memory it copied from.
            raise RuntimeError(
                "a copy from the host cannot be part of a captured step: make the tensor before, or pass it to the step"
            )
        try:
            return gpu.in_memory_order(cupy().asarray, array)
        except MemoryError as error:
            _refuse_memory("to", target, error)


@cache
def check_bfloat16() -> None:
    """ImportError that says what to install if the CuPy that is there does not know bfloat16."""
    found = cupy().__version__, np.__version__
    if int(found[0].partition(".")[0]) < 14 or tuple(map(int, found[1].split(".")[:3])) < (2, 1, 2):
        extra = f"cuda{cupy().cuda.runtime.runtimeGetVersion() // 1000}x"
        raise ImportError(
            "bfloat16 on a GPU needs CuPy 14 and NumPy 2.1.2 or later, this is CuPy {} and NumPy {}: ".format(*found)
            + how_to_install(extra)
        )


def constant(array: np.ndarray, target: Device) -> Array:
    """A read-only `array` on the device `target`. It is copied there once, before a step is captured: that cannot copy
    from the host."""
    if target == CPU:
        return array
    key = array.tobytes(), array.dtype, array.shape, target
    of_step = kept_constants()
    found = None if of_step is None else of_step.get(key)
    if found is None:
        found = _constants.get(key, lambda: to_device(array, target))
        if of_step is not None:
            of_step[key] = found
    return found


def one(array: Array, is_shared: bool) -> Array:
    """1 on the GPU of `array`, of its shape. One that `is_shared` is there already, and nobody may change it."""
    if is_shared:
        return constant(np.ones(array.shape, array.dtype), device_of(array))
    with current(array):
        return array_module(array).ones_like(array)


class _Latest:
    """The arrays that were asked for last, by a key: at most so many, and so many bytes of all but the last."""

    def __init__(self, most: int, most_bytes: int):
        self.most, self.most_bytes = most, most_bytes
        self.arrays: OrderedDict[Hashable, Array] = OrderedDict()
        self.lock = threading.Lock()
        self.bytes = 0

    def get(self, key: Hashable, make: Callable[[], Array]) -> Array:
        with self.lock:
            if key in self.arrays:
                self.arrays.move_to_end(key)
                return self.arrays[key]
        made = make()
        with self.lock:
            found = self.arrays.setdefault(key, made)  # one for all threads, whichever comes first
            if found is made:
                self.bytes += made.nbytes
            while len(self.arrays) > self.most or (self.bytes > self.most_bytes and len(self.arrays) > 1):
                self.bytes -= self.arrays.popitem(last=False)[1].nbytes
        return found


_constants = _Latest(most=256, most_bytes=16 << 20)  # a resizing layer has four, of the lengths of its output

if hasattr(os, "register_at_fork"):  # another thread of the parent may hold it
    os.register_at_fork(after_in_child=_constants.lock._at_fork_reinit)  # type: ignore[attr-defined]


def current(array: Array) -> AbstractContextManager:
    """A context in which the GPU that holds `array` is CuPy's current device. For an array on the CPU, or on the
    current GPU, it does nothing."""
    if isinstance(array, np.ndarray) or array.data.device_id == cupy().cuda.runtime.getDevice():
        return _NOTHING_TO_DO
    return array.device


_NOTHING_TO_DO = nullcontext()


def one_device(name: str, operands: Sequence[Any]) -> Device:
    """The device that holds the arrays among the operands of the operator `name`; ValueError if there are several."""
    devices = {device_of(x) for x in operands if isinstance(x, np.ndarray) or is_gpu_array(x)}
    if len(devices) > 1:
        listed = " and ".join(sorted(map(str, devices)))
        raise ValueError(f"{name}: tensors on {listed}; move them to one device with .to()") from None
    return devices.pop() if devices else CPU


def is_gpu_array(x: Any) -> bool:
    """Whether x is a CuPy array. This does not import CuPy: until something else has, there are none."""
    return "cupy" in sys.modules and isinstance(x, cupy().ndarray)


def compute(name: str, function: Callable[..., Array], operands: Sequence[Any], elementwise: bool = False) -> Array:
    """function(*operands), for the operator `name`, on the device that holds the arrays among its operands.

    CuPy works on its current device only, and gives its results in row-major order, where NumPy follows the memory
    order of the operands. An `elementwise` function is therefore given views whose axes are in memory order.

    Raises ValueError for operands on several devices, and MemoryError with advice where a GPU has not enough.
    """
    if "cupy" not in sys.modules:
        return function(*operands)
    of_gpu = cupy().ndarray
    arrays = [x for x in operands if isinstance(x, of_gpu)]
    if not arrays:
        return function(*operands)
    device = arrays[0].data.device_id
    for x in operands:
        if isinstance(x, np.ndarray) or (isinstance(x, of_gpu) and x.data.device_id != device):
            one_device(name, operands)  # says that there are several
    _note(arrays)
    with current(arrays[0]):
        try:
            return gpu_kernels().in_memory_order(function, *operands) if elementwise else function(*operands)
        except MemoryError as error:
            _refuse_memory(name, _gpu(device), error)


def elementwise(name: str, *operands: Any) -> Array:
    """The element-wise function `name` of NumPy or CuPy, applied to an array and to further arrays or numbers."""
    xp, _ = modules_of(operands)
    return compute(name, getattr(xp, name), operands, elementwise=True)


def _refuse_device(given: Any) -> NoReturn:
    raise ValueError(f"device: expected 'cpu', 'gpu', 'cuda', 'cuda:N' or 'auto', got {shortened(given)}")


def _refuse_memory(name: str, device: Device, error: MemoryError) -> NoReturn:
    """Raises CuPy's error with sizes and advice; one that an inner operator has raised so is passed on."""
    asked = re.search(r"allocating ([\d,]+) bytes", str(error))
    if asked is None:
        raise error
    free, total = cupy().cuda.runtime.memGetInfo()
    size = int(asked.group(1).replace(",", ""))
    in_mib = [f"{count / 2**20:,.1f} MiB" for count in (size, free, total)]
    raise MemoryError(
        f"{name}: {device} is out of memory: {in_mib[0]} were asked for, {in_mib[1]} of {in_mib[2]} are free; "
        "a smaller batch size needs less, and so does no_grad() where no gradients are wanted"
    ) from None


def is_writeable(array: Array) -> bool:
    """Whether elements can be assigned: not where `broadcast_to` has repeated them in memory."""
    if isinstance(array, np.ndarray):
        return array.flags.writeable
    return all(step or size <= 1 for size, step in zip(array.shape, array.strides))


def on(target: Device) -> AbstractContextManager[ModuleType]:
    """A context in which new arrays of the module that it gives, NumPy or CuPy, lie on `target`."""
    return _ON_CPU if target.type == "cpu" else _OnGpu(target)


_ON_CPU = nullcontext(np)


class _OnGpu:
    """CuPy, with its current device; afterwards that is as before."""

    def __init__(self, target: Device):
        self.gpu = cupy().cuda.Device(target.index)

    def __enter__(self) -> ModuleType:
        self.gpu.__enter__()
        return cupy()

    def __exit__(self, *exc: Any) -> None:
        self.gpu.__exit__(*exc)
