"""Steps captured as CUDA graphs: what a replay repeats, what it must find unchanged, and where its memory lies."""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Hashable, Set
from operator import is_
from typing import Any

import numpy as np

from tinycnn import autograd, backend
from tinycnn.autocast_mode import anew
from tinycnn.autograd import Function, wrap
from tinycnn.backend import Array
from tinycnn.backend.recording import Outdated, Recorded, ranks
from tinycnn.checks import check_positive
from tinycnn.grad_mode import thread_mode
from tinycnn.tensor import Tensor

# A step that is called with ever other shapes, or whose tensors are ever replaced, is not worth capturing.
MOST_RECORDINGS, MOST_CAPTURES, MOST_SIGNATURES = 8, 100, 64

# What is done with a call.
GIVE_UP, EAGER, CAPTURE, REPLAY = range(4)


class Obstacle(Exception):
    """A call cannot be captured: the message says why."""


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

    A replay repeats the work of the GPU, not the Python code: branches, such as those of `train()` and `eval()`, stay
    as they were taken during the capture, hooks are not called, and what a step appends to a list is not appended.
    Weights, arguments, random states, learning rates and the other options of optimizers are read at every replay.
    Gradients are set, or added to, as the step does. Where an array that the graph uses was replaced, by `x.data = y`,
    `to(device)` or `load_state_dict` of an optimizer, or `requires_grad` has changed, the step is captured anew.

    Returned tensors and gradients lie in memory of the graph: the next call overwrites them, which counts as a change
    in place. The graph of a returned tensor is not that of a replay: `backward()` belongs into the step.

    The step must not wait for the GPU (`item()`, `print(tensor)`, an `if` on a tensor's value) nor move tensors
    between devices. If it cannot be captured, one RuntimeWarning says why and all calls run eagerly. Of ranks that
    exchange arrays in the step (see `tinycnn.distributed`), all capture a call or none does.

    Args:
        step: a function of Tensors on one GPU and of other arguments; for new values of these it is captured anew.
            Tensors may come in lists, tuples and dicts. Other objects are told apart by equality, most by identity:
            what such an object holds is read at the capture.
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
        functools.update_wrapper(self, step)
        self.step, self.warmup = step, warmup
        self.reason: str | None = None
        self._recordings: dict[Hashable, list[_Recording]] = {}  # by the signature of the arguments
        self._eager: dict[Hashable, tuple[int, dict]] = {}  # eager calls, and the constants that the last one used
        self._shared: dict[int, _Shared] = {}  # by GPU
        self._captures = 0
        self._exchanges = False  # arrays with other ranks, as an eager call has shown

    @property
    def captured(self) -> bool:
        """Whether there is a graph to replay."""
        return any(self._recordings.values())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A method, where the step was decorated in a class."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if self.reason is not None or backend.recorded() is not None:  # as a part of another step
            return self.step(*arguments, **keywords)
        tensors: list[Tensor] = []
        try:
            signature = self._signature(arguments, keywords, tensors)
            recordings = self._recordings_of(signature)
            recording = next((each for each in recordings if each.fits(tensors)), None)
            if recording is None:
                self._check(tensors)
        except Obstacle as obstacle:
            self._agreed(GIVE_UP)
            return self._give_up(str(obstacle), arguments, keywords)
        plan = REPLAY
        if recording is None:
            plan = EAGER if self._eager_calls(signature, recordings) < self.warmup else CAPTURE
        agreed = self._agreed(plan)
        reason = "another rank cannot capture it"
        device = tensors[0].device.index if tensors else backend.cupy().cuda.runtime.getDevice()
        with backend.cupy().cuda.Device(device):
            if agreed == EAGER:
                return self._run_beside(self._key(signature, recordings), arguments, keywords)
            if agreed == REPLAY and recording is not None:
                try:
                    return recording.replay(tensors)
                except Outdated:  # on all ranks, which make the same steps
                    recordings.remove(recording)
                    return self(*arguments, **keywords)
            if agreed == CAPTURE and recording is None:
                _, constants = self._eager[self._key(signature, recordings)]
                try:
                    recording = self._record(device, arguments, keywords, tensors, constants)
                except Exception as error:  # the eager call raises it again, or works
                    reason = f"{type(error).__name__}: {error}".splitlines()[0]
                else:
                    recordings.append(recording)
            if agreed == CAPTURE and self._agreed(GIVE_UP if recording is None else REPLAY) == REPLAY:
                assert recording is not None
                return recording.replay(tensors)
        return self._give_up(reason, arguments, keywords)

    def _record(self, device: int, *given: Any) -> _Recording:
        if device not in self._shared:
            self._shared[device] = _Shared(device)
        recording = _Recording(self._shared[device], self._own_stream(), self.step, *given)
        self._captures += 1
        return recording

    @staticmethod
    def _signature(arguments: tuple, keywords: dict, tensors: list[Tensor]) -> Hashable:
        """What a call must have in common with a captured one. Appends its Tensors to `tensors`."""
        try:
            casting = thread_mode.autocast
            modes = autograd.is_grad_enabled(), backend.precision.chosen.product, casting and casting.state
            return _structure((arguments, keywords), tensors), *modes
        except TypeError as error:
            raise Obstacle(str(error)) from None

    def _recordings_of(self, signature: Hashable) -> list[_Recording]:
        """Those that are still of use."""
        if signature not in self._recordings and len(self._recordings) >= MOST_SIGNATURES:
            what = f"it was called with more than {MOST_SIGNATURES} different sets of arguments that are no tensors"
            raise Obstacle(what)
        recordings = self._recordings.setdefault(signature, [])
        for recording in [*recordings]:
            if not recording.is_valid():
                recordings.remove(recording)
                self._eager.clear()  # perhaps there is a new optimizer's state to be made
        return recordings

    @staticmethod
    def _key(signature: Hashable, recordings: list[_Recording]) -> Hashable:
        """Under which eager calls are counted."""
        return signature, *[recording.are_none() for recording in recordings[:1]]

    def _eager_calls(self, signature: Hashable, recordings: list[_Recording]) -> int:
        calls, _ = self._eager.get(self._key(signature, recordings), (0, {}))
        return calls

    def _agreed(self, plan: int) -> int:
        """The least plan of all ranks that exchange arrays in the step: NCCL's calls are captured on all or on none."""
        others = ranks()
        return plan if others is None or not self._exchanges else others.least(plan)

    def _eagerly(self, arguments: tuple, keywords: dict) -> Any:
        """Runs the step, and sees whether it exchanges arrays with other ranks."""
        others = ranks()
        before = 0 if others is None else others.calls_on_gpus
        result = self.step(*arguments, **keywords)
        self._exchanges |= others is not None and others.calls_on_gpus > before
        return result

    def _give_up(self, reason: str, arguments: tuple, keywords: dict) -> Any:
        """Runs the step eagerly, from now on, with one warning."""
        self.reason = reason
        for kept in (self._recordings, self._eager, self._shared):
            kept.clear()
        warnings.warn(f"capture: the step runs eagerly: {reason}", RuntimeWarning, stacklevel=3)
        agreed = self._exchanges
        result = self._eagerly(arguments, keywords)
        if self._exchanges and not agreed:  # the other ranks do not know yet
            self.reason = None
        return result

    def _check(self, tensors: list[Tensor]) -> None:
        """Raises Obstacle if a call with these Tensors cannot be captured."""
        devices = sorted({str(x.device) for x in tensors})
        if "cpu" in devices or len(devices) > 1:
            raise Obstacle(f"expected all arguments on one GPU, got tensors on {' and '.join(devices)}")
        try:
            backend.device("cuda")
        except (ImportError, RuntimeError, ValueError) as error:
            raise Obstacle(str(error)) from None
        if sum(map(len, self._recordings.values())) >= MOST_RECORDINGS:
            raise Obstacle(f"it was called with more than {MOST_RECORDINGS} different sets of shapes")
        if self._captures >= MOST_CAPTURES:
            raise Obstacle(f"arrays that it uses were replaced {MOST_CAPTURES} times: change them in place")

    def _run_beside(self, key: Hashable, arguments: tuple, keywords: dict) -> Any:
        """Runs the step eagerly in the stream that will capture it, so that cuBLAS allocates its workspace there."""
        constants: dict[Hashable, Any] = {}
        calls, _ = self._eager.get(key, (0, constants))
        self._eager[key] = calls + 1, constants
        current, own = backend.cupy().cuda.get_current_stream(), self._own_stream()
        own.wait_event(current.record())
        with own, anew(thread_mode.autocast), backend.keeping_constants(constants):
            result = self._eagerly(arguments, keywords)
        current.wait_event(own.record())
        return result

    @staticmethod
    def _own_stream() -> Any:
        return _recording_stream(backend.cupy().cuda.runtime.getDevice(), threading.get_ident())


@functools.cache
def _recording_stream(device: int, thread: int) -> Any:
    """The stream in which a thread captures all its steps on `device`.

    It is shared because every stream has memory and a workspace that are never freed. The default stream cannot
    capture, nor can a stream that synchronizes with it.
    """
    return backend.cupy().cuda.Stream(non_blocking=True)


# --- one recording ------------------------------------------------------------------------------------------


class _Recording:
    """One captured step: the graph, all memory that it uses, and what it is to Python."""

    def __init__(
        self, shared: _Shared, stream: Any, step: Callable[..., Any], arguments: tuple, keywords: dict,
        tensors: list[Tensor], constants: dict,
    ):  # fmt: skip
        self.shared, self.constants = shared, constants
        self.own = [_copied(x) for x in tensors]  # buffers for the arguments; each call copies into them
        given = _replaced((arguments, keywords), dict(zip(map(id, tensors), self.own)))
        # If not what stayed before stays, once more, now that it is known; then in memory of its own.
        for memory in (shared.memory, shared.memory, lambda: _Memory(_Pool())):
            self._record(memory(), stream, step, given, tensors)
            if shared.learn(self.memory):
                break

    def _record(
        self, memory: _Memory, stream: Any, step: Callable[..., Any], given: tuple, tensors: list[Tensor]
    ) -> None:
        """Captures the step. The graph holds addresses. So what is allocated comes from `memory`, which lives as long
        as the graph: the default pool would reuse it as soon as Python drops the arrays."""
        cupy = backend.cupy()
        self.memory, self.recorded = memory, (recorded := Recorded(memory.holds))
        arguments, keywords = given
        # The capture allocates as much as the eager calls did; what they left cached in this stream is freed first.
        cupy.get_default_memory_pool().free_all_blocks(stream)
        stream.wait_event(cupy.cuda.get_current_stream().record())
        using_memory = cupy.cuda.using_allocator(backend.gpu_memory.counted(memory.allocator()))
        # Casts of parameters that autocast has made before are of the weights as they were.
        casting = anew(thread_mode.autocast)
        with stream, using_memory, casting, backend.recording(recorded), backend.keeping_constants(self.constants):
            try:
                stream.begin_capture()
                self.result = step(*arguments, **keywords)
                self._check(tensors)
            except BaseException:
                _abandon(stream)
                raise
            self.graph = stream.end_capture()
            self.after = [(holder, key, holder.get(key)) for holder, key, *_ in recorded.rebound.values()]
        left = [weakref.ref(x) for x in gc.get_objects() if issubclass(type(x), Tensor) and memory.holds(x)]
        for x in autograd.alive(left):
            if x._node is not None:
                x._node = _OfCapturedStep(x)
        versions = [x._shared_version() for x in (*autograd.alive(left), *self.own)]
        memory.close()
        self.written = [*dict.fromkeys([*versions, *recorded.versions])]  # each replay is a change of them
        self.changed = [i for i, own in enumerate(self.own) if own._changes in recorded.versions]
        self.leaves = [i for i, own in enumerate(self.own) if own._requires_grad]
        self.read = [(holder, value) for holder, _, value, reads in recorded.rebound.values() if reads]
        self.relied_on = [*zip(*recorded.relied_on.values())] or [(), (), ()]

    def _check(self, tensors: list[Tensor]) -> None:
        """RuntimeError for a step that no replay would repeat."""
        for place, (holder, key, value) in self.recorded.relied_on.items():
            if holder.get(key) is not value and place not in self.recorded.rebound:
                what = "the array of a tensor" if isinstance(key, str) and key == "_array" else "what it has used"
                raise RuntimeError(f"expected a step that changes tensors in place, this one replaces {what}")
        for own, given in zip(self.own, tensors, strict=True):
            if given._node is not None and own._grad is not None:
                raise RuntimeError(
                    f"expected arguments that were not computed from others, or need no gradient: the gradient of one "
                    f"of shape {tuple(given.shape)} would end in the step; detach() it"
                )

    def is_valid(self) -> bool:
        """Whether all that the graph relies on is still there. A look at each, without a call."""
        holders, keys, values = self.relied_on
        return all(map(is_, map(dict.get, holders, keys), values))

    def fits(self, tensors: list[Tensor]) -> bool:
        """Whether the gradients that the step takes as they are, are there or None as at the capture."""
        for i in self.leaves:
            self.own[i]._grad = tensors[i]._grad
        return all((holder.get("_grad") is None) is (value is None) for holder, value in self.read)

    def are_none(self) -> tuple[bool, ...]:
        """Which of the gradients that the step takes as they are, are None now."""
        return tuple([holder.get("_grad") is None for holder, _ in self.read])

    def replay(self, tensors: list[Tensor]) -> Any:
        for own, given in zip(self.own, tensors):
            if own is not given:
                own._array[...] = given._array
        for i in self.leaves:
            self.own[i]._grad = tensors[i]._grad
        for holder, captured in self.read:
            if captured is not None and holder["_grad"]._array is not captured._array:
                captured._array[...] = holder["_grad"]._array
        for callback in self.recorded.callbacks:
            callback()
        self.shared.launch(self.graph)
        for version in self.written:
            version.count += 1
        for holder, key, value in self.after:
            holder[key] = value
        for i in self.leaves:
            tensors[i]._grad, self.own[i]._grad = self.own[i]._grad, None
        for i in self.changed:
            tensors[i]._array[...] = self.own[i]._array
            tensors[i]._changed_in_place()
        return self.result


class _OfCapturedStep(Function):
    """The node of a tensor that a captured step has left: a replay records no graph."""

    def __init__(self, output: Tensor):
        assert output._node is not None
        self.order, self.edges, self._requires = output._node.order, [None], [False]
        self._output_type = output._array.shape, output._array.dtype

    def backward(self, grad_output: Tensor) -> None:
        raise RuntimeError("backward through a tensor of a captured step: call backward() in the step")


def _abandon(stream: Any) -> None:
    """Ends a failed capture, so that the stream can be used again."""
    with contextlib.suppress(RuntimeError):  # the error that broke the capture is already being raised
        stream.end_capture()


# --- arguments ----------------------------------------------------------------------------------------------


def _structure(x: Any, tensors: list[Tensor]) -> Hashable:
    """What an argument must have in common with a captured one for the graph to be replayed.

    Appends its Tensors, each once, to `tensors`. TypeError for what may change without being another object.
    """
    if isinstance(x, Tensor):
        for i, known in enumerate(tensors):
            if known is x:
                return i
        tensors.append(x)
        return x._array.shape, x._array.dtype, backend.device_of(x._array).index, x._requires_grad
    if _is_container(x):
        keys = tuple([_structure(key, tensors) for key in x]) if isinstance(x, dict) else ()
        return type(x), keys, tuple([_structure(part, tensors) for part in _parts(x)])
    if isinstance(x, float):
        return type(x), x.hex()  # nan is like itself, and 0.0 unlike −0.0
    if isinstance(x, (complex, np.generic)):
        return type(x), np.asarray(x).tobytes()
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            "expected arguments that are tensors, hashable, or lists, tuples and dicts of these, "
            f"got {type(x).__name__}"
        ) from None
    return type(x), x


