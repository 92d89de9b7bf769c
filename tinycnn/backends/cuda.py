"""Matrix products on a GPU. The switches may be set and change nothing: `set_float32_matmul_precision` chooses."""

from __future__ import annotations

from types import SimpleNamespace

from tinycnn.cuda import is_available

__all__ = ["is_built", "matmul"]

matmul = SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=False)


def is_built() -> bool:
    """Whether CuPy is there and finds a GPU."""
    return is_available()
