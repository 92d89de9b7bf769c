"""Sizes, crops, borders and flips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import Array
from tinycnn.checks import check_choice, check_flag, check_int, check_share, shortened
from tinycnn.data._checks import as_numbers, checked_int
from tinycnn.data.transforms import sampling
from tinycnn.data.transforms.normalize import rounded
from tinycnn.data.transforms.options import (
    PADDING_MODES,
    PILLOW_MODES,
    Fill,
    InterpolationMode,
    Size,
    fill_beside,
    fill_of,
    listed,
    ltrb_of,
    mode_of,
    pair_of,
    range_of,
)
from tinycnn.data.transforms.pictures import (
    BatchTransform,
    Picture,
    RandomTransform,
    Transform,
    chance,
    checked_picture,
    is_pil,
    on_tensor,
    pillow,
    size_of,
    uniform,
    whole,
)
from tinycnn.ops.pad import index_select
from tinycnn.ops.pad import pad as pad_dims

# --- functions --------------------------------------------------------------------------------------------


def resize(
    img: Picture, size: int | Sequence[int], interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """The picture in another size.

    Args:
        size: (height, width), or an int for the shorter edge, the other one in proportion.
        interpolation: NEAREST, NEAREST_EXACT, BILINEAR (default) or BICUBIC; on PIL images all.
        max_size: the most for the longer edge, if size is an int. Default None.
        antialias: whether shrinking averages over all pixels (default); of PIL images it always does.
    """
    mode = mode_of("resize", interpolation)
    old = size_of(checked_picture("resize", img))
    new = _new_size(old, size, max_size)
    if new == old:
        return img
    if is_pil(img):
        return img.resize(new[::-1], PILLOW_MODES[mode])
    return on_tensor("resize", img, lambda x: sampling.resized(x, new, mode, bool(antialias)))


def _new_size(old: tuple[int, int], size: Any, max_size: int | None) -> tuple[int, int]:
    height, width = pair_of("resize", "size", size)
    if np.ndim(size) and len(size) == 2:
        if max_size is not None:
            raise ValueError(f"resize: expected max_size with one size for the shorter edge, got size {size}")
        return height, width
    short, long = sorted(old)
    new_short, new_long = height, int(height * long / short)
    if max_size is not None:
        if check_int("resize", "max_size", max_size) <= height:
            raise ValueError(f"resize: expected max_size above size {height}, got {max_size}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if old[0] <= old[1] else (new_long, new_short)


def crop(img: Picture, top: int, left: int, height: int, width: int) -> Any:
    """The part of (height, width) whose first pixel is (top, left); zeros outside of the picture."""
    if is_pil(checked_picture("crop", img)):
        return img.crop((left, top, left + width, top + height))
    H, W = size_of(img)
    edges = (left, top, left + width - W, top + height - H)
    return _padded("crop", img, (-edges[0], -edges[1], edges[2], edges[3]), 0)


def resized_crop(
    img: Picture, top: int, left: int, height: int, width: int, size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR, antialias: bool | None = True,
) -> Any:  # fmt: skip
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def center_crop(img: Picture, output_size: int | Sequence[int]) -> Any:
    """The middle part of `output_size`, an int or (height, width); zeros around a picture that is smaller."""
    height, width = pair_of("center_crop", "output_size", output_size)
    H, W = size_of(checked_picture("center_crop", img))
    if width > W or height > H:
        wide, high = max(width - W, 0), max(height - H, 0)
        img = pad(img, [wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2])
        H, W = size_of(img)
    return crop(img, round((H - height) / 2), round((W - width) / 2), height, width)


def pad(img: Picture, padding: int | Sequence[int], fill: Fill = 0, padding_mode: str = "constant") -> Any:
    """The picture with a border.

    Args:
        padding: the width of the border: an int, (left and right, top and bottom), or (left, top, right, bottom).
        fill: the value of a constant border, a number or one per channel. Default 0.
        padding_mode: "constant" (default), "edge", "reflect" or "symmetric".
    """
    edges = ltrb_of("pad", padding)
    check_choice("pad", "padding_mode", padding_mode, PADDING_MODES)
    if not is_pil(checked_picture("pad", img)):
        return _padded("pad", img, edges, fill, padding_mode)
    if padding_mode == "constant":
        return pillow("pad", "ImageOps").expand(img, border=edges, fill=fill_of("pad", fill, img) or 0)
    rows, columns = _border_indices("pad", size_of(img), edges, padding_mode)
    padded = pillow("pad").fromarray(np.asarray(img)[rows][:, columns])
    if img.mode == "P":
        padded.putpalette(img.getpalette())
    return padded


def _border_indices(owner: str, size: tuple[int, int], edges: Sequence[int], mode: str) -> list[np.ndarray]:
    """For rows and for columns, which of the old ones each new one is."""
    left, top, right, bottom = edges
    if min(edges) < 0:
        raise ValueError(f"{owner}: expected padding of at least 0 for padding_mode {mode!r}, got {list(edges)}")
    pairs = zip(size, ((top, bottom), (left, right)), strict=True)
    return [_bordered(np.arange(length, dtype=np.int32), pair, mode) for length, pair in pairs]


def _bordered(places: np.ndarray, widths: tuple[int, int], mode: str) -> np.ndarray:
    """Places in a row of pixels with those of a border around them; −1 in a constant one."""
    if mode == "constant":
        return np.pad(places, widths, constant_values=-1)
    return np.pad(places, widths, mode=mode)  # type: ignore[call-overload]


def _cropped_at_random(
    owner: str, images: Array, numbers: Any, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int], fill: Any
) -> Array:  # fmt: skip
    """A part of `size` of each image, at a place of its own. `rows` and `columns` are those of `_bordered`. `numbers`
    is a generator on the CPU; with None, the images' device draws."""
    target, kernels = backend.device_of(images), backend.kernels(images)
    places = len(rows) - size[0] + 1, len(columns) - size[1] + 1
    filling = fill_beside(owner, fill, images)
    with backend.on(target):
        if numbers is None:
            starts = kernels.draw_starts(backend.random_generator(target), len(images), *places)
        else:
            starts = backend.to_device(backend.cpu.draw_starts(numbers, len(images), *places), target)
        borders = backend.constant(rows, target), backend.constant(columns, target)
        return kernels.cropped(images, starts, *borders, size, filling)


