"""Steps 4 and 5: im2col and col2im."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages, windows
from tinycnn.teaching.grade.diagnosis import PADS_ALL
from tinycnn.teaching.grade.drawing import (
    DILATION,
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
from tinycnn.teaching.grade.mistakes import Geometry

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


def padded_everywhere(x: Array, padding: int) -> Array:
    """x with zeros around samples and channels too, of which as many are read as x has."""
    return np.pad(x, padding)[: len(x), : x.shape[1]]


def im2col_of(x: Array, kernel_size: tuple[int, int], *geometry: int) -> Array:
    """The right columns as (N, C, KH, KW, OH, OW)."""
    S, P, D = geometry
    return windows.patches(mistakes.padded(x, around(S, P)), kernel_size, (S, S), (D, D))


def im2col(x: Array, kernel_size: tuple[int, int], stride: int, padding: int, dilation: int) -> Array:
    a = im2col_of(x, kernel_size, stride, padding, dilation)
    return a.reshape(len(x), -1, a.shape[4] * a.shape[5])


ROWS, POSITIONS = {1: "channel", 2: "kernel row", 3: "kernel column"}, {4: "output row", 5: "output column"}
AXES = ROWS | POSITIONS


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


def kernel_size_of(kernel_size: tuple[int, int], **_: Any) -> tuple[int, int]:
    return kernel_size


def im2col_at(geometry: Geometry, x: Array, kernel_size: tuple[int, int]) -> Array:
    """The columns with their positions as two axes: (N, C·KH·KW, OH, OW)."""
    rows, columns = geometry
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    a = windows.patches(mistakes.padded(x, geometry), kernel_size, strides, dilations)
    return a.reshape(len(x), -1, *a.shape[4:])


def flat(mistake: Mistake) -> Mistake:
    """The positions as one axis again."""
    def compute(**arguments: Any) -> Array:
        a = mistake.compute(**arguments)
        return a.reshape(*a.shape[:2], -1)

    return Mistake(mistake.result, mistake.name, compute, mistake.see)


COUNTED = [
    ("the kernel's positions are counted in rows of KH: a row has KW", (1, 0)),
    ("the output's positions are counted in rows of OH: a row has OW", (0, 1)),
    ("the positions of kernel and output are counted in rows of KH and OH: a row has KW, and OW", (1, 1)),
]  # fmt: skip


def places_of(counted: tuple[int, int], K: tuple[int, int], size: tuple[int, int], S: int, D: int) -> tuple:
    """Row and column of x for each row and column of the columns, from divmod by KW or KH, and by OW or OH."""
    (k, l), (i, j) = (
        np.divmod(np.arange(n[0] * n[1]), n[0] if wrong else n[1]) for n, wrong in zip((K, size), counted)
    )
    return k[:, None] * D + i * S, l[:, None] * D + j * S


def im2col_doubles() -> Iterator[Mistake]:
    size = lambda x, kernel_size, **g: output_shape(x.shape[2:], kernel_size, *g.values())  # noqa: E731
    for wanted in (size, None):
        yield from map(flat, mistakes.of_two_in_geometry("columns", im2col_at, kernel_size_of, True, wanted))


def im2col_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any], see: str = "") -> Mistake:
        return Mistake("columns", name, lambda x, kernel_size, **g: compute(x, kernel_size, *g.values()), see)

    def reshaped(name: str, see: str, order: tuple[int, ...], kept: int = 1, rows: int = 3) -> Mistake:
        """The six axes in another order, of which the first `kept` stay and the next `rows` are one."""

        def change(columns: Array, arguments: dict[str, Any]) -> Array:
            a = as_six(columns, **arguments).transpose(order)
            return a.reshape(*a.shape[:kept], int(np.prod(a.shape[kept : kept + rows])), -1)

        return mistakes.after("columns", right, name, see, change)

    def as_six(columns: Array, x: Array, kernel_size: tuple[int, int], **geometry: int) -> Array:
        OH, _ = output_shape(x.shape[2:], kernel_size, *geometry.values())
        return six(columns, x.shape[1], kernel_size, OH)

    def changed(name: str, see: str, change: Callable[[Array], Array]) -> Mistake:
        return mistakes.after("columns", right, f"the columns are {name}", see, lambda columns, a: change(
            as_six(columns, **a)).reshape(columns.shape))  # fmt: skip

    def sliced(
        geometry: Geometry, x: Array, kernel_size: tuple[int, int], size: tuple[int, int],
        places: tuple[int, int] = (0, 1),
    ) -> Array:  # fmt: skip
        """By slices of the padded x: for wrong places they may be too short, and are broadcast or refused."""
        (rows, lefts), wide = geometry, mistakes.padded(x, geometry)
        columns = np.zeros((*x.shape[:2], *kernel_size, *size))
        for k, l in np.ndindex(*kernel_size):
            top, left = ((k, l)[place] * (rows, lefts)[place].dilation for place in places)
            columns[:, :, k, l] = wide[:, :, top : top + rows.stride * size[0] : rows.stride,
                                       left : left + lefts.stride * size[1] : lefts.stride]  # fmt: skip
        return columns.reshape(len(x), -1, *size)

    def everything_padded(x: Array, K: tuple[int, int], S: int, P: int, D: int) -> Array:
        return right(np.pad(x, P), K, S, 0, D)

    right = im2col
    matrix = "the samples lie side by side in one matrix: keep N as the first axis"
    size = lambda x, kernel_size, **g: output_shape(x.shape[2:], kernel_size, *g.values())  # noqa: E731
    geometry = mistakes.of_geometry("columns", im2col_at, kernel_size_of, True, size)
    by_slices = mistakes.of_geometry("columns", sliced, kernel_size_of, True)
    geometry += mistakes.with_size(by_slices, size)
    rotated = mistakes.after("columns", right, "the kernel is rotated by 180°", passages.INPUT, lambda columns, a: (
        as_six(columns, **a)[:, :, ::-1, ::-1].reshape(columns.shape)))
    return [
        rotated,
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
        mistake(PADS_ALL, everything_padded, passages.PADDING),
        mistake(PADS_ALL, lambda x, K, S, P, D: right(padded_everywhere(x, P), K, S, 0, D), passages.PADDING),
        *(mistake(f"the padding {what} instead of being 0", lambda x, K, S, P, D, fill=fill: right(
            mistakes.filled(x, P, fill), K, S, 0, D), passages.PADDING) for what, fill in mistakes.WRONG_FILLS),
        *mistakes.of_indices("columns", lambda rows, columns, x, kernel_size, **_: windows.gathered(
            x, rows, columns).reshape(len(x), x.shape[1] * kernel_size[0] * kernel_size[1], -1), kernel_size_of,
            lambda x, **_: x.shape[2:]),
        *(mistake("kernel row and kernel column are mixed up in the place of the window",
                  lambda x, K, *g, places=places: sliced(
                      around(*g), x, K, output_shape(x.shape[2:], K, *g), places).reshape(right(x, K, *g).shape),
                  passages.GEOMETRY) for places in ((1, 0), (0, 0), (1, 1))),
        mistake("rows and columns are swapped, and by a reshape: that moves no axis, it takes a transpose",
                lambda x, K, *g: right(x, K, *g).reshape(len(x), -1, x.shape[1] * K[0] * K[1]), passages.RESHAPE),
        *(mistake(f"the axes are reshaped from another order ({', '.join(AXES[axis] for axis in order)})",
                  lambda x, K, *g, order=order: im2col_of(x, K, *g).transpose(0, *order).reshape(right(x, K, *g).shape),
                  passages.RESHAPE) for order in permutations(AXES)),
        *(mistake(name, lambda x, K, S, P, D, counted=counted: mistakes.padded(x, around(S, P))[:, :, *places_of(
            counted, K, output_shape(x.shape[2:], K, S, P, D), S, D)].reshape(len(x), x.shape[1] * K[0] * K[1], -1),
            passages.AXES) for name, counted in COUNTED),
        *map(flat, geometry),
        *(changed(*change) for change in mistakes.changes("N C KH KW OH OW", turned=False)),
        *mistakes.of_arguments("columns", right, x="N C H W"),
        *mistakes.of_result("columns", right, "N C OH"),
    ]  # fmt: skip


IM2COL = Exercise(
    "im2col", ("columns",), {"columns": {PLAIN: 2, GEOMETRY: 3, DILATION: 2, FLOAT32: 1}}, draw_im2col,
    reference.im2col_loops, im2col_mistakes(), passages.IM2COL, im2col_doubles,
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
    new = windows.output_size(wide, kernel_size, strides, dilations)
    a = mistakes.fitted(columns.reshape(*columns.shape[:2], *size), *new)
    C = columns.shape[1] // (kernel_size[0] * kernel_size[1])
    return windows.scattered(a.reshape(len(a), C, *kernel_size, *new), wide, strides, dilations)


def col2im(columns: Array, input_size: tuple[int, int], kernel_size: tuple[int, int], *geometry: int) -> Array:
    S, P, D = geometry
    H, W = input_size
    wide = windows.scattered(columns_as_six(columns, input_size, kernel_size, *geometry), (H + 2 * P, W + 2 * P),
                             (S, S), (D, D))  # fmt: skip
    return wide[:, :, P : P + H, P : P + W]


def columns_as_six(columns: Array, size: tuple[int, int], K: tuple[int, int], *geometry: int) -> Array:
    return six(columns, columns.shape[1] // (K[0] * K[1]), K, output_shape(size, K, *geometry)[0])


def col2im_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any], see: str = "") -> Mistake:
        return Mistake("x", name, lambda columns, input_size, kernel_size, **g: compute(
            columns, input_size, kernel_size, *g.values()
        ), see)  # fmt: skip

    def with_columns(name: str, see: str, change: Callable[..., Array]) -> Mistake:
        """`change` takes the columns and their six sizes."""
        return mistakes.before("x", lambda **a: right(*a.values()), name, see, lambda a: a | {
            "columns": change(a["columns"], as_six(*a.values()).shape).reshape(a["columns"].shape)})

    def read(name: str, see: str, order: tuple[int, ...]) -> Mistake:
        """The columns are read as if their six axes came in another order."""
        return with_columns(name, see, lambda columns, shape: columns.reshape(
            [shape[axis] for axis in (0, *order)]).transpose(np.argsort((0, *order))))  # fmt: skip

    def changed(name: str, see: str, change: Callable[[Array], Array]) -> Mistake:
        return with_columns(f"the columns are read as if they were {name}", see,
                            lambda columns, shape: change(columns.reshape(shape)))

    def exchanged(columns: Array, shape: tuple[int, ...]) -> Array:
        """columns[.., l, k], an IndexError where the kernel is not square."""
        if shape[2] != shape[3]:
            raise IndexError
        return columns.reshape(shape).swapaxes(2, 3)

    def counted_wrong(counted, columns, input_size, K, S, P, D):
        size = output_shape(input_size, K, S, P, D)
        rows, lefts = places_of(counted, K, size, S, D)
        wide = np.zeros((len(columns), columns.shape[1] // (K[0] * K[1]), rows.max() + 1 + input_size[0],
                         lefts.max() + 1 + input_size[1]))
        everywhere: Any = (slice(None), slice(None), rows, lefts)
        np.add.at(wide, everywhere, columns.reshape(*wide.shape[:2], *rows.shape))
        return wide[:, :, P : P + input_size[0], P : P + input_size[1]]

    def averaged(columns, *a):
        return right(columns, *a) / np.maximum(right(np.ones_like(columns), *a), 1)

    def wide(columns, input_size, kernel_size, stride, padding, dilation):
        size = output_shape(input_size, kernel_size, stride, padding, dilation)
        return col2im_at(around(stride, padding, dilation), columns, input_size, kernel_size, size)

    def at(geometry, columns, input_size, kernel_size, size):
        x = col2im_at(geometry, columns, input_size, kernel_size, size)
        return mistakes.unpadded(x, geometry, input_size)

    right, as_six = col2im, columns_as_six
    overwritten = "= instead of +=: where windows overlap, their values add up"
    mixed = "rows and columns are mixed up: a reshape cannot take the place of a transpose"
    geometry = mistakes.of_geometry("x", at, kernel_size_of, True)
    return [
        mistake(overwritten, overwriting_col2im, passages.COL2IM),
        mistake(overwritten, lambda *a: overwriting_col2im(*a, by_position=True), passages.COL2IM),
        mistake("averaged where windows overlap: col2im is im2col's adjoint, not its inverse, so values add up",
                averaged, passages.NOT_AN_INVERSE),
        with_columns("the kernel is rotated by 180°", passages.INPUT,
                     lambda columns, shape: columns.reshape(shape)[:, :, ::-1, ::-1]),
        with_columns("kernel row and column are mixed up: columns[.., l, k] for [.., k, l]", passages.IM2COL,
                     exchanged),
        *(read(name, passages.IM2COL, order) for name, order in orders("read in")),
        read(mixed, passages.RESHAPE, (4, 5, 1, 2, 3)),
        mistake("height and width are swapped", lambda *a: right(*a).swapaxes(2, 3), passages.AXES),
        *(mistake(name, partial(counted_wrong, counted), passages.AXES) for name, counted in COUNTED),
        *mistakes.of_indices("x", lambda rows, lefts, columns, input_size, kernel_size, **g: windows.added(
            as_six(columns, input_size, kernel_size, *g.values()), input_size, rows, lefts), kernel_size_of,
            lambda input_size, **_: input_size),
        *mistakes.of_crops("x", wide, lambda input_size, **_: input_size),
        *mistakes.with_size(geometry, lambda input_size, kernel_size, columns, **g: output_shape(
            input_size, kernel_size, *g.values())),
        *(changed(*change) for change in mistakes.changes("N C KH KW OH OW", turned=False)),
        *(read(f"the axes are reshaped to another order ({', '.join(AXES[axis] for axis in order)})", passages.RESHAPE,
               order) for order in permutations(AXES)),
        *mistakes.of_result("x", lambda **a: right(*a.values()), "N C H W"),
        *mistakes.of_factors("x", lambda **a: right(*a.values()), lambda columns, kernel_size, stride, **_: {
            "N": len(columns), "KH·KW": kernel_size[0] * kernel_size[1], "OH·OW": columns.shape[2], "stride": stride,
            "C·KH·KW": columns.shape[1], "2": 2,
        }),
    ]  # fmt: skip


def col2im_doubles() -> Iterator[Mistake]:
    def patches(columns, input_size, kernel_size, **geometry):
        return columns_as_six(columns, input_size, kernel_size, *geometry.values())

    yield from mistakes.of_scattering("x", [patches], kernel_size_of, lambda input_size, **_: input_size, True)


COL2IM = Exercise(
    "col2im", ("x",), {"x": {PLAIN: 2, GEOMETRY: 3, DILATION: 2, FLOAT32: 1}}, draw_col2im, reference.col2im_loops,
    col2im_mistakes(), passages.COL2IM, col2im_doubles,
)  # fmt: skip
