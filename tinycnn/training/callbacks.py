"""What a training may need beside the loop. Each callback is given to a `Trainer`, and none knows another."""

from __future__ import annotations

import math
import sys
from typing import Any

import tinycnn
from tinycnn import Tensor
from tinycnn._extras import how_to_install
from tinycnn.checks import check_choice, check_count, check_not_negative, check_positive, check_share
from tinycnn.nn import Module
from tinycnn.nn.utils import clip_grad_norm_
from tinycnn.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tinycnn.training import ranks
from tinycnn.training.callback import Batch, Callback, Figures
from tinycnn.training.trainer import Trainer


def figure(owner: str, name: str, figures: Figures) -> float:
    """The figure of that name. ValueError, naming the callback and the figures there are."""
    if name not in figures:
        raise ValueError(f"{owner}: expected monitor as one of {', '.join(figures)}, got {name!r}")
    return figures[name]


class ClipGradients(Callback):
    """Scales the gradients of each step so that their norm is at most `max_norm`: see `clip_grad_norm_`."""

    def __init__(self, max_norm: float, norm_type: float = 2.0):
        self.max_norm, self.norm_type = check_not_negative("ClipGradients", "max_norm", max_norm), norm_type

    def on_backward_end(self, trainer: Trainer) -> None:
        clip_grad_norm_(trainer.model.parameters(), self.max_norm, self.norm_type)


class EMA(Callback):
    """Evaluates, and saves, an exponential moving average of the weights: each step keeps the share `decay` of it.

    Source: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, decay: float = 0.999):
        self.decay = check_share("EMA", "decay", decay)
        self.averaged: Any = None  # an AveragedModel from the first epoch on
        self._state: dict[str, Any] = {}  # that was loaded before there was an average

    def on_train_begin(self, trainer: Trainer) -> None:
        if self.averaged is None:
            self.averaged = AveragedModel(trainer.model, multi_avg_fn=get_ema_multi_avg_fn(self.decay))
            self.load_state_dict(self._state)
        trainer.evaluated = self.averaged.module

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        self.averaged.update_parameters(trainer.model)

    def state_dict(self) -> dict[str, Any]:
        return self._state if self.averaged is None else self.averaged.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._state = state
        if self.averaged is not None and state:
            self.averaged.load_state_dict(state)


class EarlyStopping(Callback):
    """Ends the training when a figure has not improved for more than `patience` epochs.

    Args:
        monitor: the name of a figure. Default "test_loss".
        patience: epochs without an improvement that do not end it, at least 0. Default 5.
        min_delta: what counts as an improvement must be better by more than this. Default 0.
        mode: whether the figure improves as it falls, "min" (default), or as it grows, "max".
    """

    def __init__(self, monitor: str = "test_loss", patience: int = 5, min_delta: float = 0.0, mode: str = "min"):
        self.monitor, self.patience = monitor, check_count("EarlyStopping", "patience", patience)
        self.min_delta = check_not_negative("EarlyStopping", "min_delta", min_delta)
        self.sign = {"min": 1, "max": -1}[check_choice("EarlyStopping", "mode", mode, ("min", "max"))]
        self.best, self.waited = math.inf, 0

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        value = self.sign * figure("EarlyStopping", self.monitor, figures)
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            trainer.stopping = f"{self.monitor} has not improved for {self.waited} epochs"

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


class GradientNorms(Callback):
    """Adds "gradient_norms" to the figures: of each layer with weights the mean norm of its gradient, read every so
    many steps. Clipped gradients are measured after clipping; steps with inf or nan are left out."""

    def __init__(self, every: int = 50):
        self.every = check_positive("GradientNorms", "every", every)
        self.norms: dict[str, list[float]] = {}

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        if trainer.step % self.every:
            return
        norms = {}
        for name, layer in trainer.model.named_modules():
            if grads := [p.grad for p in layer.parameters(recurse=False) if p.grad is not None]:
                norms[name] = math.sqrt(sum(grad.to("float32").square().sum().item() for grad in grads))
        if all(map(math.isfinite, norms.values())):
            for name, norm in norms.items():
                self.norms.setdefault(name, []).append(norm)

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        if self.norms:
            figures["gradient_norms"] = {name: sum(norms) / len(norms) for name, norms in self.norms.items()}
        self.norms = {}

    def state_dict(self) -> dict[str, Any]:
        return {"norms": self.norms}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.norms = {name: list(norms) for name, norms in state["norms"].items()}


class StopOnNan(Callback):
    """Ends the training with FloatingPointError, naming the layer, when the loss is inf or nan.

    The weights are then those before that step. `every`: how often the loss is looked at, in steps; on a GPU the host
    waits for it. Default 1.
    """

    def __init__(self, every: int = 1):
        self.every = check_positive("StopOnNan", "every", every)

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        if trainer.step % self.every:
            return
        loss = ranks.finite_everywhere(trainer.parallel, batch.loss).item()
        if not math.isfinite(loss):
            with trainer.autocast():
                where = first_nonfinite(trainer.model, batch.images) or "the scores are finite, the loss of them is not"
            raise FloatingPointError(f"the loss is {loss} in step {trainer.step}: {where}; try a smaller learning rate")


@tinycnn.no_grad()
def first_nonfinite(model: Module, images: Tensor) -> str | None:
    """The first layer that gives inf or nan for these images, as "features.0 (Conv2d) gives inf or nan"; or None.

    Running statistics are left as they are.
    """
    found: list[str] = []

    def look(name: str, layer: Module) -> Any:
        def hook(layer: Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not found and not output.isfinite().all():
                bad = [n for n, p in layer.named_parameters(recurse=False) if not p.isfinite().all()]
                whose = f", as its {' and '.join(bad)} {'have' if len(bad) > 1 else 'has'}" if bad else ""
                found.append(f"{name or 'the model'} ({type(layer).__name__}) gives inf or nan{whose}")

        return layer.register_forward_hook(hook)

    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    handles = [look(name, layer) for name, layer in model.named_modules()]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
        for buffer, before in buffers:
            buffer.copy_(before)
    return found[0] if found else None


class Progress(Callback):
    """A progress bar where the output is a terminal, by tqdm.

    Args:
        title: stands before "epoch 1". Default "".
        every: after how many batches loss and accuracy are read, for which the host waits for a GPU. Default 20.
    """

    order = 1

    def __init__(self, title: str = "", every: int = 20):
        try:
            from tqdm import tqdm
        except ImportError:
            raise ImportError(f"Progress: needs tqdm, which is not installed: {how_to_install('training')}") from None
        self.tqdm, self.title, self.every = tqdm, title, check_positive("Progress", "every", every)
        self.bar: Any = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        title = f"{self.title} epoch {trainer.epoch + 1}".strip()
        loader: Any = trainer.loader
        total = len(loader) if hasattr(loader, "__len__") else None
        # disable=None: no bar in a file or a pipe.
        self.bar = self.tqdm(
            desc=title, total=total, initial=trainer.totals.batches, disable=None, leave=False, file=sys.stdout
        )

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        if not self.bar.disable and (trainer.totals.batches - 1) % self.every == 0:
            now = trainer.totals.means("")
            self.bar.set_postfix_str(", ".join(f"{name} {value:.4f}" for name, value in now.items()), refresh=False)
        self.bar.update()

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        self.bar.close()

    def on_exit(self, trainer: Trainer) -> None:
        if self.bar is not None:
            self.bar.close()
