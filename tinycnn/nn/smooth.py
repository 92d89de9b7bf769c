"""Smooth activations beyond the usual ones, and gates, functions and layers. TypeError for integers, from all."""

from __future__ import annotations

import math

from tinycnn import creation
from tinycnn.autocast_mode import autocasts
from tinycnn.checks import Number, check_flag, check_number
from tinycnn.nn.activation import _Activation, elu, softmax
from tinycnn.nn.module import Module
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.in_place import overwrite
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import clamp, where
from tinycnn.ops.shape import normalize_dim
from tinycnn.ops.unary import Softplus, expm1, sigmoid, tanh
from tinycnn.tensor import Tensor

__all__ = ["CELU", "GLU", "Mish", "SELU", "Softmax2d", "Softmin", "Softsign", "Tanhshrink"]

# --- functions ----------------------------------------------------------------------------------------------

# The fixed point of means 0 and variances 1. Source: Klambauer et al., "Self-normalizing neural networks", 2017.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x)). Source: Misra, 2019."""
    check_floating("mish", input)
    if inplace:
        return overwrite("mish_", input, mish)
    x = widened(input)
    return (x * tanh(Softplus(1.0, math.inf)(x))).to(input.dtype)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where it is positive, alpha · (exp(x / alpha) − 1) elsewhere. Source: Barron, 2017."""
    check_floating("celu", input)
    if check_number("celu", "alpha", alpha) == 0:
        raise ValueError("celu: expected alpha other than 0")
    if inplace:
        return overwrite("celu_", input, celu, alpha)
    x = widened(input)
    below = clamp(x, max=0.0) / alpha  # the clamp: e^x of a large x overflows
    return where(x <= 0, expm1(below) * alpha, x).to(input.dtype)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, inplace=True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale · elu(x, alpha), with the constants that keep mean 0 and variance 1. Source: Klambauer et al., 2017."""
    check_floating("selu", input)
    if inplace:
        return overwrite("selu_", input, selu)
    return (elu(widened(input), SELU_ALPHA) * SELU_SCALE).to(input.dtype)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, inplace=True)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    check_floating("softsign", input)
    return input / (1 + input.abs())


def tanhshrink(input: Tensor) -> Tensor:
    """x − tanh(x)."""
    check_floating("tanhshrink", input)
    return input - tanh(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of the input along `dim` times sigmoid of the second. Source: Dauphin et al., 2016."""
    check_floating("glu", input)
    dim = normalize_dim(dim, input, "glu")
    if input.ndim == 0 or input.shape[dim] % 2:
        raise ValueError(f"glu: expected an even size of dimension {dim}, got {input.shape}")
    a, b = input.split(input.shape[dim] // 2 or 1, dim) if input.shape[dim] else (input, input)
    return a * sigmoid(b)


@autocasts
def softmin(input: Tensor, dim: int | None = None) -> Tensor:
    """softmax(−x) along `dim`; see `softmax`."""
    check_floating("softmin", input)
    return softmax(-input, dim)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax((logits + Gumbel noise) / tau) along `dim`: a sample of the classes that has a gradient.

    `hard` makes it one-hot, with the gradient of the soft one. `eps` does nothing, as in torch. Source: Jang et al.,
    2016.
    """
    check_floating("gumbel_softmax", logits)
    check_flag("gumbel_softmax", "hard", hard)
    noise = -(-creation.rand(*logits.shape, dtype=logits.dtype, device=logits.device).log()).log()
    soft = softmax((logits + noise) / Number(above=0)("gumbel_softmax", "tau", tau), dim)
    if not hard:
        return soft
    chosen = soft == soft.amax(dim, keepdim=True)
    return where(chosen, 1.0, 0.0).to(soft.dtype) - soft.detach() + soft


# --- layers -----------------------------------------------------------------------------------------------


class Mish(_Activation):
    """x · tanh(softplus(x))."""

    def forward(self, input: Tensor) -> Tensor:
        return mish(input, self.inplace)


class CELU(_Activation):
    """x where it is positive, alpha · (exp(x / alpha) − 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(_Activation):
    """An ELU whose outputs keep mean 0 and variance 1; see `F.selu`."""

    def forward(self, input: Tensor) -> Tensor:
        return selu(input, self.inplace)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return softsign(input)


class Tanhshrink(Module):
    """x − tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return tanhshrink(input)


class GLU(Module):
    """The first half of the input along `dim` times sigmoid of the second."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """softmax(−x) along `dim`."""

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        check_floating("Softmax2d", input)
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input (N, C, H, W) or (C, H, W), got {input.shape}")
        return softmax(input, -3)
