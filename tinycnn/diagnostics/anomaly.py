"""Anomaly mode: finds the operator, the layer and the line of code that produced the first nan."""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from tinycnn import autograd, backend
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import ContextDecorator
from tinycnn.backend import Array
from tinycnn.checks import check_flag
from tinycnn.grad_mode import thread_mode
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class detect_anomaly(ContextDecorator):
    """Context manager and decorator: the first operator whose result has a nan that no input had raises RuntimeError.

    In the forward pass the error names the operator, the layer and the line that called it; in the backward pass the
    same for the operator whose gradient is the first nan. Every result is searched for nan, which is slow.

    Args:
        check_nan: False lets the block do nothing. Default True.
    """

    def __init__(self, check_nan: bool = True):
        self.is_on = check_flag("detect_anomaly", "check_nan", check_nan)

    def __enter__(self) -> detect_anomaly:
        thread_mode.outer_anomalies.append(thread_mode.anomaly)
        thread_mode.anomaly = AnomalyWatch() if self.is_on else None
        return self

    def __exit__(self, *exc: object) -> None:
        thread_mode.anomaly = thread_mode.outer_anomalies.pop()


class set_detect_anomaly:
    """Switches anomaly mode on or off, in this thread: at once when called, and back after the block as a context
    manager. See `detect_anomaly`."""

    def __init__(self, mode: bool, check_nan: bool = True):
        for name, flag in (("mode", mode), ("check_nan", check_nan)):
            check_flag("set_detect_anomaly", name, flag)
        self.previous, thread_mode.anomaly = thread_mode.anomaly, AnomalyWatch() if mode and check_nan else None

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None:
        thread_mode.anomaly = self.previous


class AnomalyWatch:
    """What `Function` and the graph walk report to while anomaly mode is on."""

    def forward(self, function: autograd.Function, arrays: Sequence[Any], output: Any) -> None:
        """Notes where `function` was called. RuntimeError if its output has a nan and its inputs have none."""
        function.origin = origin = _origin()  # type: ignore[attr-defined]
        if _has_nan(output) and not any(map(_has_nan, arrays)):
            raise RuntimeError(f"{function.name} produced the first nan, {origin}")

    def backward(self, function: autograd.Function, grad_output: Tensor) -> Any:
        """`function.backward(grad_output)`. RuntimeError if the result has a nan and `grad_output` has none."""
        thread_mode.anomaly = None  # an error is to name `function`, not an operator inside its backward
        try:
            grad_inputs = function.backward(grad_output)
        finally:
            thread_mode.anomaly = self
        gradients = grad_inputs if isinstance(grad_inputs, tuple) else (grad_inputs,)
        if any(_has_nan(g._array) for g in gradients if g is not None) and not _has_nan(grad_output._array):
            origin = getattr(function, "origin", "called while anomaly mode was off")
            raise RuntimeError(f"the gradient of {function.name} is the first nan; the operator was {origin}")
        return grad_inputs


def _has_nan(array: Array) -> bool:
    is_floating = getattr(getattr(array, "dtype", None), "kind", " ") in FLOATING
    return is_floating and bool(backend.elementwise("isnan", array).any())


def _origin() -> str:
    """The layer and the line of the current call of an operator, from the interpreter's stack."""
    frames = [frame for frame, _ in traceback.walk_stack(sys._getframe(1))]
    modules = [
        frame.f_locals["self"]
        for frame in frames
        if frame.f_code.co_name == "forward" and isinstance(frame.f_locals.get("self"), Module)
    ]
    user = next((frame for frame in frames if not frame.f_code.co_filename.startswith(_PACKAGE)), frames[-1])
    file, number = user.f_code.co_filename, user.f_lineno
    line = f"called at {file}:{number}: {linecache.getline(file, number).strip()}"
    return f"in layer {layer_name(modules[0], modules[-1])}, {line}" if modules else line


def layer_name(layer: Module, root: Module) -> str:
    """The dotted name of `layer` in the net `root`, with its type and options."""
    path = next((name for name, module in root.named_modules() if module is layer), "")
    kind = f"{type(layer).__name__}({layer.extra_repr()})"
    return f"{path} = {kind}" if path else kind
