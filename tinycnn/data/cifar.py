"""CIFAR-10 and CIFAR-100, from the files for Python: pickles, which are read here without executing anything."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinycnn._files import StrPath, checked_path, kind_of
from tinycnn.checks import check_flag
from tinycnn.data.download import download_files
from tinycnn.data.pictures import PictureDataset, PictureTransform


class CIFAR10(PictureDataset):
    """CIFAR-10: 50,000 training or 10,000 test pictures of 32×32 in colour, of ten classes.

    Args:
        root: the folder with cifar-10-batches-py, as torchvision lays it out. Default: the environment variable
            TINYCNN_DATA, else `data`.
        train: the training part (default) or the test part.
        transform, target_transform: as for `PictureDataset`. Default None: PIL images (mode RGB).
        download: download missing files. Default False.

    Attributes:
        data: array (N, 32, 32, 3) uint8. targets: a list of N ints.

    Raises FileNotFoundError for missing files, DownloadError if the download fails, ImportError without pooch and
    torchvision, ValueError for a file that is not the published one.
    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    folder: ClassVar[str] = "cifar-10-batches-py"
    archive: ClassVar[tuple[str, str]] = ("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
    mirrors: ClassVar[tuple[str, ...]] = ("https://www.cs.toronto.edu/~kriz/",)
    # Files to their MD5 sums.
    train_files: ClassVar[dict[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    }
    test_files: ClassVar[dict[str, str]] = {"test_batch": "40351d587109b95175f43aff81a1287e"}
    names_file: ClassVar[dict[str, str]] = {"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"}
    labels_key: ClassVar[str] = "labels"
    names_key: ClassVar[str] = "label_names"

    def __init__(
        self, root: StrPath | None = None, train: bool = True, transform: PictureTransform | None = None,
        target_transform: PictureTransform | None = None, download: bool = False,
    ):  # fmt: skip
        own = self.name
        root = (os.environ.get("TINYCNN_DATA") or "data") if root is None else checked_path(own, "root", root)
        self.root = Path(root).expanduser()
        self.train = check_flag(own, "train", train)
        files = self.train_files if train else self.test_files
        self._require([*files, *self.names_file], check_flag(own, "download", download))
        (names,) = (self._read(name, md5)[self.names_key] for name, md5 in self.names_file.items())
        batches = [self._read(name, md5) for name, md5 in files.items()]
        data = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        targets = [label for batch in batches for label in batch[self.labels_key]]
        super().__init__(data, targets, names, transform, target_transform)

    def _require(self, names: list[str], download: bool) -> None:
        folder = self.root / self.folder
        missing = [name for name in names if not (folder / name).exists()]
        if missing and not download:
            raise FileNotFoundError(
                f"{self.name}: no {' and '.join(missing)} in {folder}; pass download=True or set root= or the "
                f"environment variable TINYCNN_DATA to the folder with {self.folder}"
            )
        if missing:
            download_files(self.name, dict([self.archive]), self.mirrors, folder, self._from_torchvision, self._unpack)

    def _files(self) -> Iterable[str]:
        return [*self.train_files, *self.test_files, *self.names_file]

    def _from_torchvision(self, torchvision: Any, folder: Path, files: Iterable[str]) -> list[Path]:
        getattr(torchvision.datasets, self.name)(folder, download=True)
        return [folder / self.folder / name for name in self._files()]

    def _unpack(self, file: Path) -> Iterator[tuple[str, bytes]]:
        """The names and contents of the files of an archive; of known names alone."""
        with tarfile.open(file) as archive:
            for name in self._files():
                content = archive.extractfile(f"{self.folder}/{name}")
                assert content is not None  # a file: the archive's checksum is that of the published one
                yield name, content.read()

    def _read(self, name: str, md5: str) -> dict[str, Any]:
        path = self.root / self.folder / name
        if (kind := kind_of(path)) != "file":
            raise ValueError(f"{path}: expected a file, got a {kind}; remove it")
        content = path.read_bytes()
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != md5:
            raise ValueError(
                f"{path}: expected MD5 {md5}, got {found}; delete the file and load with download=True"
            )
        return read_batch(content, str(path))


class CIFAR100(CIFAR10):
    """CIFAR-100: CIFAR-10's sizes, of a hundred classes, in cifar-100-python. Arguments and errors are `CIFAR10`'s."""

    folder = "cifar-100-python"
    archive = ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85")
    train_files: ClassVar[dict[str, str]] = {"train": "16019d7e3df5f24257cddd939b257f8d"}
    test_files: ClassVar[dict[str, str]] = {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
    names_file: ClassVar[dict[str, str]] = {"meta": "7973b15100ade9c7d40fb424638fde48"}
    labels_key = "fine_labels"
    names_key = "fine_label_names"


# --- reading pickles --------------------------------------------------------------------------------------


class _Array:
    """Stands for an array of bytes that a pickle describes."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        if kind != "u1":
            raise pickle.UnpicklingError(f"an array of {kind}, where one of bytes was expected")
        content = content.encode("latin1") if isinstance(content, str) else content
        self.array = np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Kind(str):
    """Stands for a dtype: its name."""

    def __setstate__(self, state: Any) -> None: ...


# All that these files refer to, and what stands for it here: nothing of NumPy's is called.
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): lambda name, *_: _Kind(name if isinstance(name, str) else name.decode("latin1")),
    ("_codecs", "encode"): lambda text, coding: text.encode("latin1"),
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}") from None


def read_batch(content: bytes, path: str) -> dict[str, Any]:
    """The dict in a file of CIFAR: lists, numbers, strings, and arrays of bytes. ValueError, naming `path`, for a
    pickle that holds or refers to anything else, or is damaged."""
    try:
        found = _Reader(io.BytesIO(content), encoding="latin1").load()
        if not isinstance(found, dict):
            raise pickle.UnpicklingError(f"it holds a {type(found).__name__}, where a dict was expected")
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: expected a file of CIFAR, got another pickle: {reason}") from None
    return {key: value.array if isinstance(value, _Array) else value for key, value in found.items()}
