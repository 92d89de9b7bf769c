"""A run read back: its settings, its figures, and its net with the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, Self

import numpy as np

from tinycnn import no_grad, serialization, zeros
from tinycnn._files import StrPath, checked_path, kind_of
from tinycnn.data.arrays import ArrayDataset
from tinycnn.data.pictures import PictureDataset
from tinycnn.data.transforms.compose import steps_of
from tinycnn.data.transforms.normalize import Normalize
from tinycnn.models import model_for
from tinycnn.nn import Module

FORMAT = 1  # of the first line of metrics.jsonl and of the metadata of the weights
METRICS, WEIGHTS, REPORT = "metrics.jsonl", "weights.safetensors", "report.png"


class RunError(ValueError):
    """What was given is no run, no weights of one, or does not fit; one line, which names the file."""


def flattened(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names, such as optimizer.lr."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        is_table = isinstance(value, dict) and value
        flat |= flattened(value, f"{prefix}{name}.") if is_table else {f"{prefix}{name}": value}
    return flat


@dataclass(frozen=True)
class DataInfo:
    """What a net has to know of the data that it was trained on, to be used on others.

    In the metadata of the weights it is the entry "data", `to_json()` of `DataInfo.of(dataset)`.
    """

    image_shape: tuple[int, int, int]  # (C, H, W)
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # with which the pictures were normalised: one for all channels, or one for each
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: ArrayDataset | PictureDataset) -> Self:
        """What `dataset` has to tell."""
        image, _ = dataset[0]
        steps = [dataset.normalize] if isinstance(dataset, ArrayDataset) else steps_of(dataset.transform)
        normalize = next((step for step in steps if isinstance(step, Normalize)), Normalize(0.0, 1.0))
        mean, std = (tuple(map(float, np.ravel(statistic))) for statistic in (normalize.mean, normalize.std))
        return cls(tuple(image.shape), tuple(dataset.classes or ()), mean, std)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote. ValueError for anything else."""
        entry = json.loads(text)
        if not isinstance(entry, dict) or entry.keys() != cls.__dataclass_fields__.keys():
            raise ValueError(f"expected {', '.join(cls.__dataclass_fields__)}, got {entry!r:.60}")
        kinds = {"image_shape": int, "classes": str, "mean": float, "std": float}
        for name, values in entry.items():
            if not isinstance(values, list) or not all(isinstance(value, kinds[name]) for value in values):
                raise ValueError(f"expected {name} as a list of {kinds[name].__name__}, got {values!r:.60}")
        C = entry["image_shape"][0] if len(entry["image_shape"]) == 3 else 0
        if C < 1 or not all(len(entry[name]) in (1, C) for name in ("mean", "std")) or not all(entry["std"]):
            raise ValueError(f"expected (C, H, W), and for each channel a mean and a std above 0, got {entry!r:.90}")
        return cls(**{name: tuple(values) for name, values in entry.items()})

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Weights:
    """The weights that a run left, without the arrays, which `model` reads."""

    path: Path
    dataset: str
    epoch: int
    accuracy: float  # on the test part, from 0 to 1
    recipe: dict[str, Any]  # the settings of the run
    data: DataInfo

    def model(self) -> Module:
        """The net with these weights, on the CPU and in evaluation mode. RunError if they are those of another one."""
        name = self.recipe["model"]
        try:
            options = self.recipe.get("model_options", {})
            model = model_for(name, self.data.image_shape, len(self.data.classes), **options)
            model.load_state_dict(serialization.load(self.path))
        except (ValueError, TypeError) as error:
            raise RunError(shorten(f"{self.path}: cannot make the model {name!r}: {error}", 300)) from None
        return model.eval()

    def classifier(self) -> Module:
        """The same. RunError for a net that does not label whole pictures."""
        model = self.model()
        with no_grad():
            shape = tuple(model(zeros(1, *self.data.image_shape)).shape)
        if len(shape) != 2:
            name = self.recipe["model"]
            raise RunError(f"{self.path}: expected a net that labels pictures, {name} gives scores {shape} of one")
        return model

    def check_fits(self, dataset: ArrayDataset | PictureDataset, name: str) -> None:
        """RunError unless the net takes the pictures of `dataset` and knows its classes."""
        expected, found = self.data, DataInfo.of(dataset)
        if found.image_shape != expected.image_shape:
            wanted, got = ("×".join(map(str, info.image_shape)) for info in (expected, found))
            raise RunError(f"{self.path}: the net takes pictures of {wanted}, {name} has {got}")
        if found.classes != expected.classes:
            raise RunError(
                f"{self.path}: the net knows {_listed(expected.classes)}, {name} has {_listed(found.classes)}"
            )


