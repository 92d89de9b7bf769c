"""How the three operators of `conv` are computed: im2col with almost no copy, by blocks of rows.

Users see (N, C, H, W). In memory, activations lie as (H, C, W, N), batch innermost. Then a width-unfolded copy
L[h, kw, c, ow, n] of the input, KW times its size, holds the im2col matrix of every output row r as the contiguous
slab L[r·sh : r·sh + KH], seen as (KH·KW·C, OW·N): all rows together are one overlapping view, and the convolution
is one batched matrix product written straight into the memory order of the next layer. L is made for a block of
rows and columns at a time: see `conv_blocks`. In D dimensions H is the first spatial one and W stands for all others;
G groups are one more batch axis. `docs/design.md` says how and why.

Where few positions meet many weights, it is cheaper to leave the weights as they lie: see `conv_columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import gcd, prod
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tinycnn.backend import Array, in_threads
from tinycnn.backend.precision import WIDE
from tinycnn.ops import conv_columns
from tinycnn.ops.conv_blocks import Block, blocks, flipped, identity, is_unfolded, with_rows
from tinycnn.ops.windows import Window

if TYPE_CHECKING:
    from tinycnn.ops.conv import ConvSpec


def conv(x: Array, w: Array, b: Array | None, spec: ConvSpec, precision: str, kernels: ModuleType) -> Array:
    """y (N, O, *output_size) of x (N, C, *input_size), w (O, C/G, *kernel_size) and b (O) or None."""
    rows_x, groups = rows_first(x), spec.groups
    if kernels.leaves_weights(len(w) // groups, len(x) * spec.positions):
        return rows_last(conv_columns.conv(rows_x, w, b, spec, kernels))
    rows_y = kernels.xp.empty((spec.output_size[0], len(w), *spec.output_size[1:], len(x)), x.dtype)
    bias = None if b is None else b.reshape(-1, *[1] * (rows_y.ndim - 2))
    weight, copies = kernels.before_product(_split_groups(w, groups), rows_y, bias)
    weight = weight.reshape(groups, 1, len(w) // groups, -1)
    for part in _undilated_rows(rows_x, rows_y, spec):
        kernel_rows, (m, k) = spec.kernel_size[0], weight.shape[-2:]
        work = partial(_conv_rows, part, weight, bias, copies, kernel_rows, groups, precision, kernels)
        _shared(work, _blocks(part, x.shape[1], m, k, kernel_rows, spec.rest, groups, kernels))
    return rows_last(rows_y)


def conv_transpose(g: Array, w: Array, spec: ConvSpec, precision: str, kernels: ModuleType) -> Array:
    """x (N, C, *input_size) of g (N, O, *output_size) and w (O, C/G, *kernel_size).

    Input row i gets a gradient from the output rows whose windows cover it. Rows with i + padding ≡ phase modulo
    the stride meet only kernel rows phase, phase + stride, ...: for each phase, this is a product of those kernel rows,
    reversed, with windows of KH/stride rows of g, followed by the fold of the width.
    """
    # Weights that are not finite must not meet the zeros that stand for rows outside of g, as 0 · ∞ is nan. (On a GPU
    # the host does not look at them: there `all_finite` is True.)
    if kernels.leaves_weights(len(w) // spec.groups, len(g) * spec.positions) or not kernels.all_finite(w):
        return rows_last(conv_columns.conv_transpose(rows_first(g), w, spec, kernels))
    rows_g, weight = rows_first(g), _split_groups(w, spec.groups)
    # A dilated kernel that is strided too may miss input rows: they stay 0.
    allocate = kernels.xp.zeros if spec.dilation[0] > 1 else kernels.xp.empty
    rows_x = allocate((spec.input_size[0], spec.groups * w.shape[1], *spec.input_size[1:], len(g)), g.dtype)
    for part in _undilated_rows(rows_x, rows_g, spec):
        for phase in range(part.stride):
            kernel_rows = weight[:, :, phase :: part.stride][:, :, ::-1]
            first = (phase - part.top) % part.stride
            top = kernel_rows.shape[2] - 1 - (first + part.top - phase) // part.stride
            _transpose_rows(part.x[first :: part.stride], part.y, kernel_rows, top, spec, precision, kernels)
    return rows_last(rows_x)


def conv_weight(x: Array, g: Array, spec: ConvSpec, precision: str, kernels: ModuleType) -> Array:
    """w (O, C/G, *kernel_size) of x (N, C, *input_size) and g (N, O, *output_size).

    Where BLAS is to sum over rows, a stride is split up: kernel rows phase, phase + stride, ... meet the input rows of
    one residue modulo the stride, one after the other, so each phase is a convolution without a stride.
    """
    rows_x, rows_g = rows_first(x), rows_first(g)
    groups, out_channels, channels = spec.groups, g.shape[1], x.shape[1] // spec.groups
    if kernels.leaves_weights(out_channels // groups, len(x) * spec.positions):
        return conv_columns.conv_weight(rows_x, rows_g, spec, kernels)
    if x.itemsize == 2:
        precision = WIDE  # products of 16 bits, summed over rows in float32
    parts = _undilated_rows(rows_x, rows_g, spec)
    depth, in_row = prod(spec.kernel_size[1:]) * channels, spec.rest.positions * len(x)
    rows_innermost = kernels.sums_rows(depth, in_row, spec.rest.is_identity)
    phases = parts[0].stride if rows_innermost else 1
    shape = (groups, -1, *spec.kernel_size[1:], channels, out_channels // groups)
    w = _weight_of_phase(parts, 0, phases, rows_innermost, spec, precision, kernels).reshape(shape)
    if phases > 1:
        first, w = w, kernels.xp.empty((groups, *spec.kernel_size, *shape[-2:]), w.dtype)
        w[:, ::phases] = first
        for phase in range(1, min(phases, spec.kernel_size[0])):
            share = _weight_of_phase(parts, phase, phases, rows_innermost, spec, precision, kernels)
            w[:, phase::phases] = share.reshape(shape)
    w = w.astype(x.dtype, copy=False).transpose(0, w.ndim - 1, w.ndim - 2, *range(1, w.ndim - 2))
    return kernels.in_parameter_order(w).reshape(out_channels, channels, *spec.kernel_size)


def _weight_of_phase(
    parts: Sequence[Part], phase: int, phases: int, rows_innermost: bool, spec: ConvSpec, precision: str,
    kernels: ModuleType,
) -> Array:  # fmt: skip
    """The gradient of kernel rows phase, phase + phases, ...: (G, KH/phases·KW·C/G, O/G)."""
    kernel_rows, channels, shares = -((phase - spec.kernel_size[0]) // phases), parts[0].x.shape[1], []
    k, m = kernel_rows * prod(spec.rest.kernel_size) * channels // spec.groups, parts[0].y.shape[1] // spec.groups
    for part in parts:
        if phases > 1:
            first = phase - part.top
            part = Part(part.x[first % phases :: phases], part.y, 1, -(first // phases))
        work = partial(_weight_rows, part, kernel_rows, rows_innermost, spec.groups, precision, kernels)
        shares += _shared(work, _blocks(part, channels, m, k, kernel_rows, spec.rest, spec.groups, kernels))
    return sum(shares[1:], start=shares[0])


# --- memory order -----------------------------------------------------------------------------------------


def rows_first(x: Array) -> Array:
    """(N, C, H, W..) as (H, C, W.., N), a view: contiguous if another layer made x. If not, each block of rows is
    brought into this order when it is needed, so x is never copied as a whole."""
    return x.transpose(2, 1, *range(3, x.ndim), 0)


def rows_last(rows: Array) -> Array:
    """The inverse of `rows_first`, a view: (H, C, W.., N) as (N, C, H, W..)."""
    return rows.transpose(rows.ndim - 1, 1, 0, *range(2, rows.ndim - 1))


def _split_groups(w: Array, groups: int) -> Array:
    """(O, C/G, KH, KW..) as (G, O/G, KH, KW.., C/G), a view."""
    split = w.reshape(groups, len(w) // groups, *w.shape[1:])
    return split.transpose(0, 1, *range(3, split.ndim), 2)


# --- rows -------------------------------------------------------------------------------------------------


# Pairs of an array and what is to be copied into it before the first product: weights in its order, the bias to where
# it is added. On a GPU the launch that unfolds does it, so they are handed down to there; on a CPU there are none.
Copies: TypeAlias = "list[tuple[Array, Array]]"


class Part(NamedTuple):
    """A convolution whose rows are not dilated: output row r begins at row r·stride − top of the input."""

    x: Array  # (rows, C, W.., N)
    y: Array  # (rows, O, OW.., N)
    stride: int
    top: int


def _undilated_rows(rows_x: Array, rows_y: Array, spec: ConvSpec) -> list[Part]:
    """Splits a convolution with dilated rows into interleaved ones without; their arrays are views.

    Output rows r ≡ p modulo dilation / gcd(stride, dilation) read only input rows of one residue modulo the
    dilation. Without dilation there is one part: everything.
    """
    stride, dilation, before = spec.stride[0], spec.dilation[0], spec.padding[0][0]
    if dilation == 1:
        return [Part(rows_x, rows_y, stride, before)]
    parts, period = [], dilation // gcd(stride, dilation)
    for p in range(min(period, len(rows_y))):
        start, residue = divmod(p * stride, dilation)  # in padded rows, counted in steps of the dilation
        above = -(-(before - residue) // dilation)  # how many of this residue lie in the padding
        x_part = rows_x[above * dilation + residue - before :: dilation]
        parts.append(Part(x_part, rows_y[p::period], stride * period // dilation, above - start))
    return parts


def _blocks(
    part: Part, channels: int, m: int, k: int, kernel_rows: int, width: Window, groups: int, kernels: ModuleType
) -> list[list[Block]]:
    """The blocks of `part`, split among threads, for products of m × k weights with windows of so many kernel rows;
    `channels` are those of what is unfolded."""
    rows, batch = len(part.y), part.y.shape[-1]
    limits = kernels.block_limits(m, k, groups * m * k * rows * width.positions * batch)
    depth = prod(width.kernel_size) * channels * part.y.itemsize
    return blocks(rows, kernel_rows, width, batch, depth, limits)


def _shared(work: Callable[[Sequence[Block]], Any], shares: Sequence[Sequence[Block]]) -> list[Any]:
    """[work(blocks) for the blocks of each thread]"""
    return [work(shares[0])] if len(shares) == 1 else in_threads(work, shares)


def _conv_rows(
    part: Part, weight: Array, bias: Array | None, copies: Copies, kernel_rows: int, groups: int, precision: str,
    kernels: ModuleType, blocks: Sequence[Block],
) -> None:  # fmt: skip
    """Writes the blocks of `part.y`; weight (G, 1, O/G, KH·KW·C/G), bias (O, 1..). `copies` are made first."""
    for block in blocks:
        y = part.y[(block.rows, slice(None), *block.outputs)]
        x = part.x[(slice(None), slice(None), *block.inputs)]
        windows = _row_windows(x, part, block.rows, kernel_rows, block.width, groups, kernels, copies)
        windows = windows.reshape(*windows.shape[:2], weight.shape[-1], windows.shape[-1])
        kernels.product_and_bias(weight, windows, _by_group(y, groups), y, bias, precision)
        del windows  # so that the next block takes the same scratch memory


def _weight_rows(
    part: Part, kernel_rows: int, rows_innermost: bool, groups: int, precision: str, kernels: ModuleType,
    blocks: Sequence[Block],
) -> Array:  # fmt: skip
    """The weight gradient (G, KH·KW·C/G, O/G) that the blocks of `part.y`, the output gradient, contribute."""
    total: Array | None = None
    for block in blocks:
        g = _by_group(part.y[(block.rows, slice(None), *block.outputs)], groups)
        x = part.x[(slice(None), slice(None), *block.inputs)]
        windows = _row_windows(x, part, block.rows, kernel_rows, block.width, groups, kernels, (), rows_innermost)
        share = kernels.product_over_rows(windows, g, precision)
        del windows  # as above
        total = share if total is None else total + share
    assert total is not None  # there is at least one block
    return total


def _by_group(y: Array, groups: int) -> Array:
    """Rows (R, O, OW.., N) as (G, R, O/G, OW·N), for the matrix product: a view, as `conv_blocks` cuts them."""
    return y.reshape(len(y), groups, y.shape[1] // groups, prod(y.shape[2:])).swapaxes(0, 1)


def _row_windows(
    x: Array, part: Part, rows: slice, kernel_rows: int, width: Window, groups: int, kernels: ModuleType,
    copies: Copies | tuple[()] = (), rows_innermost: bool = False,
) -> Array:  # fmt: skip
    """The im2col matrices of output `rows`, (G, rows, KH, KW·C/G, OW·N), as a view of L, or of x where L is the same.

    x are those columns of `part.x` that `width` takes; rows outside of it are zeros. With `rows_innermost`, one row of
    L lies in memory inside of the kernel's columns and the channels. `copies` are made too, where L is made, and
    removed from the list.
    """
    first = rows.start * part.stride - part.top
    count = (rows.stop - rows.start - 1) * part.stride + kernel_rows
    above, below = min(max(-first, 0), count), min(max(first + count - len(x), 0), count)
    inside = x[first + above : first + count - below]
    as_it_is = groups == 1 and width.is_identity and above == below == 0 and not rows_innermost
    if as_it_is and is_unfolded(inside.shape, inside.strides, x.itemsize, kernel_rows):
        memory, group, row, column = inside, 0, *inside.strides[:2]
        for to, source in copies:
            to[...] = source
    else:
        inside = kernels.in_row_order(inside)
        memory, slabs = _unfold_width(inside, above, below, width, groups, kernels, copies, rows_innermost)
        group, row, column, _ = slabs.strides
    if copies:
        copies.clear()
    depth, columns = prod(width.kernel_size) * x.shape[1] // groups, width.positions * x.shape[-1]
    return kernels.as_strided(
        memory,
        (groups, rows.stop - rows.start, kernel_rows, depth, columns),
        (group, row * part.stride, row, column, x.itemsize),
    )


def _unfold_width(
    x: Array, above: int, below: int, width: Window, groups: int, kernels: ModuleType, copies: Sequence[Any],
    rows_innermost: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """L of the rows (H, C, W.., N), with zero rows above and below them, in scratch memory: as it lies there, and as
    (G, rows, KW·C/G, OW·N)."""
    d, channels, total = len(width.kernel_size), x.shape[1] // groups, above + len(x) + below
    # Where each channel is a group, all follow one another, so that fewer and longer runs are copied.
    outer, inner = (1, groups) if channels == 1 else (groups, channels)
    lines = (*width.kernel_size, inner, total) if rows_innermost else (total, *width.kernel_size, inner)
    memory = kernels.scratch("L", (outer, *lines, *width.output_size, x.shape[-1]), x)
    unfolded = memory  # (outer, rows, KW.., inner, OW.., N)
    if rows_innermost:
        unfolded = memory.transpose(0, 2 + d, *range(1, 2 + d), *range(3 + d, 4 + 2 * d))
    columns = _columns(unfolded, d)[None]
    columns = columns.transpose(0, *range(1, 1 + d), 2 + d, 3 + d, 4 + d, 1 + d, *range(5 + d, 5 + 2 * d))
    rows = _spatial_last(x, outer).transpose(1, 2, 3, 0, *range(4, 4 + d))  # (outer, inner, N, H, W..)
    kernels.unfold_into(columns, rows, with_rows(width, len(x), above, below), copies)
    kernel, positions = prod(width.kernel_size), width.positions * x.shape[-1]
    slabs = unfolded.reshape(outer, total, kernel, inner, positions)
    slabs = slabs.transpose(3, 1, 2, 0, 4) if channels == 1 else slabs
    return memory, slabs.reshape(groups, total, kernel * channels, positions)


def _columns(unfolded: Array, d: int) -> Array:
    """L (G, rows, KW.., C, OW.., N) with its axes in the order of `fold_into`: (KW.., rows, G, C, N, OW..)."""
    return unfolded.transpose(*range(2, 2 + d), 1, 0, 2 + d, 3 + 2 * d, *range(3 + d, 3 + 2 * d))


def _spatial_last(x: Array, groups: int) -> Array:
    """Rows (H, C, W.., N) as (H, G, C/G, N, W..)."""
    split = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return split.transpose(0, 1, 2, split.ndim - 1, *range(3, split.ndim - 1))


def _transpose_rows(
    x: Array, g: Array, kernel_rows: Array, top: int, spec: ConvSpec, precision: str, kernels: ModuleType
) -> None:
    """x[i] = fold of Σ_j kernel_rows[j] · g[i + j − top] for every row of `x`, which is overwritten.

    x (rows, C, W.., N), g (rows, O, OW.., N), kernel_rows (G, O/G, J, KW.., C/G).
    """
    _, out_group, count, *_ = kernel_rows.shape
    if count == 0:
        x[...] = 0
        return
    part, back = Part(g, x, 1, top), flipped(spec.rest)
    if back and kernels.unfolds_gradient(x.shape[1], back.positions, g.shape[1], spec.rest.positions):
        _conv_flipped(part, kernel_rows, back, spec.groups, precision, kernels)
        return
    # (G, KW.., C/G, J, O/G)
    weight, copies = kernels.before_product(kernel_rows.transpose(0, *range(3, kernel_rows.ndim), 2, 1))
    weight = weight.reshape(*weight.shape[:-2], count * out_group)
    work = partial(_fold_rows, part, weight, copies, count, spec, precision, kernels)
    m, k = prod(weight.shape[1:-1]), weight.shape[-1]
    _shared(work, _blocks(part, x.shape[1], m, k, 1, spec.rest, spec.groups, kernels))


def _conv_flipped(
    part: Part, kernel_rows: Array, width: Window, groups: int, precision: str, kernels: ModuleType
) -> None:
    """`_transpose_rows` for a width without a stride: a convolution of g with the kernel flipped."""
    weight = kernel_rows[:, :, :, *[slice(None, None, -1)] * len(width.kernel_size)]
    weight = weight.transpose(0, weight.ndim - 1, *range(2, weight.ndim - 1), 1)  # (G, C/G, J, KW.., O/G)
    weight, copies = kernels.before_product(weight)
    count = weight.shape[2]
    weight = weight.reshape(groups, 1, weight.shape[1], -1)
    work = partial(_conv_rows, part, weight, None, copies, count, groups, precision, kernels)
    m, k = weight.shape[-2:]
    _shared(work, _blocks(part, part.x.shape[1], m, k, count, width, groups, kernels))


def _fold_rows(
    part: Part, weight: Array, copies: Copies, kernel_rows: int, spec: ConvSpec, precision: str, kernels: ModuleType,
    blocks: Sequence[Block],
) -> None:  # fmt: skip
    """Writes the blocks of rows of `part.y`: the product of weight (G, KW.., C/G, KH·O/G) with windows of `part.x`,
    the output gradient, and the fold of the width. The columns of a block are those of the output gradient."""
    groups, *kernel, channels, depth = weight.shape
    weight = weight.reshape(groups, 1, -1, depth)
    for block in blocks:
        if block.is_first and not block.is_all:
            part.y[block.rows] = 0
        x = part.y[(block.rows, slice(None), *block.inputs)]
        g = part.x[(slice(None), slice(None), *block.outputs)]
        as_is = identity(block.width)
        windows = _row_windows(g, part, block.rows, kernel_rows, as_is, groups, kernels, copies)
        windows = windows.reshape(groups, len(x), depth, windows.shape[-1])
        columns = kernels.scratch("columns", (groups, len(x), *kernel, channels, *as_is.output_size, x.shape[-1]), x)
        product = columns.reshape(groups, len(x), prod(kernel) * channels, windows.shape[-1])
        kernels.matmul(weight, windows, product, precision)
        into = _spatial_last(x, groups), _columns(columns, len(kernel)), block.width
        kernels.fold_into(*into) if block.is_all else kernels.fold_into(*into, added=True)
        del windows, columns, product, into  # so that the next block takes the same scratch memory
