"""Elements in another arrangement, composed of views, indexing and joining: see `ops.shape` and `ops.index`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn import backend
from tinycnn._decorator import composed, numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import Function, Gradients, array_of
from tinycnn.backend import Array
from tinycnn.checks import ShapeError, check_choice, check_count, check_int, check_positive, shortened
from tinycnn.ops.index import Scatter
from tinycnn.ops.shape import (
    Dims,
    Sizes,
    as_index,
    cat,
    check_elements,
    dim_of,
    expand,
    flip,
    ndim_of,
    normalize_dim,
    normalize_dims,
    permute,
    reshape,
    sizes_of,
    transpose,
)
from tinycnn.size import Size

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "column_stack", "diag", "diag_embed", "diagonal", "dstack",
    "fliplr", "flipud", "hstack", "meshgrid", "movedim", "narrow", "ravel", "repeat_interleave", "roll", "rot90",
    "select", "tensor_split", "tile", "trace", "unbind", "vstack",
]  # fmt: skip

def check_one_dtype(name: str, *tensors: Any) -> None:
    """TypeError unless all are Tensors of one dtype."""
    found = [array_of(name, x).dtype for x in tensors]
    if any(dtype != found[0] for dtype in found):
        raise TypeError(f"{name}: expected Tensors of one dtype, got {' and '.join(map(str, found))}")


# --- views ------------------------------------------------------------------------------------------------


@composed
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of `other`; ValueError if the numbers of elements differ."""
    return reshape(input, shape=array_of("view_as", other).shape)


@composed
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of `other`; ValueError if the numbers of elements differ."""
    return reshape(input, shape=array_of("reshape_as", other).shape)


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return reshape(input, -1) if array_of("ravel", input).size else reshape(input, 0)


def movedim(input: Tensor, source: Dims, destination: Dims) -> Tensor:
    """Dimensions `source`, one or several, moved to the places `destination`; the others keep their order: a view."""
    ndim = ndim_of(input, "movedim")
    sources, places = normalize_dims(source, input, "movedim"), normalize_dims(destination, input, "movedim")
    if source is None or destination is None or len(sources) != len(places):
        raise ValueError(f"movedim: expected as many source as destination dims, got {source} and {destination}")
    others = iter([d for d in range(ndim) if d not in sources])
    return permute(input, [sources[places.index(d)] if d in places else next(others) for d in range(ndim)])


@numpy_names
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """`length` elements along `dim` from `start` on: a view. ValueError if there are not as many."""
    dim = normalize_dim(dim, input, "narrow")
    first, count = as_index(start, "narrow"), check_count("narrow", "length", length)
    size = (*input._array.shape, 0)[dim]
    first += size if first < 0 else 0
    if input._array.ndim == 0 or not 0 <= first <= first + count <= size:
        raise ShapeError(f"narrow: {count} elements from {start} are not in dim {dim} of shape {input.shape}")
    return input[(slice(None),) * dim + (slice(first, first + count),)]


@numpy_names
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice of `index` along `dim`, without that dimension: a view. IndexError if it is out of range."""
    dim, place = normalize_dim(dim, input, "select"), as_index(index, "select")
    size = (*input._array.shape, 0)[dim]
    if input._array.ndim == 0 or not -size <= place < size:
        raise IndexError(f"select: index {place} is out of range for dim {dim} of shape {input.shape}")
    return input[(slice(None),) * dim + (place,)]


@numpy_names
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that dimension: views."""
    dim = normalize_dim(dim, input, "unbind")
    if input._array.ndim == 0:
        raise ValueError("unbind: expected a tensor of at least 1 dimension, got one without dimensions")
    return tuple([input[(slice(None),) * dim + (i,)] for i in range(input._array.shape[dim])])


class Diagonal(Function):
    """The diagonal of the last two dimensions; its adjoint puts elements there, among zeros."""

    returns_view = True

    def __init__(self, offset: int):
        self.offset = offset

    def forward(self, x: Array) -> Array:
        y = self.xp.diagonal(x, self.offset, -2, -1)
        if isinstance(y, np.ndarray) and x.flags.writeable:
            y.flags.writeable = True  # NumPy says that of the future
        return y

    def backward(self, grad_output: Tensor) -> Gradients:
        shape = self.input_shape()
        return Scatter(_diagonal_index(grad_output, self.offset), shape, False)(grad_output)


def _diagonal_index(x: Tensor, offset: int) -> tuple:
    """Where the elements of the last dimension of x lie on a diagonal."""
    with backend.current(x._array):
        along = backend.array_module(x._array).arange(x._array.shape[-1])
        return ..., along + max(-offset, 0), along + max(offset, 0)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of dimensions dim1 and dim2, as the last dimension: a view. `offset` counts to the right."""
    first, second = normalize_dims((dim1, dim2), input, "diagonal") or (0, 0)
    if first == second:
        raise ShapeError(f"diagonal: expected two dimensions, got shape {input.shape}")
    return Diagonal(check_int("diagonal", "offset", offset))(movedim(input, (first, second), (-2, -1)))


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Zeros with the last dimension of `input` on the diagonal of dimensions dim1 and dim2 of the result."""
    ndim = ndim_of(input, "diag_embed") + 1
    offset = check_int("diag_embed", "offset", offset)
    first, second = dim_of(dim1, ndim, "diag_embed"), dim_of(dim2, ndim, "diag_embed")
    if ndim < 2 or first == second:
        raise ValueError(f"diag_embed: expected two dims of a tensor with dimensions, got {dim1} and {dim2}")
    size = input._array.shape[-1] + abs(offset)
    shape = check_elements("diag_embed", (*input._array.shape[:-1], size, size))
    matrices = Scatter(_diagonal_index(input, offset), shape, False)(input)
    return movedim(matrices, (-2, -1), (first, second))


@composed
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Of a vector, the matrix with it on a diagonal; of a matrix, that diagonal, copied. ValueError for others."""
    if ndim_of(input, "diag") not in (1, 2):
        raise ShapeError(f"diag: expected a vector or a matrix, got shape {input.shape}")
    offset = check_int("diag", "diagonal", diagonal)
    return diag_embed(input, offset) if input._array.ndim == 1 else Diagonal(offset)(input).clone()


