"""Reductions over dimensions: sums, means, extrema, norms, softmax."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, overload

import numpy as np

from tinycnn import autograd
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import ON_CPU, Function, Gradients, array_of, check_broadcast, wrap
from tinycnn.backend import Array, kernels
from tinycnn.checks import check_flag, check_number, shortened
from tinycnn.ops.arithmetic import as_float, widened
from tinycnn.ops.index import Gather, ValuesAndIndices
from tinycnn.ops.select import maximum, minimum, where
from tinycnn.ops.shape import Dims, Expand, Reshape, normalize_dim, normalize_dims
from tinycnn.ops.unary import abs as absolute
from tinycnn.ops.unary import sqrt

if TYPE_CHECKING:
    from tinycnn.dtypes import DTypeLike
    from tinycnn.tensor import Tensor

__all__ = [
    "sum", "mean", "var", "std", "norm", "amax", "amin", "argmax", "argmin", "max", "min", "all", "any", "softmax",
    "log_softmax", "logsumexp",
]  # fmt: skip

# --- sums and what follows from them ----------------------------------------------------------------------


class Sum(Function):
    in_float32 = ON_CPU

    def __init__(self, dims: tuple[int, ...], keepdim: bool):
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Array) -> Array:
        return self.kernels.reduced("sum", x, self.dims, self.keepdim)

    def backward(self, grad_output: Tensor) -> Gradients:
        return _spread(grad_output, self.dims, self.keepdim, self.input_shape())


class Mean(Function):
    """The sum by the number of its elements, nan if there are none; rounded once."""

    consumes_gradient = True
    in_float32 = ON_CPU

    def __init__(self, dims: tuple[int, ...], keepdim: bool):
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Array) -> Array:
        self.count = math.prod([x.shape[d] for d in self.dims])
        return self.kernels.reduced("mean", x, self.dims, self.keepdim)

    def backward(self, grad_output: Tensor) -> Gradients:
        g = grad_output * (1.0 / self.count if self.count else math.nan)
        return _spread(g, self.dims, self.keepdim, self.input_shape())


def _spread(g: Tensor, dims: tuple[int, ...], keepdim: bool, shape: tuple[int, ...]) -> Tensor:
    """The gradient `g` of a sum over `dims`, for each element of an input of `shape`."""
    g = keep_dims(g, dims, keepdim, len(shape))
    return g if g._array.shape == shape else Expand(shape)(g)


def keep_dims(x: Tensor, dims: tuple[int, ...], keepdim: bool, ndim: int) -> Tensor:
    """The result `x` of a reduction with its reduced dimensions, of size 1, put back."""
    if keepdim or not dims:
        return x
    sizes = iter(x.shape)
    return Reshape(tuple([1 if i in dims else next(sizes) for i in range(ndim)]))(x)


@numpy_names
def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None) -> Tensor:
    """The sum over `dim` (an int, several, or None for all); of integers and booleans an int64.

    `keepdim` leaves the reduced dimensions with size 1; with `dtype`, elements are converted first.
    """
    dims = normalize_dims(dim, input, "sum", True, keepdim)
    if dtype is None:
        return Sum(dims, keepdim)(input)
    return Sum(dims, keepdim)(input.to(dtype)).to(dtype)  # which is another one for booleans and small integers


@numpy_names
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None) -> Tensor:
    """The mean over `dim` (an int, several, or None for all); nan of no elements. TypeError for integers."""
    dims = normalize_dims(dim, input, "mean", True, keepdim)
    if dtype is not None:
        input = input.to(dtype)
    check_floating("mean", input)
    return Mean(dims, keepdim)(input)


class Var(Function):
    """Σ (x − mean)² by n − correction. Backward: 2 (x − mean) · u by n − correction."""

    saves_inputs = True
    in_float32 = True

    def __init__(self, dims: tuple[int, ...], correction: float, keepdim: bool):
        self.dims, self.correction, self.keepdim = dims, correction, keepdim

    def forward(self, x: Array) -> Array:
        reduced, count = self.kernels.reduced, math.prod([x.shape[d] for d in self.dims])
        degrees = builtins.max(count - self.correction, 0)
        self.factor = 1.0 / degrees if degrees else math.inf
        centred = x - reduced("mean", x, self.dims, True)
        centred = centred - reduced("mean", centred, self.dims, True)  # what the mean lost in rounding
        return reduced("sum", centred * centred, self.dims, self.keepdim) * self.factor

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        g = keep_dims(grad_output, self.dims, self.keepdim, x.ndim) * (2 * self.factor)
        return g * (x - mean(x, self.dims, keepdim=True))


@numpy_names
def var(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> Tensor:
    """The variance over `dim`: squared deviations from the mean, summed and divided by n − correction.

    `unbiased=False` is correction=0, `unbiased=True` correction=1. TypeError for integers.
    """
    return _var("var", input, dim, unbiased, keepdim, correction)


def _var(name: str, input: Tensor, dim: Dims, unbiased: bool | None, keepdim: bool, correction: float) -> Tensor:
    if isinstance(dim, bool) and unbiased is None:  # x.var(False): torch's short form, without dimensions
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(check_flag(name, "unbiased", unbiased))
    check_number(name, "correction", correction)
    dims = normalize_dims(dim, input, name, True, keepdim)
    check_floating(name, input)
    return Var(dims, correction, keepdim)(widened(input)).to(input.dtype)


@numpy_names
def std(
    input: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> Tensor:
    """The standard deviation over `dim`, the square root of `var`; its derivative at 0 is taken to be 0."""
    x = widened(input) if isinstance(input, autograd.Tensor) else input
    return _root(_var("std", x, dim, unbiased, keepdim, correction), 2).to(input.dtype)


@autocasts
@numpy_names
def norm(input: Tensor, p: float | str = "fro", dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The p-norm over `dim`, (Σ |x|^p)^(1/p): "fro" is p = 2, inf gives the largest absolute value.

    −inf the smallest. ValueError for any other p unless p > 0; TypeError for integers.
    """
    dims = normalize_dims(dim, input, "norm", True, keepdim)
    check_floating("norm", input)
    p = 2 if isinstance(p, str) and p == "fro" else p
    if isinstance(p, str) or not ((p := check_number("norm", "p", p)) > 0 or p == -math.inf):
        raise ValueError(f"norm: expected p > 0 or 'fro', which is 2, got {shortened(p)}")
    if p in (math.inf, -math.inf):
        return _extremum("max" if p > 0 else "min", "norm", absolute(input), dims, keepdim, nan_is_equal=True)
    if p == 1:
        return sum(absolute(input), dims, keepdim)
    x = widened(input)
    total = sum(x * x if p == 2 else _root(absolute(x), 1 / p), dims, keepdim)
    return _root(total, p).to(input.dtype)


