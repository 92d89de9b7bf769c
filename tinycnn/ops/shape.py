"""Operators that move elements without computing on them: views, indexing, joining, conversions.

Most come in pairs of adjoints, each the other's gradient: expand and sum, getitem and scatter, gather and
scatter along a dimension.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn.autograd import Function
from tinycnn.backend import Array

# --- arguments --------------------------------------------------------------------------------------------


def normalize_dim(dim: int, ndim: int, name: str) -> int:
    """`dim` counted from the front. A tensor without dimensions accepts 0 and -1, as in torch."""
    try:
        index = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: expected an int as dim, got {dim!r}") from None
    limit = ndim or 1
    if not -limit <= index < limit:
        raise IndexError(
            f"{name}: dim {index} is out of range for {ndim} dimension(s): expected {-limit} to {limit - 1}"
        )
    return index % limit


def normalize_dims(dims: Any, ndim: int, name: str) -> tuple[int, ...]:
    """`dims` (an int, a sequence, or None for all) counted from the front, each once."""
    if dims is None:
        return tuple(range(ndim))
    if isinstance(dims, int):
        dim = normalize_dim(dims, ndim, name)
        return (dim,) if ndim else ()
    given = dims if isinstance(dims, (tuple, list)) else (dims,)
    found = tuple(normalize_dim(d, ndim, name) for d in given)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: a dim is given twice in {dims}")
    return found if ndim else ()


def sizes_of(sizes: tuple) -> tuple[int, ...]:
    """The arguments of x.reshape(2, 3) or x.reshape((2, 3)) as one tuple of ints."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple(map(operator.index, sizes))
    except TypeError:
        raise TypeError(f"expected sizes or dims as ints, got {sizes}") from None


# --- views ------------------------------------------------------------------------------------------------


class Reshape(Function):
    returns_view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        shape = self.shape
        if x.ndim > 2 and len(shape) > 1 and shape[0] == x.shape[0] and _batch_innermost(x):
            # Keep the batch innermost in memory: only the other dimensions are merged or split, and runs of a
            # whole batch are copied instead of single elements.
            return _batch_first(_batch_last(x).reshape(shape[1:] + shape[:1]))
        if x.ndim == 2 and len(shape) > 2 and shape[0] == x.shape[0] and _batch_innermost(x):
            return _batch_first(x.T.reshape(shape[1:] + shape[:1]))
        return x.reshape(shape)

    def backward(self, grad_output: Any) -> Any:
        return Reshape(self.input_types[0][0])(grad_output)


def _batch_innermost(x: Array) -> bool:
    return x.strides[0] == x.itemsize and x.shape[0] > 1 and x.size > x.shape[0]


def _batch_last(x: Array) -> Array:
    return x.transpose(*range(1, x.ndim), 0)


def _batch_first(x: Array) -> Array:
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


class Permute(Function):
    returns_view = True

    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Array) -> Array:
        return x.transpose(self.dims)

    def backward(self, grad_output: Any) -> Any:
        inverse = sorted(range(len(self.dims)), key=self.dims.__getitem__)
        return Permute(tuple(inverse))(grad_output)


class Flip(Function):
    returns_view = True

    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).flip(x, self.dims)

    def backward(self, grad_output: Any) -> Any:
        return Flip(self.dims)(grad_output)


class Expand(Function):
    returns_view = True

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return backend.broadcast_to(x, self.shape)

    def backward(self, grad_output: Any) -> Any:
        return grad_output.sum_to_size(self.input_types[0][0])


