"""Data sets, transforms, and the loader that makes batches of them."""

from tinycnn.data import transforms
from tinycnn.data.arrays import ArrayDataset
from tinycnn.data.cifar import CIFAR10, CIFAR100
from tinycnn.data.dataloader import DataLoader, default_collate, default_convert
from tinycnn.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tinycnn.data.digits import Digits
from tinycnn.data.download import DownloadError
from tinycnn.data.emnist import EMNIST, QMNIST
from tinycnn.data.folder import DatasetFolder, FakeData, ImageFolder
from tinycnn.data.idx import read_idx
from tinycnn.data.images import make_grid, read_image, save_image
from tinycnn.data.mnist import KMNIST, MNIST, FashionMNIST
from tinycnn.data.prefetch import prefetch_to_device
from tinycnn.data.sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinycnn.data.svhn import SVHN
from tinycnn.data.transforms import Compose, Normalize, RandomShift
from tinycnn.data.workers import get_worker_info

__all__ = [
    "transforms", "CIFAR10", "CIFAR100", "DatasetFolder", "FakeData", "ImageFolder", "ChainDataset", "ConcatDataset",
    "StackDataset", "ArrayDataset", "Dataset", "IterableDataset", "Subset", "TensorDataset", "random_split", "Digits",
    "make_grid", "read_image", "save_image", "DataLoader", "default_collate", "default_convert", "get_worker_info",
    "KMNIST", "MNIST", "DownloadError", "FashionMNIST", "read_idx", "BatchSampler", "RandomSampler", "Sampler",
    "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler", "Compose", "Normalize", "RandomShift",
    "EMNIST", "QMNIST", "SVHN", "DistributedSampler", "prefetch_to_device",
]  # fmt: skip
