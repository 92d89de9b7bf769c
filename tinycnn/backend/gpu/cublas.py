"""Matrix products by cuBLAS, through handles of our own.

CuPy's wrapper refuses every cuBLAS call while a stream is being captured, and its `matmul` copies operands that
overlap in memory, as the windows of a convolution do. cuBLAS itself allows both, given a workspace that exists before
the capture. So this module loads the library that CuPy uses and calls the few functions needed. cuBLASLt, a part of
cuBLAS, does a little more in the same launch: adds a bias, or sums up an operand.

Nothing here imports CuPy: pointers and streams are integers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import byref, c_int, c_longlong, c_size_t, c_void_p
from functools import cache
from typing import Any

from tinycnn._extras import how_to_install

OK, NOT_SUPPORTED = 0, 15

# cudaDataType_t, by NumPy's letters for the dtypes; E is that of ml_dtypes for bfloat16.
DATA_TYPES = {"f": 0, "d": 1, "e": 2, "E": 14}

# cublasComputeType_t: in which precision products are summed, and operands taken.
COMPUTE_32F, COMPUTE_32F_FAST_TF32, COMPUTE_64F = 68, 77, 70
DEFAULT_ALGORITHM = -1

# cublasLtEpilogue_t: what else is done with a product (m, n) = (m, k) (k, n).
BIAS = 4  # a number is added to each row
SUM_B = 512  # the columns of the right operand are summed up

# cublasLtMatmulDescAttributes_t and cublasLtMatmulPreferenceAttributes_t.
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8
MOST_WORKSPACE, ALIGNMENT_A, ALIGNMENT_B, ALIGNMENT_C, ALIGNMENT_D = 1, 5, 6, 7, 8

# What NVIDIA advises for Hopper; more than older chips ask for. A fixed workspace also makes results reproducible.
WORKSPACE_BYTES = 32 << 20


@cache
def library(cuda: int, name: str = "cublas") -> ctypes.CDLL:
    """The cuBLAS for the major version `cuda` of CUDA: that at TINYCNN_CUBLAS, of CuPy's wheels, or of the system.
    `name` may be "cublasLt", the other file that it consists of."""
    names = [f"{name}64_{cuda}" if sys.platform == "win32" else f"lib{name}.so.{cuda}"]
    if path := os.environ.get("TINYCNN_CUBLAS"):
        names = [path]
    else:
        try:
            from cuda.pathfinder import load_nvidia_dynamic_lib

            names.insert(0, load_nvidia_dynamic_lib(name).abs_path or names[0])
        except (ImportError, RuntimeError):  # an older CuPy does without pathfinder; it raises RuntimeErrors
            pass
    errors = []
    for path in names:
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            errors.append(str(error))
    tried = "; ".join(errors)
    raise ImportError(
        f"matmul: cuBLAS was not found ({tried}): {how_to_install(f'cuda{cuda}x')}, which brings it, "
        f"or install the CUDA {cuda} toolkit"
    )


MOST_PLANS = 1024  # that are kept; a training step needs a few


class LtPlan:
    """How cuBLASLt computes one kind of product: its descriptions, and the algorithm that it has chosen."""

    def __init__(self, lt: ctypes.CDLL):
        self.lt = lt
        self.operation, self.a, self.b, self.c, self.preference = [c_void_p() for _ in range(5)]
        # cublasLtMatmulHeuristicResult_t begins with the algorithm; 96 bytes in CUDA 12 and 13
        self.algorithm = (ctypes.c_uint64 * 16)()

    def __del__(self) -> None:
        for thing, of in ((self.operation, "MatmulDesc"), (self.preference, "MatmulPreference"),
                          (self.a, "MatrixLayout"), (self.b, "MatrixLayout"), (self.c, "MatrixLayout")):  # fmt: skip
            if thing.value:
                getattr(self.lt, f"cublasLt{of}Destroy")(thing)


class Handle:
    """A cuBLAS handle for one device, with the workspace at the address `workspace` of WORKSPACE_BYTES."""

    def __init__(self, workspace: int, cuda: int):
        self.library, self.lt = library(cuda), library(cuda, "cublasLt")
        self.workspace = workspace
        self.plans: dict[tuple, LtPlan | None] = {}
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
        compute: int, added: bool = False,
    ) -> None:  # fmt: skip
        """c[i] = a[i] b[i], or that `added` to c[i], for i below `count`: (m, n) = (m, k) (k, n), all by columns, as
        BLAS counts."""
        one, zero = self.scalars[compute]
        status = self.gemm(
            self.handle, a_transposed, b_transposed, m, n, k, byref(one),
            a, a_type, a_leading, a_stride,
            b, b_type, b_leading, b_stride,
            byref(one if added else zero), c, c_type, c_leading, c_stride,
            count, compute, DEFAULT_ALGORITHM,
        )  # fmt: skip
        self._check(status, f"cublasGemmStridedBatchedEx of {count} products ({m}, {k}) ({k}, {n})")

    def product_and(
        self, epilogue: int, vector: int, m: int, n: int, k: int,
        a: int, a_type: int, a_transposed: int, a_leading: int,
        b: int, b_type: int, b_transposed: int, b_leading: int,
        c: int, c_type: int, c_leading: int,
        compute: int,
    ) -> bool:  # fmt: skip
        """c = a b as in `products`, and what `epilogue` does with the numbers at `vector`, of the type of c: BIAS adds
        m of them to the rows of c, SUM_B writes the sums of the n columns of b there. False, and nothing is done, if
        this cuBLAS cannot do so."""
        alignments = tuple([min(256, address & -address) for address in (a, b, c, vector)])
        key = (epilogue, m, n, k, a_type, a_transposed, a_leading, b_type, b_transposed, b_leading, c_type, c_leading,
               compute, alignments)  # fmt: skip
        if key not in self.plans:
            if len(self.plans) >= MOST_PLANS:
                self.plans.clear()
            self.plans[key] = self._plan(vector, *key)
        plan = self.plans[key]
        if plan is None:
            return False
        one, zero = self.scalars[compute]
        self._set(plan.operation, BIAS_POINTER, c_void_p(vector))
        status = self.lt.cublasLtMatmul(
            self.handle, plan.operation, byref(one), c_void_p(a), plan.a, c_void_p(b), plan.b,
            byref(zero), c_void_p(c), plan.c, c_void_p(c), plan.c,
            plan.algorithm, c_void_p(self.workspace), c_size_t(WORKSPACE_BYTES), c_void_p(self.stream),
        )  # fmt: skip
        if status == NOT_SUPPORTED:
            self.plans[key] = None
            return False
        self._check(status, f"cublasLtMatmul of ({m}, {k}) ({k}, {n}) with epilogue {epilogue}")
        return True

    def _plan(
        self, vector: int, epilogue: int, m: int, n: int, k: int, a_type: int, a_transposed: int, a_leading: int,
        b_type: int, b_transposed: int, b_leading: int, c_type: int, c_leading: int, compute: int,
        alignments: tuple[int, ...],
    ) -> LtPlan | None:  # fmt: skip
        plan, lt = LtPlan(self.lt), self.lt
        of_factors = DATA_TYPES["d" if compute == COMPUTE_64F else "f"]
        made = lt.cublasLtMatmulDescCreate(byref(plan.operation), compute, of_factors)
        self._check(made, "cublasLtMatmulDescCreate")
        transposed = [(TRANSA, c_int(a_transposed)), (TRANSB, c_int(b_transposed))]
        for attribute, value in (*transposed, (EPILOGUE, c_int(epilogue)), (BIAS_POINTER, c_void_p(vector))):
            self._set(plan.operation, attribute, value)
        a_sizes, b_sizes = (k, m) if a_transposed else (m, k), (n, k) if b_transposed else (k, n)
        for layout, of_type, sizes, leading in (
            (plan.a, a_type, a_sizes, a_leading),
            (plan.b, b_type, b_sizes, b_leading),
            (plan.c, c_type, (m, n), c_leading),
        ):
            made = lt.cublasLtMatrixLayoutCreate(byref(layout), of_type, *map(c_longlong, (*sizes, leading)))
            self._check(made, "cublasLtMatrixLayoutCreate")
        self._check(lt.cublasLtMatmulPreferenceCreate(byref(plan.preference)), "cublasLtMatmulPreferenceCreate")
        of_a, of_b, of_c, _ = alignments  # that of the vector is seen by its address
        aligned = zip((ALIGNMENT_A, ALIGNMENT_B, ALIGNMENT_C, ALIGNMENT_D), (of_a, of_b, of_c, of_c))
        preferences: list[tuple[int, Any]] = [(attribute, c_int(size)) for attribute, size in aligned]
        for attribute, value in (*preferences, (MOST_WORKSPACE, c_size_t(WORKSPACE_BYTES))):
            size = c_size_t(ctypes.sizeof(value))
            status = lt.cublasLtMatmulPreferenceSetAttribute(plan.preference, attribute, byref(value), size)
            self._check(status, "cublasLtMatmulPreferenceSetAttribute")
        found = c_int()
        status = lt.cublasLtMatmulAlgoGetHeuristic(
            self.handle, plan.operation, plan.a, plan.b, plan.c, plan.c, plan.preference, 1, plan.algorithm,
            byref(found),
        )  # fmt: skip
        return plan if status == OK and found.value else None  # it also says "invalid" of what it does not support

    def _set(self, operation: c_void_p, attribute: int, value: Any) -> None:
        size = c_size_t(ctypes.sizeof(value))
        status = self.lt.cublasLtMatmulDescSetAttribute(operation, attribute, byref(value), size)
        self._check(status, "cublasLtMatmulDescSetAttribute")

    def _check(self, status: int, call: str) -> None:
        if status != OK:
            describe = self.library.cublasGetStatusString
            describe.restype = ctypes.c_char_p
            raise RuntimeError(f"{call}: {describe(c_int(status)).decode()}")
