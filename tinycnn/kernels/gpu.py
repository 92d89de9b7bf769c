"""Array kernels for CuPy, of the same names as those in `cpu`. The CUDA sources are in `cuda/`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import cupy
import cupyx
import cupyx.scipy.special
import numpy as np

from tinycnn.kernels import cublas, cuda, geometry

THREADS = 256
MAX_BLOCKS = 1 << 14  # each thread then takes several elements
LARGE_SUM = 1 << 15  # CuPy has one block for each result; larger arrays are worth two launches of many blocks
LARGE_LOSS = 1 << 17  # rows, from which on the one block of `reduce_loss` would take longer than sums before it

NULL = np.uint64(0)  # a pointer to nothing; for None, CuPy would pass no argument at all


@cache
def _module(file: str, dtype: np.dtype) -> Any:
    # --fmad=false would make sums equal a CPU's more often; fused multiply-adds are faster and more exact.
    return cupy.RawModule(code=cuda.source(file, dtype), options=("--std=c++17",))


@cache
def _loaded(file: str, name: str, dtype: np.dtype, device: int) -> Any:
    return _module(file, dtype).get_function(name)


def kernel(file: str, name: str, dtype: np.dtype) -> Any:
    """The function `name` of cuda/`file`.cu, for elements of `dtype`: call it with (grid, block, arguments).

    Each GPU has a kernel loaded for itself, which only runs there.
    """
    return _loaded(file, name, dtype, cupy.cuda.runtime.getDevice())


def run(file: str, name: str, dtype: np.dtype, grid: tuple[int, ...], arguments: tuple, threads: int = THREADS) -> None:
    """Runs a kernel in blocks of `threads`. Arguments are CuPy arrays (passed as pointers), NumPy scalars of the
    parameter's type, and structs from `geometry.passed` (by value)."""
    kernel(file, name, dtype)(grid, (threads,), arguments)


