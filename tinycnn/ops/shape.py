"""Operators that give the same elements another shape: views, and pieces laid side by side.

Most come in pairs of adjoints, each the other's gradient, such as expand and sum.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._decorator import numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import ON_CPU, Function, Gradients, array_of, wrap
from tinycnn.backend import Array
from tinycnn.checks import LARGEST, ShapeError, check_flag, check_int, check_positive, shortened
from tinycnn.memory_format import memory_format as MemoryFormat
from tinycnn.ops.copy import Clone

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "flip", "tril", "triu",
    "cat", "stack", "split", "chunk", "numel",
]  # fmt: skip

LARGEST_COUNT = 2**20  # of empty tensors
Dims: TypeAlias = int | Sequence[int] | None  # one dimension, several, or all
Sizes: TypeAlias = int | Sequence[int]  # each of *sizes: ints one by one, or one sequence of them

# --- arguments --------------------------------------------------------------------------------------------


def normalize_dim(dim: int, x: Tensor, name: str) -> int:
    """`dim` of x counted from the front. A tensor without dimensions accepts 0 and -1, as in torch."""
    return dim_of(dim, ndim_of(x, name), name)


def ndim_of(x: Tensor, name: str) -> int:
    """The number of dimensions of x, after refusing what is no Tensor."""
    return array_of(name, x).ndim


def numel(input: Tensor) -> int:
    """The number of elements."""
    return array_of("numel", input).size


def dim(input: Tensor) -> int:
    """The number of dimensions."""
    return array_of("dim", input).ndim


def as_index(dim: Any, name: str) -> int:
    """`dim` as an int; it may be a NumPy integer or a Tensor of one."""
    if dim.__class__ is int:
        return dim
    try:
        if dim.__class__ is not bool:
            return operator.index(dim)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name}: expected an int as dim, got {shortened(dim)}")


def dim_of(dim: Any, ndim: int, name: str) -> int:
    """`dim` counted from the front, for `ndim` dimensions."""
    index = as_index(dim, name)
    limit = ndim or 1
    if not -limit <= index < limit:
        raise IndexError(
            f"{name}: dim {shortened(index)} is out of range for {ndim} dimension(s): expected {-limit} to {limit - 1}"
        )
    return index % limit


def normalize_dims(
    dims: Dims, x: Tensor, name: str, empty_is_all: bool = False, keepdim: bool = False
) -> tuple[int, ...]:
    """`dims` of x (an int, a sequence, or None for all) counted from the front, each once; refuses a `keepdim` that is
    no bool."""
    ndim = ndim_of(x, name)
    if keepdim.__class__ is not bool:
        check_flag(name, "keepdim", keepdim)
    if dims is None:
        return tuple(range(ndim))
    given = dims if isinstance(dims, (tuple, list)) else (dims,)
    return _dims_of(tuple([as_index(d, name) for d in given]), ndim, name, empty_is_all)


@lru_cache(maxsize=1024)
def _dims_of(dims: tuple[int, ...], ndim: int, name: str, empty_is_all: bool) -> tuple[int, ...]:
    """Cached: a network repeats the same few in every step."""
    if not dims and empty_is_all:
        return tuple(range(ndim))
    found = tuple(dim_of(d, ndim, name) for d in dims)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: a dim is given twice in {dims}")
    return found if ndim else ()


def sizes_of(sizes: tuple[Any, ...], name: str) -> tuple[int, ...]:
    """The arguments of x.reshape(2, 3) or x.reshape((2, 3)) as one tuple of ints; errors name `name`."""
    given = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    for size in given:
        if size.__class__ is not int:
            return _as_ints(given, name)
    return given


def check_elements(name: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """`sizes`; ValueError if they are those of more elements than there can be."""
    if math.prod([size or 1 for size in sizes]) > LARGEST:
        raise ValueError(f"{name}: sizes {shortened(sizes)} are too large")
    return sizes


def shape_from(name: str, sizes: tuple[Sizes, ...]) -> tuple[int, ...]:
    """`sizes_of` the shape of a new tensor. ValueError for negative ones."""
    shape = sizes_of(sizes, name)
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: sizes must not be negative, got {shape}")
    return check_elements(name, shape)


def _as_ints(sizes: tuple[Any, ...], name: str) -> tuple[int, ...]:
    """NumPy's integers and Tensors of one as ints."""
    try:
        if bool in map(type, sizes):
            raise TypeError
        return tuple(map(operator.index, sizes))
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected sizes or dims as ints, got {shortened(sizes)}") from None


