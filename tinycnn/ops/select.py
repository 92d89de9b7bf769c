"""Selection between elements: maximum and minimum, clamp, where, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from tinycnn import autograd, dtypes
from tinycnn._bfloat16 import in_one_dtype
from tinycnn.autograd import ON_CPU, Function, Gradients, array_of, check_broadcast, wrap
from tinycnn.backend import Array
from tinycnn.ops.arithmetic import Operand, constant, operands
from tinycnn.ops.copy import new_array

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["maximum", "minimum", "fmax", "fmin", "clamp", "where", "masked_fill"]


class Maximum(Function):
    """max(a, b); where both are equal, each gets half of the gradient (as in torch)."""

    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return self.xp.maximum(a, b)

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        return _to_chosen(grad_output, (a < b, a > b), a == b, self.needs_input_grad)


class Minimum(Function):
    """min(a, b), with the gradient of `Maximum`."""

    saves_inputs = True
    elementwise = True

    def forward(self, a: Array, b: Array) -> Array:
        return self.xp.minimum(a, b)

    def backward(self, grad_output: Tensor) -> Gradients:
        a, b = self.inputs
        return _to_chosen(grad_output, (a > b, a < b), a == b, self.needs_input_grad)


def _to_chosen(grad_output: Tensor, lost: Sequence[Tensor], tie: Tensor, needs: Sequence[bool]) -> Gradients:
    """The gradient for each of two operands: none where it has `lost`, half where both are equal."""
    shared = where(tie, grad_output * 0.5, grad_output)
    return tuple([where(none, 0.0, shared) if need else None for none, need in zip(lost, needs)])


def maximum(input: Operand, other: Operand) -> Tensor:
    """The larger of two, element by element; where both are equal, each gets half of the gradient."""
    return Maximum()(*_two_tensors("maximum", input, other))


def minimum(input: Operand, other: Operand) -> Tensor:
    """The smaller of two, element by element; where both are equal, each gets half of the gradient."""
    return Minimum()(*_two_tensors("minimum", input, other))


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two, element by element, or the one that is not nan; `input` has the gradient of both equal."""
    a, b = _two_tensors("fmax", input, other)
    check_broadcast("fmax", [a, b])
    return where((a >= b) | b.isnan(), a, b)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two, element by element, or the one that is not nan; `input` has the gradient of both equal."""
    a, b = _two_tensors("fmin", input, other)
    check_broadcast("fmin", [a, b])
    return where((a <= b) | b.isnan(), a, b)


def _two_tensors(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = operands(name, a, b)
    if not isinstance(a, autograd.Tensor):
        a = wrap(new_array(name, a, b.dtype, b.device))
    if not isinstance(b, autograd.Tensor):
        b = wrap(new_array(name, b, a.dtype, a.device))
    return a, b


class Clamp(Function):
    """min(max(x, low), high), where a bound may be None."""

    saves_inputs = True
    elementwise = True
    in_float32 = ON_CPU

    def forward(self, x: Array, low: Any, high: Any) -> Array:
        if low is not None:
            x = self.xp.maximum(x, low)
        return x if high is None else self.xp.minimum(x, high)

    def backward(self, grad_output: Tensor) -> Gradients:
        x, low, high = self.inputs
        _, need_low, need_high = self.needs_input_grad
        grad_low = grad_high = None
        if need_low:
            grad_low = where((x < low) if high is None else (x < low) & (low < high), grad_output, 0.0)
        if need_high:
            grad_high = where((x > high) if low is None else (x > high) | (high < low), grad_output, 0.0)
        within: Any = (True if low is None else x >= low) & (True if high is None else x <= high)
        return where(within, grad_output, 0.0), grad_low, grad_high


def clamp(input: Tensor, min: float | Tensor | None = None, max: float | Tensor | None = None) -> Tensor:
    """Each element limited to [min, max], numbers or Tensors that broadcast; a bound that is None does not limit.

    The gradient is passed on where min <= input <= max, elsewhere to the bound. ValueError without any bound.
    """
    array_of("clamp", input)
    given = [bound for bound in (min, max) if bound is not None]
    if not given:
        raise ValueError("clamp: expected min, max or both, got neither")
    for bound in given:
        input, bound = operands("clamp", input, bound)
        if isinstance(bound, autograd.Tensor):
            input = input.to(dtypes.result_type(input._array, bound._array))  # a boolean may be one yet
    return Clamp()(input, _bound("min", min, input), _bound("max", max, input))


def _bound(name: str, bound: Any, x: Tensor) -> Any:
    """A bound of `clamp` for x, in its dtype."""
    if bound is None or isinstance(bound, autograd.Tensor):
        return None if bound is None else bound.to(x.dtype)
    return dtypes.fitted("clamp", name, bound, x.dtype)


class Where(Function):
    saves_inputs = (0,)
    elementwise = True

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        return self.xp.where(condition, *in_one_dtype(a, b))

    def backward(self, grad_output: Tensor) -> Gradients:
        condition, *_ = self.inputs
        _, need_a, need_b = self.needs_input_grad
        return (
            None,
            Where()(condition, grad_output, 0) if need_a else None,
            Where()(condition, 0, grad_output) if need_b else None,
        )


@overload
def where(condition: Tensor, input: Operand, other: Operand) -> Tensor: ...


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...


def where(condition: Tensor, input: Any = None, other: Any = None) -> Tensor | tuple[Tensor, ...]:
    """Elements of `input` where the boolean `condition` is true, of `other` elsewhere; all three broadcast.

    Of `condition` alone: the indices of its elements that are not 0, a vector for each dimension; see `nonzero`.
    """
    if input is None and other is None:
        array_of("where", condition)
        return condition.nonzero(as_tuple=True)
    _check_mask("where", "condition", condition)
    return _where("where", condition, input, other)


def _where(name: str, condition: Tensor, a: Any, b: Any) -> Tensor:
    """`where`; errors name `name`."""
    if not isinstance(a, autograd.Tensor) and not isinstance(b, autograd.Tensor):
        a = constant(name, a, condition.device)
    for x, other in ((a, b), (b, a)):
        if isinstance(x, int) and isinstance(other, autograd.Tensor):
            dtypes.fitted(name, "a number", x, other.dtype)
    a, b = operands(name, a, b)
    check_broadcast(name, [condition, a, b])
    return Where()(condition, a, b)


def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """`value`, a single number, where the boolean `mask` is true; `input` elsewhere. The dtype is that of `input`.

    Integers get the whole part of `value`; ValueError if it is out of their range.
    """
    if getattr(value, "ndim", 0) > 0:
        shape = tuple(value.shape)  # type: ignore[union-attr]
        raise ValueError(f"masked_fill: expected a single number as value, got shape {shape}")
    array_of("masked_fill", input)
    _check_mask("masked_fill", "mask", mask)
    if not isinstance(value, autograd.Tensor):
        value = dtypes.fitted("masked_fill", "value", value, input.dtype)
    return _where("masked_fill", mask, value, input).to(input.dtype)


def _check_mask(name: str, argument: str, mask: Any) -> None:
    if not isinstance(mask, autograd.Tensor) or mask.dtype != bool:
        got = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"{name}: expected a boolean Tensor as {argument}, got {got}")


class Masked(Function):
    """x where `mask`, of the same shape, is true, 0 elsewhere: linear in x, and its own adjoint."""

    def __init__(self, mask: Array):
        self.mask = mask

    def forward(self, x: Array) -> Array:
        return self.kernels.masked(x, self.mask)

    def backward(self, grad_output: Tensor) -> Gradients:
        return Masked(self.mask)(grad_output)
