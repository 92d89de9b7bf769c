"""Steps 1 to 7: the size of the output, convolution with loops and with im2col, and their gradients.

The expected values are those of tinycnn.reference. Each mistake is that reference with wrong arguments, or with a wrong
change of its result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake, Step

Array = np.ndarray

PLAIN, GEOMETRY = "stride 1, no padding", "stride, padding"
DILATION, ALL = "dilation", "stride, padding, dilation"

# (N, C, H, W), (O, KH, KW), stride, padding, dilation: the smallest first
PLAIN_SIZES = [
    ((1, 1, 3, 4), (1, 2, 2), 1, 0, 1),
    ((1, 1, 4, 5), (1, 2, 3), 1, 0, 1),
    ((1, 2, 4, 3), (1, 2, 1), 1, 0, 1),
    ((1, 2, 4, 5), (3, 3, 2), 1, 0, 1),
    ((2, 2, 5, 4), (3, 2, 3), 1, 0, 1),
]
GEOMETRY_SIZES = [
    ((1, 1, 4, 5), (1, 2, 1), 2, 0, 1),
    ((1, 1, 5, 7), (1, 3, 3), 2, 0, 1),  # windows overlap
    ((1, 1, 6, 8), (1, 3, 2), 2, 0, 1),  # the last row is in no window
    ((1, 1, 2, 3), (1, 2, 3), 1, 1, 1),
    ((1, 2, 5, 4), (3, 3, 2), 2, 1, 1),
    ((3, 2, 7, 6), (2, 3, 4), 3, 2, 1),
]
DILATION_SIZES = [
    ((1, 1, 4, 5), (1, 2, 2), 1, 0, 2),
    ((1, 1, 7, 5), (1, 3, 2), 1, 0, 3),
    ((2, 2, 6, 8), (3, 3, 2), 2, 1, 2),
    ((2, 3, 8, 7), (2, 2, 3), 3, 2, 2),
]


def normal(rng: np.random.Generator, *shape: int, small: bool = False) -> Array:
    """Normal random numbers; with `small`, integers from ±1 to ±5, so that a case can be computed on paper."""
    if not small:
        return rng.standard_normal(shape)
    numbers = np.array([-5.0, -4, -3, -2, -1, 1, 2, 3, 4, 5])
    return rng.choice(numbers, shape, replace=int(np.prod(shape)) > len(numbers))  # all different, if there are enough


def with_random(sizes: list, rng: np.random.Generator, dilated: bool = False) -> list:
    """The sizes and one random case."""
    N, C, O, KH, KW, S, P = (int(rng.integers(2, high)) for high in (4, 4, 5, 4, 5, 4, 3))
    D = int(rng.integers(2, 4)) if dilated else 1
    H, W = (int(rng.integers(D * (K - 1) + 1, D * (K - 1) + 6)) for K in (KH, KW))
    return [*sizes, ((N, C, H, W), (O, KH, KW), S, P, D)]


def output_shape(
    size: Sequence[int], kernel_size: Sequence[int], stride: int, padding: int, dilation: int
) -> tuple[int, int]:
    OH, OW = (reference.conv_output_size(n, K, stride, padding, dilation) for n, K in zip(size, kernel_size))
    return OH, OW


# --- 1: the size of the output ----------------------------------------------------------------------------


def draw_sizes(rng: np.random.Generator) -> list[Case]:
    rows = [
        (PLAIN, 4, 4, 1, 0, 1), (PLAIN, 5, 3, 1, 0, 1), (PLAIN, 28, 5, 1, 0, 1),
        (GEOMETRY, 6, 2, 2, 0, 1), (GEOMETRY, 7, 2, 2, 0, 1), (GEOMETRY, 5, 3, 1, 1, 1), (GEOMETRY, 8, 3, 2, 1, 1),
        (GEOMETRY, 11, 4, 3, 2, 1), (GEOMETRY, 224, 7, 2, 3, 1),
        (DILATION, 5, 2, 1, 0, 2), (DILATION, 9, 3, 1, 0, 3), (DILATION, 12, 3, 2, 1, 2), (DILATION, 13, 4, 3, 2, 3),
    ]  # fmt: skip
    for _ in range(4):
        K, S, P, D = (int(n) for n in rng.integers([1, 1, 0, 1], [6, 5, 4, 4]))
        rows.append((DILATION, int(rng.integers(D * (K - 1) + 1, 40)), K, S, P, D))
    names = ("size", "kernel_size", "stride", "padding", "dilation")
    return [Case(level, dict(zip(names, row))) for level, *row in rows]


def size_mistake(name: str, formula: Callable[[int, int, int, int, int], Any]) -> Mistake:
    """n, K, S, P, D: size, kernel_size, stride, padding, dilation."""
    return Mistake("size", name, lambda size, kernel_size, stride, padding, dilation: formula(
        size, kernel_size, stride, padding, dilation
    ))  # fmt: skip


SIZE = Exercise(
    "output_size", ("size",), {"size": {PLAIN: 1, GEOMETRY: 2, DILATION: 2}}, draw_sizes,
    reference.conv_output_size,
    [
        size_mistake("the dilated kernel's extent without its −1: it is dilation·(kernel_size − 1) + 1, not "
                     "dilation·kernel_size", lambda n, K, S, P, D: (n + 2 * P - D * K) // S + 1),
        size_mistake("rounded up (ceil) instead of down: a window that does not fit is not used",
                     lambda n, K, S, P, D: -(-(n + 2 * P - D * (K - 1) - 1) // S) + 1),
        size_mistake("rounded to the nearest instead of down",
                     lambda n, K, S, P, D: round((n + 2 * P - D * (K - 1) - 1) / S) + 1),
        size_mistake("the + 1 is missing: the first window counts too",
                     lambda n, K, S, P, D: (n + 2 * P - D * (K - 1) - 1) // S),
        size_mistake("the padding is counted on one side only",
                     lambda n, K, S, P, D: (n + P - D * (K - 1) - 1) // S + 1),
        size_mistake("the padding is ignored", lambda n, K, S, P, D: (n - D * (K - 1) - 1) // S + 1),
        size_mistake("the stride is ignored", lambda n, K, S, P, D: n + 2 * P - D * (K - 1)),
        size_mistake("the dilation is ignored", lambda n, K, S, P, D: (n + 2 * P - K) // S + 1),
        size_mistake("the + 1 is inside the division: floor first, then add 1",
                     lambda n, K, S, P, D: (n + 2 * P - D * (K - 1)) // S),
        size_mistake("a position too many: the extent is dilation·(kernel_size − 1) + 1",
                     lambda n, K, S, P, D: (n + 2 * P - D * (K - 1)) // S + 1),
    ],
)  # fmt: skip


# --- convolution forward (2, 6) ---------------------------------------------------------------------------


def conv(x: Array, w: Array, b: Array, stride: int = 1, padding: int = 0, dilation: int = 1) -> Array:
    return reference.conv_nd(x, w, b, stride, padding, dilation)


def rotated(w: Array) -> Array:
    return w[:, :, ::-1, ::-1]


def turned(w: Array) -> Array:
    """The kernel with rows and columns swapped: what w[.., l, k] reads, an IndexError where it is not square."""
    if w.shape[2] != w.shape[3]:
        raise IndexError
    return w.swapaxes(2, 3)


def pad_at_end(x: Array, padding: int) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))


def at_wrong_places(x, w, b, stride=1, padding=0, dilation=1, *, steps=None, taps=None):
    """The right number of windows with the wrong stride `steps` and the wrong dilation `taps`."""
    OH, OW = output_shape(x.shape[2:], w.shape[2:], stride, padding, dilation)
    return conv(x, w, b, steps or stride, padding, taps or dilation)[:, :, :OH, :OW]


def first_channel_only(x: Array, w: Array, b: Array, *geometry: int) -> Array:
    return conv(x[:, :1], w[:, :1], b, *geometry)


def overwritten_sum(x: Array, w: Array, b: Array, *geometry: int) -> Array:
    last = np.zeros_like(w)
    last[:, -1, -1, -1] = w[:, -1, -1, -1]
    return conv(x, last, b, *geometry)


def rows_by_kernel(w: Array) -> Array:
    """The weight with its rows in the order (KH, KW, C), read as (C, KH, KW)."""
    O, C, KH, KW = w.shape
    return w.transpose(0, 2, 3, 1).reshape(O, C, KH, KW)


def undilated(mistakes: list[Mistake]) -> list[Mistake]:
    """The mistakes that are possible without dilation."""
    return [mistake for mistake in mistakes if "dilation" not in mistake.name]


def forward_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("y", name, lambda x, w, b, **geometry: compute(x, w, b, *geometry.values()))

    return [
        mistake("the kernel is rotated by 180°: what is called convolution here is cross-correlation",
                lambda x, w, b, *g: conv(x, rotated(w), b, *g)),
        mistake("the bias is missing", lambda x, w, b, *g: conv(x, w, 0 * b, *g)),
        mistake("the bias is added at every product instead of once an output",
                lambda x, w, b, *g: conv(x, w, b * w[0].size, *g)),
        mistake("the bias is added for every channel instead of once an output",
                lambda x, w, b, *g: conv(x, w, b * w.shape[1], *g)),
        mistake("= instead of +=: only the last product of the sum is kept", overwritten_sum),
        mistake("= instead of +=: only the last channel of the sum is kept",
                lambda x, w, b, *g: conv(x[:, -1:], w[:, -1:], b, *g)),
        mistake("only the first channel of x is read", first_channel_only),
        mistake("the kernel's rows and columns are swapped", lambda x, w, b, *g: conv(x, turned(w), b, *g)),
        mistake("height and width of the output are swapped", lambda x, w, b, *g: conv(x, w, b, *g).swapaxes(2, 3)),
        mistake("the stride is ignored: the window moves one step at a time",
                lambda x, w, b, *g: at_wrong_places(x, w, b, *g, steps=1)),
        mistake("the stride is ignored: the window moves one step at a time",
                lambda x, w, b, stride, *g: conv(x, w, b, 1, *g)),
        mistake("the padding is ignored", lambda x, w, b, stride, padding, *g: conv(x, w, b, stride, 0, *g)),
        mistake("the padding is put at the end only, not on both sides",
                lambda x, w, b, stride, padding, *g: conv(pad_at_end(x, padding), w, b, stride, 0, *g)),
        mistake("the padding repeats the border instead of being 0",
                lambda x, w, b, stride, padding, *g: conv(
                    np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), mode="edge"), w, b, stride, 0,
                    *g)),
        mistake("the dilation is ignored", lambda x, w, b, *g: at_wrong_places(x, w, b, *g, taps=1)),
        mistake("the dilation is ignored",
                lambda x, w, b, stride, padding, dilation=1: conv(x, w, b, stride, padding, 1)),
        mistake("the dilation is off by one", lambda x, w, b, stride, padding, dilation=1: at_wrong_places(
            x, w, b, stride, padding, dilation, taps=max(1, dilation - 1))),
        mistake("the rows of the columns and those of the weight matrix are ordered differently (channel, kernel row, "
                "kernel column against kernel row, kernel column, channel)",
                lambda x, w, b, *g: conv(x, rows_by_kernel(w), b, *g)),
    ]  # fmt: skip


def draw_conv(levels: dict[str, list], backward: bool, dilation: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, sizes in levels.items():
            for size, (O, KH, KW), S, P, D in sizes if level == PLAIN else with_random(sizes, rng, dilation):
                small = size[0] * size[1] * O == 1
                x, w = normal(rng, *size, small=small), normal(rng, O, size[1], KH, KW, small=small)
                y_shape = (size[0], O, *output_shape(size[2:], (KH, KW), S, P, D))
                upstream = {"grad_output": normal(rng, *y_shape, small=small)} if backward else {}
                geometry = {"stride": S, "padding": P} | ({"dilation": D} if dilation else {})
                cases.append(Case(level, {**upstream, "x": x, "w": w, "b": normal(rng, O, small=small), **geometry}))
        return cases

    return draw


# --- convolution backward (3, 6) --------------------------------------------------------------------------


def gradients(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    return reference.conv_nd_backward(grad_output, x, w, stride, padding, dilation)


def embedded(grad_output: Array, height: int, width: int) -> Array:
    """`grad_output` in the corner of a larger array of zeros."""
    OH, OW = grad_output.shape[2:]
    return np.pad(grad_output, ((0, 0), (0, 0), (0, height - OH), (0, width - OW)))


def gradients_at_wrong_places(g, x, w, b, stride=1, padding=0, dilation=1, *, steps=None, taps=None):
    """The gradients for the wrong stride `steps` and the wrong dilation `taps`."""
    steps, taps = steps or stride, taps or dilation
    shape = output_shape(x.shape[2:], w.shape[2:], steps, padding, taps)
    return gradients(embedded(g, *shape), x, w, b, steps, padding, taps)


def padded_dx(g: Array, x: Array, w: Array, b: Array, stride: int, padding: int, *dilation: int) -> Array:
    """dx of the padded input."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return gradients(g, padded, w, b, stride, 0, *dilation)[0]


