"""Weights in files, in the safetensors format: it holds arrays and metadata, never code."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.tensor import Tensor


def save(state_dict: Mapping[str, Tensor], path: str | os.PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a state_dict to a .safetensors file, atomically: an existing file is replaced only by a complete one.

    Args:
        state_dict: names to Tensors on any device; views and transposed tensors are written in row-major order.
        metadata: names to strings, stored in the header of the file.

    Raises TypeError for other values in either, OSError, naming the file, if it cannot be written.
    Source: https://github.com/huggingface/safetensors#format
    """
    from safetensors.numpy import save as to_bytes

    for key, value in state_dict.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"save: expected Tensors, {key!r} is {type(value).__name__}")
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"save: expected strings as metadata, {key!r} is {type(text).__name__}")
    # Not ascontiguousarray: it turns the shape () of counters into (1,).
    arrays = {key: np.asarray(backend.to_device(x._array, backend.CPU), order="C") for key, x in state_dict.items()}
    data = _with_sorted_metadata(to_bytes(arrays, metadata=dict(metadata or {})))
    try:
        write_whole(path, data)
    except OSError as error:
        raise OSError(f"save: {error}") from None


def _with_sorted_metadata(data: bytes) -> bytes:
    """Sorts the metadata, whose order safetensors varies from process to process, so equal states give equal files.

    A file consists of the header's length (8 bytes), the header (JSON, padded with blanks to a multiple of 8) and the
    arrays.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text + data[start:]


def load(path: str | os.PathLike, device: DeviceLike = None) -> dict[str, Tensor]:
    """The state_dict in a .safetensors file, on `device` (default: the CPU).

    Raises FileNotFoundError if there is no such file and ValueError if it is damaged; both name the file.
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
    except TypeError as error:  # such as torch's bfloat16
        raise ValueError(f"load: {path} has a dtype that NumPy lacks: {error}") from None
    target = backend.device(device)
    return {key: wrap(backend.to_device(array, target)) for key, array in arrays.items()}


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` to a file atomically: to a temporary file in the same folder, then renamed.

    Raises OSError, naming the file, if it cannot be written.
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
    """The process's umask: a temporary file is private, a saved one gets the usual permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
