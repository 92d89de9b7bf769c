"""Rprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.backend import Array
from tinycnn.optim._checks import Flag, Never, NotNegative, Pair, Way, checks_of
from tinycnn.optim.fused import Fused
from tinycnn.optim.optimizer import Optimizer, Params, buffer, options_of, regularized, workspace


class Rprop(Optimizer):
    """Rprop: steps by the signs of the gradients alone; a step grows while its sign stays, and shrinks when it turns.

    Args:
        params: the parameters, or groups of them: see `Optimizer`. The gradients are to be those of all samples.
        lr: the first step, at least 0. Default 1e-2.
        etas: factors by which a step shrinks and grows, 0 < η₋ < 1 < η₊. Default (0.5, 1.2).
        step_sizes: the smallest and the largest step. Default (1e-6, 50).
        maximize: ascend instead of descend. Default False.
        foreach, capturable, differentiable: torch's ways to compute a step; the last is refused.

    Raises: see `Optimizer`.

    Source: Riedmiller, Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm"
    (ICNN 1993); as in torch, a step whose sign turned is left out and not taken back.
    """

    def __init__(
        self, params: Params, lr: NotNegative = 1e-2, etas: Pair = (0.5, 1.2), step_sizes: Pair = (1e-6, 50), *,
        capturable: Flag = False, foreach: Way = None, maximize: Flag = False, differentiable: Never = False,
    ):  # fmt: skip
        super().__init__(params, options_of(locals()))

    _checks = checks_of(__init__)

    def _check_options(self, options: dict[str, Any]) -> None:
        super()._check_options(options)
        smaller, larger = options["etas"]
        if not 0 < smaller < 1 < larger:
            raise ValueError(f"{type(self).__name__}: expected etas around 1, the first above 0, got {options['etas']}")

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        """size ← size · η₊ where grad · last > 0, size · η₋ where it is below 0; limited to `step_sizes`
        grad ← 0 where grad · last < 0
        param ← param − sign(grad) · size
        last ← grad
        """
        (smaller, larger), (least, most) = options["etas"], options["step_sizes"]
        grad = regularized(param, grad, 0, options["maximize"])
        t = state["step"] = int(state.get("step", 0)) + 1
        last, size = buffer(state, "prev", param), buffer(state, "step_size", param)
        if t == 1:  # state from a GPU has buffers before the first step too
            size.fill(options["lr"])
        xp, turn = workspace("optim", param)
        _, factor = workspace("optim.second", param)
        xp.multiply(grad, last, out=turn)
        xp.sign(turn, out=turn)
        xp.maximum(turn, 0, out=factor)  # 1 + (η₊ − 1) where the sign stays, 1 elsewhere
        factor *= larger - 1
        factor += 1
        size *= factor
        xp.minimum(turn, 0, out=factor)
        factor *= 1 - smaller
        factor += 1
        size *= factor
        xp.clip(size, least, most, out=size)
        _, turned = workspace("optim.turned", param, np.bool_)
        xp.less(turn, 0, out=turned)
        last[...] = grad
        last[turned] = 0
        xp.sign(last, out=turn)
        turn *= size
        param -= turn

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = options["lr"], *map(float, options["etas"]), *map(float, options["step_sizes"])
        return Fused("rprop", numbers, {"prev": 0.0, "step_size": 0.0}, True, options["maximize"])