def _flipped_at_random(images: Array, p: float, dim: int) -> Array:
    """The images, each reversed along `dim` with probability p."""
    target, kernels = backend.device_of(images), backend.kernels(images)
    with backend.on(target):
        return kernels.flipped(images, kernels.draw_flips(backend.random_generator(target), len(images), p), dim)


def _padded(owner: str, img: Picture, edges: Sequence[int], fill: Fill, mode: str = "constant") -> Any:
    left, top, right, bottom = edges
    if mode != "constant":
        rows, columns = _border_indices(owner, size_of(img), edges, mode)
        return on_tensor(owner, img, lambda x: index_select(index_select(x, x.ndim - 2, rows), x.ndim - 1, columns))
    value, *more = listed(0 if fill is None else fill)
    if more:
        raise ValueError(f"{owner}: expected fill as one number for a Tensor, got {shortened(fill)}")
    border = (top, bottom), (left, right)
    return on_tensor(owner, img, lambda x: pad_dims(x, ((0, 0),) * (x.ndim - 2) + border, value))


def hflip(img: Picture) -> Any:
    """The picture with left and right exchanged."""
    if is_pil(img):
        return img.transpose(0)
    return on_tensor("hflip", img, lambda x: x.flip(-1))


def vflip(img: Picture) -> Any:
    """The picture with top and bottom exchanged."""
    if is_pil(img):
        return img.transpose(1)
    return on_tensor("vflip", img, lambda x: x.flip(-2))


def five_crop(img: Picture, size: int | Sequence[int]) -> tuple[Any, ...]:
    """The four corners and the middle of `size`: top left, top right, bottom left, bottom right, middle."""
    height, width = pair_of("five_crop", "size", size)
    H, W = size_of(checked_picture("five_crop", img))
    if height > H or width > W:
        raise ValueError(f"five_crop: expected size of at most {(H, W)}, got {(height, width)}")
    corners = [crop(img, top, left, height, width) for top in (0, H - height) for left in (0, W - width)]
    return (*corners, center_crop(img, [height, width]))


