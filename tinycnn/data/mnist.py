"""MNIST, Fashion-MNIST and KMNIST: read from disk or downloaded, in the IDX format, and verified by checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinycnn._files import StrPath, checked_path
from tinycnn.autograd import wrap
from tinycnn.checks import check_flag, shortened
from tinycnn.data.download import download_files
from tinycnn.data.idx import bad_file, read_content
from tinycnn.data.pictures import PictureDataset, PictureTransform
from tinycnn.data.transforms.compose import Compose
from tinycnn.data.transforms.convert import ToTensor
from tinycnn.data.transforms.normalize import Normalize, PerChannel

DIGITS = ("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
          "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine")  # fmt: skip


class IdxDataset(PictureDataset):
    """Base class: pictures and their classes in two IDX files in root/FOLDER/raw, where torchvision puts them.

    Args:
        root: the folder with FOLDER. None: the environment variable TINYCNN_DATA, else `data`.
        files: the names of the pictures' file and of the labels', without `.gz`.
        classes: the names of the classes.
        transform, target_transform: as for `PictureDataset`.
        download: download missing files.

    Attributes:
        data: Tensor (N, H, W) uint8. targets: Tensor (N,) int64, of `QMNIST` (N, 8).
    """

    folder: ClassVar[str]
    mirrors: ClassVar[tuple[str, ...]]
    # File to the MD5 sums of its content, None where that is not known, and of the published, packed one.
    checksums: ClassVar[dict[str, tuple[str | None, str]]] = {}
    largest: ClassVar[int] = 2**26  # bytes of a file that are read; of MNIST and of Fashion-MNIST 47,040,016 at most

    def __init__(
        self, root: StrPath | None, files: tuple[str, str], classes: Sequence[str], transform: PictureTransform | None,
        target_transform: PictureTransform | None, download: bool,
    ):  # fmt: skip
        own = self.name
        root = (os.environ.get("TINYCNN_DATA") or "data") if root is None else checked_path(own, "root", root)
        self.root = Path(root).expanduser()
        self._require(files, check_flag(own, "download", download))
        images, labels = (self._read(name) for name in files)
        if len(images) != len(labels):
            raise ValueError(f"{self._path(files[1])}: expected {len(images)} labels, got {len(labels)}")
        codes, last = labels if labels.ndim == 1 else labels[:, 0], len(classes) - 1
        if len(codes) and not 0 <= codes.min() <= codes.max() <= last:
            raise ValueError(f"{own}: expected targets within 0..{last}, got {codes.min()}..{codes.max()}")
        data, targets = wrap(images.copy()), wrap(labels.astype(np.int64))
        super().__init__(data, targets, classes, transform, target_transform)

    @property
    def train_data(self) -> Any:
        """`data`, by a former name of torchvision's."""
        return self.data

    @property
    def train_labels(self) -> Any:
        """`targets`, by a former name of torchvision's."""
        return self.targets

    test_data, test_labels = train_data, train_labels

    @property
    def raw_folder(self) -> Path:
        """The folder of the files, root/FOLDER/raw."""
        return self.root / self.folder / "raw"

    def _require(self, names: Sequence[str], download: bool) -> None:
        missing = [name for name in names if not self._path(name).exists()]
        if missing and not download:
            raise FileNotFoundError(
                f"{self.name}: no {' and '.join(map(self._packed, missing))} in {self.raw_folder}; pass download=True "
                f"or set root= or the environment variable TINYCNN_DATA to the folder with {self.folder}/raw"
            )
        if missing:
            self._download(missing)

    def _download(self, names: list[str]) -> None:
        files = {self._packed(name): self.checksums[name][1] for name in names}
        download_files(self.name, files, self.mirrors, self.raw_folder, self._from_torchvision)

    def _from_torchvision(self, torchvision: Any, folder: Path, files: Iterable[str]) -> list[Path]:
        """The files as torchvision downloads them into `folder`, unpacked or not."""
        getattr(torchvision.datasets, self.folder)(folder, *self._part(), download=True)
        packed = [folder / self.folder / "raw" / name for name in files]
        return [path.with_suffix("") if path.with_suffix("").exists() else path for path in packed]

    def _part(self) -> tuple[str, ...]:
        """What torchvision's class asks for beside `root`."""
        return ()

    def _packed(self, name: str) -> str:
        """The name of a file as it is published."""
        return f"{name}.gz"

    def _path(self, name: str) -> Path:
        """The plain file if it exists, else the packed one, whether it exists or not."""
        plain = self.raw_folder / name
        return plain if plain.exists() else self.raw_folder / self._packed(name)

    def _read(self, name: str) -> np.ndarray:
        """The array in a file. ValueError unless it is the published one.

        The checksum is that of the unpacked bytes: those of a .gz depend on the compressor.
        """
        path = self._path(name)
        content, array = read_content(str(path), self.largest)
        if f"-idx{array.ndim}-" not in name:
            raise bad_file(path, f"the dimensions that its name tells, got shape {array.shape}")
        expected, _ = self.checksums.get(name, (None, ""))
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if expected is not None and found != expected:
            raise bad_file(path, f"MD5 {expected} of the decompressed bytes, got {found}")
        return array


