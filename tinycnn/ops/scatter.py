"""Elements picked and placed by tensors of indices or booleans, composed of indexing and its adjoint: see `ops.index`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn import autograd, backend
from tinycnn._decorator import composed, numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import array_of, wrap
from tinycnn.backend import Array
from tinycnn.checks import ShapeError, check_choice, check_flag, check_number, shortened
from tinycnn.ops.index import Scatter, along, gather, getitem, index_steps, on_its_gpu
from tinycnn.ops.rearrange import broadcast_shapes, check_one_dtype
from tinycnn.ops.select import masked_fill, where
from tinycnn.ops.shape import expand, normalize_dim, normalize_dims, reshape

if TYPE_CHECKING:
    from tinycnn.ops.shape import Dims
    from tinycnn.tensor import Tensor

__all__ = [
    "argwhere", "count_nonzero", "index_add", "index_copy", "index_fill", "index_put", "index_select", "isin",
    "masked_scatter", "masked_select", "nonzero", "scatter", "scatter_add", "take", "take_along_dim",
]  # fmt: skip

# --- picking ----------------------------------------------------------------------------------------------


def _places(name: str, index: Any, size: int, ndim: int | None = None) -> Array:
    """The array of an index, of integers, after a check that they are from 0 to size − 1 where the host can tell."""
    if not isinstance(index, autograd.Tensor) or index._array.dtype not in (np.int32, np.int64):
        got = index.dtype if isinstance(index, autograd.Tensor) else type(index).__name__
        raise TypeError(f"{name}: expected a Tensor of integers, int32 or int64, as index, got {got}")
    places = index._array
    if ndim is not None and places.ndim > ndim:
        raise ShapeError(f"{name}: expected an index of {ndim} dimension(s), got shape {index.shape}")
    if places.size and backend.host_reads(places) and (places.min() < 0 or places.max() >= size):
        got = f"{places.min()} to {places.max()}"
        raise IndexError(f"{name}: indices from {got} are out of range for size {size}")
    return places.reshape(-1) if ndim == 1 else places


def _as_vector(x: Tensor) -> Tensor:
    return x if x._array.ndim else reshape(x, 1)


@composed
@numpy_names
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along `dim` that the vector `index` names: a copy."""
    dim = normalize_dim(dim, input, "index_select")
    if input._array.ndim == 0:
        return reshape(index_select(_as_vector(input), 0, index)[0], shape=())
    places = _places("index_select", index, input._array.shape[dim], 1)
    return input[(slice(None),) * dim + (wrap(places),)]


