"""Tensors (..., C, H, W) resized, blurred and turned: what Pillow does for PIL images.

Resizing and blurring are linear in rows and in columns: two products with small matrices. Turning picks pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import wrap
from tinycnn.backend.augmentation import grids, sources
from tinycnn.ops.pad import index_select
from tinycnn.ops.select import where
from tinycnn.tensor import Tensor

Kernel = Callable[[np.ndarray], np.ndarray]


def resized(x: Tensor, size: tuple[int, int], mode: str, antialias: bool) -> Tensor:
    """x in another size. ValueError for a mode that is for PIL images only."""
    if mode in ("nearest", "nearest-exact"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        for dim, new in zip((x.ndim - 2, x.ndim - 1), size, strict=True):
            x = index_select(x, dim, _nearest(x.shape[dim], new, shift))
        return x
    if mode not in ("bilinear", "bicubic"):
        raise ValueError(f"resize: expected a Tensor with nearest, bilinear or bicubic interpolation, got {mode}")
    matrices = [interpolation(old, new, mode, antialias) for old, new in zip(x.shape[-2:], size, strict=True)]
    return _through(x, *matrices)


def _nearest(old: int, new: int, shift: float) -> np.ndarray:
    return np.minimum((np.arange(new) + shift) * (old / new), old - 1).astype(np.int64)


def _through(x: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """rows · x · columnsᵀ; integers are computed in float32, rounded and kept in their range."""
    is_float = x.dtype.kind in FLOATING
    dtype = x.dtype if is_float else np.dtype(np.float32)
    left, right = (_beside(matrix.astype(dtype), x) for matrix in (rows, columns.T))
    y = left @ (x.to(dtype) @ right)
    if is_float:
        return y
    limits = np.iinfo(x.dtype)
    return y.round().clamp(limits.min, limits.max).to(x.dtype)


def _beside(array: np.ndarray, x: Tensor) -> Tensor:
    return wrap(backend.to_device(np.ascontiguousarray(array), x.device))


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(t))


def _cubic(a: float) -> Kernel:
    """Keys' cubic convolution."""

    def kernel(t: np.ndarray) -> np.ndarray:
        t = np.abs(t)
        near, far = ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        return np.where(t < 1, near, np.where(t < 2, far, 0))

    return kernel


def interpolation(old: int, new: int, mode: str, antialias: bool) -> np.ndarray:
    """(new, old): interpolation of a row of pixels as a matrix.

    The centre of new pixel i is at (i + ½)·old/new. With `antialias` the kernel is stretched where a row shrinks, so
    that all old pixels count, and it ends at the border; without, the border's pixels are repeated outside.
    """
    taps, kernel = (1, _triangle) if mode == "bilinear" else (2, _cubic(-0.5 if antialias else -0.75))
    centre = (np.arange(new) + 0.5)[:, None] * (old / new)
    if antialias:
        weights = kernel((np.arange(old) + 0.5 - centre) / max(old / new, 1))
        return weights / weights.sum(axis=1, keepdims=True)
    pixels = np.floor(centre - 0.5).astype(np.int64) + np.arange(1 - taps, 1 + taps)
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new)[:, None], pixels.clip(0, old - 1)), kernel(pixels + 0.5 - centre))
    return matrix


def blurred(x: Tensor, kernel_size: tuple[int, int], sigma: tuple[float, float]) -> Tensor:
    """x through Gaussian windows of this height and width; the border is reflected."""
    sizes = zip(x.shape[-2:], kernel_size, sigma, strict=True)
    return _through(x, *[_gaussian(size, k, s) for size, k, s in sizes])


def _gaussian(size: int, kernel_size: int, sigma: float) -> np.ndarray:
    """(size, size): the convolution of a row of pixels with a Gaussian as a matrix."""
    half = kernel_size // 2
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    pixels = np.pad(np.arange(size), half, mode="reflect")[np.arange(size)[:, None] + np.arange(kernel_size)]
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], pixels), np.broadcast_to(weights / weights.sum(), pixels.shape))
    return matrix


def rotated_size(H: int, W: int, matrix: Sequence[float]) -> tuple[int, int]:
    """The size of the smallest upright rectangle around a rotated picture."""
    a, b, c, d, e, f = matrix
    middle = np.array([0.5 * W, 0.5 * H])
    points = middle * [[-1, -1], [-1, 1], [1, 1], [1, -1]] @ np.array([[a, d], [b, e]]) + [c, f] + middle
    # A whole number is not to be exceeded because of rounding.
    width, height = np.ceil(points.max(axis=0) - 1e-4) - np.floor(points.min(axis=0) + 1e-4)
    return int(height), int(width)


def sampled(
    x: Tensor, matrix: Sequence[float], size: tuple[int, int], mode: str, fill: float | Sequence[float] | None
) -> Tensor:
    """Pixel (x, y) of the result is x at (ax + by + c, dx + ey + f), counted from the middle; `fill` outside.

    ValueError for another mode than nearest and bilinear.
    """
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"rotate, affine: expected a Tensor with nearest or bilinear interpolation, got {mode}")
    from_row, from_column = sources(grids(matrix, x.shape[-2:]), x.shape[-2:], size)
    dtype = x.dtype if x.dtype.kind in FLOATING else np.dtype(np.float32)
    found, inside = _picked(x.to(dtype), from_row, from_column, mode)
    if fill is not None:
        values = np.asarray(fill, dtype).reshape(-1, 1, 1)
        filling = _beside(values, x).expand(found.shape)
        found = found * inside + (1 - inside) * filling if mode == "bilinear" else where(inside > 0.5, found, filling)
    return found if x.dtype == dtype else found.round().to(x.dtype)


def _picked(x: Tensor, rows: np.ndarray, columns: np.ndarray, mode: str) -> tuple[Tensor, Tensor]:
    """x (..., H, W) between its pixels, 0 outside, and how much of each found one lies inside."""
    if mode == "nearest":
        return _at(x, np.rint(rows), np.rint(columns), np.ones_like(rows))
    top, left = np.floor(rows), np.floor(columns)
    down, right = rows - top, columns - left
    parts = [
        _at(x, top + i, left + j, (down if i else 1 - down) * (right if j else 1 - right))
        for i in (0, 1) for j in (0, 1)
    ]  # fmt: skip
    found, inside = parts[0]
    for more, share in parts[1:]:
        found, inside = found + more, inside + share
    return found, inside


def _at(x: Tensor, rows: np.ndarray, columns: np.ndarray, weight: np.ndarray) -> tuple[Tensor, Tensor]:
    """The pixels at these whole numbers times `weight`, 0 outside of x, and the weights."""
    H, W = x.shape[-2:]
    exists = (rows >= 0) & (rows < H) & (columns >= 0) & (columns < W)
    share = _beside((weight * exists).astype(x.dtype), x)
    places = [_beside(p.clip(0, last - 1).astype(np.int64), x) for p, last in ((rows, H), (columns, W))]
    return x[(..., *places)] * share, share