def overwritten_dx(g, x, w, b, stride=1, padding=0, dilation=1, *, sums_channels=False):
    """dx with = instead of +=: keeps the last window and, unless `sums_channels`, the last output channel."""
    N, C, H, W = x.shape
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    wanted = np.einsum("noij,ockl->nijckl", g if sums_channels else g[:, -1:], w if sums_channels else w[-1:])
    for i, j in np.ndindex(g.shape[2:]):
        rows, columns = (slice(p * stride, p * stride + dilation * (K - 1) + 1, dilation)
                         for p, K in zip((i, j), w.shape[2:]))  # fmt: skip
        dx[:, :, rows, columns] = wanted[:, i, j]
    inside = slice(padding, padding + H), slice(padding, padding + W)
    return dx[:, :, *inside]


def overwritten_dw(g, x, w, b, *geometry, keeps_batch=False):
    """dw with = instead of +=: keeps the last position, of the last sample or summed over the samples."""
    last = np.zeros_like(g)
    samples = slice(None) if keeps_batch else slice(-1, None)
    last[samples, :, -1, -1] = g[samples, :, -1, -1]
    return gradients(last, x, w, b, *geometry)[1]


def backward_mistakes() -> list[Mistake]:
    def mistakes(index: int, rows: list[tuple[str, Callable[..., Any]]]) -> list[Mistake]:
        def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
            return Mistake(("dx", "dw", "db")[index], name, lambda grad_output, x, w, b, **geometry: compute(
                grad_output, x, w, b, *geometry.values()
            ))  # fmt: skip

        shared = [
            ("the upstream gradient is ignored (as if it were all ones)",
             lambda g, *a: gradients(np.ones_like(g), *a)[index]),
            ("the gradient is missing (zeros)", lambda g, *a: np.zeros_like(gradients(g, *a)[index])),
            ("the sign is wrong", lambda g, *a: -gradients(g, *a)[index]),
            ("averaged over the batch: the gradient is a sum", lambda g, *a: gradients(g, *a)[index] / len(g)),
            ("averaged over the positions: the gradient is a sum",
             lambda g, *a: gradients(g, *a)[index] / g[0, 0].size),
            ("averaged over batch and positions: the gradient is a sum",
             lambda g, *a: gradients(g, *a)[index] / g[:, 0].size),
        ]  # fmt: skip
        return [mistake(*row) for row in shared + rows]

    stride = "the stride is ignored: output i belongs to the window that starts at i·stride"
    flipped_dx = ("the kernel is rotated (or not) where it should not be (or should): y[i] += w[k] · x[i + k] sends "
                  "g[i] · w[k] to x[i + k]")  # fmt: skip
    return [
        *mistakes(0, [
            (flipped_dx, lambda g, x, w, *a: gradients(g, x, rotated(w), *a)[0]),
            ("= instead of +=: where windows overlap their gradients add up", overwritten_dx),
            ("= instead of +=: where windows overlap their gradients add up",
             lambda *a: overwritten_dx(*a, sums_channels=True)),
            ("only the last output channel reaches x: its gradient is the sum over all of them",
             lambda g, x, w, b, *a: gradients(g[:, -1:], x, w[-1:], b, *a)[0]),
            ("the padding is not stripped from dx", padded_dx),
            ("the padding is stripped at the end only: x starts at [padding], not at [0]",
             lambda g, x, *a: padded_dx(g, x, *a)[:, :, : x.shape[2], : x.shape[3]]),
            ("the kernel's rows and columns are swapped", lambda g, x, w, *a: gradients(g, x, turned(w), *a)[0]),
            (stride, lambda *a: gradients_at_wrong_places(*a, steps=1)[0]),
            ("the dilation is ignored", lambda *a: gradients_at_wrong_places(*a, taps=1)[0]),
            ("the dilation is off by one", lambda g, x, w, b, stride, padding, dilation=1: gradients_at_wrong_places(
                g, x, w, b, stride, padding, dilation, taps=max(1, dilation - 1))[0]),
            ("the rows of the columns and those of the weight matrix are ordered differently (channel, kernel row, "
             "kernel column against kernel row, kernel column, channel)",
             lambda g, x, w, *a: gradients(g, x, rows_by_kernel(w), *a)[0]),
        ]),
        *mistakes(1, [
            ("dw is rotated by 180°: w[k] meets x[i + k], so dw[k] sums g[i] · x[i + k]",
             lambda *a: rotated(gradients(*a)[1])),
            ("= instead of +=: the kernel is used at every position, and all of them add up", overwritten_dw),
            ("= instead of +=: the kernel is used at every position, and all of them add up",
             lambda *a: overwritten_dw(*a, keeps_batch=True)),
            ("the batch is forgotten: only the first sample counts",
             lambda g, x, *a: gradients(g[:1], x[:1], *a)[1]),
            ("the batch is forgotten: only the last sample counts",
             lambda g, x, *a: gradients(g[-1:], x[-1:], *a)[1]),
            ("the padding is taken at the wrong side",
             lambda g, x, w, b, stride, padding, *a: gradients(g, pad_at_end(x, padding), w, b, stride, 0, *a)[1]),
            ("rows and columns of dw are swapped", lambda *a: turned(gradients(*a)[1])),
            (stride, lambda *a: gradients_at_wrong_places(*a, steps=1)[1]),
            ("the dilation is ignored", lambda *a: gradients_at_wrong_places(*a, taps=1)[1]),
            ("the dilation is off by one", lambda g, x, w, b, stride, padding, dilation=1: gradients_at_wrong_places(
                g, x, w, b, stride, padding, dilation, taps=max(1, dilation - 1))[1]),
            ("the batch axis is still there: sum over it",
             lambda g, x, *a: np.stack([gradients(g[n:n+1], x[n:n+1], *a)[1] for n in range(len(x))])),
            ("the rows of dw are not in the order of w (channel, kernel row, kernel column)",
             lambda *a: gradients(*a)[1].transpose(0, 2, 3, 1).reshape(a[2].shape)),
            ("the rows of dw are not in the order of w (channel, kernel row, kernel column)",
             lambda *a: gradients(*a)[1].reshape(len(a[2]), *a[2].shape[2:], -1).transpose(0, 3, 1, 2)),
        ]),
        *mistakes(2, [
            ("db is summed over the wrong axes: one number an output channel, the sum over batch and positions",
             lambda g, *a: g.sum(axis=0)),
            ("db is summed over the wrong axes: one number an output channel, the sum over batch and positions",
             lambda g, *a: g.sum(axis=(2, 3))),
            ("db is summed over the wrong axes: one number an output channel, the sum over batch and positions",
             lambda g, *a: g.sum(axis=(1, 2, 3))),
            ("db is summed over the wrong axes: one number an output channel, the sum over batch and positions",
             lambda g, *a: g.sum()),
            ("db is summed over the wrong axes: one number an output channel, the sum over batch and positions",
             lambda g, *a: g.sum(axis=(0, 2, 3), keepdims=True)),
            ("the batch is forgotten: only the first sample counts", lambda g, *a: g[0].sum(axis=(1, 2))),
            ("the batch is forgotten: only the last sample counts", lambda g, *a: g[-1].sum(axis=(1, 2))),
            ("= instead of +=: all positions and samples add up", lambda g, *a: g[-1, :, -1, -1]),
        ]),
    ]  # fmt: skip


