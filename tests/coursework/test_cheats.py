"""Work that something else does is refused by what is loaded and called while it runs."""

import shutil
import sys
from pathlib import Path

import pytest
from cheats import CHEATS, PRELUDE

import tinycnn
from tinycnn.teaching.grade import runner

FUNCTIONS = {9: "cross_entropy_forward", 10: "relu_forward"}


def write(folder, step, code, files):
    """Writes the file of a step and its helpers, with this machine's paths."""
    paths = str(Path(tinycnn.__file__).parents[1]), sys.executable
    for name, text in {folder.file(step).name: code, **files}.items():
        (folder.path / name).write_text(PRELUDE.replace("PATHS", repr(paths)) + text, encoding="utf-8")


def graded_function(folder, step, code, files):
    """(points, problems) of the function that is not a student's own."""
    write(folder, step, code, files)
    checks = [check for check in folder.grade(step, timeout=5).checks if check.function == FUNCTIONS[step]]
    return sum(check.score for check in checks), " | ".join(check.problem for check in checks)


@pytest.mark.parametrize("name, step, code, files, said", CHEATS, ids=[row[0] for row in CHEATS])
def test_a_cheat_gains_nothing(folder, name, step, code, files, said):
    score, problems = graded_function(folder, step, code, files)
    assert score == 0
    assert any(words in problems for words in said.split("|")), problems


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
