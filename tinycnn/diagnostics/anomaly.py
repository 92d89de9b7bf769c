"""Anomaly mode: find the operator, the layer and the line of code that produced the first nan."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import tinycnn
from tinycnn import autograd, backend

_PACKAGE = os.path.dirname(tinycnn.__file__) + os.sep


class detect_anomaly(contextlib.ContextDecorator):
    """Context manager and decorator: an operator that turns numbers into nan raises a RuntimeError at once.

    Forward, the error names the operator, the layer and the line that called it; backward, where in the forward pass
    the operator was called whose gradient became nan first. Every result is searched for nan, so this is slow.
    """

    def __enter__(self) -> detect_anomaly:
        self.previous = autograd._mode.anomaly
        autograd._mode.anomaly = AnomalyWatch()
        return self

    def __exit__(self, *exc: object) -> None:
        autograd._mode.anomaly = self.previous


class AnomalyWatch:
    """What `Function` and the graph walk report to while anomaly mode is on."""

    def forward(self, function: Any, arrays: Sequence[Any], output: Any) -> None:
        function.origin = _origin()
        if _has_nan(output) and not any(map(_has_nan, arrays)):
            raise RuntimeError(f"{function.name} produced the first nan, {function.origin}")

    def backward(self, function: Any, grad_output: Any) -> Any:
        """`function.backward(grad_output)`; an operator inside it is not to blame, but `function`."""
        autograd._mode.anomaly = None
        try:
            grad_inputs = function.backward(grad_output)
        finally:
            autograd._mode.anomaly = self
        gradients = grad_inputs if isinstance(grad_inputs, tuple) else (grad_inputs,)
        if any(_has_nan(g._array) for g in gradients if g is not None) and not _has_nan(grad_output._array):
            origin = getattr(function, "origin", "called while anomaly mode was off")
            raise RuntimeError(f"the gradient of {function.name} is the first nan; the operator was {origin}")
        return grad_inputs


def _has_nan(array: Any) -> bool:
    is_floating = getattr(getattr(array, "dtype", None), "kind", "") == "f"
    return is_floating and bool(backend.elementwise("isnan", array).any())


def _origin() -> str:
    """The layer and the line that are calling an operator now, found on the interpreter's own stack."""
    from tinycnn.nn.module import Module

    frames = list(_frames(sys._getframe(1)))
    modules = [
        frame.f_locals["self"]
        for frame in frames
        if frame.f_code.co_name == "forward" and isinstance(frame.f_locals.get("self"), Module)
    ]
    user = next((frame for frame in frames if not frame.f_code.co_filename.startswith(_PACKAGE)), frames[-1])
    file, number = user.f_code.co_filename, user.f_lineno
    line = f"called at {file}:{number}: {linecache.getline(file, number).strip()}"
    return f"in layer {_layer_name(modules[0], modules[-1])}, {line}" if modules else line


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _layer_name(layer: Any, root: Any) -> str:
    """The dotted name of `layer` in the net `root`, and what it is."""
    path = next((name for name, module in root.named_modules() if module is layer), "")
    kind = f"{type(layer).__name__}({layer.extra_repr()})"
    return f"{path} = {kind}" if path else kind