def _root(x: Tensor, p: float) -> Tensor:
    """x^(1/p) for x >= 0. Where x = 0 the derivative is infinite and, as in torch, taken to be 0."""
    is_zero = x == 0
    positive = where(is_zero, 1, x)
    return where(is_zero, 0, sqrt(positive) if p == 2 else positive ** (1.0 / p))


# --- extrema ----------------------------------------------------------------------------------------------


class Extremum(Function):
    """The maximum or minimum over dimensions; equal extrema share the gradient evenly.

    As in torch, a nan among the elements gets the gradient if `nan_is_equal`, and else makes all of it nan.
    """

    saves_inputs = True
    saves_output = True

    def __init__(self, method: str, dims: tuple[int, ...], keepdim: bool, nan_is_equal: bool = False):
        self.method, self.dims, self.keepdim, self.nan_is_equal = method, dims, keepdim, nan_is_equal

    def forward(self, x: Array) -> Array:
        return self.kernels.reduced(self.method, x, self.dims, self.keepdim)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        extremum = keep_dims(self.output, self.dims, self.keepdim, x.ndim)
        chosen = x == extremum
        if self.nan_is_equal:
            chosen = chosen | (x != x) & (extremum != extremum)
        share = keep_dims(grad_output, self.dims, self.keepdim, x.ndim) / chosen.sum(self.dims, keepdim=True)
        return where(chosen, share, 0.0) if self.nan_is_equal else share * chosen


