"""Compares what tinycnn and torch did in a program, and knows the differences that are meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
ERRORS = (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError, ZeroDivisionError)


@dataclass(frozen=True)
class Difference:
    """Where the two libraries first differ: `kind` is raises, error, missing, shape, dtype, requires_grad or value."""

    kind: str
    index: int  # of the statement
    statement: Statement
    name: str  # the tensor
    ours: Any
    theirs: Any
    overlaps: bool = False  # whether what a statement changes in place repeats elements in memory
    empty: bool = False  # whether torch's result has no elements
    changed: bool = False  # whether an earlier statement changed something in place
    precision: str = ""  # of the coarsest tensor that it was computed from
    renamed: bool = False  # whether one library returned an input itself, and the other a view of it

    @property
    def in_backward(self) -> bool:
        return self.is_gradient or ".grad(" in self.statement.code

    @property
    def is_gradient(self) -> bool:
        return is_gradient(self.name)

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


def raises(message: str, by: str = "tinycnn") -> Callable[[Difference], bool]:
    """Whether one library raised this error, and the other none."""

    def applies(difference: Difference) -> bool:
        error, other = difference.ours, difference.theirs
        if by == "torch":
            error, other = other, error
        return difference.kind == "raises" and other is None and bool(re.search(message, str(error)))

    return applies


def _constant(difference: Difference) -> bool:
    """Whether a gradient is constant in tinycnn, and for torch depends on its inputs by a factor of 0."""
    ours, theirs = difference.ours, difference.theirs
    if difference.kind == "requires_grad":
        return difference.in_backward and not ours.requires_grad
    return difference.kind == "missing" and difference.in_backward and ours is None and not theirs.array.any()


def _forgotten(difference: Difference) -> bool:
    """Whether torch has given a view that was changed in place a new history, so that no gradient reaches it."""
    lost = difference.theirs is None if difference.kind == "missing" else difference.kind == "requires_grad"
    return lost and difference.in_backward and difference.changed


def _infinite_logit(difference: Difference) -> bool:
    wrong = difference.kind == "value" and difference.statement.operator == "binary_cross_entropy_with_logits"
    return wrong and not np.isnan(difference.ours.array).any()


def _empty_image(difference: Difference) -> bool:
    return difference.kind in ("raises", "shape", "dtype") and difference.statement.code.startswith("F.") and difference.hollow


def _lacks_kernel(difference: Difference) -> bool:
    averages = re.search("avg|linear'|bicubic", difference.statement.code)
    types = "Half|Bool" if averages else r"\w+"
    return raises(f"not implemented for '({types})'", by="torch")(difference)


KNOWN = (
    Known("`view` copies where torch refuses",
          raises("view size is not compatible with input tensor's size and stride", by="torch")),
    Known("A change in place is not recorded: where gradients are recorded, it is an error.",
          raises("a change in place is not recorded for gradients")),
    Known("A change in place of an expanded tensor is an error; torch lets some pass.",
          lambda d: d.overlaps and raises("an expanded tensor repeats its elements")(d)),
    Known("A part that `split` or `chunk` gave can be changed in place, and a view keeps its history",
          raises("This view is the output of a function that returns multiple views", by="torch")),
    Known("A part that `split` or `chunk` gave can be changed in place, and a view keeps its history",
          _forgotten),
    Known("Where nothing is to do, some operators return their input itself where torch's return a view",
          lambda d: d.kind == "missing" and d.in_backward and d.renamed),
    Known("An operator may keep another of its tensors for the backward pass than torch's",
          raises("was changed in place after the forward pass|a second time: what it saved was freed")),
    Known("Step functions (`sign`, `floor`, `ceil`, `round`, `//`) give constants.", _constant),
    Known("torch gives them a gradient of zeros, or none.",
          raises("this tensor needs no gradient|has requires_grad=False")),
    Known("Losses refuse a target of another shape than the input's; torch broadcasts some, with a warning.",
          raises("expected a target of the input's shape")),
    Known("The mean of a loss over an empty batch raises an error, where torch returns nan.",
          raises("mean of no (elements|targets)|empty batch")),
    Known("Some operators torch has on a CPU for fewer dtypes, or without a gradient.", _lacks_kernel),
    Known("Some operators torch has on a CPU for fewer dtypes, or without a gradient.",
          raises("derivative for .* is not implemented|tensor does not have a device", by="torch")),
    Known("Some operators torch has on a CPU for fewer dtypes, or without a gradient.",
          raises("does not support bool|Boolean inputs not supported", by="torch")),
    Known("The loss of an infinite logit is infinite or 0, where torch's is nan.", _infinite_logit),
    Known("An index out of range is an error where the result is empty, too.",
          lambda d: raises("index .* is out of bounds")(d) and d.empty),
)  # fmt: skip


# --- comparing --------------------------------------------------------------------------------------------


def differences(program: Program, watch: bool = False) -> Iterator[Difference]:
    """Every difference that is not meant, in the order of the statements, up to the first that is.

    What follows a difference of outcome (one raises, or shapes differ) is not compared: there is nothing to compare.
    """
    ours = run(program, tinycnn, watch=watch)
    theirs = run(program, torch, ours, watch)
    found = list(_compared(program, ours, theirs, None))
    if any(each.kind == "value" and each.precision != "float64" for each in found):
        found = list(_compared(program, ours, theirs, run(program, FLOAT64, ours, watch)))
    constant = False
    for each in found:
        if _is_refusal(each) and _right_where_torch_refuses(program, each, ours, watch):
            return
        if each.kind == "requires_grad" and constant:
            continue  # it follows from one that is known
        constant = constant or _constant(each)
        if not any(known.applies(each) for known in KNOWN):
            yield each


# torch refuses a backward pass, because of a change in place or because what it needs is freed; tinycnn does not.
_is_refusal = raises("modified by an inplace operation|backward through the graph a second time", by="torch")


def _right_where_torch_refuses(program: Program, refusal: Difference, ours: Trace, watch: bool) -> bool:
    """Whether tinycnn's gradients are those of the values before the change: it need not refuse, then."""
    program = tuple(_retaining(statement) for statement in program[: refusal.index + 1])
    around = torch.autograd.graph.allow_mutation_on_saved_tensors
    theirs, exact = (run(program, lib, ours, watch, around) for lib in (torch, FLOAT64))
    return all(each.kind == "requires_grad" for each in _compared(program, ours, theirs, exact))


