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

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

from tinycnn import backend
from tinycnn.autograd import Function
from tinycnn.backend import Array
from tinycnn.ops.patches import Window, fold_into, unfold_into

# Bytes of L (forward) or of column gradients (backward) that are made at a time: small enough to stay in the
# cache between being written and being read, large enough that blocks, which overlap by KH − 1 rows, waste little.
BLOCK_BYTES = 2 << 20


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
        spec, xp = self.spec, backend.array_module(x)
        rows_x = rows_first(x)
        groups, out_group = spec.groups, len(w) // spec.groups
        weight = _split_groups(w, spec).reshape(groups, 1, out_group, -1)
        columns = prod(spec.output_size[1:]) * len(x)
        rows_y = xp.empty((spec.output_size[0], len(w), *spec.output_size[1:], len(x)), x.dtype)
        for x_part, y_part, stride, top in _undilated_rows(rows_x, rows_y, spec):
            for block in _blocks(len(y_part), _row_bytes(rows_x, x.shape[1], spec)):
                windows = _row_windows(x_part, block, stride, top, spec.kernel_size[0], spec.rest, groups)
                y = y_part[block]
                xp.matmul(weight, windows, out=y.reshape(len(y), groups, out_group, columns).swapaxes(0, 1))
                if b is not None:
                    y += b.reshape(-1, *[1] * (y.ndim - 2))
        return rows_last(rows_y)

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
        spec, xp = self.spec, backend.array_module(g)
        rows_g = rows_first(g)
        groups, channels = spec.groups, w.shape[1]
        weight = _split_groups(w, spec)
        # A dilated kernel that is strided too may miss input rows altogether.
        allocate = xp.zeros if spec.dilation[0] > 1 else xp.empty
        rows_x = allocate((spec.input_size[0], groups * channels, *spec.input_size[1:], len(g)), g.dtype)
        for x_part, g_part, stride, top in _undilated_rows(rows_x, rows_g, spec):
            for phase in range(stride):
                kernel_rows = weight[:, :, phase::stride][:, :, ::-1]
                first = (phase - top) % stride
                x_phase = x_part[first::stride]
                top_g = kernel_rows.shape[2] - 1 - (first + top - phase) // stride
                _transpose_rows(x_phase, g_part, kernel_rows, top_g, spec)
        return rows_last(rows_x)

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
        spec, xp = self.spec, backend.array_module(x)
        rows_x, rows_g = rows_first(x), rows_first(g)
        groups, out_channels, channels = spec.groups, g.shape[1], x.shape[1] // spec.groups
        g_shape = groups, out_channels // groups, prod(spec.output_size[1:]) * len(g)
        total = xp.zeros((groups, prod(spec.kernel_size) * channels, out_channels // groups), x.dtype)
        for x_part, g_part, stride, top in _undilated_rows(rows_x, rows_g, spec):
            for block in _blocks(len(g_part), _row_bytes(rows_x, x.shape[1], spec)):
                windows = _row_windows(x_part, block, stride, top, spec.kernel_size[0], spec.rest, groups)
                g_rows = g_part[block]
                columns = g_rows.reshape(len(g_rows), *g_shape).swapaxes(0, 1)
                total += xp.matmul(windows, columns.swapaxes(-1, -2)).sum(axis=1)
        w = total.reshape(groups, *spec.kernel_size, channels, -1)
        d = len(spec.kernel_size)
        return w.transpose(0, d + 2, d + 1, *range(1, d + 1)).reshape(out_channels, channels, *spec.kernel_size)

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
    """(N, C, H, W..) as contiguous memory (H, C, W.., N): a view if it lies so already, else a copy."""
    return backend.array_module(x).ascontiguousarray(x.transpose(2, 1, *range(3, x.ndim), 0))


def rows_last(rows: Array) -> Array:
    """The inverse of `rows_first`, a view: (H, C, W.., N) as (N, C, H, W..)."""
    return rows.transpose(rows.ndim - 1, 1, 0, *range(2, rows.ndim - 1))


def _split_groups(w: Array, spec: ConvSpec) -> Array:
    """(O, C/G, KH, KW..) as (G, O/G, KH, KW.., C/G), a view."""
    split = w.reshape(spec.groups, len(w) // spec.groups, *w.shape[1:])
    return split.transpose(0, 1, *range(3, split.ndim), 2)


# --- rows -------------------------------------------------------------------------------------------------


def _undilated_rows(rows_x: Array, rows_y: Array, spec: ConvSpec) -> Iterator[tuple[Array, Array, int, int]]:
    """Splits a convolution with dilated rows into interleaved ones without.

    Output rows r ≡ p modulo dilation / gcd(stride, dilation) read only input rows of one residue modulo the
    dilation. Yields (input rows, output rows, stride, padding rows above) of each such part; the arrays are views.
    Without dilation there is one part: everything.
    """
    stride, dilation, before = spec.stride[0], spec.dilation[0], spec.padding[0][0]
    period = dilation // gcd(stride, dilation)
    for p in range(min(period, len(rows_y))):
        start, residue = divmod(p * stride, dilation)  # in padded rows, counted in steps of the dilation
        above = max(0, -(-(before - residue) // dilation))  # how many of this residue lie in the padding
        x_part = rows_x[above * dilation + residue - before :: dilation]
        yield x_part, rows_y[p::period], stride * period // dilation, above - start


def _row_bytes(rows: Array, channels: int, spec: ConvSpec) -> int:
    """Bytes of L for one row of the input: KW·C·OW·N elements."""
    return prod(spec.kernel_size[1:]) * channels * prod(spec.output_size[1:]) * rows.shape[-1] * rows.itemsize


def _blocks(rows: int, row_bytes: int) -> Iterator[slice]:
    """Slices of up to BLOCK_BYTES that cover the rows."""
    size = max(1, BLOCK_BYTES // max(row_bytes, 1))
    size = -(-rows // -(-rows // size)) if rows else 1  # equal blocks, rather than a small last one
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _row_windows(
    x: Array, block: slice, stride: int, top: int, kernel_rows: int, width: Window, groups: int
) -> Array:
    """The im2col matrices (G, rows, KH·KW·C/G, OW·N) of the output rows in `block`, as a view of L.

    Output row r begins at row r·stride − top of `x` (H, C, W.., N); rows outside of `x` are zeros.
    """
    first = block.start * stride - top
    count = (block.stop - block.start - 1) * stride + kernel_rows
    depth, columns = prod(width.kernel_size) * x.shape[1] // groups, prod(width.output_size) * x.shape[-1]
    above, below = min(max(-first, 0), count), min(max(first + count - len(x), 0), count)
    inside = x[first + above : first + count - below]
    if groups == 1 and width.is_identity and above == below == 0 and inside.flags.c_contiguous:
        slabs = inside.reshape(1, count, depth, columns)
    else:
        slabs = _unfold_width(inside, above, below, width, groups).reshape(groups, count, depth, columns)
    step = slabs.itemsize
    windows = block.stop - block.start
    return backend.as_strided(
        slabs,
        (groups, windows, kernel_rows * depth, columns),
        (slabs.strides[0], slabs.strides[1] * stride, columns * step, step),
    )


def _unfold_width(x: Array, above: int, below: int, width: Window, groups: int) -> Array:
    """L (G, rows, KW.., C/G, OW.., N) of the rows (H, C, W.., N), with zero rows above and below them.

    In scratch memory: valid until the next call in this thread.
    """
    rows, d, channels = len(x), len(width.kernel_size), x.shape[1] // groups
    shape = (groups, above + rows + below, *width.kernel_size, channels, *width.output_size, x.shape[-1])
    unfolded = backend.scratch("L", shape, x)
    unfolded[:, :above] = 0
    unfolded[:, above + rows :] = 0
    unfold_into(_columns(unfolded[:, above : above + rows], d), _spatial_last(x, groups), width)
    return unfolded


def _columns(unfolded: Array, d: int) -> Array:
    """L (G, rows, KW.., C, OW.., N) as `unfold_into` wants it: (KW.., rows, G, C, N, OW..)."""
    return unfolded.transpose(*range(2, 2 + d), 1, 0, 2 + d, 3 + 2 * d, *range(3 + d, 3 + 2 * d))


def _spatial_last(x: Array, groups: int) -> Array:
    """Rows (H, C, W.., N) as (H, G, C/G, N, W..)."""
    split = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    return split.transpose(0, 1, 2, split.ndim - 1, *range(3, split.ndim - 1))


def _transpose_rows(x: Array, g: Array, kernel_rows: Array, top: int, spec: ConvSpec) -> None:
    """x[i] = fold of Σ_j kernel_rows[j] · g[i + j − top] for every row of `x`, which is overwritten.

    x (rows, C, W.., N), g (rows, O, OW.., N), kernel_rows (G, O/G, J, KW.., C/G).
    """
    groups, out_group, count, *kernel, channels = kernel_rows.shape
    if count == 0:
        x[...] = 0
        return
    d = len(kernel)
    weight = kernel_rows.transpose(0, *range(3, 4 + d), 2, 1).reshape(groups, 1, -1, count * out_group)
    identity = Window.identity(spec.output_size[1:])
    for block in _blocks(len(x), _row_bytes(g, x.shape[1], spec)):
        windows = _row_windows(g, block, 1, top, count, identity, groups)
        shape = (groups, block.stop - block.start, *kernel, channels, *spec.output_size[1:], x.shape[-1])
        columns = backend.scratch("columns", shape, x)
        product = columns.reshape(*shape[:2], weight.shape[2], windows.shape[3])
        backend.array_module(x).matmul(weight, windows, out=product)
        x[block] = 0
        fold_into(_spatial_last(x[block], groups), _columns(columns, d), spec.rest)
