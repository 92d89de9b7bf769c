"""When checkpoints are written, which are kept, and how a training is resumed from one."""

from __future__ import annotations

import math
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from tinycnn._files import StrPath, checked_path, remove, remove_folder, remove_unfinished, write_whole
from tinycnn.checks import check_choice, check_positive
from tinycnn.training.callback import Batch, Callback, Figures
from tinycnn.training.callbacks import figure
from tinycnn.training.checkpoint import all_checkpoints, last_checkpoint, load_checkpoint, save_checkpoint
from tinycnn.training.state import CheckpointError
from tinycnn.training.trainer import Trainer


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the message says where the training can be resumed. `status` is the exit status to give."""

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.status = 128 + signum


class Checkpoints(Callback):
    """Writes the state of a training to `folder`/step_N; `folder`/latest names the last one, `folder`/best the best.

    Ctrl-C and SIGTERM write a checkpoint after the step that is under way, and then raise `Interrupted`; a second one
    does not wait. A checkpoint that cannot be written gives a warning, and the training goes on.

    Args:
        folder: made if it is not there. Checkpoints of later steps than the one that the training goes on from are
            removed.
        every: how many steps lie between two checkpoints. Default None: one after each epoch. There is one after the
            last epoch in any case.
        keep: how many of the last checkpoints stay, beside the best. Default 3.
        monitor: the name of the figure by which an epoch's checkpoint is the best. Default None: none is.
        mode: whether that figure improves as it grows, "max" (default), or as it falls, "min".
        settings: what JSON can hold, stored with the state under "settings". Default None.
        hint: how to go on, for the message of `Interrupted`. Default: by `resume`.

    Raises ValueError and TypeError for other options.
    """

    order = 2

    def __init__(
        self, folder: StrPath, every: int | None = None, keep: int = 3, monitor: str | None = None, mode: str = "max",
        settings: dict[str, Any] | None = None, hint: str = "resume(trainer, folder) goes on with it",
    ):  # fmt: skip
        self.folder = Path(checked_path("Checkpoints", "folder", folder))
        self.every = None if every is None else check_positive("Checkpoints", "every", every)
        self.keep = check_positive("Checkpoints", "keep", keep)
        self.monitor, self.settings, self.hint = monitor, settings, hint
        self.sign = {"min": 1, "max": -1}[check_choice("Checkpoints", "mode", mode, ("min", "max"))]
        self.best, self.best_step = math.inf, -1
        self._signals: list[int] = []  # that have come
        self._former: dict[int, Any] = {}  # handlers

    # --- writing --------------------------------------------------------------------------------------------

    def on_train_begin(self, trainer: Trainer) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        found = all_checkpoints(self.folder)
        if found and not trainer.step:
            raise FileExistsError(
                f"{self.folder}: there are checkpoints of another training, {found[-1][1].name}: "
                "resume(trainer, folder) goes on with it, or remove them"
            )
        remove_unfinished(self.folder, "step_*", "latest", "best")
        for step, path in found:
            if step > trainer.step:  # of a future that is not continued
                remove_folder(path)
        if (self.folder / f"step_{self.best_step}").exists():
            self._name("best", self.best_step)
        else:
            remove(self.folder / "best")
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(signum) not in (signal.SIG_IGN, None):  # None: a handler that is not Python's
                    self._former[signum] = signal.signal(signum, self._note)

    def _note(self, signum: int, _: Any) -> None:
        if self._signals:
            self._release()
            raise Interrupted("interrupted twice: nothing more was saved", signum)
        self._signals.append(signum)

    def _release(self) -> list[int]:
        """Gives the signals back to those who had them, and returns those that have come."""
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
        self._former.clear()
        came, self._signals = self._signals, []
        return came

    def on_batch_end(self, trainer: Trainer, batch: Batch) -> None:
        if self._signals or (self.every is not None and trainer.step % self.every == 0):
            self.save(trainer)

    def on_test_batch_end(self, trainer: Trainer) -> None:
        if self._signals:
            self.save(trainer)

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        if self.monitor is None:
            self.save(trainer)
            return
        value, before = self.sign * figure("Checkpoints", self.monitor, figures), (self.best, self.best_step)
        if is_best := value < self.best:
            self.best, self.best_step = value, trainer.step
        if not self.save(trainer, is_best):
            self.best, self.best_step = before

    def on_exit(self, trainer: Trainer) -> None:
        for signum in self._release():  # that came after the last step; an exception that is under way says more
            if sys.exc_info()[0] is None:
                signal.raise_signal(signum)

    def save(self, trainer: Trainer, is_best: bool = False) -> bool:
        """Writes a checkpoint, and returns whether it could; `Interrupted` after it, if a signal has come."""
        is_written = False
        path = self.folder / f"step_{trainer.step}"
        try:
            save_checkpoint(path, {**trainer.state_dict(), "settings": self.settings})
            self._name("latest", trainer.step)
            if is_best:
                self._name("best", trainer.step)
            steps = [step for step, _ in all_checkpoints(self.folder)]
            for step in {*steps[: -self.keep]} - {self.best_step}:
                remove_folder(self.folder / f"step_{step}")
            outcome, is_written = f"{path} holds step {trainer.step}: {self.hint}", True
        except OSError as error:
            outcome = f"no checkpoint of step {trainer.step}: {error}"
            if not self._signals:
                warnings.warn(outcome, RuntimeWarning, stacklevel=2)
        if self._signals:
            raise Interrupted(f"interrupted; {outcome}", self._release()[0])
        return is_written

    def _name(self, file: str, step: int) -> None:
        write_whole(self.folder / file, f"step_{step}\n".encode())

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_step = state["best"], state["best_step"]


def resume(trainer: Trainer, path: StrPath, loader: Any = None) -> Path:
    """Restores the state of the checkpoint at `path`, or the last one of a run there, and returns its path.

    Args:
        loader: that of the training, to be set to its place now and not in `fit`. Default None.

    Raises FileNotFoundError if there is none, CheckpointError for one that is damaged or of another training; nothing
    is then changed.
    """
    checkpoint = last_checkpoint(path)
    state = load_checkpoint(checkpoint)
    try:
        trainer.load_state_dict(state)
        if loader is not None:
            trainer.place(loader)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise CheckpointError(f"{checkpoint}: not a state of this training: {reason}") from None
    return checkpoint
