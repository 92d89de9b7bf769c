"""`tinycnn train`: trains a net by the settings in a file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycnn._command import Parser, UserError, guarded
from tinycnn._extras import how_to_install

if TYPE_CHECKING:
    from tinycnn.data import DataLoader
    from tinycnn.training import Trainer
    from tinycnn.training.run import Chosen, Run


def parser() -> Parser:
    """The options."""
    from tinycnn.training.options import add_options

    result = Parser(
        prog="tinycnn train",
        description="Trains a net by the settings in a TOML file.",
        examples=[
            "tinycnn train configs/lenet_mnist.toml",
            "tinycnn train configs/lenet_digits.toml --epochs 3 --out runs/short",
            "tinycnn train --resume runs/lenet_mnist",
        ],
    )
    result.add_argument("config", type=Path, nargs="?", metavar="TOML", help="the settings; not with --resume")
    add_options(result)
    return result


@guarded("tinycnn train")
def main(arguments: Sequence[str] | None = None) -> int:
    """Trains as the command line `arguments` say. Returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        from tinycnn.training.run import train
    except ModuleNotFoundError as error:
        raise UserError(f"needs {error.name}, which is not installed: {how_to_install('training')}") from None
    train("tinycnn train", options, choose, build)
    return 0


def choose(options: argparse.Namespace) -> Chosen:
    """The settings' file, the settings, the data, checked against each other."""
    from tinycnn.training.datasets import load_data
    from tinycnn.training.options import flags_of
    from tinycnn.training.recipe import read_recipe

    if options.config is None:
        raise UserError("expected the settings, a TOML file, or --resume; `tinycnn new my-net` writes one", status=2)
    recipe = read_recipe(options.config, flags_of(options))
    data = load_data(recipe, options.data_root)
    image, _ = data[0][0]
    try:
        recipe.build_model(tuple(image.shape), len(data[0].classes))
    except (ValueError, TypeError) as error:
        raise UserError(f"{options.config}: {error}") from None
    return options.config, recipe, data


def build(run: Run, test_set: Any, options: argparse.Namespace) -> tuple[Trainer, DataLoader, DataLoader]:
    """What trains, by the run's recipe, and the loaders of both parts."""
    import tinycnn
    from tinycnn.data import DataLoader
    from tinycnn.training import GradientNorms
    from tinycnn.training.datasets import on_device

    recipe, device, train_set = run.recipe, run.computing.device, run.train_set
    image, _ = train_set[0]
    classes = len(train_set.classes)
    tinycnn.manual_seed(recipe.seed)
    model = recipe.build_model(tuple(image.shape), classes).to(device)
    train_set, test_set = on_device(train_set, device), on_device(test_set, device)
    workers = run.computing.num_workers
    loader = DataLoader(train_set, recipe.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    test_loader = DataLoader(test_set, batch_size=500, num_workers=workers)
    trainer = run.trainer(
        model,
        loader,
        options,
        GradientNorms(),
        augment=recipe.augmentation.build(tuple(image.shape[1:]), getattr(train_set, "background", 0.0)),
        mix=recipe.augmentation.build_mix(classes),
    )
    return trainer, loader, test_loader
