"""Convolution as a trilinear form, in any number of dimensions.

T(x, w, g) = ⟨g, x ⋆ w⟩ is linear in each argument. Its three partial derivatives are the three operators here,
and differentiating any of them leads back to the three:

    conv(x, w)           = ∂T/∂g      backward with u:  conv_transpose(u, w), conv_weight(x, u)
    conv_transpose(g, w) = ∂T/∂x      backward with u:  conv(u, w),           conv_weight(u, g)
    conv_weight(x, g)    = ∂T/∂w      backward with u:  conv_transpose(g, u), conv(x, u)

Users see (N, C, H, W). In memory, activations lie as (H, C, W, N), batch innermost. Then a width-unfolded copy
L[h, kw, c, ow, n] of the input, KW times its size, holds the im2col matrix of every output row r as the contiguous
slab L[r·sh : r·sh + KH], seen as (KH·KW·C, OW·N): all rows together are one overlapping view, and the convolution
is one batched matrix product written straight into the memory order of the next layer. L is made for a block of
rows at a time. In D dimensions H is the first spatial one and W stands for all others; G groups are one more batch
axis. `docs/design.md` says how and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np

from tinycnn import backend
from tinycnn.autograd import Function
from tinycnn.backend import Array, precision
from tinycnn.ops.windows import Window

# Bytes of L (forward) or of column gradients (backward) that are made at a time. On a CPU: small enough to stay in the
# cache between being written and being read, large enough that blocks, which overlap by KH − 1 rows, waste little.
# On a GPU: enough work for one launch to fill it.
BLOCK_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}


@dataclass(frozen=True)
class ConvSpec(Window):
    """The geometry that the three operators share: a window and the number of groups."""

    groups: int = 1


class Conv(Function):
    """y[n, o, r] = b[o] + Σ_{c,k} w[o, c, k] · x[n, c, r·stride + k·dilation − padding]."""

    saves_inputs = True

    def __init__(self, spec: ConvSpec):
        self.spec = spec

    def forward(self, x: Array, w: Array, b: Array | None = None) -> Array:
        self.precision = precision.current()
        spec, xp = self.spec, backend.array_module(x)
        rows_x = rows_first(x)
        weight = _split_groups(w, spec).reshape(spec.groups, 1, len(w) // spec.groups, -1)
        weight = backend.kernels(w).rounded(weight, self.precision)
        rows_y = xp.empty((spec.output_size[0], len(w), *spec.output_size[1:], len(x)), x.dtype)
        for part in _undilated_rows(rows_x, rows_y, spec):
            work = partial(_conv_rows, part, weight, b, spec, self.precision)
            backend.in_threads(work, _shared_blocks(part.y, rows_x, w.size, spec, spec.kernel_size[0]))
        return rows_last(rows_y)

    @precision.as_in_forward
    def backward(self, grad_output: Any) -> Any:
        x, w = self.inputs[:2]
        need_x, need_w, *need_b = self.needs_input_grad
        return (
            conv_transpose(grad_output, w, self.spec) if need_x else None,
            conv_weight(x, grad_output, self.spec) if need_w else None,
            *[grad_output.sum((0, *range(2, grad_output.ndim))) if need else None for need in need_b],
        )


class ConvTranspose(Function):
    """x[n, c, i] = Σ w[o, c, k] · g[n, o, r] over all o, k, r with i = r·stride + k·dilation − padding.

    Input row i gets a gradient from the output rows whose windows cover it. Rows that have i + padding ≡ a modulo
    the stride meet only kernel rows a, a + stride, ...: for each a, this is a product of those kernel rows,
    reversed, with windows of KH/stride rows of g, followed by the fold of the width.
    """

    saves_inputs = True

    def __init__(self, spec: ConvSpec):
        self.spec = spec

    def forward(self, g: Array, w: Array) -> Array:
        self.precision = precision.current()
        spec, xp = self.spec, backend.array_module(g)
        rows_g = rows_first(g)
        groups, channels = spec.groups, w.shape[1]
        weight = _split_groups(w, spec)
        # A dilated kernel that is strided too may miss input rows altogether.
        allocate = xp.zeros if spec.dilation[0] > 1 else xp.empty
        rows_x = allocate((spec.input_size[0], groups * channels, *spec.input_size[1:], len(g)), g.dtype)
        for part in _undilated_rows(rows_x, rows_g, spec):
            for phase in range(part.stride):
                kernel_rows = weight[:, :, phase :: part.stride][:, :, ::-1]
                first = (phase - part.top) % part.stride
                top = kernel_rows.shape[2] - 1 - (first + part.top - phase) // part.stride
                _transpose_rows(part.x[first :: part.stride], part.y, kernel_rows, top, spec, self.precision)
        return rows_last(rows_x)

    @precision.as_in_forward
    def backward(self, grad_output: Any) -> Any:
        g, w = self.inputs
        need_g, need_w = self.needs_input_grad
        return (
            conv(grad_output, w, None, self.spec) if need_g else None,
            conv_weight(grad_output, g, self.spec) if need_w else None,
        )


class ConvWeight(Function):
    """w[o, c, k] = Σ_{n,r} g[n, o, r] · x[n, c, r·stride + k·dilation − padding]."""

    saves_inputs = True

    def __init__(self, spec: ConvSpec):
        self.spec = spec

    def forward(self, x: Array, g: Array) -> Array:
        self.precision = precision.current()
        spec, xp = self.spec, backend.array_module(x)
        rows_x, rows_g = rows_first(x), rows_first(g)
        groups, out_channels, channels = spec.groups, g.shape[1], x.shape[1] // spec.groups
        shape = (groups, prod(spec.kernel_size) * channels, out_channels // groups)
        shares = []
        for part in _undilated_rows(rows_x, rows_g, spec):
            shared = _shared_blocks(part.y, rows_x, prod(shape), spec, spec.kernel_size[0])
            shares += backend.in_threads(partial(_weight_rows, part, spec, self.precision), shared)
        total = sum(shares[1:], start=shares[0]) if shares else xp.zeros(shape, x.dtype)
        w = total.reshape(groups, *spec.kernel_size, channels, -1)
        d = len(spec.kernel_size)
        return w.transpose(0, d + 2, d + 1, *range(1, d + 1)).reshape(out_channels, channels, *spec.kernel_size)

    @precision.as_in_forward
    def backward(self, grad_output: Any) -> Any:
        x, g = self.inputs
        need_x, need_g = self.needs_input_grad
        return (
            conv_transpose(g, grad_output, self.spec) if need_x else None,
            conv(x, grad_output, None, self.spec) if need_g else None,
        )


def conv(x: Any, w: Any, b: Any, spec: ConvSpec) -> Any:
    """x (N, C, *input_size), w (O, C/G, *kernel_size), b (O) or None to y (N, O, *output_size)."""
    return Conv(spec)(x, w) if b is None else Conv(spec)(x, w, b)


def conv_transpose(g: Any, w: Any, spec: ConvSpec) -> Any:
    """g (N, O, *output_size), w (O, C/G, *kernel_size) to x (N, C, *input_size)."""
    return ConvTranspose(spec)(g, w)


def conv_weight(x: Any, g: Any, spec: ConvSpec) -> Any:
    """x (N, C, *input_size), g (N, O, *output_size) to w (O, C/G, *kernel_size)."""
    return ConvWeight(spec)(x, g)


# --- memory order -----------------------------------------------------------------------------------------


def rows_first(x: Array) -> Array:
    """(N, C, H, W..) as (H, C, W.., N), a view: contiguous if another layer made x. If not, each block of rows is
    brought into this order when it is needed, so that no second copy of x ever exists as a whole."""
    return x.transpose(2, 1, *range(3, x.ndim), 0)


def rows_last(rows: Array) -> Array:
    """The inverse of `rows_first`, a view: (H, C, W.., N) as (N, C, H, W..)."""
    return rows.transpose(rows.ndim - 1, 1, 0, *range(2, rows.ndim - 1))


def _split_groups(w: Array, spec: ConvSpec) -> Array:
    """(O, C/G, KH, KW..) as (G, O/G, KH, KW.., C/G), a view."""
    split = w.reshape(spec.groups, len(w) // spec.groups, *w.shape[1:])
    return split.transpose(0, 1, *range(3, split.ndim), 2)


# --- rows -------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A convolution whose rows are not dilated: output row r begins at row r·stride − top of the input."""

    x: Array  # (rows, C, W.., N)
    y: Array  # (rows, O, OW.., N)
    stride: int
    top: int