@numpy_names
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The maximum over `dim` (an int, several, or () for all); equal maxima share the gradient evenly.

    ValueError if there is no element to choose from.
    """
    return _extremum("max", "amax", input, dim, keepdim)


@numpy_names
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The minimum over `dim` (an int, several, or () for all); equal minima share the gradient evenly.

    ValueError if there is no element to choose from.
    """
    return _extremum("min", "amin", input, dim, keepdim)


def _extremum(method: str, name: str, x: Tensor, dim: Dims, keepdim: bool, nan_is_equal: bool = False) -> Tensor:
    dims = normalize_dims(dim, x, name, True, keepdim)
    if math.prod(x._array.shape[d] for d in dims) == 0:
        raise ValueError(f"{name}: no elements to choose from in dimension(s) {dims} of shape {x.shape}")
    return Extremum(method, dims, keepdim, nan_is_equal)(x)


@numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element, of the flattened tensor or along `dim`; of equal ones the first."""
    return _arg("argmax", input, dim, keepdim)


@numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element, of the flattened tensor or along `dim`; of equal ones the first."""
    return _arg("argmin", input, dim, keepdim)


def _arg(method: str, x: Tensor, dim: int | None, keepdim: bool, name: str = "") -> Tensor:
    """The indices of the extrema; errors name `name`, or the method."""
    name = name or method
    array_of(name, x)
    axis = None if dim is None else normalize_dim(dim, x, name)
    check_flag(name, "keepdim", keepdim)
    if name == method and x._array.dtype.kind == "b":
        raise TypeError(f"{name}: not defined for booleans; convert them to integers")
    if (x.numel() if axis is None else math.prod(x.shape[axis : axis + 1])) == 0:
        raise ValueError(f"{name}: no elements to choose from in shape {x.shape}")
    return wrap(kernels(x._array).reduced(method, x._array, axis if x._array.ndim else None, keepdim))


@overload
def max(input: Tensor, dim: Tensor | None = None) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> ValuesAndIndices: ...
@numpy_names
def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The largest element; with `dim`, (values, indices) along it; with a Tensor instead, `maximum` of the two.

    Along `dim`, the gradient goes to the one element at the index, the first of equal ones.
    """
    if isinstance(dim, autograd.Tensor):
        _check_of_two("max", input, dim, keepdim)
        return maximum(input, dim)
    return _extremum_of("max", input, dim, keepdim)


@overload
def min(input: Tensor, dim: Tensor | None = None) -> Tensor: ...
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> ValuesAndIndices: ...
@numpy_names
def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | ValuesAndIndices:
    """The smallest element; with `dim`, (values, indices) along it; with a Tensor instead, `minimum` of the two."""
    if isinstance(dim, autograd.Tensor):
        _check_of_two("min", input, dim, keepdim)
        return minimum(input, dim)
    return _extremum_of("min", input, dim, keepdim)


def _check_of_two(name: str, input: Tensor, other: Tensor, keepdim: bool) -> None:
    check_broadcast(name, [input, other])
    if keepdim is not False:
        raise TypeError(f"{name}: expected keepdim with dim as an int, got it with a Tensor")


def _extremum_of(name: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor | ValuesAndIndices:
    """`max` or `min`, of all elements or along one dimension."""
    if dim is None:
        return _extremum(name, name, x, (), False, nan_is_equal=True)
    check_flag(name, "keepdim", keepdim)
    indices, dim = _arg(f"arg{name}", x, dim, True, name), normalize_dim(dim, x, name)
    if x._array.ndim == 0:
        return ValuesAndIndices(x.clone(), indices)
    values = Gather(dim)(x, indices)
    return ValuesAndIndices(values, indices) if keepdim else ValuesAndIndices(values.squeeze(dim), indices.squeeze(dim))


@numpy_names
def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether all elements over `dim` (an int, several, or None for all) are true, that is not 0: of uint8 a uint8."""
    return _truth("all", input, dim, keepdim)


