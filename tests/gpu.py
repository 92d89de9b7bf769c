"""For tests marked `gpu`: captures, and the proof that nothing makes the host wait."""

import contextlib
import os


@contextlib.contextmanager
def without_waiting(but=()):
    """Fails if the host waits for the device in the with statement, except for `but`. Only the emulator can tell."""
    if os.environ.get("TINYCNN_EMULATE_GPU") != "1":
        yield
        return
    from tests import emulator

    emulator.waits.clear()
    yield
    assert set(emulator.waits) <= set(but)


def captured(work):
    """(what `work()` returns, the graph of what it does), with memory of its own."""
    import cupy

    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.Stream(non_blocking=True) as stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        try:
            result = work()
        except BaseException:
            with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                stream.end_capture()
            raise
        return result, stream.end_capture()
