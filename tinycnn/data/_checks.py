"""Argument checks shared by the data sets, transforms and the loader."""

from __future__ import annotations

from typing import Any

import numpy as np


def checked_int(argument: str, value: Any, minimum: int) -> int:
    """`value` as an int. ValueError, naming `argument`, if it is no integer or less than `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{argument}: expected an int of at least {minimum}, got {value!r}")
    return int(value)


def checked_flag(argument: str, value: Any) -> bool:
    """`value` as a bool. TypeError, naming `argument`, unless it is True or False: "test" would count as True."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument}: expected True or False, got {value!r} ({type(value).__name__})")
    return bool(value)
