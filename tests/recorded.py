"""What torch gave once, as `tests/fixtures/record_*.py` pack it: all arrays in one, and a layout of their shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def unpacked(fixture: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a fixture by row and name."""
    with np.load(fixture) as file:
        layout, values = json.loads(str(file["layout"])), file["values"]
    position, result = 0, {}
    for row, shapes in layout.items():
        result[row] = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            result[row][name] = values[position : position + size].reshape(shape)
            position += size
    assert position == len(values)
    return result
