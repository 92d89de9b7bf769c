"""Data types, and the result type of an operation on two tensors (torch's type promotion, not NumPy's)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tinycnn import _bfloat16
from tinycnn._bfloat16 import FLOATING, Missing
from tinycnn.backend import Array
from tinycnn.checks import LARGEST, check_number, shortened

# What a dtype may be given as: None stands for a default, or for the dtype of the data.
DTypeLike: TypeAlias = np.dtype | Missing | type | str | None

float16 = np.dtype("float16")
float32 = np.dtype("float32")
float64 = np.dtype("float64")
uint8 = np.dtype("uint8")
int8 = np.dtype("int8")
int16 = np.dtype("int16")
int32 = np.dtype("int32")
int64 = np.dtype("int64")
bool_ = np.dtype("bool")

if TYPE_CHECKING:
    bfloat16: np.dtype  # by `__getattr__`

# torch's old names of types, which name a device too: "torch.cuda.FloatTensor".
TENSOR_TYPES: dict[str, np.dtype | str] = {
    "FloatTensor": float32, "DoubleTensor": float64, "HalfTensor": float16, "LongTensor": int64, "IntTensor": int32,
    "ShortTensor": int16, "CharTensor": int8, "ByteTensor": uint8, "BoolTensor": bool_,
    "BFloat16Tensor": "bfloat16",  # by its name: ml_dtypes may be missing
}  # fmt: skip

_default = float32
_RANK = {"b": 0, "u": 1, "i": 1, **dict.fromkeys(FLOATING, 2)}


def __getattr__(name: str) -> np.dtype | Missing:
    """`bfloat16`: looked up when it is asked for."""
    if name != "bfloat16":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _bfloat16.named()


def get_default_dtype() -> np.dtype:
    """The dtype of new floating-point tensors made from Python numbers: float32 unless changed."""
    return _default


def set_default_dtype(dtype: DTypeLike) -> None:
    """Sets the dtype of new floating-point tensors and layers. TypeError unless `dtype` is floating-point."""
    global _default
    dtype = as_dtype(dtype)
    if dtype.kind not in FLOATING:
        raise TypeError(f"set_default_dtype: expected a floating-point dtype, got {dtype}")
    _default = dtype


def as_dtype(dtype: DTypeLike) -> np.dtype:
    """`dtype` as a NumPy dtype; None and Python's float give the default one. TypeError for unsupported types."""
    if dtype is None or dtype is float:
        return _default
    try:
        if isinstance(dtype, Missing) or (isinstance(dtype, str) and dtype == "bfloat16"):
            return _bfloat16.bfloat16()
        if not isinstance(dtype, (np.dtype, type, str)):
            raise TypeError
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype: expected the name of a dtype such as 'float32', got {shortened(dtype)}") from None
    if not _bfloat16.holds_numbers(found) or found.itemsize > 8 or not found.isnative:
        wanted = "a boolean, integer or floating-point type of at most 64 bits, in this machine's byte order"
        raise TypeError(f"dtype: expected {wanted}, got {found}")
    return found


