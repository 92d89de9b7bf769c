"""Steps 8 and 9: max and average pooling, and softmax with cross-entropy, with their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages
from tinycnn.teaching.grade.diagnosis import PADS_ALL
from tinycnn.teaching.grade.drawing import around, normal, output_shape
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.mistakes import Geometry

Array = np.ndarray

TILES, OVERLAP = "windows side by side", "overlap, padding, ties"

# (N, C, H, W), kernel_size, stride, padding
TILE_SIZES = [((1, 1, 2, 4), (2, 2), 2, 0), ((1, 1, 4, 6), (2, 2), 2, 0), ((2, 3, 5, 7), (2, 2), 2, 0)]
OVERLAP_SIZES = [
    ((1, 1, 3, 4), (2, 3), 1, 0),
    ((1, 1, 4, 3), (2, 2), 1, 0),
    ((1, 1, 3, 4), (3, 2), 2, 1),
    ((2, 2, 5, 6), (2, 3), 1, 1),
    ((2, 3, 7, 6), (3, 4), 2, 1),
    ((2, 2, 9, 8), (2, 3), 4, 1),  # gaps between the windows
    ((1, 2, 4, 5), (2, 3), 2, 1),  # very negative numbers
]
VERY_NEGATIVE = 1e25  # below any number that may stand for −∞, and within the range of float32


def draw_pool(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, sizes in ((TILES, TILE_SIZES), (OVERLAP, OVERLAP_SIZES)):
            for i, (size, kernel, S, P) in enumerate(sizes):
                if level == TILES:  # all different
                    x = rng.permutation(int(np.prod(size))).reshape(size) - 5.0
                else:  # negative, so that a padding of 0 would win, and with ties
                    x = rng.integers(-4, 0, size).astype(float)
                if (size, kernel, S, P) == OVERLAP_SIZES[-1]:
                    x *= VERY_NEGATIVE
                arguments = {"x": x, "kernel_size": kernel, "stride": S, "padding": P}
                if backward:
                    shape = reference.max_pool_nd(x, kernel, S, P).shape
                    arguments = {"grad_output": normal(rng, *shape, small=i < 2), **arguments}
                cases.append(Case(level, arguments))
        return cases

    return draw


def zero_padded(x: Array, padding: int) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def stripped(padded: Array, x: Array, padding: int) -> Array:
    return padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def max_pool_gradient(g, x, kernel, stride, padding, *, weights=None, add=True, zeros=False):
    """dx by loops; `weights(n)` gives the shares of n tied maxima, in row-major order."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)),
                    constant_values=0.0 if zeros else -np.inf)  # fmt: skip
    dx = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(g.shape):
        rows, columns = i * stride, j * stride
        window = padded[n, c, rows : rows + kernel[0], columns : columns + kernel[1]]
        places = np.argwhere(window == window.max())
        for (k, l), weight in zip(places, weights(len(places)) if weights else [1.0]):
            if add:
                dx[n, c, rows + k, columns + l] += weight * g[n, c, i, j]
            else:
                dx[n, c, rows + k, columns + l] = weight * g[n, c, i, j]
    return dx, stripped(dx, x, padding)


# What may be taken for the row or the column of argmax's `best` in a window.
PARTS: list[Callable[[int, int, int], int]] = [
    lambda best, KH, KW: best // KW, lambda best, KH, KW: best % KW, lambda best, KH, KW: best // KH,
    lambda best, KH, KW: best % KH, lambda best, KH, KW: 0, lambda best, KH, KW: best,
]  # fmt: skip


