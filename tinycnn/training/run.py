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
import os
import platform
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import tinycnn
from tinycnn import backend
from tinycnn._command import UserError, users_errors
from tinycnn._files import kind_of, remove, remove_folder, remove_unfinished
from tinycnn.data import DataLoader
from tinycnn.data.workers import WorkerError
from tinycnn.nn import CrossEntropyLoss, Module
from tinycnn.training import ranks
from tinycnn.training.callback import Callback, Figures
from tinycnn.training.callbacks import Progress, StopOnNan
from tinycnn.training.checkpoint import last_checkpoint, load_checkpoint
from tinycnn.training.checkpoints import Checkpoints, Interrupted, resume
from tinycnn.training.datasets import load_data, on_device
from tinycnn.training.loggers import JsonLines, PrintFigures, TensorBoard, summary_writer
from tinycnn.training.options import flags_of
from tinycnn.training.recipe import Recipe, read_recipe
from tinycnn.training.report import draw_report, require_matplotlib
from tinycnn.training.results import FORMAT, METRICS, REPORT, WEIGHTS, DataInfo, flattened
from tinycnn.training.trainer import Trainer

CHECKPOINTS, TENSORBOARD = "checkpoints", "tensorboard"
RESULTS = CHECKPOINTS, TENSORBOARD, REPORT, WEIGHTS, METRICS


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
        return {"precision": self.precision.replace("tf32", "float32"), "capture": self.capture}


