"""Step 13: dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn.teaching.grade import callables, passages
from tinycnn.teaching.grade.callables import GENERATOR
from tinycnn.teaching.grade.drawing import normal
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray


def draw_masks(rng: np.random.Generator) -> list[Case]:
    rows = [((4,), 0.25), ((2, 3), 0.5), ((2, 3, 4), 0.75), ((3, 2, 4, 5), 0.1), ((2, 2), 0.0)]
    return [
        Case("", {"shape": shape, "p": p, "rng": f"{GENERATOR}{rng.integers(2**31)}"}) for shape, p in rows
    ]  # fmt: skip


def uniform(shape: Sequence[int], rng: str) -> Array:
    (generator,) = callables.named((rng,))
    return generator.random(shape)


def mask_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("mask", name, lambda shape, p, rng: compute(uniform(shape, rng), p), passages.DROPOUT)

    return [
        mistake("True where it is dropped: the mask says what is kept", lambda u, p: u < p),
        mistake("p is taken for the probability of being kept", lambda u, p: u < 1 - p),
        mistake("p is taken for the probability of being kept", lambda u, p: u >= 1 - p),
        mistake("the mask is scaled already: it is an array of bools", lambda u, p: (u >= p) / (1 - p)),
        mistake("the numbers of the generator themselves: compare them with p", lambda u, p: u),
    ]


def judge_mask(got: Any, case: Case) -> str | None:
    shape, p, rng = case.arguments.values()
    expected = uniform(shape, rng) >= p
    if not isinstance(got, np.ndarray) or got.shape != shape:
        return f"expected an array of shape {shape}"
    if got.dtype != bool:
        return f"expected an array of bools, got {got.dtype}"
    if (got == expected).all():
        return None
    named = next((m.name for m in mask_mistakes() if np.array_equal(m.compute(**case.arguments), got)), "")
    problem = f"{(got != expected).sum()} of {got.size} elements are not those of rng.random(shape) >= p"
    return problem + (f"\nlikely: {named}" if named else "")


def draw_dropout(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for i, (shape, p) in enumerate([((4,), 0.5), ((2, 3), 0.75), ((2, 3, 4), 0.25), ((3, 2, 4, 5), 0.1)]):
            mask = rng.random(shape) >= p
            mask.flat[:2] = False, True
            name = "grad_output" if backward else "x"
            cases.append(Case("", {name: normal(rng, *shape, small=i < 2), "mask": mask, "p": p}))
        return cases

    return draw


def dropout_mistakes(result: str, argument: str) -> list[Mistake]:
    def mistake(name: str, compute: Callable[[Array, Array, float], Any]) -> Mistake:
        return Mistake(result, name, lambda **a: compute(a[argument], a["mask"], a["p"]), passages.DROPOUT)

    return [
        mistake("not divided by 1 − p", lambda x, mask, p: x * mask),
        mistake("divided by p instead of 1 − p", lambda x, mask, p: x * mask / p),
        mistake("multiplied by 1 − p instead of divided", lambda x, mask, p: x * mask * (1 - p)),
        mistake("multiplied by p", lambda x, mask, p: x * mask * p),
        mistake("the mask is inverted: what it marks is kept", lambda x, mask, p: x * ~mask / (1 - p)),
        mistake("nothing is dropped", lambda x, mask, p: x),
        mistake("divided by 1 − p where it is dropped too: 0 there", lambda x, mask, p: np.where(mask, x, x / (1 - p))),
        mistake("the upstream gradient is ignored (as if it were all ones)", lambda x, mask, p: mask / (1 - p)),
        mistake("divided by the share that was kept instead of 1 − p", lambda x, mask, p: x * mask / mask.mean()),
    ]


def dropped(x: Array, mask: Array, p: float) -> Array:
    return np.where(mask, x / (1 - p), 0.0)


STEP = Step(
    13, "dropout", "step13_dropout", optional=True, takes_functions=True,
    exercises=[
        Exercise("dropout_mask", ("mask",), unweighted("mask", levels=[""]), draw_masks, judge=judge_mask,
                 see=passages.DROPOUT),
        Exercise("dropout_forward", ("y",), unweighted("y"), draw_dropout(False), dropped, dropout_mistakes("y", "x"),
                 see=passages.DROPOUT),
        Exercise("dropout_backward", ("dx",), unweighted("dx"), draw_dropout(True),
                 lambda grad_output, mask, p: dropped(grad_output, mask, p), dropout_mistakes("dx", "grad_output"),
                 see=passages.DROPOUT),
    ],
)  # fmt: skip
