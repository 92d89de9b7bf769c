"""Checks of arguments that are numbers, flags or names: an error is one line that says what was expected and what came.

Each check is called as `check(owner, name, value)` and returns the value; a number as one of Python, since NumPy's may
promote arrays. `owner` and `name` begin the message: `SGD: expected lr of at least 0, got -1`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from numbers import Integral, Real
from operator import ge, gt, le, lt
from typing import Any, TypeVar

T = TypeVar("T")
Check = Callable[[str, str, Any], Any]
COMPARISONS = (ge, "of at least"), (gt, "above"), (le, "of at most"), (lt, "below")  # in the order of Number's fields
LARGEST = 2**63 - 1  # of a size or an index


class ShapeError(ValueError, RuntimeError):
    """What has another shape than it should: a ValueError, and for programs that catch torch's a RuntimeError."""


def shortened(value: Any) -> str:
    """`repr(value)` in one line of at most 60 characters."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"an int of {value.bit_length()} bits"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _check_type(owner: str, name: str, value: Any, kind: type, words: str) -> None:
    """TypeError unless `value` is of this kind; True and False are no numbers."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{owner}: expected {name} as {words}, got {shortened(value)} ({type(value).__name__})")


@dataclass(frozen=True)
class Number:
    """The check of a real number: TypeError for anything else, ValueError outside of the limits, where nan always is.

    Args:
        at_least, above, at_most, below: the limits, None where there is none. Default None.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @cached_property
    def limits(self) -> list[tuple[Callable, str, float]]:
        """(comparison, its words, limit) for each limit that there is."""
        return [(*how, limit) for how, limit in zip(COMPARISONS, astuple(self)) if limit is not None]

    def __call__(self, owner: str, name: str, value: Any) -> Any:
        """`value` as an int or a float, if it is a number within the limits."""
        number: Any = value
        if value.__class__ is not float:
            _check_type(owner, name, value, Real, "a number")
            try:
                number = float(number)
            except OverflowError:
                raise ValueError(f"{owner}: {name} is too large: {shortened(value)}") from None
        for compare, _, limit in self.limits:
            if not compare(number, limit):
                wanted = " and ".join(f"{words} {limit}" for _, words, limit in self.limits)
                raise ValueError(f"{owner}: expected {name} {wanted}, got {number:g}")
        return int(value) if isinstance(value, Integral) else number


class Integer(Number):
    """The check of a whole number: a `Number`, and TypeError for one that is not of an integer type."""

    def __call__(self, owner: str, name: str, value: Any) -> Any:
        """`value` as an int, if it is an integer within the limits."""
        _check_type(owner, name, value, Integral, "an int")
        if abs(value) > LARGEST:
            raise ValueError(f"{owner}: {name} is too large: {shortened(value)}")
        return super().__call__(owner, name, value)


check_number, check_not_negative, check_share = Number(), Number(at_least=0), Number(at_least=0, at_most=1)
check_int, check_count, check_positive = Integer(), Integer(at_least=0), Integer(at_least=1)


def check_flag(owner: str, name: str, value: bool) -> bool:
    """`value`; TypeError unless it is True or False."""
    _check_type(owner, name, value, bool, "True or False")
    return value


def check_choice(owner: str, name: str, value: str, choices: Sequence[str]) -> str:
    """`value`; ValueError unless it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        raise ValueError(f"{owner}: expected {name} as {', '.join(others)} or {last}, got {shortened(value)}")
    return value


def is_int(value: Any) -> bool:
    """Whether a value is of an integer type, NumPy's included; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)
