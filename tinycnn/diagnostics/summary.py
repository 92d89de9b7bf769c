"""A table of the layers of a net for one input: shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tinycnn import creation
from tinycnn.autograd import no_grad
from tinycnn.checks import LARGEST, is_int, shortened
from tinycnn.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinycnn.nn.linear import Linear
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


@dataclass(frozen=True)
class LayerSummary:
    """One call of one layer: a row of the table."""

    name: str  # dotted, as in `named_modules`; "" for the model itself
    layer: str
    output_shapes: tuple[tuple[int, ...], ...]  # one for each returned Tensor
    parameters: int  # without those of submodules; 0 if they are counted in an earlier row
    multiply_adds: int
    output_bytes: int


@dataclass(frozen=True)
class Summary:
    """What `summary` returns: the rows and the totals. `str` gives the table."""

    layers: tuple[LayerSummary, ...]
    parameters: int  # of the whole model; shared ones count once
    trainable_parameters: int
    multiply_adds: int
    output_bytes: int

    def __str__(self) -> str:
        rows = [
            [
                each.name or "(model)", each.layer, " ".join(map(str, each.output_shapes)),
                f"{each.parameters:,}", f"{each.multiply_adds:,}", size_of(each.output_bytes),
            ]
            for each in self.layers
        ]  # fmt: skip
        rows.append(["total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", size_of(self.output_bytes)])
        header = ["name", "layer", "output shape", "parameters", "multiply-adds", "output memory"]
        text = table(header, rows, total=True)
        frozen = self.parameters - self.trainable_parameters
        return text if frozen == 0 else f"{text}\n{frozen:,} of the parameters are not trained."


def summary(model: Module, input_size: Sequence[int] | Sequence[Sequence[int]], *, show: bool = True) -> Summary:
    """Runs `model` once on zeros, in evaluation mode, and tabulates the layers in the order of their calls.

    Args:
        model: any Module. Its training mode, hooks and running statistics are unchanged afterwards.
        input_size: the shape of the input with the batch, such as (1, 3, 32, 32), or a sequence of shapes.
        show: print the table. Default True.

    Rows are modules without submodules or with parameters of their own. Multiply-adds are those of weights and inputs
    in convolutions and linear layers, including those with padding. Output memory (bytes) is the sum over all outputs,
    which training keeps for the backward pass.

    Raises TypeError if `model` is not a Module, ValueError for an `input_size` that is no shape.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, got {type(model).__name__}")
    if not isinstance(input_size, (tuple, list)):
        raise TypeError(f"summary: expected input_size as a shape, or several, got {shortened(input_size)}")
    given: Any = input_size if input_size and all(isinstance(s, Sequence) for s in input_size) else [input_size]
    shapes = [tuple(shape) for shape in given]
    if not all(is_int(size) and size >= 0 for shape in shapes for size in shape):
        raise ValueError(f"summary: expected input_size as a shape, or several, got {shortened(input_size)}")
    if any(math.prod(shape) > LARGEST for shape in shapes):
        raise ValueError(f"summary: input_size {shortened(input_size)} is too large")
    like = next(model.parameters(), None)
    make: dict[str, Any] = {} if like is None else {"dtype": like.dtype, "device": like.device}
    rows: list[LayerSummary] = []
    with _recorded_calls(model, rows), no_grad():
        model(*[creation.zeros(*shape, **make) for shape in shapes])
    result = Summary(
        tuple(rows),
        sum(p.numel() for p in model.parameters()),
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        sum(row.multiply_adds for row in rows),
        sum(row.output_bytes for row in rows),
    )
    if show:
        print(result)
    return result


@contextmanager
def _recorded_calls(model: Module, rows: list[LayerSummary]) -> Iterator[None]:
    """Puts the model into evaluation mode and appends a row for each call of a layer; restores the model at the end."""
    modes = [(module, module.training) for module in model.modules()]
    counted: set[int] = set()  # ids; a shared parameter counts in the first row that uses it

    def record(name: str, module: Module, inputs: tuple, output: Any) -> None:
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        tensors = list(_tensors(output))
        rows.append(
            LayerSummary(
                name, type(module).__name__, tuple(t.shape for t in tensors), sum(p.numel() for p in own),
                multiply_adds(module, inputs, output), sum(t.numel() * t.element_size() for t in tensors),
            )
        )  # fmt: skip

    handles = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None or next(module.parameters(recurse=False), None) is not None:
            hook = lambda module, inputs, output, name=name: record(name, module, inputs, output)  # noqa: E731
            handles.append(module.register_forward_hook(hook))
    model.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode


def multiply_adds(module: Module, inputs: tuple, output: Any) -> int:
    """Products of weights and inputs in one call of a convolution or linear layer; 0 for other layers.

    Each output of a convolution takes 1/O of its weights, each *input* of a transposed one 1/C of them.
    """
    if isinstance(module, (Conv1d, Conv2d, Conv3d)):
        return output.numel() * math.prod(module.weight.shape[1:])
    if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)):
        return inputs[0].numel() * math.prod(module.weight.shape[1:])
    return output.numel() * module.in_features if isinstance(module, Linear) else 0


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (tuple, list)):
        for each in output:
            yield from _tensors(each)


# --- as text ----------------------------------------------------------------------------------------------


def size_of(count: float) -> str:
    """A number of bytes in a readable unit: 18.4 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], total: bool = False) -> str:
    """A text table. The first column and columns of words are left-aligned, columns of numbers right-aligned.

    A column counts as numbers if most of its cells begin with a digit, a sign or a dash. `total` draws a line above the
    last row.
    """
    lines = [[str(cell) for cell in line] for line in (header, *rows)]
    cells = []
    for i, column in enumerate(zip(*lines, strict=True)):
        width = max(map(len, column))
        numbers = sum(cell.startswith(tuple("0123456789+-−–<")) for cell in column[1:])
        to_the_right = i > 0 and 2 * numbers > len(rows)
        cells.append([cell.rjust(width) if to_the_right else cell.ljust(width) for cell in column])
    text = ["  ".join(line) for line in zip(*cells, strict=True)]
    rule = "-" * len(text[0])
    text.insert(1, rule)
    if total:
        text.insert(-1, rule)
    return "\n".join(line.rstrip() for line in text)
