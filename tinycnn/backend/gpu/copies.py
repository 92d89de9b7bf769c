"""Copies from the host to a GPU that go on while it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import cupyx
import numpy as np

Kind = tuple[tuple[int, ...], np.dtype]


class Copies:
    """Copies from the host to the current GPU, in a stream of their own, beside the kernels of the current stream.

    The memory pool hands out what the host has let go of, though kernels that were launched before may still read it:
    that is safe for kernels that follow them in their stream, but a copy in another one would have to wait for all of
    them. Hence the memory is `set_aside` first. Then kernels are launched, and a copy that starts after that waits only
    for what was launched before the memory was set aside.

    A GPU copies on its own, while the host goes on, from pinned memory alone, so all bytes pass through it.
    """

    def __init__(self) -> None:
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._aside: list[Any] = []  # where the next copies go
        self._free = cupy.cuda.Event(disable_timing=True)  # nothing uses that memory any more
        # Pinned memory and the end of the copies from it; two of them take turns.
        self._pinned: list[list[np.ndarray]] = [[], []]
        self._copied = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]

    def set_aside(self, arrays: Sequence[np.ndarray]) -> None:
        """Takes the memory for copies of arrays such as these, if there is so much."""
        try:
            self._aside = [cupy.empty(array.shape, array.dtype) for array in arrays]
        except MemoryError:
            self._aside = []
        if self._aside:
            cupy.cuda.get_current_stream().record(self._free)

    def start(self, arrays: Sequence[np.ndarray]) -> list[Any] | None:
        """Copies of C-contiguous arrays, which kernels of the current stream may read; None if memory was set aside for
        others."""
        if not arrays or _kinds(self._aside) != _kinds(arrays):
            return None
        pinned, copied = self._pinned.pop(0), self._copied.pop(0)
        copied.synchronize()
        if _kinds(pinned) != _kinds(arrays):
            pinned = [cupyx.empty_pinned(array.shape, array.dtype) for array in arrays]
        self._stream.wait_event(self._free)
        for target, between, array in zip(self._aside, pinned, arrays):
            np.copyto(between, array)
            target.set(between, self._stream)
        self._stream.record(copied)
        cupy.cuda.get_current_stream().wait_event(copied)
        self._pinned.append(pinned)
        self._copied.append(copied)
        found, self._aside = self._aside, []
        return found

    def finish(self) -> None:
        """Waits for the copies: until then their pinned memory must live."""
        self._stream.synchronize()


def _kinds(arrays: Sequence[Any]) -> list[Kind]:
    return [(array.shape, array.dtype) for array in arrays]
