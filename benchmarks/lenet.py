"""Training steps and inference of small nets, tinycnn beside torch.

    python benchmarks/lenet.py [--threads 1 2] [--rows lenet] [--repeats 40]

Rows: LeNet-5 training (forward, backward, SGD with momentum) at batch 64 and 256, LeNet-5 inference at batch 256, and
training of a wider net (Adam) at batch 128.
"""

from __future__ import annotations

import argparse
import json
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


def measure(threads: int, chosen: str, repeats: int) -> list[dict]:
    """The rows of one thread count; to be called in a process whose environment has that count."""
    libraries = ["tinycnn", "torch"] if timing.has_torch() else ["tinycnn"]
    rows = []
    for name, make in ROWS.items():
        if chosen.lower() in name.lower():
            candidates = {library: make(nets.library(library, threads)) for library in libraries}
            rows.append({"name": name, "threads": threads} | timing.interleaved(candidates, repeats))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # the inner process
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.threads[0], options.rows, options.repeats)))
        return
    rows = []
    for threads in options.threads:
        arguments = ["--measure", "--threads", str(threads), "--repeats", str(options.repeats), "--rows", options.rows]
        rows += timing.in_process(__file__, arguments, threads)
    timing.print_table(rows, "Milliseconds a step, median of interleaved runs")


if __name__ == "__main__":
    main()