def _is_container(x: Any) -> bool:
    return type(x) in (list, tuple, dict) or (isinstance(x, tuple) and hasattr(x, "_fields"))


def _parts(x: Any) -> Any:
    return x.values() if isinstance(x, dict) else x


def _replaced(x: Any, others: dict[int, Tensor]) -> Any:
    """The argument with other Tensors in place of its own, whose ids are given."""
    if isinstance(x, Tensor):
        return others[id(x)]
    if not _is_container(x):
        return x
    parts = [_replaced(part, others) for part in _parts(x)]
    if isinstance(x, dict):
        return dict(zip(x, parts))
    return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)


def _copied(x: Tensor) -> Tensor:
    """A copy with the same memory order and the same gradient, detached from the graph."""
    copy = wrap(x._array.astype(x.dtype, order="K", copy=True))
    copy._grad = x._grad
    return copy.requires_grad_(x.requires_grad)


# --- memory -------------------------------------------------------------------------------------------------


class _Pool:
    """A memory pool of CuPy's that never gives memory back while graphs work in it."""

    def __init__(self) -> None:
        self.pool = backend.cupy().cuda.MemoryPool(_from_device)
        self.pool.set_limit(0)  # at a limit, unused blocks would be freed
        backend.gpu_memory.pool_owners.add(self)
        self.device = backend.cupy().cuda.Device()

    def __del__(self) -> None:
        with self.device:  # a pool that dies does not free its unused blocks
            self.pool.free_all_blocks()


