"""What torch has in `torch.linalg` and a convolutional net needs: norms, and products by other names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tinycnn._decorator import numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import array_of
from tinycnn.checks import check_number, shortened
from tinycnn.ops import products, reduce
from tinycnn.ops.matmul import matmul as matmul
from tinycnn.ops.rearrange import diagonal as _diagonal
from tinycnn.ops.shape import normalize_dims

if TYPE_CHECKING:
    from tinycnn.dtypes import DTypeLike
    from tinycnn.ops.shape import Dims
    from tinycnn.tensor import Tensor

__all__ = ["cross", "diagonal", "matmul", "matrix_norm", "norm", "vector_norm"]


@autocasts
@numpy_names
def vector_norm(
    x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None
) -> Tensor:
    """The norm of the elements over `dim` as of a vector, (Σ |x|^ord)^(1/ord); inf gives the largest absolute value,
    −inf the smallest, 0 counts those that are not 0."""
    array_of("vector_norm", x)
    order = check_number("vector_norm", "ord", ord)
    x = x if dtype is None else x.to(dtype)
    if order == 0:
        return (x != 0).sum(dim, keepdim).to(x.dtype)
    return reduce.norm(x, order, dim, keepdim)


@autocasts
@numpy_names
def matrix_norm(x: Tensor, ord: str | float = "fro", dim: Dims = (-2, -1), keepdim: bool = False) -> Tensor:
    """The norm of matrices, by default in the last two dimensions: "fro", √Σ x²; 1 or inf, the largest sum of absolute
    values in a column or a row."""
    dims = normalize_dims(dim, x, "matrix_norm")
    if len(dims) != 2:
        raise ValueError(f"matrix_norm: expected two dims, got {shortened(dim)} for shape {x.shape}")
    if ord == "fro":
        return reduce.norm(x, 2, dims, keepdim)
    if isinstance(ord, str) or check_number("matrix_norm", "ord", ord) not in (1, math.inf):
        raise ValueError(f"matrix_norm: expected ord as 'fro', 1 or inf, got {shortened(ord)}")
    first, second = dims if ord == 1 else dims[::-1]
    found = abs(x).sum(first, keepdim=True).amax(second, keepdim=True)
    return found if keepdim else found.squeeze(dims)


@numpy_names
def norm(
    A: Tensor, ord: str | float | None = None, dim: Dims = None, keepdim: bool = False, *, dtype: DTypeLike = None
) -> Tensor:
    """`matrix_norm` over two dimensions, or of a matrix, if `ord` is given; else `vector_norm`, by default of ord 2."""
    x = A if dtype is None else A.to(dtype)
    count = array_of("norm", x).ndim if dim is None else len(normalize_dims(dim, x, "norm"))
    if ord is not None and count == 2:
        return matrix_norm(x, ord, tuple(range(x.ndim)) if dim is None else dim, keepdim)
    if isinstance(ord, str):
        raise ValueError(f"norm: expected a matrix for ord {ord!r}, got shape {x.shape}")
    return vector_norm(x, 2 if ord is None else ord, dim, keepdim)


@numpy_names
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector products along `dim`, of size 3."""
    return products.cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of dimensions dim1 and dim2, as the last dimension: a view."""
    return _diagonal(A, offset, dim1, dim2)
