"""Array kernels for NumPy.

NumPy's masked operations (`where`, `copyto(where=)`, `putmask`) branch at every element: on the random masks of
ReLU and max pooling they take ten times as long as arithmetic on the mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def add_at(array: np.ndarray, index: Any, values: np.ndarray) -> None:
    """array[index] += values, where an element that is indexed several times gets every value."""
    np.add.at(array, index, values)


def reduced(method: str, x: np.ndarray, dims: Any, keepdims: bool) -> np.ndarray:
    """The method "sum", "max", "all", "argmax", ... of x over `dims`: an int, several, or None for all."""
    if method == "sum" and x.dtype.kind != "f":
        return x.sum(axis=dims, keepdims=keepdims, dtype=np.int64)
    return getattr(x, method)(axis=dims, keepdims=keepdims)


def along(function: Callable[[np.ndarray, int], np.ndarray], x: np.ndarray, dim: int) -> np.ndarray:
    """function(x, dim), of the shape of x: what works along one dimension and is the same for all others."""
    return function(x, dim)


def masked(x: np.ndarray, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """x where the boolean `mask`, of the same shape, is true, and 0 elsewhere (there also for inf and nan, unlike a
    product with the mask)."""
    bits = _BITS[x.itemsize]
    # -1, all bits set, where true. An array even without dimensions, where NumPy would make a scalar of it.
    all_ones = np.asarray(np.negative(mask.view(np.int8)).astype(bits))
    target = all_ones if out is None else out.view(bits)
    return np.bitwise_and(x.view(bits), all_ones, out=target).view(x.dtype)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), nan for nan."""
    # With two finite-or-infinite bounds clip is vectorised; maximum with a scalar takes three times as long.
    return x.clip(0, np.inf) if x.dtype.kind == "f" else np.maximum(x, 0)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function: SciPy's where it is installed, else the standard library's, element by element."""
    try:
        from scipy.special import erf as of_array
    except ImportError:
        of_array = np.vectorize(math.erf, otypes=[x.dtype])
    return of_array(x)


# --- random numbers -----------------------------------------------------------------------------------------


def dropout_mask(x: np.ndarray, p: float, generator: np.random.Generator) -> np.ndarray:
    """0 with probability p, else 1 / (1 − p), in the shape and the memory order of `x`."""
    mask = np.empty_like(x)
    mask.ravel(order="K")[...] = generator.random(x.size, dtype=np.float32) >= p
    if p < 1:
        mask *= 1 / (1 - p)
    return mask


def shifted(images: np.ndarray, starts: np.ndarray, pixels: int, fill: Any) -> np.ndarray:
    """Windows of the images, padded with `fill` by `pixels` on all sides: image n's begins at row starts[0, n] and
    column starts[1, n]. Shapes: images (N, C, H, W), starts (2, N), fill a number or (C, 1, 1)."""
    N, C, H, W = images.shape
    padded = np.empty((N, C, H + 2 * pixels, W + 2 * pixels), images.dtype)
    padded[...] = fill
    padded[:, :, pixels : pixels + H, pixels : pixels + W] = images
    # windows[n, c, dy, dx] is the H×W window of the padded image that starts at row dy and column dx.
    windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), axis=(2, 3))
    dy, dx = starts
    return windows[np.arange(N), :, dy, dx]


# --- optimizers -----------------------------------------------------------------------------------------------


def total_norm(arrays: list[np.ndarray], p: float) -> np.ndarray:
    """The p-norm of the elements of all arrays, as of one long vector; of shape ()."""
    # It is the norm of the norms of the pieces. Each piece in whatever order it lies in memory.
    norms = [np.linalg.norm(array.ravel(order="K"), p) for array in arrays]
    return np.asarray(np.linalg.norm(np.stack(norms), p))


def scale_all(arrays: list[np.ndarray], factor: np.ndarray) -> None:
    """Multiplies all arrays, in place, with `factor`, of shape ()."""
    for array in arrays:
        array *= factor.astype(array.dtype)
