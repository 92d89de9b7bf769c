"""Figures of an epoch: sums over its batches, and their means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinycnn.tensor import Tensor
from tinycnn.training import ranks
from tinycnn.training.callback import Batch, Figures

Metric = Callable[[Tensor, Tensor], Tensor]  # of scores and targets: a sum over the items of a batch


def correct(scores: Tensor, targets: Tensor) -> Tensor:
    """How many scores (N, classes) are highest for their target (N,)."""
    return (scores.argmax(1) == targets).sum()


class Totals:
    """Sums over the batches of an epoch so far; `complete`: over all. The host reads them, and waits for a GPU, only
    in `means`."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.items = self.batches = 0
        self.complete = False
        self.seconds = 0.0
        self._begun = time.perf_counter()

    def begin(self) -> None:
        """Goes on measuring the time."""
        self._begun = time.perf_counter() - self.seconds

    def add(self, batch: Batch, metrics: Mapping[str, Metric]) -> None:
        """Adds a batch."""
        N = len(batch.targets)
        values = {"loss": batch.loss.detach() * N}
        values |= {name: metric(batch.scores, batch.targets) for name, metric in metrics.items()}
        self.sums = {name: self.sums[name] + x if name in self.sums else x for name, x in values.items()}
        self.items, self.batches = self.items + N, self.batches + 1

    def add_ranks(self, metrics: Iterable[str], device: Any) -> None:
        """Adds the sums of the other ranks: of one that had no batch, there are none."""
        self.sums, self.items = ranks.summed(self.sums, self.items, ["loss", *metrics], device)

    def means(self, prefix: str) -> Figures:
        """The mean of each so far, under its name with `prefix` before it. ValueError if there was no batch."""
        if not self.items:
            raise ValueError("Trainer: expected a loader that gives batches, got an empty one")
        return {f"{prefix}{name}": total.item() / self.items for name, total in self.sums.items()}

    def speed(self) -> Figures:
        """The seconds so far, and the images a second."""
        seconds = time.perf_counter() - self._begun
        return {"seconds": seconds, "images_per_second": self.items / seconds}

    def state_dict(self) -> dict[str, Any]:
        """The sums and counts."""
        seconds = time.perf_counter() - self._begun if self.batches else 0.0
        counts = {"items": self.items, "batches": self.batches, "complete": self.complete}
        return {"sums": self.sums, **counts, "seconds": seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.sums, self.items = dict(state["sums"]), state["items"]
        self.batches, self.complete, self.seconds = state["batches"], state["complete"], state["seconds"]