def result_type(a: Array, b: Array) -> np.dtype:
    """The dtype of an operation on two arrays: torch's type promotion.

    Floating point outranks integers, which outrank booleans. Within a rank the wider type wins, except that a
    zero-dimensional array does not widen one that has dimensions.
    """
    rank_a, rank_b = rank(a.dtype), rank(b.dtype)
    if rank_a == rank_b and (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return promote(a.dtype, b.dtype)


def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """The type of higher rank, or the wider of two of equal rank. int64 and float32 give float32 (NumPy: float64),
    bfloat16 and float16, of which each has what the other lacks, float32."""
    if rank(a) != rank(b):
        return a if rank(a) > rank(b) else b
    if "V" in (a.kind, b.kind) and float16 in (a, b):
        return float32
    return np.promote_types(a, b)


def rank(dtype: np.dtype) -> int:
    """0 for booleans, 1 for integers, 2 for floating point."""
    return _RANK[dtype.kind]


def float_info(dtype: np.dtype) -> np.finfo:
    """The limits of a floating-point dtype, bfloat16 too, of which NumPy knows none."""
    if dtype.kind == "f":
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


@cache
def limits(dtype: np.dtype) -> tuple[float, float]:
    """The smallest and the largest number of a dtype."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in FLOATING:
        info = float_info(dtype)
        return float(info.min), float(info.max)
    whole = np.iinfo(dtype)
    return whole.min, whole.max


def wrapped(number: int, dtype: np.dtype) -> int:
    """A Python int as integers of `dtype` hold it, wrapped round as in torch: −1 is 255 for uint8."""
    if dtype.kind not in "iu" or abs(number) > LARGEST:
        return number
    least, largest = limits(dtype)
    return (number - least) % (largest - least + 1) + least  # type: ignore[return-value]  # ints


def fitted(owner: str, name: str, number: float, dtype: np.dtype) -> float:
    """A number to be put among elements of `dtype`: for integers cut to one, and a negative one wrapped round if they
    have no sign, as in torch. TypeError for what is no number, ValueError for one out of range."""
    if dtype.kind in FLOATING and number.__class__ in (float, int) and -65504 <= number <= 65504:
        return number  # in the range of every floating-point dtype
    if not isinstance(number, (bool, np.bool_)):
        number = check_number(owner, name, number)
    if dtype.kind == "b" or (dtype.kind in FLOATING and not np.isfinite(number)):
        return number
    least, largest = limits(dtype)
    if not (-largest if isinstance(number, int) and least == 0 else least) <= number <= largest:
        raise ValueError(f"{owner}: expected {name} from {least} to {largest} for {dtype}, got {shortened(number)}")
    return number if dtype.kind in FLOATING else wrapped(int(number), dtype)


def type_name(dtype: np.dtype, device_type: str) -> str:
    """The name that torch has for tensors of a dtype on a kind of device: "torch.FloatTensor"."""
    name = next(name for name, found in TENSOR_TYPES.items() if found == dtype.name)
    return f"torch.{name}" if device_type == "cpu" else f"torch.{device_type}.{name}"


def of_type(spec: DTypeLike | Callable[..., object]) -> tuple[np.dtype, str | None]:
    """(dtype, kind of device or None) of a dtype, or of one of torch's old types or its name."""
    module, _, name = str(spec).rpartition(".")
    if name in TENSOR_TYPES:
        return as_dtype(TENSOR_TYPES[name]), "cuda" if module.endswith("cuda") else "cpu"
    return as_dtype(spec), None  # type: ignore[arg-type]  # which refuses all else


# --- limits and promotion, as users ask for them --------------------------------------------------------------


class finfo:
    """The limits of a floating-point dtype, by default of the default one, as Python numbers.

    Attributes: bits, eps, max, min, tiny and smallest_normal, resolution, and the name of the dtype.
    """

    def __init__(self, type: DTypeLike = None):
        dtype = as_dtype(type)
        if dtype.kind not in FLOATING:
            raise TypeError(f"finfo: expected a floating-point dtype, got {dtype}; for integers use iinfo")
        info = float_info(dtype)
        self.bits, self.dtype = int(info.bits), dtype.name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0**-info.precision


class iinfo:
    """The limits of an integer dtype, as Python numbers. Attributes: bits, max, min, and the name of the dtype."""

    def __init__(self, type: DTypeLike):
        dtype = as_dtype(type)
        if dtype.kind not in "iu":
            raise TypeError(f"iinfo: expected an integer dtype, got {dtype}; for floating point use finfo")
        info = np.iinfo(dtype)
        self.bits, self.dtype, self.max, self.min = info.bits, dtype.name, int(info.max), int(info.min)


def promote_types(type1: DTypeLike, type2: DTypeLike) -> np.dtype:
    """The smallest dtype to which both promote, as in an operation on two tensors."""
    return promote(as_dtype(type1), as_dtype(type2))


def can_cast(from_: DTypeLike, to: DTypeLike) -> bool:
    """Whether an operation may write what it has computed into a tensor of dtype `to`: none into one of lower rank,
    where booleans come before integers and these before floating point."""
    return rank(as_dtype(from_)) <= rank(as_dtype(to))
