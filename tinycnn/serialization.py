"""Weights in files: the safetensors format, which holds arrays and nothing that could run when it is read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.tensor import Tensor


def save(state_dict: Mapping[str, Tensor], path: str | os.PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a state_dict, and strings that describe it, to a .safetensors file (readable by torch users too).

    The file is complete or untouched: it is written beside itself and then renamed. OSError, naming the file,
    where that cannot be done.
    """
    from safetensors.numpy import save as to_bytes

    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"save: expected Tensors, {key!r} is {type(value).__name__}")
    metadata = dict(metadata or {})
    for key, text in metadata.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"save: expected strings as metadata, {key!r} is {type(text).__name__}")
    # Not ascontiguousarray: it would make (1,) of the shape () that counters have.
    arrays = {key: np.asarray(backend.to_device(x._array, backend.CPU), order="C") for key, x in state_dict.items()}
    data = _with_sorted_metadata(to_bytes(arrays, metadata=metadata))
    try:
        write_whole(path, data)
    except OSError as error:
        raise OSError(f"save: {error}") from None


def _with_sorted_metadata(data: bytes) -> bytes:
    """The library orders metadata differently in every process; sorted, equal states give equal files.

    Such a file is the length of its header (8 bytes), the header (JSON, blanks up to a multiple of 8), the arrays.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def load(path: str | os.PathLike, device: Any = None) -> dict[str, Tensor]:
    """The state_dict in a .safetensors file, on `device` (default: the CPU).

    FileNotFoundError or ValueError, naming the file, where there is none or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: no file {path}")
    try:
        arrays = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"load: {path} is not a readable safetensors file: {error}") from None
    except TypeError as error:  # a dtype that NumPy lacks, such as torch's bfloat16
        raise ValueError(f"load: {path} holds what NumPy does not: {error}") from None
    target = backend.device(device)
    return {key: Tensor._wrap(backend.to_device(array, target)) for key, array in arrays.items()}


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file beside itself and renames it: one of that name is replaced only once the new one is whole.

    OSError, naming the file, where that cannot be done.
    """
    path = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as part:
            temporary = Path(part.name)
            try:
                part.write(data)
                part.close()
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None


def _umask() -> int:
    """A temporary file is private; a saved one gets the usual permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
