"""GPUs: availability, memory, and training steps captured as CUDA graphs. CuPy is imported on first use."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag, check_positive
from tinycnn.creation import TensorType
from tinycnn.dtypes import TENSOR_TYPES
from tinycnn.tensor import Tensor

(
    FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor,
    BFloat16Tensor,
) = (TensorType(name, "cuda") for name in TENSOR_TYPES)  # fmt: skip

# Each recording holds all memory of one step, so a step with many different shapes is not worth capturing.
MOST_RECORDINGS = 8


def is_available() -> bool:
    """Whether CuPy is installed and finds a driver and a GPU."""
    return backend.device("auto") != backend.CPU


def device_count() -> int:
    """The number of usable GPUs; 0 without CuPy or a driver."""
    return backend.gpu_count() if is_available() else 0


def synchronize(device: DeviceLike = None) -> None:
    """Waits until all work submitted to the GPU `device` is done. ValueError for the CPU."""
    _gpu("synchronize", device).synchronize()


def memory_allocated(device: DeviceLike = None) -> int:
    """Bytes occupied by arrays on the GPU, without those of captured steps. ValueError for the CPU."""
    with _gpu("memory_allocated", device):
        return backend.cupy().get_default_memory_pool().used_bytes()


def memory_reserved(device: DeviceLike = None) -> int:
    """Bytes that the memory pool holds: those of arrays and those cached for new ones. ValueError for the CPU.

    Nothing is returned to the GPU before `empty_cache`, so this is slightly above the peak of `memory_allocated`.
    """
    with _gpu("memory_reserved", device):
        return backend.cupy().get_default_memory_pool().total_bytes()


# The pool keeps no peak: what it holds is the nearest figure above it.
max_memory_allocated = max_memory_reserved = memory_reserved


def reset_peak_memory_stats(device: DeviceLike = None) -> None:
    """Returns cached memory, so that `max_memory_allocated` starts from what is in use now."""
    empty_cache()


def empty_cache() -> None:
    """Returns cached memory that no array uses to the GPU, for other programs. Nothing without a GPU."""
    if is_available():
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


# --- captured steps -----------------------------------------------------------------------------------------


def capture(step: Callable[..., Any], warmup: int = 2) -> CapturedStep:
    """Captures a training step as a CUDA graph, which the host then replays with a single launch.

        @tinycnn.cuda.capture
        def train_step(images, targets):
            optimizer.zero_grad()
            loss = cross_entropy(model(images), targets)
            loss.backward()
            optimizer.step()
            return loss

        for images, targets in loader:
            loss = train_step(images, targets)

    Every call is one step. The first `warmup` calls with arguments of new shapes run eagerly, which compiles kernels
    and allocates the optimizer's buffers. The next call is captured and replayed; later calls are replays.

    A replay repeats the work of the GPU, not the Python code: branches stay as they were taken during the capture.
    Weights, arguments, random states, learning rates and the other options of optimizers are read at every replay.
    Returned tensors and gradients lie in memory of the graph: the next call overwrites them.

    The step must not wait for the GPU (`item()`, `print(tensor)`, an `if` on a tensor's value) nor move tensors
    between devices. If it cannot be captured, one RuntimeWarning says why and all calls run eagerly.

    Args:
        step: a function of Tensors on one GPU and of other arguments; new values of these are captured anew.
        warmup: eager calls before the capture, at least 1. Default 2.

    Raises TypeError if `step` cannot be called, TypeError or ValueError for another `warmup`.
    """
    if not callable(step):
        raise TypeError(f"capture: expected a function, got {type(step).__name__}")
    return CapturedStep(step, check_positive("capture", "warmup", warmup))


class CapturedStep:
    """What `capture` returns: the step, captured once for each set of argument shapes.

    Attribute `reason`: why the step runs eagerly; None as long as it can be captured.
    """

    def __init__(self, step: Callable[..., Any], warmup: int):
        self.step, self.warmup = step, warmup
        self.reason: str | None = None
        self._calls: dict[tuple, int] = {}  # eager calls by the signature of the arguments
        self._recordings: dict[tuple, _Recording] = {}

    @property
    def captured(self) -> bool:
        """Whether there is a graph to replay."""
        return bool(self._recordings)

    def __call__(self, *arguments: Any) -> Any:
        if self.reason is not None:
            return self.step(*arguments)
        signature = tuple(map(_signature, arguments))
        if signature in self._recordings:
            with backend.cupy().cuda.Device(self._recordings[signature].device.index):
                return self._recordings[signature].replay(arguments)
        self.reason = _obstacle(arguments, len(self._recordings))
        if self.reason is None:
            device = _device(arguments)
            with backend.cupy().cuda.Device(device.index):
                calls = self._calls[signature] = self._calls.get(signature, 0) + 1
                if calls <= self.warmup:
                    return self._run_beside(arguments)
                try:
                    recording = _Recording(device, self._own_stream(), self.step, arguments)
                except Exception as error:  # the eager call below raises it again, or works
                    self.reason = f"{type(error).__name__}: {error}".splitlines()[0]
                else:
                    self._recordings[signature] = recording
                    return recording.replay(arguments)
        warnings.warn(f"capture: the step runs eagerly: {self.reason}", RuntimeWarning, stacklevel=2)
        return self.step(*arguments)

    def _run_beside(self, arguments: tuple) -> Any:
        """Runs the step eagerly in the stream that will capture it, so that cuBLAS allocates its workspace there."""
        current, own = backend.cupy().cuda.get_current_stream(), self._own_stream()
        own.wait_event(current.record())
        with own:
            result = self.step(*arguments)
        current.wait_event(own.record())
        return result

    @staticmethod
    def _own_stream() -> Any:
        return _recording_stream(backend.cupy().cuda.runtime.getDevice(), threading.get_ident())


@cache
def _recording_stream(device: int, thread: int) -> Any:
    """The stream in which a thread captures all its steps on `device`.

    It is shared because every stream has memory and a workspace that are never freed. The default stream cannot
    capture, nor can a stream that synchronizes with it.
    """
    return backend.cupy().cuda.Stream(non_blocking=True)


class _Recording:
    """One captured step: the graph and all memory that it uses."""

    def __init__(self, device: backend.Device, stream: Any, step: Callable[..., Any], arguments: tuple):
        cupy = backend.cupy()
        self.device = device
        # Buffers for the arguments; each call copies into them.
        self.arguments = tuple(_copied(x) if isinstance(x, Tensor) else x for x in arguments)
        # The graph holds addresses. So what is allocated during the capture comes from a pool that lives as long as the
        # graph: the default pool would reuse the memory as soon as Python drops the arrays.
        self.pool = cupy.cuda.MemoryPool(_from_device)
        # The capture allocates as much as the eager calls did; what they left cached in this stream is freed first.
        cupy.get_default_memory_pool().free_all_blocks(stream)
        stream.wait_event(cupy.cuda.get_current_stream().record())
        with stream, cupy.cuda.using_allocator(self.pool.malloc), backend.recording() as self.before_replay:
            stream.begin_capture()
            try:
                self.result = step(*self.arguments)
            except BaseException:
                _abandon(stream)
                raise
            self.graph = stream.end_capture()
        # What a replay overwrites, beside what counts itself: gradients, and tensors that the step changes in place.
        self.written = _tensors(self.result)

    def replay(self, arguments: tuple) -> Any:
        for own, given in zip(self.arguments, arguments, strict=True):
            if isinstance(own, Tensor) and own is not given:
                own._array[...] = given._array
                own._changed_in_place()
        for refresh in self.before_replay:
            refresh()
        self.graph.launch()
        for tensor in self.written:
            tensor._changed_in_place()
        return self.result


def _tensors(result: Any) -> list[Tensor]:
    """The Tensors in what a step returns: itself, or in tuples, lists and dicts."""
    if isinstance(result, Tensor):
        return [result]
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, (tuple, list)) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _from_device(size: int) -> Any:
    """Allocates for the pool of a recording.

    On a shortage CuPy's own allocator would free the pool's unused blocks, which kernels captured earlier still use.
    """
    cuda = backend.cupy().cuda
    try:
        return cuda.MemoryPointer(cuda.Memory(size), 0)
    except cuda.runtime.CUDARuntimeError as error:
        free, total = cuda.runtime.memGetInfo()
        raise cuda.memory.OutOfMemoryError(size, total - free) from error


def _abandon(stream: Any) -> None:
    """Ends a failed capture, so that the stream can be used again."""
    with contextlib.suppress(RuntimeError):  # the error that broke the capture is already being raised
        stream.end_capture()


def _copied(x: Tensor) -> Tensor:
    """A copy with the same memory order, detached from the graph."""
    copy = wrap(x._array.astype(x.dtype, order="K", copy=True))
    return copy.requires_grad_(x.requires_grad)


def _signature(x: Any) -> Any:
    """What an argument must have in common with a captured one for the graph to be replayed."""
    if isinstance(x, Tensor):
        return x.shape, str(x.dtype), str(x.device), x.requires_grad
    try:
        hash(x)
    except TypeError:
        return id(x)
    return type(x), x


def _device(arguments: tuple) -> backend.Device:
    """The GPU of the arguments; CuPy's current one if none is a Tensor."""
    found = next((x.device for x in arguments if isinstance(x, Tensor)), None)
    return found or backend.Device.named("cuda", backend.cupy().cuda.runtime.getDevice())


def _obstacle(arguments: tuple, recordings: int) -> str | None:
    """Why a call with these arguments cannot be captured, or None."""
    devices = sorted({str(x.device) for x in arguments if isinstance(x, Tensor)})
    if "cpu" in devices or len(devices) > 1:
        return f"expected all arguments on one GPU, got tensors on {' and '.join(devices)}"
    try:
        backend.device("cuda")
    except (ImportError, RuntimeError, ValueError) as error:
        return str(error)
    if recordings >= MOST_RECORDINGS:
        return f"it was called with more than {MOST_RECORDINGS} different sets of shapes"
    return None
