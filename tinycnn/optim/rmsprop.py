"""RMSprop."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Flag, Never, NotNegative, Share, Way, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, same_order, workspace


class RMSprop(Optimizer):
    """RMSprop: divides the gradient by the root of a running mean of its square.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-2.
        alpha: share of the running mean kept in a step, from 0 to 1. Default 0.99.
        eps: added to the root, so that it cannot be 0; at least 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        momentum: share of the last velocity that is kept, at least 0. Default 0.
        centered: divide by the running standard deviation instead of that root. Default False.
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Sources: Tieleman, Hinton, "Neural networks for machine learning", lecture 6.5 (2012);
    Graves, "Generating sequences with recurrent neural networks" (2013), equations 38 to 45, for centered.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-2, alpha: Share = 0.99, eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0, momentum: NotNegative = 0, centered: Flag = False,
        capturable: Flag = False, foreach: Way = None, maximize: Flag = False, differentiable: Never = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """mean_square ← α · mean_square + (1 − α) · grad²
        velocity ← momentum · velocity + grad / (√mean_square + eps)
        param ← param − lr · velocity

        Centered: mean ← α · mean + (1 − α) · grad, and √(mean_square − mean²) in place of √mean_square.
        """
        lr, alpha, momentum = options["lr"], options["alpha"], options["momentum"]
        grad = regularized(param, grad, options["weight_decay"], options["maximize"])
        grad = same_order(grad, param)
        mean_square = buffer(state, "square_avg", param)
        xp, step = workspace("optim", param)
        xp.multiply(grad, 1 - alpha, out=step)
        step *= grad
        mean_square *= alpha
        mean_square += step
        if options["centered"]:
            mean = buffer(state, "grad_avg", param)
            xp.subtract(grad, mean, out=step)
            step *= 1 - alpha
            mean += step
            xp.multiply(mean, mean, out=step)
            xp.subtract(mean_square, step, out=step)
            xp.maximum(step, 0, out=step)  # a variance near 0 may be rounded to below 0
            xp.sqrt(step, out=step)
        else:
            xp.sqrt(mean_square, out=step)
        step += options["eps"]
        xp.divide(grad, step, out=step)
        if momentum:
            velocity = buffer(state, "momentum_buffer", param)
            velocity *= momentum
            velocity += step
            xp.multiply(velocity, lr, out=step)
        else:
            step *= lr
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(options[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum"))
        buffers = {
            "square_avg": 0.0,
            "grad_avg": 0.0 if options["centered"] else None,
            "momentum_buffer": 0.0 if options["momentum"] else None,
        }
        return Fused("rmsprop", numbers, buffers, False, options["maximize"])
