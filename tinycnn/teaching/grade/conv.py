"""Steps 1 to 7: the size of the output, convolution with loops and with im2col, and their gradients.

The expected values are those of tinycnn.reference. Each mistake is that reference with wrong arguments, or with a wrong
change of its result: most are generated (mistakes.py), the others stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages
from tinycnn.teaching.grade.diagnosis import PADS_ALL
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.mistakes import Axis, Geometry

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
    ((1, 1, 2, 3), (1, 1, 2), 1, 2, 1),  # more padding than the kernel can reach over
    ((1, 2, 5, 4), (3, 3, 2), 2, 1, 1),
    ((3, 2, 7, 6), (2, 3, 4), 3, 2, 1),
]
DILATION_SIZES = [
    ((1, 1, 4, 5), (1, 2, 2), 1, 0, 2),
    ((1, 1, 7, 5), (1, 3, 2), 1, 0, 3),
    ((1, 2, 3, 4), (2, 2, 1), 1, 3, 2),  # more padding than the kernel can reach over
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


SIZES = ("size", "kernel_size", "stride", "padding", "dilation")


def size_mistakes() -> list[Mistake]:
    """One part of the formula wrong, or two: (n + pads − extent) divided by S, + plus."""
    right: dict[str, Callable[..., Any]] = {
        "pads": lambda n, K, S, P, D: 2 * P,
        "extent": lambda n, K, S, P, D: D * (K - 1) + 1,
        "divide": lambda room, S, D, K: room // S,
        "plus": lambda S, P: 1,
    }
    extent = "the kernel's extent is dilation·(kernel_size − 1) + 1"
    wrong: list[tuple[str, str, Callable[..., Any]]] = [
        ("the dilated kernel's extent without its −1: it is dilation·(kernel_size − 1) + 1, not dilation·kernel_size",
         "extent", lambda n, K, S, P, D: D * K),
        ("the dilation is ignored", "extent", lambda n, K, S, P, D: K),
        (f"a position too many: {extent}", "extent", lambda n, K, S, P, D: D * (K - 1)),
        (f"{extent}: its + 1 became 2", "extent", lambda n, K, S, P, D: D * (K - 1) + 2),
        (f"{extent}, with kernel_size − 1 gaps", "extent", lambda n, K, S, P, D: (D - 1) * K + 1),
        (f"{extent}, with a gap between all neighbours", "extent", lambda n, K, S, P, D: K + D - 1),
        (f"{extent}, with a gap between all neighbours", "extent", lambda n, K, S, P, D: K + D),
        (f"{extent}, not dilation·(kernel_size + 1) − 1", "extent", lambda n, K, S, P, D: D * (K + 1) - 1),
        (f"{extent}, not dilation·kernel_size + 1", "extent", lambda n, K, S, P, D: D * K + 1),
        (f"{extent}: parentheses are missing", "extent", lambda n, K, S, P, D: D * K - 1 + 1),
        (f"the kernel is ignored: {extent}", "extent", lambda n, K, S, P, D: 0),
        (f"the kernel is ignored: {extent}", "extent", lambda n, K, S, P, D: 1),
        ("the padding is counted on one side only", "pads", lambda n, K, S, P, D: P),
        ("the padding is ignored", "pads", lambda n, K, S, P, D: 0),
        ("the padding is subtracted instead of added", "pads", lambda n, K, S, P, D: -2 * P),
        ("the padding is counted at more than both ends", "pads", lambda n, K, S, P, D: 4 * P),
        ("the padding is dilated", "pads", lambda n, K, S, P, D: 2 * P * D),
        ("rounded up (ceil) instead of down: a window that does not fit is not used", "divide",
         lambda room, S, D, K: -(-room // S)),
        ("rounded to the nearest instead of down", "divide", lambda room, S, D, K: round(room / S)),
        ("truncated towards 0", "divide", lambda room, S, D, K: int(room / S)),
        ("the stride is ignored", "divide", lambda room, S, D, K: room),
        ("stride and dilation are exchanged", "divide", lambda room, S, D, K: room // D),
        ("divided by the kernel's size instead of the stride", "divide", lambda room, S, D, K: room // K),
        ("multiplied by the stride instead of divided", "divide", lambda room, S, D, K: room * S),
        ("the + 1 is missing: the first window counts too", "plus", lambda S, P: 0),
        ("one too many: the + 1 stands for the first window", "plus", lambda S, P: 2),
        ("the + 1 stands for the first window: it is not + stride", "plus", lambda S, P: S),
        ("the − 1 should be + 1: the first window counts too", "plus", lambda S, P: -1),
    ]  # fmt: skip

    def mistake(name: str, changes: dict[str, Callable[..., Any]]) -> Mistake:
        parts = right | changes

        def compute(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> int:
            a = size, kernel_size, stride, padding, dilation
            room = size + parts["pads"](*a) - parts["extent"](*a)
            return parts["divide"](room, stride, dilation, kernel_size) + parts["plus"](stride, padding)

        return Mistake("size", name, compute)

    def whole(name: str, formula: Callable[[int, int, int, int, int], Any]) -> Mistake:
        return Mistake("size", name, lambda **a: formula(*a.values()))

    return [
        *(mistake(name, {part: change}) for name, part, change in wrong),
        whole("the + 1 is inside the division: floor first, then add 1",
              lambda n, K, S, P, D: (n + 2 * P - D * (K - 1)) // S),
        whole("the padding is added after the division: it belongs to the size",
              lambda n, K, S, P, D: (n - D * (K - 1) - 1) // S + 1 + 2 * P),
        whole("parentheses are missing: all of size + 2·padding − extent is divided by the stride",
              lambda n, K, S, P, D: n + 2 * P - (D * (K - 1) + 1) // S + 1),
        whole("parentheses are missing: all of size + 2·padding − extent is divided by the stride",
              lambda n, K, S, P, D: n + (2 * P - D * (K - 1) - 1) // S + 1),
        whole("parentheses are missing: the + 1 is not divided by the stride",
              lambda n, K, S, P, D: (n + 2 * P - D * (K - 1) - 1) // (S + 1)),
        *(mistake(f"{name}; and {other}", {part: change, other_part: other_change})
          for i, (name, part, change) in enumerate(wrong)
          for other, other_part, other_change in wrong[i + 1 :] if other_part != part),
    ]  # fmt: skip


SIZE = Exercise(
    "output_size", ("size",), {"size": {PLAIN: 1, GEOMETRY: 2, DILATION: 2}}, draw_sizes,
    reference.conv_output_size, size_mistakes(), passages.SIZE,
)


# --- convolution forward (2, 6) ---------------------------------------------------------------------------

FLIPPED = "the kernel is rotated by 180°: what is called convolution here is cross-correlation"
ORDER = (
    "the rows of the columns and those of the weight matrix are ordered differently (channel, kernel row, "
    "kernel column against kernel row, kernel column, channel)"
)


def conv(x: Array, w: Array, b: Array, stride: int = 1, padding: int = 0, dilation: int = 1) -> Array:
    return reference.conv_nd(x, w, b, stride, padding, dilation)


def conv_at(geometry: Geometry, x: Array, w: Array, b: Array) -> Array:
    """Convolution with another geometry along each axis."""
    rows, columns = geometry
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    return reference.conv_nd(mistakes.padded(x, geometry), w, b, strides, 0, dilations)


def around(stride: int, padding: int, dilation: int = 1) -> Geometry:
    """The same geometry along both axes."""
    return (Axis(stride, padding, padding, dilation),) * 2


def rotated(w: Array) -> Array:
    return w[:, :, ::-1, ::-1]


def turned(w: Array) -> Array:
    """The kernel with rows and columns swapped: what w[.., l, k] reads, an IndexError where it is not square."""
    if w.shape[2] != w.shape[3]:
        raise IndexError
    return w.swapaxes(2, 3)


def turned_and_broadcast(w: Array) -> Array:
    """What window * w[o].swapaxes(1, 2) reads where one of the kernel's sides is 1: every element meets all others."""
    if 1 not in w.shape[2:]:
        return turned(w)
    return np.broadcast_to(w.sum(axis=(2, 3), keepdims=True), w.shape)


