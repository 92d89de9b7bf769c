"""New tensors of values or random draws: what `tinycnn.creation` and the methods `new_zeros` and its kin share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING, is_bfloat16
from tinycnn._decorator import composed
from tinycnn.autograd import array_of, wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag, check_number
from tinycnn.dtypes import DTypeLike
from tinycnn.ops.copy import new_array
from tinycnn.ops.shape import Sizes, shape_from
from tinycnn.size import Size

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor


def shape_of(function: str, sizes: tuple[Any, ...], size: Sizes | None = None) -> tuple[int, ...]:
    """The sizes that were given one by one, as one sequence or by the name `size`."""
    if size is not None and sizes:
        raise TypeError(f"{function}: expected sizes or size=, got both")
    return shape_from(function, sizes if size is None else (size,))


def made(function: str, arguments: tuple, dtype: DTypeLike, device: DeviceLike, requires_grad: bool) -> Tensor:
    """The result of a function of NumPy or CuPy, as a Tensor."""
    check_flag(function, "requires_grad", requires_grad)
    found, target = dtypes.as_dtype(dtype), backend.device(device)
    if is_bfloat16(found) and target != backend.CPU:
        backend.check_bfloat16()
    with backend.on(target) as xp:
        array = getattr(xp, function)(*arguments, dtype=found)
    return wrap(array).requires_grad_(requires_grad)


def plain(value: Any) -> Any:
    """A Tensor of one number as a Python number; anything else as it is."""
    return value.item() if isinstance(value, autograd.Tensor) and value.ndim == 0 else value


def number(function: str, argument: str, value: Any) -> Any:
    """A number or a Tensor of one as a Python number; True and False stay what they are."""
    value = plain(value)
    return value if isinstance(value, bool) else check_number(function, argument, value)


def drawn(
    function: str, draw: str, shape: tuple[int, ...], dtype: DTypeLike, device: DeviceLike, requires_grad: bool,
    generator: backend.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Floating-point draws by the method `draw` of `generator`, by default the device's."""
    found = dtypes.as_dtype(dtype)
    check_flag(function, "requires_grad", requires_grad)
    if found.kind not in FLOATING:
        raise TypeError(f"{function}: expected a floating-point dtype, got {found}; for integers use randint")
    target = backend.device(device)
    drawn_as = found if found in (dtypes.float32, dtypes.float64) else dtypes.float32
    with backend.on(target) as xp:
        array = getattr(backend.numbers_of(function, generator, target), draw)(shape, dtype=drawn_as)
        if draw == "random" and found.itemsize == 2:
            steps = 2 ** (dtypes.float_info(found).nmant + 1)
            array = xp.floor(array * steps) / steps  # rounded to 16 bits, it could become 1
        array = array.astype(found, copy=False)
    return wrap(array).requires_grad_(requires_grad)


# --- methods --------------------------------------------------------------------------------------------------


def _new(function: str, x: Tensor, arguments: tuple, dtype: DTypeLike, device: DeviceLike, requires: bool) -> Tensor:
    array = array_of(f"new_{function}", x)
    where = backend.device_of(array) if device is None else device
    return made(function, arguments, array.dtype if dtype is None else dtype, where, requires)


@composed
def new(input: Tensor, *data: Any, device: DeviceLike = None) -> Tensor:
    """What `Tensor(...)` makes, with the dtype and device of this tensor: of sizes one by one, or as a Size, arbitrary
    values; else a copy of the data."""
    if len(data) == 1 and not isinstance(data[0], (int, Size)):
        return new_tensor(input, data[0], device=device)
    return new_empty(input, *(data or (0,)), device=device)


@composed
def new_zeros(
    input: Tensor, *sizes: Sizes, size: Sizes | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros of the given sizes, with the dtype and device of this tensor unless others are given."""
    return _new("zeros", input, (shape_of("new_zeros", sizes, size),), dtype, device, requires_grad)


@composed
def new_ones(
    input: Tensor, *sizes: Sizes, size: Sizes | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones of the given sizes, with the dtype and device of this tensor unless others are given."""
    return _new("ones", input, (shape_of("new_ones", sizes, size),), dtype, device, requires_grad)


@composed
def new_empty(
    input: Tensor, *sizes: Sizes, size: Sizes | None = None, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Arbitrary values of the given sizes, with the dtype and device of this tensor unless others are given."""
    return _new("empty", input, (shape_of("new_empty", sizes, size),), dtype, device, requires_grad)


@composed
def new_full(
    input: Tensor, size: Sizes, fill_value: float, *, dtype: DTypeLike = None, device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` in the given sizes, with the dtype and device of this tensor unless others are given."""
    found = array_of("new_full", input).dtype if dtype is None else dtypes.as_dtype(dtype)
    value = dtypes.fitted("new_full", "fill_value", number("new_full", "fill_value", fill_value), found)
    return _new("full", input, (shape_of("new_full", (size,)), value), found, device, requires_grad)


@composed
def new_tensor(
    input: Tensor, data: Any, *, dtype: DTypeLike = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """A copy of `data`, with the dtype and device of this tensor unless others are given."""
    like = array_of("new_tensor", input)
    check_flag("new_tensor", "requires_grad", requires_grad)
    where = backend.device_of(like) if device is None else device
    found = like.dtype if dtype is None else dtype
    return wrap(new_array("new_tensor", data, found, where)).requires_grad_(requires_grad)
