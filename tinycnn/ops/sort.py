"""Along one dimension: sorting, the largest elements, running sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinycnn import backend, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import ON_CPU, Function, Gradients, wrap
from tinycnn.backend import Array
from tinycnn.checks import check_flag, is_int, shortened
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.index import ValuesAndIndices, gather
from tinycnn.ops.shape import normalize_dim

if TYPE_CHECKING:
    from tinycnn.dtypes import DTypeLike
    from tinycnn.tensor import Tensor

__all__ = ["argsort", "cumsum", "sort", "topk"]


class CumSum(Function):
    """y[i] = x[0] + … + x[i] along one dimension. Backward: the running sum from the other end."""

    in_float32 = ON_CPU

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array) -> Array:
        if x.dtype.kind not in FLOATING:
            return x.cumsum(axis=self.dim, dtype=np.int64)
        # The elements are added one after the other: in float64, as torch does, or the error would grow with them.
        return x.cumsum(axis=self.dim, dtype=np.float64).astype(x.dtype)

    def backward(self, grad_output: Tensor) -> Gradients:
        return CumSum(self.dim)(grad_output.flip(self.dim)).flip(self.dim)


@autocasts
@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: DTypeLike = None) -> Tensor:
    """The sum of all elements up to each, along `dim`; of integers and booleans an int64.

    With `dtype`, elements are converted first.
    """
    dim = normalize_dim(dim, input, "cumsum")
    if dtype is not None:
        return cumsum(input.to(dtypes.as_dtype(dtype)), dim).to(dtypes.as_dtype(dtype))
    return CumSum(dim)(input) if input.ndim else CumSum(0)(input.unsqueeze(0)).squeeze(0)


@numpy_names
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort along `dim`; equal elements keep their order, `stable` or not."""
    check_flag("argsort", "stable", stable)
    return _argsort("argsort", input, dim, descending)


def _argsort(name: str, input: Tensor, dim: int, descending: bool) -> Tensor:
    dim = normalize_dim(dim, input, name)
    check_flag(name, "largest" if name == "topk" else "descending", descending)
    array = widened(input.detach())._array.reshape(input.shape or 1)  # neither NumPy nor CuPy sorts bfloat16
    xp = backend.array_module(array)
    with backend.current(array):
        if descending:
            # Sorted from the other end, so that reversing the result keeps the order of equal elements.
            index = array.shape[dim] - 1 - xp.flip(xp.argsort(xp.flip(array, dim), axis=dim, kind="stable"), dim)
        else:
            index = xp.argsort(array, axis=dim, kind="stable")
    return wrap(index.reshape(input.shape))


@numpy_names
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> ValuesAndIndices:
    """(values, indices) in ascending or descending order along `dim`; equal elements keep their order, `stable` or not.

    The gradient of each value goes to where it came from.
    """
    check_flag("sort", "stable", stable)
    indices = _argsort("sort", input, dim, descending)
    return ValuesAndIndices(gather(input, dim, indices), indices)


@numpy_names
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesAndIndices:
    """(values, indices) of the k largest, or smallest, elements along `dim`, the first one first, `sorted` or not.

    ValueError unless 0 <= k <= the size of `dim`.
    """
    check_flag("topk", "sorted", sorted)
    dim = normalize_dim(dim, input, "topk")
    size = input.shape[dim] if input.ndim else 1
    if input._array.dtype.kind == "b":
        raise TypeError("topk: not defined for booleans; convert them to integers")
    if not is_int(k) or not 0 <= k <= size:
        raise ValueError(f"topk: expected k as an int from 0 to {size}, the size of dim {dim}, got {shortened(k)}")
    indices = _argsort("topk", input, dim, largest)
    if input.ndim:
        indices = indices[(slice(None),) * dim + (slice(k),)]
    return ValuesAndIndices(gather(input, dim, indices), indices)
