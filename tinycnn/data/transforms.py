"""Transforms: functions from a batch of images, a float32 array (N, C, H, W), to another one.

The arrays are NumPy's or, if the data set is on a GPU, CuPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.checks import shortened
from tinycnn.data._checks import as_numbers, checked_images, checked_int

PerChannel = float | Sequence[float] | np.ndarray  # one number for all channels, or one for each


class Compose:
    """Applies `transforms` one after the other. TypeError for one that cannot be called or returns None."""

    def __init__(self, transforms: Sequence[Callable[[Array], Array]]):
        if not isinstance(transforms, (list, tuple)):
            raise TypeError(f"Compose: expected a list of transforms, got {shortened(transforms)}")
        for transform in transforms:
            if not callable(transform):
                raise TypeError(f"Compose: expected transforms that can be called, got {shortened(transform)}")
        self.transforms = list(transforms)

    def __call__(self, images: Array) -> Array:
        for transform in self.transforms:
            images = transform(images)
            if images is None:
                raise TypeError(f"Compose: expected {shortened(transform)} to return images, got None")
        return images

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"


class Normalize:
    """(images − mean) / std; mean and std are numbers or sequences with one number per channel.

    Attribute `background`: the value of black (0) after it, a number or an array (C, 1, 1).
    Raises TypeError for what are no numbers, ValueError for a mean that is not finite, a std that is not positive and
    finite, and, when called, for images with another number of channels.
    """

    def __init__(self, mean: PerChannel, std: PerChannel):
        self.mean = self._per_channel("mean", mean)
        self.std = self._per_channel("std", std)
        if not np.all(self.std > 0):
            raise ValueError(f"Normalize: expected std greater than 0, got {shortened(std)}")
        if self.mean.ndim and self.std.ndim and len(self.mean) != len(self.std):
            raise ValueError(f"Normalize: expected as many mean as std, got {len(self.mean)} and {len(self.std)}")
        self.background = -self.mean / self.std

    @staticmethod
    def _per_channel(name: str, value: PerChannel) -> np.ndarray:
        with np.errstate(over="ignore"):  # a number beyond float32 is reported as infinite
            array = as_numbers(f"Normalize({name})", value).astype(np.float32)
        if array.ndim > 1 or array.size == 0 or not np.isfinite(array).all():
            got = shortened(value)
            raise ValueError(f"Normalize: expected {name} to be finite, a number or one per channel, got {got}")
        return array.reshape(array.shape + (1, 1)) if array.ndim else array

    def __call__(self, images: Array, out: Array | None = None) -> Array:
        """The normalised images, written to the array `out` (which may be `images`) if it is given."""
        checked_images(self, images)
        for statistic in (self.mean, self.std):
            if statistic.ndim and len(statistic) != images.shape[1]:
                raise ValueError(f"{self}: expected {len(statistic)} channels, got images {images.shape}")
        target = backend.device_of(images)
        mean, std = (s[()] if s.ndim == 0 else backend.constant(s, target) for s in (self.mean, self.std))
        with backend.on(target) as xp:
            normalized = xp.subtract(images, mean, out=out)
            return xp.divide(normalized, std, out=normalized)

    def __repr__(self) -> str:
        return f"Normalize(mean={_rounded(self.mean)}, std={_rounded(self.std)})"


class RandomShift:
    """Shifts every image by a whole number of pixels, drawn uniformly from [−pixels, pixels] for each direction.

    Args:
        pixels: the largest shift, less than the images' height and width.
        fill: the value at the border, a number or an array (C, 1, 1). Default 0, black in images within [0, 1];
            normalised images need `dataset.background`.
        seed: an int or a numpy.random.Generator, for the same shifts on every device. None (default) draws from the
            library's random state (`tinycnn.manual_seed`) of the images' device.

    Raises ValueError if `pixels` or `seed` is not an int of at least 0 and, when called, if `pixels` is too large for
    the images or `fill` has another number of channels; TypeError if `fill` is no number.
    """

    def __init__(self, pixels: int, fill: float | np.ndarray = 0.0, seed: int | np.random.Generator | None = None):
        self.pixels = checked_int("RandomShift(pixels)", pixels, minimum=0)
        as_numbers("RandomShift(fill)", fill)
        self.fill = fill
        if not isinstance(seed, (np.random.Generator, type(None))):
            seed = np.random.default_rng(checked_int("RandomShift(seed)", seed, minimum=0))
        self.generator = seed

    def __call__(self, images: Array) -> Array:
        N, C, H, W = checked_images(self, images).shape
        p = self.pixels
        if p >= min(H, W):
            raise ValueError(f"{self}: expected images larger than {p} pixels, got {H}×{W}")
        if (shape := np.shape(self.fill)) not in ((), (1, 1, 1), (C, 1, 1)):
            raise ValueError(f"{self}: expected fill to be a number or of shape {(C, 1, 1)}, got shape {shape}")
        target = backend.device_of(images)
        generator = backend.random_generator(target) if self.generator is None else self.generator
        with backend.on(target):
            starts = backend.to_device(generator.integers(0, 2 * p + 1, (2, N)), target)
            return backend.kernels(images).shifted(images, starts, p, self.fill)

    def __repr__(self) -> str:
        return f"RandomShift(pixels={self.pixels}, fill={_rounded(self.fill)})"


def _rounded(value: PerChannel) -> float | list[float]:
    """A number, or a list of one per channel, for printing."""
    rounded = np.round(np.asarray(value, np.float64), 4)
    return rounded.ravel().tolist() if rounded.ndim else rounded.item()
