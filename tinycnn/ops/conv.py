"""Convolution as a trilinear form, in any number of dimensions.

T(x, w, g) = ⟨g, x ⋆ w⟩ is linear in each argument. Its three partial derivatives are the three operators here,
and differentiating any of them leads back to the three:

    conv(x, w)           = ∂T/∂g      backward with u:  conv_transpose(u, w), conv_weight(x, u)
    conv_transpose(g, w) = ∂T/∂x      backward with u:  conv(u, w),           conv_weight(u, g)
    conv_weight(x, g)    = ∂T/∂w      backward with u:  conv_transpose(g, u), conv(x, u)

Shapes: x (N, C, *input_size), w (O, C/G, *kernel_size), g and conv(x, w) (N, O, *output_size), with G groups. How
the three are computed, by im2col with almost no copy, is in `conv_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinycnn.autograd import ON_CPU, Function, Gradients
from tinycnn.backend import Array
from tinycnn.backend.precision import chosen
from tinycnn.ops import conv_rows
from tinycnn.ops.reduce import Sum
from tinycnn.ops.windows import Window

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


@dataclass(frozen=True)
class ConvSpec(Window):
    """The geometry that the three operators share: a window and the number of groups."""

    groups: int = 1


class _Trilinear(Function):
    """Base class of the three. Backward operators inherit the precision that was chosen for the forward one."""

    saves_inputs = True
    in_float32 = ON_CPU

    def __init__(self, spec: ConvSpec, precision: str):
        self.spec, self.precision = spec, precision


class Conv(_Trilinear):
    """y[n, o, r] = b[o] + Σ_{c,k} w[o, c, k] · x[n, c, r·stride + k·dilation − padding]."""

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        return conv_rows.conv(x, w, b, self.spec, self.precision, self.kernels)

    def backward(self, grad_output: Tensor) -> Gradients:
        x, w, *_ = self.inputs
        need_x, need_w, *need_b = self.needs_input_grad
        # That of the weight first: both unfold, and the gradient of x is the larger to be kept meanwhile.
        of_weight = ConvWeight(self.spec, self.precision)(x, grad_output) if need_w else None
        return (
            ConvTranspose(self.spec, self.precision)(grad_output, w) if need_x else None,
            of_weight,
            *[Sum((0, *range(2, grad_output.ndim)), False)(grad_output) if need else None for need in need_b],
        )


class ConvTranspose(_Trilinear):
    """x[n, c, i] = Σ w[o, c, k] · g[n, o, r] over all o, k, r that meet at input position i = r·stride +
    k·dilation − padding."""

    def forward(self, g: Array, w: Array) -> Array:
        return conv_rows.conv_transpose(g, w, self.spec, self.precision, self.kernels)

    def backward(self, grad_output: Tensor) -> Gradients:
        g, w = self.inputs
        need_g, need_w = self.needs_input_grad
        return (
            Conv(self.spec, self.precision)(grad_output, w) if need_g else None,
            ConvWeight(self.spec, self.precision)(grad_output, g) if need_w else None,
        )


class ConvWeight(_Trilinear):
    """w[o, c, k] = Σ_{n,r} g[n, o, r] · x[n, c, r·stride + k·dilation − padding]."""

    def forward(self, x: Array, g: Array) -> Array:
        return conv_rows.conv_weight(x, g, self.spec, self.precision, self.kernels)

    def backward(self, grad_output: Tensor) -> Gradients:
        x, g = self.inputs
        need_x, need_g = self.needs_input_grad
        return (
            ConvTranspose(self.spec, self.precision)(g, grad_output) if need_x else None,
            Conv(self.spec, self.precision)(x, grad_output) if need_g else None,
        )


def conv(x: Tensor, w: Tensor, b: Tensor | None, spec: ConvSpec) -> Tensor:
    """x (N, C, *input_size), w (O, C/G, *kernel_size), b (O) or None to y (N, O, *output_size)."""
    operator = Conv(spec, chosen.product)
    return operator(x, w) if b is None else operator(x, w, b)


def conv_transpose(g: Tensor, w: Tensor, spec: ConvSpec) -> Tensor:
    """g (N, O, *output_size), w (O, C/G, *kernel_size) to x (N, C, *input_size)."""
    return ConvTranspose(spec, chosen.product)(g, w)


def conv_weight(x: Tensor, g: Tensor, spec: ConvSpec) -> Tensor:
    """x (N, C, *input_size), g (N, O, *output_size) to w (O, C/G, *kernel_size)."""
    return ConvWeight(spec, chosen.product)(x, g)