def wrong_place(place, g, x, kernel, stride, padding):
    """dx with row and column of the maximum in its window from place(best, KH, KW); argmax gives `best`."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    dx = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(g.shape):
        rows, columns = i * stride, j * stride
        best = int(padded[n, c, rows : rows + kernel[0], columns : columns + kernel[1]].argmax())
        k, l = place(best, *kernel)
        dx[n, c, rows + k, columns + l] += g[n, c, i, j]
    return stripped(dx, x, padding)


def avg_overwritten(g, x, kernel, stride, padding, *, by_position=True):
    dx = zero_padded(np.zeros_like(x), padding)
    taps, places = list(np.ndindex(*kernel)), list(np.ndindex(*g.shape[2:]))
    order = [(t, p) for p in places for t in taps] if by_position else [(t, p) for t in taps for p in places]
    for (k, l), (i, j) in order:
        dx[:, :, i * stride + k, j * stride + l] = g[:, :, i, j] / (kernel[0] * kernel[1])
    return stripped(dx, x, padding)


def window_of(kernel_size: tuple[int, int], **_: Any) -> tuple[int, int]:
    return kernel_size


def y_size(x: Array, kernel_size: tuple[int, int], stride: int, padding: int, **_: Any) -> tuple[int, int]:
    return output_shape(x.shape[2:], kernel_size, stride, padding, 1)


def sizes_of_pool(x: Array, kernel_size: tuple[int, int], stride: int, padding: int, **_: Any) -> dict[str, float]:
    (KH, KW), (OH, OW) = kernel_size, y_size(x, kernel_size, stride, padding)
    return {
        "N": len(x), "C": x.shape[1], "OH·OW": OH * OW, "KH·KW": KH * KW, "KH": KH, "KW": KW, "KH + KW": KH + KW,
        "stride": stride, "stride²": stride**2, "2": 2, "KH·KW − 1": KH * KW - 1, "H": x.shape[2], "W": x.shape[3],
        "H·W": x.shape[2] * x.shape[3],
    }  # fmt: skip


def pool_mistakes(which: str) -> list[Mistake]:
    is_max = which == "max"
    forward: Callable[..., Array] = reference.max_pool_nd if is_max else reference.avg_pool_nd
    outside = -np.inf if is_max else 0.0

    def mistake(name: str, see: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("y", name, lambda x, kernel_size, stride, padding: compute(x, kernel_size, stride, padding), see)

    def at(geometry: Geometry, x: Array, kernel_size: tuple[int, int]) -> Array:
        rows, columns = geometry
        return forward(mistakes.padded(x, geometry, outside), kernel_size, (rows.stride, columns.stride))

    def filled(value: float | str) -> Callable[..., Array]:
        """Another number, or mode of np.pad, in the padding."""

        def compute(x: Array, K: tuple[int, int], S: int, P: int) -> Array:
            options: dict[str, Any] = {"mode": value} if isinstance(value, str) else {"constant_values": value}
            return forward(np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)), **options), K, S)

        return compute

    def one_for_all(x: Array, K: tuple[int, int], S: int, P: int) -> Array:
        return np.broadcast_to(forward(x, K, S, P).max(axis=(0, 1)), forward(x, K, S, P).shape)

    def padded_everywhere(x: Array, K: tuple[int, int], S: int, P: int) -> Array:
        return forward(np.pad(x, P, constant_values=outside), K, S)

    own = [
        mistake("the windows at the end that do not fit are used too (ceil instead of floor)", passages.SIZE,
                lambda x, K, S, P: forward(x, K, S, P, ceil_mode=True)),
        mistake("the kernel's height and width are swapped", passages.CHANNELS,
                lambda x, K, S, P: forward(x, K[::-1], S, P)),
        mistake("the kernel is taken to be square", passages.CHANNELS,
                lambda x, K, S, P: mistakes.fitted(forward(x, (K[0], K[0]), S, P), *y_size(x, K, S, P))),
        mistake("the kernel is taken to be square", passages.CHANNELS,
                lambda x, K, S, P: mistakes.fitted(forward(x, (K[1], K[1]), S, P), *y_size(x, K, S, P))),
        mistake("height and width of the output are swapped", passages.AXES,
                lambda x, K, S, P: forward(x, K, S, P).swapaxes(2, 3)),
        mistake(PADS_ALL, passages.PADDING, padded_everywhere),
        mistake(PADS_ALL, passages.PADDING,
                lambda x, K, S, P: padded_everywhere(x, K, S, P)[: len(x), : x.shape[1]]),
        *(mistake(f"the padding repeats numbers of x (np.pad's {mode})", passages.PADDING, filled(mode))
          for mode in ("edge", "reflect", "symmetric", "wrap")),
    ]  # fmt: skip
    if is_max:
        zero = "the padding counts as 0 and wins over negative numbers: pad with −∞"
        own += [
            mistake(zero, passages.MAX_POOLING, filled(0.0)),
            mistake("the padding counts as +∞ and always wins: pad with −np.inf", passages.MAX_POOLING, filled(np.inf)),
            *(mistake("the padding counts as a number, as −1e9, and wins over smaller ones: pad with −np.inf",
                      passages.MAX_POOLING, filled(value)) for value in (-1.0, -5.0, -10.0, -1e9)),
            mistake("the maximum starts at 0, so negative numbers never win", passages.MAX_POOLING,
                    lambda x, K, S, P: np.maximum(forward(x, K, S, P), 0)),
            *(mistake("the maximum starts at a number, as −1e9, so smaller ones never win: start at −np.inf",
                      passages.MAX_POOLING, lambda x, K, S, P, value=value: np.maximum(forward(x, K, S, P), value))
              for value in (-1.0, -5.0, -10.0, -1e9)),
            mistake("the minimum instead of the maximum", passages.MAX_POOLING,
                    lambda x, K, S, P: -forward(-x, K, S, P)),
            mistake("the minimum instead of the maximum", passages.MAX_POOLING, lambda x, K, S, P: -forward(
                -np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)), constant_values=-np.inf), K, S)),
            mistake("the minimum instead of the maximum, so it stays at −∞", passages.MAX_POOLING,
                    lambda *a: np.full_like(forward(*a), -np.inf)),
            mistake("one maximum of all windows: each window has its own", passages.ONE_MAXIMUM,
                    lambda *a: np.full_like(forward(*a), forward(*a).max())),
            mistake("the mean instead of the maximum", passages.MAX_POOLING, reference.avg_pool_nd),
            mistake("the largest absolute value instead of the largest number", passages.MAX_POOLING,
                    lambda x, K, S, P: forward(abs(x), K, S, P)),
            mistake("one maximum for the whole batch: each sample and channel has its own", passages.ONE_MAXIMUM,
                    one_for_all),
            mistake("one maximum for all channels: each channel has its own", passages.ONE_MAXIMUM,
                    lambda *a: np.repeat(forward(*a).max(1, keepdims=True), a[0].shape[1], 1)),
            mistake("one maximum for all channels, of which the axis is missing", passages.ONE_MAXIMUM,
                    lambda *a: forward(*a).max(1)),
        ]  # fmt: skip
    else:
        def divided(of: Callable[..., float]) -> Callable[..., Array]:
            return lambda x, K, S, P: forward(x, K, S, P) * (K[0] * K[1]) / of(x, K, S, P)

        square = "divided by KH² or KW²: the kernel need not be square"
        own += [
            mistake("divided by the number of elements inside x: the padding counts, the divisor is always KH·KW",
                    passages.AVERAGE_POOLING, lambda x, K, S, P: forward(x, K, S, P, count_include_pad=False)),
            mistake("the sum instead of the mean: divide by KH·KW", passages.AVERAGE_POOLING,
                    divided(lambda *a: 1.0)),
            mistake(square, passages.AVERAGE_POOLING, divided(lambda x, K, S, P: K[0] ** 2)),
            mistake(square, passages.AVERAGE_POOLING, divided(lambda x, K, S, P: K[1] ** 2)),
            mistake("divided by KH instead of KH·KW", passages.AVERAGE_POOLING, divided(lambda x, K, S, P: K[0])),
            mistake("divided by KW instead of KH·KW", passages.AVERAGE_POOLING, divided(lambda x, K, S, P: K[1])),
            mistake("divided by KH + KW instead of KH·KW",
                    passages.AVERAGE_POOLING, divided(lambda x, K, S, P: sum(K))),
            mistake("divided by stride² instead of KH·KW", passages.AVERAGE_POOLING, divided(lambda x, K, S, P: S * S)),
            mistake("divided by KH·KW − 1 instead of KH·KW", passages.AVERAGE_POOLING,
                    divided(lambda x, K, S, P: K[0] * K[1] - 1)),
            mistake("divided by the number of outputs instead of the elements of a window", passages.AVERAGE_POOLING,
                    divided(lambda *a: forward(*a)[0, 0].size)),
            mistake("the maximum instead of the mean", passages.AVERAGE_POOLING,
                    lambda x, K, S, P: reference.max_pool_nd(
                zero_padded(x, P), K, S)),
            mistake("the maximum instead of the mean", passages.AVERAGE_POOLING, reference.max_pool_nd),
            mistake("one mean for the whole batch: each sample and channel has its own", passages.ONE_MAXIMUM,
                    lambda *a: np.broadcast_to(forward(*a).mean(axis=(0, 1)), forward(*a).shape)),
            mistake("one mean for all channels: each channel has its own", passages.ONE_MAXIMUM,
                    lambda *a: np.repeat(forward(*a).mean(1, keepdims=True), a[0].shape[1], 1)),
        ]  # fmt: skip
    return [
        *own,
        *mistakes.of_sizes("y", forward, window_of, output_shape),
        *mistakes.of_geometry("y", at, window_of, False, y_size),
        *mistakes.of_result("y", forward, "N C OH OW"),
        *mistakes.of_arguments("y", forward, x="N C H W"),
        *mistakes.of_factors("y", forward, sizes_of_pool),
    ]  # fmt: skip


def pool_gradient_mistakes(which: str) -> list[Mistake]:
    is_max = which == "max"
    backward: Callable[..., Array] = reference.max_pool_nd_backward if is_max else reference.avg_pool_nd_backward
    outside = -np.inf if is_max else 0.0

    def right(grad_output: Array, **arguments: Any) -> Array:
        return backward(grad_output, **arguments)

    def mistake(name: str, see: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("dx", name, lambda grad_output, x, kernel_size, stride, padding: compute(
            grad_output, x, kernel_size, stride, padding
        ), see)  # fmt: skip

    def wide(geometry: Geometry, grad_output: Array, x: Array, kernel_size: tuple[int, int]) -> Array:
        """dx with its padding; outputs that are missing get a gradient of 0."""
        strides, padded = (geometry[0].stride, geometry[1].stride), mistakes.padded(x, geometry, outside)
        size = reference._output_size(padded.shape[2:], kernel_size, strides, 1)
        return backward(mistakes.fitted(grad_output, *size), padded, kernel_size, strides)

    def at(geometry: Geometry, grad_output: Array, x: Array, kernel_size: tuple[int, int]) -> Array:
        dx = wide(geometry, grad_output, x, kernel_size)
        return mistakes.fitted(dx[:, :, max(geometry[0].before, 0) :, max(geometry[1].before, 0) :], *x.shape[2:])

    def starts_without_stride(axes, step, g, x, K, S, P):
        """The maximum of the right window, its place counted from the wrong corner along these axes."""
        steps = [step if axis in axes else S for axis in (0, 1)]
        padded = np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)), constant_values=-np.inf)
        dx = np.zeros_like(padded)
        for n, c, i, j in np.ndindex(g.shape):
            best = int(padded[n, c, i * S : i * S + K[0], j * S : j * S + K[1]].argmax())
            dx[n, c, i * steps[0] + best // K[1], j * steps[1] + best % K[1]] += g[n, c, i, j]
        return stripped(dx, x, P)

    overwritten = "= instead of +=: where windows overlap their gradients add up"
    see = passages.MAX_POOLING if is_max else passages.AVERAGE_POOLING
    if is_max:
        own = [
            mistake(overwritten, passages.ONE_RULE, lambda *a: max_pool_gradient(*a, add=False)[1]),
            mistake("the gradient goes to every tie of the maximum: only the first one gets it", see,
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [1.0] * n)[1]),
            mistake("the gradient goes to every tie of the maximum (and = instead of +=)", see,
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [1.0] * n, add=False)[1]),
            mistake("the gradient is shared among the ties of the maximum: the first one gets all of it", see,
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [1 / n] * n)[1]),
            mistake("the gradient goes to the last tie of the maximum: the first one gets it", see,
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [0.0] * (n - 1) + [1.0])[1]),
            mistake("the padding counts as 0 and wins over negative numbers: pad with −∞", see,
                    lambda *a: max_pool_gradient(*a, zeros=True)[1]),
            mistake("the padding counts as a number and wins over smaller ones: pad with −np.inf", see,
                    lambda g, x, K, S, P: stripped(backward(g, np.pad(
                        x, ((0, 0), (0, 0), (P, P), (P, P)), constant_values=-VERY_NEGATIVE / 10), K, S), x, P)),
            mistake("the gradient goes to the first element of the window instead of its maximum", see,
                    lambda *a: wrong_place(lambda best, KH, KW: (0, 0), *a)),
            mistake("the place of the maximum is found by dividing by KH: argmax counts in rows of KW elements",
                    passages.RESHAPE, lambda *a: wrong_place(lambda best, KH, KW: (best // KH, best % KH), *a)),
            mistake("row and column of the maximum are swapped: argmax counts in rows of KW elements", passages.RESHAPE,
                    lambda *a: wrong_place(lambda best, KH, KW: (best % KW, best // KW), *a)),
            *(mistake("the place of the maximum is (best // KW, best % KW): argmax counts in rows of KW elements",
                      passages.RESHAPE, lambda *a, pair=pair: wrong_place(
                          lambda best, KH, KW: tuple(part(best, KH, KW) for part in pair), *a))
              for pair in product(PARTS, repeat=2)),
            mistake("the gradient goes to the whole window instead of its maximum", see,
                    lambda g, x, K, *a: reference.avg_pool_nd_backward(g * (K[0] * K[1]), x, K, *a)),
            mistake("the gradient goes to the minimum", see, lambda g, x, *a: backward(g, -x, *a)),
            mistake("the gradient goes to the minimum", see, lambda g, x, K, S, P: stripped(backward(g, -np.pad(
                x, ((0, 0), (0, 0), (P, P), (P, P)), constant_values=-np.inf), K, S), x, P)),
            mistake("the place is that of the largest absolute value, not of the largest number", see,
                    lambda g, x, K, S, P: stripped(backward(g, np.pad(
                        abs(x), ((0, 0), (0, 0), (P, P), (P, P)), constant_values=np.inf), K, S), x, P)),
            *(mistake(f"the stride is ignored{where} in the place of the maximum", passages.GEOMETRY,
                      lambda *a, axes=axes: starts_without_stride(axes, 1, *a)) for where, axes in mistakes.WHERE),
            *(mistake(f"the place of the maximum in its window is taken for that in x{where}",
                      passages.GEOMETRY, lambda *a, axes=axes: starts_without_stride(axes, 0, *a))
              for where, axes in mistakes.WHERE),
            mistake("the maximum itself instead of the upstream gradient", see,
                    lambda g, x, K, S, P: backward(reference.max_pool_nd(x, K, S, P), x, K, S, P)),
            mistake("multiplied by the maximum: its derivative is 1", see,
                    lambda g, x, K, S, P: backward(g * reference.max_pool_nd(x, K, S, P), x, K, S, P)),
            mistake("one maximum for the whole batch: each sample and channel has its own", passages.ONE_MAXIMUM,
                    lambda g, x, *a: max_pool_gradient(g, np.broadcast_to(x.max((0, 1)), x.shape), *a)[1]),
            mistake("the place of the maximum is that of the whole batch's sum: each sample and channel has its own",
                    passages.ONE_MAXIMUM, lambda g, x, *a: backward(g, np.broadcast_to(x.sum((0, 1)), x.shape), *a)),
            mistake("the place of the maximum is that of the first sample and channel: each has its own",
                    passages.ONE_MAXIMUM, lambda g, x, *a: backward(g, np.broadcast_to(x[0, 0], x.shape), *a)),
        ]  # fmt: skip
    else:
        def divided(of: Callable[..., float]) -> Callable[..., Array]:
            return lambda g, x, K, S, P: backward(g, x, K, S, P) * (K[0] * K[1]) / of(g, x, K, S, P)

        square = "divided by KH² or KW²: the kernel need not be square"
        own = [
            mistake(overwritten, passages.ONE_RULE, avg_overwritten),
            mistake(overwritten, passages.ONE_RULE, lambda *a: avg_overwritten(*a, by_position=False)),
            mistake("not divided by KH·KW", see, divided(lambda *a: 1.0)),
            mistake("divided by the number of elements inside x: the padding counts, the divisor is always KH·KW", see,
                    lambda *a: backward(*a, count_include_pad=False)),
            mistake(square, see, divided(lambda g, x, K, S, P: K[0] ** 2)),
            mistake(square, see, divided(lambda g, x, K, S, P: K[1] ** 2)),
            mistake("divided by KH instead of KH·KW", see, divided(lambda g, x, K, S, P: K[0])),
            mistake("divided by KW instead of KH·KW", see, divided(lambda g, x, K, S, P: K[1])),
            mistake("divided by stride² instead of KH·KW", see, divided(lambda g, x, K, S, P: S * S)),
            mistake("divided by the number of outputs instead of the elements of a window", see,
                    divided(lambda g, *a: g[0, 0].size)),
            mistake("divided by KH·KW twice", see, divided(lambda g, x, K, S, P: (K[0] * K[1]) ** 2)),
            mistake("only the first element of the window gets a gradient", see,
                    lambda g, x, K, *a: wrong_place(lambda *_: (0, 0), g / (K[0] * K[1]), x, K, *a)),
            mistake("multiplied by x: its derivative does not depend on x", see,
                    lambda g, x, *a: x * backward(g, x, *a)),
            mistake("the kernel is taken to be square", passages.CHANNELS,
                    lambda g, x, K, S, P: at(around(S, P), g, x, (K[0], K[0]))),
        ]  # fmt: skip
    arrays = {"grad_output": "N C OH OW"} | ({"x": "N C H W"} if is_max else {})
    return [
        *own,
        mistake("the kernel's height and width are swapped", passages.CHANNELS,
                lambda g, x, K, S, P: at(around(S, P), g, x, K[::-1])),
        *mistakes.of_crops("dx", lambda padding, stride, **a: wide(around(stride, padding), **a),
                           lambda x, **_: x.shape[2:]),
        *mistakes.of_geometry("dx", at, window_of, False),
        *mistakes.of_result("dx", right, "N C H W"),
        *mistakes.of_arguments("dx", right, **arrays),
        *mistakes.of_factors("dx", right, sizes_of_pool),
    ]  # fmt: skip


POOLS = [
    Exercise("max_pool_forward", ("y",), {"y": {TILES: 1, OVERLAP: 1.5, FLOAT32: 0.5}}, draw_pool(False),
             reference.max_pool_nd, pool_mistakes("max"), passages.MAX_POOLING),
    Exercise("max_pool_backward", ("dx",), {"dx": {TILES: 1, OVERLAP: 1.5, FLOAT32: 0.5}}, draw_pool(True),
             reference.max_pool_nd_backward, pool_gradient_mistakes("max"), passages.MAX_POOLING),
    Exercise("avg_pool_forward", ("y",), {"y": {TILES: 0.5, OVERLAP: 1, FLOAT32: 0.5}}, draw_pool(False),
             reference.avg_pool_nd, pool_mistakes("avg"), passages.AVERAGE_POOLING),
    Exercise("avg_pool_backward", ("dx",), {"dx": {TILES: 0.5, OVERLAP: 1, FLOAT32: 0.5}}, draw_pool(True),
             reference.avg_pool_nd_backward, pool_gradient_mistakes("avg"), passages.AVERAGE_POOLING),
]  # fmt: skip


# --- softmax and cross-entropy ----------------------------------------------------------------------------

SMALL, LARGE = "small scores", "large scores"


def draw_scores(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, N, C, scale in [(SMALL, 1, 2, 1), (SMALL, 1, 3, 1), (SMALL, 3, 3, 2), (SMALL, 4, 6, 2),
                                   (LARGE, 1, 2, 1000), (LARGE, 3, 4, -1000), (LARGE, 5, 3, 2000),
                                   (LARGE, 4, 4, 1)]:  # fmt: skip
            scores, target = scale * normal(rng, N, C), rng.integers(0, C, N)
            if scale == 1 and level == LARGE:  # rows further apart than the range of exp, each small in itself
                scores += 4000.0 * rng.permutation(N)[:, None] - 6000
            elif level == LARGE:  # classes further apart than that, and the right class often the least
                scores = scale + 1000.0 * rng.permuted(np.tile(np.arange(C), (N, 1)), axis=1) + rng.random((N, C))
                target[0] = scores[0].argmax() if N == 1 else scores[0].argmin()
            upstream = {"grad_output": float(np.round(rng.uniform(1.5, 3), 3))} if backward else {}
            cases.append(Case(level, {**upstream, "scores": scores, "target": target}))
        return cases

    return draw


def softmax(scores: Array) -> Array:
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(scores: Array, target: Array) -> Array:
    return np.eye(scores.shape[1])[target]


def chosen(scores: Array, target: Array) -> Array:
    return scores[np.arange(len(target)), target]


Part = tuple[str, str, Callable[..., Any]]  # of a computation: what is wrong with it ("" if nothing), a passage, and it

# From the scores: those shifted, and the sum of their exponentials.
EXPONENTIALS: list[Part] = [
    ("", "", lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True))),
    ("softmax overflows: subtract each row's maximum first", passages.LARGE_SCORES,
     lambda s: (s, np.exp(s).sum(1, keepdims=True))),
    ("one maximum for the whole batch: each row has its own", passages.LARGE_SCORES,
     lambda s: (s - s.max(), np.exp(s - s.max()).sum(1, keepdims=True))),
    ("the maximum over the batch (axis 0) instead of the classes (axis 1)", passages.LARGE_SCORES,
     lambda s: (s - s.max(0), np.exp(s - s.max(0)).sum(1, keepdims=True))),
    ("softmax over the batch (axis 0) instead of the classes (axis 1)", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(0), np.exp(s - s.max(0)).sum(0))),
    ("softmax over the batch (axis 0) instead of the classes (axis 1)", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).sum(0))),
    ("softmax over all scores of the batch instead of each row", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(), np.full((len(s), 1), np.exp(s - s.max()).sum()))),
    ("the sum of the exponentials is over the whole batch instead of each row", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.full((len(s), 1), np.exp(s - s.max(1, keepdims=True)).sum()))),
    ("keepdims=True is missing: the maxima of the rows are subtracted from the columns", passages.AXES,
     lambda s: (s - s.max(1), np.exp(s - s.max(1)).sum(1, keepdims=True))),
    ("keepdims=True is missing: the columns are divided by the sums of the rows", passages.AXES,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).sum(1))),
    ("keepdims=True is missing: maxima and sums of the rows meet the columns", passages.AXES,
     lambda s: (s - s.max(1), np.exp(s - s.max(1)).sum(1))),
    ("softmax twice: the scores are real numbers, not probabilities", passages.CROSS_ENTROPY,
     lambda s: (softmax(s), np.exp(softmax(s)).sum(1, keepdims=True))),
    ("the mean of the exponentials instead of their sum", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).mean(1, keepdims=True))),
    ("e^s is not divided by the sum over the classes", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.ones((len(s), 1)))),
    ("the minimum is subtracted instead of the maximum", passages.LARGE_SCORES,
     lambda s: (s - s.min(1, keepdims=True), np.exp(s - s.min(1, keepdims=True)).sum(1, keepdims=True))),
    ("the mean is subtracted instead of the maximum", passages.LARGE_SCORES,
     lambda s: (s - s.mean(1, keepdims=True), np.exp(s - s.mean(1, keepdims=True)).sum(1, keepdims=True))),
    ("divided by the maximum instead of shifted by it", passages.LARGE_SCORES,
     lambda s: (s / s.max(1, keepdims=True), np.exp(s / s.max(1, keepdims=True)).sum(1, keepdims=True))),
    ("the maximum is subtracted from the sum only", passages.LARGE_SCORES,
     lambda s: (s, np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True))),
    ("clipped scores are other scores: subtract each row's maximum", passages.LARGE_SCORES,
     lambda s: (s.clip(-500, 500), np.exp(s.clip(-500, 500)).sum(1, keepdims=True))),
    ("clipped scores are other scores: subtract each row's maximum", passages.LARGE_SCORES,
     lambda s: (s.clip(-700, 700), np.exp(s.clip(-700, 700)).sum(1, keepdims=True))),
]  # fmt: skip

SMALL_NUMBERS = [10.0**-n for n in range(5, 17)] + [1e-20, 1e-30, 1e-100, 1e-300, float(np.finfo(float).eps)]

# From them: minus the logarithms of the probabilities.
LOGARITHMS: list[Part] = [
    ("", "", lambda s, total: np.log(total) - s),
    ("the logarithm of a softmax that has become 0: compute log Σ e^s − s from the shifted scores instead",
     passages.LARGE_SCORES, lambda s, total: -np.log(np.exp(s) / total)),
    *((f"{eps:g} is added to the probability: compute log Σ e^s − s from the shifted scores instead",
       passages.LARGE_SCORES, lambda s, total, eps=eps: -np.log(np.exp(s) / total + eps)) for eps in SMALL_NUMBERS),
    *((f"the probability is clipped at {eps:g}: compute log Σ e^s − s from the shifted scores instead",
       passages.LARGE_SCORES, lambda s, total, eps=eps: -np.log(np.maximum(np.exp(s) / total, eps)))
      for eps in SMALL_NUMBERS),
    *((f"the probability is clipped at {eps:g} and 1 − {eps:g}: compute log Σ e^s − s instead",
       passages.LARGE_SCORES, lambda s, total, eps=eps: -np.log(np.clip(np.exp(s) / total, eps, 1 - eps)))
      for eps in SMALL_NUMBERS),
    *((f"another logarithm (base {base}): it is the natural one, np.log", passages.CROSS_ENTROPY,
       lambda s, total, base=base: (np.log(total) - s) / np.log(base)) for base in (2, 10)),
    *((f"another logarithm (base {base}): it is the natural one, np.log", passages.CROSS_ENTROPY,
       lambda s, total, base=base: np.log(total) / np.log(base) - s) for base in (2, 10)),
    ("the logarithm of the sum is missing", passages.CROSS_ENTROPY, lambda s, total: -s),
    ("the score is added instead of subtracted: −log p = log Σ e^s − s", passages.CROSS_ENTROPY,
     lambda s, total: np.log(total) + s),
    ("the logarithm is missing", passages.CROSS_ENTROPY, lambda s, total: total - s),
    ("log(1 + x) instead of log(x)", passages.CROSS_ENTROPY, lambda s, total: np.log1p(total) - s),
    ("the probability itself instead of minus its logarithm", passages.CROSS_ENTROPY,
     lambda s, total: np.exp(s) / total),
    ("the squared error instead of minus the logarithm", passages.CROSS_ENTROPY,
     lambda s, total: (1 - np.exp(s) / total) ** 2),
    ("half the squared error instead of minus the logarithm", passages.CROSS_ENTROPY,
     lambda s, total: (1 - np.exp(s) / total) ** 2 / 2),
    ("1 − the probability instead of minus its logarithm", passages.CROSS_ENTROPY,
     lambda s, total: 1 - np.exp(s) / total),
    ("minus the probability instead of minus its logarithm", passages.CROSS_ENTROPY,
     lambda s, total: -np.exp(s) / total),
]  # fmt: skip

# From them (N, C) and the target: the loss.
REDUCTIONS: list[Part] = [
    ("", "", lambda each, t: chosen(each, t).mean()),
    ("the loss is not divided by N: it is the mean over the batch", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).sum()),
    ("the loss is divided by N·C instead of N", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).sum() / each.size),
    ("the loss is divided by C instead of N", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).sum() / each.shape[1]),
    ("the loss is divided by N twice", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t).mean() / len(t)),
    ("the loss is divided by 2", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t).mean() / 2),
    ("the sign is wrong: the loss is minus the logarithm", passages.CROSS_ENTROPY,
     lambda each, t: -chosen(each, t).mean()),
    ("only the first sample counts", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t)[0]),
    ("only the last sample counts", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t)[-1]),
    ("only the last sample counts", passages.ZEROS, lambda each, t: chosen(each, t)[-1] / len(t)),
    ("the losses of the samples, not their mean", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t)),
    ("the largest loss of the batch instead of the mean", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).max()),
    ("all classes count instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.sum(axis=1).mean()),
    ("all classes count instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.mean()),
    ("all classes count instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.sum()),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t].mean()),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t].sum() / len(t)),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t].sum()),
    ("[target] takes whole rows: it is [np.arange(N), target]", passages.CROSS_ENTROPY, lambda each, t: each[t].mean()),
    ("the target is taken for every sample from the first", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t[0]].mean()),
    ("the likeliest class counts instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.min(1).mean()),
    *(("the class beside the right one counts: the targets begin at 0", passages.CROSS_ENTROPY,
       lambda each, t, step=step: chosen(each, (t + step) % each.shape[1]).mean()) for step in (1, -1)),
    ("the loss is cut off to an integer", passages.RULES, lambda each, t: int(chosen(each, t).mean())),
]  # fmt: skip

# From the probabilities and the target: d_scores, but for the factor.
DIFFERENCES: list[Part] = [
    ("", "", lambda p, t: p - one_hot(p, t)),
    ("the 1 of the right class is not subtracted", passages.CROSS_ENTROPY, lambda p, t: p),
    ("the sign is wrong: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda p, t: one_hot(p, t) - p),
    ("1 is added at the right class: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda p, t: p + one_hot(p, t)),
    ("the probability of the right class is replaced by 1: subtract 1 from it", passages.CROSS_ENTROPY,
     lambda p, t: np.where(one_hot(p, t), 1, p)),
    ("the probability of the right class is replaced by −1: subtract 1 from it", passages.CROSS_ENTROPY,
     lambda p, t: np.where(one_hot(p, t), -1, p)),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda p, t: p - one_hot(p, t).max(0)),
    ("[target] takes whole rows: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda p, t: p - np.isin(np.arange(len(p)), np.arange(len(p))[t])[:, None]),
    ("1 is subtracted from every class: only from the right one", passages.CROSS_ENTROPY, lambda p, t: p - 1),
    ("1 is subtracted for the first sample only", passages.CROSS_ENTROPY,
     lambda p, t: p - one_hot(p, t) * (np.arange(len(p)) == 0)[:, None]),
    ("only the element of the right class gets a gradient: softmax pulls at all of them", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * one_hot(p, t)),
    ("the gradient with respect to the probability, not the score", passages.CROSS_ENTROPY,
     lambda p, t: -one_hot(p, t) / p),
    ("multiplied by p·(1 − p): softmax and logarithm together have p − one_hot", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * p * (1 - p)),
    ("the derivative of a sigmoid, p·(1 − p): softmax and logarithm together have p − one_hot", passages.CROSS_ENTROPY,
     lambda p, t: p * (1 - p)),
    ("one_hot is multiplied instead of subtracted", passages.CROSS_ENTROPY, lambda p, t: p * one_hot(p, t)),
    ("multiplied by the probability: softmax and logarithm together have p − one_hot", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * p),
    ("1 is subtracted at the likeliest class instead of the right one", passages.CROSS_ENTROPY,
     lambda p, t: p - one_hot(p, p.argmax(1))),
    ("only the one_hot is there: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda p, t: -one_hot(p, t)),
    ("the gradients are summed over the classes", passages.SUMS,
     lambda p, t: np.broadcast_to((p - one_hot(p, t)).sum(1, keepdims=True), p.shape)),
    ("the gradients are summed over the classes", passages.SUMS,
     lambda p, t: (p - one_hot(p, t)).sum(1, keepdims=True)),
    ("the gradients are summed over the batch", passages.SUMS, lambda p, t: (p - one_hot(p, t)).sum(0)),
    ("only the first sample of the batch is computed", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * (np.arange(len(p)) == 0)[:, None]),
    ("the gradient is missing (zeros)", passages.CROSS_ENTROPY, lambda p, t: 0 * p),
]  # fmt: skip

# From the upstream gradient, N and C: the factor.
FACTORS: list[Part] = [
    ("", "", lambda g, N, C: g / N),
    ("the upstream gradient is ignored (as if it were 1)", passages.ONE_RULE, lambda g, N, C: 1 / N),
    ("not divided by N: the loss is a mean over the batch", passages.CROSS_ENTROPY, lambda g, N, C: g),
    ("not divided by N, and the upstream gradient is ignored", passages.CROSS_ENTROPY, lambda g, N, C: 1.0),
    ("divided by N·C instead of N", passages.CROSS_ENTROPY, lambda g, N, C: g / N / C),
    ("divided by C instead of N", passages.CROSS_ENTROPY, lambda g, N, C: g / C),
    ("divided by N − 1 instead of N", passages.CROSS_ENTROPY, lambda g, N, C: g / (N - 1 or 1)),
    ("divided by N twice", passages.CROSS_ENTROPY, lambda g, N, C: g / N**2),
    ("multiplied by N instead of divided", passages.CROSS_ENTROPY, lambda g, N, C: g * N),
    ("divided by the upstream gradient", passages.ONE_RULE, lambda g, N, C: 1 / g / N),
    ("the upstream gradient counts twice", passages.ONE_RULE, lambda g, N, C: g * g / N),
    ("the sign is wrong: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda g, N, C: -g / N),
]  # fmt: skip


def combined(result: str, parts: Sequence[list[Part]], compute: Callable[..., Any]) -> list[Mistake]:
    """A computation of several parts with one of them wrong, or two."""
    found = []
    for chosen_parts in product(*parts):
        wrong = [(name, see) for name, see, _ in chosen_parts if name]
        if 1 <= len(wrong) <= 2:
            name = "; and ".join(name for name, _ in wrong)
            steps = [step for _, _, step in chosen_parts]
            found.append((len(wrong), Mistake(result, name, partial(compute, steps), wrong[0][1])))
    return [mistake for _, mistake in sorted(found, key=lambda pair: pair[0])]


def loss_of(steps: Sequence[Callable[..., Any]], scores: Array, target: Array) -> Any:
    exponentials, logarithms, reduction = steps
    return reduction(logarithms(*exponentials(scores)), target)


def d_scores_of(steps: Sequence[Callable[..., Any]], grad_output: float, scores: Array, target: Array) -> Array:
    exponentials, difference, factor = steps
    shifted, total = exponentials(scores)
    return difference(np.exp(shifted) / total, target) * factor(grad_output, *scores.shape)


def score_gradient(grad_output: float, scores: Array, target: Array) -> Array:
    return grad_output * reference.softmax_cross_entropy_backward(scores, target)


def loss_mistakes() -> list[Mistake]:
    return combined("loss", (EXPONENTIALS, LOGARITHMS, REDUCTIONS), loss_of)


def score_gradient_mistakes() -> list[Mistake]:
    own = combined("d_scores", (EXPONENTIALS, DIFFERENCES, FACTORS), d_scores_of)

    def added(grad_output: float, scores: Array, target: Array) -> Array:
        return grad_output + score_gradient(1.0, scores, target)

    probabilities = [
        ("the scores themselves in the place of their softmax", lambda s: s),
        ("the logarithm of the softmax in its place", lambda s: np.log(softmax(s))),
        ("the logarithm of the softmax in its place", lambda s: s - s.max(1, keepdims=True) - np.log(
            np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True))),
        ("a sigmoid of each score in the place of the softmax", lambda s: 1 / (1 + np.exp(-s))),
    ]
    own += [
        Mistake("d_scores", name, lambda grad_output, scores, target, p=p: (
            grad_output * (p(scores) - one_hot(scores, target)) / len(target)), passages.CROSS_ENTROPY)
        for name, p in probabilities
    ]  # fmt: skip
    own.append(Mistake("d_scores", "the upstream gradient is added instead of multiplied", added, passages.ONE_RULE))
    return [*own, *mistakes.of_result("d_scores", score_gradient, "N classes")]


LOSSES = [
    Exercise("cross_entropy_forward", ("loss",), {"loss": {SMALL: 0.5, LARGE: 1, FLOAT32: 0.5}}, draw_scores(False),
             reference.softmax_cross_entropy, loss_mistakes(), passages.CROSS_ENTROPY),
    Exercise("cross_entropy_backward", ("d_scores",), {"d_scores": {SMALL: 1.5, LARGE: 1, FLOAT32: 0.5}},
             draw_scores(True), score_gradient, score_gradient_mistakes(), passages.CROSS_ENTROPY),
]  # fmt: skip

STEPS = [
    Step(8, "max and average pooling", "step08_pooling", POOLS),
    Step(9, "softmax and cross-entropy", "step09_cross_entropy", LOSSES),
]
