"""Reverse-mode automatic differentiation: the operator base class and the walk over the graph.

A `Function` is one application of an operator and, at the same time, the node of the graph that remembers it.
`forward` takes and returns arrays; `backward` takes and returns Tensors and uses only public operators, so that
with `create_graph=True` its own work is recorded and can be differentiated again: gradients of any order.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array

# The class Tensor. tensor.py builds on the operators and they on this module, so it is tensor.py that sets it.
Tensor: Any = None

# --- recording on and off ---------------------------------------------------------------------------------


class _Mode(threading.local):
    recording = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operators record a graph in this thread now."""
    return _mode.recording


class set_grad_enabled(contextlib.ContextDecorator):
    """Context manager and decorator: operators inside record a graph (`mode=True`) or do not."""

    def __init__(self, mode: bool):
        self.mode = mode
        self.previous: list[bool] = []  # a stack: one instance may decorate a recursive function

    def __enter__(self) -> None:
        self.previous.append(_mode.recording)
        _mode.recording = self.mode

    def __exit__(self, *exc: object) -> None:
        _mode.recording = self.previous.pop()


class no_grad(set_grad_enabled):
    """Context manager and decorator: operators inside record no graph, so their results need no gradient."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """Context manager and decorator: operators inside record a graph again."""

    def __init__(self) -> None:
        super().__init__(True)


# --- changes in place -------------------------------------------------------------------------------------


class Version:
    """Counts the in-place changes of one piece of memory; a tensor and its views share one.

    Changes through Tensor methods are counted as they happen. An array that was handed out (`tensor.data`,
    `tensor.numpy()`, `from_numpy`) can change behind our back, so it is known by a checksum that is compared
    whenever the count is asked for; tensors that were never handed out pay nothing.
    """

    __slots__ = ("count", "exposed")

    def __init__(self) -> None:
        self.count = 0
        self.exposed: list[tuple[Array, int]] = []

    def expose(self, array: Array) -> None:
        """Notes that somebody outside holds `array`."""
        if not any(known is array for known, _ in self.exposed):
            self.exposed.append((array, _checksum(array)))

    def current(self) -> int:
        """The count, after looking for changes of exposed arrays."""
        for i, (array, before) in enumerate(self.exposed):
            now = _checksum(array)
            if now != before:
                self.exposed[i] = (array, now)
                self.count += 1
        return self.count


def _checksum(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(backend.to_device(array, backend.CPU)))


# --- the operator base class ------------------------------------------------------------------------------


class Function:
    """One operator. A subclass gives `forward` (arrays to array) and `backward` (Tensor to Tensors):

        class Mul(Function):
            saves_inputs = True

            def forward(self, a, b):
                return a * b

            def backward(self, grad_output):
                a, b = self.inputs
                return grad_output * b, grad_output * a

        y = Mul()(x, w)

    Parameters of the operator go to `__init__`. An input may be a Tensor or anything that is not differentiated
    (a Python number, None). `backward` returns one gradient an input, None where there is none; it may skip those
    that `needs_input_grad` does not ask for. A gradient that has the broadcast shape of the output is reduced to
    its input's shape, and cast to its dtype, by the graph walk: operators need not care.

    Class attributes:
        saves_inputs: keep the inputs for `backward`, as `self.inputs` (checked against changes in place).
        saves_output: keep the output, as `self.output`.
        returns_view: the output may share memory with the first input.

    What else `backward` needs, `forward` puts into `self.saved`; it is freed with the rest after `backward`.
    """

    saves_inputs = False
    saves_output = False
    returns_view = False

    recorded = False  # whether a graph is being recorded: `forward` may skip what only `backward` needs
    freed = False
    saved: Any = None
    needs_input_grad: Sequence[bool] = ()
    hooks: list[Callable] | None = None

    _inputs: tuple | None = None
    _output: Array | None = None
    _order = itertools.count()

    def forward(self, *arrays: Array) -> Array:
        raise NotImplementedError(f"{self.name}: an operator defines forward(self, *arrays)")

    def backward(self, grad_output: Any) -> Any:
        raise NotImplementedError(f"{self.name}: this operator has no gradient")

    @property
    def name(self) -> str:
        return type(self).__name__

    def __call__(self, *inputs: Any) -> Any:
        if _mode.recording:
            needs = [isinstance(x, Tensor) and x._requires_grad for x in inputs]
            if True in needs:
                self.recorded = True
                self.needs_input_grad = needs
        array = self.forward(*[x._array if isinstance(x, Tensor) else x for x in inputs])
        output = Tensor._wrap(array)
        if self.returns_view and np.may_share_memory(output._array, inputs[0]._array):
            output._version = inputs[0]._shared_version()
        if self.recorded:
            self._record(inputs, output)
        return output

    def _record(self, inputs: tuple, output: Any) -> None:
        """Becomes the node of the graph that made `output`."""
        self.order = next(Function._order)
        self.edges = tuple(
            (x._node or x) if need else None for x, need in zip(inputs, self.needs_input_grad, strict=True)
        )
        self.input_types = tuple(
            (x.shape, x.dtype) if need else None for x, need in zip(inputs, self.needs_input_grad, strict=True)
        )
        if self.saves_inputs:
            self._inputs = inputs
            self._input_counts = [_version_count(x) for x in inputs]
        if self.saves_output:
            self._output = output._array
            self._output_version = output._shared_version()
            self._output_count = self._output_version.current()
        output._node = self
        output._requires_grad = True

    @property
    def inputs(self) -> tuple:
        """The inputs, as given. RuntimeError if one was changed in place since `forward`."""
        assert self._inputs is not None, f"{self.name}: set saves_inputs = True to use self.inputs"
        for i, (x, count) in enumerate(zip(self._inputs, self._input_counts, strict=True)):
            if _version_count(x) != count:
                raise self._changed_in_place(f"input {i} of shape {tuple(x.shape)}")
        return self._inputs

    @property
    def output(self) -> Any:
        """The output. RuntimeError if it was changed in place since `forward`."""
        assert self._output is not None, f"{self.name}: set saves_output = True to use self.output"
        if self._output_version.current() != self._output_count:
            raise self._changed_in_place(f"the output of shape {tuple(self._output.shape)}")
        # A node that held its output Tensor, which holds the node, would be a cycle that only the garbage
        # collector frees: it holds the array, and the Tensor is made again here.
        output = Tensor._wrap(self._output)
        output._node, output._version, output._requires_grad = self, self._output_version, True
        return output

    def _changed_in_place(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"backward through {self.name}: {what} was changed in place after the forward pass, which needs it "
            "unchanged; change a clone() instead, or change it after backward()"
        )

    def free(self) -> None:
        """Drops all that was saved for `backward`."""
        if self._inputs is not None or self._output is not None or self.saved is not None:
            self._inputs = self._output = self.saved = None
            self.freed = True

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _version_count(x: Any) -> int:
    version = getattr(x, "_version", None)
    return 0 if version is None else version.current()


# --- the walk over the graph ------------------------------------------------------------------------------


def _reachable(roots: Sequence[Any]) -> list[Function]:
    """Every Function from which the roots were computed, once each, in the order of their creation.

    A Function is created after those that made its inputs, so this is a topological order.
    """
    seen = {root for root in roots if isinstance(root, Function)}
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, Function) and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=lambda node: node.order)


def _walk(
    roots: Sequence[tuple[Any, Any]], targets: set | None, retain_graph: bool, create_graph: bool
) -> dict[Any, Any]:
    """The gradients of the leaves reached (`targets=None`), or of the `targets`, as a table.

    Keys of the table are nodes of the graph: the Function that made a tensor, or the tensor itself if it is a
    leaf. Visiting Functions from the newest to the oldest completes a gradient before it is passed on, so each
    is visited once, however many paths lead to it; nothing recurses, so depth has no limit.
    """
    nodes = _reachable([key for key, _ in roots])
    on_path = targets
    if targets is not None:
        on_path = set(targets)
        on_path.update(node for node in nodes if any(edge in on_path for edge in node.edges))
    table: dict[Any, Any] = {}

    def add(key: Any, gradient: Any) -> None:
        table[key] = table[key] + gradient if key in table else gradient

    with set_grad_enabled(create_graph):
        for key, gradient in roots:
            add(key, gradient)
        for node in reversed(nodes):
            if node not in table or (on_path is not None and node not in on_path):
                continue
            gradient = _run_hooks(node.hooks, table[node])
            if targets is not None and node in targets:
                table[node] = gradient
            else:
                del table[node]
            for edge, gradient_type, grad_input in _backward(node, gradient, on_path):
                add(edge, _fit(grad_input, *gradient_type))
            if not retain_graph:
                node.free()
        for key in table:
            if not isinstance(key, Function):
                table[key] = _run_hooks(key._hooks, table[key])
    return table


def _backward(node: Function, gradient: Any, on_path: set | None) -> Iterator[tuple]:
    """(edge, shape and dtype, gradient) for each input of `node` that asks for a gradient."""
    if node.freed:
        raise RuntimeError(
            f"backward through {node.name} a second time: what it saved was freed by the first; "
            "pass retain_graph=True to the first backward()"
        )
    node.needs_input_grad = [edge is not None and (on_path is None or edge in on_path) for edge in node.edges]
    if True not in node.needs_input_grad:
        return
    grad_inputs = node.backward(gradient)
    if not isinstance(grad_inputs, tuple):
        grad_inputs = (grad_inputs,)
    if len(grad_inputs) != len(node.edges):
        raise RuntimeError(
            f"{node.name}.backward: expected {len(node.edges)} gradients, one an input, got {len(grad_inputs)}"
        )
    for edge, need, gradient_type, grad_input in zip(
        node.edges, node.needs_input_grad, node.input_types, grad_inputs, strict=True
    ):
        if need and grad_input is not None:
            yield edge, gradient_type, grad_input


def _fit(gradient: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Undoes broadcasting and promotion: `gradient` summed to `shape` and cast to `dtype`."""
    if gradient.shape != shape:
        gradient = gradient.sum_to_size(shape)
    return gradient if gradient.dtype == dtype else gradient.to(dtype)


