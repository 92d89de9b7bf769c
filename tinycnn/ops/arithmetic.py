"""Arithmetic on each element: operators of two operands, comparisons and logic.

Operands are Tensors, arrays or numbers; they are promoted as in torch, and their shapes broadcast. A gradient is summed
back to its operand's shape by the graph walk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING, in_one_dtype
from tinycnn.autograd import ON_CPU, Function, Gradients, array_of, check_broadcast, wrap
from tinycnn.backend import Array
from tinycnn.checks import check_choice, check_flag, check_not_negative, check_number
from tinycnn.ops.copy import new_array

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "neg", "eq", "ne", "lt", "le", "gt", "ge",
    "isclose", "allclose", "bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor", "isnan", "isinf", "isfinite",
]  # fmt: skip

Operand: TypeAlias = "Tensor | np.ndarray | np.generic | float"  # a bool or an int is a float to type checkers

# --- operands ---------------------------------------------------------------------------------------------


def operands(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands of one dtype. A Python number stays one, and so does a boolean: NumPy promotes these as torch
    does, to the dtype of the other operand, in which an int is then wrapped round."""
    Tensor = autograd.Tensor
    if isinstance(a, Tensor):
        x = a._array.dtype
        if isinstance(b, Tensor):
            y = b._array.dtype
            if x is y or x == y or bool in (x, y):
                return a, b
            dtype = dtypes.result_type(a._array, b._array)
            return a.to(dtype), b.to(dtype)
        if isinstance(b, float):
            a = a if x.kind in FLOATING else as_float(a)
            return a, float(b)  # NumPy's float64 is a float too, but would promote
        if isinstance(b, int):
            return a, b if 0 <= b < 128 else dtypes.wrapped(b, x)
        return operands(name, a, constant(name, b, a.device))
    if isinstance(b, Tensor):
        b, a = operands(name, b, a)
        return a, b
    return operands(name, constant(name, a, None), b)


def constant(name: str, value: Any, device: Any) -> Tensor:
    """An array or a number as a Tensor."""
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)) or hasattr(value, "__cuda_array_interface__"):
        return wrap(new_array(name, value, device=device))
    raise TypeError(f"{name}: expected a Tensor, an array or a number, got {type(value).__name__}")


def as_float(x: Tensor) -> Tensor:
    """Integers as the default floating-point dtype: they have no fractions, and no gradients."""
    if not isinstance(x, autograd.Tensor) or x._array.dtype.kind in FLOATING:
        return x  # what is no Tensor is refused by the operator
    return x.to(dtypes.get_default_dtype())


def widened(x: Tensor) -> Tensor:
    """16 bits as float32, in which what takes several steps is computed, sums above all; another Tensor itself."""
    dtype = x._array.dtype
    return x.float() if dtype.itemsize == 2 and dtype.kind in FLOATING else x


def narrowed(y: Tensor, *operands: Any) -> Tensor:
    """What was computed of `widened` operands, in 16 bits if all are that have fractions, and are alike."""
    if y._array.dtype != dtypes.float32:
        return y
    of = {x._array.dtype for x in operands if isinstance(x, autograd.Tensor) and x._array.dtype.kind in FLOATING}
    return y.to(of.pop()) if len(of) == 1 else y


_KINDS = {bool: "b", int: "i", float: "f"}


def _kind(x: Any) -> str:
    """The kind of an operand, "f", "i", "u" or "b" as that of a dtype; "" of what is no operand."""
    if isinstance(x, autograd.Tensor):
        return "f" if x._array.dtype.kind in FLOATING else x._array.dtype.kind
    return getattr(getattr(x, "dtype", None), "kind", _KINDS.get(type(x), ""))


def _kinds(*operands: Any) -> list[str]:
    return [_kind(x) for x in operands]


# --- arithmetic -------------------------------------------------------------------------------------------


class Add(Function):
    elementwise = True
    in_float32 = ON_CPU

    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output, grad_output


class Sub(Function):
    elementwise = True
    in_float32 = ON_CPU

    def forward(self, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, grad_output: Tensor) -> Gradients:
        return grad_output, -grad_output if self.needs_input_grad[1] else None


