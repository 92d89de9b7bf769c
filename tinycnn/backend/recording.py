"""What operators and optimizers have to know of a step that is being recorded: see `tinycnn.cuda.capture`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_before_replay: list[Callable[[], Any]] | None = None  # while a step is being recorded


@contextmanager
def recording() -> Iterator[list[Callable[[], Any]]]:
    """A block in which the work of a GPU is recorded; gives the list of what is to be called before each replay."""
    global _before_replay
    if _before_replay is not None:
        raise RuntimeError("capture: expected no recording inside of another one")
    _before_replay = []
    try:
        yield _before_replay
    finally:
        _before_replay = None


def on_replay(callback: Callable[[], None]) -> bool:
    """While a step is being recorded: has `callback` called before each replay, and returns True."""
    if _before_replay is None:
        return False
    if callback not in _before_replay:
        _before_replay.append(callback)
    return True
