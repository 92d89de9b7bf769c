"""Checks of the arguments of optimizers and schedulers: an error is one line that names the argument.

Each check is called as `check(owner, name, value)` and returns the value. `owner` and `name` begin the message:
`SGD: expected lr of at least 0, got -1`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from numbers import Integral, Real
from operator import ge, gt, le, lt
from typing import Annotated, Any, TypeVar, get_type_hints

from tinycnn.tensor import Tensor

T = TypeVar("T")
Check = Callable[[str, str, Any], Any]
COMPARISONS = (ge, "of at least"), (gt, "above"), (le, "of at most"), (lt, "below")  # in the order of Number's fields


def _check_type(owner: str, name: str, value: Any, kind: type, words: str) -> None:
    """TypeError unless `value` is of this kind; True and False are no numbers."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{owner}: expected {name} as {words}, got {value!r} ({type(value).__name__})")


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

    def __call__(self, owner: str, name: str, value: T) -> T:
        """`value`, if it is a number within the limits."""
        _check_type(owner, name, value, Real, "a number")
        number = float(value)  # type: ignore[arg-type]  # a Real
        limits = [(*how, limit) for how, limit in zip(COMPARISONS, astuple(self)) if limit is not None]
        if not all(compare(number, limit) for compare, _, limit in limits):
            wanted = " and ".join(f"{words} {limit}" for _, words, limit in limits)
            raise ValueError(f"{owner}: expected {name} {wanted}, got {number:g}")
        return value


class Integer(Number):
    """The check of a whole number: a `Number`, and TypeError for one that is not of an integer type."""

    def __call__(self, owner: str, name: str, value: T) -> T:
        """`value`, if it is an integer within the limits."""
        _check_type(owner, name, value, Integral, "an int")
        return super().__call__(owner, name, value)


check_number, check_not_negative, check_share = Number(), Number(at_least=0), Number(at_least=0, at_most=1)


def check_flag(owner: str, name: str, value: bool) -> bool:
    """`value`; TypeError unless it is True or False."""
    _check_type(owner, name, value, bool, "True or False")
    return value


def check_choice(owner: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    """`value`; ValueError unless it is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{owner}: expected {name} as {' or '.join(map(repr, choices))}, got {value!r}")
    return value


def check_betas(owner: str, name: str, value: Any) -> tuple[float, float]:
    """`value`; TypeError unless it is two numbers, ValueError unless each is at least 0 and below 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{owner}: expected {name} as two numbers, got {value!r}")
    for i, beta in enumerate(value):
        Number(at_least=0, below=1)(owner, f"{name}[{i}]", beta)
    return tuple(value)


# --- options of optimizers: the type in a signature names the check -----------------------------------------

AnyNumber = Annotated[float, check_number]
NotNegative = Annotated[float, check_not_negative]
Share = Annotated[float, check_share]  # from 0 to 1
Betas = Annotated[tuple[float, float], check_betas]
Flag = Annotated[bool, check_flag]


def checks_of(function: Callable[..., None]) -> Mapping[str, Check]:
    """The checks that the annotations of a function's arguments name, by argument."""
    hints = get_type_hints(function, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


# --- parameters -------------------------------------------------------------------------------------------


def has_order(value: Any) -> bool:
    """Whether `value` is an iterable whose elements have an order; a single Tensor counts as one element."""
    return isinstance(value, Iterable) and not isinstance(value, (Tensor, str, dict, set, frozenset))


def check_parameters(owner: str, params: Any) -> list[Tensor]:
    """The parameters as a list, of one Tensor or of an iterable of Tensors; TypeError for anything else."""
    if isinstance(params, Tensor):
        return [params]
    if not has_order(params):
        raise TypeError(f"{owner}: expected parameters as a list of Tensors, got {type(params).__name__}")
    params = list(params)
    for i, param in enumerate(params):
        if not isinstance(param, Tensor):
            raise TypeError(f"{owner}: expected parameter {i} as a Tensor, got {type(param).__name__}")
    return params
