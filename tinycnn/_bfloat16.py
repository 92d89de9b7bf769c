"""bfloat16: a dtype of the package ml_dtypes, which is imported when the dtype is first asked for."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tinycnn._extras import how_to_install

# NumPy's kinds of the floating-point dtypes: to NumPy, bfloat16 is V, "void", and no tensor has another dtype of V.
FLOATING = "fV"


class Missing:
    """What stands for bfloat16 where ml_dtypes is not installed: it can be named and compared, not used."""

    name = "bfloat16"

    def __repr__(self) -> str:
        return "dtype(bfloat16)"  # as NumPy prints it

    __str__ = name.__str__


MISSING = Missing()


@cache
def bfloat16() -> np.dtype:
    """The dtype. ImportError that says what to install if ml_dtypes is missing."""
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(f"bfloat16: the package ml_dtypes is missing: {how_to_install('bfloat16')}") from None
    return np.dtype(ml_dtypes.bfloat16)


def named() -> np.dtype | Missing:
    """The dtype, or what stands for it where ml_dtypes is missing."""
    try:
        return bfloat16()
    except ImportError:
        return MISSING


def is_bfloat16(dtype: np.dtype) -> bool:
    """Whether it is bfloat16; this imports nothing."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def in_one_dtype(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands, of which a Python number becomes a bfloat16 if the other one is an array of these: for NumPy it
    would be a float64, which promotes."""
    for number, array in ((a, b), (b, a)):
        if not hasattr(number, "dtype") and is_bfloat16(array.dtype):
            number = array.dtype.type(number)
            return (number, array) if array is b else (array, number)
    return a, b


def holds_numbers(dtype: np.dtype) -> bool:
    """Whether it is a dtype of booleans, integers or floating-point numbers."""
    return dtype.kind in "buif" or is_bfloat16(dtype)
