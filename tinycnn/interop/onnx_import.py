"""An ONNX file as a Module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn._files import StrPath, checked_path, kind_of
from tinycnn.autograd import wrap
from tinycnn.interop.onnx_export import onnx_ir
from tinycnn.interop.onnx_functions import FUNCTIONS, Node, computed
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.tensor import Tensor

_STATISTICS = {"BatchNormalization": slice(3, 5)}  # inputs that are no parameters


class Graph(Module):
    """The net of an ONNX file. Weights are parameters with the names that they have in the file; a dot leads into a
    submodule, so that the keys of `state_dict` are these names.

    Attributes:
        input_names, output_names: of the file, in the order of `forward`'s arguments and results.
    """

    def __init__(
        self, file: str, nodes: list[Node], inputs: dict[str, Any], outputs: list[str],
        weights: dict[str, Tensor], constants: dict[str, Any],
    ):  # fmt: skip
        super().__init__()
        self.file, self.nodes, self.output_names = file, nodes, outputs
        self.input_names, self._inputs, self._constants = [*inputs], inputs, constants
        self._weights = {name: self._place(name, tensor) for name, tensor in weights.items()}
        needed = {*outputs}
        for node in reversed(nodes):
            node.last_uses = [x for x in dict.fromkeys(node.inputs) if x not in needed]
            needed.update(node.inputs)

    def _place(self, name: str, tensor: Tensor) -> tuple[Module, str]:
        """Registers a weight; where it is found: a module and the name there."""
        *path, last = name.split(".")
        module: Module = self
        if not all([*path, last]):
            path, last = [], name.replace(".", "_")
        for part in path:
            if part not in module._modules:
                if hasattr(module, part):
                    part += "_"
                module.add_module(part, Module())
            module = module._modules[part]
        while hasattr(module, last):
            last += "_"
        if isinstance(tensor, Parameter):
            module.register_parameter(last, tensor)
        else:
            module.register_buffer(last, tensor)
        return module, last

    def forward(self, *inputs: Tensor) -> Any:
        """The output, or a tuple of the outputs, for the inputs of the file."""
        values: dict[str, Any] = {"": None, **self._constants, **dict(self._checked(inputs))}
        for name, (module, key) in self._weights.items():
            values[name] = getattr(module, key)
        for node in self.nodes:
            node.training = self.training
            try:
                results = computed(node, [values[name] for name in node.inputs])
            except (ValueError, TypeError, RuntimeError, IndexError, ZeroDivisionError) as error:
                error.args = (f"{self.file}: {node.type} {node.name!r}: {error}",)
                raise
            values.update(zip(node.outputs, results))
            for name in node.last_uses:
                values.pop(name)
        results = [values[name] for name in self.output_names]
        outputs = [wrap(y) if isinstance(y, np.ndarray) else y for y in results]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _checked(self, inputs: tuple) -> Iterator[tuple[str, Tensor]]:
        if len(inputs) != len(self._inputs):
            names = ", ".join(self._inputs)
            raise TypeError(f"{self.file}: expected {len(self._inputs)} inputs, {names}, got {len(inputs)}")
        for (name, (dtype, shape)), x in zip(self._inputs.items(), inputs):
            if not isinstance(x, Tensor):
                raise TypeError(f"{self.file}: expected input {name!r} as a Tensor, got {type(x).__name__}")
            fits = shape is None or (len(shape) == x.ndim and all(n in (None, m) for n, m in zip(shape, x.shape)))
            if not fits or dtype not in (None, x.dtype):
                expected = "" if shape is None else f" ({', '.join('*' if n is None else str(n) for n in shape)})"
                raise ValueError(f"{self.file}: expected input {name!r} {dtype}{expected}, got {x.dtype} {x.shape}")
            yield name, x

    def extra_repr(self) -> str:
        return f"{self.file}: {len(self.nodes)} operators"


def load(path: StrPath) -> Graph:
    """The net in an ONNX file, in eval mode: a Module that runs the file's operators.

    Weights are parameters and can be trained (after `train()`, which switches on dropout and the statistics of
    batches); the running statistics of batch normalisation are buffers. Data beside the file, in its folder, is read.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or holds operators or dtypes that
    tinycnn lacks, all naming the file. ImportError without onnx-ir.
    """
    ir = onnx_ir("load")
    path = checked_path("load", "path", path)
    if (kind := kind_of(path)) != "file":
        raise FileNotFoundError(f"load: no file {path}" + (f": it is a {kind}" if kind != "nothing" else ""))
    try:
        return _graph(ir, path)
    except Unreadable as error:
        raise ValueError(f"load: {path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # protobuf and onnx-ir have many
        text = " ".join(str(error).split())
        raise ValueError(f"load: {path} is not a readable ONNX file: {type(error).__name__}: {text:.200}") from None


class Unreadable(ValueError):
    """What a file holds that cannot be used here."""


def _graph(ir: Any, path: str) -> Graph:
    model = ir.load(path)
    if model.functions:
        ir.passes.common.InlinePass()(model)
    graph, opset = model.graph, model.graph.opset_imports.get("", 1)
    if not graph.outputs:
        raise Unreadable("expected an ONNX model, found none: there is no output")
    unknown = [
        f"{node.domain + '.' if node.domain else ''}{node.op_type} (node {node.name!r})"
        for node in graph
        if node.domain not in ("", "ai.onnx") or node.op_type not in FUNCTIONS
    ]
    if unknown:
        raise Unreadable(f"operators that tinycnn lacks: {', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''}")
    statistics = {x.name for node in graph for x in node.inputs[_STATISTICS.get(node.op_type, slice(0))]}
    constants: dict[str, Any] = {}
    weights: dict[str, Tensor] = {}
    for name, value in graph.initializers.items():
        array = _array(value.const_value, f"weight {name!r}", path)
        if array.dtype.kind not in FLOATING or array.ndim == 0:
            constants[name] = array
        else:
            weights[name] = wrap(array) if name in statistics else Parameter(wrap(array))
    nodes = []
    for node in graph:
        attributes = {name: _attribute(ir, attribute, node, path) for name, attribute in node.attributes.items()}
        made = Node(
            node.op_type, node.name or "", ["" if x is None else x.name for x in node.inputs],
            [y.name for y in node.outputs], attributes, opset,
        )  # fmt: skip
        if all(name in constants or not name for name in made.inputs) and made.type != "Dropout":
            results = computed(made, [constants.get(name) for name in made.inputs])
            constants.update(zip(made.outputs, results))
        else:
            nodes.append(made)
    inputs = {x.name: _type(x) for x in graph.inputs if x.name not in graph.initializers}
    outputs = [y.name for y in graph.outputs]
    return Graph(os.path.basename(path), nodes, inputs, outputs, weights, constants).eval()  # type: ignore[return-value]


def _array(tensor: Any, what: str, path: str) -> np.ndarray:
    """The numbers of a tensor of the file, in memory of their own."""
    location = getattr(tensor, "location", None)
    if location is not None:
        folder = os.path.realpath(os.path.dirname(path))
        if os.path.commonpath([folder, os.path.realpath(os.path.join(folder, location))]) != folder:
            raise Unreadable(f"{what} lies outside of the file's folder, in {os.fspath(location)}")
        if kind_of(os.path.join(folder, location)) != "file":
            raise Unreadable(f"{what} lies in {os.fspath(location)}, which is not there")
    _dtype(tensor.dtype, what)
    return np.array(tensor.numpy())


_DTYPES = {"FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL"}


def _attribute(ir: Any, attribute: Any, node: Any, path: str) -> Any:
    """The value of an attribute: a number, a text, a list, an array, a dtype."""
    what, value = f"attribute {attribute.name!r} of node {node.name!r}", attribute.value
    if attribute.name == "to":
        return _dtype(ir.DataType(value), what)
    if attribute.type.name == "TENSOR":
        return _array(value, what, path)
    return [*value] if isinstance(value, (tuple, list)) else value


def _dtype(dtype: Any, what: str) -> np.dtype:
    if dtype.name not in _DTYPES:
        raise Unreadable(f"{what} is {dtype.name}, which tinycnn lacks")
    return np.dtype(dtype.numpy())


def _type(x: Any) -> tuple[Any, Any]:
    """Dtype and shape of an input, where sizes that the file leaves open are None."""
    dtype = None if x.dtype is None else _dtype(x.dtype, f"input {x.name!r}")
    return dtype, None if x.shape is None else [n if isinstance(n, int) else None for n in x.shape]
