"""The student's process: imports one exercise and calls its functions with the arguments that the grader sends.

It runs a copy of this file and knows no expected values: the grader, another process, compares the results. So an
endless loop, a crash or `os._exit` in an exercise costs one call and not the run. A message is a line of JSON and the
bytes of arrays, so it cannot carry code. Whatever the exercise does to this process or writes to the pipe, the grader
gets a checked value or an error: see `unpacked`.

What an exercise may not do is refused while it runs, by an audit hook, limits of the system and operators of tinycnn
without their code: see `_guard`, `_limit` and `_refuse_calls`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import os
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np

KEPT_OUTPUT = 2000  # characters of what the student prints in one call
POISON = 7.77e33  # what np.empty is filled with, in float32 too
LONGEST_TEXT = 2000  # characters of a string in a message
MOST_ITEMS = 10_000  # of a tuple or dict
LARGEST_TREE, LARGEST_ARRAYS = 2**20, 2**26  # bytes of the two parts of a message
DTYPES = {np.dtype(t).str: np.dtype(t) for t in ("?", "b", "h", "i", "q", "B", "H", "I", "Q", "e", "f", "d")}

MEMORY = 2 * 2**30  # bytes of address space: NumPy takes a third of one GiB
SECONDS = 1200  # of computing, of a process that outlives its grader
FILE_SIZE = 2**20


# --- messages ---------------------------------------------------------------------------------------------


class Unknown:
    """Placeholder for a value that messages cannot hold; `type_name` describes it."""

    def __init__(self, type_name: str):
        self.type_name = type_name


def packed(message: Any) -> bytes:
    """The bytes of nested tuples and dicts of numbers, strings, arrays and None; anything else becomes an Unknown.

    ValueError if they are too many.
    """
    arrays: list[bytes] = []
    tree = json.dumps(_encoded(message, arrays)).encode()
    sizes = len(tree), sum(map(len, arrays))
    _check_sizes(*sizes)
    return b"".join([*(size.to_bytes(8, "big") for size in sizes), tree, *arrays])


def unpacked(stream: BinaryIO) -> Any:
    """The next message of a stream.

    EOFError if the other process has closed it, ValueError or RecursionError for bytes that `packed` cannot have made.
    """
    sizes = [int.from_bytes(_read(stream, 8), "big") for _ in range(2)]
    _check_sizes(*sizes)
    tree, data = (memoryview(_read(stream, size)) for size in sizes)
    value, rest = _decoded(json.loads(bytes(tree)), data)
    if len(rest):
        raise ValueError("more bytes than elements")
    return value


def clean(text: Any) -> str:
    """A str that can be encoded and does nothing to a terminal: the first characters of `text`, the rest escaped."""
    if type(text) is not str:
        raise ValueError("expected a str")
    kept = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text[:LONGEST_TEXT])
    return "".join(kept)


def _check_sizes(tree: int, arrays: int) -> None:
    if tree > LARGEST_TREE or arrays > LARGEST_ARRAYS:
        raise ValueError(f"more than {LARGEST_TREE // 2**20} MB of numbers, or {LARGEST_ARRAYS // 2**20} MB of arrays")


def _read(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _encoded(value: Any, arrays: list[bytes]) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.str not in DTYPES or value.nbytes > LARGEST_ARRAYS:
            return {"unknown": f"{value.dtype} array of shape {value.shape}"[:100]}
        array = np.array(value)  # of NumPy's own class
        arrays.append(array.tobytes())
        return {"array": array.dtype.str, "shape": array.shape}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return {"unknown": "number beyond 64 bits"}
    if isinstance(value, str):
        return {"plain": value[:LONGEST_TEXT]}
    if isinstance(value, (bool, int, float, type(None))):
        return {"plain": value}
    if isinstance(value, (tuple, list, dict)) and len(value) > MOST_ITEMS:
        return {"unknown": f"{type(value).__name__} of {len(value)} items"}
    if isinstance(value, (tuple, list)):
        return {"tuple": [_encoded(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[str(key), _encoded(item, arrays)] for key, item in value.items()]}
    return {"unknown": type(value).__name__}


def _decoded(tree: Any, data: memoryview) -> tuple[Any, memoryview]:
    """The value of a tree and the bytes left for the arrays behind it. It trusts nothing."""
    if type(tree) is not dict or not 1 <= len(tree) <= 2:
        raise ValueError("expected a kind and its content")
    kind, content = next(iter(tree.items()))
    if kind == "array":
        return _array(content, tree.get("shape"), data)
    if kind == "plain" and (content is None or type(content) in (bool, float)):
        return content, data
    if kind == "plain" and type(content) is int and -(2**63) <= content < 2**64:
        return content, data
    if kind in ("plain", "unknown"):
        return clean(content) if kind == "plain" else Unknown(clean(content)), data
    if kind not in ("tuple", "dict") or type(content) is not list:
        raise ValueError("expected a tuple or a dict")
    items = []
    for item in content:
        key, item = item if kind == "dict" else ("", item)
        value, data = _decoded(item, data)
        items.append((clean(key), value))
    return dict(items) if kind == "dict" else tuple(value for _, value in items), data


def _array(dtype: Any, shape: Any, data: memoryview) -> tuple[np.ndarray, memoryview]:
    if type(dtype) is not str or dtype not in DTYPES or type(shape) is not list or len(shape) > 64:
        raise ValueError("expected an array")
    if not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise ValueError("expected a shape")
    end = math.prod(shape) * DTYPES[dtype].itemsize
    if end > len(data):
        raise ValueError("fewer bytes than elements")
    return np.frombuffer(data[:end], DTYPES[dtype]).reshape(shape).copy(), data[end:]


# --- what an exercise may not do ----------------------------------------------------------------------------

# Audit events, by name or by what is before the dot: processes, the network, memory, other interpreters.
REFUSED = frozenset({
    "subprocess", "pty", "socket", "sqlite3", "mmap", "ctypes", "gc", "winreg", "_winapi", "msvcrt",
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill",
    "os.killpg", "os.chdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.chmod",
    "os.chown", "os.lchown", "os.lchmod", "os.chflags", "os.lchflags", "os.truncate", "os.utime", "os.setxattr",
    "os.removexattr", "sys.addaudithook", "cpython.PyInterpreterState_New",
})  # fmt: skip


def _guard(modules: Sequence[str], folders: Sequence[str], standard: str) -> Callable[[str, tuple], None]:
    """An audit hook that refuses imports of other modules, the events REFUSED, and files outside `folders` and the
    standard library.

    Python calls it whichever way leads there, and offers no way to remove it. A program can change the globals and
    builtins that a function looks up, and what its closure holds. So this one uses nothing but its arguments.
    """
    inside = tuple(folder + os.sep for folder in folders)

    def guard(event, arguments, *, allowed=frozenset(modules), refused=REFUSED, inside=inside,
              library=standard + os.sep, nothing=os.devnull, writing=os.O_WRONLY | os.O_RDWR,
              exact=type, string=str, binary=bytes, number=int,
              no_import=ImportError, no_entry=PermissionError):  # fmt: skip
        if event == "import":
            name = arguments[0]
            if exact(name) is not string or name.partition(".")[0] not in allowed:
                raise no_import(f"uses {name}: only NumPy, the standard library and your own steps are allowed")
        elif event == "open":
            path, flags = arguments[0], arguments[2]
            if exact(path) is binary:
                path = path.decode("utf-8", "replace")
            if exact(path) is string:
                own = path.startswith(inside) or not (path.startswith(("/", "\\")) or ":" in path)  # or relative
                known = own or (path.startswith(library) and "-packages" not in path)
                if path != nothing and (flags & writing or ".." in path or not known):
                    raise no_entry(f"opens {path}: an exercise reads its own files only, and writes none")
            elif exact(path) is not number:
                raise no_entry("opens a file by something else than a str")
        elif event in refused or event.partition(".")[0] in refused:
            raise no_entry(f"{event}: an exercise starts no processes, uses no network and changes no files")

    return guard


def _limit(alone: bool) -> None:
    """Limits memory, time and files where the system can, and processes if this user has no others."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {"RLIMIT_AS": MEMORY, "RLIMIT_CPU": SECONDS, "RLIMIT_FSIZE": FILE_SIZE, "RLIMIT_CORE": 0}
    for name, most in (limits | {"RLIMIT_NPROC": 1} if alone else limits).items():
        with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS does not limit memory
            resource.setrlimit(getattr(resource, name), (most, most))


def _refuse_calls(prefixes: Sequence[str]) -> None:
    """Takes the code of all loaded functions of tinycnn whose full names begin so, whatever else they are called."""

    def refused(*arguments, **options):
        raise ImportError("calls an operator of tinycnn: build the net of your own pieces")

    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "tinycnn"]:
        for value in [*vars(module).values()]:
            for member in [*vars(value).values()] if isinstance(value, type) else [value]:
                function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
                if isinstance(function, types.FunctionType) and not function.__closure__:
                    full_name = f"{function.__module__}.{function.__qualname__}"
                    if full_name.startswith(tuple(prefixes)):
                        function.__code__ = refused.__code__


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
        return _described(error, folder)


def _described(error: BaseException, folder: str) -> dict[str, Any]:
    """An outcome with the kind of an exception, its text, and the last line of the exercise that it passed."""
    file, line, function, code = "", 0, "", ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(folder + os.sep):
            file, line, function, code = frame.filename, frame.lineno or 0, frame.name, frame.line or ""
    if isinstance(error, SyntaxError) and error.filename:
        file, line, function, code = error.filename, error.lineno or 0, "", (error.text or "").strip()
    try:
        message = str(error)[:400]
    except BaseException:  # an exception of the exercise's own
        message = ""
    return {
        "status": "error", "type": type(error).__name__, "message": message,
        "file": os.path.basename(file), "line": line, "function": function, "code": code,
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

    np.empty, np.empty_like = poisoned(np.empty), poisoned(np.empty_like)  # type: ignore[misc]


def _lock(value: Any) -> None:
    """Makes all arrays in `value` read-only."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
        _lock(item)
    if isinstance(value, np.ndarray):
        value.flags.writeable = False


def _prepare(order: dict[str, Any]) -> None:
    """Loads what the exercise may use, then installs what keeps it there."""
    _limit(order["alone"])
    for name in order["loaded"]:
        importlib.import_module(name)
    _refuse_calls(order["not_called"])
    _poison_empty()
    sys.path.insert(0, order["folder"])
    sys.addaudithook(_guard(order["modules"], order["readable"], order["standard"]))


def _serve(order: dict[str, Any], requests: BinaryIO, replies: BinaryIO) -> None:
    """The first reply is about the import, the others are about calls."""
    folder, module_name = order["folder"], order["module"]
    printed = _Printed()
    sys.stdout = sys.stderr = printed
    warnings.simplefilter("ignore")
    module = last = None
    reply = _attempt(folder, _prepare, order)
    number, name, arguments = unpacked(requests)
    if reply["status"] == "value":
        reply = _attempt(folder, importlib.import_module, module_name)
        module, reply["value"] = reply.get("value"), None
    while True:
        common = {"number": number, "printed": printed.take()}
        try:
            data = packed(reply | common)
        except Exception as error:
            data = packed(_described(ValueError(f"the result cannot be returned: {error}"), folder) | common)
        replies.write(data)
        replies.flush()
        number, name, arguments = unpacked(requests)
        function = getattr(module, name, None)
        if not callable(function):
            reply = {"status": "missing"}
            continue
        if any(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in arguments):
            _lock(arguments)  # so half of the calls: that of the others' arguments which changes can be named
        before, last_before = _copies(arguments), _copies(last)
        reply = _attempt(folder, function, *arguments)
        reply["changed"] = tuple(i for i, (a, b) in enumerate(zip(before, _copies(arguments))) if a != b)
        reply["overwritten"] = _copies(last) != last_before
        last = reply.get("value")


def main(order: dict[str, Any]) -> None:
    """Serves calls until the grader closes the pipe. `order` is made by student.py."""
    # The pipes to the grader get new descriptors; standard input, output and error go to the null device.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    try:
        _serve(order, requests, replies)
    except (EOFError, OSError):
        os._exit(0)  # the grader has closed the pipe, or the exercise has