def only_at(w: Array, *index: slice) -> Array:
    """`w` with zeros elsewhere."""
    last = np.zeros_like(w)
    last[:, *index] = w[:, *index]
    return last


def rows_by_kernel(w: Array) -> Array:
    """The weight with its rows in the order (KH, KW, C), read as (C, KH, KW)."""
    O, C, KH, KW = w.shape
    return w.transpose(0, 2, 3, 1).reshape(O, C, KH, KW)


def padded_everywhere(x: Array, padding: int) -> Array:
    """x with zeros around samples and channels too, of which as many are read as x has."""
    return np.pad(x, padding)[: len(x), : x.shape[1]]


def kernel_of(w: Array, **arguments: Any) -> tuple[int, int]:
    return w.shape[2], w.shape[3]


def sizes_of_conv(x: Array, w: Array, stride: int, padding: int, dilation: int = 1, **_: Any) -> dict[str, float]:
    (N, C, _, _), (O, _, KH, KW) = x.shape, w.shape
    OH, OW = y_size(x, w, stride, padding, dilation)
    return {
        "N": N, "OH·OW": OH * OW, "N·OH·OW": N * OH * OW, "C": C, "O": O, "KH·KW": KH * KW, "C·KH·KW": C * KH * KW,
        "O·KH·KW": O * KH * KW, "KH": KH, "KW": KW, "2": 2, "stride": stride, "stride²": stride**2, "N·C": N * C,
        "N·O": N * O,
    }  # fmt: skip


def y_size(x: Array, w: Array, stride: int, padding: int, dilation: int = 1, **_: Any) -> tuple[int, int]:
    return output_shape(x.shape[2:], w.shape[2:], stride, padding, dilation)


