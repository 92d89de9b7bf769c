"""torch.distributed's questions whether there are several processes: there are not, a program is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["is_available", "is_initialized"]


def is_available() -> bool:
    """False: a program computes in one process."""
    return False


def is_initialized() -> bool:
    """False: see `is_available`."""
    return False


if not TYPE_CHECKING:  # to type checkers, what is not defined is not there

    def __getattr__(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise AttributeError(
            f"{__name__}.{name}: tinycnn computes in one process; where is_available() or is_initialized() is False, "
            "leave it out"
        )
