"""Step 8: max and average pooling, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages, windows
from tinycnn.teaching.grade.diagnosis import PADS_ALL
from tinycnn.teaching.grade.drawing import around, normal, output_shape
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.mistakes import Axis, Geometry

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


def shares(grad_output: Array, kernel_size: tuple[int, int]) -> Array:
    """What each output of average pooling sends to its window: (N, C, KH, KW, OH, OW)."""
    (KH, KW), (N, C, OH, OW) = kernel_size, grad_output.shape
    return np.broadcast_to(grad_output[:, :, None, None] / (KH * KW), (N, C, KH, KW, OH, OW))


WRONG_KERNELS: list[tuple[str, Callable[[int, int], tuple[int, int]]]] = [
    ("has the kernel's height as its width, too", lambda KH, KW: (KH, KH)),
    ("has the kernel's width as its height, too", lambda KH, KW: (KW, KW)),
    ("has one row only", lambda KH, KW: (1, KW)),
    ("has one column only", lambda KH, KW: (KH, 1)),
    ("has one element only", lambda KH, KW: (1, 1)),
    *((f"has one {word} too {much}", lambda KH, KW, rows=rows, columns=columns: (KH + rows, KW + columns))
      for change, much in ((-1, "few"), (1, "many"))
      for word, rows, columns in (("row", change, 0), ("column", 0, change), ("row and one column", change, change))),
]  # fmt: skip


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


def max_gradient(g, x, kernel, stride, padding=0):
    strides = stride if isinstance(stride, tuple) else (stride, stride)
    wide = mistakes.padded(x, around(1, padding), -np.inf)
    return stripped(windows.max_pool_backward(g, wide, kernel, strides), x, padding)


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

    def filled(value: float | str | Callable[[Array], float]) -> Callable[..., Array]:
        """Another number, or mode of np.pad, in the padding."""
        fill = (lambda x: value) if isinstance(value, float) else value
        return lambda x, K, S, P: forward(mistakes.filled(x, P, fill), K, S)

    def cut_off(x: Array, K: tuple[int, int], S: int, P: int, size: tuple[int, int]) -> Array:
        """With windows that may reach beyond the input, where slices end."""
        wide = mistakes.padded(x, (Axis(S, P, P + max(K), 1),) * 2, outside)
        return forward(wide, K, S)[:, :, : size[0], : size[1]]

    def one_for_all(x: Array, K: tuple[int, int], S: int, P: int) -> Array:
        return np.broadcast_to(forward(x, K, S, P).max(axis=(0, 1)), forward(x, K, S, P).shape)

    def padded_everywhere(x: Array, K: tuple[int, int], S: int, P: int) -> Array:
        return forward(np.pad(x, P, constant_values=outside), K, S)

    own = [
        mistake("the windows at the end that do not fit are used too (ceil instead of floor)", passages.SIZE,
                lambda x, K, S, P: forward(x, K, S, P, ceil_mode=True)),
        mistake("the kernel's height and width are swapped", passages.CHANNELS,
                lambda x, K, S, P: forward(x, K[::-1], S, P)),
        *(mistake(f"the window {name}", passages.CHANNELS, lambda x, K, S, P, wrong=wrong: cut_off(
            x, wrong(*K), S, P, y_size(x, K, S, P))) for name, wrong in WRONG_KERNELS),
        mistake("height and width of the output are swapped", passages.AXES,
                lambda x, K, S, P: forward(x, K, S, P).swapaxes(2, 3)),
        mistake(PADS_ALL, passages.PADDING, padded_everywhere),
        mistake(PADS_ALL, passages.PADDING,
                lambda x, K, S, P: padded_everywhere(x, K, S, P)[: len(x), : x.shape[1]]),
        *(mistake(f"the padding {what} instead of counting as {'−∞' if is_max else '0'}", passages.PADDING,
                  filled(fill)) for what, fill in mistakes.WRONG_FILLS),
        *mistakes.of_indices("y", lambda rows, columns, x, **_: (np.max if is_max else np.mean)(
            windows.gathered(x, rows, columns, outside), axis=(2, 3)), window_of, lambda x, **_: x.shape[2:]),
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
            mistake("divided by KH, and KW is added: parentheses are missing in / (KH · KW)", passages.AVERAGE_POOLING,
                    lambda x, K, S, P: forward(x, K, S, P) * K[1] + K[1]),
            mistake("multiplied by KW: parentheses are missing in / (KH · KW)", passages.AVERAGE_POOLING,
                    lambda x, K, S, P: forward(x, K, S, P) * K[1] ** 2),
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
    backward: Callable[..., Array] = max_gradient if is_max else reference.avg_pool_nd_backward
    outside = -np.inf if is_max else 0.0

    def right(grad_output: Array, x: Array, kernel_size: tuple[int, int], stride: int, padding: int) -> Array:
        return backward(grad_output, x, kernel_size, stride, padding)

    def mistake(name: str, see: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("dx", name, lambda grad_output, x, kernel_size, stride, padding: compute(
            grad_output, x, kernel_size, stride, padding
        ), see)  # fmt: skip

    def wide(geometry: Geometry, grad_output: Array, x: Array, kernel_size: tuple[int, int]) -> Array:
        """dx with its padding; outputs that are missing get a gradient of 0."""
        strides, padded = (geometry[0].stride, geometry[1].stride), mistakes.padded(x, geometry, outside)
        size = windows.output_size(padded.shape[2:], kernel_size, strides)
        return backward(mistakes.fitted(grad_output, *size), padded, kernel_size, strides)

    def at(geometry: Geometry, grad_output: Array, x: Array, kernel_size: tuple[int, int]) -> Array:
        dx = wide(geometry, grad_output, x, kernel_size)
        return mistakes.unpadded(dx, geometry, x.shape[2:])

    def starts_without_stride(axes, step, g, x, K, S, P):
        """The maximum of the right window, its place counted from the wrong corner along these axes."""
        steps = [step if axis in axes else S for axis in (0, 1)]
        padded = np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)), constant_values=-np.inf)
        dx = np.zeros_like(padded)
        for n, c, i, j in np.ndindex(g.shape):
            best = int(padded[n, c, i * S : i * S + K[0], j * S : j * S + K[1]].argmax())
            dx[n, c, i * steps[0] + best // K[1], j * steps[1] + best % K[1]] += g[n, c, i, j]
        return stripped(dx, x, P)

    def spread(g, x, K, S, P, divisor):
        """Average pooling's gradient for windows of another size; what lies beyond the input is left out."""
        wide = windows.scattered(shares(g, K) * (K[0] * K[1] / (divisor[0] * divisor[1])),
                                 [n + 2 * P for n in x.shape[2:]], (S, S))  # fmt: skip
        return stripped(wide, x, P)

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
            *(mistake(f"only the {which} element of the window gets a gradient{undivided}", see,
                      lambda g, x, K, *a, place=place, undivided=undivided: wrong_place(
                          lambda best, KH, KW: place(KH, KW), g / (1 if undivided else K[0] * K[1]), x, K, *a))
              for which, place in (("first", lambda KH, KW: (0, 0)), ("last", lambda KH, KW: (KH - 1, KW - 1)),
                                   ("middle", lambda KH, KW: (KH // 2, KW // 2)))
              for undivided in ("", ", and it is not divided by KH·KW")),
            mistake("multiplied by x: its derivative does not depend on x", see,
                    lambda g, x, *a: x * backward(g, x, *a)),
            *(mistake(f"the window {name}{instead}", passages.CHANNELS, lambda g, x, K, S, P, wrong=wrong, own=own: (
                spread(g, x, wrong(*K), S, P, wrong(*K) if own else K)))
              for own, instead in ((False, ""), (True, ", in the divisor too")) for name, wrong in WRONG_KERNELS),
            *mistakes.of_indices("dx", lambda rows, columns, grad_output, x, kernel_size, **_: windows.added(
                shares(grad_output, kernel_size), x.shape[2:], rows, columns), window_of, lambda x, **_: x.shape[2:]),
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


def pool_doubles(is_max: bool) -> Iterator[Mistake]:
    def forward(geometry: Geometry, x: Array, kernel_size: tuple[int, int]) -> Array:
        a = windows.patches(mistakes.padded(x, geometry, -np.inf if is_max else 0.0), kernel_size,
                            [axis.stride for axis in geometry])  # fmt: skip
        return a.max(axis=(2, 3)) if is_max else a.mean(axis=(2, 3))

    yield from mistakes.of_two_in_geometry("y", forward, window_of, False, y_size)
    yield from mistakes.of_two_in_geometry("y", forward, window_of, False)


def pool_gradient_doubles(is_max: bool) -> Iterator[Mistake]:
    def sent(grad_output: Array, x: Array, kernel_size: tuple[int, int], stride: int, padding: int) -> Array:
        if not is_max:
            return shares(grad_output, kernel_size)
        return windows.shares_of_maximum(
            grad_output, mistakes.padded(x, around(1, padding), -np.inf), kernel_size, (stride, stride))

    yield from mistakes.of_scattering("dx", [sent], window_of, lambda x, **_: x.shape[2:], False)


POOLS = [
    Exercise("max_pool_forward", ("y",), {"y": {TILES: 1, OVERLAP: 1.5, FLOAT32: 0.5}}, draw_pool(False),
             reference.max_pool_nd, pool_mistakes("max"), passages.MAX_POOLING,
             partial(pool_doubles, True)),
    Exercise("max_pool_backward", ("dx",), {"dx": {TILES: 1, OVERLAP: 1.5, FLOAT32: 0.5}}, draw_pool(True),
             reference.max_pool_nd_backward, pool_gradient_mistakes("max"), passages.MAX_POOLING,
             partial(pool_gradient_doubles, True)),
    Exercise("avg_pool_forward", ("y",), {"y": {TILES: 0.5, OVERLAP: 1, FLOAT32: 0.5}}, draw_pool(False),
             reference.avg_pool_nd, pool_mistakes("avg"), passages.AVERAGE_POOLING,
             partial(pool_doubles, False)),
    Exercise("avg_pool_backward", ("dx",), {"dx": {TILES: 0.5, OVERLAP: 1, FLOAT32: 0.5}}, draw_pool(True),
             reference.avg_pool_nd_backward, pool_gradient_mistakes("avg"), passages.AVERAGE_POOLING,
             partial(pool_gradient_doubles, False)),
]  # fmt: skip

STEP = Step(8, "max and average pooling", "step08_pooling", POOLS)