@numpy_names
def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether any element over `dim` (an int, several, or None for all) is true, that is not 0: of uint8 a uint8."""
    return _truth("any", input, dim, keepdim)


def _truth(method: str, x: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    dims = normalize_dims(dim, x, method, False, keepdim)
    result = wrap(kernels(x._array).reduced(method, x._array, dims, keepdim))
    return result.to(x.dtype) if x.dtype == np.uint8 else result


# --- softmax ----------------------------------------------------------------------------------------------


class Softmax(Function):
    """exp(x) / Σ exp(x) along one dimension. Backward: y · (u − Σ u·y)."""

    saves_output = True
    in_float32 = True

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return self.kernels.along(self._softmax, x, self.dim)

    def _softmax(self, x: Array, dim: int) -> Array:
        e = self.xp.exp(x - x.max(axis=dim, keepdims=True))  # shifted: never overflows
        return e / self.kernels.reduced("sum", e, (dim,), True)

    def backward(self, grad_output: Tensor) -> Gradients:
        y = self.output
        return y * (grad_output - (grad_output * y).sum(self.dim, keepdim=True))


class LogSoftmax(Function):
    """x − log Σ exp(x) along one dimension. Backward: u − softmax(x) · Σ u."""

    saves_output = True
    in_float32 = True

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return self.kernels.along(self._log_softmax, x, self.dim)

    def _log_softmax(self, x: Array, dim: int) -> Array:
        shifted = x - x.max(axis=dim, keepdims=True)
        return shifted - self.xp.log(self.kernels.reduced("sum", self.xp.exp(shifted), (dim,), True))

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output - self.output.exp() * grad_output.sum(self.dim, keepdim=True)


@numpy_names
def softmax(input: Tensor, dim: int) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`, without overflow. TypeError for integers."""
    return _along(Softmax, "softmax", input, dim)


@numpy_names
def log_softmax(input: Tensor, dim: int) -> Tensor:
    """x − log Σ exp(x) along `dim`, without overflow. TypeError for integers."""
    return _along(LogSoftmax, "log_softmax", input, dim)


def _along(operator: type[Softmax] | type[LogSoftmax], name: str, x: Tensor, dim: int) -> Tensor:
    dim = normalize_dim(dim, x, name)
    if x.numel() == 0:
        return x.clone()
    check_floating(name, x)
    if x.ndim == 0:  # torch takes a single number for a vector of one element
        return operator(0)(x.unsqueeze(0)).squeeze(0)
    return operator(dim)(x)


class LogSumExp(Function):
    """log Σ exp(x) over dimensions. Backward: u · exp(x − log Σ exp(x))."""

    saves_inputs = True
    saves_output = True
    in_float32 = True

    def __init__(self, dims: tuple[int, ...], keepdim: bool):
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Array) -> Array:
        xp, reduced = self.xp, self.kernels.reduced
        largest = reduced("max" if x.size else "sum", x, self.dims, True)  # of no elements there is no maximum
        largest = xp.where(xp.isfinite(largest), largest, 0).astype(x.dtype)
        total = reduced("sum", xp.exp(x - largest), self.dims, self.keepdim)  # shifted: never overflows
        with np.errstate(divide="ignore"):
            return xp.log(total) + largest.reshape(total.shape)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        y, u = (keep_dims(z, self.dims, self.keepdim, x.ndim) for z in (self.output, grad_output))
        return u * (x - y).exp()


@autocasts
@numpy_names
def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """log Σ exp(x) over `dim`, shifted by the maximum so that nothing overflows; integers become floating
    point. −∞ of no elements."""
    if dim is None:
        raise TypeError("logsumexp: expected dim as an int or a sequence of ints, got None")
    dims = normalize_dims(dim, input, "logsumexp", True, keepdim)
    input = as_float(input)
    return LogSumExp(dims, keepdim)(widened(input)).to(input.dtype)


def check_floating(name: str, x: Tensor) -> None:
    """TypeError unless x is a floating-point Tensor."""
    if not isinstance(x, autograd.Tensor) or x._array.dtype.kind not in FLOATING:
        got = f"{x.dtype}; convert it with .float()" if isinstance(x, autograd.Tensor) else type(x).__name__
        raise TypeError(f"{name}: expected a floating-point Tensor, got {got}")
