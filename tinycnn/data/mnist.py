"""MNIST and Fashion-MNIST: found on disk or downloaded, checked byte for byte, read from the IDX format."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import math
import os
import re
import threading
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinycnn._extras import how_to_install
from tinycnn.data.dataset import ArrayDataset

# The first four bytes of an IDX file: 0, 0, the type (8: unsigned byte), the number of dimensions.
_MAGIC_OF_LABELS = 0x00000801
_MAGIC_OF_IMAGES = 0x00000803

_PATIENCE = 4  # seconds to wait for a mirror's first sign of life


class DownloadError(OSError):
    """A data set's files could not be had from any mirror."""


class MNIST(ArrayDataset):
    """The MNIST handwritten digits: 60,000 training or 10,000 test images, (1, 28, 28) float32, classes 0..9.

    Args:
        root: the folder that holds MNIST/raw/train-images-idx3-ubyte[.gz] and its like, torchvision's layout.
            Default: the environment variable TINYCNN_DATA, or else `data`.
        train: the training part (default) or the test part.
        transform: as for `ArrayDataset`.
        download: fetch missing files from the internet. Default False.
        normalize: True (default): to zero mean and unit variance, by the training images' mean 0.1307 and
            standard deviation 0.3081; (mean, std): by these instead; None: leave the pixels in [0, 1].

    Raises FileNotFoundError where files are missing, DownloadError where no mirror delivers them, ImportError
    where nothing is installed to download with, ValueError for a file that is not the published one.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
    """

    folder: ClassVar[str] = "MNIST"
    mean_and_std: ClassVar[tuple[float, float]] = (0.1307, 0.3081)
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    # By file: the MD5 sums of the content and of the published .gz.
    checksums: ClassVar[dict[str, tuple[str, str]]] = {
        "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
        "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
        "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
    }

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        train: bool = True,
        transform: Callable[[np.ndarray], np.ndarray] | None = None,
        *,
        download: bool = False,
        normalize: bool | tuple[Any, Any] | None = True,
    ):
        self.root = Path(root or os.environ.get("TINYCNN_DATA") or "data").expanduser()
        part = "train" if train else "t10k"
        names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        self._require(names, download)
        images, labels = (self._read(name) for name in names)
        if len(images) != len(labels):
            raise ValueError(f"{self._path(names[1])}: expected {len(images)} labels, got {len(labels)}")
        super().__init__(
            images[:, None],
            labels,
            transform,
            classes=self.class_names,
            name=type(self).__name__,
            normalize=self.mean_and_std if normalize is True else normalize or None,
        )

    @property
    def raw_folder(self) -> Path:
        """The folder of the files."""
        return self.root / self.folder / "raw"

    def _require(self, names: list[str], download: bool) -> None:
        missing = [name for name in names if not self._path(name).exists()]
        if missing and not download:
            raise FileNotFoundError(
                f"{type(self).__name__}: no {_gz_names(missing)} in {self.raw_folder}; pass download=True or "
                f"set root= or the environment variable TINYCNN_DATA to the folder with {self.folder}/raw"
            )
        if missing:
            _download(self, missing)

    def _path(self, name: str) -> Path:
        """The plain file if it is there, else the compressed one, there or not."""
        plain = self.raw_folder / name
        return plain if plain.exists() else self.raw_folder / f"{name}.gz"

    def _read(self, name: str) -> np.ndarray:
        """The array in a file, which must be the published one.

        Only the decompressed bytes are compared: a .gz depends on who made it.
        """
        path = self._path(name)
        content = _read_bytes(path)
        array = _parse_idx(content, path)
        expected, _ = self.checksums[name]
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:
            raise _bad_file(path, f"MD5 {expected} of the decompressed bytes, got {found}")
        return array


class FashionMNIST(MNIST):
    """Fashion-MNIST: pictures of clothing, with MNIST's sizes and file format, below FashionMNIST/raw.

    Arguments and errors are those of `MNIST`; mean and standard deviation are 0.2860 and 0.3530.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", 2017.
    """

    folder = "FashionMNIST"
    mean_and_std = (0.2860, 0.3530)
    class_names = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                   "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    checksums: ClassVar[dict[str, tuple[str, str]]] = {
        "train-images-idx3-ubyte": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        "train-labels-idx1-ubyte": ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
        "t10k-images-idx3-ubyte": ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
        "t10k-labels-idx1-ubyte": ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
    }


