"""Training on several ranks of this machine, against one process.

    python benchmarks/distributed.py [--only strong weak messages averages] [--repeats 5] [--json FILE]

"strong": the wide net, batch 128 in all: two ranks of one thread against one process with two threads.
"weak": a batch for each rank: two ranks against one, each of one thread: wide net (128) and LeNet (256).
"messages": the time of an all-reduce by its size, from which the latency α and the bandwidth β of the model in
docs/scaling.md come.
"averages": the accuracy on MNIST of four ranks that average their parameters every k steps; needs the data.

The candidates take turns, each in processes of its own, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import numpy as np
import timing

import tinycnn
from tinycnn import distributed, nn, optim
from tinycnn._files import write_whole

NETS = {"wide": nets.wide, "lenet": nets.lenet}
SIZES = [1 << k for k in range(3, 27, 3)]  # bytes of a message
EVERY = [1, 8, 64, 512]  # steps between two averages
WARM_UP, STEPS = 5, 20

# What is compared: name, (arguments of the worker, ranks, threads a rank) of both, the ratio to reach.
COMPARED = {
    "strong": [("wide net, batch 128 in all", ("step wide 64", 2, 1), ("step wide 128", 0, 2), 0.95)],
    "weak": [
        ("wide net, batch 128 a rank", ("step wide 128", 2, 1), ("step wide 128", 1, 1), 1.1),
        ("LeNet, batch 256 a rank", ("step lenet 256", 2, 1), ("step lenet 256", 1, 1), 1.2),
    ],
}


# --- a rank -------------------------------------------------------------------------------------------------


def median_seconds(call: Callable[[], object], warm_up: int = WARM_UP, repeats: int = STEPS) -> float:
    """Of the calls on this rank."""
    return statistics.median([timing.wall_seconds(call) for _ in range(warm_up + repeats)][warm_up:])


def step(net: str, batch: str) -> dict[str, float]:
    """The seconds of a training step with a batch on this rank."""
    numbers = np.random.default_rng(0)
    images = tinycnn.tensor(numbers.standard_normal((int(batch), 1, 28, 28)).astype(np.float32))
    targets = tinycnn.tensor(numbers.integers(0, 10, int(batch)))
    model = NETS[net](tinycnn)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    trained = nn.parallel.DistributedDataParallel(model) if distributed.is_initialized() else model

    def train() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(trained(images), targets).backward()
        optimizer.step()

    return {"seconds": median_seconds(train)}


def messages() -> dict[str, float]:
    """The seconds of an all-reduce, by the bytes."""

    def seconds(size: int) -> float:
        x = tinycnn.ones(size // 4)
        return median_seconds(lambda: distributed.all_reduce(x), 20, 200 if size < 1 << 20 else 20)

    return {str(size): seconds(size) for size in SIZES}


def average(every: str, root: str) -> dict[str, float]:
    """The accuracy of LeNet on MNIST after three epochs of batches of 64 a rank, and the seconds."""
    from tinycnn.data import MNIST, DataLoader
    from tinycnn.models import LeNet5
    from tinycnn.training import Trainer

    tinycnn.manual_seed(0)
    epochs, batch = 3, 64 * distributed.get_world_size()
    train_set, test_set = MNIST(root, train=True), MNIST(root, train=False)
    loader, model = DataLoader(train_set, batch, shuffle=True), LeNet5()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=epochs * len(loader), cycle_momentum=False)
    trainer = Trainer(model, optimizer, scheduler=scheduler, average_every=int(every))
    begun = time.perf_counter()
    *_, last = trainer.fit(loader, epochs, DataLoader(test_set, 500))
    return {"accuracy": last["test_accuracy"], "seconds": time.perf_counter() - begun}


def work(task: str, *arguments: str) -> None:
    if distributed.is_launched():
        distributed.init_process_group()
    found = {"step": step, "messages": messages, "average": average}[task](*arguments)
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        print(json.dumps(found))


# --- all of them --------------------------------------------------------------------------------------------


def run(arguments: str, ranks: int, threads: int) -> dict[str, float]:
    """What rank 0 of so many finds; 0 ranks: a process without any."""
    launcher = ["-m", "tinycnn.distributed", "-n", str(ranks)] if ranks else []
    environment = os.environ | dict.fromkeys(timing.THREAD_VARIABLES, str(threads))
    words = [sys.executable, *launcher, __file__, "--worker", *arguments.split()]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def compared(repeats: int, first: tuple, second: tuple) -> tuple[float, float]:
    """The medians of both, which take turns."""
    turns = [[run(*each)["seconds"] for each in (first, second)] for _ in range(repeats)]
    ours, theirs = map(statistics.median, zip(*turns))
    return ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    groups = [*COMPARED, "messages", "averages"]
    parser.add_argument("--only", nargs="+", choices=groups, default=groups[:3], help="default: all but averages")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--data-root", default=os.environ.get("TINYCNN_DATA", "data"), help="the folder of MNIST")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    rows: list[dict[str, Any]] = []
    for group in options.only:
        for name, first, second, wanted in COMPARED.get(group, []):
            ours, theirs = compared(options.repeats, first, second)
            rows.append({"name": name, "seconds": ours, "against": theirs, "ratio": ours / theirs, "wanted": wanted})
            print(f"{name:40} {ours * 1e3:8.2f} ms against {theirs * 1e3:8.2f}: {ours / theirs:.2f} (at most {wanted})")
    if "messages" in options.only:
        for size, seconds in run("messages", 2, 1).items():
            rows.append({"name": f"all-reduce of {size} bytes on 2 ranks", "seconds": seconds})
            print(f"all-reduce of {int(size):>10,} bytes on 2 ranks {seconds * 1e6:10.1f} µs")
    for every in EVERY if "averages" in options.only else ():
        found = run(f"average {every} {options.data_root}", 4, 1)
        rows.append({"name": f"averaged every {every} steps on 4 ranks", **found})
        print(f"averaged every {every:3} steps on 4 ranks: accuracy {found['accuracy']:.2%}, {found['seconds']:.0f} s")
    if options.json:
        results = {"environment": timing.environment(), "rows": rows}
        write_whole(options.json, json.dumps(results, indent=1, ensure_ascii=False).encode())


if __name__ == "__main__":
    main()