def _run_hooks(hooks: list[Callable] | None, gradient: Any) -> Any:
    for hook in hooks or ():
        replaced = hook(gradient)
        gradient = gradient if replaced is None else replaced
    return gradient


def _root(output: Any, gradient: Any, caller: str) -> tuple[Any, Any]:
    """The graph key of `output` and its gradient, checked; 1 for a single number without a gradient."""
    if not isinstance(output, Tensor):
        raise TypeError(f"{caller}: expected a Tensor, got {type(output).__name__}")
    if not output.requires_grad:
        raise RuntimeError(f"{caller}: this tensor needs no gradient: none of its inputs has requires_grad=True")
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError(
                f"{caller}: a tensor of shape {output.shape} is not a single number: "
                "pass its gradient, of the same shape, or reduce it with sum() or mean()"
            )
        xp = backend.array_module(output._array)
        gradient = Tensor._wrap(xp.ones_like(output._array))
    elif not isinstance(gradient, Tensor):
        raise TypeError(f"{caller}: expected the gradient as a Tensor, got {type(gradient).__name__}")
    elif gradient.shape != output.shape:
        raise RuntimeError(f"{caller}: expected a gradient of shape {output.shape}, got {gradient.shape}")
    return output._node or output, gradient.to(output.dtype)