# --- views ------------------------------------------------------------------------------------------------


class Reshape(Function):
    returns_view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        shape = self.shape
        if (
            x.ndim > 1
            and len(shape) > 1
            and len(shape) + x.ndim > 4
            and shape[0] == x.shape[0] > 1
            and x.strides[0] == x.itemsize
            and x.size > x.shape[0]
        ):
            # Keep the batch innermost in memory: only the other dimensions are merged or split, and runs of a
            # whole batch are copied instead of single elements.
            batch_last = x.transpose(*range(1, x.ndim), 0).reshape(shape[1:] + shape[:1])
            return batch_last.transpose(len(shape) - 1, *range(len(shape) - 1))
        return x.reshape(shape)

    def of_layout(self, layout: np.ndarray) -> np.ndarray:
        """A view of `layout`; ValueError if there is none."""
        return np.reshape(layout, self.shape, copy=False)

    def back(self, y: Array, shape: tuple[int, ...]) -> Array | None:
        """The array of shape `shape` that has y as its view; None if there is none."""
        x = Reshape(shape).forward(y)
        return x if autograd.is_view(x, y) else None

    def backward(self, grad_output: Tensor) -> Gradients:
        return Reshape(self.input_shape())(grad_output)


def reshape(input: Tensor, *sizes: Sizes, shape: Sizes | None = None) -> Tensor:
    """The same elements in another shape, `x.reshape(2, -1)` or `reshape(x, shape=(2, -1))`; one size may be −1.

    Shares memory where it can, and copies where elements cannot be viewed in the new shape. ValueError if the number of
    elements differs.
    """
    return _reshaped("reshape", input, sizes_of(sizes if shape is None else (shape,), "reshape"))


def view(input: Tensor, *sizes: Sizes) -> Tensor:
    """`reshape`, whose result shares memory wherever it does in torch.

    Where activations lie batch innermost, that may take a copy. The tensor then gets the memory of its view; or, if
    something else shares the old one, changing either in place raises RuntimeError.
    """
    return _reshaped("view", input, sizes_of(sizes, "view"))


