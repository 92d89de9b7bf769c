"""Operators that users write as for torch: static `forward(ctx, ...)` and `backward(ctx, ...)`, used by `apply`.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad_output):
            (y,) = ctx.saved_tensors
            return grad_output * y

    y = Exp.apply(x)

Both take and return Tensors. There may be several outputs, and a backward of them all at once: see `JointNode`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from tinycnn import autograd, creation
from tinycnn.autograd import NOT_RECORDED, UNCHANGED, Function, Mark, Name, is_grad_enabled, no_grad, wrap
from tinycnn.checks import check_flag
from tinycnn.grad_mode import thread_mode
from tinycnn.ops import in_place
from tinycnn.tensor import Tensor

# --- nodes with several outputs ---------------------------------------------------------------------------


class JointNode(Function):
    """A node with several outputs, which a Function, having one, cannot be alone.

    Between it and each output lies an `_Output`. The walk visits newer nodes first, so these come before the node: each
    hands its gradient on as `JointGradient`, a Tensor that puts another one beside itself when it is added to it. The
    node is given all together, and nothing of a walk is kept outside of it. A single output needs nothing between.
    """

    straight = True  # whether a single output comes from the node itself

    def __init__(self, name: str, edges: list[Any]):
        self.name = self._called = name
        _record(self, edges, JointGradient._array)
        self.only = -1  # the output that the node itself made

    def lead_out(self, tensors: dict[int, Tensor]) -> None:
        """Makes the node that of `tensors`, by the number of the output."""
        if len(tensors) == 1 and self.straight:
            ((self.only, tensor),) = tensors.items()
            self._output_type = tensor.shape, tensor.dtype
        for i, tensor in tensors.items():
            tensor._node, tensor._requires_grad = self.node_of(i, tensor), True

    def node_of(self, i: int, tensor: Tensor) -> Function:
        """The node of output `i`, which is `tensor`."""
        return self if i == self.only else _Output(self, i, tensor)

    def gradients(self, grad_output: Tensor) -> dict[int, Tensor]:
        """What `backward` was given, by the number of the output."""
        return dict(grad_output.parts) if isinstance(grad_output, JointGradient) else {self.only: grad_output}


class _Output(Function):
    def __init__(self, node: JointNode, index: int, tensor: Tensor):
        self.name, self.index = f"output {index} of {node.name}", index
        _record(self, [node], tensor._array)

    def backward(self, grad_output: Tensor) -> Tensor:
        return JointGradient({self.index: grad_output})


class JointGradient(Tensor):
    """Gradients of several outputs, by their number, as the gradient of something that has no dimensions."""

    _array = np.zeros((), np.float32)

    def __init__(self, parts: dict[int, Tensor]):
        self.parts = parts

    def __add__(self, other: Any) -> Tensor:  # type: ignore[override]  # the walk adds, and nobody else
        summed = dict(self.parts)
        for i, part in other.parts.items():
            summed[i] = summed[i] + part if i in summed else part
        return JointGradient(summed)


def _record(node: Function, edges: list[Any], output: Any) -> None:
    """Makes `node` part of the graph, as the one that made the array `output`."""
    node.order, node.edges = next(autograd._order), edges
    node._requires, node._output_type = [edge is not None for edge in edges], (output.shape, output.dtype)


def alias(x: Tensor) -> Tensor:
    """Another Tensor of the memory of `x`. While there is `x`, no change of it in place can be recorded."""
    other = x.detach()
    other._view_of = NOT_RECORDED
    return other


def keep(x: Tensor) -> Mark:
    """What tells later whether `x`, which a node keeps, has changed."""
    if x._changes is None:
        x._is_kept = True
        return UNCHANGED
    return x._changes.mark(x._array)


def has_changed(x: Tensor, mark: Mark) -> bool:
    """Whether `x` was changed in place since `keep` gave its mark."""
    return x._changes is not None and x._changes.changed(mark, x._array)


# --- what a user's forward and backward are given ---------------------------------------------------------


class FunctionCtx:
    """`ctx`, the first argument of a user's `forward` and `backward`: what one leaves for the other.

    Any attribute may be set on it. Tensors are to be left by `save_for_backward`, which notices changes in place.

    Attributes:
        needs_input_grad: for each argument of `forward`, whether it is a Tensor that requires a gradient.
    """

    def __init__(self, name: str, arguments: Sequence[Any]):
        self.needs_input_grad = tuple([isinstance(x, Tensor) and x._requires_grad for x in arguments])
        self._name = name
        self._to_save: tuple = ()
        self._non_differentiable: tuple = ()
        self._dirty: tuple = ()
        self._materialize_grads = True
        self._node: Callable[[], _Application | None] = lambda: None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for `backward`: inputs, outputs or others. TypeError for anything but a Tensor or None."""
        for i, x in enumerate(tensors):
            self._check_tensor("save_for_backward", i, x, none_too=True)
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple:
        """What `save_for_backward` was given. RuntimeError if one was changed in place since, or if they are freed."""
        node = self._node()
        if node is None or node.freed:
            raise RuntimeError(
                f"{self._name}: ctx.saved_tensors are there in backward, until the graph is freed; "
                "pass retain_graph=True to the first backward() to go through it again"
            )
        return node.unpacked()

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Says that these outputs have no gradient."""
        for i, x in enumerate(outputs):
            self._check_tensor("mark_non_differentiable", i, x)
        self._non_differentiable = outputs

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Says that `forward` has changed these inputs in place; each must also be an output."""
        for i, x in enumerate(inputs):
            self._check_tensor("mark_dirty", i, x)
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` is given zeros (the default) or None for an output that nothing was computed from."""
        self._materialize_grads = check_flag(f"{self._name}.set_materialize_grads", "value", value)

    def _check_tensor(self, method: str, i: int, x: Any, none_too: bool = False) -> None:
        if not (isinstance(x, Tensor) or (none_too and x is None)):
            kinds = "a Tensor or None" if none_too else "a Tensor"
            raise TypeError(f"{self._name}: {method} expected argument {i} as {kinds}, got {type(x).__name__}")


class _Application(JointNode):
    """One application of a user's class: the node that its outputs come from."""

    def __init__(self, cls: type[Function], ctx: FunctionCtx, arguments: Sequence[Any], edges: list[Any]):
        super().__init__(cls.name, edges)
        self.cls, self.ctx = cls, ctx
        self.are_tensors = [isinstance(x, Tensor) for x in arguments]
        ctx._node = weakref.ref(self)  # that a node and its ctx hold each other would be a cycle

    def keep(self, outputs: list[Any], originals: list[Any]) -> None:
        """Notes what the outputs look like, and takes over what `ctx` is to save."""
        self.like = [(y.shape, y.dtype, y.device) if isinstance(y, Tensor) else None for y in outputs]
        numbers = {id(y): i for i, y in enumerate(originals) if y is outputs[i] and isinstance(y, Tensor)}
        saved: list[tuple] = []
        for x in self.ctx._to_save:
            i = numbers.get(id(x))
            if i is not None and outputs[i]._requires_grad:
                # A node that held its output, which holds the node, would be a cycle that only the garbage collector
                # frees: it holds another Tensor of that memory.
                saved.append((x := x.detach(), keep(x), i))
            else:
                saved.append((x, None if x is None else keep(x), None))
        self.ctx._to_save, self.saved = (), saved or None

    def unpacked(self) -> tuple:
        """The saved tensors, connected to the graph. RuntimeError if one has changed."""
        tensors = []
        for i, (x, mark, output) in enumerate(self.saved or ()):
            if x is not None and has_changed(x, mark):
                raise self._changed_in_place(f"saved tensor {i} of shape {tuple(x.shape)}")
            if output is not None:
                x = x.detach()
                x._node, x._requires_grad = self.node_of(output, x), True
            tensors.append(x)
        return tuple(tensors)

    def backward(self, grad_output: Tensor) -> tuple:
        if not _is_static(self.cls, "backward"):
            raise NotImplementedError(f"{self.name}: expected a static method backward(ctx, *grad_outputs)")
        parts, gradients = self.gradients(grad_output), []
        for i, like in enumerate(self.like):
            if i not in parts and like is not None and self.ctx._materialize_grads:
                shape, dtype, device = like
                parts[i] = creation.zeros(shape, dtype=dtype, device=device)
            gradients.append(parts.get(i))
        found: Any = self.cls.backward(self.ctx, *gradients)
        found = list(found) if isinstance(found, tuple) else [found]
        while len(found) > len(self.edges) and found[-1] is None:
            found.pop()
        for i, (gradient, is_tensor) in enumerate(zip(found, self.are_tensors)):
            if gradient is not None and not is_tensor:
                raise RuntimeError(
                    f"{self.name}.backward: expected None as gradient {i}, for that input is no Tensor, "
                    f"got {type(gradient).__name__}"
                )
        return tuple(found)


def _is_static(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), staticmethod)


# --- applying it ------------------------------------------------------------------------------------------


def apply(cls: type[Function], arguments: tuple, options: dict[str, Any]) -> Any:
    """`cls.apply(*arguments, **options)`: runs `forward`, unrecorded, and makes one node of the whole."""
    if not _is_static(cls, "forward"):
        raise RuntimeError(
            f"{cls.name}.apply: expected forward as a static method, forward(ctx, ...); an operator whose forward "
            f"takes self and arrays is called: {cls.name}()(...)"
        )
    setup_context = getattr(cls, "setup_context", None)  # then forward gets no ctx
    ctx_first = () if setup_context else (None,)
    if options or setup_context:
        bound = inspect.signature(cls.forward).bind(*ctx_first, *arguments, **options)
        if setup_context:
            bound.apply_defaults()
        arguments = bound.args[len(ctx_first) :]
    ctx = FunctionCtx(cls.name, arguments)
    edges = None
    if thread_mode.recording and True in ctx.needs_input_grad:
        edges = [x._node or x if needed else None for x, needed in zip(arguments, ctx.needs_input_grad)]
    with no_grad():
        if setup_context:
            result = cls.forward(*arguments)
            setup_context(ctx, arguments, result)
        else:
            result = cls.forward(ctx, *arguments)
    originals = list(result) if isinstance(result, tuple) else [result]
    outputs = _own(originals, arguments, ctx, edges is not None)
    if edges is not None:
        _connect(_Application(cls, ctx, arguments, edges), outputs, originals, arguments)
    return tuple(outputs) if isinstance(result, tuple) else outputs[0]


def _own(originals: list[Any], arguments: Sequence[Any], ctx: FunctionCtx, recorded: bool) -> list[Any]:
    """What `forward` returned, with another Tensor of the same memory for each that has a history elsewhere."""
    for x in ctx._dirty:
        if not any(x is y for y in originals):
            raise RuntimeError(f"{ctx._name}: an input that mark_dirty names must also be an output")
        if recorded and in_place.root_of(ctx._name, x)[0] is not x:
            raise RuntimeError(f"{ctx._name}: expected no view of another tensor in mark_dirty: clone() it first")
    dirty, taken = set(map(id, ctx._dirty)), set(map(id, arguments))
    outputs = []
    for y in originals:
        if isinstance(y, Tensor) and id(y) not in dirty and (id(y) in taken or y._requires_grad):
            outputs.append(alias(y))
        else:
            outputs.append(y)
    return outputs


def _connect(node: _Application, outputs: list[Any], originals: list[Any], arguments: Sequence[Any]) -> None:
    """Makes `node` that of the outputs that have gradients."""
    without = set(map(id, node.ctx._non_differentiable))
    found = {
        i: y for i, y in enumerate(outputs)
        if isinstance(y, Tensor) and y.is_floating_point() and id(originals[i]) not in without
    }  # fmt: skip
    if thread_mode.anomaly is not None:
        arrays = [getattr(x, "_array", x) for x in arguments]
        for y in found.values():
            thread_mode.anomaly.forward(node, arrays, y._array)
    changed = {i: x for i, x in found.items() if any(x is y for y in node.ctx._dirty)}
    results = {i: wrap(x._array) if i in changed else x for i, x in found.items()}
    node.lead_out(results)
    for i, x in changed.items():
        in_place.become(x, results[i])
    node.keep(outputs, originals)


def refuse_call(self: Function, *inputs: Any) -> NoReturn:
    """`__call__` of a class whose `forward` is static."""
    raise RuntimeError(f"{self.name}: forward is a static method: use {self.name}.apply(...), not an instance")


def once_differentiable(backward: Callable) -> Callable:
    """For a static `backward` that computes in other ways than by operators: its result cannot be differentiated again,
    and RuntimeError says so where somebody tries."""

    @functools.wraps(backward)
    def unrecorded(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        with no_grad():
            found = backward(ctx, *grad_outputs)
        tracked = [g for g in grad_outputs if isinstance(g, Tensor) and g.requires_grad]
        if not (is_grad_enabled() and tracked):
            return found
        refusing = [_Once(ctx._name)(g, *tracked) if isinstance(g, Tensor) else g
                    for g in (found if isinstance(found, tuple) else (found,))]  # fmt: skip
        return tuple(refusing)

    return unrecorded


class _Once(Function):
    def __init__(self, name: str):
        self.of = name

    def forward(self, gradient: Any, *tracked: Any) -> Any:
        return gradient.view()

    def backward(self, grad_output: Tensor) -> NoReturn:
        raise RuntimeError(f"{self.of}.backward is once_differentiable: its gradient cannot be differentiated again")


# --- the graph as programs walk it -------------------------------------------------------------------------


class AccumulateGrad:
    """What `next_functions` shows for a leaf, which has no node: there, the gradient is added to `variable.grad`."""

    name = Name("AccumulateGrad")
    next_functions = ()
    _known: ClassVar[weakref.WeakValueDictionary[int, AccumulateGrad]] = weakref.WeakValueDictionary()

    def __init__(self, variable: Tensor):
        self.variable = variable

    @classmethod
    def of(cls, variable: Tensor) -> AccumulateGrad:
        """That of `variable`, the same one as long as somebody holds it: programs look nodes up."""
        return cls._known.setdefault(id(variable), cls(variable))

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def next_functions(node: Function) -> tuple[tuple[Function | AccumulateGrad | None, int], ...]:
    """`node.next_functions`: see there."""
    return tuple([(x if x is None or isinstance(x, Function) else AccumulateGrad.of(x), 0) for x in node.edges])


autograd.custom_function = sys.modules[__name__]  # Function.apply leads here: see there
