"""Activations beyond ReLU, tanh and sigmoid (those are in `elementwise`), and the operators they need."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import Function
from tinycnn.backend import Array
from tinycnn.ops.arithmetic import clamp, exp, sigmoid, tanh, where


class Expm1(Function):
    """eˣ − 1, exact also where eˣ is nearly 1."""

    saves_output = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.array_module(x).expm1(x)

    def backward(self, grad_output: Any) -> Any:
        return grad_output * (self.output + 1)


class Erf(Function):
    """The error function, 2/√π ∫₀ˣ exp(−t²) dt."""

    saves_inputs = True
    elementwise = True

    def forward(self, x: Array) -> Array:
        return backend.kernels(x).erf(x)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        return grad_output * exp(-(x * x)) * (2 / math.sqrt(math.pi))


class Softplus(Function):
    """log(1 + exp(β·x)) / β, and x itself where β·x exceeds the threshold: there both agree to the last digit."""

    saves_inputs = True
    elementwise = True

    def __init__(self, beta: float, threshold: float):
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Array) -> Array:
        xp, z = backend.array_module(x), x * self.beta
        y = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / self.beta  # exp of a negative number only
        return xp.where(z > self.threshold, x, y)

    def backward(self, grad_output: Any) -> Any:
        (x,) = self.inputs
        z = x * self.beta
        return grad_output * where(z > self.threshold, 1.0, sigmoid(z))


def leaky_relu(x: Any, negative_slope: float) -> Any:
    """x where it is positive, negative_slope · x elsewhere."""
    return where(x > 0, x, x * negative_slope)


def elu(x: Any, alpha: float) -> Any:
    """x where it is positive, alpha · (eˣ − 1) elsewhere."""
    return where(x > 0, x, Expm1()(clamp(x, max=0.0)) * alpha)  # the clamp: e^x of a large x would overflow


def gelu(x: Any, approximate: str) -> Any:
    """x · Φ(x) with the normal distribution's Φ, or its approximation by tanh."""
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * (tanh(inner) + 1) * 0.5
    return x * (Erf()(x * math.sqrt(0.5)) + 1) * 0.5


def silu(x: Any) -> Any:
    """x · sigmoid(x)."""
    return x * sigmoid(x)


def softplus(x: Any, beta: float, threshold: float) -> Any:
    return Softplus(beta, threshold)(x)


def hardswish(x: Any) -> Any:
    """x · clamp(x + 3, 0, 6) / 6."""
    return x * clamp(x + 3, 0.0, 6.0) * (1 / 6)


def log_sigmoid(x: Any) -> Any:
    """log sigmoid(x) = −softplus(−x), finite for every x."""
    return -Softplus(1.0, np.inf)(-x)
