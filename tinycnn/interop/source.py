"""The bytes of a file that is read: their places are checked, none is read twice, and each array has its own memory."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable, Mapping
from typing import IO, Any, Literal, TypeAlias

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import bfloat16
from tinycnn._files import StrPath, checked_path, kind_of
from tinycnn.autograd import wrap
from tinycnn.backend import Array, DeviceLike
from tinycnn.tensor import Tensor

MapLocation: TypeAlias = DeviceLike | Mapping[str, Any] | Callable[[Tensor, str], Any]

ByteOrder: TypeAlias = Literal["little", "big"]


class Unreadable(Exception):
    """What is wrong with the content of a file; who opened it says which file."""


class Source:
    """A file for reading, given by its path or as a file object, as a context.

    With `mapped`, arrays are the file's pages in memory, read when they are used; a change of them is not written back.
    """

    def __init__(self, called: str, file: StrPath | IO[bytes], mapped: bool):
        self.name: str
        self.taken = 0
        self._pages: mmap.mmap | None = None
        self.is_mapped = mapped
        if hasattr(file, "read"):
            self.name = str(getattr(file, "name", None) or f"<{type(file).__name__}>")
            if mapped:
                raise ValueError(f"{called}: mmap=True needs the path of a file, got {type(file).__name__}")
            content = file.read()
            if not isinstance(content, (bytes, bytearray, memoryview)):
                raise TypeError(f"{called}: expected a file opened in binary mode, {self.name} gives text")
            self.file: IO[bytes] = io.BytesIO(content)
            self.size = len(content)
            return
        self.name = path = checked_path(called, "f", file)
        if (kind := kind_of(path)) != "file":
            raise FileNotFoundError(f"{called}: no file {path}" + (f": it is a {kind}" if kind != "nothing" else ""))
        self.file = open(path, "rb")  # noqa: SIM115  # closed by __exit__
        self.size = os.fstat(self.file.fileno()).st_size
        if mapped and self.size:
            self._pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()  # arrays of mapped pages keep them open

    def head(self, start: int, count: int) -> bytes:
        """The `count` bytes from `start` on, or those that there are."""
        if not 0 <= start < self.size:
            return b""
        self.file.seek(start)
        return self.file.read(min(count, self.size - start))

    def array(self, start: int, count: int) -> np.ndarray:
        """The `count` bytes from `start` on, as writable memory. All that is taken is no more than there is."""
        self.taken += count
        if not 0 <= start <= start + count <= self.size or self.taken > self.size:
            raise Unreadable(f"it has {self.size:,} bytes, fewer than what it announces")
        if self._pages is not None:
            return np.frombuffer(self._pages, np.uint8, count, start) if count else np.empty(0, np.uint8)
        array = np.empty(count, np.uint8)
        self.file.seek(start)
        if self.file.readinto(array.data) != count:  # type: ignore[attr-defined]  # both kinds of file have it
            raise Unreadable("it became shorter while it was read")
        return array


def typed(raw: np.ndarray, dtype: str, order: ByteOrder = "little") -> np.ndarray:
    """Bytes as numbers of `dtype`, in this machine's byte order. Booleans, whose bytes may be any in a file, become 0
    or 1. ImportError for bfloat16 without ml_dtypes."""
    if dtype == "bfloat16":
        return typed(raw, "uint16", order).view(bfloat16())  # ml_dtypes knows no other byte order than the machine's
    if dtype == "bool":
        return raw != 0
    array = raw.view(np.dtype(dtype).newbyteorder(order))
    return array.astype(dtype, copy=not array.flags.aligned)


def item_size(dtype: str) -> int:
    """The bytes of a number in a file."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def checked_location(map_location: MapLocation) -> MapLocation:
    """`map_location`, with the name of a device replaced by the device."""
    if map_location is None or isinstance(map_location, Mapping) or callable(map_location):
        return map_location
    return backend.device(map_location)


def placed(array: np.ndarray, location: str, map_location: MapLocation, name: str) -> Array:
    """The flat `array` of a file, moved from the CPU to where it belongs: see `tinycnn.load`."""
    target: Any = map_location
    if isinstance(map_location, Mapping):
        target = map_location.get(location)
    elif callable(map_location):
        moved = map_location(wrap(array), location)
        if moved is not None:
            got = (moved.shape, moved.dtype) if isinstance(moved, Tensor) else type(moved).__name__
            if got != (array.shape, array.dtype):
                raise TypeError(f"load: expected map_location to give its first argument, moved, or None, got {got}")
            return moved._array
        target = None
    if target is not None:
        return backend.to_device(array, backend.device(target))
    try:
        return backend.to_device(array, backend.device(location))
    except (ImportError, RuntimeError, ValueError) as error:
        advice = "pass map_location='cpu' to have them on the CPU"
        raise RuntimeError(f"load: {name} holds tensors of the device {location!r}; {advice} ({error})") from None


