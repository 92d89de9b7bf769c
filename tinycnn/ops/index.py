"""Indexing and gathering, and their adjoint: scattering into zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinycnn import autograd, backend
from tinycnn.autograd import Function, Gradients
from tinycnn.backend import Array
from tinycnn.ops.shape import normalize_dim

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["gather"]


class ValuesAndIndices(NamedTuple):
    """What `max(dim)`, `min(dim)`, `sort` and `topk` return: the values, and where along `dim` they were found."""

    values: Tensor
    indices: Tensor


class GetItem(Function):
    returns_view = True

    def __init__(self, index: Any):
        self.index = index

    def forward(self, x: Array) -> Array:
        if self.recorded:
            self.index = _own(self.index)
        y = x[self.index]
        # Of a single element NumPy makes a scalar, which is a copy; with `...` an array without dimensions, a view.
        return x[(*self.index, ...)] if isinstance(y, np.generic) else y

    def backward(self, grad_output: Tensor) -> Gradients:
        return Scatter(self.index, self.input_shape(), _may_repeat(self.index))(grad_output)


class Scatter(Function):
    """Zeros of `shape` to which the input is added at `index`, which `repeats` elements or not: GetItem's adjoint."""

    in_float32 = True

    def __init__(self, index: Any, shape: tuple[int, ...], repeats: bool):
        self.index, self.shape, self.repeats = index, shape, repeats

    def forward(self, x: Array) -> Array:
        y = self.xp.zeros(self.shape, x.dtype)
        if self.repeats:
            self.kernels.add_at(y, self.index, x)
        else:
            y[self.index] = x
        return y

    def backward(self, grad_output: Tensor) -> Gradients:
        return GetItem(self.index)(grad_output)


class Gather(Function):
    """y[.., j, ..] = x[.., index[.., j, ..], ..] along one dimension."""

    saves_inputs = (1,)

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array, index: Array) -> Array:
        return x[along(index, self.dim)]

    def backward(self, grad_output: Tensor) -> Gradients:
        _, index = self.inputs
        repeats = index.ndim > 0 and index.shape[self.dim] > 1
        # A copy of the index, for the second derivative: changes are noticed up to here.
        own = index._array.copy() if autograd.is_grad_enabled() else index._array
        return Scatter(along(own, self.dim), self.input_shape(), repeats)(grad_output), None


def along(index: Array, dim: int) -> tuple:
    """The advanced index that picks, at each position of `index`, the element index[position] along `dim`."""
    xp = backend.array_module(index)
    grid = list(xp.ogrid[tuple(slice(size) for size in index.shape)])
    grid[dim] = index
    return tuple(grid)


def _own(index: Any) -> Any:
    """A copy of an index, because the caller may change its arrays and lists before backward."""
    if isinstance(index, tuple):
        return tuple(map(_own, index))
    return index.copy() if hasattr(index, "copy") else index


def _may_repeat(index: Any) -> bool:
    """Whether an index may pick an element more than once: of arrays, those of integers may, masks do not."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(not isinstance(part, (int, slice, type(None), type(...))) and part.dtype.kind != "b" for part in parts)


def index_steps(index: Any, x: Array) -> tuple:
    """An index as indices of arrays, to be applied one after the other.

    Two where integers and arrays come together: torch takes the integers first, NumPy would count them among the
    arrays, which may move dimensions.
    """
    parts = [_array_part(part, x) for part in (index if isinstance(index, tuple) else (index,))]
    is_int = [type(part) is int for part in parts]
    is_array = [hasattr(part, "dtype") for part in parts]
    if not (True in is_int and True in is_array):
        return (tuple(parts),)
    first: list[Any] = []
    for part, array in zip(parts, is_array):
        masked = part.ndim if array and part.dtype.kind == "b" else 1
        first += [slice(None)] * masked if array else [part]
    then = [
        part if array or part is ... else slice(None) for part, array in zip(parts, is_array) if type(part) is not int
    ]
    return tuple(first), tuple(then)


def _array_part(part: Any, x: Array) -> Any:
    """One part of an index as arrays understand it: Tensors and lists become arrays, single integers ints."""
    if isinstance(part, autograd.Tensor):
        part = part._array
    elif isinstance(part, (list, range)):
        part = np.array(part, dtype=None if len(part) else np.int64)
    if not hasattr(part, "dtype"):
        return part
    if part.dtype.kind not in "bui":
        raise IndexError(f"an index must be of integers or booleans, got {part.dtype}")
    if part.ndim == 0:
        return part.item()
    return backend.to_device(part, backend.device_of(x))


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index], with ints, slices, None, ..., and arrays, lists or Tensors of integers or booleans, as in NumPy.

    Ints and slices give a view, arrays a copy. IndexError if an index is out of range.
    """
    result = input
    try:
        for step in index_steps(index, input._array):
            result = GetItem(step)(result)
    except IndexError as error:
        raise IndexError(f"indexing a tensor of shape {result.shape}: {error}") from None
    return result


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Elements along `dim`: out[i][j] = input[index[i][j]][j] for dim 0 of a matrix.

    `index`, of integers, has as many dimensions and, but for `dim`, no larger sizes; its shape is the result's. An
    index out of range is an IndexError on a CPU. On a GPU, where looking for it would make the host wait, it counts on
    from the other end.
    """
    dim = normalize_dim(dim, input, "gather")
    if getattr(index, "dtype", np.dtype("O")).kind not in "iu":
        raise TypeError(f"gather: expected a Tensor of integers as index, got {getattr(index, 'dtype', index)}")
    if input.ndim == index.ndim == 0:  # a single number is a vector of one element
        return gather(input.unsqueeze(0), 0, index.unsqueeze(0)).squeeze(0)
    sizes = zip(index.shape, input.shape)
    if index.ndim != input.ndim or any(i > n for d, (i, n) in enumerate(sizes) if d != dim):
        raise ValueError(f"gather: an index of shape {index.shape} does not fit shape {input.shape} along dim {dim}")
    backend.one_device("gather", [input._array, index._array])
    places = index._array
    if places.size and backend.host_reads(places) and (places.min() < 0 or places.max() >= input.shape[dim]):
        raise IndexError(
            f"gather: indices from {places.min()} to {places.max()} are out of range for "
            f"dim {dim} of size {input.shape[dim]}"
        )
    return Gather(dim)(input, index)
