"""Further functions, element by element: those of one variable have their derivatives in one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import composed
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import Function, Gradients, array_of, check_broadcast, wrap
from tinycnn.backend import Array
from tinycnn.checks import check_number, is_int, shortened
from tinycnn.ops.arithmetic import Operand, as_float, bitwise_and, bitwise_or, bitwise_xor, div, operands, pow, widened
from tinycnn.ops.rearrange import check_one_dtype
from tinycnn.ops.select import clamp, where
from tinycnn.ops.unary import cos, log, log1p, rsqrt, sigmoid

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "acos", "acosh", "addcdiv", "addcmul", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_left_shift",
    "bitwise_right_shift", "clamp_max", "clamp_min", "cosh", "deg2rad", "exp2", "fmod", "frac", "heaviside",
    "hypot", "lerp", "log10", "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logit", "nan_to_num", "nextafter", "positive", "rad2deg", "reciprocal", "signbit", "sinh", "square", "tan",
    "trunc", "xlogy",
]  # fmt: skip

# --- one variable -----------------------------------------------------------------------------------------


class OneVariable(Function):
    """The function that NumPy has under the name `numpys`; `derivative` is that, as operators of x."""

    saves_inputs = True
    elementwise = True
    in_float32 = True

    def __init__(self, name: str, numpys: str, derivative: Callable[[Tensor], Tensor]):
        self.name = self._called = name
        self.numpys, self.derivative = numpys, derivative

    def forward(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):  # nan outside of the domain, as everywhere
            return getattr(self.xp, self.numpys)(x)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        return grad_output * self.derivative(x)


@autocasts
def tan(input: Tensor) -> Tensor:
    """The tangent of each element, in radians."""
    return OneVariable("tan", "tan", lambda x: pow(cos(x), -2))(as_float(input))


@autocasts
def asin(input: Tensor) -> Tensor:
    """The angle, from −π/2 to π/2, of which each element is the sine; nan outside of [−1, 1]."""
    return OneVariable("asin", "arcsin", lambda x: rsqrt(1 - x * x))(as_float(input))


@autocasts
def acos(input: Tensor) -> Tensor:
    """The angle, from 0 to π, of which each element is the cosine; nan outside of [−1, 1]."""
    return OneVariable("acos", "arccos", lambda x: -rsqrt(1 - x * x))(as_float(input))


def atan(input: Tensor) -> Tensor:
    """The angle, from −π/2 to π/2, of which each element is the tangent."""
    return OneVariable("atan", "arctan", lambda x: 1 / (1 + x * x))(as_float(input))


@autocasts
def sinh(input: Tensor) -> Tensor:
    """(eˣ − e⁻ˣ) / 2 of each element."""
    return OneVariable("sinh", "sinh", cosh)(as_float(input))


@autocasts
def cosh(input: Tensor) -> Tensor:
    """(eˣ + e⁻ˣ) / 2 of each element."""
    return OneVariable("cosh", "cosh", sinh)(as_float(input))


def asinh(input: Tensor) -> Tensor:
    """The number of which each element is the `sinh`."""
    return OneVariable("asinh", "arcsinh", lambda x: rsqrt(x * x + 1))(as_float(input))


def acosh(input: Tensor) -> Tensor:
    """The number, of at least 0, of which each element is the `cosh`; nan below 1."""
    return OneVariable("acosh", "arccosh", lambda x: rsqrt(x * x - 1))(as_float(input))


def atanh(input: Tensor) -> Tensor:
    """The number of which each element is the `tanh`; nan outside of [−1, 1]."""
    return OneVariable("atanh", "arctanh", lambda x: 1 / (1 - x * x))(as_float(input))


def exp2(input: Tensor) -> Tensor:
    """2ˣ of each element."""
    return OneVariable("exp2", "exp2", lambda x: exp2(x) * math.log(2))(as_float(input))


@autocasts
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2 of each element: −inf of 0, nan of negative numbers."""
    return OneVariable("log2", "log2", lambda x: 1 / (x * math.log(2)))(as_float(input))


@autocasts
def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10 of each element: −inf of 0, nan of negative numbers."""
    return OneVariable("log10", "log10", lambda x: 1 / (x * math.log(10)))(as_float(input))


@autocasts
def reciprocal(input: Tensor) -> Tensor:
    """1 / x of each element."""
    array_of("reciprocal", input)
    return div(1.0, as_float(input))


@autocasts
def square(input: Tensor) -> Tensor:
    """x² of each element."""
    array_of("square", input)
    return pow(input, 2)


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    array_of("deg2rad", input)
    return as_float(input) * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    array_of("rad2deg", input)
    return as_float(input) * (180 / math.pi)


@autocasts
@composed
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 − x)) of each element, which is limited to [eps, 1 − eps] first if `eps` is given."""
    array_of("logit", input)
    x = as_float(input)
    if eps is not None:
        x = clamp(x, check_number("logit", "eps", eps), 1 - eps)
    return log(x) - log1p(-x)


