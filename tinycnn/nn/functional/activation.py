"""Activations. Where torch has an argument `inplace`, it is accepted; the input is never overwritten."""

from __future__ import annotations

from typing import Any

from tinycnn.ops import activation as ops
from tinycnn.ops import arithmetic, reduce
from tinycnn.tensor import Tensor


def _floating(name: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor) or not input.is_floating_point():
        got = input.dtype if isinstance(input, Tensor) else type(input).__name__
        raise TypeError(f"{name}: expected a floating-point Tensor, got {got}")
    return input


def _tensor(name: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
    return input


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return arithmetic.relu(_tensor("relu", input))


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return arithmetic.sigmoid(_tensor("sigmoid", input))


def tanh(input: Tensor) -> Tensor:
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""
    return arithmetic.tanh(_tensor("tanh", input))


def softmax(input: Tensor, dim: int) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`."""
    return reduce.softmax(_floating("softmax", input), dim)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """x − log Σ exp(x) along `dim`."""
    return reduce.log_softmax(_floating("log_softmax", input), dim)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where it is positive, negative_slope · x elsewhere."""
    return ops.leaky_relu(_floating("leaky_relu", input), negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (eˣ − 1) elsewhere. Source: Clevert et al., 2015."""
    return ops.elu(_floating("elu", input), alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution function; approximate="tanh" replaces it by
    ½ (1 + tanh(√(2/π) (x + 0.044715 x³))). Source: Hendrycks and Gimpel, 2016."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")
    return ops.gelu(_floating("gelu", input), approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish."""
    return ops.silu(_floating("silu", input))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta; x itself where beta · x > threshold."""
    return ops.softplus(_floating("softplus", input), beta, threshold)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · clamp(x + 3, 0, 6) / 6. Source: Howard et al., 2019."""
    return ops.hardswish(_floating("hardswish", input))


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e⁻ˣ)), without overflow."""
    return ops.log_sigmoid(_floating("logsigmoid", input))
