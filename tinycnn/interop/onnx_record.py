"""The operators of one run of a net, recorded while it runs, as nodes of ONNX.

The interpreter's profile hook tells of every call. A call of a function or an operator that has a row in `onnx_rows`
is recorded as the nodes that the row writes, and what happens inside is not looked at: `F.leaky_relu` is one node,
wherever and under whatever name it was called. A composed function without a row is recorded by the operators that it
calls.
"""

from __future__ import annotations

import inspect
import itertools
import sys
import weakref
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import CodeType, FrameType
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.diagnostics.anomaly import layer_name
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class Unexportable(ValueError):
    """What cannot be written as ONNX, with the layer where it was found."""


# --- what is recorded ---------------------------------------------------------------------------------------


class Sizes(tuple):
    """Sizes among the operands of a node, some of which may grow with the batch."""


@dataclass
class Recorded:
    """A node. Its operands are names of values, arrays, Sizes or, where one is left out, None."""

    type: str
    operands: list[Any]
    outputs: list[str]
    attributes: dict[str, Any]
    layer: str


class Run:
    """One run of a net, recorded: `nodes`, and a name for each array that they compute.

    Called as the profile hook. Rows call `op` to write nodes.
    """

    def __init__(self, model: Module, inputs: Sequence[Tensor], names: Sequence[str]):
        self.model, self.inputs, self.names = model, inputs, names
        self.keys: list[str] = []
        self.outputs: list[Tensor] = []  # what the net returned
        self.ends: list[str] = []  # the names of their values
        self.nodes: list[Recorded] = []
        self.problem: str | None = None
        # By id: the array, not kept alive, or changes in place would run otherwise than without recording; the name of
        # its value; a checksum, for changes that no row tells of; whether the value depends on the inputs.
        self._known: dict[int, tuple[weakref.ref, str, int, bool]] = {}
        # By id: the array, the one that it is a view of, and the operator that made it.
        self._views: dict[int, tuple[weakref.ref, weakref.ref, Any]] = {}
        self.weights = model.state_dict()
        self._unused = {"": itertools.count()}  # numbers for names, by the name that they follow
        self._paths = {module: name for name, module in model.named_modules()}
        self._layers: list[Module] = []  # those that run now, from the outermost
        self._inside: FrameType | None = None  # the call that is recorded as a whole
        self._finish: Callable[[Any], None] | None = None  # what records it when it returns
        for name, x in self.weights.items():
            if not self.knows(x):
                self.name(x, name, False)
        for name, x in zip(names, inputs):
            self.name(x, name, True)

    def output_of(self, inputs: Sequence[Tensor]) -> Any:
        """What the net gives for the inputs; what it does is recorded."""
        outer = sys.getprofile()
        sys.setprofile(self)
        try:
            return self.model(*inputs)
        finally:
            sys.setprofile(outer)
            if self.problem is not None:
                raise Unexportable(f"export: {self.problem}")

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        if self.problem is not None:
            return
        code = frame.f_code
        if event == "call" and self._inside is None:
            if code is _MODULE_CALL:
                self._layers.append(frame.f_locals["self"])
            elif code in _ROWS and self._applies(code, arguments := dict(frame.f_locals)):
                self._inside, self._finish = frame, partial(self._record, _ROWS[code][0], arguments)
            elif code in _CHANGES:
                self._inside = frame
                self._try(lambda: _CHANGES[code](self, **frame.f_locals))
        elif event == "return" and frame is self._inside:
            finish, self._inside, self._finish = self._finish, None, None
            if finish is not None:
                self._try(lambda: finish(result))
        elif event == "return" and code is _MODULE_CALL and self._inside is None:
            self._layers.pop()

    def _applies(self, code: CodeType, arguments: dict[str, Any]) -> bool:
        # In place, a function calls itself and then writes the result.
        return not arguments.get("inplace") and _ROWS[code][1](arguments)

    def _try(self, step: Callable[[], Any]) -> None:
        try:
            self._finish = step()
        except Unexportable as error:
            self.problem = f"{self.where()}: {error}"

    def _record(self, row: Callable, arguments: dict[str, Any], result: Any) -> None:
        if result is None:  # it raised an error
            return
        of_inputs = any(map(self.varies, arguments.values()))
        try:
            names = row(self, result, **arguments)
        except Unexportable:
            if of_inputs:
                raise
            return  # what is computed of constants alone is a constant
        results, names = (result, names) if isinstance(names, tuple) else ((result,), (names,))
        for y, name in zip(results, names):
            self.name(y, name, of_inputs)

    def knows(self, x: object) -> bool:
        """Whether a Tensor or an array has a name."""
        array = getattr(x, "_array", x)
        return id(array) in self._known and self._known[id(array)][0]() is array

    def varies(self, x: object) -> bool:
        """Whether x, or what a sequence holds, depends on the inputs."""
        if isinstance(x, (tuple, list)):
            return any(map(self.varies, x))
        return self.knows(x) and self._known[id(getattr(x, "_array", x))][3]

    def name(self, x: Tensor | np.ndarray, name: str, of_inputs: bool) -> None:
        """Lets the value of a Tensor or an array have this name from now on."""
        array = getattr(x, "_array", x)
        self._known[id(array)] = weakref.ref(array), name, _checksum(array), of_inputs

    def note_view(self, y: Tensor, x: Tensor, operator: Any) -> None:
        """Notes that y lies in the memory of x."""
        self._views[id(y._array)] = weakref.ref(y._array), weakref.ref(x._array), operator

    def viewed(self, array: object) -> tuple[Any, Any] | None:
        """The array that this one is a view of, if it is one and that is still known, and the operator."""
        view, base, operator = self._views.get(id(array), (lambda: None, lambda: None, None))
        return None if view() is not array or base() is None else (base(), operator)

    def where(self) -> str:
        """The layer that runs now, with its options, or the type of the net."""
        if self._layers:
            return layer_name(self._layers[-1], self.model)
        return type(self.model).__name__

    def name_of(self, x: Tensor | np.ndarray | float) -> Any:
        """A Tensor or an array as an operand: the name of its value, or itself, a constant."""
        array: Any = getattr(x, "_array", x)
        if not self.knows(array):
            return backend.to_device(array, backend.CPU).copy() if hasattr(array, "dtype") else array
        _, name, checksum, _ = self._known[id(array)]
        if checksum != _checksum(array):
            raise Unexportable(f"{name} was changed in place, which cannot be exported")
        return name

    def op(self, type: str, *operands: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Writes a node; returns the name of its result, or of all its results.

        Operands are Tensors, arrays, names, Sizes, a list of ints that are no sizes, or None.
        """
        taken = [np.array(x, np.int64) if isinstance(x, list) else x for x in operands]
        taken = [x if isinstance(x, (str, Sizes)) or x is None else self.name_of(x) for x in taken]
        path = self._paths.get(self._layers[-1], "") if self._layers else ""
        start = f"{path}/{type}" if path else type
        number = next(self._unused.setdefault(start, itertools.count()))
        start = f"{start}_{number}" if number else start
        names = [start] if outputs == 1 else [f"{start}:{i}" for i in range(outputs)]
        self.nodes.append(Recorded(type, taken, names, attributes, self.where()))
        return names[0] if outputs == 1 else tuple(names)

    def cast(self, x: Tensor | np.ndarray | float, dtype: Any) -> Any:
        """An operand of `dtype`: ONNX promotes nothing."""
        if not isinstance(x, (Tensor, np.ndarray)):
            return np.asarray(x, dtype)
        return x if x.dtype == dtype else self.op("Cast", x, to=dtype)


def _checksum(array: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(backend.to_device(array, backend.CPU)).reshape(-1).view(np.uint8).data)


# Code of a function to its row, and to what tells from the arguments whether the row applies. A row gets the run, the
# result and the arguments, and returns the name of the value that the result is.
_ROWS: dict[CodeType, tuple[Callable, Callable[[dict], bool]]] = {}
# Code of a function that changes a Tensor to its row, which gets the run and the arguments before the change, and
# returns what is to be done after it, or None.
_CHANGES: dict[CodeType, Callable] = {}
_MODULE_CALL = Module.__call__.__code__


def row_of(function: Callable, when: Callable[[dict], bool] = lambda _: True) -> Callable:
    """Makes what it decorates the row of `function`, where `when` is true of the arguments."""

    def add(row: Callable) -> Callable:
        _ROWS[inspect.unwrap(function).__code__] = row, when
        return row

    return add


def change_of(function: Callable) -> Callable:
    """Makes what it decorates the row of a function that changes a Tensor."""

    def add(row: Callable) -> Callable:
        _CHANGES[inspect.unwrap(function).__code__] = row
        return row

    return add
