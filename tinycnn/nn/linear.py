"""The fully connected layer, and one-hot vectors."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from tinycnn import backend, creation, dtypes
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.backend.precision import chosen
from tinycnn.checks import ShapeError, check_flag, check_int
from tinycnn.dtypes import DTypeLike
from tinycnn.grad_mode import thread_mode
from tinycnn.nn import init
from tinycnn.nn.arguments import Shape, check_alike, refuse_others, size
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.ops import matmul as ops
from tinycnn.ops.shape import reshaped
from tinycnn.tensor import Tensor

__all__ = ["Linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = input · weightᵀ + bias.

    Shapes: input (*, in_features), weight (out_features, in_features), bias (out_features), y (*, out_features).
    ValueError or TypeError if they, their dtypes or their devices do not fit.
    """
    return _linear("linear", input, weight, bias)


def _linear(name: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The affine map; errors name `name`."""
    if thread_mode.autocast is not None:
        input, weight, bias = thread_mode.autocast.cast("linear", (input, weight, bias))
    try:
        x, w, b = input._array, weight._array, None if bias is None else bias._array
    except AttributeError:
        refuse_others(name, input=input, weight=weight, **({} if bias is None else {"bias": bias}))
        raise
    dtypes = (x.dtype, w.dtype, None if b is None else b.dtype)
    _check(name, x.shape, w.shape, None if b is None else b.shape, dtypes)
    rows = input if x.ndim == 2 else reshaped(input, math.prod(x.shape[:-1]), w.shape[1])
    operator = ops.Linear(chosen.product)
    y = operator(rows, weight) if bias is None else operator(rows, weight, bias)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], len(w))


@lru_cache(maxsize=1024)
def _check(name: str, x: Shape, w: Shape, b: Shape | None, dtypes: tuple) -> None:
    """Refuses what does not fit; cached: a network repeats the same few in every step."""
    if len(w) != 2:
        raise ValueError(f"{name}: expected a weight Tensor (out_features, in_features), got {w}")
    if not x or x[-1] != w[1]:
        raise ShapeError(f"{name}: expected input (*, {w[1]}), got {x}")
    if b is not None and b != w[:1]:
        raise ValueError(f"{name}: expected a bias of shape {w[:1]}, got {b}")
    check_alike(name, dtypes)


def one_hot(target: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices (*), integers, to int64 (*, num_classes): 1 at the index, 0 elsewhere.

    num_classes defaults to the largest index + 1. ValueError for an index out of range.
    """
    refuse_others("one_hot", target=target)
    check_int("one_hot", "num_classes", num_classes)
    if target.dtype != dtypes.int64:
        raise TypeError(f"one_hot: expected int64 class indices, got {target.dtype}; convert them with .long()")
    classes = target._array
    if num_classes < -1 or num_classes == 0:
        raise ValueError(f"one_hot: expected num_classes of at least 1, or -1, got {num_classes}")
    if num_classes == -1 and not classes.size:
        raise ValueError(f"one_hot: num_classes cannot be inferred from an empty target {target.shape}")
    with backend.on(target.device) as xp:
        if num_classes == -1:
            num_classes = int(classes.max()) + 1
        if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
            raise ValueError(f"one_hot: indices from {classes.min()} to {classes.max()} for {num_classes} classes")
        return wrap((classes[..., None] == xp.arange(num_classes)).astype(np.int64))


class Linear(Module):
    """y = x · weightᵀ + bias: (*, in_features) to (*, out_features).

    weight is (out_features, in_features), bias (out_features) or None; both start uniform on ±1 / √in_features.
    """

    _name = "Linear"  # in errors

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: DeviceLike = None, dtype: DTypeLike = None
    ):
        super().__init__()
        self.in_features = size(in_features, "Linear", "in_features", least=0)
        self.out_features = size(out_features, "Linear", "out_features", least=0)
        check_flag("Linear", "bias", bias)
        self.weight = Parameter(creation.empty(self.out_features, self.in_features, device=device, dtype=dtype))
        offset = Parameter(creation.empty(self.out_features, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", offset)
        self._name = f"Linear(in_features={in_features})"
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        init.layer_default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return _linear(self._name, input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
