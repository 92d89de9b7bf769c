"""Data sets: anything with a length whose items are found by their index.

A loader asks for a whole batch at once through `__getitems__(indices)`, torch's protocol. Here it may return

- a list: the samples one by one, which the loader collates (torch's meaning), or
- a tuple of Tensors: the finished batch. Slicing an array once for 64 images costs a thirtieth of slicing it
  64 times and stacking the pieces.

A data set may lie on a GPU: its attribute `device` says so, and the loader then asks with indices that lie there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from operator import index as as_index
from typing import Any, Self

import numpy as np

from tinycnn import backend
from tinycnn.data.transforms import Normalize
from tinycnn.tensor import Tensor


class Dataset:
    """Base class: a subclass defines `__len__`, `__getitem__(index)` and, to be fast, `__getitems__`."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def to(self, device: Any) -> Dataset:
        """This data set on `device`, copied there once; itself if that is where it lies."""
        raise NotImplementedError(f"{type(self).__name__} must define to(device)")

    @property
    def device(self) -> backend.Device:
        """Where the batches come from."""
        return backend.CPU


def device_of_batches(dataset: Any) -> backend.Device:
    """The device from which any data set delivers whole batches; the CPU where it delivers items."""
    found = getattr(dataset, "device", None) if hasattr(dataset, "__getitems__") else None
    return found if isinstance(found, backend.Device) else backend.CPU


def indices_beside(array: backend.Array, indices: Any, name: str) -> backend.Array:
    """`indices` as an array on the device of `array`; a GPU becomes CuPy's current device.

    A GPU checks no indices and would take others in silence, so those that come from the host are checked here.
    """
    target = backend.device_of(array)
    xp = backend.module_of(target)
    if target == backend.CPU or isinstance(indices, xp.ndarray):
        return xp.asarray(indices)
    indices, N = np.asarray(indices), len(array)
    outside = indices[(indices < -N) | (indices >= N)]
    if outside.size:
        raise IndexError(f"{name}: expected indices within 0..{N - 1}, got {outside[0]}")
    return backend.to_device(indices if indices.size else indices.astype(np.int64), target)


