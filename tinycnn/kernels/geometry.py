"""How kernels find their way through arrays: the structs of `cuda/common.cuh` and `cuda/window.cu`, made on the host.

Everything here is integers: shapes and strides in, structs out. So it can be tested without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

MAX_AXES = 8

DIVISOR = np.dtype([("divisor", "u4"), ("magic", "u4"), ("shift", "u4")], align=True)
AXIS = np.dtype([("size", DIVISOR), ("a", "i4"), ("b", "i4"), ("c", "i4"), ("position", "i4", 3)], align=True)
WALK = np.dtype([("size", "u4"), ("first", "i4"), ("axis", AXIS, MAX_AXES)], align=True)
DIM_FIELDS = ("input", "output", "kernel", "stride", "dilation", "padding")
STEP_FIELDS = ("step", "step_output", "step_kernel", "step_other")
DIM = np.dtype([(name, DIVISOR if name == "stride" else "i4") for name in DIM_FIELDS + STEP_FIELDS], align=True)
WINDOW = np.dtype([("dim", DIM, 3)], align=True)

Strides = tuple[int, ...]


def divisor(d: int) -> tuple[int, int, int]:
    """(d, magic, shift) with n // d == ((n · magic >> 32) + n) >> shift for every n below 2³¹.

    Source: Granlund and Montgomery, "Division by invariant integers using multiplication" (1994), figure 4.1.
    """
    shift = (d - 1).bit_length()
    magic = ((1 << 32) * ((1 << shift) - d)) // d + 1
    return d, magic, shift


def elements(array: Any) -> Strides:
    """The strides of an array, counted in elements: of one in which kernels find every element with 32 bits."""
    return _elements(array.shape, array.strides, array.itemsize)


@lru_cache(maxsize=4096)
def _elements(shape: tuple[int, ...], strides: Strides, itemsize: int) -> Strides:
    steps = tuple(stride // itemsize for stride in strides)
    # What a kernel reads may be larger than what it writes, for which `walk` would refuse it; and a view may have gaps.
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
    """The struct Walk over all elements of `shape`, for up to three arrays with the strides a, b, c.

    The walk is in the memory order of `a`, which is written: neighbouring threads then write to neighbouring places.
    `positions` gives, for up to three spatial dimensions, how far the position moves with a step along each axis.
    """
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
    merged: list[tuple[int, tuple[int, ...]]] = []
    for n, step in axes:
        if merged and all(outer == n * inner for outer, inner in zip(merged[-1][1], step, strict=True)):
            merged[-1] = (merged[-1][0] * n, step)
        else:
            merged.append((n, step))
    if len(merged) > MAX_AXES:
        raise ValueError(f"arrays of shape {shape} have too many axes for the GPU kernels: expected at most {MAX_AXES}")
    result = np.zeros((), WALK)
    result["size"], result["first"] = size, MAX_AXES - len(merged)
    for i, (n, step) in enumerate(merged, start=MAX_AXES - len(merged)):
        result["axis"][i] = (divisor(n), *step[:3], step[3:])
    return result


def window_struct(window: Any, **steps: Sequence[int]) -> np.ndarray:
    """The struct Window of a `patches.Window` of up to three dimensions; `steps` gives STEP_FIELDS, in elements."""
    d = len(window.kernel_size)
    result = np.zeros((), WINDOW)
    result["dim"][["input", "output", "kernel", "stride", "dilation"]] = (1, 1, 1, divisor(1), 1)
    for i in range(d):
        dim = result["dim"][3 - d + i]
        dim["input"], dim["output"] = window.input_size[i], window.output_size[i]
        dim["kernel"], dim["stride"] = window.kernel_size[i], divisor(window.stride[i])
        dim["dilation"], dim["padding"] = window.dilation[i], window.padding[i][0]
        for name, of in steps.items():
            dim[name] = of[i]
    return result


@lru_cache(maxsize=4096)
def batches(shape: tuple[int, ...], *steps: Strides) -> tuple[list[tuple[int, ...]], int, tuple[int, ...]]:
    """How to run through a batch of `shape` with calls that each take many evenly spaced members of it.

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
