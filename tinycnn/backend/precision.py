"""In which precision matrix products are computed: exactly in float32, unless one of the options here is chosen."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

EXACT, TF32 = "float32", "tf32"
_MATMUL = {"highest": EXACT, "high": TF32}
_AUTOCAST = ("bfloat16", "float16")


class _State(threading.local):
    def __init__(self) -> None:
        self.autocast: str | None = None


_state = _State()
_float32 = EXACT


def current() -> str:
    """The precision of the next float32 product: "float32", "tf32", "bfloat16" or "float16"."""
    return _state.autocast or _float32


def set_float32_matmul_precision(precision: str) -> None:
    """"highest" (the default): float32 products are exact float32. "high": a GPU with tensor cores may round their
    operands to TF32, 10 bits of mantissa, and is then several times as fast. Names and meaning are torch's."""
    global _float32
    if precision not in _MATMUL:
        raise ValueError(f"set_float32_matmul_precision: expected 'highest' or 'high', got {precision!r}")
    _float32 = _MATMUL[precision]


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has set: "highest" or "high"."""
    return next(name for name, precision in _MATMUL.items() if precision == _float32)


def as_in_forward(backward: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """For the `backward` of an operator whose `forward` has set `self.precision`: it computes in that one."""

    @functools.wraps(backward)
    def same_precision(self: Any, grad_output: Any) -> Any:
        before, _state.autocast = _state.autocast, self.precision
        try:
            return backward(self, grad_output)
        finally:
            _state.autocast = before

    return same_precision


class autocast(contextlib.ContextDecorator):
    """Mixed precision: context manager and decorator, to be put around the forward pass.

    Convolutions, linear layers and matrix products of float32 tensors inside round their operands to `dtype` and
    sum in float32, in the forward pass and in its backward pass. Everything else, the results of the products
    included, stays float32: in contrast to torch's autocast, whose results are 16 bits wide too.

    bfloat16 has the range of float32; float16 has more digits but underflows below 6e-8, so that gradients need
    `GradScaler`. On a CPU the operands are rounded in the same way, for comparison; only a GPU gets faster.

    Args:
        device_type: "cuda" or "cpu"; the same either way, taken for torch's sake.
        dtype: "bfloat16" (the default), "float16" or tinycnn.float16.
        enabled: False makes the block compute in full precision.
    """

    def __init__(self, device_type: str = "cuda", dtype: Any = "bfloat16", enabled: bool = True):
        name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        if name not in _AUTOCAST:
            raise ValueError(f"autocast: expected dtype 'bfloat16' or 'float16', got {dtype!r}")
        if str(device_type).partition(":")[0] not in ("cuda", "gpu", "cpu"):
            raise ValueError(f"autocast: expected device_type 'cuda' or 'cpu', got {device_type!r}")
        self.precision = name if enabled else None
        self.outer: list[str | None] = []

    def __enter__(self) -> None:
        self.outer.append(_state.autocast)
        _state.autocast = self.precision

    def __exit__(self, *exc: object) -> None:
        _state.autocast = self.outer.pop()