def forward_mistakes(dilated: bool) -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any], see: str = "") -> Mistake:
        return Mistake("y", name, lambda x, w, b, **geometry: compute(x, w, b, *geometry.values()), see)

    def edge(x, w, b, stride, padding, *dilation, mode="edge"):
        wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), mode=mode)
        return conv(wide, w, b, stride, 0, *dilation)

    return [
        mistake(FLIPPED, lambda x, w, b, *g: conv(x, rotated(w), b, *g), passages.INPUT),
        mistake("the bias is missing", lambda x, w, b, *g: conv(x, w, 0 * b, *g), passages.CHANNELS),
        mistake("the bias is added at every product instead of once an output",
                lambda x, w, b, *g: conv(x, w, b * w[0].size, *g), passages.CHANNELS),
        mistake("the bias is added for every channel instead of once an output",
                lambda x, w, b, *g: conv(x, w, b * w.shape[1], *g), passages.CHANNELS),
        mistake("the bias is subtracted", lambda x, w, b, *g: conv(x, w, -b, *g), passages.CHANNELS),
        mistake("multiplied by the bias instead of plus the bias",
                lambda x, w, b, *g: conv(x, w, 0 * b, *g) * b[:, None, None], passages.CHANNELS),
        mistake("the mean instead of the sum of the products",
                lambda x, w, b, *g: conv(x, w / w[0].size, b, *g), passages.CHANNELS),
        mistake("the mean over the channels instead of their sum",
                lambda x, w, b, *g: conv(x, w / w.shape[1], b, *g), passages.CHANNELS),
        mistake("= instead of +=: only the last product of the sum is kept",
                lambda x, w, b, *g: conv(x, only_at(w, slice(-1, None), slice(-1, None), slice(-1, None)), b, *g),
                passages.ZEROS),
        mistake("= instead of +=: only the last channel of the sum is kept",
                lambda x, w, b, *g: conv(x, only_at(w, slice(-1, None)), b, *g), passages.ZEROS),
        mistake("= instead of +=: only the last kernel position of the sum is kept",
                lambda x, w, b, *g: conv(x, only_at(w, slice(None), slice(-1, None), slice(-1, None)), b, *g),
                passages.ZEROS),
        mistake("only the first channel of x is read",
                lambda x, w, b, *g: conv(x[:, :1], w[:, :1], b, *g), passages.CHANNELS),
        mistake("the kernel's rows and columns are swapped", lambda x, w, b, *g: conv(x, turned(w), b, *g),
                passages.CHANNELS),
        mistake("the kernel's rows and columns are swapped", lambda x, w, b, *g: conv(
            x, turned_and_broadcast(w), b, *g), passages.CHANNELS),
        mistake("height and width of the output are swapped", lambda x, w, b, *g: conv(x, w, b, *g).swapaxes(2, 3),
                passages.AXES),
        mistake(PADS_ALL, lambda x, w, b, S, P, *D: conv(padded_everywhere(x, P), w, b, S, 0, *D), passages.PADDING),
        mistake(PADS_ALL, lambda x, w, b, S, P, *D: conv(np.pad(x, P)[:, P : P + x.shape[1]], w, b, S, 0, *D),
                passages.PADDING),
        mistake("the padding repeats the border instead of being 0", edge, passages.PADDING),
        mistake("the padding mirrors the border instead of being 0", lambda *a: edge(*a, mode="reflect"),
                passages.PADDING),
        mistake("the padding mirrors the border instead of being 0", lambda *a: edge(*a, mode="symmetric"),
                passages.PADDING),
        mistake("the padding wraps around instead of being 0", lambda *a: edge(*a, mode="wrap"), passages.PADDING),
        mistake(ORDER, lambda x, w, b, *g: conv(x, rows_by_kernel(w), b, *g), passages.IM2COL),
        *mistakes.of_sizes("y", conv, kernel_of, output_shape),
        *mistakes.of_geometry("y", conv_at, kernel_of, dilated, y_size),
        *mistakes.of_result("y", conv, "N O OH OW"),
        *mistakes.of_arguments("y", conv, x="N C H W", w="O C KH KW", b="O"),
        *mistakes.of_factors("y", conv, sizes_of_conv),
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


def padded_gradients(geometry: Geometry, grad_output: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """The gradients with another geometry; dx still has its padding. Outputs that are missing get a gradient of 0."""
    rows, columns = geometry
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    wide = mistakes.padded(x, geometry)
    size = reference._output_size(wide.shape[2:], w.shape[2:], strides, dilations)
    return reference.conv_nd_backward(mistakes.fitted(grad_output, *size), wide, w, strides, 0, dilations)


def dx_at(geometry: Geometry, grad_output: Array, x: Array, w: Array, **_: Any) -> Array:
    rows, columns = geometry
    dx = padded_gradients(geometry, grad_output, x, w)[0]
    return mistakes.fitted(dx[:, :, max(rows.before, 0) :, max(columns.before, 0) :], *x.shape[2:])


def dw_at(geometry: Geometry, grad_output: Array, x: Array, w: Array, **_: Any) -> Array:
    return padded_gradients(geometry, grad_output, x, w)[1]


def padded_dx(grad_output, x, w, b=None, stride=1, padding=0, dilation=1):
    return padded_gradients(around(stride, padding, dilation), grad_output, x, w)[0]


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


def backward_mistakes(dilated: bool) -> list[Mistake]:
    def gradient(index: int) -> Callable[..., Array]:
        return lambda grad_output, x, w, b, **g: gradients(grad_output, x, w, b, **g)[index]

    def own(result: str, index: int, rows: list[tuple[str, str, Callable[..., Any]]]) -> list[Mistake]:
        def mistake(name: str, see: str, compute: Callable[..., Any]) -> Mistake:
            return Mistake(result, name, lambda grad_output, x, w, b, **geometry: compute(
                grad_output, x, w, b, *geometry.values()
            ), see)  # fmt: skip

        shared = [
            (f"averaged over the {word}: the gradient is a sum", passages.SUMS,
             lambda g, *a, over=over: gradients(g, *a)[index] / np.prod([g.shape[i] for i in over]))
            for word, over in (("batch", (0,)), ("positions", (2, 3)), ("batch and positions", (0, 2, 3)))
        ]  # fmt: skip
        return [mistake(*row) for row in rows + shared]

    flipped_dx = ("the kernel is rotated (or not) where it should not be (or should): y[i] += w[k] · x[i + k] sends "
                  "g[i] · w[k] to x[i + k]")  # fmt: skip
    overlap = "= instead of +=: where windows overlap their gradients add up"
    used = "= instead of +=: the kernel is used at every position, and all of them add up"
    not_in_order = "the rows of dw are not in the order of w (channel, kernel row, kernel column)"
    dx, dw = gradient(0), gradient(1)
    return [
        *own("dx", 0, [
            (flipped_dx, passages.INPUT, lambda g, x, w, *a: gradients(g, x, rotated(w), *a)[0]),
            (overlap, passages.ONE_RULE, overwritten_dx),
            (overlap, passages.ONE_RULE, lambda *a: overwritten_dx(*a, sums_channels=True)),
            ("only the last output channel reaches x: its gradient is the sum over all of them", passages.SUMS,
             lambda g, x, w, b, *a: gradients(g[:, -1:], x, w[-1:], b, *a)[0]),
            ("only the first output channel reaches x: its gradient is the sum over all of them", passages.SUMS,
             lambda g, x, w, b, *a: gradients(g[:, :1], x, w[:1], b, *a)[0]),
            ("the kernel's rows and columns are swapped", passages.CHANNELS,
             lambda g, x, w, *a: gradients(g, x, turned(w), *a)[0]),
            (ORDER, passages.IM2COL, lambda g, x, w, *a: gradients(g, x, rows_by_kernel(w), *a)[0]),
            ("x in the place of w: each factor gets the other one times the gradient", passages.ONE_RULE,
             lambda g, x, w, *a: gradients(g, x, np.ones_like(w), *a)[0] * x),
        ]),
        *mistakes.of_crops("dx", padded_dx, lambda x, **_: x.shape[2:]),
        *mistakes.of_geometry("dx", dx_at, kernel_of, dilated),
        *mistakes.of_result("dx", dx, "N C H W"),
        *mistakes.of_arguments("dx", dx, grad_output="N O OH OW", w="O C KH KW"),
        *mistakes.of_factors("dx", dx, sizes_of_conv),
        *own("dw", 1, [
            ("dw is rotated by 180°: w[k] meets x[i + k], so dw[k] sums g[i] · x[i + k]", passages.WEIGHT,
             lambda *a: rotated(gradients(*a)[1])),
            (used, passages.ONE_RULE, overwritten_dw),
            (used, passages.ONE_RULE, lambda *a: overwritten_dw(*a, keeps_batch=True)),
            ("the batch is forgotten: only the first sample counts", passages.SUMS,
             lambda g, x, *a: gradients(g[:1], x[:1], *a)[1]),
            ("the batch is forgotten: only the last sample counts", passages.SUMS,
             lambda g, x, *a: gradients(g[-1:], x[-1:], *a)[1]),
            (PADS_ALL, passages.PADDING, lambda g, x, w, b, S, P, *D: gradients(
                g, padded_everywhere(x, P), w, b, S, 0, *D)[1]),
            ("rows and columns of dw are swapped", passages.AXES, lambda *a: turned(gradients(*a)[1])),
            ("the batch axis is still there: sum over it", passages.SUMS,
             lambda g, x, *a: np.stack([gradients(g[n:n+1], x[n:n+1], *a)[1] for n in range(len(x))])),
            (not_in_order, passages.IM2COL, lambda *a: gradients(*a)[1].transpose(0, 2, 3, 1).reshape(a[2].shape)),
            (not_in_order, passages.IM2COL,
             lambda *a: gradients(*a)[1].reshape(len(a[2]), *a[2].shape[2:], -1).transpose(0, 3, 1, 2)),
        ]),
        *mistakes.of_geometry("dw", dw_at, kernel_of, dilated),
        *mistakes.of_result("dw", dw, "O C KH KW"),
        *mistakes.of_arguments("dw", dw, grad_output="N O OH OW", x="N C H W"),
        *mistakes.of_factors("dw", dw, sizes_of_conv),
        *own("db", 2, [
            ("= instead of +=: all positions and samples add up", passages.ONE_RULE, lambda g, *a: g[-1, :, -1, -1]),
        ]),
        *mistakes.of_sums("db", lambda grad_output, **_: grad_output, "N O OH OW", "O"),
        *mistakes.of_sums("db", lambda grad_output, **_: grad_output.reshape(*grad_output.shape[:2], -1), "N O M", "O"),
        *mistakes.of_result("db", gradient(2), "O"),
        *mistakes.of_arguments("db", gradient(2), grad_output="N O OH OW"),
        *mistakes.of_factors("db", gradient(2), sizes_of_conv),
    ]  # fmt: skip


LOOPS = {PLAIN: PLAIN_SIZES, GEOMETRY: GEOMETRY_SIZES}
DILATED = {PLAIN: PLAIN_SIZES, ALL: GEOMETRY_SIZES + DILATION_SIZES}

CONV_LOOPS = Exercise(
    "conv_forward_loops", ("y",), {"y": {PLAIN: 3, GEOMETRY: 6, FLOAT32: 1}},
    draw_conv(LOOPS, backward=False, dilation=False), conv, forward_mistakes(False), passages.CHANNELS,
)  # fmt: skip
CONV_BACKWARD_LOOPS = Exercise(
    "conv_backward_loops", ("dx", "dw", "db"),
    {"dx": {PLAIN: 2, GEOMETRY: 4, FLOAT32: 1}, "dw": {PLAIN: 1, GEOMETRY: 3, FLOAT32: 1},
     "db": {PLAIN: 1, GEOMETRY: 1, FLOAT32: 1}},
    draw_conv(LOOPS, backward=True, dilation=False), gradients, backward_mistakes(False), passages.SUMS,
)  # fmt: skip
CONV = Exercise(
    "conv_forward", ("y",), {"y": {PLAIN: 1, ALL: 2, FLOAT32: 1}},
    draw_conv(DILATED, backward=False, dilation=True), conv, forward_mistakes(True), passages.IM2COL,
)  # fmt: skip
CONV_BACKWARD = Exercise(
    "conv_backward", ("dx", "dw", "db"),
    {"dx": {PLAIN: 1, ALL: 2, FLOAT32: 1}, "dw": {PLAIN: 1, ALL: 2, FLOAT32: 1},
     "db": {PLAIN: 0.5, ALL: 1, FLOAT32: 0.5}},
    draw_conv(DILATED, backward=True, dilation=True), gradients, backward_mistakes(True), passages.PRODUCT,
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


ROWS, POSITIONS = {1: "channel", 2: "kernel row", 3: "kernel column"}, {4: "output row", 5: "output column"}


def orders(verb: str) -> list[tuple[str, tuple[int, ...]]]:
    """The wrong orders of rows and columns of a matrix of columns: a description, and that of its six axes."""
    found = []
    for rows in permutations(ROWS):
        for positions in permutations(POSITIONS):
            names = []
            if list(rows) != sorted(rows):
                listed = ", ".join(ROWS[axis] for axis in rows)
                right = "channel, kernel row, kernel column"
                names.append(f"the rows are {verb} another order than {right}: here {listed}")
            if list(positions) != sorted(positions):
                names.append(f"the columns are {verb} another order than output row, output column")
            if names:
                found.append(("; ".join(names), (*rows, *positions)))
    return found


def with_size(found: list[Mistake], size: Callable[..., tuple[int, int]]) -> list[Mistake]:
    """The mistakes, each with the right size of the output as one more argument."""

    def one(mistake: Mistake) -> Mistake:
        return Mistake(mistake.result, mistake.name, lambda **a: mistake.compute(**a, size=size(**a)), mistake.see)

    return [one(mistake) for mistake in found]


def im2col_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any], see: str = "") -> Mistake:
        return Mistake("columns", name, lambda x, kernel_size, **g: compute(x, kernel_size, *g.values()), see)

    def reshaped(name: str, see: str, order: tuple[int, ...], kept: int = 1, rows: int = 3) -> Mistake:
        """The six axes in another order, of which the first `kept` stay and the next `rows` are one."""

        def compute(x: Array, kernel_size: tuple[int, int], *geometry: int) -> Array:
            a = im2col_of(x, kernel_size, *geometry).transpose(order)
            return a.reshape(*a.shape[:kept], int(np.prod(a.shape[kept : kept + rows])), -1)

        return mistake(name, compute, see)

    def changed(name: str, see: str, change: Callable[[Array], Array]) -> Mistake:
        return mistake(f"the columns are {name}", lambda x, K, *g: change(im2col_of(x, K, *g)).reshape(
            right(x, K, *g).shape), see)  # fmt: skip

    def at(geometry: Geometry, x: Array, kernel_size: tuple[int, int]) -> Array:
        (rows, columns), wide = geometry, mistakes.padded(x, geometry)
        strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
        OH, _ = reference._output_size(wide.shape[2:], kernel_size, strides, dilations)
        a = six(reference.im2col_loops(wide, kernel_size, strides, 0, dilations), x.shape[1], kernel_size, OH)
        return a.reshape(len(x), -1, *a.shape[4:])  # (N, C·KH·KW, OH, OW)

    def sliced(geometry: Geometry, x: Array, kernel_size: tuple[int, int], size: tuple[int, int]) -> Array:
        """By slices of the padded x: for wrong places they may be too short, and are broadcast or refused."""
        (rows, lefts), wide = geometry, mistakes.padded(x, geometry)
        columns = np.zeros((*x.shape[:2], *kernel_size, *size))
        for k, l in np.ndindex(*kernel_size):
            top, left = k * rows.dilation, l * lefts.dilation
            columns[:, :, k, l] = wide[:, :, top : top + rows.stride * size[0] : rows.stride,
                                       left : left + lefts.stride * size[1] : lefts.stride]  # fmt: skip
        return columns.reshape(len(x), -1, *size)

    def flat(mistake: Mistake) -> Mistake:
        def compute(**arguments: Any) -> Array:
            a = mistake.compute(**arguments)
            return a.reshape(*a.shape[:2], -1)

        return Mistake(mistake.result, mistake.name, compute, mistake.see)

    def everything_padded(x: Array, K: tuple[int, int], S: int, P: int, D: int) -> Array:
        return right(np.pad(x, P), K, S, 0, D)

    right = reference.im2col_loops
    border = "the padding {} instead of being 0"
    modes = {"edge": "repeats the border", "reflect": "mirrors the border", "symmetric": "mirrors the border",
             "wrap": "wraps around"}  # fmt: skip
    matrix = "the samples lie side by side in one matrix: keep N as the first axis"
    size = lambda x, kernel_size, **g: output_shape(x.shape[2:], kernel_size, *g.values())  # noqa: E731
    geometry = mistakes.of_geometry("columns", at, lambda kernel_size, **_: kernel_size, True, size)
    geometry += with_size(mistakes.of_geometry("columns", sliced, lambda kernel_size, **_: kernel_size, True), size)
    return [
        *(reshaped(name, passages.IM2COL, (0, *order)) for name, order in orders("in")),
        reshaped("rows and columns are swapped: (N, OH·OW, C·KH·KW) instead of (N, C·KH·KW, OH·OW)", passages.AXES,
                 (0, 4, 5, 1, 2, 3), rows=2),
        reshaped(matrix, passages.AXES, (1, 2, 3, 0, 4, 5), kept=0),
        reshaped(matrix, passages.AXES, (1, 2, 3, 4, 5, 0), kept=0),
        reshaped(matrix, passages.AXES, (0, 4, 5, 1, 2, 3), kept=0),
        mistake("the result has all its axes still: reshape it to (N, C·KH·KW, OH·OW)", im2col_of, passages.AXES),
        mistake("the kernel's axes are still two: reshape to (N, C·KH·KW, OH·OW)",
                lambda x, K, *g: right(x, K, *g).reshape(len(x), x.shape[1], K[0] * K[1], -1), passages.AXES),
        mistake("rows and columns are mixed up: a reshape cannot take the place of a transpose",
                lambda x, K, *g: im2col_of(x, K, *g).transpose(0, 4, 5, 1, 2, 3).reshape(right(x, K, *g).shape),
                passages.RESHAPE),
        mistake("the kernel is rotated by 180°",
                lambda x, K, *g: im2col_of(x, K, *g)[:, :, ::-1, ::-1].reshape(right(x, K, *g).shape), passages.INPUT),
        mistake(PADS_ALL, everything_padded, passages.PADDING),
        mistake(PADS_ALL, lambda x, K, S, P, D: right(padded_everywhere(x, P), K, S, 0, D), passages.PADDING),
        *(mistake(border.format(what), lambda x, K, S, P, D, mode=mode: right(
            np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)), mode=mode), K, S, 0, D), passages.PADDING)
          for mode, what in modes.items()),
        *map(flat, geometry),
        *(changed(*change) for change in mistakes.changes("N C KH KW OH OW", turned=False)),
        *mistakes.of_arguments("columns", right, x="N C H W"),
        *mistakes.of_result("columns", right, "N C OH"),
    ]  # fmt: skip