def trunc(input: Tensor) -> Tensor:
    """The whole part of each element, in the same dtype: a constant, as its derivative is 0 wherever it exists."""
    x = array_of("trunc", input)
    if x.dtype.kind == "b":
        raise TypeError("trunc: expected numbers, got a boolean tensor")
    if x.dtype.kind not in FLOATING:
        return input.clone()
    return wrap(backend.elementwise("trunc", widened(input)._array)).to(x.dtype)


def frac(input: Tensor) -> Tensor:
    """x − trunc(x) of each element. TypeError for integers."""
    if array_of("frac", input).dtype.kind not in FLOATING:
        raise TypeError(f"frac: expected a floating-point tensor, got {input.dtype}")
    return input - trunc(input)


def signbit(input: Tensor) -> Tensor:
    """Whether each element has a minus sign, −0.0 included."""
    x = array_of("signbit", input)
    return wrap(backend.elementwise("signbit", x)) if x.dtype.kind in FLOATING else input < 0


@composed
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers in place of nan and the infinities: by default 0, and the largest and the smallest of the dtype."""
    array = array_of("nan_to_num", input)
    if array.dtype.kind not in FLOATING:
        return input.clone()
    least, largest = dtypes.limits(array.dtype)
    given = [check_number("nan_to_num", name, value) for name, value in (
        ("nan", 0.0 if nan is None else nan), ("posinf", largest if posinf is None else posinf),
        ("neginf", least if neginf is None else neginf))]  # fmt: skip
    result = where(input != input, given[0], input)
    return where(input == math.inf, given[1], where(input == -math.inf, given[2], result))


# --- several operands -------------------------------------------------------------------------------------


def _floats(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two Tensors of one floating-point dtype."""
    if not set(FLOATING).intersection([array_of(name, x).dtype.kind for x in (a, b)]):
        a, b = as_float(a), as_float(b)
    dtype = dtypes.result_type(a._array, b._array)
    return a.to(dtype), b.to(dtype)


class Atan2(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, y: Array, x: Array) -> Array:
        return self.xp.arctan2(y, x)

    def backward(self, grad_output: Tensor) -> Gradients:
        y, x = self.inputs
        scaled = grad_output / (x * x + y * y)
        need_y, need_x = self.needs_input_grad
        return scaled * x if need_y else None, -scaled * y if need_x else None


@autocasts
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle, from −π to π, of the point with y from `input` and x from `other`."""
    return Atan2()(*_floats("atan2", input, other))


class Fmod(Function):
    """a − trunc(a / b) · b, which has the sign of a."""

    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return self.xp.fmod(a, b)

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        return grad_output, grad_output * -trunc(a / b) if self.needs_input_grad[1] else None


def fmod(input: Tensor, other: Operand) -> Tensor:
    """The remainder of input / other, with the sign of `input`. ZeroDivisionError for integers by zero."""
    array_of("fmod", input)
    a, b = operands("fmod", input, other)
    kinds = [getattr(getattr(x, "dtype", None), "kind", "f" if isinstance(x, float) else "i") for x in (a, b)]
    if set(kinds) == {"b"} or (kinds[0] == "b" and not isinstance(b, autograd.Tensor)):
        raise TypeError("fmod: not defined for boolean tensors; convert one of them")
    are_whole = not set(FLOATING).intersection(kinds)
    if are_whole and (b == 0 if isinstance(b, int) else bool((b == 0).any())):  # which waits for a GPU
        raise ZeroDivisionError("fmod: division of integers by zero")
    return Fmod()(a, b)


@composed
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """√(input² + other²), element by element."""
    a, b = _floats("hypot", input, other)
    return (a * a + b * b).sqrt()


class Logaddexp(Function):
    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array) -> Array:
        return self.xp.logaddexp(a, b)

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        return grad_output * sigmoid(a - b), grad_output * sigmoid(b - a)


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(eᵃ + eᵇ), element by element, without overflow."""
    return Logaddexp()(*_floats("logaddexp", input, other))


@autocasts
@composed
def xlogy(input: Tensor, other: Tensor) -> Tensor:
    """input · log(other), element by element, and 0 where `input` is 0."""
    a, b = _floats("xlogy", input, other)
    is_zero = (a == 0) & ~b.isnan()
    return where(is_zero, 0.0, a * log(where(is_zero, 1.0, b)))


