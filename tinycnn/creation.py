"""Functions that make tensors from values, sizes or random draws; names and arguments are torch's.

Options, where a function has them: `dtype` is a NumPy dtype, its name, or Python's float, int or bool (default: see
`set_default_dtype`); `device` is "cpu" (default), "cuda" or "cuda:N"; `requires_grad` (default False) raises TypeError
for integers. Sizes are ints or one sequence of ints; negative ones raise ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinycnn import backend, dtypes
from tinycnn._bfloat16 import FLOATING, holds_numbers
from tinycnn._decorator import composed
from tinycnn.autograd import Version, array_of, wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import (
    LARGEST,
    check_count,
    check_flag,
    check_int,
    check_not_negative,
    check_number,
    is_int,
    shortened,
)  # fmt: skip
from tinycnn.dtypes import DTypeLike
from tinycnn.ops.arithmetic import pow
from tinycnn.ops.copy import new_array
from tinycnn.ops.new import drawn, made, number, plain, shape_of
from tinycnn.ops.rearrange import broadcast_shapes
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.shape import Sizes, check_elements, tril, triu
from tinycnn.size import Size
from tinycnn.tensor import Tensor

__all__ = [
    "tensor", "from_numpy", "as_tensor", "asarray", "scalar_tensor", "zeros", "ones", "empty", "full", "zeros_like",
    "ones_like", "empty_like", "full_like", "arange", "linspace", "logspace", "eye", "tril_indices", "triu_indices",
    "rand", "randn", "randint", "randperm", "normal", "rand_like", "randn_like", "randint_like", "FloatTensor",
    "DoubleTensor", "HalfTensor", "LongTensor", "IntTensor", "ShortTensor", "CharTensor", "ByteTensor", "BoolTensor",
    "BFloat16Tensor",
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
    result._changes = version
    return result


def zeros(
    *sizes: Sizes, size: Sizes | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros of shape `size`."""
    return made("zeros", (shape_of("zeros", sizes, size),), dtype, device, requires_grad)


