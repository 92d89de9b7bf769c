"""Augmentation of batches of images (N, C, H, W) in NumPy; `gpu/augment.py` does the same on a GPU.

What happens to each image is drawn first, by the functions `draw_…`, into small arrays whose last dimension is N. All
of it are functions of uniform numbers, of which each image takes its own. So a GPU, which draws with the same
functions, gets the same from the same numbers. Then the pixels move, all at once. Results lie in memory as the images
do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.backend.threads import in_threads, shares

__all__ = [
    "cropped", "draw_boxes", "draw_flips", "draw_maps", "draw_mixture", "draw_squares", "draw_starts", "erased",
    "flipped", "mixed", "mixed_classes", "pasted", "warped",
]  # fmt: skip

TRIES = 10  # that a random rectangle has to fit
CACHED = 2**18  # bytes that stay in the second cache of a core

Range = tuple[float, float]


# --- draws --------------------------------------------------------------------------------------------------


def _uniform(generator: Any, N: int, K: int) -> np.ndarray:
    """(K, N) numbers in [0, 1). Of 24 bits each, so that its product with a count of places is below that count."""
    return np.ascontiguousarray(generator.random((N, K), dtype=np.float32).T, np.float64)


def draw_starts(generator: Any, N: int, rows: int, columns: int) -> np.ndarray:
    """(2, N) int32: one of so many rows, and one of so many columns."""
    return (_uniform(generator, N, 4)[:2] * [[rows], [columns]]).astype(np.int32)


def draw_flips(generator: Any, N: int, p: float) -> np.ndarray:
    """(N) bool: true with probability p."""
    return _uniform(generator, N, 4)[0] < p


def draw_boxes(generator: Any, N: int, size: tuple[int, int], p: float, scale: Range, log_ratio: Range) -> np.ndarray:
    """(4, N) int32: top, left, height and width of a part of images of `size`, which has a share from `scale` of their
    area and a height to width whose logarithm is from `log_ratio`. Of no size with probability 1 − p, and where ten
    draws do not fit."""
    H, W = size
    u = _uniform(generator, N, 4 + 2 * TRIES)
    area = H * W * (scale[0] + (scale[1] - scale[0]) * u[3:-1:2])
    aspect = np.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * u[4::2])
    heights, widths = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (heights < H) & (widths < W) & (u[0] < p)
    first = fits.argmax(axis=0)[None]  # 0 where none fits
    height, width = (np.take_along_axis(np.where(fits, sizes, 0), first, axis=0)[0] for sizes in (heights, widths))
    return np.stack([np.floor(u[1] * (H - height + 1)), np.floor(u[2] * (W - width + 1)), height, width]).astype("i4")


def draw_squares(generator: Any, N: int, size: tuple[int, int], edge: int) -> np.ndarray:
    """(4, N) int32: top, left, height and width of a square of this edge about any pixel of images of `size`. It ends
    at the border."""
    limits = np.array(size)[:, None]
    starts = (_uniform(generator, N, 4)[:2] * limits).astype(np.int64) - edge // 2
    first, end = np.maximum(starts, 0), np.minimum(starts + edge, limits)
    return np.concatenate([first, end - first]).astype(np.int32)


def draw_maps(
    generator: Any, N: int, size: tuple[int, int], ranges: Sequence[Range], center: tuple[float, float]
) -> np.ndarray:
    """(6, N) float32, what `warped` takes. `ranges` are those of the angle, of how far to move along x and y, in whole
    pixels, of the scale, and of the shear along x and y, angles in degrees; `center` is (x, y) from the middle."""
    low, high = np.array(ranges, np.float64).T[:, :, None]
    angle, x, y, scale, *shear = low + (high - low) * _uniform(generator, N, 8)[:6]
    return grids(inverse_affine_matrix(center, angle, (np.rint(x), np.rint(y)), scale, shear), size)


def draw_mixture(
    generator: Any, alpha: float, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """(share, None), the share of an image in a mixture, a float64 of shape (), Beta(α, α).

    With a size, (share, box): int32, top, left, height and width of a part that is put into images of this size, and
    what share of them is left. The part has 1 − Beta(α, α) of their area and any centre, and ends at the border.
    """
    share = generator.beta(alpha, alpha)
    if size is None:
        return np.asarray(share), None
    H, W = size
    radius = 0.5 * np.sqrt(1 - share)
    h, w = (generator.random(2, dtype=np.float32) * np.array(size, np.float64)).astype(np.int64)
    top, left = max(h - int(radius * H), 0), max(w - int(radius * W), 0)
    height, width = min(h + int(radius * H), H) - top, min(w + int(radius * W), W) - left
    return np.asarray(1 - height * width / (H * W)), np.array([top, left, height, width], np.int32)


# --- affine maps --------------------------------------------------------------------------------------------


def inverse_affine_matrix(center: Any, angle: Any, translate: Any, scale: Any, shear: Any) -> list[Any]:
    """[a, b, c, d, e, f] such that the pixel (x, y) comes from (ax + by + c, dx + ey + f). Numbers, or arrays of them.

    The map is M = T · C · R(angle) · S(shear) · scale · C⁻¹ of translation T and centre C; this is its inverse.
    """
    turn, (x_shear, y_shear) = np.radians(angle), (np.radians(s) for s in shear)
    (cx, cy), (tx, ty) = center, translate
    a = np.cos(turn - y_shear) / np.cos(y_shear)
    b = -a * np.tan(x_shear) - np.sin(turn)
    c = np.sin(turn - y_shear) / np.cos(y_shear)
    d = -c * np.tan(x_shear) + np.cos(turn)
    # The determinant of the rotation with shear is 1.
    a, b, c, d = d / scale, -b / scale, -c / scale, a / scale
    return [a, b, a * (-cx - tx) + b * (-cy - ty) + cx, c, d, c * (-cx - tx) + d * (-cy - ty) + cy]


def grids(matrix: Sequence[Any], size: tuple[int, int]) -> np.ndarray:
    """A matrix, or six arrays of N entries, as float32 (6) or (6, N) for coordinates from −1 to 1, which torch uses."""
    H, W = size
    entries = np.array(matrix, np.float32)
    return entries / np.array([W / 2] * 3 + [H / 2] * 3, np.float32).reshape(-1, *[1] * (entries.ndim - 1))


def sources(maps: np.ndarray, size: tuple[int, int], new: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the columns in an image of `size` from which the pixels of one of size `new` come, (OH, OW) or
    (N, OH, OW) float32, for `grids`."""
    # In torch's order and precision: halfway between two pixels rounding decides which one is the nearest.
    (H, W), (OH, OW) = size, new
    rows = np.arange(OH, dtype=np.float32)[:, None] + np.float32(0.5 - OH / 2)
    columns = np.arange(OW, dtype=np.float32) + np.float32(0.5 - OW / 2)
    a, b, c, d, e, f = maps[..., None, None]
    from_column = ((a * columns + b * rows + c + 1) * np.float32(W) - 1) / 2
    from_row = ((d * columns + e * rows + f + 1) * np.float32(H) - 1) / 2
    return from_row, from_column


