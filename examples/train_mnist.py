"""Trains LeNet-5 on MNIST: python examples/train_mnist.py --help

The settings come from a TOML file in configs/; weights, figures and a picture go to runs/.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import platform
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from report import draw_report, require_matplotlib

import tinycnn
from tinycnn import Tensor, backend, tensor
from tinycnn._command import Parser
from tinycnn._extras import how_to_install
from tinycnn._files import kind_of, remove, write_whole
from tinycnn.amp import GradScaler
from tinycnn.data import MNIST, Compose, DataLoader, Digits, DownloadError, FashionMNIST, RandomShift
from tinycnn.data.arrays import ArrayDataset
from tinycnn.data.pictures import PictureDataset
from tinycnn.models import LeNet5
from tinycnn.nn import Module
from tinycnn.nn.functional import cross_entropy
from tinycnn.optim.optimizer import Optimizer

try:
    from recipe import Recipe, read_recipe
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f"train_mnist.py: error: needs {error.name}, which is not installed: {how_to_install('examples')}")

Images = ArrayDataset | PictureDataset


@dataclass(frozen=True)
class Computing:
    """Device, precision, capture: they affect speed only, not what is trained."""

    device: backend.Device
    precision: str = "float32"
    capture: bool = False

    def __str__(self) -> str:
        return f"on {self.device} in {self.precision}" + (", steps captured" if self.capture else "")


def training_step(
    model: Module, optimizer: Optimizer, label_smoothing: float, augment: Compose, computing: Computing
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """A function of images and targets that makes one step and returns the loss and the scores."""
    mixed = computing.precision in ("bfloat16", "float16")
    scaler = GradScaler(computing.device, enabled=computing.precision == "float16")

    def step(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        images = augment(images)
        with tinycnn.autocast(computing.device.type, computing.precision if mixed else None, enabled=mixed):
            scores = model(images)
            loss = cross_entropy(scores, targets, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss, scores

    return tinycnn.cuda.capture(step) if computing.capture else step


def train(
    model: Module, train_set: Images, test_set: Images, recipe: Recipe, computing: Computing
) -> Iterator[dict[str, Any]]:
    """Trains `model`, and gives each epoch's figures when it is over."""
    device = computing.device
    train_set, test_set = train_set.to(device), test_set.to(device)
    loader = DataLoader(train_set, recipe.batch_size, shuffle=True)
    optimizer = recipe.optimizer.build(model.parameters())
    scheduler = recipe.scheduler.build(optimizer, recipe.epochs, len(loader))
    shifts = [RandomShift(recipe.random_shift, fill=train_set.background)] if recipe.random_shift else []
    step = training_step(model, optimizer, recipe.label_smoothing, Compose(shifts), computing)

    for epoch in range(1, recipe.epochs + 1):
        model.train()
        progress = Progress(loader, f"{train_set.name} epoch {epoch}/{recipe.epochs}")
        for images, targets in progress:
            loss, scores = step(images, targets)
            lr = scheduler.get_last_lr()[0]
            scheduler.step()
            progress.add(loss, scores, targets)

        figures = progress.figures()
        test_loss, test_accuracy = evaluate(model, test_set, device)
        yield {"epoch": epoch, **figures, "test_loss": test_loss, "test_accuracy": test_accuracy, "lr": lr}


@tinycnn.no_grad()
def predict(model: Module, dataset: Images, device: backend.Device) -> Tensor:
    """The scores (N, classes) of all images, in their order."""
    model.eval()
    return tinycnn.cat([model(images.to(device)) for images, _ in DataLoader(dataset, batch_size=500)])


def evaluate(model: Module, dataset: Images, device: backend.Device) -> tuple[float, float]:
    """(mean loss, share of images recognised) on all of `dataset`."""
    scores = predict(model, dataset, device)
    targets = tensor(dataset.targets, device=device)
    correct = (scores.argmax(1) == targets).sum()
    return cross_entropy(scores, targets).item(), correct.item() / len(dataset)


class Progress:
    """Iterates over a loader, with a progress bar where there is a terminal, and sums up the figures."""

    # On a GPU, reading a number waits for all that is under way, so the bar does it once in so many batches.
    batches_between_readings = 20

    def __init__(self, loader: DataLoader, title: str):
        self.loader, self.title = loader, title
        self.loss: Any = 0  # sums; Tensors on the model's device after the first batch
        self.correct: Any = 0
        self.images = 0
        self.start = time.perf_counter()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        style = {"unit": " images", "leave": False, "file": sys.stdout}
        # disable=None: no bar in a file or a pipe.
        with tqdm(desc=self.title, total=len(self.loader.dataset), disable=None, **style) as bar:
            for i, (images, targets) in enumerate(self.loader):
                yield images, targets
                if not bar.disable and i % self.batches_between_readings == 0:
                    now = self.figures()
                    bar.set_postfix_str(
                        f"loss {now['train_loss']:.4f}, accuracy {now['train_accuracy']:.2%}", refresh=False
                    )
                bar.update(len(targets))

    def add(self, loss: Tensor, scores: Tensor, targets: Tensor) -> None:
        self.loss += loss.detach() * len(targets)
        self.correct += (scores.argmax(1) == targets).sum()
        self.images += len(targets)

    def figures(self) -> dict[str, float]:
        loss, correct = float(self.loss), int(self.correct)
        seconds = time.perf_counter() - self.start
        return {
            "train_loss": loss / self.images,
            "train_accuracy": correct / self.images,
            "seconds": seconds,
            "images_per_second": self.images / seconds,
        }


