"""Exercises, the comparison of results, and the diagnosis of mistakes.

A known mistake is a function that computes its wrong result. If a student's results equal it in every case, the grader
names that mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinycnn.teaching.grade.comparing import difference, kind_of
from tinycnn.teaching.grade.diagnosis import diagnose
from tinycnn.teaching.grade.pairs import Budget
from tinycnn.teaching.grade.student import Student

# The level at which all cases are asked once more, in single precision.
FLOAT32 = "float32"

LEFT_OUT = "left out"  # what cannot be asked here, and costs nothing
TODO = ("not written yet", "not tried", LEFT_OUT)


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

    Attributes:
        name: describes it in the report.
        compute: the wrong result, from the arguments.
        see: the passage of the text that explains it ("" for that of the exercise): a file and an anchor, of
            passages.py.
        before: if all that is wrong are the arguments: from the right ones to those that are used instead.
        after: if all that is wrong is done to the right result: from it and the arguments to the wrong one.

    With `before` or `after` a mistake can be joined to any other of the exercise (pairs.py).
    """

    result: str
    name: str
    compute: Callable[..., Any]
    see: str = ""
    before: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    after: Callable[[Any, dict[str, Any]], Any] | None = None


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
        doubles: makes mistakes that are two at once, for the case that none of `mistakes` gives the result.
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
    doubles: Callable[[], Iterable[Mistake]] = tuple
    judge: Callable[[Any, Case], str | None] | None = None
    timeout: float | None = None


@dataclass
class Step:
    """One exercise file: its number and title, the name of the module, and its functions.

    An optional step has no points. `takes_functions`: arguments may be names of callables.py, which its functions get
    as what they name.
    """

    number: int
    title: str
    module: str
    exercises: Sequence[Exercise]
    may_use_tinycnn: bool = False
    optional: bool = False
    takes_functions: bool = False

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

    @property
    def left_out(self) -> bool:
        """Whether this check of an optional step needs something that is not there."""
        return self.problem.startswith(LEFT_OUT)


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

    @property
    def begun(self) -> bool:
        """Whether some function does something."""
        return not all(check.todo for check in self.checks)


# --- one exercise -----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Answer:
    """The outcome of one case: a value for each result, or the problem."""

    case: Case
    expected: tuple
    values: tuple = ()
    problem: str = ""


@dataclass
class Answers:
    """The outcomes of all cases.

    Attributes:
        first: of the cases as drawn.
        again: of the first case of each level, asked a second time, and of others of the same shapes.
        single: of cases like the first, in single precision; at the level FLOAT32.
        budget: the time for a search of two mistakes at once.
    """

    first: list[Answer] = field(default_factory=list)
    again: list[Answer] = field(default_factory=list)
    single: list[Answer] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)

    @property
    def double(self) -> list[Answer]:
        """Those in float64."""
        return self.first + self.again


def grade_exercise(exercise: Exercise, number: int, student: Student, seed: int) -> list[Check]:
    """Calls the function once per case and returns a Check for each result and level."""
    try:
        cases = draw_cases(exercise, number, seed)
    except ImportError as error:
        return unchecked(number, [exercise], str(error))
    answers, came_back = Answers(), True
    for kind, drawn in cases.items():
        for case in drawn:
            if came_back:
                answer = _ask(exercise, case, student)
                getattr(answers, kind).append(answer)
                # Else it would hang or die again.
                came_back = student.process is not None and not answer.problem.startswith(TODO)
    stopped = f"not tried, as {exercise.function} did not come back from an earlier call"
    if (last := (answers.single or answers.double)[-1].problem).startswith(TODO):
        stopped = last
    checks = []
    for index, result in enumerate(exercise.results):
        diagnosed = False
        for level, points in exercise.points[result].items():
            asked = [case for drawn in cases.values() for case in drawn if case.level == level]
            found = [answer for answer in answers.double + answers.single if answer.case.level == level]
            check = Check(number, exercise.function, result, level, points, len(asked))
            checks.append(check)
            if level == FLOAT32:  # a level that is wrong in float64 too is paid there
                fine = {each.level for each in checks if each.result == result and not each.problem}
                found = [single for single, answer in zip(found, answers.first) if answer.case.level in fine] or found
            wrong = next((answer for answer in found if problem_of(exercise, index, answer)), None)
            if wrong is not None:
                check.problem, check.case = problem_of(exercise, index, wrong), str(wrong.case)
                if not diagnosed and not check.todo:
                    check.diagnosis, check.see = diagnose(exercise, index, answers)
                    diagnosed = True
            elif not came_back and len(found) < len(asked):
                check.problem = stopped
    return checks


