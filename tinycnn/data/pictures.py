"""Data sets of 8-bit pictures of one size, which a transform sees as PIL images, as torchvision's do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.data._checks import checked_function
from tinycnn.data.arrays import ArrayDataset
from tinycnn.data.dataset import Dataset, checked_index, indices_beside
from tinycnn.data.transforms.compose import Compose, Split, run_on_batch, split_steps, steps_of
from tinycnn.data.transforms.normalize import Normalize
from tinycnn.data.transforms.pictures import RandomTransform, is_pil, pillow
from tinycnn.tensor import Tensor

PictureTransform = Callable[[Any], Any]


class PictureDataset(Dataset):
    """Pictures and their classes; item i is (the transform of a PIL image, target).

    From `ToTensor` on a transform is run on the pixels of a whole batch as far as that gives the same bits; other steps
    see one picture at a time. Without a transform, an item is a PIL image. Pillow is needed for PIL images alone.

    Args:
        data: (N, H, W), shades of grey, or (N, H, W, C), uint8, an array or a Tensor.
        targets: N integers.
        classes: the names of the classes.
        transform, target_transform: functions of a PIL image and of a target. Default None.

    Attributes:
        data, targets: as given. They may be set, to others of N pictures.
        classes: a list. class_to_idx: name of a class to its target.
        images: (N, C, H, W), what the transform makes of all pictures, computed anew when it is asked for.

    Raises TypeError for a transform that cannot be called.
    """

    def __init__(
        self, data: np.ndarray | Tensor, targets: Sequence[int] | np.ndarray | Tensor, classes: Sequence[str],
        transform: PictureTransform | None = None, target_transform: PictureTransform | None = None,
    ):  # fmt: skip
        self.data: Any = data
        self.targets: Any = targets
        self.classes = list(classes)
        self.transform = transform
        self.target_transform = checked_function(f"{self.name}(target_transform)", target_transform)

    @property
    def name(self) -> str:
        """The name of the data set in `repr` and error messages: that of its class."""
        return type(self).__name__

    @property
    def transform(self) -> PictureTransform | None:
        """The function of a PIL image, or None. It may be set; TypeError for what cannot be called."""
        return self._transform

    @transform.setter
    def transform(self, transform: PictureTransform | None) -> None:
        self._transform = checked_function(f"{self.name}(transform)", transform)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The target of each class, by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    # --- items ----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        place = checked_index(self.name, index, len(self))
        before, batch, after = self._steps()
        if before or not batch:
            return self._run([*before, *batch, *after], self._picture(place)), self._target(place)
        images = run_on_batch(batch, self._pixels([place]))
        return self._run(after, wrap(images[0])), self._target(place)

    def __getitems__(self, indices: Sequence[int] | backend.Array) -> list | tuple[Tensor, Tensor]:
        """The batch of these items, (Tensor (N, C, H, W), Tensor (N,) int64), or a list of them where not all of the
        transform can be run on batches."""
        places = indices_beside(_array(self.data), indices, self.name)
        before, batch, after = self._steps()
        if before or not batch:
            pictures = [self._run(before, self._picture(place)) for place in places.tolist()]
            pixels = _alike(pictures) if batch else None
            if pixels is None:
                after = [*batch, *after]
        else:
            pixels = self._pixels(places)
        if pixels is not None:
            images = run_on_batch(batch, pixels)
            if not after and self.target_transform is None:
                return wrap(images), self._targets(places)
            pictures = [wrap(image) for image in images]
        return [(self._run(after, p), self._target(i)) for p, i in zip(pictures, places.tolist(), strict=True)]

    def _steps(self) -> Split:
        """The steps of the transform, split for pictures of 8 bits."""
        if self._transform is None:
            return Split([], [], [])
        if _array(self.data).dtype != np.uint8:
            return Split(steps_of(self._transform), [], [])
        return split_steps(self._transform)

    @staticmethod
    def _run(steps: list[Any], picture: Any) -> Any:
        return Compose(steps)(picture) if steps else picture

    def _picture(self, place: int) -> Any:
        return pillow(self.name).fromarray(_array(self.data)[place])

    def _pixels(self, places: Any) -> np.ndarray:
        """The pictures at these places as an array (n, C, H, W)."""
        return _channels_first(_array(self.data)[places])

    def _labels(self) -> Any:
        """What the targets of items are taken from."""
        return self.targets

    def _targets(self, places: np.ndarray) -> Tensor:
        labels = self._labels()
        if isinstance(labels, (Tensor, np.ndarray)):
            return wrap(_array(labels)[places])
        return wrap(np.array([labels[place] for place in places.tolist()]))  # a list of 50,000 is no array

    def _target(self, place: int) -> Any:
        target = self._labels()[place]
        target = target.item() if getattr(target, "ndim", None) == 0 else target
        return target if self.target_transform is None else self.target_transform(target)

    # --- all at once ----------------------------------------------------------------------------------------

    def _fixed_and_drawn(self) -> tuple[list[Any], list[Any]]:
        """The steps that give the same in every epoch, and those from the first that draws. TypeError unless all of
        the transform can be run on batches."""
        before, steps, after = self._steps()
        if before or not steps or after or self.target_transform is not None:
            raise TypeError(
                f"{self.name}: expected a transform of ToTensor, Normalize and others that work on a batch, "
                f"got {self._transform}"
            )
        count = next((i for i, step in enumerate(steps) if isinstance(step, RandomTransform)), len(steps))
        return steps[:count], steps[count:]

    @property
    def images(self) -> np.ndarray:
        """(N, C, H, W), what the transform makes of all pictures, without the steps that draw. TypeError where it makes
        them one by one."""
        return run_on_batch(self._fixed_and_drawn()[0], self._pixels(slice(None)))

    @property
    def background(self) -> Any:
        """The value of black (0) after the transform, with which `RandomShift` fills the border."""
        return next((step.background for step in self._steps().batch if isinstance(step, Normalize)), 0.0)

    def to(self, device: DeviceLike) -> Dataset:
        """This data set itself on the CPU; on a GPU an `ArrayDataset` of its images and targets, whose transform are
        the steps that draw. TypeError where the transform makes images one by one."""
        if backend.device(device) == backend.CPU:
            return self
        _, drawn = self._fixed_and_drawn()
        targets = _array(self._labels())
        moved = ArrayDataset(self.images, targets, Compose(drawn) if drawn else None, tuple(self.classes), self.name)
        moved.background = self.background
        return moved.to(device)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self._pixels(slice(0, 0)).shape[1:]))
        parts = [f"{len(self)} images of {shape}", f"{len(self.classes)} classes"]
        return f"{self.name}({', '.join(parts + [repr(t) for t in (self.transform, self.target_transform) if t])})"


def _array(values: Any) -> np.ndarray:
    """A Tensor's array, or another sequence as one."""
    return values._array if isinstance(values, Tensor) else np.asarray(values)


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    """(N, C, H, W) of (N, H, W) or (N, H, W, C)."""
    return pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)


def _alike(pictures: list[Any]) -> np.ndarray | None:
    """The pixels (N, C, H, W) of PIL images of one size, one mode and 8 bits; None of others."""
    if not all(is_pil(picture) for picture in pictures):
        return None
    if len({(picture.size, picture.mode) for picture in pictures}) != 1:
        return None
    pixels = np.stack([np.asarray(picture) for picture in pictures])
    return _channels_first(pixels) if pixels.dtype == np.uint8 else None
