"""The texts of the students' zip without the grader: nothing in it speaks of a grader that is not there."""

from __future__ import annotations

import re

# reference.py computes with loops what the exercises ask for.
LEFT_OUT = (
    "tinycnn/teaching/grade/", "tinycnn/teaching/reference.py",
    "tinycnn/_former_paths/grade.py", "tinycnn/_former_paths/reference.py",
)  # fmt: skip

README = """\
# tinycnn

A micro deep-learning framework in Python over NumPy. The exercises, and how to begin, are in `coursework/README.md`.
"""

# File to what is written there, each once, and what takes its place.
CHANGES = {
    "tinycnn/__init__.py": [
        ("from tinycnn.teaching import explain, grade, reference\n", "from tinycnn.teaching import explain\n"),
        ('    "grade": "tinycnn.teaching.grade",\n    "reference": "tinycnn.teaching.reference",\n', ""),
        ('"explain", "grade", "reference",\n', '"explain",\n'),
    ],
    "setup.cfg": [("tinycnn.teaching.grade = given/*.py\n", "")],
    "pyproject.toml": [
        ('exclude = ["tinycnn/teaching/grade/given/"]  '
         "# exercises, which import one another from their own folder\n", ""),
    ],
    "tinycnn/cli.py": [
        ("    tinycnn grade coursework/        is short for    python -m tinycnn.grade coursework/\n",
         "    tinycnn shapes conv --help       is short for    python -m tinycnn.shapes conv --help\n"),
        ("does not load the grader.", "does not load what trains."),
        ('    "grade": Command("tinycnn.teaching.grade.command", "grade the exercises of coursework/", '
         '"grade coursework/"),\n', ""),
    ],
    "tinycnn/_former_paths/__init__.py": [
        ("`tinycnn.reference` is `tinycnn.teaching.reference`.", "`tinycnn.explain` is `tinycnn.teaching.explain`."),
        ("`import tinycnn.reference` and\n`python -m tinycnn.grade` find them here.",
         "`import tinycnn.explain` and\n`python -m tinycnn.explain` find them here."),
    ],
    "tinycnn/teaching/__init__.py": [
        ("operators as naive loops, worked examples, and the grader of the exercises.", "worked examples."),
    ],
    "tinycnn/teaching/explain/formulas.js": [
        ("The formulas of tinycnn/teaching/reference.py once more, for one image.", "The formulas for one image."),
    ],
}  # fmt: skip

SECTION = re.compile(r"<!-- (with|without) grader -->\n(.*?)<!-- end -->\n", re.DOTALL)


def sections(text: str, grader: bool) -> str:
    """A text with its sections for readers with the grader, or for those without."""
    wanted = "with" if grader else "without"
    return SECTION.sub(lambda found: found[2] if found[1] == wanted else "", text)


def text_without_grader(name: str, text: str) -> str:
    """The text of a file as it stands in the zip. ValueError if it has changed so that CHANGES no longer fits."""
    if name == "README.md":
        return README
    for old, new in CHANGES.get(name, []):
        if text.count(old) != 1:
            raise ValueError(f"tools/without_grader.py: {name} holds {text.count(old)} times {old.strip()!r}, not once")
        text = text.replace(old, new)
    return text
