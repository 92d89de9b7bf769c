"""Exercises, the comparison of results, and the diagnosis of mistakes.

A known mistake is a function that computes its wrong result. If a student's results equal it in every case, the grader
names that mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinycnn.teaching.grade.runner import Unknown
from tinycnn.teaching.grade.student import Student

# Relative to the largest element. Above the rounding error of sums of some hundred products in each precision; that of
# float64 is below the 1e-7 of single precision.
TOLERANCE, TOLERANCE_32 = 1e-9, 1e-4

# The level at which all cases are asked once more, in single precision.
FLOAT32 = "float32"

TODO = ("not written yet", "not tried")

# Results whose first axis is the batch.
BATCHED = ("y", "x", "dx", "columns", "spread", "d_scores")


@dataclass(frozen=True)
class Case:
    """One call: the arguments by name, in the order of the function's parameters."""

    level: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """One line, or one line for each array whose elements are shown."""
        words = [_described(name, value) for name, value in self.arguments.items()]
        if len(", ".join(words)) <= 100:
            return ", ".join(words)
        rest = ", ".join(word for word in words if "[" not in word)
        return "\n".join([word for word in words if "[" in word] + ([rest] if rest else []))


@dataclass(frozen=True)
class Mistake:
    """A wrong way to compute the result `result`.

    `name` describes it in the report, and `see` is the passage of the text that explains it ("" for that of the
    exercise): a file and an anchor, of passages.py.
    """

    result: str
    name: str
    compute: Callable[..., Any]
    see: str = ""


@dataclass
class Exercise:
    """One function of a step.

    Attributes:
        function: the name of the function.
        results: the names of its results; several are returned as a tuple.
        points: result to level to points; a level is a group of cases. At the level FLOAT32, which is not drawn, all
            cases are asked once more in single precision.
        draw: draws the cases from a random generator, the smallest first, all in float64.
        expected: computes the right results from the arguments of a case, in float64.
        mistakes: the known mistakes, the likelier first.
        see: the passage of the text that explains the function.
        judge: replaces `expected`: describes what is wrong with a returned value, or returns None.
        timeout: minimum of seconds for one call; None for the grader's timeout.
    """

    function: str
    results: tuple[str, ...]
    points: dict[str, dict[str, float]]
    draw: Callable[[np.random.Generator], list[Case]]
    expected: Callable[..., Any] = lambda **arguments: None
    mistakes: Sequence[Mistake] = ()
    see: str = ""
    judge: Callable[[Any, Case], str | None] | None = None
    timeout: float | None = None


@dataclass
class Step:
    """One exercise file: its number and title, the name of the module, and its functions."""

    number: int
    title: str
    module: str
    exercises: Sequence[Exercise]
    may_use_tinycnn: bool = False

    @property
    def max_score(self) -> float:
        """The sum of the points of all exercises."""
        return sum(p for e in self.exercises for levels in e.points.values() for p in levels.values())


@dataclass
class Check:
    """The verdict on one result of one function at one level; `problem` is empty if it is right."""

    step: int
    function: str
    result: str
    level: str
    points: float
    cases: int
    problem: str = ""
    case: str = ""
    diagnosis: str = ""
    see: str = ""

    @property
    def score(self) -> float:
        """All points if the result is right, else 0."""
        return 0.0 if self.problem else self.points

    @property
    def todo(self) -> bool:
        """Whether the function still raises NotImplementedError or was not tried."""
        return self.problem.startswith(TODO)


@dataclass
class Graded:
    """The checks of a step, a note, and what the exercise printed."""

    step: Step
    checks: list[Check] = field(default_factory=list)
    note: str = ""
    printed: str = ""

    @property
    def score(self) -> float:
        """The sum of the points of all checks."""
        return sum(check.score for check in self.checks)


# --- one exercise -----------------------------------------------------------------------------------------


@dataclass
class _Answer:
    """The outcome of one case: a value for each result, or the problem."""

    case: Case
    expected: tuple
    values: tuple = ()
    problem: str = ""


