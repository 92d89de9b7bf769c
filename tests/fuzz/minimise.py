"""Makes a program that shows a difference as short as it can be, by trying what it can do without."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import tinycnn
from tests.fuzz.compare import first_difference
from tests.fuzz.difference import Difference
from tests.fuzz.program import FLOATS, Leaf, Program, Statement, leaf
from tests.fuzz.run import run

MAX_TRIES = 600


def minimise(program: Program, difference: Difference, watch: bool = False) -> tuple[Program, Difference]:
    """The shortest program found that differs in the same way, and how it does."""
    program, tries, improved = program[: difference.index + 1], 0, True
    while improved and tries < MAX_TRIES:
        improved = False
        for candidate in _simpler(program, watch):
            tries += 1
            found = first_difference(candidate, watch)
            if found is not None and found.signature == difference.signature:
                program, difference, improved = candidate[: found.index + 1], found, True
                break
            if tries >= MAX_TRIES:
                break
    return program, difference


def _simpler(program: Program, watch: bool) -> Iterator[Program]:
    """Programs that are a little simpler, the much shorter first."""
    yield from _with_values(program, watch)
    for i in reversed(range(len(program))):
        yield _without(program, i)
    for i, statement in enumerate(program):  # an operand instead of the result
        if statement.target:
            for operand in sorted(statement.uses):
                yield (*program[:i], *(_renamed(each, statement.target, operand) for each in program[i + 1 :]))
    yield from _with_smaller_leaves(program)
    for i, statement in enumerate(program):
        candidates = _simpler_leaves(statement) if statement.leaf else _shorter_code(statement)
        for candidate in candidates:
            yield (*program[:i], candidate, *program[i + 1 :])


def _without(program: Program, index: int) -> Program:
    """Without one statement and all that need what it makes."""
    kept: list[Statement] = []
    gone = {program[index].target} - {""}
    for i, statement in enumerate(program):
        if i == index or statement.uses & gone:
            gone |= {statement.target} - {""}
        else:
            kept.append(statement)
    return tuple(kept)


def _with_values(program: Program, watch: bool) -> Iterator[Program]:
    """What a statement computes, written down instead; the last statements first."""
    trace = run(program, tinycnn, watch=watch)
    for i in reversed(range(len(program))):
        statement = program[i]
        made = {name: x for name, x in trace[i].tensors.items() if x is not None and name[0] == "x"}
        if statement.leaf or not statement.target or not made:
            continue
        leaves, after = [], list(program[i + 1 :])
        free = 1 + max(int(each.target[1:]) for each in program if each.target)
        for j, (name, x) in enumerate(made.items()):
            new = statement.target if name == statement.target else f"x{free + j}"
            leaves.append(leaf(new, Leaf(x.array, requires_grad=x.requires_grad)))
            if new != name:  # an item of a tuple gets a name of its own
                after = [_renamed(each, name, new) for each in after]
        yield (*program[:i], *leaves, *after)


def _renamed(statement: Statement, name: str, new: str) -> Statement:
    if statement.leaf:
        return statement
    return replace(statement, code=re.sub(rf"\b{re.escape(name)}(?!\d)", new, statement.code))


def _with_smaller_leaves(program: Program) -> Iterator[Program]:
    """One size smaller in all leaves at once, so that shapes still fit each other."""
    for size in sorted({n for s in program if s.leaf for n in s.leaf.values.shape if n > 1}, reverse=True):
        for smaller in {1, size // 2, size - 1} - {size}:
            cut = []
            for statement in program:
                if statement.leaf:
                    values = statement.leaf.values
                    values = values[tuple(slice(smaller if n == size else n) for n in values.shape)]
                    statement = leaf(statement.target, replace(statement.leaf, values=values))
                cut.append(statement)
            yield tuple(cut)


def _simpler_leaves(statement: Statement) -> Iterator[Statement]:
    own = statement.leaf
    assert own is not None
    values = own.values
    if own.layout != "row-major":
        yield leaf(statement.target, replace(own, layout="row-major"))
    if own.requires_grad:
        yield leaf(statement.target, replace(own, requires_grad=False))
    arrays = []
    if values.dtype.name in FLOATS[1:]:
        arrays.append(values.astype("float64"))
    for axis, size in enumerate(values.shape):
        arrays += [values.take(range(smaller), axis) for smaller in {1, size // 2, size - 1} if 0 <= smaller < size]
    if values.dtype.kind == "f" and not (values == 1).all():
        whole = np.round(np.nan_to_num(values, nan=1, posinf=1, neginf=1))
        special = np.where(np.isfinite(values), 1, values).astype(values.dtype)
        arrays += [x for x in (np.ones_like(values), whole, special) if not np.array_equal(x, values, equal_nan=True)]
    for array in arrays:
        yield leaf(statement.target, replace(own, values=array))


def _shorter_code(statement: Statement) -> Iterator[Statement]:
    """Without one keyword argument, one item of a list, or a suffix."""
    if statement.no_grad:
        yield replace(statement, no_grad=False)
    for suffix in (".clone()", ".detach()"):
        if re.fullmatch(r".+" + re.escape(suffix), statement.code):
            yield replace(statement, code=statement.code.removesuffix(suffix))
    with contextlib.suppress(SyntaxError):  # of an assignment, which is no expression
        for i, node in enumerate(ast.walk(ast.parse(statement.code, mode="eval"))):
            for j in range(len(_parts(node)) if _parts(node)[1:] or isinstance(node, ast.Call) else 0):
                tree = ast.parse(statement.code, mode="eval")
                del _parts(list(ast.walk(tree))[i])[j]
                yield replace(statement, code=ast.unparse(tree))


def _parts(node: ast.AST) -> list:
    """What can be left out of a call, its keyword arguments, and of a list."""
    return node.keywords if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.List) else []
