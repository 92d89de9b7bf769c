"""The loader: batches of a data set, in order or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_flag, shortened
from tinycnn.data._checks import checked_function, checked_int
from tinycnn.data.dataset import Indexable, checked_dataset, device_of_batches, get_items
from tinycnn.ops.shape import stack
from tinycnn.tensor import Tensor


class DataLoader:
    """Iterates over the batches of one epoch, on the device of the data set.

    On a GPU (`dataset.to("cuda")`) the shuffled order is there too, and the host waits for nothing within an epoch.

    Args:
        dataset: anything with `__len__` and `__getitem__(index)`, such as torchvision's data sets. If it has
            `__getitems__(indices)` (see `tinycnn.data.dataset`), whole batches are fetched through that.
        batch_size: items per batch. Default 1, as in torch.
        shuffle: a new random order in every epoch. Default False.
        drop_last: drop the last batch if it is smaller. Default False.
        seed: makes the order a function of (seed, epoch) alone, the same on every device. None (default) draws from
            the random state of the data set's device (`tinycnn.manual_seed`).
        collate_fn: makes a batch of a list of samples. Default `default_collate`.

    Attribute `epoch`: the number of epochs begun; set it to repeat or resume the sequence of orders.

    An exception of the data set comes out of the iterator, which then goes on with the next batch, as torch's does.
    StopIteration becomes a RuntimeError: it would end the epoch in silence.

    Raises ValueError for a batch size below 1, a negative seed or an empty data set, TypeError for a data set without
    the two methods, a flag that is not True or False, or a `collate_fn` that cannot be called.
    """

    def __init__(
        self, dataset: Indexable, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False,
        seed: int | None = None, collate_fn: Callable[[list], Any] | None = None,
    ):  # fmt: skip
        self.dataset = checked_dataset("DataLoader", dataset)
        if len(dataset) == 0:
            raise ValueError("DataLoader: the dataset is empty")
        self.batch_size = checked_int("DataLoader(batch_size)", batch_size, minimum=1)
        self.shuffle = check_flag("DataLoader", "shuffle", shuffle)
        self.drop_last = check_flag("DataLoader", "drop_last", drop_last)
        self.seed = None if seed is None else checked_int("DataLoader(seed)", seed, minimum=0)
        self.collate_fn = checked_function("DataLoader(collate_fn)", collate_fn)
        self.epoch = 0

    def __len__(self) -> int:
        """The number of batches."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[Any]:
        # Not a generator function: the order is drawn and the epoch counted now, not at the first batch.
        order, size = self._order(), self.batch_size
        self.epoch += 1

        def batch(start: int) -> Any:
            return self._batch(order[start : start + size])

        # Nor a generator expression, which an exception would end.
        return map(batch, range(0, len(self) * size, size))

    def _order(self) -> Array:
        N = len(self.dataset)
        device = backend.CPU if self.collate_fn is not None else device_of_batches(self.dataset)
        if not self.shuffle:
            with backend.on(device) as xp:
                return xp.arange(N)
        if self.seed is None:
            return backend.random_generator(device).permutation(N)
        epoch = checked_int("DataLoader.epoch", self.epoch, minimum=0)
        return backend.to_device(np.random.default_rng([self.seed, epoch]).permutation(N), device)

    def _batch(self, indices: Array) -> Any:
        try:
            if self.collate_fn is not None:
                return self.collate_fn([self.dataset[i] for i in indices.tolist()])
            items = get_items(self.dataset, indices)
        except StopIteration as error:
            raise RuntimeError("DataLoader: the dataset or collate_fn raised StopIteration") from error
        return default_collate(items, indices.tolist()) if isinstance(items, list) else items


def default_collate(samples: list, indices: list[int] | None = None) -> Any:
    """Stacks samples along a new first dimension N, in the structure of the samples; lists become tuples.

    A sample is a Tensor, an array, a torch tensor, a number (ints become int64, floats float32, torch's are float64), a
    PIL image (as by torchvision's ToTensor: (C, H, W) float32, 8 bits scaled to [0, 1]), or a tuple, list or dict of
    these.

    Args:
        indices: the samples' indices in the data set, for error messages. Default 0, 1, 2, …

    Gradients flow through to samples that are Tensors. Numbers and Tensors of different dtypes are promoted.

    Raises ValueError for samples of different shapes, devices or structure, TypeError for other types.
    """
    if not isinstance(samples, (list, tuple)) or not samples:
        raise TypeError(f"default_collate: expected a list of at least one sample, got {shortened(samples)}")
    indices = list(range(len(samples))) if indices is None else indices
    first = samples[0]
    if isinstance(first, dict):
        _require_alike("types", samples, dict, indices)
        found = [tuple(first if sample.keys() == first.keys() else sample) for sample in samples]
        _require_equal("keys", found, indices)
        return {key: default_collate([sample[key] for sample in samples], indices) for key in first}
    if isinstance(first, (tuple, list)):
        _require_alike("types", samples, (tuple, list), indices)
        _require_equal("lengths", [len(sample) for sample in samples], indices)
        return tuple(default_collate(list(field), indices) for field in zip(*samples, strict=True))
    arrays = [_as_array(sample, i) for sample, i in zip(samples, indices, strict=True)]
    _require_equal("shapes", [array.shape for array in arrays], indices)
    _require_equal("devices", [backend.device_of(array) for array in arrays], indices)
    recorded = any(isinstance(sample, Tensor) and sample.requires_grad for sample in samples)
    if recorded or len({array.dtype for array in arrays}) > 1:
        return stack([x if isinstance(x, Tensor) else wrap(a) for x, a in zip(samples, arrays, strict=True)])
    with backend.on(backend.device_of(arrays[0])) as xp:
        return wrap(xp.stack(arrays))


def _require_alike(what: str, samples: list, kinds: type | tuple[type, ...], indices: list[int]) -> None:
    """ValueError unless all samples are of these kinds, as the first one is."""
    first = type(samples[0]).__name__
    _require_equal(what, [first if isinstance(s, kinds) else type(s).__name__ for s in samples], indices)


def _as_array(sample: Any, index: int) -> Any:
    if isinstance(sample, Tensor):
        return sample._array
    if isinstance(sample, float):
        return np.asarray(sample, np.float32)
    if hasattr(sample, "getbands"):  # a PIL image, recognised without importing PIL
        image = np.asarray(sample)
        image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        return image.astype(np.float32) / np.float32(255 if image.dtype == np.uint8 else 1)
    array = np.asarray(sample)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"DataLoader: cannot make a tensor of a {type(sample).__name__} (item {index}); pass collate_fn"
        )
    return array


def _require_equal(what: str, values: list, indices: list[int]) -> None:
    for value, index in zip(values, indices, strict=True):
        if value != values[0]:
            raise ValueError(
                f"DataLoader: cannot batch items of different {what}: item {indices[0]} has {values[0]}, "
                f"item {index} has {value}; make them equal or pass collate_fn"
            )
