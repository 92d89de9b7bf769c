"""Operators on each element: arithmetic, powers, exponentials, activations, selection."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn.autograd import Function
from tinycnn.backend import Array

# --- operands ---------------------------------------------------------------------------------------------


def _operands(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands of one dtype. A Python number stays one: NumPy then keeps the dtype of the other operand."""
    Tensor = autograd.Tensor
    a_is_tensor, b_is_tensor = isinstance(a, Tensor), isinstance(b, Tensor)
    if a_is_tensor and b_is_tensor:
        if a.dtype != b.dtype:
            dtype = dtypes.result_type(a, b)
            a, b = a.to(dtype), b.to(dtype)
        return a, b
    if a_is_tensor:
        if isinstance(b, (bool, int, float)):
            return (_as_float(a) if isinstance(b, float) else a), b
        return _operands(name, a, _constant(name, b))
    if b_is_tensor:
        b, a = _operands(name, b, a)
        return a, b
    return _operands(name, _constant(name, a), b)


def _constant(name: str, value: Any) -> Any:
    """An array or a NumPy number as a Tensor."""
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)) or hasattr(value, "__cuda_array_interface__"):
        return autograd.Tensor(value)
    raise TypeError(f"{name}: expected a Tensor, an array or a number, got {type(value).__name__}")


def _as_float(x: Any) -> Any:
    """Integers as the default floating-point dtype: they have no fractions, and no gradients."""
    return x if x.dtype.kind == "f" else x.to(dtypes.get_default_dtype())


def _apply(function: Function, a: Any, b: Any) -> Any:
    """`function` of two operands, with an error that shows both shapes where they do not broadcast."""
    a, b = _operands(function.name, a, b)
    try:
        return function(a, b)
    except ValueError:
        _check_broadcast(function.name, a, b)
        raise


def _check_broadcast(name: str, *operands: Any) -> None:
    shapes = [tuple(getattr(x, "shape", ())) for x in operands]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ValueError(
            f"{name}: shapes {listed} do not broadcast: from the right, sizes must be equal or 1"
        ) from None


# --- arithmetic -------------------------------------------------------------------------------------------


class Add(Function):
    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad_output: Any) -> Any:
        return grad_output, grad_output


class Sub(Function):
    def forward(self, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, grad_output: Any) -> Any:
        return grad_output, -grad_output if self.needs_input_grad[1] else None


class Mul(Function):
    saves_inputs = True

    def forward(self, a: Array, b: Array) -> Array:
        return a * b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        return grad_output * b if need_a else None, grad_output * a if need_b else None


class Div(Function):
    saves_inputs = True

    def forward(self, a: Array, b: Array) -> Array:
        return a / b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        return grad_output / b if need_a else None, -grad_output * a / (b * b) if need_b else None


class Pow(Function):
    saves_inputs = True
    saves_output = True

    def forward(self, a: Array, b: Array) -> Array:
        return a**b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        grad_a = grad_b = None
        if self.needs_input_grad[0]:
            # d/da a^b = b a^(b-1); where b = 0 that is 0, also at a = 0 where the formula says 0 · inf.
            zero_power = 0.0 if b is not None and not hasattr(b, "shape") and b == 0 else None
            grad_a = grad_output * (b * a ** (b - 1)) if zero_power is None else grad_output * 0.0
            if hasattr(b, "shape"):
                grad_a = where(b == 0, 0.0, grad_a)
        if self.needs_input_grad[1]:
            # d/db a^b = a^b ln a, which tends to 0 as a does.
            log_a = where(a == 0, 0.0, a.log()) if hasattr(a, "shape") else np.log(a)
            grad_b = grad_output * self.output * log_a
        return grad_a, grad_b


class Neg(Function):
    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, grad_output: Any) -> Any:
        return -grad_output


def add(a: Any, b: Any) -> Any:
    return _apply(Add(), a, b)


def sub(a: Any, b: Any) -> Any:
    return _apply(Sub(), a, b)


def mul(a: Any, b: Any) -> Any:
    return _apply(Mul(), a, b)


def div(a: Any, b: Any) -> Any:
    """True division: integers become floating point first."""
    a, b = _operands("Div", a, b)
    if getattr(a, "dtype", getattr(b, "dtype", None)).kind != "f":
        a = _as_float(a) if hasattr(a, "dtype") else a
        b = _as_float(b) if hasattr(b, "dtype") else b
    return _apply(Div(), a, b)


def pow(a: Any, b: Any) -> Any:
    return _apply(Pow(), a, b)


def neg(x: Any) -> Any:
    return Neg()(x)


# --- functions of one variable ----------------------------------------------------------------------------


