"""Which mistake was it? The grader computes what known mistakes would give and compares that with what came.

First what any function may do wrong (the order of results, np.empty, something kept between calls), then the exercise's
own mistakes. A mistake that gives the student's values on all cases is named as such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.comparing import same
from tinycnn.teaching.grade.runner import POISON

if TYPE_CHECKING:
    from tinycnn.teaching.grade.exercise import Answer, Answers, Case, Exercise, Mistake

Named = tuple[str, str]  # the mistake, and the passage that explains it
UNKNOWN: Named = ("", "")

# Results whose first axis is the batch.
BATCHED = ("y", "x", "dx", "columns", "spread", "d_scores")


def diagnose(exercise: Exercise, index: int, answers: Answers) -> Named:
    """The mistake that gives these values of the result `index`, and where the text explains it; or two ""."""
    right = [_is_right(answer, index) for answer in answers.double]
    if all(right):
        return _only_single(index, answers)
    if not any(answer.values for answer, fine in zip(answers.double, right) if not fine):
        return _only_exceptions(exercise, answers, right)
    for known in (_of_results, _kept, lambda *a: _by_mistakes(exercise, *a), _only_where):
        name, see = known(index, answers)
        if name:
            return name, see or exercise.see
    return UNKNOWN


def _is_right(answer: Answer, index: int) -> bool:
    return bool(answer.values) and not answer.problem and same(answer.values[index], answer.expected[index])


def _wrong(index: int, answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if not _is_right(answer, index)]


# --- what any function may do wrong -------------------------------------------------------------------------


def _of_results(index: int, answers: Answers) -> Named:
    """What can be seen by comparing results with expected ones."""
    came = [answer for answer in _wrong(index, answers.double) if answer.values]
    got, expected = [a.values[index] for a in came], [a.expected[index] for a in came]
    for other in range(len(came[0].expected)):
        if other != index and all(same(g, a.expected[other]) for g, a in zip(got, came)):
            return "the results come in another order than the docstring's", passages.RULES
    if any(_poisoned(g) and not _poisoned(e) for g, e in zip(got, expected)):
        return "np.empty is not np.zeros: elements that are never set, or only added to, hold anything", passages.ZEROS
    if all(a.values and same(a.values[index], a.expected[index], 1e-4) for a in answers.double):
        return "computed in single precision: keep the dtype of the arguments", passages.RULES
    return UNKNOWN


def _poisoned(value: Any) -> bool:
    """Whether np.empty's contents are in the value, or something computed from them."""
    if isinstance(value, dict):
        return any(map(_poisoned, value.values()))
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and bool((np.abs(value) > POISON / 1e3).any())


def _kept(index: int, answers: Answers) -> Named:
    """What is right at the first call and wrong later."""
    first, again = answers.first, answers.again
    if any(answer.problem for answer in first + again) or not _wrong(index, again):
        return UNKNOWN
    for at, answer in enumerate(again):
        before = [a for a in first + again[:at] if a.case.arguments is answer.case.arguments]
        if before and not same(before[0].values[index], answer.values[index]):
            return "the same arguments give another result the second time: something is kept between calls", passages.KEPT
        if not _wrong(index, first) and any(same(answer.values[index], a.values[index]) for a in first):
            return "the result of an earlier call with these shapes: something is kept between calls", passages.KEPT
    return UNKNOWN


def _only_single(index: int, answers: Answers) -> Named:
    """What is right in float64 and wrong in float32."""
    values = [answer.values[index] for answer in answers.single if answer.values]
    if any(isinstance(value, np.ndarray) and value.dtype == np.float64 for value in values):
        return "float64 comes out where float32 went in: give np.zeros and the like dtype=x.dtype", passages.RULES
    if any(answer.problem for answer in answers.single):
        return UNKNOWN
    return "right in float64 only: numbers overflow in float32, or their difference vanishes", passages.RULES


def _only_exceptions(exercise: Exercise, answers: Answers, right: list[bool]) -> Named:
    return UNKNOWN


# --- the mistakes of an exercise ----------------------------------------------------------------------------


def _by_mistakes(exercise: Exercise, index: int, answers: Answers) -> Named:
    """A mistake that explains every case; or, if there may be two mistakes, "perhaps" the one that explains the smallest
    wrong case and most of the others."""
    result, wrong = exercise.results[index], _wrong(index, answers.double)
    came = [answer for answer in wrong if answer.values]
    others = [answer for answer in answers.double if not any(answer is each for each in came)]
    if result in BATCHED and all(_first_sample_only(a.values[index], a.expected[index]) for a in came):
        return "only the first sample of the batch is computed", passages.CHANNELS
    explained: dict[Named, int] = {}  # number of wrong cases, for each mistake that explains the smallest
    for mistake in exercise.mistakes:
        if mistake.result == result and gives(mistake, came[0], index):
            count = sum(gives(mistake, answer, index) for answer in came)
            if count == len(came) and all(gives(mistake, answer, index) for answer in others):
                return mistake.name, mistake.see
            key = mistake.name, mistake.see
            explained[key] = max(count, explained.get(key, 0))
    best = [key for key, count in explained.items() if count == max(explained.values())]
    if len(best) != 1:
        return UNKNOWN
    return f"perhaps {best[0][0]} (other cases go wrong in another way)", best[0][1]


def _first_sample_only(got: Any, expected: np.ndarray) -> bool:
    if not isinstance(got, np.ndarray) or got.shape != expected.shape or len(expected) < 2:
        return False
    return same(got[:1], expected[:1]) and not got[1:].any()


def gives(mistake: Mistake, answer: Answer, index: int) -> bool:
    """Whether the mistake gives the value of an answer; an exception may come wherever the mistake is not right."""
    try:
        with np.errstate(all="ignore"):
            value = mistake.compute(**answer.case.arguments)
    except Exception:
        return not answer.values
    if answer.values:
        return same(answer.values[index], value)
    return not same(value, answer.expected[index])


# --- where it goes wrong ------------------------------------------------------------------------------------


def _only_where(index: int, answers: Answers) -> Named:
    return UNKNOWN
