"""What a net makes of a whole data set: probabilities, loss, and what it takes for what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

import tinycnn
from tinycnn.backend import Device
from tinycnn.data.arrays import ArrayDataset
from tinycnn.data.dataloader import DataLoader
from tinycnn.data.pictures import PictureDataset
from tinycnn.nn import Module
from tinycnn.nn.functional import cross_entropy


@dataclass(frozen=True)
class Evaluation:
    """The probabilities (N, C) that a net gave to each class, and the right classes (N,)."""

    probabilities: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    loss: float  # mean cross entropy

    @property
    def accuracy(self) -> float:
        """The share of the pictures that are recognised."""
        return float((self.probabilities.argmax(1) == self.targets).mean())

    @cached_property
    def confusion(self) -> np.ndarray:
        """(C, C), the number of pictures by class (row) and by the class that they were taken for (column)."""
        counts = np.zeros((len(self.classes), len(self.classes)), int)
        np.add.at(counts, (self.targets, self.probabilities.argmax(1)), 1)
        return counts

    def mistakes(self) -> list[tuple[int, int, int]]:
        """(count, class, class that it was taken for), the most frequent first."""
        counts = self.confusion * (1 - np.eye(len(self.classes), dtype=int))
        pairs = [(int(counts[i, j]), int(i), int(j)) for i, j in np.argwhere(counts)]
        return sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))


@tinycnn.no_grad()
def evaluate(model: Module, dataset: ArrayDataset | PictureDataset, device: Device) -> Evaluation:
    """Runs `model`, which is on `device`, in evaluation mode on all of `dataset`."""
    model.eval()
    batches = DataLoader(dataset.to(device), batch_size=500)
    scores, targets = zip(*((model(images), targets) for images, targets in batches))
    all_scores, all_targets = tinycnn.cat(scores), tinycnn.cat(targets)
    loss = cross_entropy(all_scores, all_targets).item()
    probabilities = all_scores.softmax(1).cpu().numpy()
    return Evaluation(probabilities, all_targets.cpu().numpy(), tuple(dataset.classes or ()), loss)
