"""What is not arithmetic: 1,000 small operators with their gradients, and the time that an import takes.

    python benchmarks/overhead.py [--repeats 20]
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

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


def an_import(lib: Any) -> Any:
    """A function that imports the library in a fresh interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", f"import {lib.__name__}"], check=True)


GROUPS = {
    "1,000 small operators, forward and backward": lambda lib: {"": small_operators(lib)},
    "start of an interpreter and import": lambda lib: {"": an_import(lib)},
}

if __name__ == "__main__":
    timing.run(__file__, GROUPS, __doc__, threads=[1], repeats=10)
