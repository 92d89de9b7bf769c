"""Reductions over dimensions: sums, means, extrema, norms, softmax."""

from __future__ import annotations

import math
from typing import Any

from tinycnn import autograd, backend
from tinycnn.autograd import Function
from tinycnn.backend import Array
from tinycnn.ops import arithmetic
from tinycnn.ops.shape import Expand, Gather, Reshape, normalize_dim, normalize_dims


class Sum(Function):
    def __init__(self, dims: tuple[int, ...], keepdim: bool):
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).reduced("sum", x, self.dims, self.keepdim)

    def backward(self, grad_output: Any) -> Any:
        shape, _ = self.input_types[0]
        return Expand(shape)(keep_dims(grad_output, self.dims, self.keepdim, len(shape)))


class Extremum(Function):
    """The maximum or minimum over dimensions; equal extrema share the gradient evenly."""

    saves_inputs = True
    saves_output = True

    def __init__(self, method: str, dims: tuple[int, ...], keepdim: bool):
        self.method, self.dims, self.keepdim = method, dims, keepdim

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).reduced(self.method, x, self.dims, self.keepdim)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        chosen = x == keep_dims(self.output, self.dims, self.keepdim, x.ndim)
        share = keep_dims(grad_output, self.dims, self.keepdim, x.ndim) / chosen.sum(self.dims, keepdim=True)
        return share * chosen


class Softmax(Function):
    """exp(x) / sum exp(x) along one dimension. Backward: y · (u − Σ u·y)."""

    saves_output = True

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).along(self._softmax, x, self.dim)

    @staticmethod
    def _softmax(x: Array, dim: int) -> Array:
        e = backend.array_module(x).exp(x - x.max(axis=dim, keepdims=True))  # shifted: never overflows
        return e / e.sum(axis=dim, keepdims=True)

    def backward(self, grad_output: Any) -> Any:
        y = self.output
        return y * (grad_output - (grad_output * y).sum(self.dim, keepdim=True))


class LogSoftmax(Function):
    """x − log Σ exp(x) along one dimension. Backward: u − softmax(x) · Σ u."""

    saves_output = True

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).along(self._log_softmax, x, self.dim)

    @staticmethod
    def _log_softmax(x: Array, dim: int) -> Array:
        xp = backend.array_module(x)
        shifted = x - x.max(axis=dim, keepdims=True)
        return shifted - xp.log(xp.exp(shifted).sum(axis=dim, keepdims=True))

    def backward(self, grad_output: Any) -> Any:
        return grad_output - self.output.exp() * grad_output.sum(self.dim, keepdim=True)


def keep_dims(x: Any, dims: tuple[int, ...], keepdim: bool, ndim: int) -> Any:
    """The result `x` of a reduction with its reduced dimensions, of size 1, put back."""
    if keepdim or not dims:
        return x
    sizes = iter(x.shape)
    return Reshape(tuple([1 if i in dims else next(sizes) for i in range(ndim)]))(x)


def sum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return Sum(_dims_or_all(dim, x.ndim, "sum"), keepdim)(x)


def mean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    _check_floating("mean", x)
    dims = _dims_or_all(dim, x.ndim, "mean")
    count = math.prod(x.shape[d] for d in dims)
    # 0 / 0 of an empty mean is nan, as in torch.
    return Sum(dims, keepdim)(x) * (1.0 / count if count else math.nan)


def var(x: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1) -> Any:
    _check_floating("var", x)
    if isinstance(dim, bool):  # x.var(False): torch's short form, without dimensions
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    dims = _dims_or_all(dim, x.ndim, "var")
    centred = x - mean(x, dims, keepdim=True)
    degrees = max(math.prod(x.shape[d] for d in dims) - correction, 0)
    total = Sum(dims, keepdim)(centred * centred)
    return total * (1.0 / degrees if degrees else math.inf)


def std(x: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1) -> Any:
    return _root(var(x, dim, unbiased, keepdim, correction=correction), 2)


def _root(x: Any, p: float) -> Any:
    """x^(1/p) for x >= 0. Where x = 0 the derivative is infinite and, as in torch, taken to be 0."""
    is_zero = x == 0
    positive = arithmetic.where(is_zero, 1, x)
    return arithmetic.where(is_zero, 0, positive.sqrt() if p == 2 else positive ** (1.0 / p))