class Run:
    """A run in its folder. All that lies there is of one run, whenever that is killed.

    A subclass defines `load` and `report` for data that it makes, and for a net that does not label pictures.

    Args:
        folder: made by `open`.
        recipe, computing: what is trained, and on what.
        train_set: its name, and what pictures it has, are written down.
    """

    def __init__(self, folder: Path, recipe: Recipe, computing: Computing, train_set: Any):
        self.folder, self.recipe, self.computing, self.train_set = folder, recipe, computing, train_set

    @staticmethod
    def load(recipe: Recipe, root: Path | None) -> tuple[Any, Any]:
        """Both parts of the data: see `load_data`."""
        return load_data(recipe, root)

    @property
    def name(self) -> str:
        """That of the data set."""
        return getattr(self.train_set, "name", type(self.train_set).__name__)

    def start(self, trainer: Trainer, loader: DataLoader, checkpoint: Path | None, overwrite: bool = False) -> None:
        """Resumes from a checkpoint, or tries the augmentation on an image and opens the folder. What fails here leaves
        the folder, and an earlier run in it, as they are."""
        if checkpoint is not None:
            resume(trainer, checkpoint, loader)
            if ranks.rank() == 0:
                remove_unfinished(self.folder, *RESULTS)
            return
        image, _ = self.train_set[0]
        if trainer.augment is not None:
            with tinycnn.random.fork_rng():
                trainer.augment(tinycnn.zeros(1, *image.shape, device=trainer.device))
        if ranks.rank() == 0:
            self.open(overwrite)

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
            folders = [folder / name for name in (CHECKPOINTS, TENSORBOARD)]
            for paths, wanted in ((results, "file"), (folders, "folder")):
                for path in paths:
                    if (kind := kind_of(path)) not in (wanted, "nothing"):
                        raise OSError(f"{path.name} is a {kind}")
            if not overwrite and kind_of(folder / REPORT) == "nothing":
                with contextlib.suppress(FileNotFoundError):
                    reached = last_checkpoint(folder).name
                    raise UserError(
                        f"--out {folder}: there is an unfinished run, {reached}: --resume {folder} goes on with it, "
                        "--overwrite begins anew"
                    )
            remove_unfinished(folder, *RESULTS)
            for path in folders:
                remove_folder(path)
            for path in results:
                remove(path)
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
        board = [TensorBoard(self.folder / TENSORBOARD)] if tensorboard else []
        return [JsonLines(self.folder / METRICS, header), *board, SaveWeights(self), checkpoints]

    def trainer(
        self, model: Module, loader: DataLoader, options: argparse.Namespace, *callbacks: Callback, **others: Any
    ) -> Trainer:
        """What trains `model` by the recipe, but for its augmentation, with all callbacks of a run and these.

        `others`: further options of `Trainer`.
        """
        recipe, computing = self.recipe, self.computing
        optimizer = recipe.optimizer.build(model.parameters())
        return Trainer(
            model,
            optimizer,
            CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
            scheduler=recipe.scheduler.build(optimizer, recipe.epochs, len(loader)),
            accumulate=recipe.accumulate,
            average_every=recipe.average_every,
            outer_momentum=recipe.outer_momentum,
            callbacks=[
                Progress(self.name),
                PrintFigures(self.name, recipe.epochs),
                StopOnNan(every=1 if computing.device.type == "cpu" else 50),
                *callbacks,
                *recipe.build_callbacks(),
                *self.callbacks(options.checkpoint_every, options.tensorboard),
            ],
            **computing.trainer_options(),
            **others,
        )

    def train(self, trainer: Trainer, loader: DataLoader, test_loader: DataLoader) -> None:
        """Trains, and draws the report; says what is trained and what came of it."""
        print(self._introduced(trainer, test_loader.dataset))
        trainer.fit(loader, self.recipe.epochs, test_loader)  # the callbacks print and save
        if ranks.rank():
            return
        try:
            reached = self.report(trainer, test_loader)
        except KeyboardInterrupt:
            hint = f"interrupted; --resume {self.folder} draws the report"
            raise Interrupted(hint, signal.SIGINT) from None
        early = f" ({trainer.stopping})" if trainer.stopping else ""
        print(f"{reached} after epoch {trainer.epoch}{early}; weights, metrics and report are in {self.folder}")

    def _introduced(self, trainer: Trainer, test_set: Any) -> str:
        parameters = sum(p.numel() for p in trainer.model.parameters())
        return (
            f"{self.name}: {len(self.train_set):,} training and {len(test_set):,} test images; {self.recipe.model}, "
            f"{parameters:,} parameters, {self.computing}"
        ) + (f", resumed after step {trainer.step:,}" if trainer.step else "")

    def report(self, trainer: Trainer, test_loader: DataLoader) -> str:
        """Draws report.png; the figures that were reached, in words."""
        test_set, figures = on_device(test_loader.dataset, backend.CPU), trainer.history[-1]
        accuracy = f"{self.name}: test accuracy {figures['test_accuracy']:.2%}"
        weights = [p.detach().cpu().numpy() for p in trainer.evaluated.parameters() if p.ndim == 4]
        draw_report(
            self.folder / REPORT,
            f"{accuracy} of {len(test_set):,} images ({self.trained(trainer)})",
            trainer.history,
            trainer.predict(test_loader).softmax(1).cpu().numpy(),
            test_set,
            filters=weights[0] if weights else np.zeros((0, 1, 1, 1)),
        )
        return accuracy

    def trained(self, trainer: Trainer) -> str:
        """What was trained, for the title of a report."""
        return f"{self.recipe.model}, epoch {trainer.epoch}, seed {self.recipe.seed}"

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
            try:
                self._save(trainer, elsewhere)
            except OSError:
                elsewhere.rmdir()
                raise self.failure from None
            raise OSError(f"{self.failure}; the weights are in {elsewhere / WEIGHTS}")
        if kind_of(self.run.folder / WEIGHTS) == "nothing":  # of a run that was complete and is resumed
            self._save(trainer, self.run.folder)

    def _save(self, trainer: Trainer, folder: Path) -> None:
        tinycnn.save(trainer.evaluated.state_dict(), folder / WEIGHTS, self.run.metadata(trainer.history[-1]))


# --- the command line -------------------------------------------------------------------------------------


