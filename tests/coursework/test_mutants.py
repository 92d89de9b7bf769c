"""The grader is tested as it tests: wrong answers must be rejected under their right names, right ones accepted."""

import functools
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import HERE, Folder
from rights import RIGHTS
from wrong import KNOWN, ROUNDS

from tinycnn.teaching.grade import STEPS, passages

pytestmark = pytest.mark.slow

VARIANTS = ["solutions", "variants/windows", "variants/matrices"]


@functools.cache
def verdicts(step, old, new, result):
    """(problem, diagnosis) of the wrong checks of a result, and of all wrong checks."""
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place) / "coursework")
        folder.change(step, old, new)
        wrong = [check for check in folder.grade(step).checks if check.problem]
    return [(check.problem, check.diagnosis) for check in wrong if check.result == result], len(wrong)


def is_named(step, old, new, result, words):
    """Whether the grader says what it should: `words`, or without them any name."""
    checks, _ = verdicts(step, old, new, result)
    return any(words in (diagnosis or problem) if words else diagnosis for problem, diagnosis in checks)


@pytest.mark.parametrize("mutant", KNOWN)
def test_a_wrong_answer_is_rejected_and_named(mutant):
    assert is_named(*mutant), verdicts(*mutant[:4])


@pytest.mark.parametrize("mutant", [row for rows in ROUNDS for row in rows])
def test_a_wrong_answer_that_was_held_out_is_rejected(mutant):
    assert verdicts(*mutant[:4])[1]


def test_the_figures():
    """Of at least 700 wrong answers 90 % are named, and of those that were written after the mistakes too."""
    later = [row for rows in ROUNDS for row in rows]
    assert len(KNOWN + later) >= 700
    assert len(RIGHTS) + len(STEPS) * len(VARIANTS) >= 50
    for mutants in (KNOWN + later, later):
        unnamed = [mutant for mutant in mutants if not is_named(*mutant)]
        assert len(unnamed) <= 0.1 * len(mutants), unnamed


@pytest.mark.parametrize("step, changes", RIGHTS)
def test_a_right_answer_in_another_style_gets_all_points(folder, step, changes):
    for old, new in changes:
        folder.change(step, old, new)
    graded = folder.grade(step, seed=step)
    assert [check.problem for check in graded.checks] == [""] * len(graded.checks)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"step{step.number}")
def test_right_answers_get_all_points(folder, variant, step):
    shutil.copytree(HERE / variant, folder.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    graded = folder.grade(step.number, seed=step.number)
    if missing := [check.problem for check in graded.checks if check.left_out]:
        pytest.skip(missing[0])
    assert [check.problem for check in graded.checks] == [""] * len(graded.checks)
    assert graded.score == step.max_score
    assert "goes wrong" not in graded.note


def test_a_seed_with_which_one_digit_is_not_learned_by_heart_costs_nothing(folder):
    assert [check.problem for check in folder.grade(10, seed=1393405765).checks if check.problem] == []


def test_there_are_a_hundred_points():
    assert sum(step.max_score for step in STEPS) == 100


def _exercises():
    for step in STEPS:
        for exercise in step.exercises:
            if exercise.mistakes:
                yield pytest.param(step.number, exercise, id=exercise.function)


def anchors(path):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_passages_exist():
    for name, passage in vars(passages).items():
        if name.isupper() and not name.startswith("_"):
            file, _, anchor = passage.partition("#")
            assert anchor in anchors(HERE.parents[1] / file), passage


@pytest.mark.parametrize("number, exercise", list(_exercises()))
def test_every_mistake_leads_to_a_passage(number, exercise):
    known = {value for name, value in vars(passages).items() if name.isupper()}
    assert {mistake.see or exercise.see for mistake in exercise.mistakes} <= known


@pytest.mark.parametrize("number, exercise", list(_exercises()))
def test_the_cases_begin_small(number, exercise):
    cases = exercise.draw(np.random.default_rng(0))
    sizes = [sum(np.size(value) for value in case.arguments.values()) for case in cases]
    for level in {case.level for case in cases}:
        assert sizes[[case.level for case in cases].index(level)] <= 40 or number == 10