@autocasts
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix. ValueError for others."""
    if ndim_of(input, "trace") != 2:
        raise ShapeError(f"trace: expected a matrix, got shape {input.shape}")
    return Diagonal(0)(input).sum()


class SlidingWindows(Function):
    """Every `step`-th run of `size` elements along `dim`, as a last dimension; runs overlap in memory."""

    returns_view = True

    def __init__(self, dim: int, size: int, step: int):
        self.dim, self.size, self.step = dim, size, step

    def forward(self, x: Array) -> Array:
        windows = self.xp.lib.stride_tricks.sliding_window_view(x, self.size, self.dim)
        return windows[(slice(None),) * self.dim + (slice(None, None, self.step),)]

    def backward(self, grad_output: Tensor) -> Gradients:
        starts = np.arange(grad_output._array.shape[self.dim]) * self.step
        index = backend.to_device(starts[:, None] + np.arange(self.size), backend.device_of(grad_output._array))
        rows = movedim(grad_output, -1, self.dim + 1)
        return Scatter((slice(None),) * self.dim + (index,), self.input_shape(), True)(rows)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Every `step`-th run of `size` elements along `dimension`, as a last dimension: a view, in which runs overlap."""
    dim = normalize_dim(dimension, input, "unfold")
    size, step = check_positive("unfold", "size", size), check_positive("unfold", "step", step)
    if input._array.ndim == 0 or size > input._array.shape[dim]:
        raise ShapeError(f"unfold: runs of {size} elements are not in dim {dim} of shape {input.shape}")
    return SlidingWindows(dim, size, step)(input)


# --- broadcasting -----------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Sizes) -> Size:
    """The shape to which tensors of these shapes broadcast; ValueError if they do not."""
    given = [sizes_of((shape,), "broadcast_shapes") for shape in shapes]
    try:
        return Size(np.broadcast_shapes(*given))
    except ValueError:
        raise ShapeError(f"broadcast_shapes: shapes {shortened(given)} do not broadcast") from None


@composed
def broadcast_to(input: Tensor, size: Sizes) -> Tensor:
    """`expand` to the given sizes: a view."""
    return expand(input, size)