@contextlib.contextmanager
def warnings_in_one_line(program: str) -> Iterator[None]:
    """Within the block a warning is one line, without the line of code that it comes from.

    Of a training that diverges NumPy would warn in many lines; the one error that ends it says it all.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: tqdm.write(f"{program}: {message}", file=sys.stderr)
        warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
        yield


@contextlib.contextmanager
def preparation() -> Iterator[None]:
    """Within the block, what fails is for the user to put right: a UserError, of several ranks told by rank 0 alone."""
    with users_errors(ValueError, TypeError, OSError, ImportError, RuntimeError), ranks.errors_of_rank_0_first():
        yield


Chosen = tuple[Path, Recipe, tuple[Any, Any]]  # the file of the settings, the settings, both parts of the data


def train(
    program: str, options: argparse.Namespace, choose: Callable[[argparse.Namespace], Chosen],
    build: Callable[[Any, Any, argparse.Namespace], tuple[Trainer, DataLoader, DataLoader]], kind: type[Run] = Run,
) -> None:  # fmt: skip
    """Trains as the options of a command line say.

    Args:
        program: its name, for warnings.
        choose: of a new run's options, what is to be trained.
        build: of a run, the test part and the options, what trains and the loaders of both parts.
        kind: of the run. Default `Run`.

    Raises UserError for what the user can put right; before the training it leaves the run's folder as it was.
    """
    with warnings_in_one_line(program):
        with preparation():
            run, test_set, checkpoint = begin(options, choose, kind)
            trainer, loader, test_loader = build(run, test_set, options)
            run.start(trainer, loader, checkpoint, options.overwrite)
        with users_errors(OSError, FloatingPointError, WorkerError):  # anything else is a bug
            run.train(trainer, loader, test_loader)


def begin(
    options: argparse.Namespace, choose: Callable[[argparse.Namespace], Chosen], kind: type[Run]
) -> tuple[Run, Any, Path | None]:
    """(the run, the test part, the checkpoint to resume from or None), with what `choose` makes of the options of a new
    run. Nothing is written."""
    require_matplotlib()
    if options.tensorboard:
        summary_writer()
    ranks.begin()
    computing = computing_of(options)
    if options.resume is None:
        config, recipe, (train_set, test_set) = choose(options)
        ranks.check_batch(recipe.batch_size)
        return kind(options.out or Path("runs") / config.stem, recipe, computing, train_set), test_set, None
    for flag in ("out", "overwrite"):
        if getattr(options, flag):
            raise UserError(f"--{flag}: expected none with --resume: a run keeps its folder")
    checkpoint = checkpoint_of(options.resume)
    recipe = recipe_of(checkpoint, options)
    train_set, test_set = kind.load(recipe, options.data_root)
    folder = Path(os.path.normpath(checkpoint / ".." / ".."))
    return kind(folder, recipe, computing, train_set), test_set, checkpoint


def computing_of(options: argparse.Namespace) -> Computing:
    """Where the command line says to compute. ImportError, saying what to install, if a package is missing."""
    device = backend.device(options.device)
    if options.precision == "bfloat16":
        tinycnn.empty(0, dtype="bfloat16")
    capture = device.type == "cuda" if options.capture is None else options.capture
    return Computing(device, options.precision, capture, options.workers)


def checkpoint_of(path: Path | bool) -> Path:
    """The checkpoint from which --resume goes on: at `path`, or for True the last one of the run in runs/ that wrote
    last.

    Raises UserError if there is none.
    """
    if isinstance(path, bool):
        folders = [folder for folder in Path("runs").glob(f"*/{CHECKPOINTS}") if folder.is_dir()]
        runs = [folder for folder in folders if any(folder.iterdir())]
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
    if getattr(options, "dataset", "auto") not in ("auto", saved.dataset):
        raise UserError(f"--resume: the run has dataset {saved.dataset}, got {options.dataset}; it keeps its settings")
    found, given = flattened(saved.model_dump()), flags_of(options)
    if options.config is None:
        wanted = {("optimizer.lr" if name == "lr" else name): value for name, value in given.items()}
    else:
        wanted = flattened(read_recipe(options.config, given).model_dump())
    for name in {**wanted, **(found if options.config is not None else {})}:
        if wanted.get(name) != found.get(name):
            was, now = (values.get(name, "none") for values in (found, wanted))
            raise UserError(f"--resume: the run has {name} {was}, got {now}; a run keeps its settings")
    return saved
