"""Whatever a submission does, all that it does not touch is graded, in bounded time, and it gains nothing."""

import time

import pytest
from conftest import SOLUTIONS, a_few_quick
from hostile import CLASSES, HELP, HOSTILE

from tinycnn.teaching.grade import STEPS, student

RIGHT = (SOLUTIONS / "step09_cross_entropy.py").read_text(encoding="utf-8")
FUNCTION = "cross_entropy_forward"


def hostile_text(where, code, results):
    """The file of step 9 with this code."""
    code = code.replace("RESULTS", repr(str(results)))
    if where == "import":
        return f"{HELP}{CLASSES}\n{code}\n{RIGHT}"
    return f"{HELP}{CLASSES}\n{RIGHT}\n\ndef {FUNCTION}(scores, target):\n    {code}\n"


def lost_points(lost, step=STEPS[8]):
    functions = {"function": [FUNCTION], "step": [e.function for e in step.exercises], "nothing": []}[lost]
    exercises = [exercise for exercise in step.exercises if exercise.function in functions]
    return sum(p for exercise in exercises for levels in exercise.points.values() for p in levels.values())


@pytest.mark.parametrize("name, where, code, lost, said", a_few_quick(HOSTILE))
def test_a_hostile_step_costs_itself_only(folder, tmp_path, monkeypatch, name, where, code, lost, said):
    monkeypatch.setattr(student, "LONGEST_IMPORT", 2)
    results = tmp_path / "results.json"
    results.write_text("{}")
    folder.write(9, hostile_text(where, code, results))
    started = time.perf_counter()
    graded = folder.grade(9, timeout=2)
    assert time.perf_counter() - started < 20
    problems = " | ".join(check.problem for check in graded.checks)
    assert graded.score == STEPS[8].max_score - lost_points(lost), problems
    assert any(words in problems for words in said.split("|")), problems
    assert "cannot be graded" not in problems  # the last resort, for what nobody thought of
    assert problems.isprintable() or all(c == "\n" or c.isprintable() for c in problems)
    assert results.read_text() == "{}"
