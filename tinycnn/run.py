"""python -m tinycnn.run: runs a program written for torch, unchanged, with torch and torchvision served by tinycnn.

    python -m tinycnn.run script.py [arguments]
    python -m tinycnn.run -m package.module [arguments]
    python -m tinycnn.run --check script.py

The program runs as Python would run it: its arguments, `__main__`, `__file__`, tracebacks and exit status are its own.
At its end, the names that it asked for and tinycnn lacks are listed on stderr, each once, with the line that asked.
`--check` runs nothing: it lists the names that the file mentions and tinycnn lacks, with status 1 if there are any.

Names are served in this process alone, by a finder on `sys.meta_path`. A torch that is installed is not imported.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import importlib
import importlib.abc
import importlib.machinery
import os
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

from tinycnn._absent import refusal

# What is served, and by what; below them, paths are the same: torch.nn.functional is tinycnn.nn.functional.
SERVED = {"torch": "tinycnn", "torchvision": "tinycnn"}

# The torch whose names and behaviour are followed: programs compare it with the version that they need.
VERSIONS = {"torch": "2.13.0", "torchvision": "0.28.0"}

_KEYWORD = re.compile(r"^(.+)\(\) got an unexpected keyword argument '(\w+)'")
_USUAL = re.compile(r"^module '.*' has no attribute '\w+'$")


class Missing:
    """The names that were asked for in vain: name to the place that asked, and to a remedy where there is one."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, str]] = {}

    def add(self, name: str, place: str, remedy: str = "") -> None:
        """Notes a name, the first time that it is asked for."""
        self.names.setdefault(name, (place, remedy))

    def add_error(self, error: BaseException) -> None:
        """Notes what the error that ended the program says is missing: an attribute of a tensor, layer or optimizer, or
        an argument."""
        place = _place_in(error.__traceback__)
        if isinstance(error, AttributeError) and error.name and not isinstance(error.obj, (ServedModule, type(None))):
            cls = error.obj if isinstance(error.obj, type) else type(error.obj)
            ours = [base.__name__ for base in cls.__mro__ if base.__module__.startswith("tinycnn")]
            if ours:
                self.add(f"{ours[0]}.{error.name}", place)
        elif isinstance(error, TypeError) and (found := _KEYWORD.match(str(error))) and _ends_in_program(error):
            self.add(f"{found[1]}({found[2]}=)", place)

    def report(self) -> None:
        """Writes the list to stderr, if there is anything to list."""
        if not self.names:
            return
        lines = [f"tinycnn.run: {len(self.names)} name(s) of torch that tinycnn lacks:"]
        for name, (place, remedy) in self.names.items():
            lines.append(f"  {name}  ({place}){': ' + remedy if remedy else ''}")
        sys.stdout.flush()
        print("\n".join(lines), file=sys.stderr)


