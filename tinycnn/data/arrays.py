"""A data set of images in one array, which a transform sees a batch at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from tinycnn import backend, creation
from tinycnn._bfloat16 import FLOATING, holds_numbers
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import shortened
from tinycnn.data._checks import as_numbers, checked_function
from tinycnn.data.dataset import Dataset, checked_index, indices_beside
from tinycnn.data.transforms.normalize import Normalize, PerChannel
from tinycnn.tensor import Tensor

Transform = Callable[[backend.Array], backend.Array]


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
        if images.dtype.kind not in FLOATING:
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
        if not isinstance(result, type(images)) or not holds_numbers(result.dtype):
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
