"""The CUDA C++ sources, compiled at first use: once for each element type, width and, where it is known, window."""

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
def source(file: str, dtype: np.dtype, width: int = 1, sizes: tuple[tuple[int, ...], ...] | None = None) -> str:
    """The text of a kernel file, with the files that it includes, for elements of `dtype`.

    `width` is how many neighbours in memory a thread takes at a time. `sizes`, for cuda/window.cuh, is the struct Sizes
    of each dimension of the windows, to be known when the file is compiled.
    """
    lines = ["struct Half;", f"typedef {TYPES[dtype]} T;", f"#define WIDTH {width}"]
    if dtype.kind == "f":
        lines.append("#define FLOATING")
    if sizes is not None:
        rows = ", ".join(f"{{{', '.join(map(str, row))}}}" for row in sizes)
        lines += [f"#define DIMENSIONS {len(sizes)}", f"#define SIZES {rows}"]
    return "\n".join([*lines, _with_includes(f"{file}.cu")])


def _with_includes(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(\w+\.cuh)"$', lambda include: _with_includes(include[1]), text, flags=re.MULTILINE)
