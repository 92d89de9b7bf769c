"""RAdam."""

from __future__ import annotations

from math import sqrt
from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Betas, Flag, Never, NotNegative, Way, checks_of
from tinycnn.optim.fused import Fused, decays
from tinycnn.optim.optimizer import Optimizer, Params, options_of, regularized, running_moments, same_order


class RAdam(Optimizer):
    """RAdam: Adam that divides by the root mean square only as far as enough gradients were seen to know it.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-3.
        betas: share of each of the two running means kept in a step. Default (0.9, 0.999).
        eps: added to the root, so that it cannot be 0; at least 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        decoupled_weight_decay: shrink the parameter by lr · weight_decay instead, as AdamW does. Default False.
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond" (ICLR 2020), algorithm 2.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-3, betas: Betas = (0.9, 0.999), eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0, decoupled_weight_decay: Flag = False, *, foreach: Way = None,
        maximize: Flag = False, capturable: Flag = False, differentiable: Never = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """mean ← β₁ · mean + (1 − β₁) · grad
        mean_square ← β₂ · mean_square + (1 − β₂) · grad²
        param ← param − lr · mean / c₁ · r · √c₂ / (√mean_square + eps), where cᵢ = 1 − βᵢᵗ undoes the start at 0

        With ρ = ρ∞ − 2t β₂ᵗ / c₂ and ρ∞ = 2 / (1 − β₂) − 1, r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ); where ρ
        is 5 or less, param ← param − lr · mean / c₁.
        """
        lr, weight_decay = options["lr"], options["weight_decay"]
        beta1, beta2 = map(float, options["betas"])
        if weight_decay and options["decoupled_weight_decay"]:
            param *= 1 - lr * weight_decay
            weight_decay = 0
        grad = regularized(param, grad, weight_decay, options["maximize"])
        grad = same_order(grad, param)
        t = state["step"] = int(state.get("step", 0)) + 1
        xp, step, mean, mean_square = running_moments(param, grad, state, beta1, beta2)
        rate, c2 = lr / (1 - beta1**t), 1 - beta2**t
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / c2
        if length > 5:
            square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            xp.sqrt(mean_square, out=step)
            step += options["eps"]
            xp.divide(mean, step, out=step)
            step *= rate * sqrt(square * c2)
        else:
            xp.multiply(mean, rate, out=step)
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], *map(float, options["betas"]), options["eps"], *decays(options)
        buffers = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return Fused("radam", numbers, buffers, True, options["maximize"])
