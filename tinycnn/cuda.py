"""The GPU itself: whether there is one, its memory, and training steps recorded as CUDA graphs.

Nothing here imports CuPy until it is used.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from tinycnn import backend
from tinycnn.tensor import Tensor

# Each recording keeps all memory of one step; a step is called with few different shapes, or it is not worth it.
MOST_RECORDINGS = 8


def is_available() -> bool:
    """Whether there is a GPU that can be used: CuPy, a driver and a device."""
    return backend.device("auto") != backend.CPU


def device_count() -> int:
    """The number of usable GPUs, 0 without CuPy or a driver."""
    return backend.gpu_count() if is_available() else 0


def synchronize(device: Any = "cuda") -> None:
    """Waits until all work on the GPU `device` is done."""
    backend.cupy().cuda.Device(_gpu("synchronize", device).index).synchronize()


def memory_allocated(device: Any = "cuda") -> int:
    """The bytes that arrays on the GPU take up now, but for those of recorded steps."""
    with backend.cupy().cuda.Device(_gpu("memory_allocated", device).index):
        return backend.cupy().get_default_memory_pool().used_bytes()


def memory_reserved(device: Any = "cuda") -> int:
    """The bytes that are kept for arrays: those in use, and those that were and wait for the next ones. As none are
    given back before `empty_cache`, this is the most that was in use at a time, and a little more."""
    with backend.cupy().cuda.Device(_gpu("memory_reserved", device).index):
        return backend.cupy().get_default_memory_pool().total_bytes()


def empty_cache() -> None:
    """Gives the memory that no array uses back to the GPU, for other programs."""
    backend.cupy().get_default_memory_pool().free_all_blocks()


def _gpu(name: str, spec: Any) -> backend.Device:
    found = backend.device(spec)
    if found.type != "cuda":
        raise ValueError(f"{name}: expected a GPU, got {found}")
    return found


# --- recorded steps -----------------------------------------------------------------------------------------


def capture(step: Callable[..., Any], warmup: int = 2) -> CapturedStep:
    """A training step that is recorded as a CUDA graph and then replayed, which takes the host one launch for all.

        @tinycnn.cuda.capture
        def train_step(images, targets):
            optimizer.zero_grad()
            loss = cross_entropy(model(images), targets)
            loss.backward()
            optimizer.step()
            return loss

        for images, targets in loader:
            loss = train_step(images, targets)

    Every call is one step. The first `warmup` calls with arguments of new shapes run as they are, which compiles
    kernels and makes the optimizer's buffers; the next is recorded; that one and all later ones are replays.

    A replay repeats the work of the GPU, not the Python code: what the code decided when it was recorded stays so.
    Learning rates and other numbers of optimizers are read anew; so are random states, weights and arguments.
    Tensors that are returned, and gradients, lie in memory of the recording: the next call overwrites them.

    The step must not wait for the GPU (`item()`, `print(tensor)`, an `if` on a tensor's value) nor move tensors
    between devices. Where a step cannot be recorded, one warning says why, and all calls run as they are.

    Args:
        step: a function of Tensors on one GPU, and of other arguments, that are the same in every call.
        warmup: how many calls run before the recording. At least 1.
    """
    if not callable(step):
        raise TypeError(f"capture: expected a function, got {type(step).__name__}")
    if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 1:
        raise ValueError(f"capture: expected warmup as an int of at least 1, got {warmup!r}")
    return CapturedStep(step, warmup)


class CapturedStep:
    """What `capture` returns.

    Attributes:
        captured: whether a recording exists, so that calls with arguments of its shapes are replayed.
        reason: why the step cannot be recorded; None if nothing speaks against it so far.
    """

    def __init__(self, step: Callable[..., Any], warmup: int):
        self.step, self.warmup = step, warmup
        self.reason: str | None = None
        self._calls: dict[tuple, int] = {}  # by the arguments' signature
        self._recordings: dict[tuple, _Recording] = {}

    @property
    def captured(self) -> bool:
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
                except Exception as error:  # whatever it is: the same call without recording shows it again, or works
                    self.reason = f"{type(error).__name__}: {error}".splitlines()[0]
                else:
                    self._recordings[signature] = recording
                    return recording.replay(arguments)
        warnings.warn(f"capture: the step runs without being recorded: {self.reason}", RuntimeWarning, stacklevel=2)
        return self.step(*arguments)

    def _run_beside(self, arguments: tuple) -> Any:
        """Runs the step in the stream that will record it: cuBLAS then has its workspace for that stream."""
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
    """The stream in which a thread records all steps on the current device: each has memory and a workspace of its own,
    which nobody gives back. The default stream cannot record, nor one that waits for it."""
    return backend.cupy().cuda.Stream(non_blocking=True)


class _Recording:
    """One recorded step: the graph, and all memory that it works in."""

    def __init__(self, device: backend.Device, stream: Any, step: Callable[..., Any], arguments: tuple):
        cupy = backend.cupy()
        self.device = device
        # The arguments' own places, into which each call copies.
        self.arguments = tuple(_copied(x) if isinstance(x, Tensor) else x for x in arguments)
        # What is allocated while recording comes from a pool of this graph alone, kept as long as it: the graph holds
        # addresses, and elsewhere they would be given to others as soon as Python drops the arrays.
        self.pool = cupy.cuda.MemoryPool(_from_device)
        # The step needs as much memory again as it took while it ran in this stream, where CuPy keeps it for others.
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

    def replay(self, arguments: tuple) -> Any:
        for own, given in zip(self.arguments, arguments, strict=True):
            if isinstance(own, Tensor) and own is not given:
                own._array[...] = given._array
        for refresh in self.before_replay:
            refresh()
        self.graph.launch()
        return self.result


def _from_device(size: int) -> Any:
    """Memory for a recording's pool. Where there is not enough, CuPy's own would give all back that the pool has free,
    which the kernels recorded so far work in."""
    cuda = backend.cupy().cuda
    try:
        return cuda.MemoryPointer(cuda.Memory(size), 0)
    except cuda.runtime.CUDARuntimeError as error:
        free, total = cuda.runtime.memGetInfo()
        raise cuda.memory.OutOfMemoryError(size, total - free) from error


def _abandon(stream: Any) -> None:
    """Ends a recording that failed, so that the stream can be used again."""
    with contextlib.suppress(RuntimeError):  # what broke the recording is being raised already
        stream.end_capture()


def _copied(x: Tensor) -> Tensor:
    """A copy with the same memory order and no history."""
    copy = Tensor._wrap(x._array.astype(x.dtype, order="K", copy=True))
    return copy.requires_grad_(x.requires_grad)


def _signature(x: Any) -> Any:
    """What must be equal for a recording to fit an argument."""
    if isinstance(x, Tensor):
        return x.shape, str(x.dtype), str(x.device), x.requires_grad
    try:
        hash(x)
    except TypeError:
        return id(x)
    return type(x), x


def _device(arguments: tuple) -> backend.Device:
    """The GPU of the arguments; CuPy's current one if none is a Tensor."""
    for x in arguments:
        if isinstance(x, Tensor):
            return x.device
    return backend.Device("cuda", backend.cupy().cuda.runtime.getDevice())


def _obstacle(arguments: tuple, recordings: int) -> str | None:
    """Why a call with these arguments cannot be recorded."""
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
