"""Step 16: timing im2col against loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinycnn.teaching.grade import callables
from tinycnn.teaching.grade.callables import CALLS, CLOCK
from tinycnn.teaching.grade.exercise import Case, Exercise, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray


def draw_seconds(rng: np.random.Generator) -> list[Case]:
    rows = [([9, 4, 7], 1), ([9, 5, 2, 7, 3, 8], 4), ([9, 5, 4, 2, 1], 3), ([3, 8, 6, 9, 7, 8, 7], 5)]
    return [
        Case("", {"f": CALLS + ", ".join(map(str, durations)), "repeats": repeats, "clock": CLOCK})
        for durations, repeats in rows
    ]


def durations_of(f: str) -> list[float]:
    (work,) = callables.named((f,))
    return work.durations


def smallest(f: str, repeats: int, clock: str) -> float:
    return min(durations_of(f)[1 : repeats + 1])


def seconds_mistakes(f: str, repeats: int, clock: str) -> dict[str, float]:
    """What known mistakes give, by their names."""
    d, n = durations_of(f), repeats
    return {
        "the first call is measured too": min(d[:n]),
        "the first call is measured, beside the others": min(d[: n + 1]),
        "the mean instead of the smallest": float(np.mean(d[1 : n + 1])),
        "the median instead of the smallest": float(np.median(d[1 : n + 1])),
        "the sum instead of the smallest": sum(d[1 : n + 1]),
        "the largest instead of the smallest": max(d[1 : n + 1]),
        "the last measurement instead of the smallest": d[n],
        "the first measurement instead of the smallest": d[1],
        "a call too few is measured": min(d[1:n], default=0.0),
        "a call too many is measured": min(d[1 : n + 2]),
        "milliseconds instead of seconds": 1000 * min(d[1 : n + 1]),
    }


def judge_seconds(got: Any, case: Case) -> str | None:
    if not isinstance(got, (float, int, np.ndarray)) or isinstance(got, bool) or np.ndim(got):
        return "expected a number"
    expected = smallest(**case.arguments)
    if abs(float(got) - expected) <= 1e-9:
        return None
    found = [name for name, value in seconds_mistakes(**case.arguments).items() if abs(float(got) - value) <= 1e-9]
    if abs(float(got)) < 0.5:  # the calls take longer on their own clock, and no time on that of the machine
        found = ["the clock is not the argument, or nothing is called between its two readings"]
    return f"got {float(got):g}, expected {expected:g}" + (f"\nlikely: {found[0]}" if found else "")


def draw_comparisons(rng: np.random.Generator) -> list[Case]:
    x, w, b = rng.standard_normal((2, 3, 9, 8)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)
    return [Case("", {"x": x, "w": w, "b": b, "stride": 1, "padding": 1, "repeats": 2})]


def judge_comparison(got: Any, case: Case) -> str | None:
    """The form, and that the ratio is that of the two times: how fast a machine is, nobody knows."""
    if not isinstance(got, dict) or set(got) != {"loops", "im2col", "ratio"}:
        return 'expected a dict {"loops": seconds, "im2col": seconds, "ratio": number}'
    if not all(isinstance(v, (float, int, np.ndarray)) and np.ndim(v) == 0 and math.isfinite(v) for v in got.values()):
        return "expected finite numbers"
    loops, im2col, ratio = (float(got[name]) for name in ("loops", "im2col", "ratio"))
    if min(loops, im2col) <= 0:
        return f"expected more than 0 seconds, got {loops:g} and {im2col:g}: is the function called at all?"
    if abs(ratio * im2col - loops) <= 1e-6 * loops:
        return None
    problem = f"got the ratio {ratio:g} of {loops:g} and {im2col:g} seconds"
    inverse = abs(ratio * loops - im2col) <= 1e-6 * im2col
    return problem + ("\nlikely: the ratio the wrong way round: how many times faster im2col is" if inverse else "")


STEP = Step(
    16, "timing im2col against loops", "step16_timing", optional=True, takes_functions=True,
    exercises=[
        Exercise("seconds", ("seconds",), unweighted("seconds", levels=[""]), draw_seconds, judge=judge_seconds),
        Exercise("compare", ("times",), unweighted("times", levels=[""]), draw_comparisons, judge=judge_comparison,
                 timeout=60),
    ],
)  # fmt: skip
