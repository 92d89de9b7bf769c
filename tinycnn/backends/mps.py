"""GPUs of Apple's and of Intel's, which tinycnn cannot use; also found as tinycnn.mps and tinycnn.xpu."""

from __future__ import annotations

__all__ = ["device_count", "empty_cache", "is_available", "is_built", "manual_seed"]


def is_available() -> bool:
    """False: tinycnn uses CUDA GPUs only."""
    return False


def is_built() -> bool:
    """False: tinycnn uses CUDA GPUs only."""
    return False


def device_count() -> int:
    """0: tinycnn uses CUDA GPUs only."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no such device."""


def empty_cache() -> None:
    """Nothing: there is no such device."""
