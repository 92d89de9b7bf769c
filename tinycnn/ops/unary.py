"""Functions of one variable, element by element: exponentials, roots, squashing functions, rounding."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING

import numpy as np

from tinycnn import autograd, backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import ON_CPU, Function, Gradients, array_of, wrap
from tinycnn.backend import Array
from tinycnn.checks import check_int
from tinycnn.ops.arithmetic import as_float, isnan, widened
from tinycnn.ops.select import Masked, where

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid", "relu", "erf", "abs", "sign",
    "floor", "ceil", "round",
]  # fmt: skip


class Exp(Function):
    saves_output = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        return self.xp.exp(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output * self.output


def exp(input: Tensor) -> Tensor:
    """eˣ of each element."""
    return Exp()(as_float(input))


class Expm1(Function):
    saves_output = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        return self.xp.expm1(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output * (self.output + 1.0)


def expm1(input: Tensor) -> Tensor:
    """eˣ − 1 of each element, exact where eˣ would be rounded to 1."""
    return Expm1()(as_float(input))


class Log(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = -inf and log -1 = nan, as everywhere
            return self.xp.log(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output / x


def log(input: Tensor) -> Tensor:
    """The natural logarithm of each element: −inf of 0, nan of negative numbers."""
    return Log()(as_float(input))


class Log1p(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        return self.xp.log1p(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output / (1.0 + x)


def log1p(input: Tensor) -> Tensor:
    """log(1 + x) of each element, exact where 1 + x would be rounded to 1."""
    return Log1p()(as_float(input))


class Sqrt(Function):
    saves_output = True
    elementwise = True
    in_float32 = ON_CPU
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return self.xp.sqrt(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output / (2.0 * self.output)


def sqrt(input: Tensor) -> Tensor:
    """√x of each element; nan of negative numbers."""
    return Sqrt()(as_float(input))


class Rsqrt(Function):
    saves_output = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1.0 / self.xp.sqrt(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        y = self.output
        return grad_output * (-0.5 * y * y * y)


def rsqrt(input: Tensor) -> Tensor:
    """1 / √x of each element: inf of 0, nan of negative numbers."""
    return Rsqrt()(as_float(input))


class Sin(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, x: Array) -> Array:
        return self.xp.sin(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output * cos(x)


def sin(input: Tensor) -> Tensor:
    """The sine of each element, in radians."""
    return Sin()(as_float(input))


class Cos(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, x: Array) -> Array:
        return self.xp.cos(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output * -sin(x)


def cos(input: Tensor) -> Tensor:
    """The cosine of each element, in radians."""
    return Cos()(as_float(input))


class Tanh(Function):
    saves_output = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        return self.xp.tanh(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        y = self.output
        return grad_output * (1.0 - y * y)


def tanh(input: Tensor) -> Tensor:
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ) of each element."""
    return Tanh()(as_float(input))


class Sigmoid(Function):
    saves_output = True
    elementwise = True
    in_float32 = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        # exp of a negative number never overflows: 1 / (1 + e^-x) = e^x / (1 + e^x), whichever is safe.
        xp = self.xp
        e = xp.exp(-xp.abs(x))
        return xp.where(x >= 0, 1, e) / (1 + e)

    def backward(self, grad_output: Tensor) -> Gradients:
        y = self.output
        return grad_output * (y * (1.0 - y))


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ) of each element, without overflow."""
    return Sigmoid()(as_float(input))


class Relu(Function):
    saves_output = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        if x.dtype.kind == "b":
            raise TypeError("relu: not defined for booleans")
        return self.kernels.relu(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        # max(x, 0) is 0 exactly where x <= 0: the output tells, and the input need not be kept.
        y = self.output._array
        if autograd.is_grad_enabled():
            return Masked(backend.elementwise("not_equal", y, 0))(grad_output)
        return wrap(self.kernels.relu_backward(grad_output._array, y))


def relu(input: Tensor) -> Tensor:
    """max(x, 0) of each element, nan of nan; its derivative is 0 at 0, and 1 at nan as in torch."""
    return Relu()(input)


class Erf(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, x: Array) -> Array:
        return self.kernels.erf(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output * exp(-(x * x)) * (2 / math.sqrt(math.pi))


def erf(input: Tensor) -> Tensor:
    """The error function of each element, 2/√π ∫₀ˣ exp(−t²) dt."""
    return Erf()(as_float(input))


class Softplus(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True

    def __init__(self, beta: float, threshold: float):
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Array) -> Array:
        xp, z = self.xp, x * self.beta
        y = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / self.beta  # exp of a negative number only
        return xp.where(z > self.threshold, x, y)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        z = x * self.beta
        return grad_output * where(z > self.threshold, 1.0, sigmoid(z))


class Abs(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        if x.dtype.kind == "b":
            raise TypeError("abs: not defined for booleans")
        return self.xp.abs(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output * sign(x)


def abs(input: Tensor) -> Tensor:
    """|x| of each element; its derivative at 0 is 0."""
    return Abs()(input)


# Steps: the derivative is 0 wherever it exists, so the results are constants.


def sign(input: Tensor) -> Tensor:
    """−1, 0 or 1 for each element, 0 of nan: a constant, as its derivative is 0 wherever it exists."""
    x = array_of("sign", input)
    if x.dtype.kind == "b":
        return input.clone()
    signs = wrap(backend.elementwise("sign", x))
    return where(isnan(input), 0.0, signs) if x.dtype.kind in FLOATING else signs


def floor(input: Tensor) -> Tensor:
    """The largest integer not above each element, in the same dtype."""
    return _rounded("floor", input)


def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below each element, in the same dtype."""
    return _rounded("ceil", input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The integer, or the number of so many decimals, nearest to each element, in the same dtype; halves round to even.
    """
    if check_int("round", "decimals", decimals) == 0:
        return _rounded("round", input)
    if array_of("round", input).dtype.kind not in FLOATING:
        raise TypeError(f"round: expected a floating-point tensor with decimals, got {input.dtype}")
    scale = 10.0 ** builtins.abs(decimals)
    return _rounded("round", input * scale) / scale if decimals > 0 else _rounded("round", input / scale) * scale


def _rounded(function: str, x: Tensor) -> Tensor:
    if not isinstance(x, autograd.Tensor) or x.dtype.kind == "b":
        got = "a boolean tensor" if isinstance(x, autograd.Tensor) else type(x).__name__
        raise TypeError(f"{function}: expected numbers, got {got}")
    name = "rint" if function == "round" else function  # CuPy has no `round` that takes an array alone
    if x.dtype.kind not in FLOATING:
        return x.clone()
    return wrap(backend.elementwise(name, widened(x)._array)).to(x.dtype)
