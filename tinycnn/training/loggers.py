"""Where the figures of a training go: lines of text, JSON lines, TensorBoard.

Anything with an interface as wandb's takes three lines:

    class WandB(Callback):
        def on_epoch_end(self, trainer, figures): wandb.log(figures, step=trainer.step)
        def on_train_end(self, trainer): wandb.finish()
"""

from __future__ import annotations

import glob
import json
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinycnn._extras import how_to_install
from tinycnn._files import LONGEST, StrPath, checked_path, remove_unfinished, write_whole
from tinycnn.checks import check_positive
from tinycnn.training.callback import Batch, Callback, Figures
from tinycnn.training.trainer import Trainer


class PrintFigures(Callback):
    """Prints a line after each epoch: "title epoch 1/epochs: ..."."""

    order = 1

    def __init__(self, title: str = "", epochs: int | None = None):
        self.title, self.of = title, "" if epochs is None else f"/{epochs}"

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        parts = [f"{part} {words}" for part in ("train", "test") if (words := _words(figures, f"{part}_"))]
        speed = "lr {lr:.2g}; {seconds:.1f} s, {images_per_second:,.0f} images/s".format_map(figures)
        print(f"{self.title} epoch {figures['epoch']}{self.of}: {'; '.join([*parts, speed])}".strip(), flush=True)


def _words(figures: Figures, prefix: str) -> str:
    """The figures whose name begins with `prefix`: accuracies in percent."""
    found = {name.removeprefix(prefix): value for name, value in figures.items() if name.startswith(prefix)}
    return ", ".join(f"{name} {value:{'.2%' if name == 'accuracy' else '.4f'}}" for name, value in found.items())


class JsonLines(Callback):
    """Writes a file of JSON lines: `header` first, then the figures of each epoch, those before a resume too.

    inf and nan become null. After each epoch the file is written anew, whole or not at all. A file that cannot be
    written gives a warning, and the training goes on.
    """

    order = 1

    def __init__(self, path: StrPath, header: dict[str, Any] | None = None):
        self.path, self.header = checked_path("JsonLines", "path", path), header

    def on_train_begin(self, trainer: Trainer) -> None:
        folder, name = os.path.split(os.path.realpath(self.path))
        remove_unfinished(folder, glob.escape(name[:LONGEST]))
        self._write(trainer)

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        try:
            self._write(trainer)
        except OSError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)

    def _write(self, trainer: Trainer) -> None:
        lines = [*([] if self.header is None else [self.header]), *trainer.history]
        write_whole(self.path, "".join(f"{json.dumps(_finite(line), allow_nan=False)}\n" for line in lines).encode())


def _finite(value: Any) -> Any:
    """`value` with null for inf and nan, which JSON lacks."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class TensorBoard(Callback):
    """Writes the figures as TensorBoard's event files, and every `every` steps the loss and the learning rate.

    `tensorboard --logdir folder` shows them. A resumed training continues its curves: what was written after the
    checkpoint is hidden. Needs tensorboardX, the extra `tensorboard`; ImportError without it.
    """

    order = 1

    def __init__(self, folder: StrPath, every: int = 50):
        self.folder = Path(checked_path("TensorBoard", "folder", folder))
        self.every = check_positive("TensorBoard", "every", every)
        self.open = summary_writer()
        self.writer: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        # The names of event files count seconds: without the step, one resumed at once would overwrite the former one.
        suffix, purged = f".{trainer.step:012}", trainer.step + 1 if trainer.step else None
        self.writer = self.open(str(self.folder), purge_step=purged, filename_suffix=suffix)

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        if trainer.step % self.every == 0:
            self.writer.add_scalar("step/loss", batch.loss.item(), trainer.step)
            self.writer.add_scalar("step/lr", trainer.lr, trainer.step)

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        for name, value in _flat(figures):
            self.writer.add_scalar(name, value, trainer.step)
        self.writer.flush()

    def on_exit(self, trainer: Trainer) -> None:
        if self.writer is not None:
            self.writer.close()


def summary_writer() -> Any:
    """tensorboardX's SummaryWriter. ImportError, saying what to install, where it is missing."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        hint = how_to_install("tensorboard")
        raise ImportError(f"TensorBoard: needs tensorboardX, which is not installed: {hint}") from None
    return SummaryWriter


def _flat(figures: Figures) -> Iterator[tuple[str, float]]:
    """Names and numbers, with those of nested dicts as "gradient_norms/layer"."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{inner}", number) for inner, number in value.items())
        elif name != "epoch":
            yield name, value