# --- what to train on -------------------------------------------------------------------------------------

CONFIG_OF = {
    "auto": Path("configs/lenet_mnist.toml"),
    "mnist": Path("configs/lenet_mnist.toml"),
    "fashion_mnist": Path("configs/lenet_fashion_mnist.toml"),
    "digits": Path("configs/lenet_digits.toml"),
}


def load_data(name: str, root: Path | None) -> tuple[Images, Images]:
    """(training part, test part); MNIST's files are downloaded if they are missing."""
    if name == "digits":
        return Digits(train=True), Digits(train=False)
    kind = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[name]
    return kind(root, train=True, download=True), kind(root, train=False, download=True)


def choose(options: argparse.Namespace) -> tuple[Path, Recipe, tuple[Images, Images]]:
    """The settings' file, the settings, the data; the embedded digits where MNIST is not to be had."""
    flags = {key: getattr(options, key) for key in ("epochs", "batch_size", "lr", "seed")}
    flags = {key: value for key, value in flags.items() if value is not None}
    config = options.config or CONFIG_OF[options.dataset]
    asked = {} if options.dataset == "auto" else {"dataset": options.dataset}
    recipe = read_recipe(config, flags | asked)
    try:
        return config, recipe, load_data(recipe.dataset, options.data_root)
    except (DownloadError, ImportError) as error:
        if asked or recipe.dataset == "digits":
            raise
        config = CONFIG_OF["digits"]
        print(error)
        print(f"Training on the embedded digits instead, with {config}: the figures below are theirs.")
        return config, read_recipe(config, flags), load_data("digits", None)


# --- what a run leaves behind -----------------------------------------------------------------------------


@contextlib.contextmanager
def interrupted_later() -> Iterator[None]:
    """Ctrl-C within the block takes effect at its end."""
    pressed = []
    former = signal.getsignal(signal.SIGINT)
    if not callable(former):  # it is ignored, or nothing of Python's
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@dataclass
class Run:
    """One training: where it computes, on what, and the folder that keeps its results.

    All that lies in the folder is of one run, whenever that is killed: an earlier run's results are removed before
    anything of this one is written, and every file is whole. After each epoch metrics.jsonl comes first and
    weights.safetensors second, so the epoch in the metadata of the weights has its line in the metrics. report.png
    comes last: it is there if the run was complete.
    """

    recipe: Recipe
    computing: Computing
    train_set: Images
    test_set: Images
    folder: Path
    saved_epoch: int = 0
    metrics: list[str] = field(default_factory=list)  # the lines of metrics.jsonl

    def open_folder(self) -> None:
        """Makes the folder, removes an earlier run's results and begins metrics.jsonl, so that what cannot be written
        is refused at once."""
        versions = {
            "python": platform.python_version(),
            "tinycnn": tinycnn.__version__,
            "numpy": np.__version__,
            "cupy": backend.cupy().__version__ if self.computing.device.type == "cuda" else None,
        }
        computing = {**asdict(self.computing), "device": str(self.computing.device)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):  # before an earlier run's results are lost
                pass
            results = [self.folder / name for name in ("report.png", "weights.safetensors", "metrics.jsonl")]
            for path in results:
                if (kind := kind_of(path)) not in ("file", "nothing"):
                    raise OSError(f"{path.name} is a {kind}")
            for path in results:
                for unfinished in self.folder.glob(f"{path.name}.{'?' * 12}.part"):  # of a run that was killed
                    remove(unfinished)
                remove(path)
            self.record(settings=self.recipe.model_dump(), **computing, versions=versions)
        except OSError as error:
            raise OSError(f"--out {self.folder}: cannot write there: {error.strerror or error}") from None

    def record(self, **entries: Any) -> None:
        """Adds a line to metrics.jsonl."""
        self.metrics.append(json.dumps({"dataset": self.train_set.name, **entries}))
        write_whole(self.folder / "metrics.jsonl", "".join(f"{line}\n" for line in self.metrics).encode())

    def train(self) -> None:
        recipe, name = self.recipe, self.train_set.name
        tinycnn.manual_seed(recipe.seed)
        image, _ = self.train_set[0]
        model = LeNet5(image_size=image.shape[-1]).to(self.computing.device)
        print(
            f"{name}: {len(self.train_set):,} training and {len(self.test_set):,} test images; "
            f"{recipe.model}, {sum(p.numel() for p in model.parameters()):,} parameters, {self.computing}"
        )
        history = []
        for figures in train(model, self.train_set, self.test_set, recipe, self.computing):
            if not math.isfinite(figures["train_loss"]):
                raise FloatingPointError(
                    f"the loss is {figures['train_loss']} in epoch {figures['epoch']}: try a smaller --lr"
                )
            history.append(figures)
            self.save(model, figures)
            print(
                f"{name} epoch {figures['epoch']}/{recipe.epochs}: "
                "train loss {train_loss:.4f}, accuracy {train_accuracy:.2%}; "
                "test loss {test_loss:.4f}, accuracy {test_accuracy:.2%}; "
                "lr {lr:.2g}; {seconds:.1f} s, {images_per_second:,.0f} images/s".format_map(figures),
                flush=True,
            )
        self.report(model, history)

    def save(self, model: Module, figures: dict[str, Any]) -> None:
        metadata = {
            "dataset": self.train_set.name,
            "epoch": str(figures["epoch"]),
            "accuracy": str(figures["test_accuracy"]),
            "seed": str(self.recipe.seed),
            "recipe": self.recipe.model_dump_json(),
        }
        with interrupted_later():
            self.record(**figures)
            tinycnn.save(model.state_dict(), self.folder / "weights.safetensors", metadata)
            self.saved_epoch = figures["epoch"]

    def report(self, model: Module, history: list[dict[str, Any]]) -> None:
        probabilities = predict(model, self.test_set, self.computing.device).softmax(1).cpu().numpy()
        accuracy = f"{self.train_set.name}: test accuracy {history[-1]['test_accuracy']:.2%}"
        trained = f"{self.recipe.model}, epoch {len(history)}, seed {self.recipe.seed}"
        draw_report(
            self.folder / "report.png",
            f"{accuracy} of {len(self.test_set):,} images ({trained})",
            history,
            probabilities,
            self.test_set,
            filters=next(model.parameters()).cpu().detach().numpy(),
        )
        print(f"{accuracy} after epoch {len(history)}; weights, metrics and report are in {self.folder}")


