"""Two mistakes at once.

Students' mistakes are independent of each other, so any two may come together. Three ways to join two mistakes:

- one changes the arguments (`Mistake.before`), the other is computed from what it leaves;
- one changes the result (`Mistake.after`) of the other;
- both are parts of one computation, as a wrong stride and a wrong crop: those the exercise makes itself (`doubles`).

They are many: those that give the values of one case are looked for, and the other cases are asked afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn.teaching.grade.comparing import same

if TYPE_CHECKING:
    from tinycnn.teaching.grade.exercise import Mistake

SECONDS = 1.5  # of computing, for all results of one function
MOST = 150  # mistakes of each kind of which every two are tried
Arguments = dict[str, Any]


@dataclass
class Budget:
    """The time that is left for the search."""

    seconds: float = SECONDS


def pairs(
    known: Sequence[Mistake], doubles: Iterable[Mistake], arguments: Arguments, got: Any, budget: Budget
) -> Iterator[Mistake]:
    """The pairs of mistakes that turn these arguments into `got`, the likelier first, while there is time."""
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "fiu":
        return
    start, equals = time.process_time(), _test_of(got)
    end = start + budget.seconds
    try:
        with np.errstate(all="ignore"):
            values = [(mistake, _computed(mistake.compute, **arguments)) for mistake in known]
            searches = (
                _of_doubles(doubles, arguments, equals),
                _with_changed_result(values, arguments, got, equals),
                _with_changed_arguments(values, arguments, equals),
            )
            for pair in chain(*searches):
                if pair is not None:
                    yield pair
                if time.process_time() > end:
                    return
    finally:
        budget.seconds -= time.process_time() - start


def _test_of(got: np.ndarray) -> Callable[[Any], bool]:
    """Whether a value equals `got`: first by its largest element, as nearly all values differ there."""
    place = int(np.argmax(np.where(np.isfinite(got), np.abs(got), -1))) if got.size else 0
    largest = got.flat[place] if got.size else 0.0
    near = 1e-6 * abs(largest)

    def equals(value: Any) -> bool:
        if np.shape(value) != got.shape:
            return False
        if got.size and not abs(value.flat[place] - largest) <= near:
            return False
        return same(got, value)

    return equals


def _computed(compute: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The value, or None where the mistake is not possible."""
    try:
        value = compute(*arguments, **options)
    except Exception:
        return None
    return value if isinstance(value, np.ndarray) else None


def _joined(result: str, first: Mistake, second: Mistake, compute: Callable[..., Any]) -> Mistake:
    from tinycnn.teaching.grade.exercise import Mistake

    return Mistake(result, f"{first.name}; and {second.name}", compute, first.see)


# Each search gives None now and then, so that the time can be looked at.


def _of_doubles(doubles: Iterable[Mistake], arguments: Arguments, equals: Callable[[Any], bool]) -> Iterator[Any]:
    for double in doubles:
        value = _computed(double.compute, **arguments)
        yield double if value is not None and equals(value) else None


def _with_changed_result(
    values: Sequence[tuple[Mistake, Any]], arguments: Arguments, got: np.ndarray, equals: Callable[[Any], bool]
) -> Iterator[Any]:
    changes: dict[str, list[Mistake]] = {"moves": [], "scales": [], "other": []}
    for mistake, _ in values:
        if mistake.after is not None:
            changes[_kind_of(mistake.after, got.shape, arguments)].append(mistake)
    in_order = np.sort(got, axis=None)
    for first, value in values:
        yield None
        if value is None or not value.size:
            continue
        possible = list(changes["other"])
        if value.size == got.size and np.allclose(np.sort(value, axis=None), in_order):
            possible += changes["moves"]
        if value.shape == got.shape and _is_multiple(got, value):
            possible += changes["scales"]
        for second in possible:
            if second is first or second.after is None:
                continue
            changed = _computed(second.after, value, arguments)
            if changed is not None and equals(changed):
                yield _joined(first.result, first, second, lambda first=first, second=second, **a: second.after(
                    first.compute(**a), a))  # fmt: skip


def _is_multiple(got: np.ndarray, value: np.ndarray) -> bool:
    """Whether `got` is a number times `value`, where that is not 0."""
    places = np.flatnonzero(value)
    if not len(places):
        return False
    ratios = got.flat[places] / value.flat[places]
    return bool(np.isclose(ratios, ratios[0]).all())


def _kind_of(change: Callable[..., Any], shape: tuple[int, ...], arguments: Arguments) -> str:
    """Whether a change of a result moves its elements only, or multiplies all of them by one number."""
    value = np.random.default_rng(0).uniform(1, 2, shape)
    changed = _computed(change, value, arguments)
    if changed is None or changed.size != value.size:
        return "other"
    if np.array_equal(np.sort(changed, axis=None), np.sort(value, axis=None)):
        return "moves"
    return "scales" if changed.shape == shape and np.ptp(changed / value) < 1e-9 else "other"


def _equal(a: Arguments, b: Arguments) -> bool:
    return all(a[name] is b[name] or np.array_equal(a[name], b[name]) for name in b)


def _with_changed_arguments(
    values: Sequence[tuple[Mistake, Any]], arguments: Arguments, equals: Callable[[Any], bool]
) -> Iterator[Any]:
    changed: list[tuple[Mistake, Arguments]] = []
    for first, _ in values:
        if first.before is not None:
            try:
                wrong = first.before(arguments)
            except Exception:
                continue
            if not _equal(wrong, arguments) and not any(_equal(wrong, other) for _, other in changed[-MOST:]):
                changed.append((first, wrong))
    distinct = {value.tobytes(): mistake for mistake, value in reversed(values) if value is not None
                if mistake.before is None and mistake.after is None}  # fmt: skip
    others = [*distinct.values()][::-1]
    alike = [mistake for mistake, _ in changed]
    seconds = [second for both in zip_longest(others[:MOST], alike[:MOST]) for second in both if second is not None]
    # The likelier stand first in both lists, so that the sum of the places tells how likely a pair is.
    places = product(range(len(seconds)), range(min(len(changed), MOST)))
    for at, place in sorted(places, key=lambda place: place[0] / 2 + place[1]):
        second, (first, wrong) = seconds[at], changed[place]
        if first is second:
            continue
        value = _computed(second.compute, **wrong)
        yield None
        if value is not None and equals(value):
            yield _joined(first.result, first, second, lambda first=first, second=second, **a: second.compute(
                **first.before(a)))  # fmt: skip
