"""Adadelta."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Flag, Never, NotNegative, Share, Way, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, same_order, workspace


class Adadelta(Optimizer):
    """Adadelta: multiplies the gradient by the ratio of the running sizes of steps and of gradients.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: factor of the step, at least 0. Default 1.
        rho: share of the two running means kept in a step, from 0 to 1. Default 0.9.
        eps: added under both roots, so that there is a first step; at least 0. Default 1e-6.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Zeiler, "Adadelta: an adaptive learning rate method" (2012), algorithm 1.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1.0, rho: Share = 0.9, eps: NotNegative = 1e-6,
        weight_decay: NotNegative = 0, foreach: Way = None, *, capturable: Flag = False, maximize: Flag = False,
        differentiable: Never = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """mean_square ← ρ · mean_square + (1 − ρ) · grad²
        step ← √(step_square + eps) / √(mean_square + eps) · grad
        step_square ← ρ · step_square + (1 − ρ) · step²
        param ← param − lr · step
        """
        rho, eps = options["rho"], options["eps"]
        grad = regularized(param, grad, options["weight_decay"], options["maximize"])
        grad = same_order(grad, param)
        mean_square, step_square = buffer(state, "square_avg", param), buffer(state, "acc_delta", param)
        xp, step = workspace("optim", param)
        xp.multiply(grad, 1 - rho, out=step)
        step *= grad
        mean_square *= rho
        mean_square += step
        _, divisor = workspace("optim.second", param)
        xp.add(mean_square, eps, out=divisor)
        xp.add(step_square, eps, out=step)
        step /= divisor
        xp.sqrt(step, out=step)
        step *= grad
        param -= xp.multiply(step, options["lr"], out=divisor)
        step *= step
        step *= 1 - rho
        step_square *= rho
        step_square += step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(options[name] for name in ("lr", "rho", "eps", "weight_decay"))
        return Fused("adadelta", numbers, {"square_avg": 0.0, "acc_delta": 0.0}, False, options["maximize"])