@composed
@numpy_names
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` along `dim`, where the sizes of the other dimensions broadcast; of the flattened tensor without dim."""
    array_of("take_along_dim", indices)
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    dim = normalize_dim(dim, input, "take_along_dim")
    if input._array.ndim != indices._array.ndim:
        raise ShapeError(f"take_along_dim: expected as many dimensions, got {input.shape} and {indices.shape}")
    own, picked = list(input._array.shape), list(indices._array.shape)
    own[dim] = picked[dim] = 1
    try:
        common = list(np.broadcast_shapes(tuple(own), tuple(picked)))
    except ValueError:
        raise ShapeError(f"take_along_dim: shapes {input.shape} and {indices.shape} do not broadcast") from None
    sizes = [[*common[:dim], x._array.shape[dim], *common[dim + 1 :]] for x in (input, indices)]
    return gather(expand(input, sizes[0]), dim, expand(indices, sizes[1]))


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements of the flattened tensor that `index` names, in the shape of `index`."""
    array_of("take", input)
    if not isinstance(index, autograd.Tensor) or index._array.dtype != np.int64:
        got = getattr(index, "dtype", type(index).__name__)
        raise TypeError(f"take: expected a Tensor of int64 as index, got {got}")
    size = input._array.size
    places = where(index < 0, index + size, index)
    _places("take", places, size)
    return reshape(reshape(input, -1)[reshape(places, -1)], shape=index._array.shape)


@composed
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the boolean `mask` is true, as a vector; the two broadcast."""
    array_of("masked_select", input)
    shape = broadcast_shapes(input._array.shape, _mask("masked_select", mask).shape)
    return expand(input, shape)[expand(mask, shape)]


def _mask(name: str, mask: Any) -> Array:
    if not isinstance(mask, autograd.Tensor) or mask._array.dtype.kind != "b":
        got = mask.dtype if isinstance(mask, autograd.Tensor) else type(mask).__name__
        raise TypeError(f"{name}: expected a boolean Tensor as mask, got {got}")
    return mask._array


# --- placing ----------------------------------------------------------------------------------------------


def _placed(name: str, input: Tensor, dim: int, index: Any, source: Any) -> tuple[int, Tensor, Tensor, Tensor]:
    """(dim, input, index, source) with at least one dimension, after checks; `source` cut to the shape of `index`."""
    dim = normalize_dim(dim, input, name)
    shape = input._array.shape or (1,)
    places = _places(name, index, shape[dim])
    if not isinstance(source, autograd.Tensor):
        check_number(name, "src", source)
        source = input.new_full(places.shape, source)
    if source._array.dtype != input._array.dtype:
        raise TypeError(f"{name}: expected src of dtype {input.dtype}, got {source.dtype}")
    input, index, source = _as_vector(input), _as_vector(index), _as_vector(source)
    sizes = list(zip(index._array.shape, input._array.shape, source._array.shape))
    ndims = {x._array.ndim for x in (input, index, source)}
    if len(ndims) > 1 or any(i > s or (i > n and d != dim) for d, (i, n, s) in enumerate(sizes)):
        shapes = f"{index.shape} and src of shape {source.shape} do not fit {input.shape} along dim {dim}"
        raise ShapeError(f"{name}: an index of shape {shapes}")
    return dim, input, index, source[tuple([slice(n) for n in index._array.shape])]


@autocasts
@on_its_gpu
@numpy_names
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy in which each src[i][j] is added at [index[i][j]][j], for dim 0 of a matrix: the adjoint of `gather`."""
    if not isinstance(src, autograd.Tensor):
        raise TypeError(f"scatter_add: expected a Tensor as src, got {type(src).__name__}")
    shape = array_of("scatter_add", input).shape
    dim, input, index, source = _placed("scatter_add", input, dim, index, src)
    added = Scatter(along(index._array.copy(), dim), input._array.shape, True)(source)
    return reshape(input + added, shape=shape)


@on_its_gpu
@numpy_names
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Tensor | float | None = None, *, value: float | None = None,
    reduce: str | None = None,
) -> Tensor:  # fmt: skip
    """A copy in which each src[i][j], or one number, is put at [index[i][j]][j], for dim 0 of a matrix.

    Of several put at one place the last one stays, on a CPU. With `reduce` "add", all are added to what is there.
    """
    shape = array_of("scatter", input).shape
    source: Any = value if src is None else src
    if reduce is not None:
        check_choice("scatter", "reduce", reduce, ("add",))
    dim, input, index, source = _placed("scatter", input, dim, index, source)
    if reduce == "add":
        return reshape(input + Scatter(along(index._array.copy(), dim), input._array.shape, True)(source), shape=shape)
    return reshape(_put(input, along(index._array, dim), source), shape=shape)


def _put(input: Tensor, place: tuple, source: Tensor) -> Tensor:
    """`input` with the elements of `source` at `place`. Of each element it is noted which of the source it gets, so
    that gradients go there only."""
    if not source._array.size:
        return input.clone()
    with backend.current(input._array):
        xp = backend.array_module(input._array)
        chosen = xp.full(input._array.shape, -1, np.int64)
        chosen[place] = xp.arange(source._array.size).reshape(source._array.shape)
    return where(wrap(chosen >= 0), reshape(source, -1)[wrap(xp.maximum(chosen, 0))], input)


@on_its_gpu
@numpy_names
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy to whose slices along `dim`, that the vector `index` names, alpha · the slices of `source` are added."""
    dim, place, source = _slices("index_add", input, dim, index, source)
    check_number("index_add", "alpha", alpha)
    added = Scatter(place, input._array.shape or (1,), True)(source if alpha == 1 else source * alpha)
    return input + reshape(added, shape=input._array.shape)


@autocasts
@on_its_gpu
@numpy_names
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy whose slices along `dim`, that the vector `index` names, are those of `source`."""
    dim, place, source = _slices("index_copy", input, dim, index, source)
    return reshape(_put(_as_vector(input), place, source), shape=input._array.shape)


@on_its_gpu
@composed
@numpy_names
def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """A copy whose slices along `dim`, that the vector `index` names, hold `value`."""
    dim = normalize_dim(dim, input, "index_fill")
    shape = input._array.shape or (1,)
    places = _places("index_fill", index, shape[dim], 1)
    with backend.current(input._array):
        chosen = backend.array_module(input._array).zeros(shape, bool)
        chosen[(slice(None),) * dim + (places,)] = True
    if not isinstance(value, autograd.Tensor):
        check_number("index_fill", "value", value)
    return masked_fill(input, wrap(chosen.reshape(input._array.shape)), value)


def _slices(name: str, input: Tensor, dim: int, index: Any, source: Any) -> tuple[int, tuple, Tensor]:
    """(dim, index of the slices, source), after checks."""
    dim = normalize_dim(dim, input, name)
    shape = input._array.shape or (1,)
    if array_of(name, source).dtype != input._array.dtype:
        raise TypeError(f"{name}: expected source of dtype {input.dtype}, got {source.dtype}")
    places = _places(name, index, shape[dim], 1)
    source = _as_vector(source)
    if source._array.shape != (*shape[:dim], places.size, *shape[dim + 1 :]):
        got = f"source of shape {source.shape} and {places.size} indices"
        raise ShapeError(f"{name}: {got} do not fit shape {input.shape} along dim {dim}")
    return dim, (slice(None),) * dim + (places.copy(),), source


@on_its_gpu
@composed
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the first elements of `source`, one after the other, where the boolean `mask` is true."""
    if array_of("masked_scatter", input).dtype != array_of("masked_scatter", source).dtype:
        raise TypeError(f"masked_scatter: expected source of dtype {input.dtype}, got {source.dtype}")
    shape = broadcast_shapes(input._array.shape, _mask("masked_scatter", mask).shape)
    input, chosen = expand(input, shape), expand(mask, shape)
    count = int(chosen._array.sum())  # which waits for a GPU
    if count > source._array.size:
        raise ValueError(f"masked_scatter: expected at least {count} elements as source, got {source._array.size}")
    if not count:
        return input.clone()
    place = reshape(chosen, -1)._array.cumsum().reshape(shape) - 1
    return where(chosen, reshape(source, -1)[wrap(place.clip(0))], input)


# --- finding ----------------------------------------------------------------------------------------------


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The indices of the elements that are not 0: (count, dimensions), or with `as_tuple` a vector for each dimension.

    Of a GPU the host has to wait for the count.
    """
    array = array_of("nonzero", input)
    check_flag("nonzero", "as_tuple", as_tuple)
    with backend.current(array):
        found = (array if array.ndim else array.reshape(1)).nonzero()
        if as_tuple:
            return tuple([wrap(index) for index in found])
        return wrap(backend.array_module(array).stack(found, 1)[:, : array.ndim])


def argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that are not 0: (count, dimensions)."""
    array_of("argwhere", input)
    found = nonzero(input)
    assert isinstance(found, autograd.Tensor)
    return found


@numpy_names
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements over `dim` (an int, several, or None for all) are not 0."""
    dims = normalize_dims(dim, input, "count_nonzero", True)
    return (input != 0).sum(dims)


def isin(elements: Tensor, test_elements: Tensor | float, *, invert: bool = False) -> Tensor:
    """Whether each element is among `test_elements`; with `invert`, whether it is not."""
    array_of("isin", elements)
    if not isinstance(test_elements, autograd.Tensor):
        check_number("isin", "test_elements", test_elements)
        test_elements = elements.new_full((1,), test_elements)
    backend.one_device("isin", [elements._array, test_elements._array])
    found = (elements.unsqueeze(-1) == reshape(test_elements, -1)).any(-1)
    return ~found if check_flag("isin", "invert", invert) else found


@autocasts
@composed
@on_its_gpu
def index_put(input: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy whose elements input[indices] are `values`, which broadcast; with `accumulate` they are added, once for
    each time that an element is named."""
    check_one_dtype("index_put", input, values)
    check_flag("index_put", "accumulate", accumulate)
    if not isinstance(indices, (tuple, list)) or not all(isinstance(x, autograd.Tensor) for x in indices):
        raise TypeError(f"index_put: expected a tuple of Tensors as indices, got {shortened(indices)}")
    key = tuple([x.clone() for x in indices])
    if accumulate:
        (place,) = index_steps(key, input._array) if key else ((...,),)
        return input + Scatter(place, input._array.shape, True)(expand(values, getitem(input.detach(), key).shape))
    result = input.clone()
    result[key] = values
    return result
