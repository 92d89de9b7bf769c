"""The loader: batches of a data set, in order or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinycnn import backend, creation
from tinycnn._bfloat16 import holds_numbers
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_flag, check_not_negative, shortened
from tinycnn.data._checks import checked_function, checked_int, checked_iterable
from tinycnn.data.dataset import Indexable, IterableDataset, checked_dataset, device_of_batches, get_items
from tinycnn.data.sampler import BatchSampler, RandomSampler, SequentialSampler, in_batches
from tinycnn.data.transforms.convert import to_tensor
from tinycnn.data.transforms.pictures import is_pil
from tinycnn.ops.shape import stack
from tinycnn.tensor import Tensor


class DataLoader:
    """Iterates over the batches of one epoch, on the device of the data set.

    On a GPU (`dataset.to("cuda")`) the shuffled order is there too, and the host waits for nothing within an epoch.

    Args:
        dataset: anything with `__len__` and `__getitem__(index)`, or an `IterableDataset`. If it has
            `__getitems__(indices)` (see `tinycnn.data.dataset`), whole batches are fetched through that.
        batch_size: items per batch. Default 1. None: no batches, items as they are (arrays become Tensors).
        shuffle: a new random order in every epoch. Default None, False.
        sampler: an iterable of indices, instead of shuffle. Default None.
        batch_sampler: an iterable of lists of indices, instead of batch_size, shuffle, sampler and drop_last.
        collate_fn: makes a batch of a list of samples. Default `default_collate`.
        drop_last: drop the last batch if it is smaller. Default False.
        generator: a `tinycnn.Generator` that the order is drawn from. Default None: the random state of the data set's
            device (`tinycnn.manual_seed`).
        seed: makes the order a function of (seed, epoch) alone, the same on every device. Default None.
        num_workers, pin_memory, timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers,
            pin_memory_device, in_order: as in torch, where they change no batch. Here they change nothing yet: items
            are loaded in this process.

    Attribute `epoch`: the number of epochs begun; set it to repeat or resume the sequence of orders.

    An exception of the data set comes out of the iterator, which then goes on with the next batch, as torch's does.
    StopIteration becomes a RuntimeError: it would end the epoch in silence.

    Raises ValueError for a batch size below 1, a negative seed, an empty data set that is to be shuffled, or arguments
    that exclude each other, TypeError for a data set without the two methods, a flag that is not True or False, or a
    `collate_fn` that cannot be called.
    """

    def __init__(
        self, dataset: Indexable | IterableDataset, batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Iterable | None = None, batch_sampler: Iterable | None = None, num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None, pin_memory: bool = False, drop_last: bool = False,
        timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None,
        generator: backend.Generator | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True, seed: int | None = None,
    ):  # fmt: skip
        name = "DataLoader"
        self.dataset: Any = dataset
        if not isinstance(dataset, IterableDataset):
            checked_dataset(name, dataset)
            if len(dataset) == 0 and shuffle:  # as in torch: in order it gives nothing
                raise ValueError(f"{name}: the dataset is empty")
        self.shuffle = check_flag(name, "shuffle", shuffle is not None and shuffle)
        self.drop_last = check_flag(name, "drop_last", drop_last)
        for option, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None:
                checked_iterable(f"{name}({option})", value)
        self._check_alone(batch_size, sampler, batch_sampler)
        no_batches = batch_size is None or batch_sampler is not None
        self.batch_size = None if no_batches else checked_int(f"{name}(batch_size)", batch_size, minimum=1)
        self.generator, self.seed = generator, None if seed is None else checked_int(f"{name}(seed)", seed, minimum=0)
        backend.numbers_of(name, generator)
        self.collate_fn = checked_function(f"{name}(collate_fn)", collate_fn)
        self.num_workers = checked_int(f"{name}(num_workers)", num_workers, minimum=0)
        self.pin_memory, self.pin_memory_device = check_flag(name, "pin_memory", pin_memory), pin_memory_device
        self.timeout = check_not_negative(name, "timeout", timeout)
        self.worker_init_fn = checked_function(f"{name}(worker_init_fn)", worker_init_fn)
        self.multiprocessing_context, self.in_order = multiprocessing_context, check_flag(name, "in_order", in_order)
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = check_flag(name, "persistent_workers", persistent_workers)
        if sampler is None and batch_sampler is None and not isinstance(dataset, IterableDataset):
            sampler = RandomSampler(dataset, generator=generator) if self.shuffle else SequentialSampler(dataset)
        if sampler is not None and self.batch_size is not None:
            batch_sampler = BatchSampler(sampler, self.batch_size, drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.epoch = 0

    def _check_alone(self, batch_size: int | None, sampler: Any, batch_sampler: Any) -> None:
        """ValueError for arguments that exclude each other."""
        has_batches = batch_sampler is not None
        given = {"shuffle": self.shuffle, "sampler": sampler is not None, "drop_last": self.drop_last,
                 "batch_sampler": has_batches, "batch_size": has_batches and batch_size != 1}  # fmt: skip
        excluded: dict[str, tuple[str, ...]] = {
            "sampler": ("shuffle",),
            "batch_sampler": ("batch_size", "shuffle", "sampler", "drop_last"),
        }
        pairs = [(other, f"beside {name}") for name, others in excluded.items() if given[name] for other in others]
        if isinstance(self.dataset, IterableDataset):
            pairs += [(name, "for an IterableDataset") for name in ("shuffle", "sampler", "batch_sampler")]
        if batch_size is None:
            pairs += [("drop_last", "without batches")]
        for name, where in pairs:
            if given[name]:
                raise ValueError(f"DataLoader: expected no {name} {where}")

    def __len__(self) -> int:
        """The number of batches."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        items = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return items
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        # Not a generator function: the order is drawn and the epoch counted now, not at the first batch.
        batches = self._batches()
        self.epoch += 1
        # Nor a generator expression, which an exception would end.
        return map(self._batch, batches)

    def _batches(self) -> Iterator[Any]:
        """The indices of each batch, of an `IterableDataset` the samples."""
        if isinstance(self.dataset, IterableDataset):
            if self.batch_size is None:
                return iter(self.dataset)
            return in_batches(self.dataset, self.batch_size, self.drop_last)
        if self.batch_sampler is None:
            return iter(self.sampler)  # type: ignore[arg-type]
        if type(self.sampler) not in (SequentialSampler, RandomSampler):
            return iter(self.batch_sampler)
        # Slices of all indices at once: on a GPU they are there.
        order, size, count = self._order(), self.batch_size or 1, len(self)
        return (order[start : start + size] for start in range(0, count * size, size))

    def _order(self) -> Array:
        sampler: Any = self.sampler
        device = backend.CPU if self.collate_fn is not None else device_of_batches(self.dataset)
        if self.shuffle and self.seed is not None:
            epoch = checked_int("DataLoader.epoch", self.epoch, minimum=0)
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        elif self.shuffle and self.generator is None:
            return backend.random_generator(device).permutation(len(self.dataset))
        elif self.shuffle or isinstance(sampler, RandomSampler):
            order = sampler.order()
        else:
            with backend.on(device) as xp:
                return xp.arange(len(sampler))
        return backend.to_device(order, device)

    def _batch(self, found: Any) -> Any:
        """The batch of these indices, or of these samples of an `IterableDataset`."""
        is_single = self.batch_sampler is None and self.batch_size is None
        try:
            if isinstance(self.dataset, IterableDataset):
                items = found
            elif is_single:
                items = self.dataset[found]
            elif self.collate_fn is not None:
                items = [self.dataset[i] for i in _listed(found)]
            else:
                items = get_items(self.dataset, found)
            if self.collate_fn is not None:
                return self.collate_fn(items)
        except StopIteration as error:
            raise RuntimeError("DataLoader: the dataset or collate_fn raised StopIteration") from error
        if is_single:
            return default_convert(items)
        if not isinstance(items, list):
            return [*items]
        return default_collate(items, None if isinstance(self.dataset, IterableDataset) else _listed(found))


