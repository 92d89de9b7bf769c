"""Array kernels for NumPy.

NumPy's masked operations (`where`, `copyto(where=)`, `putmask`) branch at every element: on the random masks of
ReLU and max pooling they take ten times as long as arithmetic on the mask.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.backend import batch_statistics, threads
from tinycnn.backend.augmentation import *  # noqa: F403
from tinycnn.backend.batch_statistics import dense_order
from tinycnn.backend.memory import keep_freed_memory
from tinycnn.backend.phases import phases
from tinycnn.backend.precision import EXACT
from tinycnn.backend.threads import in_threads, shares

xp = np

# Bytes that a convolution unfolds at a time: small enough to stay in the cache of a core between being written and
# being read, large enough that blocks, which overlap by KH − 1 rows, waste little. At least so many columns a block: a
# matrix product copies its operands into an order of its own, which pays for large ones only, or it is small (below).
BLOCK_BYTES = 3 << 19
SHARED_BLOCK_BYTES = 4 << 20  # with several threads, where each call of NumPy hands over the interpreter's lock
BLOCK_COLUMNS = 512
SMALL_COLUMNS = 128

# Up to so many output channels, a gradient is transposed before the products that sum over its positions: BLAS is up to
# twice as fast then, and above, not faster.
TRANSPOSED_CHANNELS = 64
# Up to so many output positions for each output channel, to bring weights into another order costs as much as to unfold
# all that a window sees: 0.07 to 0.9 of the time at 1 and below, the same at 8.
POSITIONS_A_CHANNEL = 8

ROWS = 32  # that `sum_over` adds one after the other; up to twice as many, where that is all

_LARGE = 1 << 19  # elements, from which on it pays to share them among threads or to cut them into pieces

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


# --- memory and threads -------------------------------------------------------------------------------------


class _Scratch(threading.local):
    """A buffer for each thread and name, which grows and is reused: a new large array costs a page fault every 4
    KiB."""

    def __init__(self) -> None:
        self.buffers: dict[str, np.ndarray] = {}


_scratch = _Scratch()


def scratch(name: str, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
    """An uninitialised array of `shape` with the dtype of `like`, in memory that is used again when no view of it is
    left. Never to be returned from an operator."""
    size, buffers = math.prod(shape) * like.itemsize, _scratch.buffers
    # Views hold a reference to the buffer. There are some if this runs in the midst of another operator: in a signal
    # handler, a finaliser, a hook. With none, there are two references: the table's and the argument's.
    if name not in buffers or sys.getrefcount(buffers[name]) > 2 or buffers[name].size < size:
        buffers[name] = np.empty(size, np.uint8)
    return buffers[name][:size].view(like.dtype).reshape(shape)


def block_limits(m: int, k: int, operations: int) -> tuple[int, int, int]:
    """How to cut a convolution of that many multiply-adds, with m × k weights a product, into blocks: how many bytes to
    unfold at a time, how many columns a block has at least, and how many threads share the blocks."""
    count = threads.num_threads if operations >= threads.OPERATIONS_A_THREAD else 1
    block_bytes = BLOCK_BYTES if count == 1 else SHARED_BLOCK_BYTES
    return block_bytes, SMALL_COLUMNS if 0 < columns_of_small_product(m, k) < BLOCK_COLUMNS else BLOCK_COLUMNS, count


def leaves_weights(out_channels: int, positions: int) -> bool:
    """Whether a convolution with so many output positions, of all images, is to leave its weights as they lie: see
    `ops/conv_columns.py`."""
    return 0 < positions <= POSITIONS_A_CHANNEL * out_channels


def sums_rows(depth: int, columns: int, is_identity: bool) -> bool:
    """Whether a weight gradient unfolds with rows innermost, KW·C deep, so that BLAS sums over all rows.

    If not, there is a product for each row of so many columns: they are larger, KH·KW·C deep, and nothing is copied if
    the width `is_identity`.
    """
    return columns < SMALL_COLUMNS or (depth >= 32 and (columns < BLOCK_COLUMNS or not is_identity))


def unfolds_gradient(channels: int, positions: int, out_channels: int, out_positions: int) -> bool:
    """Whether an input gradient without strides, with so many positions a row, unfolds the output gradient.

    If not, it folds products with it. That adds up `channels` where unfolding copies `out_channels`, at less cost each,
    and multiplies only `out_positions`.
    """
    return 3 * channels >= 2 * out_channels and 10 * positions <= 11 * out_positions


def as_strided(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """A view of the memory of `array` with another shape and other strides (bytes), unchecked."""
    if array.flags.c_contiguous:  # what as_strided does, in a tenth of the time
        return np.ndarray(shape, array.dtype, array, 0, strides)
    return np.lib.stride_tricks.as_strided(array, shape, strides)


def broadcast_to(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A read-only view of `shape`, in which missing dimensions and those of size 1 are repeated."""
    if not array.flags.c_contiguous or array.size == 0:
        return np.broadcast_to(array, shape)
    strides = [0 if own == 1 else stride for own, stride in zip(array.shape, array.strides)]
    view = np.ndarray(shape, array.dtype, array, 0, (0,) * (len(shape) - array.ndim) + tuple(strides))
    view.flags.writeable = False  # np.broadcast_to, in a third of the time
    return view


