"""Averaged SGD."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import AnyNumber, Flag, Never, NotNegative, Share, Way, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, workspace


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: SGD with a rate that falls, beside which the mean of the parameters so far
    is kept, as `ax` in the state.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-2.
        lambd: how much the parameters shrink in a step, in proportion to the rate, and how fast that falls; at least 0.
            Default 1e-4.
        alpha: step t uses lr / (1 + lambd · lr · t)^alpha; from 0 to 1. Default 0.75.
        t0: the step after which the mean begins. Default 1e6.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging" (SIAM J. Control 30, 1992).
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-2, lambd: NotNegative = 1e-4, alpha: Share = 0.75,
        t0: AnyNumber = 1e6, weight_decay: NotNegative = 0, foreach: Way = None, maximize: Flag = False,
        differentiable: Never = False, capturable: Flag = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)
    _own_numbers = ("eta", "mu")

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """param ← (1 − lambd · rate) · param − rate · grad
        mean ← mean + share · (param − mean), where share is 1 up to step t0 and 1 / (t − t0) later
        rate ← lr / (1 + lambd · lr · t)^alpha
        """
        lr, lambd = options["lr"], options["lambd"]
        grad = regularized(param, grad, options["weight_decay"], options["maximize"])
        t = state["step"] = int(state.get("step", 0)) + 1
        rate = lr if t == 1 else float(state["eta"])  # state from a GPU has a rate before the first step too
        share = float(state.get("mu", 1.0))
        mean = buffer(state, "ax", param)
        xp, step = workspace("optim", param)
        param *= 1 - lambd * rate
        param -= xp.multiply(grad, rate, out=step)
        xp.subtract(param, mean, out=step)
        step *= share
        mean += step
        state["eta"] = lr / (1 + lambd * lr * t) ** options["alpha"]
        state["mu"] = 1 / max(1, t - options["t0"])

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(options[name] for name in ("lr", "lambd", "alpha", "t0", "weight_decay"))
        return Fused("asgd", numbers, {"ax": 0.0}, True, options["maximize"], own=self._own_numbers)
