"""Sums of products, composed of `matmul`: by their names in linear algebra, and by an equation of indices."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinycnn._decorator import composed, numpy_names
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import array_of
from tinycnn.checks import ShapeError, check_count, check_number, shortened
from tinycnn.ops.matmul import matmul
from tinycnn.ops.rearrange import check_one_dtype, diagonal, roll
from tinycnn.ops.reduce import norm
from tinycnn.ops.shape import dim_of, normalize_dim, permute, reshape

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cdist", "cross", "dist", "dot", "einsum", "inner", "kron",
    "mm", "mv", "outer", "tensordot",
]  # fmt: skip

# --- by name ----------------------------------------------------------------------------------------------


def _product(name: str, a: Tensor, b: Tensor, *ndims: int) -> Tensor:
    """`matmul` of tensors with these numbers of dimensions."""
    shapes = array_of(name, a).shape, array_of(name, b).shape
    if tuple(map(len, shapes)) != ndims:
        kinds = " and ".join({1: "a vector", 2: "a matrix", 3: "a batch of matrices"}[n] for n in ndims)
        raise ShapeError(f"{name}: expected {kinds}, got shapes {shapes[0]} and {shapes[1]}")
    if ndims == (3, 3) and shapes[0][0] != shapes[1][0]:
        raise ShapeError(f"{name}: expected batches of one size, got shapes {shapes[0]} and {shapes[1]}")
    return matmul(a, b)


@autocasts
@composed
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, k) and (k, m)."""
    return _product("mm", input, mat2, 2, 2)


@autocasts
@composed
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, (b, n, k) and (b, k, m)."""
    return _product("bmm", input, mat2, 3, 3)


@autocasts
@composed
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix (n, k) and a vector (k)."""
    return _product("mv", input, vec, 2, 1)


@autocasts
@composed
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of the elements of two vectors of one size."""
    return _product("dot", input, tensor, 1, 1)


@composed
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of a vector (n) and each of another (m): (n, m)."""
    for x in (input, vec2):
        if array_of("outer", x).ndim != 1:
            raise ShapeError(f"outer: expected two vectors, got shapes {input.shape} and {vec2.shape}")
    return input.unsqueeze(1) * vec2


@composed
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products along the last dimension of both, for all places along the others."""
    if array_of("inner", input).ndim == 0 or array_of("inner", other).ndim == 0:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


def _added(name: str, input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """beta · input + alpha · product, where `input` broadcasts; with a beta of 0, whatever it holds."""
    check_number(name, "beta", beta)
    check_number(name, "alpha", alpha)
    check_one_dtype(name, input, product)
    scaled = product if alpha == 1 else product * alpha
    added = input.expand(product._array.shape)
    if beta == 0:
        return scaled
    return (added if beta == 1 else added * beta) + scaled


@autocasts
@composed
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · mat1 mat2, for matrices."""
    return _added("addmm", input, _product("addmm", mat1, mat2, 2, 2), beta, alpha)


@autocasts
@composed
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · mat vec, for a matrix and a vector."""
    return _added("addmv", input, _product("addmv", mat, vec, 2, 1), beta, alpha)


@autocasts
@composed
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · the outer product of two vectors."""
    if array_of("addr", vec1).ndim != 1 or array_of("addr", vec2).ndim != 1:
        raise ShapeError(f"addr: expected two vectors, got shapes {vec1.shape} and {vec2.shape}")
    return _added("addr", input, outer(vec1, vec2), beta, alpha)


@autocasts
@composed
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · batch1 batch2, for batches of matrices."""
    return _added("baddbmm", input, _product("baddbmm", batch1, batch2, 3, 3), beta, alpha)


@autocasts
@composed
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · input + alpha · the sum of batch1 batch2 over the batch."""
    return _added("addbmm", input, _product("addbmm", batch1, batch2, 3, 3).sum(0), beta, alpha)


