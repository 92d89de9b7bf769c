"""Matrix products, by cuBLAS."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu import cublas, geometry
from tinycnn.backend.gpu.reduce import sum_over
from tinycnn.backend.precision import EXACT, WIDE

__all__ = [
    "before_product", "block_limits", "in_parameter_order", "leaves_weights", "linear",
    "linear_backward", "matmul", "product", "product_and_bias", "product_over_rows", "sums_rows", "unfolds_gradient",
]  # fmt: skip

# What a convolution unfolds at a time: enough work to fill a GPU, and about what it is made of.
BLOCK_BYTES = 48 << 20

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


def matmul(a: Any, b: Any, out: Any = None, precision: str = EXACT, added: bool = False) -> Any:
    """a b for (..., n, k) and (..., k, m), into `out` if it is given, or `added` to it. Operands may overlap themselves
    in memory.

    Products are summed in float32 at least. "wide" gives float32 for operands of 16 bits; "tf32" lets the GPU round
    float32 operands to 10 bits of mantissa.
    """
    dtype = a.dtype
    if dtype.kind in "ib" or dtype == np.uint8:  # cuBLAS has no products of integers
        product = cupy.matmul(a, b)
        if out is None:
            return product
        out[...] = out + product if added else product
        return out
    if out is None:
        out = _empty_product(a, b, precision)
    if out.size == 0:
        return out
    if a.shape[-1] == 0:
        if not added:
            out[...] = 0
        return out
    plan = _plan(a, b, out)
    if "out" in plan.copied:
        copy = cupy.array(out, order="C") if added else cupy.empty(out.shape, out.dtype)
        out[...] = matmul(a, b, copy, precision, added)
        return out
    if plan.copied:
        a, b = [cupy.ascontiguousarray(x) if name in plan.copied else x for name, x in (("a", a), ("b", b))]
        return matmul(a, b, out, precision, added)
    handle, data_type, out_type = _handle(), cublas.DATA_TYPES[dtype.char], cublas.DATA_TYPES[out.dtype.char]
    left, right = (a.data.ptr, b.data.ptr) if plan.by_columns else (b.data.ptr, a.data.ptr)
    for in_left, in_right, in_out in plan.starts:
        handle.products(
            plan.m, plan.n, plan.k, plan.batch,
            left + in_left, data_type, plan.left.transposed, plan.left.leading, plan.steps[0],
            right + in_right, data_type, plan.right.transposed, plan.right.leading, plan.steps[1],
            out.data.ptr + in_out, out_type, plan.leading, plan.steps[2],
            _compute_type(dtype, precision), added,
        )  # fmt: skip
    return out


def _plan(*arrays: Any) -> geometry.Products:
    return geometry.products(*[(x.shape, x.strides, x.itemsize) for x in arrays])


def _compute_type(dtype: np.dtype, precision: str) -> int:
    if precision == "tf32" and dtype == np.float32:
        return cublas.COMPUTE_32F_FAST_TF32
    return cublas.COMPUTE_64F if dtype == np.float64 else cublas.COMPUTE_32F


def before_product(weight: Any, out: Any = None, bias: Any = None) -> tuple[Any, list[tuple[Any, Any]]]:
    """As the CPU's. Both the weight and the bias are copied before, and the products are added to the bias."""
    copies = [] if bias is None else [(out, bias)]
    if weight.flags.c_contiguous:
        return weight, copies
    ordered = cupy.empty(weight.shape, weight.dtype)
    return ordered, [(ordered, weight), *copies]


def product_and_bias(a: Any, b: Any, out: Any, y: Any, bias: Any, precision: str) -> None:
    """out += a b if there is a bias, which `out` holds already, else out = a b."""
    matmul(a, b, out, precision, added=bias is not None)


def block_limits(m: int, k: int, operations: int) -> tuple[int, int, int]:
    """As the CPU's: a block is as wide as the image, and the host shares out none of a GPU's work."""
    return BLOCK_BYTES, 1 << 40, 1


