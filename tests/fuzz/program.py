"""What a program is: statements in a text that tinycnn and torch both understand."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

FLOATS = ("float64", "float32", "float16")
DTYPES = (*FLOATS, "int64", "int32", "uint8", "bool")
LAYOUTS = ("row-major", "column-major", "batch innermost", "sliced", "expanded")

# A tensor of a program: a name, or an item of what a statement returned as a tuple; or the gradient of one.
TENSOR = re.compile(r"x\d+(\[\d+\])?(\.grad)?")


@dataclass(frozen=True)
class Leaf:
    """A tensor that is written down: its values, how it lies in memory, and whether it requires a gradient."""

    values: np.ndarray
    layout: str = "row-major"
    requires_grad: bool = False

    @property
    def code(self) -> str:
        base, view = self._base_and_view()
        dtype = "bool" if base.dtype == bool else f"lib.{base.dtype}"
        if base.size:
            code = f"lib.tensor({base.tolist()}, dtype={dtype})"
        else:
            code = f"lib.zeros({base.shape}, dtype={dtype})"
        if view:
            code = f"{code}{view}.detach()"
        return f"{code}.requires_grad_()" if self.requires_grad else code

    def _base_and_view(self) -> tuple[np.ndarray, str]:
        """The array in row-major order, and the view of it that is the leaf."""
        values, ndim = self.values, self.values.ndim
        if self.layout == "sliced" and ndim:
            base = np.full([2 * size + 1 for size in values.shape], 9, values.dtype)
            base[(slice(1, None, 2),) * ndim] = values
            return base, f"[{', '.join(['1::2'] * ndim)}]"
        if self.layout == "expanded" and ndim and values.shape[0] > 1 and (values == values[:1]).all():
            return values[:1], f".expand({values.shape})"
        if self.layout == "column-major" and ndim > 1:
            return values.T, f".permute({tuple(range(ndim))[::-1]})"
        if self.layout == "batch innermost" and ndim > 2:
            order = (2, 1, *range(3, ndim), 0)  # (N, C, H, W) lies as (H, C, W, N)
            return values.transpose(order), f".permute({tuple(np.argsort(order).tolist())})"
        return values, ""


@dataclass(frozen=True)
class Statement:
    """`target = code`, or a change in place or a backward pass, which have no target."""

    code: str
    target: str = ""
    no_grad: bool = False
    leaf: Leaf | None = None

    @property
    def source(self) -> str:
        line = f"{self.target} = {self.code}" if self.target else self.code
        return f"with lib.no_grad(): {line}" if self.no_grad else line

    @property
    def operator(self) -> str:
        """What the statement does, for grouping: the last function or method called, or the sign between operands."""
        if self.leaf:
            return "leaf"
        code = re.sub(r"\.(detach|clone)\(\)$", "", self.code)
        if assigned := re.match(r"x\d+(\[\d+\])?(\.grad)?(\[.*\])? (\S*=) ", code):
            return assigned[4] if assigned[4] != "=" else "[...] ="
        signs = re.findall(r" (\+|-|\*|/|//|%|\*\*|==|!=|<|<=|>|>=|&|\||\^|@) ", code)
        called = re.match(r"(?:lib\.|F\.|x\d+(?:\[\d+\])?(?:\.grad)?\.)([\w.]+)", code)
        return called[1] if called else signs[0] if signs else "[...]" if "[" in code else code.strip("()")[0]

    @property
    def differentiates(self) -> bool:
        return ".backward(" in self.code or ".autograd.grad(" in self.code

    @property
    def uses(self) -> set[str]:
        """The names that the statement reads."""
        return set() if self.leaf else set(re.findall(r"\bx\d+\b", self.code))


def leaf(target: str, value: Leaf) -> Statement:
    return Statement(value.code, target, leaf=value)


Program = tuple[Statement, ...]

SCRIPT = """\
from math import inf, nan

import tinycnn
import torch


def program(lib, F):
{body}
    return {result}


for lib in (tinycnn, torch):
    try:
        print(lib.__name__, program(lib, lib.nn.functional), sep=": ")
    except Exception as error:
        print(lib.__name__, repr(error), sep=": ")
"""


def script(program: Program, result: str) -> str:
    """A program that can be run, which prints what `result` is with either library."""
    return SCRIPT.format(body="\n".join(f"    {statement.source}" for statement in program), result=result)