class ServedModule(ModuleType):
    """A module of torch: its names are those of a module of tinycnn, and those that this lacks are noted."""

    def __init__(self, name: str, target: ModuleType, missing: Missing):
        super().__init__(name, target.__doc__)
        file = getattr(target, "__file__", None)
        own: dict[str, Any] = {"_target": target, "_missing": missing, "__path__": [], "__file__": file}
        if name in VERSIONS:
            own["__version__"] = VERSIONS[name]
        for key, value in own.items():
            super().__setattr__(key, value)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """The names of tinycnn's module: programs look nets up in `models.__dict__`."""
        return {name: value for name, value in vars(self._target).items() if not name.startswith("_")}

    def __getattr__(self, name: str) -> Any:
        try:
            value = getattr(self._target, name)
        except AttributeError as error:
            if name.startswith("__"):
                raise
            full = f"{self.__name__}.{name}"
            remedy = "" if _USUAL.match(str(error)) else str(error)
            self._missing.add(full, _place_of(sys._getframe(1)), remedy)
            raise AttributeError(remedy or f"{full}: tinycnn has no such name", name=name, obj=self) from None
        if isinstance(value, ModuleType) and value.__name__.startswith("tinycnn"):
            return importlib.import_module(f"{self.__name__}.{name}")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, ServedModule):
            super().__setattr__(name, value)
        else:
            setattr(self._target, name, value)

    def __dir__(self) -> list[str]:
        return dir(self._target)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of torch and torchvision in tinycnn."""

    def __init__(self, missing: Missing):
        self.missing = missing

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """The module of tinycnn, or None, which is noted."""
        if name.partition(".")[0] not in SERVED:
            return None
        try:
            module = _module(name)
        except ImportError as error:
            top, *parents, last = name.split(".")
            remedy = refusal(".".join([SERVED[top], *parents]), last)
            if not remedy and not isinstance(error, ModuleNotFoundError):
                remedy = str(error)
            self.missing.add(name, _place_of(sys._getframe(1)), remedy)
            if remedy:
                raise ModuleNotFoundError(remedy, name=name) from None
            return None
        return importlib.machinery.ModuleSpec(name, self, loader_state=module, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module of torch in front of that of tinycnn."""
        return ServedModule(spec.name, spec.loader_state, self.missing)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the module of tinycnn has been loaded."""


def _module(name: str) -> ModuleType:
    """The module of tinycnn that serves the module `name` of torch. ImportError if there is none."""
    top, _, rest = name.partition(".")
    path = f"{SERVED[top]}.{rest}" if rest else SERVED[top]
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        # An attribute may stand for a module: a function of the same name, or a module kept elsewhere.
        parent, _, last = path.rpartition(".")
        value = getattr(importlib.import_module(parent), last, None) if path.startswith(f"{error.name}") else None
        if isinstance(value, ModuleType):
            return value
        raise


# --- where a name was asked for ---------------------------------------------------------------------------


def _ours(filename: str) -> bool:
    """Whether a frame belongs to the machinery of imports or to this file, not to the program."""
    return filename == __file__ or filename.startswith("<frozen ")


def _place_of(frame: FrameType | None) -> str:
    """File and line of the program's frame at or above `frame`."""
    while frame is not None and _ours(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else "?"


def _place_in(traceback: TracebackType | None) -> str:
    """File and line of the last frame that is the program's own."""
    package, place = os.path.dirname(__file__), "?"
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not _ours(filename) and not filename.startswith(package):
            place = f"{os.path.relpath(filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _ends_in_program(error: BaseException) -> bool:
    """Whether the call that failed stands in the program and what it calls is in none of the traceback's frames."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and not last.tb_frame.f_code.co_filename.startswith(os.path.dirname(__file__))


# --- running ----------------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> None:
    """Runs the program that `arguments` begin with. What ends it, SystemExit included, is raised."""
    missing = Missing()
    atexit.register(missing.report)  # after what the program itself has registered
    sys.meta_path.insert(0, Finder(missing))
    try:
        if arguments[0] == "-m":
            sys.argv = [arguments[1], *arguments[2:]]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(arguments)
            _run_script(arguments[0])
    except BaseException as error:
        missing.add_error(error)
        raise


def _run_script(path: str) -> None:
    path = os.path.abspath(path)
    sys.path[0] = path if os.path.isdir(path) else os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):  # as Python does: its __main__.py
        path = os.path.join(path, "__main__.py")
    with open(path, "rb") as file:
        source = file.read()
    main = ModuleType("__main__")
    vars(main).update(__file__=path, __builtins__=builtins, __spec__=None)
    sys.modules["__main__"] = main  # where pickle finds the program's classes
    exec(compile(source, path, "exec", dont_inherit=True), vars(main))


def without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is the program's."""
    while traceback is not None and _ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


# --- looking without running ------------------------------------------------------------------------------


def check(path: str) -> Missing:
    """The names below torch and torchvision that the file mentions and tinycnn lacks. Nothing of it is run."""
    missing = Missing()
    tree = ast.parse(Path(path).read_text(encoding="utf-8"), filename=path)
    known: dict[str, str] = {}  # a name in the file to the dotted name that an import gave it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                known[alias.asname or first] = alias.name if alias.asname else first
                _look_up(alias.name, f"{path}:{node.lineno}", missing)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                _look_up(f"{node.module}.{alias.name}", f"{path}:{node.lineno}", missing)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            first, *rest = ast.unparse(node).split(".")
            if first in known and all(part.isidentifier() for part in rest):
                _look_up(".".join([known[first], *rest]), f"{path}:{node.lineno}", missing)
    return missing


def _look_up(name: str, place: str, missing: Missing) -> None:
    """Notes the first part of a dotted name that tinycnn lacks; attributes of what is no module are not looked at."""
    top, *rest = name.split(".")
    if top not in SERVED or rest in (["*"], ["__version__"]):
        return
    value: Any = importlib.import_module(SERVED[top])
    for i, part in enumerate(rest):
        full = ".".join([top, *rest[: i + 1]])
        try:
            value = getattr(value, part)
        except AttributeError as error:
            try:
                value = _module(full)
            except ImportError:
                missing.add(full, place, "" if _USUAL.match(str(error)) else str(error))
                return
        if not isinstance(value, ModuleType):
            return


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line `arguments` (default: this process's). Returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    needed = 2 if words[:1] in (["-m"], ["--check"]) else 1
    if len(words) < needed or words[0] in ("-h", "--help"):
        asked = words[:1] in (["-h"], ["--help"])
        print("usage:", __doc__, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    file = words[needed - 1]
    if words[0] != "-m" and not os.path.isfile(os.path.join(file, "__main__.py") if os.path.isdir(file) else file):
        print(f"tinycnn.run: error: no file {file!r}", file=sys.stderr)
        return 2
    if words[0] == "--check":
        missing = check(file)
        missing.report()
        return int(bool(missing.names))
    try:
        run(words)
    except SystemExit:
        raise
    except BaseException as error:
        error.__traceback__ = without_own_frames(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
