"""Windows of padded arrays, quickly: thousands of candidate mistakes are computed for one wrong answer.

The right results are those of tinycnn.teaching.reference; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Pair = Sequence[int]  # for rows and columns


def patches(x: Array, kernel_size: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1)) -> Array:
    """All windows that fit: x (N, C, H, W) to (N, C, KH, KW, OH, OW)."""
    sizes = output_size(x.shape[2:], kernel_size, strides, dilations)
    if min(sizes) < 1:
        raise ValueError("a window larger than its input")
    row, column = x.strides[2:]
    taps, places = (dilations[0] * row, dilations[1] * column), (strides[0] * row, strides[1] * column)
    return np.lib.stride_tricks.as_strided(
        x, (*x.shape[:2], *kernel_size, *sizes), (*x.strides[:2], *taps, *places), writeable=False
    )


def output_size(size: Pair, kernel_size: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1)) -> tuple[int, int]:
    """How many windows fit along rows and columns, without padding."""
    OH, OW = ((n - D * (K - 1) - 1) // S + 1 for n, K, S, D in zip(size, kernel_size, strides, dilations))
    return OH, OW


def scattered(
    a: Array, size: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1), keeps: str = "all"
) -> Array:
    """The patches (N, C, KH, KW, OH, OW) added up in an array (N, C, *size); what lies outside is left out.

    keeps: "all" adds; "last tap" and "last window" overwrite, in loops over the kernel's positions or the windows.
    """
    N, C, KH, KW, OH, OW = a.shape
    wide = np.zeros((N, C, *(max(n, S * (count - 1) + D * (K - 1) + 1) for n, S, count, D, K in zip(
        size, strides, (OH, OW), dilations, (KH, KW)))))  # fmt: skip
    (SH, SW), (DH, DW) = strides, dilations
    if keeps == "last window":
        for i, j in np.ndindex(OH, OW):
            rows, columns = slice(i * SH, i * SH + DH * (KH - 1) + 1, DH), slice(j * SW, j * SW + DW * (KW - 1) + 1, DW)
            wide[:, :, rows, columns] = a[..., i, j]
    for k, l in np.ndindex(KH, KW) if keeps != "last window" else ():
        rows, columns = slice(k * DH, k * DH + SH * (OH - 1) + 1, SH), slice(l * DW, l * DW + SW * (OW - 1) + 1, SW)
        if keeps == "all":
            wide[:, :, rows, columns] += a[:, :, k, l]
        else:
            wide[:, :, rows, columns] = a[:, :, k, l]
    return wide[:, :, : size[0], : size[1]]


def conv(x: Array, w: Array, b: Array | float = 0.0, strides: Pair = (1, 1), dilations: Pair = (1, 1)) -> Array:
    """Convolution without padding; b (O,)."""
    return multiplied(patches(x, w.shape[2:], strides, dilations), w, b)


def input_patches(grad_output: Array, w: Array) -> Array:
    """What each output sends to its window: (N, C, KH, KW, OH, OW)."""
    N, O, OH, OW = grad_output.shape
    return (w.reshape(O, -1).T @ grad_output.reshape(N, O, -1)).reshape(N, *w.shape[1:], OH, OW)


def weight_gradient(
    grad_output: Array, x: Array, kernel_size: Pair, strides: Pair = (1, 1), dilations: Pair = (1, 1)
) -> Array:
    """dw of `conv`, from as many windows as grad_output has."""
    OH, OW = grad_output.shape[2:]
    a = patches(x, kernel_size, strides, dilations)[..., :OH, :OW]
    if a.shape[4:] != (OH, OW):
        raise ValueError("more outputs than windows")
    return multiplied_back(grad_output, a)


def shares_of_maximum(grad_output: Array, x: Array, kernel_size: Pair, strides: Pair) -> Array:
    """What each output of max pooling sends to its window: all to the first maximum. (N, C, KH, KW, OH, OW)."""
    a = patches(x, kernel_size, strides)
    N, C, KH, KW, OH, OW = a.shape
    best = a.reshape(N, C, KH * KW, OH, OW).argmax(axis=2)
    first = np.arange(KH * KW)[:, None, None] == best[:, :, None]
    return (first * grad_output[:, :, None]).reshape(a.shape)


def max_pool_backward(grad_output: Array, x: Array, kernel_size: Pair, strides: Pair) -> Array:
    """The gradient of max pooling without padding."""
    return scattered(shares_of_maximum(grad_output, x, kernel_size, strides), x.shape[2:], strides)


# --- windows by the index of each element -------------------------------------------------------------------

Places = tuple[Array, Array]  # along an axis, for each element of the kernel and each window: an index, and whether


def gathered(x: Array, rows: Places, columns: Places, fill: float = 0.0) -> Array:
    """x at these places, `fill` where there is none: (N, C, KH, KW, OH, OW)."""
    (row, in_rows), (column, in_columns) = rows, columns
    a = x[:, :, row[:, None, :, None], column[None, :, None, :]]
    return np.where(in_rows[:, None, :, None] & in_columns[None, :, None, :], a, fill)


def added(a: Array, size: Pair, rows: Places, columns: Places) -> Array:
    """The patches (N, C, KH, KW, OH, OW) added at these places of an array (N, C, *size)."""
    (row, in_rows), (column, in_columns) = rows, columns
    x = np.zeros((*a.shape[:2], *size))
    wanted = in_rows[:, None, :, None] & in_columns[None, :, None, :]
    places: Any = (slice(None), slice(None), row[:, None, :, None], column[None, :, None, :])
    np.add.at(x, places, np.where(wanted, a, 0))
    return x


def multiplied(a: Array, w: Array, b: Array | float = 0.0) -> Array:
    """Patches under a kernel w (O, C, KH, KW), plus b (O,)."""
    y = w.reshape(len(w), -1) @ a.reshape(len(a), -1, a.shape[4] * a.shape[5])
    return y.reshape(len(a), len(w), *a.shape[4:]) + np.reshape(b, (-1, 1, 1))


def multiplied_back(grad_output: Array, a: Array) -> Array:
    """dw from grad_output and the patches."""
    (N, O), (C, KH, KW) = grad_output.shape[:2], a.shape[1:4]
    each = grad_output.reshape(N, O, -1) @ a.reshape(N, C * KH * KW, -1).swapaxes(1, 2)
    return each.sum(axis=0).reshape(O, C, KH, KW)