class _Shared:
    """What all recordings of a step on one GPU share.

    No two of them are replayed at once, so that they may work in the same memory: what one has freed during its
    capture, the next is given. But what stays at the end of one, results and gradients, must lie where no other one
    works. For the first recording it does: it was not freed. For others it is taken from memory of its own. Which
    allocations of a step these are, counted from its beginning, is known from the recording before.
    """

    def __init__(self, device: int):
        self.device = device
        self.working, self.staying = _Pool(), _Pool()
        self.stays: set[int] | None = None  # the numbers of the allocations that stay; None before the first recording

    def memory(self) -> _Memory:
        """Memory for a recording."""
        return _Memory(self.working) if self.stays is None else _Memory(self.working, self.staying, self.stays)

    def learn(self, memory: _Memory) -> bool:
        """Learns from a recording what stays, and returns whether all of that lies where it may."""
        stay = {number for number, _ in memory.held.values()} - memory.freed
        is_known = self.stays is None or stay <= memory.stays
        self.stays = stay
        return is_known

    def launch(self, graph: Any) -> None:
        """Launches a graph in the current stream, behind a graph that was launched in another one: they may share
        memory, and what was recorded in one stream, of whatever step, shares that stream's workspace."""
        stream, last = backend.cupy().cuda.get_current_stream(), _last_stream.get(self.device)
        if last is not None and last != stream:
            stream.wait_event(last.record())
        _last_stream[self.device] = stream
        graph.launch()


