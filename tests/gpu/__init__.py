"""For tests marked `gpu`: captures, the proof that nothing makes the host wait, and comparisons with the CPU."""

import contextlib
import os

import numpy as np
import pytest

import tinycnn


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


def launches(work):
    """How many kernels, products, copies and fills `work()` launches; the test is skipped but on the emulator, which
    alone can tell."""
    if os.environ.get("TINYCNN_EMULATE_GPU") != "1":
        pytest.skip("only the emulator counts launches")
    from tests.emulator import machine

    before = machine.launches
    work()
    return machine.launches - before


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


def on_gpu(array, index=0):
    """A copy of a NumPy array on a GPU, with the same strides, gaps and negative ones included."""
    import cupy

    low, high = np.lib.array_utils.byte_bounds(array) if array.size else (0, 0)
    with cupy.cuda.Device(index):
        memory = cupy.full(high - low, 0xFF, np.uint8)
        start = memory.data + (array.__array_interface__["data"][0] - low if array.size else 0)
        result = cupy.ndarray(array.shape, array.dtype, start, array.strides if array.size else None)
        result[...] = cupy.asarray(array)
    return result


class _OnGpu:
    """tinycnn, but new tensors come on the GPU: what the operator and layer tables take as `lib`."""

    __name__ = "tinycnn"

    def __getattr__(self, name):
        return getattr(tinycnn, name)

    @staticmethod
    def tensor(data, **options):
        return tinycnn.tensor(data, device="gpu", **options)


lib = _OnGpu()


def assert_close(found, expected, tolerance):
    """Two tables of arrays, by name: equal shapes, dtypes, integers and nans; floating-point numbers may differ by
    `tolerance`, relative to the largest of the array (or 1), and those below float64 by 1e-5."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype), name
        finite = np.abs(value[np.isfinite(value)])
        scale = max(1.0, float(finite.max(initial=0))) if value.dtype.kind == "f" else 0
        least = 0 if value.dtype == np.float64 else 1e-5  # what a float64 case gives in float32: the exp of integers
        np.testing.assert_allclose(found[name], value, rtol=0, atol=max(tolerance, least) * scale, err_msg=name)