LOOPS = {PLAIN: PLAIN_SIZES, GEOMETRY: GEOMETRY_SIZES}
DILATED = {PLAIN: PLAIN_SIZES, ALL: GEOMETRY_SIZES + DILATION_SIZES}

CONV_LOOPS = Exercise(
    "conv_forward_loops", ("y",), {"y": {PLAIN: 4, GEOMETRY: 6}},
    draw_conv(LOOPS, backward=False, dilation=False), conv, undilated(forward_mistakes()),
)  # fmt: skip
CONV_BACKWARD_LOOPS = Exercise(
    "conv_backward_loops", ("dx", "dw", "db"),
    {"dx": {PLAIN: 3, GEOMETRY: 4}, "dw": {PLAIN: 2, GEOMETRY: 3}, "db": {PLAIN: 1, GEOMETRY: 2}},
    draw_conv(LOOPS, backward=True, dilation=False), gradients, undilated(backward_mistakes()),
)  # fmt: skip
CONV = Exercise(
    "conv_forward", ("y",), {"y": {PLAIN: 2, ALL: 2}},
    draw_conv(DILATED, backward=False, dilation=True), conv, forward_mistakes(),
)  # fmt: skip
CONV_BACKWARD = Exercise(
    "conv_backward", ("dx", "dw", "db"),
    {"dx": {PLAIN: 2, ALL: 2}, "dw": {PLAIN: 2, ALL: 2}, "db": {PLAIN: 1, ALL: 1}},
    draw_conv(DILATED, backward=True, dilation=True), gradients, backward_mistakes(),
)  # fmt: skip


