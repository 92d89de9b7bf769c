"""Checks of the arguments of optimizers and schedulers: an error is one line that names the argument."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from tinycnn.tensor import Tensor


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """TypeError unless `value` is a number, ValueError unless it lies within the limits (nan does not)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{owner}: expected {name} as a number, got {value!r} ({type(value).__name__})")
    value = float(value)
    limits = []
    if at_least is not None:
        limits.append((value >= at_least, f"of at least {at_least}"))
    if above is not None:
        limits.append((value > above, f"above {above}"))
    if at_most is not None:
        limits.append((value <= at_most, f"of at most {at_most}"))
    if below is not None:
        limits.append((value < below, f"below {below}"))
    if not all(kept for kept, _ in limits):
        wanted = " and ".join(words for _, words in limits)
        raise ValueError(f"{owner}: expected {name} {wanted}, got {value:g}")


def check_integer(owner: str, name: str, value: Any, *, at_least: int) -> None:
    """TypeError unless `value` is a whole number, ValueError if it is below `at_least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{owner}: expected {name} as an int, got {value!r} ({type(value).__name__})")
    check_number(owner, name, value, at_least=at_least)


def check_flag(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{owner}: expected {name} as True or False, got {value!r} ({type(value).__name__})")


def check_choice(owner: str, name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{owner}: expected {name} as {' or '.join(map(repr, choices))}, got {value!r}")


def check_betas(owner: str, betas: Any) -> None:
    """Two numbers, each at least 0 and below 1."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"{owner}: expected betas as two numbers, got {betas!r}")
    for i, beta in enumerate(betas):
        check_number(owner, f"betas[{i}]", beta, at_least=0, below=1)


def check_parameters(owner: str, params: Any) -> list[Tensor]:
    """The parameters as a list, of one Tensor or of an iterable of Tensors; TypeError for anything else."""
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, (str, dict, set, frozenset)) or not hasattr(params, "__iter__"):
        raise TypeError(f"{owner}: expected parameters as a list of Tensors, got {type(params).__name__}")
    params = list(params)
    for i, param in enumerate(params):
        if not isinstance(param, Tensor):
            raise TypeError(f"{owner}: expected parameter {i} as a Tensor, got {type(param).__name__}")
    return params