class Mul(Function):
    saves_inputs = True
    saves_other = True
    elementwise = True
    in_float32 = ON_CPU
    works_on_arrays = True

    def forward(self, a: Array, b: Array) -> Array:
        return a * b

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        return grad_output * b if need_a else None, grad_output * a if need_b else None


class Div(Function):
    saves_inputs = True
    saves_other = True
    elementwise = True
    in_float32 = ON_CPU
    works_on_arrays = True

    def forward(self, a: Array, b: Array) -> Array:
        return a / b

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        # a / b / b rather than a / b², which overflows early
        return grad_output / b if need_a else None, grad_output * -(a / b / b) if need_b else None


class Pow(Function):
    saves_inputs = True
    saves_output = True
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array) -> Array:
        return a**b

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        need_a, need_b = self.needs_input_grad
        grad_a = grad_b = None
        if need_a:
            # d/da a^b = b a^(b-1), and 0 where b = 0, also at a = 0 and for any upstream gradient.
            if isinstance(b, autograd.Tensor):
                grad_a = (grad_output * (b * a ** (b.where(b != 0, 1) - 1))).where(b != 0, 0.0)
            elif b:
                grad_a = grad_output * (b * a ** (b - 1))
            else:
                grad_a = grad_output.masked_fill(wrap(self.xp.ones(grad_output.shape, bool)), 0.0)
        if need_b:
            # d/db a^b = a^b ln a, which tends to 0 as a does, if b is not negative.
            base = a if isinstance(a, autograd.Tensor) else wrap(new_array("pow", a, b.dtype, b.device))
            grad_b = grad_output * self.output * base.where((base != 0) | (b < 0), 1).log()
        return grad_a, grad_b


class Remainder(Function):
    """a − ⌊a / b⌋ · b, which has the sign of b."""

    saves_inputs = True
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array) -> Array:
        return a % b

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        return grad_output, grad_output * -floor_divide(a, b) if self.needs_input_grad[1] else None


class FloorDivide(Function):
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array) -> Array:
        return a // b


class TruncDivide(Function):
    elementwise = True
    in_float32 = True

    def forward(self, a: Array, b: Array) -> Array:
        floor = a // b
        if floor.dtype.kind in FLOATING:
            return self.xp.trunc(a / b)
        return floor + ((floor < 0) & (floor * b != a)).astype(floor.dtype)


class Neg(Function):
    elementwise = True
    works_on_arrays = True

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, grad_output: Tensor) -> Gradients:
        return -grad_output


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input + alpha · other, element by element."""
    if alpha.__class__ is not int or alpha != 1:
        input, other = _scaled("add", input, other, alpha)
    return Add()(*operands("add", input, other))


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Tensor:
    """input − alpha · other, element by element. TypeError for booleans."""
    if _kind(input) == "b" or _kind(other) == "b":
        raise TypeError("sub: not defined for boolean tensors and True or False; use a ^ b")
    if alpha.__class__ is not int or alpha != 1:
        input, other = _scaled("sub", input, other, alpha)
    return Sub()(*operands("sub", input, other))


def _scaled(name: str, a: Any, b: Any, alpha: float) -> tuple[Any, Any]:
    """The operands, the second times `alpha`, which does not change their common dtype."""
    if isinstance(alpha, autograd.Tensor) and alpha._array.size == 1 and not alpha._requires_grad:
        alpha = alpha.item()
    check_number(name, "alpha", alpha)
    if isinstance(b, int) and not isinstance(b, bool):
        check_number(name, "other", b)
    a, b = operands(name, a, b)
    kinds = _kinds(a, b)
    if isinstance(alpha, float) and "f" not in kinds:
        raise TypeError(f"{name}: expected alpha as an int for integers and booleans, got {alpha}")
    if kinds == ["b", "b"]:
        return a, b & bool(alpha)
    if isinstance(a, autograd.Tensor) and isinstance(b, autograd.Tensor):
        b = b.to(dtypes.result_type(a._array, b._array))  # a boolean may be another yet
    return a, b * alpha


def mul(input: Operand, other: Operand) -> Tensor:
    """input · other, element by element."""
    return Mul()(*operands("mul", input, other))


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, element by element; integers become floating point first.

    With `rounding_mode` "trunc" (towards 0) or "floor" the result is whole and a constant, and integers stay integers:
    see `floor_divide`.
    """
    if rounding_mode is not None:
        check_choice("div", "rounding_mode", rounding_mode, ("trunc", "floor"))
        return floor_divide(input, other) if rounding_mode == "floor" else _trunc_divide(input, other)
    a: Any = input
    b: Any = other
    if not any(isinstance(x, autograd.Tensor) and x._array.dtype.kind in FLOATING for x in (a, b)):
        a, b = as_float(a), as_float(b)
    return Div()(*operands("div", a, b))


