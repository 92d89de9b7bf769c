"""One training step of LeNet-5 (forward, backward, SGD with momentum), tinycnn beside torch.

    python benchmarks/lenet.py [--threads 1 2] [--batch-sizes 64 256] [--repeats 40]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
import timing


def batch(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, size)


def tinycnn_step(batch_size: int) -> Callable[[], object]:
    import tinycnn
    from tinycnn.models import LeNet5

    tinycnn.manual_seed(0)
    model, loss_function = LeNet5(), tinycnn.nn.CrossEntropyLoss()
    optimizer = tinycnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = map(tinycnn.tensor, batch(batch_size))

    def step() -> object:
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_step(batch_size: int, threads: int) -> Callable[[], object]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = map(torch.tensor, batch(batch_size))

    def step() -> object:
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def measure(threads: int, batch_sizes: list[int], repeats: int) -> list[dict]:
    """The rows of one thread count; to be called in a process whose environment has that count."""
    rows = []
    for size in batch_sizes:
        candidates = {"tinycnn": tinycnn_step(size)}
        if timing.has_torch():
            candidates["torch"] = torch_step(size, threads)
        row = {"name": f"LeNet-5 training step, batch {size}", "threads": threads}
        rows.append(row | timing.interleaved(candidates, repeats))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # the inner process
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.threads[0], options.batch_sizes, options.repeats)))
        return
    rows = []
    for threads in options.threads:
        arguments = ["--measure", "--threads", str(threads), "--repeats", str(options.repeats)]
        rows += timing.in_process(__file__, [*arguments, "--batch-sizes", *map(str, options.batch_sizes)], threads)
    timing.print_table(rows, "Milliseconds a step, median of interleaved runs")


if __name__ == "__main__":
    main()
