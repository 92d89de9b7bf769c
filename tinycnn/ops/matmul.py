"""The matrix product, and the affine map that layers make of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tinycnn import autograd, backend, dtypes
from tinycnn.autograd import ON_CPU, Function, Gradients, is_grad_enabled, wrap
from tinycnn.backend import Array
from tinycnn.backend.precision import chosen
from tinycnn.checks import ShapeError
from tinycnn.grad_mode import thread_mode
from tinycnn.ops.reduce import Sum
from tinycnn.ops.shape import reshaped

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["matmul"]


class MatMul(Function):
    """a @ b for (..., n, k) and (..., k, m); dimensions before the last two are broadcast."""

    saves_inputs = True
    in_float32 = ON_CPU

    def __init__(self, precision: str):
        self.precision = precision

    def forward(self, a: Array, b: Array) -> Array:
        return self.kernels.product(a, b, self.precision)

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        return (
            MatMul(self.precision)(grad_output, b.transpose(-1, -2)) if need_a else None,
            MatMul(self.precision)(a.transpose(-1, -2), grad_output) if need_b else None,
        )


class Linear(Function):
    """y = x wᵀ + b: x (n, k), w (m, k), b (m) or absent."""

    saves_inputs = (0, 1)
    in_float32 = ON_CPU

    def __init__(self, precision: str):
        self.precision = precision

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        return self.kernels.linear(x, w, b, self.precision)

    def backward(self, grad_output: Tensor) -> Gradients:
        x, w, *_ = self.inputs
        need_x, need_w, *need_b = self.needs_input_grad
        if not is_grad_enabled():
            u = grad_output._array  # float32 on a CPU where x and w have 16 bits
            x, w = (tensor._array.astype(u.dtype, copy=False) for tensor in (x, w))
            found = self.kernels.linear_backward(u, x, w, self.needs_input_grad, self.precision)
            return tuple([None if array is None else wrap(array) for array in found])
        return (
            MatMul(self.precision)(grad_output, w) if need_x else None,
            MatMul(self.precision)(grad_output.t(), x) if need_w else None,
            *[Sum((0,), False)(grad_output) if need else None for need in need_b],
        )


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product. (k) is a row on the left and a column on the right; of more than two dimensions, all but the
    last two are a batch and broadcast, as in torch. Both have one dtype, other than bool."""
    if thread_mode.autocast is not None:
        input, other = thread_mode.autocast.cast("matmul", (input, other))
    a, b = input, other
    for x in (a, b):
        if not isinstance(x, autograd.Tensor):
            raise TypeError(f"matmul: expected two Tensors, got {type(x).__name__}")
    if a.dtype != b.dtype or a.dtype == dtypes.bool_:
        raise TypeError(f"matmul: expected two tensors of one numeric dtype, got {a.dtype} and {b.dtype}")
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: expected at least one dimension each, got shapes {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape} do not match: {a.shape[-1]} columns meet "
                         f"{b.shape[0 if b.ndim == 1 else -2]} rows")  # fmt: skip
    if a.ndim == 1:
        return matmul(a.unsqueeze(0), b).squeeze(0 if b.ndim == 1 else -2)
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).squeeze(-1)
    if a.ndim > 2 and b.ndim == 2:
        # One product of many rows, rather than a batch of products whose weight gradients would then be summed.
        return matmul(reshaped(a, math.prod(a.shape[:-1]), a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    try:
        return MatMul(chosen.product)(a, b)
    except ValueError:
        backend.one_device("matmul", [a._array, b._array])
        raise ShapeError(f"matmul: the batch dimensions of {a.shape} and {b.shape} do not broadcast") from None
