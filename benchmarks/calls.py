"""The way of a training step: the files it enters and the calls it makes, which are the same on every machine.

One LeNet-5 step (batch 64, SGD with momentum, cross-entropy: zero_grad, forward, loss, backward, update), after three
to fill the caches, watched by `sys.setprofile`. On a GPU these calls are the time of an eager step.

    python benchmarks/calls.py [--files] [--library torch]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import nets

# What a step may take; tests/test_calls.py holds it to that.
LIMITS = {"files": 20, "changes of file": 350, "Python calls": 700, "C calls": 900}


def count(step: Callable[[], Any], package: Path) -> tuple[dict[str, int], Counter[str]]:
    """What `step()` takes: the files of `package` that it enters, how often a call enters another one than the call
    before it, and all calls, NumPy's too; and the calls into each file."""
    entered: list[str] = []
    calls = {"call": 0, "c_call": 0}

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event in calls:
            calls[event] += 1
            if event == "call" and frame.f_code.co_filename.startswith(str(package)):
                entered.append(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(None)
    files = Counter(entered)
    changes = sum(before != after for before, after in pairwise(entered))
    numbers = (len(files), changes, calls["call"], calls["c_call"])
    return dict(zip(LIMITS, numbers, strict=True)), files


def lenet_step(library: str = "tinycnn") -> tuple[dict[str, int], Counter[str]]:
    """The counts of the LeNet-5 training step, on one thread."""
    lib = nets.library(library, threads=1)
    lib.set_num_threads(1)
    step = nets.training_step(lib, net=nets.lenet, batch_size=64, optimizer="SGD")
    for _ in range(3):
        step()
    assert lib.__file__ is not None
    return count(step, Path(lib.__file__).parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true", help="list the files with the calls in each")
    parser.add_argument("--library", default="tinycnn", help="tinycnn or torch")
    options = parser.parse_args()
    counted, entered = lenet_step(options.library)
    for name, number in counted.items():
        print(f"{name:16} {number:6}" + (f"   at most {LIMITS[name]}" if options.library == "tinycnn" else ""))
    if options.files:
        for file, calls in entered.most_common():
            print(f"{calls:6}  {file}")
