"""Updates of all parameters of an optimizer at once, and limits on gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu import geometry
from tinycnn.backend.gpu.launch import NULL, counters, run

__all__ = ["Numbers", "optimizer_step", "scale_all", "total_norm"]

MOST_PARAMETERS, MOST_AXES, PIECE = 35, 32, 1024  # as in cuda/optim.cu

PARAMETER = np.dtype(
    [("value", "u8"), ("grad", "u8"), ("buffer", "u8", 3), ("step", "u8"), ("own", "u8", 2)]
    + [("size", "u4"), ("first_block", "u4"), ("first_axis", "i4"), ("axes", "i4")],
    align=True,
)
PARAMETERS = np.dtype([("parameter", PARAMETER, MOST_PARAMETERS), ("axis", geometry.AXIS, MOST_AXES)], align=True)
NUMBERS = np.dtype([("number", "f8", 8)], align=True)


class Numbers:
    """Up to eight numbers in device memory, from which kernels read the latest values, in replays too."""

    def __init__(self, dtype: np.dtype) -> None:
        self.array = cupy.empty(8, np.float64)
        self.values: tuple[float, ...] | None = None
        self._dtype = dtype  # of the module whose kernel sets them: any, so one that is compiled anyway

    def set(self, values: tuple[float, ...]) -> None:
        """Writes `values` if they have changed, by a kernel's argument: the host would wait for a copy."""
        if values != self.values:
            given = np.zeros((), NUMBERS)
            given["number"][: len(values)] = values
            with self.array.device:
                run("optim", "set_numbers", self._dtype, (1,), (self.array, geometry.passed(given)), threads=8)
            self.values = values


def optimizer_step(
    name: str, rows: list[tuple[Any, Any, list[Any], Any, list[Any]]], numbers: Numbers, flags: tuple[bool, bool],
    found_inf: Any = None, grad_scale: Any = None,
) -> None:  # fmt: skip
    """One step of the algorithm `name` of cuda/optim.cu for any number of parameters, in place.

    `rows` has for each parameter: its array, its gradient, up to three buffers of its shape (None where one is not
    used), in any memory orders; the count of its steps, int64 of shape (), or None if they are not counted; and up to
    two numbers of its own, float64 of shape ().
    `found_inf` and `grad_scale` are float32 of shape (): not 0 to skip the step; a factor for the gradients.
    """
    of_dtype: dict[np.dtype, list[Any]] = {}
    for row in rows:
        of_dtype.setdefault(row[0].dtype, []).append(row)
    with numbers.array.device:
        pointers = [NULL if array is None else array for array in (found_inf, grad_scale)]
        for dtype, rows_of_dtype in of_dtype.items():
            table, blocks = _table(rows_of_dtype)
            arguments = (*table, numbers.array, counters(len(rows_of_dtype)), *pointers, *map(np.int32, flags))
            run("optim", name, dtype, (blocks,), arguments)


def _table(rows: list[Any]) -> tuple[tuple, int]:
    """What a kernel takes for the parameters of one dtype, and its number of blocks: one at least for each."""
    parameters: list[Any] = []
    axes: list[Any] = []
    blocks = 0
    for value, grad, buffers, step, own_numbers in rows:
        strides = [value.strides if buffer is None else buffer.strides for buffer in buffers]
        strides += [value.strides] * (3 - len(buffers))
        own = _optimizer_axes(value.shape, value.itemsize, value.strides, grad.strides, *strides)
        device = value.data.device_id
        padded = (*buffers, *[None] * (3 - len(buffers)), step, *own_numbers, *[None] * (2 - len(own_numbers)))
        pointers = [0 if array is None else _address(array, device) for array in (value, grad, *padded)]
        of_buffers, of_own = tuple(pointers[2:5]), tuple(pointers[6:])
        sizes = value.size, blocks, len(axes), len(own)
        parameters.append((*pointers[:2], of_buffers, pointers[5], of_own, *sizes))
        axes += own
        blocks += max(1, -(-value.size // PIECE))
    count = np.int32(len(parameters))
    if len(parameters) <= MOST_PARAMETERS and len(axes) <= MOST_AXES:
        return (_struct(tuple(parameters), tuple(axes)), NULL, NULL, count), blocks
    stream = cupy.cuda.get_current_stream()
    # What a graph writes is there only once it has run, and what it reads has to stay.
    put = _put if not stream.is_capturing() else _put.__wrapped__
    return (_struct((), ()), *put(tuple(parameters), tuple(axes), stream.ptr), count), blocks


@lru_cache(maxsize=256)  # in most steps, gradients have the addresses of an earlier one
def _struct(parameters: tuple, axes: tuple) -> np.ndarray:
    result = np.zeros((), PARAMETERS)
    if parameters:
        result["parameter"][: len(parameters)] = list(parameters)
    if axes:
        result["axis"][: len(axes)] = list(axes)
    return geometry.passed(result)


@lru_cache(maxsize=16)
def _put(parameters: tuple, axes: tuple, stream: int) -> tuple[Any, Any]:
    """The parameters and axes in device memory, put there by kernels' arguments: the host would wait for a copy."""
    there = [cupy.empty((max(1, len(rows)), of.itemsize), np.uint8)
             for rows, of in ((parameters, PARAMETER), (axes, geometry.AXIS))]  # fmt: skip
    for i in range(max(-(-len(parameters) // MOST_PARAMETERS), -(-len(axes) // MOST_AXES))):
        first, first_axis = i * MOST_PARAMETERS, i * MOST_AXES
        part, part_axes = parameters[first:][:MOST_PARAMETERS], axes[first_axis:][:MOST_AXES]
        counts = np.int32(len(part)), np.int32(len(part_axes))
        to = (there[0][first:], there[1][first_axis:])
        run("optim", "put_parameters", np.dtype("float32"), (1,), (*to, _struct(part, part_axes), *counts))
    return there[0], there[1]


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
    """The structs Axis of a parameter: none where it, its gradient and its buffers have the same strides and no
    gaps."""
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
        tables = list(_tables_in_place(arrays))
        shares = cupy.empty(sum(blocks for *_, blocks in tables), np.float64)
        begun = 0
        for of_arrays, table, blocks in tables:
            run("optim", "norm_shares", of_arrays, (blocks,), (*table, shares[begun:], np.float64(p)))
            begun += blocks
        result = cupy.empty((), dtype)
        run("optim", "norm_of_shares", dtype, (1,), (result, shares, np.int32(begun), np.float64(p)))
    return result


def scale_all(arrays: list[Any], factor: Any) -> None:
    """Multiplies all arrays, in place, with `factor`, of shape () and on their device."""
    with arrays[0].device:
        factor = factor.astype(np.float64, copy=False)
        for dtype, table, blocks in _tables_in_place(arrays):
            run("optim", "scale", dtype, (blocks,), (*table, factor))


def _tables_in_place(arrays: list[Any]) -> Iterator[tuple[np.dtype, tuple, int]]:
    """For each dtype, what kernels take that change arrays in place, and their number of blocks."""
    for dtype in dict.fromkeys(array.dtype for array in arrays):
        table, blocks = _table([(array, array, [], None, []) for array in arrays if array.dtype == dtype])
        yield dtype, table, blocks
