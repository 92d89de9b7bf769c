"""The CUDA C++ sources, compiled at first use, once for each element type."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("*.cu"))

# What T stands for. CuPy keeps float16 arrays; Half, in common.cuh, computes with them.
TYPES = {
    np.dtype("float32"): "float",
    np.dtype("float64"): "double",
    np.dtype("float16"): "Half",
    np.dtype("bool"): "bool",
    np.dtype("uint8"): "unsigned char",
    np.dtype("int8"): "signed char",
    np.dtype("int16"): "short",
    np.dtype("int32"): "int",
    np.dtype("int64"): "long long",
}


@cache
def source(file: str, dtype: np.dtype) -> str:
    """The text of a kernel file, with the files that it includes, for elements of `dtype`."""
    floating = "#define FLOATING\n" if dtype.kind in "fV" else ""
    return f"struct Half;\ntypedef {TYPES[dtype]} T;\n{floating}{_with_includes(f'{file}.cu')}"


def _with_includes(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(\w+\.cuh)"$', lambda include: _with_includes(include[1]), text, flags=re.MULTILINE)
