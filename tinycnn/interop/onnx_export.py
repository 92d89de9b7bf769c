"""A net as an ONNX file: what one forward pass computes.

The net runs twice (see `onnx_record`), on the example and on other numbers of another batch size. What is the same in
both runs is a constant of the file; a size that grows with the batch is computed from the input's; anything else that
differs was computed in a way that the file could not repeat, and is refused.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING, is_bfloat16
from tinycnn._extras import how_to_install
from tinycnn._files import StrPath, checked_path, write_whole
from tinycnn.autograd import no_grad, wrap
from tinycnn.checks import check_flag, is_int, shortened
from tinycnn.interop import onnx_changes as onnx_changes  # both tell `onnx_record` of their rows
from tinycnn.interop import onnx_rows as onnx_rows
from tinycnn.interop.onnx_record import Recorded, Run, Sizes, Unexportable
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor

OPSET = 18
_LARGEST = 2**31 - 2**24  # bytes of a message of protobuf, less some for the nodes
_IR_VERSION = 8  # the version of the file format that came with this opset


class Merged:
    """The nodes of two runs as those of one graph, for every batch size."""

    def __init__(self, run: Run, other: Run, batch: int):
        self.nodes: list[Recorded] = []
        self.constants: dict[tuple, tuple[str, np.ndarray]] = {}  # by what they hold
        self._batch = batch
        self.has_batch = False  # whether a node asks for the size of the batch
        first, second = run.nodes, other.nodes
        alike = [a.outputs == b.outputs and a.attributes == b.attributes for a, b in zip(first, second)]
        if len(first) != len(second) or not all(alike) or run.ends != other.ends:
            a = first[min(alike.index(False) if False in alike else len(alike), len(first) - 1)]
            raise Unexportable(f"export: {a.layer}: another input or batch size makes {a.type} another operation")
        wanted = {*run.ends}
        kept = []
        for a, b in zip(reversed(first), reversed(second)):
            if wanted.intersection(a.outputs):
                wanted.update(x for x in a.operands if isinstance(x, str))
                kept.append((a, b))
        for a, b in reversed(kept):
            operands = [self._operand(a, x, y) for x, y in zip(a.operands, b.operands, strict=True)]
            self.nodes.append(Recorded(a.type, operands, a.outputs, a.attributes, a.layer))

    def _operand(self, node: Recorded, a: Any, b: Any) -> str | None:
        if isinstance(a, str) or a is None:
            if a != b:
                raise Unexportable(f"export: {node.layer}: {node.type} takes another value for another input")
            return a
        if isinstance(a, Sizes):
            return self._sizes(node, a, b)
        x, y = np.asarray(a), np.asarray(b)
        if x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes():
            return self.constant(x)
        times = int(x) // self._batch if not x.ndim and self._batch else 0
        if times and x == times * self._batch and y == times * _other_batch(self._batch):  # as in x.sum() / len(x)
            size = self._add("Squeeze", node, self._times_batch(node, times))
            return self._add("Cast", node, size, to=x.dtype)
        if x.size and x.ndim == y.ndim and (x == x.flat[0]).all() and (y == x.flat[0]).all():
            return self._add("Expand", node, self.constant(x.reshape(-1)[0]), self._sizes(node, x.shape, y.shape))
        raise Unexportable(
            f"export: {node.layer}: {node.type} takes a value that changes with the input or the batch size, or at "
            "random, and was computed by what cannot be recorded"
        )

    def _sizes(self, node: Recorded, a: Sequence[int], b: Sequence[int]) -> str:
        varying = [i for i, (m, n) in enumerate(zip(a, b)) if m != n]
        if not varying:
            return self.constant(np.array(a, np.int64).reshape(-1))
        if node.type == "Reshape" and len(varying) == 1 and 0 not in a:
            return self.constant(np.array([-1 if i in varying else n for i, n in enumerate(a)], np.int64))
        parts = []
        for m, n in zip(a, b):
            times = m // self._batch if self._batch else 0
            if m == n:
                parts.append(self.constant(np.array([m], np.int64)))
            elif (m, n) == (times * self._batch, times * _other_batch(self._batch)):
                parts.append(self._times_batch(node, times))
            else:
                raise Unexportable(f"export: {node.layer}: the size {m} is no multiple of the batch size")
        return self._add("Concat", node, *parts, axis=0)

    def _times_batch(self, node: Recorded, times: int) -> str:
        """A size that is a multiple of the batch's."""
        self.has_batch = True
        return "batch_size" if times == 1 else self._add("Mul", node, "batch_size", self.constant(np.array([times])))

    def _add(self, type: str, node: Recorded, *operands: str, **attributes: Any) -> str:
        name = f"{node.outputs[0]}/{type}_{len(self.nodes)}"
        self.nodes.append(Recorded(type, list(operands), [name], attributes, node.layer))
        return name

    def constant(self, x: np.ndarray) -> str:
        """The name of a constant; equal ones are one."""
        x = np.asarray(x)
        key = x.dtype.str, x.shape, x.tobytes()
        return self.constants.setdefault(key, (f"constant_{len(self.constants)}", x))[0]


