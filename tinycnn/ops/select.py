"""Selection between elements: maximum and minimum, clamp, where, masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinycnn import autograd
from tinycnn.autograd import Function, Gradients, array_of, check_broadcast
from tinycnn.backend import Array
from tinycnn.checks import check_int, check_number, is_int, shortened
from tinycnn.ops.arithmetic import Operand, as_float, constant, operands

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["maximum", "minimum", "clamp", "where", "masked_fill"]


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


def _two_tensors(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = operands(name, a, b)
    if not isinstance(a, autograd.Tensor):
        a = autograd.Tensor(a, dtype=b.dtype, device=b.device)
    if not isinstance(b, autograd.Tensor):
        b = autograd.Tensor(b, dtype=a.dtype, device=a.device)
    return a, b


class Clamp(Function):
    saves_inputs = True
    elementwise = True

    def __init__(self, low: float | None, high: float | None):
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        if self.low is not None:
            x = self.xp.maximum(x, self.low)
        return x if self.high is None else self.xp.minimum(x, self.high)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return where((x >= low) & (x <= high), grad_output, 0.0)


def clamp(input: Tensor, min: float | Tensor | None = None, max: float | Tensor | None = None) -> Tensor:
    """Each element limited to [min, max]; a bound that is None does not limit. Bounds may be Tensors that broadcast.

    The gradient is passed on where min <= input <= max. ValueError without any bound.
    """
    if min is None and max is None:
        raise ValueError("clamp: expected min, max or both, got neither")
    array_of("clamp", input)
    min, max = _bound("min", min), _bound("max", max)
    if isinstance(min, autograd.Tensor) or isinstance(max, autograd.Tensor):
        check_broadcast("clamp", [input, min, max])
        x = input
        if min is not None:
            x = where((x < min) | (min != min), min, x)  # a bound that is nan makes the result nan
        return x if max is None else where((x > max) | (max != max), max, x)
    if isinstance(min, float) or isinstance(max, float):
        input = as_float(input)
    return Clamp(min, max)(input)


def _bound(name: str, value: Any) -> Any:
    """A bound of `clamp`: a number as one of Python, which promotes no dtype."""
    if value is None or isinstance(value, autograd.Tensor):
        return value
    check_number("clamp", name, value)
    return int(value) if is_int(value) else float(value)


class Where(Function):
    saves_inputs = (0,)
    elementwise = True

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        return self.xp.where(condition, a, b)

    def backward(self, grad_output: Tensor) -> Gradients:
        condition, *_ = self.inputs
        _, need_a, need_b = self.needs_input_grad
        return (
            None,
            Where()(condition, grad_output, 0) if need_a else None,
            Where()(condition, 0, grad_output) if need_b else None,
        )


def where(condition: Tensor, input: Operand, other: Operand) -> Tensor:
    """Elements of `input` where the boolean `condition` is true, of `other` elsewhere; all three broadcast."""
    _check_mask("where", "condition", condition)
    return _where("where", condition, input, other)


def _where(name: str, condition: Tensor, a: Any, b: Any) -> Tensor:
    """`where`; errors name `name`."""
    if not isinstance(a, autograd.Tensor) and not isinstance(b, autograd.Tensor):
        a = constant(name, a, condition.device)
    a, b = operands(name, a, b)
    check_broadcast(name, [condition, a, b])
    return Where()(condition, a, b)


def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """`value`, a single number, where the boolean `mask` is true; `input` elsewhere. The dtype is that of `input`."""
    if getattr(value, "ndim", 0) > 0:
        shape = tuple(value.shape)  # type: ignore[union-attr]
        raise ValueError(f"masked_fill: expected a single number as value, got shape {shape}")
    array_of("masked_fill", input)
    _check_mask("masked_fill", "mask", mask)
    if is_int(value):
        check_int("masked_fill", "value", value)
    result = _where("masked_fill", mask, value, input)
    if result.dtype != input.dtype:
        raise TypeError(f"masked_fill: {shortened(value)} is no value for a tensor of dtype {input.dtype}")
    return result


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
