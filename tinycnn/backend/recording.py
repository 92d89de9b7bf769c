"""What a step that is being recorded relies on, beside the work of the GPU: see `tinycnn.cuda.capture`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Outdated(RuntimeError):
    """A recorded step is not what the step would do now."""


class Recorded:
    """What a replay has to know of the Python side of a step: what it changes, what must still be as it was.

    Python objects are dicts here, `vars(x)` for the attributes of x. All that is noted is held: the graph has
    addresses.

    Args:
        is_own: whether an array was made by the step itself; the rest of its life is the recording's affair.

    Attributes:
        callbacks: to be called before each replay, in this order.
        versions: of the memory that the step changes in place, as keys: each replay is such a change.
        relied_on: (dict, key, value): the graph is of no use once the dict has another value.
        rebound: (dict, key, value before, whether the step reads that): the step gives the dict another value.
        kept: what else must live as long as the graph, by its id.
    """

    def __init__(self, is_own: Callable[[Any], bool]):
        self.is_own = is_own
        self.callbacks: list[Callable[[], None]] = []
        self.versions: dict[Any, None] = {}
        self.relied_on: dict[tuple[int, Hashable], tuple[dict, Hashable, Any]] = {}
        self.rebound: dict[tuple[int, Hashable], tuple[dict, Hashable, Any, bool]] = {}
        self.kept: dict[int, Any] = {}

    def reads(self, arrays: Iterable[Any]) -> None:
        """Keeps those arrays that were there before the step."""
        for x in arrays:
            if not self.is_own(x):
                self.kept[id(x)] = x

    def uses(self, tensors: Iterable[Any]) -> None:
        """Notes the arrays of those tensors, among any objects, that were there before the step."""
        for x in tensors:
            array = getattr(x, "_array", None)
            if array is not None and not self.is_own(array):
                self.relies_on(vars(x), "_array", array)
                self.relies_on(vars(x), "_requires_grad", vars(x).get("_requires_grad"))

    def changes(self, tensor: Any, version: Any) -> None:
        """Notes that the memory of a tensor is changed in place."""
        self.versions[version] = None
        self.uses([tensor])

    def relies_on(self, holder: dict, key: Hashable, value: Any) -> None:
        """Notes that the recorded work is for this value of holder[key]."""
        self.relied_on.setdefault((id(holder), key), (holder, key, value))

    def rebinds(self, holder: dict, key: Hashable, reads: bool = False) -> None:
        """Notes that holder[key] is about to be set, or, if `reads`, that it is taken as it is."""
        self.rebound.setdefault((id(holder), key), (holder, key, holder.get(key), reads))

    def gradient(self, tensor: Any, reads: bool = True) -> None:
        """Notes that the step uses or sets the gradient of a tensor that was there before."""
        if not self.is_own(tensor._array):
            self.rebinds(vars(tensor), "_grad", reads)
            self.uses([tensor._grad])

    def restore(self) -> None:
        """Gives Python objects the values back that they had before the step."""
        before = [*self.relied_on.values(), *[noted[:3] for noted in self.rebound.values()]]
        for holder, key, value in before:
            if value is None:
                holder.pop(key, None)
            elif holder.get(key) is not value:
                holder[key] = value


class _State(threading.local):
    """What runs in a thread."""

    recorded: Recorded | None = None
    constants: dict[Hashable, Any] | None = None


_state = _State()


def recorded() -> Recorded | None:
    """Where operators and optimizers note what they do, while this thread records a step; else None."""
    return _state.recorded


@contextmanager
def recording(into: Recorded) -> Iterator[None]:
    """A block in which the work of a GPU is recorded. Nothing was computed, so at its end all is as it was before."""
    _state.recorded = into
    try:
        yield
    finally:
        _state.recorded = None
        into.restore()


def kept_constants() -> dict[Hashable, Any] | None:
    """The constants on devices that the step of `keeping_constants` has used, by what they hold; None outside."""
    return _state.constants


@contextmanager
def keeping_constants(constants: dict[Hashable, Any]) -> Iterator[None]:
    """A block whose constants on devices are found in `constants` first, and put there."""
    outer, _state.constants = _state.constants, constants
    try:
        yield
    finally:
        _state.constants = outer


class Ranks(Protocol):
    """The other processes of the program, with which a step may exchange arrays: `tinycnn.distributed` has them."""

    @property
    def calls_on_gpus(self) -> int:
        """How often arrays were exchanged among GPUs so far."""

    def least(self, number: int) -> int:
        """The least of the ranks' numbers."""


_ranks: Ranks | None = None


def ranks() -> Ranks | None:
    """Those that `set_ranks` has set."""
    return _ranks


def set_ranks(group: Ranks | None) -> None:
    """Lets captured steps know of a process group, or that there is none."""
    global _ranks
    _ranks = group
