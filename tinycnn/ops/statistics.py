"""Of many elements few: products, medians, counts, and what is made of sorted or compared elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import composed, numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import array_of, wrap
from tinycnn.checks import check_choice, check_count, check_flag, check_int, check_number, check_positive, shortened
from tinycnn.ops.arithmetic import as_float, widened
from tinycnn.ops.functions import lerp
from tinycnn.ops.index import ValuesAndIndices, gather, on_its_gpu
from tinycnn.ops.rearrange import narrow, ravel
from tinycnn.ops.reduce import check_floating, mean, std, var
from tinycnn.ops.select import where
from tinycnn.ops.shape import Dims, cat, ndim_of, normalize_dim, reshape
from tinycnn.ops.sort import argsort, sort

if TYPE_CHECKING:
    from tinycnn.dtypes import DTypeLike
    from tinycnn.tensor import Tensor

__all__ = [
    "aminmax", "bincount", "bucketize", "corrcoef", "cov", "cummax", "cummin", "cumprod", "diff", "histc", "kthvalue",
    "median", "mode", "nanmean", "nansum", "prod", "quantile", "searchsorted", "std_mean", "unique",
    "unique_consecutive", "var_mean",
]  # fmt: skip

# --- products and running products: in pairs, so that gradients are right where elements are 0 ------------------


@autocasts
@composed
@numpy_names
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DTypeLike = None) -> Tensor:
    """The product of all elements, or along `dim`; of integers and booleans an int64, of none 1."""
    check_flag("prod", "keepdim", keepdim)
    x = _numbers("prod", input, dtype)
    if dim is None:
        return prod(ravel(x), 0)
    dim = normalize_dim(dim, x, "prod")
    if x._array.ndim == 0:
        return x.clone()
    while (size := x._array.shape[dim]) > 1:
        half = size // 2
        products = narrow(x, dim, 0, half) * narrow(x, dim, half, half)
        x = cat([products, narrow(x, dim, 2 * half, 1)], dim) if size % 2 else products
    if size == 0:
        x = x.sum(dim, keepdim=True) + 1
    elif x is input:
        x = x.clone()
    return x if keepdim else x.squeeze(dim)


def _numbers(name: str, x: Tensor, dtype: DTypeLike) -> Tensor:
    """x as `dtype`; by default integers and booleans as int64."""
    if dtype is not None:
        return x.to(dtypes.as_dtype(dtype)) if array_of(name, x).dtype != dtype else x
    return x if array_of(name, x).dtype.kind in FLOATING else x.to(dtypes.int64)


@autocasts
@composed
@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: DTypeLike = None) -> Tensor:
    """The product of all elements up to each, along `dim`; of integers and booleans an int64."""
    x, dim = _numbers("cumprod", input, dtype), normalize_dim(dim, input, "cumprod")
    result, shift = x.clone(), 1
    while x._array.ndim and shift < x._array.shape[dim]:  # each holds the product of up to `shift` elements
        rest = x._array.shape[dim] - shift
        products = narrow(result, dim, shift, rest) * narrow(result, dim, 0, rest)
        result, shift = cat([narrow(result, dim, 0, shift), products], dim), 2 * shift
    return result


@numpy_names
def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """(values, indices): the largest element up to each, along `dim`, the last of equal ones; see `max`."""
    return _cumulative("cummax", input, dim, lambda new, old: new >= old)


@numpy_names
def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """(values, indices): the smallest element up to each, along `dim`, the last of equal ones; see `min`."""
    return _cumulative("cummin", input, dim, lambda new, old: new <= old)


def _cumulative(name: str, input: Tensor, dim: int, wins: Any) -> ValuesAndIndices:
    dim = normalize_dim(dim, input, name)
    if not input._array.ndim or not input._array.size:
        return ValuesAndIndices(input.clone(), input.new_zeros(input.shape, dtype=dtypes.int64))
    size = input._array.shape[dim]
    before: tuple = (slice(None),) * dim
    with backend.current(input._array):
        xp = backend.array_module(input._array)
        best = xp.zeros(input._array.shape, np.int64)
        for i in range(1, size):
            last = best[(*before, slice(i - 1, i))]
            new, old = input._array[(*before, i)], xp.take_along_axis(input._array, last, dim)[(*before, 0)]
            best[(*before, i)] = xp.where(wins(new, old) | (new != new), i, best[(*before, i - 1)])
    return ValuesAndIndices(gather(input, dim, wrap(best)), wrap(best))


# --- order ------------------------------------------------------------------------------------------------


@numpy_names
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The middle element in order, the lower of two, of all elements; with `dim`, (values, indices) along it.

    nan if there is one. ValueError if there is no element to choose from.
    """
    check_flag("median", "keepdim", keepdim)
    if dim is None:
        if not array_of("median", input).size:
            raise ValueError(f"median: no elements to choose from in shape {input.shape}")
        values, _ = _in_order("median", reshape(input, -1), 0, True, None)
        return reshape(values, shape=())
    return _in_order("median", input, dim, keepdim, None)


