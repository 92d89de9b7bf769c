"""One epoch of MNIST, LeNet-5 at batch 64, loader and metrics included: the Trainer beside a loop in torch.

Both train with SGD, momentum and OneCycleLR, count loss and accuracy on the way, and evaluate on the test images. The
data is loaded, and torch's normalised, before the clock starts. Without MNIST there is no figure: `make train` fetches
it, or the environment variable TINYCNN_DATA says where it is.

    python benchmarks/epoch.py [--threads 1 2] [--repeats 3]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import timing

ROOT = Path(__file__).resolve().parents[1]
LR, MOMENTUM, WEIGHT_DECAY, BATCH = 0.05, 0.9, 5e-4, 64


def tinycnn_epoch() -> Callable[[], Any]:
    from tinycnn.data import MNIST, DataLoader
    from tinycnn.models import LeNet5
    from tinycnn.training import Trainer
    from tinycnn.training.recipe import read_recipe

    recipe = read_recipe(ROOT / "configs/lenet_mnist.toml", {"epochs": 1, "batch_size": BATCH, "lr": LR})
    train_set, test_set = MNIST(train=True), MNIST(train=False)

    def epoch() -> Any:
        model = LeNet5()
        loader = DataLoader(train_set, BATCH, shuffle=True)
        optimizer = recipe.optimizer.build(model.parameters())
        scheduler = recipe.scheduler.build(optimizer, 1, len(loader))
        return Trainer(model, optimizer, scheduler=scheduler).fit(loader, 1, DataLoader(test_set, 500))

    return epoch


def torch_epoch() -> Callable[[], Any]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from tinycnn.data import MNIST

    parts = MNIST(train=True), MNIST(train=False)
    train_set, test_set = (TensorDataset(torch.tensor(s.images), torch.tensor(s.targets.numpy())) for s in parts)

    def epoch() -> tuple[float, float]:
        model = nets.lenet(torch)
        loader = DataLoader(train_set, BATCH, shuffle=True)
        optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=LR, total_steps=len(loader), cycle_momentum=False
        )
        total_loss, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for x, target in loader:
            scores = model(x)
            loss = torch.nn.functional.cross_entropy(scores, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total_loss += loss.detach() * len(target)
            correct += (scores.argmax(1) == target).sum()
        model.eval()
        with torch.no_grad():
            scores = torch.cat([model(x) for x, _ in DataLoader(test_set, batch_size=500)])
        return float(total_loss), float((scores.argmax(1) == test_set.tensors[1]).float().mean())

    return epoch


def calls(lib: Any) -> timing.Calls:
    try:
        return {"": torch_epoch() if lib.__name__ == "torch" else tinycnn_epoch()}
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return {}


GROUPS = {"MNIST epoch, LeNet-5, batch 64": calls}

if __name__ == "__main__":
    timing.run(__file__, GROUPS, __doc__, threads=[1, 2], repeats=3, uncounted=0)
