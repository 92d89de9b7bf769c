"""Reverse-mode automatic differentiation: the operator base class and the walk over the graph.

A `Function` is one application of an operator and, at the same time, the node of the graph that records it.
`forward` takes and returns arrays; `backward` takes and returns Tensors and uses only public operators, so that
with `create_graph=True` its own work is recorded and can be differentiated again: gradients of any order. An
operator that `works_on_arrays` gets arrays where nothing is recorded.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import threading
import weakref
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy import ndarray

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.backend import Array
from tinycnn.checks import ShapeError, check_flag
from tinycnn.grad_mode import enable_grad as enable_grad
from tinycnn.grad_mode import inference_mode as inference_mode
from tinycnn.grad_mode import no_grad as no_grad
from tinycnn.grad_mode import set_grad_enabled as set_grad_enabled
from tinycnn.grad_mode import thread_mode

# The one cycle of the package: operators return Tensors, and the methods of Tensor are operators. Imports go one way,
# from tensor.py to ops/ to this file, and the way back is this one name. To type checkers and editors it is an import.
# At run time tensor.py sets it when the class is complete, and no operator runs before that.
if TYPE_CHECKING:
    from tinycnn import custom_function as custom_function  # set by itself, in the same way
    from tinycnn.tensor import Tensor as Tensor

    def __getattr__(name: str) -> Any: ...  # the names of torch.autograd that live above: autograd_names.py

# What `backward` returns: one gradient for each input, None where there is none.
Gradients: TypeAlias = "Tensor | tuple[Tensor | None, ...] | None"

_new_object = object.__new__

ON_CPU = "on a CPU"  # for `Function.in_float32`


def wrap(array: Array | np.generic) -> Tensor:
    """A Tensor around `array` itself, with no history and no check: for results of operators."""
    tensor = _new_object(Tensor)
    tensor._array = array if array.__class__ is ndarray else _as_array(array)
    return tensor


def array_of(called: str, x: Any) -> Array:
    """The array of a Tensor, or TypeError for anything else."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{called}: expected a Tensor, got {type(x).__name__}")
    if x._array.__class__ is not ndarray and (recorded := backend.recorded()) is not None:
        recorded.uses([x])
    return x._array


# --- recording on and off ---------------------------------------------------------------------------------


def is_grad_enabled() -> bool:
    """Whether operators record a graph in this thread now."""
    return thread_mode.recording


# --- changes in place -------------------------------------------------------------------------------------


class Version:
    """Counts the in-place changes of one piece of memory; a tensor and its views share one.

    Changes through Tensor methods are counted as they happen. Where the same memory is known outside of the library
    (`tensor.data`, `tensor.numpy()`, `from_numpy`), it can change without being counted. As long as somebody holds an
    array there, a graph takes the checksum of what it saves, and again in the backward pass. Of what it saved before,
    the checksum of the array that was handed out tells. Of arrays on a GPU there is no checksum, for which the host
    would have to wait: a change of `tensor.data` there between forward and backward is not detected; use `zero_`,
    `copy_` or another method of the tensor.
    """

    count = 0
    unseen = 0  # changes from outside that were found later
    is_kept = False  # whether a graph has ever saved this memory
    outside: dict[int, weakref.ref[_Outside]] | None = None
    sharers: Tensors | None = None  # the tensors of this memory, once there are several
    room = 30  # for so many of them, before the dead are removed
    copies: Tensors | None = None  # copies of it that in torch are views
    copied: Tensors | None = None  # the tensors of what this is such a copy of

    def hand_out(self, array: Array) -> Array:
        """A view of `array`, memory of the tensor, to be known outside of the library."""
        return self._shared(_Outside(self, array, True)) if isinstance(array, ndarray) else array

    def take_in(self, array: Array) -> Array:
        """A view of `array`, which is known outside, to be the memory of a new tensor."""
        return self._shared(_Outside(self, array, False)) if isinstance(array, ndarray) else array

    def _shared(self, outside: _Outside) -> ndarray:
        if self.outside is None:
            self.outside = {}
        self.outside[id(outside)] = weakref.ref(outside)
        return np.asarray(outside).view(outside.array.dtype)  # NumPy's interface has no name for bfloat16

    def _known(self) -> list[_Outside]:
        # list() in one step: other threads hand out and let go at the same time.
        found = [] if self.outside is None else [reference() for reference in list(self.outside.values())]
        return [outside for outside in found if outside is not None]

    def mark(self, array: Array) -> Mark:
        """What tells later whether `array`, of this memory, has changed: the counts, and its checksum while the memory
        is known outside."""
        self.is_kept = True
        if self.outside is None:
            return self.count, self.unseen, None
        is_held = any(outside.is_held() for outside in self._known())
        return self.count, self.unseen, _checksum(array) if is_held else None

    def changed(self, mark: Mark, array: Array) -> bool:
        """Whether `array` has changed since `mark`."""
        count, unseen, checksum = mark
        if count != self.count:
            return True
        if self.outside is None:
            return False
        if checksum is not None:
            return checksum != _checksum(array)
        for outside in self._known():  # handed out since, for nobody held an array then
            outside.look()
        return unseen != self.unseen


