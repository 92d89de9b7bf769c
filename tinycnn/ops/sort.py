"""Along one dimension: sorting, the largest elements, running sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinycnn import autograd, backend
from tinycnn.autograd import Function
from tinycnn.backend import Array
from tinycnn.ops.shape import gather, normalize_dim


class ValuesAndIndices(NamedTuple):
    """What `max(dim)`, `min(dim)`, `sort` and `topk` return: the values, and where along `dim` they were found."""

    values: Any
    indices: Any


class CumSum(Function):
    """y[i] = x[0] + … + x[i] along one dimension. Backward: the running sum from the other end."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return x.cumsum(axis=self.dim, dtype=None if x.dtype.kind == "f" else np.int64)

    def backward(self, grad_output: Any) -> Any:
        return CumSum(self.dim)(grad_output.flip(self.dim)).flip(self.dim)


def cumsum(x: Any, dim: int) -> Any:
    dim = normalize_dim(dim, x.ndim, "cumsum")
    return CumSum(dim)(x) if x.ndim else CumSum(0)(x.unsqueeze(0)).squeeze(0)


def argsort(x: Any, dim: int = -1, descending: bool = False) -> Any:
    """The indices that sort x along `dim`; equal elements keep their order."""
    dim = normalize_dim(dim, x.ndim, "argsort")
    array = x._array if x.ndim else x._array.reshape(1)
    xp = backend.array_module(array)
    with backend.current(array):
        if descending:
            # Sorted from the other end, so that reversing the result keeps the order of equal elements.
            index = array.shape[dim] - 1 - xp.flip(xp.argsort(xp.flip(array, dim), axis=dim, kind="stable"), dim)
        else:
            index = xp.argsort(array, axis=dim, kind="stable")
    return autograd.Tensor._wrap(index.reshape(x.shape))


def sort(x: Any, dim: int = -1, descending: bool = False) -> ValuesAndIndices:
    """(values, indices) in ascending or descending order along `dim`; gradients go where the values came from."""
    indices = argsort(x, dim, descending)
    return ValuesAndIndices(gather(x, dim, indices), indices)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True) -> ValuesAndIndices:
    """(values, indices) of the k largest, or smallest, elements along `dim`, the first one first."""
    dim = normalize_dim(dim, x.ndim, "topk")
    size = x.shape[dim] if x.ndim else 1
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k <= size:
        raise ValueError(f"topk: expected k as an int from 0 to {size}, the size of dim {dim}, got {k!r}")
    indices = argsort(x, dim, largest)
    if x.ndim:
        indices = indices[(slice(None),) * dim + (slice(k),)]
    return ValuesAndIndices(gather(x, dim, indices), indices)