def ones(
    *sizes: Sizes, size: Sizes | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones of shape `size`."""
    return made("ones", (shape_of("ones", sizes, size),), dtype, device, requires_grad)


def empty(
    *sizes: Sizes, size: Sizes | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uninitialised memory of shape `size`: the values are arbitrary."""
    return made("empty", (shape_of("empty", sizes, size),), dtype, device, requires_grad)


def full(
    size: Sizes, fill_value: float, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Shape `size`, filled with `fill_value`; by default bool, int64 or the default dtype, after the value's type."""
    fill_value = number("full", "fill_value", fill_value)
    if dtype is None and isinstance(fill_value, int):
        dtype = bool if isinstance(fill_value, bool) else dtypes.int64
    fill_value = dtypes.fitted("full", "fill_value", fill_value, dtypes.as_dtype(dtype))
    return made("full", (shape_of("full", (size,)), fill_value), dtype, device, requires_grad)


def _like(
    function: str, x: Tensor, dtype: DTypeLike, device: DeviceLike, requires_grad: bool, *value: float
) -> Tensor:
    """With the memory order of `x`, so that operations on the two run at full speed."""
    like = array_of(function, x)
    check_flag(function, "requires_grad", requires_grad)
    dtype = like.dtype if dtype is None else dtypes.as_dtype(dtype)
    value = tuple(dtypes.fitted(function, "fill_value", number, dtype) for number in value)
    with backend.current(like):
        array = getattr(backend.array_module(like), function)(like, *value, dtype=dtype)
    if device is not None:
        array = backend.to_device(array, backend.device(device))
    return wrap(array).requires_grad_(requires_grad)


def zeros_like(
    input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros in the shape and memory order of `input`, with its dtype and device unless others are given."""
    return _like("zeros_like", input, dtype, device, requires_grad)


def ones_like(
    input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Ones in the shape and memory order of `input`, with its dtype and device unless others are given."""
    return _like("ones_like", input, dtype, device, requires_grad)


def empty_like(
    input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Arbitrary values in the shape and memory order of `input`, with its dtype and device unless others are given."""
    return _like("empty_like", input, dtype, device, requires_grad)


def full_like(
    input: Tensor, fill_value: float, *, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`fill_value` in the shape and memory order of `input`, with its dtype and device unless others are given."""
    return _like("full_like", input, dtype, device, requires_grad, number("full_like", "fill_value", fill_value))


def arange(
    start: float | Tensor | None = None, end: float | Tensor | None = None, step: float | Tensor = 1, *,
    dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, … up to but not including `end`: ⌈(end − start) / step⌉ values.

    `arange(n)` starts at 0. int64 if all arguments are ints, else the default dtype. ValueError for a step of 0 or one
    that leads away from `end`.
    """
    if end is None:
        start, end = (0, start)
    start, end, step = [number("arange", name, 0 if name == "start" and value is None else value)
                        for name, value in (("start", start), ("end", end), ("step", step))]  # fmt: skip
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    if not (end - start) / step <= LARGEST:
        raise ValueError(f"arange: {start} to {end} in steps of {step} are too many values")
    if dtype is None and all(is_int(value) for value in (start, end, step)):
        dtype = dtypes.int64
    if dtypes.as_dtype(dtype).kind in "iu" and not int(step):
        raise ValueError(f"arange: a step of {step} is 0 in {dtypes.as_dtype(dtype)}")
    return made("arange", (start, end, step), dtype, device, requires_grad)


def linspace(
    start: float | Tensor, end: float | Tensor, steps: int, *, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` equally spaced values from `start` to `end`, both included. ValueError for negative `steps`."""
    ends = [check_number("linspace", name, plain(value)) for name, value in (("start", start), ("end", end))]
    check_count("linspace", "steps", steps)
    found = dtypes.as_dtype(dtype)
    if found.kind == "b":
        raise TypeError("linspace: expected a dtype of numbers, got bool")
    for argument, value in zip(("start", "end"), ends):
        dtypes.fitted("linspace", argument, value, found)
    if found.kind in FLOATING:
        return made("linspace", (*ends, steps), found, device, requires_grad)
    return made("linspace", (*ends, steps), dtypes.float64, device, False).to(found).requires_grad_(requires_grad)


@composed
def logspace(
    start: float | Tensor, end: float | Tensor, steps: int, base: float = 10.0, *, dtype: DTypeLike = None,
    device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` values from base^start to base^end, both included, whose exponents are equally spaced."""
    base, count = check_number("logspace", "base", base), check_count("logspace", "steps", steps)
    ends = [check_number("logspace", name, plain(value)) for name, value in (("start", start), ("end", end))]
    exponents = linspace(ends[0], ends[1], count, dtype=dtypes.float64, device=device)
    return pow(base, exponents).to(dtypes.as_dtype(dtype)).requires_grad_(requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """(n, m), by default (n, n), with ones on the diagonal and zeros elsewhere."""
    rows, columns = shape_of("eye", (n, n if m is None else m))
    return made("eye", (rows, columns), dtype, device, requires_grad)


def rand(
    *sizes: Sizes, size: Sizes | None = None, generator: backend.Generator | None = None, dtype: DTypeLike = None,
    device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Independent draws from the uniform distribution on [0, 1). TypeError for an integer dtype."""
    return drawn("rand", "random", shape_of("rand", sizes, size), dtype, device, requires_grad, generator)


def randn(
    *sizes: Sizes, size: Sizes | None = None, generator: backend.Generator | None = None, dtype: DTypeLike = None,
    device: DeviceLike = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Independent draws from the standard normal distribution. TypeError for an integer dtype."""
    return drawn("randn", "standard_normal", shape_of("randn", sizes, size), dtype, device, requires_grad, generator)


def randint(
    low: int | None = None, high: int | Sequence[int] | None = None, size: Sizes = (), *,
    generator: backend.Generator | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform integers in [low, high), int64 by default; `randint(high, size)` starts at 0.

    ValueError unless low < high and `dtype` holds them.
    """
    if high is None or (isinstance(high, (tuple, list)) and size == ()):
        low, high, size = 0, low, size if high is None else high
    low = check_int("randint", "low", 0 if low is None else low)
    high = int(check_int("randint", "high", high))
    if low >= high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    found = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype)
    least, largest = dtypes.limits(found)
    if not (least <= low and high - 1 <= largest):
        raise ValueError(f"randint: numbers from {low} to {high - 1} do not fit {found}")
    check_flag("randint", "requires_grad", requires_grad)
    shape, target = shape_of("randint", (size,)), backend.device(device)
    with backend.on(target):
        drawn = wrap(backend.numbers_of("randint", generator, target).integers(low, high, shape).astype(found))
    return drawn.requires_grad_(requires_grad)


def randperm(
    n: int, *, generator: backend.Generator | None = None, dtype: DTypeLike = None, device: DeviceLike = None
) -> Tensor:
    """A random permutation of 0, …, n − 1, int64 unless `dtype` is given. ValueError for a negative n."""
    check_count("randperm", "n", n)
    numbers = wrap(backend.numbers_of("randperm", generator, backend.device(device)).permutation(n))
    return numbers if dtype is None else numbers.to(dtypes.as_dtype(dtype))


def rand_like(
    input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Draws as those of `rand` in the shape of `input`, with its dtype and device unless others are given."""
    array = array_of("rand_like", input)
    found, target = array.dtype if dtype is None else dtype, input.device if device is None else device
    return drawn("rand_like", "random", array.shape, found, target, requires_grad)


def randn_like(
    input: Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Draws as those of `randn` in the shape of `input`, with its dtype and device unless others are given."""
    array = array_of("randn_like", input)
    found, target = array.dtype if dtype is None else dtype, input.device if device is None else device
    return drawn("randn_like", "standard_normal", array.shape, found, target, requires_grad)


@composed
def randint_like(
    input: Tensor, low: int | None = None, high: int | None = None, *, dtype: DTypeLike = None,
    device: DeviceLike = None, requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Draws as those of `randint` in the shape of `input`, with its dtype and device unless others are given."""
    array = array_of("randint_like", input)
    low, high = (0, low) if high is None else (low, high)
    low, high = check_int("randint_like", "low", low), check_int("randint_like", "high", high)
    if low >= high:
        raise ValueError(f"randint_like: expected low < high, got {low} and {high}")
    found, target = array.dtype if dtype is None else dtype, input.device if device is None else device
    numbers = randint(low, high, array.shape, dtype=found, device=target)
    return numbers.requires_grad_(check_flag("randint_like", "requires_grad", requires_grad))


@composed
def normal(
    mean: float | Tensor = 0.0, std: float | Tensor = 1.0, size: Sizes | None = None, *,
    generator: backend.Generator | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Independent draws from normal distributions, whose `mean` and `std` are numbers, with a `size`, or Tensors."""
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    for name, value in (("mean", mean), ("std", std)):
        if isinstance(value, Tensor):
            check_floating("normal", value)
        else:
            (check_not_negative if name == "std" else check_number)("normal", name, value)
    if size is None and not given:
        raise TypeError("normal: expected a size, or mean or std as a Tensor")
    shape = shape_of("normal", (size,)) if size is not None else broadcast_shapes(*[x.shape for x in given])
    if given and dtype is None:
        dtype = given[0].dtype
    if given and device is None:
        device = given[0].device
    draws = drawn("normal", "standard_normal", shape, dtype, device, False, generator)
    return (draws * std + mean).detach().requires_grad_(check_flag("normal", "requires_grad", requires_grad))


# --- from what there is ---------------------------------------------------------------------------------------


def as_tensor(data: ArrayLike | Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None) -> Tensor:
    """A Tensor of `data`: itself, or a Tensor that shares the memory of an array, where dtype and device are right."""
    if isinstance(data, np.ndarray) and holds_numbers(data.dtype) and data.dtype.itemsize <= 8 and data.dtype.isnative:
        data = from_numpy(data)
    if isinstance(data, Tensor):
        return data.to(dtype=None if dtype is None else dtypes.as_dtype(dtype), device=device)
    return wrap(new_array("as_tensor", data, dtype, device))


def asarray(
    obj: ArrayLike | Tensor, *, dtype: DTypeLike = None, device: DeviceLike = None, copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`as_tensor`, or with `copy` always a copy; ValueError for `copy=False` where there has to be one."""
    if copy is not None:
        check_flag("asarray", "copy", copy)
    check_flag("asarray", "requires_grad", requires_grad)
    if copy:
        return wrap(new_array("asarray", obj, dtype, device)).requires_grad_(requires_grad)
    result = as_tensor(obj, dtype=dtype, device=device)
    given: Any = obj._array if isinstance(obj, Tensor) else obj
    if copy is False and not (hasattr(given, "dtype") and backend.address(given) == backend.address(result._array)):
        raise ValueError(f"asarray: copy=False, but {shortened(obj)} has to be copied")
    return result.requires_grad_() if requires_grad else result


def scalar_tensor(
    s: float, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor without dimensions that holds the number `s`, of the default dtype unless one is given."""
    value, found = number("scalar_tensor", "s", s), dtypes.as_dtype(dtype)
    return made("full", ((), dtypes.fitted("scalar_tensor", "s", value, found)), found, device, requires_grad)


@composed
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = None, device: DeviceLike = None
) -> Tensor:
    """(2, count): rows and columns of the elements that `tril(diagonal=offset)` keeps of a (row, col) matrix."""
    return _triangle_indices("tril_indices", tril, row, col, offset, dtype, device)


@composed
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DTypeLike = None, device: DeviceLike = None
) -> Tensor:
    """(2, count): rows and columns of the elements that `triu(diagonal=offset)` keeps of a (row, col) matrix."""
    return _triangle_indices("triu_indices", triu, row, col, offset, dtype, device)


def _triangle_indices(
    name: str, keep: Callable, row: int, col: int, offset: int, dtype: DTypeLike, device: DeviceLike
) -> Tensor:
    rows, columns = check_count(name, "row", row), check_count(name, "col", col)
    kept = keep(ones(check_elements(name, (rows, columns)), dtype=bool), check_int(name, "offset", offset))
    return kept.nonzero().t().contiguous().to(dtype=dtypes.int64 if dtype is None else dtype, device=device)


class TensorType:
    """One of torch's old types, `FloatTensor`: it makes tensors of its dtype, of data or, of sizes, uninitialised ones;
    `isinstance` knows these, and `Tensor.type` takes it as a dtype."""

    def __init__(self, name: str, device: str = "cpu"):
        self.dtype, self.device = dtypes.TENSOR_TYPES[name], device
        self.__name__ = name

    def __call__(self, *data: Any) -> Tensor:
        if len(data) == 1 and isinstance(data[0], (float, complex, bool)):
            raise TypeError(f"{self.__name__}: expected sizes or data, a sequence or an array, got {data[0]}")
        if len(data) == 1 and not is_int(data[0]) and not isinstance(data[0], Size):
            return wrap(new_array(self.__name__, data[0], self.dtype, self.device))
        sizes = shape_of(self.__name__, data or (0,))
        return made("empty", (sizes,), self.dtype, self.device, False)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, Tensor) and (x.dtype, x.device.type) == (self.dtype, self.device)

    def __repr__(self) -> str:
        return f"torch.{self.__name__}" if self.device == "cpu" else f"torch.{self.device}.{self.__name__}"


(
    FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor,
    BFloat16Tensor,
) = map(TensorType, dtypes.TENSOR_TYPES)  # fmt: skip
