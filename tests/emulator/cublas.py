"""The emulated cuBLAS: a shared library with its C interface, whose products NumPy computes."""

from __future__ import annotations

import ctypes
import functools
from ctypes import c_double, c_int, c_int64, c_void_p
from pathlib import Path

import numpy as np

from . import compiler, machine, memory

NOT_INITIALIZED, EXECUTION_FAILED = 1, 13
TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 14: np.uint16}  # NumPy has no bfloat16
BFLOAT16 = 14
BIAS, SUM_B = 4, 512  # cuBLASLt's epilogues: BIAS, BGRADB


class Gemm(ctypes.Structure):  # as in cublas.cpp
    _fields_ = (
        [("stream", c_void_p), ("A", c_void_p), ("B", c_void_p), ("C", c_void_p)]
        + [("alpha", c_double), ("beta", c_double)]
        + [(name, c_int64) for name in ("stride_A", "stride_B", "stride_C")]
        + [(name, c_int) for name in ("m", "n", "k", "lda", "ldb", "ldc", "transpose_A", "transpose_B")]
        + [(name, c_int) for name in ("A_type", "B_type", "C_type", "batch", "round_to_tf32", "has_workspace")]
        + [("epilogue", c_int), ("vector", c_void_p)]
    )


def _matrices(address, code, rows, columns, leading, stride, batch):
    """The column-major matrices at `address`: a view (batch, rows, columns) of live device memory."""
    dtype = np.dtype(TYPES[code])
    if rows == 0 or columns == 0:
        return np.empty((batch, rows, columns), dtype)
    reach = (batch - 1) * stride + (columns - 1) * leading + rows
    memory_of_all = memory.find(address or 0, reach * dtype.itemsize)
    strides = (stride * dtype.itemsize, dtype.itemsize, leading * dtype.itemsize)
    return np.ndarray((batch, rows, columns), dtype, memory_of_all, 0, strides)


def _rounded(bits, kept):
    """float32 as uint32 `bits`, with `kept` of its 23 bits of mantissa: to nearest, ties to even."""
    drop = 23 - kept
    last = (bits >> np.uint32(drop)) & np.uint32(1)
    return (bits + last + np.uint32((1 << (drop - 1)) - 1)) & np.uint32(~((1 << drop) - 1) & 0xFFFFFFFF)


def _read(matrices, code, to_tf32):
    if code == BFLOAT16:
        return (matrices.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if code == 0 and to_tf32:
        return _rounded(np.ascontiguousarray(matrices).view(np.uint32), 10).view(np.float32)
    return matrices.astype(np.float64 if code == 1 else np.float32)


def _write(matrices, code, values):
    if code == BFLOAT16:
        values = _rounded(np.ascontiguousarray(values, np.float32).view(np.uint32), 7) >> np.uint32(16)
    matrices[...] = values


def _execute(pointer):
    """Runs or records one call; returns a cuBLAS status."""
    g = Gemm.from_buffer_copy(pointer.contents)
    recording = machine.current_stream().is_capturing()
    if recording and not g.has_workspace:
        return NOT_INITIALIZED  # cuBLAS would allocate one, which no capture allows
    if (g.stream or 0) != machine.current_stream().ptr:
        return EXECUTION_FAILED  # not what cuBLAS says, but the product would not be ordered after its inputs
    try:
        A = _matrices(g.A, g.A_type, *((g.k, g.m) if g.transpose_A else (g.m, g.k)), g.lda, g.stride_A, g.batch)
        B = _matrices(g.B, g.B_type, *((g.n, g.k) if g.transpose_B else (g.k, g.n)), g.ldb, g.stride_B, g.batch)
        C = _matrices(g.C, g.C_type, g.m, g.n, g.ldc, g.stride_C, g.batch)
        length = {BIAS: g.m, SUM_B: g.n}.get(g.epilogue, 0)
        vector = _matrices(g.vector, g.C_type, length, 1, length, 0, 1) if length else None
    except ValueError:
        return EXECUTION_FAILED  # a GPU would stop at the illegal address
    A, B = (A.swapaxes(1, 2) if g.transpose_A else A), (B.swapaxes(1, 2) if g.transpose_B else B)

    def operation():
        with np.errstate(all="ignore"):
            precise = np.float64 if g.C_type == 1 else np.float32
            result = precise(0)
            if g.alpha:
                product = _read(A, g.A_type, g.round_to_tf32) @ _read(B, g.B_type, g.round_to_tf32)
                result = precise(g.alpha) * product
            if g.beta:  # C is not read for 0, so that it may hold nan
                result = result + precise(g.beta) * _read(C, g.C_type, False)
            if g.epilogue == BIAS:
                result = result + _read(vector, g.C_type, False)
            if g.epilogue == SUM_B:
                _write(vector, g.C_type, _read(B, g.B_type, False).sum(1, precise)[..., None])
            _write(C, g.C_type, np.broadcast_to(result, C.shape))

    machine.execute(operation)
    return 0


@functools.cache
def cublas_path() -> Path:
    """The shared library, for ctypes.CDLL."""
    source = (Path(__file__).parent / "cublas.cpp").read_text()
    path = compiler.build(["-O1", "-std=c++17"], source)
    hook = ctypes.CFUNCTYPE(c_int, ctypes.POINTER(Gemm))(_execute)
    cublas_path.keep = library, _ = ctypes.CDLL(str(path)), hook  # the library calls the hook as long as it is loaded
    library.set_executor(hook)
    return path
