"""The CUDA C++ sources, compiled at first use: once for each element type, width and, where it is known, window."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("*.cu"))

# What T stands for, by the name of the dtype. CuPy keeps arrays of 16 bits; Half and BFloat16, in common.cuh, compute
# with them.
TYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
}


@cache
def source(file: str, dtype: str, width: int = 1, sizes: tuple[tuple[int, ...], ...] | None = None) -> str:
    """The text of a kernel file, with the files that it includes, for elements of the dtype of this name.

    `width` is how many neighbours in memory a thread takes at a time. `sizes`, for cuda/window.cuh, is the struct Sizes
    of each dimension of the windows, to be known when the file is compiled.
    """
    lines = ["struct Half;", "struct BFloat16;", f"typedef {TYPES[dtype]} T;", f"#define WIDTH {width}"]
    if "float" in dtype:
        lines.append("#define FLOATING")
    if sizes is not None:
        rows = ", ".join(f"{{{', '.join(map(str, row))}}}" for row in sizes)
        lines += [f"#define DIMENSIONS {len(sizes)}", f"#define SIZES {rows}"]
    return "\n".join([*lines, _with_includes(f"{file}.cu")])


def _with_includes(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(\w+\.cuh)"$', lambda include: _with_includes(include[1]), text, flags=re.MULTILINE)
