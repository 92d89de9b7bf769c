"""Adaptive pooling: bins of nearly equal size instead of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.pad import index_select
from tinycnn.ops.select import where
from tinycnn.ops.shape import reshaped

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


def _equal_bins(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The places (count, longest) of the elements of each bin, the last of them repeated in shorter bins, and the bins'
    lengths. Bin i is [⌊i·size/count⌋, ⌈(i + 1)·size/count⌉); neighbours may overlap by one."""
    i = np.arange(count)
    starts, stops = i * size // count, -(-(i + 1) * size // count)
    lengths = stops - starts
    return np.minimum(starts[:, None] + np.arange(lengths.max()), stops[:, None] - 1), lengths


def adaptive_avg_pool(x: Tensor, output_size: tuple[int, ...]) -> Tensor:
    """x (N, C, *S) to (N, C, *output_size): the mean of each bin, one dimension after the other."""
    y = widened(x)
    for i, count in enumerate(output_size):
        y = _bin_averages(y, 2 + i, count)
    return y.to(x.dtype)


def _bin_averages(x: Tensor, dim: int, count: int) -> Tensor:
    """The mean of each of `count` bins along `dim`: of its own elements only, lest an infinity reach others."""
    size = x.shape[dim]
    if size % count == 0:
        return reshaped(x, *x.shape[:dim], count, size // count, *x.shape[dim + 1 :]).mean(dim + 1)
    places, lengths = _equal_bins(size, count)
    longest = places.shape[1]
    bins = index_select(x, dim, places.reshape(-1)).unflatten(dim, (count, longest))
    trailing = (1,) * (x.ndim - dim - 1)
    inside = (np.arange(longest) < lengths[:, None]).reshape(count, longest, *trailing)
    bins = where(wrap(backend.constant(inside, x.device)), bins, 0.0)
    return bins.sum(dim + 1) * wrap(backend.constant((1 / lengths).reshape(-1, *trailing).astype(x.dtype), x.device))


def adaptive_max_pool(x: Tensor, output_size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """x (N, C, *S) to (N, C, *output_size), and the place of each maximum in the flattened S.

    The bins of one dimension are made equally long by repeating their last element, which changes no maximum.
    """
    d, sizes = len(output_size), x.shape[2:]
    places = [_equal_bins(size, count)[0] for size, count in zip(sizes, output_size, strict=True)]
    flat_places = np.zeros((1,) * (2 * d), np.int64)  # (O1, K1, O2, K2, ..) of indices into the flattened S
    for i, place in enumerate(places):
        x = index_select(x, 2 + i, place.reshape(-1))
        flat_places = flat_places * sizes[i] + place.reshape(*[1] * (2 * i), *place.shape, *[1] * (2 * (d - 1 - i)))
    windows = x.reshape(*x.shape[:2], *[n for place in places for n in place.shape])
    outer, inner = range(2, 2 + 2 * d, 2), range(3, 3 + 2 * d, 2)
    values, taps = _max_with_last_nan(windows.permute(0, 1, *outer, *inner).flatten(2 + d))
    flat_places = flat_places.transpose(*[i - 2 for i in outer], *[i - 2 for i in inner]).reshape(*output_size, -1)
    with backend.current(taps._array):
        grid = tuple(backend.array_module(taps._array).ogrid[tuple(slice(n) for n in output_size)])
        return values, wrap(backend.constant(flat_places, taps.device)[(*grid, taps._array)])


def _max_with_last_nan(x: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum along the last dimension and its index: the last nan, as in other max pooling, or the first maximum.
    On a GPU, where looking for a nan would make the host wait, the first nan."""
    values, index = x.max(-1)
    if not (x.is_floating_point() and backend.host_reads(x._array)) or not bool(values.isnan().any()):
        return values, index
    is_nan = x.isnan()
    index = where(is_nan.any(-1), x.shape[-1] - 1 - is_nan.flip(-1).to(np.uint8).argmax(-1), index)
    return x.gather(-1, index.unsqueeze(-1)).squeeze(-1), index
