"""Weights in files, in the safetensors format: it holds arrays and metadata, never code.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinycnn import backend
from tinycnn._files import StrPath, checked_path, kind_of, write_whole
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.tensor import Tensor

# The format's names of the dtypes that a Tensor may have.
_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # readers refuse a longer one


def save(state_dict: Mapping[str, Tensor], path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a state_dict to a .safetensors file, whole or not at all: after a crash, too, there is the former file or
    the new one.

    Args:
        state_dict: names to Tensors on any device; views and transposed tensors are written in row-major order.
        metadata: names to strings, stored in the header of the file.

    Equal states and metadata give equal files. Raises TypeError for other values, ValueError for names that the format
    cannot hold, OSError, naming the file, if it cannot be written.
    """
    path = checked_path("save", "path", path)
    for argument, given in (("state_dict", state_dict), ("metadata", {} if metadata is None else metadata)):
        if not isinstance(given, Mapping):
            raise TypeError(f"save: expected {argument} as a mapping, got {type(given).__name__}")
        for key in given:
            if not isinstance(key, str):
                raise TypeError(f"save: expected strings as names in {argument}, got {key!r} ({type(key).__name__})")
    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"save: expected Tensors, {key!r} is {type(value).__name__}")
        if value.dtype.name not in _NAMES:
            raise TypeError(f"save: {key!r} is {value.dtype}, which the safetensors format lacks")
    for key, text in (metadata or {}).items():
        if not isinstance(text, str):
            raise TypeError(f"save: expected strings as metadata, {key!r} is {type(text).__name__}")

    # The widest dtypes come first, so that each array is aligned in memory when the file is mapped.
    order = sorted(state_dict, key=lambda key: (-state_dict[key].element_size(), key))
    arrays = {key: _row_major(state_dict[key]) for key in order}
    header = _header(arrays, metadata or {})
    length = len(header).to_bytes(8, "little")
    try:
        write_whole(path, length, header, *(array.reshape(-1).view(np.uint8).data for array in arrays.values()))
    except OSError as error:
        raise OSError(f"save: {error}") from None


def _row_major(x: Tensor) -> np.ndarray:
    """The array on the CPU in the format's order of elements and of bytes: itself, or a copy."""
    array = backend.to_device(x._array, backend.CPU)
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The JSON that says where each array lies in what follows, padded with blanks to a multiple of 8 bytes."""
    if "__metadata__" in arrays:
        raise ValueError("save: '__metadata__' is the format's name for the metadata: no Tensor can have it")
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for key, array in arrays.items():
        start, end = end, end + array.nbytes
        header[key] = {"dtype": _NAMES[array.dtype.name], "shape": array.shape, "data_offsets": [start, end]}
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"save: expected names and metadata of Unicode characters, got {error.object!r:.60}") from None
    if len(text) > _LONGEST_HEADER:
        raise ValueError(f"save: names and metadata take {len(text):,} bytes, more than {_LONGEST_HEADER:,}")
    return text.ljust(-(-len(text) // 8) * 8)


def load(path: StrPath, device: DeviceLike = None) -> dict[str, Tensor]:
    """The state_dict in a .safetensors file, on `device` (default: the CPU).

    Raises FileNotFoundError if there is no such file and ValueError if it is damaged or holds a dtype that Tensors do
    not have; both name the file.
    """
    from safetensors import SafetensorError, safe_open

    target = backend.device(device)
    path = checked_path("load", "path", path)
    if (kind := kind_of(path)) != "file":
        raise FileNotFoundError(f"load: no file {path}" + (f": it is a {kind}" if kind != "nothing" else ""))
    try:
        with safe_open(path, "numpy") as file:
            keys = file.keys()
            for key in keys:
                if (dtype := file.get_slice(key).get_dtype()) not in _NAMES.values():
                    wanted = "a dtype of NumPy's integers, booleans or real numbers"
                    raise ValueError(f"expected {wanted} (bfloat16 is none), {key!r} is {dtype}")
            arrays = file.get_tensors()
    except (SafetensorError, ValueError) as error:  # ValueError: NumPy's, for a shape that is too large
        raise ValueError(f"load: {path} is not a readable safetensors file: {error}") from None
    except OSError as error:
        raise OSError(f"load: cannot read {path}: {error.strerror or error}") from None
    except MemoryError:
        size = Path(path).stat().st_size
        raise MemoryError(f"load: not enough memory for the {size:,} bytes of {path}") from None
    return {key: wrap(backend.to_device(_valid(array), target)) for key, array in arrays.items()}


def _valid(array: np.ndarray) -> np.ndarray:
    """The array; if it is of booleans, whose bytes may be any in a file, of those that are 0 or 1."""
    return array.view(np.uint8) != 0 if array.dtype == bool else array
