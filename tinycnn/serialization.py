"""Tensors in files: torch's format and safetensors. A file is read without executing anything that it holds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tinycnn._files import StrPath, checked_path, write_whole
from tinycnn.checks import check_flag

if TYPE_CHECKING:
    from tinycnn.interop.source import MapLocation, Source


def save(obj: object, f: StrPath | IO[bytes], metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors, and what holds them, to a file, whole or not at all: after a crash, too, there is the former file
    or the new one.

    Args:
        obj: for torch's format Tensors, numbers, strings, None, sizes, dtypes, devices, and dicts, lists, tuples and
            sets of them: the `state_dict()` of a net, of an optimizer, and what else a checkpoint needs. Tensors that
            share memory share it again when they are loaded. For safetensors names to Tensors only.
        f: a path, or a file opened for writing in binary mode. A name that ends in .safetensors means this format, any
            other one torch's, which `torch.load` reads.
        metadata: names to strings, stored in the header of a .safetensors file.

    Equal objects give equal files. Raises TypeError for other values, such as a whole net, ValueError for names that
    safetensors cannot hold, OSError, naming the file, if it cannot be written.
    """
    is_open = hasattr(f, "write")
    path = "" if is_open else checked_path("save", "f", f)  # type: ignore[arg-type]
    if path.lower().endswith(".safetensors"):
        from tinycnn.interop import safetensors_file

        parts = safetensors_file.parts(obj, metadata)
    else:
        from tinycnn.interop import torch_file

        if metadata is not None:
            raise ValueError(f"save: only a .safetensors file has metadata, got {path or type(f).__name__}")
        parts = torch_file.parts(obj)
    if is_open:
        if isinstance(f, io.TextIOBase):
            raise TypeError(f"save: expected a file opened in binary mode, {getattr(f, 'name', f)} takes text")
        for part in parts:
            f.write(part)  # type: ignore[union-attr]
        return
    try:
        write_whole(path, *parts)
    except OSError as error:
        raise OSError(f"save: {error}") from None


def load(
    f: StrPath | IO[bytes], map_location: MapLocation = None, *, weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:  # fmt: skip
    """What a file holds that `save`, `torch.save` or safetensors wrote. The content tells which format it has.

    Args:
        f: a path, also that of the index (.index.json) of a state_dict in several files, or a file opened for reading
            in binary mode.
        map_location: where the tensors are to be: a device; names of devices in the file to others; a function of a
            Tensor and the name of its device in the file that gives the Tensor moved, or None. Default: the device
            from which they were saved, of safetensors the CPU.
        weights_only: accepted for the sake of programs. Either way nothing is executed, and a file that names anything
            but tensors, containers and numbers is refused.
        mmap: map the file into memory, and read what is used, when it is used. The file is never written.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or holds anything else, RuntimeError
    for a device that this machine lacks; each names the file. ImportError for bfloat16 where ml_dtypes is missing.
    """
    from tinycnn.interop.source import checked_location

    for argument, flag in (("weights_only", weights_only), ("mmap", mmap)):
        if flag is not None:
            check_flag("load", argument, flag)
    return _load(f, checked_location(map_location), bool(mmap))


def load_metadata(f: StrPath | IO[bytes]) -> dict[str, str]:
    """The strings that a .safetensors file holds beside its tensors, by name: what `save` was given as `metadata`.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or no .safetensors file, OSError if
    it cannot be read; each names the file.
    """
    from tinycnn.interop import safetensors_file
    from tinycnn.interop.source import Source, Unreadable

    name = str(f)
    try:
        with Source("load_metadata", f, False) as source:
            name = source.name
            return safetensors_file.metadata(source)
    except Unreadable as error:
        raise ValueError(f"load_metadata: {name} is not a readable safetensors file: {error}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(f"load_metadata: cannot read {name}: {error.strerror or error}") from None


def _load(f: StrPath | IO[bytes], map_location: MapLocation, mmap: bool, is_shard: bool = False) -> Any:
    from tinycnn.interop import safetensors_file, torch_file
    from tinycnn.interop.source import Source, Unreadable

    name, size, kind = str(f), 0, ""
    try:
        with Source("load", f, mmap) as source:
            name, size, kind = source.name, source.size, _format(source)
            if kind == "torch":
                return torch_file.read(source, map_location)
            if kind == "safetensors" or is_shard:
                return safetensors_file.read(source, map_location)
            shards = safetensors_file.shards(source)
    except Unreadable as error:
        raise ValueError(f"load: {name} is not a readable {kind} file: {error}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(f"load: cannot read {name}: {error.strerror or error}") from None
    except MemoryError:
        raise MemoryError(f"load: not enough memory for the {size:,} bytes of {name}") from None
    state: dict[str, Any] = {}
    for file, keys in shards.items():
        path = Path(name).parent / file
        found = _load(path, map_location, mmap, is_shard=True)
        if missing := [key for key in keys if key not in found]:
            raise ValueError(f"load: {path} lacks {missing[0]!r}, which {name} announces")
        state |= {key: found[key] for key in keys}
    return state


def _format(source: Source) -> str:
    """The format of a file, by how it begins."""
    head = source.head(0, 512)
    if head[8:9] == b"{" and 0 in head[:8]:  # its header, after the length, in which one of eight bytes is 0
        return "safetensors"
    if head.startswith((b"PK", b"\x80")) or head[257:262] == b"ustar":
        return "torch"
    return "index" if head.startswith(b"{") else "safetensors"
