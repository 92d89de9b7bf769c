"""Work that something else does is refused by what is loaded and called while it runs."""

import ast
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cheats import CHEATS, PRELUDE
from conftest import COURSEWORK, a_few_quick

import tinycnn
from tinycnn.teaching.grade import STEPS, given, grade_step, runner

FUNCTIONS = {9: "cross_entropy_forward", 10: "relu_forward"}


def write(folder, step, code, files):
    """Writes the file of a step and its helpers, with this machine's paths."""
    paths = str(Path(tinycnn.__file__).parents[1]), sys.executable
    for name, text in {folder.file(step).name: code, **files}.items():
        (folder.path / name).write_text(PRELUDE.replace("PATHS", repr(paths)) + text, encoding="utf-8")


def graded_function(folder, step, code, files):
    """(points, problems) of the function that is not a student's own."""
    write(folder, step, code, files)
    asked = [exercise for exercise in STEPS[step - 1].exercises if exercise.function == FUNCTIONS[step]]
    checks = grade_step(replace(STEPS[step - 1], exercises=asked), folder.path, timeout=5).checks
    return sum(check.score for check in checks), " | ".join(check.problem for check in checks)


@pytest.mark.parametrize("name, step, code, files, said", a_few_quick(CHEATS))
def test_a_cheat_gains_nothing(folder, name, step, code, files, said):
    score, problems = graded_function(folder, step, code, files)
    assert score == 0
    assert any(words in problems for words in said.split("|")), problems


def test_the_references_functions_cannot_be_had_for_a_wrong_one(folder):
    """After a wrong function the grader puts its own in that place, for those that build on it: no others."""
    wrong = "def max_pool_forward(*arguments):\n    return 0\n"
    names = ["max_pool_backward", "avg_pool_forward", "avg_pool_backward"]
    taken = "".join(f"try: from given_step08_pooling import {name}\nexcept ImportError: pass\n" for name in names)
    folder.write(8, wrong + taken)
    assert folder.grade(8).score == 0


def test_the_references_earlier_functions_are_those_that_the_exercise_names(folder):
    text = "from step03_conv_backward_loops import conv_backward_loops as conv_backward\n"
    folder.write(6, text + "from step02_conv_forward_loops import conv_forward_loops as conv_forward\n")
    for number in (2, 3):
        folder.write(number, "")
    assert folder.grade(6).score == 0
    folder.write(6, "")
    folder.write(7, "import step06_conv\ndef conv_transpose(g, w, *geometry):\n    return step06_conv.conv_backward\n")
    assert "has no attribute 'conv_backward'" in " | ".join(check.problem for check in folder.grade(7).checks)


def test_the_references_functions_have_no_text(folder):
    folder.write(6, "import os\ndef conv_forward(*arguments):\n    raise ValueError(sorted(os.listdir()))\n")
    for name in ("step01_output_size", "step04_im2col", "step05_col2im"):
        (folder.path / f"{name}.py").unlink()
    said = folder.grade(6).checks[0].problem
    assert "step04_im2col.pyc" in said
    assert "step04_im2col.py'" not in said


def test_what_the_exercises_use_is_what_their_files_import():
    for file in COURSEWORK.glob("step*.py"):
        imports = [each for each in ast.parse(file.read_text("utf-8")).body if isinstance(each, ast.ImportFrom)]
        of_steps = {each.module: [alias.name for alias in each.names] for each in imports if "step" in each.module}
        assert given.USES.get(file.stem, {}) == of_steps


@pytest.fixture
def without_guard(monkeypatch, tmp_path):
    """A planted bug: nothing is refused."""
    text = Path(runner.__file__).read_text(encoding="utf-8")
    for line in ("    sys.addaudithook(", "    _refuse_calls("):
        assert text.count(line) == 1
        text = text.replace(line, "    isinstance(0, int) or (")
    (tmp_path / "runner.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(runner, "__file__", str(tmp_path / "runner.py"))


@pytest.mark.slow
def test_without_the_guard_most_cheats_get_their_points(folder, without_guard):
    """Otherwise the test above would prove little."""
    got = {}
    for name, step, code, files, _ in CHEATS:
        shutil.rmtree(folder.path)
        type(folder).__init__(folder, folder.path)
        got[name] = graded_function(folder, step, code, files)[0] > 0
    assert sum(got.values()) >= 25, got
