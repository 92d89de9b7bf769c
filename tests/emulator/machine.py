"""The emulated machine: its devices, streams and captures, and the one place through which all work passes."""

from __future__ import annotations

import itertools
import threading
import time

DEVICES = 2
ERRORS = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    401: ("cudaErrorIllegalState", "the operation cannot be performed in the present state"),
    900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    901: ("cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"),
    906: ("cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing stream"),
}

launches = 0  # of kernels, products, copies and fills, since the start
waits: list[str] = []  # what has made the host wait for the device; a test may clear it


class CUDARuntimeError(RuntimeError):
    def __init__(self, status, detail=""):
        self.status = status
        super().__init__(": ".join([*ERRORS[status], *([detail] if detail else [])]))


class _ThreadState(threading.local):
    def __init__(self):
        self.device = 0
        self.streams = [NULL] * DEVICES
        self.capturing = []  # the streams that capture


class Stream:
    """A CUDA stream. What the current stream is given runs at once, and a copy that is given to another one as late as
    CUDA allows: when an event that follows it, or the stream, is waited for."""

    _numbers = itertools.count(0x1000, 16)

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else next(self._numbers)
        self.device_id = -1 if null else state.device
        self.is_non_blocking = non_blocking
        self._previous, self._capture = [], None
        self._late, self.given = [], 0  # operations that have not run; how many there were

    def use(self):
        if self.device_id not in (-1, state.device):
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id}) "
                f"does not match with the current device ({state.device})"
            )
        state.streams[state.device] = self
        return self

    def __enter__(self):
        previous = state.device, state.streams[state.device]
        self.use()
        self._previous.append(previous)
        return self

    def __exit__(self, *error):
        device, stream = self._previous.pop()
        state.streams[device] = stream

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)

    @property
    def done(self):
        refuse_in_capture("Stream.done")
        return True

    def synchronize(self):
        host_waits("Stream.synchronize")
        self.catch_up(self.given)

    def give(self, operation):
        self._late.append(operation)
        self.given += 1

    def catch_up(self, count):
        """Runs what has not run of the first `count` operations."""
        while self._late and self.given - len(self._late) < count:
            self._late.pop(0)()

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        event.happen()

    def is_capturing(self):
        return self._capture is not None

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise CUDARuntimeError(900, "the legacy stream cannot be captured")
        if self._capture is not None:
            raise CUDARuntimeError(401, "begin_capture during a capture")
        self._capture = Capture()
        state.capturing.append(self)

    def end_capture(self):
        if self._capture is None:
            raise CUDARuntimeError(401, "end_capture without begin_capture")
        capture, self._capture = self._capture, None
        state.capturing.remove(self)
        if capture.broken_by is not None:
            raise CUDARuntimeError(901, capture.broken_by)
        return Graph(capture.operations)


class Capture:
    def __init__(self):
        self.operations = []
        self.broken_by = None


class Graph:
    """What a stream captured. It holds addresses, not memory: whoever owns the memory has to keep it."""

    def __init__(self, operations):
        self._operations = operations

    def launch(self, stream=None):
        refuse_in_capture("Graph.launch")
        for operation in self._operations:
            operation()

    def upload(self, stream=None):
        pass


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self._timing, self._time = not disable_timing, None
        self._stream, self._count = None, 0  # follows so many operations of a stream

    def record(self, stream=None):
        self._time = time.perf_counter()
        self._stream = stream or current_stream()
        self._count = self._stream.given

    def happen(self):
        if self._stream is not None:
            self._stream.catch_up(self._count)

    @property
    def done(self):
        return True

    def synchronize(self):
        host_waits("Event.synchronize")
        self.happen()


def elapsed_time(start, end):
    """Milliseconds between two recorded events."""
    if not (start._timing and end._timing and start._time and end._time):
        raise CUDARuntimeError(1, "get_elapsed_time needs two recorded events that take the time")
    return (end._time - start._time) * 1e3


NULL = Stream(null=True)
state = _ThreadState()


def current_stream():
    return state.streams[state.device]


def capture() -> Capture | None:
    """The capture to which work on the current stream belongs."""
    current = current_stream()._capture
    if current is None and state.capturing:
        raise CUDARuntimeError(906, "work on a stream that is not captured, while another one is")
    return current


def execute(operation, stream=None):
    """Runs a device operation, a function without arguments, or records it into the graph that is being captured.

    `stream`: where, instead of the current one; nothing is captured there.
    """
    global launches
    launches += 1
    if stream is not None and stream != current_stream():
        stream.give(operation)
        return
    recording = capture()
    if recording is None:
        operation()
    else:
        recording.operations.append(operation)


def host_waits(what: str):
    """To be called by everything for which the host waits for the device."""
    refuse_in_capture(what)
    waits.append(what)


def refuse_in_capture(what: str):
    """Raises for what a graph cannot hold, and spoils the capture, as CUDA does."""
    if state.capturing:
        for stream in state.capturing:
            stream._capture.broken_by = what
        raise CUDARuntimeError(900, what)


def refuse_library_in_capture(library: str):
    """CuPy's own calls of CUDA's libraries refuse a capture without spoiling it."""
    if state.capturing:
        raise NotImplementedError(f"calling {library} API during stream capture is currently unsupported")
