"""Inspection: activations and gradients of layers, im2col matrices of a convolution, pictures of the graph."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tinycnn.autograd import Function, no_grad
from tinycnn.nn.arguments import check_fits
from tinycnn.nn.conv import _ConvNd
from tinycnn.nn.module import Module
from tinycnn.nn.resize import pad
from tinycnn.ops import windows
from tinycnn.tensor import Tensor


@dataclass
class Call:
    """One call of a module: its inputs and its output."""

    inputs: tuple
    output: Any

    @property
    def gradient(self) -> Tensor | None:
        """The gradient of the output after `backward`; None before, or if the output is not a Tensor."""
        return self.output.grad if isinstance(self.output, Tensor) else None


class record(Mapping):
    """Context manager that records inputs, outputs and output gradients of `model` and all its submodules.

        with record(model) as seen:
            loss_function(model(images), labels).backward()
        seen["features.0"].output, seen["features.0"].gradient

    A mapping from dotted names ("" is the model itself) to the last `Call` of each module; `calls(name)` lists all.
    Hooks are removed at the end of the block; `seen` keeps the recorded tensors alive.
    """

    def __init__(self, model: Module):
        self.model = model
        self._calls: dict[str, list[Call]] = {}

    def __enter__(self) -> record:
        self._handles = [
            module.register_forward_hook(lambda _, inputs, output, name=name: self._keep(name, inputs, output))
            for name, module in self.model.named_modules()
        ]
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, name: str, inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            output.retain_grad()
        self._calls.setdefault(name, []).append(Call(inputs, output))

    def calls(self, name: str) -> list[Call]:
        """All calls of the module `name`, in order. KeyError if there was none."""
        if name not in self._calls:
            known = ", ".join(repr(n) for n in self._calls) or "none: was the model called inside the block?"
            raise KeyError(f"record: no call of {name!r}; called were {known}")
        return self._calls[name]

    def __getitem__(self, name: str) -> Call:
        return self.calls(name)[-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)


@dataclass
class ConvParts:
    """The matrices of a convolution by im2col; G groups, K kernel positions, L output positions.

    Attributes:
        columns: (N, G, C/G·K, L), the windows of the input as columns.
        kernels: (G, O/G, C/G·K), the weight with one kernel per row: the output is kernels @ columns (+ bias).
        column_gradient: (N, G, C/G·K, L), kernelsᵀ @ grad_output; col2im sums it into the input gradient.
        weight_gradient: (O, C/G, *kernel), grad_output @ columnsᵀ summed over the batch.
        input_gradient: (N, C, *S), the shape of the (padded) input.

    The gradients are None if no `grad_output` was given.
    """

    columns: Tensor
    kernels: Tensor
    column_gradient: Tensor | None = None
    weight_gradient: Tensor | None = None
    input_gradient: Tensor | None = None


@no_grad()
def conv_parts(layer: Module, input: Tensor, grad_output: Tensor | None = None) -> ConvParts:
    """The im2col matrices of a Conv1d, Conv2d or Conv3d.

    Args:
        layer: the convolution. With a padding mode other than zeros, the padded input takes the place of the input.
        input: (N, C, *S).
        grad_output: (N, O, *output), the upstream gradient. Default None: no gradients are computed.

    Raises TypeError for other layers, ValueError for other shapes.
    """
    if not isinstance(layer, _ConvNd):
        raise TypeError(f"conv_parts: expected a Conv1d, Conv2d or Conv3d, got {type(layer).__name__}")
    if not isinstance(input, Tensor):
        raise TypeError(f"conv_parts: expected an input Tensor, got {type(input).__name__}")
    if input.ndim != layer.dims + 2 or input.shape[1] != layer.in_channels or 0 in input.shape:
        raise ValueError(f"conv_parts: expected input (N, {layer.in_channels}, *S) for {layer!r}, got {input.shape}")
    pads = layer._pads
    if layer.padding_mode != "zeros":
        input = pad(input, [amount for pair in pads[::-1] for amount in pair], mode=layer.padding_mode)
        pads = ((0, 0),) * layer.dims
    window = windows.Window(input.shape[2:], layer.kernel_size, layer.stride, pads, layer.dilation)
    check_fits(window, "conv_parts")
    batch, groups, positions = len(input), layer.groups, prod(window.output_size)
    columns = windows.im2col(input, window).reshape(batch, groups, -1, positions)
    kernels = layer.weight.detach().reshape(groups, layer.out_channels // groups, -1)
    parts = ConvParts(columns, kernels)
    if grad_output is not None:
        expected = (batch, layer.out_channels, *window.output_size)
        if grad_output.shape != expected:
            raise ValueError(f"conv_parts: expected grad_output of shape {expected}, got {grad_output.shape}")
        upstream = grad_output.detach().reshape(batch, groups, layer.out_channels // groups, positions)
        parts.column_gradient = kernels.transpose(1, 2).unsqueeze(0) @ upstream
        parts.weight_gradient = (upstream @ columns.transpose(2, 3)).sum(0).reshape(*layer.weight.shape)
        parts.input_gradient = windows.col2im(parts.column_gradient.reshape(batch, -1, positions), window)
    return parts


def graph(output: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """The graph that computed `output`, in graphviz's dot language: boxes are operators, ovals are leaves.

    Args:
        output: the result of recorded operators.
        names: labels of leaves, such as `dict(model.named_parameters())`. Default: all are "leaf".

    Raises ValueError for a tensor that no recorded operator computed.
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"graph: expected a Tensor, got {type(output).__name__}")
    if output.grad_fn is None:
        raise ValueError("graph: this tensor was not computed by recorded operators (it has no grad_fn)")
    known = {id(tensor): name for name, tensor in (names or {}).items()}
    numbers: dict[Any, int] = {output.grad_fn: 0}
    lines = ["digraph {", "  rankdir=BT", '  node [fontname="Helvetica"]', "  edge [fontsize=10]"]
    lines.append(f'  0 [shape=box, style=bold, label="{output.grad_fn.name}\\n{_shape(output.shape)}"]')
    stack: list[Function] = [output.grad_fn]
    while stack:
        node = stack.pop()
        for i, edge in enumerate(node.edges):
            if edge is None:
                continue
            is_new = edge not in numbers
            source = numbers.setdefault(edge, len(numbers))
            if is_new and isinstance(edge, Function):
                lines.append(f'  {source} [shape=box, label="{edge.name}"]')
                stack.append(edge)
            elif is_new:
                name = known.get(id(edge), "leaf").replace('"', r"\"")
                lines.append(f'  {source} [shape=oval, label="{name}\\n{_shape(edge.shape)}"]')
            lines.append(f'  {source} -> {numbers[node]} [label="{_shape(node.input_shape(i))}"]')
    return "\n".join([*lines, "}"]) + "\n"


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "number"


def graph_svg(output: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """`graph` as an SVG picture. RuntimeError if graphviz's program `dot` is not installed."""
    if shutil.which("dot") is None:
        raise RuntimeError("graph_svg: the program 'dot' was not found: install graphviz, or use graph() for the text")
    run = subprocess.run(["dot", "-Tsvg"], input=graph(output, names), capture_output=True, text=True, check=True)
    return run.stdout