@autocasts
@composed
def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Sequence[int]] = 2) -> Tensor:
    """The sums of products over pairs of dimensions: the last of `a` with the first of `b`, `dims` of them, or as two
    lists say. The other dimensions of `a` come first in the result."""
    ndims = array_of("tensordot", a).ndim, array_of("tensordot", b).ndim
    if isinstance(dims, (tuple, list)):
        if len(dims) != 2 or not all(isinstance(each, (tuple, list)) for each in dims):
            raise ValueError(f"tensordot: expected dims as an int or two lists, got {shortened(dims)}")
        over = [[dim_of(d, n, "tensordot") for d in each] for each, n in zip(dims, ndims)]
    else:
        count = check_count("tensordot", "dims", dims)
        if count > min(ndims):
            raise ShapeError(f"tensordot: {count} dims are more than shapes {a.shape} and {b.shape} have")
        over = [list(range(ndims[0] - count, ndims[0])), list(range(count))]
    sizes = [[x._array.shape[d] for d in each] for x, each in zip((a, b), over)]
    if sizes[0] != sizes[1] or any(len(set(each)) != len(each) for each in over):
        raise ShapeError(f"tensordot: dims {over[0]} of {a.shape} and {over[1]} of {b.shape} do not match")
    kept = [[d for d in range(x._array.ndim) if d not in each] for x, each in zip((a, b), over)]
    rows, columns = [[x._array.shape[d] for d in each] for x, each in zip((a, b), kept)]
    inner_size = math.prod(sizes[0])
    left = reshape(permute(a, kept[0] + over[0]), math.prod(rows), inner_size)
    right = reshape(permute(b, over[1] + kept[1]), inner_size, math.prod(columns))
    return reshape(_product("tensordot", left, right, 2, 2), shape=(*rows, *columns))


@composed
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times all of `other`, as blocks."""
    ndim = max(array_of("kron", input).ndim, array_of("kron", other).ndim)
    shapes = [(1,) * (ndim - x._array.ndim) + x._array.shape for x in (input, other)]
    blocks = reshape(input, [n for size in shapes[0] for n in (size, 1)])
    return reshape(blocks * reshape(other, [n for size in shapes[1] for n in (1, size)]),
                   shape=tuple([n * m for n, m in zip(*shapes)]))  # fmt: skip


@autocasts
@composed
@numpy_names
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector products along `dim`, of size 3; by default along the first such dimension."""
    shape = array_of("cross", input).shape
    if dim is None:
        dim = next((d for d, size in enumerate(shape) if size == 3), 0)
    dim = normalize_dim(dim, input, "cross")
    if shape[dim : dim + 1] != (3,) or array_of("cross", other).shape[dim : dim + 1] != (3,):
        raise ShapeError(f"cross: expected size 3 along dim {dim}, got shapes {input.shape} and {other.shape}")
    check_one_dtype("cross", input, other)
    return roll(input, -1, dim) * roll(other, -2, dim) - roll(input, -2, dim) * roll(other, -1, dim)


@autocasts
@composed
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input − other: see `norm`."""
    array_of("dist", input), array_of("dist", other)
    return norm(input - other, check_number("dist", "p", p))


@autocasts
@composed
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of each row of x1 (..., n, k) and each of x2 (..., m, k): (..., n, m)."""
    shapes = array_of("cdist", x1).shape, array_of("cdist", x2).shape
    if min(map(len, shapes)) < 2 or shapes[0][-1] != shapes[1][-1]:
        raise ShapeError(f"cdist: expected (..., n, k) and (..., m, k), got shapes {shapes[0]} and {shapes[1]}")
    check_one_dtype("cdist", x1, x2)
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), check_number("cdist", "p", p), -1)


# --- by an equation ---------------------------------------------------------------------------------------


