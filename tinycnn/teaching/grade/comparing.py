"""Whether a student's value is right, and if not, where it differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.teaching.grade.runner import Unknown

# Relative to the largest element. Above the rounding error of sums of some hundred products in each precision; that of
# float64 is below the 1e-7 of single precision.
TOLERANCE, TOLERANCE_32 = 1e-9, 1e-4


def difference(name: str, got: Any, expected: Any, single: bool = False, magnitude: float = 0.0) -> str:
    """A sentence about the first difference; empty if `got` is right.

    Args:
        name: what the sentence calls the value.
        single: whether it was computed in single precision.
        magnitude: of the arguments, whose rounding errors a sum near 0 inherits; counts in single precision.
    """
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"{name}: expected a dict, got {kind_of(got)}"
        if missing := [key for key in expected if key not in got]:
            return f"{name}: {', '.join(missing)} is missing"
        parts = (difference(f"{name}[{key!r}]", got[key], expected[key], single, magnitude) for key in expected)
        return next(filter(None, parts), "")
    if isinstance(expected, int):
        if not is_number(got) or np.asarray(got).dtype.kind not in "iu":
            return f"{name}: expected the int {expected}, got {kind_of(got)}"
        return "" if int(got) == expected else f"{name}: got {int(got)}, expected {expected}"
    if isinstance(expected, float):
        if not is_number(got):
            return f"{name}: expected a number, got {kind_of(got)}"
    elif not isinstance(got, np.ndarray):
        return f"{name}: expected an array of shape {expected.shape}, got {kind_of(got)}"
    elif got.shape != expected.shape:
        return f"{name}: expected shape {expected.shape}, got {got.shape}"
    elif got.dtype != expected.dtype:
        return f"{name}: expected dtype {expected.dtype}, as that of the arguments, got {got.dtype}"
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    tolerance = TOLERANCE_32 if single else TOLERANCE
    wrong = ~np.isclose(got, expected, tolerance, tolerance * _scale(expected) + (1e-6 * magnitude if single else 0))
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    digits = 6 if abs(got[place] - expected[place]) > 1e-3 * abs(expected[place]) else 12
    found = f"got {got[place]:.{digits}g}, expected {expected[place]:.{digits}g}"
    if not place:
        return f"{name}: {found}"
    return f"{name}[{', '.join(map(str, place))}]: {found} ({wrong.sum()} of {wrong.size} elements are wrong)"


def same(a: Any, b: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two results have the same shape and, within `tolerance`, the same numbers."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance) for key in a)
    if not all(is_number(value) or _is_numeric(value) for value in (a, b)):
        return a is None and b is None
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        return False
    return bool(np.allclose(a, b, tolerance, tolerance * _scale(b), equal_nan=True))


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, of Python or NumPy, that 64 bits can hold."""
    if isinstance(value, int):
        return not isinstance(value, bool) and -(2**63) <= value < 2**64
    return isinstance(value, float) or (_is_numeric(value) and value.ndim == 0)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiu"


def kind_of(value: Any) -> str:
    """A description of a value: its type, and its shape or content."""
    if isinstance(value, Unknown):
        return f"a {value.type_name}"
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}" if value.ndim else f"{value.dtype} {value}"
    if isinstance(value, tuple):
        return f"a tuple or list of {len(value)}"
    if isinstance(value, int) and not is_number(value):
        return "a number beyond 64 bits" if value not in (0, 1) else f"the bool {value}"
    return f"the {type(value).__name__} {value!r}"[:80]


def _scale(expected: np.ndarray) -> float:
    """The largest absolute value, to which rounding errors are relative; at least 1e-3, for arrays of zeros."""
    finite = np.abs(expected[np.isfinite(expected)])
    return max(float(finite.max()), 1e-3) if finite.size else 1.0
