"""Matrix products, by cuBLAS."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu import cublas, geometry
from tinycnn.backend.precision import WIDE

__all__ = ["matmul"]

_handles: dict[tuple[int, int, int], tuple[cublas.Handle, Any]] = {}


def _handle() -> cublas.Handle:
    """The cuBLAS handle for the current thread, device and stream: two streams must not share a workspace."""
    stream = cupy.cuda.get_current_stream().ptr
    key = (threading.get_ident(), cupy.cuda.runtime.getDevice(), stream)
    if key not in _handles:
        workspace = cupy.empty(cublas.WORKSPACE_BYTES, np.uint8)
        cuda = cupy.cuda.runtime.runtimeGetVersion() // 1000
        _handles[key] = cublas.Handle(workspace.data.ptr, cuda), workspace
    handle, _ = _handles[key]
    handle.use_stream(stream)
    return handle


def matmul(a: Any, b: Any, out: Any = None, precision: str = "float32") -> Any:
    """a b for (..., n, k) and (..., k, m), into `out` if it is given. Operands may overlap themselves in memory.

    Products are summed in float32 at least. "wide" gives float32 for operands of 16 bits; "tf32" lets the GPU round
    float32 operands to 10 bits of mantissa.
    """
    dtype = a.dtype
    if dtype.kind in "ib" or dtype == np.uint8:  # cuBLAS has no products of integers
        product = cupy.matmul(a, b)
        if out is None:
            return product
        out[...] = product
        return out
    if out is None:
        is_wide = dtype.itemsize == 2 and precision == WIDE
        out = cupy.empty(_product_shape(a.shape, b.shape), np.float32 if is_wide else dtype)
    if out.size == 0:
        return out
    if a.shape[-1] == 0:
        out[...] = 0
        return out
    plan = geometry.products(*[(x.shape, x.strides, x.itemsize) for x in (a, b, out)])
    if "out" in plan.copied:
        out[...] = matmul(a, b, cupy.empty(out.shape, out.dtype), precision)
        return out
    if plan.copied:
        a, b = [cupy.ascontiguousarray(x) if name in plan.copied else x for name, x in (("a", a), ("b", b))]
        return matmul(a, b, out, precision)
    if precision == "tf32" and dtype == np.float32:
        compute = cublas.COMPUTE_32F_FAST_TF32
    else:
        compute = cublas.COMPUTE_64F if dtype == np.float64 else cublas.COMPUTE_32F
    handle, data_type, out_type = _handle(), cublas.DATA_TYPES[dtype.char], cublas.DATA_TYPES[out.dtype.char]
    left, right = (a.data.ptr, b.data.ptr) if plan.by_columns else (b.data.ptr, a.data.ptr)
    for in_left, in_right, in_out in plan.starts:
        handle.products(
            plan.m, plan.n, plan.k, plan.batch,
            left + in_left, data_type, plan.left.transposed, plan.left.leading, plan.steps[0],
            right + in_right, data_type, plan.right.transposed, plan.right.leading, plan.steps[1],
            out.data.ptr + in_out, out_type, plan.leading, plan.steps[2],
            compute,
        )  # fmt: skip
    return out


@lru_cache(maxsize=4096)
def _product_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
