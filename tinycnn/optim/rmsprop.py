"""RMSprop."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.optim._checks import check_flag, check_number
from tinycnn.optim.optimizer import Fused, Optimizer, buffer, regularized, same_order, temporary


class RMSprop(Optimizer):
    """RMSprop: divides the gradient by the root of a running mean of its square.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate. Default 1e-2.
        alpha: how much of the running mean is kept each step. Default 0.99.
        eps: added to the root, so that it cannot be 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient. Default 0.
        momentum: share of the last velocity that is kept. Default 0.
        centered: divide by the running standard deviation instead of that root. Default False.
        maximize: climb instead of descend. Default False.

    Sources: Tieleman, Hinton, "Neural networks for machine learning", lecture 6.5 (2012);
    Graves, "Generating sequences with recurrent neural networks" (2013), equations 38 to 45, for centered.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: dict[str, Any]) -> None:
        name = type(self).__name__
        for option in ("lr", "eps", "weight_decay", "momentum"):
            check_number(name, option, options[option], at_least=0)
        check_number(name, "alpha", options["alpha"], at_least=0, at_most=1)
        check_flag(name, "centered", options["centered"])
        check_flag(name, "maximize", options["maximize"])

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        lr, alpha, eps = float(options["lr"]), float(options["alpha"]), float(options["eps"])
        momentum = float(options["momentum"])
        grad = same_order(regularized(param, grad, float(options["weight_decay"]), options["maximize"]), param)
        mean_square = buffer(state, "square_avg", param)
        mean = buffer(state, "grad_avg", param) if options["centered"] else None
        velocity = buffer(state, "momentum_buffer", param) if momentum else None
        rmsprop_update(param, grad, mean_square, mean, velocity, lr, alpha, eps, momentum)

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(float(options[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum"))
        buffers = {
            "square_avg": 0.0,
            "grad_avg": 0.0 if options["centered"] else None,
            "momentum_buffer": 0.0 if options["momentum"] else None,
        }
        return Fused("rmsprop", numbers, buffers, False, options["maximize"])


def rmsprop_update(
    param: Array,
    grad: Array,
    mean_square: Array,
    mean: Array | None,
    velocity: Array | None,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
) -> None:
    """mean_square ← α · mean_square + (1 − α) · grad²
    velocity ← momentum · velocity + grad / (√mean_square + eps)
    param ← param − lr · velocity

    Centered: mean ← α · mean + (1 − α) · grad, and √(mean_square − mean²) in place of √mean_square.
    """
    xp = backend.array_module(param)
    step = temporary("optim", param)
    xp.multiply(grad, 1 - alpha, out=step)
    step *= grad
    mean_square *= alpha
    mean_square += step
    if mean is None:
        xp.sqrt(mean_square, out=step)
    else:
        xp.subtract(grad, mean, out=step)
        step *= 1 - alpha
        mean += step
        xp.multiply(mean, mean, out=step)
        xp.subtract(mean_square, step, out=step)
        xp.maximum(step, 0, out=step)  # a variance near 0 may be rounded to below 0
        xp.sqrt(step, out=step)
    step += eps
    xp.divide(grad, step, out=step)
    if velocity is not None:
        velocity *= momentum
        velocity += step
        xp.multiply(velocity, lr, out=step)
    else:
        step *= lr
    param -= step
