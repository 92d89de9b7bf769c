"""Batch normalisation of large arrays on a CPU: few passes over memory, by threads.

An activation (N, C, H, W) lies in memory as (A, K, B): outer dimensions that statistics are taken over, those that are
kept, inner ones that they are taken over: (H, C, W·N), batch innermost, or (N, C, H·W). Then BLAS sums the products
along B, and what has an element for each of K is written out along B once, as a line, since NumPy takes half the time
for operands of whole lines than for one that repeats each element.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinycnn.backend import threads

# A piece of the work: two arrays of this size stay in the cache of a core from one operation on them to the next.
PIECE_BYTES = 1 << 18
SHARED_PIECE_BYTES = 1 << 22  # with several threads, each call of NumPy hands over the interpreter's lock
# Below, the plain operations are as fast.
LEAST_ELEMENTS = 1 << 15


class Layout(NamedTuple):
    """How an array lies in memory."""

    order: tuple[int, ...]  # its dimensions from the outermost
    shape: tuple[int, int, int]  # (A, K, B)
    kept: tuple[int, ...]  # the shape of the statistics
    pieces: list[list[slice]]  # of A, those of each thread


@lru_cache(maxsize=4096)
def dense_order(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    """The dimensions of an array from the outermost in memory; None if it has gaps or repeats elements."""
    order = tuple(sorted(range(len(shape)), key=lambda d: (-abs(strides[d]), shape[d] == 1)))
    step = itemsize
    for d in reversed(order):
        if shape[d] > 1 and strides[d] != step:
            return None
        step *= shape[d]
    return order


@lru_cache(maxsize=1024)
def layout(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, dims: tuple[int, ...], num_threads: int
) -> Layout | None:
    """How an array lies in memory; None if it is small, has gaps, or its dimensions are not in this order."""
    order = dense_order(shape, strides, itemsize)
    if order is None:
        return None
    over = [d in dims for d in order if shape[d] > 1]
    first = over.index(False) if False in over else 0
    last = len(over) - over[::-1].index(False) if False in over else 0
    if first == 0 or last == len(over) or any(over[first:last]):
        return None
    sizes = [shape[d] for d in order if shape[d] > 1]
    A, K, B = (math.prod(part) for part in (sizes[:first], sizes[first:last], sizes[last:]))
    if A * K * B < LEAST_ELEMENTS or A < 4 or B < 16:
        return None
    runs = num_threads if A * K * B * threads.OPERATIONS_AN_ELEMENT >= threads.OPERATIONS_A_THREAD else 1
    wanted = -(-A * K * B * itemsize // (PIECE_BYTES if runs == 1 else SHARED_PIECE_BYTES))
    count = min(-(-wanted // runs) * runs, A)
    pieces = threads.evenly(A, count)
    of_threads = [pieces[run] for run in threads.evenly(count, runs)]
    return Layout(order, (A, K, B), tuple(1 if d in dims else n for d, n in enumerate(shape)), of_threads)


def lines(x: np.ndarray, found: Layout) -> np.ndarray:
    """x as (A, K, B), a view."""
    return x.transpose(found.order).reshape(found.shape)


def line(x: np.ndarray, found: Layout) -> np.ndarray:
    """(K, B) of an array with an element for each of K."""
    return np.repeat(x.reshape(-1, 1), found.shape[2], axis=1)


def sums(x: np.ndarray, found: Layout, *others: np.ndarray) -> list[np.ndarray]:
    """Over all but K: Σ x, and Σ x · y for each of the others. In float64, for differences of them lose digits."""
    rows, columns = lines(x, found), [lines(y, found) for y in others]
    ones = np.ones(found.shape[2], x.dtype)

    def of_pieces(pieces: list[slice]) -> list[Any]:
        return [[np.matmul(rows[p], ones), *[np.vecdot(rows[p], y[p]) for y in columns]] for p in pieces]

    # (pieces, operands, A of a piece, K)
    shares = [piece for run in threads.in_threads(of_pieces, found.pieces) for piece in run]
    parts = [np.concatenate(part) for part in zip(*shares)]
    return [np.add.reduce(part, axis=0, dtype=np.float64).reshape(found.kept) for part in parts]


def scaled(x: np.ndarray, found: Layout, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x · weight + bias, each with an element for each of K, in the memory order of x."""
    y = np.empty_like(x)
    rows, out, by = lines(x, found), lines(y, found), line(weight, found)
    plus = None if bias is None else line(bias, found)

    def write(pieces: list[slice]) -> None:
        for p in pieces:
            of_piece = np.multiply(rows[p], by, out=out[p])
            if plus is not None:
                of_piece += plus

    threads.in_threads(write, found.pieces)
    return y


def combined(
    u: np.ndarray, x: np.ndarray, found: Layout, scale: np.ndarray, slope: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """(u + x · slope + shift) · scale, each of the last three with an element for each of K."""
    g = np.empty_like(x)
    of_u, of_x, out = (lines(array, found) for array in (u, x, g))
    slope, shift, scale = (line(array, found) for array in (slope, shift, scale))

    def write(pieces: list[slice]) -> None:
        for p in pieces:
            of_piece = np.multiply(of_x[p], slope, out=out[p])
            of_piece += shift
            of_piece += of_u[p]
            of_piece *= scale

    threads.in_threads(write, found.pieces)
    return g
