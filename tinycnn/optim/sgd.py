"""Stochastic gradient descent, with momentum and Nesterov momentum."""

from __future__ import annotations

from typing import Any

from tinycnn.backend import Array
from tinycnn.optim._checks import AnyNumber, Flag, Never, NotNegative, Way, checks_of
from tinycnn.optim.fused import Fused, decays
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, workspace


class SGD(Optimizer):
    """Stochastic gradient descent.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate, at least 0. Default 1e-3.
        momentum: share of the last velocity that is kept, at least 0. Default 0.
        dampening: share of the gradient kept out of the velocity, except in the first step. Default 0.
        weight_decay: times the parameter, added to its gradient; at least 0. Default 0.
        nesterov: step along gradient + momentum · velocity; needs momentum and no dampening. Default False.
        maximize: ascend instead of descend. Default False.
        decoupled_weight_decay: shrink the parameter by lr · weight_decay instead, as AdamW does; torch's SGD cannot.
            Default False.
        foreach, fused, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`; also ValueError for nesterov without momentum or with dampening.

    Sources: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep
    learning" (ICML 2013); as in torch, the learning rate multiplies the velocity, and is not part of it.
    Loshchilov, Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 1, for SGDW.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-3, momentum: NotNegative = 0, dampening: AnyNumber = 0,
        weight_decay: NotNegative = 0, nesterov: Flag = False, *, maximize: Flag = False,
        foreach: Way = None, differentiable: Never = False, fused: Way = None, decoupled_weight_decay: Flag = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _check_options(self, options: dict[str, Any]) -> None:
        super()._check_options(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(
                f"{type(self).__name__}: expected momentum above 0 and dampening of 0 with nesterov=True, "
                f"got momentum={options['momentum']} and dampening={options['dampening']}"
            )

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """velocity ← momentum · velocity + (1 − dampening) · grad
        param ← param − lr · velocity, or, with Nesterov momentum, param − lr · (grad + momentum · velocity)

        Without momentum, param ← param − lr · grad.
        """
        lr, momentum, weight_decay = options["lr"], options["momentum"], options["weight_decay"]
        if weight_decay and options["decoupled_weight_decay"]:
            param *= 1 - lr * weight_decay
            weight_decay = 0
        grad = regularized(param, grad, weight_decay, options["maximize"])
        xp, step = workspace("optim", param)
        if momentum == 0:
            param -= xp.multiply(grad, lr, out=step)
            return
        # There has been a step if there is a buffer; state from a GPU has a count, which is 0 if all were skipped.
        begun = "momentum_buffer" in state and state.pop("step", 1) != 0
        dampening = options["dampening"] if begun else 0.0
        velocity = buffer(state, "momentum_buffer", param)
        velocity *= momentum
        velocity += xp.multiply(grad, 1 - dampening, out=step) if dampening else grad
        if options["nesterov"]:
            xp.multiply(velocity, momentum, out=step)
            step += grad
            step *= lr
        else:
            xp.multiply(velocity, lr, out=step)
        param -= step

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], options["momentum"], options["dampening"], *decays(options)
        moves = options["momentum"] != 0
        buffers = {"momentum_buffer": 0.0 if moves else None}
        return Fused("sgd", numbers, buffers, moves, options["maximize"], nesterov=options["nesterov"])
