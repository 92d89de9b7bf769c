"""Steps 2, 3 and 6: convolution with loops and with im2col, and its gradients.

The expected values are those of tinycnn.reference. Each mistake is that reference with wrong arguments, or with a wrong
change of its result: most are generated (mistakes.py), the others stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages, windows
from tinycnn.teaching.grade.diagnosis import PADS_ALL
from tinycnn.teaching.grade.drawing import (
    ALL,
    DILATION_SIZES,
    GEOMETRY,
    GEOMETRY_SIZES,
    PLAIN,
    PLAIN_SIZES,
    Array,
    around,
    normal,
    output_shape,
    with_random,
)
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake
from tinycnn.teaching.grade.im2col import im2col_of, padded_everywhere
from tinycnn.teaching.grade.mistakes import Geometry

FLIPPED = "the kernel is rotated by 180°: what is called convolution here is cross-correlation"
ORDER = (
    "the rows of the columns and those of the weight matrix are ordered differently (channel, kernel row, "
    "kernel column against kernel row, kernel column, channel)"
)


def conv(x: Array, w: Array, b: Array, stride: int = 1, padding: int = 0, dilation: int = 1) -> Array:
    return conv_at(around(stride, padding, dilation), x, w, b)


def conv_at(geometry: Geometry, x: Array, w: Array, b: Array) -> Array:
    """Convolution with another geometry along each axis."""
    rows, columns = geometry
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    return windows.conv(mistakes.padded(x, geometry), w, b, strides, dilations)


def conv_by_slices(
    geometry: Geometry, x: Array, w: Array, b: Array, size: tuple[int, int], places: tuple[int, int] = (0, 1)
) -> Array:
    """By slices of the padded x: for wrong places they may be too short, and are broadcast or refused.

    The window of y[.., i, j] begins at the places `places` of (i, j).
    """
    wide = mistakes.padded(x, geometry)
    y = np.zeros((len(x), len(w), *size))
    for n, o, i, j in np.ndindex(y.shape):
        rows, columns = (
            slice(p * a.stride, p * a.stride + a.dilation * (K - 1) + 1, a.dilation)
            for p, a, K in zip(((i, j)[places[0]], (i, j)[places[1]]), geometry, w.shape[2:])
        )
        y[n, o, i, j] = np.sum(wide[n, :, rows, columns] * w[o]) + b[o]
    return y


def conv_of(combine: Callable[..., Any], reduce: Callable[..., Any]) -> Callable[..., Array]:
    """Another operation than the sum of products of window and kernel."""

    def compute(x: Array, w: Array, b: Array, stride: int, padding: int, dilation: int = 1) -> Array:
        columns = im2col_of(mistakes.padded(x, around(stride, padding)), w.shape[2:], stride, 0, dilation)
        each = combine(columns[:, None], w[None, :, :, :, :, None, None])
        with np.errstate(all="ignore"):
            return reduce(each, axis=(2, 3, 4)) + b[:, None, None]

    return compute


def matrix_product(x: Array, w: Array, b: Array, *geometry: int) -> Array:
    """The sum over all of window @ w[o].swapaxes(1, 2): each row of the window meets all rows of the kernel."""
    return conv(x, np.broadcast_to(w.sum(axis=2, keepdims=True), w.shape), b, *geometry)


def at_mixed_places(rows: int, columns: int) -> Callable[..., Array]:
    """The output at (i, j) from the window of i or j (0 or 1) along each axis; an error where there is none."""

    def compute(x: Array, w: Array, b: Array, *geometry: int) -> Array:
        y = conv(x, w, b, *geometry)
        places = np.indices(y.shape[2:])
        return y[:, :, places[rows], places[columns]]

    return compute


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


def kernel_of(w: Array, **arguments: Any) -> tuple[int, int]:
    return w.shape[2], w.shape[3]


def sizes_of_conv(x: Array, w: Array, stride: int, padding: int, dilation: int = 1, **_: Any) -> dict[str, float]:
    (N, C, _, _), (O, _, KH, KW) = x.shape, w.shape
    OH, OW = y_size(x, w, stride, padding, dilation)
    return {
        "N": N, "OH·OW": OH * OW, "N·OH·OW": N * OH * OW, "C": C, "O": O, "KH·KW": KH * KW, "C·KH·KW": C * KH * KW,
        "H": x.shape[2], "W": x.shape[3], "H·W": x.shape[2] * x.shape[3],
        "O·KH·KW": O * KH * KW, "KH": KH, "KW": KW, "2": 2, "stride": stride, "stride²": stride**2, "N·C": N * C,
        "N·O": N * O, "KH·KW − 1": KH * KW - 1 or 1, "N − 1": N - 1 or 1, "KH + KW": KH + KW,
    }  # fmt: skip


def y_size(x: Array, w: Array, stride: int, padding: int, dilation: int = 1, **_: Any) -> tuple[int, int]:
    return output_shape(x.shape[2:], w.shape[2:], stride, padding, dilation)


def forward_mistakes(dilated: bool) -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any], see: str = "") -> Mistake:
        return Mistake("y", name, lambda x, w, b, **geometry: compute(x, w, b, *geometry.values()), see)

    def with_kernel(name: str, change: Callable[[Array], Array], see: str = passages.CHANNELS) -> Mistake:
        return mistakes.before("y", conv, name, see, lambda a: a | {"w": change(a["w"])})

    def with_bias(name: str, factor: Callable[[Array], float]) -> Mistake:
        return mistakes.before("y", conv, name, passages.CHANNELS, lambda a: a | {"b": factor(a["w"]) * a["b"]})

    last = slice(-1, None)
    changed, factors = mistakes.of_result("y", conv, "N O OH OW"), mistakes.of_factors("y", conv, sizes_of_conv)
    return [
        with_kernel(FLIPPED, rotated, passages.INPUT),
        with_bias("the bias is missing", lambda w: 0),
        with_bias("the bias is added at every product instead of once an output", lambda w: w[0].size),
        with_bias("the bias is added for every channel instead of once an output", lambda w: w.shape[1]),
        with_bias("the bias is added at every position of the kernel instead of once an output",
                  lambda w: w[0, 0].size),
        with_bias("the bias is subtracted", lambda w: -1),
        mistake("the bias is added at every product with an element of x instead of once an output",
                lambda x, w, b, *g: conv(x, w, 0 * b, *g) + b[:, None, None] * conv(
                    np.ones_like(x), np.ones_like(w), 0 * b, *g), passages.CHANNELS),
        mistake("multiplied by the bias instead of plus the bias",
                lambda x, w, b, *g: conv(x, w, 0 * b, *g) * b[:, None, None], passages.CHANNELS),
        with_kernel("the mean instead of the sum of the products", lambda w: w / w[0].size),
        with_kernel("the mean over the channels instead of their sum", lambda w: w / w.shape[1]),
        with_kernel("= instead of +=: only the last product of the sum is kept",
                    lambda w: only_at(w, last, last, last), passages.ZEROS),
        with_kernel("= instead of +=: only the last channel of the sum is kept", lambda w: only_at(w, last),
                    passages.ZEROS),
        with_kernel("= instead of +=: only the last kernel position of the sum is kept",
                    lambda w: only_at(w, slice(None), last, last), passages.ZEROS),
        with_kernel("only the first channel of x is read", lambda w: only_at(w, slice(0, 1))),
        with_kernel("the kernel's rows and columns are swapped", turned),
        with_kernel("the kernel's rows and columns are swapped", turned_and_broadcast),
        mistake("the kernel's height and width are exchanged: kernel_size is (KH, KW)", lambda x, w, b, *g: conv(
            x, w.reshape(*w.shape[:2], w.shape[3], w.shape[2]), b, *g).reshape(conv(x, w, b, *g).shape), passages.AXES),
        mistake("height and width of the output are swapped", lambda x, w, b, *g: conv(x, w, b, *g).swapaxes(2, 3),
                passages.AXES),
        mistake(PADS_ALL, lambda x, w, b, S, P, *D: conv(padded_everywhere(x, P), w, b, S, 0, *D), passages.PADDING),
        mistake(PADS_ALL, lambda x, w, b, S, P, *D: conv(np.pad(x, P)[:, P : P + x.shape[1]], w, b, S, 0, *D),
                passages.PADDING),
        *(mistake(f"the padding {what} instead of being 0", lambda x, w, b, S, P, *D, fill=fill: conv(
            mistakes.filled(x, P, fill), w, b, S, 0, *D), passages.PADDING) for what, fill in mistakes.WRONG_FILLS),
        *mistakes.of_indices("y", lambda rows, columns, x, w, b, **_: windows.multiplied(
            windows.gathered(x, rows, columns), w, b), kernel_of, lambda x, **_: x.shape[2:]),
        mistake("the kernel's rows and columns are exchanged", lambda x, w, b, *g: conv(
            x, w.swapaxes(2, 3), b, *g).reshape(conv(x, w, b, *g).shape), passages.AXES),
        *(mistake(f"{word} of window and kernel instead of the sum of their products", conv_of(combine, reduce),
                  passages.CHANNELS) for word, combine, reduce in (
            ("the largest product", np.multiply, np.max), ("the smallest product", np.multiply, np.min),
            ("the product of all products", np.multiply, np.prod), ("the sum of the sums", np.add, np.sum),
            ("the sum of the differences", np.subtract, np.sum), ("the sum of the quotients", np.divide, np.sum),
            ("the sum of absolute products", lambda a, c: abs(a * c), np.sum),
            ("the sum of squared differences", lambda a, c: (a - c) ** 2, np.sum),
        )),
        *(mistake("row and column of the window are mixed up: i and j each have their axis", at_mixed_places(*axes),
                  passages.GEOMETRY) for axes in ((0, 0), (1, 1), (1, 0))),
        *(mistake("row and column of the window are mixed up: i and j each have their axis",
                  lambda x, w, b, *g, axes=axes: conv_by_slices(around(*g), x, w, b, y_size(x, w, *g), axes),
                  passages.GEOMETRY) for axes in ((0, 0), (1, 1), (1, 0))),
        mistake("a matrix product of window and kernel instead of the sum of their products",
                matrix_product, passages.CHANNELS),
        with_kernel(ORDER, rows_by_kernel, passages.IM2COL),
        *mistakes.of_sizes("y", conv, kernel_of, output_shape, lambda x, w, b, size, **g: conv_by_slices(
            around(*g.values()), x, w, b, size)),
        *mistakes.of_geometry("y", conv_at, kernel_of, dilated, y_size),
        *mistakes.with_size(mistakes.of_geometry("y", conv_by_slices, kernel_of, dilated), y_size),
        *changed,
        *mistakes.of_arguments("y", conv, x="N C H W", w="O C KH KW", b="O"),
        *factors,
        *(Mistake("y", mistake.name.replace("y", "the bias", 1), lambda x, w, b, mistake=mistake, **g: (
            conv(x, w, 0 * b, **g) + mistake.compute(x=x, w=0 * w, b=b, **g)), mistake.see)
          for mistake in factors),
        *(Mistake("y", f"{mistake.name}, before the bias is added", lambda b, mistake=mistake, **a: (
            mistake.compute(b=0 * b, **a) + b[:, None, None]), mistake.see)
          for mistake in changed + factors),
    ]  # fmt: skip


def forward_doubles(dilated: bool) -> Iterator[Mistake]:
    yield from mistakes.of_two_in_geometry("y", conv_at, kernel_of, dilated, y_size)
    yield from mistakes.of_two_in_geometry("y", conv_at, kernel_of, dilated)


def backward_doubles(dilated: bool) -> Iterator[Mistake]:
    patches = [
        lambda grad_output, w, **_: windows.input_patches(grad_output, w),
        lambda grad_output, w, **_: windows.input_patches(grad_output[:, -1:], w[-1:]),
    ]
    yield from mistakes.of_scattering("dx", patches, kernel_of, lambda x, **_: x.shape[2:], dilated)
    yield from mistakes.of_two_in_geometry("dx", dx_at, kernel_of, dilated)
    yield from mistakes.of_two_in_geometry("dw", dw_at, kernel_of, dilated)


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


def right_gradients(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    return reference.conv_nd_backward(grad_output, x, w, stride, padding, dilation)


def gradients(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    a = grad_output, x, w, b, stride, padding, dilation
    return input_gradient(*a), weight_gradient(*a), grad_output.sum(axis=(0, 2, 3))


def input_gradient(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    wide = padded_dx(grad_output, x, w, b, stride, padding, dilation)
    return wide[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def weight_gradient(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    wide = mistakes.padded(x, around(stride, padding))
    return windows.weight_gradient(grad_output, wide, w.shape[2:], (stride,) * 2, (dilation,) * 2)


def dx_at(geometry: Geometry, grad_output: Array, x: Array, w: Array, **_: Any) -> Array:
    """dx with another geometry. Outputs that are missing get a gradient of 0."""
    rows, columns = geometry
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    wide = [n + axis.before + axis.after for n, axis in zip(x.shape[2:], geometry)]
    size = windows.output_size(wide, w.shape[2:], strides, dilations)
    dx = windows.scattered(windows.input_patches(mistakes.fitted(grad_output, *size), w), wide, strides, dilations)
    return mistakes.unpadded(dx, geometry, x.shape[2:])


def dw_at(geometry: Geometry, grad_output: Array, x: Array, w: Array, **_: Any) -> Array:
    """dw with another geometry. Outputs that are missing get a gradient of 0."""
    rows, columns = geometry
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    wide = mistakes.padded(x, geometry)
    size = windows.output_size(wide.shape[2:], w.shape[2:], strides, dilations)
    return windows.weight_gradient(mistakes.fitted(grad_output, *size), wide, w.shape[2:], strides, dilations)


def padded_dx(grad_output, x, w, b=None, stride=1, padding=0, dilation=1):
    wide = [n + 2 * padding for n in x.shape[2:]]
    return windows.scattered(windows.input_patches(grad_output, w), wide, (stride,) * 2, (dilation,) * 2)


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
    def db(grad_output, **_):
        return grad_output.sum(axis=(0, 2, 3))

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
    by_bias = "multiplied by the bias: it is added to y, so x and w do not meet it"
    not_in_order = "the rows of dw are not in the order of w (channel, kernel row, kernel column)"
    dx, dw = input_gradient, weight_gradient

    def with_kernel(name: str, change: Callable[[Array], Array], see: str) -> Mistake:
        return mistakes.before("dx", dx, name, see, lambda a: a | {"w": change(a["w"])})

    return [
        with_kernel(flipped_dx, rotated, passages.INPUT),
        with_kernel("the kernel's rows and columns are swapped", turned, passages.CHANNELS),
        with_kernel(ORDER, rows_by_kernel, passages.IM2COL),
        *(mistakes.before("dx", dx, f"only the {which} output channel reaches x: its gradient is the sum over all",
                          passages.SUMS, lambda a, part=part: a | {"grad_output": only_at(a["grad_output"], part)})
          for which, part in (("last", slice(-1, None)), ("first", slice(0, 1)))),
        *(mistakes.before(result, compute, by_bias, passages.ONE_RULE, lambda a: (
            a | {"grad_output": a["grad_output"] * a["b"][:, None, None]}))
          for result, compute in (("dx", dx), ("dw", dw))),
        *own("dx", 0, [
            (overlap, passages.ONE_RULE, overwritten_dx),
            (overlap, passages.ONE_RULE, lambda *a: overwritten_dx(*a, sums_channels=True)),
        ]),
        mistakes.in_place_of("dx", dx, "w", "x"),
        mistakes.in_place_of("dw", dw, "x", "w"),
        *mistakes.of_terms("dx", dx, ("x",)),
        *mistakes.of_terms("dw", dw, ("w",)),
        *mistakes.of_terms("db", db, ("b",)),
        *mistakes.of_crops("dx", padded_dx, lambda x, **_: x.shape[2:]),
        *mistakes.of_geometry("dx", dx_at, kernel_of, dilated),
        *mistakes.of_indices("dx", lambda rows, columns, grad_output, x, w, **_: windows.added(
            windows.input_patches(grad_output, w), x.shape[2:], rows, columns), kernel_of, lambda x, **_: x.shape[2:]),
        *mistakes.of_indices("dw", lambda rows, columns, grad_output, x, **_: windows.multiplied_back(
            grad_output, windows.gathered(x, rows, columns)), kernel_of, lambda x, **_: x.shape[2:]),
        *own("dw", 1, [
            (f"the padding {what} instead of being 0", passages.PADDING, lambda g, x, w, b, S, P, *D, fill=fill: (
                gradients(g, mistakes.filled(x, P, fill), w, b, S, 0, *D)[1])) for what, fill in mistakes.WRONG_FILLS
        ]),
        *mistakes.of_result("dx", dx, "N C H W"),
        *mistakes.of_arguments("dx", dx, grad_output="N O OH OW", w="O C KH KW"),
        *mistakes.of_factors("dx", dx, sizes_of_conv),
        mistakes.after("dw", dw, "dw is rotated by 180°: w[k] meets x[i + k], so dw[k] sums g[i] · x[i + k]",
                       passages.WEIGHT, lambda y, _: rotated(y)),
        *own("dw", 1, [
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
        *mistakes.of_result("db", db, "O"),
        *mistakes.of_arguments("db", db, grad_output="N O OH OW"),
        *mistakes.of_factors("db", db, sizes_of_conv),
    ]  # fmt: skip


LOOPS = {PLAIN: PLAIN_SIZES, GEOMETRY: GEOMETRY_SIZES}
DILATED = {PLAIN: PLAIN_SIZES, ALL: GEOMETRY_SIZES + DILATION_SIZES}

CONV_LOOPS = Exercise(
    "conv_forward_loops", ("y",), {"y": {PLAIN: 3, GEOMETRY: 6, FLOAT32: 1}},
    draw_conv(LOOPS, backward=False, dilation=False), reference.conv_nd, forward_mistakes(False), passages.CHANNELS,
    partial(forward_doubles, False),
)  # fmt: skip
CONV_BACKWARD_LOOPS = Exercise(
    "conv_backward_loops", ("dx", "dw", "db"),
    {"dx": {PLAIN: 2, GEOMETRY: 4, FLOAT32: 1}, "dw": {PLAIN: 1, GEOMETRY: 3, FLOAT32: 1},
     "db": {PLAIN: 1, GEOMETRY: 1, FLOAT32: 1}},
    draw_conv(LOOPS, backward=True, dilation=False), right_gradients, backward_mistakes(False), passages.SUMS,
    partial(backward_doubles, False),
)  # fmt: skip
CONV = Exercise(
    "conv_forward", ("y",), {"y": {PLAIN: 1, ALL: 2, FLOAT32: 1}},
    draw_conv(DILATED, backward=False, dilation=True), reference.conv_nd, forward_mistakes(True), passages.IM2COL,
    partial(forward_doubles, True),
)  # fmt: skip
CONV_BACKWARD = Exercise(
    "conv_backward", ("dx", "dw", "db"),
    {"dx": {PLAIN: 1, ALL: 2, FLOAT32: 1}, "dw": {PLAIN: 1, ALL: 2, FLOAT32: 1},
     "db": {PLAIN: 0.5, ALL: 1, FLOAT32: 0.5}},
    draw_conv(DILATED, backward=True, dilation=True), right_gradients, backward_mistakes(True), passages.PRODUCT,
    partial(backward_doubles, True),
)  # fmt: skip
