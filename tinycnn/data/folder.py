"""Data sets of files in folders, one for each class, and of made-up pictures. Names and arguments are torchvision's."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn._files import StrPath, checked_path
from tinycnn.checks import check_count, check_flag, check_positive, shortened
from tinycnn.data._checks import checked_function, checked_list
from tinycnn.data.dataset import Dataset, checked_index
from tinycnn.data.transforms.pictures import pillow

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def default_loader(path: str) -> Any:
    """The PIL image in a file, in RGB. OSError, naming the file, for what is no image."""
    try:
        with open(path, "rb") as file, pillow("default_loader").open(file) as image:
            return image.convert("RGB")
    except OSError as error:
        raise type(error)(f"default_loader: cannot read {path}: {error.strerror or 'it is no image'}") from None


def _endings(argument: str, value: Any) -> tuple[str, ...]:
    """Endings of files. TypeError, naming `argument`, for what is neither a str nor a sequence of them."""
    endings = (value,) if isinstance(value, str) else tuple(checked_list(argument, value))
    for ending in endings:
        if not isinstance(ending, str):
            raise TypeError(f"{argument}: expected endings of files, got {shortened(ending)}")
    return endings


def _paths(directory: str) -> list[str]:
    """The files in a folder and in those within, sorted."""
    folders = os.walk(directory, followlinks=True)
    return [os.path.join(folder, file) for folder, _, files in sorted(folders) for file in sorted(files)]


class DatasetFolder(Dataset):
    """The files in root/CLASS/… of each class; item i is (the transform of what the loader makes of a file, target).

    Args:
        root: the folder of the classes' folders. Files in their folders count too.
        loader: a function of a path.
        extensions: the endings of the files that count, in lower case; or None, for `is_valid_file`.
        transform, target_transform: functions of an item and of a target. Default None.
        is_valid_file: a function of a path, whether it counts. Default None.
        allow_empty: whether a class may have no file. Default False.

    Attributes:
        classes: the names of the folders, sorted. class_to_idx: name to target.
        samples, also imgs: (path, target) of each item, sorted within each class. targets: those alone.

    Raises FileNotFoundError without classes or, unless `allow_empty`, for a class without files; ValueError unless
    either extensions or is_valid_file is given.
    """

    def __init__(
        self, root: StrPath, loader: Callable[[str], Any], extensions: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ):  # fmt: skip
        name = type(self).__name__
        self.root = checked_path(name, "root", root)
        self.extensions = extensions
        self.loader = loader
        self.transform = checked_function(f"{name}(transform)", transform)
        self.target_transform = checked_function(f"{name}(target_transform)", target_transform)
        checked_function(f"{name}(is_valid_file)", is_valid_file)
        check_flag(name, "allow_empty", allow_empty)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.imgs, self.targets = self.samples, [target for _, target in self.samples]

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """(classes, name to target): the folders in `directory`, sorted. A subclass may choose some of them, or give
        them other targets."""
        name = type(self).__name__
        try:
            classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        except OSError as error:
            raise type(error)(f"{name}: cannot read {directory}: {error.strerror}") from None
        if not classes:
            raise FileNotFoundError(f"{name}: expected a folder for each class in {directory}, got none")
        return classes, {each: i for i, each in enumerate(classes)}

    @classmethod
    def make_dataset(
        cls, directory: str, class_to_idx: dict[str, int], extensions: Sequence[str] | None = None,
        is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ) -> list[tuple[str, int]]:  # fmt: skip
        """(path, target) of each file of these classes that counts, sorted within each class. Arguments and errors are
        those of the class. A subclass may find them in another way."""
        name = cls.__name__
        if (extensions is None) == (is_valid_file is None):
            raise ValueError(f"{name}: expected either extensions or is_valid_file, got {shortened(extensions)}")
        endings = () if extensions is None else _endings(f"{name}(extensions)", extensions)
        counts = is_valid_file or (lambda path: path.lower().endswith(endings))
        found, empty = [], []
        for each, target in sorted(class_to_idx.items()):
            paths = [path for path in _paths(os.path.join(directory, each)) if counts(path)]
            found += [(path, target) for path in paths]
            if not paths:
                empty.append(each)
        if empty and not allow_empty:
            wanted = f", of {', '.join(endings)}" if endings else ""
            raise FileNotFoundError(f"{name}: no files{wanted}, in {directory} for the classes {shortened(empty)}")
        return found

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[checked_index(type(self).__name__, index, len(self))]
        sample = self.loader(path)
        sample = sample if self.transform is None else self.transform(sample)
        return sample, target if self.target_transform is None else self.target_transform(target)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} files, {len(self.classes)} classes, {self.root})"


class ImageFolder(DatasetFolder):
    """The images in root/CLASS/… of each class: see `DatasetFolder`. Items are PIL images in RGB, which needs Pillow,
    through the transform."""

    def __init__(
        self, root: StrPath, transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None, loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None, allow_empty: bool = False,
    ):  # fmt: skip
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)


class FakeData(Dataset):
    """Pictures of random pixels and random classes, the same ones every time: to try a program without data.

    Args:
        size: how many. Default 1000.
        image_size: (C, H, W). Default (3, 224, 224).
        num_classes: how many classes. Default 10.
        transform, target_transform: functions of a PIL image and of a target. Default None.
        random_offset: makes other pictures. Default 0.
    """

    def __init__(
        self, size: int = 1000, image_size: Sequence[int] = (3, 224, 224), num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ):  # fmt: skip
        self.size, self.num_classes = (check_positive("FakeData", n, v) for n, v in
                                       (("size", size), ("num_classes", num_classes)))  # fmt: skip
        if not isinstance(image_size, (tuple, list)) or len(image_size) != 3 or image_size[0] not in (1, 3):
            raise ValueError(f"FakeData: expected image_size as (1 or 3, height, width), got {shortened(image_size)}")
        self.image_size = tuple(check_positive("FakeData", "image_size", size) for size in image_size)
        self.transform = checked_function("FakeData(transform)", transform)
        self.target_transform = checked_function("FakeData(target_transform)", target_transform)
        self.random_offset = check_count("FakeData", "random_offset", random_offset)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        place = checked_index("FakeData", index, self.size) % self.size
        numbers = np.random.default_rng(place + self.random_offset)
        C, H, W = self.image_size
        pixels = numbers.integers(0, 256, (H, W) if C == 1 else (H, W, C), np.uint8)
        target: Any = int(numbers.integers(self.num_classes))
        picture = pillow("FakeData").fromarray(pixels)
        picture = picture if self.transform is None else self.transform(picture)
        return picture, target if self.target_transform is None else self.target_transform(target)