def grade_exercise(exercise: Exercise, number: int, student: Student, seed: int) -> list[Check]:
    """Calls the function once per case and returns a Check for each result and level."""
    try:
        cases = exercise.draw(np.random.default_rng([seed, number, len(exercise.function)]))
    except ImportError as error:
        return unchecked(number, [exercise], str(error))
    answers: list[_Answer] = []
    for case in cases:
        answer = _ask(exercise, case, student)
        answers.append(answer)
        if student.process is None or answer.problem.startswith(TODO):
            break  # it would hang or die again
    checks = []
    for index, result in enumerate(exercise.results):
        diagnosed = False
        for level, points in exercise.points[result].items():
            asked = sum(case.level == level for case in cases)
            check = Check(number, exercise.function, result, level, points, asked)
            checks.append(check)
            found = [answer for answer in answers if answer.case.level == level]
            for answer in found:
                check.problem = answer.problem or _problem(exercise, index, answer)
                if check.problem:
                    check.case = str(answer.case)
                    if not diagnosed and not check.todo:
                        check.diagnosis = diagnose(exercise.mistakes, result, _pairs(answers, index))
                        diagnosed = True
                    break
            if not check.problem and len(found) < asked:
                last = answers[-1].problem
                why = "did not come back from an earlier call"
                check.problem = last if last.startswith(TODO) else f"not tried, as {exercise.function} {why}"
    return checks


def unchecked(number: int, exercises: Sequence[Exercise], problem: str) -> list[Check]:
    """Failed checks of functions that could not be called, all with the same `problem`."""
    return [
        Check(number, exercise.function, result, level, points, 0, problem)
        for exercise in exercises
        for result, levels in exercise.points.items()
        for level, points in levels.items()
    ]


def _ask(exercise: Exercise, case: Case, student: Student) -> _Answer:
    expected = exercise.expected(**case.arguments)
    if len(exercise.results) == 1:
        expected = (expected,)
    timeout = None if exercise.timeout is None else max(exercise.timeout, student.timeout)
    outcome = student.call(exercise.function, tuple(case.arguments.values()), timeout)
    answer = _Answer(case, expected)
    answer.problem = failure(exercise.function, outcome)
    if answer.problem:
        return answer
    value = outcome["value"]
    if len(exercise.results) == 1:
        answer.values = (value,)
    elif isinstance(value, tuple) and len(value) == len(exercise.results):
        answer.values = value
    else:
        answer.problem = f"returned {_kind(value)}, expected a tuple ({', '.join(exercise.results)})"
        return answer
    if outcome["changed"]:
        names = list(case.arguments)
        answer.problem = f"changes its argument {names[outcome['changed'][0]]}: work on a copy"
    return answer


def failure(function: str, outcome: dict[str, Any]) -> str:
    """A sentence about a call that did not return; empty if it did."""
    status = outcome["status"]
    if status == "value":
        return ""
    if status == "missing":
        return f"the file has no function {function}"
    if status == "timeout":
        return f"did not return within {outcome['seconds']:g} seconds (an endless loop?)"
    if status == "broken":
        return str(outcome["problem"])
    if status == "died":
        return f"ended the whole process (exit status {outcome['exit']}): os._exit, or a crash outside Python"
    where = f"{outcome['file']}, line {outcome['line']}" if outcome["file"] else ""
    if outcome["type"] == "NotImplementedError":
        return f"not written yet ({where})" if where else "not written yet"
    kind, message = outcome["type"], outcome["message"]
    said = f"{kind}: {message}" if message else kind
    if kind == "SystemExit":
        said = f"called sys.exit({message})"
    code = f"\n{outcome['code']}" if outcome["code"] else ""
    return f"{said}\n{where}{':' if code else ''}{code}" if where else said


def _problem(exercise: Exercise, index: int, answer: _Answer) -> str:
    if exercise.judge is not None:
        return exercise.judge(answer.values[index], answer.case) or ""
    return difference(exercise.results[index], answer.values[index], answer.expected[index])


def _pairs(answers: list[_Answer], index: int) -> list[tuple[Case, Any, Any, bool]]:
    """(case, got, expected, returned) for each answer; `returned` is False, and `got` None, after an exception."""
    return [(a.case, a.values[index] if a.values else None, a.expected[index], bool(a.values)) for a in answers]


# --- comparing --------------------------------------------------------------------------------------------


