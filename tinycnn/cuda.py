"""GPUs: availability, memory, and captured steps. CuPy is imported on first use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tinycnn import backend
from tinycnn._capture import CapturedStep as CapturedStep
from tinycnn._capture import capture as capture
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag
from tinycnn.creation import TensorType
from tinycnn.dtypes import TENSOR_TYPES

(
    FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor,
    BFloat16Tensor,
) = (TensorType(name, "cuda") for name in TENSOR_TYPES)  # fmt: skip


def is_available() -> bool:
    """Whether CuPy is installed and finds a driver and a GPU."""
    return backend.device("auto") != backend.CPU


def device_count() -> int:
    """The number of usable GPUs; 0 without CuPy or a driver."""
    return backend.gpu_count() if is_available() else 0


def synchronize(device: DeviceLike = None) -> None:
    """Waits until all work submitted to the GPU `device` is done. ValueError for the CPU."""
    _gpu("synchronize", device).synchronize()


def memory_allocated(device: DeviceLike | int = None) -> int:
    """Bytes occupied by arrays on the GPU, those of captured steps included. ValueError for the CPU."""
    return _figures("memory_allocated", device)[0]


def memory_reserved(device: DeviceLike | int = None) -> int:
    """Bytes that memory pools hold: those of arrays, those cached for new ones, and those that captured steps work in.
    ValueError for the CPU."""
    return _figures("memory_reserved", device)[1]


def max_memory_allocated(device: DeviceLike | int = None) -> int:
    """The most bytes that arrays have occupied since `reset_peak_memory_stats`. ValueError for the CPU.

    Unlike torch, tinycnn counts peaks only from the first call of this or another function of peaks: as the peak until
    then it takes `memory_reserved`, which is no less unless `empty_cache` was called.
    """
    return _figures("max_memory_allocated", device, peaks=True)[2]


def max_memory_reserved(device: DeviceLike | int = None) -> int:
    """The most bytes that memory pools have held since `reset_peak_memory_stats`; see `max_memory_allocated`.
    ValueError for the CPU."""
    return _figures("max_memory_reserved", device, peaks=True)[3]


def reset_peak_memory_stats(device: DeviceLike | int = None) -> None:
    """Lets `max_memory_allocated` and `max_memory_reserved` start from what is in use now. ValueError for the CPU."""
    with _gpu("reset_peak_memory_stats", device):
        backend.gpu_memory.reset_peaks()


def memory_stats(device: DeviceLike | int = None) -> dict[str, int]:
    """The four figures by torch's names, such as "allocated_bytes.all.peak". ValueError for the CPU."""
    names = [f"{what}_bytes.all.{which}" for which in ("current", "peak") for what in ("allocated", "reserved")]
    return dict(zip(names, _figures("memory_stats", device, peaks=True)))


def _figures(name: str, device: DeviceLike | int, peaks: bool = False) -> tuple[int, ...]:
    with _gpu(name, device):
        return (*backend.gpu_memory.now(), *(backend.gpu_memory.peaks() if peaks else ()))


def empty_cache() -> None:
    """Returns cached memory that no array uses to the GPUs, for other programs. Nothing without a GPU."""
    for index in range(device_count()):
        with backend.cupy().cuda.Device(index):
            backend.cupy().get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """Seeds the random state of every device: see `tinycnn.manual_seed`."""
    backend.manual_seed(seed)


manual_seed_all = manual_seed


def current_device() -> int:
    """The index of the GPU that "cuda" means."""
    return _gpu("current_device", None).id


def set_device(device: DeviceLike | int) -> None:
    """Chooses the GPU that "cuda" means."""
    backend.set_current_gpu(_gpu("set_device", device).id)


def get_device_name(device: DeviceLike | int = None) -> str:
    """The name of a GPU, as its driver gives it. ValueError for the CPU."""
    return get_device_properties(device).name


def get_device_capability(device: DeviceLike | int = None) -> tuple[int, int]:
    """The compute capability of a GPU, (major, minor). ValueError for the CPU."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether there is a GPU, and the current one multiplies matrices of bfloat16: since compute capability 8.0."""
    check_flag("is_bf16_supported", "including_emulation", including_emulation)
    return is_available() and get_device_capability() >= (8, 0)


def get_device_properties(device: DeviceLike | int = None) -> SimpleNamespace:
    """`name`, `major`, `minor`, `total_memory` in bytes, `multi_processor_count` of a GPU. ValueError for the CPU."""
    found = backend.cupy().cuda.runtime.getDeviceProperties(_gpu("get_device_properties", device).id)
    return SimpleNamespace(
        name=found["name"].decode(), major=found["major"], minor=found["minor"], total_memory=found["totalGlobalMem"],
        multi_processor_count=found["multiProcessorCount"],
    )  # fmt: skip


def mem_get_info(device: DeviceLike | int = None) -> tuple[int, int]:
    """The free and the total bytes of a GPU. ValueError for the CPU."""
    return _gpu("mem_get_info", device).mem_info


def runtime_version() -> str | None:
    """The version of CUDA that CuPy was built for, "12.9"; None without a usable GPU."""
    if not is_available():
        return None
    number = backend.cupy().cuda.runtime.runtimeGetVersion()
    return f"{number // 1000}.{number % 1000 // 10}"


class Event:
    """A point in the work of the current GPU, for its time: `record` two, `synchronize`, and ask for `elapsed_time`."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False):
        self._event = backend.cupy().cuda.Event(block=blocking, disable_timing=not enable_timing)

    def record(self) -> None:
        """Puts the event behind all work submitted so far."""
        self._event.record()

    def synchronize(self) -> None:
        """Waits until the GPU has come to this event."""
        self._event.synchronize()

    def query(self) -> bool:
        """Whether the GPU has come to this event."""
        return self._event.done

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds from this event to `end_event`."""
        return backend.cupy().cuda.get_elapsed_time(self._event, end_event._event)


def _gpu(name: str, spec: DeviceLike | int) -> Any:
    """CuPy's object for the GPU `spec`, None for the current one. ValueError, naming the function `name`, for the
    CPU."""
    found = backend.device("cuda" if spec is None else spec)
    if found.type != "cuda":
        raise ValueError(f"{name}: expected a GPU, got {found}")
    return backend.cupy().cuda.Device(found.index)
