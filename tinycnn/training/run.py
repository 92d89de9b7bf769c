"""A run: a training by a recipe, and the folder that keeps its results.

    metrics.jsonl           settings, device and versions, then the figures of each epoch
    weights.safetensors     of the last completed epoch; the metadata hold the recipe, and what the data were like
    checkpoints/            from which the run is resumed
    report.png              there if the run was complete
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinycnn
from tinycnn import backend
from tinycnn._command import UserError
from tinycnn._files import kind_of, remove, remove_folder
from tinycnn.training.checkpoint import last_checkpoint, load_checkpoint
from tinycnn.training.checkpoints import Checkpoints
from tinycnn.training.loggers import JsonLines, TensorBoard
from tinycnn.training.recipe import Recipe, read_recipe
from tinycnn.training.results import FORMAT, METRICS, WEIGHTS, DataInfo
from tinycnn.training.trainer import Callback, Figures, Trainer

CHECKPOINTS, REPORT = "checkpoints", "report.png"
FLAGS = "epochs", "batch_size", "lr", "seed"  # of the command line, that take the place of settings


@dataclass(frozen=True)
class Computing:
    """Device, precision, capture, workers of the loader: they affect speed only, not what is trained."""

    device: backend.Device
    precision: str = "float32"  # or "tf32", "bfloat16", "float16"
    capture: bool = False
    num_workers: int = 0

    def __str__(self) -> str:
        return f"on {self.device} in {self.precision}" + (", steps captured" if self.capture else "")

    def trainer_options(self) -> dict[str, Any]:
        """Those of `Trainer`; "tf32" is set for the process."""
        tinycnn.set_float32_matmul_precision("high" if self.precision == "tf32" else "highest")
        if self.precision == "bfloat16":
            tinycnn.empty(0, dtype="bfloat16")  # says what to install
        return {"precision": self.precision.replace("tf32", "float32"), "capture": self.capture}


class Run:
    """A run in its folder. All that lies there is of one run, whenever that is killed.

    Args:
        folder: made by `open`.
        recipe, computing: what is trained, and on what.
        train_set: its name, and what pictures it has, are written down.
    """

    def __init__(self, folder: Path, recipe: Recipe, computing: Computing, train_set: Any):
        self.folder, self.recipe, self.computing, self.train_set = folder, recipe, computing, train_set

    @property
    def name(self) -> str:
        """That of the data set."""
        return getattr(self.train_set, "name", type(self.train_set).__name__)

    def open(self, overwrite: bool = False) -> None:
        """Makes the folder and removes a finished run's results, so that what cannot be written is refused at once.

        Raises UserError for a folder that cannot be written, or that has an unfinished run, unless `overwrite`.
        """
        folder = self.folder
        results = [folder / name for name in (REPORT, WEIGHTS, METRICS)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # before an earlier run's results are lost
                pass
            for path in results:
                if (kind := kind_of(path)) not in ("file", "nothing"):
                    raise OSError(f"{path.name} is a {kind}")
            if not overwrite and kind_of(folder / REPORT) == "nothing":
                with contextlib.suppress(FileNotFoundError):
                    reached = last_checkpoint(folder).name
                    raise UserError(
                        f"--out {folder}: there is an unfinished run, {reached}: --resume {folder} goes on with it, "
                        "--overwrite begins anew"
                    )
            remove_folder(folder / CHECKPOINTS)
            for path in results:
                for unfinished in folder.glob(f"{path.name}.{'?' * 12}.part"):  # of a run that was killed
                    remove(unfinished)
                remove(path)
            for unfinished in folder.glob(f"{CHECKPOINTS}.{'?' * 12}.part"):
                remove_folder(unfinished)
        except OSError as error:
            raise UserError(f"--out {folder}: cannot write there: {error.strerror or error}") from None

    def callbacks(self, every: int | None = None, tensorboard: bool = False) -> list[Callback]:
        """Those that write the results. `every`: steps between two checkpoints; default: one after each epoch."""
        versions = {
            "python": platform.python_version(),
            "tinycnn": tinycnn.__version__,
            "numpy": np.__version__,
            "cupy": backend.cupy().__version__ if self.computing.device.type == "cuda" else None,
        }
        settings = self.recipe.model_dump(mode="json")
        computing = {**asdict(self.computing), "device": str(self.computing.device)}
        header = {"format": FORMAT, "dataset": self.name, "settings": settings, **computing, "versions": versions}
        hint = f"--resume {self.folder} goes on with it"
        folder = self.folder / CHECKPOINTS
        checkpoints = Checkpoints(folder, every, monitor="test_accuracy", settings=settings, hint=hint)
        board = [TensorBoard(self.folder / "tensorboard")] if tensorboard else []
        return [JsonLines(self.folder / METRICS, header), *board, SaveWeights(self), checkpoints]

    def metadata(self, figures: Figures) -> dict[str, str]:
        """Of the weights after an epoch with these figures."""
        return {
            "format": str(FORMAT),
            "tinycnn": tinycnn.__version__,
            "dataset": self.name,
            "epoch": str(figures["epoch"]),
            "accuracy": str(figures["test_accuracy"]),
            "seed": str(self.recipe.seed),
            "recipe": self.recipe.model_dump_json(),
            "data": DataInfo.of(self.train_set).to_json(),
        }


class SaveWeights(Callback):
    """Writes a run's weights after each epoch.

    Where they cannot be written, the training goes on. Those of the last epoch then go to a folder for temporary files,
    and OSError says where they are.
    """

    order = 1

    def __init__(self, run: Run):
        self.run = run
        self.failure: OSError | None = None

    def on_epoch_end(self, trainer: Trainer, figures: Figures) -> None:
        try:
            self._save(trainer, self.run.folder)
            self.failure = None
        except OSError as error:
            self.failure = error

    def on_train_end(self, trainer: Trainer) -> None:
        if self.failure is not None:
            elsewhere = Path(tempfile.mkdtemp(prefix="tinycnn-"))
            self._save(trainer, elsewhere)
            raise OSError(f"{self.failure}; the weights are in {elsewhere / WEIGHTS}")

    def _save(self, trainer: Trainer, folder: Path) -> None:
        tinycnn.save(trainer.evaluated.state_dict(), folder / WEIGHTS, self.run.metadata(trainer.history[-1]))


# --- the command line -------------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that programs which train have in common."""
    add = parser.add_argument
    add("--device", default="cpu", help="cpu (default), gpu, cuda:N, or auto: a GPU if there is one")
    add("--precision", choices=("float32", "tf32", "bfloat16", "float16"), default="float32",
        help="tf32: of matrix products; bfloat16 and float16: mixed precision, float16 with a scaled loss")  # fmt: skip
    add("--capture", action=argparse.BooleanOptionalAction, help="record a training step on the GPU once and replay "
        "it; default on a GPU")  # fmt: skip
    add("--workers", type=int, default=0, metavar="N", help="processes that load batches ahead; default 0")
    for flag in FLAGS:
        kind, text = (float, "the (highest) learning rate") if flag == "lr" else (int, f"the {flag.replace('_', ' ')}")
        add(f"--{flag.replace('_', '-')}", type=kind, metavar="X" if kind is float else "N", help=f"{text}, instead of "
            "the settings'")  # fmt: skip
    add("--data-root", type=Path, metavar="DIR", help="the folder of the data; default: $TINYCNN_DATA, or data")
    add("--out", type=Path, metavar="DIR", help="for the results, in place of a finished run's; default: runs/NAME-OF-"
        "THE-SETTINGS")  # fmt: skip
    add("--overwrite", action="store_true", help="also in place of a run that was not finished")
    add("--resume", nargs="?", type=Path, const=Path(), metavar="RUN", help="go on with an interrupted run, or from "
        "one of its checkpoints; default: the last one in runs/")  # fmt: skip
    add("--checkpoint-every", type=int, metavar="N", help="steps between two checkpoints; default: one an epoch")
    add("--tensorboard", action="store_true", help="write event files for TensorBoard, too")


