"""Switches of torch that programs touch. Each says what it does here; those without an effect are taken, so that a
program runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinycnn import dtypes
from tinycnn.backend import get_default_device, set_default_device
from tinycnn.checks import check_flag, check_positive, shortened

__all__ = [
    "are_deterministic_algorithms_enabled", "compile", "get_default_device", "get_num_interop_threads",
    "set_default_device", "set_default_tensor_type", "set_flush_denormal", "set_num_interop_threads",
    "use_deterministic_algorithms",
]  # fmt: skip

_FLOATING: dict[str, dtypes.DTypeLike] = {
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "BFloat16Tensor": "bfloat16",
}
_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Takes torch's switch. On a CPU every result is the same each time anyway."""
    global _deterministic
    check_flag("use_deterministic_algorithms", "warn_only", warn_only)
    _deterministic = check_flag("use_deterministic_algorithms", "mode", mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was given last; False before."""
    return _deterministic


def compile(model: Callable | None = None, **options: Any) -> Any:
    """The model or function itself: there is no compiler. Without one, a decorator that returns what it is given."""
    return model if model is not None else lambda function: function


def set_default_tensor_type(t: type | str) -> None:
    """Sets the dtype of new tensors to that of a tensor type, such as "torch.DoubleTensor" or `DoubleTensor`; for one
    in `cuda`, the device too."""
    name = t if isinstance(t, str) else f"{getattr(t, '__module__', '')}.{getattr(t, '__name__', t)}"
    last = name.rpartition(".")[2]
    if last not in _FLOATING:
        raise TypeError(f"set_default_tensor_type: expected a floating-point tensor type, got {shortened(t)}")
    dtypes.set_default_dtype(_FLOATING[last])
    if ".cuda." in name:
        set_default_device("cuda")


def set_num_interop_threads(threads: int) -> None:
    """Takes torch's switch: operators are computed one after the other. ValueError unless `threads` is positive."""
    check_positive("set_num_interop_threads", "threads", threads)


def get_num_interop_threads() -> int:
    """1: operators are computed one after the other."""
    return 1


def set_flush_denormal(mode: bool) -> bool:
    """False, as torch where the processor cannot: the smallest numbers are kept."""
    check_flag("set_flush_denormal", "mode", mode)
    return False
