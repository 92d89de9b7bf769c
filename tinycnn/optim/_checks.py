"""Checks of the arguments of optimizers: options by the types in a signature, and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_type_hints

from tinycnn.checks import (
    Check,
    Integer,
    Number,
    check_choice,
    check_flag,
    check_not_negative,
    check_number,
    check_share,
)
from tinycnn.tensor import Tensor


def check_betas(owner: str, name: str, value: Any) -> tuple[float, float]:
    """`value`; TypeError unless it is two numbers, ValueError unless each is at least 0 and below 1."""
    for i, beta in enumerate(check_pair(owner, name, value)):
        Number(at_least=0, below=1)(owner, f"{name}[{i}]", beta)
    return tuple(value)


def check_pair(owner: str, name: str, value: Any) -> tuple[float, float]:
    """`value`; TypeError unless it is two numbers."""
    return _check_numbers(owner, name, value, 2, "two")


def check_triple(owner: str, name: str, value: Any) -> tuple[float, float, float]:
    """`value`; TypeError unless it is three numbers."""
    return _check_numbers(owner, name, value, 3, "three")


def _check_numbers(owner: str, name: str, value: Any, count: int, in_words: str) -> Any:
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise TypeError(f"{owner}: expected {name} as {in_words} numbers, got {value!r}")
    for i, number in enumerate(value):
        check_number(owner, f"{name}[{i}]", number)
    return tuple(value)


def check_optional_flag(owner: str, name: str, value: Any) -> bool | None:
    """`value`; TypeError unless it is True, False or None."""
    return value if value is None else check_flag(owner, name, value)


def check_adjustment(owner: str, name: str, value: Any) -> str | None:
    """`value`; ValueError unless it is one of Muon's ways to adjust the learning rate, or None."""
    return value if value is None else check_choice(owner, name, value, ("original", "match_rms_adamw"))


def check_false(owner: str, name: str, value: Any) -> bool:
    """`value`; ValueError for True, which asks for what is not here."""
    if check_flag(owner, name, value):
        raise ValueError(f"{owner}: expected {name} as False, got True: steps are outside of any graph")
    return value


# --- options of optimizers: the type in a signature names the check -----------------------------------------

AnyNumber = Annotated[float, check_number]
NotNegative = Annotated[float, check_not_negative]
Share = Annotated[float, check_share]  # from 0 to 1
Pair = Annotated[tuple[float, float], check_pair]
Triple = Annotated[tuple[float, float, float], check_triple]
Betas = Annotated[tuple[float, float], check_betas]
Flag = Annotated[bool, check_flag]
Count = Annotated[int, Integer(at_least=0, below=100)]  # of what is done in each step: torch's limit, too
Adjustment = Annotated[str | None, check_adjustment]

# Torch's ways to compute a step, which change no result: accepted, and kept in the groups. One kernel updates a group
# on a GPU anyway, and can be recorded.
Way = Annotated[bool | None, check_optional_flag]
Never = Annotated[bool, check_false]

# What saved state may lack, as torch's and that of former versions does: a group keeps its own.
MAY_BE_MISSING = ("foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay")


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
