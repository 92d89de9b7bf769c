"""Each function is graded with the reference's earlier ones in the place of the student's: one mistake is paid once.

The folder given/ holds them, in NumPy. Students do not get it: on their machines the grader takes their own steps.
"""

from __future__ import annotations

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


def is_given() -> bool:
    """Whether the reference's steps are here."""
    return GIVEN.is_dir()


# At the end of a file, so that its lines keep their numbers.
_NAMED = """

from given_callables import by_name
globals().update({{name: by_name(globals()[name]) for name in {names} if name in globals()}})
"""


def replacements(path: Path, wrong: Sequence[str], place: Path, named: Sequence[str] = ()) -> dict[str, Path]:
    """What to put beside a student's file: file name to file.

    Args:
        path: the student's file: stepNN_*.py.
        wrong: functions in it to be replaced too.
        place: a folder in which to write.
        named: functions in it that are called with names of callables.py, and get what they name.
    """
    files = {}
    if named:
        files = {"given_callables.py": Path(callables.__file__), path.name: place / path.name}
        files[path.name].write_bytes(path.read_bytes() + _NAMED.format(names=list(named)).encode())
    for answer in sorted(GIVEN.glob("step*.py")):
        if answer.name < path.name:
            files[answer.name] = place / answer.name
            text = answer.read_text(encoding="utf-8") + _FALLBACK.format(module=answer.stem)
            files[answer.name].write_text(text, encoding="utf-8")
            if (own := path.parent / answer.name).is_file():
                files[f"own_{answer.name}"] = own
        elif answer.name == path.name and wrong:
            files[f"given_{path.name}"] = answer
            files[path.name] = place / path.name
            # At the end of the file, so that lines keep their numbers.
            imported = f"\n\nfrom given_{path.stem} import {', '.join(wrong)}\n"
            files[path.name].write_bytes(path.read_bytes() + imported.encode())
    return files
