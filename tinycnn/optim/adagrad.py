"""Adagrad."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import Flag, Never, NotNegative, Way, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, same_order, workspace


class Adagrad(Optimizer):
    """Adagrad: divides the gradient by the root of the sum of its squares so far.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-2.
        lr_decay: step t, counted from 0, uses lr / (1 + t · lr_decay); at least 0. Default 0.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        initial_accumulator_value: the sum of squares before the first step, at least 0. Default 0.
        eps: added to the root, so that it cannot be 0; at least 0. Default 1e-10.
        maximize: ascend instead of descend. Default False.
        foreach, fused, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (JMLR 12, 2011), with diagonal matrices.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-2, lr_decay: NotNegative = 0, weight_decay: NotNegative = 0,
        initial_accumulator_value: NotNegative = 0, eps: NotNegative = 1e-10, foreach: Way = None, *,
        maximize: Flag = False, differentiable: Never = False, fused: Way = None,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """total ← total + grad²
        param ← param − lr / (1 + t · lr_decay) · grad / (√total + eps)
        """
        grad = regularized(param, grad, options["weight_decay"], options["maximize"])
        grad = same_order(grad, param)
        t = int(state.get("step", 0))
        state["step"] = t + 1
        total = buffer(state, "sum", param, options["initial_accumulator_value"])
        xp, step = workspace("optim", param)
        total += xp.multiply(grad, grad, out=step)
        xp.sqrt(total, out=step)
        step += options["eps"]
        xp.divide(grad, step, out=step)
        step *= options["lr"] / (1 + t * options["lr_decay"])
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(options[name] for name in ("lr", "lr_decay", "eps", "weight_decay"))
        return Fused("adagrad", numbers, {"sum": options["initial_accumulator_value"]}, True, options["maximize"])
