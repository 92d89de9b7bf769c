"""Copies and conversions: of memory, dtype and device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinycnn import autograd, backend
from tinycnn.autograd import Function, Gradients
from tinycnn.backend import Array

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["clone"]


class Clone(Function):
    """A copy, in the order in memory of the original ("K") or row-major ("C")."""

    elementwise = True

    def __init__(self, memory_order: Literal["K", "C"] = "K"):
        self.memory_order = memory_order

    def forward(self, x: Array) -> Array:
        return self.xp.array(x, copy=True, order=self.memory_order)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output


def clone(input: Tensor) -> Tensor:
    """A copy in memory of its own; gradients flow through."""
    return Clone()(input)


class Contiguous(Function):
    def forward(self, x: Array) -> Array:
        return self.xp.ascontiguousarray(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output


def contiguous(input: Tensor) -> Tensor:
    """The tensor with its elements in row-major order in memory: itself, if they are."""
    return input if input._array.flags.c_contiguous else Contiguous()(input)


class Cast(Function):
    """Another dtype. The graph walk casts the gradient back."""

    elementwise = True

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def __call__(self, *inputs: Any) -> Tensor:
        if self.dtype.kind == "f":
            return super().__call__(*inputs)
        with autograd.no_grad():  # integers have no gradient
            return super().__call__(*inputs)

    def forward(self, x: Array) -> Array:
        with np.errstate(over="ignore"):  # beyond the largest number lies infinity
            return x.astype(self.dtype)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output


class ToDevice(Function):
    def __init__(self, device: backend.Device):
        self.device = device

    def forward(self, x: Array) -> Array:
        self.source = backend.device_of(x)
        return backend.to_device(x, self.device)

    def backward(self, grad_output: Tensor) -> Gradients:
        return ToDevice(self.source)(grad_output)