class Exp(Function):
    saves_output = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).exp(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output * self.output


class Log(Function):
    saves_inputs = True

    def forward(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = -inf and log -1 = nan, as everywhere
            return backend.array_module(x).log(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output / x


class Sqrt(Function):
    saves_output = True

    def forward(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return backend.array_module(x).sqrt(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output / (2.0 * self.output)


class Abs(Function):
    saves_inputs = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).abs(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output * sign(x)


class Tanh(Function):
    saves_output = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).tanh(x)

    def backward(self, grad_output: Any) -> Any:
        y = self.output
        return grad_output * (1.0 - y * y)


class Sigmoid(Function):
    saves_output = True

    def forward(self, x: Array) -> Array:
        # exp of a negative number never overflows: 1 / (1 + e^-x) = e^x / (1 + e^x), whichever is safe.
        xp = backend.array_module(x)
        e = xp.exp(-xp.abs(x))
        return xp.where(x >= 0, 1, e) / (1 + e)

    def backward(self, grad_output: Any) -> Any:
        y = self.output
        return grad_output * (y * (1.0 - y))


class Relu(Function):
    saves_output = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).maximum(x, 0)

    def backward(self, grad_output: Any) -> Any:
        # max(x, 0) > 0 exactly where x > 0: the output tells, and the input need not be kept.
        return where(self.output > 0, grad_output, 0)


def exp(x: Any) -> Any:
    return Exp()(_as_float(x))


def log(x: Any) -> Any:
    return Log()(_as_float(x))


def sqrt(x: Any) -> Any:
    return Sqrt()(_as_float(x))


def abs(x: Any) -> Any:
    return Abs()(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1. Its derivative is 0 wherever it exists, so the result is a constant."""
    xp = backend.array_module(x._array)
    return autograd.Tensor._wrap(xp.sign(x._array))


def tanh(x: Any) -> Any:
    return Tanh()(_as_float(x))


def sigmoid(x: Any) -> Any:
    return Sigmoid()(_as_float(x))


def relu(x: Any) -> Any:
    return Relu()(x)


# --- selection --------------------------------------------------------------------------------------------


class Maximum(Function):
    """max(a, b); where both are equal, each gets half of the gradient (as in torch)."""

    saves_inputs = True

    def forward(self, a: Array, b: Array) -> Array:
        return backend.array_module(a).maximum(a, b)

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        share = where(a == b, 0.5, (a > b).to(grad_output.dtype))
        return grad_output * share, grad_output * (1.0 - share)


class Clamp(Function):
    saves_inputs = True

    def __init__(self, low: float | None, high: float | None):
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        xp = backend.array_module(x)
        if self.low is not None:
            x = xp.maximum(x, self.low)
        return x if self.high is None else xp.minimum(x, self.high)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        inside = True
        if self.low is not None:
            inside = inside & (x >= self.low)
        if self.high is not None:
            inside = inside & (x <= self.high)
        return where(inside, grad_output, 0)


class Where(Function):
    def __init__(self, condition: Array):
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        return backend.array_module(self.condition).where(self.condition, a, b)

    def backward(self, grad_output: Any) -> Any:
        need_a, need_b = self.needs_input_grad
        return (
            Where(self.condition)(grad_output, 0) if need_a else None,
            Where(self.condition)(0, grad_output) if need_b else None,
        )


def maximum(a: Any, b: Any) -> Any:
    a, b = _operands("Maximum", a, b)
    if not hasattr(a, "_array"):
        a, b = b, a
    if not hasattr(b, "_array"):
        b = autograd.Tensor(b, dtype=a.dtype, device=a.device)
    return _apply(Maximum(), a, b)


def minimum(a: Any, b: Any) -> Any:
    """min(a, b) = -max(-a, -b)."""
    a, b = _operands("Minimum", a, b)
    return -maximum(-a, -b)


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max]; the gradient is passed on where min <= x <= max. Bounds may be Tensors."""
    if min is None and max is None:
        raise ValueError("clamp: expected min, max or both, got neither")
    if hasattr(min, "_array") or hasattr(max, "_array"):
        x = x if min is None else maximum(x, min)
        return x if max is None else minimum(x, max)
    if isinstance(min, float) or isinstance(max, float):
        x = _as_float(x)
    return Clamp(min, max)(x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Elements of `a` where `condition` is true, of `b` elsewhere; all three broadcast."""
    if not hasattr(condition, "_array") or condition.dtype != bool:
        got = getattr(condition, "dtype", type(condition).__name__)
        raise TypeError(f"where: expected a boolean Tensor as condition, got {got}")
    if not hasattr(a, "_array") and not hasattr(b, "_array"):
        a = autograd.Tensor(a, device=condition.device)
    a, b = _operands("Where", a, b)
    try:
        return Where(condition._array)(a, b)
    except ValueError:
        _check_broadcast("Where", condition, a, b)
        raise


# --- comparisons and logic: no gradients, so no operator classes --------------------------------------------


def compare(function: Callable, a: Any, b: Any) -> Any:
    """A boolean Tensor; NotImplemented for what cannot be compared, so that `tensor == "text"` is False."""
    if not isinstance(b, (autograd.Tensor, bool, int, float, np.ndarray, np.generic)):
        return NotImplemented
    b = getattr(b, "_array", b)
    try:
        return autograd.Tensor._wrap(function(a._array, b))
    except ValueError:
        _check_broadcast(function.__name__, a, b)
        raise


_LOGICAL = {"&": operator.and_, "|": operator.or_, "^": operator.xor, "~": operator.invert}


def logical(symbol: str, *operands: Any) -> Any:
    """~a, a & b, a | b, a ^ b of boolean or integer tensors."""
    arrays = [getattr(x, "_array", x) for x in operands]
    for x in arrays:
        if getattr(x, "dtype", np.dtype(type(x))).kind == "f":
            raise TypeError(f"'{symbol}': expected boolean or integer tensors, got a floating-point one")
    return autograd.Tensor._wrap(_LOGICAL[symbol](*arrays))