def warped(images: np.ndarray, maps: np.ndarray, bilinear: bool, fill: np.ndarray) -> np.ndarray:
    """Each image through its map of (6, N), from the nearest pixel or between four. Outside of it is fill (C)."""
    N, C, H, W = images.shape
    out = np.empty_like(images)
    if out.size == 0:
        return out
    count = 1 + CACHED // (4 * H * W * (C + 1) * max(images.itemsize, 4))  # images at a time: pixels, places and shares

    def warp(part: range) -> None:
        for start in part[::count]:
            some = slice(start, min(start + count, part.stop))
            rows, columns = sources(maps[:, some], (H, W), (H, W))
            take = _between if bilinear else _nearest
            out[some] = take(images[some].transpose(0, 2, 3, 1), rows, columns, fill).transpose(0, 3, 1, 2)

    in_threads(warp, shares(range(N), 32 * out.size))
    return out


def _nearest(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The pixels nearest to the places, (N, H, W, C) of images (N, H, W, C)."""
    N, H, W, C = images.shape
    bordered = np.empty((N, H + 2, W + 2, C), images.dtype)
    bordered[...] = fill
    bordered[:, 1:-1, 1:-1] = images
    places = _places(np.rint(rows).clip(-1, H) + 1, np.rint(columns).clip(-1, W) + 1, W + 2)
    return bordered.reshape(-1, C).take(places + _first(bordered), axis=0)


def _between(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The means of four pixels, to which torchvision mixes what is outside, (N, H, W, C) of images (N, H, W, C)."""
    N, H, W, C = images.shape
    kind = images.dtype if images.dtype == np.float64 else np.dtype(np.float32)
    # One more channel is 1 in the image and 0 in its border: its mean is the share of the image.
    bordered = np.zeros((N, H + 4, W + 4, C + 1), kind)
    bordered[:, 2:-2, 2:-2, :C] = images
    bordered[:, 2:-2, 2:-2, C] = 1
    # Places from −2 and up to H and W: with their neighbours, all that is further outside is in the border.
    rows, columns = rows.clip(-2, H), columns.clip(-2, W)
    top, left = np.floor(rows), np.floor(columns)
    down, right = rows - top, columns - left
    pixels, places = bordered.reshape(-1, C + 1), _places(top + 2, left + 2, W + 4) + _first(bordered)
    mean = np.zeros((*rows.shape, C + 1), kind)
    with np.errstate(invalid="ignore"):  # inf · 0
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (down if i else 1 - down) * (right if j else 1 - right)
            found = pixels.take(places + (i * (W + 4) + j), axis=0)
            found *= share[..., None]
            mean += found
        found, covered = mean[..., :C], mean[..., C:]
        found *= covered
        found += (1 - covered) * fill.astype(kind)
    return found if images.dtype.kind in FLOATING else np.rint(found)


def _places(rows: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    return rows.astype(np.int64) * width + columns.astype(np.int64)


def _first(images: np.ndarray) -> np.ndarray:
    """The place of the first pixel of each image (N, H, W, C), (N, 1, 1)."""
    N, H, W, _ = images.shape
    return np.arange(0, N * H * W, H * W).reshape(-1, 1, 1)


# --- pixels -------------------------------------------------------------------------------------------------


def cropped(
    images: np.ndarray, starts: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int],
    fill: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Parts of `size` of the padded images, which begin at the row and column (2, N). `rows` and `columns` say where in
    an image each row and column of the padded one is, −1 where it is fill (C)."""
    N, C, H, W = images.shape
    out = np.empty_like(images, shape=(N, C, *size))
    if 0 in (N, C, H, W):
        out[...] = fill.reshape(-1, 1, 1)
        return out
    if (len(rows), len(columns)) == (H, W) and images.flags.c_contiguous:
        return _windows(images, size)[np.arange(N), :, starts[0], starts[1]]
    # Some images at a time, whose padded copies stay in the cache: all at once take one and a half times as long.
    count = min(N, 1 + CACHED // (C * len(rows) * len(columns) * images.itemsize))
    padded = np.empty((count, C, len(rows), len(columns)), images.dtype)
    padded[...] = fill.reshape(-1, 1, 1)
    windows = _windows(padded, size)
    (top, more_rows), (left, more_columns) = _border(rows, H), _border(columns, W)
    for start in range(0, N, count):
        some = images[start : start + count]
        here, n = padded[: len(some)], np.arange(len(some))
        # In one block and by whole rows and columns: indexing takes ten times as long.
        here[:, :, top : top + H, left : left + W] = some
        for j in more_columns:
            here[:, :, top : top + H, j] = some[:, :, :, columns[j]]
        for i in more_rows:
            here[:, :, i] = here[:, :, top + rows[i]]
        out[start : start + count] = windows[n, :, starts[0, start + n], starts[1, start + n]]
    return out


def _windows(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[n, c, h, w] is the part of `size` of an image that starts at row h and column w."""
    return np.lib.stride_tricks.sliding_window_view(images, size, axis=(2, 3))


def _border(places: np.ndarray, length: int) -> tuple[int, list[int]]:
    """Where 0, 1, …, length − 1 stand in `places`, and the others that are not −1."""
    runs = np.lib.stride_tricks.sliding_window_view(places, length)
    start = int((runs == np.arange(length)).all(axis=1).argmax())
    return start, [i for i in np.flatnonzero(places >= 0).tolist() if not start <= i < start + length]


def flipped(images: np.ndarray, flips: np.ndarray, dim: int) -> np.ndarray:
    """The images, those of true `flips` reversed along `dim`."""
    out = images.copy(order="K")
    out[flips] = np.flip(images[flips], dim)
    return out


def erased(images: np.ndarray, boxes: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The images with `value`, (C, 1, 1) or of their shape, in the boxes (4, N): see `draw_boxes`."""
    out, filling = images.copy(order="K"), np.broadcast_to(value, images.shape)
    # One image after the other: to select the pixels of all of them takes up to twice as long.
    for image, values, (top, left, height, width) in zip(out, filling, boxes.T.tolist(), strict=True):
        part = slice(None), slice(top, top + height), slice(left, left + width)
        image[part] = values[part]
    return out


# --- mixtures of each image with the one before it, of the first with the last --------------------------------


def mixed(x: np.ndarray, share: np.ndarray) -> np.ndarray:
    """share · x[n] + (1 − share) · x[n − 1]"""
    kind = np.dtype(np.float32) if x.itemsize == 2 else x.dtype
    own, other = share.astype(kind), (1 - share).astype(kind)
    return (np.roll(x, 1, axis=0) * other + x * own).astype(x.dtype, order="K", copy=False)


def pasted(x: np.ndarray, box: np.ndarray) -> np.ndarray:
    """x[n], and x[n − 1] in the box of top, left, height and width."""
    top, left, height, width = box.tolist()
    out = x.copy(order="K")
    part = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
    out[part] = np.roll(x[part], 1, axis=0)
    return out


def mixed_classes(classes: np.ndarray, share: np.ndarray, count: int) -> np.ndarray:
    """(N, count) float32: the mixture of classes (N) as probabilities."""
    return mixed((classes[:, None] == np.arange(count)).astype(np.float32), share)
