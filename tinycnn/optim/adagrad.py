"""Adagrad."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.optim._checks import check_flag, check_number
from tinycnn.optim.optimizer import Fused, Optimizer, buffer, regularized, same_order, temporary


class Adagrad(Optimizer):
    """Adagrad: divides the gradient by the root of the sum of its squares so far.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate. Default 1e-2.
        lr_decay: step t, counted from 0, uses lr / (1 + t · lr_decay). Default 0.
        weight_decay: times the parameter, added to its gradient. Default 0.
        initial_accumulator_value: the sum of squares before the first step. Default 0.
        eps: added to the root, so that it cannot be 0. Default 1e-10.
        maximize: climb instead of descend. Default False.

    Source: Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (JMLR 12, 2011), with diagonal matrices.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: dict[str, Any]) -> None:
        name = type(self).__name__
        for option in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            check_number(name, option, options[option], at_least=0)
        check_flag(name, "maximize", options["maximize"])

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        grad = same_order(regularized(param, grad, float(options["weight_decay"]), options["maximize"]), param)
        steps = int(state.get("step", 0))
        lr = float(options["lr"]) / (1 + steps * float(options["lr_decay"]))
        state["step"] = steps + 1
        total = buffer(state, "sum", param, options["initial_accumulator_value"])
        adagrad_update(param, grad, total, lr, float(options["eps"]))

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(float(options[name]) for name in ("lr", "lr_decay", "eps", "weight_decay"))
        buffers = {"sum": float(options["initial_accumulator_value"])}
        return Fused("adagrad", numbers, buffers, True, options["maximize"])


def adagrad_update(param: Array, grad: Array, total: Array, lr: float, eps: float) -> None:
    """total ← total + grad²
    param ← param − lr · grad / (√total + eps)
    """
    xp = backend.array_module(param)
    step = temporary("optim", param)
    total += xp.multiply(grad, grad, out=step)
    xp.sqrt(total, out=step)
    step += eps
    xp.divide(grad, step, out=step)
    step *= lr
    param -= step
