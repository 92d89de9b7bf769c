"""Activations, functions and layers. With `inplace` the result overwrites the input."""

from __future__ import annotations

import math
import warnings

from tinycnn.autocast_mode import autocasts
from tinycnn.checks import check_choice, check_flag, check_number
from tinycnn.dtypes import DTypeLike
from tinycnn.nn.module import Module
from tinycnn.ops import reduce as reductions
from tinycnn.ops import unary
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.in_place import overwrite
from tinycnn.ops.in_place import relu_ as relu_
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import clamp, where
from tinycnn.ops.unary import Softplus as SoftplusFunction
from tinycnn.ops.unary import erf, expm1
from tinycnn.ops.unary import sigmoid as sigmoid
from tinycnn.ops.unary import tanh as tanh
from tinycnn.tensor import Tensor

__all__ = [
    "ELU", "GELU", "Hardswish", "LeakyReLU", "LogSigmoid", "LogSoftmax", "ReLU", "Sigmoid", "SiLU", "Softmax",
    "Softplus", "Tanh",
]  # fmt: skip

# --- functions ----------------------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0) of each element, nan of nan; its derivative is 0 at 0, and 1 at nan as in torch."""
    return relu_(input) if inplace else unary.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere. TypeError for integers."""
    check_floating("leaky_relu", input)
    check_number("leaky_relu", "negative_slope", negative_slope)
    if inplace:
        return overwrite("leaky_relu_", input, leaky_relu, negative_slope)
    return where(input > 0, input, input * negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (eˣ − 1) elsewhere. TypeError for integers. Source: Clevert et al., 2015."""
    check_floating("elu", input)
    check_number("elu", "alpha", alpha)
    if inplace:
        return overwrite("elu_", input, elu, alpha)
    x = widened(input)
    y = where(x <= 0, expm1(clamp(x, max=0.0)) * alpha, x)  # the clamp: e^x of a large x overflows
    return narrowed(y, input)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, inplace=True)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution function; approximate="tanh" replaces it by
    ½ (1 + tanh(√(2/π) (x + 0.044715 x³))). TypeError for integers. Source: Hendrycks and Gimpel, 2016."""
    check_choice("gelu", "approximate", approximate, ("none", "tanh"))
    check_floating("gelu", input)
    x = widened(input)
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return (x * (tanh(inner) + 1) * 0.5).to(input.dtype)
    return (x * (erf(x * math.sqrt(0.5)) + 1) * 0.5).to(input.dtype)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish. TypeError for integers. Source: Elfwing et al., 2017."""
    check_floating("silu", input)
    if inplace:
        return overwrite("silu_", input, silu)
    x = widened(input)
    return (x * sigmoid(x)).to(input.dtype)


@autocasts
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta, without overflow; x itself where beta · x > threshold, where both agree to the
    last digit. TypeError for integers."""
    check_floating("softplus", input)
    numbers = check_number("softplus", "beta", beta), check_number("softplus", "threshold", threshold)
    return SoftplusFunction(*numbers)(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · clamp(x + 3, 0, 6) / 6. TypeError for integers. Source: Howard et al., 2019."""
    check_floating("hardswish", input)
    if inplace:
        return overwrite("hardswish_", input, hardswish)
    x = widened(input)
    z = clamp(x, -3.0, 3.0)  # the slope of the square is not to meet infinity
    return where(x <= -3, 0.0, where(x < 3, z * (z + 3) * (1 / 6), x)).to(input.dtype)


@autocasts
def logsigmoid(input: Tensor) -> Tensor:
    """log sigmoid(x) = −softplus(−x), finite for every x. TypeError for integers."""
    check_floating("logsigmoid", input)
    return -SoftplusFunction(1.0, math.inf)(-input)


def softmax(input: Tensor, dim: int | None = None, *, dtype: DTypeLike = None) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`, computed in `dtype` if given. TypeError for integers.

    Without `dim` it is, as in torch and with its warning, 0 for 0, 1 and 3 dimensions, and 1 for others.
    """
    input = input if dtype is None else input.to(dtype)
    return reductions.softmax(input, _chosen_dim("softmax", input) if dim is None else dim)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: DTypeLike = None) -> Tensor:
    """x − log Σ exp(x) along `dim`; see `softmax`."""
    input = input if dtype is None else input.to(dtype)
    return reductions.log_softmax(input, _chosen_dim("log_softmax", input) if dim is None else dim)


def _chosen_dim(name: str, input: Tensor) -> int:
    check_floating(name, input)
    dim = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"{name}: dim={dim} is assumed for input {input.shape}, which torch deprecates: pass dim",
                  stacklevel=3)  # fmt: skip
    return dim


# --- layers -----------------------------------------------------------------------------------------------


class _Activation(Module):
    """An activation with torch's argument `inplace`."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        check_flag(type(self).__name__, "inplace", inplace)
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """max(x, 0)."""

    def forward(self, input: Tensor) -> Tensor:
        return relu_(input) if self.inplace else unary.relu(input)


class Tanh(Module):
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        return tanh(input)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class Softmax(Module):
    """exp(x) / Σ exp(x) along `dim`; without one, see `F.softmax`."""

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x − log Σ exp(x) along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        return log_softmax(input, self.dim)


class LeakyReLU(_Activation):
    """x where it is positive, negative_slope · x elsewhere."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(_Activation):
    """x where it is positive, alpha · (eˣ − 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x · Φ(x), Φ the normal distribution function, or with approximate="tanh" its approximation: see `F.gelu`."""

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Activation):
    """x · sigmoid(x), also called swish."""

    def forward(self, input: Tensor) -> Tensor:
        return silu(input, self.inplace)


class Hardswish(_Activation):
    """x · clamp(x + 3, 0, 6) / 6."""

    def forward(self, input: Tensor) -> Tensor:
        return hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Softplus(Module):
    """log(1 + exp(beta · x)) / beta; x itself where beta · x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """log(1 / (1 + e⁻ˣ))."""

    def forward(self, input: Tensor) -> Tensor:
        return logsigmoid(input)
