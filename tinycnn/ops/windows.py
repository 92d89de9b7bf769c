"""Sliding windows: their shape algebra, and im2col with its adjoint col2im, for any number of dimensions.

A window of kernel size K slides over a spatial dimension of size S. Output position o and kernel position k meet
at input position o·stride + k·dilation − padding. For one fixed k, a *tap*, all its meetings are two slices: one
of the outputs, one of the inputs. Convolution, pooling, im2col and col2im are loops over taps, and slices that
stop at the border do away with padded copies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from tinycnn.autograd import ON_CPU, Function, Gradients
from tinycnn.backend import Array

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


class Tap(NamedTuple):
    """One kernel position, and where it meets the input."""

    position: tuple[int, ...]
    outputs: tuple  # index of the output positions at which the tap lies on the input ...
    inputs: tuple  # ... and of the input positions that it lies on there
    margins: tuple[tuple, ...]  # indices of the other output positions: there the tap lies on padding


@dataclass(frozen=True)
class Window:
    """A window that slides over D spatial dimensions.

    Every field has D entries; `padding` is (before, after) for each dimension.
    """

    input_size: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """The input positions that a window spans: dilation · (kernel_size − 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    @cached_property
    def padded_size(self) -> tuple[int, ...]:
        return tuple(size + before + after for size, (before, after) in zip(self.input_size, self.padding, strict=True))

    @cached_property
    def output_size(self) -> tuple[int, ...]:
        """⌊(input + padding − extent) / stride⌋ + 1; with ceil_mode rounded up, unless the last window would
        then start beyond the input and the padding before it."""
        sizes = []
        for i, (padded, extent, stride) in enumerate(zip(self.padded_size, self.extent, self.stride, strict=True)):
            size = (padded - extent) // stride + 1
            if self.ceil_mode:
                size = -((extent - padded) // stride) + 1
                if (size - 1) * stride >= self.input_size[i] + self.padding[i][0]:
                    size -= 1
            sizes.append(size)
        return tuple(sizes)

    @cached_property
    def rest(self) -> Window:
        """The window over all dimensions but the first."""
        return Window(
            self.input_size[1:], self.kernel_size[1:], self.stride[1:], self.padding[1:], self.dilation[1:],
            self.ceil_mode,
        )  # fmt: skip

    @cached_property
    def positions(self) -> int:
        """How many output positions there are."""
        return math.prod(self.output_size)

    @cached_property
    def is_identity(self) -> bool:
        """Whether im2col with this window changes nothing: one tap that meets every position in order."""
        return all(k == s == 1 and p == (0, 0) for k, s, p in zip(self.kernel_size, self.stride, self.padding))

    @cached_property
    def overlaps(self) -> bool:
        """Whether an input position can lie in more than one window."""
        return any(s < e for s, e in zip(self.stride, self.extent, strict=True))

    @cached_property
    def tiles(self) -> bool:
        """Whether every input position lies in exactly one window, as in the usual pooling."""
        met = zip(self.output_size, self.stride, self.input_size, strict=True)
        plain = self.kernel_size == self.stride and all(d == 1 for d in self.dilation)
        return plain and all(p == (0, 0) for p in self.padding) and all(o * s == size for o, s, size in met)

    @cached_property
    def misses_input(self) -> bool:
        """Whether a window lies wholly in the padding, as it may if the dilation exceeds the input."""
        return any(
            not any(0 <= o * self.stride[i] - self.padding[i][0] + k * self.dilation[i] < size for k in range(kernel))
            for i, (size, kernel) in enumerate(zip(self.input_size, self.kernel_size, strict=True))
            for o in (range(self.output_size[i]) if self.dilation[i] > size else ())
        )

    @cached_property
    def taps(self) -> tuple[Tap, ...]:
        """The kernel's positions in row-major order. Their indices go to the last D axes of an array."""
        return tuple(map(self._tap, itertools.product(*map(range, self.kernel_size))))

    def _tap(self, position: tuple[int, ...]) -> Tap:
        outputs, inputs = [], []
        for i, k in enumerate(position):
            stride, shift = self.stride[i], k * self.dilation[i] - self.padding[i][0]
            # 0 <= o·stride + shift < input_size, as bounds of o
            first = max(0, -(shift // stride))
            last = min(self.output_size[i] - 1, (self.input_size[i] - 1 - shift) // stride)
            count = max(0, last - first + 1)
            start = first * stride + shift
            outputs.append(slice(first, first + count))
            inputs.append(slice(start, start + (count - 1) * stride + 1, stride) if count else slice(0, 0))
        return Tap(position, (..., *outputs), (..., *inputs), tuple(self._margins(outputs)))

    def _margins(self, outputs: list[slice]) -> Iterator[tuple]:
        for i, (met, size) in enumerate(zip(outputs, self.output_size, strict=True)):
            after = (slice(None),) * (len(outputs) - 1 - i)
            if met.start > 0:
                yield (..., slice(0, met.start), *after)
            if met.stop < size:
                yield (..., slice(met.stop, size), *after)


class Im2col(Function):
    """(N, C, *input_size) to (N, C, *kernel_size, *output_size): the window at each output position, copied."""

    def __init__(self, window: Window):
        self.window = window

    def forward(self, x: Array) -> Array:
        window, d = self.window, len(self.window.kernel_size)
        columns = self.xp.empty(x.shape[:2] + window.kernel_size + window.output_size, x.dtype)
        kernel_first = columns.transpose(*range(2, 2 + d), 0, 1, *range(2 + d, 2 + 2 * d))
        self.kernels.unfold_into(kernel_first, x, window)
        return columns

    def backward(self, grad_output: Tensor) -> Gradients:
        return Col2im(self.window)(grad_output)


class Col2im(Function):
    """(N, C, *kernel_size, *output_size) to (N, C, *input_size): each value added where im2col took it from."""

    in_float32 = ON_CPU

    def __init__(self, window: Window):
        self.window = window

    def forward(self, columns: Array) -> Array:
        window, d = self.window, len(self.window.kernel_size)
        x = self.xp.empty(columns.shape[:2] + window.input_size, columns.dtype)
        kernel_first = columns.transpose(*range(2, 2 + d), 0, 1, *range(2 + d, 2 + 2 * d))
        self.kernels.fold_into(x, kernel_first, window)
        return x

    def backward(self, grad_output: Tensor) -> Gradients:
        return Im2col(self.window)(grad_output)


def im2col(x: Tensor, window: Window) -> Tensor:
    """x (N, C, *S) to columns (N, C·K, L): K kernel positions, L output positions. See torch's unfold."""
    columns = Im2col(window)(x)
    rows = x.shape[1] * math.prod(window.kernel_size)
    return columns.reshape(x.shape[0], rows, math.prod(window.output_size))


def col2im(columns: Tensor, window: Window) -> Tensor:
    """Columns (N, C·K, L) to x (N, C, *S): the adjoint of `im2col`. See torch's fold."""
    channels = columns.shape[1] // math.prod(window.kernel_size)
    split = columns.reshape(columns.shape[0], channels, *window.kernel_size, *window.output_size)
    return Col2im(window)(split)
