"""What a difference between the libraries is, and the table of those that are meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.fuzz.program import Statement
from tests.fuzz.run import Seen


@dataclass(frozen=True)
class Difference:
    """`kind` is raises, error (one that says nothing to a user), missing, shape, dtype, requires_grad or value.

    `facts` are words: "repeats" if what the statement changes in place, or what it is a view of, is expanded; "empty"
    if the result has no elements; "hollow" if an operand has none in a dimension after the first; "varies" if a
    gradient that is a constant for tinycnn has a derivative; "changed" if something was changed in place before;
    "renamed" if an operator before had returned its input itself in one library only.
    """

    kind: str
    index: int  # of the statement
    statement: Statement
    name: str  # of the tensor
    ours: Any
    theirs: Any
    precision: str  # the coarsest dtype that it was computed from
    facts: frozenset[str]
    operators: frozenset[str]  # of the statement and of all before it

    @property
    def in_backward(self) -> bool:
        return is_gradient(self.name) or self.statement.differentiates

    @property
    def signature(self) -> tuple[str, str]:
        """Differences of one signature are likely to have one cause."""
        detail = ""
        if self.kind == "raises":
            detail = " (torch)" if self.ours is None else f" {type(self.ours).__name__}"
        if self.kind == "value" and self.in_backward:
            detail = " of a gradient"
        return self.kind + detail, self.statement.operator

    def __str__(self) -> str:
        name = f"the gradient that reaches {self.name[2:]}" if self.name.startswith("d ") else self.name
        what = {"raises": "one raises", "error": "a raw error"}.get(self.kind, f"{self.kind} of {name}")
        ours, theirs = (str(x) if isinstance(x, Seen) else repr(x)[:300] for x in (self.ours, self.theirs))
        return f"{what} after `{self.statement.source}`\n  tinycnn: {ours}\n  torch:   {theirs}"


def is_gradient(name: str) -> bool:
    return name.startswith("d ") or name.endswith(".grad")


Condition = Callable[[Difference], bool]


def ours_raises(message: str) -> Condition:
    return lambda d: d.kind == "raises" and d.theirs is None and bool(re.search(message, str(d.ours)))


def torch_raises(message: str) -> Condition:
    return lambda d: d.kind == "raises" and d.ours is None and bool(re.search(message, str(d.theirs)))


def constant_gradient(d: Difference) -> bool:
    """tinycnn's gradient is a constant, or none; torch's depends on the input by a factor of 0, or is 0."""
    if d.kind == "requires_grad":
        return d.in_backward and "varies" not in d.facts
    return d.kind == "missing" and d.in_backward and d.ours is None and not d.theirs.array.any()


def _forgotten_view(d: Difference) -> bool:
    lost = d.theirs is None if d.kind == "missing" else d.kind == "requires_grad"
    part = d.kind == "value" and d.name.startswith("d ")  # what reaches the leaves is compared as well
    return (lost or part) and d.in_backward and "changed" in d.facts


def _torch_alone_is_nan(*operators: str) -> Condition:
    def applies(d: Difference) -> bool:
        if d.kind != "value" or not d.operators & set(operators) or d.ours.array.dtype.kind != "f":
            return False
        ours, theirs = d.ours.array, d.theirs.array
        return bool(((~np.isnan(ours) & np.isnan(theirs)) | np.isclose(ours, theirs, equal_nan=True)).all())

    return applies


def _lacks_kernel(d: Difference) -> bool:
    # Of integers an average is none: both have to refuse it.
    types = "Half|Bool" if re.search("avg|linear'", d.statement.code) else r"\w+"
    lacks = f"not implemented for '({types})'|does not support bool|Boolean inputs not supported"
    lacks += "|with a bool tensor is not supported" if d.statement.operator == "l1_loss" else ""
    return torch_raises(lacks)(d)


def _beside_infinity(d: Difference) -> bool:
    if d.kind != "value" or "interpolate" not in d.operators:
        return False
    ours, theirs = d.ours.array, d.theirs.array
    return bool((~np.isfinite(ours) | ~np.isfinite(theirs) | np.isclose(ours, theirs)).all())


def _empty_image(d: Difference) -> bool:
    layer = d.kind in ("raises", "shape", "dtype") and d.statement.code.startswith("F.")
    result = d.statement.operator == "pixel_unshuffle" or ours_raises("give an output|no empty dim|output_padding")(d)
    empty = "hollow" in d.facts or (result and "empty" in d.facts) or torch_raises(r"select\(\): index 0 out of")(d)
    return layer and empty


# Every difference that is meant: the sentence of docs/coming-from-pytorch.md that says so, and what it covers, as
# little as can be.
KNOWN: list[tuple[str, Condition]] = [
    ("`view` copies where torch refuses",
     torch_raises("view size is not compatible with input tensor's size and stride")),
    ("A change in place of an expanded tensor, or of a view of one, is an error; torch lets some pass.",
     lambda d: "repeats" in d.facts and ours_raises("an expanded tensor repeats its|its memory is read-only")(d)),
    ("A part that `split` or `chunk` gave can be changed in place, and a view keeps its history",
     torch_raises("This view is the output of a function that returns multiple views")),
    ("A part that `split` or `chunk` gave can be changed in place, and a view keeps its history", _forgotten_view),
    ("Where nothing is to do, some operators return their input itself where torch's return a view",
     lambda d: "renamed" in d.facts and (
         (d.kind == "missing" and d.in_backward) or ours_raises("the outputs do not depend on inputs")(d)
         or torch_raises("appears to not have been used in the graph")(d))),
    ("An operator may keep another of its tensors for the backward pass than torch's",
     ours_raises("was changed in place after the forward pass|a second time: what it saved was freed")),
    ("Step functions (`sign`, `floor`, `ceil`, `round`, `trunc`, `//`) give constants.", constant_gradient),
    ("torch gives them a gradient of zeros, or none.",
     ours_raises("this tensor needs no gradient|has requires_grad=False|'NoneType' object has no attribute")),
    ("Losses refuse a target of another shape than the input's; torch broadcasts some, with a warning.",
     ours_raises("expected a target of the input's shape")),
    ("The mean of a loss over an empty batch raises an error, where torch returns nan.",
     ours_raises("mean of no (elements|targets)|empty batch")),
    ("Some operators torch has on a CPU for fewer dtypes, or without a gradient.", _lacks_kernel),
    ("Some operators torch has on a CPU for fewer dtypes, or without a gradient.",
     torch_raises("derivative for .* is not implemented|is not differentiable|grad_input must be contiguous")),
    ("Class indices may have any integer dtype, and masks of an assignment be of uint8.",
     torch_raises(r"type Long but found Byte|masked_fill_ only supports|gather\(\): Expected dtype int32/int64")),
    ("Some operators torch has on a CPU for fewer dtypes, or without a gradient.",  # bounds that broadcast, bool powers
     lambda d: d.statement.differentiates and torch_raises("doesn't match the broadcast shape|with a bool tensor")(d)),
    ("The loss of an infinite logit is infinite or 0, where torch's is nan.",
     _torch_alone_is_nan("binary_cross_entropy_with_logits")),
    ("A row that `cross_entropy` or `nll_loss` ignores has gradient 0, whatever it holds; torch's is nan",
     _torch_alone_is_nan("cross_entropy", "nll_loss")),
    ("The gradient of a norm at 0 is 0 for any upstream gradient, where torch's is nan for an infinite one",
     _torch_alone_is_nan("norm")),
    ("`hardswish` of −∞ is 0, where torch's is nan.", _torch_alone_is_nan("hardswish")),
    ("An index out of range is an error where the result is empty, too.",
     lambda d: ours_raises("index .* is out of bounds")(d) and "empty" in d.facts),
    ("An index holds one `...`; torch takes more where nothing comes after them.", ours_raises("a single ellipsis")),
    ("Products refuse booleans; torch takes them where there is nothing to be computed.",
     lambda d: d.facts & {"empty", "hollow"} and ours_raises("one numeric dtype, got bool and bool")(d)),
    ("losses of two such tensors refuse integers and booleans; torch takes some, and cuts averages to integers.",
     ours_raises(r"(avg_pool\dd|interpolate|unpool\dd|fold|_loss): expected a floating-point")),
    ("`InstanceNorm1d` to `InstanceNorm3d` and `dropout3d` refuse other shapes; torch lets some pass, with a warning.",
     ours_raises(r"dropout\dd: expected \d dimensions|instance_norm: .* at least one spatial dimension")),
    ("`avg_pool3d` takes a window that is larger than the input, but not than the padded one.",
     torch_raises("input image .T: .* smaller than kernel size")),
    ("The second derivative of a power of 0 is 0, where torch's is nan.", _torch_alone_is_nan("**")),
    ("The second derivative of `elu` at 0 is that of its left side; torch's is 0.",
     lambda d: d.kind == "value" and d.in_backward and "elu" in d.operators),
    ("Linear interpolation beside an infinite element gives inf, nan or neither, not always as torch does.",
     _beside_infinity),
    ("Which images without channels or pixels a layer accepts is not torch's choice in all cases.", _empty_image),
    ("Which images without channels or pixels a layer accepts is not torch's choice in all cases.",
     lambda d: "hollow" in d.facts and _torch_alone_is_nan("group_norm", "layer_norm", "instance_norm")(d)),
]  # fmt: skip


def is_meant(difference: Difference) -> bool:
    return any(applies(difference) for _, applies in KNOWN)
