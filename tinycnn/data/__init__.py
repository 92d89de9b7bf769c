"""Data sets, transforms and the loader that turns them into batches."""

from tinycnn.data.dataset import ArrayDataset, Dataset, Subset, TensorDataset, random_split
from tinycnn.data.digits import Digits
from tinycnn.data.loader import DataLoader, default_collate
from tinycnn.data.mnist import MNIST, DownloadError, FashionMNIST, read_idx
from tinycnn.data.transforms import Compose, Normalize, RandomShift

__all__ = [
    "Dataset",
    "TensorDataset",
    "ArrayDataset",
    "Subset",
    "random_split",
    "MNIST",
    "FashionMNIST",
    "Digits",
    "read_idx",
    "DownloadError",
    "Compose",
    "Normalize",
    "RandomShift",
    "DataLoader",
    "default_collate",
]
