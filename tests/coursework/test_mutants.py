"""The grader is tested as it tests: wrong answers must be rejected under their right names, right ones accepted."""

import itertools
import shutil

import numpy as np
import pytest
from conftest import HERE
from mutants import MUTANTS

from tinycnn.teaching.grade import STEPS
from tinycnn.teaching.grade.exercise import same

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("step, old, new, result, name", MUTANTS)
def test_a_wrong_answer_is_rejected_and_named(folder, step, old, new, result, name):
    folder.change(step, old, new)
    wrong = [check for check in folder.grade(step).checks if check.problem and check.result == result]
    assert wrong
    assert any(name in (check.diagnosis or check.problem) for check in wrong)


@pytest.mark.parametrize("variant", ["solutions", "variants/windows", "variants/matrices"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"step{step.number}")
def test_right_answers_get_all_points(folder, variant, step):
    shutil.copytree(HERE / variant, folder.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    graded = folder.grade(step.number, seed=step.number)
    assert [check.problem for check in graded.checks] == [""] * len(graded.checks)
    assert graded.score == step.max_score


def test_there_are_a_hundred_points():
    assert sum(step.max_score for step in STEPS) == 100


def _exercises():
    for step in STEPS:
        for exercise in step.exercises:
            if exercise.mistakes:
                yield pytest.param(step.number, exercise, id=exercise.function)


def _outcome(mistake, case):
    try:
        return mistake.compute(**case.arguments)
    except Exception:
        return None


@pytest.mark.parametrize("number, exercise", list(_exercises()))
def test_every_mistake_can_be_told_from_the_others_and_from_the_truth(number, exercise):
    cases = exercise.draw(np.random.default_rng([0, number, len(exercise.function)]))
    expected = [exercise.expected(**case.arguments) for case in cases]
    for index, result in enumerate(exercise.results):
        mistakes = [m for m in exercise.mistakes if m.result == result]
        outcomes = [[_outcome(mistake, case) for case in cases] for mistake in mistakes]
        right = expected if len(exercise.results) == 1 else [values[index] for values in expected]
        for mistake, given in zip(mistakes, outcomes):
            assert any(v is not None and not same(v, e) for v, e in zip(given, right)), mistake.name
        for (a, given_a), (b, given_b) in itertools.combinations(zip(mistakes, outcomes), 2):
            if a.name != b.name:
                assert not all(same(va, vb) for va, vb in zip(given_a, given_b)), (a.name, b.name)


@pytest.mark.parametrize("number, exercise", list(_exercises()))
def test_the_cases_begin_small(number, exercise):
    cases = exercise.draw(np.random.default_rng(0))
    sizes = [sum(np.size(value) for value in case.arguments.values()) for case in cases]
    for level in {case.level for case in cases}:
        assert sizes[[case.level for case in cases].index(level)] <= 40 or number == 10
