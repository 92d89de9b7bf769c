"""Operators on each element: arithmetic, powers, exponentials, activations, selection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn.autograd import Function
from tinycnn.backend import Array

# --- operands ---------------------------------------------------------------------------------------------


def _operands(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands of one dtype. A Python number stays one, and so does a boolean: NumPy promotes these as torch
    does, to the dtype of the other operand."""
    Tensor = autograd.Tensor
    if isinstance(a, Tensor):
        if isinstance(b, Tensor):
            if a._array.dtype == b._array.dtype or bool in (a._array.dtype, b._array.dtype):
                return a, b
            dtype = dtypes.result_type(a, b)
            return a.to(dtype), b.to(dtype)
        if isinstance(b, float):
            return as_float(a), float(b)  # NumPy's float64 is a float too, but would promote
        if isinstance(b, int):
            return a, b
        return _operands(name, a, _constant(name, b, a.device))
    if isinstance(b, Tensor):
        b, a = _operands(name, b, a)
        return a, b
    return _operands(name, _constant(name, a, None), b)


def _constant(name: str, value: Any, device: Any) -> Any:
    """An array or a number as a Tensor."""
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)) or hasattr(value, "__cuda_array_interface__"):
        return autograd.Tensor(value, device=device)
    raise TypeError(f"{name}: expected a Tensor, an array or a number, got {type(value).__name__}")


def as_float(x: Any) -> Any:
    """Integers as the default floating-point dtype: they have no fractions, and no gradients."""
    return x if x._array.dtype.kind == "f" else x.to(dtypes.get_default_dtype())


def _apply(function: Function, a: Any, b: Any) -> Any:
    """`function` of two operands, with an error that shows both where they do not go together."""
    a, b = _operands(function.name, a, b)
    try:
        return function(a, b)
    except (TypeError, ValueError):
        _check_together(function.name, a, b)
        raise


def _check_together(name: str, *operands: Any) -> None:
    """Refuses operands on different devices and shapes that do not broadcast."""
    tensors = [x for x in operands if isinstance(x, autograd.Tensor)]
    backend.one_device(name, [x._array for x in tensors])
    shapes = [x.shape for x in tensors]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ValueError(
            f"{name}: shapes {listed} do not broadcast: from the right, sizes must be equal or 1"
        ) from None


def _check_not_boolean(name: str, remedy: str, *operands: Any) -> None:
    """Booleans have no negative and no difference (NumPy and torch agree)."""
    for x in operands:
        if isinstance(x, autograd.Tensor) and x._array.dtype == dtypes.bool_:
            raise TypeError(f"{name}: not defined for boolean tensors; {remedy}")


# --- arithmetic -------------------------------------------------------------------------------------------


class Add(Function):
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad_output: Any) -> Any:
        return grad_output, grad_output


class Sub(Function):
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, grad_output: Any) -> Any:
        return grad_output, -grad_output if self.needs_input_grad[1] else None