def floor_divide(input: Operand, other: Operand) -> Tensor:
    """⌊input / other⌋, element by element; of integers an integer.

    A step function, whose derivative is 0: the result is a constant. ZeroDivisionError for integers by zero.
    """
    a, b = _whole_division("floor_divide", input, other)
    with autograd.no_grad():
        return FloorDivide()(a, b)


def _trunc_divide(input: Operand, other: Operand) -> Tensor:
    a, b = _whole_division("div", input, other)
    with autograd.no_grad():
        return TruncDivide()(a, b)


def remainder(input: Operand, other: Operand) -> Tensor:
    """input − ⌊input / other⌋ · other, element by element: Python's %. ZeroDivisionError for integers by zero."""
    return Remainder()(*_whole_division("remainder", input, other))


def _whole_division(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """The operands, after refusing two booleans and a division of integers by zero."""
    a, b = operands(name, a, b)
    kinds = _kinds(a, b)
    if kinds == ["b", "b"]:
        raise TypeError(f"{name}: not defined for boolean tensors; convert one of them")
    if "f" not in kinds and (b == 0 if isinstance(b, int) else bool((b == 0).any())):  # which waits for a GPU
        raise ZeroDivisionError(f"{name}: division of integers by zero")
    return a, b


def pow(input: Operand, exponent: Operand) -> Tensor:
    """input^exponent, element by element; of integers an integer, cut to one where exponents in a Tensor are negative.

    ValueError for integers and a negative number as exponent.
    """
    if isinstance(exponent, int) and exponent < 0 and _kinds(input) != ["f"]:
        raise ValueError(f"pow: expected an exponent of at least 0 for integers, got {exponent}; use .float()")
    a, b = operands("pow", input, exponent)
    kinds = _kinds(a, b)
    if kinds == ["b", "b"]:
        return (b == 0) | a  # NumPy has int8
    if kinds == ["b", "i"] and isinstance(b, int):
        a = a.to(dtypes.int64)  # NumPy has int8
    if "f" in kinds or kinds[1] != "i" or isinstance(b, int):
        return Pow()(a, b)
    return Pow()(a, b.abs()).masked_fill((b < 0) & (a != 1) & (a != -1), 0)


def neg(input: Tensor) -> Tensor:
    """−input, element by element. TypeError for booleans."""
    if _kind(input) == "b":
        raise TypeError("neg: not defined for boolean tensors; use ~x")
    return Neg()(input)


# --- comparisons and logic: no gradients, so no operator classes --------------------------------------------


_FUNCTIONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip


def compare(name: str, a: Tensor, b: Any) -> Tensor:
    """A boolean Tensor, by the comparison `name`; NotImplemented for what cannot be compared, so that
    `tensor == "text"` is False."""
    if not isinstance(b, (autograd.Tensor, bool, int, float, np.ndarray, np.generic)):
        return NotImplemented
    a, b = operands(name, a, b)
    try:
        return wrap(backend.elementwise(_FUNCTIONS[name], *in_one_dtype(a._array, getattr(b, "_array", b))))
    except (TypeError, ValueError):
        _check_together(name, a, b)
        raise
    except OverflowError:
        raise ValueError(f"{name}: a number is too large for {a.dtype}") from None


def _compared(name: str, a: Tensor, b: Any) -> Tensor:
    """`compare`, or TypeError for what cannot be compared."""
    array_of(name, a)
    result = compare(name, a, b)
    if result is NotImplemented:
        raise TypeError(f"{name}: expected a Tensor, an array or a number, got {type(b).__name__}")
    return result


def _check_together(name: str, *given: Any) -> None:
    """Refuses operands on different devices and shapes that do not broadcast."""
    arrays = [x._array for x in given if isinstance(x, autograd.Tensor)]
    backend.one_device(name, arrays)
    check_broadcast(name, arrays)


def eq(input: Tensor, other: Operand) -> Tensor:
    """input == other, element by element: a boolean Tensor."""
    return _compared("eq", input, other)


def ne(input: Tensor, other: Operand) -> Tensor:
    """input != other, element by element: a boolean Tensor."""
    return _compared("ne", input, other)


def lt(input: Tensor, other: Operand) -> Tensor:
    """input < other, element by element: a boolean Tensor."""
    return _compared("lt", input, other)


def le(input: Tensor, other: Operand) -> Tensor:
    """input <= other, element by element: a boolean Tensor."""
    return _compared("le", input, other)


def gt(input: Tensor, other: Operand) -> Tensor:
    """input > other, element by element: a boolean Tensor."""
    return _compared("gt", input, other)


def ge(input: Tensor, other: Operand) -> Tensor:
    """input >= other, element by element: a boolean Tensor."""
    return _compared("ge", input, other)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input − other| <= atol + rtol · |other|, for each element; infinities are close to themselves.

    nan is close to nan with `equal_nan` only. TypeError unless both have one dtype.
    """
    return _isclose("isclose", input, other, rtol, atol, equal_nan)


def _isclose(name: str, input: Tensor, other: Tensor, rtol: float, atol: float, equal_nan: bool) -> Tensor:
    if array_of(name, input).dtype != array_of(name, other).dtype:
        raise TypeError(f"{name}: expected two Tensors of one dtype, got {input.dtype} and {other.dtype}")
    check_not_negative(name, "rtol", rtol)
    check_not_negative(name, "atol", atol)
    check_flag(name, "equal_nan", equal_nan)
    _check_together(name, input, other)
    return wrap(backend.elementwise("isclose", input._array, other._array, rtol, atol, equal_nan))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close: see `isclose`."""
    return bool(_isclose("allclose", input, other, rtol, atol, equal_nan).all())


def _logical(name: str, *given: Any) -> Tensor:
    """NumPy's function `name` of boolean or integer operands."""
    for x in given:
        if not isinstance(x, (bool, int)) and getattr(getattr(x, "dtype", None), "kind", "O") not in "bui":
            got = x.dtype if hasattr(x, "dtype") else type(x).__name__
            raise TypeError(f"{name}: expected boolean or integer tensors, got {got}")
    if not any(isinstance(x, autograd.Tensor) for x in given):
        raise TypeError(f"{name}: expected a Tensor, got {' and '.join(type(x).__name__ for x in given)}")
    if len(given) == 2:
        given = operands(name, *given)
    try:
        return wrap(backend.elementwise(name, *[getattr(x, "_array", x) for x in given]))
    except (TypeError, ValueError):
        _check_together(name, *given)
        raise
    except OverflowError:
        raise ValueError(f"{name}: a number is too large for {given[0].dtype}") from None


def bitwise_not(input: Tensor) -> Tensor:
    """~input: the logical negation of booleans, the complement of integers."""
    return _logical("bitwise_not", input)


def bitwise_and(input: Tensor, other: Operand) -> Tensor:
    """input & other of booleans or integers, element by element."""
    return _logical("bitwise_and", input, other)


def bitwise_or(input: Tensor, other: Operand) -> Tensor:
    """input | other of booleans or integers, element by element."""
    return _logical("bitwise_or", input, other)


def bitwise_xor(input: Tensor, other: Operand) -> Tensor:
    """input ^ other of booleans or integers, element by element."""
    return _logical("bitwise_xor", input, other)


def isnan(input: Tensor) -> Tensor:
    """Whether each element is nan: a boolean Tensor."""
    return wrap(backend.elementwise("isnan", array_of("isnan", input)))


def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite: a boolean Tensor."""
    return wrap(backend.elementwise("isinf", array_of("isinf", input)))


def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither infinite nor nan: a boolean Tensor."""
    return wrap(backend.elementwise("isfinite", array_of("isfinite", input)))
