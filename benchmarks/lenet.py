"""Training steps and inference of small nets, tinycnn beside torch.

Rows: LeNet-5 training (forward, backward, SGD with momentum) at batch 64 and 256, LeNet-5 inference at batch 256, and
training of a wider net (Adam) at batch 128.

    python benchmarks/lenet.py [--threads 1 2] [--only LeNet] [--repeats 20]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import nets
import timing

ROWS: dict[str, Callable] = {
    "LeNet-5 training step, batch 64": partial(nets.training_step, net=nets.lenet, batch_size=64, optimizer="SGD"),
    "LeNet-5 training step, batch 256": partial(nets.training_step, net=nets.lenet, batch_size=256, optimizer="SGD"),
    "LeNet-5 inference, batch 256": partial(nets.inference, net=nets.lenet, batch_size=256),
    "wide net training step, batch 128": partial(nets.training_step, net=nets.wide, batch_size=128, optimizer="Adam"),
}


def measure(threads: int, only: str, repeats: int) -> list[timing.Row]:
    rows = []
    for name, make in ROWS.items():
        if only.lower() in name.lower():
            candidates = {library: make(nets.library(library, threads)) for library in timing.libraries()}
            rows.append({"name": name, "threads": threads} | timing.interleaved(candidates, repeats, calls=3))
    return rows


if __name__ == "__main__":
    timing.run(__file__, measure, __doc__, threads=[1, 2], repeats=20)