def _listed(indices: Any) -> list[Any]:
    return indices if isinstance(indices, list) else indices.tolist()


def get_worker_info() -> None:
    """None: items are loaded in this process, as in torch's with num_workers=0."""


def default_convert(data: object) -> Any:
    """Arrays and NumPy's numbers as Tensors, also within tuples, lists and dicts; anything else as it is."""
    if isinstance(data, (np.ndarray, np.generic)) and holds_numbers(data.dtype):
        return creation.from_numpy(np.asarray(data))
    if isinstance(data, dict):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    return [default_convert(each) for each in data] if isinstance(data, (tuple, list)) else data


def default_collate(samples: list | tuple, indices: list[int] | None = None) -> Any:
    """Stacks samples along a new first dimension N, in the structure of the samples; tuples become lists, as in torch.

    A sample is a Tensor, an array, a torch tensor, a number (ints become int64, floats float64), a PIL image (as by
    `ToTensor`), a str or bytes, which stay as they are, or a tuple, namedtuple, list or dict of these.

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
        fields = [default_collate(field, indices) for field in zip(*samples, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    if isinstance(first, (str, bytes)):
        _require_alike("types", samples, (str, bytes), indices)
        return samples
    if all(isinstance(sample, (int, float)) for sample in samples):
        return creation.tensor(samples, dtype=np.float64 if isinstance(first, float) else None)
    arrays = [_as_array(sample, i) for sample, i in zip(samples, indices, strict=True)]
    _require_equal("shapes", [array.shape for array in arrays], indices)
    _require_equal("devices", [backend.device_of(array) for array in arrays], indices)
    recorded = any(isinstance(sample, Tensor) and sample.requires_grad for sample in samples)
    if recorded or len({array.dtype for array in arrays}) > 1:
        return stack([x if isinstance(x, Tensor) else wrap(a) for x, a in zip(samples, arrays, strict=True)])
    with backend.on(backend.device_of(arrays[0])) as xp:
        return wrap(xp.stack(arrays))


def _require_alike(what: str, samples: list | tuple, kinds: type | tuple[type, ...], indices: list[int]) -> None:
    """ValueError unless all samples are of these kinds, as the first one is."""
    first = type(samples[0]).__name__
    _require_equal(what, [first if isinstance(s, kinds) else type(s).__name__ for s in samples], indices)


def _as_array(sample: Any, index: int) -> Any:
    if isinstance(sample, Tensor):
        return sample._array
    if is_pil(sample):
        return to_tensor(sample)._array
    array = np.asarray(sample)
    if not holds_numbers(array.dtype):
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
