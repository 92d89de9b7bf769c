"""The grader's side of the student's process: starts it, calls functions in it, and handles hangs and crashes."""

from __future__ import annotations

import ast
import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tinycnn
from tinycnn.teaching.grade import runner

# What step 10 may import besides NumPy, the standard library and the other steps.
TINYCNN_IN_LENET = ("tinycnn", "tinycnn.optim", "tinycnn.data")
TINYCNN_NAMES = ("Function", "Tensor", "tensor", "no_grad", "optim", "data", "Digits", "DataLoader")


class Student:
    """A process with one exercise imported; it is restarted after it hung or died.

    Args:
        path: the file of the exercise.
        timeout: seconds for one call.
        may_use_tinycnn: whether it gets the part of tinycnn for step 10.
        replaced: files to use in the place of those of the same names beside the exercise.
    """

    def __init__(
        self, path: Path, timeout: float, may_use_tinycnn: bool = False, replaced: Mapping[str, Path] | None = None
    ):
        self.place = Path(tempfile.mkdtemp(prefix="tinycnn-grade-"))
        for name, file in ({each.name: each for each in path.parent.glob("*.py")} | dict(replaced or {})).items():
            shutil.copyfile(file, self.place / name)
        self.path, self.timeout = (self.place / path.name).resolve(), timeout
        self.process: subprocess.Popen | None = None
        self.replies: queue.Queue = queue.Queue()
        self.printed = ""

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def start(self) -> dict[str, Any]:
        """Starts the process and imports the exercise. Returns the outcome of the import, as `call` does."""
        roots = [str(Path(tinycnn.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, roots))}
        command = [sys.executable, "-P", "-B", runner.__file__, str(self.path.parent), self.path.stem]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.path.parent, env=environment
        )
        self.replies = queue.Queue()
        threading.Thread(target=_listen, args=(self.process.stdout, self.replies), daemon=True).start()
        return self._reply(max(self.timeout, 30.0))  # imports from a cold disk take long

    def call(self, function: str, arguments: tuple, timeout: float | None = None) -> dict[str, Any]:
        """Calls a function of the exercise. Returns a dict whose "status" is value, error, missing, timeout or died."""
        if self.process is None:
            outcome = self.start()
            if outcome["status"] != "value":
                return outcome
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # if the process has died, the reply says so
            runner.send(self.process.stdin, (function, arguments))  # type: ignore[arg-type]
        return self._reply(self.timeout if timeout is None else timeout)

    def _reply(self, timeout: float) -> dict[str, Any]:
        assert self.process is not None
        try:
            outcome = self.replies.get(timeout=timeout)
        except queue.Empty:
            self.stop()
            return {"status": "timeout", "seconds": timeout}
        if outcome is None:
            status = self.process.wait()
            self.stop()
            return {"status": "died", "exit": status}
        self.printed += outcome["printed"]
        return outcome

    def stop(self) -> None:
        """Kills the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(OSError):
                self.process.stdin.close()  # type: ignore[union-attr]
            self.process = None


def _listen(stream: Any, replies: queue.Queue) -> None:
    """Puts every reply into the queue, and None at the end: reading a pipe has no timeout on all platforms."""
    with stream, contextlib.suppress(EOFError, OSError, ValueError):
        while True:
            replies.put(runner.receive(stream))
    replies.put(None)


def forbidden_import(path: Path, may_use_tinycnn: bool) -> str | None:
    """A sentence about the first import in the file that the rules forbid; None if there is none."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None  # the import reports it with more detail
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Name) and node.id in ("__import__", "exec", "eval"):
            names = [node.id]
        else:
            continue
        for name in names:
            if not _allowed(name, path.parent, may_use_tinycnn):
                rule = "only NumPy, the standard library and your own steps are allowed"
                return f"line {node.lineno} uses {name}: {rule}"
    return None


def _allowed(name: str, folder: Path, may_use_tinycnn: bool) -> bool:
    top = name.partition(".")[0]
    if top == "tinycnn":
        return may_use_tinycnn and (name in TINYCNN_IN_LENET or name.rpartition(".")[2] in TINYCNN_NAMES)
    if top in ("importlib", "__import__", "exec", "eval"):
        return False
    return top == "numpy" or top in sys.stdlib_module_names or (folder / f"{top}.py").is_file()
