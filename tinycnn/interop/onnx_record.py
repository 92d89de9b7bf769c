"""The operators of one run of a net, recorded while it runs, as nodes of ONNX.

The interpreter's profile hook tells of every call. A call of a function or an operator that has a row in `onnx_rows`
is recorded as the nodes that the row writes, and what happens inside is not looked at: `F.leaky_relu` is one node,
wherever and under whatever name it was called. A composed function without a row is recorded by the operators that it
calls.
"""

from __future__ import annotations

import itertools
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
        # By id: the array, kept alive; its name; a checksum, for changes that no row tells of; whether inputs reach it.
        self.known: dict[int, tuple[Any, str, int, bool]] = {}
        self.weights = model.state_dict()
        self._unused = {"": itertools.count()}  # numbers for names, by the name that they follow
        self._paths = {module: name for name, module in model.named_modules()}
        self._layers: list[Module] = []  # those that run now, from the outermost
        self._inside: FrameType | None = None  # the call that is recorded as a whole
        for name, x in self.weights.items():
            if id(x._array) not in self.known:
                self._name(x._array, name, False)
        for name, x in zip(names, inputs):
            self._name(x._array, name, True)

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
            elif code in _ROWS and _ROWS[code][1](arguments := dict(frame.f_locals)):
                self._inside, self._arguments = frame, arguments
        elif event == "return" and frame is self._inside:
            self._inside = None
            if result is not None:  # it raised no error
                try:
                    self._record(_ROWS[code][0], result)
                except Unexportable as error:
                    self.problem = f"{self.where()}: {error}"
        elif event == "return" and code is _MODULE_CALL and self._inside is None:
            self._layers.pop()

    def _record(self, row: Callable, result: Any) -> None:
        of_inputs = any(self._varies(x) for x in self._arguments.values())
        try:
            names = row(self, result, **self._arguments)
        except Unexportable:
            if of_inputs:
                raise
            return  # what is computed of constants alone is a constant
        results, names = (result, names) if isinstance(names, tuple) else ((result,), (names,))
        for y, name in zip(results, names):
            self._name(y._array, name, of_inputs)

    def _varies(self, x: Any) -> bool:
        if isinstance(x, (tuple, list)):
            return any(map(self._varies, x))
        array = getattr(x, "_array", x)
        return id(array) in self.known and self.known[id(array)][3]

    def _name(self, array: Any, name: str, of_inputs: bool) -> None:
        self.known[id(array)] = array, name, _checksum(array), of_inputs

    def where(self) -> str:
        """The layer that runs now, with its options, or the type of the net."""
        if self._layers:
            return layer_name(self._layers[-1], self.model)
        return type(self.model).__name__

    def name_of(self, x: Tensor | np.ndarray | float) -> Any:
        """A Tensor or an array as an operand: the name of its value, or itself, a constant."""
        array = getattr(x, "_array", x)
        if id(array) not in self.known:
            return backend.to_device(array, backend.CPU) if hasattr(array, "dtype") else array
        _, name, checksum, _ = self.known[id(array)]
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

    def cast(self, x: Any, dtype: Any) -> Any:
        """An operand of `dtype`: ONNX promotes nothing."""
        if not isinstance(x, (Tensor, np.ndarray)):
            return np.asarray(x, dtype)
        return x if x.dtype == dtype else self.op("Cast", x, to=dtype)


def _checksum(array: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(backend.to_device(array, backend.CPU)).data)


# Code of a function to its row, and to what tells from the arguments whether the row applies. A row gets the run, the
# result and the arguments, and returns the name of the value that the result is.
_ROWS: dict[CodeType, tuple[Callable, Callable[[dict], bool]]] = {}
_MODULE_CALL = Module.__call__.__code__


def row_of(function: Callable, when: Callable[[dict], bool] = lambda _: True) -> Callable:
    """Makes what it decorates the row of `function`, where `when` is true of the arguments."""

    def add(row: Callable) -> Callable:
        _ROWS[function.__code__] = row, when
        return row

    return add