def alive(tensors: Tensors | None) -> list[Tensor]:
    """Those that are still there, the oldest first."""
    found = [reference() for reference in tensors or ()]
    return [tensor for tensor in found if tensor is not None]


Mark: TypeAlias = tuple[int, int, int | None]
Tensors: TypeAlias = "list[weakref.ref[Tensor]]"
UNCHANGED: Mark = (0, 0, None)  # that of memory that nothing has counted yet
# Of what a tensor is a view, and by which Function.
View: TypeAlias = "tuple[Tensor, Function] | tuple[()]"
NOT_RECORDED: View = ()  # of a view that was made where nothing is recorded


class _Outside:
    """Memory that is known outside of the library. NumPy makes an array of it, whose views all hold this object."""

    def __init__(self, version: Version, array: ndarray, handed_out: bool):
        self.version, self.array, self.handed_out = version, array, handed_out
        # Of memory that no graph has saved before, no graph can need to know.
        self.checksum = _checksum(array) if handed_out and version.is_kept else None
        self.__array_interface__ = array.__array_interface__

    def is_held(self) -> bool:
        """Whether somebody outside holds an array of this memory."""
        if self.handed_out:  # then nothing else holds this object
            return True
        # It was taken in: tensors hold this object, and whoever holds the array itself is outside.
        return self.array.base is not None or sys.getrefcount(self.array) > 2  # this attribute, the argument

    def look(self) -> None:
        """Counts a change since the array was handed out."""
        if self.checksum is not None and self.checksum != (now := _checksum(self.array)):
            self.checksum = now
            self.version.unseen += 1

    def __del__(self) -> None:
        self.look()
        if self.version.outside is not None:
            self.version.outside.pop(id(self), None)


