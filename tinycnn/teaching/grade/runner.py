"""The student's process: imports one exercise and calls its functions with the arguments that the grader sends.

It is run as a script, imports nothing of tinycnn and knows no expected values: the grader, another process, compares
the results. So an endless loop, a crash or `os._exit` in an exercise costs one call and not the run. A message is a
length, a line of JSON and arrays in NumPy's format without pickles, so it cannot carry code.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

KEPT_OUTPUT = 2000  # characters of what the student prints
POISON = 7.77e33  # what np.empty is filled with, in float32 too


# --- messages ---------------------------------------------------------------------------------------------


class Unknown:
    """Placeholder for a value of a type that messages cannot hold."""

    def __init__(self, type_name: str):
        self.type_name = type_name


def send(stream: BinaryIO, message: Any) -> None:
    """Writes one message: nested tuples and dicts of numbers, strings, arrays and None."""
    arrays: list[np.ndarray] = []
    payload = io.BytesIO()
    payload.write(json.dumps(_encoded(message, arrays)).encode() + b"\n")
    for array in arrays:
        np.lib.format.write_array(payload, array, allow_pickle=False)
    data = payload.getvalue()
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Reads the next message. EOFError if the other process has ended."""
    data = stream.read(size) if (size := int.from_bytes(stream.read(8), "big")) else b""
    if not data or len(data) < size:
        raise EOFError
    payload = io.BytesIO(data)
    tree = json.loads(payload.readline())
    arrays = []
    while payload.tell() < len(data):
        arrays.append(np.lib.format.read_array(payload, allow_pickle=False))
    return _decoded(tree, arrays)


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        arrays.append(np.array(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, (bool, int, float, str, type(None))):
        return {"plain": value}
    if isinstance(value, (tuple, list)):
        return {"tuple": [_encoded(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": {str(key): _encoded(item, arrays) for key, item in value.items()}}
    return {"unknown": type(value).__name__}


def _decoded(tree: Any, arrays: list[np.ndarray]) -> Any:
    ((kind, content),) = tree.items()
    if kind == "array":
        return arrays[content]
    if kind == "tuple":
        return tuple(_decoded(item, arrays) for item in content)
    if kind == "dict":
        return {key: _decoded(item, arrays) for key, item in content.items()}
    return Unknown(content) if kind == "unknown" else content


# --- the process ------------------------------------------------------------------------------------------


class _Printed(io.TextIOBase):
    """Replaces standard output and keeps the first KEPT_OUTPUT characters."""

    text = ""

    def write(self, text: str) -> int:
        if len(self.text) < KEPT_OUTPUT:
            self.text = (self.text + text)[:KEPT_OUTPUT]
        return len(text)

    def take(self) -> str:
        text, self.text = self.text, ""
        return text


def _attempt(folder: str, function: Callable, *arguments: Any) -> dict[str, Any]:
    try:
        return {"status": "value", "value": function(*arguments)}
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: nothing may end the run
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(folder + os.sep)]
        places = [(f.filename, f.lineno, f.name, f.line) for f in frames[-1:]]
        if isinstance(error, SyntaxError) and error.filename:
            places = [(error.filename, error.lineno, "", (error.text or "").strip())]
        return {
            "status": "error", "type": type(error).__name__, "message": str(error)[:400],
            "file": os.path.basename(places[0][0]) if places else "",
            "line": places[0][1] if places else 0,
            "function": places[0][2] if places else "",
            "code": places[0][3] if places else "",
        }  # fmt: skip


def _copies(value: Any) -> Any:
    """The contents of all arrays in `value`, for a later comparison."""
    if isinstance(value, dict):
        return [_copies(item) for item in value.values()]
    if isinstance(value, tuple):
        return [_copies(item) for item in value]
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else None


def _poison_empty() -> None:
    """np.empty gives memory that may happen to hold zeros. Here it never does."""

    def poisoned(empty: Callable) -> Callable:
        def new(*arguments: Any, **options: Any) -> Any:
            array = empty(*arguments, **options)
            if array.dtype.kind in "fiu":
                array.fill(POISON if array.dtype.kind == "f" else 99)
            return array

        return new

    np.empty, np.empty_like = poisoned(np.empty), poisoned(np.empty_like)


def _lock(value: Any) -> None:
    """Makes all arrays in `value` read-only."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        _lock(item)
    if isinstance(value, np.ndarray):
        value.flags.writeable = False


def _serve(folder: str, module_name: str, requests: BinaryIO, replies: BinaryIO) -> None:
    printed = _Printed()
    sys.stdout = sys.stderr = printed
    warnings.simplefilter("ignore")
    sys.path.insert(0, folder)
    _poison_empty()
    reply = _attempt(folder, importlib.import_module, module_name)
    last = reply["value"] = None
    while True:
        send(replies, reply | {"printed": printed.take()})
        name, arguments = receive(requests)
        function = getattr(sys.modules.get(module_name), name, None)
        if not callable(function):
            reply = {"status": "missing"}
            continue
        if any(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in arguments):
            _lock(arguments)  # so half of the calls: that of the others' arguments which changes can be named
        before, last_before = _copies(arguments), _copies(last)
        reply = _attempt(folder, function, *arguments)
        reply["changed"] = [i for i, (a, b) in enumerate(zip(before, _copies(arguments))) if a != b]
        reply["overwritten"] = _copies(last) != last_before
        last = reply.get("value")


def main() -> None:
    """Serves calls until the grader closes the pipe."""
    # The pipes to the grader get new descriptors; standard input, output and error go to the null device.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    try:
        _serve(sys.argv[1], sys.argv[2], requests, replies)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the grader has closed the pipe


if __name__ == "__main__":
    main()
