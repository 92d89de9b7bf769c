"""Normalisation to mean 0 and variance 1: what batch, layer, group and instance norm have in common."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn.autograd import Function, is_grad_enabled
from tinycnn.backend import Array


class Normalize(Function):
    """x̂ = (x − mean) / √(variance + eps), mean and (biased) variance taken over `dims`.

    Backward (Ioffe and Szegedy 2015, section 3, with γ = 1): (u − mean(u) − x̂ · mean(u · x̂)) / √(variance + eps).

    After `forward`, `mean` and `variance` hold the statistics, with the reduced dimensions kept as size 1.
    """

    saves_inputs = True
    saves_output = True

    def __init__(self, dims: tuple[int, ...], eps: float):
        self.dims, self.eps = dims, eps

    def forward(self, x: Array) -> Array:
        y, self.mean, self.variance, self.saved = backend.kernels(x).standardize(x, self.dims, self.eps)
        return y

    def backward(self, grad_output: Any) -> Any:
        x_hat = self.output
        if not is_grad_enabled():
            u = grad_output._array
            return type(x_hat)._wrap(backend.kernels(u).standardize_backward(u, x_hat._array, self.saved, self.dims))
        (x,) = self.inputs  # its variance once more, so that this too can be differentiated
        inverse_std = (x.var(self.dims, correction=0, keepdim=True) + self.eps) ** -0.5
        mean_u = grad_output.mean(self.dims, keepdim=True)
        mean_ux = (grad_output * x_hat).mean(self.dims, keepdim=True)
        return (grad_output - mean_u - x_hat * mean_ux) * inverse_std
