"""Compares what tinycnn and torch did in a program, and knows the differences that are meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import tinycnn
from tests.fuzz.program import FLOATS, Program, Statement
from tests.fuzz.run import FLOAT64, Seen, Trace, run

# Relative to 1 and the largest magnitude in the program so far. Each operator is compared for equal inputs.
TOLERANCE = {"float64": 1e-10, "float32": 3e-6, "float16": 3e-3}
# In a dtype with fewer bits, tinycnn's error may be this many times torch's: both against float64.
ERROR_RATIO = 4
# What tinycnn may raise. Anything else comes from NumPy or Python, and says nothing to the user.
ERRORS = (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError)


@dataclass(frozen=True)
class Difference:
    """Where the two libraries first differ: `kind` is raises, error, missing, shape, dtype, requires_grad or value."""

    kind: str
    index: int  # of the statement
    statement: Statement
    name: str  # the tensor
    ours: Any
    theirs: Any

    @property
    def dtype(self) -> str:
        return self.theirs.dtype if isinstance(self.theirs, Seen) else ""

    @property
    def is_gradient(self) -> bool:
        return self.name.startswith("d ") or self.name.endswith(".grad")

    @property
    def signature(self) -> tuple[str, str]:
        """Differences of one signature are likely to have one cause."""
        kind = "gradient" if self.is_gradient and self.kind == "value" else self.kind
        detail = ""
        if isinstance(self.ours, Exception) and not isinstance(self.theirs, Exception):
            detail = f" {type(self.ours).__name__}"
        if isinstance(self.theirs, Exception) and not isinstance(self.ours, Exception):
            detail = " torch only"
        return kind + detail, self.statement.operator

    def __str__(self) -> str:
        def text(value: Any) -> str:
            if isinstance(value, Seen):
                array = np.array2string(value.array, separator=", ", threshold=30).replace("\n", "")
                return f"{array}, {value.dtype}, shape {value.array.shape}, requires_grad={value.requires_grad}"
            return repr(value)[:300]

        return (
            f"{self.kind} of {self.name} after `{self.statement.source}`\n"
            f"  tinycnn: {text(self.ours)}\n  torch:   {text(self.theirs)}"
        )


# --- differences that are meant ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """A difference that docs/design.md names: `sentence` stands there."""

    sentence: str
    applies: Callable[[Difference], bool]


def _message(error: Any, *patterns: str) -> bool:
    return isinstance(error, Exception) and any(re.search(pattern, str(error)) for pattern in patterns)


def _raises(difference: Difference, ours: str | None = None, theirs: str | None = None) -> bool:
    """Whether one library raised an error of this message and the other did not."""
    return difference.kind == "raises" and (
        _message(difference.ours, ours) if ours is not None else _message(difference.theirs, theirs or "")
    )


KNOWN = (
    Known(
        "`view` copies where torch refuses",
        lambda d: _raises(d, theirs="view size is not compatible with input tensor's size and stride"),
    ),
    Known(
        "The mean of a loss over an empty batch raises an error, where torch returns nan.",
        lambda d: _raises(d, ours="mean of no (elements|targets)|empty batch"),
    ),
)


# --- comparing --------------------------------------------------------------------------------------------


def differences(program: Program, watch: bool = False) -> Iterator[Difference]:
    """Every difference that is not meant, in the order of the statements, up to the first that is.

    What follows a difference of outcome (one raises, or shapes differ) is not compared: there is nothing to compare.
    """
    ours = run(program, tinycnn, watch=watch)
    theirs = run(program, torch, ours, watch)
    found = list(_compared(program, ours, theirs, None))
    if any(each.kind == "value" and each.dtype in FLOATS[1:] for each in found):
        found = list(_compared(program, ours, theirs, run(program, FLOAT64, ours, watch)))
    for each in found:
        if _is_refusal(each) and _right_where_torch_refuses(program, each, ours, watch):
            return
        if any(known.applies(each) for known in KNOWN):
            return
        yield each


def _is_refusal(difference: Difference) -> bool:
    """Whether torch refuses a backward pass for a change in place, and tinycnn does not."""
    return _raises(difference, theirs="modified by an inplace operation")


def _right_where_torch_refuses(program: Program, refusal: Difference, ours: Trace, watch: bool) -> bool:
    """Whether tinycnn's gradients are those of the values before the change: it need not refuse, then."""
    upto = program[: refusal.index + 1]
    theirs = run(upto, torch, ours, watch, torch.autograd.graph.allow_mutation_on_saved_tensors)
    exact = run(upto, FLOAT64, ours, watch, torch.autograd.graph.allow_mutation_on_saved_tensors)
    return not list(_compared(upto, ours, theirs, exact))


def _compared(program: Program, ours: Trace, theirs: Trace, exact: Trace | None) -> Iterator[Difference]:
    scale = 1.0
    for index, statement in enumerate(program):
        a, b = ours[index], theirs[index]
        if a.error is not None and not isinstance(a.error, ERRORS):
            yield Difference("error", index, statement, statement.target, a.error, b.error)
            return
        if (a.error is None) != (b.error is None):
            yield Difference("raises", index, statement, statement.target, a.error, b.error)
            return
        for seen in a.tensors.values():
            if seen is not None and seen.array.dtype.kind == "f":
                finite = np.abs(seen.array[np.isfinite(seen.array)])
                scale = max(scale, float(finite.max(initial=0)))
        for name in sorted(a.tensors.keys() | b.tensors.keys(), key=lambda name: name.startswith("x")):
            if name.startswith("d ") and not (name in a.tensors and name in b.tensors):
                continue  # one library passes zeros on, the other nothing: leaves show what is lost
            x, y = a.tensors.get(name), b.tensors.get(name)
            kind = _kind(x, y, scale, exact and exact[index].tensors.get(name))
            if kind:
                yield Difference(kind, index, statement, name, x, y)
                if kind != "value":
                    return


def _kind(x: Seen | None, y: Seen | None, scale: float, exact: Seen | None) -> str:
    if x is None or y is None:
        return "" if x is y else "missing"
    if x.array.shape != y.array.shape:
        return "shape"
    if x.dtype != y.dtype:
        return "dtype"
    if x.requires_grad != y.requires_grad:
        return "requires_grad"
    return "" if _agree(x.array, y.array, scale, exact) else "value"


def _agree(ours: np.ndarray, theirs: np.ndarray, scale: float, exact: Seen | None) -> bool:
    if ours.dtype.kind != "f":
        return np.array_equal(ours, theirs)
    tolerance = TOLERANCE[ours.dtype.name]
    with np.errstate(invalid="ignore", over="ignore"):
        close = _close(ours, theirs, tolerance, scale)
        if exact is None or close.all() or exact.array.shape != ours.shape:
            return bool(close.all())
        right = exact.array.astype(ours.dtype)  # inf where it is too large
        error, allowed = (np.abs(each.astype(float) - exact.array) for each in (ours, theirs))
        allowed = ERROR_RATIO * allowed[np.isfinite(allowed)].max(initial=0)
        return bool((close | _close(ours, right, tolerance, 1.0) | (error <= allowed)).all())


def _close(x: np.ndarray, y: np.ndarray, tolerance: float, scale: float) -> np.ndarray:
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    x, y = x.astype(float), y.astype(float)
    return same | (np.isfinite(x) & np.isfinite(y) & (np.abs(x - y) <= tolerance * (scale + np.abs(y))))
