"""Element-wise kernels, and kernels that move elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import cupy
import cupyx
import cupyx.scipy.special
import numpy as np

from tinycnn.backend.devices import constant, device_of
from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import NULL, launch, launch_packs
from tinycnn.backend.gpu.order import in_memory_order, same_order
from tinycnn.backend.gpu.reduce import sum_type

__all__ = [
    "add_at", "all_finite", "as_strided", "broadcast_to", "concatenate", "erf", "in_row_order", "index_add", "masked",
    "relu", "relu_backward", "scale_shift", "scratch",
]  # fmt: skip


def masked(x: Any, mask: Any) -> Any:
    """x where the boolean `mask`, of the same shape, is true, and 0 elsewhere."""
    return in_memory_order(lambda x, mask: cupy.where(mask, x, x.dtype.type(0)), x, mask)


def relu(x: Any) -> Any:
    """max(x, 0), nan for nan."""
    return cupy.maximum(x, 0)


def relu_backward(u: Any, y: Any) -> Any:
    """u where y = relu(x) is not 0, 0 elsewhere; in the memory order of y."""
    g = cupy.empty_like(y)
    if not same_order(g, y):  # y has gaps or overlaps in memory
        return masked(u, y != 0)
    walks = geometry.elementwise(y.shape, (g.strides, g.itemsize), (u.strides, u.itemsize))
    launch_packs("elementwise", "relu_backward", y.dtype, walks, (g, u, y))
    return g


def scale_shift(y: Any, weight: Any, bias: Any) -> Any:
    """y · weight + bias, of which one may be None: they are float32 where y has 16 bits, in the memory order of y."""
    z, wide = cupy.empty_like(y), sum_type(y.dtype)
    given = [None if x is None else cupy.ascontiguousarray(x.astype(wide, copy=False)) for x in (weight, bias)]
    repeated = cupy.broadcast_to(given[1] if weight is None else given[0], y.shape)
    walk = geometry.walk(y.shape, geometry.elements(z), geometry.elements(y), geometry.elements(repeated))
    launch("elementwise", "scale_shift", y.dtype, y.size, z, y, *[NULL if x is None else x for x in given], walk)
    return z


def all_finite(x: Any) -> bool:
    """True: the host would have to wait for the answer."""
    return True


def erf(x: Any) -> Any:
    """The error function."""
    wide = x.astype(np.float32) if x.itemsize == 2 else x  # CuPy gives float64 for float16, and knows no bfloat16
    return cupyx.scipy.special.erf(wide).astype(x.dtype, copy=False)


def concatenate(arrays: Sequence[Any], dim: int) -> Any:
    """The arrays concatenated along `dim`."""
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


def add_at(array: Any, index: Any, values: Any) -> None:
    """array[index] += values for a row-major array, where an element that is indexed several times gets every value.

    Atomic additions would be made in a different order in each run, and so round differently. Here the values are
    sorted by position, for which the host waits, and added in the order of their indices.
    """
    position = cupy.arange(array.size).reshape(array.shape)[index].ravel()
    order = cupy.argsort(position)  # stable
    values = cupy.ascontiguousarray(values)
    launch("index", "add_runs", array.dtype, order.size, array, values, position, order, np.int64(order.size))


def index_add(x: Any, dim: int, index: np.ndarray, y: Any) -> None:
    """x[.., index[j], ..] += y[.., j, ..] along `dim`, in a fixed order: the first value of each position of x,
    then the second, and so on. A launch for each position would take longer than the work."""
    if x.itemsize == 2:  # rounded once, not in every turn
        total = x.astype(np.float32)
        index_add(total, dim, index, y.astype(np.float32))
        x[...] = total
        return
    before, device = (slice(None),) * dim, device_of(x)
    turns: dict[int, list[int]] = {}
    seen: Counter[int] = Counter()
    for j, i in enumerate(index.tolist()):
        turns.setdefault(seen[i], []).append(j)
        seen[i] += 1
    for chosen in map(np.array, turns.values()):
        x[(*before, constant(index[chosen], device))] += y[(*before, constant(chosen, device))]


# --- memory -------------------------------------------------------------------------------------------------------


def scratch(name: str, shape: tuple[int, ...], like: Any) -> Any:
    """An uninitialised array from CuPy's pool. It is not kept for reuse: allocating costs no page faults there,
    and a recorded graph needs memory of its own."""
    return cupy.empty(shape, like.dtype)


def as_strided(array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view of the memory of `array` with another shape and other strides (bytes), unchecked."""
    return cupy.lib.stride_tricks.as_strided(array, shape, strides)


def broadcast_to(array: Any, shape: tuple[int, ...]) -> Any:
    """A view of `shape`, in which missing dimensions and those of size 1 are repeated."""
    return cupy.broadcast_to(array, shape)


def in_row_order(rows: Any) -> Any:
    """`rows` as they are: the unfolding kernel takes any order."""
    return rows
