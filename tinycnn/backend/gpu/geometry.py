"""How kernels index arrays: the structs of `cuda/common.cuh` and `cuda/window.cuh`, made on the host.

Everything here is integers: shapes and strides in, structs out. So it can be tested without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np

MAX_AXES = 8

DIVISOR = np.dtype([("divisor", "u4"), ("magic", "u4"), ("shift", "u4")], align=True)
AXIS = np.dtype([("size", DIVISOR), ("a", "i4"), ("b", "i4"), ("c", "i4"), ("position", "i4", 3)], align=True)
WALK = np.dtype([("size", "u4"), ("first", "i4"), ("axis", AXIS, MAX_AXES)], align=True)
SIZES = np.dtype([(name, "i4") for name in (
    "kernel", "stride", "dilation", "common", "period", "inverse", "apart", "turns"
)], align=True)  # fmt: skip
STEP_FIELDS = ("step", "step_output", "step_kernel", "step_other")
DIM = np.dtype(
    [("input", "i4"), ("output", "i4"), ("padding", "i4"), ("sizes", SIZES)]
    + [(name, DIVISOR) for name in ("stride", "common", "period")]
    + [(name, "i4") for name in STEP_FIELDS],
    align=True,
)
WINDOW = np.dtype([("dim", DIM, 3)], align=True)

Strides = tuple[int, ...]


def divisor(d: int) -> tuple[int, int, int]:
    """(d, magic, shift) with n // d == ((n · magic >> 32) + n) >> shift for every n below 2³¹.

    Source: Granlund and Montgomery, "Division by invariant integers using multiplication" (1994), figure 4.1.
    """
    shift = (d - 1).bit_length()
    magic = ((1 << 32) * ((1 << shift) - d)) // d + 1
    return d, magic, shift


def passed(struct: np.ndarray) -> np.ndarray:
    """A struct as bytes, to be passed to a kernel. CuPy would describe a dtype with fields anew at every launch,
    which takes longer than the launch."""
    return struct.view(np.dtype((np.void, struct.nbytes)))


def elements(array: Any) -> Strides:
    """The strides of an array, in elements. ValueError for an array too large for 32-bit indices."""
    return in_elements(array.shape, array.strides, array.itemsize)


@lru_cache(maxsize=4096)
def in_elements(shape: tuple[int, ...], strides: Strides, itemsize: int) -> Strides:
    """`elements` of an array with these strides, in bytes."""
    steps = tuple(stride // itemsize for stride in strides)
    # `walk` refuses what a kernel writes, but what it reads may be larger, and a view may have gaps.
    reach = sum((n - 1) * abs(step) for n, step in zip(shape, steps, strict=True))
    if reach >= 1 << 31 and 0 not in shape:
        raise ValueError(
            f"an array of shape {shape} that spans {reach + 1:,} elements of memory is too large for the GPU kernels: "
            "expected at most 2**31"
        )
    return steps


@lru_cache(maxsize=4096)
def walk(
    shape: tuple[int, ...], a: Strides, b: Strides | None = None, c: Strides | None = None,
    positions: tuple[Strides, ...] = (),
) -> np.ndarray:  # fmt: skip
    """The struct Walk, as `passed`, over all elements of `shape`, for up to three arrays with the strides a, b, c.

    The walk is in the memory order of `a`, which is written: neighbouring threads then write to neighbouring places.
    `positions` gives, for up to three spatial dimensions, how far the position moves with a step along each axis.
    """
    return _walk_struct(_merged_axes(shape, a, b, c, positions))


class Walks(NamedTuple):
    """The struct Walk, as `passed`, over the `size` elements of a shape: `single` takes one at a time, `packed` takes
    packs of `width` neighbours in memory. Where arrays do not lie so, `width` is 1 and both are the same.
    """

    size: int
    single: np.ndarray
    width: int
    packed: np.ndarray


def walks(
    widest: int, shape: tuple[int, ...], a: Strides, b: Strides | None = None, c: Strides | None = None,
    positions: tuple[Strides, ...] = (), once: str = "", further: tuple[int, ...] = (),
) -> Walks:  # fmt: skip
    """`walk` for a kernel that loads and stores packs: of 16 bytes of the widest type that it touches, of `widest`
    bytes.

    A pack of an array named in `once` ("c") is one element. In all others neighbours have to be neighbours, and packs
    have to lie at multiples of their width: `further` are steps, in elements, that the kernel takes besides the walk.
    That addresses are multiples too is checked at launch.
    """
    axes, width = _merged_axes(shape, a, b, c, positions), 16 // widest
    single = _walk_struct(axes)
    size = int(prod(shape))
    given = [i for i, strides in enumerate((a, b, c)) if strides is not None]
    packs = [i for i in given if "abc"[i] not in once]
    n, inner = axes[-1] if axes else (1, ())
    wide = (
        (n % width == 0 and width > 1)
        and all(inner[i] == int(i in packs) for i in given)
        and not any(inner[3:])
        and all(step[i] % width == 0 for _, step in axes[:-1] for i in packs)
        and all(step % width == 0 for step in further)
    )
    if not wide:
        return Walks(size, single, 1, single)
    axes[-1] = (n // width, tuple(width * step for step in inner))
    return Walks(size, single, width, _walk_struct(axes))


@lru_cache(maxsize=4096)
def elementwise(
    shape: tuple[int, ...], a: tuple[Strides, int], b: tuple[Strides, int], c: tuple[Strides, int] | None = None
) -> Walks:
    """`walks` over two arrays and, in c, one of which a pack has one element: all given by their strides in bytes and
    the bytes of an element."""
    in_c = None if c is None else in_elements(shape, *c)
    return walks(max(a[1], b[1]), shape, in_elements(shape, *a), in_elements(shape, *b), in_c, once="c")


Axes = list[tuple[int, tuple[int, ...]]]


def _merged_axes(
    shape: tuple[int, ...], a: Strides, b: Strides | None, c: Strides | None, positions: tuple[Strides, ...]
) -> Axes:
    """The length of each axis of a walk and its steps in a, b, c and the three positions, the innermost last."""
    size = prod(shape)
    if size >= 1 << 31:
        raise ValueError(f"an array of {size:,} elements is too large for the GPU kernels: expected less than 2**31")
    if len(positions) > 3:
        raise ValueError(f"windows over {len(positions)} dimensions: the GPU kernels know up to 3")
    none = (0,) * len(shape)
    padded = (none,) * (3 - len(positions)) + tuple(positions)
    steps = list(zip(a, b or none, c or none, *padded, strict=True))
    axes = [(n, step) for n, step in zip(shape, steps, strict=True) if n != 1 and size]
    axes.sort(key=lambda axis: -abs(axis[1][0]))
    merged: Axes = []
    for n, step in axes:
        if merged and all(outer == n * inner for outer, inner in zip(merged[-1][1], step, strict=True)):
            merged[-1] = (merged[-1][0] * n, step)
        else:
            merged.append((n, step))
    if len(merged) > MAX_AXES:
        raise ValueError(f"arrays of shape {shape} have too many axes for the GPU kernels: expected at most {MAX_AXES}")
    return merged if size else [(0, (0,) * 6)]


def _walk_struct(axes: Axes) -> np.ndarray:
    result, first = np.zeros((), WALK), MAX_AXES - len(axes)
    result["size"], result["first"] = prod(n for n, _ in axes), first
    for i, (n, step) in enumerate(axes, start=first):
        result["axis"][i] = (divisor(max(n, 1)), *step[:3], step[3:])
    return passed(result)


def window_struct(window: Any, **steps: Sequence[int]) -> np.ndarray:
    """The struct Window, as `passed`, of an `ops.windows.Window` of up to three dimensions; `steps` gives STEP_FIELDS,
    in elements."""
    d = len(window.kernel_size)
    result = np.zeros((), WINDOW)
    for i, dim in enumerate(result["dim"], start=d - 3):  # unused dimensions come first
        dim["input"], dim["output"] = (window.input_size[i], window.output_size[i]) if i >= 0 else (1, 1)
        dim["padding"] = window.padding[i][0] if i >= 0 else 0
        sizes = window_sizes(window.kernel_size[i], window.stride[i], window.dilation[i]) if i >= 0 else UNUSED
        dim["sizes"] = sizes
        for name in ("stride", "common", "period"):
            dim[name] = divisor(int(dim["sizes"][name]))
        for name, of in steps.items():
            dim[name] = of[i] if i >= 0 else 0
    return passed(result)


def window_sizes(kernel: int, stride: int, dilation: int) -> tuple[int, ...]:
    """The struct Sizes of one dimension of a window."""
    common = gcd(stride, dilation)
    period, apart = stride // common, dilation // common
    inverse = pow(apart, -1, period)
    if inverse * period >= 1 << 31:
        raise ValueError(
            f"windows with stride {stride} and dilation {dilation} are too far apart for the GPU kernels: expected a "
            "stride of at most 46340, or dilation 1"
        )
    return kernel, stride, dilation, common, period, inverse, apart, -(-kernel // period)


UNUSED = window_sizes(1, 1, 1)


@lru_cache(maxsize=4096)
def batches(shape: tuple[int, ...], *steps: Strides) -> tuple[list[tuple[int, ...]], int, tuple[int, ...]]:
    """Splits a batch of `shape` into calls that each take many evenly spaced members of it.

    Returns (the starts of the calls in each array, how many members a call takes, their distances in each array).
    `steps` gives, for each array, the distance along each axis of the batch, in elements.
    """
    merged: list[tuple[int, tuple[int, ...]]] = []
    for n, *step in zip(shape, *steps, strict=True):
        if n == 1:
            continue
        if merged and all(outer == n * inner for outer, inner in zip(merged[-1][1], step, strict=True)):
            merged[-1] = (merged[-1][0] * n, tuple(step))
        else:
            merged.append((n, tuple(step)))
    none = (0,) * len(steps)
    count, distances = merged.pop(max(range(len(merged)), key=lambda i: merged[i][0])) if merged else (1, none)
    starts = [none]
    for n, apart in merged:
        starts = [tuple(s + i * d for s, d in zip(start, apart, strict=True)) for start in starts for i in range(n)]
    return starts, count, distances


# --- matrix products ----------------------------------------------------------------------------------------------

Layout = tuple[tuple[int, ...], Strides, int]  # shape, strides in bytes, bytes an element


class Matrix(NamedTuple):
    """A matrix as BLAS, which is column-major, takes it: whether it is transposed, and its leading dimension."""

    transposed: int
    leading: int


class Products(NamedTuple):
    """How BLAS computes out = a b for a batch of matrices.

    It gives matrices by columns. Where `out` lies by rows, it is asked for outᵀ = bᵀ aᵀ.

    Attributes:
        copied: the names of what must be copied before, as no call can take it where it lies; then only that counts.
        by_columns: whether a is the left operand, else b.
        m, n, k: the sizes of one product, (m, n) = (m, k) (k, n), as BLAS counts.
        leading: the leading dimension of out.
        batch: the products of one call, which lie `steps` elements apart in the left operand, the right one and out.
        starts: where each call begins, in bytes, in the left operand, the right one and out.
    """

    copied: tuple[str, ...]
    by_columns: bool = False
    m: int = 0
    n: int = 0
    k: int = 0
    left: Matrix = Matrix(0, 0)
    right: Matrix = Matrix(0, 0)
    leading: int = 0
    batch: int = 0
    steps: tuple[int, ...] = ()
    starts: tuple[tuple[int, ...], ...] = ()


@lru_cache(maxsize=4096)
def products(a: Layout, b: Layout, out: Layout) -> Products:
    """The plan for out = a b: (..., n, k) and (..., k, m), broadcast."""
    matrix = _matrix(out)
    if matrix is None:
        return Products(("out",))
    by_columns = not matrix.transposed
    left, right, result = (a, b, out) if by_columns else (_transposed(b), _transposed(a), _transposed(out))
    left_matrix, right_matrix = _matrix(left), _matrix(right)
    if left_matrix is None or right_matrix is None:
        names = ("a", "b") if by_columns else ("b", "a")
        found = zip(names, (left_matrix, right_matrix), strict=True)
        return Products(tuple(name for name, seen in found if seen is None))
    batch = result[0][:-2]
    starts, count, steps = batches(batch, *[_batch_steps(x, batch) for x in (left, right, result)])
    sizes = (left[2], right[2], result[2])
    in_bytes = tuple(tuple(n * size for n, size in zip(of_call, sizes, strict=True)) for of_call in starts)
    (*_, m, n), k, leading = result[0], left[0][-1], matrix.leading
    return Products((), by_columns, m, n, k, left_matrix, right_matrix, leading, count, steps, in_bytes)


def _transposed(x: Layout) -> Layout:
    (*batch, rows, columns), (*steps, down, right), itemsize = x
    return (*batch, columns, rows), (*steps, right, down), itemsize


def _matrix(x: Layout) -> Matrix | None:
    """None if BLAS cannot take it: with gaps within rows and columns, or overlaps. A single row lies by rows."""
    (*_, rows, columns), (*_, down, right), itemsize = x
    down, right = down // itemsize, right // itemsize
    if rows == right == 1:
        return Matrix(1, columns)
    if (down == 1 or rows == 1) and (right >= rows or columns == 1):
        return Matrix(0, right if columns > 1 else rows)
    if (right == 1 or columns == 1) and down >= columns:
        return Matrix(1, down)
    return None


def _batch_steps(x: Layout, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The distance in elements between the matrices of x along each axis of `batch`, to which x is broadcast."""
    shape, strides, itemsize = x
    steps = [0 if n == 1 else step // itemsize for n, step in zip(shape[:-2], strides[:-2], strict=True)]
    return (0,) * (len(batch) - len(steps)) + tuple(steps)
