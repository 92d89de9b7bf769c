"""Argument checks shared by the data sets, transforms and the loader."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinycnn._bfloat16 import holds_numbers
from tinycnn.checks import is_int, shortened


def checked_int(argument: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int. ValueError, naming `argument`, if it is no integer or outside of the limits."""
    if not is_int(value) or value < minimum or (maximum is not None and value > maximum):
        limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{argument}: expected an int {limits}, got {shortened(value)}")
    return int(value)


def checked_function(argument: str, value: Any) -> Any:
    """`value`. TypeError, naming `argument`, unless it is None or can be called."""
    if value is not None and not callable(value):
        raise TypeError(f"{argument}: expected a function or None, got {shortened(value)}")
    return value


def checked_iterable(argument: str, value: Any) -> Any:
    """`value`. TypeError, naming `argument`, for what cannot be iterated over."""
    # Not by iter(), which for a sampler draws an order.
    if not any(hasattr(type(value), name) for name in ("__iter__", "__getitem__")) or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"{argument}: expected a sequence, got {shortened(value)}")
    return value


def checked_list(argument: str, value: Any) -> list[Any]:
    """`value` as a list. TypeError, naming `argument`, for what cannot be iterated over."""
    return list(checked_iterable(argument, value))


def as_numbers(argument: str, value: ArrayLike) -> np.ndarray:
    """`value` as an array, sharing memory if it is one. TypeError, naming `argument`, if it is not of real numbers or
    has no shape."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # lists of different lengths; a Tensor with a gradient
        raise TypeError(f"{argument}: expected an array of numbers, got a {type(value).__name__}: {error}") from None
    if not holds_numbers(array.dtype):
        raise TypeError(f"{argument}: expected an array of numbers, got a {type(value).__name__} of {array.dtype}")
    return array