def amax(x: Any, dim: Any = (), keepdim: bool = False) -> Any:
    return _extremum("max", "amax", x, dim, keepdim)


def amin(x: Any, dim: Any = (), keepdim: bool = False) -> Any:
    return _extremum("min", "amin", x, dim, keepdim)


def _extremum(method: str, name: str, x: Any, dim: Any, keepdim: bool) -> Any:
    dims = _dims_or_all(dim, x.ndim, name)
    if math.prod(x.shape[d] for d in dims) == 0:
        raise ValueError(f"{name}: no elements to choose from in dimension(s) {dims} of shape {x.shape}")
    return Extremum(method, dims, keepdim)(x)


def max_along(x: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    """(values, indices) of the maximum along `dim`; the gradient goes to the one element at the index."""
    return _select_along(x, argmax(x, dim, keepdim=True), dim, keepdim)


def min_along(x: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    return _select_along(x, argmin(x, dim, keepdim=True), dim, keepdim)


def _select_along(x: Any, indices: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    if x.ndim == 0:
        return x.clone(), indices
    dim = normalize_dim(dim, x.ndim, "gather")
    values = Gather(dim, indices._array)(x)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    return _arg("argmax", x, dim, keepdim)


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    return _arg("argmin", x, dim, keepdim)


def _arg(method: str, x: Any, dim: int | None, keepdim: bool) -> Any:
    axis = None if dim is None or x.ndim == 0 else normalize_dim(dim, x.ndim, method)
    if (x.numel() if axis is None else x.shape[axis]) == 0:
        raise ValueError(f"{method}: no elements to choose from in shape {x.shape}")
    return autograd.Tensor._wrap(backend.kernels(x._array).reduced(method, x._array, axis, keepdim))


def all(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    axes = normalize_dims(dim, x.ndim, "all")
    return autograd.Tensor._wrap(backend.kernels(x._array).reduced("all", x._array, axes, keepdim))


def any(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    axes = normalize_dims(dim, x.ndim, "any")
    return autograd.Tensor._wrap(backend.kernels(x._array).reduced("any", x._array, axes, keepdim))


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    """log Σ exp(x) over `dim`, shifted by the maximum so that nothing overflows."""
    _check_floating("logsumexp", x)
    dims = _dims_or_all(dim, x.ndim, "logsumexp")
    largest = amax(x, dims, keepdim=True).detach()
    largest = arithmetic.where(largest.isfinite(), largest, 0)
    total = sum((x - largest).exp(), dims, keepdim)
    return total.log() + largest.reshape(*total.shape)


def norm(x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    _check_floating("norm", x)
    p = 2 if p == "fro" else p
    if not isinstance(p, (int, float)) or not p > 0:
        raise ValueError(f"norm: expected p > 0 or 'fro', which is 2, got {p!r}")
    if p == math.inf:
        return amax(x.abs(), () if dim is None else dim, keepdim)
    if p == 1:
        return sum(x.abs(), dim, keepdim)
    if p == 2:
        return _root(sum(x * x, dim, keepdim), 2)
    return _root(sum(_root(x.abs(), 1 / p), dim, keepdim), p)


def softmax(x: Any, dim: int) -> Any:
    return _along(Softmax, "softmax", x, dim)


def log_softmax(x: Any, dim: int) -> Any:
    return _along(LogSoftmax, "log_softmax", x, dim)


def _along(operator: type, name: str, x: Any, dim: int) -> Any:
    _check_floating(name, x)
    dim = normalize_dim(dim, x.ndim, name)
    if x.ndim == 0:  # torch takes a single number for a vector of one element
        return operator(0)(x.unsqueeze(0)).squeeze(0)
    return operator(dim)(x) if x.numel() else x.clone()


def _dims_or_all(dims: Any, ndim: int, name: str) -> tuple[int, ...]:
    """As `normalize_dims`, but an empty sequence means all dimensions, too."""
    return normalize_dims(None if isinstance(dims, (tuple, list)) and not dims else dims, ndim, name)


def _check_floating(name: str, x: Any) -> None:
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating-point tensor, got {x.dtype}; convert it with .float()")