def _undilated_rows(rows_x: Array, rows_y: Array, spec: ConvSpec) -> Iterator[Part]:
    """Splits a convolution with dilated rows into interleaved ones without; their arrays are views.

    Output rows r ≡ p modulo dilation / gcd(stride, dilation) read only input rows of one residue modulo the
    dilation. Without dilation there is one part: everything.
    """
    stride, dilation, before = spec.stride[0], spec.dilation[0], spec.padding[0][0]
    period = dilation // gcd(stride, dilation)
    for p in range(min(period, len(rows_y))):
        start, residue = divmod(p * stride, dilation)  # in padded rows, counted in steps of the dilation
        above = max(0, -(-(before - residue) // dilation))  # how many of this residue lie in the padding
        x_part = rows_x[above * dilation + residue - before :: dilation]
        yield Part(x_part, rows_y[p::period], stride * period // dilation, above - start)


def _shared_blocks(rows: Array, rows_x: Array, weights: int, spec: ConvSpec, least: int) -> list[Sequence[slice]]:
    """Blocks of the `rows` that are computed, so large that their part of L has BLOCK_BYTES, shared among threads.

    rows_x (H, C, W.., N) tells the size of L's rows, KW·C·OW·N; with the number of `weights`, that of multiply-adds. A
    block has `least` rows at the least: where the width is unfolded, so many that the KH − 1 rows that two neighbours
    both unfold weigh little.
    """
    positions = prod(spec.output_size[1:]) * rows.shape[-1]
    row_bytes = prod(spec.kernel_size[1:]) * rows_x.shape[1] * positions * rows.itemsize
    size = max(BLOCK_BYTES[backend.device_of(rows).type] // max(row_bytes, 1), least)
    count = -(-len(rows) // size)
    operations = weights * positions * len(rows)
    if isinstance(rows, np.ndarray) and operations >= backend.threads.OPERATIONS_A_THREAD:
        # as many blocks for one thread as for the other
        threads = backend.get_num_threads()
        count = min(-(-count // threads) * threads, len(rows))
    bounds = [len(rows) * i // count for i in range(count + 1)] if count else [0]
    return backend.shares([slice(start, stop) for start, stop in pairwise(bounds)], rows, operations)


def _conv_rows(
    part: Part, weight: Array, bias: Array | None, spec: ConvSpec, precise: str, blocks: Sequence[slice]
) -> None:
    """Writes the blocks of rows of `part.y`; weight (G, 1, O/G, KH·KW·C/G)."""
    for block in blocks:
        windows = _row_windows(part, block, spec.kernel_size[0], spec.rest, spec.groups, precise)
        y = part.y[block]
        backend.kernels(y).matmul(weight, windows, _by_group(y, spec.groups), precise)
        if bias is not None:
            y += bias.reshape(-1, *[1] * (y.ndim - 2))


def _weight_rows(part: Part, spec: ConvSpec, precise: str, blocks: Sequence[slice]) -> Array:
    """The weight gradient (G, KH·KW·C/G, O/G) that the blocks of rows of `part.y`, the output gradient, contribute."""
    kernels = backend.kernels(part.y)
    total: Any = None
    for block in blocks:
        windows = _row_windows(part, block, spec.kernel_size[0], spec.rest, spec.groups, precise)
        g = _by_group(kernels.rounded(part.y[block], precise), spec.groups)
        # The transpose on the right, rather than the whole product transposed: BLAS does the wide kernel faster so.
        product = kernels.matmul(windows, g.swapaxes(-1, -2), None, precise)
        share = kernels.sum_over(product, (1,), False)
        total = share if total is None else total + share
    return total


def _by_group(y: Array, groups: int) -> Array:
    """Rows (R, O, OW.., N) as (G, R, O/G, OW·N), for the matrix product."""
    return y.reshape(len(y), groups, y.shape[1] // groups, prod(y.shape[2:])).swapaxes(0, 1)


def _row_windows(part: Part, block: slice, kernel_rows: int, width: Window, groups: int, precise: str) -> Array:
    """The im2col matrices (G, rows, KH·KW·C/G, OW·N) of the output rows in `block`, as a view of L.

    Rows outside of `part.x` are zeros.
    """
    x, stride = part.x, part.stride
    first = block.start * stride - part.top
    count = (block.stop - block.start - 1) * stride + kernel_rows
    depth, columns = prod(width.kernel_size) * x.shape[1] // groups, prod(width.output_size) * x.shape[-1]
    above, below = min(max(-first, 0), count), min(max(first + count - len(x), 0), count)
    inside = x[first + above : first + count - below]
    # The GPU's unfolding takes any order; NumPy would go through memory in that of the result.
    if isinstance(inside, np.ndarray) and len(inside) and not inside[0].flags.c_contiguous:
        ordered = backend.scratch("rows", inside.shape, inside)
        ordered[...] = inside
        inside = ordered
    if groups == 1 and width.is_identity and above == below == 0 and inside.flags.c_contiguous:
        slabs = inside.reshape(1, count, depth, columns)
    else:
        slabs = _unfold_width(inside, above, below, width, groups).reshape(groups, count, depth, columns)
    slabs = backend.kernels(slabs).rounded(slabs, precise)
    step = slabs.itemsize
    return backend.as_strided(
        slabs,
        (groups, block.stop - block.start, kernel_rows * depth, columns),
        (slabs.strides[0], slabs.strides[1] * stride, columns * step, step),
    )


def _unfold_width(x: Array, above: int, below: int, width: Window, groups: int) -> Array:
    """L (G, rows, KW.., C/G, OW.., N) of the rows (H, C, W.., N), with zero rows above and below them.

    In scratch memory: valid until the next call in this thread.
    """
    d, channels, total = len(width.kernel_size), x.shape[1] // groups, above + len(x) + below
    shape = (groups, total, *width.kernel_size, channels, *width.output_size, x.shape[-1])
    unfolded = backend.scratch("L", shape, x)
    rows_too = unfolded[None].transpose(0, *range(3, 3 + d), 1, 3 + d, 4 + 2 * d, 2, *range(4 + d, 4 + 2 * d))
    x_rows_too = _spatial_last(x, groups).transpose(1, 2, 3, 0, *range(4, 4 + d))  # (G, C/G, N, H, W..)
    backend.kernels(x).unfold_into(rows_too, x_rows_too, _with_rows(width, len(x), above, below))
    return unfolded


@lru_cache(maxsize=1024)
def _with_rows(width: Window, rows: int, above: int, below: int) -> Window:
    """The window over the width, and over rows one by one, with rows of zeros above and below."""
    return Window(
        (rows, *width.input_size), (1, *width.kernel_size), (1, *width.stride), ((above, below), *width.padding),
        (1, *width.dilation),
    )  # fmt: skip


def _columns(unfolded: Array, d: int) -> Array:
    """L (G, rows, KW.., C, OW.., N) as the kernels want it: (KW.., rows, G, C, N, OW..)."""
    return unfolded.transpose(*range(2, 2 + d), 1, 0, 2 + d, 3 + 2 * d, *range(3 + d, 3 + 2 * d))


def _spatial_last(x: Array, groups: int) -> Array:
    """Rows (H, C, W.., N) as (H, G, C/G, N, W..)."""
    split = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return split.transpose(0, 1, 2, split.ndim - 1, *range(3, split.ndim - 1))


def _transpose_rows(x: Array, g: Array, kernel_rows: Array, top: int, spec: ConvSpec, precise: str) -> None:
    """x[i] = fold of Σ_j kernel_rows[j] · g[i + j − top] for every row of `x`, which is overwritten.

    x (rows, C, W.., N), g (rows, O, OW.., N), kernel_rows (G, O/G, J, KW.., C/G).
    """
    _, out_group, count, *_ = kernel_rows.shape
    if count == 0:
        x[...] = 0
        return
    weight = kernel_rows.transpose(0, *range(3, kernel_rows.ndim), 2, 1)  # (G, KW.., C/G, J, O/G)
    weight = backend.kernels(g).rounded(weight.reshape(*weight.shape[:-2], count * out_group), precise)
    work = partial(_fold_rows, Part(g, x, 1, top), weight, count, spec, precise)
    backend.in_threads(work, _shared_blocks(x, x, weight.size, spec, 1))


def _fold_rows(
    part: Part, weight: Array, kernel_rows: int, spec: ConvSpec, precise: str, blocks: Sequence[slice]
) -> None:
    """Writes the blocks of rows of `part.y`: the product of weight (G, KW.., C/G, KH·O/G) with windows of `part.x`,
    the output gradient, and the fold of the width."""
    groups, *kernel, channels, depth = weight.shape
    identity = Window.identity(spec.output_size[1:])
    weight = weight.reshape(groups, 1, -1, depth)
    for block in blocks:
        x = part.y[block]
        windows = _row_windows(part, block, kernel_rows, identity, groups, precise)
        shape = (groups, len(x), *kernel, channels, *spec.output_size[1:], x.shape[-1])
        columns = backend.scratch("columns", shape, x)
        product = columns.reshape(groups, len(x), prod(kernel) * channels, windows.shape[-1])
        backend.kernels(x).matmul(weight, windows, product, precise)
        backend.kernels(x).fold_into(_spatial_last(x, groups), _columns(columns, len(kernel)), spec.rest)