# --- the file ---------------------------------------------------------------------------------------------


def export(
    model: Module, example: Tensor | Sequence[Tensor], path: StrPath, dynamic_batch: bool = True, *,
    input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None, opset_version: int = OPSET,
    dynamic_axes: Mapping[str, Any] | None = None, export_params: bool = True, do_constant_folding: bool = True,
    verbose: bool | None = None, dynamo: bool = True,
) -> None:  # fmt: skip
    """Writes a net as an ONNX file, whole or not at all.

    The net runs in eval mode, without recording gradients, and is set back. Weights have the names of `state_dict`.

    Args:
        model: the net; what it returns is a Tensor, or a sequence or dict of them.
        example: its input, or a tuple of its inputs.
        path: the file.
        dynamic_batch: whether the first dimension of the inputs, the batch, may have any size in the file; the net is
            then run with twice as many samples and one more. False: the file takes the example's shapes only.
        input_names, output_names: default: the names of the parameters of `forward`, and "output" (or the keys).
        opset_version: the version of ONNX's operators, 18 to 23; for less, as torch takes it, 18 and a warning.
        dynamic_axes: as in torch, names of inputs and outputs to their open dimensions, of which only the first is
            known here: the batch. Nothing else follows from it.
        export_params, do_constant_folding, verbose, dynamo: accepted as in torch, without effect.

    Raises ValueError, naming the layer, for what cannot be exported; nothing is written then. ImportError without
    onnx-ir, OSError if the file cannot be written.
    """
    ir = onnx_ir("export")
    path = checked_path("export", "path", path)
    check_flag("export", "dynamic_batch", dynamic_batch)
    if not isinstance(model, Module):
        raise TypeError(f"export: expected model as a Module, got {type(model).__name__}")
    inputs = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    for x in inputs:
        if not isinstance(x, Tensor):
            raise TypeError(f"export: expected example as a Tensor or a tuple of them, got {type(x).__name__}")
    if not is_int(opset_version) or opset_version > 23:
        raise ValueError(f"export: expected opset_version from {OPSET} to 23, got {shortened(opset_version)}")
    for name, axes in (dynamic_axes or {}).items():
        if [*axes] != [0]:
            raise ValueError(f"export: expected dynamic_axes to name the batch, axis 0, alone, got {name!r}: {axes}")
    if opset_version < OPSET:
        warnings.warn(f"export: writes opset {OPSET}, not {opset_version}", stacklevel=2)
    names = _checked_names("input_names", input_names, _input_names(model, len(inputs)))
    if dynamic_batch and (not inputs or not inputs[0].ndim):
        raise ValueError("export: dynamic_batch=True expects an example with a batch as its first dimension")
    batch = inputs[0].shape[0] if dynamic_batch else 0
    first, second = recorded(model, inputs, names), _recorded_again(model, inputs, names, batch)
    defaults = [key or (f"output_{i}" if len(first.outputs) > 1 else "output") for i, key in enumerate(first.keys)]
    results = _checked_names("output_names", output_names, defaults)
    merged = Merged(first, second, batch)
    file = _File(ir, first, second, batch)
    file.write_nodes(merged)
    file.write_outputs(results)
    opset = max(opset_version, OPSET)
    _check_bfloat16(merged, [*inputs, *first.weights.values()], opset)
    graph = ir.Graph(
        file.inputs, file.outputs, nodes=file.nodes, initializers=file.initializers, name=type(model).__name__,
        opset_imports={"": opset},
    )  # fmt: skip
    size = sum(value.const_value.nbytes for value in file.initializers)
    if size > _LARGEST:
        raise ValueError(f"export: the weights take {size:,} bytes, more than the {_LARGEST:,} of an ONNX file")
    proto = ir.to_proto(ir.Model(graph, ir_version=_IR_VERSION, producer_name="tinycnn"))
    try:
        write_whole(path, proto.SerializeToString())
    except OSError as error:
        raise OSError(f"export: {error}") from None


