"""Trains LeNet-5 on MNIST: python examples/train_mnist.py --help

The settings come from a TOML file in configs/; weights, figures, checkpoints and a picture go to runs/.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import tinycnn
from tinycnn._command import Parser, UserError, guarded
from tinycnn._extras import how_to_install

try:
    from tinycnn.training.run import Run, train
except ModuleNotFoundError as error:
    sys.exit(f"train_mnist.py: error: needs {error.name}, which is not installed: {how_to_install('training')}")

from tinycnn.data import DataLoader, DownloadError
from tinycnn.models import LeNet5
from tinycnn.nn import CrossEntropyLoss
from tinycnn.training import PrintFigures, Progress, StopOnNan, Trainer
from tinycnn.training.datasets import load_data
from tinycnn.training.options import add_options, flags_of
from tinycnn.training.recipe import Recipe, read_recipe

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CONFIG_OF = {
    "auto": CONFIGS / "lenet_mnist.toml",
    "mnist": CONFIGS / "lenet_mnist.toml",
    "fashion_mnist": CONFIGS / "lenet_fashion_mnist.toml",
    "digits": CONFIGS / "lenet_digits.toml",
}


def build(run: Run, test_set: Any, options: argparse.Namespace) -> tuple[Trainer, DataLoader, DataLoader]:
    """What trains, and the loaders of both parts."""
    recipe, device = run.recipe, run.computing.device
    tinycnn.manual_seed(recipe.seed)
    image, _ = run.train_set[0]
    if recipe.model != "lenet5" or recipe.model_options or image.shape[0] != 1:
        raise UserError(
            f"expected lenet5 for grey pictures, got {recipe.model}; `tinycnn train` trains any net that labels "
            "pictures, segmentation.py those that label pixels"
        )
    model = LeNet5(len(run.train_set.classes), image_size=image.shape[-1]).to(device)
    train_set, test_set = run.train_set.to(device), test_set.to(device)
    loader = DataLoader(train_set, recipe.batch_size, shuffle=True, num_workers=run.computing.num_workers)
    test_loader = DataLoader(test_set, batch_size=500)

    optimizer = recipe.optimizer.build(model.parameters())
    trainer = Trainer(
        model,
        optimizer,
        CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        scheduler=recipe.scheduler.build(optimizer, recipe.epochs, len(loader)),
        augment=recipe.augmentation.build(image.shape[1:], train_set.background),
        mix=recipe.augmentation.build_mix(len(train_set.classes)),
        accumulate=recipe.accumulate,
        average_every=recipe.average_every,
        outer_momentum=recipe.outer_momentum,
        callbacks=[
            Progress(run.name),
            PrintFigures(run.name, recipe.epochs),
            StopOnNan(every=1 if device.type == "cpu" else 50),
            *recipe.build_callbacks(),
            *run.callbacks(options.checkpoint_every, options.tensorboard),
        ],
        **run.computing.trainer_options(),
    )
    return trainer, loader, test_loader


def choose(options: argparse.Namespace) -> tuple[Path, Recipe, tuple[Any, Any]]:
    """The settings' file, the settings, the data; the embedded digits where MNIST is not to be had."""
    config = options.config or CONFIG_OF[options.dataset]
    asked = {} if options.dataset == "auto" else {"dataset": options.dataset}
    recipe = read_recipe(config, flags_of(options) | asked)
    try:
        return config, recipe, load_data(recipe, options.data_root)
    except (DownloadError, ImportError) as error:
        if asked or recipe.dataset == "digits":
            raise
        config = CONFIG_OF["digits"]
        print(error)
        print(f"Training on the embedded digits instead, with configs/{config.name}: the figures below are theirs.")
        recipe = read_recipe(config, flags_of(options))
        return config, recipe, load_data(recipe)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="train_mnist.py", description="Trains LeNet-5 on MNIST or a data set like it.")
    parser.add_argument("--config", type=Path, metavar="TOML", help="the settings; default: those in configs/ for the "
        "data")  # fmt: skip
    parser.add_argument("--dataset", choices=CONFIG_OF, default="auto", help="default: auto, the settings' data set, "
        "or the embedded digits where its files are neither found nor downloaded")  # fmt: skip
    add_options(parser)
    return parser.parse_args(arguments)


@guarded("train_mnist.py")
def main(arguments: list[str] | None = None) -> int:
    train("train_mnist.py", parse(arguments), choose, build)
    return 0


if __name__ == "__main__":
    sys.exit(main())
