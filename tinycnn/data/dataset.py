"""Data sets: objects with a length and items by index.

A loader fetches a whole batch through `__getitems__(indices)`, torch's protocol. Here it returns either

- a list of samples, which the loader collates (as in torch), or
- a tuple of Tensors, the finished batch. Indexing an array once for 64 images takes a thirtieth of the time of 64
  slices and a stack.

A data set may be on a GPU: then its attribute `device` says so, and the loader passes indices on that device.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from operator import index as as_index
from typing import Any, Protocol, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from tinycnn import backend, creation
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import shortened
from tinycnn.data._checks import as_numbers, checked_function, checked_int
from tinycnn.data.transforms.normalize import Normalize, PerChannel
from tinycnn.tensor import Tensor

Transform = Callable[[backend.Array], backend.Array]


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
        from tinycnn.data.combine import ConcatDataset

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
        from tinycnn.data.combine import ChainDataset

        return ChainDataset([self, other])


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


class ArrayDataset(Dataset):
    """Images and their classes in two arrays; item i is (Tensor (C, H, W) float32, int).

    After `to("cuda")` batches are gathered and transformed on the GPU.

    Args:
        images: (N, C, H, W); uint8 is scaled to [0, 1], floating point is kept as it is (float32 shares memory).
        targets: (N,), integers.
        transform: maps the float32 array (N, C, H, W) of a fetched batch, on the data set's device, to a new one of N
            images. Default None.
        classes: the names of the classes; targets must then be in [0, len(classes)). Default None.
        name: the name of the data set in `repr` and error messages. Default "ArrayDataset".
        normalize: (mean, std) of the scaled images, numbers or one per channel. All images are normalised once, here;
            a transform would repeat it in every epoch. Default None.

    Attributes:
        images: (N, C, H, W) float32, scaled and normalised.
        targets: (N,) int64.
        background: the normalised value of black (0), with which `RandomShift` fills the border.

    Raises ValueError for wrong shapes or targets out of range, TypeError for wrong dtypes or arguments; when items are
    fetched, both for what the transform returns.
    """

    # Images are stored N-first although layers compute batch-innermost: gathering 64 random images of 1×28×28 out of
    # 60,000 takes 0.05 ms this way and 0.38 ms from (H, C, W, N). Converting one batch takes another 0.03 ms.

    def __init__(
        self, images: ArrayLike, targets: ArrayLike, transform: Transform | None = None,
        classes: Sequence[str] | None = None, name: str = "ArrayDataset",
        normalize: tuple[PerChannel, PerChannel] | None = None,
    ):  # fmt: skip
        self.name = name
        self.transform = transform
        if classes is not None and not isinstance(classes, Sequence):
            raise TypeError(f"{name}: expected classes as a sequence of names, got {type(classes).__name__}")
        if normalize is not None and not (isinstance(normalize, (tuple, list)) and len(normalize) == 2):
            raise TypeError(f"{name}: expected normalize as (mean, std), got {shortened(normalize)}")
        self.classes = None if classes is None else tuple(classes)
        images = as_numbers(f"{name}: images", images)
        self.images = self._checked_images(images)
        self.targets = self._checked_targets(as_numbers(f"{name}: targets", targets))
        self.normalize = None if normalize is None else Normalize(*normalize)
        self.background: Any = 0.0
        if self.normalize is not None:
            # In place unless the memory is the caller's: allocating another array of MNIST's size takes 0.6 s.
            shared = np.may_share_memory(self.images, images)
            self.images = self.normalize(self.images) if shared else self.normalize.on_batch(self.images)
            self.background = self.normalize.background

    @property
    def transform(self) -> Transform | None:
        """What is applied to each batch, or None. It may be set; TypeError for what cannot be called."""
        return self._transform

    @transform.setter
    def transform(self, transform: Transform | None) -> None:
        self._transform = checked_function(f"{self.name}(transform)", transform)

    def _checked_images(self, images: np.ndarray) -> np.ndarray:
        if images.ndim != 4:
            raise ValueError(f"{self.name}: expected images (N, C, H, W), got shape {images.shape}")
        if images.dtype == np.uint8:
            scaled = images.astype(np.float32)
            scaled /= 255  # in place: MNIST is 188 MB
            return scaled
        if images.dtype.kind != "f":
            raise TypeError(f"{self.name}: expected images of uint8 or floating point, got {images.dtype}")
        return images.astype(np.float32, copy=False)

    def _checked_targets(self, targets: np.ndarray) -> np.ndarray:
        N = len(self.images)
        if targets.shape != (N,):
            raise ValueError(f"{self.name}: expected targets ({N},), one per image, got shape {targets.shape}")
        if targets.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: expected targets of an integer dtype, got {targets.dtype}")
        if self.classes is not None and N:
            low, high, last = int(targets.min()), int(targets.max()), len(self.classes) - 1
            if low < 0 or high > last:
                raise ValueError(f"{self.name}: expected targets within 0..{last}, got {low}..{high}")
        return targets.astype(np.int64, copy=False)

    def to(self, device: DeviceLike) -> Self:
        """This data set with images and targets on `device`: a copy, or itself if they are there already."""
        target = backend.device(device)
        if target == self.device:
            return self
        moved = copy.copy(self)
        moved.images, moved.targets = (backend.to_device(array, target) for array in (self.images, self.targets))
        return moved

    @property
    def device(self) -> backend.Device:
        """The device of images and targets."""
        return backend.device_of(self.images)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        images, targets = self.__getitems__([checked_index(self.name, index, len(self))])
        return wrap(images._array[0]), int(targets._array[0])

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> tuple[Tensor, Tensor]:
        """The batch of these items: (Tensor (N, C, H, W) float32, Tensor (N,) int64)."""
        places = indices_beside(self.images, indices, self.name)
        with backend.on(self.device):
            images = self.images[places]
            if self._transform is not None:
                images = self._transformed(images)
                if isinstance(images, np.ndarray):  # of which the transform may keep a part, and fill it again
                    return creation.from_numpy(images), wrap(self.targets[places])
            return wrap(images), wrap(self.targets[places])

    def _transformed(self, images: backend.Array) -> backend.Array:
        """What the transform makes of `images`, checked: as many, in an array of numbers on the same device."""
        assert self._transform is not None
        N, result = len(images), self._transform(images)
        expected = f"{self.name}: expected the transform to return an array of {N} images"
        if not isinstance(result, type(images)) or result.dtype.kind not in "biuf":
            of = f" of {result.dtype}" if hasattr(result, "dtype") else ""
            raise TypeError(f"{expected}, got {type(result).__name__}{of}")
        if result.shape[:1] != (N,):
            raise ValueError(f"{expected}, got shape {result.shape}")
        return result

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.images.shape[1:]))
        parts = [f"{len(self)} images of {shape}"]
        if self.classes is not None:
            parts.append(f"{len(self.classes)} classes")
        parts += [repr(step) for step in (self.normalize, self.transform) if step is not None]
        if self.device != backend.CPU:
            parts.append(f"on {self.device}")
        return f"{self.name}({', '.join(parts)})"


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
    sizes = _sizes_of_fractions(given.tolist(), N) if given.dtype.kind == "f" else given.tolist()
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
