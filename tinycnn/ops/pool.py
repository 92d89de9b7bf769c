"""Max and average pooling, in any number of dimensions.

Max pooling picks, for each output, the input at one tap of its window; with the taps fixed it is linear, and its
gradient is the scatter to the same places, whose gradient is the gather from them. Average pooling is a sum over
the window, whose gradient spreads to the window. Each pair is a pair of adjoints.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tinycnn import backend
from tinycnn.autograd import Function, Gradients, wrap
from tinycnn.backend import Array
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.index import along
from tinycnn.ops.pad import index_select
from tinycnn.ops.select import where
from tinycnn.ops.windows import Window

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


class MaxPool(Function):
    """y[n, c, o] = max over taps k of x[n, c, o·stride + k·dilation − padding]; padding counts as −∞.

    Keeps, for the gradient, which tap was the first largest: one byte an output.
    """

    def __init__(self, window: Window):
        self.window = window
        self.keeps_argmax = False

    def forward(self, x: Array) -> Array:
        y, self.saved = self.kernels.max_pool(x, self.window, self.keeps_argmax or self.recorded)
        return y

    def backward(self, grad_output: Tensor) -> Gradients:
        return ScatterTaps(self.window, self.saved)(grad_output)


class ScatterTaps(Function):
    """x[.., o·stride + k·dilation − padding] += g[.., o] with the tap k that `argmax` names for each o."""

    in_float32 = True

    def __init__(self, window: Window, argmax: Array):
        self.window, self.argmax = window, argmax

    def forward(self, g: Array) -> Array:
        return self.kernels.scatter_taps(g, self.argmax, self.window)

    def backward(self, grad_output: Tensor) -> Gradients:
        return GatherTaps(self.window, self.argmax)(grad_output)


class GatherTaps(Function):
    """y[.., o] = x[.., o·stride + k·dilation − padding] with the tap k that `argmax` names for each o."""

    def __init__(self, window: Window, argmax: Array):
        self.window, self.argmax = window, argmax

    def forward(self, x: Array) -> Array:
        return self.kernels.gather_taps(x, self.argmax, self.window)

    def backward(self, grad_output: Tensor) -> Gradients:
        return ScatterTaps(self.window, self.argmax)(grad_output)


class WindowSum(Function):
    """y[n, c, o] = Σ over taps k of x[n, c, o·stride + k·dilation − padding]; padding counts as 0."""

    in_float32 = True

    def __init__(self, window: Window):
        self.window = window

    def forward(self, x: Array) -> Array:
        return self.kernels.window_sum(x, self.window)

    def backward(self, grad_output: Tensor) -> Gradients:
        return WindowSpread(self.window)(grad_output)


class WindowSpread(Function):
    """x[.., o·stride + k·dilation − padding] += g[.., o] for every tap k: the adjoint of WindowSum."""

    in_float32 = True

    def __init__(self, window: Window):
        self.window = window

    def forward(self, g: Array) -> Array:
        return self.kernels.window_spread(g, self.window)

    def backward(self, grad_output: Tensor) -> Gradients:
        return WindowSum(self.window)(grad_output)


def max_pool(x: Tensor, window: Window) -> Tensor:
    """x (N, C, *input_size) to (N, C, *output_size)."""
    return MaxPool(window)(x)


def avg_pool(x: Tensor, window: Window, count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    """x (N, C, *input_size) to (N, C, *output_size): the sum over each window by the number of its positions.

    Positions in the padding count unless `count_include_pad` is False; those that ceil_mode adds beyond it never
    do. `divisor_override` divides by itself instead.
    """
    total = WindowSum(window)(widened(x))
    counts = np.asarray(_window_counts(window, count_include_pad) if divisor_override is None else divisor_override)
    if (counts == counts.flat[0]).all():
        return (total * (1.0 / float(counts.flat[0]))).to(x.dtype)
    return (total * wrap(backend.constant((1.0 / counts).astype(total.dtype), x.device))).to(x.dtype)


def max_pool_with_indices(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """`max_pool`, and where in the flattened spatial dimensions of x each maximum lies (N, C, *output_size)."""
    operator = MaxPool(window)
    operator.keeps_argmax = True
    y = operator(x)
    tap_places = np.array([tap.position for tap in window.taps])  # (taps, D)
    device = backend.device_of(x._array)
    with backend.current(x._array):
        indices = backend.array_module(x._array).zeros(y.shape, np.int64)
        for i, size in enumerate(window.input_size):
            starts = np.arange(window.output_size[i]) * window.stride[i] - window.padding[i][0]
            starts = starts.reshape(-1, *[1] * (len(window.input_size) - 1 - i))
            offsets = backend.constant(tap_places[:, i] * window.dilation[i], device)[operator.saved]
            indices = indices * size + backend.constant(starts, device) + offsets
    return y, wrap(indices)


class Unpool(Function):
    """x[n, c, indices[n, c, o]] = y[n, c, o] in zeros, the spatial dimensions of x flattened: (N, C, L)."""

    saves_inputs = (1,)

    def __init__(self, size: int):
        self.size = size

    def forward(self, y: Array, indices: Array) -> Array:
        x = self.xp.zeros((*y.shape[:2], self.size), y.dtype)
        x[along(indices, 2)] = y
        return x

    def backward(self, grad_output: Tensor) -> Gradients:
        _, indices = self.inputs
        return grad_output.gather(2, indices), None


def max_unpool(y: Tensor, indices: Tensor, size: tuple[int, ...], name: str) -> Tensor:
    """y, indices (N, C, *S) to (N, C, *size)."""
    flat_indices, length = indices.flatten(2), prod(size)
    flat = flat_indices._array
    if flat.size and not (flat.min() >= 0 and flat.max() < length):
        raise ValueError(f"{name}: indices from {flat.min()} to {flat.max()} do not fit output size {size}")
    return Unpool(length)(y.flatten(2), flat_indices).reshape(*y.shape[:2], *size)


# --- adaptive pooling: bins of nearly equal size instead of windows -----------------------------------------


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
        return x.unflatten(dim, (count, size // count)).mean(dim + 1)
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


def _window_counts(window: Window, count_include_pad: bool) -> np.ndarray:
    """How many positions each window averages over, of shape output_size."""
    counts = np.ones(())
    for i, size in enumerate(window.output_size):
        starts = np.arange(size) * window.stride[i] - window.padding[i][0]
        ends = np.minimum(starts + window.kernel_size[i], window.input_size[i] + window.padding[i][1])
        if not count_include_pad:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, window.input_size[i])
        counts = counts[..., None] * (ends - starts)
    return counts
