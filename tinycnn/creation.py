"""Functions that make tensors from values, sizes or random draws; names and arguments are torch's.

Options, where a function has them: `dtype` is a NumPy dtype, its name, or Python's float, int or bool (default: see
`set_default_dtype`); `device` is "cpu" (default), "cuda" or "cuda:N"; `requires_grad` (default False) raises TypeError
for integers. Sizes are ints or one sequence of ints; negative ones raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinycnn import backend, dtypes
from tinycnn.autograd import Version, array_of, wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import LARGEST, check_count, check_flag, check_int, check_number, is_int
from tinycnn.dtypes import DTypeLike
from tinycnn.ops.copy import new_array
from tinycnn.ops.shape import Sizes, shape_from
from tinycnn.tensor import Tensor

__all__ = [
    "tensor", "from_numpy", "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like",
    "arange", "linspace", "eye", "rand", "randn", "randint", "randperm",
]  # fmt: skip


def tensor(
    data: ArrayLike | Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor holding a copy of `data`: a number, nested sequence, array or Tensor.

    Its dtype is by default that of an array or Tensor; for Python's numbers float32 (see `set_default_dtype`), int64 or
    bool. An array or Tensor stays on its device unless `device` is given.
    """
    check_flag("tensor", "requires_grad", requires_grad)
    return wrap(new_array("tensor", data, dtype, device)).requires_grad_(requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the memory of a NumPy array. TypeError for anything else and for unsupported dtypes."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    dtypes.as_dtype(array.dtype)
    version = Version()
    result = wrap(version.take_in(array))
    result._version = version
    return result


def _made(function: str, arguments: tuple, dtype: DTypeLike, device: DeviceLike, requires_grad: bool) -> Tensor:
    """The result of a function of NumPy or CuPy, as a Tensor."""
    check_flag(function, "requires_grad", requires_grad)
    with backend.on(backend.device(device)) as xp:
        array = getattr(xp, function)(*arguments, dtype=dtypes.as_dtype(dtype))
    return wrap(array).requires_grad_(requires_grad)


def zeros(*size: Sizes, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros of shape `size`."""
    return _made("zeros", (shape_from("zeros", size),), dtype, device, requires_grad)


def ones(*size: Sizes, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Ones of shape `size`."""
    return _made("ones", (shape_from("ones", size),), dtype, device, requires_grad)


def empty(*size: Sizes, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised memory of shape `size`: the values are arbitrary."""
    return _made("empty", (shape_from("empty", size),), dtype, device, requires_grad)


def _number(function: str, argument: str, value: Any) -> Any:
    """A number or a Tensor of one as a Python number."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    return value if isinstance(value, bool) else check_number(function, argument, value)


def full(
    size: Sizes, fill_value: float, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Shape `size`, filled with `fill_value`; by default bool, int64 or the default dtype, after the value's type."""
    fill_value = _number("full", "fill_value", fill_value)
    if dtype is None and isinstance(fill_value, int):
        dtype = bool if isinstance(fill_value, bool) else dtypes.int64
    fill_value = dtypes.fitted("full", "fill_value", fill_value, dtypes.as_dtype(dtype))
    return _made("full", (shape_from("full", (size,)), fill_value), dtype, device, requires_grad)


def _like(function: str, x: Tensor, dtype: DTypeLike, requires_grad: bool, *value: float) -> Tensor:
    """With the memory order of `x`, so that operations on the two run at full speed."""
    like = array_of(function, x)
    check_flag(function, "requires_grad", requires_grad)
    dtype = like.dtype if dtype is None else dtypes.as_dtype(dtype)
    value = tuple(dtypes.fitted(function, "fill_value", number, dtype) for number in value)
    with backend.current(like):
        array = getattr(backend.array_module(like), function)(like, *value, dtype=dtype)
    return wrap(array).requires_grad_(requires_grad)


def zeros_like(input: Tensor, *, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, device and memory order of `input`, and its dtype unless `dtype` is given."""
    return _like("zeros_like", input, dtype, requires_grad)


def ones_like(input: Tensor, *, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, device and memory order of `input`, and its dtype unless `dtype` is given."""
    return _like("ones_like", input, dtype, requires_grad)


def empty_like(input: Tensor, *, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """Arbitrary values with the shape, device and memory order of `input`, and its dtype unless `dtype` is given."""
    return _like("empty_like", input, dtype, requires_grad)


def full_like(input: Tensor, fill_value: float, *, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """`fill_value` in the shape, device and memory order of `input`, and its dtype unless `dtype` is given."""
    return _like("full_like", input, dtype, requires_grad, _number("full_like", "fill_value", fill_value))


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, … up to but not including `end`: ⌈(end − start) / step⌉ values.

    `arange(n)` starts at 0. int64 if all arguments are ints, else the default dtype. ValueError for a step of 0 or one
    that leads away from `end`.
    """
    start, end = (0, start) if end is None else (start, end)
    for argument, value in (("start", start), ("end", end), ("step", step)):
        check_number("arange", argument, value)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    if not (end - start) / step <= LARGEST:
        raise ValueError(f"arange: {start} to {end} in steps of {step} are too many values")
    if dtype is None and all(is_int(value) for value in (start, end, step)):
        dtype = dtypes.int64
    if dtypes.as_dtype(dtype).kind in "iu" and not int(step):
        raise ValueError(f"arange: a step of {step} is 0 in {dtypes.as_dtype(dtype)}")
    return _made("arange", (start, end, step), dtype, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` equally spaced values from `start` to `end`, both included. ValueError for negative `steps`."""
    check_number("linspace", "start", start)
    check_number("linspace", "end", end)
    check_count("linspace", "steps", steps)
    found = dtypes.as_dtype(dtype)
    if found.kind == "b":
        raise TypeError("linspace: expected a dtype of numbers, got bool")
    for argument, value in (("start", start), ("end", end)):
        dtypes.fitted("linspace", argument, value, found)
    if found.kind == "f":
        return _made("linspace", (start, end, steps), found, device, requires_grad)
    return _made("linspace", (start, end, steps), dtypes.float64, device, False).to(found).requires_grad_(requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """(n, m), by default (n, n), with ones on the diagonal and zeros elsewhere."""
    rows, columns = shape_from("eye", (n, n if m is None else m))
    return _made("eye", (rows, columns), dtype, device, requires_grad)


def _drawn(
    function: str, draw: str, sizes: tuple[Sizes, ...], dtype: DTypeLike, device: DeviceLike, requires_grad: bool
) -> Tensor:
    found = dtypes.as_dtype(dtype)
    check_flag(function, "requires_grad", requires_grad)
    if found.kind != "f":
        raise TypeError(f"{function}: expected a floating-point dtype, got {found}; for integers use randint")
    target = backend.device(device)
    drawn_as = found if found in (dtypes.float32, dtypes.float64) else dtypes.float32
    with backend.on(target):
        array = getattr(backend.random_generator(target), draw)(shape_from(function, sizes), dtype=drawn_as)
        if draw == "random" and found == dtypes.float16:
            array = (array * 2048).astype(dtypes.int16).astype(found) / 2048  # rounded to float16, it could become 1
        array = array.astype(found, copy=False)
    return wrap(array).requires_grad_(requires_grad)


def rand(*size: Sizes, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Independent draws from the uniform distribution on [0, 1). TypeError for an integer dtype."""
    return _drawn("rand", "random", size, dtype, device, requires_grad)


def randn(*size: Sizes, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False) -> Tensor:
    """Independent draws from the standard normal distribution. TypeError for an integer dtype."""
    return _drawn("randn", "standard_normal", size, dtype, device, requires_grad)


def randint(
    low: int, high: int | Sequence[int] | None = None, size: Sizes = (), *, dtype: DTypeLike = None,
    device: DeviceLike = None,
) -> Tensor:  # fmt: skip
    """Uniform integers in [low, high), int64 by default; `randint(high, size)` starts at 0.

    ValueError unless low < high and `dtype` holds them.
    """
    if high is None or (isinstance(high, (tuple, list)) and size == ()):
        low, high, size = 0, low, size if high is None else high
    low = check_int("randint", "low", low)
    high = int(check_int("randint", "high", high))
    if low >= high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    found = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    least, largest = dtypes.limits(found)
    if not (least <= low and high - 1 <= largest):
        raise ValueError(f"randint: numbers from {low} to {high - 1} do not fit {found}")
    target = backend.device(device)
    with backend.on(target):
        return wrap(backend.random_generator(target).integers(low, high, shape_from("randint", (size,))).astype(found))


def randperm(n: int, *, device: DeviceLike = None) -> Tensor:
    """A random permutation of 0, …, n − 1, int64. ValueError for a negative n."""
    check_count("randperm", "n", n)
    return wrap(backend.random_generator(backend.device(device)).permutation(n))
