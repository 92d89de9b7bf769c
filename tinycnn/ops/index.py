"""Indexing and gathering, and their adjoint: scattering into zeros."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinycnn import autograd, backend
from tinycnn._decorator import numpy_names
from tinycnn.autograd import ON_CPU, Function, Gradients
from tinycnn.backend import Array
from tinycnn.checks import shortened
from tinycnn.ops.shape import normalize_dim, reshaped

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
            self.index = own(self.index)
        y = x[self.index]
        # Of a single element NumPy makes a scalar, which is a copy; with `...` an array without dimensions, a view.
        return x[(*self.index, ...)] if isinstance(y, np.generic) else y

    def backward(self, grad_output: Tensor) -> Gradients:
        return Scatter(self.index, self.input_shape(), _may_repeat(self.index))(grad_output)


class Scatter(Function):
    """Zeros of `shape` to which the input is added at `index`, which `repeats` elements or not: GetItem's adjoint."""

    in_float32 = ON_CPU

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


def own(index: Any) -> Any:
    """A copy of an index, because the caller may change its arrays and lists before backward."""
    if isinstance(index, tuple):
        return tuple(map(own, index))
    return index.copy() if hasattr(index, "copy") else index


def _may_repeat(index: Any) -> bool:
    """Whether an index may pick an element more than once: of arrays, those of integers may, masks do not."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(not isinstance(part, (int, slice, type(None), type(...))) and part.dtype.kind != "b" for part in parts)


def index_steps(index: Any, x: Array) -> tuple:
    """An index, with torch's meaning, as indices of arrays to be applied one after the other.

    The first takes ints and slices, and adds dimensions: one of size 1 for None and for a boolean. The second takes
    arrays, of which a boolean is one too: [0] for True, [] for False. In one step, NumPy would count ints among the
    arrays and an Ellipsis as something between them, which moves dimensions.
    """
    if index.__class__ is int or index.__class__ is slice:
        return ((_part(index, x),),)
    parts = [_part(part, x) for part in (index if isinstance(index, tuple) or _lists_parts(index) else (index,))]
    if not [part for part in parts if part is True or part is False or hasattr(part, "dtype")]:
        return (tuple(parts),)
    taken = [_dims_taken(part) for part in parts]  # by each part
    others = x.ndim - sum(taken)
    if others < 0:
        raise IndexError(f"too many indices: {sum(taken)} for {x.ndim} dimension(s)")
    first: list[Any] = []
    then: list[Any] = []
    dim = 0
    for part, count in zip(parts, taken):
        if part is ...:
            count, others = others, 0
            first += [slice(None)] * count
            then += [slice(None)] * count
        elif part is True or part is False:
            first.append(None)
            then.append(backend.to_device(np.arange(int(part)), backend.device_of(x)))
        elif hasattr(part, "dtype"):
            if part.dtype.kind == "b" and part.shape != x.shape[dim : dim + count]:
                raise IndexError(f"a mask of shape {part.shape} for dimensions of sizes {x.shape[dim : dim + count]}")
            first += [slice(None)] * count
            then.append(part)
        else:
            first.append(part)
            then += [] if part.__class__ is int else [slice(None)]
        dim += count
    return (tuple(then),) if first == [slice(None)] * len(first) else (tuple(first), tuple(then))


def _lists_parts(index: Any) -> bool:
    """Whether a list is meant as a tuple, as in torch: if it holds more than numbers."""
    kinds = (autograd.Tensor, np.ndarray, slice, list, tuple, type(None), type(...))
    return isinstance(index, list) and any(isinstance(part, kinds) for part in index)


def _dims_taken(part: Any) -> int:
    """The number of dimensions that a part of an index stands for."""
    if part is None or part is ... or part is True or part is False:
        return 0
    return part.ndim if hasattr(part, "dtype") and part.dtype.kind == "b" else 1


def _part(part: Any, x: Array) -> Any:
    """One part of an index: an int, slice, None, Ellipsis or bool, or an array of ints or booleans."""
    if part.__class__ is int or part is None or part is ... or isinstance(part, bool):
        return part
    if isinstance(part, slice):
        return _checked_slice(part)
    if isinstance(part, autograd.Tensor):
        part = autograd.array_of("indexing", part)
    elif isinstance(part, (list, tuple, range)):
        part = _array_of(part)
    is_array = isinstance(part, (np.ndarray, np.generic)) or backend.is_gpu_array(part)
    if not is_array or part.dtype.kind not in "bui":
        got = part.dtype if is_array else shortened(part)
        raise IndexError(f"expected ints, slices, None, ... and arrays of integers or booleans, got {got}")
    if part.dtype == np.uint8 and not isinstance(part, np.generic):
        part = part != 0  # a mask, as in torch
    if part.ndim == 0:
        return part.item()
    return backend.to_device(part, backend.device_of(x))


def _array_of(part: list | tuple | range) -> np.ndarray:
    try:
        array = np.arange(part.start, part.stop, part.step) if isinstance(part, range) else np.array(part)
    except ValueError:
        raise IndexError(f"expected lists of one length, got {shortened(part)}") from None
    return array if array.size else array.astype(np.int64)


def _checked_slice(part: slice) -> slice:
    bounds = part.start, part.stop, part.step
    if any(bound is not None and not hasattr(bound, "__index__") for bound in bounds):
        raise IndexError(f"expected the bounds of a slice as ints, got {shortened(part)}")
    if part.step == 0:
        raise IndexError("expected the step of a slice other than 0")
    return part


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index], with ints, slices, None, ..., booleans, and arrays, lists or Tensors of integers or booleans.

    They mean what they mean in torch: uint8 is a mask, True and False add a dimension of size 1 or 0, ints beside
    arrays are taken first. Ints and slices give a view, arrays a copy. IndexError if an index is out of range.
    """
    result = input
    try:
        for step in index_steps(index, input._array):
            result = GetItem(step)(result)
    except IndexError as error:
        raise IndexError(f"indexing a tensor of shape {result.shape}: {error}") from None
    return result


@numpy_names
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Elements along `dim`: out[i][j] = input[index[i][j]][j] for dim 0 of a matrix.

    `index`, of integers, has as many dimensions and, but for `dim`, no larger sizes; its shape is the result's. An
    index out of range is an IndexError on a CPU. On a GPU, where looking for it would make the host wait, it counts on
    from the other end.
    """
    dim = normalize_dim(dim, input, "gather")
    if not isinstance(index, autograd.Tensor) or index.dtype not in (np.int32, np.int64):
        got = index.dtype if isinstance(index, autograd.Tensor) else type(index).__name__
        raise TypeError(f"gather: expected a Tensor of integers, int32 or int64, as index, got {got}")
    if input.ndim + index.ndim < 2:  # a single number is a vector of one element
        return gather(reshaped(input, -1), 0, reshaped(index, -1)).reshape(index.shape)
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


def on_its_gpu(function: Callable) -> Any:
    """For a function that computes with arrays outside of operators: the GPU of its first argument is then CuPy's
    current one."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        array = getattr(arguments[0] if arguments else None, "_array", None)
        if array is None or array.__class__ is np.ndarray:
            return function(*arguments, **options)
        with backend.current(array):
            return function(*arguments, **options)

    return call