IM2COL = Exercise(
    "im2col", ("columns",), {"columns": {PLAIN: 2, GEOMETRY: 3, DILATION: 2, FLOAT32: 1}}, draw_im2col,
    reference.im2col_loops, im2col_mistakes(), passages.IM2COL,
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


def col2im_at(
    geometry: Geometry, columns: Array, input_size: tuple[int, int], kernel_size: tuple[int, int], size: tuple[int, int]
) -> Array:
    """x with its padding, for another geometry; `size` is that of the output. What is missing counts as 0."""
    rows, lefts = geometry
    strides, dilations = (rows.stride, lefts.stride), (rows.dilation, lefts.dilation)
    wide = tuple(n + a.before + a.after for n, a in zip(input_size, geometry))
    new = reference._output_size(wide, kernel_size, strides, dilations)
    a = mistakes.fitted(columns.reshape(*columns.shape[:2], *size), *new)
    return reference.col2im_loops(a.reshape(*columns.shape[:2], -1), wide, kernel_size, strides, 0, dilations)


def col2im_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any], see: str = "") -> Mistake:
        return Mistake("x", name, lambda columns, input_size, kernel_size, **g: compute(
            columns, input_size, kernel_size, *g.values()
        ), see)  # fmt: skip

    def as_six(columns: Array, size: tuple[int, int], K: tuple[int, int], *g: int) -> Array:
        return six(columns, columns.shape[1] // (K[0] * K[1]), K, output_shape(size, K, *g)[0])

    def read(order: tuple[int, ...], columns: Array, *a: Any) -> Array:
        """col2im of columns that are read as if their six axes came in another order."""
        shape, back = as_six(columns, *a).shape, np.argsort((0, *order))
        turned = columns.reshape([shape[axis] for axis in (0, *order)]).transpose(back)
        return right(turned.reshape(columns.shape), *a)

    def changed(name: str, see: str, change: Callable[[Array], Array]) -> Mistake:
        return mistake(f"the columns are read as if they were {name}", lambda columns, *a: right(
            change(as_six(columns, *a)).reshape(columns.shape), *a), see)  # fmt: skip

    def averaged(columns, *a):
        return right(columns, *a) / np.maximum(right(np.ones_like(columns), *a), 1)

    def wide(columns, input_size, kernel_size, stride, padding, dilation):
        size = output_shape(input_size, kernel_size, stride, padding, dilation)
        return col2im_at(around(stride, padding, dilation), columns, input_size, kernel_size, size)

    def at(geometry, columns, input_size, kernel_size, size):
        x = col2im_at(geometry, columns, input_size, kernel_size, size)
        return mistakes.fitted(x[:, :, max(geometry[0].before, 0) :, max(geometry[1].before, 0) :], *input_size)

    right = reference.col2im_loops
    overwritten = "= instead of +=: where windows overlap, their values add up"
    mixed = "rows and columns are mixed up: a reshape cannot take the place of a transpose"
    geometry = mistakes.of_geometry("x", at, lambda kernel_size, **_: kernel_size, True)
    return [
        mistake(overwritten, overwriting_col2im, passages.COL2IM),
        mistake(overwritten, lambda *a: overwriting_col2im(*a, by_position=True), passages.COL2IM),
        mistake("averaged where windows overlap: col2im is im2col's adjoint, not its inverse, so values add up",
                averaged, passages.NOT_AN_INVERSE),
        *(mistake(name, lambda *a, order=order: read(order, *a), passages.IM2COL) for name, order in orders("read in")),
        mistake(mixed, lambda *a: read((4, 5, 1, 2, 3), *a), passages.RESHAPE),
        mistake("the kernel is rotated by 180°", lambda columns, *a: right(
            as_six(columns, *a)[:, :, ::-1, ::-1].reshape(columns.shape), *a), passages.INPUT),
        mistake("height and width are swapped", lambda *a: right(*a).swapaxes(2, 3), passages.AXES),
        *mistakes.of_crops("x", wide, lambda input_size, **_: input_size),
        *with_size(geometry, lambda input_size, kernel_size, columns, **g: output_shape(
            input_size, kernel_size, *g.values())),
        *(changed(*change) for change in mistakes.changes("N C KH KW OH OW", turned=False)),
        *mistakes.of_result("x", right, "N C H W"),
        *mistakes.of_factors("x", right, lambda columns, kernel_size, stride, **_: {
            "N": len(columns), "KH·KW": kernel_size[0] * kernel_size[1], "OH·OW": columns.shape[2], "stride": stride,
            "C·KH·KW": columns.shape[1], "2": 2,
        }),
    ]  # fmt: skip


COL2IM = Exercise(
    "col2im", ("x",), {"x": {PLAIN: 2, GEOMETRY: 3, DILATION: 2, FLOAT32: 1}}, draw_col2im, reference.col2im_loops,
    col2im_mistakes(), passages.COL2IM,
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
    return mistakes.fitted(insert_zeros(grad_output, stride), *(stride * n for n in grad_output.shape[2:]))


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


def without_leftover(g, w, size, stride, padding, dilation, ends=2):
    """Without the rows and columns after the last window; the padding is stripped at one or both `ends`."""
    dx = transpose(g, w, size, stride, padding, dilation)
    rows, columns = (
        max((count - 1) * stride + dilation * (K - 1) + 1 - ends * padding, 0)
        for count, K in zip(g.shape[2:], w.shape[2:])
    )
    return dx[:, :, :rows, :columns]


def leftover_in_front(g, w, size, *a):
    """With the rows and columns after the last window moved before the first."""
    dx = without_leftover(g, w, size, *a)
    return np.pad(dx, ((0, 0), (0, 0), (size[0] - dx.shape[2], 0), (size[1] - dx.shape[3], 0)))


def transpose_at(geometry: Geometry, grad_output: Array, w: Array, input_size: tuple[int, int]) -> Array:
    x = np.zeros((len(grad_output), w.shape[1], *input_size))
    return dx_at(geometry, grad_output, x, w)


def padded_transpose(grad_output, w, input_size, stride, padding, dilation):
    """dx with its padding."""
    x = np.zeros((len(grad_output), w.shape[1], *input_size))
    return padded_dx(grad_output, x, w, None, stride, padding, dilation)


def transpose_mistakes() -> list[Mistake]:
    def mistake(name: str, see: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("dx", name, lambda grad_output, w, input_size, **g: compute(
            grad_output, w, input_size, *g.values()
        ), see)  # fmt: skip

    def unswapped(g, w, *a):
        if w.shape[0] != w.shape[1]:
            raise ValueError
        return transpose(g, w.swapaxes(0, 1), *a)

    def zeros_between(change, g, w, size, S, P, D):
        return transpose_at(around(max(S + change, 1), P, D), g, w, size)

    return [
        mistake("the kernel is not rotated by 180°", passages.INPUT, lambda g, w, *a: transpose(g, rotated(w), *a)),
        mistake("the kernel is mirrored top to bottom only, not rotated by 180°", passages.INPUT,
                lambda g, w, *a: transpose(g, w[:, :, :, ::-1], *a)),
        mistake("the kernel is mirrored left to right only, not rotated by 180°", passages.INPUT,
                lambda g, w, *a: transpose(g, w[:, :, ::-1], *a)),
        mistake("the kernel's rows and columns are swapped", passages.INPUT,
                lambda g, w, *a: transpose(g, turned(w), *a)),
        mistake("the kernel's rows and columns are swapped, and it is not rotated", passages.INPUT,
                lambda g, w, *a: transpose(g, rotated(turned(w)), *a)),
        mistake("input and output channels of the kernel are not swapped", passages.CHANNELS, unswapped),
        mistake("no zeros are inserted: the stride is ignored", passages.INPUT_STRIDE,
                lambda g, w, size, S, P, D: transpose_at(around(1, P, D), g, w, size)),
        mistake("stride zeros between neighbours: it takes stride − 1", passages.INPUT_STRIDE,
                lambda *a: zeros_between(1, *a)),
        mistake("stride − 2 zeros between neighbours: it takes stride − 1", passages.INPUT_STRIDE,
                lambda *a: zeros_between(-1, *a)),
        *mistakes.of_crops("dx", padded_transpose, lambda input_size, **_: input_size),
        *mistakes.of_geometry("dx", transpose_at, kernel_of, True),
        mistake("the rows and columns behind the last window are missing: they get zeros, up to input_size",
                passages.INPUT_STRIDE, without_leftover),
        mistake("the rows and columns behind the last window are missing: they get zeros, up to input_size",
                passages.INPUT_STRIDE, partial(without_leftover, ends=1)),
        mistake("the rows and columns behind the last window are put in front of the first", passages.INPUT_STRIDE,
                leftover_in_front),
        *mistakes.of_result("dx", transpose, "N C H W"),
        *mistakes.of_arguments("dx", transpose, grad_output="N O OH OW", w="O C KH KW"),
        *mistakes.of_factors("dx", transpose, lambda w, input_size, **a: sizes_of_conv(
            x=np.zeros((len(a["grad_output"]), w.shape[1], *input_size)), w=w, **a)),
    ]  # fmt: skip


INSERT_ZEROS = Exercise(
    "insert_zeros", ("spread",), {"spread": {"": 1.5, FLOAT32: 0.5}}, draw_insert_zeros, insert_zeros,
    [
        Mistake("spread", "stride zeros between neighbours: it takes stride − 1",
                lambda grad_output, stride: insert_zeros(grad_output, stride + 1)),
        Mistake("spread", "zeros behind the last row and column too: they belong between neighbours only",
                zeros_everywhere),
        Mistake("spread", "no zeros are inserted", lambda grad_output, stride: grad_output),
        Mistake("spread", "zeros behind the last row too: they belong between neighbours only",
                lambda grad_output, stride: zeros_everywhere(grad_output, stride)[:, :, :, : 1 - stride or None]),
        Mistake("spread", "zeros behind the last column too: they belong between neighbours only",
                lambda grad_output, stride: zeros_everywhere(grad_output, stride)[:, :, : 1 - stride or None]),
        Mistake("spread", "zeros before the first row and column: they belong between neighbours only",
                lambda grad_output, stride: rotated(zeros_everywhere(rotated(grad_output), stride))),
        Mistake("spread", "the elements are repeated instead of zeros inserted", lambda grad_output, stride: (
            grad_output.repeat(stride, 2).repeat(stride, 3))),
        Mistake("spread", "the zeros are inserted between the rows only", lambda grad_output, stride: (
            insert_zeros(grad_output, stride)[..., ::stride])),
        Mistake("spread", "the zeros are inserted between the columns only", lambda grad_output, stride: (
            insert_zeros(grad_output, stride)[:, :, ::stride])),
        *mistakes.of_result("spread", insert_zeros, "N O OH OW"),
    ],
    passages.INPUT_STRIDE,
)  # fmt: skip
ROTATE_KERNEL = Exercise(
    "rotate_kernel", ("rotated",), {"rotated": {"": 1.5, FLOAT32: 0.5}}, draw_rotate_kernel, rotate_kernel,
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
        Mistake("rotated", "the kernel's rows and columns are swapped too",
                lambda w: rotated(w).transpose(1, 0, 3, 2)),
        Mistake("rotated", "the kernel comes back as it is", lambda w: w),
        *mistakes.of_result("rotated", rotate_kernel, "C O KH KW"),
    ],
    passages.INPUT,
)  # fmt: skip
CONV_TRANSPOSE = Exercise(
    "conv_transpose", ("dx",), {"dx": {PLAIN: 2, ALL: 3, FLOAT32: 1}}, draw_transpose, transpose, transpose_mistakes(),
    passages.INPUT_STRIDE,
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
