"""Step 17: training on Fashion-MNIST."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.teaching.grade.comparing import difference, same
from tinycnn.teaching.grade.exercise import LEFT_OUT, Case, Exercise, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray

MEAN, STD, TRAINED, UNSEEN, WANTED = 0.286, 0.353, 4000, 500, 0.7


def draw_pictures(rng: np.random.Generator) -> list[Case]:
    return [Case("", {"images": rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)}) for n in (1, 3)]


def prepared(images: Array) -> Array:
    return (((images / 255) - MEAN) / STD)[:, np.newaxis].astype(np.float32)


def prepare_mistakes(images: Array) -> dict[str, Array]:
    """What known mistakes give, by their names."""
    x = images[:, np.newaxis].astype(np.float32)
    return {
        "the mean is not subtracted": x / 255 / STD,
        "not divided by STD": x / 255 - MEAN,
        "neither MEAN nor STD is used": x / 255,
        "not divided by 255": (x - MEAN) / STD,
        "divided by 256 instead of 255": (x / 256 - MEAN) / STD,
        "the mean is subtracted after the division by STD": x / 255 / STD - MEAN,
        "multiplied by STD instead of divided": (x / 255 - MEAN) * STD,
        "the bytes themselves": x,
    }


def judge_pictures(got: Any, case: Case) -> str | None:
    problem = difference("pictures", got, prepared(**case.arguments), single=True)
    found = [name for name, value in prepare_mistakes(**case.arguments).items() if same(got, value, 1e-4)]
    return problem + (f"\nlikely: {found[0]}" if found else "") if problem else None


def fashion(train: bool) -> Any:
    """Fashion-MNIST, from the folder of the data. Without it an ImportError, which leaves the check out."""
    from tinycnn.data import FashionMNIST

    try:
        return FashionMNIST(train=train)
    except (OSError, ValueError) as error:
        raise ImportError(f"{LEFT_OUT}: {error}") from None


def draw_fashion(rng: np.random.Generator) -> list[Case]:
    seen, unseen = fashion(train=True), fashion(train=False)
    images, labels = seen.data.numpy()[:TRAINED], seen.targets.numpy()[:TRAINED]
    return [Case("", {"images": images, "labels": labels, "unseen": unseen.data.numpy()[:UNSEEN]})]


def judge_fashion(got: Any, case: Case) -> str | None:
    wanted = fashion(train=False).targets.numpy()[:UNSEEN]
    if not isinstance(got, np.ndarray) or got.shape != wanted.shape or got.dtype.kind not in "iu":
        return f"expected an array of {len(wanted)} ints"
    right = (got == wanted).mean()
    return None if right >= WANTED else f"{right:.0%} of {len(wanted)} pictures, expected at least {WANTED:.0%}"


STEP = Step(
    17, "training on Fashion-MNIST", "step17_fashion_mnist", optional=True, may_use_tinycnn=True,
    exercises=[
        Exercise("prepare", ("pictures",), unweighted("pictures", levels=[""]), draw_pictures, judge=judge_pictures),
        Exercise("classify", ("classes",), unweighted("classes", levels=[""]), draw_fashion, judge=judge_fashion,
                 timeout=600),
    ],
)  # fmt: skip