class SumToSize(Function):
    """The adjoint of Expand: sums over the dimensions that were repeated."""

    def __init__(self, shape: tuple[int, ...], dims: tuple[int, ...]):
        self.shape, self.dims = shape, dims

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).reduced("sum", x, self.dims, True).reshape(self.shape)

    def backward(self, grad_output: Any) -> Any:
        return grad_output.expand(*self.input_types[0][0])


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    count = x._array.size
    if -1 in shape:
        known = -math.prod(shape)
        if shape.count(-1) > 1 or known <= 0 or count % known:
            raise ValueError(f"reshape: cannot infer the -1 in {shape} for {count} elements of shape {x.shape}")
        shape = tuple(count // known if size == -1 else size for size in shape)
    if math.prod(shape) != count or (shape and min(shape) < 0):
        raise ValueError(f"reshape: a tensor of shape {x.shape} ({count} elements) does not fit shape {shape}")
    return Reshape(shape)(x)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    start = normalize_dim(start_dim, x.ndim, "flatten")
    end = normalize_dim(end_dim, x.ndim, "flatten")
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {x.shape}")
    return Reshape(x.shape[:start] + (math.prod(x.shape[start : end + 1]),) + x.shape[end + 1 :])(x)


def unflatten(x: Any, dim: int, sizes: Sequence[int]) -> Any:
    dim = normalize_dim(dim, x.ndim, "unflatten")
    return reshape(x, x.shape[:dim] + tuple(sizes) + x.shape[dim + 1 :])


def squeeze(x: Any, dim: Any = None) -> Any:
    dims = normalize_dims(dim, x.ndim, "squeeze")
    return Reshape(tuple(size for i, size in enumerate(x.shape) if size != 1 or i not in dims))(x)


def unsqueeze(x: Any, dim: int) -> Any:
    dim = normalize_dim(dim, x.ndim + 1, "unsqueeze")
    return Reshape((*x.shape[:dim], 1, *x.shape[dim:]))(x)


def permute(x: Any, dims: tuple[int, ...]) -> Any:
    found = normalize_dims(dims, x.ndim, "permute")
    if len(found) != x.ndim:
        raise ValueError(f"permute: expected {x.ndim} dims for shape {x.shape}, got {dims}")
    return Permute(found)(x)


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    dims = list(range(x.ndim))
    i, j = normalize_dim(dim0, x.ndim, "transpose"), normalize_dim(dim1, x.ndim, "transpose")
    if dims:
        dims[i], dims[j] = dims[j], dims[i]
    return Permute(tuple(dims))(x)


def flip(x: Any, dims: tuple[int, ...]) -> Any:
    return Flip(normalize_dims(dims, x.ndim, "flip"))(x)


def repeat(x: Any, counts: tuple[int, ...]) -> Any:
    """x laid side by side `counts[d]` times along each dimension d; more counts than dimensions add some in front."""
    added = len(counts) - x.ndim
    if added < 0 or min(counts, default=0) < 0:
        raise ValueError(f"repeat: expected at least {x.ndim} counts of at least 0 for shape {x.shape}, got {counts}")
    shape = (1,) * added + x.shape
    apart = x.reshape(*[n for size in shape for n in (1, size)])  # (1, n, 1, m, …), whose ones grow to the counts
    grown = apart.expand(*[n for pair in zip(counts, shape, strict=True) for n in pair])
    return grown.reshape(*[count * size for count, size in zip(counts, shape, strict=True)])


def tril(x: Any, diagonal: int = 0) -> Any:
    """The lower triangle of matrices (*, R, C), zeros above the diagonal; diagonal=1 keeps one more, -1 one less."""
    return _triangle("tril", x, diagonal, True)


def triu(x: Any, diagonal: int = 0) -> Any:
    """The upper triangle of matrices (*, R, C), zeros below the diagonal; diagonal=1 keeps one less, -1 one more."""
    return _triangle("triu", x, diagonal - 1, False)


def _triangle(name: str, x: Any, last: int, keeps: bool) -> Any:
    """x where `keeps` up to the diagonal `last`, or beyond it if not; 0 elsewhere."""
    if x.ndim < 2:
        raise ValueError(f"{name}: expected a tensor of at least 2 dimensions, got shape {x.shape}")
    with backend.current(x._array):
        kept = autograd.Tensor._wrap(backend.array_module(x._array).tri(*x.shape[-2:], last, dtype=bool) == keeps)
    return x.masked_fill(~kept, False if x.dtype == bool else 0)


def expand(x: Any, sizes: tuple[int, ...]) -> Any:
    own = x._array.shape
    if -1 in sizes:
        kept = (-1,) * (len(sizes) - len(own)) + own  # a new dimension has no size to keep
        sizes = tuple(mine if size == -1 else size for size, mine in zip(sizes, kept))
    if sizes == own:
        return x
    if repeated_dims(own, sizes) is None or min(sizes) < 0:
        raise ValueError(f"expand: a tensor of shape {own} does not expand to {sizes}: only sizes of 1 can grow")
    return Expand(sizes)(x)


def sum_to_size(x: Any, shape: tuple[int, ...]) -> Any:
    if shape == x._array.shape:
        return x
    dims = repeated_dims(shape, x._array.shape)
    if dims is None:
        raise ValueError(f"sum_to_size: shape {shape} does not expand to {x.shape}")
    return SumToSize(shape, dims)(x)


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


# --- indexing ---------------------------------------------------------------------------------------------


class GetItem(Function):
    returns_view = True

    def __init__(self, index: Any):
        self.index = index

    def forward(self, x: Array) -> Array:
        if self.recorded:
            self.index = _own(self.index)
        return x[self.index]

    def backward(self, grad_output: Any) -> Any:
        return Scatter(self.index, self.input_types[0][0], _may_repeat(self.index))(grad_output)


class Scatter(Function):
    """Zeros of `shape` to which the input is added at `index`, which `repeats` elements or not: GetItem's adjoint."""

    def __init__(self, index: Any, shape: tuple[int, ...], repeats: bool):
        self.index, self.shape, self.repeats = index, shape, repeats

    def forward(self, x: Array) -> Array:
        y = backend.array_module(x).zeros(self.shape, x.dtype)
        if self.repeats:
            backend.kernels(x).add_at(y, self.index, x)
        else:
            y[self.index] = x
        return y

    def backward(self, grad_output: Any) -> Any:
        return GetItem(self.index)(grad_output)


class Gather(Function):
    """y[.., j, ..] = x[.., index[.., j, ..], ..] along one dimension."""

    def __init__(self, dim: int, index: Array):
        self.dim, self.index = dim, index

    def forward(self, x: Array) -> Array:
        if self.recorded:
            self.index = _own(self.index)
        return x[along(self.index, self.dim)]

    def backward(self, grad_output: Any) -> Any:
        repeats = self.index.ndim > 0 and self.index.shape[self.dim] > 1
        return Scatter(along(self.index, self.dim), self.input_types[0][0], repeats)(grad_output)


def along(index: Array, dim: int) -> tuple:
    """The advanced index that picks, at each position of `index`, the element index[position] along `dim`."""
    xp = backend.array_module(index)
    grid = list(xp.ogrid[tuple(slice(size) for size in index.shape)])
    grid[dim] = index
    return tuple(grid)


def _own(index: Any) -> Any:
    """A copy of an index, for the caller may change its arrays and lists before backward."""
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


def getitem(x: Any, index: Any) -> Any:
    try:
        for step in index_steps(index, x._array):
            x = GetItem(step)(x)
    except IndexError as error:
        raise IndexError(f"indexing a tensor of shape {x.shape}: {error}") from None
    return x


def gather(x: Any, dim: int, index: Any) -> Any:
    """Elements of x along `dim`: out[i][j] = x[index[i][j]][j] for dim 0 of a matrix (as torch.gather).

    An index out of range is an error on the CPU. On a GPU, where looking for it would make the host wait, it counts on
    from the other end.
    """
    dim = normalize_dim(dim, x.ndim, "gather")
    if getattr(index, "dtype", np.dtype("O")).kind not in "iu":
        raise TypeError(f"gather: expected a Tensor of integers as index, got {getattr(index, 'dtype', index)}")
    if x.ndim == index.ndim == 0:  # a single number is a vector of one element
        return gather(x.unsqueeze(0), 0, index.unsqueeze(0)).squeeze(0)
    sizes = zip(index.shape, x.shape)
    if index.ndim != x.ndim or any(i > n for d, (i, n) in enumerate(sizes) if d != dim):
        raise ValueError(f"gather: an index of shape {index.shape} does not fit shape {x.shape} along dim {dim}")
    backend.one_device("gather", [x._array, index._array])
    on_cpu = x.device == backend.CPU
    if on_cpu and index.numel() and (index._array.min() < 0 or index._array.max() >= x.shape[dim]):
        raise IndexError(
            f"gather: indices from {index._array.min()} to {index._array.max()} are out of range for "
            f"dim {dim} of size {x.shape[dim]}"
        )
    return Gather(dim, index._array)(x)


# --- joining and splitting --------------------------------------------------------------------------------


class Cat(Function):
    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays: Array) -> Array:
        self.sizes = [x.shape[self.dim] for x in arrays]
        return backend.kernels(arrays[0]).concatenate(arrays, self.dim)

    def backward(self, grad_output: Any) -> Any:
        ends = np.cumsum(self.sizes).tolist()
        before = (slice(None),) * self.dim
        return tuple(
            grad_output[(*before, slice(start, end))] if need else None
            for start, end, need in zip([0, *ends], ends, self.needs_input_grad)
        )


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors joined along an existing dimension; all other sizes must be equal."""
    tensors = _common_type("cat", tensors)
    dim = normalize_dim(dim, tensors[0].ndim, "cat")
    for i, x in enumerate(tensors):
        expected = tensors[0].shape[:dim] + x.shape[dim : dim + 1] + tensors[0].shape[dim + 1 :]
        if x.ndim == 0:
            raise ValueError(f"cat: tensor {i} has no dimension to join along; use stack")
        if x.shape != expected:
            raise ValueError(
                f"cat: sizes other than along dim {dim} must be equal: "
                f"tensor 0 has shape {tensors[0].shape}, tensor {i} {x.shape}"
            )
    return Cat(dim)(*tensors)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors, all of one shape, joined along a new dimension."""
    tensors = _common_type("stack", tensors)
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise ValueError(f"stack: expected equal shapes, tensor 0 has {tensors[0].shape}, tensor {i} {x.shape}")
    return cat([unsqueeze(x, dim) for x in tensors], normalize_dim(dim, tensors[0].ndim + 1, "stack"))


