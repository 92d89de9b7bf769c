"""Files in the safetensors format: a header in JSON, and arrays one after the other. They hold no code.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import is_bfloat16
from tinycnn.autograd import wrap
from tinycnn.interop.source import MapLocation, Source, Unreadable, item_size, placed, typed
from tinycnn.tensor import Tensor

# The format's names of the dtypes that a Tensor may have.
_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32",
    "float64": "F64",
}  # fmt: skip
_DTYPES = {short: name for name, short in _NAMES.items()}
_LONGEST_HEADER = 100_000_000  # readers refuse a longer one


# --- writing ----------------------------------------------------------------------------------------------


def parts(state_dict: Any, metadata: Mapping[str, str] | None) -> list[bytes | memoryview]:
    """The bytes of a file: see `tinycnn.save`."""
    for argument, given in (("state_dict", state_dict), ("metadata", {} if metadata is None else metadata)):
        if not isinstance(given, Mapping):
            raise TypeError(f"save: expected {argument} as a mapping, got {type(given).__name__}")
        for key in given:
            if not isinstance(key, str):
                raise TypeError(f"save: expected strings as names in {argument}, got {key!r} ({type(key).__name__})")
    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            hint = "; a file that is named .pt holds it"
            raise TypeError(f"save: expected Tensors, {key!r} is {type(value).__name__}{hint}")
        if value.dtype.name not in _NAMES:
            raise TypeError(f"save: {key!r} is {value.dtype}, which the safetensors format lacks")
    for key, text in (metadata or {}).items():
        if not isinstance(text, str):
            raise TypeError(f"save: expected strings as metadata, {key!r} is {type(text).__name__}")

    # The widest dtypes come first, so that each array is aligned in memory when the file is mapped.
    order = sorted(state_dict, key=lambda key: (-state_dict[key].element_size(), key))
    arrays = {key: _row_major(state_dict[key]) for key in order}
    header = _header({key: (state_dict[key].dtype, array) for key, array in arrays.items()}, metadata or {})
    length = len(header).to_bytes(8, "little")
    return [length, header, *(array.reshape(-1).view(np.uint8).data for array in arrays.values())]


def _row_major(x: Tensor) -> np.ndarray:
    """The array on the CPU in the format's order of elements and of bytes: itself, or a copy."""
    array = backend.to_device(x._array, backend.CPU)
    if is_bfloat16(array.dtype):
        array = array.view(np.uint16)
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _header(arrays: Mapping[str, tuple[np.dtype, np.ndarray]], metadata: Mapping[str, str]) -> bytes:
    """The JSON that says what each array is and where it lies in what follows, padded with blanks to a multiple of 8
    bytes."""
    if "__metadata__" in arrays:
        raise ValueError("save: '__metadata__' is the format's name for the metadata: no Tensor can have it")
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for key, (dtype, array) in arrays.items():
        start, end = end, end + array.nbytes
        header[key] = {"dtype": _NAMES[dtype.name], "shape": array.shape, "data_offsets": [start, end]}
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"save: expected names and metadata of Unicode characters, got {error.object!r:.60}") from None
    if len(text) > _LONGEST_HEADER:
        raise ValueError(f"save: names and metadata take {len(text):,} bytes, more than {_LONGEST_HEADER:,}")
    return text.ljust(-(-len(text) // 8) * 8)


# --- reading ----------------------------------------------------------------------------------------------


def read(source: Source, map_location: MapLocation) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    begin, header, _ = _read_header(source)
    end = 0
    tensors = {}
    for key, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, offsets = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if offsets != [end, end + math.prod(shape) * item_size(dtype)]:
            raise Unreadable(f"{key!r} of shape {shape} and dtype {dtype} does not fill its place {offsets}")
        array = typed(source.array(begin + end, offsets[1] - end), dtype)
        end = offsets[1]
        try:
            array = array.reshape(shape)
        except ValueError as error:
            raise Unreadable(f"{key!r} has the shape {shape!s:.60}: {error}") from None
        tensors[key] = wrap(placed(array, "cpu", map_location, source.name))
    if begin + end != source.size:
        raise Unreadable(f"it has {source.size - begin:,} bytes of arrays, the header announces {end:,}")
    return {key: tensors[key] for key in header}


def metadata(source: Source) -> dict[str, str]:
    """The strings in the header of a file, by name."""
    return _read_header(source)[2]


def _read_header(source: Source) -> tuple[int, dict[str, dict[str, Any]], dict[str, str]]:
    """Where the arrays begin, the entries of the tensors, and the metadata."""
    length = int.from_bytes(source.head(0, 8), "little")
    if source.size < 8 or length > min(source.size - 8, _LONGEST_HEADER):
        raise Unreadable(f"the header would have {length:,} bytes, the file has {source.size:,}")
    return 8 + length, *_parsed(source.head(8, length))


def _parsed(text: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The entries of a header, each with the keys and types that the format asks for, and its metadata."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Unreadable("a key of the header stands there twice")
        return found

    try:
        header = json.loads(text.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"its header is no JSON ({error})") from None
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise Unreadable("its header is no JSON object, or its metadata are none")
    for key, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise Unreadable(f"the header does not give dtype, shape and data_offsets of {key!r:.60}")
        shape, offsets = entry["shape"], entry["data_offsets"]
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
            wanted = f"one of {', '.join(_DTYPES)}"
            raise Unreadable(f"{key!r:.60} is {entry['dtype']!r:.20}, expected {wanted}")
        if not all(isinstance(sizes, list) and all(type(n) is int and 0 <= n < 2**63 for n in sizes)
                   for sizes in (shape, offsets)) or len(offsets) != 2:  # fmt: skip
            raise Unreadable(f"{key!r:.60} has the shape {shape!r:.60} and the data_offsets {offsets!r:.60}")
    return header, metadata


def shards(source: Source) -> dict[str, list[str]]:
    """Which tensors each file of an index holds; the files lie beside it."""
    try:
        index = json.loads(source.head(0, min(source.size, _LONGEST_HEADER)).decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON ({error})") from None
    files = index.get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise Unreadable("it has no weight_map of names to files")
    found: dict[str, list[str]] = {}
    for key, file in files.items():
        if file in ("", ".", "..") or set(file) & set("/\\\0:"):
            raise Unreadable(f"expected the files of the weight_map beside it, got {file!r:.60}")
        found.setdefault(file, []).append(key)
    return found