# --- the command line -------------------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="train_mnist.py", description="Trains LeNet-5 on MNIST or a data set like it.")
    add = parser.add_argument
    add("--config", type=Path, metavar="TOML", help="the settings; default: those in configs/ for the data")
    add("--device", default="cpu", help="cpu (default), gpu, cuda:N, or auto: a GPU if there is one")
    add("--precision", choices=("float32", "tf32", "bfloat16", "float16"), default="float32",
        help="tf32: of matrix products; bfloat16 and float16: mixed precision, float16 with a scaled loss")  # fmt: skip
    add("--capture", action=argparse.BooleanOptionalAction, help="record a training step on the GPU once and replay "
        "it; default on a GPU")  # fmt: skip
    add("--epochs", type=int, metavar="N", help="instead of the settings'")
    add("--batch-size", type=int, metavar="N", help="instead of the settings'")
    add("--lr", type=float, metavar="X", help="(highest) learning rate, instead of the settings'")
    add("--seed", type=int, metavar="N", help="instead of the settings'")
    add("--data-root", type=Path, metavar="DIR", help="has MNIST/raw; default: $TINYCNN_DATA, or data")
    add("--dataset", choices=CONFIG_OF, default="auto", help="default: auto, the settings' data set, or the "
        "embedded digits where its files are neither found nor downloaded")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="for the results, in place of an earlier run's; default: "
        "runs/NAME-OF-THE-SETTINGS")  # fmt: skip
    return parser.parse_args(arguments)


def prepare(options: argparse.Namespace) -> Run:
    """All that can fail because of what the user gave fails here, before the training."""
    require_matplotlib()
    device = backend.device(options.device)
    config, recipe, (train_set, test_set) = choose(options)
    capture = device.type == "cuda" if options.capture is None else options.capture
    computing = Computing(device, options.precision, capture)
    if options.precision == "bfloat16":
        tinycnn.empty(0, dtype="bfloat16")  # says what to install
    tinycnn.set_float32_matmul_precision("high" if options.precision == "tf32" else "highest")
    run = Run(recipe, computing, train_set, test_set, options.out or Path("runs") / config.stem)
    run.open_folder()
    return run


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = notice
        return run_with(options)


def run_with(options: argparse.Namespace) -> int:
    # Of a diverged training NumPy warns in many lines; the one error that we give says it all.
    warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
    run = None
    try:
        try:
            run = prepare(options)
        except (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError) as error:
            return complain(error)
        run.train()
    except (OSError, FloatingPointError, MemoryError) as error:  # anything else is a bug
        return complain(error)
    except KeyboardInterrupt:
        saved = run is not None and run.saved_epoch
        kept = f"{run.folder} keeps epoch {saved}" if saved else "no epoch was complete"
        tqdm.write(f"train_mnist.py: interrupted; {kept}", file=sys.stderr)
        return 130
    return 0


def notice(message: Warning | str, *where: Any) -> None:
    """A warning as one line, without the line of code that it comes from."""
    tqdm.write(f"train_mnist.py: {message}", file=sys.stderr)


def complain(error: Exception) -> int:
    for line in str(error).splitlines():
        tqdm.write(f"train_mnist.py: error: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
