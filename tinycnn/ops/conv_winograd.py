"""The three operators of `conv` for kernels 3 × 3 without strides, with 16 multiplications where there were 36.

A tile is 2 × 2 outputs y, which see 4 × 4 inputs d. Winograd's minimal filtering F(2 × 2, 3 × 3) finds them from the
kernel g as

    y = Aᵀ [U ∘ V] A,    U = G g Gᵀ,    V = Bᵀ d B,

with U ∘ V the product element by element, 4 × 4. In a convolution it is summed over the channels: 16 matrix products
(O × C) (C × tiles). Linear in each argument as convolution is, it has the same three partial derivatives: with the
tiles u of an upstream gradient and Z = A u Aᵀ, that of U is Z ∘ V, and g's is Gᵀ (Z ∘ V) G. The input gradient is a
convolution with the flipped kernel.

A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.1. The sums and differences
of V cost up to two bits: results are as far from exact ones as those of another order of summation, relative to the
largest element of a tile. An element that is not finite would spread to the whole tile, so results that are not finite
are computed in another way.

In memory, tiles are (4, 4, C, TH, TW, N), batch innermost, as activations are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise
from math import prod
from types import ModuleType
from typing import NamedTuple, TypeAlias

import numpy as np

from tinycnn.backend import Array, in_threads
from tinycnn.ops.windows import Window

Padding: TypeAlias = "tuple[tuple[int, int], ...]"

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def conv(x: Array, w: Array, padding: tuple[tuple[int, int], ...], kernels: ModuleType, transposed: bool = False) -> Array:
    """y (OH, O, OW, N) of x (H, C, W, N) and w (O, C, 3, 3); `transposed`: with w as (C, O, 3, 3), flipped."""
    H, _, W, N = x.shape
    size = tuple(n + sum(pair) - 2 for n, pair in zip((H, W), padding))
    weight = _transformed_weight(w, transposed)
    y = kernels.xp.empty((size[0], weight.shape[1], size[1], N), x.dtype)
    blocks = _blocks((H, W), size, padding, N, weight.shape[1:], kernels)
    in_threads(partial(_conv_blocks, x, weight, y, kernels), blocks)
    return y


def conv_weight(x: Array, g: Array, padding: tuple[tuple[int, int], ...], kernels: ModuleType) -> Array:
    """w (O, C, 3, 3) of x (H, C, W, N) and g (OH, O, OW, N)."""
    (H, C, W, N), (OH, O, OW, _) = x.shape, g.shape
    blocks = _blocks((H, W), (OH, OW), padding, N, (O, C), kernels)
    of_weight = sum(in_threads(partial(_weight_blocks, x, g, kernels), blocks))  # (4, 4, O, C)
    return np.matmul(of_weight.reshape(16, -1).T, _kronecker(x.dtype)).reshape(O, C, 3, 3)


def _kronecker(dtype: np.dtype) -> Array:
    """(16, 9): what makes G g Gᵀ of g, both row by row."""
    return np.kron(G, G).astype(dtype)


def _transformed_weight(w: Array, transposed: bool) -> Array:
    """U (16, O, C) of w."""
    by = _kronecker(w.dtype)
    of_weight = np.matmul(by[:, ::-1] if transposed else by, w.reshape(-1, 9).T).reshape(16, *w.shape[:2])
    return of_weight.swapaxes(1, 2) if transposed else of_weight


class Block(NamedTuple):
    """Some tiles. The indices are those of (H, C, W, N); the windows split rows and columns into even and odd ones."""

    inputs: tuple[slice, ...]
    outputs: tuple[slice, ...]
    of_inputs: Window
    of_outputs: Window


def _blocks(
    size: tuple[int, int], out: tuple[int, int], padding: Padding, batch: int, weights: tuple[int, int], kernels: ModuleType
) -> list[list[Block]]:
    """All tiles, in blocks, one run for each thread."""
    tiles = -(-out[0] // 2), -(-out[1] // 2)
    wanted, threads = kernels.tile_limits(*weights, 16 * prod(weights) * prod(tiles) * batch)
    width = min(tiles[1], max(wanted // batch, 1))
    height = min(tiles[0], max(wanted // (batch * width), 1))
    return _all_blocks(size, out, padding, height, width, threads)


@lru_cache(maxsize=1024)
def _all_blocks(
    size: tuple[int, int], out: tuple[int, int], padding: Padding, height: int, width: int, threads: int
) -> list[list[Block]]:
    """Blocks of about `height` × `width` tiles."""
    rows, columns = (_cuts(*each) for each in zip(size, out, padding, (height, width)))
    found = []
    for row in rows:
        for column in columns:
            met, written, sizes, paddings, written_sizes = zip(row, column)
            of_inputs = Window(sizes, (2, 2), (2, 2), paddings, (1, 1))
            of_outputs = Window(written_sizes, (2, 2), (2, 2), tuple((0, n % 2) for n in written_sizes), (1, 1))
            found.append(Block(_index(met), _index(written), of_inputs, of_outputs))
    return [found[len(found) * i // threads : len(found) * (i + 1) // threads] for i in range(threads)]


def _index(pair: tuple[slice, slice]) -> tuple[slice, ...]:
    return pair[0], slice(None), pair[1]


def _cuts(size: int, out: int, padding: tuple[int, int], tiles: int) -> list[tuple[slice, slice, int, tuple[int, int], int]]:
    """One dimension in parts of about so many tiles: the inputs that a part meets, its outputs, how many inputs these
    are, their padding, and how many outputs."""
    total = -(-out // 2)
    count = -(-total // tiles)
    found = []
    for start, stop in pairwise([total * i // count for i in range(count + 1)]):
        first, span = 2 * start - padding[0], 2 * (stop - start) + 2
        met = slice(min(max(first, 0), size), min(max(first + span, 0), size))
        inside, before = met.stop - met.start, min(max(-first, 0), span)
        written = slice(2 * start, min(2 * stop, out))
        found.append((met, written, inside, (before, span - inside - before), written.stop - written.start))
    return found


def _conv_blocks(x, weight, y, kernels, blocks):
    for inputs, outputs, of_x, of_y in blocks:
        tiles = _input_tiles(x[inputs], of_x, kernels)
        out = kernels.scratch("products", (4, 4, weight.shape[1], *of_y.output_size, x.shape[-1]), x)
        kernels.matmul(weight, tiles.reshape(16, x.shape[1], -1), out.reshape(16, weight.shape[1], -1))
        half = kernels.scratch("L", (2, *out.shape[1:]), x)
        _outputs(out, half)
        quarter = kernels.scratch("tiles", (2, 2, *half.shape[2:]), x)
        _outputs(half.swapaxes(0, 1), quarter.swapaxes(0, 1))
        kernels.fold_into(y[outputs].transpose(1, 3, 0, 2), quarter.transpose(0, 1, 2, 5, 3, 4), of_y)
        del tiles, out, half, quarter


def _weight_blocks(x, g, kernels, blocks):
    total = None
    for inputs, outputs, of_x, of_y in blocks:
        tiles = _input_tiles(x[inputs], of_x, kernels)
        u = kernels.scratch("L", (2, 2, g.shape[1], *of_y.output_size, g.shape[-1]), g)
        kernels.unfold_into(u.transpose(0, 1, 2, 5, 3, 4), g[outputs].transpose(1, 3, 0, 2), of_y)
        half = kernels.scratch("half", (4, *u.shape[1:]), g)
        _spread(u, half)
        z = kernels.scratch("products", (4, *half.shape[:1], *half.shape[2:]), g)
        _spread(half.swapaxes(0, 1), z.swapaxes(0, 1))
        share = kernels.matmul(z.reshape(16, g.shape[1], -1), tiles.reshape(16, x.shape[1], -1).swapaxes(1, 2))
        total = share if total is None else total + share
        del tiles, u, half, z
    return total


def _input_tiles(x, window, kernels):
    """V (4, 4, C, TH, TW, N) of rows (H, C, W, N), in scratch memory."""
    (_, C, _, N), (TH, TW) = x.shape, [n - 1 for n in window.output_size]
    x = kernels.in_row_order(x)
    split = kernels.scratch("L", (2, 2, C, TH + 1, TW + 1, N), x)  # even and odd rows, even and odd columns
    kernels.unfold_into(split.transpose(0, 1, 2, 5, 3, 4), x.transpose(1, 3, 0, 2), window)
    half = kernels.scratch("half", (4, 2, C, TH, TW + 1, N), x)
    _inputs(split[0, :, :, :-1], split[1, :, :, :-1], split[0, :, :, 1:], split[1, :, :, 1:], half)
    tiles = kernels.scratch("tiles", (4, 4, C, TH, TW, N), x)
    even, odd = half[:, 0], half[:, 1]
    _inputs(even[:, :, :, :-1], odd[:, :, :, :-1], even[:, :, :, 1:], odd[:, :, :, 1:], tiles.swapaxes(0, 1))
    return tiles


def _inputs(d0, d1, d2, d3, out):
    """out = Bᵀ d, along the first dimension."""
    np.subtract(d0, d2, out=out[0])
    np.add(d1, d2, out=out[1])
    np.subtract(d2, d1, out=out[2])
    np.subtract(d1, d3, out=out[3])


def _outputs(m, out):
    """out = Aᵀ m, along the first dimension."""
    np.add(m[0], m[1], out=out[0])
    out[0] += m[2]
    np.subtract(m[1], m[2], out=out[1])
    out[1] -= m[3]


def _spread(u, out):
    """out = A u, along the first dimension."""
    out[0] = u[0]
    np.add(u[0], u[1], out=out[1])
    np.subtract(u[0], u[1], out=out[2])
    np.negative(u[1], out=out[3])