@composed
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape: views. ValueError if they do not broadcast."""
    shape = broadcast_shapes(*[array_of("broadcast_tensors", x).shape for x in tensors])
    return tuple([expand(x, shape) for x in tensors])


@composed
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """For vectors of sizes n, m, …, one tensor (n, m, …) each, which varies along its own dimension only: views.

    "xy" exchanges the first two dimensions of each.
    """
    check_choice("meshgrid", "indexing", indexing, ("ij", "xy"))
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if not given or max(ndim_of(x, "meshgrid") for x in given) > 1:
        shapes = [x.shape for x in given]
        raise ShapeError(f"meshgrid: expected vectors, got shapes {shapes}")
    check_one_dtype("meshgrid", *given)
    shape = [x.numel() for x in given]
    grids = [
        expand(reshape(x, [size if i == d else 1 for i, size in enumerate(shape)]), shape) for d, x in enumerate(given)
    ]
    return tuple([transpose(x, 0, 1) for x in grids] if indexing == "xy" and len(grids) > 1 else grids)


# --- copies -----------------------------------------------------------------------------------------------


@numpy_names
def roll(input: Tensor, shifts: Sizes, dims: Dims = None) -> Tensor:
    """Elements moved on by `shifts` along `dims`, and round from the end to the start; of all in one row without
    dims."""
    distances = [check_int("roll", "shifts", shift) for shift in sizes_of((shifts,), "roll")]
    if dims is None or dims == ():
        if ndim_of(input, "roll") != 1:
            return reshape(roll(ravel(input), distances, 0), shape=input._array.shape)
        dims = 0
    given = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    places = [normalize_dim(d, input, "roll") for d in given]
    if len(distances) != len(places):
        raise ValueError(f"roll: expected as many shifts as dims, got {shifts} and {dims}")
    result = input.clone()
    for distance, dim in zip(distances, places):
        size = (*result._array.shape, 0)[dim]
        if result._array.ndim and size and (first := distance % size):
            result = cat([narrow(result, dim, size - first, first), narrow(result, dim, 0, size - first)], dim)
    return result


@composed
def tile(input: Tensor, *counts: Sizes, dims: Sizes | None = None) -> Tensor:
    """Copies side by side, `counts[d]` along each dimension d, counted from the last: see `repeat`."""
    more = ndim_of(input, "tile")
    times = sizes_of(counts if dims is None else (dims,), "tile")
    return input.repeat(*(1,) * (more - len(times)), *times)


@numpy_names
def repeat_interleave(
    input: Tensor, repeats: int | Tensor, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element along `dim`, or of the flattened tensor, repeated `repeats` times: a number, or one for each."""
    if dim is None:
        input, dim = ravel(input), 0
    dim = normalize_dim(dim, input, "repeat_interleave")
    size = (*input._array.shape, 1)[dim]
    if hasattr(repeats, "_array"):
        times = backend.to_device(array_of("repeat_interleave", repeats), backend.CPU)
        if times.dtype.kind not in "iu" or times.ndim > 1 or times.size not in (1, size) or (times < 0).any():
            raise ShapeError(f"repeat_interleave: expected repeats as {size} ints of at least 0, got {times.shape}")
    else:
        times = check_count("repeat_interleave", "repeats", repeats)
    index = np.repeat(np.arange(size), times)
    return reshape(input, -1)[index] if input._array.ndim == 0 else input[(slice(None),) * dim + (index,)]


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k · 90° in the plane of two dimensions, from the first towards the second."""
    first, second = _two_dims("rot90", input, dims)
    turns = check_int("rot90", "k", k) % 4
    if turns in (0, 2):
        return flip(input, first, second) if turns else input.clone()
    return transpose(flip(input, second if turns == 1 else first), first, second)


def _two_dims(name: str, x: Tensor, dims: Any) -> tuple[int, int]:
    found = normalize_dims(dims, x, name)
    if len(found) != 2:
        raise ValueError(f"{name}: expected two dims, got {shortened(dims)}")
    return found[0], found[1]


def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse order: a copy."""
    _check_ndim("fliplr", input, 2)
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """The rows in reverse order: a copy."""
    _check_ndim("flipud", input, 1)
    return flip(input, 0)


def _check_ndim(name: str, x: Tensor, least: int) -> None:
    if ndim_of(x, name) < least:
        raise ShapeError(f"{name}: expected a tensor of at least {least} dimension(s), got shape {x.shape}")


@numpy_names
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: so many of nearly equal size, the larger ones first, or split at the given indices: views."""
    name = "tensor_split"
    dim = normalize_dim(dim, input, name)
    _check_ndim(name, input, 1)
    size = input._array.shape[dim]
    if isinstance(indices_or_sections, (tuple, list)):
        ends = [slice(None, check_int(name, "an index", i)).indices(size)[1] for i in indices_or_sections]
    else:
        count = check_positive(name, "sections", indices_or_sections)
        if count > 2**20:
            raise ValueError(f"{name}: {count} sections are too many")
        ends = np.cumsum([size // count + (i < size % count) for i in range(count - 1)]).tolist()
    before = (slice(None),) * dim
    return tuple([input[(*before, slice(a, max(a, b)))] for a, b in zip([0, *ends], [*ends, size])])


def grown(name: str, tensors: Sequence[Tensor], ndim: int) -> list[Tensor]:
    """The tensors with at least `ndim` dimensions, as vstack and its kin want them."""
    if not isinstance(tensors, (tuple, list)) or not tensors:
        raise TypeError(f"{name}: expected a sequence of Tensors, got {shortened(tensors)}")
    grown = []
    for x in tensors:
        own = array_of(name, x).shape
        more = (1,) * ndim if not own else (1, *own, 1)[:ndim] if len(own) == 1 else (*own, 1)
        grown.append(reshape(x, shape=more) if len(own) < ndim else x)
    return grown


@composed
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other: joined along the first dimension, vectors as rows."""
    return cat(grown("vstack", tensors, 2), 0)


@composed
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: joined along the second dimension, vectors along their only one."""
    parts = grown("hstack", tensors, 1)
    return cat(parts, 0 if parts[0]._array.ndim == 1 else 1)


@composed
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the third dimension, which matrices and vectors get."""
    return cat(grown("dstack", tensors, 3), 2)


@composed
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors as columns."""
    grown("column_stack", tensors, 1)
    return cat([x if x._array.ndim > 1 else reshape(x, x.numel(), 1) for x in tensors], 1)
