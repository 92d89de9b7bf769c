"""Padding and cropping, and selection along a dimension (from which the other padding modes and resizing follow)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinycnn import backend
from tinycnn.autograd import ON_CPU, Function, Gradients
from tinycnn.backend import Array

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


class Pad(Function):
    """`pads`, (before, after) for each dimension, elements of `value` around x; negative ones are cut off instead.

    The adjoint of padding is cropping, which is padding by the negative amounts.
    """

    def __init__(self, pads: tuple[tuple[int, int], ...], value: float = 0):
        self.pads, self.value = pads, value

    def forward(self, x: Array) -> Array:
        shape = tuple(size + before + after for size, (before, after) in zip(x.shape, self.pads, strict=True))
        y = self.xp.empty_like(x, shape=shape)
        y[...] = self.value
        inner_y, inner_x = [], []
        for size, (before, after) in zip(x.shape, self.pads, strict=True):
            inner_y.append(slice(max(before, 0), max(before, 0) + size + min(before, 0) + min(after, 0)))
            inner_x.append(slice(max(-before, 0), size - max(-after, 0)))
        y[tuple(inner_y)] = x[tuple(inner_x)]
        return y

    def backward(self, grad_output: Tensor) -> Gradients:
        return Pad(tuple((-before, -after) for before, after in self.pads))(grad_output)


class IndexSelect(Function):
    """y[.., j, ..] = x[.., index[j], ..] along one dimension."""

    def __init__(self, dim: int, index: np.ndarray):
        self.dim, self.index = dim, index

    def forward(self, x: Array) -> Array:
        return x.take(backend.constant(self.index, backend.device_of(x)), axis=self.dim)

    def backward(self, grad_output: Tensor) -> Gradients:
        return IndexAdd(self.dim, self.index, self.input_shape()[self.dim])(grad_output)


class IndexAdd(Function):
    """x[.., index[j], ..] += y[.., j, ..] along one dimension, into zeros: the adjoint of IndexSelect."""

    in_float32 = ON_CPU

    def __init__(self, dim: int, index: np.ndarray, size: int):
        self.dim, self.index, self.size = dim, index, size

    def forward(self, y: Array) -> Array:
        x = self.xp.zeros(y.shape[: self.dim] + (self.size,) + y.shape[self.dim + 1 :], y.dtype)
        self.kernels.index_add(x, self.dim, self.index, y)
        return x

    def backward(self, grad_output: Tensor) -> Gradients:
        return IndexSelect(self.dim, self.index)(grad_output)


def pad(x: Tensor, pads: tuple[tuple[int, int], ...], value: float = 0) -> Tensor:
    """x with `pads`, (before, after) for each dimension, elements of `value` around it."""
    return Pad(pads, value)(x)


def index_select(x: Tensor, dim: int, index: np.ndarray) -> Tensor:
    """The slices of x along `dim` that `index`, of non-negative ints, names."""
    return IndexSelect(dim, np.asarray(index))(x)
