"""NAdam."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Betas, Flag, Never, NotNegative, Way, checks_of
from tinycnn.optim.fused import Fused, decays
from tinycnn.optim.optimizer import Optimizer, Params, options_of, regularized, running_moments, same_order, workspace


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov momentum, whose share grows from half of β₁ to β₁.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 2e-3.
        betas: share of each of the two running means kept in a step. Default (0.9, 0.999).
        eps: added to the root, so that it cannot be 0; at least 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        momentum_decay: how fast the momentum grows, at least 0. Default 4e-3.
        decoupled_weight_decay: shrink the parameter by lr · weight_decay instead, as AdamW does. Default False.
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Dozat, "Incorporating Nesterov momentum into Adam" (ICLR 2016 workshop).
    """

    def __init__(
        self, params: Params, lr: NotNegative = 2e-3, betas: Betas = (0.9, 0.999), eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0, momentum_decay: NotNegative = 4e-3, decoupled_weight_decay: Flag = False, *,
        foreach: Way = None, maximize: Flag = False, capturable: Flag = False, differentiable: Never = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)
    _own_numbers = ("mu_product",)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """μₜ = β₁ · (1 − ½ · 0.96^(t · momentum_decay)), with Pₜ the product of the first t of them
        mean ← β₁ · mean + (1 − β₁) · grad
        mean_square ← β₂ · mean_square + (1 − β₂) · grad²
        param ← param − lr · ((1 − μₜ) / (1 − Pₜ) · grad + μₜ₊₁ / (1 − Pₜ₊₁) · mean) / (√(mean_square / c₂) + eps),
        where c₂ = 1 − β₂ᵗ undoes the start at 0
        """
        lr, weight_decay = options["lr"], options["weight_decay"]
        beta1, beta2 = map(float, options["betas"])
        if weight_decay and options["decoupled_weight_decay"]:
            param *= 1 - lr * weight_decay
            weight_decay = 0
        grad = regularized(param, grad, weight_decay, options["maximize"])
        grad = same_order(grad, param)
        t = state["step"] = int(state.get("step", 0)) + 1
        momentum, following = (beta1 * (1 - 0.5 * 0.96 ** (i * options["momentum_decay"])) for i in (t, t + 1))
        product = state["mu_product"] = float(state.get("mu_product", 1.0)) * momentum
        xp, step, mean, mean_square = running_moments(param, grad, state, beta1, beta2)
        _, other = workspace("optim.second", param)
        xp.multiply(grad, lr * (1 - momentum) / (1 - product), out=step)
        step += xp.multiply(mean, lr * following / (1 - product * following), out=other)
        xp.multiply(mean_square, 1 / (1 - beta2**t), out=other)
        xp.sqrt(other, out=other)
        other += options["eps"]
        step /= other
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        beta1, beta2 = map(float, options["betas"])
        numbers = options["lr"], beta1, beta2, options["eps"], *decays(options), options["momentum_decay"]
        buffers = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return Fused("nadam", numbers, buffers, True, options["maximize"], own=self._own_numbers)