def backward(
    outputs: Sequence[Any], grad_outputs: Sequence[Any], retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    """Adds the gradients of `outputs` to `.grad` of the leaves they were computed from (of `inputs`, if given)."""
    roots = [_root(y, g, "backward") for y, g in zip(outputs, grad_outputs, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    targets = None if inputs is None else {x._node or x for x in inputs}
    table = _walk(roots, targets, keep, create_graph)
    leaves = {x._node or x: x for x in inputs} if inputs is not None else {x: x for x in table}
    # A gradient may be the very array of another one (both inputs of an addition get the same), a view, or the
    # caller's own: a leaf gets memory that is nobody else's, or changing one .grad would change another.
    taken = {id(_owner(g._array)) for g in grad_outputs if g is not None}
    for key, leaf in leaves.items():
        gradient = table.get(key)
        if gradient is None:
            continue
        with set_grad_enabled(create_graph):
            if leaf.grad is not None:
                gradient = leaf.grad + gradient
            elif id(_owner(gradient._array)) in taken or 0 in gradient._array.strides:
                gradient = gradient.clone()
        taken.add(id(_owner(gradient._array)))
        leaf.grad = gradient


def _owner(array: Array) -> Array:
    return array if array.base is None else array.base


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple:
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` of no tensor changes.

    Args:
        outputs, inputs: a Tensor or a sequence of them.
        grad_outputs: the upstream gradients, of the outputs' shapes; may be left out for single numbers.
        retain_graph: keep what was saved for a further backward pass; default: the value of `create_graph`.
        create_graph: record the computation of the gradients, so that they can be differentiated again.
        allow_unused: None for an input that the outputs do not depend on, instead of an error.
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        grad_outputs = (grad_outputs,) * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: expected {len(outputs)} grad_outputs, one an output, got {len(grad_outputs)}")
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise RuntimeError(f"grad: inputs[{i}] of shape {x.shape} has requires_grad=False")
    roots = [_root(y, g, "grad") for y, g in zip(outputs, grad_outputs, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    table = _walk(roots, {x._node or x for x in inputs}, keep, create_graph)
    gradients = tuple(table.get(x._node or x) for x in inputs)
    if None in [None if g is None else True for g in gradients] and not allow_unused:
        unused = next(i for i, g in enumerate(gradients) if g is None)
        raise RuntimeError(
            f"grad: the outputs do not depend on inputs[{unused}] of shape {inputs[unused].shape}; "
            "pass allow_unused=True to get None for it"
        )
    return gradients
