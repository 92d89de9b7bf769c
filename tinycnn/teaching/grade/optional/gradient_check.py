"""Step 11: numeric gradients, and two tests of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn.teaching.grade import callables, passages
from tinycnn.teaching.grade.drawing import normal
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray

EACH = "compare every element: errors may cancel in a sum or a mean"
TOLERANCE = "rounding makes right results differ in their last digits: compare with a tolerance"
TOO_LAX = "the tolerance must be relative to the numbers that are compared: a fixed one is too lax for small ones"

# What a checker overlooks that accepts this gradient, or that rejects a right one: by a part of its name.
OVERLOOKED = {
    "10⁶": "the tolerance must be relative to the numbers that are compared: a fixed one is too strict for large ones",
    "10⁻⁶": TOO_LAX,
    "10⁻¹²": TOO_LAX,
    "x³: right, with": TOLERANCE,
    "x³: right": "take differences of Σ forward(x) · grad_output, not of Σ forward(x)",
    "near 0": "rounding is relative to the terms of a sum, not to the sum, which may be near 0",
    "right": TOLERANCE,
    "without grad_output": "take differences of Σ forward(x) · grad_output, not of Σ forward(x)",
    "of the other sign": "the difference of the two counts, not that of their absolute values",
    "half of it": "compare the numbers themselves: gradients of the same direction need not be equal",
    "wrong in the last element": EACH,
    "with errors that cancel": EACH,
    "stripped at the end": EACH,
    "the kernel reversed": EACH,
    "= instead of +=": EACH,
    "of another shape": "compare the shapes first: arrays of other shapes broadcast",
    "1 % too large": "the tolerance is too large: differences are right to about 8 digits",
}


def judge_verdict(argument: str) -> Callable[[Any, Case], str | None]:
    """Compares True or False with whether the function that the argument names is right."""

    def judge(got: Any, case: Case) -> str | None:
        name = case.arguments[argument]
        if isinstance(got, np.ndarray) and got.dtype == bool and got.ndim == 0:
            got = bool(got)
        if not isinstance(got, bool):
            return f"expected True or False, got a value of type {type(got).__name__}"
        if got == (": right" in name):
            return None
        likely = next(advice for part, advice in OVERLOOKED.items() if part in name)
        return f"{'accepts' if got else 'rejects'} {name}\nlikely: {likely}"

    return judge


def draw_numeric(rng: np.random.Generator) -> list[Case]:
    # Coarse, so that the error of another formula is larger than rounding.
    rows = [("Σ x²", (2,), 0.5), ("x[0]·x[1] + x[2]²", (3,), 0.5), ("Σ x³", (2, 2), 0.25), ("Σ sin x", (2, 3, 4), 1e-2)]
    return [Case("", {"f": f, "x": normal(rng, *size, small=i < 3), "eps": eps}) for i, (f, size, eps) in
            enumerate(rows)]  # fmt: skip


def differences(f: str, x: Array, eps: float, *, after: float = 1.0, before: float = -1.0) -> Array:
    """(f(x + after·eps) − f(x + before·eps)) / ((after − before)·eps), for each element."""
    function, dx = callables.FUNCTIONS[f], np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = eps
        dx[i] = (function(x + after * step) - function(x + before * step)) / ((after - before) * eps)
    return dx


def numeric_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("dx", name, lambda f, x, eps: compute(f, x, eps), passages.DIFFERENCES)

    def drifting(f: str, x: Array, eps: float) -> Array:
        function, x, dx = callables.FUNCTIONS[f], x.copy(), np.zeros_like(x)
        for i in np.ndindex(x.shape):
            x[i] += eps
            above = function(x)
            x[i] -= 2 * eps
            dx[i] = (above - function(x)) / (2 * eps)
        return dx

    def together(f: str, x: Array, eps: float) -> Array:
        function = callables.FUNCTIONS[f]
        return np.full_like(x, (function(x + eps) - function(x - eps)) / (2 * eps))

    return [
        mistake("divided by eps instead of 2·eps", lambda *a: 2 * differences(*a)),
        mistake("not divided by 2·eps", lambda f, x, eps: 2 * eps * differences(f, x, eps)),
        mistake("not divided by eps: the quotient is a half of the difference, times eps",
                lambda f, x, eps: eps**2 * differences(f, x, eps)),
        mistake("a forward difference, f(x + eps) − f(x): a central one loses one more term of Taylor's series",
                lambda *a: differences(*a, before=0.0)),
        mistake("a backward difference, f(x) − f(x − eps): a central one loses one more term of Taylor's series",
                lambda *a: differences(*a, after=0.0)),
        mistake("the sign is wrong: f(x + eps) − f(x − eps)", lambda *a: -differences(*a)),
        mistake("the element is not put back before the next one", drifting),
        mistake("all elements are moved at once: move one after the other", together),
    ]  # fmt: skip


def draw_gradients(rng: np.random.Generator) -> list[Case]:
    cases = []
    for name in callables.GRADIENTS:
        forward = name.split(": ")[0]
        x = rng.uniform(0.5, 1.5, (2, 5)) * rng.choice([-1.0, 1.0], (2, 5))
        y = callables.FUNCTIONS[forward](x)
        grad_output = np.ones(y.shape) if "ones" in name else rng.uniform(0.5, 1.5, y.shape)
        cases.append(Case("", {"forward": forward, "backward": name, "x": x, "grad_output": grad_output}))
    return cases


def draw_adjoints(rng: np.random.Generator) -> list[Case]:
    cases = []
    for name in callables.ADJOINTS:
        forward = name.removeprefix("adjoint of ").split(": ")[0]
        x = rng.standard_normal((2, 2, *callables.SIZE) if forward == "conv" else (2, 3, 9))
        y = callables.FUNCTIONS[forward](x)
        g = rng.standard_normal(y.shape)
        if "near 0" in name:
            g -= (y * g).sum() / (y * y).sum() * y
        cases.append(Case("", {"forward": forward, "adjoint": name, "x": x, "g": g}))
    return cases


STEP = Step(
    11, "the gradient check", "step11_gradient_check", optional=True, takes_functions=True,
    exercises=[
        Exercise("numeric_gradient", ("dx",), unweighted("dx", levels=[""]), draw_numeric, differences,
                 numeric_mistakes(), see=passages.DIFFERENCES),
        Exercise("gradient_is_right", ("verdict",), unweighted("verdict", levels=[""]), draw_gradients,
                 judge=judge_verdict("backward"),
                 see=passages.DIFFERENCES),
        Exercise("is_adjoint", ("verdict",), unweighted("verdict", levels=[""]), draw_adjoints,
                 judge=judge_verdict("adjoint"),
                 see=passages.INNER_PRODUCTS),
    ],
)  # fmt: skip
