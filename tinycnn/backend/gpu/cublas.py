"""Matrix products by cuBLAS, through handles of our own.

CuPy's wrapper refuses every cuBLAS call while a stream is being captured, and its `matmul` copies operands that
overlap in memory, as the windows of a convolution do. cuBLAS itself allows both, given a workspace that exists before
the capture. So this module loads the library that CuPy uses and calls the few functions needed.

Nothing here imports CuPy: pointers and streams are integers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import byref, c_int, c_longlong, c_void_p
from functools import cache

from tinycnn._extras import how_to_install

OK = 0

# cudaDataType_t, by NumPy's letters for the dtypes; E is that of ml_dtypes for bfloat16.
DATA_TYPES = {"f": 0, "d": 1, "e": 2, "E": 14}

# cublasComputeType_t: in which precision products are summed, and operands taken.
COMPUTE_32F, COMPUTE_32F_FAST_TF32, COMPUTE_64F = 68, 77, 70
DEFAULT_ALGORITHM = -1

# What NVIDIA advises for Hopper; more than older chips ask for. A fixed workspace also makes results reproducible.
WORKSPACE_BYTES = 32 << 20


@cache
def library(cuda: int) -> ctypes.CDLL:
    """The cuBLAS for the major version `cuda` of CUDA: that at TINYCNN_CUBLAS, of CuPy's wheels, or of the system."""
    names = [f"cublas64_{cuda}" if sys.platform == "win32" else f"libcublas.so.{cuda}"]
    if path := os.environ.get("TINYCNN_CUBLAS"):
        names = [path]
    else:
        try:
            from cuda.pathfinder import load_nvidia_dynamic_lib

            names.insert(0, load_nvidia_dynamic_lib("cublas").abs_path or names[0])
        except (ImportError, RuntimeError):  # an older CuPy does without pathfinder; it raises RuntimeErrors
            pass
    errors = []
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            errors.append(str(error))
    tried = "; ".join(errors)
    raise ImportError(
        f"matmul: cuBLAS was not found ({tried}): {how_to_install(f'cuda{cuda}x')}, which brings it, "
        f"or install the CUDA {cuda} toolkit"
    )


class Handle:
    """A cuBLAS handle for one device, with the workspace at the address `workspace` of WORKSPACE_BYTES."""

    def __init__(self, workspace: int, cuda: int):
        self.library = library(cuda)
        self.workspace = workspace
        self.handle = c_void_p()
        self.stream: int | None = None
        self._check(self.library.cublasCreate_v2(byref(self.handle)), "cublasCreate")
        self.gemm = self.library.cublasGemmStridedBatchedEx
        self.gemm.argtypes = [
            c_void_p, c_int, c_int, c_int, c_int, c_int, c_void_p,  # handle, transpositions, m, n, k, alpha
            c_void_p, c_int, c_int, c_longlong,  # a, its type, leading dimension, stride
            c_void_p, c_int, c_int, c_longlong,  # b
            c_void_p, c_void_p, c_int, c_int, c_longlong,  # beta, c
            c_int, c_int, c_int,  # count, compute type, algorithm
        ]  # fmt: skip
        number = {COMPUTE_64F: ctypes.c_double}
        self.scalars = {
            compute: (number.get(compute, ctypes.c_float)(1), number.get(compute, ctypes.c_float)(0))
            for compute in (COMPUTE_32F, COMPUTE_32F_FAST_TF32, COMPUTE_64F)
        }

    def use_stream(self, stream: int) -> None:
        """Products run in `stream` from now on."""
        if stream != self.stream:
            self._check(self.library.cublasSetStream_v2(self.handle, c_void_p(stream)), "cublasSetStream")
            # Setting the stream has put the default workspace back, which cuBLAS allocates when it likes.
            set_workspace = self.library.cublasSetWorkspace_v2
            status = set_workspace(self.handle, c_void_p(self.workspace), ctypes.c_size_t(WORKSPACE_BYTES))
            self._check(status, "cublasSetWorkspace")
            self.stream = stream

    def products(
        self, m: int, n: int, k: int, count: int,
        a: int, a_type: int, a_transposed: int, a_leading: int, a_stride: int,
        b: int, b_type: int, b_transposed: int, b_leading: int, b_stride: int,
        c: int, c_type: int, c_leading: int, c_stride: int,
        compute: int,
    ) -> None:  # fmt: skip
        """c[i] = a[i] b[i] for i below `count`: (m, n) = (m, k) (k, n), all by columns, as BLAS counts."""
        one, zero = self.scalars[compute]
        status = self.gemm(
            self.handle, a_transposed, b_transposed, m, n, k, byref(one),
            a, a_type, a_leading, a_stride,
            b, b_type, b_leading, b_stride,
            byref(zero), c, c_type, c_leading, c_stride,
            count, compute, DEFAULT_ALGORITHM,
        )  # fmt: skip
        self._check(status, f"cublasGemmStridedBatchedEx of {count} products ({m}, {k}) ({k}, {n})")

    def _check(self, status: int, call: str) -> None:
        if status != OK:
            describe = self.library.cublasGetStatusString
            describe.restype = ctypes.c_char_p
            raise RuntimeError(f"{call}: {describe(c_int(status)).decode()}")
