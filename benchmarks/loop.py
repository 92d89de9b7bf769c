"""What stands around a step costs: the Trainer, its checkpoints, and the loader with and without workers.

    python benchmarks/loop.py [--threads 1] [--repeats 7]

LeNet trains for 100 steps of 64 random images, ResNet-20 for an epoch of 1,024 pictures as CIFAR-10's, cropped and
flipped by the data set. The ways take turns in one process, and the medians are compared with the first: a plain loop,
and the steps alone, on a batch that is there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import nets
import numpy as np
import timing

import tinycnn
from tinycnn.data import ArrayDataset, DataLoader
from tinycnn.data.pictures import PictureDataset
from tinycnn.data.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor
from tinycnn.nn.functional import cross_entropy
from tinycnn.training import Checkpoints, Trainer

STEPS, BATCH = 100, 64


def trained(net: Callable, loader: Iterable[Any], folder: Path | None = None) -> Callable[[], object]:
    """An epoch by a Trainer; with a checkpoint every 100 steps if there is a folder for them."""
    model = net(tinycnn)
    optimizer = tinycnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    checkpoints = [] if folder is None else [Checkpoints(folder, every=100)]

    def epoch() -> object:
        return Trainer(model, optimizer, callbacks=checkpoints).fit(loader, 1)

    return epoch


def plain(net: Callable, loader: Iterable[Any]) -> Callable[[], object]:
    """An epoch by a loop."""
    model = net(tinycnn)
    optimizer = tinycnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def epoch() -> None:
        for images, targets in loader:
            optimizer.zero_grad()
            cross_entropy(model(images), targets).backward()
            optimizer.step()

    return epoch


def of_lenet(folder: Path) -> dict[str, Callable[[], object]]:
    """By name, 100 steps of LeNet."""
    x, targets = nets.random_images((STEPS * BATCH, 1, 28, 28), 10)
    loader = DataLoader(ArrayDataset(x, targets), BATCH, shuffle=True)
    return {
        "a plain loop": plain(nets.lenet, loader),
        "Trainer": trained(nets.lenet, loader),
        "Trainer, a checkpoint in 100 steps": trained(nets.lenet, loader, folder),
    }


def of_resnet() -> dict[str, Callable[[], object]]:
    """By name, an epoch of ResNet-20."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (16 * BATCH, 32, 32, 3), dtype=np.uint8)
    steps = [ToTensor(), Normalize((0.5,) * 3, (0.25,) * 3), RandomCrop(32, padding=4), RandomHorizontalFlip()]
    train_set = PictureDataset(data, rng.integers(0, 10, len(data)), list("0123456789"), Compose(steps))
    there = [next(iter(DataLoader(train_set, BATCH)))] * (len(data) // BATCH)
    loaders = {
        f"loader with {workers} workers": DataLoader(
            train_set, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        for workers in (0, 1, 2)
    }
    epochs = {"steps on a batch that is there": plain(nets.resnet20, there)}
    return epochs | {name: plain(nets.resnet20, Watched(name, loader)) for name, loader in loaders.items()}


class Watched:
    """A loader, and the share of the time of its last epoch that was spent in it."""

    shares: ClassVar[dict[str, float]] = {}

    def __init__(self, name: str, loader: DataLoader):
        self.name, self.loader = name, loader

    def __iter__(self) -> Any:
        waited, begun = 0.0, time.perf_counter()
        batches, end = iter(self.loader), object()
        while True:
            start = time.perf_counter()
            batch = next(batches, end)
            waited += time.perf_counter() - start
            if batch is end:
                break
            yield batch
        self.shares[self.name] = waited / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    tinycnn.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for title, ways in (("LeNet, 100 steps", of_lenet(Path(folder))), ("ResNet-20, 16 steps", of_resnet())):
            seconds = timing.interleaved(ways, options.repeats, warm_up=1, uncounted=0)
            first = next(iter(seconds.values()))
            for name, median in seconds.items():
                share = f", {Watched.shares[name]:.1%} of it in the loader" if name in Watched.shares else ""
                print(f"{title}, {name}: {median * 1e3:.0f} ms, {median / first:.3f}{share}", flush=True)


if __name__ == "__main__":
    main()
