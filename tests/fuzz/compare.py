"""Compares what tinycnn and torch did in a program."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

import tinycnn
from tests.fuzz.difference import Difference, constant_gradient, is_gradient, is_meant, torch_raises
from tests.fuzz.program import FLOATS, Program, Statement
from tests.fuzz.run import FLOAT64, Seen, Step, Trace, run

# Relative to 1 and the largest magnitude in the program so far. Each operator is compared for equal inputs.
TOLERANCE = {"float64": 1e-12, "float32": 3e-6, "float16": 3e-3}
# In a dtype with fewer bits, tinycnn's error may be this many times torch's: both against float64.
ERROR_RATIO = 4
# What tinycnn may raise, and a program that uses a gradient that is None. Anything else comes from NumPy or Python, and
# says nothing to a user.
ERRORS = (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError, ZeroDivisionError, AttributeError)


def first_difference(program: Program, watch: bool = False) -> Difference | None:
    """The first difference that is not meant.

    What follows a difference of outcome (one raises, or shapes differ) is not compared: there is nothing to compare.
    """
    ours = run(program, tinycnn, watch=watch)
    theirs = run(program, torch, ours, watch)
    found = list(compared(program, ours, theirs))
    if any(each.kind == "value" and each.precision != "float64" for each in found):
        found = list(compared(program, ours, theirs, run(program, FLOAT64, ours, watch)))
    constant = False
    for each in found:
        if is_refusal(each) and _right_where_torch_refuses(program, each, ours, watch):
            return None
        if each.kind == "requires_grad" and constant:
            continue  # it follows from one that is known
        constant = constant or constant_gradient(each)
        if not is_meant(each):
            return each
    return None


# torch refuses a backward pass, because of a change in place or because what it needs is freed; tinycnn does not.
is_refusal = torch_raises("modified by an inplace operation|backward through the graph a second time")


def _right_where_torch_refuses(program: Program, refusal: Difference, ours: Trace, watch: bool) -> bool:
    """Whether tinycnn's gradients are those of the values before the change: it need not refuse, then."""
    program = tuple(_retaining(statement) for statement in program[: refusal.index + 1])
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.detach().clone(), lambda x: x):  # a graph keeps copies
        theirs, exact = (run(program, lib, ours, watch) for lib in (torch, FLOAT64))
    return all(each.kind == "requires_grad" or is_meant(each) for each in compared(program, ours, theirs, exact))


def _retaining(statement: Statement) -> Statement:
    """The same backward pass, after which everything is kept."""
    if not statement.differentiates:
        return statement
    code = re.sub(r"(, )?retain_graph=\w+", "", statement.code)
    return replace(statement, code=f"{code[:-1]}, retain_graph=True)".replace("(, ", "("))


def compared(program: Program, ours: Trace, theirs: Trace, exact: Trace | None = None) -> Iterator[Difference]:
    """Every difference, meant or not; with `exact`, the trace in float64, none where tinycnn is as good as torch."""
    scale, facts, operators = 1.0, set(), set()
    precisions: dict[str, int] = defaultdict(int)  # the coarsest of FLOATS that a name has been
    hollow: set[str] = set()  # names of tensors without elements in a dimension after the first
    for index, statement in enumerate(program):
        a, b = ours[index], theirs[index]
        for name, seen in a.tensors.items():
            if seen is not None:
                root = name.removeprefix("d ").split("[")[0].split(".")[0]
                scale = max(scale, seen.magnitude)
                precisions[root] = max(precisions[root], FLOATS.index(seen.dtype) if seen.dtype in FLOATS else 0)
                hollow |= {root} if 0 in seen.array.shape[seen.array.ndim > 2 :] else set()
        forward = statement.target and not statement.differentiates
        names = {statement.target, *statement.uses} if forward else precisions.keys()
        precision = FLOATS[max((precisions[name] for name in names), default=0)]
        operators.add(statement.operator)
        here = frozenset(facts | b.facts | ({"hollow"} if statement.uses & hollow else set()))
        for kind, name, x, y in _differing(statement, a, b, TOLERANCE[precision], scale, exact and exact[index]):
            yield Difference(kind, index, statement, name, x, y, precision, here, frozenset(operators))
            if kind not in ("value", "requires_grad"):
                return
        if a.error is not None and statement.differentiates:
            return  # which leaves have got their gradient by then is a library's own
        facts |= {"changed"} if not statement.target else set()
        facts |= {"renamed"} if a.same != b.same else set()


def _differing(
    statement: Statement, a: Step, b: Step, tolerance: float, scale: float, exact: Step | None
) -> Iterator[tuple]:
    """(kind, name, ours, theirs) of each difference after one statement."""
    if a.error is not None and not isinstance(a.error, ERRORS):
        yield "error", statement.target, a.error, b.error
    elif (a.error is None) != (b.error is None):
        yield "raises", statement.target, a.error, b.error
    else:
        for name in sorted(a.tensors.keys() | b.tensors.keys(), key=lambda name: name.startswith("x")):
            if name.startswith("d ") and not (name in a.tensors and name in b.tensors):
                continue  # one library passes zeros on, the other nothing: leaves show what is lost
            x, y = a.tensors.get(name), b.tensors.get(name)
            if x is None or y is None:
                kind = "missing" if x is not y else ""
            elif x.array.shape != y.array.shape:
                kind = "shape"
            elif x.dtype != y.dtype:
                kind = "dtype"
            elif statement.target and x.requires_grad != y.requires_grad:
                kind = "requires_grad"
            else:
                gradient = is_gradient(name) or statement.differentiates
                kind = "" if _agree(x, y, exact and exact.tensors.get(name), tolerance, scale, gradient) else "value"
            if kind:
                yield kind, name, x, y


def _agree(x: Seen, y: Seen, exact: Seen | None, tolerance: float, scale: float, gradient: bool) -> bool:
    if x.array.dtype.kind != "f":
        return np.array_equal(x.array, y.array)
    ours, theirs = x.array.astype(float), y.array.astype(float)
    with np.errstate(invalid="ignore", over="ignore"):
        close = _close(ours, theirs, tolerance, scale)
        if gradient:  # inf or nan: where its terms are infinite, the order of the additions decides
            close |= ~np.isfinite(ours) & ~np.isfinite(theirs)
        if exact is not None and not close.all() and exact.array.shape == ours.shape:
            error, allowed = abs(ours - exact.array), abs(theirs - exact.array)
            close |= error <= ERROR_RATIO * allowed[np.isfinite(allowed)].max(initial=0)
            rounded = exact.array.astype(x.array.dtype).astype(float)  # inf where it is too large
            close |= _close(ours, rounded, tolerance, 1.0)
    return bool(close.all())


def _close(x: np.ndarray, y: np.ndarray, tolerance: float, scale: float) -> np.ndarray:
    finite = np.isfinite(x) & np.isfinite(y)
    return (x == y) | (np.isnan(x) & np.isnan(y)) | (finite & (abs(x - y) <= tolerance * (scale + abs(y))))
