"""torch's files: an archive, in the zip format, of a pickle and of the memory of each storage.

Read without torch and without executing anything: `torch_pickle`. Nothing in the archive is compressed, so no file
takes more memory than it has bytes.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import zipfile
import zlib
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.interop import torch_pickle, torch_pickle_writer
from tinycnn.interop.source import ByteOrder, MapLocation, Source, Unreadable, item_size, placed, typed
from tinycnn.interop.torch_pickle import Storage

ZIP = b"PK"
# A pickle of this number begins the files of torch before version 1.6.
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_ALIGNED = 64  # bytes: where storages begin, for mapped files


_ORDERS: dict[bytes, ByteOrder] = {b"little": "little", b"big": "big"}


def read(source: Source, map_location: MapLocation) -> Any:
    """The object in a file."""
    head = source.head(0, 512)
    if head.startswith(LEGACY):
        return _read_legacy(source, map_location)
    if not head.startswith(ZIP):
        kind = "a tar archive, the format of torch before 0.2" if head[257:262] == b"ustar" else "a plain pickle"
        raise Unreadable(f"it is {kind}, and files are read without executing code")
    archive = _Archive(source)
    obj, storages = torch_pickle.read(io.BytesIO(archive.content("data.pkl").tobytes()))
    order = archive.content("byteorder").tobytes() if "byteorder" in archive.entries else b"little"
    if order not in _ORDERS:
        raise Unreadable(f"its byte order is {order!r:.20}")
    for storage in storages.values():
        if storage.views:
            _fill(storage, archive.content(f"data/{storage.key}"), _ORDERS[order], map_location, source.name)
    return obj


class _Rest:
    """A file from a position on, for a pickle. What it asks for is no more than there is."""

    def __init__(self, source: Source, position: int):
        self.source, self.position = source, position

    def read(self, count: int) -> bytes:
        data = self.source.head(self.position, count)
        self.position += len(data)
        return data

    def readline(self) -> bytes:
        self.source.file.seek(self.position)
        line = self.source.file.readline()
        self.position += len(line)
        return line


def _read_legacy(source: Source, map_location: MapLocation) -> Any:
    """The object in a file of torch before 1.6: five pickles, and the memory of each storage after its length."""
    rest = _Rest(source, len(LEGACY))
    version, _ = torch_pickle.read(rest)
    system, _ = torch_pickle.read(rest)
    obj, storages = torch_pickle.read(rest)
    keys, _ = torch_pickle.read(rest)
    if not isinstance(keys, list) or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        raise Unreadable("it does not list its storages")
    if version != 1001 or not isinstance(system, dict):
        raise Unreadable("it is not of the version 1001 of torch's former format")
    order: ByteOrder = "little" if system.get("little_endian", True) else "big"
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(rest.read(8), order)
        if count != storage.count or storage.dtype is None:
            raise Unreadable(f"the storage {key!r:.20} of {storage.count:,} numbers has {count:,}")
        size = count * item_size(storage.dtype)
        _fill(storage, source.array(rest.position, size), order, map_location, source.name)
        rest.position += size
    return obj


def _fill(storage: Storage, raw: np.ndarray, order: ByteOrder, map_location: MapLocation, name: str) -> None:
    """Gives the tensors of a storage their arrays."""
    dtype = storage.dtype or "uint8"
    if raw.size != storage.count * item_size(dtype):
        raise Unreadable(f"the storage {storage.key!r:.20} of {storage.count:,} {dtype} has {raw.size:,} bytes")
    memory = placed(typed(raw, dtype, order), storage.location, map_location, name)
    first = storage.views[0][0]
    for tensor, offset, size, stride in storage.views:
        with backend.current(memory):
            tensor._array = _view(memory, offset, size, stride)
        if tensor is not first:
            first._share_memory(tensor)


def _view(memory: Array, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    """An array in flat memory, which is as large as it must be."""
    strides = tuple(step * memory.itemsize for step in stride)
    rows = memory[offset : offset + math.prod(size)]
    if rows.size == math.prod(size) and rows.reshape(size).strides == strides:
        return rows.reshape(size)  # the usual case, and an array that NumPy knows more about
    array = backend.array_module(memory).lib.stride_tricks.as_strided(memory[offset:], size, strides)
    if isinstance(array, np.ndarray) and any(n > 1 and not step for n, step in zip(size, stride)):
        array.flags.writeable = False  # as `expand` gives it
    return array


class _Archive:
    """The entries of a zip file, by their names below its one folder."""

    def __init__(self, source: Source):
        self.source = source
        try:
            with zipfile.ZipFile(source.file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
            raise Unreadable(f"its directory is damaged ({error!s:.80})") from None
        pickles = [entry.filename for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            listed = ", ".join(entry.filename for entry in entries[:3])
            raise Unreadable(f"it is a zip file of something else ({listed!r:.80}), without one data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        self.entries = {entry.filename.removeprefix(folder): entry for entry in entries}
        if "constants.pkl" in self.entries:
            raise Unreadable("it holds a TorchScript program, and files are read without executing code")

    def content(self, name: str) -> np.ndarray:
        """The bytes of an entry."""
        entry = self.entries.get(name)
        if entry is None:
            raise Unreadable(f"it has no entry {name!r:.40}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise Unreadable(f"its entry {name!r:.40} is compressed or encrypted, as torch's are not")
        local = self.source.head(entry.header_offset, 30)
        if len(local) < 30 or local[:4] != b"PK\x03\x04":
            raise Unreadable(f"its entry {name!r:.40} is not where the directory says")
        start = entry.header_offset + 30 + sum(struct.unpack("<HH", local[26:30]))
        array = self.source.array(start, entry.file_size)
        if entry.CRC and not self.source.is_mapped and zlib.crc32(array.data) != entry.CRC:  # 0: none was made
            raise Unreadable(f"its entry {name!r:.40} is damaged: the checksum differs")
        return array


# --- writing ----------------------------------------------------------------------------------------------


class _Parts(list):
    """What is written, part by part, without a copy."""

    def write(self, part: Any) -> int:
        self.append(part)
        return memoryview(part).nbytes

    def flush(self) -> None:
        pass


def parts(obj: Any) -> list[bytes | memoryview]:
    """The bytes of a file that holds an object: see `tinycnn.save`."""
    memory = torch_pickle_writer.Memory(torch_pickle_writer.tensors_in(obj))
    data = torch_pickle_writer.written(obj, memory)
    contents: dict[str, Any] = {"data.pkl": data, "byteorder": sys.byteorder.encode()}
    contents |= {f"data/{number}": content for number, content in enumerate(memory.bytes())}
    contents["version"] = b"3\n"
    file = _Parts()
    with zipfile.ZipFile(file, "w") as archive:  # type: ignore[call-overload]  # it cannot seek, as is allowed
        for name, content in contents.items():
            entry = zipfile.ZipInfo(f"archive/{name}")
            entry.file_size = memoryview(content).nbytes
            begin = archive.start_dir + 30 + len(entry.filename) + 4  # with an extra field of no bytes
            gap = -begin % _ALIGNED
            entry.extra = struct.pack("<2sH", b"FB", gap) + b"Z" * gap  # as torch pads
            with archive.open(entry, "w") as writer:
                writer.write(content)
    return list(file)
