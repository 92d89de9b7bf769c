"""How the three operators of `conv` are computed: im2col with almost no copy, by blocks of rows.

Users see (N, C, H, W). In memory, activations lie as (H, C, W, N), batch innermost. Then a width-unfolded copy
L[h, kw, c, ow, n] of the input, KW times its size, holds the im2col matrix of every output row r as the contiguous
slab L[r·sh : r·sh + KH], seen as (KH·KW·C, OW·N): all rows together are one overlapping view, and the convolution
is one batched matrix product written straight into the memory order of the next layer. L is made for a block of
rows at a time. In D dimensions H is the first spatial one and W stands for all others; G groups are one more batch
axis. `docs/design.md` says how and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from math import gcd, prod
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tinycnn.backend import Array, in_threads
from tinycnn.backend.precision import WIDE
from tinycnn.ops.windows import Window

if TYPE_CHECKING:
    from tinycnn.ops.conv import ConvSpec


def conv(x: Array, w: Array, b: Array | None, spec: ConvSpec, precision: str, kernels: ModuleType) -> Array:
    """y (N, O, *output_size) of x (N, C, *input_size), w (O, C/G, *kernel_size) and b (O) or None."""
    rows_x, groups = rows_first(x), spec.groups
    rows_y = kernels.xp.empty((spec.output_size[0], len(w), *spec.output_size[1:], len(x)), x.dtype)
    bias = None if b is None else b.reshape(-1, *[1] * (rows_y.ndim - 2))
    weight, copies = kernels.before_product(_split_groups(w, groups), rows_y, bias)
    weight = weight.reshape(groups, 1, len(w) // groups, -1)
    for part in _undilated_rows(rows_x, rows_y, spec):
        work = partial(_conv_rows, part, weight, bias, copies, spec, precision, kernels)
        _shared(work, _shared_blocks(part.y, rows_x, w.size, spec, spec.kernel_size[0], kernels))
    return rows_last(rows_y)


def conv_transpose(g: Array, w: Array, spec: ConvSpec, precision: str, kernels: ModuleType) -> Array:
    """x (N, C, *input_size) of g (N, O, *output_size) and w (O, C/G, *kernel_size).

    Input row i gets a gradient from the output rows whose windows cover it. Rows with i + padding ≡ phase modulo
    the stride meet only kernel rows phase, phase + stride, ...: for each phase, this is a product of those kernel rows,
    reversed, with windows of KH/stride rows of g, followed by the fold of the width.
    """
    if not kernels.all_finite(w):
        return _transpose_by_taps(g, w, spec, kernels)
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


def _transpose_by_taps(g: Array, w: Array, spec: ConvSpec, kernels: ModuleType) -> Array:
    """As `conv_transpose`, more slowly, for weights that are not finite: here none meets a zero that stands for a row
    outside of g, as 0 · ∞ is nan."""
    groups = spec.groups
    weight = w.reshape(groups, len(w) // groups, *w.shape[1:])  # (G, O/G, C/G, *kernel_size)
    of_group = g.reshape(len(g), groups, len(w) // groups, *g.shape[2:])
    x = kernels.xp.zeros((len(g), groups, w.shape[1], *spec.input_size), g.dtype)
    for tap in spec.taps:
        index: tuple[Any, ...] = (..., *tap.position)
        x[tap.inputs] += kernels.xp.einsum("ngo...,goc->ngc...", of_group[tap.outputs], weight[index])
    return x.reshape(len(g), groups * w.shape[1], *spec.input_size)


def conv_weight(x: Array, g: Array, spec: ConvSpec, precision: str, kernels: ModuleType) -> Array:
    """w (O, C/G, *kernel_size) of x (N, C, *input_size) and g (N, O, *output_size)."""
    rows_x, rows_g = rows_first(x), rows_first(g)
    groups, out_channels, channels = spec.groups, g.shape[1], x.shape[1] // spec.groups
    shape = (groups, prod(spec.kernel_size) * channels, out_channels // groups)
    if x.itemsize == 2:
        precision = WIDE  # products of 16 bits, summed over rows in float32
    shares: list[Array] = []
    for part in _undilated_rows(rows_x, rows_g, spec):
        work = partial(_weight_rows, part, spec, precision, kernels)
        shares += _shared(work, _shared_blocks(part.y, rows_x, prod(shape), spec, spec.kernel_size[0], kernels))
    total = sum(shares[1:], start=shares[0]) if shares else kernels.xp.zeros(shape, x.dtype)
    w = total.astype(x.dtype, copy=False).reshape(groups, *spec.kernel_size, channels, -1)
    d = len(spec.kernel_size)
    return w.transpose(0, d + 2, d + 1, *range(1, d + 1)).reshape(out_channels, channels, *spec.kernel_size)


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


# Pairs of an array and what is to be copied into it; on a GPU, a launch that is made anyway does it.
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


def _shared_blocks(
    rows: Array, rows_x: Array, weights: int, spec: ConvSpec, least: int, kernels: ModuleType
) -> list[list[slice]]:
    """Blocks of `rows`, of about `kernels.BLOCK_BYTES` of L each, split among threads.

    rows_x (H, C, W.., N) tells the size of L's rows, KW·C·OW·N; with the number of `weights`, that of multiply-adds. A
    block has at least `least` rows: KH where the width is unfolded, since neighbours unfold KH − 1 rows twice.
    """
    positions = prod(spec.output_size[1:]) * rows.shape[-1]
    row_bytes = prod(spec.kernel_size[1:]) * rows_x.shape[1] * positions * rows.itemsize
    size = max(kernels.BLOCK_BYTES // max(row_bytes, 1), least)
    return _blocks(len(rows), size, kernels.threads_for(weights * positions * len(rows)))


@lru_cache(maxsize=1024)
def _blocks(rows: int, size: int, threads: int) -> list[list[slice]]:
    """Blocks of about `size` rows, one consecutive run of them for each thread. The runs are equally long."""
    count = -(-rows // size)
    if threads > 1:
        count = min(-(-count // threads) * threads, rows)
    bounds = [rows * i // count for i in range(count + 1)] if count else [0]
    blocks = [slice(start, stop) for start, stop in pairwise(bounds)]
    runs = max(1, min(threads, len(blocks)))
    bounds = [len(blocks) * i // runs for i in range(runs + 1)]
    return [blocks[start:stop] for start, stop in pairwise(bounds)]


def _shared(work: Callable[[Sequence[slice]], Any], shares: Sequence[Sequence[slice]]) -> list[Any]:
    """[work(blocks) for the blocks of each thread]"""
    return [work(shares[0])] if len(shares) == 1 else in_threads(work, shares)


def _conv_rows(
    part: Part, weight: Array, bias: Array | None, copies: Copies, spec: ConvSpec, precision: str, kernels: ModuleType,
    blocks: Sequence[slice],
) -> None:  # fmt: skip
    """Writes the blocks of rows of `part.y`; weight (G, 1, O/G, KH·KW·C/G), bias (O, 1..). `copies` are made first."""
    for block in blocks:
        y = part.y[block]
        windows = _row_windows(part, block, spec.kernel_size[0], spec.rest, spec.groups, kernels, copies)
        kernels.product_and_bias(weight, windows, _by_group(y, spec.groups), y, bias, precision)
        del windows  # so that the next block takes the same scratch memory


def _weight_rows(part: Part, spec: ConvSpec, precision: str, kernels: ModuleType, blocks: Sequence[slice]) -> Array:
    """The weight gradient (G, KH·KW·C/G, O/G) that the blocks of rows of `part.y`, the output gradient, contribute."""
    total: Array | None = None
    for block in blocks:
        g = _by_group(part.y[block], spec.groups)
        windows = _row_windows(part, block, spec.kernel_size[0], spec.rest, spec.groups, kernels)
        # The transpose on the right, rather than the whole product transposed: BLAS is faster with wide kernels
        # this way.
        product = kernels.matmul(windows, g.swapaxes(-1, -2), None, precision)
        share = kernels.sum_over(product, (1,), False)
        del windows, product  # as above
        total = share if total is None else total + share
    assert total is not None  # there is at least one block
    return total


def _by_group(y: Array, groups: int) -> Array:
    """Rows (R, O, OW.., N) as (G, R, O/G, OW·N), for the matrix product."""
    return y.reshape(len(y), groups, y.shape[1] // groups, prod(y.shape[2:])).swapaxes(0, 1)


def _row_windows(
    part: Part, block: slice, kernel_rows: int, width: Window, groups: int, kernels: ModuleType,
    copies: Copies | None = None,
) -> Array:  # fmt: skip
    """The im2col matrices (G, rows, KH·KW·C/G, OW·N) of the output rows in `block`, as a view of L.

    Rows outside of `part.x` are zeros. `copies` are made too, where L is made, and removed from the list.
    """
    x, stride = part.x, part.stride
    first = block.start * stride - part.top
    count = (block.stop - block.start - 1) * stride + kernel_rows
    depth, columns = prod(width.kernel_size) * x.shape[1] // groups, prod(width.output_size) * x.shape[-1]
    above, below = min(max(-first, 0), count), min(max(first + count - len(x), 0), count)
    inside = kernels.in_row_order(x[first + above : first + count - below])
    if groups == 1 and width.is_identity and above == below == 0 and inside.flags.c_contiguous:
        slabs = inside.reshape(1, count, depth, columns)
        for to, source in copies or ():
            to[...] = source
    else:
        unfolded = _unfold_width(inside, above, below, width, groups, kernels, copies or ())
        slabs = unfolded.reshape(groups, count, depth, columns)
    if copies:
        copies.clear()
    step = slabs.itemsize
    return kernels.as_strided(
        slabs,
        (groups, block.stop - block.start, kernel_rows * depth, columns),
        (slabs.strides[0], slabs.strides[1] * stride, columns * step, step),
    )


def _unfold_width(
    x: Array, above: int, below: int, width: Window, groups: int, kernels: ModuleType, copies: Sequence[Any]
) -> Array:
    """L (G, rows, KW.., C/G, OW.., N) of the rows (H, C, W.., N), with zero rows above and below them.

    In scratch memory.
    """
    d, channels, total = len(width.kernel_size), x.shape[1] // groups, above + len(x) + below
    shape = (groups, total, *width.kernel_size, channels, *width.output_size, x.shape[-1])
    unfolded = kernels.scratch("L", shape, x)
    rows_too = unfolded[None].transpose(0, *range(3, 3 + d), 1, 3 + d, 4 + 2 * d, 2, *range(4 + d, 4 + 2 * d))
    x_rows_too = _spatial_last(x, groups).transpose(1, 2, 3, 0, *range(4, 4 + d))  # (G, C/G, N, H, W..)
    kernels.unfold_into(rows_too, x_rows_too, _with_rows(width, len(x), above, below), copies)
    return unfolded


def _with_rows(width: Window, rows: int, above: int, below: int) -> Window:
    """The window over the width, and over rows one by one, with rows of zeros above and below."""
    known, key = width.with_rows, (rows, above, below)
    if key not in known:
        known[key] = Window(
            (rows, *width.input_size), (1, *width.kernel_size), (1, *width.stride), ((above, below), *width.padding),
            (1, *width.dilation),
        )  # fmt: skip
    return known[key]


def _columns(unfolded: Array, d: int) -> Array:
    """L (G, rows, KW.., C, OW.., N) with its axes in the order that `fold_into` takes: (KW.., rows, G, C, N,
    OW..)."""
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
    # (G, KW.., C/G, J, O/G)
    weight, copies = kernels.before_product(kernel_rows.transpose(0, *range(3, kernel_rows.ndim), 2, 1))
    weight = weight.reshape(*weight.shape[:-2], count * out_group)
    work = partial(_fold_rows, Part(g, x, 1, top), weight, copies, count, spec, precision, kernels)
    _shared(work, _shared_blocks(x, x, weight.size, spec, 1, kernels))


def _fold_rows(
    part: Part, weight: Array, copies: Copies, kernel_rows: int, spec: ConvSpec, precision: str, kernels: ModuleType,
    blocks: Sequence[slice],
) -> None:  # fmt: skip
    """Writes the blocks of rows of `part.y`: the product of weight (G, KW.., C/G, KH·O/G) with windows of `part.x`,
    the output gradient, and the fold of the width."""
    groups, *kernel, channels, depth = weight.shape
    identity = spec.rest.identity_on_output
    weight = weight.reshape(groups, 1, -1, depth)
    for block in blocks:
        x = part.y[block]
        windows = _row_windows(part, block, kernel_rows, identity, groups, kernels, copies)
        shape = (groups, len(x), *kernel, channels, *spec.output_size[1:], x.shape[-1])
        columns = kernels.scratch("columns", shape, x)
        product = columns.reshape(groups, len(x), prod(kernel) * channels, windows.shape[-1])
        kernels.matmul(weight, windows, product, precision)
        kernels.fold_into(_spatial_last(x, groups), _columns(columns, len(kernel)), spec.rest)
        del windows, columns, product  # so that the next block takes the same scratch memory