def _checksum(array: ndarray) -> int:
    once = array[tuple([slice(None) if stride else slice(1) for stride in array.strides])]  # elements are not repeated
    return zlib.crc32(once.ravel(order="K").view(np.uint8).data)  # NumPy gives no buffer of bfloat16


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
    (a Python number, None). `backward` returns one gradient per input, None where there is none; it may skip those
    that `needs_input_grad` does not ask for. A gradient that has the broadcast shape of the output is reduced to
    its input's shape, and cast to its dtype, by the graph walk: operators need not care.

    A subclass written as for torch has a static `forward(ctx, ...)` and is used by `apply`: see `custom_function.py`.

    Class attributes:
        saves_inputs: keep the inputs for `backward`, as `self.inputs` (checked against changes in place): all of them,
            or those at the places in a tuple. An array that a caller can reach is not to be kept in any other way.
        saves_output: keep the output, as `self.output`.
        saves_other: of two inputs, keep the first only if the second requires a gradient.
        returns_view: the output may share memory with the first input.
        elementwise: each element of the output is a function of one element of each input, which are arrays that
            broadcast or numbers. `forward` may then get them with their axes in another order (`backend.compute`).
        in_float32: arrays of 16 bits come to `forward` as float32, and what it returns is rounded to theirs, once;
            `backward` gets float32 too. For every operator that computes; those that move elements need it not.
            ON_CPU: for arrays there; on a GPU the kernels round once by themselves.
        consumes_gradient: `backward` returns neither `grad_output` nor a view of it, and shows it to nobody.
        works_on_arrays: `backward` uses only +, −, · and /. Unless its work is recorded, `grad_output`, `inputs`
            and `output` are then arrays, and it returns arrays: 1,000 small operators take 8 % less time.

    Attributes, for `forward` and `backward`:
        xp: the array module of the inputs, NumPy or CuPy.
        kernels: what computes on their device, `backend.cpu` or `backend.gpu.kernels`.
        recorded: whether a graph is being recorded; `forward` may skip what only `backward` needs.
        needs_input_grad: for each input, whether `backward` is asked for its gradient, where `backward` runs.
        saved: what else `forward` keeps for `backward`, made by itself; it is freed with the rest after `backward`.
    """

    saves_inputs: bool | tuple[int, ...] = False
    saves_output = False
    saves_other = False
    returns_view = False
    elementwise = False
    in_float32: bool | str = False
    consumes_gradient = False
    works_on_arrays = False

    xp: ModuleType = np
    kernels: ModuleType = backend.cpu
    recorded = False
    freed = False
    saved: Any = None

    order: int  # in which the Functions were recorded
    edges: list[Any]  # for each input, what made it: a Function, the Tensor itself if it is a leaf, or None
    hooks: dict[int, Callable] | None = None
    retained: weakref.ref | None = None  # to the output, if that keeps its gradient
    name = "Function"

    _called = "Function"  # the name in errors: log_softmax for LogSoftmax; a class of the user keeps its own
    _output_type: tuple[tuple[int, ...], np.dtype]
    _requires: Sequence[bool] = ()  # for each input, whether it requires a gradient
    _inputs: tuple | None = None
    _input_marks: list[Mark] | None = None  # of when they were saved; None: all UNCHANGED
    _output: Array | None = None
    _output_version: Version
    _output_mark = UNCHANGED

    if TYPE_CHECKING:  # subclasses name the arrays they take
        forward: Callable[..., Array]
        backward: Callable[..., Gradients]
    else:

        def forward(self, *arrays: Array) -> Array:
            """The output array, given the arrays of the inputs; an input that is no Tensor is passed as it is."""
            raise NotImplementedError(f"{self.name}: an operator defines forward(self, *arrays)")

        def backward(self, grad_output: Tensor) -> Gradients:
            """The gradient of each input, or None, given that of the output; one input needs no tuple."""
            raise NotImplementedError(f"{self.name}: this operator has no gradient")

    def __init_subclass__(cls) -> None:
        cls.name = Name(cls.__name__)
        cls._called = cls.__name__
        if "backward" in vars(cls) and "works_on_arrays" not in vars(cls):
            cls.works_on_arrays = False  # that of a base class speaks of another backward
        if cls.__module__.startswith("tinycnn."):
            cls._called = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.name).lower()
        if isinstance(vars(cls).get("forward"), staticmethod):  # written as for torch
            cls.__call__ = custom_function.refuse_call  # type: ignore[method-assign]

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """What the static `forward` of a subclass makes of its arguments, recorded: see `custom_function.py`."""
        return custom_function.apply(cls, inputs, options)

    def __call__(self, *inputs: Any) -> Tensor:
        """The output as a Tensor. If an input requires a gradient, this Function becomes the node of the graph that
        made it. Inlined on purpose: every operator passes here, and benchmarks/calls.py counts."""
        if thread_mode.autocast is not None:
            inputs = thread_mode.autocast.cast(self._called, inputs)
        arrays = [*inputs]
        recording = thread_mode.recording
        array: Any = None
        edges: list[Any] | None = None
        for i, x in enumerate(inputs):
            if isinstance(x, Tensor):
                array = arrays[i] = x._array
                if recording and x._requires_grad:
                    if edges is None:
                        count = len(inputs)
                        edges, requires = [None] * count, [False] * count
                    edges[i], requires[i] = x._node or x, True
        if array is None and type(self).__module__.startswith("tinycnn."):
            given = " and ".join(type(x).__name__ for x in inputs)
            raise TypeError(f"{self._called}: expected a Tensor, got {given}")
        if edges is not None:
            if self.recorded:
                raise RuntimeError(f"{self.name}: a Function is one application: make a new one for each call")
            self.recorded = True
        try:
            if arrays and arrays[0].__class__ is ndarray:  # the usual case, without a call in between
                if self.in_float32 and arrays[0].itemsize == 2 and arrays[0].dtype.kind in FLOATING:
                    array = self._forward_in_float32(*arrays)
                else:
                    array = self.forward(*arrays)
            elif self.in_float32 and array.__class__ is ndarray and _has_16_bits(array):  # 1 / x
                array = self._forward_in_float32(*arrays)
            else:
                if (recorded := backend.recorded()) is not None:
                    recorded.uses(inputs)
                self.xp, self.kernels = backend.modules_of(arrays)
                is_widened = self.in_float32 is True and array is not None and _has_16_bits(array)
                forward = self._forward_in_float32 if is_widened else self.forward
                array = backend.compute(self._called, forward, arrays, self.elementwise)
        except Exception as error:
            self._explain(error, arrays)
            raise
        output = _new_object(Tensor)
        output._array = array if array.__class__ is ndarray else _as_array(array)
        if thread_mode.anomaly is not None:
            thread_mode.anomaly.forward(self, arrays, output._array)
        if self.returns_view and is_view(output._array, arrays[0]):
            inputs[0]._share_memory(output, (inputs[0], self) if recording else NOT_RECORDED)
        if edges is not None:
            self.order, self.edges = next(_order), edges
            self._requires, self._output_type = requires, (array.shape, array.dtype)
            if self.saves_inputs:
                if isinstance(self.saves_inputs, tuple):
                    inputs = tuple([x if i in self.saves_inputs else None for i, x in enumerate(inputs)])
                elif self.saves_other and not requires[1]:
                    inputs = (None, inputs[1])
                self._inputs, marks = inputs, None
                for i, x in enumerate(inputs):
                    if x is not arrays[i] and x is not None:
                        version = x._changes
                        if version is None:
                            x._is_kept = True
                        else:
                            if marks is None:
                                marks = self._input_marks = [UNCHANGED] * len(inputs)
                            marks[i] = version.mark(arrays[i])
            if self.saves_output:
                if output._changes is None:
                    output._changes = Version()
                    output._changes.is_kept = True
                else:  # that of the input, of which the output is a view
                    self._output_mark = output._changes.mark(output._array)
                self._output, self._output_version = output._array, output._changes
            output._node = self
            output._requires_grad = True
        return output

    def unapplied(self) -> Function:
        """Another Function with the same parameters."""
        other = _new_object(type(self))
        other.__dict__.update({name: value for name, value in vars(self).items() if name not in _OF_AN_APPLICATION})
        return other

    def recorded_anew(self, x: Tensor, output: Tensor) -> Function | None:
        """The node of another application, to x as it is now, whose output is there already: a view of x."""
        if not x._requires_grad:
            return None
        node = self.unapplied()
        node.recorded, node.order = True, next(_order)
        node.edges, node._requires = [x._node or x], [True]
        node._output_type = output._array.shape, output._array.dtype
        return node

    def _forward_in_float32(self, *arrays: Any) -> Array:
        """What `forward` makes of arrays of 16 bits, computed in float32 and rounded once."""
        dtype = next(x.dtype for x in arrays if hasattr(x, "dtype"))
        with np.errstate(over="ignore"):  # beyond the largest number lies infinity
            return self.forward(*[_in_float32(x, self.in_float32) for x in arrays]).astype(dtype)

    def _explain(self, error: Exception, arrays: Sequence[Any]) -> None:
        """Raises a clearer error than `error`, if the operands lie on several devices, do not broadcast, or hold a
        number that their dtype cannot."""
        backend.one_device(self._called, arrays)
        if isinstance(error, OverflowError):
            kinds = " and ".join(str(x.dtype) for x in arrays if hasattr(x, "dtype"))
            raise ValueError(f"{self._called}: a number is too large for {kinds}") from None
        if self.elementwise and isinstance(error, (TypeError, ValueError)):
            check_broadcast(self._called, arrays)

    @property
    def needs_input_grad(self) -> Sequence[bool]:
        """For each input, whether `backward` is asked for its gradient: by the walk that runs in this thread."""
        node, needs = thread_mode.asked
        return needs if node is self else self._requires

    @property
    def input_types(self) -> list[Any]:
        """(shape, dtype) of each input that requires a gradient, None for the others."""
        return [None if edge is None else _type_of(edge) for edge in self.edges]

    def input_shape(self, i: int = 0) -> tuple[int, ...]:
        """The shape of an input that requires a gradient."""
        return _type_of(self.edges[i])[0]

    @property
    def inputs(self) -> tuple:
        """The inputs, as given, and None for those not saved. RuntimeError if one was changed in place since `forward`.

        Of an operator that `works_on_arrays`, in a backward pass that is not recorded, their arrays.
        """
        inputs = self._inputs
        assert inputs is not None, f"{self.name}: set saves_inputs = True to use self.inputs"
        for i, x in enumerate(inputs):
            version = getattr(x, "_changes", None)
            if version is not None and version.changed(
                UNCHANGED if self._input_marks is None else self._input_marks[i], x._array
            ):
                raise self._changed_in_place(f"input {i} of shape {tuple(x.shape)}")
        if self.works_on_arrays and thread_mode.on_arrays:
            inputs = tuple([getattr(x, "_array", x) for x in inputs])
        if self._output_type[1].itemsize == 2 and self.in_float32:
            return tuple([_in_float32(x, self.in_float32) for x in inputs])
        return inputs

    @property
    def output(self) -> Any:
        """The output. RuntimeError if it was changed in place since `forward`.

        Of an operator that `works_on_arrays`, in a backward pass that is not recorded, its array.
        """
        assert self._output is not None, f"{self.name}: set saves_output = True to use self.output"
        version = self._output_version
        if version.changed(self._output_mark, self._output):
            raise self._changed_in_place(f"the output of shape {tuple(self._output.shape)}")
        is_widened = self._output_type[1].itemsize == 2 and self.in_float32
        if self.works_on_arrays and thread_mode.on_arrays:
            return _in_float32(self._output, self.in_float32) if is_widened else self._output
        # A node that held its output Tensor, which holds the node, would be a cycle that only the garbage
        # collector frees: it holds the array, and the Tensor is made again here.
        output = _new_object(Tensor)
        output._array, output._node, output._changes = self._output, self, version
        output._requires_grad = True
        return _in_float32(output, self.in_float32) if is_widened else output

    def _changed_in_place(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"backward through {self.name}: {what} was changed in place after the forward pass, which needs it "
            "unchanged; change a clone() instead, or change it after backward()"
        )

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input what made it, as (node, 0): a leaf's node is an `AccumulateGrad`; None needs no gradient."""
        return custom_function.next_functions(self)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Name(str):
    """The name of a node: `node.name`, and `node.name()` as in torch."""

    __call__ = str.__str__


