"""Activations."""

from __future__ import annotations

from typing import Any

from tinycnn.ops import activation as ops
from tinycnn.ops.elementwise import relu, sigmoid, tanh
from tinycnn.ops.reduce import log_softmax, softmax
from tinycnn.tensor import Tensor

__all__ = [
    "elu", "gelu", "hardswish", "leaky_relu", "log_softmax", "logsigmoid", "relu", "sigmoid", "silu", "softmax",
    "softplus", "tanh",
]  # fmt: skip


def _floating(name: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor) or not input.is_floating_point():
        got = input.dtype if isinstance(input, Tensor) else type(input).__name__
        raise TypeError(f"{name}: expected a floating-point Tensor, got {got}")
    return input


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere."""
    return ops.leaky_relu(_floating("leaky_relu", input), negative_slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, alpha · (eˣ − 1) elsewhere. Source: Clevert et al., 2015."""
    return ops.elu(_floating("elu", input), alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution function; approximate="tanh" replaces it by
    ½ (1 + tanh(√(2/π) (x + 0.044715 x³))). Source: Hendrycks and Gimpel, 2016."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")
    return ops.gelu(_floating("gelu", input), approximate)


def silu(input: Tensor) -> Tensor:
    """x · sigmoid(x), also called swish."""
    return ops.silu(_floating("silu", input))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta; x itself where beta · x > threshold."""
    return ops.softplus(_floating("softplus", input), beta, threshold)


def hardswish(input: Tensor) -> Tensor:
    """x · clamp(x + 3, 0, 6) / 6. Source: Howard et al., 2019."""
    return ops.hardswish(_floating("hardswish", input))


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e⁻ˣ)), without overflow."""
    return ops.log_sigmoid(_floating("logsigmoid", input))
