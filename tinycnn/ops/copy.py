"""Copies and conversions: of memory, dtype and device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING, holds_numbers, is_bfloat16
from tinycnn.autograd import Function, Gradients
from tinycnn.backend import Array, DeviceLike
from tinycnn.checks import shortened
from tinycnn.dtypes import DTypeLike
from tinycnn.memory_format import memory_format as MemoryFormat

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


def clone(input: Tensor, *, memory_format: MemoryFormat | None = None) -> Tensor:
    """A copy in memory of its own; gradients flow through. `memory_format` changes nothing, unless it is
    `contiguous_format`."""
    return Clone("C" if memory_format is MemoryFormat.contiguous_format else "K")(input)


class Cast(Function):
    """Another dtype. The graph walk casts the gradient back."""

    elementwise = True

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def __call__(self, *inputs: Any) -> Tensor:
        if self.dtype.kind in FLOATING:
            return super().__call__(*inputs)
        with autograd.no_grad():  # integers have no gradient
            return super().__call__(*inputs)

    def forward(self, x: Array) -> Array:
        if is_bfloat16(self.dtype) and self.xp is not np:
            backend.check_bfloat16()
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


def new_array(name: str, data: Any, dtype: DTypeLike = None, device: DeviceLike = None) -> Array:
    """A fresh array holding `data`: numbers, an array or a Tensor. Errors name `name`."""
    dtype = None if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(data, autograd.Tensor):
        data = data._array
    if hasattr(data, "__cuda_array_interface__"):
        data = data if backend.is_gpu_array(data) else backend.cupy().asarray(data)
        target = backend.device_of(data) if device is None else backend.device(device)
        with backend.current(data):
            return backend.to_device(data.astype(dtype or data.dtype, copy=True), target)
    try:
        array = np.array(data, order="K")
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: cannot make an array of {type(data).__name__}: {error}") from None
    if not holds_numbers(array.dtype):
        raise TypeError(f"{name}: expected numbers, got {shortened(data)} (dtype {array.dtype})")
    # Python floats have no dtype of their own, arrays have.
    if dtype is None and array.dtype == np.float64 and not _has_dtype(data):
        dtype = dtypes.get_default_dtype()
    if dtype is not None and dtype.kind in "iu" and array.size and not isinstance(data, (np.ndarray, np.generic)):
        for number in (array.min(), array.max()):  # of an array, elements out of range wrap around, as in torch
            dtypes.fitted(name, "the numbers", number.item(), dtype)
    # Converted here: with a dtype given, NumPy would also accept strings and None as numbers.
    array = array.astype(dtype or dtypes.as_dtype(array.dtype.newbyteorder("=")), order="K", copy=False)
    return backend.to_device(array, backend.device(device))


def _has_dtype(data: Any) -> bool:
    """Whether `data` is, or in its first row holds, an array or a number of NumPy."""
    while isinstance(data, (list, tuple)) and data and isinstance(data[0], (list, tuple)):
        data = data[0]
    return any(isinstance(x, (np.ndarray, np.generic)) for x in (data if isinstance(data, (list, tuple)) else (data,)))
