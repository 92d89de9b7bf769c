"""Stochastic gradient descent, with momentum and Nesterov momentum."""

from __future__ import annotations

from typing import Any

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.optim._checks import check_flag, check_number
from tinycnn.optim.optimizer import Fused, Optimizer, buffer, regularized, temporary


class SGD(Optimizer):
    """Stochastic gradient descent.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate. Default 1e-3.
        momentum: share of the last velocity that is kept. Default 0.
        dampening: share of the gradient kept out of the velocity, except in the first step. Default 0.
        weight_decay: times the parameter, added to its gradient. Default 0.
        nesterov: step along gradient + momentum · velocity; needs momentum and no dampening. Default False.
        maximize: climb instead of descend. Default False.

    Source: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep
    learning" (ICML 2013); as in torch, the learning rate multiplies the velocity, and is not part of it.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: dict[str, Any]) -> None:
        name = type(self).__name__
        for option in ("lr", "momentum", "weight_decay"):
            check_number(name, option, options[option], at_least=0)
        check_number(name, "dampening", options["dampening"])
        check_flag(name, "nesterov", options["nesterov"])
        check_flag(name, "maximize", options["maximize"])
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(
                f"{name}: expected momentum above 0 and dampening of 0 with nesterov=True, "
                f"got momentum={options['momentum']} and dampening={options['dampening']}"
            )

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        lr, momentum = float(options["lr"]), float(options["momentum"])
        grad = regularized(param, grad, float(options["weight_decay"]), options["maximize"])
        if momentum == 0:
            sgd_update(param, grad, lr)
            return
        # There has been a step if there is a buffer; state from a GPU has a count, which is 0 if all were skipped.
        begun = "momentum_buffer" in state and state.pop("step", 1) != 0
        dampening = float(options["dampening"]) if begun else 0.0
        velocity = buffer(state, "momentum_buffer", param)
        momentum_update(param, grad, velocity, lr, momentum, dampening, options["nesterov"])

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = tuple(float(options[name]) for name in ("lr", "momentum", "dampening", "weight_decay"))
        moves = options["momentum"] != 0
        buffers = {"momentum_buffer": 0.0 if moves else None}
        return Fused("sgd", numbers, buffers, moves, options["maximize"], variant=options["nesterov"])


def sgd_update(param: Array, grad: Array, lr: float) -> None:
    """param ← param − lr · grad"""
    xp = backend.array_module(param)
    param -= xp.multiply(grad, lr, out=temporary("optim", param))


def momentum_update(
    param: Array, grad: Array, velocity: Array, lr: float, momentum: float, dampening: float, nesterov: bool
) -> None:
    """velocity ← momentum · velocity + (1 − dampening) · grad
    param ← param − lr · velocity, or, with Nesterov momentum, param − lr · (grad + momentum · velocity)
    """
    xp = backend.array_module(param)
    step = temporary("optim", param)
    velocity *= momentum
    velocity += xp.multiply(grad, 1 - dampening, out=step) if dampening else grad
    if nesterov:
        xp.multiply(velocity, momentum, out=step)
        step += grad
        step *= lr
    else:
        xp.multiply(velocity, lr, out=step)
    param -= step
