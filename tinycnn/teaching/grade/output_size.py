"""Step 1: the size of the output. Each mistake is tinycnn.reference with wrong arguments: most are generated
(mistakes.py), the others stand here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.drawing import DILATION, GEOMETRY, PLAIN
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake


def draw_sizes(rng: np.random.Generator) -> list[Case]:
    rows = [
        (PLAIN, 4, 4, 1, 0, 1), (PLAIN, 5, 3, 1, 0, 1), (PLAIN, 28, 5, 1, 0, 1),
        (GEOMETRY, 6, 2, 2, 0, 1), (GEOMETRY, 7, 2, 2, 0, 1), (GEOMETRY, 5, 3, 1, 1, 1), (GEOMETRY, 8, 3, 2, 1, 1),
        (GEOMETRY, 11, 4, 3, 2, 1), (GEOMETRY, 224, 7, 2, 3, 1),
        (DILATION, 5, 2, 1, 0, 2), (DILATION, 9, 3, 1, 0, 3), (DILATION, 12, 3, 2, 1, 2), (DILATION, 13, 4, 3, 2, 3),
    ]  # fmt: skip
    for _ in range(4):
        K, S, P, D = (int(n) for n in rng.integers([1, 1, 0, 1], [6, 5, 4, 4]))
        rows.append((DILATION, int(rng.integers(D * (K - 1) + 1, 40)), K, S, P, D))
    names = ("size", "kernel_size", "stride", "padding", "dilation")
    return [Case(level, dict(zip(names, row))) for level, *row in rows]


SIZES = ("size", "kernel_size", "stride", "padding", "dilation")


def size_mistakes() -> list[Mistake]:
    """One part of the formula wrong, or two: (n + pads − extent) divided by S, + plus."""
    right: dict[str, Callable[..., Any]] = {
        "pads": lambda n, K, S, P, D: 2 * P,
        "extent": lambda n, K, S, P, D: D * (K - 1) + 1,
        "divide": lambda room, S, D, K: room // S,
        "plus": lambda S, P: 1,
    }
    extent = "the kernel's extent is dilation·(kernel_size − 1) + 1"
    wrong: list[tuple[str, str, Callable[..., Any]]] = [
        ("the dilated kernel's extent without its −1: it is dilation·(kernel_size − 1) + 1, not dilation·kernel_size",
         "extent", lambda n, K, S, P, D: D * K),
        ("the dilation is ignored", "extent", lambda n, K, S, P, D: K),
        (f"a position too many: {extent}", "extent", lambda n, K, S, P, D: D * (K - 1)),
        (f"{extent}: its + 1 became 2", "extent", lambda n, K, S, P, D: D * (K - 1) + 2),
        (f"{extent}, with kernel_size − 1 gaps", "extent", lambda n, K, S, P, D: (D - 1) * K + 1),
        (f"{extent}, not (dilation − 1)·(kernel_size − 1) + 1", "extent", lambda n, K, S, P, D: (D - 1) * (K - 1) + 1),
        (f"{extent}, with a gap between all neighbours", "extent", lambda n, K, S, P, D: K + D - 1),
        (f"{extent}, with a gap between all neighbours", "extent", lambda n, K, S, P, D: K + D),
        (f"{extent}, not dilation·(kernel_size + 1) − 1", "extent", lambda n, K, S, P, D: D * (K + 1) - 1),
        (f"{extent}, not dilation·kernel_size + 1", "extent", lambda n, K, S, P, D: D * K + 1),
        (f"{extent}: parentheses are missing", "extent", lambda n, K, S, P, D: D * K - 1 + 1),
        (f"the kernel is ignored: {extent}", "extent", lambda n, K, S, P, D: 0),
        (f"the kernel is ignored: {extent}", "extent", lambda n, K, S, P, D: 1),
        ("the padding is counted on one side only", "pads", lambda n, K, S, P, D: P),
        ("the padding is ignored", "pads", lambda n, K, S, P, D: 0),
        ("the padding is subtracted instead of added", "pads", lambda n, K, S, P, D: -2 * P),
        ("the padding is counted at more than both ends", "pads", lambda n, K, S, P, D: 4 * P),
        ("the padding is squared", "pads", lambda n, K, S, P, D: P * P),
        ("the padding is counted once, times the stride", "pads", lambda n, K, S, P, D: P * S),
        ("the kernel's size takes the place of the padding", "pads", lambda n, K, S, P, D: 2 * K),
        ("the padding is dilated", "pads", lambda n, K, S, P, D: 2 * P * D),
        ("rounded up (ceil) instead of down: a window that does not fit is not used", "divide",
         lambda room, S, D, K: -(-room // S)),
        ("rounded to the nearest instead of down", "divide", lambda room, S, D, K: round(room / S)),
        ("truncated towards 0", "divide", lambda room, S, D, K: int(room / S)),
        ("the remainder (%) instead of the quotient (//)", "divide", lambda room, S, D, K: room % S),
        ("a quotient with a fraction: // divides and rounds down, / does not", "divide",
         lambda room, S, D, K: room / S),
        ("the stride is ignored", "divide", lambda room, S, D, K: room),
        ("stride and dilation are exchanged", "divide", lambda room, S, D, K: room // D),
        ("divided by the kernel's size instead of the stride", "divide", lambda room, S, D, K: room // K),
        ("multiplied by the stride instead of divided", "divide", lambda room, S, D, K: room * S),
        ("the + 1 is missing: the first window counts too", "plus", lambda S, P: 0),
        ("one too many: the + 1 stands for the first window", "plus", lambda S, P: 2),
        ("the + 1 stands for the first window: it is not + stride", "plus", lambda S, P: S),
        ("the − 1 should be + 1: the first window counts too", "plus", lambda S, P: -1),
    ]  # fmt: skip

    def mistake(name: str, changes: dict[str, Callable[..., Any]]) -> Mistake:
        parts = right | changes

        def compute(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> int:
            a = size, kernel_size, stride, padding, dilation
            room = size + parts["pads"](*a) - parts["extent"](*a)
            return parts["divide"](room, stride, dilation, kernel_size) + parts["plus"](stride, padding)

        return Mistake("size", name, compute)

    def whole(name: str, formula: Callable[[int, int, int, int, int], Any]) -> Mistake:
        return Mistake("size", name, lambda **a: formula(*a.values()))

    return [
        *(mistake(name, {part: change}) for name, part, change in wrong),
        whole("the + 1 is inside the division: floor first, then add 1",
              lambda n, K, S, P, D: (n + 2 * P - D * (K - 1)) // S),
        whole("the padding is added after the division: it belongs to the size",
              lambda n, K, S, P, D: (n - D * (K - 1) - 1) // S + 1 + 2 * P),
        whole("parentheses are missing: all of size + 2·padding − extent is divided by the stride",
              lambda n, K, S, P, D: n + 2 * P - (D * (K - 1) + 1) // S + 1),
        whole("parentheses are missing: all of size + 2·padding − extent is divided by the stride",
              lambda n, K, S, P, D: n + (2 * P - D * (K - 1) - 1) // S + 1),
        whole("parentheses are missing: the + 1 is not divided by the stride",
              lambda n, K, S, P, D: (n + 2 * P - D * (K - 1) - 1) // (S + 1)),
        *(mistake(f"{name}; and {other}", {part: change, other_part: other_change})
          for i, (name, part, change) in enumerate(wrong)
          for other, other_part, other_change in wrong[i + 1 :] if other_part != part),
    ]  # fmt: skip


SIZE = Exercise(
    "output_size", ("size",), {"size": {PLAIN: 1, GEOMETRY: 2, DILATION: 2}}, draw_sizes,
    reference.conv_output_size, size_mistakes(), passages.SIZE,
)
