"""More functions of one variable: sine and cosine, logarithm and exponential near 0, rounding."""

from __future__ import annotations

from typing import Any

from tinycnn import autograd, backend
from tinycnn.autograd import Function
from tinycnn.backend import Array
from tinycnn.ops.arithmetic import as_float


class Sin(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).sin(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output * cos(x)


class Cos(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).cos(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output * -sin(x)


class Log1p(Function):
    """log(1 + x), exact where 1 + x would be rounded to 1."""

    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).log1p(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output / (1.0 + x)


class Expm1(Function):
    """exp(x) − 1, exact where exp(x) would be rounded to 1."""

    saves_output = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).expm1(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output * (self.output + 1.0)


def sin(x: Any) -> Any:
    return Sin()(as_float(x))


def cos(x: Any) -> Any:
    return Cos()(as_float(x))


def log1p(x: Any) -> Any:
    return Log1p()(as_float(x))


def expm1(x: Any) -> Any:
    return Expm1()(as_float(x))


# Steps: the derivative is 0 wherever it exists, so the results are constants.


def floor(x: Any) -> Any:
    """The next integer below, as a number of the same dtype."""
    return _rounded("floor", x)


def ceil(x: Any) -> Any:
    """The next integer above."""
    return _rounded("ceil", x)


def round(x: Any) -> Any:
    """The nearest integer; of two, the even one."""
    return _rounded("rint", x)


def _rounded(function: str, x: Any) -> Any:
    if x.dtype.kind == "b":
        raise TypeError(f"{function}: expected numbers, got a boolean tensor")
    if x.dtype.kind != "f":
        return x.clone()
    return autograd.Tensor._wrap(backend.elementwise(function, x._array))
