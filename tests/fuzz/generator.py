"""The program that grows: choices, tensors to compute with, changes in place and backward passes."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from math import inf, nan, prod
from typing import Any

import numpy as np
import torch

from tests.fuzz.program import DTYPES, FLOATS, LAYOUTS, Leaf, Statement, leaf
from tests.fuzz.run import Interpreter, memory

MAX_ELEMENTS = 2000
MAX_DIMS = 6


class Generator:
    """A program that grows, executed with torch."""

    def __init__(self, seed: int, dtype: str | None = None):
        self.rng = random.Random(seed)
        self.dtype = dtype or self.rng.choices(["float64", "float32", "float16", "mixed"], [4, 3, 2, 2])[0]
        self.program: list[Statement] = []
        self.torch = Interpreter(torch)
        self.count = 0
        self.raised = 0
        self.leaves: set[int] = set()  # the memory of leaves, whose order is the same in both libraries

    # --- choices ---------------------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, *options: Any) -> Any:
        return self.rng.choice(options[0] if len(options) == 1 else options)

    def size(self) -> int:
        return self.rng.choices([0, 1, 2, 3, 4, 5, 7], [3, 12, 25, 25, 15, 8, 3])[0]

    def shape(self, ndim: int | None = None) -> tuple[int, ...]:
        ndim = self.rng.choices(range(6), [8, 20, 30, 20, 20, 4])[0] if ndim is None else ndim
        sizes = [self.size() for _ in range(ndim)]
        while prod(sizes) > MAX_ELEMENTS // 4:
            sizes[sizes.index(max(sizes))] = 1
        return tuple(sizes)

    def main(self) -> str:
        """The dtype of most tensors."""
        return self.pick(FLOATS) if self.dtype == "mixed" else self.dtype

    def number(self) -> str:
        return self.pick("0", "1", "2", "3", "(-1)", "(-2)", "0.5", "1.5", "(-0.75)", "True", "inf", "nan") \
            if self.chance(0.15) else self.pick("2", "3", "(-1)", "0.5", "1.5", "(-0.75)")  # fmt: skip

    def flag(self) -> str:
        return self.pick("True", "False")

    def options(self, p: float = 0.4, **values: Any) -> str:
        """Keyword arguments, each with probability `p`."""
        return "".join(f", {name}={value}" for name, value in values.items() if self.chance(p))

    # --- tensors ---------------------------------------------------------------------------------------------

    def value(self, name: str) -> torch.Tensor:
        return eval(name, self.torch.names)

    def names(self, fits: Callable[[torch.Tensor], bool] = lambda x: True) -> list[str]:
        """The tensors that fit, the oldest first."""
        return [name for name, x in self.torch.all_tensors().items() if fits(x)]

    def existing(self, fits: Callable[[torch.Tensor], bool] = lambda x: True) -> str | None:
        return self.newest(self.names(fits))

    def newest(self, names: list[str]) -> str | None:
        """One of the names: the newer, the likelier."""
        return self.rng.choices(names, range(1, len(names) + 1))[0] if names else None

    def tensor(self, ndim: Any = None, kinds: str = "fib", largest: float = inf) -> str:
        """A tensor of a number of dimensions and kind of dtype (f, i, b): one that there is, or a new leaf."""
        dims = (ndim,) if isinstance(ndim, int) else ndim

        def fits(x: torch.Tensor) -> bool:
            return (dims is None or x.ndim in dims) and kind(x) in kinds and (
                largest == inf or x.numel() == 0 or bool(x.detach().double().abs().max() <= largest)
            )  # fmt: skip

        found = self.existing(fits) if self.chance(0.85) else None
        dtypes = {"fib": None, "f": self.main(), "fi": self.main(), "ib": self.pick("int64", "int32", "uint8", "bool")}
        return found or self.leaf(self.shape(None if dims is None else self.pick(list(dims))), dtypes[kinds])

    def floating(self, ndim: Any = None, largest: float = 1e4) -> str:
        return self.tensor(ndim, "f", largest)

    def leaf(
        self, shape: tuple[int, ...], dtype: str | None = None, low: float | None = None, high: float | None = None,
        requires_grad: bool | None = None, layout: str | None = None,
    ) -> str:  # fmt: skip
        """A new leaf; of values in [low, high], or of any."""
        if dtype is None:
            other = low is None and self.chance(0.3 if self.dtype == "mixed" else 0.1)
            dtype = self.pick(DTYPES) if other else self.main()
        layout = layout or self.rng.choices(LAYOUTS, [5, 2, 3, 2, 1])[0]
        drawn = tuple(shape) if layout != "expanded" or not shape else (min(1, *shape[:1]), *shape[1:])
        values = np.array([self._draw(dtype, low, high) for _ in range(prod(drawn))], dtype).reshape(drawn)
        if dtype in FLOATS and low is None and values.size:
            if self.chance(0.25):
                values = np.round(values * 2) / 2  # many are equal, some 0
            if self.chance(0.08):
                values.flat[self.rng.randrange(values.size)] = self.pick(inf, -inf, nan, -0.0, 3e4)
        requires = dtype in FLOATS and (self.chance(0.6) if requires_grad is None else requires_grad)
        values = np.broadcast_to(values, shape)
        return self.add(leaf(self.new_name(), Leaf(np.array(values), layout, requires)))

    def _draw(self, dtype: str, low: float | None, high: float | None) -> Any:
        if dtype == "bool":
            return self.chance(0.5)
        if dtype in FLOATS:
            return round(self.rng.gauss(0, 1.5) if low is None else self.rng.uniform(low, high or 0), 3)
        low, high = (-4, 6) if low is None else (low, high)
        return self.rng.randint(max(int(low), 0) if dtype == "uint8" else int(low), int(high or 0))

    def like(self, x: str, low: float | None = None, high: float | None = None, **options: Any) -> str:
        """A new leaf of the shape and dtype of another tensor."""
        value = self.value(x)
        return self.leaf(tuple(value.shape), dtype_of(value), low, high, **options)

    def broadcasting(self, x: str) -> str:
        """A tensor whose shape broadcasts with that of `x`."""
        shape = tuple(self.value(x).shape)

        def fits(y: torch.Tensor) -> bool:
            return all(a == b or 1 in (a, b) for a, b in zip(shape[::-1], tuple(y.shape)[::-1]))

        found = self.existing(fits) if self.chance(0.6) else None
        if found is None:
            kept = shape[self.rng.randrange(len(shape) + 1) if self.chance(0.4) else 0 :]
            found = self.leaf(tuple(1 if self.chance(0.25) else size for size in kept))
        return found

    def dim(self, x: str) -> int:
        ndim = self.value(x).ndim
        if self.chance(0.01):
            return self.pick(ndim, -ndim - 1)  # out of range
        return self.rng.randrange(-ndim, ndim) if ndim else self.pick(0, -1)

    def dims(self, x: str, several: bool = True) -> str:
        ndim = self.value(x).ndim
        if several and ndim and self.chance(0.3):
            chosen = self.rng.sample(range(ndim), self.rng.randint(1, ndim))
            return str(tuple(d - ndim if self.chance(0.3) else d for d in chosen))
        return str(self.dim(x))

    def index_literal(self, low: int, high: int, shape: tuple[int, ...], dtype: str = "lib.int64") -> str:
        values = np.array([self.rng.randrange(low, max(high, low + 1)) for _ in range(prod(shape))], int)
        return f"lib.tensor({values.reshape(shape).tolist()}, dtype={dtype})"

    def shares_memory(self, x: str, y: str) -> bool:
        return memory(self.value(x)) == memory(self.value(y))

    def may_view(self, x: str, code: str) -> str:
        """The result of an operator that is a view or a copy after the memory order of `x`, which is ours unless `x`
        is a leaf or a view of one: a copy, then."""
        return code if memory(self.value(x)) in self.leaves else f"{code}.clone()"

    # --- the program -------------------------------------------------------------------------------------------

    def new_name(self) -> str:
        self.count += 1
        return f"x{self.count - 1}"

    def add(self, statement: Statement) -> str:
        """Executes a statement; keeps it unless it raises once too often or makes something too large."""
        step = self.torch.execute(statement)
        made = [x for x in step.tensors.values() if x is not None] if not statement.leaf else []
        large = any(x.array.size > MAX_ELEMENTS or x.array.ndim > MAX_DIMS or x.dtype not in DTYPES for x in made)
        if large or (step.error is not None and (self.raised or self.chance(0.7))):
            self.torch.names.pop(statement.target, None)
            return statement.target
        self.raised += step.error is not None
        self.program.append(statement)
        if statement.leaf:
            self.leaves.add(memory(self.value(statement.target)))
        return statement.target

    def make(self, statement: Callable[[Generator], str | None]) -> None:
        """Adds the text that an operator, `change` or `differentiate` makes."""
        # torch refuses even to look at a part of a split that was changed in place.
        with contextlib.suppress(RuntimeError):
            code = statement(self)
            if code is not None:
                # Not views: torch's, made under no_grad from a leaf, require a gradient that goes nowhere.
                self.add(Statement(code, self.new_name(), no_grad=code[0] == "(" and self.chance(0.1)))


def kind(x: torch.Tensor) -> str:
    return "f" if x.is_floating_point() else "b" if x.dtype == torch.bool else "i"


def dtype_of(x: torch.Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def differentiate(g: Generator) -> None:
    """A backward pass, or gradients as tensors, which later statements use: second-order gradients."""
    leaves = {s.target for s in g.program if s.leaf}
    names = [name for name in g.names(lambda x: x.requires_grad) if name not in leaves or g.chance(0.1)]
    y = g.newest(names)
    if y is None:
        return
    upstream = "" if g.value(y).numel() == 1 and g.chance(0.5) else f"{g.like(y, requires_grad=False)}.clone()"
    if g.chance(0.5):
        arguments = [upstream] * bool(upstream) + ["retain_graph=True"] * g.chance(0.4)
        g.add(Statement(f"{y}.backward({', '.join(arguments)})"))
        return
    # On which intermediate results a gradient depends follows from how an operator writes it: leaves only, then.
    twice = any("create_graph" in s.code for s in g.program)
    names = [name for name in g.names(lambda x: x.requires_grad) if name in leaves or not twice]
    inputs = g.rng.sample(names, min(len(names), g.rng.randint(1, 3)))
    upstream = f", [{upstream}]" if upstream else ""
    options = g.options(0.7, create_graph=True) + g.options(0.2, retain_graph=g.flag())
    options += g.options(0.9, allow_unused=True)
    g.add(Statement(f"lib.autograd.grad([{y}], [{', '.join(inputs)}]{upstream}{options})", g.new_name()))


def change(g: Generator) -> None:
    """A change in place, of a tensor, a view or a gradient."""
    # What grad() returns may share memory with what it was given, or with each other: which does, is a library's own.
    own = {memory(x) for s in g.program if ".grad(" in s.code for _, x in g.torch.tensors([s.target]) if x is not None}
    x = g.existing(lambda x: memory(x) not in own)
    if x is None:
        return
    value = g.value(x)
    no_grad = g.chance(0.3)
    other = g.pick(g.number(), g.broadcasting(x))
    if other[0] == "x" and g.shares_memory(x, other):
        other = f"{other}.clone()"
    code = g.pick(
        f"{x}.add_({other}{g.options(0.3, alpha=g.pick(2, 0.5, -1))})", f"{x}.sub_({other})", f"{x}.mul_({other})",
        f"{x}.div_({other})", f"{x}.zero_()", f"{x}.fill_({g.number()})",
        f"{x}.copy_({other if other[0] == 'x' else g.like(x, requires_grad=False)})", f"{x}[...] = {other}",
        f"{x} {g.pick('+', '-', '*', '/')}= {other}",
        f"{x}.{g.pick('relu_', 'sin_', 'tanh_', 'abs_', 'sqrt_', 'neg_')}()",
        f"{x}.clamp_({g.pick('-0.5, 0.7', 'min=0.1', 'max=0.3')})", f"F.relu({x}, inplace=True)",
        f"F.{g.pick('leaky_relu', 'elu', 'silu', 'hardswish', 'hardtanh')}({x}, inplace=True)",
        f"{x}[{index(g, value.shape, assigned=True)}].{g.pick('sin_()', 'relu_()', 'mul_(1.5)')}",
        f"{x}[{index(g, value.shape, assigned=True)}] = {g.number()}",
        f"{x}[{index(g, value.shape, assigned=True)}].{g.pick('add_(1)', 'mul_(2)', 'fill_(3)', 'zero_()')}",
    )  # fmt: skip
    g.add(Statement(code, no_grad=no_grad))


def index(g: Generator, shape: tuple[int, ...], assigned: bool = False) -> str:
    """An index of every kind. Where it is assigned to, without repeated elements, whose order torch leaves open."""
    parts, left = [], list(shape)
    fancy = 0
    while left and len(parts) < 4 and not (parts and g.chance(0.3)):
        size = left[0]
        what = g.rng.choices(["int", "slice", "None", "list", "tensor", "mask", "masks", "bool", "0-d"],
                             [6, 8, 2, 2, 3, 2, 1, 0.4, 0.6])[0]  # fmt: skip
        if what == "None":
            parts.append("None")
            continue
        if what == "bool":
            parts.append(g.flag())
            continue
        left.pop(0)
        if what in ("int", "0-d"):
            i = g.rng.randrange(-size, size) if size and not g.chance(0.01) else size
            parts.append(str(i) if what == "int" else f"lib.tensor({i})")
        elif what == "slice":
            start, stop = (g.pick("", g.rng.randint(-size - 1, size + 1)) for _ in range(2))
            parts.append(f"{start}:{stop}" + g.pick("", "", ":1", ":2", ":3"))
        elif what in ("mask", "masks"):
            sizes = (size, left.pop(0)) if what == "masks" and left else (size,)
            values = np.array([g.chance(0.5) for _ in range(prod(sizes))], bool).reshape(sizes)
            dtype = g.pick("bool", "bool", "bool", "lib.uint8")
            parts.append(f"lib.tensor({values.tolist()}, dtype={dtype})" if values.size else "...")
        elif size and assigned:
            parts.append(str(g.rng.sample(range(size), g.rng.randint(1, size))))
        elif size:
            count = g.pick((), (1,), (2,), (3,), (2, 1), (0,)) if what == "tensor" else (g.rng.randint(1, 3),)
            literal = g.index_literal(-size, size, count, g.pick("lib.int64", "lib.int64", "lib.int32"))
            parts.append(literal if what == "tensor" else literal[len("lib.tensor(") : literal.index(", dtype")])
        else:
            parts.append(":")
        fancy += what not in ("int", "slice")
        if assigned and fancy:
            break
    if g.chance(0.15) and "..." not in parts:
        parts.insert(g.pick(0, len(parts)) if all(":" in part for part in parts) else len(parts), "...")
    return ", ".join(parts) or "..."