@numpy_names
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """(values, indices) of the k-th smallest element along `dim`, counted from 1. ValueError if there is none."""
    check_flag("kthvalue", "keepdim", keepdim)
    return _in_order("kthvalue", input, dim, keepdim, check_int("kthvalue", "k", k))


@numpy_names
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """(values, indices) of the most frequent elements along `dim`: the smallest of several, and where it is last."""
    check_flag("mode", "keepdim", keepdim)
    dim = normalize_dim(dim, input, "mode")
    if not input._array.ndim or not input._array.shape[dim]:
        return _in_order("mode", input, dim, keepdim, 1)
    values, order = sort(input, dim, stable=True)
    shape = input._array.shape
    size = shape[dim]
    with backend.current(input._array):
        xp = backend.array_module(input._array)
        place = wrap(xp.zeros(shape, np.int64) + xp.arange(size).reshape(-1, *[1] * (len(shape) - dim - 1)))
    # Equal elements lie side by side: how far each is from the first of its kind says how many there are.
    after, before = narrow(values, dim, 1, size - 1), narrow(values, dim, 0, size - 1)
    new = cat([narrow(place, dim, 0, 1) == 0, after != before], dim)
    end = (place - cummax(where(new, place, 0), dim).values).argmax(dim, keepdim=True)
    found = gather(values, dim, end), gather(order, dim, end)
    return ValuesAndIndices(*(x if keepdim else x.squeeze(dim) for x in found))


def _in_order(name: str, x: Tensor, dim: int, keepdim: bool, k: int | None) -> ValuesAndIndices:
    """(values, indices) of the k-th smallest elements; of the medians if k is None."""
    dim = normalize_dim(dim, x, name)
    if x._array.dtype.kind == "b":
        raise TypeError(f"{name}: not defined for booleans; convert them to integers")
    size = x._array.shape[dim] if x._array.ndim else 1
    if size == 0 or not (k is None or 1 <= k <= size):
        raise ValueError(f"{name}: no such element along dim {dim} of shape {x.shape}")
    if x._array.ndim == 0:
        return ValuesAndIndices(x.clone(), x.new_zeros((), dtype=dtypes.int64))
    places, place = argsort(x, dim), (size - 1) // 2 if k is None else k - 1
    chosen = narrow(places, dim, place, 1)
    if k is None and x._array.dtype.kind in FLOATING:
        is_nan = (x != x).sum(dim, keepdim=True)  # they come last in order
        chosen = where(is_nan > 0, gather(places, dim, (size - is_nan).clamp(max=size - 1)), chosen)
    values, chosen = gather(x, dim, chosen), chosen.clone()
    return ValuesAndIndices(values, chosen) if keepdim else ValuesAndIndices(values.squeeze(dim), chosen.squeeze(dim))