_last_stream: dict[int, Any] = {}  # by GPU: in which the last graph was launched


class _Memory:
    """Allocates for one recording: from the pool `working`, and the allocations of the numbers `stays` from `staying`.

    What the step frees is free again, for the rest of it and for recordings to come. What is there at its end, or is
    of those numbers, is written by each replay: that is free again when the recording and all arrays of it are gone.
    """

    def __init__(self, working: _Pool, staying: _Pool | None = None, stays: Set[int] = frozenset()):
        self.working, self.staying, self.stays = working, staying or working, stays
        self.freed: set[int] = set()  # numbers of those of `stays` that the step did free
        self.held: dict[int, tuple[int, Any]] = {}  # by address: the number of the allocation, CuPy's pointer
        self.count = 0
        self.closed = False

    def __del__(self) -> None:
        self.closed = True
        self.held.clear()  # before the pools are given up

    def allocator(self) -> Callable[[int], Any]:
        """For `using_allocator`: CuPy calls `_free` when an array's memory is not needed any more."""
        return backend.cupy().cuda.PythonFunctionAllocator(self._allocate, self._free).malloc

    def _allocate(self, size: int, device: int) -> int:
        owner = self.staying if self.count in self.stays else self.working
        pointer = owner.pool.malloc(size)
        self.held[pointer.ptr] = self.count, pointer
        self.count += 1
        return pointer.ptr

    def _free(self, address: int, device: int) -> None:
        if self.closed:
            return
        number, _ = self.held[address]
        if number in self.stays:
            self.freed.add(number)
        else:
            del self.held[address]

    def holds(self, x: Tensor | Array) -> bool:
        """Whether the array, or that of a Tensor, was made during the capture. One without elements may well be."""
        array: Any = getattr(x, "_array", x)
        return backend.is_gpu_array(array) and (array.size == 0 or backend.memory_address(array) in self.held)

    def close(self) -> None:
        """Ends the capture: what is there stays."""
        self.closed = True


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
