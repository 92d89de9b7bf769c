"""Each function is graded with the reference's earlier ones in the place of the student's: one mistake is paid once.

The folder given/ holds them, in NumPy. Students do not get it: on their machines the grader takes their own steps.
"""

from __future__ import annotations

import ast
import py_compile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tinycnn.teaching.grade import callables
from tinycnn.teaching.grade.student import plain_files

GIVEN = Path(__file__).parent / "given"

# What the file of each exercise begins with: module to functions. Only these are given; all else is a student's own.
_SIZE = {"step01_output_size": ["output_size"]}
USES: dict[str, dict[str, list[str]]] = {
    "step02_conv_forward_loops": _SIZE,
    "step04_im2col": _SIZE,
    "step05_col2im": _SIZE,
    "step06_conv": {**_SIZE, "step04_im2col": ["im2col"], "step05_col2im": ["col2im"]},
    "step07_conv_transpose": {"step06_conv": ["conv_forward"]},
    "step08_pooling": _SIZE,
    "step10_lenet": {
        "step06_conv": ["conv_backward", "conv_forward"],
        "step08_pooling": ["max_pool_backward", "max_pool_forward"],
        "step09_cross_entropy": ["cross_entropy_backward", "cross_entropy_forward"],
    },
    "step15_grouped_conv": {"step06_conv": ["conv_backward", "conv_forward"]},
    "step16_timing": {"step02_conv_forward_loops": ["conv_forward_loops"], "step06_conv": ["conv_forward"]},
    "step17_fashion_mnist": {
        "step06_conv": ["conv_backward", "conv_forward"],
        "step08_pooling": ["max_pool_backward", "max_pool_forward"],
        "step09_cross_entropy": ["cross_entropy_backward", "cross_entropy_forward"],
        "step10_lenet": ["Operator", "linear_backward", "linear_forward", "relu_backward", "relu_forward"],
    },
}

# For helper functions that a student's later steps import from this file: the student's own file, own_*.py.
_FALLBACK = '''

def __getattr__(name):
    if name.startswith("__") and name != "__all__":  # asked for by Python
        raise AttributeError(name)
    try:
        import own_{module} as own
    except Exception as error:
        raise AttributeError(name) from error
    if name == "__all__":  # of a star import
        return [each for each in {{**vars(own), **globals()}} if not each.startswith("_")]
    return getattr(own, name)
'''

_BY_NAME = """

from given_callables import by_name
globals().update({{name: by_name(globals()[name]) for name in {names} if name in globals()}})
"""


def is_given() -> bool:
    """Whether the reference's steps are here."""
    return GIVEN.is_dir()


def has(file: Path, function: str) -> bool:
    """Whether a file defines a function."""
    return f"\ndef {function}(" in "\n" + file.read_text(encoding="utf-8")


def replacements(path: Path, wrong: Sequence[str], place: Path, named: Sequence[str] = ()) -> dict[str, Path]:
    """What to put beside a student's file: file name to file. The reference's functions come without their text.

    Args:
        path: the student's file: stepNN_*.py.
        wrong: functions in it to be replaced too.
        place: a folder in which to write.
        named: functions in it that are called with names of callables.py, and get what they name.
    """
    files, added, beside = {}, "", plain_files(path.parent)
    for module, functions in _with_theirs(USES.get(path.stem, {}) if is_given() else {}).items():
        text = ast.unparse(_only(module, functions)) + _FALLBACK.format(module=module)
        files[f"{module}.pyc"] = _compiled(text, module, place)
        if f"{module}.py" in beside:
            files[f"own_{module}.py"] = beside[f"{module}.py"]
    if named:
        files["given_callables.py"] = Path(callables.__file__)
        added += _BY_NAME.format(names=list(named))
    answer = GIVEN / path.name
    if answer.is_file() and (known := [name for name in wrong if has(answer, name)]):
        text = ast.unparse(_only(path.stem, known))
        files[f"given_{path.stem}.pyc"] = _compiled(text, f"given_{path.stem}", place)
        added += f"\n\nfrom given_{path.stem} import {', '.join(known)}\n"
    if added:  # at the end of the file, so that lines keep their numbers
        files[path.name] = place / path.name
        files[path.name].write_bytes(path.read_bytes() + added.encode())
    return files


def _with_theirs(uses: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Module to functions: those of `uses`, and what they use of other steps."""
    found: dict[str, set[str]] = {}
    todo = [(module, name) for module, names in uses.items() for name in names]
    while todo:
        module, name = todo.pop()
        found.setdefault(module, set()).add(name)
        for each in _only(module, [name]).body:
            if isinstance(each, ast.ImportFrom) and each.module:
                todo += [(each.module, alias.name) for alias in each.names]
    return found


def _only(module: str, wanted: Iterable[str]) -> ast.Module:
    """A module of the reference with these functions, what they use and no other: the rest would be answers."""
    tree = ast.parse((GIVEN / f"{module}.py").read_text(encoding="utf-8"))
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    used, todo = set(), list(wanted)
    while todo:
        if (name := todo.pop()) not in used:
            used.add(name)
            todo += [n.id for n in ast.walk(functions[name]) if isinstance(n, ast.Name)] if name in functions else []
    kept: list[ast.stmt] = []
    for each in tree.body:
        if isinstance(each, ast.ImportFrom):
            each.names = [alias for alias in each.names if alias.name in used]
        if each.name in used if isinstance(each, ast.FunctionDef) else getattr(each, "names", True):
            kept.append(each)
    tree.body = kept
    return tree


def _compiled(text: str, name: str, place: Path) -> Path:
    """The module as bytecode: a student could print its text."""
    source = place / f"{name}.py"
    source.write_text(text, encoding="utf-8")
    return Path(py_compile.compile(str(source), str(place / f"{name}.pyc"), name, doraise=True, optimize=2) or "")
