"""Each function is graded with the reference's earlier ones in the place of the student's: one mistake is paid once.

The folder given/ holds them, in NumPy. Students do not get it: on their machines the grader takes their own steps.
"""

from __future__ import annotations

import ast
import py_compile
from collections.abc import Sequence
from pathlib import Path

from tinycnn.teaching.grade import callables

GIVEN = Path(__file__).parent / "given"

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
    files, added = {}, ""
    if named:
        files["given_callables.py"] = Path(callables.__file__)
        added += _BY_NAME.format(names=list(named))
    for answer in sorted(GIVEN.glob("step*.py")):
        text = answer.read_text(encoding="utf-8")
        if answer.name < path.name:
            text += _FALLBACK.format(module=answer.stem)
            files[f"{answer.name}c"] = _compiled(text, answer.stem, place)
            if (own := path.parent / answer.name).is_file():
                files[f"own_{answer.name}"] = own
        elif answer.name == path.name and (known := [name for name in wrong if has(answer, name)]):
            files[f"given_{path.name}c"] = _compiled(_without_others(text, known), f"given_{path.stem}", place)
            added += f"\n\nfrom given_{path.stem} import {', '.join(known)}\n"
    if added:  # at the end of the file, so that lines keep their numbers
        files[path.name] = place / path.name
        files[path.name].write_bytes(path.read_bytes() + added.encode())
    return files


def _without_others(text: str, wrong: Sequence[str]) -> str:
    """A module without its public functions but `wrong`: those that are not graded yet would be answers."""
    tree = ast.parse(text)
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    others = [each for each in functions if each.name not in wrong and not each.name.startswith("_")]
    tree.body = [each for each in tree.body if each not in others]
    return ast.unparse(tree)


def _compiled(text: str, name: str, place: Path) -> Path:
    """The module as bytecode: a student could print its text."""
    source = place / f"{name}.py"
    source.write_text(text, encoding="utf-8")
    return Path(py_compile.compile(str(source), str(place / f"{name}.pyc"), name, doraise=True, optimize=2) or "")