# --- 4: im2col --------------------------------------------------------------------------------------------

PATCHES = {PLAIN: PLAIN_SIZES, GEOMETRY: GEOMETRY_SIZES, DILATION: DILATION_SIZES}


def draw_im2col(rng: np.random.Generator) -> list[Case]:
    return [
        Case(level, {"x": normal(rng, *size, small=size[0] * size[1] == 1), "kernel_size": (KH, KW), "stride": S,
                     "padding": P, "dilation": D})
        for level, sizes in PATCHES.items()
        for size, (_, KH, KW), S, P, D in (sizes if level == PLAIN else with_random(sizes, rng, level == DILATION))
    ]  # fmt: skip


def six(columns: Array, C: int, kernel_size: tuple[int, int], OH: int) -> Array:
    """(N, C·KH·KW, OH·OW) as (N, C, KH, KW, OH, OW)."""
    return columns.reshape(len(columns), C, *kernel_size, OH, columns.shape[2] // OH)


def im2col_of(x: Array, kernel_size: tuple[int, int], *geometry: int) -> Array:
    """The right columns as (N, C, KH, KW, OH, OW)."""
    OH, _ = output_shape(x.shape[2:], kernel_size, *geometry)
    return six(reference.im2col_loops(x, kernel_size, *geometry), x.shape[1], kernel_size, OH)


def im2col_mistakes() -> list[Mistake]:
    def reordered(name: str, *order: int, rows: int = 3, start: int = 1) -> Mistake:
        def compute(x: Array, kernel_size: tuple[int, int], **geometry: int) -> Array:
            a = im2col_of(x, kernel_size, *geometry.values()).transpose(order)
            s = a.shape
            return a.reshape(*s[:start], int(np.prod(s[start : start + rows])), -1)

        return Mistake("columns", name, compute)

    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("columns", name, lambda x, kernel_size, **g: compute(x, kernel_size, *g.values()))

    def wrong_places(x, K, stride, padding, dilation, steps, taps):
        OH, OW = output_shape(x.shape[2:], K, stride, padding, dilation)
        a = im2col_of(x, K, steps, padding, taps)[..., :OH, :OW]
        return a.reshape(len(x), -1, OH * OW)

    order = "the rows are in another order than channel, kernel row, kernel column"
    padding = "the padding is put at the end only, not on both sides"
    return [
        reordered(f"{order}: here kernel row, kernel column, channel", 0, 2, 3, 1, 4, 5),
        reordered(f"{order}: here channel, kernel column, kernel row", 0, 1, 3, 2, 4, 5),
        reordered(f"{order}: here kernel column, kernel row, channel", 0, 3, 2, 1, 4, 5),
        reordered("the columns are in another order than output row, output column", 0, 1, 2, 3, 5, 4),
        reordered("rows and columns are swapped: (N, OH·OW, C·KH·KW) instead of (N, C·KH·KW, OH·OW)", 0, 4, 5, 1, 2, 3,
                  rows=2),
        reordered("the samples lie side by side in one matrix: keep N as the first axis", 1, 2, 3, 0, 4, 5, start=0),
        mistake("rows and columns are mixed up: a reshape cannot take the place of a transpose",
                lambda x, K, *g: im2col_of(x, K, *g).transpose(0, 4, 5, 1, 2, 3).reshape(
                    len(x), x.shape[1] * K[0] * K[1], -1)),
        mistake("the kernel is rotated by 180°",
                lambda x, K, *g: im2col_of(x, K, *g)[:, :, ::-1, ::-1].reshape(len(x), x.shape[1] * K[0] * K[1], -1)),
        mistake("the stride is ignored: the window moves one step at a time",
                lambda x, K, S, P, D: wrong_places(x, K, S, P, D, 1, D)),
        mistake("the stride is ignored: the window moves one step at a time",
                lambda x, K, S, P, D: reference.im2col_loops(x, K, 1, P, D)),
        mistake("the padding is ignored", lambda x, K, S, P, D: reference.im2col_loops(x, K, S, 0, D)),
        mistake(padding, lambda x, K, S, P, D: reference.im2col_loops(pad_at_end(x, P), K, S, 0, D)),
        mistake("the dilation is ignored", lambda x, K, S, P, D: wrong_places(x, K, S, P, D, S, 1)),
        mistake("the dilation is ignored", lambda x, K, S, P, D: reference.im2col_loops(x, K, S, P, 1)),
        mistake("the dilation is off by one", lambda x, K, S, P, D: wrong_places(x, K, S, P, D, S, max(1, D - 1))),
    ]  # fmt: skip


IM2COL = Exercise(
    "im2col", ("columns",), {"columns": {PLAIN: 2, GEOMETRY: 3, DILATION: 3}}, draw_im2col, reference.im2col_loops,
    im2col_mistakes(),
)  # fmt: skip


# --- 5: col2im --------------------------------------------------------------------------------------------


def draw_col2im(rng: np.random.Generator) -> list[Case]:
    cases = []
    for level, sizes in PATCHES.items():
        for (N, C, H, W), (_, KH, KW), S, P, D in (
            sizes if level == PLAIN else with_random(sizes, rng, level == DILATION)
        ):
            OH, OW = output_shape((H, W), (KH, KW), S, P, D)
            columns = normal(rng, N, C * KH * KW, OH * OW, small=N * C == 1)
            geometry = {"input_size": (H, W), "kernel_size": (KH, KW), "stride": S, "padding": P, "dilation": D}
            cases.append(Case(level, {"columns": columns, **geometry}))
    return cases


def overwriting_col2im(columns, size, K, S, P, D, *, by_position=False):
    """col2im with = instead of +=, in a loop over the kernel or over the positions."""
    (H, W), OH = size, output_shape(size, K, S, P, D)[0]
    a = six(columns, columns.shape[1] // (K[0] * K[1]), K, OH)
    x = np.zeros((*a.shape[:2], H + 2 * P, W + 2 * P))
    if by_position:
        for i, j in np.ndindex(a.shape[4:]):
            x[:, :, i * S : i * S + D * (K[0] - 1) + 1 : D, j * S : j * S + D * (K[1] - 1) + 1 : D] = a[..., i, j]
    else:
        for k, l in np.ndindex(K):
            x[:, :, k * D : k * D + S * a.shape[4] : S, l * D : l * D + S * a.shape[5] : S][
                :, :, : a.shape[4], : a.shape[5]
            ] = a[:, :, k, l]
    return x[:, :, P : P + H, P : P + W]


def col2im_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("x", name, lambda columns, input_size, kernel_size, **g: compute(
            columns, input_size, kernel_size, *g.values()
        ))  # fmt: skip

    def padded(columns, size, K, S, P, D):
        return reference.col2im_loops(columns, (size[0] + 2 * P, size[1] + 2 * P), K, S, 0, D)

    def reordered(columns: Array, order: tuple[int, ...], shape: Callable[..., tuple], *a: Any) -> Array:
        """col2im of the columns with their rows in another order."""
        size, K, *g = a
        C, OH = columns.shape[1] // (K[0] * K[1]), output_shape(size, K, *g)[0]
        OW = columns.shape[2] // OH
        read = columns.reshape(len(columns), *shape(C, *K, OH, OW)).transpose(0, *order)
        return reference.col2im_loops(read.reshape(columns.shape), *a)

    def wrong_places(columns, size, K, S, P, D, steps, taps):
        old, new = output_shape(size, K, S, P, D), output_shape(size, K, steps, P, taps)
        a = columns.reshape(*columns.shape[:2], *old)
        a = np.pad(a, ((0, 0), (0, 0), (0, new[0] - old[0]), (0, new[1] - old[1])))
        return reference.col2im_loops(a.reshape(*columns.shape[:2], -1), size, K, steps, P, taps)

    def averaged(columns, *a):
        counts = reference.col2im_loops(np.ones_like(columns), *a)
        return reference.col2im_loops(columns, *a) / np.maximum(counts, 1)

    overwritten = "= instead of +=: where windows overlap, their values add up"
    order = "the rows are read in another order than channel, kernel row, kernel column"
    return [
        mistake(overwritten, overwriting_col2im),
        mistake(overwritten, lambda *a: overwriting_col2im(*a, by_position=True)),
        mistake("averaged where windows overlap: col2im is im2col's adjoint, not its inverse, so values add up",
                averaged),
        mistake("the padding is not stripped", padded),
        mistake("the padding is stripped at the end only: x starts at [padding], not at [0]",
                lambda columns, size, *a: padded(columns, size, *a)[:, :, : size[0], : size[1]]),
        mistake(f"{order}: here kernel row, kernel column, channel", lambda columns, *a: reordered(
            columns, (3, 1, 2, 4, 5), lambda C, KH, KW, OH, OW: (KH, KW, C, OH, OW), *a)),
        mistake(f"{order}: here channel, kernel column, kernel row", lambda columns, *a: reordered(
            columns, (1, 3, 2, 4, 5), lambda C, KH, KW, OH, OW: (C, KW, KH, OH, OW), *a)),
        mistake("the columns are read in another order than output row, output column", lambda columns, *a: reordered(
            columns, (1, 2, 3, 5, 4), lambda C, KH, KW, OH, OW: (C, KH, KW, OW, OH), *a)),
        mistake("the kernel is rotated by 180°", lambda columns, size, K, *g: reference.col2im_loops(
            columns.reshape(len(columns), -1, *K, columns.shape[2])[:, :, ::-1, ::-1].reshape(columns.shape),
            size, K, *g)),
        mistake("the stride is ignored: the window moves one step at a time",
                lambda columns, size, K, S, P, D: wrong_places(columns, size, K, S, P, D, 1, D)),
        mistake("the dilation is ignored",
                lambda columns, size, K, S, P, D: wrong_places(columns, size, K, S, P, D, S, 1)),
        mistake("the dilation is off by one",
                lambda columns, size, K, S, P, D: wrong_places(columns, size, K, S, P, D, S, max(1, D - 1))),
        mistake("height and width are swapped", lambda *a: reference.col2im_loops(*a).swapaxes(2, 3)),
    ]  # fmt: skip


COL2IM = Exercise(
    "col2im", ("x",), {"x": {PLAIN: 2, GEOMETRY: 3, DILATION: 3}}, draw_col2im, reference.col2im_loops,
    col2im_mistakes(),
)  # fmt: skip


# --- 7: the input gradient as a transposed convolution ----------------------------------------------------


def insert_zeros(grad_output: Array, stride: int) -> Array:
    N, O, OH, OW = grad_output.shape
    y = np.zeros((N, O, (OH - 1) * stride + 1, (OW - 1) * stride + 1))
    for i, j in np.ndindex(OH, OW):
        y[:, :, i * stride, j * stride] = grad_output[:, :, i, j]
    return y


def zeros_everywhere(grad_output: Array, stride: int) -> Array:
    """`stride − 1` zeros also after the last row and column."""
    return embedded(insert_zeros(grad_output, stride), *(stride * n for n in grad_output.shape[2:]))


def rotate_kernel(w: Array) -> Array:
    O, C, KH, KW = w.shape
    y = np.zeros((C, O, KH, KW))
    for o, c, k, l in np.ndindex(w.shape):
        y[c, o, KH - 1 - k, KW - 1 - l] = w[o, c, k, l]
    return y


def draw_insert_zeros(rng: np.random.Generator) -> list[Case]:
    sizes = [((1, 1, 2, 3), 2), ((1, 1, 3, 2), 1), ((1, 2, 3, 2), 3), ((3, 2, 4, 3), 2)]
    return [Case("", {"grad_output": normal(rng, *s, small=i < 2), "stride": S}) for i, (s, S) in enumerate(sizes)]


def draw_rotate_kernel(rng: np.random.Generator) -> list[Case]:
    sizes = [(1, 1, 2, 2), (1, 1, 2, 3), (1, 2, 2, 2), (3, 2, 3, 2)]
    return [Case("", {"w": normal(rng, *size, small=i < 3)}) for i, size in enumerate(sizes)]


def draw_transpose(rng: np.random.Generator) -> list[Case]:
    cases = []
    for case in draw_conv(DILATED, backward=True, dilation=True)(rng):
        a = dict(case.arguments)
        a["input_size"] = a.pop("x").shape[2:]
        names = ("grad_output", "w", "input_size", "stride", "padding", "dilation")
        cases.append(Case(case.level, {name: a[name] for name in names}))
    return cases


def transpose(grad_output, w, input_size, stride=1, padding=0, dilation=1):
    x = np.zeros((len(grad_output), w.shape[1], *input_size))
    return gradients(grad_output, x, w, None, stride, padding, dilation)[0]


def without_leftover(g, w, size, stride, padding, dilation):
    """Without the rows and columns after the last window: the smallest size with this output size."""
    dx = transpose(g, w, size, stride, padding, dilation)
    (OH, OW), (KH, KW) = g.shape[2:], w.shape[2:]
    return dx[:, :, : (OH - 1) * stride + dilation * (KH - 1) + 1 - 2 * padding,
              : (OW - 1) * stride + dilation * (KW - 1) + 1 - 2 * padding]  # fmt: skip


def leftover_in_front(g, w, size, *a):
    """With the rows and columns after the last window moved before the first."""
    dx = without_leftover(g, w, size, *a)
    return np.pad(dx, ((0, 0), (0, 0), (size[0] - dx.shape[2], 0), (size[1] - dx.shape[3], 0)))


def transpose_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("dx", name, lambda grad_output, w, input_size, **g: compute(
            grad_output, w, input_size, *g.values()
        ))  # fmt: skip

    def wrong_places(g, w, size, S, P, D, steps, taps):
        return transpose(embedded(g, *output_shape(size, w.shape[2:], steps, P, taps)), w, size, steps, P, taps)

    def padded(g, w, size, S, P, D):
        return transpose(g, w, (size[0] + 2 * P, size[1] + 2 * P), S, 0, D)

    def unswapped(g, w, *a):
        if w.shape[0] != w.shape[1]:
            raise ValueError
        return transpose(g, w.swapaxes(0, 1), *a)

    return [
        mistake("the upstream gradient is ignored (as if it were all ones)",
                lambda g, *a: transpose(np.ones_like(g), *a)),
        mistake("the kernel is not rotated by 180°", lambda g, w, *a: transpose(g, rotated(w), *a)),
        mistake("the kernel is mirrored top to bottom only, not rotated by 180°",
                lambda g, w, *a: transpose(g, w[:, :, :, ::-1], *a)),
        mistake("the kernel is mirrored left to right only, not rotated by 180°",
                lambda g, w, *a: transpose(g, w[:, :, ::-1], *a)),
        mistake("input and output channels of the kernel are not swapped", unswapped),
        mistake("no zeros are inserted: the stride is ignored",
                lambda g, w, size, S, P, D: wrong_places(g, w, size, S, P, D, 1, D)),
        mistake("the padding is not stripped: pad by dilation·(K − 1) − padding", padded),
        mistake("the padding is stripped at the end only: x starts at [padding], not at [0]",
                lambda g, w, size, *a: padded(g, w, size, *a)[:, :, : size[0], : size[1]]),
        mistake("the dilation is ignored", lambda g, w, size, S, P, D: wrong_places(g, w, size, S, P, D, S, 1)),
        mistake("the dilation is off by one",
                lambda g, w, size, S, P, D: wrong_places(g, w, size, S, P, D, S, max(1, D - 1))),
        mistake("the rows and columns behind the last window are missing: they get zeros, up to input_size",
                without_leftover),
        mistake("the rows and columns behind the last window are put in front of the first", leftover_in_front),
    ]  # fmt: skip


INSERT_ZEROS = Exercise(
    "insert_zeros", ("spread",), {"spread": {"": 2}}, draw_insert_zeros, insert_zeros,
    [
        Mistake("spread", "stride zeros between neighbours: it takes stride − 1",
                lambda grad_output, stride: insert_zeros(grad_output, stride + 1)),
        Mistake("spread", "zeros behind the last row and column too: they belong between neighbours only",
                zeros_everywhere),
        Mistake("spread", "no zeros are inserted", lambda grad_output, stride: grad_output),
        Mistake("spread", "the elements are repeated instead of zeros inserted", lambda grad_output, stride: (
            grad_output.repeat(stride, 2).repeat(stride, 3))),
    ],
)  # fmt: skip
ROTATE_KERNEL = Exercise(
    "rotate_kernel", ("rotated",), {"rotated": {"": 2}}, draw_rotate_kernel, rotate_kernel,
    [
        Mistake("rotated", "input and output channels are not swapped", rotated),
        Mistake("rotated", "the channels are swapped, but the kernel is not rotated", lambda w: w.swapaxes(0, 1)),
        Mistake("rotated", "the kernel's rows and columns are swapped instead of both reversed",
                lambda w: w.transpose(1, 0, 3, 2)),
        Mistake("rotated", "mirrored top to bottom only: reverse the columns too",
                lambda w: w.swapaxes(0, 1)[:, :, ::-1]),
        Mistake("rotated", "mirrored left to right only: reverse the rows too",
                lambda w: w.swapaxes(0, 1)[:, :, :, ::-1]),
        Mistake("rotated", "rotated by 90°, not by 180°", lambda w: np.rot90(w.swapaxes(0, 1), 1, (2, 3))),
        Mistake("rotated", "rotated by 90°, not by 180°", lambda w: np.rot90(w.swapaxes(0, 1), -1, (2, 3))),
        Mistake("rotated", "the channels are reversed too", lambda w: rotated(w.swapaxes(0, 1))[::-1, ::-1]),
    ],
)  # fmt: skip
CONV_TRANSPOSE = Exercise(
    "conv_transpose", ("dx",), {"dx": {PLAIN: 2, ALL: 4}}, draw_transpose, transpose, transpose_mistakes(),
)  # fmt: skip

STEPS = [
    Step(1, "output size", "step01_output_size", [SIZE]),
    Step(2, "convolution forward, with loops", "step02_conv_forward_loops", [CONV_LOOPS]),
    Step(3, "convolution backward, with loops", "step03_conv_backward_loops", [CONV_BACKWARD_LOOPS]),
    Step(4, "im2col", "step04_im2col", [IM2COL]),
    Step(5, "col2im", "step05_col2im", [COL2IM]),
    Step(6, "convolution through im2col and col2im", "step06_conv", [CONV, CONV_BACKWARD]),
    Step(7, "the input gradient as a transposed convolution", "step07_conv_transpose",
         [INSERT_ZEROS, ROTATE_KERNEL, CONV_TRANSPOSE]),
]  # fmt: skip