def _reshaped(name: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return _viewed(name, x, Reshape(_inferred(shape, array_of(name, x).shape, name)))


def _viewed(name: str, x: Tensor, reshape: Reshape) -> Tensor:
    """The result of `reshape`: a view of x, where it is one in torch."""
    y = reshape(x)
    if y._changes is None and (name == "view" or _is_view_in_torch(x, reshape)):  # it was copied
        x._share_copy(y, reshape)
    return y


def _is_view_in_torch(x: Tensor, reshape: Reshape) -> bool:
    layout = torch_layout(x)
    try:
        return layout is not None and (x._view_of is None or reshape.of_layout(layout) is not None)
    except ValueError:
        return False


def torch_layout(x: Tensor) -> np.ndarray | None:
    """An array with the order in memory that x has in torch, where it is another one here; None where it is the same,
    or not known. What an operator made batch innermost is row-major in torch, and so views of it have other strides."""
    path = []
    while x._view_of and x._view_of[0]._changes is x._changes:
        x, function = x._view_of
        path.append(function)
    array = x._array
    if x._view_of is not None or x._has_torch_strides or array.ndim < 2 or array.flags.c_contiguous:
        return None
    order = (2, 1, *range(3, array.ndim), 0)[-array.ndim :]  # that of convolutions; N is innermost in any case
    is_innermost = array.shape[0] > 1 and array.strides[0] == array.itemsize
    if not (is_innermost or array.transpose(order).flags.c_contiguous):
        return None
    layout = np.empty(array.shape, np.bool_) if path else np.empty(0, np.bool_)
    try:
        for step in reversed(path):
            layout = step.of_layout(layout) if isinstance(step, Reshape) else step.unapplied().forward(layout)
    except ValueError:  # what is a view here is a copy in torch
        return None
    return layout


class Contiguous(Function):
    def forward(self, x: Array) -> Array:
        return self.xp.ascontiguousarray(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output


def contiguous(input: Tensor, memory_format: MemoryFormat = MemoryFormat.contiguous_format) -> Tensor:
    """The tensor with its elements in row-major order in memory: itself, if they are, or for another
    `memory_format`. What is row-major in torch and not here becomes row-major, if nothing else knows its memory."""
    array = input._array
    if array.flags.c_contiguous or memory_format is not MemoryFormat.contiguous_format:
        return input
    layout = torch_layout(input)
    if layout is None or not (input._view_of is None or layout.flags.c_contiguous):
        return Contiguous()(input)
    if input._view_of is None and input._is_alone(1):  # `array` here
        input._array = np.ascontiguousarray(array) if isinstance(array, np.ndarray) else Contiguous()(input)._array
        return input
    copy = Contiguous()(input)
    input._share_copy(copy, None)
    return copy


@lru_cache(maxsize=1024)
def _inferred(shape: tuple[int, ...], old: tuple[int, ...], name: str) -> tuple[int, ...]:
    """`shape`, with a size for its −1, after a check that as many elements fit in. Cached: a network repeats the same
    few in every step."""
    count = math.prod(old)
    if -1 in shape:
        known = -math.prod(shape)
        if shape.count(-1) > 1 or known <= 0 or count % known:
            raise ValueError(f"{name}: cannot infer the -1 in {shape} for {count} elements of shape {old}")
        shape = tuple(count // known if size == -1 else size for size in shape)
    if math.prod(shape) != count or (shape and min(shape) < 0):
        raise ShapeError(f"{name}: a tensor of shape {old} ({count} elements) does not fit shape {shape}")
    return shape


def reshaped(x: Tensor, *shape: int) -> Tensor:
    """x in another shape, for operators that only read it: a view or a copy."""
    return Reshape(_inferred(shape, x._array.shape, "reshape"))(x)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim merged into one. ValueError if end_dim comes first."""
    ndim_of(input, "flatten")
    start, end = as_index(start_dim, "flatten"), as_index(end_dim, "flatten")
    return _viewed("flatten", input, Reshape(_flattened(input._array.shape, start, end)))


@lru_cache(maxsize=1024)
def _flattened(shape: tuple[int, ...], start_dim: int, end_dim: int) -> tuple[int, ...]:
    start, end = dim_of(start_dim, len(shape), "flatten"), dim_of(end_dim, len(shape), "flatten")
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {shape}")
    return shape[:start] + (math.prod(shape[start : end + 1]),) + shape[end + 1 :]


@numpy_names
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` split into several of these sizes, one of which may be −1."""
    dim = normalize_dim(dim, input, "unflatten")
    if not isinstance(sizes, (tuple, list)) or not sizes:
        raise TypeError(f"unflatten: expected sizes as a sequence of ints, got {shortened(sizes)}")
    shape = input._array.shape
    split = _inferred(sizes_of((sizes,), "unflatten"), shape[dim : dim + 1], "unflatten")
    return _viewed("unflatten", input, Reshape((*shape[:dim], *split, *shape[dim + 1 :])))


@numpy_names
def squeeze(input: Tensor, dim: Dims = None) -> Tensor:
    """Without the dimensions of size 1: all of them, or those among `dim`."""
    dims = normalize_dims(dim, input, "squeeze")
    return Reshape(tuple([size for i, size in enumerate(input._array.shape) if size != 1 or i not in dims]))(input)


@numpy_names
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of size 1 at place `dim`."""
    dim = dim_of(dim, ndim_of(input, "unsqueeze") + 1, "unsqueeze")
    return Reshape((*input._array.shape[:dim], 1, *input._array.shape[dim:]))(input)


class Permute(Function):
    returns_view = True

    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Array) -> Array:
        return x.transpose(self.dims)

    def backward(self, grad_output: Tensor) -> Gradients:
        inverse = sorted(range(len(self.dims)), key=self.dims.__getitem__)
        return Permute(tuple(inverse))(grad_output)


def permute(input: Tensor, *order: Sizes, dims: Sizes | None = None) -> Tensor:
    """The dimensions in another order, `x.permute(2, 0, 1)` or `permute(x, dims=(2, 0, 1))`: a view.

    ValueError unless each dimension is named once.
    """
    dims = sizes_of(order if dims is None else (dims,), "permute")
    found = normalize_dims(dims, input, "permute")
    if len(found) != input._array.ndim:
        raise ValueError(f"permute: expected {input.ndim} dims for shape {input.shape}, got {dims}")
    return Permute(found)(input)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Dimensions dim0 and dim1 exchanged: a view."""
    ndim, i, j = ndim_of(input, "transpose"), as_index(dim0, "transpose"), as_index(dim1, "transpose")
    return Permute(_exchanged(ndim, i, j))(input)


@lru_cache(maxsize=1024)
def _exchanged(ndim: int, dim0: int, dim1: int) -> tuple[int, ...]:
    dims, i, j = list(range(ndim)), dim_of(dim0, ndim, "transpose"), dim_of(dim1, ndim, "transpose")
    if dims:
        dims[i], dims[j] = dims[j], dims[i]
    return tuple(dims)


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix: a view. ValueError for more than 2 dimensions."""
    if ndim_of(input, "t") > 2:
        raise ValueError(f"t(): expected at most 2 dimensions, got shape {input.shape}")
    return Permute(tuple(range(input._array.ndim))[::-1])(input)


class Flip(Function):
    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Array) -> Array:
        return self.xp.flip(x, self.dims).copy(order="K")

    def backward(self, grad_output: Tensor) -> Gradients:
        return Flip(self.dims)(grad_output)


def flip(input: Tensor, *axes: Sizes, dims: Sizes | None = None) -> Tensor:
    """A copy with the elements in reverse order along some dimensions, `x.flip(0, 1)` or `flip(x, dims=(0, 1))`."""
    return Flip(normalize_dims(sizes_of(axes if dims is None else (dims,), "flip"), input, "flip"))(input)


class Expand(Function):
    returns_view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return self.kernels.broadcast_to(x, self.shape)

    def backward(self, grad_output: Tensor) -> Gradients:
        return sum_to_size(grad_output, self.input_shape())


def expand(input: Tensor, *sizes: Sizes, size: Sizes | None = None) -> Tensor:
    """Dimensions of size 1 repeated, without a copy, to the given sizes; −1 keeps a size.

    ValueError if another size than 1 would have to grow.
    """
    return _expanded("expand", input, sizes_of(sizes if size is None else (size,), "expand"))


def _expanded(name: str, input: Tensor, shape: tuple[int, ...]) -> Tensor:
    own = array_of(name, input).shape
    if -1 in shape:
        kept = (-1,) * (len(shape) - len(own)) + own  # a new dimension has no size to keep
        shape = tuple(mine if size == -1 else size for size, mine in zip(shape, kept))
    if shape == own:
        return input
    check_elements(name, shape)
    if repeated_dims(own, shape) is None or min(shape) < 0:
        raise ValueError(f"{name}: a tensor of shape {own} does not expand to {shape}: only sizes of 1 can grow")
    if math.prod(own) == math.prod(shape):  # nothing is repeated: the view may be changed in place
        return Reshape(shape)(input)
    return Expand(shape)(input)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`expand` to the shape of `other`."""
    return _expanded("expand_as", input, array_of("expand_as", other).shape)


class SumToSize(Function):
    """The adjoint of Expand: sums over the dimensions that were repeated."""

    in_float32 = ON_CPU

    def __init__(self, shape: tuple[int, ...], dims: tuple[int, ...]):
        self.shape, self.dims = shape, dims

    def forward(self, x: Array) -> Array:
        return self.kernels.reduced("sum", x, self.dims, True).reshape(self.shape)

    def backward(self, grad_output: Tensor) -> Gradients:
        return expand(grad_output, self.input_shape())


def sum_to_size(input: Tensor, *sizes: Sizes) -> Tensor:
    """Sums over the dimensions along which `sizes` would be broadcast to this shape: the adjoint of `expand`."""
    ndim_of(input, "sum_to_size")
    shape = sizes_of(sizes, "sum_to_size")
    if shape and shape == input._array.shape:
        return input
    dims = repeated_dims(shape, input._array.shape)
    if dims is None:
        raise ValueError(f"sum_to_size: shape {shape} does not expand to {input.shape}")
    return SumToSize(shape, dims)(input)


@lru_cache(maxsize=1024)
def repeated_dims(shape: tuple[int, ...], expanded: tuple[int, ...]) -> tuple[int, ...] | None:
    """The dims of `expanded` that `shape` lacks, or has with size 1; None if it does not expand to that."""
    added = len(expanded) - len(shape)
    dims = list(range(added))
    for i, size in enumerate(shape, added):
        if i < 0 or size != expanded[i]:
            if i < 0 or size != 1:
                return None
            dims.append(i)
    return tuple(dims)


def repeat(input: Tensor, *counts: Sizes, repeats: Sizes | None = None) -> Tensor:
    """Copies side by side, `counts[d]` along each dimension d; more counts than dimensions add some in front."""
    ndim_of(input, "repeat")
    times = sizes_of(counts if repeats is None else (repeats,), "repeat")
    added = len(times) - input._array.ndim
    if added < 0 or min(times, default=0) < 0:
        raise ValueError(
            f"repeat: expected at least {input.ndim} counts of at least 0 for shape {input.shape}, got {times}"
        )
    shape = (1,) * added + input.shape
    check_elements("repeat", tuple([count * size for count, size in zip(times, shape)]))
    apart = reshape(input, *[n for size in shape for n in (1, size)])  # (1, n, 1, m, …), whose ones grow to the counts
    grown = expand(apart, *[n for pair in zip(times, shape, strict=True) for n in pair])
    return reshape(Clone("C")(grown), *[count * size for count, size in zip(times, shape, strict=True)])


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices (*, R, C), zeros above the diagonal; diagonal=1 keeps one more, -1 one less."""
    return _triangle("tril", input, check_int("tril", "diagonal", diagonal), True)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices (*, R, C), zeros below the diagonal; diagonal=1 keeps one less, -1 one more."""
    return _triangle("triu", input, check_int("triu", "diagonal", diagonal) - 1, False)


def _triangle(name: str, x: Tensor, last: int, keeps: bool) -> Tensor:
    """x where `keeps` up to the diagonal `last`, or beyond it if not; 0 elsewhere."""
    if ndim_of(x, name) < 2:
        raise ValueError(f"{name}: expected a tensor of at least 2 dimensions, got shape {x.shape}")
    with backend.current(x._array):
        kept = wrap(backend.array_module(x._array).tri(*x.shape[-2:], last, dtype=bool) == keeps)
    return x.masked_fill(~kept, False if x.dtype == bool else 0)


# --- joining and splitting --------------------------------------------------------------------------------


class Cat(Function):
    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays: Array) -> Array:
        self.sizes = [x.shape[self.dim] for x in arrays]
        return self.kernels.concatenate(arrays, self.dim)

    def backward(self, grad_output: Tensor) -> Gradients:
        ends = np.cumsum(self.sizes).tolist()
        before = (slice(None),) * self.dim
        return tuple(
            grad_output[(*before, slice(start, end))] if need else None
            for start, end, need in zip([0, *ends], ends, self.needs_input_grad)
        )


@autocasts
@numpy_names
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along an existing dimension; all other sizes must be equal, but for those of empty vectors, of
    shape (0,). Dtypes are promoted."""
    tensors = _common_type("cat", tensors)
    like = next((x for x in tensors if x.shape != (0,)), tensors[0])
    dim = normalize_dim(dim, like, "cat")
    before, after = like.shape[:dim], like.shape[dim + 1 :]
    tensors = [reshape(x, *before, 0, *after) if x.shape == (0,) else x for x in tensors]
    for i, x in enumerate(tensors):
        expected = before + x.shape[dim : dim + 1] + after
        if x.ndim == 0:
            raise ValueError(f"cat: tensor {i} has no dimension to join along; use stack")
        if x.shape != expected or x.ndim != like.ndim:
            raise ShapeError(
                f"cat: sizes other than along dim {dim} must be equal: "
                f"tensor 0 has shape {tensors[0].shape}, tensor {i} {x.shape}"
            )
    return Cat(dim)(*tensors)


@autocasts
@numpy_names
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, joined along a new dimension. Dtypes are promoted."""
    tensors = _common_type("stack", tensors)
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise ShapeError(f"stack: expected equal shapes, tensor 0 has {tensors[0].shape}, tensor {i} {x.shape}")
    dim = dim_of(dim, tensors[0].ndim + 1, "stack")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def _common_type(name: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{name}: expected a sequence of Tensors, got {type(tensors).__name__}")
    if not tensors:
        raise ValueError(f"{name}: expected at least one tensor, got none")
    for i, x in enumerate(tensors):
        if not isinstance(x, autograd.Tensor):
            raise TypeError(f"{name}: expected a sequence of Tensors, item {i} is {type(x).__name__}")
    dtype = functools.reduce(dtypes.promote, [x.dtype for x in tensors])
    return [x.to(dtype) for x in tensors]


@numpy_names
def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of `split_size` along `dim` (the last may be smaller), or of the sizes in a list: views.

    ValueError if the sizes do not add up to that of `dim`.
    """
    dim = normalize_dim(dim, input, "split")
    if input._array.ndim == 0:
        raise ValueError("split: expected a tensor of at least 1 dimension, got one without dimensions")
    total = input._array.shape[dim]
    if not isinstance(split_size, (tuple, list)):
        step = check_positive("split", "split_size", split_size)
        sizes = [min(step, total - start) for start in range(0, total, step)] or [0]
    else:
        sizes = [check_int("split", f"split_size[{i}]", size) for i, size in enumerate(split_size)]
        if min(sizes, default=0) < 0:
            raise ValueError(f"split: sizes must not be negative, got {sizes}")
        if sum(sizes) != total:
            raise ValueError(f"split: sizes {sizes} add up to {sum(sizes)}, but dim {dim} has size {total}")
    starts = np.cumsum([0, *sizes]).tolist()
    before = (slice(None),) * dim
    return tuple(input[(*before, slice(a, a + n))] for a, n in zip(starts, sizes, strict=False))


@numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size along `dim` (the last may be smaller), just as many of size 0: views."""
    chunks = check_positive("chunk", "chunks", chunks)
    dim = normalize_dim(dim, input, "chunk")
    if input._array.ndim == 0:
        raise ValueError("chunk: expected a tensor of at least 1 dimension, got one without dimensions")
    size = input._array.shape[dim]
    if not size and chunks > LARGEST_COUNT:
        raise ValueError(f"chunk: {chunks} empty chunks are too many")
    return split(input, -(-size // chunks) if size else [0] * chunks, dim)
