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
from tinycnn.autograd import ON_CPU, Function, Gradients, wrap
from tinycnn.backend import Array
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.index import along
from tinycnn.ops.shape import reshaped
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

    in_float32 = ON_CPU

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

    in_float32 = ON_CPU

    def __init__(self, window: Window):
        self.window = window

    def forward(self, x: Array) -> Array:
        return self.kernels.window_sum(x, self.window)

    def backward(self, grad_output: Tensor) -> Gradients:
        return WindowSpread(self.window)(grad_output)


class WindowSpread(Function):
    """x[.., o·stride + k·dilation − padding] += g[.., o] for every tap k: the adjoint of WindowSum."""

    in_float32 = ON_CPU

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
    flat_indices, length = reshaped(indices, *indices.shape[:2], prod(indices.shape[2:])), prod(size)
    flat = flat_indices._array
    with backend.current(flat):
        if flat.size and not (flat.min() >= 0 and flat.max() < length):
            raise ValueError(f"{name}: indices from {flat.min()} to {flat.max()} do not fit output size {size}")
    return Unpool(length)(reshaped(y, *flat_indices.shape), flat_indices).reshape(*y.shape[:2], *size)