@dataclass(frozen=True)
class RunResults:
    """What a run left in its folder."""

    folder: Path
    dataset: str
    settings: dict[str, Any]
    computing: dict[str, Any]  # device, precision, capture
    versions: dict[str, str | None]
    metrics: list[dict[str, Any]]  # the figures of each completed epoch

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.folder.resolve().name

    def weights(self) -> Weights:
        """The weights of the last completed epoch. RunError if there are none."""
        return read_weights(self.folder)

    def model(self) -> Module:
        """The net with these weights."""
        return self.weights().model()


def read_run(folder: StrPath) -> RunResults:
    """What the run in `folder` left. RunError, naming it, for what is no run, or one in another format."""
    root = Path(checked_path("read_run", "folder", folder))
    path = root / METRICS
    if kind_of(path) != "file":
        found = f"there is no {METRICS}" if kind_of(root) == "folder" else _found(root)
        raise RunError(f"{root}: expected the folder of a run, {found}")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise RunError(f"{path}: cannot read it: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(shorten(f"{path}: expected JSON in each line: {error}", 300)) from None
    header, metrics = (lines or [None])[0], lines[1:]
    kinds = {"dataset": str, "settings": dict, "versions": dict}
    if not isinstance(header, dict) or not all(isinstance(header.get(name), kind) for name, kind in kinds.items()):
        raise RunError(f"{path}: expected the settings of a run in line 1, got {header!r:.60}")
    _check_format(path, header, header["versions"])
    for number, line in enumerate(metrics, 2):
        if not isinstance(line, dict) or not _are_figures(line):
            raise RunError(f"{path}: expected the figures of an epoch in line {number}, got {line!r:.60}")
    computing = {key: header.get(key) for key in ("device", "precision", "capture")}
    return RunResults(root, header["dataset"], header["settings"], computing, header["versions"], metrics)


def read_weights(path: StrPath) -> Weights:
    """The weights at `path`, a file or the folder of a run.

    Raises RunError, naming the file, for what is no file of a run, or in another format. The file may lie anywhere: its
    metadata hold the settings of the run.
    """
    path = Path(checked_path("read_weights", "path", path))
    file = path / WEIGHTS if kind_of(path) == "folder" else path
    if kind_of(file) != "file":
        reason = f"there is no {WEIGHTS}: no epoch was complete" if kind_of(path / METRICS) == "file" else _found(file)
        raise RunError(f"{path}: expected the weights of a run, {reason}")
    try:
        metadata = serialization.load_metadata(file)
    except ValueError as error:
        raise RunError(f"{file}: expected the weights of a run: {str(error).rpartition(': ')[2]}") from None
    if "recipe" not in metadata:
        raise RunError(f"{file}: expected the weights of a run: no recipe in its metadata")
    _check_format(file, metadata, metadata)
    try:
        recipe = json.loads(metadata["recipe"])
        if not isinstance(recipe, dict) or not all(isinstance(recipe.get(name), str) for name in ("model", "dataset")):
            raise ValueError(f"expected a recipe that names a model and a dataset, got {recipe!r:.60}")
        return Weights(
            file, metadata["dataset"], int(metadata["epoch"]), float(metadata["accuracy"]), recipe,
            DataInfo.from_json(metadata["data"]),
        )  # fmt: skip
    except (ValueError, KeyError) as error:
        raise RunError(shorten(f"{file}: damaged metadata: {error}", 300)) from None


def _are_figures(line: dict[str, Any]) -> bool:
    """Whether a line has the figures of an epoch: numbers, null for inf and nan, and norms by name."""
    norms = line.get("gradient_norms", {})
    numbers = [value for name, value in line.items() if name not in ("gradient_norms", "dataset")]
    numbers += norms.values() if isinstance(norms, dict) else ["none"]
    return isinstance(line.get("epoch"), int) and all(v is None or isinstance(v, (int, float)) for v in numbers)


def _check_format(path: Path, entries: Mapping[str, Any], versions: Mapping[str, Any]) -> None:
    if str(entries.get("format")) != str(FORMAT):
        writer = versions.get("tinycnn") or "of another version"
        raise RunError(
            f"{path}: expected a run in format {FORMAT}, got {entries.get('format')!r:.20}, written by tinycnn {writer}"
        )


def _found(path: Path) -> str:
    kind = kind_of(path)
    return "there is nothing" if kind == "nothing" else f"got a {kind}"


def _listed(classes: tuple[str, ...]) -> str:
    return shorten(f"{len(classes)} classes ({', '.join(classes)})", 80, placeholder=" …)")
