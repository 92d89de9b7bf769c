"""Runs a program with one library, statement by statement, and notes what can be seen."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf, nan
from types import CodeType
from typing import Any

import numpy as np
import torch

import tinycnn
from tests.fuzz.program import TENSOR, Program, Statement

torch.set_num_threads(1)


class Functional:
    """torch.nn.functional, but that torch 2.13 takes a gradient of `batch_norm` for row-major where it is not."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(torch.nn.functional, name)
        return functools.partial(self._normalised, function) if name in ("batch_norm", "instance_norm") else function

    @staticmethod
    def _normalised(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        y = function(*arguments, **options)
        if y.requires_grad:
            y.register_hook(lambda gradient: None if gradient is None else gradient.contiguous())
        return y


class Float64:
    """torch, with float64 for every floating-point dtype: what the values would be without rounding."""

    float16 = float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


FLOAT64 = Float64()


@dataclass(frozen=True)
class Seen:
    """A tensor as a user sees it."""

    array: np.ndarray
    dtype: str
    requires_grad: bool

    @property
    def magnitude(self) -> float:
        """Of the largest finite number."""
        if self.array.dtype.kind != "f":
            return 0.0
        return float(abs(self.array[np.isfinite(self.array)]).max(initial=0))

    def __str__(self) -> str:
        values = np.array2string(self.array, separator=", ", threshold=30).replace("\n", "")
        return f"{values}, {self.dtype}, shape {self.array.shape}, requires_grad={self.requires_grad}"


@dataclass
class Step:
    """What one statement did: it raised, or left these tensors. "d x3" is the gradient that reached x3."""

    error: Exception | None = None
    tensors: dict[str, Seen | None] = field(default_factory=dict)
    same: tuple[str, ...] = ()  # other names of the very tensor that it returned
    facts: set[str] = field(default_factory=set)  # see `Difference`


Trace = list[Step]


@functools.lru_cache(256)
def compiled(source: str) -> CodeType:
    return compile(source, "<program>", "exec")


def seen(tensor: Any) -> Seen:
    """tinycnn's by way of a list: an array handed out is watched for changes, which would hide one not counted."""
    dtype, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
    values = tensor.numpy(force=True) if isinstance(tensor, torch.Tensor) else tensor.tolist()
    return Seen(np.array(values, dtype).reshape(shape), dtype, tensor.requires_grad)


def memory(x: torch.Tensor) -> int:
    """What tells the memory of a tensor, which its views share."""
    return x.untyped_storage()._cdata


class Interpreter:
    """Executes statements with `lib`.

    With `follow`, the trace of the same program with tinycnn, torch goes on after each statement with tinycnn's values
    in place of its own, and in a backward pass with tinycnn's gradients: so each operator and each step backwards is
    compared for the same inputs, bit for bit, and differences of rounding neither add up nor decide a comparison.
    """

    def __init__(self, lib: Any, follow: Trace | None = None, watch: bool = False):
        self.lib, self.follow, self.watch = lib, follow, watch
        functional = tinycnn.nn.functional if lib is tinycnn else Functional()
        self.names: dict[str, Any] = {"lib": lib, "F": functional, "inf": inf, "nan": nan}
        self.leaves: set[str] = set()
        self.hooks: list[Any] = []
        self.trace: Trace = []

    def execute(self, statement: Statement) -> Step:
        step = Step()
        self.trace.append(step)
        step.facts |= {"repeats"} if self._repeats(statement) else set()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy's of overflow, torch's of .grad
                exec(compiled(statement.source), self.names)
        except Exception as error:
            step.error = error
            self.names.pop(statement.target, None)
            return step
        if statement.leaf:
            self.leaves.add(statement.target)
        # A change in place may show in any tensor, a backward pass in any gradient.
        names = [statement.target] if statement.target else [n for n in self.names if n[0] == "x"]
        for name, tensor in self.tensors(names):
            step.tensors[name] = None if tensor is None else seen(tensor)
            if tensor is not None and statement.target and self.watch and tensor.requires_grad:
                self.hooks.append(tensor.register_hook(functools.partial(self._gradient, name)))
        value = self.names.get(statement.target)
        step.same = tuple(n for n, x in self.all_tensors().items() if x is value and n != statement.target)
        if "create_graph" in statement.code:
            # On which intermediate results a gradient itself depends follows from how an operator writes it.
            while self.hooks:
                self.hooks.pop().remove()
            step.facts |= {"varies"} if self._varies(step) else set()
        step.facts |= {"empty"} if any(x is not None and x.array.size == 0 for x in step.tensors.values()) else set()
        self._follow()
        return step

    def _varies(self, step: Step) -> bool:
        """Whether one of torch's gradients that is a constant for tinycnn has a derivative other than 0."""
        if self.follow is None:
            return False
        ours, tensors = self.follow[len(self.trace) - 1].tensors, self.all_tensors()
        leaves = [x for name, x in tensors.items() if name in self.leaves and x.requires_grad]
        for name in step.tensors:
            if name in tensors and tensors[name].requires_grad and ours.get(name) and not ours[name].requires_grad:
                upstream = torch.ones_like(tensors[name])
                with contextlib.suppress(RuntimeError):  # of a tensor that was changed in place
                    found = torch.autograd.grad(tensors[name], leaves, upstream, retain_graph=True, allow_unused=True)
                    if any(gradient is not None and bool(gradient.any()) for gradient in found):
                        return True
        return False

    def _repeats(self, statement: Statement) -> bool:
        """Whether what a statement is about to change in place lies in memory that an expanded tensor repeats."""
        changed = TENSOR.match(statement.code)
        if self.lib is not torch or statement.target or changed is None:
            return False
        found = self.all_tensors()
        x = found.get(changed[0], found.get(re.sub(r"\[.*", "", changed[0])))
        views = [y for y in found.values() if x is not None and memory(x) == memory(y)]
        return any(size != 1 and stride == 0 for y in views for size, stride in zip(y.shape, y.stride()))

    def tensors(self, names: list[str]) -> Iterator[tuple[str, Any]]:
        """Every tensor that the names give, by the expression for it."""
        for name in names:
            value = self.names.get(name)
            pairs = enumerate(value) if isinstance(value, (tuple, list)) else [(None, value)]
            for i, tensor in pairs:
                label = name if i is None else f"{name}[{i}]"
                yield label, tensor
                # Whether other names are this very tensor, not a view of it, is a library's own.
                if label in self.leaves and tensor.grad is not None:
                    yield f"{label}.grad", tensor.grad

    def all_tensors(self) -> dict[str, Any]:
        named = self.tensors([name for name in self.names if name[0] == "x"])
        return {name: x for name, x in named if x is not None}

    def _gradient(self, name: str, gradient: Any) -> Any:
        """A hook: notes the gradient of a tensor, and goes on with tinycnn's."""
        if gradient is None:  # torch, where nothing reaches the tensor
            return None
        step = self.trace[-1]
        step.tensors[f"d {name}"] = seen(gradient)
        other = self._other(f"d {name}", gradient)
        if other is None:
            return None
        difference = torch.from_numpy(other).to(gradient.dtype) - gradient.detach()
        return gradient + difference.nan_to_num(0, 0, 0)

    def _other(self, name: str, tensor: Any) -> np.ndarray | None:
        """tinycnn's values of a tensor, if they are of the same shape and differ in a bit."""
        if self.follow is None or (other := self.follow[len(self.trace) - 1].tensors.get(name)) is None:
            return None
        mine = tensor.detach().numpy(force=True)
        if mine.shape != other.array.shape or mine.tobytes() == other.array.tobytes():
            return None
        return other.array

    def _follow(self) -> None:
        for name, tensor in self.all_tensors().items():
            if (other := self._other(name, tensor)) is not None:
                with contextlib.suppress(RuntimeError):  # an expanded tensor: what it repeats has been set
                    tensor.data.copy_(torch.from_numpy(other))


def run(program: Program, lib: Any, follow: Trace | None = None, watch: bool = False) -> Trace:
    """The trace of a program. `watch` notes the gradient of every tensor in every backward pass."""
    interpreter = Interpreter(lib, follow, watch)
    default = torch.get_default_dtype()
    try:
        if lib is FLOAT64:
            torch.set_default_dtype(torch.float64)
        for statement in program:
            interpreter.execute(statement)
    finally:
        torch.set_default_dtype(default)
    return interpreter.trace
