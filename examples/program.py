"""What the small programs share: errors of one line, imports that say what to install, and how to show numbers."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tinycnn._command import Parser, UserError, guarded, natural, positive, whole
from tinycnn._extras import how_to_install
from tinycnn.diagnostics.summary import table

__all__ = [
    "Parser", "UserError", "difference", "natural", "optional_torch", "positive", "require", "run", "seed", "show",
    "side_by_side", "table", "timed",
]  # fmt: skip


LARGEST_SEED = 2**32 - 1


def seed(text: str) -> int:
    """The type of an option that is the seed of random numbers."""
    return whole(text, 0, LARGEST_SEED)


def run(program: Callable[[argparse.Namespace], int | None], options: argparse.Namespace, name: str) -> int:
    """Runs `program`, whose errors begin with `name`, and returns its exit status."""
    return guarded(name)(lambda: program(options) or 0)()


def require(module: str, package: str, extra: str = "examples") -> ModuleType:
    """The imported module, or a UserError that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"needs {package}, which is not installed: {how_to_install(extra)}", status=2) from None


def optional_torch() -> ModuleType | None:
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def timed(function: Callable, *arguments: Any) -> tuple[Any, float]:
    """What `function` returns, and how many milliseconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, (time.perf_counter() - start) * 1000


def difference(a: Any, b: Any) -> float:
    """The largest absolute difference of two arrays of one shape."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    return float(np.abs(a - b).max(initial=0))


def show(matrix: Any, number: str = "g") -> list[str]:
    """The rows of a matrix as lines of aligned numbers."""
    cells = [[format(value, number) for value in row] for row in np.asarray(matrix).tolist()]
    width = max(len(cell) for row in cells for cell in row)
    return [" ".join(cell.rjust(width) for cell in row) for row in cells]


def side_by_side(titles: Sequence[str], blocks: Sequence[Sequence[str]], gap: str = "    ") -> str:
    """Blocks of lines next to each other, each under its title."""
    height = max(map(len, blocks))
    columns = []
    for title, block in zip(titles, blocks, strict=True):
        lines = [title, *block, *[""] * (height - len(block))]
        width = max(map(len, lines))
        columns.append([line.ljust(width) for line in lines])
    return "\n".join(gap.join(line).rstrip() for line in zip(*columns, strict=True))
