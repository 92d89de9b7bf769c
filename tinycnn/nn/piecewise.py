"""Activations made of straight pieces, functions and layers. TypeError for integers, from all but hardtanh, relu6."""

from __future__ import annotations

import math

from tinycnn import backend, creation
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import ON_CPU, Function, Gradients, array_of
from tinycnn.backend import Array, DeviceLike
from tinycnn.checks import check_flag, check_not_negative, check_number
from tinycnn.dtypes import DTypeLike
from tinycnn.nn import init
from tinycnn.nn.activation import _Activation
from tinycnn.nn.arguments import refuse_others, size
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.ops.arithmetic import isnan
from tinycnn.ops.in_place import overwrite
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import Masked, clamp, where
from tinycnn.tensor import Tensor

__all__ = ["Hardshrink", "Hardsigmoid", "Hardtanh", "PReLU", "RReLU", "ReLU6", "Softshrink", "Threshold"]

# --- functions ----------------------------------------------------------------------------------------------


class Clip(Function):
    """x limited to [low, high]. The derivative is 0 at both ends, unlike that of `clamp`; 1 at nan."""

    saves_inputs = True
    elementwise = True
    in_float32 = ON_CPU

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        return self.xp.minimum(self.xp.maximum(x, self.low), self.high)

    def backward(self, grad_output: Tensor) -> Gradients:
        (x,) = self.inputs
        below = backend.elementwise("less_equal", x._array, self.low)
        return Masked(~(below | backend.elementwise("greater_equal", x._array, self.high)))(grad_output)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]. ValueError unless min_val <= max_val."""
    if inplace:
        return overwrite("hardtanh_", input, hardtanh, min_val, max_val)
    return _clipped("hardtanh", input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6]. Source: Howard et al., "MobileNets", 2017."""
    if inplace:
        return overwrite("relu6_", input, relu6)
    return _clipped("relu6", input, 0.0, 6.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x + 3 limited to [0, 6], divided by 6. Source: Howard et al., "Searching for MobileNetV3", 2019."""
    check_floating("hardsigmoid", input)
    if inplace:
        return overwrite("hardsigmoid_", input, hardsigmoid)
    return _clipped("hardsigmoid", input + 3, 0.0, 6.0) / 6


def _clipped(name: str, input: Tensor, low: float, high: float) -> Tensor:
    low, high = float(check_number(name, "min_val", low)), float(check_number(name, "max_val", high))
    if not low <= high:
        raise ValueError(f"{name}: expected min_val of at most max_val, got {low} and {high}")
    if array_of(name, input).dtype.kind in "iu" and math.isfinite(low) and math.isfinite(high):
        if input.dtype.kind == "u" and low < 0:
            raise ValueError(f"{name}: expected min_val of at least 0 for {input.dtype}, got {low}")
        return clamp(input, int(low), int(high))
    check_floating(name, input)
    return Clip(low, high)(input)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it is above `threshold`, `value` elsewhere."""
    check_floating("threshold", input)
    check_number("threshold", "threshold", threshold)
    value = float(check_number("threshold", "value", value))
    if inplace:
        return overwrite("threshold_", input, lambda x: where(x <= threshold, value, x))
    return where(input <= threshold, value, input)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return _threshold(input, threshold, value, inplace=True)


_threshold = threshold  # whose argument has the same name


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:  # fmt: skip
    """x where it is positive, slope · x elsewhere: the slope is drawn anew for each element, between `lower` and
    `upper`, or is the middle when not training. Source: Xu et al., "Empirical evaluation of rectified activations in
    convolutional network", 2015."""
    check_floating("rrelu", input)
    check_flag("rrelu", "training", training)
    low, high = check_number("rrelu", "lower", lower), check_number("rrelu", "upper", upper)
    if not low <= high:
        raise ValueError(f"rrelu: expected lower of at most upper, got {low} and {high}")
    slope = creation.empty_like(input).uniform_(low, high) if training else (low + high) / 2
    if inplace:
        return overwrite("rrelu_", input, lambda x: where(x > 0, x, x * slope))
    return where(input > 0, input, input * slope)


def rrelu_(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 where |x| <= lambd, x elsewhere."""
    check_floating("hardshrink", input)
    return where(input.abs() <= check_number("hardshrink", "lambd", lambd), 0.0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by `lambd`, a number of at least 0, and 0 where |x| <= lambd."""
    check_floating("softshrink", input)
    check_not_negative("softshrink", "lambd", lambd)
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, where(isnan(input), input, 0.0)))


@autocasts
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where it is positive, weight · x elsewhere; the weight has one element, or one for each channel of (N, C, *).
    Source: He et al., "Delving deep into rectifiers", 2015."""
    check_floating("prelu", input)
    refuse_others("prelu", weight=weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ValueError(f"prelu: expected a weight of 1 or {channels} elements for {input.shape}, got {weight.shape}")
    if weight.dtype != input.dtype:
        raise TypeError(f"prelu: input is {input.dtype}, weight is {weight.dtype}: convert one with .to()")
    slope = weight.reshape(*((1, -1, *[1] * (input.ndim - 2)) if input.ndim > 1 else [1] * input.ndim))
    above = input > 0
    return where(above, input, where(above, 0.0, input) * slope)  # an infinity does not reach the slope


# --- layers -----------------------------------------------------------------------------------------------


class Hardtanh(_Activation):
    """x limited to [min_val, max_val]; see `F.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Tensor) -> Tensor:
        return hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """x limited to [0, 6]; see `F.relu6`."""

    def __init__(self, inplace: bool = False):
        super().__init__(0.0, 6.0, inplace)

    def forward(self, input: Tensor) -> Tensor:
        return relu6(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(_Activation):
    """x + 3 limited to [0, 6], divided by 6; see `F.hardsigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        return hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Threshold(_Activation):
    """x where it is above `threshold`, `value` elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(inplace)
        self.threshold = check_number("Threshold", "threshold", threshold)
        self.value = check_number("Threshold", "value", value)

    def forward(self, input: Tensor) -> Tensor:
        return threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class Hardshrink(Module):
    """0 where |x| <= lambd, x elsewhere."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """x moved towards 0 by `lambd`, and 0 where |x| <= lambd."""

    def forward(self, input: Tensor) -> Tensor:
        return softshrink(input, self.lambd)


class RReLU(_Activation):
    """x where it is positive, slope · x elsewhere, with slopes that training draws anew: see `F.rrelu`."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        super().__init__(inplace)
        self.lower, self.upper = lower, upper

    def forward(self, input: Tensor) -> Tensor:
        return rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where it is positive, weight · x elsewhere, with a learned weight: one, or one for each channel of (N, C, *).

    weight is (num_parameters) and starts at `init`. Source: He et al., "Delving deep into rectifiers", 2015.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: DeviceLike = None, dtype: DTypeLike = None
    ):
        super().__init__()
        self.num_parameters = size(num_parameters, "PReLU", "num_parameters")
        self.init = check_number("PReLU", "init", init)
        self.weight = Parameter(creation.empty(self.num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to `init` again."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
