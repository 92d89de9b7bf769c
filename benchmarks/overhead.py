"""What is not arithmetic: 1,000 small operators with their gradients, and the time that an import takes.

    python benchmarks/overhead.py [--repeats 20]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

import nets
import numpy as np
import timing


def small_operators(lib: Any) -> Any:
    """A function that runs 1,000 operators on an 8 × 8 tensor forward and backward."""
    array = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    x = lib.tensor(array)
    x.requires_grad_()

    def run() -> Any:
        y = x
        for _ in range(125):  # 8 operators each
            y = (y * 0.5 + x).tanh().relu()
            y = (y.reshape(64) - 0.1).reshape(8, 8) * x
        total = y.sum()
        total.backward()
        return total

    return run


def import_seconds(library: str, repeats: int) -> float:
    """The median seconds of `import library` in a fresh interpreter, less those of an interpreter alone."""

    def seconds(code: str) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    return seconds(f"import {library}") - seconds("pass")


def measure(threads: int, only: str, repeats: int) -> list[timing.Row]:
    rows = []
    if only.lower() in "1,000 small operators":
        calls = {library: small_operators(nets.library(library, threads)) for library in timing.libraries()}
        row = {"name": "1,000 small operators, forward and backward", "threads": threads}
        rows.append(row | timing.interleaved(calls, repeats))
    if only.lower() in "import":
        seconds = {library: import_seconds(library, max(3, repeats // 4)) for library in timing.libraries()}
        rows.append({"name": "import", "threads": threads} | seconds)
    return rows


if __name__ == "__main__":
    timing.run(__file__, measure, __doc__, threads=[1], repeats=20)
