"""Trains a U-Net to find digits: it says of each pixel which digit it belongs to, or that it is background.

    python examples/segmentation.py
    python examples/segmentation.py --dataset digits        # needs no download

The pictures are made of a data set of digits: a few of them at random places, over and beside each other, in noise. The
settings come from a TOML file in configs/; weights, figures, checkpoints and a picture go to runs/.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinycnn
from tinycnn import Tensor
from tinycnn._command import Parser, UserError, guarded
from tinycnn._extras import how_to_install

try:
    from tinycnn.training.run import Run, train
except ModuleNotFoundError as error:
    sys.exit(f"segmentation.py: error: needs {error.name}, which is not installed: {how_to_install('training')}")

from tinycnn.data import MNIST, DataLoader, Dataset, Digits
from tinycnn.models import model_for
from tinycnn.training import Callback, Trainer
from tinycnn.training.options import add_options, flags_of
from tinycnn.training.recipe import Augmentation, Recipe, read_recipe
from tinycnn.training.report import draw_pixel_report
from tinycnn.training.results import REPORT

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
DIGITS = {  # the training or the test part of each data set
    "mnist": lambda root, train: MNIST(root, train, download=True),  # 28×28
    "digits": lambda root, train: Digits(train, scale=2),  # 16×16
}
TRAIN_PICTURES, TEST_PICTURES = 10_000, 1_000
TEST_SEED = 2**63  # larger than that of any recipe
LEAST, MOST = 3, 5  # digits in a picture
INK = 0.3  # a darker pixel belongs to a digit, the darkest there: paper is 0, ink up to 1
NOISE = 0.1  # standard deviation


class Canvases(Dataset):
    """Pictures with several of `digits` on them: item i is (picture (1, S, S), class of each pixel (S, S)).

    The last class is background. An item depends on `seed` and i alone, whoever makes it, and in whatever order.
    """

    transform = None

    def __init__(self, digits: Dataset, pictures: int, seed: int):
        self.digits, self.pictures, self.seed = digits, pictures, seed
        self.name, self.classes = digits.name, (*digits.classes, "background")

    def __len__(self) -> int:
        return self.pictures

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"Canvases: expected an index within 0..{len(self) - 1}, got {index}")
        generator = np.random.default_rng([self.seed, index])
        chosen = generator.integers(len(self.digits), size=generator.integers(LEAST, MOST, endpoint=True))
        images, classes = zip(*(self.digits[int(i)] for i in chosen))
        D = images[0].shape[-1]
        S = 2 * D + 8
        layers = np.zeros((len(images), S, S), np.float32)  # one for each digit
        for layer, image in zip(layers, images):
            row, column = generator.integers(S - D, size=2, endpoint=True)
            layer[row : row + D, column : column + D] = image - image.min()
        layers /= layers.max((1, 2), keepdims=True)

        ink = layers.max(0)
        labels = np.where(ink > INK, np.array(classes)[layers.argmax(0)], len(self.classes) - 1)
        picture = ink + NOISE * generator.standard_normal((S, S), np.float32)
        return tinycnn.tensor(picture[None]), tinycnn.tensor(labels)


def accuracy(scores: Tensor, targets: Tensor) -> Tensor:
    """The shares of right pixels, added up over the pictures."""
    return (scores.argmax(1) == targets).float().mean((1, 2)).sum()


@tinycnn.no_grad()
def confusion(trainer: Trainer, loader: DataLoader) -> np.ndarray:
    """(C, C), the number of pixels by class (row) and by the class that they were taken for, over all pictures."""
    C = len(loader.dataset.classes)
    counts = np.zeros(C * C, int)
    for images, targets in loader:
        predicted = trainer.evaluated.eval()(images.to(trainer.device)).argmax(1).cpu().numpy()
        counts += np.bincount((C * targets.numpy() + predicted).ravel(), minlength=C * C)
    return counts.reshape(C, C)


def iou(counts: np.ndarray) -> np.ndarray:
    """(C,), intersection over union: the pixels that are of a class and were taken for it, among all that are or were.

    It is nan of a class that does not occur.
    """
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return np.divide(both, either, out=np.full(len(counts), np.nan), where=either > 0)


class MeanIoU(Callback):
    """Adds "test_iou" to the figures: the mean over the classes, of all test pictures together."""

    def __init__(self, loader: DataLoader):
        self.loader = loader

    def on_epoch_end(self, trainer: Trainer, figures: dict[str, Any]) -> None:
        figures["test_iou"] = float(np.nanmean(iou(confusion(trainer, self.loader))))


class SegmentationRun(Run):
    """A run whose pictures are made here, and whose report shows the labels of pixels."""

    @staticmethod
    def load(recipe: Recipe, root: Path | None) -> tuple[Canvases, Canvases]:
        if recipe.model != "unet" or recipe.dataset not in DIGITS:
            wanted, got = f"unet for {' or '.join(DIGITS)}", f"{recipe.model} for {recipe.dataset}"
            raise UserError(f"expected {wanted}, got {got}; `tinycnn train` trains nets that label pictures")
        if recipe.augmentation != Augmentation():
            raise UserError("expected no augmentation: the labels of the pixels would not move with them")
        train_digits, test_digits = (DIGITS[recipe.dataset](root, train) for train in (True, False))
        return Canvases(train_digits, TRAIN_PICTURES, recipe.seed), Canvases(test_digits, TEST_PICTURES, TEST_SEED)

    def report(self, trainer: Trainer, test_loader: DataLoader) -> str:
        figures = trainer.history[-1]
        reached = f"{self.name}: pixel accuracy {figures['test_accuracy']:.2%}, mean IoU {figures['test_iou']:.3f}"
        title = f"{reached} ({self.trained(trainer)})"
        first = next(iter(test_loader))
        results = *first, trainer.predict([first]).argmax(1).cpu(), iou(confusion(trainer, test_loader))
        draw_pixel_report(self.folder / REPORT, title, trainer.history, *results, test_loader.dataset.classes)
        return reached


def build(run: Run, test_set: Any, options: argparse.Namespace) -> tuple[Trainer, DataLoader, DataLoader]:
    """What trains, and the loaders of both parts."""
    recipe, workers = run.recipe, run.computing.num_workers
    tinycnn.manual_seed(recipe.seed)
    image, _ = test_set[0]
    model = model_for(recipe.model, image.shape, len(test_set.classes), **recipe.model_options)
    by_workers = {"num_workers": workers, "persistent_workers": workers > 0}
    loader = DataLoader(run.train_set, recipe.batch_size, shuffle=True, **by_workers)
    test_loader = DataLoader(test_set, batch_size=50, **by_workers)
    callback, metrics = MeanIoU(test_loader), {"accuracy": accuracy}
    trainer = run.trainer(model.to(run.computing.device), loader, options, callback, metrics=metrics)
    return trainer, loader, test_loader


def choose(options: argparse.Namespace) -> tuple[Path, Recipe, tuple[Canvases, Canvases]]:
    """The settings' file, the settings, the pictures."""
    asked = {} if options.dataset == "auto" else {"dataset": options.dataset}
    config = options.config or CONFIGS / f"unet_{asked.get('dataset', 'mnist')}.toml"
    recipe = read_recipe(config, flags_of(options) | asked)
    return config, recipe, SegmentationRun.load(recipe, options.data_root)


@guarded("segmentation.py")
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="segmentation.py", description="Trains a U-Net to label the pixels of pictures of digits.")
    parser.add_argument("--config", type=Path, metavar="TOML", help="default: those in configs/ for the data set")
    parser.add_argument("--dataset", choices=("auto", *DIGITS), default="auto", help="default: that of the settings")
    add_options(parser)
    train("segmentation.py", parser.parse_args(arguments), choose, build, SegmentationRun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
