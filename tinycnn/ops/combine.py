"""Tensors side by side: with more dimensions, along a diagonal, and in all their combinations."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from tinycnn._decorator import composed
from tinycnn.autograd import array_of
from tinycnn.checks import ShapeError, check_count, check_flag
from tinycnn.ops.rearrange import grown, meshgrid
from tinycnn.ops.shape import cat, check_elements, ndim_of, reshape, stack

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cartesian_prod", "combinations"]


@composed
def atleast_1d(*tensors: Any) -> Any:
    """The tensor with at least 1 dimension: itself, if it has it; of several, or of a sequence, a tuple."""
    return _at_least("atleast_1d", tensors, 1)


@composed
def atleast_2d(*tensors: Any) -> Any:
    """The tensor with at least 2 dimensions, a vector as a row; of several, or of a sequence, a tuple."""
    return _at_least("atleast_2d", tensors, 2)


@composed
def atleast_3d(*tensors: Any) -> Any:
    """The tensor with at least 3 dimensions, a vector as (1, n, 1), a matrix as (n, m, 1); of several, or of a
    sequence, a tuple."""
    return _at_least("atleast_3d", tensors, 3)


def _at_least(name: str, tensors: tuple, ndim: int) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (tuple, list)):
        return grown(name, tensors, ndim)[0]
    return tuple(grown(name, tensors[0] if len(tensors) == 1 else tensors, ndim))


@composed
def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices one after the other along the diagonal of one matrix, zeros elsewhere; vectors are rows."""
    matrices = grown("block_diag", tensors, 2)
    if any(x._array.ndim > 2 for x in matrices):
        raise ShapeError(f"block_diag: expected matrices, got shapes {[tuple(x.shape) for x in matrices]}")
    width = sum([x._array.shape[1] for x in matrices])
    rows, left = [], 0
    for x in matrices:
        height, own = x._array.shape
        rows.append(cat([x.new_zeros(height, left), x, x.new_zeros(height, width - left - own)], 1))
        left += own
    return cat(rows, 0)


@composed
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, as rows; of one vector, itself."""
    if len(tensors) == 1 and ndim_of(tensors[0], "cartesian_prod") == 1:
        return tensors[0]
    return stack([reshape(x, -1) for x in meshgrid(*tensors)], 1)


@composed
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of `r` elements of a vector, as rows, in its order; each element once, or several times
    `with_replacement`."""
    if array_of("combinations", input).ndim != 1:
        raise ShapeError(f"combinations: expected a vector, got shape {input.shape}")
    check_flag("combinations", "with_replacement", with_replacement)
    count = check_count("combinations", "r", r)
    places = len(input) + max(0, count - 1) * with_replacement
    check_elements("combinations", (math.comb(places, count), count))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(len(input)), count)) if 0 < count <= places else []
    return input[[place for row in rows for place in row]].reshape((len(rows), count) if count else (0,))
