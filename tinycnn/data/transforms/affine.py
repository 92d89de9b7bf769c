"""Rotation, and affine maps in general."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.backend.augmentation import inverse_affine_matrix
from tinycnn.checks import check_flag, shortened
from tinycnn.data.transforms import sampling
from tinycnn.data.transforms.options import (
    PILLOW_MODES,
    Fill,
    InterpolationMode,
    Range,
    fill_beside,
    fill_of,
    listed,
    mode_of,
    range_of,
)
from tinycnn.data.transforms.pictures import (
    BatchTransform,
    Picture,
    RandomTransform,
    checked_picture,
    is_pil,
    on_tensor,
    size_of,
    uniform,
)

NONE, ONE = (0.0, 0.0), (1.0, 1.0)  # ranges of what does not change


def rotate(
    img: Picture, angle: float, interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    expand: bool = False, center: Sequence[float] | None = None, fill: Fill = None,
) -> Any:  # fmt: skip
    """The picture turned counter-clockwise by `angle` degrees about `center`, (x, y), by default the middle.

    Args:
        expand: make the result large enough for the whole picture. Default False: the size stays.
        fill: the value outside of the picture. Default None, 0.
    """
    mode = mode_of("rotate", interpolation)
    if is_pil(checked_picture("rotate", img)):
        return img.rotate(angle, PILLOW_MODES[mode], expand, center, fillcolor=fill_of("rotate", fill, img))
    H, W = size_of(img)
    middle = [0.0, 0.0] if center is None else [center[0] - W * 0.5, center[1] - H * 0.5]
    matrix = inverse_affine_matrix(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = sampling.rotated_size(H, W, matrix) if expand else (H, W)
    return on_tensor("rotate", img, lambda x: sampling.sampled(x, matrix, size, mode, fill))


def affine(
    img: Picture, angle: float, translate: Sequence[float], scale: float, shear: float | Sequence[float],
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST, fill: Fill = None,
    center: Sequence[float] | None = None,
) -> Any:  # fmt: skip
    """The picture turned clockwise by `angle` degrees, sheared by `shear` degrees, (x, y) or x alone, enlarged by
    `scale` about `center`, and moved by `translate`, (x, y) in pixels."""
    mode = mode_of("affine", interpolation)
    shear = [shear, 0.0] if np.ndim(shear) == 0 else (listed(shear) * 2)[:2]  # type: ignore[list-item]
    if scale <= 0:
        raise ValueError(f"affine: expected scale above 0, got {scale}")
    H, W = size_of(checked_picture("affine", img))
    if is_pil(img):
        middle = [W * 0.5, H * 0.5] if center is None else list(center)
        matrix = inverse_affine_matrix(middle, angle, translate, scale, shear)
        fillcolor = fill_of("affine", fill, img)
        return img.transform((W, H), 0, matrix, PILLOW_MODES[mode], fillcolor=fillcolor)
    middle = [0.0, 0.0] if center is None else [center[0] - W * 0.5, center[1] - H * 0.5]
    matrix = inverse_affine_matrix(middle, angle, translate, scale, shear)
    return on_tensor("affine", img, lambda x: sampling.sampled(x, matrix, (H, W), mode, fill))


class RandomRotation(BatchTransform):
    """The picture turned by a random angle.

    Args:
        degrees: (low, high), or a number for ± that number. Counter-clockwise.
        interpolation, expand, center, fill: as for `functional.rotate`.
    """

    def __init__(
        self, degrees: Range, interpolation: InterpolationMode | int = InterpolationMode.NEAREST, expand: bool = False,
        center: Sequence[float] | None = None, fill: Fill = 0,
    ):  # fmt: skip
        self.degrees = range_of("RandomRotation", "degrees", degrees)
        mode_of("RandomRotation", interpolation)
        self.interpolation, self.center, self.fill = interpolation, center, 0 if fill is None else fill
        self.expand = check_flag("RandomRotation", "expand", expand)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """An angle, drawn."""
        return uniform(*degrees)

    def forward(self, img: Picture) -> Any:
        """The turned picture."""
        return rotate(img, self.get_params(self.degrees), self.interpolation, self.expand, self.center, self.fill)

    def on_batch(self, images: Array) -> Array:
        """Images (N, C, H, W), each turned by an angle of its own."""
        if self.expand:  # to a size of its own: one by one, and ValueError if the sizes differ
            return RandomTransform.__call__(self, images)
        ranges = [(-self.degrees[0], -self.degrees[1]), NONE, NONE, ONE, NONE, NONE]
        return _warped_at_random("RandomRotation", images, ranges, self.interpolation, self.fill, self.center)


class RandomAffine(BatchTransform):
    """The picture turned, moved, enlarged and sheared at random about its centre.

    Args:
        degrees: the angle, (low, high), or a number for ± that number. Clockwise.
        translate: the most to move by, as shares of width and height. Default None: not at all.
        scale: the factor, (low, high). Default None: 1.
        shear: degrees: a number for ± that number along x, (low, high) along x, or four for x and y. Default None.
        interpolation, fill, center: as for `functional.affine`.
    """

    def __init__(
        self, degrees: Range, translate: Sequence[float] | None = None, scale: Sequence[float] | None = None,
        shear: Range | None = None, interpolation: InterpolationMode | int = InterpolationMode.NEAREST, fill: Fill = 0,
        center: Sequence[float] | None = None,
    ):  # fmt: skip
        name = "RandomAffine"
        self.degrees = range_of(name, "degrees", degrees)
        if translate is not None and (len(translate) != 2 or not all(0 <= share <= 1 for share in translate)):
            raise ValueError(f"{name}: expected translate as two shares from 0 to 1, got {shortened(translate)}")
        self.translate = translate
        self.scale = None if scale is None else range_of(name, "scale", scale, symmetric=False)
        if self.scale is not None and self.scale[0] <= 0:
            raise ValueError(f"{name}: expected scale above 0, got {shortened(scale)}")
        if np.ndim(shear) and len(shear) == 4:  # type: ignore[arg-type]
            x_range, y_range = (range_of(name, "shear", part, symmetric=False) for part in (shear[:2], shear[2:]))  # type: ignore[index]
            self.shear: tuple[float, ...] | None = x_range + y_range
        else:
            self.shear = None if shear is None else range_of(name, "shear", shear)
        mode_of(name, interpolation)
        self.interpolation, self.fill, self.center = interpolation, 0 if fill is None else fill, center

    @staticmethod
    def get_params(
        degrees: Sequence[float], translate: Sequence[float] | None, scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None, img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:  # fmt: skip
        """(angle, (x, y) to move by, factor, (x, y) of shear), drawn; `img_size` is (width, height)."""
        angle, moves = uniform(*degrees), (0, 0)
        if translate is not None:
            most = [share * size for share, size in zip(translate, img_size, strict=True)]
            moves = round(uniform(-most[0], most[0])), round(uniform(-most[1], most[1]))
        scale = 1.0 if scale_ranges is None else uniform(*scale_ranges)
        x_shear = uniform(*shears[:2]) if shears is not None else 0.0
        y_shear = uniform(*shears[2:]) if shears is not None and len(shears) == 4 else 0.0
        return angle, moves, scale, (x_shear, y_shear)

    def forward(self, img: Picture) -> Any:
        """The changed picture."""
        H, W = size_of(checked_picture("RandomAffine", img))
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, [W, H])
        return affine(img, *drawn, self.interpolation, self.fill, self.center)

    def on_batch(self, images: Array) -> Array:
        """Images (N, C, H, W), each changed in its own way."""
        most = [share * size for share, size in zip(self.translate or (0, 0), images.shape[:1:-1], strict=True)]
        shears = self.shear or NONE
        ranges = [
            self.degrees, *[(-move, move) for move in most], self.scale or ONE, shears[:2], shears[2:] or NONE
        ]  # fmt: skip
        return _warped_at_random("RandomAffine", images, ranges, self.interpolation, self.fill, self.center)


def _warped_at_random(
    owner: str, images: Array, ranges: list[Any], interpolation: InterpolationMode | int, fill: Any,
    center: Sequence[float] | None,
) -> Array:  # fmt: skip
    """Each image through an affine map of its own, drawn from `ranges` as `backend.augmentation.draw_maps` does."""
    size, mode = size_of(images), mode_of(owner, interpolation)
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"{owner}: expected a Tensor with nearest or bilinear interpolation, got {mode}")
    middle = (0.0, 0.0) if center is None else (center[0] - size[1] * 0.5, center[1] - size[0] * 0.5)
    target, kernels = backend.device_of(images), backend.kernels(images)
    filling = fill_beside(owner, fill, images)
    with backend.on(target):
        maps = kernels.draw_maps(backend.random_generator(target), len(images), size, ranges, middle)
        return kernels.warped(images, maps, mode == "bilinear", filling)
