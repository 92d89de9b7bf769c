"""Options that transforms share, and their checks, which name the transform."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array
from tinycnn.checks import check_int, check_number, check_positive, shortened

Size = int | Sequence[int]
Range = float | Sequence[float]
Fill = float | Sequence[float] | None
PADDING_MODES = ["constant", "edge", "reflect", "symmetric"]


class InterpolationMode(Enum):
    """How pixels between pixels are computed."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers for them.
PILLOW_MODES = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_OF_NUMBERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def listed(value: Any) -> list[Any]:
    """A number, or a sequence of them, as a list."""
    return [value] if np.ndim(value) == 0 else list(value)


def mode_of(owner: str, interpolation: InterpolationMode | int) -> str:
    """The name of an interpolation mode, which may be Pillow's number. ValueError, naming `owner`, for no mode."""
    if isinstance(interpolation, int) and not isinstance(interpolation, bool) and interpolation in _OF_NUMBERS:
        return _OF_NUMBERS[int(interpolation)]
    if not isinstance(interpolation, InterpolationMode):
        raise ValueError(f"{owner}: expected interpolation as an InterpolationMode, got {shortened(interpolation)}")
    return interpolation.value


def pair_of(owner: str, name: str, value: Any) -> tuple[int, int]:
    """(height, width) of a size: an int for a square, or a sequence of one or two. ValueError for anything else."""
    sizes = listed(value)
    if len(sizes) not in (1, 2):
        raise ValueError(f"{owner}: expected {name} as an int or (height, width), got {shortened(value)}")
    return check_positive(owner, name, sizes[0]), check_positive(owner, name, sizes[-1])


def ltrb_of(owner: str, padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a border. ValueError, naming `owner`, for anything else."""
    edges = listed(padding)
    if len(edges) not in (1, 2, 4):
        raise ValueError(f"{owner}: expected padding as an int, 2 or 4 of them, got {shortened(padding)}")
    left, top, right, bottom = [check_int(owner, "padding", edge) for edge in edges] * (4 // len(edges))
    return left, top, right, bottom


def fill_of(owner: str, fill: Fill, img: Any) -> Any:
    """`fill` as Pillow takes it: a number, or a tuple of one per channel. ValueError for another number of them."""
    if fill is None:
        return None
    channels, values = len(img.getbands()), listed(fill)
    values = values * channels if len(values) == 1 else values
    if len(values) != channels:
        raise ValueError(f"{owner}: expected fill as a number or {channels}, one per channel, got {shortened(fill)}")
    values = values if img.mode == "F" else [int(value) for value in values]
    return tuple(values) if channels > 1 else values[0]


def range_of(owner: str, name: str, value: Any, symmetric: bool = True) -> tuple[float, float]:
    """(low, high) of a range, where a number means ± that number. ValueError, naming `owner`, for anything else."""
    if symmetric and np.ndim(value) == 0 and check_number(owner, name, value) >= 0:
        return -float(value), float(value)
    if np.ndim(value) != 1 or len(value) != 2 or not value[0] <= value[1]:
        wanted = "a number of at least 0 or (low, high)" if symmetric else "(low, high)"
        raise ValueError(f"{owner}: expected {name} as {wanted}, got {shortened(value)}")
    return float(value[0]), float(value[1])


def fill_beside(owner: str, fill: Any, images: Array, name: str = "fill") -> Array:
    """`fill` as an array (C) of the dtype and on the device of images (N, C, H, W). ValueError, naming `owner`, unless
    it is a number or one for each channel."""
    C, values = images.shape[1], np.asarray(fill)
    if values.shape not in ((), (1,), (C,), (1, 1, 1), (C, 1, 1)):
        wanted = f"expected {name} to be a number or of shape {(C, 1, 1)}, got shape {values.shape}"
        raise ValueError(f"{owner}: {wanted}")
    values = np.broadcast_to(values.astype(images.dtype).ravel(), C)
    return backend.constant(np.ascontiguousarray(values), backend.device_of(images))
