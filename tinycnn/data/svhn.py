"""SVHN: house numbers in photographs, from the files for MATLAB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinycnn._extras import how_to_install
from tinycnn._files import StrPath, checked_path, kind_of
from tinycnn.checks import check_choice, check_flag
from tinycnn.data.download import download_files
from tinycnn.data.pictures import PictureDataset, PictureTransform
from tinycnn.data.transforms.pictures import pillow


class SVHN(PictureDataset):
    """Street View House Numbers: 73,257 training, 26,032 test and 531,131 further, simpler pictures of 32×32 in colour.
    The class is the digit in the middle.

    Args:
        root: the folder with train_32x32.mat and the other files. Default: the environment variable TINYCNN_DATA, else
            `data`.
        split: "train" (default), "test" or "extra".
        transform, target_transform: as for `PictureDataset`. Default None: PIL images (mode RGB).
        download: download a missing file, of 182, 64 or 1,330 MB. Default False.

    Attributes:
        data: array (N, 3, 32, 32) uint8. labels, also targets: array (N,) int64; 0 is 0, in the files 10.

    Raises FileNotFoundError for a missing file, DownloadError if the download fails, ImportError without SciPy, and for
    a download without pooch and torchvision, ValueError for a file that is not the published one.
    Source: Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.
    """

    mirrors: ClassVar[tuple[str, ...]] = ("http://ufldl.stanford.edu/housenumbers/",)
    # Of each split, the file and its MD5 sum.
    files: ClassVar[dict[str, tuple[str, str]]] = {
        "train": ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        "test": ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        "extra": ("extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7"),
    }

    def __init__(
        self, root: StrPath | None = None, split: str = "train", transform: PictureTransform | None = None,
        target_transform: PictureTransform | None = None, download: bool = False,
    ):  # fmt: skip
        root = (os.environ.get("TINYCNN_DATA") or "data") if root is None else checked_path("SVHN", "root", root)
        self.root = Path(root).expanduser()
        self.split = check_choice("SVHN", "split", split, tuple(self.files))
        self.filename, self.file_md5 = self.files[split]
        self._require(check_flag("SVHN", "download", download))
        contents = self._read()
        labels = contents["y"].astype(np.int64).ravel()
        labels[labels == 10] = 0
        super().__init__(contents["X"].transpose(3, 2, 0, 1), labels, "0123456789", transform, target_transform)

    @property
    def labels(self) -> Any:
        """`targets`, as torchvision calls them."""
        return self.targets

    @labels.setter
    def labels(self, labels: Any) -> None:
        self.targets = labels

    def _require(self, download: bool) -> None:
        if (self.root / self.filename).exists():
            return
        if not download:
            raise FileNotFoundError(
                f"SVHN: no {self.filename} in {self.root}; pass download=True or set root= or the environment variable "
                "TINYCNN_DATA to the folder with it"
            )
        files = {self.filename: self.file_md5}
        download_files("SVHN", files, self.mirrors, self.root, self._from_torchvision)

    def _from_torchvision(self, torchvision: Any, folder: Path, files: Iterable[str]) -> list[Path]:
        torchvision.datasets.SVHN(folder, self.split, download=True)
        return [folder / name for name in files]

    def _read(self) -> dict[str, np.ndarray]:
        """What the file holds: X (32, 32, 3, N) uint8 and y (N, 1)."""
        path = self.root / self.filename
        if (kind := kind_of(path)) != "file":
            raise ValueError(f"{path}: expected a file, got a {kind}; remove it")
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
        if found != self.file_md5:
            raise ValueError(
                f"{path}: expected MD5 {self.file_md5}, got {found}; delete the file and load with download=True"
            )
        try:
            from scipy.io import loadmat
        except ImportError:
            raise ImportError(f"SVHN: needs SciPy, which is not installed: {how_to_install('svhn')}") from None
        return loadmat(path)

    # Pictures lie channels first, as torchvision's do.

    def _picture(self, place: int) -> Any:
        return pillow("SVHN").fromarray(self.data[place].transpose(1, 2, 0))

    def _pixels(self, places: Any) -> np.ndarray:
        return self.data[places]