def is_right(exercise: Exercise, number: int, student: Student, seed: int) -> bool:
    """Whether all results are right for the cases as drawn, up to the first that is not."""
    for case in draw_cases(exercise, number, seed)["first"]:
        answer = _ask(exercise, case, student)
        if any(problem_of(exercise, index, answer) for index in range(len(exercise.results))):
            return False
    return True


def draw_cases(exercise: Exercise, number: int, seed: int) -> dict[str, list[Case]]:
    """The cases for each list of `Answers`."""
    rng = np.random.default_rng([seed, number, len(exercise.function)])
    first = exercise.draw(rng)
    if exercise.judge is not None:
        return {"first": first}
    others = exercise.draw(rng)  # of the same shapes, but for those that are drawn, too
    levels = [case.level for case in first]
    places = [levels.index(level) for level in dict.fromkeys(levels)]
    again = [case for place in places for case in (first[place], others[place])]
    wanted = any(FLOAT32 in levels for levels in exercise.points.values())
    return {
        "first": first,
        "again": again,
        "single": [Case(FLOAT32, in_dtype(case.arguments, "float32")) for case in others] if wanted else [],
    }


def in_dtype(value: Any, dtype: str) -> Any:
    """All arrays of floating-point numbers in `value` in another precision."""
    if isinstance(value, dict):
        return {key: in_dtype(item, dtype) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(in_dtype(item, dtype) for item in value)
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def unchecked(number: int, exercises: Sequence[Exercise], problem: str) -> list[Check]:
    """Failed checks of functions that could not be called, all with the same `problem`."""
    return [
        Check(number, exercise.function, result, level, points, 0, problem)
        for exercise in exercises
        for result, levels in exercise.points.items()
        for level, points in levels.items()
    ]


def _ask(exercise: Exercise, case: Case, student: Student) -> Answer:
    single = case.level == FLOAT32
    expected = exercise.expected(**in_dtype(case.arguments, "float64") if single else case.arguments)
    if len(exercise.results) == 1:
        expected = (expected,)
    answer = Answer(case, in_dtype(expected, "float32") if single else expected)
    timeout = None if exercise.timeout is None else max(exercise.timeout, student.timeout)
    outcome = student.call(exercise.function, tuple(case.arguments.values()), timeout)
    answer.problem = failure(exercise.function, outcome)
    if answer.problem:
        return answer
    value = outcome["value"]
    if len(exercise.results) == 1:
        answer.values = (value,)
    elif isinstance(value, tuple) and len(value) == len(exercise.results):
        answer.values = value
    else:
        answer.problem = f"returned {kind_of(value)}, expected a tuple ({', '.join(exercise.results)})"
        return answer
    if outcome["changed"]:
        names = list(case.arguments)
        answer.problem = f"changes its argument {names[outcome['changed'][0]]}: work on a copy"
    elif outcome["overwritten"]:
        answer.problem = "changes the array that an earlier call returned: make a new one in every call"
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
    if "read-only" in outcome["message"]:
        return f"changes its argument, or writes into a view of it: work on a copy\n{where}:\n{outcome['code']}"
    if outcome["type"] == "NotImplementedError":
        return f"not written yet ({where})" if where else "not written yet"
    kind, message = outcome["type"], outcome["message"]
    said = f"{kind}: {message}" if message else kind
    if kind == "SystemExit":
        said = f"called sys.exit({message})"
    code = f"\n{outcome['code']}" if outcome["code"] else ""
    return f"{said}\n{where}{':' if code else ''}{code}" if where else said


def problem_of(exercise: Exercise, index: int, answer: Answer) -> str:
    """What is wrong with one result of an answer; "" if it is right."""
    if answer.problem:
        return answer.problem
    if exercise.judge is not None:
        return exercise.judge(answer.values[index], answer.case) or ""
    single = answer.case.level == FLOAT32
    sizes = [np.abs(a).max() for a in answer.case.arguments.values() if isinstance(a, np.ndarray)] if single else []
    magnitude = min(float(max(sizes, default=0.0)), 1e4)
    return difference(exercise.results[index], answer.values[index], answer.expected[index], single, magnitude)


# --- describing ------------------------------------------------------------------------------------------


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
