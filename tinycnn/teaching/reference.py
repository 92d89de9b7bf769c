"""Convolution, pooling, normalisation and cross-entropy by their definitions: loops over windows, in plain NumPy.

Slow and obvious: they show what each operator computes, and the tests compare the fast operators of tinycnn with them.
Arrays in, arrays out; nothing here imports an operator.

Sizes are N (batch), C (input channels), H, W, O (output channels), KH, KW (kernel), OH, OW (output): an input is
(N, C, H, W), a weight (O, C, KH, KW), an output (N, O, OH, OW). Functions that end in `_nd` take any number of spatial
dimensions instead of H and W.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

Array = np.ndarray
Sizes = int | Sequence[int]  # one int for all spatial dimensions, or one for each dimension
Padding = int | Sequence[int | tuple[int, int]]  # likewise, or (before, after) for each


def conv_output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """The number of windows that fit: ⌊(size + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1."""
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


# --- convolution in two dimensions, from the picture of a sliding window to one matrix product ------------


def conv2d_single_channel(x: Array, w: Array, stride: int = 1, padding: int = 0) -> Array:
    """One channel, one kernel: x (H, W), w (KH, KW) to y (OH, OW).

    y[i, j] is the sum of the elementwise product of the kernel and the region of x with corner (i·stride, j·stride).
    The kernel is not flipped: in mathematics this is cross-correlation.
    """
    x = np.pad(x, padding)
    (H, W), (KH, KW) = x.shape, w.shape
    OH, OW = conv_output_size(H, KH, stride), conv_output_size(W, KW, stride)
    y = np.zeros((OH, OW), x.dtype)
    for i in range(OH):
        for j in range(OW):
            region = x[i * stride : i * stride + KH, j * stride : j * stride + KW]
            y[i, j] = (region * w).sum()
    return y


def conv2d_single_channel_backward(
    grad_output: Array, x: Array, w: Array, stride: int = 1, padding: int = 0
) -> tuple[Array, Array]:
    """The gradients (dx, dw) of `conv2d_single_channel`, of the shapes of x and w.

    y[i, j] is the sum of region · w. So the region receives grad_output[i, j] · w, and w receives
    grad_output[i, j] · region. Both are sums, since regions overlap and the kernel is used at every position.
    """
    padded = np.pad(x, padding)
    d_padded, dw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(grad_output.shape[0]):
        for j in range(grad_output.shape[1]):
            rows, columns = (slice(p * stride, p * stride + K) for p, K in zip((i, j), w.shape))
            d_padded[rows, columns] += grad_output[i, j] * w
            dw += grad_output[i, j] * padded[rows, columns]
    return d_padded[padding : padding + x.shape[0], padding : padding + x.shape[1]], dw


def conv2d_loops(x: Array, w: Array, b: Array | None = None, stride: int = 1, padding: int = 0) -> Array:
    """A batch of images with channels: x (N, C, H, W), w (O, C, KH, KW), b (O) to y (N, O, OH, OW).

    y[n, o, i, j] = b[o] + Σ region · w[o]: the region under the kernel now has all C channels.
    """
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, _, H, W = x.shape
    O, _, KH, KW = w.shape
    OH, OW = conv_output_size(H, KH, stride), conv_output_size(W, KW, stride)
    y = np.zeros((N, O, OH, OW), x.dtype)
    for n in range(N):
        for o in range(O):
            for i in range(OH):
                for j in range(OW):
                    region = x[n, :, i * stride : i * stride + KH, j * stride : j * stride + KW]
                    y[n, o, i, j] = (region * w[o]).sum() + (0 if b is None else b[o])
    return y


def conv2d_loops_backward(
    grad_output: Array, x: Array, w: Array, stride: int = 1, padding: int = 0
) -> tuple[Array, Array, Array]:
    """The gradients (dx, dw, db) of `conv2d_loops`: as for a single channel; db[o] sums grad_output over n, i, j."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    d_padded, dw, db = np.zeros_like(padded), np.zeros_like(w), np.zeros(len(w), w.dtype)
    for n, o, i, j in product(*map(range, grad_output.shape)):
        g = grad_output[n, o, i, j]
        rows, columns = (slice(p * stride, p * stride + K) for p, K in zip((i, j), w.shape[2:]))
        d_padded[n, :, rows, columns] += g * w[o]
        dw[o] += g * padded[n, :, rows, columns]
        db[o] += g
    return _unpad(d_padded, padding, x.shape[2:]), dw, db


def conv2d_nested(x: Array, w: Array, b: Array | None = None, stride: int = 1, padding: int = 0) -> Array:
    """`conv2d_loops` with every loop written out; indices in the padding are skipped instead of stored.

    y[n, o, i, j] = b[o] + Σ_{c,k,l} w[o, c, k, l] · x[n, c, i·stride + k − padding, j·stride + l − padding]
    """
    N, _, H, W = x.shape
    O, C, KH, KW = w.shape
    OH, OW = conv_output_size(H, KH, stride, padding), conv_output_size(W, KW, stride, padding)
    y = np.zeros((N, O, OH, OW), x.dtype)
    for n in range(N):
        for o in range(O):
            for i in range(OH):
                for j in range(OW):
                    if b is not None:
                        y[n, o, i, j] = b[o]
                    for c in range(C):
                        for k in range(KH):
                            for l in range(KW):
                                row, column = i * stride + k - padding, j * stride + l - padding
                                if 0 <= row < H and 0 <= column < W:
                                    y[n, o, i, j] += w[o, c, k, l] * x[n, c, row, column]
    return y


def im2col_loops(x: Array, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1) -> Array:
    """Every window as a column: x (N, C, H, W) to (N, C·KH·KW, OH·OW).

    Rows are ordered by channel, then kernel row, then kernel column; columns by output row, then output column.
    """
    (KH, KW), (SH, SW), (DH, DW) = _each(kernel_size, 2), _each(stride, 2), _each(dilation, 2)
    x = _pad(x, padding)
    N, C, H, W = x.shape
    OH, OW = conv_output_size(H, KH, SH, 0, DH), conv_output_size(W, KW, SW, 0, DW)
    columns = np.zeros((N, C * KH * KW, OH * OW), x.dtype)
    for n, c, k, l, i, j in product(*map(range, (N, C, KH, KW, OH, OW))):
        columns[n, (c * KH + k) * KW + l, i * OW + j] = x[n, c, i * SH + k * DH, j * SW + l * DW]
    return columns


def col2im_loops(
    columns: Array, input_size: Sizes, kernel_size: Sizes,
    stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1,
) -> Array:  # fmt: skip
    """The adjoint of `im2col_loops`: (N, C·KH·KW, OH·OW) to (N, C, H, W), with H, W = input_size.

    Each value is *added* at the position that im2col read it from; elements in several windows get a sum. So col2im
    maps gradients of columns to gradients of images, but is not the inverse of im2col.
    """
    (H, W), (PH, PW) = _each(input_size, 2), _each(padding, 2)
    (KH, KW), (SH, SW), (DH, DW) = _each(kernel_size, 2), _each(stride, 2), _each(dilation, 2)
    N, C = len(columns), columns.shape[1] // (KH * KW)
    OH, OW = conv_output_size(H, KH, SH, PH, DH), conv_output_size(W, KW, SW, PW, DW)
    x = np.zeros((N, C, H + 2 * PH, W + 2 * PW), columns.dtype)
    for n, c, k, l, i, j in product(*map(range, (N, C, KH, KW, OH, OW))):
        x[n, c, i * SH + k * DH, j * SW + l * DW] += columns[n, (c * KH + k) * KW + l, i * OW + j]
    return x[:, :, PH : PH + H, PW : PW + W]


def conv2d_im2col(x: Array, w: Array, b: Array | None = None, stride: Sizes = 1, padding: Sizes = 0) -> Array:
    """Convolution as one matrix product: windows as columns, kernels as rows.

    w as a matrix (O, C·KH·KW), times the columns (N, C·KH·KW, OH·OW), is y as (N, O, OH·OW). It costs memory: the
    columns hold every element of x up to KH·KW times.
    Source: K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for Document
    Processing", 2006.
    """
    O, C, KH, KW = w.shape
    columns = im2col_loops(x, (KH, KW), stride, padding)
    (SH, SW), (PH, PW) = _each(stride, 2), _each(padding, 2)
    OH, OW = conv_output_size(x.shape[2], KH, SH, PH), conv_output_size(x.shape[3], KW, SW, PW)
    y = w.reshape(O, C * KH * KW) @ columns
    if b is not None:
        y = y + b[:, None]
    return y.reshape(len(x), O, OH, OW)


def conv2d_im2col_backward(
    grad_output: Array, x: Array, w: Array, stride: Sizes = 1, padding: Sizes = 0
) -> tuple[Array, Array, Array]:
    """The gradients (dx, dw, db) of `conv2d_im2col`.

    y = w · columns gives dw = dy · columnsᵀ (summed over the batch) and d_columns = wᵀ · dy; col2im maps that to dx.
    """
    O, kernel_size = len(w), w.shape[2:]
    dy = grad_output.reshape(len(x), O, -1)
    dw = (dy @ im2col_loops(x, kernel_size, stride, padding).swapaxes(1, 2)).sum(axis=0)
    d_columns = w.reshape(O, -1).T @ dy
    dx = col2im_loops(d_columns, x.shape[2:], kernel_size, stride, padding)
    return dx, dw.reshape(w.shape), dy.sum(axis=(0, 2))


def conv2d_backward(
    grad_output: Array, x: Array, w: Array,
    stride: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """The gradients (dx, dw, db) of `conv2d_nested`, of the shapes of x, w and b; also dilated and in groups.

    For every product w[o, c, k, l] · x[n, c', row, column] in y[n, o, i, j], each factor receives the gradient of that
    output times the other factor. c is the channel within the group of o: c' = group·(C / groups) + c.
    """
    N, _, H, W = x.shape
    O, group_channels, KH, KW = w.shape
    _, _, OH, OW = grad_output.shape
    (SH, SW), (PH, PW), (DH, DW) = _each(stride, 2), _each(padding, 2), _each(dilation, 2)
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(O, w.dtype)
    for n, o, i, j in product(*map(range, (N, O, OH, OW))):
        g = grad_output[n, o, i, j]
        db[o] += g
        first_channel = o // (O // groups) * group_channels
        for c, k, l in product(*map(range, (group_channels, KH, KW))):
            row, column = i * SH + k * DH - PH, j * SW + l * DW - PW
            if 0 <= row < H and 0 <= column < W:
                dw[o, c, k, l] += g * x[n, first_channel + c, row, column]
                dx[n, first_channel + c, row, column] += g * w[o, c, k, l]
    return dx, dw, db


# --- any number of dimensions -----------------------------------------------------------------------------


def conv_nd(
    x: Array, w: Array, b: Array | None = None,
    stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1,
) -> Array:  # fmt: skip
    """x (N, C, *input), w (O, C / groups, *kernel), b (O) to y (N, O, *output).

    y[n, o, r] = b[o] + Σ_{c,k} w[o, c, k] · x[n, c, r·stride + k·dilation − padding], where x is 0 outside and c runs
    over the channels in the group of o.
    """
    padded, kernel, O = _pad(x, padding), w.shape[2:], len(w)
    y = np.zeros((len(x), O, *_output_size(padded.shape[2:], kernel, stride, dilation)), x.dtype)
    for o in range(O):
        channels = _channels_of(o, w, groups)
        for r in np.ndindex(y.shape[2:]):
            region = padded[(slice(None), channels, *_region(r, kernel, stride, dilation))]
            y[(slice(None), o, *r)] = (region * w[o]).sum(axis=tuple(range(1, x.ndim))) + (0 if b is None else b[o])
    return y


def conv_nd_backward(
    grad_output: Array, x: Array, w: Array,
    stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """The gradients (dx, dw, db) of `conv_nd`: for each output the region of x receives grad_output · w[o], and w[o]
    receives grad_output · region."""
    padded, kernel = _pad(x, padding), w.shape[2:]
    d_padded, dw = np.zeros_like(padded), np.zeros_like(w)
    for o in range(len(w)):
        channels = _channels_of(o, w, groups)
        for r in np.ndindex(grad_output.shape[2:]):
            region = (slice(None), channels, *_region(r, kernel, stride, dilation))
            g = grad_output[(slice(None), o, *r)].reshape(-1, *[1] * (x.ndim - 1))  # (N, 1, 1..)
            d_padded[region] += g * w[o]
            dw[o] += (g * padded[region]).sum(axis=0)
    db = grad_output.sum(axis=(0, *range(2, x.ndim)))
    return _unpad(d_padded, padding, x.shape[2:]), dw, db


def _channels_of(o: int, w: Array, groups: int) -> slice:
    """The input channels of output channel `o`: those of its group."""
    first = o // (len(w) // groups) * w.shape[1]
    return slice(first, first + w.shape[1])


# --- pooling ----------------------------------------------------------------------------------------------


def pool_output_size(
    size: int, kernel_size: int, stride: int, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """`conv_output_size`; `ceil_mode` adds a last window that reaches beyond the padded input, if it starts in the
    input or in the padding before it."""
    count = conv_output_size(size, kernel_size, stride, padding, dilation)
    covered = (count - 1) * stride + dilation * (kernel_size - 1) + 1
    if ceil_mode and covered < size + 2 * padding and count * stride < size + padding:
        count += 1
    return count


def max_pool_nd(
    x: Array, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """The largest element of each window: (N, C, *input) to (N, C, *output).

    Padding counts as −∞, so it never wins over negative numbers; a window entirely in the padding gives −∞.
    """
    windows = _pool_windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = np.full(x.shape[:2] + windows.shape, -np.inf, x.dtype)
    for r in np.ndindex(windows.shape):
        for position in windows[r]:
            y[(..., *r)] = np.maximum(y[(..., *r)], x[(..., *position)])
    return y


def max_pool_nd_backward(
    grad_output: Array, x: Array, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """dx (N, C, *input): the first maximum of each window in row-major order receives the gradient of that output (the
    last nan, if there is one)."""
    windows = _pool_windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    dx = np.zeros_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        for r in np.ndindex(windows.shape):
            best = None
            for position in windows[r]:
                value = x[(n, c, *position)]
                if best is None or value > x[(n, c, *best)] or np.isnan(value):
                    best = position
            if best is not None:
                dx[(n, c, *best)] += grad_output[(n, c, *r)]
    return dx


def avg_pool_nd(
    x: Array, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Array:  # fmt: skip
    """The mean of each window: (N, C, *input) to (N, C, *output).

    The sum over the window is divided by the number of its positions in the padded input, by that in the input
    itself (`count_include_pad=False`), or by `divisor_override`.
    """
    windows = _pool_windows(x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    divisors = _avg_pool_divisors(windows, x.shape[2:], kernel_size, stride, padding)
    y = np.zeros(x.shape[:2] + windows.shape, x.dtype)
    for r in np.ndindex(windows.shape):
        divisor = divisor_override or (divisors[r] if count_include_pad else len(windows[r]))
        for position in windows[r]:
            y[(..., *r)] += x[(..., *position)] / divisor
    return y


def avg_pool_nd_backward(
    grad_output: Array, x: Array, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Array:  # fmt: skip
    """dx (N, C, *input): each element of a window receives its output's gradient, divided as in `avg_pool_nd`."""
    windows = _pool_windows(x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    divisors = _avg_pool_divisors(windows, x.shape[2:], kernel_size, stride, padding)
    dx = np.zeros_like(x)
    for r in np.ndindex(windows.shape):
        divisor = divisor_override or (divisors[r] if count_include_pad else len(windows[r]))
        for position in windows[r]:
            dx[(..., *position)] += grad_output[(..., *r)] / divisor
    return dx


def _pool_windows(
    input_size: tuple[int, ...], kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes,
    ceil_mode: bool,
) -> Array:  # fmt: skip
    """An array of the output's shape: for each output position the list of input positions in its window."""
    dims = len(input_size)
    kernel, pad, dilate = _each(kernel_size, dims), _each(padding, dims), _each(dilation, dims)
    step = kernel if stride is None else _each(stride, dims)
    sizes = (pool_output_size(*axis, ceil_mode) for axis in zip(input_size, kernel, step, pad, dilate))
    windows = np.empty(tuple(sizes), object)
    for r in np.ndindex(windows.shape):
        along = [[i * s + k * d - p for k in range(K)] for i, s, K, p, d in zip(r, step, kernel, pad, dilate)]
        inside = [[p for p in positions if 0 <= p < size] for positions, size in zip(along, input_size)]
        windows[r] = list(product(*inside))
    return windows


def _avg_pool_divisors(
    windows: Array, input_size: tuple[int, ...], kernel_size: Sizes, stride: Sizes | None, padding: Sizes
) -> Array:
    """The number of positions of each window in the padded input; with `ceil_mode` a window may reach beyond it."""
    dims = len(input_size)
    kernel, pad = _each(kernel_size, dims), _each(padding, dims)
    step = kernel if stride is None else _each(stride, dims)
    divisors = np.ones(windows.shape)
    for r in np.ndindex(windows.shape):
        for i, s, K, p, size in zip(r, step, kernel, pad, input_size):
            divisors[r] *= min(K, size + 2 * p - i * s)
    return divisors


# --- normalisation and loss -------------------------------------------------------------------------------


def batch_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    """x (N, C, *): each channel normalised to mean 0 and variance 1 over the batch, times weight (C), plus bias (C)."""
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        values = x[:, c]
        y[:, c] = (values - values.mean()) / np.sqrt(values.var() + eps) * weight[c] + bias[c]
    return y


def batch_norm_backward(grad_output: Array, x: Array, weight: Array, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """The gradients (dx, d_weight, d_bias) of `batch_norm`, by the chain rule step by step.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015, section 3.
    """
    dx, d_weight, d_bias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(weight)
    for c in range(x.shape[1]):
        values, g = x[:, c], grad_output[:, c]
        centred, variance = values - values.mean(), values.var() + eps
        d_weight[c], d_bias[c] = (g * centred / np.sqrt(variance)).sum(), g.sum()
        d_normalised = g * weight[c]
        d_variance = (d_normalised * centred * -0.5 * variance**-1.5).sum()
        d_mean = -(d_normalised / np.sqrt(variance)).sum()
        dx[:, c] = d_normalised / np.sqrt(variance) + d_variance * 2 * centred / values.size + d_mean / values.size
    return dx, d_weight, d_bias


def softmax_cross_entropy(scores: Array, target: Array) -> float:
    """The mean over n of −log(e^scores[n, target[n]] / Σ_c e^scores[n, c]): scores (N, C), target (N), ints."""
    losses = []
    for row, wanted in zip(scores, target):
        row = row - row.max()  # avoids overflow and leaves the quotients unchanged
        losses.append(np.log(np.exp(row).sum()) - row[wanted])
    return float(np.mean(losses))


def softmax_cross_entropy_backward(scores: Array, target: Array) -> Array:
    """d_scores (N, C): (softmax(scores) − one_hot(target)) / N."""
    d_scores = np.zeros_like(scores)
    for n, (row, wanted) in enumerate(zip(scores, target)):
        e = np.exp(row - row.max())
        d_scores[n] = e / e.sum()
        d_scores[n, wanted] -= 1
    return d_scores / len(scores)


# --- shapes -----------------------------------------------------------------------------------------------


def _each(value: Sizes, dims: int) -> tuple[int, ...]:
    """One int for each spatial dimension."""
    return (value,) * dims if isinstance(value, int) else tuple(value)


def _pairs(padding: Padding, dims: int) -> list[tuple[int, int]]:
    """(before, after) for each spatial dimension."""
    each = (padding,) * dims if isinstance(padding, int) else padding
    return [(p, p) if isinstance(p, int) else p for p in each]


def _pad(x: Array, padding: Padding) -> Array:
    """x (N, C, *input) with zeros around its spatial dimensions."""
    return np.pad(x, [(0, 0), (0, 0), *_pairs(padding, x.ndim - 2)])


def _unpad(padded: Array, padding: Padding, size: tuple[int, ...]) -> Array:
    """The inverse of `_pad`: the part of spatial size `size` without the padding."""
    pairs = _pairs(padding, padded.ndim - 2)
    inside = [slice(before, before + s) for (before, _), s in zip(pairs, size)]
    return padded[(slice(None), slice(None), *inside)]


def _output_size(padded_size: tuple[int, ...], kernel_size: Sizes, stride: Sizes, dilation: Sizes) -> tuple[int, ...]:
    dims = len(padded_size)
    axes = zip(padded_size, _each(kernel_size, dims), _each(stride, dims), _each(dilation, dims))
    return tuple(conv_output_size(size, kernel, s, 0, d) for size, kernel, s, d in axes)


def _region(r: tuple[int, ...], kernel_size: Sizes, stride: Sizes, dilation: Sizes) -> tuple[slice, ...]:
    """The part of the padded input under the kernel at output position `r`."""
    dims = len(r)
    axes = zip(r, _each(kernel_size, dims), _each(stride, dims), _each(dilation, dims))
    return tuple(slice(i * s, i * s + d * (k - 1) + 1, d) for i, k, s, d in axes)
