"""Devices, array modules, random state and scratch memory: the one place that knows where arrays live.

Nothing else in the package imports CuPy (its kernel file, `kernels/gpu.py`, aside). Every other module asks
`array_module(array)` for NumPy or CuPy and runs the same code on either.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from tinycnn.kernels import cpu

Array = Any  # a numpy.ndarray or a cupy.ndarray

# To hand work to another thread and wait for it takes about 0.1 ms, and every NumPy call in between contends for the
# interpreter's lock: less work than this is done in one thread.
OPERATIONS_A_THREAD = 16_000_000

DRIVERS = {12: 525, 13: 580}  # the oldest NVIDIA driver for each version of CUDA, hence for each extra

MMAP_BYTES, TRIM_BYTES = 1 << 28, 1 << 30  # see _keep_freed_memory


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
        if self is other:
            return True
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
    count = gpu_count()
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
            f"(NVIDIA driver {DRIVERS[12]} or newer) or 'tinycnn[cuda13x]' (driver {DRIVERS[13]} or newer)"
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
            f"pip install 'tinycnn[cuda{cuda}x]', which brings it, or install the CUDA {cuda} toolkit"
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
    instead = f", or pip install 'tinycnn[cuda{other[-1]}x]' in place of the CuPy installed now" if other else ""
    return f"the NVIDIA driver knows CUDA up to {newest}, this CuPy needs CUDA {needed}: {update}{instead}"


def array_module(array: Array) -> ModuleType:
    """numpy for a NumPy array or scalar, cupy for a CuPy array."""
    return np if isinstance(array, (np.ndarray, np.generic)) else cupy()


def kernels(array: Array) -> ModuleType:
    """The kernels, from `tinycnn.kernels`, for the device that holds `array`."""
    return cpu if isinstance(array, np.ndarray) else _gpu_kernels()


@cache
def _gpu_kernels() -> ModuleType:
    from tinycnn.kernels import gpu  # imports CuPy

    return gpu


def device_of(array: Array) -> Device:
    """The device that holds `array`."""
    return CPU if isinstance(array, np.ndarray) else _gpu(array.data.device_id)


@cache
def _gpu(index: int) -> Device:
    return Device("cuda", index)


def address(array: Array) -> int:
    """Where in memory the elements of `array` begin."""
    return array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr


def to_device(array: Array, target: Device) -> Array:
    """`array` on the device `target`: itself if it lives there, else a copy of the same memory order."""
    if device_of(array) == target:
        return array
    gpu = _gpu_kernels()
    if target.type == "cpu":
        return gpu.in_memory_order(cupy().asnumpy, array)
    if is_gpu_array(array) and array.ndim:  # CuPy copies arrays without gaps only from one GPU to another
        with array.device:
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


def constant(array: np.ndarray, target: Device) -> Array:
    """`array`, which nobody may change, on the device `target`: copied there once, as a captured step cannot copy."""
    return array if target == CPU else _constant(array.tobytes(), array.dtype, array.shape, target)


@cache
def _constant(data: bytes, dtype: np.dtype, shape: tuple[int, ...], target: Device) -> Array:
    return to_device(np.frombuffer(data, dtype).reshape(shape), target)


def current(array: Array) -> AbstractContextManager:
    """For a with statement: the GPU that holds `array` is CuPy's current one, on which it computes. On the CPU there
    is nothing to do, nor is there in most cases."""
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
    """Whether x is a CuPy array. There is none before CuPy is imported, which this does not do."""
    return "cupy" in sys.modules and isinstance(x, cupy().ndarray)


def compute(name: str, function: Callable[..., Array], operands: Sequence[Any], elementwise: bool = False) -> Array:
    """function(*operands), for the operator `name`, on the device that holds the arrays among its operands.

    CuPy works on its current device only, and gives its results in row-major order, where NumPy follows the memory
    order of the operands. An `elementwise` function is therefore shown views whose axes are in their memory order.

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
    with current(arrays[0]):
        try:
            return _gpu_kernels().in_memory_order(function, *operands) if elementwise else function(*operands)
        except MemoryError as error:
            _refuse_memory(name, _gpu(device), error)


