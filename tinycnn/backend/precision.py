"""In which precision matrix products are computed: exactly in float32, unless one of the options here is chosen."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from tinycnn._decorator import ContextDecorator
from tinycnn.checks import check_choice, check_flag, shortened

EXACT, TF32 = "float32", "tf32"
_MATMUL = {"highest": EXACT, "high": TF32}
_AUTOCAST = ("bfloat16", "float16")


class _Chosen(threading.local):
    """`product`: the precision of float32 products: "float32", "tf32", "bfloat16" or "float16".

    The attribute of the class is what `set_float32_matmul_precision` has chosen for all threads; `autocast` sets that
    of the thread. Operators read it without a call.
    """

    product = EXACT

    def __init__(self) -> None:
        self.outer: list[str | None] = []  # what the autocasts around the present one have set, in this thread


chosen = _Chosen()


def set_float32_matmul_precision(precision: str) -> None:
    """Chooses how float32 matrix products are computed; the names are torch's.

    "highest" (the default): in float32. "high": a GPU with tensor cores may round the operands to TF32, which has 10
    bits of mantissa and is several times as fast. ValueError for any other name.
    """
    check_choice("set_float32_matmul_precision", "precision", precision, tuple(_MATMUL))
    _Chosen.product = _MATMUL[precision]


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has chosen: "highest" or "high"."""
    return next(name for name, precision in _MATMUL.items() if precision == _Chosen.product)


class autocast(ContextDecorator):
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
        name = dtype.name if isinstance(dtype, np.dtype) else getattr(dtype, "__name__", dtype)
        check_choice("autocast", "dtype", name, _AUTOCAST)
        check_flag("autocast", "enabled", enabled)
        if str(device_type).partition(":")[0] not in ("cuda", "gpu", "cpu"):
            raise ValueError(f"autocast: expected device_type 'cuda' or 'cpu', got {shortened(device_type)}")
        self.precision = name if enabled else None

    def __enter__(self) -> None:
        chosen.outer.append(vars(chosen).get("product"))
        chosen.product = self.precision or _Chosen.product

    def __exit__(self, *exc: object) -> None:
        outer = chosen.outer.pop()
        if outer is None:
            del chosen.product
        else:
            chosen.product = outer