# --- reading ----------------------------------------------------------------------------------------------


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, plain or gzip: labels (N,) or images (N, H, W), uint8,
    read-only.

    Raises FileNotFoundError for a missing file and ValueError for one that is not such a file, in one line
    that says what is wrong with it.
    """
    return _parse_idx(_read_bytes(Path(path)), path)


def _read_bytes(path: Path) -> bytes:
    """The file's content, decompressed. Its first bytes tell gzip from plain IDX, not its name."""
    if path.is_dir():
        raise ValueError(f"{path}: expected an IDX file, got a folder; remove it or name the file within")
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _bad_file(path, f"an intact gzip file, got a damaged one ({error})") from error


def _parse_idx(content: bytes, path: str | os.PathLike) -> np.ndarray:
    if not content:
        raise _bad_file(path, "an IDX file, got an empty one")
    magic = int.from_bytes(content[:4], "big")
    if magic not in (_MAGIC_OF_LABELS, _MAGIC_OF_IMAGES):
        raise _bad_file(
            path,
            f"the magic number {_MAGIC_OF_LABELS:#010x} (labels) or {_MAGIC_OF_IMAGES:#010x} (images), "
            f"got {content[:4].hex(' ')}",
        )
    ndim = magic & 0xFF
    header = 4 + 4 * ndim
    if len(content) < header:
        raise _bad_file(path, f"a header of {header} bytes, got a file of {len(content)}")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4))
    expected = header + math.prod(shape)
    if len(content) != expected:
        verdict = "truncated" if len(content) < expected else "trailing bytes"
        raise _bad_file(path, f"{expected} bytes for shape {shape}, got {len(content)} ({verdict})")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _bad_file(path: str | os.PathLike, problem: str) -> ValueError:
    return ValueError(f"{path}: expected {problem}; delete the file and load with download=True")


# --- downloading ------------------------------------------------------------------------------------------


def _download(dataset: MNIST, missing: list[str]) -> None:
    """Downloads the `missing` files into `dataset.raw_folder`, with pooch or else with torchvision.

    Raises DownloadError where no mirror delivers, ImportError where neither library is installed.
    """
    try:
        importlib.import_module("pooch")
    except ImportError:
        reasons = _download_with_torchvision(dataset)
    else:
        reasons = _download_with_pooch(dataset, missing)
    if reasons:
        raise DownloadError(
            f"{type(dataset).__name__}: could not download {_gz_names(missing)}: {'; '.join(reasons)}; "
            f"check the connection, or put the files into {dataset.raw_folder} by hand"
        )


def _download_with_pooch(dataset: MNIST, missing: list[str]) -> list[str]:
    """Tries the mirrors in turn for each file. Returns why each failed for a file that none delivered."""
    import pooch

    # Without tqdm, pooch refuses to draw a progress bar. timeout: seconds to connect, and between two packets.
    downloader = pooch.HTTPDownloader(progressbar=find_spec("tqdm") is not None, timeout=(5, 30))
    for name in missing:
        _, gz_md5 = dataset.checksums[name]
        reasons = []
        for mirror in dataset.mirrors:
            if _is_silent(f"{mirror}{name}.gz"):
                reasons.append(f"{mirror}: no answer within {_PATIENCE} seconds")
                continue
            try:
                # Downloads to a temporary name, verifies, then renames: nothing half-written is left behind.
                pooch.retrieve(
                    f"{mirror}{name}.gz",
                    known_hash=f"md5:{gz_md5}",
                    fname=f"{name}.gz",
                    path=dataset.raw_folder,
                    downloader=downloader,
                )
                break
            except (OSError, ValueError) as error:  # the connection or the server's answer; the checksum
                reasons.append(f"{mirror}: {_one_line(error)}")
        else:
            return reasons
    return []


def _is_silent(url: str) -> bool:
    """Whether nothing, not even an error, comes back from `url` within _PATIENCE seconds.

    A time limit on connecting holds for each of a host's addresses, of which there may be a dozen: behind a
    firewall that swallows packets it would add up to minutes.
    """
    import requests  # pooch's own dependency

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            requests.head(url, timeout=_PATIENCE)

    question = threading.Thread(target=ask, daemon=True)
    question.start()
    question.join(_PATIENCE)
    return question.is_alive()


def _download_with_torchvision(dataset: MNIST) -> list[str]:
    name = type(dataset).__name__
    try:
        torchvision = importlib.import_module("torchvision")
    except ImportError:
        raise ImportError(
            f"{name}: downloading needs pooch, which is not installed: {how_to_install('examples')}"
        ) from None
    try:
        getattr(torchvision.datasets, dataset.folder)(dataset.root, download=True)
    except (OSError, RuntimeError) as error:
        return [f"torchvision: {_one_line(error)}"]
    return []


def _gz_names(names: list[str]) -> str:
    return " and ".join(f"{name}.gz" for name in names)


def _one_line(error: Exception) -> str:
    # requests wraps "connection refused" in lines about pools and retries, the cause comes last.
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r".*\(Caused by (.*)\)", r"\1", text)