class MNIST(IdxDataset):
    """The MNIST handwritten digits: 60,000 training or 10,000 test pictures of 28×28, classes 0..9.

    Without a transform, items are normalised: Tensors (1, 28, 28) float32. A transform that is given sees PIL images
    (mode L), as torchvision's does: `Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])` gives the same as none.

    Args:
        root: the folder with MNIST/raw/train-images-idx3-ubyte[.gz] and the other files, as torchvision lays them out.
            Default: the environment variable TINYCNN_DATA, else `data`.
        train: the training part (default) or the test part.
        transform, target_transform: as for `PictureDataset`.
        download: download missing files. Default False.
        normalize: what is done without a transform, beside scaling to [0, 1]: True (default) for zero mean and unit
            variance, by the training images' mean 0.1307 and standard deviation 0.3081; (mean, std) for others; None or
            False for nothing.

    Attributes:
        data: Tensor (N, 28, 28) uint8. targets: Tensor (N,) int64.

    Raises FileNotFoundError for missing files, DownloadError if every mirror fails, ImportError without pooch and
    torchvision, ValueError for a file that is not the published one, or for both a transform and a normalize.
    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.
    """

    folder: ClassVar[str] = "MNIST"
    mean_and_std: ClassVar[tuple[float, float]] = (0.1307, 0.3081)
    class_names: ClassVar[tuple[str, ...]] = DIGITS
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    checksums: ClassVar[dict[str, tuple[str | None, str]]] = {
        "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
        "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
        "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
    }

    def __init__(
        self, root: StrPath | None = None, train: bool = True, transform: PictureTransform | None = None,
        target_transform: PictureTransform | None = None, download: bool = False, *,
        normalize: bool | tuple[PerChannel, PerChannel] | None = True,
    ):  # fmt: skip
        self.train = check_flag(self.name, "train", train)
        part = "train" if train else "t10k"
        files = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        transform = self._chosen(transform, normalize)
        super().__init__(root, files, self.class_names, transform, target_transform, download)

    def _chosen(self, transform: PictureTransform | None, normalize: Any) -> PictureTransform:
        """The transform that is given, or the default one."""
        if transform is not None:
            if normalize is not True:
                raise ValueError(f"{self.name}: expected a transform or normalize, got both; put Normalize into it")
            return transform
        if normalize is None or normalize is False:
            return ToTensor()
        if normalize is not True and not (isinstance(normalize, (tuple, list)) and len(normalize) == 2):
            raise TypeError(f"{self.name}: expected normalize as (mean, std), got {shortened(normalize)}")
        return Compose([ToTensor(), Normalize(*(self.mean_and_std if normalize is True else normalize))])


class FashionMNIST(MNIST):
    """Fashion-MNIST: pictures of clothing, of MNIST's sizes and file format, in FashionMNIST/raw.

    Arguments and errors are those of `MNIST`; mean and standard deviation are 0.2860 and 0.3530.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms", 2017.
    """

    folder = "FashionMNIST"
    mean_and_std = (0.2860, 0.3530)
    class_names = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                   "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    checksums: ClassVar[dict[str, tuple[str | None, str]]] = {
        "train-images-idx3-ubyte": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        "train-labels-idx1-ubyte": ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
        "t10k-images-idx3-ubyte": ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
        "t10k-labels-idx1-ubyte": ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
    }


class KMNIST(MNIST):
    """Kuzushiji-MNIST: handwritten cursive Japanese, of MNIST's sizes and file format, in KMNIST/raw.

    Arguments and errors are those of `MNIST`; mean and standard deviation are 0.1918 and 0.3483. Files are checked as
    they are downloaded.

    Source: T. Clanuwat et al., "Deep Learning for Classical Japanese Literature", 2018.
    """

    folder = "KMNIST"
    mean_and_std = (0.1918, 0.3483)
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    checksums: ClassVar[dict[str, tuple[str | None, str]]] = {
        "train-images-idx3-ubyte": (None, "bdb82020997e1d708af4cf47b453dcf7"),
        "train-labels-idx1-ubyte": (None, "e144d726b3acfaa3e44228e80efcd344"),
        "t10k-images-idx3-ubyte": (None, "5c965bf0a639b31b8f53240b1b52f4d7"),
        "t10k-labels-idx1-ubyte": (None, "7320c461ea6c1c855c0b718fb2a4b134"),
    }
