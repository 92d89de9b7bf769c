"""What operators and optimizers have to know of a step that is being recorded: see `tinycnn.cuda.capture`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# While a step is being recorded: what is to be called before each replay, once each, as the keys of a dict.
_before_replay: dict[Callable[[], Any], None] | None = None


@contextmanager
def recording() -> Iterator[dict[Callable[[], Any], None]]:
    """A block in which the work of a GPU is recorded; gives, as keys, what is to be called before each replay."""
    global _before_replay
    if _before_replay is not None:
        raise RuntimeError("capture: expected no recording inside of another one")
    _before_replay = {}
    try:
        yield _before_replay
    finally:
        _before_replay = None


def on_replay(callback: Callable[[], None]) -> bool:
    """While a step is being recorded: has `callback` called before each replay, and returns True."""
    if _before_replay is None:
        return False
    _before_replay[callback] = None
    return True