def _retaining(statement: Statement) -> Statement:
    """The same backward pass, after which everything is kept."""
    if ".backward(" not in statement.code and ".grad(" not in statement.code:
        return statement
    code = re.sub(r"(, )?retain_graph=\w+", "", statement.code)
    return replace(statement, code=f"{code[:-1]}, retain_graph=True)".replace("(, ", "("))


def _compared(program: Program, ours: Trace, theirs: Trace, exact: Trace | None) -> Iterator[Difference]:
    scale, changed, renamed = 1.0, False, False
    coarsest: dict[str, int] = {}  # of each name, which of FLOATS
    for index, statement in enumerate(program):
        a, b = ours[index], theirs[index]
        if a.error is not None and not isinstance(a.error, ERRORS):
            yield Difference("error", index, statement, statement.target, a.error, b.error)
            return
        if (a.error is None) != (b.error is None):
            empty = any(x is not None and x.array.size == 0 for x in b.tensors.values())
            yield Difference("raises", index, statement, statement.target, a.error, b.error, b.overlaps, empty)
            return
        for seen in a.tensors.values():
            if seen is not None and seen.array.dtype.kind == "f":
                finite = np.abs(seen.array[np.isfinite(seen.array)])
                scale = max(scale, float(finite.max(initial=0)))
        for name, seen in a.tensors.items():
            if seen is not None and seen.dtype in FLOATS:
                root = name.removeprefix("d ").split("[")[0].split(".")[0]
                coarsest[root] = max(coarsest.get(root, 0), FLOATS.index(seen.dtype))
        forward = statement.target and ".grad(" not in statement.code
        names = {statement.target, *statement.uses} if forward else coarsest.keys()
        precision = FLOATS[max((coarsest.get(name, 0) for name in names), default=0)]
        for name in sorted(a.tensors.keys() | b.tensors.keys(), key=lambda name: name.startswith("x")):
            if name.startswith("d ") and not (name in a.tensors and name in b.tensors):
                continue  # one library passes zeros on, the other nothing: leaves show what is lost
            x, y = a.tensors.get(name), b.tensors.get(name)
            gradient = is_gradient(name) or ".grad(" in statement.code
            kind = _kind(gradient, x, y, precision, scale, exact and exact[index].tensors.get(name))
            if kind and (kind != "requires_grad" or statement.target):
                yield Difference(kind, index, statement, name, x, y, False, False, changed, precision, renamed)
                if kind not in ("value", "requires_grad"):
                    return
        changed, renamed = changed or not statement.target, renamed or a.same != b.same


def _kind(gradient: bool, x: Seen | None, y: Seen | None, precision: str, scale: float,
          exact: Seen | None) -> str:  # fmt: skip
    if x is None or y is None:
        return "" if x is y else "missing"
    if x.array.shape != y.array.shape:
        return "shape"
    if x.dtype != y.dtype:
        return "dtype"
    if x.requires_grad != y.requires_grad:
        return "requires_grad"
    if gradient:
        # Which of the two a gradient is where its terms are infinite depends on the order in which they are added.
        x, y = (replace(each, array=_without_signs(each.array)) for each in (x, y))
    return "" if _agree(x.array, y.array, TOLERANCE[precision], scale, exact) else "value"


def is_gradient(name: str) -> bool:
    return name.startswith("d ") or name.endswith(".grad")


def _without_signs(array: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(array), array, np.nan).astype(array.dtype)


def _agree(ours: np.ndarray, theirs: np.ndarray, tolerance: float, scale: float, exact: Seen | None) -> bool:
    if ours.dtype.kind != "f":
        return np.array_equal(ours, theirs)
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
