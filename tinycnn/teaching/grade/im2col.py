"""Steps 4 and 5: im2col and col2im."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages
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
    OH, _ = output_shape(x.shape[2:], kernel_size, *geometry)
    return six(reference.im2col_loops(x, kernel_size, *geometry), x.shape[1], kernel_size, OH)


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
    by_slices = mistakes.of_geometry("columns", sliced, lambda kernel_size, **_: kernel_size, True)
    geometry += mistakes.with_size(by_slices, size)
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
        *(mistake("kernel row and kernel column are mixed up in the place of the window",
                  lambda x, K, *g, places=places: sliced(
                      around(*g), x, K, output_shape(x.shape[2:], K, *g), places).reshape(right(x, K, *g).shape),
                  passages.GEOMETRY) for places in ((1, 0), (0, 0), (1, 1))),
        mistake("rows and columns are swapped, and by a reshape: that moves no axis, it takes a transpose",
                lambda x, K, *g: right(x, K, *g).reshape(len(x), -1, x.shape[1] * K[0] * K[1]), passages.RESHAPE),
        *(mistake(f"the axes are reshaped from another order ({', '.join(AXES[axis] for axis in order)})",
                  lambda x, K, *g, order=order: im2col_of(x, K, *g).transpose(0, *order).reshape(right(x, K, *g).shape),
                  passages.RESHAPE) for order in permutations(AXES)),
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

    def exchanged(columns, size, K, *a):
        """columns[.., l, k], an IndexError where the kernel is not square."""
        if K[0] != K[1]:
            raise IndexError
        return right(as_six(columns, size, K, *a).swapaxes(2, 3).reshape(columns.shape), size, K, *a)

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
        *(mistake(f"the axes are reshaped to another order ({', '.join(AXES[axis] for axis in order)})",
                  lambda *a, order=order: read(order, *a), passages.RESHAPE) for order in permutations(AXES)),
        mistake("the kernel is rotated by 180°", lambda columns, *a: right(
            as_six(columns, *a)[:, :, ::-1, ::-1].reshape(columns.shape), *a), passages.INPUT),
        mistake("kernel row and column are mixed up: columns[.., l, k] for [.., k, l]", exchanged, passages.IM2COL),
        mistake("height and width are swapped", lambda *a: right(*a).swapaxes(2, 3), passages.AXES),
        *mistakes.of_crops("x", wide, lambda input_size, **_: input_size),
        *mistakes.with_size(geometry, lambda input_size, kernel_size, columns, **g: output_shape(
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
