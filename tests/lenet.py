"""LeNet-5 on images that are made here, trained by the same code with tinycnn and with torch.

Images, labels and first weights come from a NumPy seed, so that a recording holds the losses only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS, BATCH = 100, 16
OPTIMIZERS = {
    "sgd": lambda lib, parameters: lib.optim.SGD(parameters, lr=0.02, momentum=0.9),
    "adam": lambda lib, parameters: lib.optim.Adam(parameters, lr=0.001),
}


def batches() -> tuple[np.ndarray, np.ndarray]:
    """Images (STEPS, BATCH, 1, 28, 28), each the smooth picture of its class in noise, and labels (STEPS, BATCH)."""
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((10, 1, 7, 7)).repeat(4, axis=2).repeat(4, axis=3)
    labels = rng.integers(0, 10, (STEPS, BATCH))
    return 0.45 * pictures[labels] + rng.standard_normal((STEPS, BATCH, 1, 28, 28)), labels


def weights(model: Any) -> dict[str, np.ndarray]:
    """First weights, within ±1 / √fan_in as by default."""
    rng = np.random.default_rng(1)
    values, bound = {}, 1.0
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith("weight"):
            bound = 1 / np.sqrt(np.prod(shape[1:]))
        values[name] = rng.uniform(-bound, bound, shape)
    return values


def losses(lib: Any, model: Any, optimizer: str) -> list[float]:
    """The loss of each training step in float64, with `lib` tinycnn or torch."""
    model = model.double()
    model.load_state_dict({name: lib.tensor(value) for name, value in weights(model).items()})
    step_with = OPTIMIZERS[optimizer](lib, model.parameters())
    found = []
    for images, labels in zip(*batches()):
        step_with.zero_grad()
        loss = lib.nn.functional.cross_entropy(model(lib.tensor(images)), lib.tensor(labels))
        loss.backward()
        step_with.step()
        found.append(loss.item())
    return found


def torch_lenet() -> Any:
    """What `tinycnn.models.LeNet5` is, written with torch."""
    from torch import nn

    class LeNet5(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 6, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            self.classifier = nn.Sequential(
                nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
            )

        def forward(self, x: Any) -> Any:
            return self.classifier(self.features(x))

    return LeNet5()
