"""The three operators of `conv` by im2col as in text books, for few output positions and many weights.

The columns (C/G·K, positions) hold the window at each output position, all KH·KW.. elements of it. So `conv_rows`
copies KH times less of the input. But here weights are read, and their gradients are written, as they lie in memory,
which pays where there are more weights than columns; and a product has the positions of all rows, which pays where a
row has few. In memory, columns are (C, KH, KW.., OH, OW.., N): batch innermost, as activations are.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from types import ModuleType
from typing import TYPE_CHECKING

from tinycnn.backend import Array
from tinycnn.backend.threads import evenly
from tinycnn.ops.conv_blocks import part_of
from tinycnn.ops.windows import Window

if TYPE_CHECKING:
    from tinycnn.ops.conv import ConvSpec


def conv(x: Array, w: Array, b: Array | None, spec: ConvSpec, kernels: ModuleType) -> Array:
    """y (OH, O, OW.., N) of x (H, C, W.., N), w (O, C/G, *kernel_size) and b (O) or None."""
    batch, out_channels = x.shape[-1], len(w)
    y = kernels.xp.empty((spec.output_size[0], out_channels, *spec.output_size[1:], batch), x.dtype)
    weight = w.reshape(spec.groups, out_channels // spec.groups, -1)
    for rows, met, window in _blocks(spec, x.shape[1] * batch * x.itemsize, kernels.BLOCK_BYTES):
        columns = _unfold(x[met], window, spec.groups, kernels)
        product = kernels.scratch("columns", (*weight.shape[:2], columns.shape[-1]), x)
        kernels.matmul(weight, columns, product)
        of_rows = product.reshape(out_channels, *window.output_size, batch).swapaxes(0, 1)
        if b is None:
            y[rows] = of_rows
        else:
            kernels.xp.add(of_rows, b.reshape(-1, *[1] * (y.ndim - 2)), out=y[rows])
        del columns, product, of_rows  # so that the next block takes the same scratch memory
    return y


def conv_transpose(g: Array, w: Array, spec: ConvSpec, kernels: ModuleType) -> Array:
    """x (H, C, W.., N) of g (OH, O, OW.., N) and w (O, C/G, *kernel_size)."""
    batch, groups, channels = g.shape[-1], spec.groups, spec.groups * w.shape[1]
    x = kernels.xp.zeros((spec.input_size[0], channels, *spec.input_size[1:], batch), g.dtype)
    weight = w.reshape(groups, len(w) // groups, -1).swapaxes(-1, -2)
    for rows, met, window in _blocks(spec, channels * batch * g.itemsize, kernels.BLOCK_BYTES):
        gradient = _positions_last(g[rows], groups, kernels)
        columns = kernels.scratch("columns", (groups, weight.shape[1], gradient.shape[-1]), g)
        kernels.matmul(weight, gradient, columns)
        split = columns.reshape(channels, *window.kernel_size, *window.output_size, batch)
        kernels.fold_into(_spatial_last(x[met]), _kernel_first(split, x.ndim - 2), window, added=True)
        del gradient, columns, split
    return x


def conv_weight(x: Array, g: Array, spec: ConvSpec, kernels: ModuleType) -> Array:
    """w (O, C/G, *kernel_size) of x (H, C, W.., N) and g (OH, O, OW.., N)."""
    groups, out_channels, channels = spec.groups, g.shape[1], x.shape[1] // spec.groups
    w = None
    for rows, met, window in _blocks(spec, x.shape[1] * x.shape[-1] * x.itemsize, kernels.BLOCK_BYTES):
        columns = _unfold(x[met], window, groups, kernels)
        share = kernels.xp.empty((groups, out_channels // groups, columns.shape[1]), x.dtype)
        kernels.matmul(_positions_last(g[rows], groups, kernels), columns.swapaxes(-1, -2), share)
        w = share if w is None else w + share
        del columns
    assert w is not None  # there is at least one row
    return w.reshape(out_channels, channels, *spec.kernel_size)


@lru_cache(maxsize=1024)
def _blocks(window: Window, depth: int, block_bytes: int) -> list[tuple[slice, slice, Window]]:
    """Output rows, the input rows that they meet, and the window between the two, in blocks. `depth` is the bytes of
    one position at one tap. A block has eight times the `block_bytes` of `conv_rows`: most are not cut at all."""
    rows = window.output_size[0]
    row_bytes = depth * prod(window.kernel_size) * prod(window.output_size[1:])
    count = -(-rows // max(8 * block_bytes // max(row_bytes, 1), 1))
    if count <= 1:
        return [(slice(None), slice(None), window)]
    return [(part, *part_of(window, part.start, part.stop)) for part in evenly(rows, count)]


def _unfold(x: Array, window: Window, groups: int, kernels: ModuleType) -> Array:
    """The columns (G, C/G·K, positions) of the rows (H, C, W.., N), in scratch memory."""
    x, d = kernels.in_row_order(x), x.ndim - 2
    columns = kernels.scratch("L", (x.shape[1], *window.kernel_size, *window.output_size, x.shape[-1]), x)
    kernels.unfold_into(_kernel_first(columns, d), _spatial_last(x), window)
    return columns.reshape(groups, -1, window.positions * x.shape[-1])


def _positions_last(g: Array, groups: int, kernels: ModuleType) -> Array:
    """Rows (R, O, OW.., N) as (G, O/G, positions), in scratch memory."""
    ordered = kernels.scratch("g", (g.shape[1], g.shape[0], *g.shape[2:]), g)
    ordered[...] = g.swapaxes(0, 1)
    return ordered.reshape(groups, g.shape[1] // groups, -1)


def _kernel_first(columns: Array, d: int) -> Array:
    """Columns (C, KH, KW.., OH, OW.., N) with its axes in the order of `unfold_into`: (KH, KW.., C, N, OH, OW..)."""
    return columns.transpose(*range(1, 1 + d), 0, 1 + 2 * d, *range(1 + d, 1 + 2 * d))


def _spatial_last(x: Array) -> Array:
    """Rows (H, C, W.., N) as (C, N, H, W..)."""
    return x.transpose(1, x.ndim - 1, 0, *range(2, x.ndim - 1))
