"""Array kernels for NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_at(array: np.ndarray, index: Any, values: np.ndarray) -> None:
    """array[index] += values, where an element that is indexed several times gets every value."""
    np.add.at(array, index, values)
