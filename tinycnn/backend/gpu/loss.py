"""The cross-entropy of a classifier."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import NULL, THREADS, counters, launch, run
from tinycnn.backend.gpu.reduce import sum_type

__all__ = ["cross_entropy", "cross_entropy_backward", "wrong_class"]


def wrong_class(target: Any, classes: int, ignore_index: int) -> None:
    """None: reading the values would make the host wait. A target that is no class makes the loss nan."""


def cross_entropy(
    x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float, reduction: str, class_dim: int
) -> tuple[Any, Any]:
    """(loss, what `cross_entropy_backward` needs): see cuda/loss.cu. A target that is no class gives nan."""
    if x.itemsize == 2:  # which holds neither the sum of many losses nor that of their weights
        wide = None if weight is None else weight.astype(np.float32)
        dtype, x = x.dtype, x.astype(np.float32)
        loss, saved = cross_entropy(x, target, wide, ignore_index, smoothing, reduction, class_dim)
        return loss.astype(dtype), saved
    target = target.astype(np.int64, order="C", copy=False)
    wide, of_all = sum_type(x.dtype), reduction != "none"
    loss, totals = (NULL, cupy.empty(2, x.dtype)) if of_all else (cupy.empty(target.shape, x.dtype), NULL)
    rows = cupy.empty((*target.shape, 5), wide)
    classes, strides = x.shape[class_dim], list(geometry.elements(x))
    step = strides.pop(class_dim)
    in_rows = geometry.elements(target)
    walk = geometry.walk(target.shape, tuple(strides), in_rows, in_rows)
    lanes = min(THREADS, 1 << (-(-classes // 4) - 1).bit_length())  # about four classes for each
    blocks = max(int(of_all), -(-target.size * lanes // THREADS))
    numbers = (np.int32(classes), np.int32(step), np.int64(ignore_index), np.float64(smoothing), np.int32(lanes))
    arrays = (loss, totals, rows, x, target, NULL if weight is None else weight)
    shared = (cupy.empty((blocks, 2), wide), counters(1)) if of_all and blocks > 1 else (NULL, NULL)
    arguments = (*arrays, *shared, walk, *numbers, np.int32(reduction == "mean"))
    if blocks:
        run("loss", "cross_entropy", x.dtype, (blocks,), arguments)
    return (totals[0], (target, rows, totals[1])) if of_all else (loss, (target, rows, NULL))


def cross_entropy_backward(u: Any, x: Any, saved: Any, weight: Any, class_dim: int) -> Any:
    """u times the gradient of the loss."""
    if x.itemsize == 2:
        wide = None if weight is None else weight.astype(np.float32)
        u, wide_x = u.astype(np.float32), x.astype(np.float32)
        return cross_entropy_backward(u, wide_x, saved, wide, class_dim).astype(x.dtype)
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