@autocasts
@composed
@numpy_names
def quantile(
    input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The values below which the shares `q`, from 0 to 1, of the elements lie, along `dim` or of all.

    Several q, a vector, are a first dimension of the result. Between two elements `interpolation` is "linear",
    "lower", "higher", "midpoint" or "nearest".
    """
    check_choice("quantile", "interpolation", interpolation, ("linear", "lower", "higher", "midpoint", "nearest"))
    check_flag("quantile", "keepdim", keepdim)
    check_floating("quantile", input)
    given = q._array.tolist() if isinstance(q, autograd.Tensor) else check_number("quantile", "q", q)
    shares = given if isinstance(given, list) else [given]
    if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for share in shares):
        raise ValueError(f"quantile: expected q from 0 to 1, a number or a vector, got {shortened(given)}")
    ndim = input._array.ndim
    x, along = (reshape(input, -1), 0) if dim is None else (input, normalize_dim(dim, input, "quantile"))
    x = reshape(x, 1) if x._array.ndim == 0 else x
    size = x._array.shape[along]
    if not x._array.size:
        raise ValueError(f"quantile: no elements to choose from in shape {input.shape}")
    ordered = sort(x, along).values
    ordered = where((x != x).any(along, keepdim=True), float("nan"), ordered)
    found = []
    for share in shares:
        place = share * (size - 1)
        lower, higher = int(np.floor(place)), int(np.ceil(place))
        weight = {"linear": place - lower, "lower": 0.0, "higher": float(higher > lower), "midpoint": 0.5,
                  "nearest": float(np.rint(place) - lower)}[interpolation]  # fmt: skip
        below, above = narrow(ordered, along, lower, 1), narrow(ordered, along, higher, 1)
        value = lerp(below, above, weight) if higher > lower else below
        if dim is None and keepdim:
            value = reshape(value, shape=(1,) * ndim)
        found.append(value if keepdim else value.squeeze(along))
    if isinstance(given, list):
        return cat([value.unsqueeze(0) for value in found])
    return found[0].clone() if found[0]._changes is not None else found[0]


def searchsorted(
    sorted_sequence: Tensor, values: Tensor | float, *, out_int32: bool = False, right: bool = False,
    side: str | None = None,
) -> Tensor:  # fmt: skip
    """For each value, before which place along the last dimension of `sorted_sequence` it would keep the order.

    Before equal elements, or behind them if `right`. All dimensions but the last must be equal, unless the sequence is
    a vector.
    """
    array = array_of("searchsorted", sorted_sequence)
    check_flag("searchsorted", "right", right)
    if side is not None:
        right = check_choice("searchsorted", "side", side, ("left", "right")) == "right"
    if not isinstance(values, autograd.Tensor):
        check_number("searchsorted", "values", values)
        values = sorted_sequence.new_full((), values)
    array, given = widened(sorted_sequence)._array, widened(values)._array  # neither NumPy nor CuPy orders bfloat16
    if array.ndim == 0 or (array.ndim > 1 and array.shape[:-1] != given.shape[:-1]):
        raise ValueError(f"searchsorted: values of shape {values.shape} do not fit a sequence of {array.shape}")
    backend.one_device("searchsorted", [array, given])
    if array.ndim == 1:
        with backend.current(array):
            xp = backend.array_module(array)
            found = wrap(xp.searchsorted(array, given, side="right" if right else "left"))
    else:
        rows, columns = sorted_sequence.unsqueeze(-2), values.unsqueeze(-1)
        found = (rows <= columns if right else rows < columns).sum(-1)
    return found.int() if check_flag("searchsorted", "out_int32", out_int32) else found


def bucketize(input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """For each element, between which of the boundaries, a vector in order, it lies: see `searchsorted`."""
    if array_of("bucketize", boundaries).ndim != 1:
        raise ValueError(f"bucketize: expected boundaries as a vector, got shape {boundaries.shape}")
    if not isinstance(input, autograd.Tensor):
        check_number("bucketize", "input", input)
    for name, flag in (("out_int32", out_int32), ("right", right)):
        check_flag("bucketize", name, flag)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# --- counts -----------------------------------------------------------------------------------------------


@on_its_gpu
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, … occurs in a vector of integers, or the sum of the `weights` of those places."""
    array = array_of("bincount", input)
    if array.dtype.kind not in "iu":
        raise TypeError(f"bincount: expected integers, got {input.dtype}")
    count = check_count("bincount", "minlength", minlength)
    if array.ndim != 1 or (array.size and int(array.min()) < 0):
        raise ValueError(f"bincount: expected a vector of integers of at least 0, got shape {input.shape}")
    size = max(count, int(array.max()) + 1 if array.size else 0)
    if size > 2**31:
        raise ValueError(f"bincount: {size} counts are too many")
    if weights is not None and array_of("bincount", weights).shape != array.shape:
        raise ValueError(f"bincount: expected weights of shape {input.shape}, got {weights.shape}")
    backend.one_device("bincount", [array] if weights is None else [array, weights._array])
    with backend.current(array):
        xp = backend.array_module(array)
        if weights is None:
            return wrap(xp.bincount(array.astype(np.int64), minlength=size).astype(np.int64))
        found = wrap(xp.bincount(array.astype(np.int64), weights._array.astype(np.float64), size))
    return found.to(weights.dtype) if weights.dtype == dtypes.float32 else found


@composed
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal parts of [min, max], by default from the least to the largest;
    others are not counted."""
    check_floating("histc", input)
    bins = check_positive("histc", "bins", bins)
    low, high = check_number("histc", "min", min), check_number("histc", "max", max)
    if low == high == 0 and input._array.size:
        low, high = input.min().item(), input.max().item()
    if low == high:
        low, high = low - 1, high + 1
    if not low < high or not np.isfinite([low, high]).all():
        raise ValueError(f"histc: expected finite min < max, got {low} and {high}")
    x = reshape(widened(input.detach()), -1)
    x = x[(x >= low) & (x <= high)]
    places = ((x - low) * (bins / (high - low))).long().clamp(0, bins - 1)
    return bincount(places, minlength=bins).to(input.dtype)


@on_its_gpu
@numpy_names
def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """Each value once, in order; with `dim`, each slice along it.

    `return_inverse` adds where among these each element, or slice, is found, `return_counts` how often each occurs.
    """
    array = array_of("unique", input)
    for name, flag in (("sorted", sorted), ("return_inverse", return_inverse), ("return_counts", return_counts)):
        check_flag("unique", name, flag)
    axis = None if dim is None else normalize_dim(dim, input, "unique")
    if axis is not None and not array.size:
        raise ValueError(f"unique: expected elements, got shape {input.shape}")
    with backend.current(array):
        xp = backend.array_module(array)
        options = {"return_inverse": True, "return_counts": True, "axis": axis}
        values, inverse, counts = xp.unique(widened(input.detach())._array.reshape(array.shape or 1), **options)
        values = values.astype(array.dtype, copy=False)
    inverse = inverse.reshape(array.shape) if axis is None else inverse.reshape(-1)
    return _asked(values, inverse, counts, return_inverse, return_counts)


@on_its_gpu
def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The flattened tensor without those elements that equal the one before; see `unique`."""
    array = array_of("unique_consecutive", input).reshape(-1)
    for name, flag in (("return_inverse", return_inverse), ("return_counts", return_counts)):
        check_flag("unique_consecutive", name, flag)
    with backend.current(array):
        xp = backend.array_module(array)
        starts = xp.ones(array.shape, bool)
        starts[1:] = array[1:] != array[:-1]
        (places,) = starts.nonzero()
        ends = xp.concatenate([places[1:], xp.full(min(1, places.size), array.size, places.dtype)])
        inverse = (starts.cumsum() - 1).reshape(input._array.shape)
        return _asked(array[places], inverse, ends - places, return_inverse, return_counts)


def _asked(values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    found = [wrap(values)]
    found += [wrap(inverse.astype(np.int64))] * return_inverse + [wrap(counts.astype(np.int64))] * return_counts
    return found[0] if len(found) == 1 else tuple(found)


# --- moments and differences --------------------------------------------------------------------------------


@composed
@numpy_names
def var_mean(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> tuple[Tensor, Tensor]:
    """(var, mean) over `dim`: see there."""
    return var(input, dim, unbiased, keepdim, correction=correction), _mean_beside(input, dim, keepdim)


@composed
@numpy_names
def std_mean(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> tuple[Tensor, Tensor]:
    """(std, mean) over `dim`: see there."""
    return std(input, dim, unbiased, keepdim, correction=correction), _mean_beside(input, dim, keepdim)


def _mean_beside(x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    return mean(x, None if isinstance(dim, bool) else dim, keepdim)


@autocasts
@composed
@numpy_names
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None) -> Tensor:
    """`sum` of the elements that are not nan."""
    array_of("nansum", input)
    x = where(input.isnan(), 0.0, input) if input.is_floating_point() else input
    return x.sum(dim, keepdim, dtype=dtype)


@autocasts
@composed
@numpy_names
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None) -> Tensor:
    """`mean` of the elements that are not nan; nan if there are none."""
    check_floating("nanmean", input)
    return nansum(input, dim, keepdim, dtype=dtype) / (~input.isnan()).sum(dim, keepdim)


@numpy_names
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(amin, amax): see there."""
    array_of("aminmax", input)
    dims = () if dim is None else normalize_dim(dim, input, "aminmax")
    if not input._array.size:
        raise ValueError(f"aminmax: no elements to choose from in shape {input.shape}")
    check_flag("aminmax", "keepdim", keepdim)
    return input.amin(dims, keepdim), input.amax(dims, keepdim)


@composed
@numpy_names
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Each element minus the one before, along `dim`, and that `n` times; `prepend` and `append` are joined first."""
    dim = normalize_dim(dim, input, "diff")
    if input._array.ndim == 0:
        raise ValueError("diff: expected a tensor of at least 1 dimension, got one without dimensions")
    joined = [each for each in (prepend, input, append) if each is not None]
    if any(array_of("diff", each).ndim != input._array.ndim for each in joined):
        raise ValueError(f"diff: expected prepend and append of as many dimensions as shape {input.shape} has")
    x = cat(joined, dim) if len(joined) > 1 else input
    for _ in range(min(check_count("diff", "n", n), x._array.shape[dim])):
        rest = max(x._array.shape[dim] - 1, 0)
        after, before = narrow(x, dim, x._array.shape[dim] - rest, rest), narrow(x, dim, 0, rest)
        x = after ^ before if x._array.dtype.kind == "b" else after - before
    return x.clone() if x is input else x


def cov(input: Tensor, *, correction: int = 1) -> Tensor:
    """The covariances (n, n) of n variables, the rows of `input`, by the number of columns − correction."""
    if array_of("cov", input).dtype.kind == "b":
        raise TypeError("cov: not defined for booleans; convert them to numbers")
    check_int("cov", "correction", correction)
    if ndim_of(input, "cov") > 2:
        raise ValueError(f"cov: expected at most 2 dimensions, got shape {input.shape}")
    x = as_float(reshape(input, 1, -1) if input._array.ndim < 2 else input)
    centred = x - mean(x, 1, True)
    found = centred @ centred.t() / max(x._array.shape[1] - correction, 0)
    return found if input._array.ndim == 2 else reshape(found, shape=())


@composed
def corrcoef(input: Tensor) -> Tensor:
    """The correlations (n, n) of n variables, the rows of `input`."""
    found = cov(input)
    if found._array.ndim == 0:
        return found / found
    deviations = found.diagonal().sqrt()
    return (found / deviations.unsqueeze(1) / deviations).clamp(-1, 1)
