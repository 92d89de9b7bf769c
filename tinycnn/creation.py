"""Functions that make tensors from values, sizes or random draws; names and arguments are torch's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn import backend, dtypes
from tinycnn.ops.shape import sizes_of
from tinycnn.tensor import Tensor

__all__ = [
    "tensor", "from_numpy", "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like",
    "arange", "linspace", "eye", "rand", "randn", "randint", "randperm",
]  # fmt: skip


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor holding a copy of `data`: see `Tensor`."""
    return Tensor(data, dtype, device, requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    dtypes.as_dtype(array.dtype)
    result = Tensor._wrap(array)
    result._shared_version().expose(array, is_new=True)
    return result


def _shape(function: str, sizes: tuple) -> tuple[int, ...]:
    shape = sizes_of(sizes)
    if any(size < 0 for size in shape):
        raise ValueError(f"{function}: sizes must not be negative, got {shape}")
    return shape


def _filled(function: str, sizes: tuple, dtype: Any, device: Any, requires_grad: bool, *value: Any) -> Tensor:
    shape = _shape(function, sizes)
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    xp = backend.module_of(backend.device(device))
    return Tensor._wrap(getattr(xp, function)(shape, *value, dtype=dtype)).requires_grad_(requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return _filled("zeros", size, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return _filled("ones", size, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uninitialised: whatever the memory held."""
    return _filled("empty", size, dtype, device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    if dtype is None and isinstance(fill_value, (bool, int)):
        dtype = bool if isinstance(fill_value, bool) else dtypes.int64
    return _filled("full", (size,), dtype, device, requires_grad, fill_value)


def _like(function: str, x: Tensor, dtype: Any, requires_grad: bool, *value: Any) -> Tensor:
    """With the memory order of `x`, so that the two combine at full speed."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{function}: expected a Tensor, got {type(x).__name__}")
    dtype = x.dtype if dtype is None else dtypes.as_dtype(dtype)
    with backend.current(x._array):
        array = getattr(backend.array_module(x._array), function)(x._array, *value, dtype=dtype)
    return Tensor._wrap(array).requires_grad_(requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return _like("zeros_like", input, dtype, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return _like("ones_like", input, dtype, requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return _like("empty_like", input, dtype, requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return _like("full_like", input, dtype, requires_grad, fill_value)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """[start, start + step, ...] below `end`; `arange(n)` starts at 0. int64 if all arguments are ints."""
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    if dtype is None:
        whole = all(isinstance(value, (int, np.integer)) for value in (start, end, step))
        dtype = dtypes.int64 if whole else dtypes.get_default_dtype()
    xp = backend.module_of(backend.device(device))
    return Tensor._wrap(xp.arange(start, end, step, dtype=dtypes.as_dtype(dtype))).requires_grad_(requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers at equal distances, from `start` to `end`, both included."""
    if steps < 0:
        raise ValueError(f"linspace: expected at least 0 steps, got {steps}")
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    array = backend.module_of(backend.device(device)).linspace(start, end, steps, dtype=dtype)
    return Tensor._wrap(array).requires_grad_(requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """(n, m), or (n, n), with ones on the diagonal and zeros elsewhere."""
    if n < 0 or (m is not None and m < 0):
        raise ValueError(f"eye: sizes must not be negative, got {n} and {m}")
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    array = backend.module_of(backend.device(device)).eye(n, m, dtype=dtype)
    return Tensor._wrap(array).requires_grad_(requires_grad)


def _drawn(function: str, draw: str, sizes: tuple, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    shape = _shape(function, sizes)
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"{function}: expected a floating-point dtype, got {dtype}; for integers use randint")
    generator = backend.random_generator(backend.device(device))
    drawn_as = dtype if dtype in (dtypes.float32, dtypes.float64) else dtypes.float32
    array = getattr(generator, draw)(shape, dtype=drawn_as)
    return Tensor._wrap(array.astype(dtype, copy=False)).requires_grad_(requires_grad)


def rand(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1)."""
    return _drawn("rand", "random", size, dtype, device, requires_grad)


def randn(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal with mean 0 and standard deviation 1."""
    return _drawn("randn", "standard_normal", size, dtype, device, requires_grad)


def randint(low: int, high: int | None = None, size: Any = (), *, dtype: Any = None, device: Any = None) -> Tensor:
    """Integers from `low` (0 if only `high` is given) to `high` - 1."""
    if high is None or isinstance(high, (tuple, list)):
        low, high, size = 0, low, (high if high is not None else size)
    if low >= high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    generator = backend.random_generator(backend.device(device))
    drawn = generator.integers(low, high, _shape("randint", (size,)))
    return Tensor._wrap(drawn.astype(dtypes.as_dtype(dtype or "int64")))


def randperm(n: int, *, device: Any = None) -> Tensor:
    """The integers 0 to n - 1 in random order."""
    if n < 0:
        raise ValueError(f"randperm: expected n of at least 0, got {n}")
    generator = backend.random_generator(backend.device(device))
    return Tensor._wrap(generator.permutation(n))