_BFLOAT16_SINCE_22 = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool")


def _check_bfloat16(merged: Merged, tensors: Sequence[Tensor], opset: int) -> None:
    """Refuses the operators that ONNX has for bfloat16 from opset 22 on only, in a net with tensors of bfloat16."""
    if opset < 22 and any(is_bfloat16(x._array.dtype) for x in tensors):
        for node in merged.nodes:
            if node.type in _BFLOAT16_SINCE_22:
                raise Unexportable(f"export: {node.layer}: {node.type} of bfloat16 needs opset_version=22")


def onnx_ir(called: str) -> Any:
    """The module onnx_ir. ImportError with advice if it is not installed."""
    try:
        import onnx_ir
    except ImportError as error:
        raise ImportError(f"{called}: needs onnx-ir, which is not installed: {how_to_install('onnx')}") from error
    return onnx_ir


def _checked_names(argument: str, given: Any, default: Sequence[str]) -> list[str]:
    if given is None:
        return [*default]
    if not isinstance(given, (tuple, list)) or len({*map(str, given)}) != len(default):
        raise ValueError(f"export: expected {argument} as {len(default)} names, got {shortened(given)}")
    return [*map(str, given)]


def _input_names(model: Module, count: int) -> list[str]:
    """The names of the parameters of `forward`."""
    names = [p.name for p in inspect.signature(model.forward).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    return names[:count] if len(names) >= count else [f"input_{i}" for i in range(count)]


def _other_batch(batch: int) -> int:
    """That of the second run: half of it, or a third, is not that of the example, whatever is rounded."""
    return 2 * batch + 1


def _others(x: Tensor, batch: int) -> Any:
    """Other numbers of the same kind and range, of another size if x is a batch."""
    array = np.flip(backend.to_device(x._array, backend.CPU))
    if array.dtype.kind in FLOATING and array.size:
        ramp = np.linspace(0.5, 1, array.size, dtype=array.dtype).reshape(array.shape)
        array = ramp if not array.any() else array * ramp
    if batch and array.shape[:1] == (batch,):
        array = np.concatenate([array, array, array[:1]])
    return backend.to_device(np.array(array, order="C"), x.device)


def recorded(model: Module, inputs: Sequence[Tensor], names: Sequence[str]) -> Run:
    """One run in eval mode, with the Tensors that the net returned and their keys."""
    modes = [(module, module.training) for module in model.modules()]
    run = Run(model, inputs := [x.detach().clone() for x in inputs], names)  # which the net may change
    try:
        model.eval()
        with no_grad():
            run.keys, run.outputs = map(list, zip(*_flattened(run.output_of(inputs))))
    finally:
        for module, training in modes:
            object.__setattr__(module, "training", training)
    try:
        _name_outputs(run)
    except Unexportable as error:
        raise Unexportable(f"export: {type(model).__name__}: {error}") from None
    return run


def _name_outputs(run: Run) -> None:
    for y in run.outputs:  # an input, a weight, a constant, or what is an output already gets a node of its own
        name = run.name_of(y)
        is_own = any(name in node.outputs for node in run.nodes) if isinstance(name, str) else False
        run.ends.append(name if is_own and name not in run.ends else run.op("Identity", y))


def _recorded_again(model: Module, inputs: Sequence[Tensor], names: Sequence[str], batch: int) -> Run:
    """The run on other numbers, with another batch size, unless `batch` is 0."""
    try:
        return recorded(model, [wrap(_others(x, batch)) for x in inputs], names)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        if isinstance(error, Unexportable) or not batch:
            raise
        raise Unexportable(
            f"export: with dynamic_batch=True the net must take any batch size, but with {_other_batch(batch)} samples "
            f"instead of {batch} it failed: {error}; use dynamic_batch=False"
        ) from None


def _flattened(result: Any, key: str = "") -> Iterator[tuple[str, Tensor]]:
    """The Tensors that a net returns, with their keys if it returns a dict."""
    if isinstance(result, Tensor):
        yield key, result
    elif isinstance(result, dict):
        for name, value in result.items():
            yield from _flattened(value, str(name))
    elif isinstance(result, (tuple, list)) and result:
        for value in result:
            yield from _flattened(value)
    else:
        raise TypeError(f"export: expected the net to return Tensors, got {type(result).__name__}")


class _File:
    """The parts of the ONNX graph."""

    def __init__(self, ir: Any, run: Run, other: Run, batch: int):
        self._ir, self._run, self._other, self._batch = ir, run, other, batch
        self.nodes: list[Any] = []
        self.outputs: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs = [self._value(*given) for given in zip(run.names, run.inputs, other.inputs)]
        self._values = {value.name: value for value in self.inputs}

    def _value(self, name: str, x: Tensor, other: Tensor) -> Any:
        """A value of the graph's surface: with dtype and shape, as they were in both runs."""
        dims = [m if m == n else self._dim(m) for m, n in zip(x.shape, other.shape)]
        dtype = self._ir.DataType.from_numpy(x.dtype)
        return self._ir.Value(name=name, shape=self._ir.Shape(dims), type=self._ir.TensorType(dtype))

    def _dim(self, size: int) -> str:
        return "batch" if size == self._batch else f"batch_of_{size}_for_{self._batch}"

    def _node(self, node: Recorded) -> None:
        attributes = {
            name: int(self._ir.DataType.from_numpy(np.dtype(value))) if name == "to" else value
            for name, value in node.attributes.items()
        }
        inputs = [None if x is None else self._values[x] for x in node.operands]
        outputs = [self._ir.Value(name=name) for name in node.outputs]
        self._values.update(zip(node.outputs, outputs))
        self.nodes.append(self._ir.node(node.type, inputs, attributes, outputs=outputs, name=node.outputs[0]))

    def _initializer(self, name: str, array: np.ndarray) -> None:
        tensor = self._ir.tensor(np.array(array, order="C"), name=name)
        value = self._ir.Value(
            name=name, shape=tensor.shape, type=self._ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._values[name] = value
        self.initializers.append(value)

    def _constant(self, name: str, array: np.ndarray) -> None:
        """A number that is no weight."""
        self._node(Recorded("Constant", [], [name], {"value": self._ir.tensor(np.array(array, order="C"))}, ""))

    def write_nodes(self, merged: Merged) -> None:
        """All nodes, after the weights and constants that they take."""
        taken = {x for node in merged.nodes for x in node.operands}
        for name, x in self._run.weights.items():
            if name in taken:
                self._initializer(name, backend.to_device(x._array, backend.CPU))
        for name, array in merged.constants.values():
            self._constant(name, array)
        if merged.has_batch:
            self._node(Recorded("Shape", [self._run.names[0]], ["batch_size"], {"start": 0, "end": 1}, ""))
        for node in merged.nodes:
            self._node(node)

    def write_outputs(self, names: Sequence[str]) -> None:
        """The results, under the names that users see."""
        for name, end, y, other in zip(names, self._run.ends, self._run.outputs, self._other.outputs):
            value, surface = self._values[end], self._value(name, y, other)
            value.name, value.shape, value.type = name, surface.shape, surface.type
            self.outputs.append(value)