def elementwise(name: str, *operands: Any) -> Array:
    """The function `name` of NumPy or CuPy, of an array and more of them or numbers."""
    if isinstance(operands[0], np.ndarray):
        return getattr(np, name)(*operands)
    return compute(name, getattr(cupy(), name), operands, elementwise=True)


def _refuse_memory(name: str, device: Device, error: MemoryError) -> NoReturn:
    """Raises CuPy's error in other words; that of an operator inside this one has them already."""
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
    _generators.pop(CPU, None)
    for target, generator in _generators.items():
        generator.seed(_seed_of(target))


def random_generator(target: Device = CPU) -> Any:
    """The random generator of a device: a numpy.random.Generator, or a `kernels.gpu.Generator` with its interface.

    A GPU becomes CuPy's current device.
    """
    module_of(target)
    if target not in _generators:
        if target == CPU:
            _generators[target] = np.random.default_rng(_seed)
        else:
            _generators[target] = _gpu_kernels().Generator(_seed_of(target))
    return _generators[target]


def _seed_of(target: Device) -> np.random.SeedSequence:
    """For a GPU, so that the numbers of no two are the same."""
    return np.random.SeedSequence(_seed, spawn_key=(target.index,))


# --- threads ----------------------------------------------------------------------------------------------


def _default_threads() -> int:
    """OMP_NUM_THREADS, as the numeric libraries understand it, or one thread for each core this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


_num_threads = _default_threads() if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
_pool: ThreadPoolExecutor | None = None


def get_num_threads() -> int:
    """How many threads an operator may use on a CPU."""
    return _num_threads


def set_num_threads(count: int) -> None:
    """Lets an operator use up to `count` threads on a CPU; the default is OMP_NUM_THREADS, or the number of cores.

    With the same count, results are the same bit for bit: threads share out work in a fixed way.
    """
    global _num_threads, _pool
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"set_num_threads: expected an int of at least 1, got {count!r}")
    _num_threads, _pool = count, None


@cache
def limit_blas() -> None:
    """Keeps BLAS to one thread, from the first matrix product on: threads of its own beside ours would be too many,
    and how it shares out a sum would depend on what ran before."""
    from threadpoolctl import ThreadpoolController

    ThreadpoolController().limit(limits=1, user_api="blas")


def _thread_pool() -> ThreadPoolExecutor:
    """The threads beside the calling one."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(_num_threads - 1, 1), thread_name_prefix="tinycnn")
    return _pool


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def shares(items: Sequence, like: Array, operations: int) -> list[Sequence]:
    """`items` split into one consecutive run for each thread; all in one if `operations` do not pay a hand-over."""
    if isinstance(like, np.ndarray):
        limit_blas()
    threads = _num_threads if isinstance(like, np.ndarray) and operations >= OPERATIONS_A_THREAD else 1
    count = max(1, min(threads, len(items)))
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]


def in_threads(work: Callable[[Any], Any], shared: list[Any]) -> list[Any]:
    """[work(share) for each share], each in a thread of its own; the first in this one."""
    if len(shared) == 1:
        return [work(shared[0])]
    others = [_thread_pool().submit(work, share) for share in shared[1:]]
    try:
        return [work(shared[0]), *[other.result() for other in others]]
    finally:
        wait(others)  # also after an error: they write to memory that the caller is about to drop


# --- memory -------------------------------------------------------------------------------------------------


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


# --- scratch memory ---------------------------------------------------------------------------------------


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


# --- recorded steps -----------------------------------------------------------------------------------------

_before_replay: list[Callable[[], Any]] | None = None  # while a step is being recorded


@contextmanager
def recording() -> Iterator[list[Callable[[], Any]]]:
    """A block in which the work of a GPU is recorded; gives the list of what is to be called before each replay."""
    global _before_replay
    if _before_replay is not None:
        raise RuntimeError("capture: expected no recording inside of another one")
    _before_replay = []
    try:
        yield _before_replay
    finally:
        _before_replay = None


def on_replay(callback: Callable[[], None]) -> bool:
    """While a step is being recorded: has `callback` called before each replay, and returns True."""
    if _before_replay is None:
        return False
    if callback not in _before_replay:
        _before_replay.append(callback)
    return True
