"""The blocks in which `conv_rows` computes a convolution, so that what it unfolds stays in the cache.

A block is a run of output rows and of columns: positions along the second spatial dimension, or images where one
position has enough of them. Whatever its cut, a convolution gives the same numbers up to rounding.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from tinycnn.backend.threads import evenly
from tinycnn.ops.windows import Window

# A block that spans so many kernel heights wastes little on the rows that it has in common with its neighbours.
HEIGHTS = 4


class Block(NamedTuple):
    """Output rows and columns, and what they meet. The indices are those of (rows, channels, W.., N) from W on."""

    rows: slice
    outputs: tuple[Any, ...]
    inputs: tuple[Any, ...]
    width: Window  # from these inputs to these outputs
    is_first: bool  # of the blocks of its rows
    is_all: bool  # of its rows


@lru_cache(maxsize=1024)
def blocks(
    rows: int, kernel_rows: int, width: Window, batch: int, depth: int, limits: tuple[int, int, int]
) -> list[list[Block]]:
    """All blocks, one consecutive run for each thread; a row of blocks is not torn apart.

    `depth` is the bytes of one unfolded column of one row, `limits` are those of the kernels' `block_limits`.
    Neighbours unfold `kernel_rows` − 1 rows twice, so a block has at least `kernel_rows`.
    """
    block_bytes, columns, threads = limits
    # `wanted`, `columns` and `most` are columns of a row; `twice` and `size` are rows.
    twice = kernel_rows - 1
    wanted = block_bytes // max(depth * (min(rows, HEIGHTS * kernel_rows) + twice), 1)
    cuts = _columns(width, batch, max(wanted, columns))
    most = max([cut.width.positions * (cut.images.stop - cut.images.start) for cut in cuts], default=1)
    size = max(block_bytes // max(depth * most, 1) - twice, kernel_rows)
    count = -(-rows // size)
    if threads > 1:
        count = min(-(-count // threads) * threads, rows)
    parts = evenly(rows, count)
    return [
        [
            Block(part, *cut.indices, cut.width, i == 0, len(cuts) == 1)
            for part in parts[run]
            for i, cut in enumerate(cuts)
        ]
        for run in evenly(count, max(1, min(threads, count)))
    ]


class _Cut(NamedTuple):
    """Some columns."""

    width: Window
    images: slice
    indices: tuple[tuple[Any, ...], tuple[Any, ...]]  # of the outputs and of the inputs


def _columns(width: Window, batch: int, wanted: int) -> list[_Cut]:
    """All columns, cut along the second spatial dimension into parts of about `wanted`; if one position has twice as
    many, along the batch."""
    dims, length = len(width.output_size), (*width.output_size, 1)[0]
    parts = _at_most(length, max(wanted * length // max(width.positions * batch, 1), 1))
    everything = (slice(None),) * dims
    cuts: list[_Cut] = []
    for each in parts:
        outputs, inputs, part = everything, everything, width
        if len(parts) > 1:
            met, part = part_of(width, each.start, each.stop)
            outputs, inputs = (each, *everything[1:]), (met, *everything[1:])
        cuts_batch = part.positions == 1 and batch >= 2 * wanted
        for images in _at_most(batch, wanted) if cuts_batch else [slice(0, batch)]:
            cuts += [_Cut(part, images, ((*outputs, images), (*inputs, images)))]
    return cuts


def _at_most(length: int, size: int) -> list[slice]:
    """`length` in the fewest equal parts of at most `size`."""
    return evenly(length, -(-length // size))


# --- windows --------------------------------------------------------------------------------------------------


def part_of(window: Window, start: int, stop: int) -> tuple[slice, Window]:
    """Output positions from `start` to `stop` along the first dimension: the input positions that they meet, and the
    window between the two."""
    size, stride = window.input_size[0], window.stride[0]
    first = start * stride - window.padding[0][0]
    last = first + (stop - start - 1) * stride + window.extent[0]
    met = slice(min(max(first, 0), size), min(max(last, 0), size))
    before, count = min(max(-first, 0), last - first), met.stop - met.start
    padding = (before, last - first - before - count), *window.padding[1:]
    return met, Window((count, *window.input_size[1:]), window.kernel_size, window.stride, padding, window.dilation)


@lru_cache(maxsize=1024)
def flipped(window: Window) -> Window | None:
    """Without strides: the window from the outputs back to the inputs, which meets the kernel's positions in the
    opposite order. None with a stride, or with padding that no window of this kind could have."""
    pairs = [
        (extent - 1 - before, extent - 1 - after)
        for extent, (before, after) in zip(window.extent, window.padding, strict=True)
    ]
    if any(stride > 1 for stride in window.stride) or any(min(pair) < 0 for pair in pairs):
        return None
    return Window(window.output_size, window.kernel_size, window.stride, tuple(pairs), window.dilation)


@lru_cache(maxsize=1024)
def identity(window: Window) -> Window:
    """The window of one position that visits every output position of `window` in order."""
    ones = (1,) * len(window.output_size)
    return Window(window.output_size, ones, ones, ((0, 0),) * len(ones), ones)


@lru_cache(maxsize=4096)
def with_rows(width: Window, rows: int, above: int, below: int) -> Window:
    """The window over the width, and over rows one by one, with rows of zeros above and below."""
    return Window(
        (rows, *width.input_size), (1, *width.kernel_size), (1, *width.stride), ((above, below), *width.padding),
        (1, *width.dilation),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def is_unfolded(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, kernel_rows: int) -> bool:
    """Whether rows (H, C, W.., N) in such memory are L for a kernel without a width: in each of the channels of a row
    the columns follow one another, and so do the channels of the rows that a window has in common."""
    step = itemsize
    for size, stride in zip(reversed(shape[2:]), reversed(strides[2:])):
        if size > 1 and stride != step:  # the stride of a dimension of size 1 means nothing
            return False
        step *= size
    return kernel_rows == 1 or strides[0] == shape[1] * strides[1]
