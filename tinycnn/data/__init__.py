"""Data sets, transforms, and the loader that makes batches of them."""

from tinycnn.data.dataset import ArrayDataset, Dataset, Subset, TensorDataset, random_split
from tinycnn.data.digits import Digits
from tinycnn.data.loader import DataLoader, default_collate
from tinycnn.data.mnist import MNIST, DownloadError, FashionMNIST, read_idx
from tinycnn.data.transforms import Compose, Normalize, RandomShift

__all__ = [
    "ArrayDataset", "Dataset", "Subset", "TensorDataset", "random_split", "Digits", "DataLoader", "default_collate",
    "MNIST", "DownloadError", "FashionMNIST", "read_idx", "Compose", "Normalize", "RandomShift",
]  # fmt: skip
