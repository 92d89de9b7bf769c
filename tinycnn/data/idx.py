"""The IDX format of MNIST and its kin: an array of bytes or of 32-bit integers, plain, gzip or xz."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import Any

import numpy as np

from tinycnn._files import StrPath, checked_path, kind_of

# The first four bytes: 0, 0, the element type, the number of dimensions.
_MAGICS = {0x00000801: "labels", 0x00000803: "images", 0x00000C02: "labels of QMNIST"}
_DTYPES: dict[int, np.dtype] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}  # the most significant byte is first

_EXPANSION = 1032  # a byte of gzip is at most so many bytes (https://zlib.net/zlib_tech.html)


def read_idx(path: StrPath) -> np.ndarray:
    """The read-only array in an IDX file, plain, gzip or xz: labels (N,) or images (N, H, W) uint8, or QMNIST's labels
    (N, 8) int32.

    Raises FileNotFoundError for a missing file, ValueError, with the defect, for a damaged or other one, and
    MemoryError, with the size, where memory is too small for what is announced and there.
    """
    return read_content(checked_path("read_idx", "path", path))[1]


def read_content(path: str, most: int | None = None) -> tuple[bytearray, np.ndarray]:
    """The content of an IDX file, unpacked if its first bytes are those of gzip or xz, and the array in it.

    The header comes first, and nothing is read beyond what it announces: a few MB of gzip may hold many GB.

    Args:
        most: ValueError if more bytes are announced. Default None.
    """
    if (kind := kind_of(path)) not in ("file", "nothing"):
        remedy = "remove it or name the file within" if kind == "folder" else "remove it"
        raise ValueError(f"{path}: expected an IDX file, got a {kind}; {remedy}")
    try:
        raw = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise type(error)(f"{path}: {error.strerror}") from None
    with raw:
        size = os.fstat(raw.fileno()).st_size
        file, packing, expansion, damages = _opened(raw)
        try:
            content, dtype, shape = _read_header(file, path)
            expected = len(content) + math.prod(shape) * dtype.itemsize
            if most is not None and expected > most:
                raise bad_file(path, f"{most:,} bytes at most, got a header that announces {expected:,}")
            found: float = size * expansion  # at most
            if expected <= found:
                offset = len(content)
                while len(content) <= expected and (piece := file.read(min(2**20, expected + 1 - len(content)))):
                    content += piece
                if packing or len(content) <= expected:
                    found = len(content)
        except damages as error:
            raise bad_file(path, f"an intact {packing} file, got a damaged one ({error})") from error
        except MemoryError:
            raise MemoryError(f"{path}: not enough memory for {expected:,} bytes, shape {shape}") from None
    if found != expected:
        verdict = "truncated" if found < expected else "trailing bytes"
        raise bad_file(path, f"{expected} bytes for shape {shape}, got {found} ({verdict})")
    array = np.frombuffer(content, dtype, offset=offset).astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    try:
        return content, array.reshape(shape)
    except ValueError:  # no elements, as one size is 0, and another is too large
        raise bad_file(path, f"sizes of an array, got shape {shape}") from None


def _opened(raw: Any) -> tuple[Any, str, float, tuple[type[Exception], ...]]:
    """The file unpacked, the packing ("" for none), how many bytes one of its bytes is at most, and the errors that a
    damaged one raises."""
    start = raw.read(2)
    raw.seek(0)
    if start == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=raw), "gzip", _EXPANSION, (EOFError, gzip.BadGzipFile, zlib.error)
    if start == b"\xfd7":
        import lzma  # which some builds of Python lack

        return lzma.LZMAFile(raw), "xz", math.inf, (EOFError, lzma.LZMAError)
    return raw, "", 1, ()


def _read_header(file: Any, path: str) -> tuple[bytearray, np.dtype, tuple[int, ...]]:
    """The first bytes of an IDX file, and the dtype and the shape that they announce."""
    content = bytearray(file.read(4))
    if not content:
        raise bad_file(path, "an IDX file, got an empty one")
    magic = int.from_bytes(content, "big")
    if magic not in _MAGICS:
        known = " or ".join(f"{number:#010x} ({what})" for number, what in _MAGICS.items())
        raise bad_file(path, f"the magic number {known}, got {content.hex(' ')}")
    length = 4 + 4 * (magic & 0xFF)
    content += file.read(length - 4)
    if len(content) < length:
        raise bad_file(path, f"a header of {length} bytes, got a file of {len(content)}")
    return content, _DTYPES[magic >> 8], tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, length, 4))


def bad_file(path: str | os.PathLike, problem: str) -> ValueError:
    """The error of a file that is not what it should be."""
    return ValueError(f"{path}: expected {problem}; delete the file and load with download=True")
