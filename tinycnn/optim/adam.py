"""Adam and AdamW, which differ only in how weights decay."""

from __future__ import annotations

from math import sqrt
from typing import Any

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.optim._checks import check_betas, check_flag, check_number
from tinycnn.optim.optimizer import Fused, Optimizer, buffer, regularized, same_order, temporary


class Adam(Optimizer):
    """Adam: steps along a running mean of the gradient, divided by the root of a running mean of its square.

    Args:
        params: the parameters, or groups of them: see `Optimizer`.
        lr: learning rate. Default 1e-3.
        betas: how much of the two running means is kept each step. Default (0.9, 0.999).
        eps: added to the root, so that it cannot be 0. Default 1e-8.
        weight_decay: times the parameter, added to its gradient. Default 0.
        amsgrad: divide by the largest mean square so far instead of the current one. Default False.
        maximize: climb instead of descend. Default False.

    Sources: Kingma, Ba, "Adam: a method for stochastic optimization" (ICLR 2015), algorithm 1;
    Reddi, Kale, Kumar, "On the convergence of Adam and beyond" (ICLR 2018) for amsgrad.
    """

    _decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, options: dict[str, Any]) -> None:
        name = type(self).__name__
        for option in ("lr", "eps", "weight_decay"):
            check_number(name, option, options[option], at_least=0)
        check_betas(name, options["betas"])
        check_flag(name, "amsgrad", options["amsgrad"])
        check_flag(name, "maximize", options["maximize"])

    def _update(self, param: Array, grad: Array, state: dict[str, Any], options: dict[str, Any]) -> None:
        lr, eps, weight_decay = float(options["lr"]), float(options["eps"]), float(options["weight_decay"])
        beta1, beta2 = map(float, options["betas"])
        if self._decoupled:
            if weight_decay:
                param *= 1 - lr * weight_decay
            weight_decay = 0
        grad = same_order(regularized(param, grad, weight_decay, options["maximize"]), param)
        state["step"] = int(state.get("step", 0)) + 1
        mean = buffer(state, "exp_avg", param)
        mean_square = buffer(state, "exp_avg_sq", param)
        largest = buffer(state, "max_exp_avg_sq", param) if options["amsgrad"] else None
        adam_update(param, grad, mean, mean_square, largest, state["step"], lr, beta1, beta2, eps)

    def _fused(self, options: dict[str, Any]) -> Fused:
        numbers = map(float, (options["lr"], *options["betas"], options["eps"], options["weight_decay"]))
        buffers = {"exp_avg": 0.0, "exp_avg_sq": 0.0, "max_exp_avg_sq": 0.0 if options["amsgrad"] else None}
        return Fused("adam", tuple(numbers), buffers, True, options["maximize"], variant=self._decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameter shrinks by lr · weight_decay, apart from the gradient.

    Args: those of `Adam`; weight_decay is 1e-2 by default.

    Source: Loshchilov, Hutter, "Decoupled weight decay regularization" (ICLR 2019), algorithm 2.
    """

    _decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


def adam_update(
    param: Array,
    grad: Array,
    mean: Array,
    mean_square: Array,
    largest: Array | None,
    t: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """mean ← β₁ · mean + (1 − β₁) · grad
    mean_square ← β₂ · mean_square + (1 − β₂) · grad²
    param ← param − lr · (mean / c₁) / (√(mean_square / c₂) + eps), where cᵢ = 1 − βᵢᵗ undoes the start at 0

    With amsgrad, `largest`, the maximum of all mean_square so far, takes the place of mean_square.
    """
    xp = backend.array_module(param)
    step = temporary("optim", param)
    xp.subtract(grad, mean, out=step)
    step *= 1 - beta1
    mean += step
    xp.multiply(grad, 1 - beta2, out=step)
    step *= grad
    mean_square *= beta2
    mean_square += step
    if largest is not None:
        mean_square = xp.maximum(largest, mean_square, out=largest)
    # Both sides of the fraction times √c₂: one pass over the array less.
    root2 = sqrt(1 - beta2**t)
    xp.sqrt(mean_square, out=step)
    step += eps * root2
    xp.divide(mean, step, out=step)
    step *= lr * root2 / (1 - beta1**t)
    param -= step
