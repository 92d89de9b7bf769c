"""Folders of exercises as students would have them."""

import shutil
import sys
from pathlib import Path

import pytest

from tinycnn.teaching.grade import STEPS, grade_step

HERE = Path(__file__).resolve().parent
COURSEWORK = HERE.parents[1] / "coursework"
SOLUTIONS = HERE / "solutions"

sys.path.insert(0, str(HERE))  # for the package wrong


def a_few_quick(rows):
    """Parameters of a test, named by their first: one in twelve is in the quick suite, all are in the slow one."""
    slow = [() if i % 12 == 0 else pytest.mark.slow for i in range(len(rows))]
    return [pytest.param(*row, id=row[0], marks=marks) for row, marks in zip(rows, slow, strict=True)]


class Folder:
    """A copy of the solutions, to be spoilt."""

    def __init__(self, path):
        self.path = path
        shutil.copytree(SOLUTIONS, path, ignore=shutil.ignore_patterns("__pycache__"))

    def file(self, number):
        return self.path / f"{STEPS[number - 1].module}.py"

    def change(self, number, old, new):
        """Replaces the last place of `old` in a step (the docstring may hold others); puts `new` behind it without."""
        text = self.file(number).read_text(encoding="utf-8")
        if not old:
            self.write(number, f"{text}\n\n{new}")
            return
        before, found, after = text.rpartition(old)
        assert found, f"step {number} has no {old!r}"
        self.write(number, before + new + after)

    def write(self, number, text):
        self.file(number).write_text(text, encoding="utf-8")

    def grade(self, number, **options):
        return grade_step(STEPS[number - 1], self.path, **options)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "coursework")
