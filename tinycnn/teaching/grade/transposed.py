"""Step 7: the input gradient as a transposed convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from tinycnn.teaching.grade import mistakes, passages, windows
from tinycnn.teaching.grade.conv import (
    DILATED,
    draw_conv,
    dx_at,
    input_gradient,
    kernel_of,
    padded_dx,
    rotated,
    sizes_of_conv,
    turned,
)
from tinycnn.teaching.grade.drawing import ALL, PLAIN, Array, around, normal
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake
from tinycnn.teaching.grade.mistakes import Geometry


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
    return input_gradient(grad_output, x, w, None, stride, padding, dilation)


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

    def with_kernel(name: str, change: Callable[[Array], Array], see: str = passages.INPUT) -> Mistake:
        return mistakes.before("dx", transpose, name, see, lambda a: a | {"w": change(a["w"])})

    def unswapped(w):
        if w.shape[0] != w.shape[1]:
            raise ValueError
        return w.swapaxes(0, 1)

    def zeros_between(change, g, w, size, S, P, D):
        return transpose_at(around(max(S + change, 1), P, D), g, w, size)

    return [
        with_kernel("the kernel is not rotated by 180°", rotated),
        with_kernel("the kernel is mirrored top to bottom only, not rotated by 180°", lambda w: w[:, :, :, ::-1]),
        with_kernel("the kernel is mirrored left to right only, not rotated by 180°", lambda w: w[:, :, ::-1]),
        with_kernel("the kernel's rows and columns are swapped", turned),
        with_kernel("the kernel's rows and columns are swapped, and it is not rotated", lambda w: rotated(turned(w))),
        with_kernel("input and output channels of the kernel are not swapped", unswapped, passages.CHANNELS),
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


def placed(step: Callable[[int], int], grad_output: Array, stride: int) -> Array:
    """The elements at other distances, in an array of the right size."""
    y = np.zeros_like(insert_zeros(grad_output, stride))
    for i, j in np.ndindex(grad_output.shape[2:]):
        y[:, :, i * step(stride), j * step(stride)] = grad_output[:, :, i, j]
    return y


def transpose_doubles() -> Iterator[Mistake]:
    patches = [lambda grad_output, w, **_: windows.input_patches(grad_output, w)]
    yield from mistakes.of_scattering("dx", patches, kernel_of, lambda input_size, **_: input_size, True)
    yield from mistakes.of_two_in_geometry("dx", transpose_at, kernel_of, True)


INSERT_ZEROS = Exercise(
    "insert_zeros", ("spread",), {"spread": {"": 1.5, FLOAT32: 0.5}}, draw_insert_zeros, insert_zeros,
    [
        Mistake("spread", "stride zeros between neighbours: it takes stride − 1",
                lambda grad_output, stride: insert_zeros(grad_output, stride + 1)),
        Mistake("spread", "zeros behind the last row and column too: they belong between neighbours only",
                zeros_everywhere),
        *(Mistake("spread", f"the elements lie {lie} apart: it is the stride", partial(placed, step))
          for lie, step in (("stride − 1", lambda S: S - 1), ("stride + 1", lambda S: S + 1), ("1", lambda S: 1),
                            ("2", lambda S: 2))),
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
        Mistake("spread", "1 between neighbours instead of 0", lambda grad_output, stride: (
            insert_zeros(grad_output, stride) + 1 - insert_zeros(np.ones_like(grad_output), stride))),
        *mistakes.of_result("spread", insert_zeros, "N O OH OW"),
        *mistakes.of_arguments("spread", insert_zeros, grad_output="N O OH OW"),
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
        *(Mistake("rotated", f"the channels are {'' if swap else 'not '}exchanged, and reversed are "
                  f"{', '.join(mistakes.AXIS[name] for name in names) or 'none'}: it is kernel rows and columns",
                  lambda w, swap=swap, axes=axes: np.flip(w.swapaxes(0, 1) if swap else w, axes))
          for swap in (True, False)
          for count in range(5)
          for axes in combinations(range(4), count)
          for names in [[("C O KH KW" if swap else "O C KH KW").split()[axis] for axis in axes]]
          if not (swap and axes == (2, 3))),
        *mistakes.of_result("rotated", rotate_kernel, "C O KH KW"),
    ],
    passages.INPUT,
)  # fmt: skip
CONV_TRANSPOSE = Exercise(
    "conv_transpose", ("dx",), {"dx": {PLAIN: 2, ALL: 3, FLOAT32: 1}}, draw_transpose, transpose, transpose_mistakes(),
    passages.INPUT_STRIDE, transpose_doubles,
)  # fmt: skip
