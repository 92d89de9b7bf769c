"""EMNIST and QMNIST: MNIST's kin with letters, and with more about each digit."""

from __future__ import annotations

import string
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from tinycnn._files import StrPath
from tinycnn.checks import check_choice, check_flag
from tinycnn.data.download import download_files
from tinycnn.data.mnist import DIGITS, IdxDataset
from tinycnn.data.pictures import PictureTransform

_ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MERGED = [name for name in _ALL if name not in "cijklmopsuvwxyz"]  # those are one class with their capitals


class EMNIST(IdxDataset):
    """EMNIST: handwritten letters and digits of 28×28, in six splits.

    | split | classes | training | test |
    |---|---|---|---|
    | byclass | 62: digits, capitals, small letters | 697,932 | 116,323 |
    | bymerge | 47: small letters that look like their capitals are one class with them | 697,932 | 116,323 |
    | balanced | the same 47, equally often | 112,800 | 18,800 |
    | letters | 26, from 1 on: capitals and small ones together | 124,800 | 20,800 |
    | digits | 10 | 240,000 | 40,000 |
    | mnist | 10 | 60,000 | 10,000 |

    Pictures are transposed, as they are in the files and in torchvision: `transpose(-1, -2)` sets them upright.

    Args:
        root: the folder with EMNIST/raw/emnist-balanced-train-images-idx3-ubyte[.gz] and the other files, as
            torchvision lays them out. None: the environment variable TINYCNN_DATA, else `data`.
        split: one of the above.
        train: the training part (default) or the test part.
        transform, target_transform: as for `PictureDataset`. Default None: PIL images (mode L).
        download: download missing files: of all splits, 562 MB. Default False.

    Attributes:
        data: Tensor (N, 28, 28) uint8. targets: Tensor (N,) int64.

    Raises: as `MNIST`. The archive is checked as it is downloaded.
    Source: G. Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", 2017.
    """

    folder = "EMNIST"
    mirrors = ("https://biometrics.nist.gov/cs_links/EMNIST/",)
    archive: ClassVar[tuple[str, str]] = ("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": list(_ALL),
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }
    splits: ClassVar[tuple[str, ...]] = tuple(classes_split_dict)
    largest = 2**30  # bytes; of byclass 547,178,704

    def __init__(
        self, root: StrPath | None, split: str, *, train: bool = True, transform: PictureTransform | None = None,
        target_transform: PictureTransform | None = None, download: bool = False,
    ):  # fmt: skip
        self.split = check_choice("EMNIST", "split", split, self.splits)
        self.train = check_flag("EMNIST", "train", train)
        files = self._files(split, "train" if train else "test")
        super().__init__(root, files, self.classes_split_dict[split], transform, target_transform, download)

    @staticmethod
    def _files(split: str, part: str) -> tuple[str, str]:
        return f"emnist-{split}-{part}-images-idx3-ubyte", f"emnist-{split}-{part}-labels-idx1-ubyte"

    def _all_files(self) -> list[str]:
        return [name for split in self.splits for part in ("train", "test") for name in self._files(split, part)]

    def _download(self, names: list[str]) -> None:
        archives = dict([self.archive])
        download_files("EMNIST", archives, self.mirrors, self.raw_folder, self._from_torchvision, self._unpack)

    def _from_torchvision(self, torchvision: Any, folder: Path, files: Iterable[str]) -> list[Path]:
        torchvision.datasets.EMNIST(folder, self.split, download=True)
        return [folder / "EMNIST" / "raw" / name for name in self._all_files()]

    def _unpack(self, file: Path) -> Iterator[tuple[str, bytes]]:
        """The names and contents of the files of the archive."""
        with zipfile.ZipFile(file) as archive:
            for name in map(self._packed, self._all_files()):
                yield name, archive.read(f"gzip/{name}")


class QMNIST(IdxDataset):
    """QMNIST: MNIST made anew from NIST's digits, with 60,000 test pictures, and who wrote each digit.

    | what | pictures |
    |---|---|
    | train | 60,000: those of MNIST's training part, nearly |
    | test | 60,000 |
    | test10k | the first 10,000 of them: those of MNIST's test part |
    | test50k | the other 50,000 |
    | nist | 402,953: all of NIST's |

    Args:
        root: the folder with QMNIST/raw/qmnist-train-images-idx3-ubyte[.gz] and the other files, of "nist"
            xnist-images-idx3-ubyte[.xz], as torchvision lays them out. Default: the environment variable TINYCNN_DATA,
            else `data`.
        what: one of the above. Default None: "train" or "test", as `train` says.
        compat: targets are classes, 0..9 (default), or else Tensors (8,): class, NIST's series, writer, index of the
            picture by this writer, NIST's code of the class, index in NIST's file, whether it is a duplicate, 0.
        train: see `what`. Default True.
        transform, target_transform: as for `PictureDataset`. Default None: PIL images (mode L).
        download: download missing files. Default False.

    Attributes:
        data: Tensor (N, 28, 28) uint8. targets: Tensor (N, 8) int64, whatever `compat` says.

    Raises: as `MNIST`. Files are checked as they are downloaded.
    Source: C. Yadav, L. Bottou, "Cold Case: The Lost MNIST Digits", 2019.
    """

    folder = "QMNIST"
    mirrors = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
    checksums: ClassVar[dict[str, tuple[str | None, str]]] = {
        "qmnist-train-images-idx3-ubyte": (None, "ed72d4157d28c017586c42bc6afe6370"),
        "qmnist-train-labels-idx2-int": (None, "0058f8dd561b90ffdd0f734c6a30e5e4"),
        "qmnist-test-images-idx3-ubyte": (None, "1394631089c404de565df7b7aeaf9412"),
        "qmnist-test-labels-idx2-int": (None, "5b5b05890a5e13444e108efe57b788aa"),
        "xnist-images-idx3-ubyte": (None, "7f124b3b8ab81486c9d8c2749c17f834"),
        "xnist-labels-idx2-int": (None, "5ed0e788978e45d4a8bd4b7caec3d79d"),
    }
    subsets: ClassVar[dict[str, str]] = {
        "train": "train", "test": "test", "test10k": "test", "test50k": "test", "nist": "nist"
    }  # fmt: skip
    largest = 2**29  # bytes; of "nist" 315,915,168

    def __init__(
        self, root: StrPath | None = None, what: str | None = None, compat: bool = True, train: bool = True, *,
        transform: PictureTransform | None = None, target_transform: PictureTransform | None = None,
        download: bool = False,
    ):  # fmt: skip
        self.train, self.compat = check_flag("QMNIST", "train", train), check_flag("QMNIST", "compat", compat)
        part = "train" if train else "test"
        self.what = part if what is None else check_choice("QMNIST", "what", what, tuple(self.subsets))
        subset = self.subsets[self.what]
        start = "xnist" if subset == "nist" else f"qmnist-{subset}"
        files = f"{start}-images-idx3-ubyte", f"{start}-labels-idx2-int"
        super().__init__(root, files, DIGITS, transform, target_transform, download)
        if self.what in ("test10k", "test50k"):
            some = slice(10000) if self.what == "test10k" else slice(10000, None)
            self.data, self.targets = self.data[some], self.targets[some]

    def _labels(self) -> Any:
        return self.targets[:, 0] if self.compat else self.targets

    def _part(self) -> tuple[str, ...]:
        return (self.what,)

    def _packed(self, name: str) -> str:
        return f"{name}.xz" if name.startswith("xnist") else f"{name}.gz"
