"""The data sets that a recipe can name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinycnn import backend, data
from tinycnn.data import transforms
from tinycnn.training.recipe import Recipe

# Mean and standard deviation of each colour of the training images.
_CIFAR10 = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_CIFAR100 = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
_SVHN = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_data(recipe: Recipe, root: Path | None = None) -> tuple[Any, Any]:
    """(training part, test part) of the recipe's data set, normalised; missing files are downloaded, but for a folder.

    Args:
        root: the folder of the files, laid out as the data set's class says. Default: the environment variable
            TINYCNN_DATA, else `data`. "folder" has its pictures in train/CLASS/ and test/CLASS/ there.

    Raises what the data set's class does: DownloadError, ImportError, ValueError for damaged files, ...
    """
    name = recipe.dataset
    if name == "digits":
        return data.Digits(train=True), data.Digits(train=False)
    if recipe.image_size is not None:
        return _pictures(root, "train", recipe.image_size), _pictures(root, "test", recipe.image_size)
    return _PUBLISHED[name](root, True), _PUBLISHED[name](root, False)


def _colour(mean: tuple[float, ...], std: tuple[float, ...]) -> transforms.Compose:
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])


_PUBLISHED: dict[str, Callable[[Path | None, bool], Any]] = {
    "mnist": lambda root, train: data.MNIST(root, train, download=True),
    "fashion_mnist": lambda root, train: data.FashionMNIST(root, train, download=True),
    "kmnist": lambda root, train: data.KMNIST(root, train, download=True),
    "qmnist": lambda root, train: data.QMNIST(root, train=train, download=True),
    "emnist": lambda root, train: data.EMNIST(root, "balanced", train=train, download=True),
    "cifar10": lambda root, train: data.CIFAR10(root, train, _colour(*_CIFAR10), download=True),
    "cifar100": lambda root, train: data.CIFAR100(root, train, _colour(*_CIFAR100), download=True),
    "svhn": lambda root, train: data.SVHN(root, "train" if train else "test", _colour(*_SVHN), download=True),
}


def _pictures(root: Path | None, part: str, size: int) -> data.ImageFolder:
    """Those in a folder, their shorter side scaled to `size` and the middle cut out."""
    folder = Path(root or "data") / part
    fitted = [transforms.Resize(size), transforms.CenterCrop(size)]
    return data.ImageFolder(folder, transforms.Compose([*fitted, *_colour(*_IMAGENET).transforms]))


def on_device(dataset: Any, device: backend.Device) -> Any:
    """`dataset` on a device where it can be moved there whole, else itself: its batches are then moved one by one."""
    try:
        return dataset.to(device)
    except (AttributeError, NotImplementedError, TypeError):
        return dataset
