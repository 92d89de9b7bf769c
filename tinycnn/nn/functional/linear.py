"""The fully connected layer, and one-hot vectors."""

from __future__ import annotations

import math

import numpy as np

from tinycnn import backend
from tinycnn.ops.matmul import Linear
from tinycnn.tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, name: str = "linear") -> Tensor:
    """y = input · weightᵀ + bias: input (*, in_features), weight (out_features, in_features), bias (out_features)."""
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        got = weight.shape if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"{name}: expected a weight Tensor (out_features, in_features), got {got}")
    if not isinstance(input, Tensor) or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"{name}: expected input (*, {weight.shape[1]}), got {got}")
    if input.dtype != weight.dtype or input.device != weight.device:
        raise TypeError(
            f"{name}: input is {input.dtype} on {input.device}, weight is {weight.dtype} on {weight.device}: "
            "convert one with .to()"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"{name}: expected a bias of shape {weight.shape[:1]}, got {bias.shape}")
    rows = input if input.ndim == 2 else input.reshape(math.prod(input.shape[:-1]), weight.shape[1])
    y = Linear()(rows, weight) if bias is None else Linear()(rows, weight, bias)
    return y if input.ndim == 2 else y.reshape(*input.shape[:-1], len(weight))


def one_hot(target: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices (*) to (*, num_classes): 1 at the index, 0 elsewhere; num_classes defaults to the largest + 1."""
    if target.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integer class indices, got {target.dtype}")
    classes = target._array
    if num_classes == -1:
        if not classes.size:
            raise ValueError(f"one_hot: num_classes cannot be inferred from an empty target {target.shape}")
        num_classes = int(classes.max()) + 1
    if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
        raise ValueError(f"one_hot: indices from {classes.min()} to {classes.max()} for {num_classes} classes")
    return Tensor._wrap(backend.array_module(classes).eye(num_classes, dtype=np.int64)[classes])
