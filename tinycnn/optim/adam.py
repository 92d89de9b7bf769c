"""Adam and AdamW, which differ only in how weights decay."""

from __future__ import annotations

from math import sqrt
from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Betas, Flag, Never, NotNegative, Way, checks_of
from tinycnn.optim.fused import Fused, decays
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, running_moments, same_order


class Adam(Optimizer):
    """Adam: steps along a running mean of the gradient, divided by the root of a running mean of its square.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-3.
        betas: share of each of the two running means kept in a step, at least 0 and below 1. Default (0.9, 0.999).
        eps: added to the root, so that it cannot be 0; at least 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        amsgrad: divide by the largest mean square so far instead of the current one. Default False.
        maximize: ascend instead of descend. Default False.
        decoupled_weight_decay: shrink the parameter by lr · weight_decay instead: this is AdamW. Default False.
        foreach, fused, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Sources: Kingma, Ba, "Adam: a method for stochastic optimization" (ICLR 2015), algorithm 1;
    Reddi, Kale, Kumar, "On the convergence of Adam and beyond" (ICLR 2018) for amsgrad.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-3, betas: Betas = (0.9, 0.999), eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 0, amsgrad: Flag = False, *, foreach: Way = None, maximize: Flag = False,
        capturable: Flag = False, differentiable: Never = False, fused: Way = None,
        decoupled_weight_decay: Flag = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """mean ← β₁ · mean + (1 − β₁) · grad
        mean_square ← β₂ · mean_square + (1 − β₂) · grad²
        param ← param − lr · (mean / c₁) / (√(mean_square / c₂) + eps), where cᵢ = 1 − βᵢᵗ undoes the start at 0

        With amsgrad, the maximum of all mean_square so far takes the place of mean_square.
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
        if options["amsgrad"]:
            largest = buffer(state, "max_exp_avg_sq", param)
            mean_square = xp.maximum(largest, mean_square, out=largest)
        # Both sides of the fraction times √c₂: one pass over the array less.
        root2 = sqrt(1 - beta2**t)
        xp.sqrt(mean_square, out=step)
        step += options["eps"] * root2
        xp.divide(mean, step, out=step)
        step *= lr * root2 / (1 - beta1**t)
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], *map(float, options["betas"]), options["eps"], *decays(options)
        buffers = {"exp_avg": 0.0, "exp_avg_sq": 0.0, "max_exp_avg_sq": 0.0 if options["amsgrad"] else None}
        return Fused("adam", numbers, buffers, True, options["maximize"])


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameter shrinks by lr · weight_decay, apart from the gradient.

    Args: those of `Adam` but decoupled_weight_decay; weight_decay is 1e-2 by default.

    Raises: see `Optimizer`.

    Source: Loshchilov, Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-3, betas: Betas = (0.9, 0.999), eps: NotNegative = 1e-8,
        weight_decay: NotNegative = 1e-2, amsgrad: Flag = False, *, maximize: Flag = False,
        foreach: Way = None, capturable: Flag = False, differentiable: Never = False, fused: Way = None,
    ):  # fmt: skip
        Optimizer.__init__(self, params, {**options_of(locals()), "decoupled_weight_decay": True})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:  # as in torch: loaded state of Adam does not turn it into Adam
            group["decoupled_weight_decay"] = True
