"""The matrix product, and the affine map that layers make of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn.autograd import Function
from tinycnn.backend import Array, precision


class MatMul(Function):
    """a @ b for (..., n, k) and (..., k, m); dimensions before the last two are broadcast."""

    saves_inputs = True

    def forward(self, a: Array, b: Array) -> Array:
        self.precision = precision.current()
        if a.ndim == b.ndim == 2:
            return product(a, b)
        if isinstance(a, np.ndarray):
            backend.limit_blas()
        kernels = backend.kernels(a)
        a, b = kernels.rounded(a, self.precision), kernels.rounded(b, self.precision)
        return kernels.matmul(a, b, None, self.precision)

    @precision.as_in_forward
    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        return (
            grad_output @ b.transpose(-1, -2) if need_a else None,
            a.transpose(-1, -2) @ grad_output if need_b else None,
        )


class Linear(Function):
    """y = x wᵀ + b: x (n, k), w (m, k), b (m) or absent."""

    saves_inputs = True

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        self.precision = precision.current()
        y = product(x, w.T)
        if b is not None:
            y += b
        return y

    @precision.as_in_forward
    def backward(self, grad_output: Any) -> Any:
        x, w = self.inputs[:2]
        need_x, need_w, *need_b = self.needs_input_grad
        return (
            grad_output @ w if need_x else None,
            grad_output.T @ x if need_w else None,
            *[grad_output.sum(0) if need else None for need in need_b],
        )


def product(a: Array, b: Array) -> Array:
    """The product of two matrices. Where `a` lies batch innermost in memory, that is column by column, so does the
    result: (a b)ᵀ = bᵀ aᵀ."""
    precise, kernels = precision.current(), backend.kernels(a)
    a, b = kernels.rounded(a, precise), kernels.rounded(b, precise)
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return _row_major_product(b.T, a.T, precise).T
    return _row_major_product(a, b, precise)


def _row_major_product(a: Array, b: Array, precise: str) -> Array:
    """The product, its rows shared among threads if there is enough to do."""
    matmul = backend.kernels(a).matmul
    shared = backend.shares(range(len(a)), a, a.size * b.shape[1])
    if len(shared) == 1:
        return matmul(a, b, None, precise)
    y = np.empty((len(a), b.shape[1]), a.dtype)
    backend.in_threads(lambda rows: matmul(a[rows.start : rows.stop], b, y[rows.start : rows.stop]), shared)
    return y


def matmul(a: Any, b: Any) -> Any:
    """The matrix product, with torch's rules: (k) is a row on the left and a column on the right; of more than
    two dimensions, all but the last two are a batch and broadcast."""
    for x in (a, b):
        if not isinstance(x, autograd.Tensor):
            raise TypeError(f"matmul: expected two Tensors, got {type(x).__name__}")
    if a.dtype != b.dtype or a.dtype == dtypes.bool_:
        raise TypeError(f"matmul: expected two tensors of one numeric dtype, got {a.dtype} and {b.dtype}")
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: expected at least one dimension each, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not match: {a.shape[-1]} columns meet "
                         f"{b.shape[0 if b.ndim == 1 else -2]} rows")  # fmt: skip
    if a.ndim == 1:
        return matmul(a.unsqueeze(0), b).squeeze(0 if b.ndim == 1 else -2)
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).squeeze(-1)
    if a.ndim > 2 and b.ndim == 2:
        # One product of many rows, rather than a batch of products whose weight gradients would then be summed.
        return matmul(a.flatten(0, -2), b).reshape(*a.shape[:-1], b.shape[-1])
    try:
        return MatMul()(a, b)
    except ValueError:
        backend.one_device("matmul", [a._array, b._array])
        raise ValueError(f"matmul: the batch dimensions of {a.shape} and {b.shape} do not broadcast") from None