def ten_crop(img: Picture, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the picture and of the flipped one."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


# --- transforms -------------------------------------------------------------------------------------------


class Resize(Transform):
    """The picture in another size.

    Args:
        size: (height, width), or an int for the shorter edge, the other one in proportion.
        interpolation: NEAREST, NEAREST_EXACT, BILINEAR (default) or BICUBIC; on PIL images all.
        max_size: the most for the longer edge, if size is an int. Default None.
        antialias: whether shrinking averages over all pixels (default); of PIL images it always does.
    """

    def __init__(
        self, size: Size, interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None, antialias: bool | None = True,
    ):  # fmt: skip
        pair_of("Resize", "size", size)
        mode_of("Resize", interpolation)
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def forward(self, img: Picture) -> Any:
        """The resized picture."""
        return resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(Transform):
    """The middle part of `size`, an int or (height, width); zeros around a picture that is smaller."""

    def __init__(self, size: Size):
        self.size = pair_of("CenterCrop", "size", size)

    def forward(self, img: Picture) -> Any:
        """The middle part."""
        return center_crop(img, self.size)


class Pad(Transform):
    """The picture with a border.

    Args:
        padding: the width of the border: an int, (left and right, top and bottom), or (left, top, right, bottom).
        fill: the value of a constant border, a number or one per channel. Default 0.
        padding_mode: "constant" (default), "edge", "reflect" or "symmetric".
    """

    def __init__(self, padding: Size, fill: Fill = 0, padding_mode: str = "constant"):
        ltrb_of("Pad", padding)
        self.padding, self.fill = padding, fill
        self.padding_mode = check_choice("Pad", "padding_mode", padding_mode, PADDING_MODES)

    def forward(self, img: Picture) -> Any:
        """The padded picture."""
        return pad(img, self.padding, self.fill, self.padding_mode)


class FiveCrop(Transform):
    """The four corners and the middle of `size`, a tuple: see `functional.five_crop`."""

    def __init__(self, size: Size):
        self.size = pair_of("FiveCrop", "size", size)

    def forward(self, img: Picture) -> tuple[Any, ...]:
        """The five parts."""
        return five_crop(img, self.size)


class TenCrop(FiveCrop):
    """`FiveCrop` of the picture and of the flipped one, from left to right or, with `vertical_flip`, from top to
    bottom."""

    def __init__(self, size: Size, vertical_flip: bool = False):
        super().__init__(size)
        self.vertical_flip = check_flag("TenCrop", "vertical_flip", vertical_flip)

    def forward(self, img: Picture) -> tuple[Any, ...]:
        """The ten parts."""
        return ten_crop(img, self.size, self.vertical_flip)


class RandomCrop(BatchTransform):
    """A part of `size` at a random place.

    Args:
        size: an int or (height, width).
        padding: a border around the picture at first, as for `Pad`. Default None.
        pad_if_needed: a border around a picture that is smaller. Default False: ValueError.
        fill: the value of the border. Default 0.
        padding_mode: as for `Pad`. Default "constant".
    """

    def __init__(
        self, size: Size, padding: Size | None = None, pad_if_needed: bool = False, fill: Fill = 0,
        padding_mode: str = "constant",
    ):  # fmt: skip
        self.size = pair_of("RandomCrop", "size", size)
        if padding is not None:
            ltrb_of("RandomCrop", padding)
        self.padding, self.fill = padding, fill
        self.pad_if_needed = check_flag("RandomCrop", "pad_if_needed", pad_if_needed)
        self.padding_mode = check_choice("RandomCrop", "padding_mode", padding_mode, PADDING_MODES)

    @staticmethod
    def get_params(img: Picture, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part, drawn. ValueError for a picture that is smaller."""
        (H, W), (height, width) = size_of(checked_picture("RandomCrop", img)), output_size
        RandomCrop._check((H, W), output_size)
        return whole(0, H - height), whole(0, W - width), height, width

    def forward(self, img: Picture) -> Any:
        """The part."""
        if self.padding is not None:
            img = pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            for axis in (1, 0):
                if (lacking := self.size[axis] - size_of(img)[axis]) > 0:
                    border = [lacking, 0] if axis else [0, lacking]
                    img = pad(img, border, self.fill, self.padding_mode)
        return crop(img, *self.get_params(img, self.size))

    def on_batch(self, images: Array) -> Array:
        """The parts (N, C, height, width) of images (N, C, H, W), each at a place of its own."""
        edges = (0, 0, 0, 0) if self.padding is None else ltrb_of("RandomCrop", self.padding)
        borders = _border_indices("RandomCrop", size_of(images), edges, self.padding_mode)
        if self.pad_if_needed:
            lacking = [max(wanted - len(places), 0) for wanted, places in zip(self.size, borders, strict=True)]
            pairs = zip(borders, lacking, strict=True)
            borders = [_bordered(places, (width, width), self.padding_mode) for places, width in pairs]
        rows, columns = borders
        self._check((len(rows), len(columns)), self.size)
        fill = 0 if self.fill is None else self.fill
        return _cropped_at_random("RandomCrop", images, None, rows, columns, self.size, fill)

    @staticmethod
    def _check(size: tuple[int, int], wanted: tuple[int, int]) -> None:
        if wanted[0] > size[0] or wanted[1] > size[1]:
            raise ValueError(f"RandomCrop: expected a picture of at least {wanted}, got {size}")


class RandomShift(BatchTransform):
    """Shifts every image by a whole number of pixels, drawn uniformly from [−pixels, pixels] for each direction.

    Takes Tensors and arrays (..., C, H, W); no gradient flows through.

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

    def __call__(self, img: Picture) -> Any:
        return on_tensor(f"{self}", img, lambda x: wrap(self._on_batches(x._array)))

    def on_batch(self, images: Array) -> Array:
        """The shifted pictures of an array (N, C, H, W)."""
        H, W = size_of(images)
        p = self.pixels
        if p >= min(H, W):
            raise ValueError(f"{self}: expected images larger than {p} pixels, got {H}×{W}")
        rows, columns = _border_indices("RandomShift", (H, W), (p, p, p, p), "constant")
        return _cropped_at_random(f"{self}", images, self.generator, rows, columns, (H, W), self.fill)

    def __repr__(self) -> str:
        return f"RandomShift(pixels={self.pixels}, fill={rounded(self.fill)})"


class RandomHorizontalFlip(BatchTransform):
    """Left and right exchanged with probability `p`. Default 0.5."""

    def __init__(self, p: float = 0.5):
        self.p = check_share("RandomHorizontalFlip", "p", p)

    def forward(self, img: Picture) -> Any:
        """The picture, flipped or not."""
        return hflip(img) if chance(self.p) else img

    def on_batch(self, images: Array) -> Array:
        """Images (N, C, H, W), each flipped or not."""
        return _flipped_at_random(images, self.p, -1)


class RandomVerticalFlip(BatchTransform):
    """Top and bottom exchanged with probability `p`. Default 0.5."""

    def __init__(self, p: float = 0.5):
        self.p = check_share("RandomVerticalFlip", "p", p)

    def forward(self, img: Picture) -> Any:
        """The picture, flipped or not."""
        return vflip(img) if chance(self.p) else img

    def on_batch(self, images: Array) -> Array:
        """Images (N, C, H, W), each flipped or not."""
        return _flipped_at_random(images, self.p, -2)


class RandomResizedCrop(RandomTransform):
    """A part of random area and aspect ratio, in one size.

    Args:
        size: the size of the result, an int or (height, width).
        scale: the part's share of the picture's area, (low, high). Default (0.08, 1).
        ratio: its width to height, (low, high), drawn on a logarithmic scale. Default (3/4, 4/3).
        interpolation, antialias: as for `Resize`.
    """

    def __init__(
        self, size: Size, scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ):  # fmt: skip
        self.size = pair_of("RandomResizedCrop", "size", size)
        self.scale = range_of("RandomResizedCrop", "scale", scale, symmetric=False)
        self.ratio = range_of("RandomResizedCrop", "ratio", ratio, symmetric=False)
        mode_of("RandomResizedCrop", interpolation)
        self.interpolation, self.antialias = interpolation, antialias

    @staticmethod
    def get_params(img: Picture, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part, drawn; the middle where ten draws do not fit."""
        H, W = size_of(checked_picture("RandomResizedCrop", img))
        for _ in range(10):
            area, aspect = H * W * uniform(*scale), math.exp(uniform(*map(math.log, ratio)))
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= W and 0 < height <= H:
                return whole(0, H - height), whole(0, W - width), height, width
        width, height = W, H
        if ratio[0] > W / H:
            height = round(W / ratio[0])
        elif ratio[1] < W / H:
            width = round(H * ratio[1])
        return (H - height) // 2, (W - width) // 2, height, width

    def forward(self, img: Picture) -> Any:
        """The part in its new size."""
        part = self.get_params(img, self.scale, self.ratio)
        return resized_crop(img, *part, self.size, self.interpolation, self.antialias)