class Lerp(Function):
    """a + weight · (b − a), counted from the nearer end: exact at both."""

    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array, weight: Any) -> Array:
        return self.xp.where(abs(weight) < 0.5, a + weight * (b - a), b - (b - a) * (1 - weight)).astype(a.dtype)

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b, weight = self.inputs
        *_, need = self.needs_input_grad
        return grad_output * (1 - weight), grad_output * weight, grad_output * (b - a) if need else None


@composed
def lerp(input: Tensor, end: Tensor, weight: float | Tensor) -> Tensor:
    """input + weight · (end − input), element by element. TypeError unless all have one floating-point dtype."""
    check_one_dtype("lerp", input, end)
    if input._array.dtype.kind not in FLOATING:
        raise TypeError(f"lerp: expected floating-point Tensors, got {input.dtype}")
    if isinstance(weight, autograd.Tensor):
        check_one_dtype("lerp", input, weight)
    return Lerp()(input, end, _factor("lerp", "weight", weight))


@autocasts
@composed
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value · tensor1 · tensor2, element by element."""
    for x in (input, tensor1, tensor2):
        array_of("addcmul", x)
    return input + tensor1 * tensor2 * check_number("addcmul", "value", value)


@autocasts
@composed
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value · tensor1 / tensor2, element by element."""
    kinds = [array_of("addcdiv", x).dtype.kind for x in (input, tensor1, tensor2)]
    if not set(FLOATING).intersection(kinds[1:]):
        raise TypeError("addcdiv: expected tensor1 or tensor2 of floating point; use addcmul or convert them")
    return input + tensor1 / tensor2 * check_number("addcdiv", "value", value)


def _factor(name: str, argument: str, value: Any) -> Any:
    return value if isinstance(value, autograd.Tensor) else check_number(name, argument, value)


@composed
def clamp_min(input: Tensor, min: float | Tensor) -> Tensor:
    """`clamp` from below only."""
    return clamp(input, min=_factor("clamp_min", "min", min))


@composed
def clamp_max(input: Tensor, max: float | Tensor) -> Tensor:
    """`clamp` from above only."""
    return clamp(input, max=_factor("clamp_max", "max", max))


@composed
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are not 0, element by element."""
    return bitwise_and(_truth("logical_and", input), _truth("logical_and", other))


@composed
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether at least one is not 0, element by element."""
    return bitwise_or(_truth("logical_or", input), _truth("logical_or", other))


@composed
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether exactly one is not 0, element by element."""
    return bitwise_xor(_truth("logical_xor", input), _truth("logical_xor", other))


def logical_not(input: Tensor) -> Tensor:
    """Whether each element is 0."""
    return ~_truth("logical_not", input)


@composed
def bitwise_left_shift(input: Operand, other: Operand) -> Tensor:
    """input · 2^other of integers, element by element; bits that leave the dtype are lost."""
    return _shifted("bitwise_left_shift", "left_shift", input, other)


@composed
def bitwise_right_shift(input: Operand, other: Operand) -> Tensor:
    """⌊input / 2^other⌋ of integers, element by element."""
    return _shifted("bitwise_right_shift", "right_shift", input, other)


def _shifted(name: str, numpys: str, *given: Any) -> Tensor:
    a, b = operands(name, *given)
    for x in (a, b):
        if getattr(getattr(x, "dtype", None), "kind", "i" if is_int(x) else type(x).__name__) not in "iu":
            raise TypeError(f"{name}: expected integers, got {getattr(x, 'dtype', shortened(x))}")
    check_broadcast(name, [a, b])
    return wrap(backend.elementwise(numpys, *[getattr(x, "_array", x) for x in (a, b)]))


@composed
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where `input` is below 0, 1 above, and `values` where it is 0: a constant. TypeError unless both have one
    dtype."""
    check_one_dtype("heaviside", input, values)
    return where(input == 0, values.detach(), (input > 0).to(input.dtype))


@composed
def nextafter(input: Tensor, other: Tensor) -> Tensor:
    """The next number of the dtype from `input` towards `other`, element by element: a constant."""
    check_one_dtype("nextafter", input, other)
    if input._array.dtype.kind not in FLOATING:
        raise TypeError(f"nextafter: expected floating-point tensors, got {input.dtype}")
    check_broadcast("nextafter", [input, other])
    return wrap(backend.elementwise("nextafter", input._array, other._array))


def positive(input: Tensor) -> Tensor:
    """`input` itself. TypeError for booleans."""
    if array_of("positive", input).dtype.kind == "b":
        raise TypeError("positive: expected numbers, got a boolean tensor")
    return input


def _truth(name: str, x: Tensor) -> Tensor:
    return x if array_of(name, x).dtype.kind == "b" else x != 0
