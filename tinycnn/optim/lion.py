"""Lion."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Betas, Flag, NotNegative, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, same_order, workspace


class Lion(Optimizer):
    """Lion: steps by the signs of a running mean of the gradient, all of one size; it keeps half of what Adam keeps.

    Torch has none. Learning rates are to be 3 to 10 times smaller than Adam's, and weight decays as many times larger.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: the size of a step, at least 0. Default 1e-4.
        betas: share of the running mean in a step, and share of it kept after the step. Default (0.9, 0.99).
        weight_decay: the parameter shrinks by lr · weight_decay, as in AdamW; at least 0. Default 0.
        maximize: ascend instead of descend. Default False.

    Raises: see `Optimizer`.

    Source: Chen et al., "Symbolic discovery of optimization algorithms" (NeurIPS 2023), algorithm 2.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-4, betas: Betas = (0.9, 0.99), weight_decay: NotNegative = 0, *,
        maximize: Flag = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """param ← param − lr · (sign(β₁ · mean + (1 − β₁) · grad) + weight_decay · param)
        mean ← β₂ · mean + (1 − β₂) · grad
        """
        lr, weight_decay = options["lr"], options["weight_decay"]
        beta1, beta2 = map(float, options["betas"])
        grad = regularized(param, grad, 0, options["maximize"])
        grad = same_order(grad, param)
        mean = buffer(state, "exp_avg", param)
        xp, step = workspace("optim", param)
        xp.subtract(grad, mean, out=step)
        step *= 1 - beta1
        step += mean
        xp.sign(step, out=step)
        step *= lr
        if weight_decay:
            param *= 1 - lr * weight_decay
        param -= step
        xp.subtract(grad, mean, out=step)
        step *= 1 - beta2
        mean += step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], *map(float, options["betas"]), options["weight_decay"]
        return Fused("lion", numbers, {"exp_avg": 0.0}, False, options["maximize"])
