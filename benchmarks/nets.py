"""The nets that are measured. tinycnn has torch's names, so one definition serves both: `lib` is tinycnn or torch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np


def lenet(nn: Any) -> Any:
    """LeNet-5 for 28×28 images, with ReLU and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def wide(nn: Any) -> Any:
    """A wider net for 28×28 images: two blocks of two convolutions, batch normalisation and pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.Conv2d(32, 32, 5), nn.ReLU(), nn.BatchNorm2d(32), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(576, 10),
    )  # fmt: skip


def library(name: str, threads: int) -> ModuleType:
    """tinycnn or torch, seeded, on `threads` threads."""
    if name == "torch":
        import torch

        torch.set_num_threads(threads)
        lib: ModuleType = torch
    else:
        import tinycnn as lib
    lib.manual_seed(0)
    return lib


def images(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images (N, 1, 28, 28), float32, and labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch_size, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, batch_size)


def training_step(
    lib: Any, net: Callable, batch_size: int, optimizer: str, device: str = "cpu", autocast: Any = None, **options: Any
) -> Callable[..., Any]:
    """One step as a function: forward, loss, backward, update; of a batch on `device`, or of the one it is given.

    `autocast` is the library's context of mixed precision, `options` are further ones of the optimizer.
    """
    model, loss_function = net(lib.nn).to(device), lib.nn.CrossEntropyLoss()
    options |= {"SGD": {"lr": 0.01, "momentum": 0.9}, "Adam": {"lr": 1e-3}}[optimizer]
    optim = getattr(lib.optim, optimizer)(model.parameters(), **options)
    if autocast is not None:
        model, loss_function = autocast(model), autocast(loss_function)
    x, target = (lib.tensor(array).to(device) for array in images(batch_size))

    def step(x: Any = x, target: Any = target) -> Any:
        optim.zero_grad()
        loss = loss_function(model(x), target)
        loss.backward()
        optim.step()
        return loss

    return step


def inference(lib: Any, net: Callable, batch_size: int) -> Callable[[], Any]:
    """One forward pass as a function, in eval mode and without a graph."""
    model = net(lib.nn).eval()
    x = lib.tensor(images(batch_size)[0])

    def forward() -> Any:
        with lib.no_grad():
            return model(x)

    return forward
