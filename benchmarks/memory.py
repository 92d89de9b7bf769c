"""The peak of memory in one convolution's training step. `training.py` measures that of whole nets.

The peak is the process's resident memory above what it was before the input was made; the bound is the memory of what
must exist: input, output, their gradients, weights and their gradients.

    python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nets
import timing

from tinycnn._files import write_whole

SHAPE, KERNEL = (16, 64, 112, 112), (64, 64, 3, 3)


def peak_megabytes(call: Any) -> float:
    """How far resident memory rises above its present value while `call` runs."""
    highest, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.0005):
            highest[0] = max(highest[0], resident())

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return (max(highest[0], resident()) - before) / 1e6


def resident() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def convolution_step(lib: Any) -> Any:
    """A training step of one convolution that makes its input, output gradient and all else itself."""

    def step() -> None:
        x = lib.ones(*SHAPE, requires_grad=True)
        w = lib.ones(*KERNEL, requires_grad=True)
        y = lib.nn.functional.conv2d(x, w, padding=1)
        y.backward(lib.ones(*y.shape))

    return step


def bound_megabytes() -> float:
    return (4 * math.prod(SHAPE) + 2 * math.prod(KERNEL)) * 4 / 1e6


def in_fresh_process(library: str) -> float:
    """Memory that an allocator kept from earlier work would hide the peak."""
    command = [sys.executable, __file__, "--peak", library]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--peak", metavar="LIBRARY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        lib = nets.library(options.peak, 1)
        (lib.ones(1, 2, 3, 3, requires_grad=True) * 2).sum().backward()  # load what is loaded lazily
        time.sleep(0.01)
        print(json.dumps(peak_megabytes(convolution_step(lib))))
        return
    peaks = {library: in_fresh_process(library) for library in timing.libraries()}
    rows: list[timing.Row] = [
        {"name": f"peak memory of Conv2d(64→64, 3×3) on {SHAPE}", "threads": 1, "unit": "MB"} | peaks,
        {"name": "  of which must exist", "threads": 1, "unit": "MB", "tinycnn": bound_megabytes()},
    ]
    timing.print_header("Memory of one convolution")
    for row in rows:
        timing.print_row(row)
    if options.json:
        write_whole(options.json, json.dumps(rows).encode())


if __name__ == "__main__":
    main()