def _common_type(name: str, tensors: Sequence[Any]) -> list[Any]:
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{name}: expected a sequence of Tensors, got {type(tensors).__name__}")
    if not tensors:
        raise ValueError(f"{name}: expected at least one tensor, got none")
    for i, x in enumerate(tensors):
        if not isinstance(x, autograd.Tensor):
            raise TypeError(f"{name}: expected a sequence of Tensors, item {i} is {type(x).__name__}")
    dtype = functools.reduce(dtypes.promote, [x.dtype for x in tensors])
    return [x.to(dtype) for x in tensors]


def split(x: Any, split_size: Any, dim: int = 0) -> tuple:
    dim = normalize_dim(dim, x.ndim, "split")
    total = x.shape[dim]
    if isinstance(split_size, (int, np.integer)):
        if split_size <= 0:
            raise ValueError(f"split: expected a positive split_size, got {split_size}")
        sizes = [min(split_size, total - start) for start in range(0, total, split_size)] or [0]
    else:
        sizes = list(split_size)
        if min(sizes, default=0) < 0:
            raise ValueError(f"split: sizes must not be negative, got {sizes}")
        if sum(sizes) != total:
            raise ValueError(f"split: sizes {sizes} add up to {sum(sizes)}, but dim {dim} has size {total}")
    starts = np.cumsum([0, *sizes]).tolist()
    before = (slice(None),) * dim
    return tuple(x[(*before, slice(a, a + n))] for a, n in zip(starts, sizes, strict=False))


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple:
    if chunks <= 0:
        raise ValueError(f"chunk: expected a positive number of chunks, got {chunks}")
    size = x.shape[normalize_dim(dim, x.ndim, "chunk")]
    return split(x, max(-(-size // chunks), 1), dim)


# --- copies and conversions -------------------------------------------------------------------------------


class Clone(Function):
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).array(x, copy=True, order="K")

    def backward(self, grad_output: Any) -> Any:
        return grad_output


class Contiguous(Function):
    def forward(self, x: Array) -> Array:
        return backend.array_module(x).ascontiguousarray(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output


class Cast(Function):
    """Another dtype. The graph walk casts the gradient back."""

    elementwise = True

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def __call__(self, *inputs: Any) -> Any:
        if self.dtype.kind == "f":
            return super().__call__(*inputs)
        with autograd.no_grad():  # integers have no gradient
            return super().__call__(*inputs)

    def forward(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def backward(self, grad_output: Any) -> Any:
        return grad_output


class ToDevice(Function):
    def __init__(self, device: backend.Device):
        self.device = device

    def forward(self, x: Array) -> Array:
        self.source = backend.device_of(x)
        return backend.to_device(x, self.device)

    def backward(self, grad_output: Any) -> Any:
        return ToDevice(self.source)(grad_output)
