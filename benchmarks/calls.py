"""The way of a training step: the files it enters and the calls it makes, which are the same on every machine.

One LeNet-5 step (batch 64, SGD with momentum, cross-entropy: zero_grad, forward, loss, backward, update), after three
to fill the caches, watched by `sys.setprofile`. On a GPU these calls are the time of an eager step.

    python benchmarks/calls.py [--files] [--library torch]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import nets

# What a step may take; tests/test_calls.py holds it to that.
LIMITS = {"files": 20, "changes of file": 350, "Python calls": 700, "C calls": 900}


def count(step: Any, package: Path) -> tuple[dict[str, int], Counter[str]]:
    """The files of `package` that `step()` enters, how often it changes from one to another, and its calls; and the
    Python calls of each file."""
    files: Counter[str] = Counter()
    counts = {"files": 0, "changes of file": 0, "Python calls": 0, "C calls": 0}
    stack: list[str | None] = []  # the file of each frame, None outside of the package

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counts["Python calls"] += 1
            name = frame.f_code.co_filename
            file = name if name.startswith(str(package)) else None
            if file is not None:
                files[file] += 1
                counts["changes of file"] += bool(stack) and stack[-1] != file
            stack.append(file or (stack[-1] if stack else None))
        elif event == "c_call":
            counts["C calls"] += 1
        elif event == "return" and stack:
            left = stack.pop()
            counts["changes of file"] += bool(stack) and stack[-1] != left
    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(None)
    counts["files"] = len(files)
    return counts, files


def lenet_step(library: str = "tinycnn") -> tuple[dict[str, int], Counter[str]]:
    """The counts of the LeNet-5 training step, on one thread."""
    lib = nets.library(library, threads=1)
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