def launch(file: str, name: str, dtype: np.dtype, size: int, *arguments: Any) -> None:
    """`run` of a kernel that takes one element, of `size`, at a time."""
    if size:
        run(file, name, dtype, (min(-(-size // THREADS), MAX_BLOCKS),), arguments)


# --- sliding windows ----------------------------------------------------------------------------------------------
# In all of these, the last D axes are spatial and `window` is a patches.Window over them; any memory order.


def unfold_into(columns: Any, x: Any, window: Any) -> None:
    """columns[k][.., o] = x[.., o·stride + k·dilation − padding], 0 outside: im2col into given memory.

    Shapes: x (..., *input_size), columns (*kernel_size, ..., *output_size).
    """
    walk, struct = _unfold_structs(window, columns.shape, geometry.elements(columns), geometry.elements(x))
    launch("window", "unfold", x.dtype, columns.size, columns, x, walk, struct)


@lru_cache(maxsize=4096)
def _unfold_structs(window: Any, shape: tuple[int, ...], columns: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    d = len(window.kernel_size)
    outer = len(shape) - 2 * d
    step = x[outer:]
    of_kernel = [k * s for k, s in zip(window.dilation, step, strict=True)]
    of_output = [k * s for k, s in zip(window.stride, step, strict=True)]
    positions = []
    for i in range(d):
        position = [0] * len(shape)
        position[i], position[d + outer + i] = window.dilation[i], window.stride[i]
        positions.append(tuple(position))
    in_x = (*of_kernel, *x[:outer], *of_output)
    return geometry.walk(shape, columns, in_x, None, tuple(positions)), geometry.window_struct(window, step=step)


def fold_into(x: Any, columns: Any, window: Any) -> None:
    """x[.., i] = Σ of columns[k][.., o] over all (k, o) that meet at i: the adjoint of `unfold_into`."""
    d = len(window.kernel_size)
    steps = geometry.elements(columns)
    _fold(x, columns, window, steps[d:], steps[:d])


def window_spread(g: Any, window: Any) -> Any:
    """x[.., i] = Σ of g[.., o] over all windows o that cover i: the adjoint of `window_sum`."""
    x = _like(g, window.input_size, g.dtype)
    _fold(x, g, window, geometry.elements(g), (0,) * len(window.kernel_size))
    return x


def _fold(x: Any, columns: Any, window: Any, steps: Any, kernel_steps: Any) -> None:
    structs = _adjoint_structs(window, x.shape, geometry.elements(x), steps, None, kernel_steps)
    launch("window", "fold", x.dtype, x.size, x, columns, *structs)


@lru_cache(maxsize=4096)
def _adjoint_structs(
    window: Any, shape: tuple[int, ...], x: Any, g: Any, other: Any, kernel: Any
) -> tuple[np.ndarray, np.ndarray]:
    """For kernels that walk over input positions and read at output positions, from up to two arrays."""
    d = len(window.kernel_size)
    outer = len(shape) - d
    none = (0,) * d
    positions = [tuple(int(axis == outer + i) for axis in range(len(shape))) for i in range(d)]
    second = None if other is None else (*other[:outer], *none)
    walk = geometry.walk(shape, x, (*g[:outer], *none), second, tuple(positions))
    steps = {"step_output": g[outer:], "step_kernel": kernel, "step_other": none if other is None else other[outer:]}
    return walk, geometry.window_struct(window, **steps)


@lru_cache(maxsize=4096)
def _window_structs(window: Any, shape: tuple[int, ...], y: Any, x: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    """For kernels that walk over output positions and read x at the input positions in their windows."""
    d = len(window.kernel_size)
    outer = len(shape) - d
    none = (0,) * d
    positions = [tuple(window.stride[i] * (axis == outer + i) for axis in range(len(shape))) for i in range(d)]
    walk = geometry.walk(shape, y, (*x[:outer], *none), other, tuple(positions))
    return walk, geometry.window_struct(window, step=x[outer:])


def _like(x: Any, spatial: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised (N, C, *spatial) array in the memory order of `x`."""
    return cupy.empty_like(x, dtype=dtype, shape=x.shape[:2] + spatial)


def _same_order(a: Any, b: Any) -> bool:
    """Whether one walk leads through both arrays of the same shape: along axes of size 1, strides do not matter."""
    steps = zip(a.shape, geometry.elements(a), geometry.elements(b), strict=True)
    return a.size == 0 or all(size == 1 or step_a == step_b for size, step_a, step_b in steps)


def window_sum(x: Any, window: Any) -> Any:
    """y[.., o] = Σ over the window o of x; padding counts as 0."""
    y = _like(x, window.output_size, x.dtype)
    structs = _window_structs(window, y.shape, geometry.elements(y), geometry.elements(x), None)
    launch("window", "window_sum", x.dtype, y.size, y, x, *structs)
    return y


def max_pool(x: Any, window: Any, keeps_argmax: bool) -> tuple[Any, Any]:
    """The largest x in each window, and (or None) the number of the tap where it lies, the first of equals."""
    y = _like(x, window.output_size, x.dtype)
    taps = "u1" if math.prod(window.kernel_size) <= 256 else "i4"
    argmax = cupy.empty_like(y, dtype=taps) if keeps_argmax else None
    if argmax is not None:
        assert _same_order(argmax, y)
    lowest = x.dtype.type(-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    structs = _window_structs(window, y.shape, geometry.elements(y), geometry.elements(x), None)
    launch("window", f"max_pool_{taps}", x.dtype, y.size, y, NULL if argmax is None else argmax, x, lowest, *structs)
    return y, argmax


def scatter_taps(g: Any, argmax: Any, window: Any) -> Any:
    """x[.., o·stride + k·dilation − padding] += g[.., o] with the tap k that `argmax` names for each o."""
    x = _like(argmax, window.input_size, g.dtype)
    strides = [geometry.elements(array) for array in (x, g, argmax)]
    structs = _adjoint_structs(window, x.shape, *strides, (0,) * len(window.kernel_size))
    launch("window", f"scatter_taps_{argmax.dtype.str[1:]}", g.dtype, x.size, x, g, argmax, *structs)
    return x


def gather_taps(x: Any, argmax: Any, window: Any) -> Any:
    """y[.., o] = x[.., o·stride + k·dilation − padding] with the tap k that `argmax` names for each o."""
    y = _like(x, window.output_size, x.dtype)
    structs = _window_structs(window, y.shape, *[geometry.elements(array) for array in (y, x, argmax)])
    launch("window", f"gather_taps_{argmax.dtype.str[1:]}", x.dtype, y.size, y, x, argmax, *structs)
    return y


# --- reductions and normalisation ---------------------------------------------------------------------------------


def sum_over(x: Any, dims: tuple[int, ...], keepdims: bool) -> Any:
    """The sum of a floating-point array over `dims`, in a fixed order."""
    shape = _kept_shape(x.shape, dims)
    y = cupy.empty(shape, x.dtype)
    kept, reduced = _reduction(x.shape, dims, geometry.elements(x), None, geometry.elements(y))
    count = math.prod([x.shape[d] for d in dims])
    if y.size >= THREADS and count <= THREADS:  # a thread for each result
        launch("reduce", "sum_few", x.dtype, y.size, y, x, kept, reduced)
    else:
        shares = _shares(y.size, count)
        sums = cupy.empty((y.size, shares), _sum_type(x.dtype))
        _reduce("sum_shares", x.dtype, y.size, shares, (sums, x, kept, reduced))
        _join("add_shares", x.dtype, y.size, shares, (y, sums, kept))
    return y if keepdims else y.reshape([n for d, n in enumerate(x.shape) if d not in dims])


def standardize(x: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any, Any, Any]:
    """((x − mean) / √(variance + eps), mean, variance, 1 / √(variance + eps)), the statistics over `dims`."""
    shape = _kept_shape(x.shape, dims)
    y, mean, variance, inverse_std = cupy.empty_like(x), *[cupy.empty(shape, x.dtype) for _ in range(3)]
    kept, reduced = _reduction(x.shape, dims, geometry.elements(x), None, geometry.elements(mean))
    shares = _shares(mean.size, math.prod([x.shape[d] for d in dims]))
    moments = cupy.empty((mean.size, shares, 3), _sum_type(x.dtype))
    _reduce("moments_shares", x.dtype, mean.size, shares, (moments, x, kept, reduced))
    arrays = (mean, variance, inverse_std, moments, kept)
    _join("join_moments", x.dtype, mean.size, shares, arrays, np.float64(eps))
    walk = geometry.walk(x.shape, geometry.elements(y), geometry.elements(x), _repeated(mean, dims))
    launch("reduce", "standardize", x.dtype, x.size, y, x, mean, inverse_std, walk)
    return y, mean, variance, inverse_std


def standardize_backward(u: Any, y: Any, inverse_std: Any, dims: tuple[int, ...]) -> Any:
    """(u − mean(u) − y · mean(u · y)) · inverse_std, the means over `dims`."""
    g = cupy.empty_like(y)
    count = math.prod(u.shape[d] for d in dims)
    kept, reduced = _reduction(
        u.shape, dims, geometry.elements(u), geometry.elements(y), geometry.elements(inverse_std), counted_in_c=True
    )
    size = inverse_std.size
    shares = _shares(size, count)
    sums = cupy.empty((size, shares, 2), _sum_type(u.dtype))
    means = cupy.empty((size, 2), _sum_type(u.dtype))
    _reduce("standardize_sums", u.dtype, size, shares, (sums, u, y, kept, reduced))
    _join("standardize_means", u.dtype, size, shares, (means, sums, kept), np.int32(count))
    walk = geometry.walk(u.shape, geometry.elements(g), geometry.elements(u), _repeated(inverse_std, dims))
    assert _same_order(g, y)
    launch("reduce", "standardize_backward", u.dtype, u.size, g, u, y, inverse_std, means, walk)
    return g


def _kept_shape(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


def _sum_type(dtype: np.dtype) -> np.dtype:
    """As `Sum` in common.cuh."""
    return np.dtype("float32") if dtype == np.float16 else dtype


def _repeated(x: Any, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of x, of size 1 along `dims`, as if it were repeated there."""
    return tuple(0 if d in dims else step for d, step in enumerate(geometry.elements(x)))


@lru_cache(maxsize=4096)
def _reduction(
    shape: tuple[int, ...], dims: tuple[int, ...], x: Any, y: Any, result: Any, counted_in_c: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The walks over what is kept and over `dims`: a in x, b in y or, if there is none, in the result; else c."""
    walks = []
    for axes in ([d for d in range(len(shape)) if d not in dims], sorted(dims)):
        at = [None if strides is None else tuple(strides[d] for d in axes) for strides in (x, y, result)]
        b, c = (at[1], at[2]) if counted_in_c else (at[2], None)
        walks.append(geometry.walk(tuple(shape[d] for d in axes), at[0], b, c))
    return walks[0], walks[1]


def _shares(results: int, count: int) -> int:
    """In how many shares each result, of `count` numbers, is summed up: enough blocks to fill a GPU, each with enough
    to do."""
    blocks_wanted, least = 1024, 4 * THREADS
    return max(1, min(blocks_wanted // max(results, 1), count // least))


def _reduce(name: str, dtype: np.dtype, results: int, shares: int, arguments: tuple) -> None:
    """The first step: a block for each share."""
    if results:
        run("reduce", name, dtype, (results, shares), arguments)


def _join(name: str, dtype: np.dtype, results: int, shares: int, arguments: tuple, *numbers: Any) -> None:
    """The second step, with a thread for each share of a result, as far as a block has threads."""
    lanes = min(THREADS, 1 << (shares - 1).bit_length())
    if results:
        blocks = -(-results * lanes // THREADS)
        run("reduce", name, dtype, (blocks,), (*arguments, np.int32(shares), np.int32(lanes), *numbers))


# --- the loss of a classifier -------------------------------------------------------------------------------------


def cross_entropy(
    x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float, reduction: str, class_dim: int
) -> tuple[Any, Any]:
    """(loss, what `cross_entropy_backward` needs): see cuda/loss.cu. A target that is no class gives nan."""
    target = target.astype(np.int64, order="C", copy=False)
    loss, counted = cupy.empty(target.shape, x.dtype), cupy.empty(target.shape, x.dtype)
    rows = cupy.empty((*target.shape, 5), _sum_type(x.dtype))
    classes, strides = x.shape[class_dim], list(geometry.elements(x))
    step = strides.pop(class_dim)
    in_rows = geometry.elements(target)
    walk = geometry.walk(target.shape, tuple(strides), in_rows, in_rows)
    lanes = min(THREADS, 1 << (-(-classes // 4) - 1).bit_length())  # about four classes for each
    numbers = (np.int32(classes), np.int32(step), np.int64(ignore_index), np.float64(smoothing), np.int32(lanes))
    arrays = (loss, counted, rows, x, target, NULL if weight is None else weight)
    if target.size:
        blocks = -(-target.size * lanes // THREADS)
        run("loss", "cross_entropy", x.dtype, (blocks,), (*arrays, walk, *numbers))
    if reduction == "none":
        return loss, (target, rows, NULL)
    if loss.size >= LARGE_LOSS and x.dtype != np.float16:  # float16 could not hold the sums in between
        loss, counted = (sum_over(of_rows, tuple(range(of_rows.ndim)), False) for of_rows in (loss, counted))
    totals = cupy.empty(2, x.dtype)
    flags = (np.int32(loss.size), np.int32(reduction == "mean"))
    run("loss", "reduce_loss", x.dtype, (1,), (totals, loss, counted, *flags))
    return totals[0], (target, rows, totals[1])


def cross_entropy_backward(u: Any, x: Any, saved: Any, weight: Any, class_dim: int) -> Any:
    """u times the gradient of the loss."""
    target, rows, divisor = saved
    g = cupy.empty_like(x)
    in_rows, in_u = list(geometry.elements(target)), list(geometry.elements(u)) or [0] * target.ndim
    in_rows.insert(class_dim, 0)
    in_u.insert(class_dim, 0)
    is_class = tuple(int(d == class_dim) for d in range(x.ndim))
    positions = (is_class, tuple(in_u), (0,) * x.ndim)
    walk = geometry.walk(x.shape, geometry.elements(g), geometry.elements(x), tuple(in_rows), positions)
    arrays = (g, u, divisor, x, target, rows, NULL if weight is None else weight)
    launch("loss", "cross_entropy_backward", x.dtype, x.size, *arrays, walk)
    return g


# --- matrix products ----------------------------------------------------------------------------------------------

_handles: dict[tuple[int, int, int], tuple[cublas.Handle, Any]] = {}


def _handle() -> cublas.Handle:
    """The cuBLAS handle for the current thread, device and stream: two streams must not share a workspace."""
    stream = cupy.cuda.get_current_stream().ptr
    key = (threading.get_ident(), cupy.cuda.runtime.getDevice(), stream)
    if key not in _handles:
        workspace = cupy.empty(cublas.WORKSPACE_BYTES, np.uint8)
        cuda = cupy.cuda.runtime.runtimeGetVersion() // 1000
        _handles[key] = cublas.Handle(workspace.data.ptr, cuda), workspace
    handle, _ = _handles[key]
    handle.use_stream(stream)
    return handle


def rounded(x: Any, precision: str) -> Any:
    """float32 as the operand of a product of this precision: 16 bits for "float16" and "bfloat16", else x itself.

    bfloat16, which NumPy lacks, is kept in uint16.
    """
    if x.dtype != np.float32 or precision not in ("float16", "bfloat16"):
        return x
    y = cupy.empty_like(x, dtype=np.float16 if precision == "float16" else np.uint16)
    walk = geometry.walk(x.shape, geometry.elements(y), geometry.elements(x))
    launch("round", f"to_{precision}", x.dtype, x.size, y, x, walk)
    return y


def matmul(a: Any, b: Any, out: Any = None, precision: str = "float32") -> Any:
    """a b for (..., n, k) and (..., k, m), into `out` if it is given. Operands may overlap themselves in memory.

    Operands of 16 bits from `rounded` give float32; "tf32" lets the GPU round float32 operands to 10 bits of mantissa.
    """
    dtype = a.dtype
    if dtype.kind in "ib" or dtype == np.uint8:  # cuBLAS has no products of integers
        product = cupy.matmul(a, b)
        if out is None:
            return product
        out[...] = product
        return out
    if out is None:
        is_rounded = dtype.itemsize == 2 and precision in ("float16", "bfloat16")
        out = cupy.empty(_product_shape(a.shape, b.shape), np.float32 if is_rounded else dtype)
    if out.size == 0:
        return out
    if a.shape[-1] == 0:
        out[...] = 0
        return out
    plan = geometry.products(*[(x.shape, x.strides, x.itemsize) for x in (a, b, out)])
    if "out" in plan.copied:
        out[...] = matmul(a, b, cupy.empty(out.shape, out.dtype), precision)
        return out
    if plan.copied:
        a, b = [cupy.ascontiguousarray(x) if name in plan.copied else x for name, x in (("a", a), ("b", b))]
        return matmul(a, b, out, precision)
    if precision == "tf32" and dtype == np.float32:
        compute = cublas.COMPUTE_32F_FAST_TF32
    else:
        compute = cublas.COMPUTE_64F if dtype == np.float64 else cublas.COMPUTE_32F
    handle, data_type, out_type = _handle(), cublas.DATA_TYPES[dtype], cublas.DATA_TYPES[out.dtype]
    left, right = (a.data.ptr, b.data.ptr) if plan.by_columns else (b.data.ptr, a.data.ptr)
    for in_left, in_right, in_out in plan.starts:
        handle.products(
            plan.m, plan.n, plan.k, plan.batch,
            left + in_left, data_type, plan.left.transposed, plan.left.leading, plan.steps[0],
            right + in_right, data_type, plan.right.transposed, plan.right.leading, plan.steps[1],
            out.data.ptr + in_out, out_type, plan.leading, plan.steps[2],
            compute,
        )  # fmt: skip
    return out


@lru_cache(maxsize=4096)
def _product_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])


# --- element by element -------------------------------------------------------------------------------------------


def in_memory_order(function: Callable[..., Any], *operands: Any) -> Any:
    """function(*operands), an elementwise function of arrays and numbers, with the result in the memory order of the
    first array that has its shape.

    CuPy's functions walk through all arrays in the order of the axes and give a row-major result. They are shown views
    whose axes are in memory order: neighbouring threads then read and write neighbouring places.
    """
    order = _axis_order(*[(x.shape, x.strides) for x in operands if hasattr(x, "strides")])
    if order is None:
        return function(*operands)
    return function(*[_transposed(x, order) for x in operands]).transpose(_inverse(order))


@lru_cache(maxsize=4096)
def _axis_order(*arrays: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[int, ...] | None:
    """The axes of a result from the outermost to the innermost in memory, for arrays of these (shape, strides); None
    if it is row-major."""
    full = np.broadcast_shapes(*[shape for shape, _ in arrays])
    for shape, strides in arrays:
        if shape == full and all(step or size == 1 for size, step in zip(shape, strides, strict=True)):
            ones = [d for d, size in enumerate(shape) if size == 1]
            others = [d for d, size in enumerate(shape) if size != 1]
            by_step = sorted(others, key=lambda d: -abs(strides[d]))
            return None if by_step == others or 0 in shape else (*ones, *by_step)
    return None


def _transposed(x: Any, order: tuple[int, ...]) -> Any:
    """x, an array or a number, with the axes of the result in another order."""
    if not getattr(x, "ndim", 0):
        return x
    return x[(None,) * (len(order) - x.ndim)].transpose(order)


def _inverse(order: tuple[int, ...]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def masked(x: Any, mask: Any) -> Any:
    """x where the boolean `mask`, of the same shape, is true, and 0 elsewhere."""
    return in_memory_order(lambda x, mask: cupy.where(mask, x, 0), x, mask)


def relu(x: Any) -> Any:
    """max(x, 0), nan for nan."""
    return cupy.maximum(x, 0)


def relu_backward(u: Any, y: Any) -> Any:
    """u where y = relu(x) is positive, 0 elsewhere; in the memory order of y."""
    g = cupy.empty_like(y)
    walk = geometry.walk(y.shape, geometry.elements(y), geometry.elements(u))
    if not _same_order(g, y):  # y has gaps or overlaps in memory
        return masked(u, y > 0)
    launch("elementwise", "relu_backward", y.dtype, y.size, g, u, y, walk)
    return g


def erf(x: Any) -> Any:
    """The error function."""
    return cupyx.scipy.special.erf(x).astype(x.dtype, copy=False)  # float64 for float16


def concatenate(arrays: Sequence[Any], dim: int) -> Any:
    """The arrays one after the other along `dim`."""
    if len(arrays) <= 8 or not cupy.cuda.get_current_stream().is_capturing():
        return cupy.concatenate(arrays, axis=dim)
    # CuPy would copy a list of their addresses from the host, which no captured step may do.
    shape = list(arrays[0].shape)
    shape[dim] = sum(x.shape[dim] for x in arrays)
    y, before, start = cupy.empty(shape, arrays[0].dtype), (slice(None),) * dim, 0
    for x in arrays:
        y[(*before, slice(start, start + x.shape[dim]))] = x
        start += x.shape[dim]
    return y


# --- along dimensions ---------------------------------------------------------------------------------------------


def reduced(method: str, x: Any, dims: Any, keepdims: bool) -> Any:
    """The method "sum", "max", "all", "argmax", ... of x over `dims`: an int, several, or None for all.

    CuPy is shown x with its axes in memory order, so that neighbouring threads read neighbouring places.
    """
    options = {"dtype": np.int64} if method == "sum" and x.dtype.kind != "f" else {}
    if method == "sum" and x.dtype.kind == "f" and dims is not None and x.size >= LARGE_SUM:
        with x.device:
            return sum_over(x, (dims,) if isinstance(dims, int) else tuple(dims), keepdims)
    order = _axis_order((x.shape, x.strides))
    with x.device:
        if order is None or dims is None:  # all elements are numbered in the order of the axes
            return getattr(x, method)(axis=dims, keepdims=keepdims, **options)
        there = order.index(dims) if isinstance(dims, int) else tuple(map(order.index, dims))
        y = getattr(x.transpose(order), method)(axis=there, keepdims=True, **options).transpose(_inverse(order))
        gone = (dims,) if isinstance(dims, int) else dims
        return y if keepdims else y.reshape([size for d, size in enumerate(y.shape) if d not in gone])


def along(function: Callable[[Any, int], Any], x: Any, dim: int) -> Any:
    """function(x, dim), of the shape of x: what works along one dimension and is the same for all others."""
    order = _axis_order((x.shape, x.strides))
    if order is None:
        return function(x, dim)
    return function(x.transpose(order), order.index(dim)).transpose(_inverse(order))


def add_at(array: Any, index: Any, values: Any) -> None:
    """array[index] += values for a row-major array, where an element that is indexed several times gets every value.

    Atomic additions would come in another order each time, with other roundings. Here the values are sorted by where
    they go, for which the host waits, and added up in the order of their indices.
    """
    position = cupy.arange(array.size).reshape(array.shape)[index].ravel()
    order = cupy.argsort(position)  # stable
    values = cupy.ascontiguousarray(values)
    launch("index", "add_runs", array.dtype, order.size, array, values, position, order, np.int64(order.size))


# --- random numbers -----------------------------------------------------------------------------------------------


class Generator:
    """Random numbers on one GPU, the current one: the methods of numpy.random.Generator that the package uses.

    `seed` is what numpy.random.default_rng takes: an int, None, a numpy.random.SeedSequence. All numbers are a
    function of it and of how many were drawn before. The state lies on the device and kernels advance it there: the
    host waits for nothing (but the sort of a permutation), and a captured graph draws other numbers in every replay.
    """

    def __init__(self, seed: Any = None):
        self._state = cupy.empty(2, np.uint64)
        self.seed(seed)

    def seed(self, seed: Any = None) -> None:
        """Starts anew, in the same memory: graphs that were captured go on with it."""
        with self._state.device:
            if cupy.cuda.get_current_stream().is_capturing():
                raise RuntimeError(
                    "random numbers: a generator cannot be made or seeded while a graph is captured, for the graph "
                    "would seed it again in every replay; seed it, or draw from it once, before"
                )
            sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
            (key,) = sequence.generate_state(1, np.uint64)
            run("random", "seed", np.dtype("float32"), (1,), (self._state, key), threads=1)

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Uniform on [0, 1), float32 or float64."""
        return self._drawn("uniform", size, self._real("random", dtype))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Normal with mean 0 and standard deviation 1, float32 or float64."""
        return self._drawn("normal", size, self._real("standard_normal", dtype))

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """int64, uniform on low .. high − 1, or on 0 .. low − 1."""
        low, high = (0, int(low)) if high is None else (int(low), int(high))
        if not -(2**63) <= low < high < 2**63:
            raise ValueError(f"integers: expected −2**63 ≤ low < high < 2**63, got low={low} and high={high}")
        numbers = (low % 2**64, high - low, 2**64 % (high - low))
        return self._drawn("integers", size, np.dtype("int64"), *map(np.uint64, numbers))

    def permutation(self, n: int) -> Any:
        """0 .. n − 1 in random order, int64. The host waits for the sort."""
        with self._state.device:
            # Of 63 bits: among 60,000 keys, two are equal once in five billion times.
            return cupy.argsort(self.integers(0, 2**63 - 1, n)) if n else cupy.empty(0, np.int64)

    def fill(self, name: str, out: Any, *numbers: Any) -> None:
        """Runs the kernel `name` of cuda/random.cu over `out`, in the order of its memory, which has no gaps."""
        if out.size >= 1 << 31:
            raise ValueError(f"random numbers: expected less than 2**31 at a time, got {out.size:,}")
        with self._state.device:
            a_block = 1 if name == "integers" else 2 if out.dtype == np.float64 else 4
            blocks = -(-out.size // a_block)
            launch("random", name, out.dtype, blocks, out, self._state, np.uint32(out.size), *numbers)
            run("random", "move_on", out.dtype, (1,), (self._state, np.uint64(blocks)), threads=1)

    def _drawn(self, name: str, size: Any, dtype: np.dtype, *numbers: Any) -> Any:
        with self._state.device:
            out = cupy.empty(() if size is None else size, dtype)
            self.fill(name, out, *numbers)
        return out

    @staticmethod
    def _real(name: str, dtype: Any) -> np.dtype:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"{name}: expected float32 or float64, got {np.dtype(dtype)}")
        return np.dtype(dtype)


def dropout_mask(x: Any, p: float, generator: Generator) -> Any:
    """0 with probability p, else 1 / (1 − p), in the shape and the memory order of `x`."""
    mask = cupy.empty_like(x)
    real = np.float64 if x.dtype == np.float64 else np.float32
    generator.fill("dropout_mask", mask, real(p), real(1 / (1 - p) if p < 1 else 0))
    return mask


def shifted(images: Any, starts: Any, pixels: int, fill: Any) -> Any:
    """Windows of the images, padded with `fill` by `pixels` on all sides: image n's begins at row starts[0, n] and
    column starts[1, n]. Shapes: images (N, C, H, W), starts (2, N), fill a number or (C, 1, 1)."""
    N, C, H, W = images.shape
    out = cupy.empty_like(images)
    if out.size == 0:
        return out
    *outer, step_h, step_w = geometry.elements(images)
    h_w_n = ((0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 0, 0))
    walk = geometry.walk(images.shape, geometry.elements(out), (*outer, 0, 0), (0, 1, 0, 0), h_w_n)
    image = np.array((H, W, step_h, step_w), "i4, i4, i4, i4")
    values = tuple(np.broadcast_to(np.asarray(fill, images.dtype), (C, 1, 1)).ravel().tolist())
    arrays = (out, images, cupy.ascontiguousarray(starts), _constants(values, images.dtype, images.device.id))
    launch("shift", "shift", images.dtype, out.size, *arrays, walk, image, np.int32(N), np.int32(pixels))
    return out


@cache
def _constants(values: tuple[float, ...], dtype: np.dtype, device: int) -> Any:
    """These numbers on the device, which is the current one; copied there once."""
    return cupy.asarray(np.array(values, dtype))


# --- optimizers ---------------------------------------------------------------------------------------------------

MOST_PARAMETERS, MOST_AXES, PIECE = 40, 32, 1024  # as in cuda/optim.cu

PARAMETER = np.dtype(
    [("value", "u8"), ("grad", "u8"), ("buffer", "u8", 3), ("step", "u8")]
    + [("size", "u4"), ("first_block", "u4"), ("first_axis", "i4"), ("axes", "i4")],
    align=True,
)
PARAMETERS = np.dtype(
    [("count", "i4"), ("parameter", PARAMETER, MOST_PARAMETERS), ("axis", geometry.AXIS, MOST_AXES)], align=True
)
NUMBERS = np.dtype([("number", "f8", 8)], align=True)


class Numbers:
    """Up to eight numbers in device memory, where kernels find the latest whenever they run, in replays too."""

    def __init__(self, dtype: np.dtype) -> None:
        self.array = cupy.empty(8, np.float64)
        self.values: tuple[float, ...] | None = None
        self._dtype = dtype  # of the module whose kernel sets them: any, so one that is compiled anyway

    def set(self, values: tuple[float, ...]) -> None:
        """Takes over `values` if they have changed: as a kernel's argument, for the host would wait for a copy."""
        if values != self.values:
            given = np.zeros((), NUMBERS)
            given["number"][: len(values)] = values
            with self.array.device:
                run("optim", "set_numbers", self._dtype, (1,), (self.array, geometry.passed(given)), threads=8)
            self.values = values


def optimizer_step(
    name: str,
    rows: list[tuple[Any, Any, list[Any], Any]],
    numbers: Numbers,
    flags: tuple[bool, bool],
    found_inf: Any = None,
    grad_scale: Any = None,
) -> None:
    """One step of the algorithm `name` of cuda/optim.cu for any number of parameters, in place.

    `rows` has for each parameter: its array, its gradient, up to three buffers of its shape (None where one is not
    used), in any memory orders, and the count of its steps, int64 of shape (), or None if they are not counted.
    `found_inf` and `grad_scale` are float32 of shape (): not 0 to skip the step; a factor for the gradients.
    """
    of_dtype: dict[np.dtype, list[Any]] = {}
    for row in rows:
        of_dtype.setdefault(row[0].dtype, []).append(row)
    counted = rows[0][3] is not None
    with numbers.array.device:
        factors = cupy.empty((MOST_PARAMETERS, 2), np.float64) if counted else NULL
        pointers = [NULL if array is None else array for array in (found_inf, grad_scale)]
        arguments = (numbers.array, factors, *pointers, *map(np.int32, flags))
        for dtype, rows_of_dtype in of_dtype.items():
            for parameters, blocks in _optimizer_launches(rows_of_dtype):
                if counted:
                    run("optim", f"{name}_begin", dtype, (1,), (parameters, *arguments), threads=64)
                if blocks:
                    run("optim", name, dtype, (blocks,), (parameters, *arguments))


def _optimizer_launches(rows: list[Any]) -> list[tuple[np.ndarray, int]]:
    """The struct Parameters and the number of blocks of each launch."""
    launches: list[tuple[np.ndarray, int]] = []
    parameters: list[Any] = []
    axes: list[Any] = []
    blocks = 0
    for value, grad, buffers, step in rows:
        strides = [value.strides if buffer is None else buffer.strides for buffer in buffers]
        strides += [value.strides] * (3 - len(buffers))
        own = _optimizer_axes(value.shape, value.itemsize, value.strides, grad.strides, *strides)
        if len(parameters) == MOST_PARAMETERS or len(axes) + len(own) > MOST_AXES:
            launches.append((_parameters_struct(tuple(parameters), tuple(axes)), blocks))
            parameters, axes, blocks = [], [], 0
        device = value.data.device_id
        pointers = [0 if array is None else _address(array, device) for array in (value, grad, step, *buffers)]
        of_buffers = (*pointers[3:], *[0] * (3 - len(buffers)))
        parameters.append((*pointers[:2], of_buffers, pointers[2], value.size, blocks, len(axes), len(own)))
        axes += own
        blocks += -(-value.size // PIECE)
    return [*launches, (_parameters_struct(tuple(parameters), tuple(axes)), blocks)]


@lru_cache(maxsize=256)  # in most steps, gradients lie where they lay in one before
def _parameters_struct(parameters: tuple, axes: tuple) -> np.ndarray:
    result = np.zeros((), PARAMETERS)
    result["count"] = len(parameters)
    result["parameter"][: len(parameters)] = list(parameters)
    if axes:
        result["axis"][: len(axes)] = list(axes)
    return geometry.passed(result)


def _address(array: Any, device: int) -> int:
    found = getattr(array.data, "device_id", None)  # NumPy arrays have none
    if found != device:
        raise ValueError(
            f"Optimizer: expected the gradient and the state of a parameter on cuda:{device} there, "
            f"got an array on {'cpu' if found is None else f'cuda:{found}'}"
        )
    return array.data.ptr


@cache
def _optimizer_axes(shape: tuple[int, ...], itemsize: int, *strides: tuple[int, ...]) -> list[tuple]:
    """The structs Axis of a parameter: none where it, its gradient and its buffers lie alike and without gaps."""
    if 0 in shape:
        return []
    value, grad, *buffers = [tuple(step // itemsize for step in own) for own in strides]
    walk = geometry.walk(shape, value, grad, None, tuple(buffers)).view(geometry.WALK)
    axes = walk["axis"][walk["first"] :]
    alike = len(axes) == 0 or (len(axes) == 1 and {*axes["a"], *axes["b"], *axes["position"].flat} == {1})
    return [] if alike else [(*numbers, tuple(position)) for *numbers, position in axes.tolist()]


def total_norm(arrays: list[Any], p: float) -> Any:
    """The p-norm of the elements of all arrays, as of one long vector; of shape (), in the widest of their dtypes."""
    dtype = np.result_type(*[array.dtype for array in arrays])
    if p == 0:  # as torch has it: how many arrays are not all 0
        return sum((array != 0).any().astype(dtype) for array in arrays)
    with arrays[0].device:
        launches = _launches_in_place(arrays)
        shares = cupy.empty(sum(blocks for _, _, blocks in launches), np.float64)
        begun = 0
        for of_arrays, parameters, blocks in launches:
            arguments = (parameters, shares[begun:], np.float64(p))
            run("optim", "norm_shares", of_arrays, (blocks,), arguments)
            begun += blocks
        result = cupy.empty((), dtype)
        run("optim", "norm_of_shares", dtype, (1,), (result, shares, np.int32(begun), np.float64(p)))
    return result


def scale_all(arrays: list[Any], factor: Any) -> None:
    """Multiplies all arrays, in place, with `factor`, of shape () and on their device."""
    with arrays[0].device:
        factor = factor.astype(np.float64, copy=False)
        for dtype, parameters, blocks in _launches_in_place(arrays):
            run("optim", "scale", dtype, (blocks,), (parameters, factor))


def _launches_in_place(arrays: list[Any]) -> list[tuple[np.dtype, np.ndarray, int]]:
    """The dtype, the struct Parameters and the number of blocks of launches that change arrays in place."""
    launches = []
    for dtype in dict.fromkeys(array.dtype for array in arrays):
        rows: list[Any] = [(array, array, [], None) for array in arrays if array.dtype == dtype]
        launches += [(dtype, parameters, blocks) for parameters, blocks in _optimizer_launches(rows) if blocks]
    return launches
