"""The grader's reports: text for the terminal, and Gradescope's results.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinycnn.teaching.grade.exercise import Check, Graded

GREEN, RED, BOLD, END = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"
SHOWN_OUTPUT = 10  # lines of what the student printed


def points(number: float) -> str:
    """A number of points, without trailing zeros."""
    return f"{number:g}"


def details(check: Check) -> list[str]:
    """Lines with the case, the problem and the likely mistake."""
    if check.todo:
        return [check.problem]
    lines = [f"{'      ' if i else 'case: '}{line}" for i, line in enumerate(check.case.splitlines())]
    lines += check.problem.splitlines()
    lines += [f"likely: {check.diagnosis}"] if check.diagnosis else []
    return lines + ([f"see:    {check.see}"] if check.see else [])


def title(check: Check) -> str:
    """Function, result and level of a check."""
    return ", ".join(filter(None, (f"{check.function}: {check.result}", check.level)))


def step_lines(graded: Graded, colour: bool = False) -> list[str]:
    """The lines of the report on one step; `colour` adds ANSI colours."""
    step, green, red, bold, end = graded.step, *((GREEN, RED, BOLD, END) if colour else ("",) * 4)
    heading = f"step {step.number:>2}  {step.title}"
    if step.optional and not graded.begun:
        return [f"{heading:<72} optional"]
    asked = [check for check in graded.checks if not check.left_out]
    passed = f"{sum(not check.problem for check in asked):>5} of {len(asked)} passed, optional"
    total = passed if step.optional else f"{points(graded.score):>5} / {points(step.max_score)}"
    lines = [f"{bold}{heading:<72}{total}{end}"]
    shown: set[tuple[str, str]] = set()
    for check in graded.checks:
        unasked = "skip " if check.left_out else "todo " if check.todo else ""
        mark = unasked or (f"{red}wrong{end}" if check.problem else f"{green}ok   {end}")
        score = "" if step.optional else f"{points(check.score):>5} / {points(check.points)}"
        lines.append(f"  {mark} {title(check):<64}{score}".rstrip())
        if check.problem and (check.function, check.problem) not in shown:
            lines += [f"        {line}" for line in details(check)]
            shown.add((check.function, check.problem))
    if graded.note:
        lines.append(f"  note: {graded.note}")
    printed = graded.printed.rstrip().splitlines()
    if printed:
        lines.append("  printed by the exercise:")
        lines += [f"    | {line}" for line in printed[:SHOWN_OUTPUT]]
        if len(printed) > SHOWN_OUTPUT:
            lines.append(f"    | ({len(printed) - SHOWN_OUTPUT} more lines)")
    return lines


def summary(all_graded: Sequence[Graded], seed: int) -> str:
    """The last lines of the report: the total of points, and how to repeat it."""
    score, most = sum(g.score for g in all_graded), sum(g.step.max_score for g in all_graded)
    cases = sum(check.cases for g in all_graded for check in g.checks)
    total = f"total: {points(score)} of {points(most)} points ({cases} results of calls with random numbers compared)"
    return f"{total}\n--seed {seed} draws the same numbers"


def gradescope(all_graded: Sequence[Graded], summary: str, seconds: float) -> dict[str, Any]:
    """The dict of Gradescope's results.json.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
    """
    tests = [
        {
            "name": f"step {check.step}: {title(check)}",
            "number": f"{check.step}.{i}",
            **({} if graded.step.optional else {"score": check.score, "max_score": check.points}),
            "status": "failed" if check.problem else "passed",
            "output": "\n".join(details(check)) if check.problem else f"{check.cases} cases",
            "visibility": "visible",
        }
        for graded in all_graded
        if graded.begun or not graded.step.optional
        for i, check in enumerate(graded.checks, start=1)
        if not check.left_out
    ]
    return {
        "score": sum(g.score for g in all_graded),
        "max_score": sum(g.step.max_score for g in all_graded),
        "execution_time": round(seconds, 2),
        "output": summary,
        "visibility": "visible",
        "stdout_visibility": "visible",
        "tests": tests,
    }