_order = itertools.count()
_OF_AN_APPLICATION = {*Function.__annotations__, "recorded", "freed"}


def _has_16_bits(array: Array) -> bool:
    """Whether it is float16 or bfloat16."""
    return array.itemsize == 2 and array.dtype.kind in FLOATING


def _in_float32(x: Any, where: bool | str) -> Any:
    """An array or a Tensor of 16 bits in float32, for ON_CPU if it lies there; anything else as it is."""
    array = getattr(x, "_array", x)
    if array.__class__ is not ndarray and (where == ON_CPU or not hasattr(array, "itemsize")):
        return x
    if not _has_16_bits(array):
        return x
    return x.astype(np.float32) if x is array else x.float()


def _type_of(edge: Any) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype of the tensor that an edge leads to."""
    return edge._output_type if isinstance(edge, Function) else (edge._array.shape, edge._array.dtype)


def _as_array(array: Any) -> Array:
    """What `forward` returned as an array: NumPy makes scalars of results without dimensions."""
    return np.asarray(array) if isinstance(array, np.generic) else array


def is_view(array: Array, of: Array) -> bool:
    """Whether both arrays have the same base; that tells a view from a copy, which are all that `forward`
    returns."""
    return array is of or array.base is of or (of.base is not None and array.base is of.base)


def check_broadcast(name: str, operands: Sequence[Any]) -> None:
    """ShapeError if the shapes of the arrays (or Tensors) among the operands do not broadcast."""
    shapes = [x.shape for x in operands if hasattr(x, "shape")]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ShapeError(
            f"{name}: shapes {listed} do not broadcast: from the right, sizes must be equal or 1"
        ) from None


# --- the walk over the graph ------------------------------------------------------------------------------


def _reachable(roots: Sequence[Any]) -> list[Function]:
    """Every Function from which the roots were computed, once each, in the order of their creation.

    A Function is created after those that made its inputs, so this is a topological order.
    """
    nodes = list({root for root in roots if isinstance(root, Function)})
    seen = {None, *nodes}  # leaves too
    for node in nodes:  # which grow
        for edge in node.edges:
            if edge not in seen:
                seen.add(edge)
                if isinstance(edge, Function):
                    nodes.append(edge)
    nodes.sort(key=attrgetter("order"))
    return nodes


def _walk(
    roots: Sequence[tuple[Any, Tensor]], targets: set | None, retain_graph: bool, create_graph: bool
) -> dict[Any, Tensor]:
    """The gradients of the leaves reached (`targets=None`), or of the `targets`, as a table.

    Keys of the table are nodes of the graph: the Function that made a tensor, or the tensor itself if it is a
    leaf. Visiting Functions from the newest to the oldest completes a gradient before it is passed on, so each
    is visited once, however many paths lead to it; nothing recurses, so depth has no limit.
    """
    nodes = _reachable([key for key, _ in roots])
    on_path: set | None = None
    if targets is not None:
        on_path = set(targets)
        for node in nodes:  # the oldest first
            if not on_path.isdisjoint(node.edges):
                on_path.add(node)
    table: dict[Any, Tensor] = {}
    # Those whose hooks are called as soon as possible: they send gradients to other processes.
    early = _finished_by(nodes) if targets is None and thread_mode.hooked else {}
    with _Walking(create_graph):
        for key, gradient in roots:
            table[key] = table[key] + gradient if key in table else gradient
        for node in reversed(nodes):
            if node not in table or (on_path is not None and node not in on_path):
                continue
            gradient = table.pop(node)
            if node.hooks:
                gradient = _run_hooks(node.hooks, gradient)
            if node.retained is not None:
                _retain(node.retained(), gradient)
            if targets is not None and node in targets:
                table[node] = gradient
            needs = node._requires
            if on_path is not None:
                needs = [edge in on_path for edge in node.edges]  # None is not on the path
                if True not in needs:
                    continue
                thread_mode.asked = node, needs
            for i, grad_input in enumerate(_backward(node, gradient)):
                if grad_input is not None and needs[i]:
                    edge = node.edges[i]
                    if isinstance(edge, Function):
                        shape, dtype = edge._output_type
                    else:
                        shape, dtype = edge._array.shape, edge._array.dtype
                    if not isinstance(grad_input, Tensor) or (
                        grad_input._array.shape != shape or grad_input._array.dtype is not dtype
                    ):
                        grad_input = _fit(node, grad_input, shape, dtype)
                    table[edge] = table[edge] + grad_input if edge in table else grad_input
            if not retain_graph and (node._inputs is not None or node._output is not None or node.saved is not None):
                node._inputs = node._output = node.saved = None
                node.freed = True
            for leaf in early[node] if early and node in early else ():
                grad_input = None  # the table alone holds the gradient, which then need not be copied
                if leaf in table:
                    if leaf._hooks:
                        table[leaf] = _run_hooks(leaf._hooks, table[leaf])
                    _give({leaf: leaf}, table)
                    del table[leaf]
        for key in table:
            if not isinstance(key, Function) and key._hooks:
                table[key] = _run_hooks(key._hooks, table[key])
    return table


class _Walking:
    """For a walk: whether its own work is recorded, and else operators are given arrays where they can work on them."""

    def __init__(self, recorded: bool):
        self.recorded = recorded

    def __enter__(self) -> None:
        # Gradients have the dtypes of what they are gradients of: `autocast` has no say.
        self.outer = thread_mode.recording, thread_mode.on_arrays, thread_mode.asked, thread_mode.autocast
        thread_mode.recording, thread_mode.on_arrays, thread_mode.asked = self.recorded, not self.recorded, (None, ())
        thread_mode.autocast = None

    def __exit__(self, *exc: object) -> None:
        thread_mode.recording, thread_mode.on_arrays, thread_mode.asked, thread_mode.autocast = self.outer


def _backward(node: Function, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """What `node.backward` returns, checked: one gradient, or None, for each input."""
    if node.freed:
        raise RuntimeError(
            f"backward through {node.name} a second time: what it saved was freed by the first; "
            "pass retain_graph=True to the first backward()"
        )
    array = gradient._array
    if array.itemsize == 2 and node.in_float32:
        gradient = _in_float32(gradient, node.in_float32)
        array = gradient._array
    given_arrays = False
    if array.__class__ is ndarray and thread_mode.anomaly is None:  # the usual case, without a call in between
        given_arrays = node.works_on_arrays and thread_mode.on_arrays
        grad_inputs: Any = node.backward(array if given_arrays else gradient)
    else:
        outer, thread_mode.on_arrays = thread_mode.on_arrays, False
        with backend.current(array):
            grad_inputs = (
                node.backward(gradient) if thread_mode.anomaly is None else thread_mode.anomaly.backward(node, gradient)
            )
        thread_mode.on_arrays = outer
    if not isinstance(grad_inputs, tuple):
        grad_inputs = (grad_inputs,)
    if len(grad_inputs) != len(node.edges):
        raise RuntimeError(
            f"{node.name}.backward: expected {len(node.edges)} gradients, one per input, got {len(grad_inputs)}"
        )
    if given_arrays:
        return tuple([wrap(g) if g.__class__ is ndarray or isinstance(g, np.generic) else g for g in grad_inputs])
    return grad_inputs


def _fit(node: Function, gradient: Any, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    """`gradient` summed over broadcast dimensions to `shape`, and cast to `dtype`."""
    if not isinstance(gradient, Tensor):
        raise TypeError(f"{node.name}.backward: expected Tensors or None, got {type(gradient).__name__}")
    array = gradient._array
    if array.shape != shape:
        try:
            gradient = gradient.sum_to_size(shape)
        except ValueError:
            raise RuntimeError(
                f"{node.name}.backward: a gradient of shape {array.shape} for an input of shape {shape}"
            ) from None
    return gradient if array.dtype == dtype else gradient.to(dtype)


def _run_hooks(hooks: dict[int, Callable], gradient: Tensor) -> Tensor:
    for hook in list(hooks.values()):  # a hook may remove itself
        replaced = hook(gradient)
        if replaced is not None:
            if not isinstance(replaced, Tensor) or replaced.shape != gradient.shape:
                got = tuple(replaced.shape) if isinstance(replaced, Tensor) else type(replaced).__name__
                raise RuntimeError(f"a hook must return None or a Tensor of shape {gradient.shape}, got {got}")
            if replaced.dtype != gradient.dtype:
                raise RuntimeError(f"a hook must return a Tensor of dtype {gradient.dtype}, got {replaced.dtype}")
            gradient = replaced
    return gradient.clone()  # the hook may have kept it, and what becomes .grad is changed in place


def _retain(tensor: Tensor | None, gradient: Tensor) -> None:
    if tensor is not None:
        _accumulate(tensor, gradient.clone() if tensor.grad is None else gradient)


def _accumulate(tensor: Tensor, gradient: Tensor) -> None:
    """Adds to `tensor.grad`, in place unless it is recorded, as in torch. What another thread, or a signal handler,
    adds at the same time is not lost."""
    if "cupy" in sys.modules and (recorded := backend.recorded()) is not None:
        recorded.gradient(tensor)
    while True:
        old = tensor._grad
        if old is not None and not (old._requires_grad or gradient._requires_grad) and backend.is_writeable(old._array):
            with _accumulating, backend.current(old._array):
                old._array += gradient._array
            old._changed_in_place()
            return
        total = gradient if old is None else old + gradient
        with _accumulating:
            if tensor._grad is old:
                tensor._grad = total
                return


_accumulating = threading.RLock()

if hasattr(os, "register_at_fork"):  # another thread of the parent may hold it
    os.register_at_fork(after_in_child=_accumulating._at_fork_reinit)  # type: ignore[attr-defined]


def _root(output: Any, gradient: Any, caller: str, is_hidden: bool = False) -> tuple[Any, Tensor]:
    """The graph key of `output` and its gradient, checked. The gradient of a single number defaults to 1; if it
    `is_hidden`, the caller hands it to nobody."""
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
        array = output._array
        if array.__class__ is ndarray:
            gradient = wrap(np.ones_like(array))
        else:
            node = output._node if is_hidden else None
            is_shared = node is not None and node.consumes_gradient and not node.hooks and node.retained is None
            gradient = wrap(backend.one(array, is_shared))
    elif not isinstance(gradient, Tensor):
        raise TypeError(f"{caller}: expected the gradient as a Tensor, got {type(gradient).__name__}")
    elif gradient.shape != output.shape:
        raise RuntimeError(f"{caller}: expected a gradient of shape {output.shape}, got {gradient.shape}")
    if gradient._array.dtype != output._array.dtype:
        gradient = gradient.to(output.dtype)
    return output._node or output, gradient


def _keys(inputs: Sequence[Any], caller: str) -> list[Any]:
    """The graph keys of the tensors whose gradients are asked for, checked."""
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"{caller}: expected inputs[{i}] as a Tensor, got {type(x).__name__}")
        if not x.requires_grad:
            raise RuntimeError(f"{caller}: inputs[{i}] of shape {x.shape} has requires_grad=False")
    return [x._node or x for x in inputs]


def backward(
    tensors: Tensor | Sequence[Tensor], grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None, create_graph: bool = False, inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:  # fmt: skip
    """Adds the gradients of `tensors` to `.grad` of the leaves they were computed from (of `inputs`, if given).

    The other arguments are those of `grad`, but `grad_tensors` is what it calls `grad_outputs`.
    """
    _check_flags("backward", retain_graph=retain_graph, create_graph=create_graph)
    if tensors.__class__ is not list:
        tensors = _sequence("backward", "tensors", tensors)
    if grad_tensors.__class__ is not list:
        grad_tensors = (
            [None] * len(tensors) if grad_tensors is None else _sequence("backward", "grad_tensors", grad_tensors)
        )
    is_hidden = inputs is None and not create_graph
    try:
        roots = [_root(y, g, "backward", is_hidden) for y, g in zip(tensors, grad_tensors, strict=True)]
    except ValueError:
        count, found = len(tensors), len(grad_tensors)
        if count == found:
            raise
        raise RuntimeError(f"backward: expected {count} grad_tensors, one a tensor, got {found}") from None
    if inputs is not None:
        inputs = _sequence("backward", "inputs", inputs)
    if inputs is not None and len(inputs) == 0:
        raise RuntimeError("backward: inputs is empty; leave it out for the gradients of all leaves")
    keys = None if inputs is None else _keys(inputs, "backward")
    keep = create_graph if retain_graph is None else retain_graph
    try:
        table = _walk(roots, None if keys is None else set(keys), keep, create_graph)
        leaves = dict(zip(table, table)) if keys is None else dict(zip(keys, inputs or ()))
        with _Walking(create_graph):
            _give(leaves, table)
    except BaseException:
        thread_mode.at_end.clear()
        raise
    while thread_mode.at_end:
        thread_mode.at_end.pop(0)()


def _give(leaves: Mapping[Any, Tensor], table: dict[Any, Tensor]) -> None:
    """Adds the gradient under each key to that of its leaf, and calls the hooks that wait for it."""
    for key, leaf in leaves.items():
        if key in table:
            # A gradient may be the very array of another one (both inputs of an addition get the same), the caller's
            # own, or one that the graph keeps: what becomes .grad is changed in place. In memory of its own, the table
            # and the argument hold the Tensor, and it and the argument the array.
            is_own = sys.getrefcount(table[key]) == 2 == sys.getrefcount(_owner(table[key]._array))
            if not is_own or 0 in table[key]._array.strides:
                table[key] = table[key].clone()
            _accumulate(leaf, table[key])
            if leaf._accumulated_hooks:
                for hook in list(leaf._accumulated_hooks.values()):  # one may remove itself
                    hook(leaf)


def _finished_by(nodes: Sequence[Function]) -> dict[Function, list[Tensor]]:
    """The leaves with hooks, by the node after which their gradients are complete: the oldest that they go into."""
    found: dict[Function, list[Tensor]] = {}
    seen: set[Tensor] = set()
    for node in nodes:  # the oldest first
        for edge in node.edges:
            if edge is not None and not isinstance(edge, Function) and edge._accumulated_hooks and edge not in seen:
                seen.add(edge)
                found.setdefault(node, []).append(edge)
    return found


def queue_callback(callback: Callable[[], None]) -> None:
    """Calls `callback()` once, at the end of the `backward` that is under way in this thread: for hooks."""
    thread_mode.at_end.append(callback)


def _check_flags(caller: str, **flags: Any) -> None:
    for name, value in flags.items():
        if value.__class__ is not bool and (value is not None or name not in ("retain_graph", "allow_unused")):
            check_flag(caller, name, value)


def _owner(array: Array) -> Array | None:
    """The array that owns the memory of `array`; None if something else does."""
    owner = array if array.base is None else array.base
    return owner if getattr(owner, "base", array) is None else None


def _sequence(caller: str, argument: str, given: Any) -> tuple:
    """A Tensor, or several, as a tuple; its elements are checked later."""
    if isinstance(given, Tensor):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes, dict, set)):
        raise TypeError(f"{caller}: expected {argument} as a Tensor or a sequence of them, got {type(given).__name__}")
    return tuple(given)


def grad(
    outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None, retain_graph: bool | None = None,
    create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
    is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` of no tensor changes.

    Args:
        outputs, inputs: a Tensor or a sequence of them.
        grad_outputs: the upstream gradients, of the outputs' shapes; may be left out for single numbers.
        retain_graph: keep what was saved for a further backward pass; default: the value of `create_graph`.
        create_graph: record the computation of the gradients, so that they can be differentiated again.
        only_inputs: has no effect, as in torch.
        allow_unused: None for an input that the outputs do not depend on, instead of an error. Default: the value of
            `materialize_grads`.
        is_grads_batched: must be False: it would need vmap.
        materialize_grads: zeros instead of that None.
    """
    outputs, inputs = _sequence("grad", "outputs", outputs), _sequence("grad", "inputs", inputs)
    grad_outputs = (None,) * len(outputs) if grad_outputs is None else _sequence("grad", "grad_outputs", grad_outputs)
    _check_flags(
        "grad", retain_graph=retain_graph, create_graph=create_graph, only_inputs=only_inputs,
        allow_unused=allow_unused, is_grads_batched=is_grads_batched, materialize_grads=materialize_grads,
    )  # fmt: skip
    if is_grads_batched:
        raise ValueError("grad: expected is_grads_batched=False, got True: there is no vmap here; call grad in a loop")
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: expected allow_unused=True or None with materialize_grads=True, got False")
    if outputs and not inputs:
        raise ValueError("grad: expected at least one of inputs, got none")
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: expected {len(outputs)} grad_outputs, one an output, got {len(grad_outputs)}")
    roots = [_root(y, g, "grad") for y, g in zip(outputs, grad_outputs)]
    keys = _keys(inputs, "grad")
    keep = create_graph if retain_graph is None else retain_graph
    table = _walk(roots, set(keys), keep, create_graph)
    gradients: tuple[Any, ...] = tuple(table.get(key) for key in keys)
    unused = [i for i, gradient in enumerate(gradients) if gradient is None]
    if materialize_grads:
        return tuple([x.detach().clone().zero_() if g is None else g for g, x in zip(gradients, inputs)])
    if unused and not allow_unused:
        raise RuntimeError(
            f"grad: the outputs do not depend on inputs[{unused[0]}] of shape {inputs[unused[0]].shape}; "
            "pass allow_unused=True to get None for it"
        )
    return gradients