def in_row_order(rows: np.ndarray) -> np.ndarray:
    """`rows` if each lies in row-major order, else a contiguous copy in scratch memory: NumPy copies in the memory
    order of the destination, and would read these with large steps."""
    if _is_row_major(rows.shape[1:], rows.strides[1:]):
        return rows
    ordered = scratch("rows", rows.shape, rows)
    ordered[...] = rows
    return ordered


@lru_cache(maxsize=4096)
def _is_row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the last axis is the innermost in memory, and so on to the first; there may be gaps."""
    steps = [stride for size, stride in zip(shape, strides) if size > 1]
    return all(outer >= inner for outer, inner in pairwise(steps))


# --- sliding windows ----------------------------------------------------------------------------------------
# In all of these, the last D axes are spatial and `window` is an `ops.windows.Window` over them; any memory order.


def unfold_into(
    columns: np.ndarray, x: np.ndarray, window: Any, copies: Sequence[tuple[np.ndarray, np.ndarray]] = ()
) -> None:
    """columns[k][.., o] = x[.., o·stride + k·dilation − padding], 0 outside: im2col into given memory. Besides, it
    makes `copies`, pairs of an array and what is copied into it, from `before_product`.

    Shapes: x (..., *input_size), columns (*kernel_size, ..., *output_size).
    """
    for to, source in copies:
        to[...] = source
    for phase in phases(window):
        met = x[phase.inputs]
        if phase.has_gaps and len(phase.meetings) > 1:
            met = met.copy(order="K")  # several taps read it, faster without gaps
        for tap, where in phase.meetings:
            column = columns[tap.position]
            for margin in tap.margins:
                column[margin] = 0
            column[tap.outputs] = met[where]


def fold_into(x: np.ndarray, columns: np.ndarray, window: Any, added: bool = False) -> None:
    """x[.., i] = Σ of columns[k][.., o] over all (k, o) that meet at i: the adjoint of `unfold_into`. Or the sum is
    `added` to x.

    An input position lies in several windows, and its gradient is the sum over all of them. So this is not the
    inverse of `unfold_into`.
    """
    for phase in phases(window):
        met = x[phase.inputs]
        # Several taps are summed where there are no gaps, which is faster, and written once.
        total = np.empty_like(met) if phase.has_gaps and len(phase.meetings) > 1 else met
        meetings = phase.meetings
        if total is not met or not added:
            if phase.begins_with_all:
                (tap, _), meetings = meetings[0], meetings[1:]
                total[...] = columns[tap.position][tap.outputs]
            else:
                total[...] = 0
        for tap, where in meetings:
            total[where] += columns[tap.position][tap.outputs]
        if total is met:
            continue
        if added:
            met += total
        else:
            met[...] = total


def window_sum(x: np.ndarray, window: Any) -> np.ndarray:
    """y[.., o] = Σ over the window o of x; padding counts as 0."""
    y = _like(x, window.output_size, x.dtype)
    y[...] = 0
    for tap in window.taps:
        y[tap.outputs] += x[tap.inputs]
    return y


def window_spread(g: np.ndarray, window: Any) -> np.ndarray:
    """x[.., i] = Σ of g[.., o] over all windows o that cover i: the adjoint of `window_sum`."""
    x = _like(g, window.input_size, g.dtype)
    x[...] = 0
    for tap in window.taps:
        x[tap.inputs] += g[tap.outputs]
    return x


def max_pool(x: np.ndarray, window: Any, keeps_argmax: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The largest x in each window, and (or None) the number of the tap where it lies, the first of equals.

    Padding counts as −∞; a nan wins, the last of several, as in torch.
    """
    y = _like(x, window.output_size, x.dtype)
    numbers = np.zeros_like(y, dtype=np.uint8 if len(window.taps) <= 256 else np.int32) if keeps_argmax else None

    def of_channels(part: slice) -> None:
        _max_pool(x[:, part], window, y[:, part], None if numbers is None else numbers[:, part])

    _share_channels(of_channels, x)
    return y, numbers


def _share_channels(work: Callable[[slice], None], x: np.ndarray) -> None:
    """work(channels of x (N, C, ...)), all at once or, if x is large, those of each thread."""
    if x.size < _LARGE or threads.num_threads == 1:
        work(slice(None))
    else:
        channels = shares(range(x.shape[1]), x.size * threads.OPERATIONS_AN_ELEMENT)
        in_threads(work, [slice(part[0], part[-1] + 1) for part in channels if part])


def _max_pool(x: np.ndarray, window: Any, y: np.ndarray, numbers: np.ndarray | None) -> None:
    """`max_pool` into y, and into `numbers`, which are zeros."""
    taps = window.taps
    if taps[0].margins:
        y[...] = -np.inf if x.dtype.kind in FLOATING else np.iinfo(x.dtype).min
        if numbers is not None:  # where all elements are −∞, the first that lies on the input is the first largest
            for k, tap in reversed(list(enumerate(taps))):
                numbers[tap.outputs] = k
    y[taps[0].outputs] = x[taps[0].inputs]
    for k, tap in enumerate(taps[1:], start=1):
        candidate, best = x[tap.inputs], y[tap.outputs]
        if numbers is not None:
            # Later taps have larger numbers, so the largest number is the last tap that was better.
            better = candidate > best
            argmax = numbers[tap.outputs]
            np.maximum(argmax, better * argmax.dtype.type(k), out=argmax)
        np.maximum(best, candidate, out=best)
    if numbers is not None and y.size and x.dtype.kind in FLOATING and np.isnan(np.maximum.reduce(y, axis=None)):
        for k, tap in enumerate(taps):  # a nan is larger than nothing: look for it
            numbers[tap.outputs][np.isnan(x[tap.inputs])] = k


def scatter_taps(g: np.ndarray, argmax: np.ndarray, window: Any) -> np.ndarray:
    """x[.., o·stride + k·dilation − padding] += g[.., o] with the tap k that `argmax` names for each o."""
    g = _in_order_of(argmax, g)
    x = _like(argmax, window.input_size, g.dtype)

    def of_channels(part: slice) -> None:
        _scatter_taps(g[:, part], argmax[:, part], window, x[:, part])

    _share_channels(of_channels, x)
    return x


def _scatter_taps(g: np.ndarray, argmax: np.ndarray, window: Any, x: np.ndarray) -> None:
    if not window.tiles:
        x[...] = 0
    for k, tap in enumerate(window.taps):
        chosen = argmax[tap.outputs] == k
        if window.overlaps:
            x[tap.inputs] += masked(g[tap.outputs], chosen)
        else:
            masked(g[tap.outputs], chosen, out=x[tap.inputs])


def gather_taps(x: np.ndarray, argmax: np.ndarray, window: Any) -> np.ndarray:
    """y[.., o] = x[.., o·stride + k·dilation − padding] with the tap k that `argmax` names for each o."""
    y = _like(x, window.output_size, x.dtype)
    y[...] = 0
    for k, tap in enumerate(window.taps):
        y[tap.outputs] += masked(x[tap.inputs], argmax[tap.outputs] == k)
    return y


def _like(x: np.ndarray, spatial: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised (N, C, *spatial) array in the memory order of `x`."""
    return np.empty_like(x, dtype=dtype, shape=x.shape[:2] + spatial)


def _in_order_of(model: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`x` itself if it lies in memory in the order of `model`, else a copy that does: mixing orders is slow."""
    if x.strides == tuple(stride * x.itemsize // model.itemsize for stride in model.strides):
        return x
    y = np.empty_like(model, dtype=x.dtype)
    y[...] = x
    return y


# --- reductions and normalisation ---------------------------------------------------------------------------


def sum_over(x: np.ndarray, dims: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """The sum of a floating-point array over `dims`.

    NumPy sums in pairs along the innermost axis in memory. Along any other it adds row after row, and what is added to
    a large sum is lost: there the sums of few rows are summed in turn.
    """
    for axis in _axes_of_rows(x.shape, x.strides, dims):
        x = _sum_rows(x, axis)
    total: np.ndarray = np.add.reduce(x, axis=dims, keepdims=keepdims)  # type: ignore[call-overload]
    return total


@lru_cache(maxsize=4096)
def _axes_of_rows(shape: tuple[int, ...], strides: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """Those of `dims`, the outermost in memory first, along which NumPy adds rows; none if they are few together."""
    inner_first = sorted((d for d in range(len(shape)) if shape[d] > 1), key=lambda d: abs(strides[d]))
    if inner_first and strides[inner_first[0]] == 0:  # with axes that repeat elements, NumPy's order is another
        return tuple(d for d in reversed(inner_first) if d in dims)
    pairs = 0  # how many axes are the innermost run of memory, along which NumPy sums in pairs
    for before, d in zip([None, *inner_first], inner_first):
        if d not in dims or (before is not None and strides[d] != strides[before] * shape[before]):
            break
        pairs += 1
    axes = tuple(d for d in reversed(inner_first[pairs:]) if d in dims)
    return axes if math.prod(shape[d] for d in axes) > 2 * ROWS else ()


def _sum_rows(x: np.ndarray, axis: int) -> np.ndarray:
    """The sum over one axis, which is kept with size 1."""
    order, back, before, after, shape = _rows(x.shape, x.strides, axis)
    rows = x.transpose(order)
    if not rows.flags.c_contiguous:
        rows = _sums_of_rows(rows, order.index(axis))
    rows = rows.reshape(before, rows.size // max(before * after, 1), after)
    while rows.shape[1] > 2 * ROWS:
        rows = _products_of_rows(rows)
    return np.add.reduce(rows, axis=1).reshape(shape).transpose(back)


@lru_cache(maxsize=4096)
def _rows(shape: tuple[int, ...], strides: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    """The order of the axes in memory, its inverse, how many elements lie outside and inside of `axis` in it, and the
    shape in that order without `axis`."""
    order = tuple(sorted(range(len(shape)), key=lambda d: -abs(strides[d])))
    place = order.index(axis)
    kept = tuple(1 if d == axis else shape[d] for d in order)
    back = tuple(order.index(d) for d in range(len(shape)))
    return order, back, math.prod(kept[:place]), math.prod(kept[place:]), kept


def _sums_of_rows(x: np.ndarray, axis: int) -> np.ndarray:
    """The sums of every ROWS rows along `axis`, row-major: for memory in any order."""
    before: tuple = (slice(None),) * axis
    sums = np.empty(x.shape[:axis] + (-(-x.shape[axis] // ROWS),) + x.shape[axis + 1 :], x.dtype)
    whole = x.shape[axis] // ROWS
    split = x[(*before, slice(whole * ROWS))].reshape(*x.shape[:axis], whole, ROWS, *x.shape[axis + 1 :])  # a view
    np.add.reduce(split, axis=axis + 1, out=sums[(*before, slice(whole))])
    if whole < sums.shape[axis]:
        rest = x[(*before, slice(whole * ROWS, None))]
        np.add.reduce(rest, axis=axis, keepdims=True, out=sums[(*before, slice(whole, None))])
    return sums


def _products_of_rows(x: np.ndarray) -> np.ndarray:
    """As `_sums_of_rows` for the middle axis of row-major x (A, rows, B), by products with ones: BLAS takes a fourth
    to a tenth of NumPy's time where B is small."""
    A, count, B = x.shape
    whole = count // ROWS
    ones = np.ones((1, ROWS), x.dtype)
    if whole * ROWS == count:
        return matmul(ones, x.reshape(A, whole, ROWS, B)).reshape(A, whole, B)
    sums = np.empty((A, whole + 1, B), x.dtype)
    matmul(ones, x[:, : whole * ROWS].reshape(A, whole, ROWS, B), sums[:, :whole, None])
    matmul(ones[:, whole * ROWS - count :], x[:, whole * ROWS :], sums[:, whole:])
    return sums


def standardize(
    x: np.ndarray, dims: tuple[int, ...], eps: float, weight: np.ndarray | None = None, bias: np.ndarray | None = None,
    running: Any = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:  # fmt: skip
    """((x − mean) / √(variance + eps) · weight + bias, mean, variance, what `standardize_backward` needs), the
    statistics over `dims`.

    Statistics, weight and bias have size 1 along `dims`. `running` is None or (running mean, running variance,
    momentum, count of batches or None): the first two move, in place, by `momentum`, a number or an array of shape (),
    towards the mean and the unbiased variance, and the last is counted up.
    """
    count, found = math.prod([x.shape[d] for d in dims]), _batch_layout(x, dims)
    if found is not None:
        sum_x, sum_xx = _with_one_blas_thread(batch_statistics.sums, x, found, x)
        mean = sum_x / count
        variance = np.maximum(sum_xx / count - np.square(mean), 0)
        # Else the difference has lost digits, or is none.
        if np.all(np.square(mean) <= 4 * variance) and np.all(np.isfinite(variance)):
            inverse_std = 1 / np.sqrt(variance + eps)
            scale = inverse_std if weight is None else inverse_std * weight
            shift = -mean * scale if bias is None else bias - mean * scale
            y = batch_statistics.scaled(x, found, scale.astype(x.dtype), shift.astype(x.dtype))
            mean, variance, inverse_std = (a.astype(x.dtype) for a in (mean, variance, inverse_std))
            _move(running, mean, variance, count)
            return y, mean, variance, (mean, None, inverse_std)
    mean, rest = sum_over(x, dims, True) / count, None
    y = x - mean
    variance = sum_over(np.square(y), dims, True) / count
    if np.any(np.square(mean) > 16 * variance):  # what the mean lost in rounding would count
        rest = sum_over(y, dims, True) / count
        y -= rest
        variance = sum_over(np.square(y), dims, True) / count
    inverse_std = 1 / np.sqrt(variance + eps)
    y *= inverse_std if weight is None else inverse_std * weight
    if bias is not None:
        y += bias
    _move(running, mean, variance, count)
    return y, mean, variance, (mean, rest, inverse_std)


def _batch_layout(x: np.ndarray, dims: tuple[int, ...]) -> Any:
    return batch_statistics.layout(x.shape, x.strides, x.itemsize, dims, threads.num_threads)


def _move(running: Any, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
    """The running statistics of `standardize`, towards those of a batch."""
    if running is None:
        return
    running_mean, running_variance, momentum, batches = running
    for moving, new in ((running_mean, mean), (running_variance, variance * (count / (count - 1)))):
        moving[...] = (1 - momentum) * moving + momentum * new
    if batches is not None:
        batches += 1


def standardize_backward(
    u: np.ndarray, x: np.ndarray, saved: Any, dims: tuple[int, ...], weight: np.ndarray | None = None,
    needs_x: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:  # fmt: skip
    """The gradients of x (or None), weight and bias for y = `standardize(x, ...)` and the upstream gradient u: with the
    standardized x̂, (u − mean(u) − x̂ · mean(u · x̂)) · weight / √(variance + eps), Σ u · x̂ and Σ u."""
    mean, rest, inverse_std = saved
    count, found = math.prod([x.shape[d] for d in dims]), _batch_layout(x, dims)
    if found is not None and rest is None and np.all(np.square(mean * inverse_std) <= 4):
        u = _in_order_of(x, u)
        sum_u, sum_ux = _with_one_blas_thread(batch_statistics.sums, u, found, x)
        sum_ux = (sum_ux - mean * sum_u) * inverse_std
        slope = sum_ux / -count * inverse_std
        shift = sum_u / -count - mean * slope
        scale = inverse_std if weight is None else inverse_std * weight
        scale, slope, shift, sum_ux, sum_u = (a.astype(x.dtype) for a in (scale, slope, shift, sum_ux, sum_u))
        g = batch_statistics.combined(u, x, found, scale, slope, shift) if needs_x else None
        return g, sum_ux, sum_u
    centred = x - mean
    if rest is not None:
        centred -= rest
    product = u * centred
    sum_u, sum_ux = sum_over(u, dims, True), sum_over(product, dims, True) * inverse_std
    if not needs_x:
        return None, sum_ux, sum_u
    g = np.subtract(u, sum_u / count, out=product)
    g -= np.multiply(centred, sum_ux / count * inverse_std, out=centred)
    g *= inverse_std if weight is None else inverse_std * weight
    return g, sum_ux, sum_u


def scale_shift(y: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None) -> np.ndarray:
    """y · weight + bias, of which one may be None."""
    if weight is not None and weight.ndim == y.ndim:
        found = _batch_layout(y, tuple([d for d, n in enumerate(weight.shape) if n == 1]))
        if found is not None and weight.shape == found.kept and (bias is None or bias.shape == found.kept):
            return batch_statistics.scaled(y, found, weight, bias)
    if weight is None:
        return y + bias
    z = y * weight
    if bias is not None:
        z += bias
    return z


# --- the loss of a classifier -------------------------------------------------------------------------------


def wrong_class(target: np.ndarray, classes: int, ignore_index: int) -> int | None:
    """The first class index that is neither from 0 to classes − 1 nor `ignore_index`."""
    if target.size == 0 or (target.min() >= 0 and target.max() < classes):
        return None
    wrong = ((target < 0) | (target >= classes)) & (target != ignore_index)
    return int(target[wrong].flat[0]) if wrong.any() else None


def cross_entropy(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | None, ignore_index: int, smoothing: float,
    reduction: str, class_dim: int,
) -> tuple[np.ndarray, Any]:  # fmt: skip
    """(loss, what `cross_entropy_backward` needs).

    With p = softmax(x), target t, class weights w and label smoothing s over C classes, the loss of a row is
    −(1 − s) w[t] log p[t] − s/C Σ_j w[j] log p[j], and 0 where the target is `ignore_index`. The mean is the sum
    of the losses divided by the sum of the w[t] that count.
    """
    counts = target != ignore_index
    ignored = None if np.logical_and.reduce(counts, axis=None) else np.expand_dims(~counts, class_dim)
    if ignored is not None:
        x = np.where(ignored, x.dtype.type(0), x)  # whatever these rows hold adds nothing
    log_probs = x - x.max(axis=class_dim, keepdims=True)  # shifted: never overflows
    probs = np.exp(log_probs)
    total = sum_over(probs, (class_dim,), True)
    log_probs -= np.log(total)
    probs /= total
    chosen = np.expand_dims(np.where(counts, target, 0), class_dim)
    zero = x.dtype.type(0)
    counted = counts.astype(x.dtype) if weight is None else np.where(counts, weight[chosen.squeeze(class_dim)], zero)
    near = np.expand_dims(counted * x.dtype.type(1 - smoothing), class_dim)
    loss = -(near * np.take_along_axis(log_probs, chosen, class_dim)).squeeze(class_dim)
    if smoothing:
        weighted = log_probs if weight is None else log_probs * _along(weight, x.ndim, class_dim)
        far = x.dtype.type(smoothing / x.shape[class_dim]) * sum_over(weighted, (class_dim,), False)
        loss -= np.where(counts, far, zero)
    saved = probs, chosen, near, smoothing, ignored
    if reduction == "none":
        return loss, (*saved, None)
    rows = tuple(range(loss.ndim))
    loss, divisor = sum_over(loss, rows, False), sum_over(counted, rows, False) if reduction == "mean" else None
    with np.errstate(invalid="ignore"):  # nan where nothing counts, as in torch
        return np.asarray(loss if divisor is None else loss / divisor), (*saved, divisor)


def cross_entropy_backward(
    u: np.ndarray, x: np.ndarray, saved: Any, weight: np.ndarray | None, class_dim: int
) -> np.ndarray:
    """u times the gradient of the loss: (near + far Σ w) p[j] − near [j = t] − far w[j] with near = (1 − s) w[t] and
    far = s/C."""
    probs, chosen, near, smoothing, ignored, divisor = saved
    u = np.expand_dims(u, class_dim) if u.ndim else u
    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing counts, the divisor is 0
        u = u if divisor is None else u / divisor
    if ignored is not None:
        u = np.where(ignored, u.dtype.type(0), u)
    u_near = near * u
    if smoothing:
        u_far = u * x.dtype.type(smoothing / x.shape[class_dim])
        g = probs * (u_near + u_far * (x.shape[class_dim] if weight is None else weight.sum()))
        g -= u_far if weight is None else u_far * _along(weight, x.ndim, class_dim)
    else:
        g = probs * u_near
    np.put_along_axis(g, chosen, np.take_along_axis(g, chosen, class_dim) - u_near, class_dim)
    return g


def _along(weight: np.ndarray, ndim: int, class_dim: int) -> np.ndarray:
    """weight (C), reshaped to broadcast with scores of `ndim` dimensions."""
    return weight.reshape(-1, *[1] * (ndim - class_dim - 1))


# --- matrix products ----------------------------------------------------------------------------------------

# Up to so many multiply-adds, OpenBLAS uses one thread anyway.
_OPERATIONS_OF_BLAS = 9216


class _BlasThreads:
    """Keeps BLAS to one thread during our own matrix products. Threads of its own beside ours would be too many, and
    how they share out a sum would change results. Afterwards it has as many as before: the rest of the process may
    want them.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.products: dict[object, None] = {}  # that are being computed, in all threads
        self.before: list[tuple[Callable[[int], Any], int]] | None = None  # while they are: how to go back

    def limit(self, product: object) -> None:
        with self.lock:
            self.products[product] = None
            if self.before is None:
                before = []
                try:
                    libraries = _blas_libraries()
                except ImportError:  # this is a signal handler that has interrupted the import of threadpoolctl
                    libraries = []
                for get_count, set_count in libraries:
                    count = get_count()
                    if count > 1:
                        before += [(set_count, count)]
                if self.before is None:  # still: a signal handler may have computed a product
                    self.before = before
                for set_count, _ in self.before:
                    set_count(1)

    def release(self, product: object) -> None:
        if product in self.products:
            del self.products[product]
        with self.lock:
            if not self.products and self.before is not None:
                for set_count, count in self.before:
                    set_count(count)
                self.before = None


_blas = _BlasThreads()


def _with_one_blas_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), while BLAS has one thread."""
    token = object()
    try:  # around limit(), too, which Ctrl-C may end halfway
        _blas.limit(token)
        return function(*arguments)
    finally:
        _blas.release(token)


def _before_fork() -> None:
    """Lets the products of other threads end, and none begin: a forked child gets the locks of BLAS as they are."""
    _blas.lock.acquire()
    until = time.monotonic() + 1  # which ends the wait of a signal handler that forks within a product
    while _blas.products and time.monotonic() < until:
        time.sleep(1e-4)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _blas.lock.release(),
        after_in_child=_blas.__init__,  # type: ignore[misc]
    )


@cache
def _blas_controllers() -> list[Any]:
    """What threadpoolctl knows of NumPy's BLAS; where it is not known which of several libraries that is, of all."""
    before = os.environ.get("KMP_DUPLICATE_LIB_OK")
    from threadpoolctl import ThreadpoolController

    if before is None:  # threadpoolctl sets it
        os.environ.pop("KMP_DUPLICATE_LIB_OK", None)
    loaded = ThreadpoolController().select(user_api="blas").lib_controllers
    return [x for x in loaded if "numpy" in x.filepath] or loaded


@cache
def _blas_libraries() -> list[tuple[Callable[[], int], Callable[[int], Any]]]:
    """The functions that get and set the number of threads of NumPy's BLAS."""
    return [_blas_functions(library) for library in _blas_controllers()]


def _blas_functions(library: Any) -> tuple[Callable[[], int], Callable[[int], Any]]:
    """Those of the C library itself, for OpenBLAS with threads of its own: threadpoolctl lets one thread of the process
    set its number, and takes four times as long."""
    if library.internal_api == "openblas" and library.threading_layer == "pthreads":
        name = next(name for name in library.check_symbols if hasattr(library.dynlib, name))
        return getattr(library.dynlib, name), getattr(library.dynlib, name.replace("get_num", "set_num"))
    return library.get_num_threads, library.set_num_threads


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None, precision: str = EXACT) -> np.ndarray:
    """a b for (..., n, k) and (..., k, m), into `out` if it is given; `precision` is for GPUs.

    The rows of a large matrix are shared among threads.
    """
    operations = a.size * b.shape[-1]
    if operations <= _OPERATIONS_OF_BLAS:
        return np.matmul(a, b) if out is None else np.matmul(a, b, out)
    if out is not None and a.ndim == b.ndim == 3 and len(out) == 1:
        matmul(a[0], b[0], out[0])
        return out
    keep_freed_memory()
    product = object()
    try:  # around limit(), too, which Ctrl-C may end halfway
        _blas.limit(product)
        if a.ndim == b.ndim == 2 and operations >= threads.OPERATIONS_A_THREAD:
            shared = shares(range(len(a)), operations)
            if len(shared) > 1:
                y = np.empty((len(a), b.shape[1]), a.dtype) if out is None else out
                in_threads(lambda rows: np.matmul(a[rows.start : rows.stop], b, y[rows.start : rows.stop]), shared)
                return y
        return np.matmul(a, b) if out is None else _products_into(out, a, b)
    finally:
        _blas.release(product)


# Up to so many multiply-adds, OpenBLAS reads operands as they lie, where it has kernels for that.
_SMALL_PRODUCT = 1_000_000
_SMALL_KERNELS = {"SkylakeX", "Cooperlake", "Sapphirerapids"}


@cache
def _has_small_kernels() -> bool:
    """Whether NumPy's BLAS has kernels for small products, as OpenBLAS has with AVX-512."""
    return any(getattr(library, "architecture", None) in _SMALL_KERNELS for library in _blas_controllers())


@lru_cache(maxsize=1024)
def columns_of_small_product(m: int, k: int) -> int:
    """The number of columns with which a product of an m × k matrix is small, in whole vectors; 0 if they are too few
    to pay, or if small products are not faster."""
    columns = _SMALL_PRODUCT // max(m * k, 1) // 32 * 32
    return columns if columns and _has_small_kernels() else 0


def _products_into(out: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """out = a b, cut along the columns into products that are small, where that pays."""
    columns, most = b.shape[-1], columns_of_small_product(*a.shape[-2:])
    if not most or most >= columns:
        return np.matmul(a, b, out)
    each = -(-columns // -(-columns // most) // 32) * 32  # the fewest equal cuts, in whole vectors
    whole = columns // each * each
    np.matmul(a[..., None, :, :], _cut_columns(b[..., :whole], each), _cut_columns(out[..., :whole], each))
    if whole < columns:
        np.matmul(a, b[..., whole:], out[..., whole:])
    return out


def _cut_columns(x: np.ndarray, each: int) -> np.ndarray:
    """(..., n, cuts · each) as (..., cuts, n, each), a view."""
    return x.reshape(*x.shape[:-1], x.shape[-1] // each, each).swapaxes(-2, -3)


def product_over_rows(windows: np.ndarray, g: np.ndarray, precision: str = EXACT) -> np.ndarray:
    """Σ over rows r of windows[:, r] g[:, r]ᵀ, (G, KH·K, O), of windows (G, R, KH, K, columns) and g (G, R, O,
    columns)."""
    G, R, KH, K, columns = windows.shape
    O, positions = g.shape[2], R * columns
    if windows.strides[1] != columns * windows.itemsize and R > 1:  # the rows lie apart: a product for each
        shares = _sum_of_products(windows.reshape(G, R, KH * K, columns), g.swapaxes(-1, -2))
        return np.add.reduce(shares, axis=1)
    if positions == 0:
        return np.zeros((G, KH * K, O), g.dtype)
    rows = windows.transpose(0, 2, 3, 1, 4).reshape(G, KH, K, positions)  # a view
    if O <= TRANSPOSED_CHANNELS:
        gradient = scratch("g", (G, positions, O), g)
        gradient.reshape(G, R, columns, O)[...] = g.swapaxes(-1, -2)
    else:
        gradient = scratch("g", (G, O, positions), g)
        gradient.reshape(G, O, R, columns)[...] = g.swapaxes(1, 2)
        gradient = gradient.swapaxes(-1, -2)
    return _sum_of_products(rows, gradient[:, None]).reshape(G, KH * K, O)


def _sum_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b for (G, R, n, k) and (G, R or 1, k, m), cut along k into products that are small, where that pays."""
    k = a.shape[-1]
    each = _part_of_sum(a.shape[-2], k, b.shape[-1])
    if each == k:
        return matmul(a, b)
    whole = k // each * each
    cut_b = b[..., :whole, :].reshape(*b.shape[:2], -1, each, b.shape[-1])
    total = np.add.reduce(matmul(_cut_columns(a[..., :whole], each), cut_b), axis=2)
    if whole < k:
        total += matmul(a[..., whole:], b[..., whole:, :])
    return total


@lru_cache(maxsize=1024)
def _part_of_sum(n: int, k: int, m: int) -> int:
    """How much of k a product of (n, k) and (k, m) is to sum up at a time; without a rest, if there is such a part."""
    most = min(columns_of_small_product(n, m), 2 * BLOCK_COLUMNS)
    if most < SMALL_COLUMNS or most >= k:
        return k
    least = -(-k // most)
    return next((k // cuts for cuts in range(least, 2 * least) if k % cuts == 0), most)


def in_parameter_order(w: np.ndarray) -> np.ndarray:
    """`w` in row-major order, as parameters lie: an optimizer reads both side by side."""
    return np.ascontiguousarray(w)


def before_product(
    weight: np.ndarray, out: np.ndarray | None = None, bias: np.ndarray | None = None
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """`weight` in row-major order, and copies that have to be made before the first of the products that fill `out`:
    see `product_and_bias`."""
    return np.ascontiguousarray(weight), []


def product_and_bias(
    a: np.ndarray, b: np.ndarray, out: np.ndarray, y: np.ndarray, bias: np.ndarray | None, precision: str
) -> None:
    """out = a b, where `out` is a view of y, and then y += bias."""
    matmul(a, b, out)
    if bias is not None:
        y += bias


def product(a: np.ndarray, b: np.ndarray, precision: str = EXACT) -> np.ndarray:
    """a b. Where a matrix `a` lies batch innermost in memory, that is column by column, so does the result:
    (a b)ᵀ = bᵀ aᵀ."""
    if a.ndim == b.ndim == 2 and a.flags.f_contiguous and not a.flags.c_contiguous:
        return matmul(b.T, a.T).T
    return matmul(a, b)


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, precision: str = EXACT) -> np.ndarray:
    """x wᵀ + b: x (n, k), w (m, k), b (m) or None."""
    y = product(x, w.T)
    if b is not None:
        y += b
    return y


def linear_backward(
    u: np.ndarray, x: np.ndarray, w: np.ndarray, needs: Sequence[bool], precision: str = EXACT
) -> list[np.ndarray | None]:
    """The gradients of x, w and, if `needs` has three, b, for y = `linear(x, w, b)` and the upstream gradient u; None
    for what is not needed."""
    need_x, need_w, *need_b = needs
    return [
        product(u, w) if need_x else None,
        product(u.T, x) if need_w else None,
        *[sum_over(u, (0,), False) if need else None for need in need_b],
    ]


# --- element by element -------------------------------------------------------------------------------------


def add_at(array: np.ndarray, index: Any, values: np.ndarray) -> None:
    """array[index] += values, where an element that is indexed several times gets every value."""
    np.add.at(array, index, values)


def index_add(x: np.ndarray, dim: int, index: np.ndarray, y: np.ndarray) -> None:
    """x[.., index[j], ..] += y[.., j, ..] along `dim`, in the order of j: the same bits every time."""
    before: tuple = (slice(None),) * dim
    for j, i in enumerate(index.tolist()):
        x[(*before, i)] += y[(*before, j)]


def reduced(method: str, x: np.ndarray, dims: Any, keepdims: bool) -> np.ndarray:
    """The method "max", "all", "argmax", ... of x over `dims`: an int, several, or None for all.

    "sum" and "mean" take several; a sum of integers is an int64.
    """
    if method == "sum":
        if x.dtype.kind in FLOATING:
            return sum_over(x, dims, keepdims)
        return np.add.reduce(x, axis=dims, dtype=np.int64, keepdims=keepdims)  # type: ignore[call-overload]
    if method == "mean":
        return sum_over(x, dims, keepdims) / math.prod([x.shape[d] for d in dims])
    return getattr(x, method)(axis=dims, keepdims=keepdims)


def along(function: Callable[[np.ndarray, int], np.ndarray], x: np.ndarray, dim: int) -> np.ndarray:
    """function(x, dim), which works along one dimension and keeps the shape of x."""
    return function(x, dim)


def masked(x: np.ndarray, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """x where the boolean `mask`, of the same shape, is true, and 0 elsewhere (there also for inf and nan, unlike a
    product with the mask)."""
    bits = _BITS[x.itemsize]
    # -1, all bits set, where true. An array even without dimensions, where NumPy would make a scalar of it.
    all_ones = np.asarray(np.negative(mask.view(np.int8)).astype(bits))
    target = all_ones if out is None else out.view(bits)
    return np.bitwise_and(x.view(bits), all_ones, out=target).view(x.dtype)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), nan for nan."""
    if x.dtype.kind != "f":
        return np.maximum(x, 0)
    # With two finite-or-infinite bounds clip is vectorised; maximum with a scalar takes three times as long.
    return _in_pieces(lambda x, out: x.clip(0, np.inf, out=out), x)


def relu_backward(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """u where y = relu(x) is not 0, 0 elsewhere."""
    return _in_pieces(lambda u, y, out: masked(u, y != 0, out), u, y)


def _in_pieces(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """function(*arrays, None), element by element. Large arrays that lie in memory alike are computed in pieces that
    stay in the cache, function(*pieces, piece of the result), shared among threads."""
    first = arrays[0]
    order = dense_order(first.shape, first.strides, first.itemsize) if first.size >= _LARGE else None
    if order is None or any(array.strides != first.strides for array in arrays[1:]):
        return function(*arrays, None)
    result = np.empty_like(first)
    flat = [array.transpose(order).reshape(-1) for array in (*arrays, result)]

    def of_pieces(starts: range) -> None:
        # With several threads, each call of NumPy hands over the interpreter's lock: the fewer, the better.
        alone = len(starts) == first.size
        piece = batch_statistics.PIECE_BYTES // first.itemsize if alone else len(starts)
        for start in range(starts.start, starts.stop, piece):
            function(*[array[start : min(start + piece, starts.stop)] for array in flat])

    in_threads(of_pieces, shares(range(first.size), first.size * threads.OPERATIONS_AN_ELEMENT))
    return result


def concatenate(arrays: Sequence[np.ndarray], dim: int) -> np.ndarray:
    """The arrays concatenated along `dim`."""
    return np.concatenate(arrays, axis=dim)


def all_finite(x: np.ndarray) -> bool:
    """Whether no element is infinite or nan, at the price of a sum (which may overflow: then False)."""
    return bool(np.isfinite(np.add.reduce(x, axis=None)))


def erf(x: np.ndarray) -> np.ndarray:
    """The error function: SciPy's where it is installed, else the standard library's, element by element."""
    try:
        from scipy.special import erf as of_array
    except ImportError:
        of_array = np.vectorize(math.erf, otypes=[x.dtype])
    return of_array(x).astype(x.dtype, copy=False)  # SciPy gives float32 for float16


# --- random numbers -----------------------------------------------------------------------------------------


def dropout_mask(x: np.ndarray, p: float, generator: np.random.Generator) -> np.ndarray:
    """0 with probability p, else 1 / (1 − p), in the shape and the memory order of `x`."""
    mask = np.empty_like(x)
    mask.ravel(order="K")[...] = generator.random(x.size, dtype=np.float32) >= p
    if p < 1:
        mask *= 1 / (1 - p)
    return mask


# --- optimizers -----------------------------------------------------------------------------------------------


def total_norm(arrays: list[np.ndarray], p: float) -> np.ndarray:
    """The p-norm of the elements of all arrays, as of one long vector; of shape ()."""
    # It is the norm of the norms of the pieces. Each piece in whatever order it lies in memory.
    dtype = np.result_type(*arrays)
    norms = [np.linalg.norm(array.ravel(order="K").astype(_wide(array.dtype), copy=False), p) for array in arrays]
    with np.errstate(over="ignore"):
        return np.asarray(np.linalg.norm(np.stack(norms), p)).astype(dtype, copy=False)


def _wide(dtype: np.dtype) -> np.dtype:
    """The dtype in which sums of `dtype` are taken."""
    return np.dtype("float32") if dtype.itemsize == 2 else dtype


def scale_all(arrays: list[np.ndarray], factor: np.ndarray) -> None:
    """Multiplies all arrays, in place, with `factor`, of shape ()."""
    for array in arrays:
        array *= factor.astype(array.dtype)
