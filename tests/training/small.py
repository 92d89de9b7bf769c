"""A small training with everything that draws: a shuffled order, dropout, shifts of the images."""

import random

import numpy as np

import tinycnn
from tinycnn import nn, optim
from tinycnn.data import DataLoader, TensorDataset
from tinycnn.data.transforms import RandomShift
from tinycnn.training import Trainer
from tinycnn.training.state import copied, split

N, BATCH, BATCHES = 20, 6, 4  # the last batch has two


def data(count=N, seed=0):
    """(images, targets): four classes, each brighter in a row of its own."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 4, count)
    images = generator.standard_normal((count, 1, 6, 6)).astype(np.float32)
    images[np.arange(count), 0, targets + 1] += 2
    return TensorDataset(tinycnn.tensor(images), tinycnn.tensor(targets))


def net(dropout=0.3):
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(dropout), nn.Linear(27, 4),
    )  # fmt: skip


def adam(parameters):
    return optim.Adam(parameters, lr=0.01)


def sgd(parameters):
    return optim.SGD(parameters, lr=0.05, momentum=0.9)


def loaders(seed=None):
    return DataLoader(data(), BATCH, shuffle=True, seed=seed), DataLoader(data(10, seed=1), 4)


def trainer(device="cpu", optimizer=adam, scheduler=None, callbacks=(), model=net, seed=3, **options):
    """A Trainer whose weights are those of `seed`; `scheduler` makes one of the optimizer."""
    tinycnn.manual_seed(seed)
    random.seed(seed)  # a process that was forked has another state
    made = model().to(device)
    steps = optimizer(made.parameters())
    return Trainer(
        made, steps, scheduler=None if scheduler is None else scheduler(steps), callbacks=list(callbacks), **options
    )


def shifted(images):
    return RandomShift(1, fill=0.0)(images)


def finished(trainer, epochs=3, loaders=loaders):
    """The trainer, after `epochs` epochs."""
    loader, test_loader = loaders()
    for _ in trainer.each_epoch(loader, epochs, test_loader):
        pass
    return trainer


def bits(state):
    """Nested states in a form that tells any two bits apart: plain data, and bytes of the Tensors."""
    plain, tensors = split(copied(state, "cpu"))
    return plain, {name: (str(x.dtype), tuple(x.shape), x.numpy().tobytes()) for name, x in tensors.items()}


def timeless(state):
    """A state without what the clock says."""
    history = [{k: v for k, v in figures.items() if k not in TIMES} for figures in state["history"]]
    return {**state, "history": history, "totals": {**state["totals"], "seconds": 0.0}}


def counted(optimizer):
    """The state of an optimizer with its counts of steps as ints: on a GPU they are Tensors from the first step on."""
    state = {i: {**of, "step": int(of["step"])} if "step" in of else of for i, of in optimizer["state"].items()}
    return {**optimizer, "state": state}


TIMES = ("seconds", "images_per_second")


def everything(trainer):
    """All that a training leaves, as bits."""
    state = trainer.state_dict()
    return bits(timeless({**state, "optimizer": counted(state["optimizer"])}))