def flags_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line gives."""
    return {name: value for name in FLAGS if (value := getattr(options, name)) is not None}


def computing_of(options: argparse.Namespace) -> Computing:
    """Where the command line says to compute."""
    device = backend.device(options.device)
    capture = device.type == "cuda" if options.capture is None else options.capture
    return Computing(device, options.precision, capture, options.workers)


def checkpoint_of(path: Path) -> Path:
    """The checkpoint from which --resume goes on: at `path`, or the last one of the run in runs/ that wrote last.

    Raises UserError if there is none.
    """
    if path == Path():
        runs = [folder for folder in Path("runs").glob(f"*/{CHECKPOINTS}") if any(folder.iterdir())]
        if not runs:
            raise UserError("--resume: there is no run with checkpoints in runs")
        path = max(runs, key=lambda folder: folder.stat().st_mtime)
    try:
        return last_checkpoint(path)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"--resume: {error}") from None


def recipe_of(checkpoint: Path, options: argparse.Namespace) -> Recipe:
    """The recipe of a run that is resumed. UserError for options that differ from it."""
    settings = load_checkpoint(checkpoint).get("settings")
    try:
        saved = Recipe.model_validate_json(json.dumps(settings))
    except ValueError:
        raise UserError(f"{checkpoint}: its settings are not those of a run of this version") from None
    given = flags_of(options)
    if options.config is not None:
        wanted = read_recipe(options.config, given).model_dump()
        given = {name: value for name, value in wanted.items() if value != getattr(saved, name)}
    for name, value in given.items():
        if value != (found := saved.optimizer.lr if name == "lr" else getattr(saved, name)):
            raise UserError(f"--resume: the run has {name} {found}, got {value}; a run keeps its settings")
    return saved
