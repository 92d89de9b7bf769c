"""The grader's side of the student's process: starts it, calls functions in it, and handles hangs, crashes and cheats.

The process sees a copy of the Python files of its folder that it cannot change, and nothing of the grader: neither its
environment, its seed nor, where the grader may change user (as root), its files and processes. What an exercise leaves
running ends with it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

import tinycnn
from tinycnn.teaching.grade import runner

LONGEST_IMPORT = 30.0  # seconds: from a cold disk it takes long
LARGEST_FILE, MOST_FILES = 2**20, 200

# What step 10 may import besides NumPy, the standard library and the other steps, and what it may not call: operators
# that its own take the place of.
LOADED_FOR_LENET = ("tinycnn", "tinycnn.optim", "tinycnn.data")
NOT_CALLED = tuple(f"tinycnn.{name}" for name in (
    "nn.functional.", "nn.activation.", "nn.conv.", "nn.linear.", "nn.loss.", "nn.pool.",
    "ops.conv", "ops.pool.", "ops.adaptive_pool.", "ops.matmul.", "ops.products.", "ops.windows.",
    "ops.unary.Relu.", "ops.reduce.Softmax.", "ops.reduce.LogSoftmax.", "ops.reduce.LogSumExp.",
    "backend.cpu.cross_entropy", "backend.cpu.linear", "backend.cpu.max_pool", "backend.cpu.fold_into",
    "backend.cpu.unfold_into", "backend.cpu.window_",
))  # fmt: skip

# Of the grader's environment, what a Python needs to start.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "WINDIR", "TEMP", "TMP", "TMPDIR")
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

START = "import json, sys; o = json.loads(sys.argv[1]); sys.path += o['path']; import runner; runner.main(o)"


class Student:
    """A process with one exercise imported; it is restarted after it hung or died.

    Args:
        path: the file of the exercise.
        timeout: seconds for one call.
        may_use_tinycnn: whether it gets the part of tinycnn for step 10.
        replaced: files to use in the place of those of the same names beside the exercise, as bytecode too.
    """

    def __init__(
        self, path: Path, timeout: float, may_use_tinycnn: bool = False, replaced: Mapping[str, Path] | None = None
    ):
        self.module, self.timeout, self.may_use_tinycnn = path.stem, timeout, may_use_tinycnn
        self.process: subprocess.Popen | None = None
        self.printed = ""
        self.user = other_user()
        self.place = Path(os.path.realpath(tempfile.mkdtemp(prefix="tinycnn-grade-")))
        self.folder = self.place / "exercises"
        replaced = replaced or {}
        self._copy({name: file for name, file in plain_files(path.parent).items() if f"{name}c" not in replaced})
        self._copy(replaced)

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def _copy(self, files: Mapping[str, Path]) -> None:
        """Makes the folder that the process sees: everybody can read it, and only the grader can change it."""
        self.folder.mkdir(exist_ok=True)
        shutil.copyfile(runner.__file__, self.place / "runner.py")
        for name, file in files.items():
            shutil.copyfile(file, self.folder / name)
        for path in (self.place, *self.place.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def start(self) -> dict[str, Any]:
        """Starts the process and imports the exercise. Returns the outcome of the import, as `call` does."""
        loaded = LOADED_FOR_LENET if self.may_use_tinycnn else ()
        packages = _folders_of(np, *((tinycnn, threadpoolctl) if self.may_use_tinycnn else ()))
        own = [path.stem for path in self.folder.iterdir()]
        order = {
            "folder": str(self.folder), "module": self.module, "path": [str(self.place), *packages], "loaded": loaded,
            "not_called": NOT_CALLED if loaded else (), "alone": self.user is not None,
            "modules": [*sys.stdlib_module_names, "numpy", *own],
            "readable": [str(self.place), os.path.dirname(np.__file__)], "standard": os.path.dirname(os.__file__),
        }  # fmt: skip
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", START, json.dumps(order)]
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | ONE_THREAD
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            cwd=self.folder, env=environment, **_apart(self.user),
        )  # fmt: skip
        return self._ask("", (), max(self.timeout, LONGEST_IMPORT))

    def call(self, function: str, arguments: tuple, timeout: float | None = None) -> dict[str, Any]:
        """Calls a function of the exercise.

        Returns a dict whose "status" is value, error, missing, timeout, died or broken.
        """
        if self.process is None:
            outcome = self.start()
            if outcome["status"] != "value":
                return outcome
        return self._ask(function, arguments, self.timeout if timeout is None else timeout)

    def _ask(self, function: str, arguments: tuple, timeout: float) -> dict[str, Any]:
        """Sends a request and waits for its reply. Unless that is a proper one, the process is ended."""
        assert self.process is not None
        number, answers = secrets.randbelow(2**62), queue.SimpleQueue[Any]()
        request = runner.packed((number, function, arguments))
        # A pipe has no timeout on all platforms: a thread waits for it, until the process ends.
        threading.Thread(target=_exchange, args=(self.process, request, answers), daemon=True).start()
        try:
            outcome = _checked(answers.get(timeout=timeout), number, len(arguments))
        except queue.Empty:
            outcome = {"status": "timeout", "seconds": timeout}
        except EOFError:
            outcome = self._ended()
        except (ValueError, TypeError, KeyError):
            outcome = {"status": "broken", "problem": "wrote to the pipe by which results are returned"}
        if outcome["status"] in ("timeout", "died", "broken"):
            self.stop()
        elif len(self.printed) < runner.KEPT_OUTPUT:
            self.printed += outcome["printed"]
        return outcome

    def _ended(self) -> dict[str, Any]:
        assert self.process is not None
        try:
            return {"status": "died", "exit": self.process.wait(timeout=1)}
        except subprocess.TimeoutExpired:
            return {"status": "broken", "problem": "closed the pipe by which results are returned"}

    def stop(self) -> None:
        """Ends the process, if there is one, and what it has started."""
        if self.process is None:
            return
        self.process.kill()
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.user is not None:
            _end_all_of(self.user)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self.process = None


def plain_files(folder: Path) -> dict[str, Path]:
    """The Python files of a folder by name, without links (as another user they would show any file) and large ones."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    found = [entry for entry in entries if entry.name.endswith(".py") and entry.is_file(follow_symlinks=False)]
    small = [entry for entry in found if entry.stat().st_size <= LARGEST_FILE and os.access(entry.path, os.R_OK)]
    return {entry.name: Path(entry.path) for entry in small[:MOST_FILES]}


def _exchange(process: subprocess.Popen, request: bytes, answers: queue.SimpleQueue) -> None:
    """Puts the reply, or the exception that its bytes raise, into `answers`."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        rest = memoryview(request)
        while rest:
            rest = rest[process.stdin.write(rest) :]
        answers.put(runner.unpacked(process.stdout))  # type: ignore[arg-type]
    except (EOFError, OSError):
        answers.put(None)
    except Exception:
        answers.put("")


def _checked(reply: Any, number: int, arguments: int) -> dict[str, Any]:
    """The outcome in a reply. EOFError for None; ValueError, TypeError or KeyError if student.py did not write it."""
    if reply is None:
        raise EOFError
    if type(reply) is not dict or reply["number"] != number or type(reply["printed"]) is not str:
        raise ValueError("not the reply to this request")
    status = reply["status"]
    outcome = {"status": status, "printed": reply["printed"]}
    if status == "value":
        changed, overwritten = reply.get("changed", ()), reply.get("overwritten") is True
        if not all(type(i) is int and 0 <= i < arguments for i in changed):
            raise ValueError("changed other arguments")
        return outcome | {"value": reply["value"], "changed": changed, "overwritten": overwritten}
    if status == "error":
        texts = {name: reply[name] for name in ("type", "message", "file", "function", "code")}
        if not all(type(text) is str for text in texts.values()) or type(reply["line"]) is not int:
            raise ValueError("not an error")
        return outcome | texts | {"line": reply["line"]}
    if status != "missing":
        raise ValueError("no such status")
    return outcome


# --- another user -----------------------------------------------------------------------------------------


def other_user() -> int | None:
    """The number of a user that nobody is, if the grader may change user and that one can run Python; else None."""
    if not _may_change_user():
        return None
    import pwd

    while True:
        user = 60_000 + secrets.randbelow(5_000)
        try:
            pwd.getpwuid(user)
        except KeyError:
            return user


def not_apart() -> bool:
    """Whether a grader that runs as root has to run exercises as root too."""
    return _is_root() and not _may_change_user()


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


@functools.cache
def _may_change_user() -> bool:
    if not _is_root():
        return False
    code = "import os, sys; sys.path += sys.argv[1:]; import numpy; [*map(os.listdir, sys.argv[1:])]"
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        command = [sys.executable, "-I", "-S", "-c", code, place, *_folders_of(np), *tinycnn.__path__]
        try:
            done = subprocess.run(command, cwd=place, timeout=60, capture_output=True, **_apart(65_534))
        except (OSError, subprocess.SubprocessError):
            return False
    return done.returncode == 0


def _apart(user: int | None) -> dict[str, Any]:
    """Options of a process that can be ended with all that it starts: a session of its own, and another user."""
    options: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
    return options if user is None else options | {"user": user, "group": user, "extra_groups": []}


def _end_all_of(user: int) -> None:
    """Ends all processes of a user, at once. One that becomes that user to do so is not seen by them before it has."""
    code = f"import os; os.setgroups([]); os.setgid({user}); os.setuid({user}); os.kill(-1, 9)"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], stderr=subprocess.DEVNULL)


def _folders_of(*packages: Any) -> list[str]:
    """The folders from which packages are imported."""
    files = [Path(os.path.abspath(package.__file__)) for package in packages]
    return list(dict.fromkeys(str(file.parents[file.name == "__init__.py"]) for file in files))
