"""Averages of a net's weights over its training, and their learning rate; loaded when first used.

    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    for images, labels in loader:
        ...                                     # backward(), optimizer.step()
        averaged.update_parameters(model)
    update_bn(loader, averaged)
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinycnn import creation
from tinycnn.autograd import no_grad
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_choice, check_count, check_flag, check_not_negative, check_share, shortened
from tinycnn.nn.module import Module
from tinycnn.nn.norm import _BatchNorm
from tinycnn.optim.lr_scheduler.base import LRScheduler, check_function
from tinycnn.optim.optimizer import Optimizer
from tinycnn.tensor import Tensor

__all__ = [
    "AveragedModel", "SWALR", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Tensor], Tensor]  # of the average so far, the new value and the number averaged
Averages = Callable[[list[Tensor], list[Tensor], Tensor], None]  # the same for lists, in place


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """An average of which each update keeps the share `decay`."""
    check_share("get_ema_avg_fn", "decay", decay)
    return lambda averaged, current, _: decay * averaged + (1 - decay) * current


def get_swa_avg_fn() -> Average:
    """The mean of all values."""
    return lambda averaged, current, count: averaged + (current - averaged) / (count + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """As `get_ema_avg_fn`, for lists, whose averages it changes in place."""
    check_share("get_ema_multi_avg_fn", "decay", decay)
    return _in_place(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """As `get_swa_avg_fn`, for lists, whose averages it changes in place."""
    return _in_place(get_swa_avg_fn())


def _in_place(average: Average) -> Averages:
    @no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        for a, value in zip(averaged, current, strict=True):
            a.copy_(average(a, value, count))

    return update


class AveragedModel(Module):
    """A copy of a model, whose parameters are averages of those that the model has had.

    Args:
        model: a Module, which is copied.
        device: where the copy is. Default: where the model is.
        avg_fn: a function of the average so far, the parameter and the number averaged, which returns the new average.
            Default: the mean.
        multi_avg_fn: the same for lists, all of one device and one dtype, in place; in the place of `avg_fn`.
        use_buffers: whether buffers are averaged, too, and not copied. Default False.

    Attributes:
        module: the copy.
        n_averaged: how many models have been averaged, a Tensor.

    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
    """

    def __init__(
        self, model: Module, device: DeviceLike = None, avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None, use_buffers: bool = False,
    ):  # fmt: skip
        super().__init__()
        if not isinstance(model, Module):
            raise TypeError(f"AveragedModel: expected a Module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        for name, function in (("avg_fn", avg_fn), ("multi_avg_fn", multi_avg_fn)):
            if function is not None:
                check_function("AveragedModel", name, function)
        self.module = copy.deepcopy(model).to(device)
        self.register_buffer("n_averaged", creation.tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = check_flag("AveragedModel", "use_buffers", use_buffers)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Averages the model's parameters in; the first time, copies them."""
        if not isinstance(model, Module):
            raise TypeError(f"AveragedModel.update_parameters: expected a Module, got {type(model).__name__}")
        pairs = _pairs(self.module.parameters(), model.parameters())
        buffers = _pairs(self.module.buffers(), model.buffers())
        copied, averaged = ([], pairs + buffers) if self.use_buffers else (buffers, pairs)
        if not self.n_averaged:
            copied, averaged = copied + averaged, []
        groups = defaultdict(list)
        for own, given in averaged:
            groups[own.device, own.dtype].append((own.detach(), given.detach().to(own.device)))
        update = self.multi_avg_fn or _in_place(self.avg_fn or get_swa_avg_fn())
        for (device, _), group in groups.items():
            update([own for own, _ in group], [given for _, given in group], self.n_averaged.to(device))
        for own, given in copied:
            own.copy_(given)
        self.n_averaged += 1


def _pairs(own: Iterable[Tensor], given: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    pairs = list(own), list(given)
    shapes, others = ([x.shape for x in tensors] for tensors in pairs)
    if shapes != others:
        shown = f"{shortened(shapes)}, got {shortened(others)}"
        raise ValueError(f"AveragedModel: expected a model with tensors of shapes {shown}")
    return list(zip(*pairs, strict=True))


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: DeviceLike = None) -> None:
    """Computes the running statistics of all batch norms anew: their means over the batches of `loader`, or of the
    first part of each where a batch is a tuple or list. `device`: where batches are moved first."""
    if not isinstance(model, Module):
        raise TypeError(f"update_bn: expected a Module as model, got {type(model).__name__}")
    if not isinstance(loader, Iterable):
        raise TypeError(f"update_bn: expected loader as an iterable of batches, got {type(loader).__name__}")
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    training = model.training
    model.train()
    for batch in loader:
        images = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(images if device is None else images.to(device))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the current learning rate to `swa_lr` within `anneal_epochs`, where it stays.

    Args:
        optimizer, last_epoch: see `LRScheduler`.
        swa_lr: the learning rate in the end, or a list with one for each group.
        anneal_epochs: number of epochs to get there, at least 0. Default 10.
        anneal_strategy: "cos" (default) or "linear".
    """

    def __init__(
        self, optimizer: Optimizer, swa_lr: float | Sequence[float], anneal_epochs: int = 10,
        anneal_strategy: str = "cos", last_epoch: int = -1,
    ):  # fmt: skip
        self.optimizer = self._check_optimizer(optimizer)
        rates = self._per_group(check_not_negative, "swa_lr", swa_lr)
        self._anneal_strategy = check_choice(self._name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.anneal_epochs = check_count(self._name, "anneal_epochs", anneal_epochs)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """The share of `swa_lr` in the learning rate after so many steps."""
        done = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * done)) / 2 if self._anneal_strategy == "cos" else done

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, end = group["lr"], group["swa_lr"]
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
