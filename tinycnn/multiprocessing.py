"""Python's multiprocessing under torch's name: tensors are sent to other processes as copies."""

from __future__ import annotations

import multiprocessing
from multiprocessing import *  # noqa: F403  # what Python has, as in torch

from tinycnn.checks import check_choice

_strategy = "file_descriptor"
_STRATEGIES = ("file_descriptor", "file_system")

__all__ = [*multiprocessing.__all__, "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy"]


def get_all_sharing_strategies() -> set[str]:
    """The names that `set_sharing_strategy` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """The name that was set last."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Changes nothing, as no memory is shared. ValueError for names that torch does not know."""
    global _strategy
    _strategy = check_choice("set_sharing_strategy", "new_strategy", new_strategy, _STRATEGIES)
