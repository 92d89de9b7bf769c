"""Data sets: objects with a length and items by index.

A loader fetches a whole batch through `__getitems__(indices)`, torch's protocol. Here it returns either

- a list of samples, which the loader collates (as in torch), or
- a tuple of Tensors, the finished batch. Indexing an array once for 64 images takes a thirtieth of the time of 64
  slices and a stack.

A data set may be on a GPU: then its attribute `device` says so, and the loader passes indices on that device.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import index as as_index
from typing import Any, Protocol, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from tinycnn import backend, creation
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import shortened
from tinycnn.data._checks import as_numbers, checked_int, checked_list
from tinycnn.tensor import Tensor


class Indexable(Protocol):
    """What a loader accepts as a data set; torchvision's data sets and lists are such."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Dataset:
    """Base class: a subclass defines `__len__` and `__getitem__(index)`, and `__getitems__(indices)` for speed."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __add__(self, other: Indexable) -> Dataset:
        return ConcatDataset([self, other])

    def to(self, device: DeviceLike) -> Dataset:
        """This data set on `device`: a copy, or itself if it is there already. NotImplementedError by default."""
        raise NotImplementedError(f"{type(self).__name__} must define to(device)")

    @property
    def device(self) -> backend.Device:
        """The device on which batches are made; the CPU unless a subclass says otherwise."""
        return backend.CPU


class IterableDataset(Dataset):
    """Base class of those that only can be iterated over: a subclass defines `__iter__`, and `__len__` if it knows."""

    __len__: Any = None  # unknown: what asks is told so by a TypeError, as Python does

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")

    def __add__(self, other: Any) -> Dataset:
        return ChainDataset([self, other])


def own_dataset(dataset: Any) -> Any:
    """`dataset`; of an `IterableDataset` of another library, torch's or Hugging Face's, a `ChainDataset` of it."""
    names = [kind.__name__ for kind in type(dataset).__mro__]
    is_foreign = "IterableDataset" in names and not isinstance(dataset, IterableDataset)
    return ChainDataset([dataset]) if is_foreign else dataset


def makes_batches(dataset: Indexable) -> bool:
    """Whether a data set has `__getitems__`, and no subclass gave it another `__getitem__` since."""
    for kind in type(dataset).__mro__:
        if "__getitems__" in vars(kind):
            return True
        if "__getitem__" in vars(kind):
            return False
    return False


def device_of_batches(dataset: Indexable) -> backend.Device:
    """The device on which a data set makes whole batches; the CPU if it returns single items."""
    found = getattr(dataset, "device", None) if makes_batches(dataset) else None
    return found if isinstance(found, backend.Device) else backend.CPU


def checked_dataset(owner: str, dataset: Any) -> Indexable:
    """`dataset`. TypeError, naming `owner`, unless it has a length and items."""
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TypeError(f"{owner}: expected a dataset with __len__ and __getitem__, got a {type(dataset).__name__}")
    try:
        len(dataset)
    except TypeError as error:
        raise TypeError(f"{owner}: expected a dataset with a length, got a {type(dataset).__name__}: {error}") from None
    return dataset


def checked_index(owner: str, index: SupportsIndex, N: int) -> int:
    """`index` as an int. TypeError, naming `owner`, for what is none, IndexError outside of −N to N − 1."""
    try:
        place = as_index(index)
    except TypeError:
        place = None
    if place is None or isinstance(index, bool):
        raise TypeError(f"{owner}: expected an integer as index, got {shortened(index)} ({type(index).__name__})")
    if not -N <= place < N:
        raise IndexError(f"{owner}: expected indices within 0..{N - 1}, got {place}")
    return place


def indices_beside(array: backend.Array, indices: ArrayLike | backend.Array, name: str) -> backend.Array:
    """`indices` as an array on the device of `array`.

    Those from the host are checked: TypeError or IndexError, naming `name`. CuPy does not check bounds, and to read
    indices from a GPU would make the host wait.
    """
    target = backend.device_of(array)
    if target != backend.CPU and backend.is_gpu_array(indices):
        return indices  # type: ignore[return-value]
    given, N = as_numbers(name, indices), len(array)
    given = given if given.size else given.astype(np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected a sequence of integer indices, got shape {given.shape} of {given.dtype}")
    outside = given[(given < -N) | (given >= N)]
    if outside.size:
        raise IndexError(f"{name}: expected indices within 0..{N - 1}, got {outside[0]}")
    return backend.to_device(given.astype(np.int64, copy=False), target)


def get_items(dataset: Indexable, indices: backend.Array | list) -> list | tuple:
    """The items `indices` of a data set: a finished batch (a tuple) if it makes one, else a list of samples.

    Raises TypeError for something else, ValueError for another number of samples.
    """
    if not makes_batches(dataset):
        return [dataset[i] for i in (indices if isinstance(indices, list) else indices.tolist())]
    items = dataset.__getitems__(indices)  # type: ignore[attr-defined]
    called = f"{type(dataset).__name__}.__getitems__"
    if not isinstance(items, (list, tuple)):
        raise TypeError(f"{called}: expected a list of samples or a tuple of Tensors, got {type(items).__name__}")
    if isinstance(items, list) and len(items) != len(indices):
        raise ValueError(f"{called}: expected {len(indices)} samples, one an index, got {len(items)}")
    return items


class TensorDataset(Dataset):
    """Item i is the tuple of entry i of each of `tensors`: Tensors or arrays (N, ...), whose memory is shared.

    An item is a view of the tensors, a batch a copy; gradients flow through both. A change in place of an item, of a
    tensor or of an array is a change of the others, and `backward` refuses to use what has changed since the forward
    pass.

    Raises ValueError without tensors, or if their first dimensions or devices differ, TypeError for what are no
    numbers.
    """

    def __init__(self, *tensors: Tensor | ArrayLike):
        self.tensors = tuple(
            t if isinstance(t, Tensor) else creation.from_numpy(as_numbers(f"TensorDataset: tensors[{i}]", t))
            for i, t in enumerate(tensors)
        )
        shapes = [tuple(t.shape) for t in self.tensors]
        if not shapes or not all(shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"TensorDataset: expected tensors of equal first dimension, got shapes {shapes}")
        devices = [str(t.device) for t in self.tensors]
        if len(set(devices)) > 1:
            raise ValueError(f"TensorDataset: expected tensors on one device, got {devices}")

    def to(self, device: DeviceLike) -> Self:
        """This data set with its tensors on `device`: a copy, or itself if they are there already."""
        target = backend.device(device)
        if target == self.device:
            return self
        moved = copy.copy(self)
        moved.tensors = tuple(t.to(target) for t in self.tensors)
        return moved

    @property
    def device(self) -> backend.Device:
        """The device of the tensors."""
        return self.tensors[0].device

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        place = checked_index("TensorDataset", index, len(self))
        return tuple(t[place] for t in self.tensors)

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> tuple[Tensor, ...]:
        places = indices_beside(self.tensors[0]._array, indices, "TensorDataset")
        with backend.on(self.device):
            # To index a Tensor, which records it, takes 30 µs more than to index its array.
            return tuple([t[wrap(places)] if t.requires_grad else wrap(t._array[places]) for t in self.tensors])


class Subset(Dataset):
    """The items of `dataset` at `indices`, in that order.

    To have several subsets on a GPU, move the data set and then split it: `to` of a subset copies the whole data set.

    Raises ValueError for indices that are not integers or are outside the data set, TypeError for what is no data set
    or no sequence of numbers.
    """

    def __init__(self, dataset: Indexable, indices: Sequence[int] | np.ndarray):
        self.dataset = checked_dataset("Subset", dataset)
        indices = as_numbers("Subset(indices)", indices)
        indices = indices if indices.size else indices.astype(np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            found = f"shape {indices.shape} of {indices.dtype}"
            raise ValueError(f"Subset: expected a sequence of integer indices, got {found}")
        outside = indices[(indices < 0) | (indices >= len(dataset))]
        if outside.size:
            raise ValueError(f"Subset: expected indices within 0..{len(dataset) - 1}, got {outside[0]}")
        self.indices = indices.astype(np.int64)  # a copy: a later change by the caller would be checked by nobody
        self._places = backend.to_device(self.indices, device_of_batches(dataset))

    def to(self, device: DeviceLike) -> Subset:
        """The same items of the data set on `device`. TypeError if the data set is not a `Dataset`."""
        if not isinstance(self.dataset, Dataset):
            raise TypeError(f"Subset: expected a tinycnn.data.Dataset to move, got a {type(self.dataset).__name__}")
        moved = self.dataset.to(device)
        return self if moved is self.dataset else Subset(moved, self.indices)

    @property
    def device(self) -> backend.Device:
        """The device of the data set."""
        return backend.device_of(self._places)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[checked_index("Subset", index, len(self))])]

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> list | tuple:
        with backend.on(self.device):
            places = self._places[indices_beside(self._places, indices, "Subset")]
        return get_items(self.dataset, places)


class ConcatDataset(Dataset):
    """The items of several data sets, one after the other; `a + b` is one too.

    Attributes: datasets, a list; cumulative_sizes, the end of each.
    Raises ValueError for none, TypeError for what is no data set.
    """

    def __init__(self, datasets: Iterable[Indexable]):
        given = checked_list("ConcatDataset(datasets)", datasets)
        self.datasets = [checked_dataset("ConcatDataset", each) for each in given]
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset, got none")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        place = checked_index("ConcatDataset", index, len(self)) % len(self)
        which = bisect_right(self.cumulative_sizes, place)
        return self.datasets[which][place - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """What several `IterableDataset`s yield, one after the other."""

    def __init__(self, datasets: Iterable[IterableDataset]):
        self.datasets = checked_list("ChainDataset(datasets)", datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset):
    """Item i is the tuple of item i of each data set, or a dict of them for data sets given by name.

    Raises ValueError for none, for both ways at once, and for data sets of different lengths.
    """

    def __init__(self, *args: Indexable, **kwargs: Indexable):
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: expected datasets, either all by name or none")
        self.datasets: Any = kwargs or args
        lengths = {len(checked_dataset("StackDataset", dataset)) for dataset in (*args, *kwargs.values())}
        if len(lengths) != 1:
            raise ValueError(f"StackDataset: expected datasets of one length, got {sorted(lengths)}")
        self._length = lengths.pop()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


def random_split(
    dataset: Indexable, lengths: Sequence[float], generator: backend.Generator | None = None, *, seed: int | None = None
) -> list[Subset]:
    """Splits `dataset` at random into disjoint subsets.

    Args:
        lengths: sizes that add up to `len(dataset)`, or fractions that add up to 1. Fractions are rounded down to
            whole items; the remainder goes to the first subsets, one item each.
        generator: a `tinycnn.Generator` to draw from. Default None: the library's random state (`tinycnn.manual_seed`).
        seed: makes the split reproducible without one. Default None.

    Raises ValueError for lengths that do not add up or are negative, TypeError for what are no numbers.
    """
    N = len(checked_dataset("random_split", dataset))
    given = as_numbers("random_split(lengths)", lengths)
    if given.ndim != 1 or given.dtype.kind == "b":
        raise TypeError(f"random_split: expected lengths as a sequence of numbers, got {shortened(lengths)}")
    sizes = _sizes_of_fractions(given.tolist(), N) if given.dtype.kind in FLOATING else given.tolist()
    if sum(sizes) != N or min(sizes, default=0) < 0:
        wanted = f"lengths that add up to {N}, or fractions that add up to 1"
        raise ValueError(f"random_split: expected {wanted}, got {shortened(lengths)}")
    if seed is not None:
        seed = checked_int("random_split(seed)", seed, minimum=0)
    numbers = backend.numbers_of("random_split", generator) if seed is None else np.random.default_rng(seed)
    ends = np.cumsum(sizes)[:-1].astype(int)
    return [Subset(dataset, part) for part in np.split(numbers.permutation(N), ends)]


def _sizes_of_fractions(fractions: Sequence[float], total: int) -> list[int]:
    """Whole numbers near the shares of `total`; none, which do not add up, for what are no shares of 1."""
    if min(fractions, default=-1) < 0 or not abs(sum(fractions) - 1) <= 1e-6:
        return []
    sizes = [int(fraction * total) for fraction in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes
