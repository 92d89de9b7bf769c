"""What registering a hook returns."""

from __future__ import annotations

import itertools
from collections.abc import Callable


class RemovableHandle:
    """The handle of a registered hook: `remove()` removes this hook; equal ones stay."""

    _keys = itertools.count()

    def __init__(self, hooks: dict[int, Callable], hook: Callable, name: str):
        if not callable(hook):
            raise TypeError(f"{name}: expected a function as hook, got {type(hook).__name__}")
        self.hooks, self.key = hooks, next(self._keys)
        hooks[self.key] = hook

    def remove(self) -> None:
        self.hooks.pop(self.key, None)