def difference(name: str, got: Any, expected: Any) -> str:
    """A sentence about the first difference; empty if `got` is right."""
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"{name}: expected a dict, got {_kind(got)}"
        if missing := [key for key in expected if key not in got]:
            return f"{name}: {', '.join(missing)} is missing"
        return next(filter(None, (difference(f"{name}[{key!r}]", got[key], expected[key]) for key in expected)), "")
    if isinstance(expected, int):
        if isinstance(got, (bool, float)) or not _is_number(got) or np.asarray(got).dtype.kind not in "iu":
            return f"{name}: expected the int {expected}, got {_kind(got)}"
        return "" if int(got) == expected else f"{name}: got {int(got)}, expected {expected}"
    if isinstance(expected, float):
        if not _is_number(got):
            return f"{name}: expected a number, got {_kind(got)}"
        return "" if same(got, expected) else f"{name}: got {float(got):.12g}, expected {expected:.12g}"
    if not isinstance(got, np.ndarray):
        return f"{name}: expected an array of shape {expected.shape}, got {_kind(got)}"
    if got.shape != expected.shape:
        return f"{name}: expected shape {expected.shape}, got {got.shape}"
    if got.dtype != expected.dtype:
        return f"{name}: expected dtype {expected.dtype}, as that of the arguments, got {got.dtype}"
    wrong = ~np.isclose(got, expected, TOLERANCE, TOLERANCE * _scale(expected))
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    digits = 6 if abs(got[place] - expected[place]) > 1e-3 * abs(expected[place]) else 12
    return (
        f"{name}[{', '.join(map(str, place))}]: got {got[place]:.{digits}g}, expected {expected[place]:.{digits}g}"
        f" ({wrong.sum()} of {wrong.size} elements are wrong)"
    )


def same(a: Any, b: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two results have the same shape and, within `tolerance`, the same numbers."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance) for key in a)
    if isinstance(a, (Unknown, tuple, str, dict, type(None))) or isinstance(b, (tuple, str, dict, type(None))):
        return a is None and b is None
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    return bool(np.allclose(a, b, tolerance, tolerance * _scale(b), equal_nan=True))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.ndarray)) and not isinstance(value, bool) and np.ndim(value) == 0


def _scale(expected: np.ndarray) -> float:
    """The largest absolute value, to which rounding errors are relative; at least 1e-3, for arrays of zeros."""
    finite = np.abs(expected[np.isfinite(expected)])
    return max(float(finite.max()), 1e-3) if finite.size else 1.0


# --- recognising mistakes ---------------------------------------------------------------------------------


def diagnose(mistakes: Sequence[Mistake], result: str, answers: Sequence[tuple[Case, Any, Any, bool]]) -> str:
    """The name of the mistake that gives these results, or "".

    A mistake that explains every case is named as such. Otherwise there may be two mistakes: the one that explains the
    smallest wrong case and most of the others is named with "perhaps".
    """
    wrong = [a for a in answers if not (a[3] and same(a[1], a[2]))]
    if not any(a[3] for a in wrong):
        return ""  # only exceptions, which the report shows
    if all(a[3] and same(a[1], a[2], 1e-4) for a in answers):
        return "computed in single precision: keep the dtype of the arguments"
    if result in BATCHED and all(a[3] and _first_sample_only(a[1], a[2]) for a in wrong):
        return "only the first sample of the batch is computed"
    candidates = [mistake for mistake in mistakes if mistake.result == result]
    for mistake in candidates:
        if all(_gives(mistake, *answer) for answer in answers):
            return mistake.name
    came = [a for a in wrong if a[3]]
    explained: dict[str, int] = {}  # number of wrong cases, for each mistake that explains the smallest
    for mistake in candidates:
        if _gives(mistake, *came[0]):
            count = sum(_gives(mistake, *answer) for answer in came)
            explained[mistake.name] = max(count, explained.get(mistake.name, 0))
    best = [name for name, count in explained.items() if count == max(explained.values())]
    return f"perhaps {best[0]} (other cases go wrong in another way)" if len(best) == 1 else ""


def _first_sample_only(got: Any, expected: np.ndarray) -> bool:
    if not isinstance(got, np.ndarray) or got.shape != expected.shape or len(expected) < 2:
        return False
    return same(got[:1], expected[:1]) and not got[1:].any()


def _gives(mistake: Mistake, case: Case, got: Any, expected: Any, came: bool) -> bool:
    """Whether the mistake gives `got`; an exception matches an exception."""
    try:
        value = mistake.compute(**case.arguments)
    except Exception:
        return not came
    return came and same(got, value)


# --- words ------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    """A description of a value: its type, and its shape or content."""
    if isinstance(value, Unknown):
        return f"a {value.type_name}"
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}" if value.ndim else f"{value.dtype} {value}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"the {type(value).__name__} {value!r}"[:80]


def _described(name: str, value: Any) -> str:
    """An argument in a report: small integer arrays in full, others by their shape."""
    if isinstance(value, dict):
        return f"{name} of {len(value)} arrays"
    if not isinstance(value, np.ndarray):
        return f"{name} {value}"
    if value.size <= 12 and (value == np.round(value)).all() and np.isfinite(value).all():
        return f"{name} {value.shape} = {_compact(value)}"
    return f"{name} {value.shape}"


def _compact(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{float(value):g}"
    while value.ndim > 2 and len(value) == 1:
        value = value[0]
    return f"[{', '.join(_compact(item) for item in value)}]"
