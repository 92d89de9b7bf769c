"""Normalisation, of a whole batch as of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_flag, shortened
from tinycnn.data._checks import as_numbers
from tinycnn.data.transforms.pictures import Picture, Transform, on_tensor
from tinycnn.tensor import Tensor

PerChannel = float | Sequence[float] | np.ndarray  # one number for all channels, or one for each


def normalize(tensor: Picture, mean: PerChannel, std: PerChannel, inplace: bool = False) -> Any:
    """`Normalize(mean, std, inplace)` of a Tensor or an array."""
    return Normalize(mean, std, inplace)(tensor)


class Normalize(Transform):
    """(images − mean) / std; mean and std are numbers or sequences with one number per channel.

    Takes Tensors and arrays (..., C, H, W). `inplace` (default False) overwrites a Tensor.

    Attribute `background`: the value of black (0) after it, a number or an array (C, 1, 1).
    Raises TypeError for what are no numbers, ValueError for a mean that is not finite, a std that is not positive and
    finite; when called, TypeError for PIL images and integers, ValueError for another number of channels.
    """

    def __init__(self, mean: PerChannel, std: PerChannel, inplace: bool = False):
        self.inplace = check_flag("Normalize", "inplace", inplace)
        self._statistics = self._per_channel("mean", mean), self._per_channel("std", std)
        self.mean, self.std = (statistic.astype(np.float32) for statistic in self._statistics)
        if not np.all(self.std > 0):
            raise ValueError(f"Normalize: expected std greater than 0, got {shortened(std)}")
        if self.mean.ndim and self.std.ndim and len(self.mean) != len(self.std):
            raise ValueError(f"Normalize: expected as many mean as std, got {len(self.mean)} and {len(self.std)}")
        self.background = -self.mean / self.std

    @staticmethod
    def _per_channel(name: str, value: PerChannel) -> np.ndarray:
        array = as_numbers(f"Normalize({name})", value).astype(np.float64)
        if array.ndim > 1 or array.size == 0 or not (np.abs(array) <= np.finfo(np.float32).max).all():
            got = shortened(value)
            raise ValueError(f"Normalize: expected {name} to be finite, a number or one per channel, got {got}")
        return array.reshape(array.shape + (1, 1)) if array.ndim else array

    def forward(self, img: Picture) -> Any:
        """The normalised pictures."""
        return on_tensor(f"{self}", img, self._normalized)

    def on_batch(self, images: Array) -> Array:
        """The same of an array of floats, which is overwritten."""
        self._check(images)
        mean, std = self._beside(images)
        with backend.on(backend.device_of(images)) as xp:
            images = xp.subtract(images, mean, out=images)
            return xp.divide(images, std, out=images)

    def _check(self, images: Any) -> None:
        if images.dtype.kind not in FLOATING:
            raise TypeError(f"{self}: expected floats, got {images.dtype}; put ToTensor() before it")
        for statistic in (self.mean, self.std):
            if statistic.ndim and len(statistic) not in (1, images.shape[-3]):
                raise ValueError(f"{self}: expected {len(statistic)} channels, got images {tuple(images.shape)}")

    def _beside(self, images: Array) -> list[Any]:
        """Mean and standard deviation as numbers or as arrays on the device of `images`."""
        target = backend.device_of(images)
        both = (s.astype(images.dtype, copy=False) for s in self._statistics)
        return [s[()] if s.ndim == 0 else backend.constant(s, target) for s in both]

    def _normalized(self, images: Tensor) -> Tensor:
        self._check(images)
        mean, std = (wrap(s) if s.ndim else s.item() for s in self._beside(images._array))
        normalized = (images - mean) / std
        return images.copy_(normalized) if self.inplace else normalized

    def __repr__(self) -> str:
        return f"Normalize(mean={rounded(self.mean)}, std={rounded(self.std)})"


def rounded(value: PerChannel) -> float | list[float]:
    """A number, or a list of one per channel, for printing."""
    rounded = np.round(np.asarray(value, np.float64), 4)
    return rounded.ravel().tolist() if rounded.ndim else rounded.item()