@composed
def einsum(equation: str, *operands: Any) -> Tensor:
    """The sums of products that an equation names, "bij,bjk->bik": a letter for each dimension, "..." for several.

    Letters that the result lacks are summed over; without "->", it has those that occur once, in alphabetical order.
    Operands are multiplied from left to right.
    """
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else list(operands)
    terms, result = _parsed(equation, tensors)
    labelled = [_with_distinct_labels(term, x) for term, x in zip(terms, tensors)]
    term, x = labelled[0]
    for i, (other_term, other) in enumerate(labelled[1:], 1):
        later = result + "".join(t for t, _ in labelled[i + 1 :])
        term, x = _multiplied(term, x, other_term, other, later)
    summed = [d for d, label in enumerate(term) if label not in result]
    x, term = (x.sum(summed) if summed else x), "".join(label for label in term if label in result)
    return permute(x, [term.index(label) for label in result])


def _parsed(equation: str, tensors: list[Any]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, where capitals after Z stand for the dimensions of "..."."""
    if not isinstance(equation, str):
        raise TypeError(f"einsum: expected an equation as a string, got {shortened(equation)}")
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors) or not tensors:
        raise ValueError(f"einsum: {equation!r} names {len(terms)} operand(s), got {len(tensors)}")
    ndims = [array_of("einsum", x).ndim for x in tensors]
    spare = [n - len(term.replace("...", "")) for term, n in zip(terms, ndims)]
    most = max([n for term, n in zip(terms, spare) if "..." in term], default=0)
    dots = "".join(chr(0x100 + i) for i in range(most))
    full = []
    for term, x, count in zip(terms, tensors, spare):
        if count < 0 or (count and "..." not in term):
            raise ShapeError(f"einsum: {term!r} does not name the dimensions of an operand of shape {x.shape}")
        full.append(term.replace("...", dots[most - count :]))
    if not arrow:
        letters = "".join(full)
        result = "..." * bool(most) + "".join(sorted(x for x in set(letters) - set(dots) if letters.count(x) == 1))
    result = result.replace("...", dots)
    allowed = set(string.ascii_letters + dots)
    if not set("".join(full) + result) <= allowed or not set(result) <= set("".join(full)) or (
        len(set(result)) != len(result)
    ):
        raise ValueError(f"einsum: {equation!r}: expected letters, each once in the result and in an operand")
    sizes: dict[str, int] = {}
    for term, x in zip(full, tensors):
        for label, size in zip(term, x._array.shape):
            if sizes.setdefault(label, size) not in (size, 1) and size != 1:
                name = label if label in string.ascii_letters else "..."
                raise ValueError(f"einsum: {name!r} has sizes {sizes[label]} and {size} in {equation!r}")
            sizes[label] = max(sizes[label], size) if size != 0 else 0
    return full, result


def _with_distinct_labels(term: str, x: Tensor) -> tuple[str, Tensor]:
    """An operand in which no label occurs twice: "ii" is a diagonal."""
    for label in term:
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + label
    return term, x


def _multiplied(term: str, x: Tensor, other_term: str, other: Tensor, later: str) -> tuple[str, Tensor]:
    """The product of two operands, summed over the labels that both have and nobody needs `later`."""
    sizes, others = dict(zip(term, x._array.shape)), dict(zip(other_term, other._array.shape))
    common = [label for label in term if label in others]
    over = [label for label in common if label not in later and sizes[label] == others[label]]
    batch = [label for label in common if label not in over]
    rows = [label for label in term if label not in common]
    columns = [label for label in other_term if label not in common]
    left = permute(x, [term.index(label) for label in batch + rows + over])
    right = permute(other, [other_term.index(label) for label in batch + over + columns])
    row_sizes, column_sizes = [sizes[label] for label in rows], [others[label] for label in columns]
    count = math.prod([sizes[label] for label in over])
    left = reshape(left, *[sizes[label] for label in batch], math.prod(row_sizes), count)
    right = reshape(right, *[others[label] for label in batch], count, math.prod(column_sizes))
    product = matmul(left, right)
    grown = product._array.shape[: len(batch)]
    return "".join(batch + rows + columns), reshape(product, *grown, *row_sizes, *column_sizes)
