"""The blocks in which `conv_rows` computes a convolution, so that what it unfolds stays in the cache.

A block is a run of output rows and of columns: positions along the second spatial dimension, or images where one
position has enough of them. Whatever its cut, a convolution gives the same numbers up to rounding.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

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
    twice = kernel_rows - 1
    wanted = block_bytes // max(depth * (min(rows, HEIGHTS * kernel_rows) + twice), 1)
    cuts = _columns(width, batch, max(wanted, columns))
    most = max([cut.width.positions * (cut.images.stop - cut.images.start) for cut in cuts], default=1)
    size = max(block_bytes // max(depth * most, 1) - twice, kernel_rows)
    count = -(-rows // size)
    if threads > 1:
        count = min(-(-count // threads) * threads, rows)
    bounds = [rows * i // count for i in range(count + 1)] if count else [0]
    runs = max(1, min(threads, count))
    found = [
        [Block(slice(start, stop), *cut.indices, cut.width, i == 0, len(cuts) == 1) for i, cut in enumerate(cuts)]
        for start, stop in pairwise(bounds)
    ]
    return [sum(found[count * i // runs : count * (i + 1) // runs], []) for i in range(runs)]


class _Cut(NamedTuple):
    """Some columns."""

    width: Window
    images: slice
    indices: tuple[tuple[Any, ...], tuple[Any, ...]]  # of the outputs and of the inputs


def _columns(width: Window, batch: int, wanted: int) -> list[_Cut]:
    """All columns, cut along the second spatial dimension into parts of about `wanted`; if one position has twice as
    many, along the batch."""
    dims, length = len(width.output_size), (*width.output_size, 1)[0]
    bounds = _bounds(length, max(wanted * length // max(width.positions * batch, 1), 1))
    if len(bounds) == 1:
        parts = [((slice(None),) * dims, (slice(None),) * dims, width)]
    else:
        parts, rest = [], (slice(None),) * (dims - 1)
        for start, stop in bounds:
            inputs, part = width.part(start, stop)
            parts.append(((slice(start, stop), *rest), (inputs, *rest), part))
    cuts = []
    for outputs, inputs, part in parts:
        images = _bounds(batch, wanted) if part.positions == 1 and batch >= 2 * wanted else [(0, batch)]
        for start, stop in images:
            kept = slice(start, stop)
            cuts.append(_Cut(part, kept, ((*outputs, kept), (*inputs, kept))))
    return cuts


def _bounds(length: int, each: int) -> list[tuple[int, int]]:
    """`length` in equal parts of at most `each`."""
    count = -(-length // max(each, 1))
    return list(pairwise([length * i // count for i in range(count + 1)])) if count else []