def leaves_weights(out_channels: int, positions: int) -> bool:
    """False: the launch that unfolds the input orders the weights as well."""
    return False


def sums_rows(depth: int, columns: int, is_identity: bool) -> bool:
    """False: a product for each row keeps more of the GPU busy."""
    return False


def unfolds_gradient(channels: int, positions: int, out_channels: int, out_positions: int) -> bool:
    """False: folding is one launch, without atomics."""
    return False


def product_over_rows(windows: Any, g: Any, precision: str) -> Any:
    """As the CPU's."""
    # The transpose on the right, rather than the whole product transposed: BLAS is faster with wide kernels this way.
    G, R, KH, K, columns = windows.shape
    matrices = windows.reshape(G, R, KH * K, columns)
    return sum_over(matmul(matrices, g.swapaxes(-1, -2), None, precision), (1,), False)


def in_parameter_order(w: Any) -> Any:
    """`w` as it is: an optimizer's kernel reads any order, and a copy would be one launch more."""
    return w


def product(a: Any, b: Any, precision: str) -> Any:
    """As the CPU's."""
    if a.ndim == b.ndim == 2 and a.flags.f_contiguous and not a.flags.c_contiguous:
        return matmul(b.T, a.T, None, precision).T
    return matmul(a, b, None, precision)


def linear(x: Any, w: Any, b: Any, precision: str) -> Any:
    """As the CPU's; the result is row-major, where the product adds the bias in the same launch."""
    y = _empty_product(x, w.T, precision)
    if b is None or not _product_and(cublas.BIAS, b, x, w.T, y, precision):
        matmul(x, w.T, y, precision)
        if b is not None:
            y += b
    return y


def linear_backward(u: Any, x: Any, w: Any, needs: Sequence[bool], precision: str) -> list[Any]:
    """As the CPU's; the gradient of x lies in memory as x does."""
    need_x, need_w, need_b = (*needs, False)[:3]
    of_x, of_w, of_b = None, None, None
    if need_x:
        of_x = matmul(u, w, cupy.empty_like(x), precision)
    if need_w:
        of_w = _empty_product(u.T, x, precision)
        of_b = cupy.empty(len(of_w), of_w.dtype) if need_b else None
        if of_b is None or not _product_and(cublas.SUM_B, of_b, u.T, x, of_w, precision):
            of_b = None
            matmul(u.T, x, of_w, precision)
    if need_b and of_b is None:
        of_b = sum_over(u, (0,), False)
    return [of_x, of_w, of_b][: len(needs)]


def _product_and(epilogue: int, vector: Any, a: Any, b: Any, out: Any, precision: str) -> bool:
    """out = a b, and what `epilogue` does with `vector`, in one launch: BIAS adds it to each row of a row-major `out`,
    SUM_B writes the sums of the rows of `a` there. Whether it was possible."""
    if out.size == 0 or a.shape[-1] == 0 or vector.dtype != out.dtype or not vector.flags.c_contiguous:
        return False
    plan = _plan(a, b, out)
    if plan.copied or plan.by_columns or a.dtype.char not in cublas.DATA_TYPES:
        return False
    data_type, out_type = cublas.DATA_TYPES[a.dtype.char], cublas.DATA_TYPES[out.dtype.char]
    return _handle().product_and(
        epilogue, vector.data.ptr, plan.m, plan.n, plan.k,
        b.data.ptr, data_type, plan.left.transposed, plan.left.leading,
        a.data.ptr, data_type, plan.right.transposed, plan.right.leading,
        out.data.ptr, out_type, plan.leading,
        _compute_type(a.dtype, precision),
    )  # fmt: skip


def _empty_product(a: Any, b: Any, precision: str) -> Any:
    is_wide = a.dtype.itemsize == 2 and precision == WIDE
    return cupy.empty(_product_shape(a.shape, b.shape), np.float32 if is_wide else a.dtype)


@lru_cache(maxsize=4096)
def _product_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
