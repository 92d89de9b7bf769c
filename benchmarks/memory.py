"""Memory and growth: the peak of one convolution's training step, and how time and memory grow with batch and depth.

The peak is the process's resident memory above what it was before the input was made; the bound is the memory of what
must exist: input, output, their gradients, weights and their gradients.

    python benchmarks/memory.py
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import threading
import time
from typing import Any

import nets
import numpy as np
import timing

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


def deep_step(lib: Any, depth: int, batch: int) -> Any:
    """A training step of `depth` convolutions 8→8, 3×3."""
    nn = lib.nn
    model = nn.Sequential(*[m for _ in range(depth) for m in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())])
    x = lib.tensor(np.random.default_rng(0).standard_normal((batch, 8, 16, 16)).astype(np.float32))
    return lambda: model(x).sum().backward()


def measure(threads: int, only: str, repeats: int) -> list[timing.Row]:
    rows: list[timing.Row] = []
    if only.lower() in "peak memory":
        peaks = {library: in_fresh_process(library) for library in timing.libraries()}
        name = f"peak memory of Conv2d(64→64, 3×3) on {SHAPE}"
        rows.append({"name": name, "threads": threads, "unit": "MB"} | peaks)
        rows.append({"name": "  of which must exist", "threads": threads, "unit": "MB", "tinycnn": bound_megabytes()})
    if only.lower() in "growth":
        for batch in (32, 64, 128, 256, 512, 1024):
            calls = {name: nets.training_step(nets.library(name, threads), nets.lenet, batch, "SGD")
                     for name in timing.libraries()}  # fmt: skip
            seconds = timing.interleaved(calls, repeats)
            row = {"name": f"LeNet-5 step, batch {batch}, ms an image", "threads": threads}
            rows.append(row | {library: value / batch for library, value in seconds.items()})
        for depth in (10, 20, 40, 80, 160):
            calls = {name: deep_step(nets.library(name, threads), depth, 32) for name in timing.libraries()}
            seconds = timing.interleaved(calls, max(3, repeats // 3))
            row = {"name": f"{depth} layers, ms a layer", "threads": threads}
            rows.append(row | {library: value / depth for library, value in seconds.items()})
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        step = convolution_step(nets.library(sys.argv[2], 1))
        warm_up = nets.library(sys.argv[2], 1)
        (warm_up.ones(1, 2, 3, 3, requires_grad=True) * 2).sum().backward()  # load what is loaded lazily
        time.sleep(0.01)
        print(json.dumps(peak_megabytes(step)))
    else:
        timing.run(__file__, measure, __doc__, threads=[1], repeats=9)
