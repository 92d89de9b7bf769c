"""Muon."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.optim._checks import Adjustment, Count, Flag, NotNegative, Triple, checks_of
from tinycnn.optim.fused import Fused, FusedSteps, Row, Scaling
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, workspace
from tinycnn.tensor import Tensor


class Muon(Optimizer):
    """Muon: steps along a running mean of the gradient, made nearly orthogonal, so that no direction dominates.

    For the weights of hidden layers: matrices (O, I), and weights of convolutions (O, C, KH, KW), each taken as a
    matrix (O, C · KH · KW). Everything else, such as biases, norms and the last layer, is for another optimizer, such
    as `AdamW`.

    Torch takes matrices only, and rounds them to bfloat16 to make them orthogonal. Here this is computed in float32,
    and in float64 for parameters of float64, so that steps differ from torch's by up to about 1 %.

    Args:
        params: the parameters, or groups of them, of two axes or more: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-3.
        weight_decay: the parameter shrinks by lr · weight_decay, as in AdamW; at least 0. Default 0.1.
        momentum: share of the running mean that is kept in a step, at least 0. Default 0.95.
        nesterov: step along (1 − momentum) · gradient + momentum · mean instead of the mean. Default True.
        ns_coefficients: a, b, c of the polynomial a · s + b · s³ + c · s⁵, which brings singular values s near 1.
            Default (3.4445, -4.775, 2.0315).
        eps: the least norm by which a matrix is divided, at least 0. Default 1e-7.
        ns_steps: how often the polynomial is taken, at least 0 and below 100. Default 5.
        adjust_lr_fn: what lr is multiplied with for a matrix (A, B): √max(1, A / B) for "original" and None, which is
            the default, and 0.2 · √max(A, B) for "match_rms_adamw", with which learning rates of AdamW fit.

    Raises: see `Optimizer`; also ValueError for a parameter of less than two axes.

    Sources: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024),
    https://kellerjordan.github.io/posts/muon/; Liu et al., "Muon is scalable for LLM training" (2025) for
    "match_rms_adamw" and weight decay.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-3, weight_decay: NotNegative = 0.1, momentum: NotNegative = 0.95,
        nesterov: Flag = True, ns_coefficients: Triple = (3.4445, -4.775, 2.0315), eps: NotNegative = 1e-7,
        ns_steps: Count = 5, adjust_lr_fn: Adjustment = None,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _check_parameter(self, index: int, param: Tensor) -> None:
        if param.ndim < 2:
            raise ValueError(
                f"{type(self).__name__}: expected parameter {index} as a matrix or the weight of a convolution, "
                f"got shape {param.shape}: put it in another optimizer, such as AdamW"
            )

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """mean ← momentum · mean + (1 − momentum) · grad
        direction ← mean, or, with Nesterov momentum, (1 − momentum) · grad + momentum · mean
        param ← param − lr · (weight_decay · param + factor · orthogonal(direction))
        """
        lr, momentum = options["lr"], options["momentum"]
        mean = buffer(state, "momentum_buffer", param)
        xp, step = workspace("optim", param)
        xp.subtract(grad, mean, out=step)
        step *= 1 - momentum
        mean += step
        if options["nesterov"]:
            xp.subtract(mean, grad, out=step)
            step *= momentum
            step += grad
        else:
            step[...] = mean
        step[...] = _orthogonal(step, *_constants(options))
        if options["weight_decay"]:
            param *= 1 - lr * options["weight_decay"]
        step *= lr
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], options["momentum"], 0.0, 0.0, options["weight_decay"]  # the order of the kernel sgd
        buffers = {"momentum_buffer": 0.0}
        constants = _constants(options)
        return _FusedMuon("muon", numbers, buffers, False, False, nesterov=options["nesterov"], constants=constants)


class _FusedMuon(Fused):
    __slots__ = ()

    def steps(self, owner: str) -> FusedSteps:
        return _MuonSteps(owner)


class _MuonSteps(FusedSteps):
    """A kernel for the directions of all parameters, products for each, and a kernel, that of SGD, for the steps."""

    def _launch(self, kernels: Any, fused: Fused, rows: list[Row], scaling: Scaling) -> None:
        directions = [backend.array_module(array).empty(array.shape, array.dtype) for array, *_ in rows]
        to_directions: list[Row] = []
        for (array, grad, buffers, *_), direction in zip(rows, directions, strict=True):
            to_directions.append((array, grad, [*buffers, direction], None, []))
        kernels.optimizer_step("muon", to_directions, self._numbers, (False, fused.nesterov), *scaling)
        along: list[Row] = []
        for (array, *_), direction in zip(rows, directions, strict=True):
            step = _orthogonal(direction, *fused.constants).astype(array.dtype, copy=False)
            along.append((array, step, [], None, []))
        found_inf, _ = scaling
        kernels.optimizer_step("sgd", along, self._numbers, (False, False), found_inf)


def _constants(options: dict[str, Any]) -> tuple[Any, ...]:
    """The options of `_orthogonal`, in its order."""
    return tuple(options["ns_coefficients"]), int(options["ns_steps"]), options["eps"], options["adjust_lr_fn"]


def _orthogonal(
    direction: Array, coefficients: tuple[float, float, float], steps: int, eps: float, adjustment: str | None
) -> Array:
    """U p(S) Vᵀ for the matrix U S Vᵀ that `direction` is, times the factor of the learning rate; float32 at least.

    S is divided by its norm, and p is the polynomial of these `coefficients`, taken so many times: Newton and Schulz's
    way to the orthogonal matrix U Vᵀ. With X = U S Vᵀ, a X + b X XᵀX + c X (XᵀX)² = U (a S + b S³ + c S⁵) Vᵀ.
    The result is scratch memory.
    """
    rows, columns = direction.shape[0], prod(direction.shape[1:])
    kernels, xp, least = backend.kernels(direction), backend.array_module(direction), min(rows, columns)
    dtype = direction.dtype if direction.dtype == np.float64 else np.dtype(np.float32)
    x, product = (_scratch(f"muon.{name}", (rows, columns), direction, dtype) for name in ("x", "product"))
    gram, square = (_scratch(f"muon.{name}", (least, least), direction, dtype) for name in ("gram", "square"))
    x.reshape(direction.shape)[...] = direction
    x /= xp.maximum(kernels.total_norm([x], 2.0), eps)
    a, b, c = coefficients
    for _ in range(steps):  # XᵀX to the right of X, or XXᵀ to the left of it, whichever is smaller
        kernels.matmul(*((x, x.T) if rows <= columns else (x.T, x)), gram)
        kernels.matmul(gram, gram, square)
        gram *= b
        square *= c
        gram += square
        kernels.matmul(*((gram, x) if rows <= columns else (x, gram)), product)
        x *= a
        x += product
    x *= 0.2 * sqrt(max(rows, columns)) if adjustment == "match_rms_adamw" else sqrt(max(1, rows / max(columns, 1)))
    return x.reshape(direction.shape)


def _scratch(name: str, shape: tuple[int, ...], near: Array, dtype: np.dtype) -> Array:
    """An uninitialised array on the device of `near`; on a CPU in memory that the next call uses again."""
    if isinstance(near, np.ndarray):
        return backend.cpu.scratch(name, shape, np.empty(0, dtype))
    return backend.array_module(near).empty(shape, dtype)