class Mul(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a * b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        return grad_output * b if need_a else None, grad_output * a if need_b else None


class Div(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a / b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        # a / b / b rather than a / b², which overflows early
        return grad_output / b if need_a else None, grad_output * -(a / b / b) if need_b else None


class Pow(Function):
    saves_inputs = True
    saves_output = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a**b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        grad_a = grad_b = None
        if need_a:
            # d/da a^b = b a^(b-1), which is 0 where b = 0, also at a = 0, where the formula says 0 · inf.
            exponent = where(b == 0, 1, b) if isinstance(b, autograd.Tensor) else b or 1
            grad_a = grad_output * (b * a ** (exponent - 1))
        if need_b:
            # d/db a^b = a^b ln a, which tends to 0 as a does, if b is not negative.
            base = a if isinstance(a, autograd.Tensor) else autograd.Tensor(a, b.dtype, b.device)
            grad_b = grad_output * self.output * where((base == 0) & (b >= 0), 1, base).log()
        return grad_a, grad_b


class Remainder(Function):
    """a − ⌊a / b⌋ · b, which has the sign of b."""

    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a % b

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        return grad_output, grad_output * -floor_divide(a, b) if self.needs_input_grad[1] else None


class Neg(Function):
    elementwise = True

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, grad_output: Any) -> Any:
        return -grad_output


def add(a: Any, b: Any) -> Any:
    return _apply(Add(), a, b)


def sub(a: Any, b: Any) -> Any:
    _check_not_boolean("sub", "use a ^ b", a, b)
    return _apply(Sub(), a, b)


def mul(a: Any, b: Any) -> Any:
    return _apply(Mul(), a, b)


def div(a: Any, b: Any) -> Any:
    """True division: integers become floating point first."""
    a, b = _operands("div", a, b)
    if "f" not in [x._array.dtype.kind for x in (a, b) if isinstance(x, autograd.Tensor)]:
        a, b = [as_float(x) if isinstance(x, autograd.Tensor) else x for x in (a, b)]
    return _apply(Div(), a, b)


def floor_divide(a: Any, b: Any) -> Any:
    """⌊a / b⌋, of integers an integer. A step function, whose derivative is 0: the result is a constant."""
    a, b = _whole_division("floor_divide", a, b)
    with autograd.no_grad():
        return _apply(_FloorDivide(), a, b)


class _FloorDivide(Function):
    name = "floor_divide"
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return a // b


def remainder(a: Any, b: Any) -> Any:
    """a − ⌊a / b⌋ · b: Python's %."""
    return _apply(Remainder(), *_whole_division("remainder", a, b))


def _whole_division(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    _check_not_boolean(name, "convert them to integers", a, b)
    a, b = _operands(name, a, b)
    floating = any(getattr(x, "dtype", np.dtype(type(x))).kind == "f" for x in (a, b))
    if not floating and (b == 0 if isinstance(b, int) else bool((b == 0).any())):  # for tensors on a GPU, this waits
        raise ZeroDivisionError(f"{name}: division of integers by zero")
    return a, b


def pow(a: Any, b: Any) -> Any:
    if type(b) is int and isinstance(a, autograd.Tensor) and a.dtype == dtypes.bool_:
        a = a.to(dtypes.int64)  # NumPy has int8
    return _apply(Pow(), a, b)


def neg(x: Any) -> Any:
    _check_not_boolean("neg", "use ~x", x)
    return Neg()(x)


# --- functions of one variable ----------------------------------------------------------------------------


class Exp(Function):
    saves_output = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).exp(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output * self.output


class Log(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = -inf and log -1 = nan, as everywhere
            return backend.array_module(x).log(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output / x


class Sqrt(Function):
    saves_output = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return backend.array_module(x).sqrt(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output / (2.0 * self.output)


class Abs(Function):
    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).abs(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output * sign(x)


class Tanh(Function):
    saves_output = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).tanh(x)

    def backward(self, grad_output: Any) -> Any:
        y = self.output
        return grad_output * (1.0 - y * y)


class Sigmoid(Function):
    saves_output = True
    elementwise = True

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
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).relu(x)

    def backward(self, grad_output: Any) -> Any:
        # max(x, 0) > 0 exactly where x > 0: the output tells, and the input need not be kept.
        y = self.output._array
        if autograd.is_grad_enabled():
            return Masked(backend.elementwise("greater", y, 0))(grad_output)
        return autograd.Tensor._wrap(backend.kernels(y).relu_backward(grad_output._array, y))


class Masked(Function):
    """x where `mask`, of the same shape, is true, 0 elsewhere: linear in x, and its own adjoint."""

    def __init__(self, mask: Array):
        self.mask = mask

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).masked(x, self.mask)

    def backward(self, grad_output: Any) -> Any:
        return Masked(self.mask)(grad_output)


def exp(x: Any) -> Any:
    return Exp()(as_float(x))


def log(x: Any) -> Any:
    return Log()(as_float(x))


def sqrt(x: Any) -> Any:
    return Sqrt()(as_float(x))


def abs(x: Any) -> Any:
    return Abs()(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1. Its derivative is 0 wherever it exists, so the result is a constant."""
    return autograd.Tensor._wrap(backend.elementwise("sign", x._array))


def tanh(x: Any) -> Any:
    return Tanh()(as_float(x))


def sigmoid(x: Any) -> Any:
    return Sigmoid()(as_float(x))


def relu(x: Any) -> Any:
    return Relu()(x)


# --- selection --------------------------------------------------------------------------------------------


class Maximum(Function):
    """max(a, b); where both are equal, each gets half of the gradient (as in torch)."""

    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return backend.array_module(a).maximum(a, b)

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        return _split_at_ties(grad_output, a > b, a == b, self.needs_input_grad)


class Minimum(Function):
    """min(a, b), with the gradient of `Maximum`."""

    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return backend.array_module(a).minimum(a, b)

    def backward(self, grad_output: Any) -> Any:
        a, b = self.inputs
        return _split_at_ties(grad_output, a < b, a == b, self.needs_input_grad)


def _split_at_ties(grad_output: Any, a_chosen: Any, tie: Any, needs: Any) -> tuple[Any, Any]:
    half = grad_output * tie * 0.5
    to_a = grad_output * a_chosen + half
    return to_a if needs[0] else None, grad_output - to_a if needs[1] else None


class Clamp(Function):
    saves_inputs = True
    elementwise = True

    def __init__(self, low: float | None, high: float | None):
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        xp = backend.array_module(x)
        if self.low is not None:
            x = xp.maximum(x, self.low)
        return x if self.high is None else xp.minimum(x, self.high)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return grad_output * ((x >= low) & (x <= high))


class Where(Function):
    elementwise = True

    def __call__(self, condition: Any, a: Any, b: Any) -> Any:
        result = super().__call__(condition, a, b)
        if self.recorded:
            self.saved = condition.clone()  # the caller may change the original before backward
        return result

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        return backend.array_module(condition).where(condition, a, b)

    def backward(self, grad_output: Any) -> Any:
        _, need_a, need_b = self.needs_input_grad
        return (
            None,
            Where()(self.saved, grad_output, 0) if need_a else None,
            Where()(self.saved, 0, grad_output) if need_b else None,
        )


def maximum(a: Any, b: Any) -> Any:
    return _apply(Maximum(), *_two_tensors("maximum", a, b))


def minimum(a: Any, b: Any) -> Any:
    return _apply(Minimum(), *_two_tensors("minimum", a, b))


def _two_tensors(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    a, b = _operands(name, a, b)
    if not isinstance(a, autograd.Tensor):
        a = autograd.Tensor(a, dtype=b.dtype, device=b.device)
    if not isinstance(b, autograd.Tensor):
        b = autograd.Tensor(b, dtype=a.dtype, device=a.device)
    return a, b


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max]; the gradient is passed on where min <= x <= max. Bounds may be Tensors."""
    if min is None and max is None:
        raise ValueError("clamp: expected min, max or both, got neither")
    if isinstance(min, autograd.Tensor) or isinstance(max, autograd.Tensor):
        x = x if min is None else where(x < min, min, x)
        return x if max is None else where(x > max, max, x)
    if isinstance(min, float) or isinstance(max, float):
        x = as_float(x)
    return Clamp(min, max)(x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Elements of `a` where `condition` is true, of `b` elsewhere; all three broadcast."""
    if not isinstance(condition, autograd.Tensor) or condition.dtype != bool:
        got = getattr(condition, "dtype", type(condition).__name__)
        raise TypeError(f"where: expected a boolean Tensor as condition, got {got}")
    if not isinstance(a, autograd.Tensor) and not isinstance(b, autograd.Tensor):
        a = autograd.Tensor(a, device=condition.device)
    a, b = _operands("where", a, b)
    try:
        return Where()(condition, a, b)
    except (TypeError, ValueError):
        _check_together("where", condition, a, b)
        raise


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """`value`, a number, where `mask` is true, x elsewhere, with the dtype of x."""
    if getattr(value, "ndim", 0) > 0:
        raise ValueError(f"masked_fill: expected a single number as value, got shape {tuple(value.shape)}")
    if not isinstance(mask, autograd.Tensor) or mask.dtype != bool:
        got = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"masked_fill: expected a boolean Tensor as mask, got {got}")
    result = where(mask, value, x)
    if result.dtype != x.dtype:
        raise TypeError(f"masked_fill: {value!r} is no value for a tensor of dtype {x.dtype}")
    return result


# --- comparisons and logic: no gradients, so no operator classes --------------------------------------------


def compare(name: str, a: Any, b: Any) -> Any:
    """A boolean Tensor, by NumPy's function `name`; NotImplemented for what cannot be compared, so that
    `tensor == "text"` is False."""
    if not isinstance(b, (autograd.Tensor, bool, int, float, np.ndarray, np.generic)):
        return NotImplemented
    a, b = _operands(name, a, b)
    try:
        return autograd.Tensor._wrap(backend.elementwise(name, a._array, getattr(b, "_array", b)))
    except (TypeError, ValueError):
        _check_together(name, a, b)
        raise


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |a − b| <= atol + rtol · |b|, for each element; infinities are close to themselves."""
    if a.dtype != getattr(b, "dtype", None):
        got = getattr(b, "dtype", type(b).__name__)
        raise TypeError(f"isclose: expected two Tensors of one dtype, got {a.dtype} and {got}")
    _check_together("isclose", a, b)
    return autograd.Tensor._wrap(backend.elementwise("isclose", a._array, b._array, rtol, atol, equal_nan))


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close: see `isclose`."""
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


_LOGICAL = {"&": "bitwise_and", "|": "bitwise_or", "^": "bitwise_xor", "~": "invert"}


def logical(symbol: str, *operands: Any) -> Any:
    """~a, a & b, a | b, a ^ b of boolean or integer tensors."""
    for x in operands:
        if not isinstance(x, (bool, int)) and getattr(getattr(x, "dtype", None), "kind", "O") not in "bui":
            got = x.dtype if hasattr(x, "dtype") else type(x).__name__
            raise TypeError(f"'{symbol}': expected boolean or integer tensors, got {got}")
    if len(operands) == 2:
        operands = _operands(f"'{symbol}'", *operands)
    try:
        arrays = [getattr(x, "_array", x) for x in operands]
        return autograd.Tensor._wrap(backend.elementwise(_LOGICAL[symbol], *arrays))
    except (TypeError, ValueError):
        _check_together(f"'{symbol}'", *operands)
        raise


def test(function: str, x: Any) -> Any:
    """isnan, isinf or isfinite of each element, as a boolean Tensor."""
    return autograd.Tensor._wrap(backend.elementwise(function, x._array))
