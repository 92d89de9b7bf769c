"""The command line: grades the steps in order; errors in a student's code never end it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinycnn._command import Parser, guarded
from tinycnn._files import write_whole
from tinycnn.teaching.grade import given, report
from tinycnn.teaching.grade.exercise import Check, Exercise, Graded, Step, failure, grade_exercise, is_right, unchecked
from tinycnn.teaching.grade.runner import clean
from tinycnn.teaching.grade.steps import STEPS
from tinycnn.teaching.grade.student import LARGEST_FILE, Student, not_apart, plain_files

DEFAULT_TIMEOUT = 10.0
LONGEST_TIMEOUT = 86400.0  # a day


def grade_step(step: Step, folder: Path, seed: int = 0, timeout: float = DEFAULT_TIMEOUT) -> Graded:
    """Runs one exercise file in a process of its own and checks all its functions.

    Each has the reference's earlier functions, so that one mistake is paid once; the note tells how the step does with
    the student's own.
    """
    graded, path = Graded(step), folder / f"{step.module}.py"
    if path.name not in plain_files(folder):
        return _all_wrong(graded, f"{path.name} is missing, or not a file of at most {LARGEST_FILE // 2**20} MB")
    todo = list(step.exercises)
    wrong: list[str] = []
    while todo:  # anew after each wrong function, which is replaced where no more is asked of it
        asked = [exercise.function for exercise in todo]
        with _with_reference(step, path, timeout, [name for name in wrong if name not in asked]) as student:
            outcome = student.start()
            if outcome["status"] != "value":
                problem = f"{path.name} cannot be imported: {failure('the import', outcome)}"
                graded.checks += unchecked(step.number, todo, problem)
                break
            while todo:
                exercise = todo.pop(0)
                checks = _each_alone(exercise, step.number, student, seed)
                graded.checks += checks
                if any(check.problem for check in checks):
                    wrong.append(exercise.function)
                    break
            graded.printed += student.printed
    if graded.score and given.is_given() and (own := _own_steps(step, path)):
        graded.note = _with_own(step, path, own, seed, timeout)
    return graded


@contextlib.contextmanager
def _with_reference(step: Step, path: Path, timeout: float, wrong: Sequence[str]) -> Iterator[Student]:
    """A student's process with the reference's earlier steps, and its functions for the wrong ones of this step."""
    with tempfile.TemporaryDirectory() as place:
        named = [exercise.function for exercise in step.exercises] if step.takes_functions else []
        replaced = given.replacements(path, wrong, Path(place), named)
        with Student(path, timeout, step.may_use_tinycnn, replaced) as student:
            yield student


def _each_alone(exercise: Exercise, number: int, student: Student, seed: int) -> list[Check]:
    """The checks of one function. Should a result upset the grader itself, that costs this function alone."""
    try:
        return grade_exercise(exercise, number, student, seed)
    except Exception as error:
        said = clean(f"{type(error).__name__}: {error}")
        return unchecked(number, [exercise], f"returned something that cannot be graded ({said})")


def _with_own(step: Step, path: Path, own: Sequence[str], seed: int, timeout: float) -> str:
    """A note on the functions that go wrong with the student's own earlier steps."""
    asked = [exercise for exercise in step.exercises if exercise.judge is None]
    failed = []
    with Student(path, timeout, step.may_use_tinycnn) as student:
        is_imported = student.start()["status"] == "value"
        for exercise in asked:
            if not is_imported or not _is_right(exercise, step.number, student, seed):
                failed.append(exercise.function)
                student.stop()  # and the next function starts it again
    with_own = f"{', '.join(dict.fromkeys(failed))} goes wrong" if failed else "all is right"
    return f"with your own step {' and '.join(own)} instead of the reference's {with_own} (no points)"


def _is_right(exercise: Exercise, number: int, student: Student, seed: int) -> bool:
    try:
        return is_right(exercise, number, student, seed)
    except Exception:  # a result that upsets the grader itself
        return False


def _own_steps(step: Step, path: Path) -> list[str]:
    """The numbers of the earlier steps that a file imports."""
    used = re.findall(rb"^\s*(?:from|import)\s+(\w+)", path.read_bytes(), re.MULTILINE)
    return [str(each.number) for each in STEPS if each.number < step.number and each.module.encode() in used]


def _all_wrong(graded: Graded, problem: str) -> Graded:
    graded.checks = unchecked(graded.step.number, graded.step.exercises, problem)
    return graded


# --- the command line -------------------------------------------------------------------------------------


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn grade",
        description="Grades the exercises of a folder; needs no network. The exit status is 1 if not all is right.",
        examples=["tinycnn grade coursework/", "tinycnn grade coursework/ --only 1 2"],
    )
    result.add_argument("folder", type=Path, help="the folder with step01_output_size.py and so on")
    result.add_argument("--only", type=int, nargs="+", default=[], metavar="STEP", help="only these steps")
    result.add_argument("--seed", type=int, help="of the random numbers and sizes; default a new one, which is printed")
    result.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, metavar="SECONDS",
                        help="for one call; default %(default)g (training has more)")  # fmt: skip
    result.add_argument("--json", type=Path, metavar="FILE", help="also write Gradescope's results.json")
    return result


@guarded("tinycnn grade")
def main(arguments: Sequence[str] | None = None) -> int:
    """Grades and prints a report. Returns the exit status: 0 if all is right, 1 if not; 2 for a wrong command line."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    numbers, folder = [step.number for step in STEPS], options.folder
    if not folder.is_dir():
        command_line.error(f"{folder} is not a folder")
    if not any((folder / f"{step.module}.py").is_file() for step in STEPS):
        command_line.error(f"{folder} has no exercise: expected files like {STEPS[0].module}.py")
    if unknown := [n for n in options.only if n not in numbers]:
        command_line.error(f"--only: there are steps {numbers[0]} to {numbers[-1]}, got {unknown[0]}")
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    if seed < 0 or not 0 < options.timeout <= LONGEST_TIMEOUT:
        command_line.error(f"--seed must be at least 0 and --timeout more than 0, at most {LONGEST_TIMEOUT:g}")

    started = time.perf_counter()
    all_graded: list[Graded] = []
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for step in STEPS:
        if not options.only or step.number in options.only:
            if step.optional and not options.only and not (folder / f"{step.module}.py").is_file():
                continue
            graded = grade_step(step, folder, seed, options.timeout)
            all_graded.append(graded)
            _show("\n".join(report.step_lines(graded, colour)) + "\n")
    summary = report.summary(all_graded, seed)
    if not_apart():
        summary += "\nnote: exercises ran as the grader's own user, root: others cannot read this Python or tinycnn"
    _show(summary)
    if options.json is not None:
        results = report.gradescope(all_graded, summary, time.perf_counter() - started)
        try:
            write_whole(options.json, (json.dumps(results, indent=2) + "\n").encode())
        except OSError as error:
            command_line.error(f"--json: {error}")
    counted = [graded for graded in all_graded if options.only or not graded.step.optional]
    return int(any(check.problem and not check.left_out for graded in counted for check in graded.checks))


def _show(text: str) -> None:
    """Prints what the encoding of the terminal has, and escapes the rest."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