def get_items(dataset: Any, indices: backend.Array) -> list | tuple:
    """The items `indices` of any data set: a finished batch (a tuple) where it makes one, else a list."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return [dataset[i] for i in indices.tolist()]


class TensorDataset(Dataset):
    """Item i is the tuple of the i-th entries of each of `tensors` (Tensors or arrays, sharing their memory).

    Raises ValueError if there is none, or if their first dimensions or devices differ.
    """

    def __init__(self, *tensors: Any):
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor._wrap(np.asarray(t)) for t in tensors)
        shapes = [tuple(t.shape) for t in self.tensors]
        if not shapes or not all(shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"TensorDataset: expected tensors of equal first dimension, got shapes {shapes}")
        devices = [str(t.device) for t in self.tensors]
        if len(set(devices)) > 1:
            raise ValueError(f"TensorDataset: expected tensors on one device, got {devices}")

    def to(self, device: Any) -> Self:
        """This data set on `device`, with its tensors copied there once; itself if that is where they are."""
        target = backend.device(device)
        if target == self.device:
            return self
        moved = copy.copy(self)
        moved.tensors = tuple(t.to(target) for t in self.tensors)
        return moved

    @property
    def device(self) -> backend.Device:
        """Where the tensors are."""
        return self.tensors[0].device

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(Tensor._wrap(t._array[as_index(index)]) for t in self.tensors)

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> tuple[Tensor, ...]:
        places = indices_beside(self.tensors[0]._array, indices, "TensorDataset")
        return tuple(Tensor._wrap(t._array[places]) for t in self.tensors)


class ArrayDataset(Dataset):
    """Images and their classes, held in two arrays; item i is (Tensor (C, H, W) float32, int).

    `to(device)` puts both on a GPU, where batches are then cut and transformed.

    Args:
        images: (N, C, H, W); uint8 is scaled to [0, 1], floating point is taken as it is (float32 shares
            memory).
        targets: (N,), integers.
        transform: called with a float32 array (N, C, H, W) for each batch that is fetched, on the data set's
            device; returns such an array.
        classes: the names of the classes; targets must then be in [0, len(classes)).
        name: what `repr` and error messages call the data set.
        normalize: (mean, std), numbers or one per channel, in the unit of the scaled images. Applied to all
            images once, here, where a transform would do it again in every epoch.

    Attributes:
        images: (N, C, H, W) float32, scaled and normalised.
        targets: (N,) int64.
        background: what black (0) has become by normalising; the fill value for shifted images.

    Raises ValueError or TypeError for other shapes, dtypes or targets.
    """

    # The images lie N-first although layers compute batch-innermost: gathering 64 random images of 1×28×28
    # out of 60,000 takes 0.05 ms this way and 0.38 ms from (H, C, W, N); the conversion of one batch is
    # another 0.03 ms.

    def __init__(
        self,
        images: Any,
        targets: Any,
        transform: Callable[[backend.Array], backend.Array] | None = None,
        classes: Sequence[str] | None = None,
        name: str = "ArrayDataset",
        normalize: tuple[Any, Any] | None = None,
    ):
        self.name = name
        self.transform = transform
        self.classes = None if classes is None else tuple(classes)
        images = np.asarray(images)
        self.images = self._checked_images(images)
        self.targets = self._checked_targets(np.asarray(targets))
        self.normalize = None if normalize is None else Normalize(*normalize)
        self.background: Any = 0.0
        if self.normalize is not None:
            # In place unless the memory is the caller's: another array of MNIST's size costs 0.6 s.
            out = None if np.may_share_memory(self.images, images) else self.images
            self.images = self.normalize(self.images, out=out)
            self.background = self.normalize.background

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
            raise ValueError(f"{self.name}: expected targets ({N},), one an image, got shape {targets.shape}")
        if targets.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: expected targets of an integer dtype, got {targets.dtype}")
        if self.classes is not None and N:
            low, high, last = int(targets.min()), int(targets.max()), len(self.classes) - 1
            if low < 0 or high > last:
                raise ValueError(f"{self.name}: expected targets within 0..{last}, got {low}..{high}")
        return targets.astype(np.int64, copy=False)

    def to(self, device: Any) -> Self:
        """This data set on `device`, with images and targets copied there once; itself if that is where they are."""
        target = backend.device(device)
        if target == self.device:
            return self
        moved = copy.copy(self)
        moved.images, moved.targets = (backend.to_device(array, target) for array in (self.images, self.targets))
        return moved

    @property
    def device(self) -> backend.Device:
        """Where images and targets are."""
        return backend.device_of(self.images)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        images, targets = self.__getitems__([as_index(index)])
        return Tensor._wrap(images._array[0]), int(targets._array[0])

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> tuple[Tensor, Tensor]:
        """The batch of these items: (Tensor (N, C, H, W) float32, Tensor (N,) int64)."""
        places = indices_beside(self.images, indices, self.name)
        images = self.images[places]
        if self.transform is not None:
            images = self.transform(images)
        return Tensor._wrap(images), Tensor._wrap(self.targets[places])

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

    Of a data set on a GPU, the indices lie there too. To have several subsets there, move the data set and then split
    it: each subset that is moved by itself takes the whole of it along.

    Raises ValueError for an index outside the data set.
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.indices = np.asarray(indices)
        if self.indices.size == 0:
            self.indices = self.indices.astype(np.int64)
        if self.indices.ndim != 1 or self.indices.dtype.kind not in "iu":
            raise ValueError(
                "Subset: expected a sequence of integer indices, "
                f"got shape {self.indices.shape} of {self.indices.dtype}"
            )
        outside = self.indices[(self.indices < 0) | (self.indices >= len(dataset))]
        if outside.size:
            raise ValueError(f"Subset: expected indices within 0..{len(dataset) - 1}, got {outside[0]}")
        self._places = backend.to_device(self.indices, device_of_batches(dataset))

    def to(self, device: Any) -> Subset:
        """The same items of the data set on `device`."""
        if not isinstance(self.dataset, Dataset):
            raise TypeError(f"Subset: expected a tinycnn.data.Dataset to move, got a {type(self.dataset).__name__}")
        moved = self.dataset.to(device)
        return self if moved is self.dataset else Subset(moved, self.indices)

    @property
    def device(self) -> backend.Device:
        """Where the data set is."""
        return backend.device_of(self._places)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[as_index(index)])]

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> list | tuple:
        return get_items(self.dataset, self._places[indices_beside(self._places, indices, "Subset")])


def random_split(dataset: Any, lengths: Sequence[float], seed: int | None = None) -> list[Subset]:
    """Splits `dataset` at random into disjoint subsets.

    Args:
        lengths: the sizes, which add up to `len(dataset)`; or fractions that add up to 1, of which each
            subset gets the whole number below, and the first ones get what is left over.
        seed: the split is a function of it; None draws from the library's random state
            (`tinycnn.manual_seed`).

    Raises ValueError for lengths that do not add up or are negative.
    """
    N = len(dataset)
    sizes = _sizes_of_fractions(lengths, N) if any(isinstance(n, float) for n in lengths) else list(lengths)
    if sum(sizes) != N or min(sizes, default=0) < 0:
        raise ValueError(
            f"random_split: expected lengths that add up to {N}, or fractions that add up to 1, got {list(lengths)}"
        )
    generator = backend.random_generator() if seed is None else np.random.default_rng(seed)
    ends = np.cumsum(sizes)[:-1].astype(int)
    return [Subset(dataset, part) for part in np.split(generator.permutation(N), ends)]


def _sizes_of_fractions(fractions: Sequence[float], total: int) -> list[int]:
    if abs(sum(fractions) - 1) > 1e-6:
        return []  # adds up to no data set; the caller reports it
    sizes = [int(fraction * total) for fraction in fractions]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes
