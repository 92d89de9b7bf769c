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
        self._too_little = False  # memory, of the GPU's or pinned: nothing is set aside any more
        self._free = cupy.cuda.Event(disable_timing=True)  # nothing uses that memory any more
        # Pinned memory and the end of the copies from it; two of them take turns.
        self._pinned: list[list[np.ndarray]] = [[], []]
        self._copied = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]

    def set_aside(self, arrays: Sequence[np.ndarray]) -> None:
        """Takes the memory for copies of arrays such as these, if there is enough."""
        if self._too_little:
            return
        try:
            self._aside = [cupy.empty(array.shape, array.dtype) for array in arrays]
        except MemoryError:
            self._too_little = True
        if self._aside:
            cupy.cuda.get_current_stream().record(self._free)

    def start(self, arrays: Sequence[np.ndarray]) -> list[Any] | None:
        """Copies of C-contiguous arrays, which kernels of the current stream may read; None if no memory was set aside
        for them."""
        found, self._aside = self._aside, []
        if not arrays or _kinds(found) != _kinds(arrays):
            return None
        pinned, copied = self._pinned[0], self._copied[0]
        copied.synchronize()
        if _kinds(pinned) != _kinds(arrays):
            try:
                pinned = [cupyx.empty_pinned(array.shape, array.dtype) for array in arrays]
            except (MemoryError, cupy.cuda.runtime.CUDARuntimeError):
                self._too_little = True
                return None
        self._stream.wait_event(self._free)
        for target, between, array in zip(found, pinned, arrays):
            np.copyto(between, array)
            target.set(between, self._stream)
        self._stream.record(copied)
        cupy.cuda.get_current_stream().wait_event(copied)
        self._pinned = [self._pinned[1], pinned]
        self._copied.reverse()
        return found

    def finish(self) -> None:
        """Waits for the copies: until then their pinned memory must live."""
        self._stream.synchronize()


def _kinds(arrays: Sequence[Any]) -> list[Kind]:
    return [(array.shape, array.dtype) for array in arrays]
