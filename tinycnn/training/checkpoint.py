"""Checkpoints: the state of a training in a folder of safetensors and JSON files, which hold no code.

    step_900/model.safetensors    the weights: tinycnn.load reads them
             state.safetensors    the other tensors: the optimizer's, random states, ...
             state.json           everything else, and where each tensor stands in it
             manifest.json        format, version, and the size and SHA-256 sum of each of the files above
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import tinycnn
from tinycnn._files import StrPath, checked_path, kind_of, write_folder
from tinycnn.checks import shortened
from tinycnn.interop import safetensors_file
from tinycnn.interop.source import Source, Unreadable
from tinycnn.tensor import Tensor
from tinycnn.training.state import CheckpointError, joined, split

FORMAT = 1
MODEL, STATE, REST, MANIFEST = "model.safetensors", "state.safetensors", "state.json", "manifest.json"


def save_checkpoint(folder: StrPath, state: dict[str, Any]) -> None:
    """Writes `state`, such as `Trainer.state_dict()`, to a folder: whole or not at all, in the place of a former one.

    Args:
        folder: the folder to be made; the one that it lies in must be there.
        state: names to numbers, strings, None, Tensors, and dicts, lists and tuples of them; under "model" the model's
            state_dict.

    Raises OSError, naming the folder, if it cannot be written, TypeError for other values.
    """
    path = checked_path("save_checkpoint", "folder", folder)
    plain, tensors = split(state)
    weights = {name.removeprefix("model."): x for name, x in tensors.items() if name.startswith("model.")}
    others = {name: x for name, x in tensors.items() if not name.startswith("model.")}
    files: dict[str, list[bytes | memoryview]] = {
        MODEL: safetensors_file.parts(weights, {"step": str(state.get("step"))}),
        STATE: safetensors_file.parts(others, None),
        REST: [json.dumps(plain).encode()],
    }
    manifest = {"format": FORMAT, "tinycnn": tinycnn.__version__, "files": {name: _sum(files[name]) for name in files}}
    write_folder(path, {**files, MANIFEST: [json.dumps(manifest, indent=1).encode()]})


def all_checkpoints(folder: StrPath) -> list[tuple[int, Path]]:
    """Step and path of each folder step_N in `folder`, the last one last."""
    found = [(re.fullmatch(r"step_(\d+)", path.name), path) for path in Path(folder).glob("step_*")]
    return sorted((int(match[1]), path) for match, path in found if match and kind_of(path) == "folder")


def last_checkpoint(path: StrPath) -> Path:
    """The checkpoint that `path` means: itself, or the last one in it, or in the folder `checkpoints` in it.

    Raises FileNotFoundError if there is none, CheckpointError if the file `latest` names none.
    """
    root = Path(checked_path("last_checkpoint", "path", path))
    if kind_of(root / "checkpoints") == "folder":
        root /= "checkpoints"
    if re.fullmatch(r"step_\d+", root.name):
        return root
    if not (found := all_checkpoints(root) or _brought_back(root)):
        raise FileNotFoundError(f"{path}: no checkpoint there")
    if kind_of(root / "latest") == "file":
        name = _read(root / "latest").decode(errors="replace").strip()
        if not re.fullmatch(r"step_\d+", name):
            raise CheckpointError(f"{root / 'latest'}: expected the name of a checkpoint, got {name!r:.40}")
        if kind_of(root / name) == "folder":  # else it was killed while it was replaced
            return root / name
    return found[-1][1]


def _brought_back(root: Path) -> list[tuple[int, Path]]:
    """A whole checkpoint that has lost its name, as a process was killed while it replaced the only one."""
    for unnamed in sorted(root.glob(f"step_*.{'?' * 12}.part")):
        if _is_whole(unnamed):
            os.rename(unnamed, root / unnamed.name.partition(".")[0])
            break
    return all_checkpoints(root)


def load_checkpoint(folder: StrPath) -> dict[str, Any]:
    """The state in a folder that `save_checkpoint` wrote.

    Raises FileNotFoundError if there is no such folder, CheckpointError for what is no checkpoint, or one of another
    format, or a file of it that is missing, damaged or truncated; it names the one before that is whole.
    """
    root = Path(checked_path("load_checkpoint", "folder", folder))
    if kind_of(root) == "nothing":
        raise FileNotFoundError(f"{root}: no such checkpoint")
    try:
        return _loaded(root)
    except CheckpointError as error:
        earlier = itertools.takewhile(lambda found: found[1] != root, all_checkpoints(root.parent))
        whole = [path for _, path in earlier if _is_whole(path)]
        raise CheckpointError(f"{error}; the one before it is whole: {whole[-1]}" if whole else str(error)) from None


def _is_whole(root: Path) -> bool:
    try:
        return bool(_loaded(root))
    except CheckpointError:
        return False


def _loaded(root: Path) -> dict[str, Any]:
    manifest = _parsed(root / MANIFEST, _read(root / MANIFEST))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise CheckpointError(f"{root / MANIFEST}: expected the manifest of a checkpoint, got something else")
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{root / MANIFEST}: expected a checkpoint of format {FORMAT}, got {manifest.get('format')!r:.20}, "
            f"written by tinycnn {manifest.get('tinycnn')!r:.20}; this is {tinycnn.__version__}"
        )
    content = {}
    for name in (MODEL, STATE, REST):
        content[name] = _read(root / name)
        expected, found = manifest["files"].get(name), _sum([content[name]])
        if not isinstance(expected, dict) or expected.get("bytes") != found["bytes"]:
            wanted = expected.get("bytes") if isinstance(expected, dict) else None
            raise CheckpointError(f"{root / name}: expected {wanted} bytes, got {found['bytes']}")
        if expected != found:
            raise CheckpointError(f"{root / name}: its content is not what was written: the SHA-256 sum differs")
    weights, tensors = (_tensors(root / name, content[name]) for name in (MODEL, STATE))
    tensors |= {f"model.{name}": x for name, x in weights.items()}
    rest = _parsed(root / REST, content[REST])
    if not isinstance(rest, dict):
        raise CheckpointError(f"{root / REST}: expected the state of a training, got {shortened(rest)}")
    try:
        return joined(rest, tensors)
    except KeyError as missing:
        raise CheckpointError(f"{root / REST}: the tensor {missing} is in neither file") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{root / REST}: expected the state of a training: {error}") from None


def _sum(parts: list[Any]) -> dict[str, Any]:
    """The size and the SHA-256 sum of the bytes of a file."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return {"bytes": sum(memoryview(part).nbytes for part in parts), "sha256": total.hexdigest()}


def _read(path: Path) -> bytes:
    if (kind := kind_of(path)) != "file":
        raise CheckpointError(f"{path}: expected a file of a checkpoint, got {'a ' * (kind != 'nothing')}{kind}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read it: {error.strerror or error}") from None


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        with Source("load_checkpoint", io.BytesIO(content), False) as source:
            return safetensors_file.read(source, None)
    except Unreadable as error:
        raise CheckpointError(f"{path}: no readable safetensors file: {error}") from None


def _parsed(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: no JSON: {error}") from None
