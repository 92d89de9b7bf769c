"""Array kernels for CuPy, of the same names as those in `cpu`."""

from __future__ import annotations

from typing import Any

import cupyx


def add_at(array: Any, index: Any, values: Any) -> None:
    """array[index] += values, where an element that is indexed several times gets every value."""
    cupyx.scatter_add(array, index, values)
