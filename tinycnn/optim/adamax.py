"""Adamax."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Betas, Flag, Never, NotNegative, Way, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, same_order, workspace


class Adamax(Optimizer):
    """Adamax: Adam with the largest gradient so far, which decays, in the place of the root mean square.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 2e-3.
        betas: share of the running mean and of the maximum kept in a step. Default (0.9, 0.999).
        eps: added to the size of each gradient, so that the maximum cannot be 0; at least 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Kingma, Ba, "Adam: a method for stochastic optimization" (ICLR 2015), algorithm 2.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 2e-3, betas: Betas = (0.9, 0.999), eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0, foreach: Way = None, *, maximize: Flag = False, differentiable: Never = False,
        capturable: Flag = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """mean ← β₁ · mean + (1 − β₁) · grad
        largest ← max(β₂ · largest, |grad| + eps)
        param ← param − lr / (1 − β₁ᵗ) · mean / largest
        """
        beta1, beta2 = map(float, options["betas"])
        grad = regularized(param, grad, options["weight_decay"], options["maximize"])
        grad = same_order(grad, param)
        t = state["step"] = int(state.get("step", 0)) + 1
        mean, largest = buffer(state, "exp_avg", param), buffer(state, "exp_inf", param)
        xp, step = workspace("optim", param)
        xp.subtract(grad, mean, out=step)
        step *= 1 - beta1
        mean += step
        xp.abs(grad, out=step)
        step += options["eps"]
        largest *= beta2
        xp.maximum(largest, step, out=largest)
        xp.divide(mean, largest, out=step)
        step *= options["lr"] / (1 - beta1**t)
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], *map(float, options["betas"]), options["eps"], options["weight_decay"]
        return Fused("adamax", numbers, {"exp_avg": 0.0, "exp_inf": 0.0}, True, options["maximize"])
