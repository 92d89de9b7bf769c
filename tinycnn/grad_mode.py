"""Whether operators are recorded: `no_grad`, `enable_grad`, `inference_mode`, `set_grad_enabled`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tinycnn._decorator import ContextDecorator
from tinycnn.checks import check_flag

Decorated = TypeVar("Decorated", bound=Callable)


class _Mode(threading.local):
    """How operators and walks over the graph run in a thread."""

    def __init__(self) -> None:
        self.recording = True
        self.outer: list[bool] = []  # the modes around this one
        self.on_arrays = False  # whether the walk that runs gives arrays where it can: see Function.works_on_arrays
        # In a walk for some gradients only: the node that is asked, and for which of its inputs.
        self.asked: tuple[Any, Sequence[bool]] = (None, ())
        self.hooked = False  # whether a leaf of this thread has ever had a hook that waits for its gradient
        self.at_end: list[Callable[[], None]] = []  # what the `backward` that runs is to call at its end
        self.inference: list[bool] = []  # the modes of the `inference_mode`s around
        self.anomaly: Any = None  # the watch of `detect_anomaly`, while it is on
        self.outer_anomalies: list[Any] = []  # those around it
        self.autocast: Any = None  # a `Casting`, where `autocast` is on
        self.outer_autocasts: list[Any] = []  # those of the blocks around


thread_mode = _Mode()


class _GradMode(ContextDecorator):
    """Context manager and decorator. It has no state of its own, so one object may decorate a function that
    calls itself or runs in several threads."""

    mode: bool

    def __enter__(self) -> None:
        thread_mode.outer.append(thread_mode.recording)
        thread_mode.recording = self.mode

    def __exit__(self, *exc: object) -> None:
        thread_mode.recording = thread_mode.outer.pop()


class _FixedGradMode(_GradMode):
    def __new__(cls, function: Callable | None = None) -> Any:
        if function is None:
            return super().__new__(cls)
        if not callable(function):
            raise TypeError(f"{cls.__name__}: expected no argument, or a function to decorate, got {function!r}")
        return cls()(function)


class no_grad(_FixedGradMode):
    """Context manager and decorator (with or without parentheses): operators inside record no graph, so their
    results need no gradient."""

    mode = False


class enable_grad(_FixedGradMode):
    """Context manager and decorator: operators inside record a graph again."""

    mode = True


class inference_mode(_GradMode):
    """Context manager and decorator (with or without parentheses), as `no_grad`: nothing is recorded inside.

    In contrast to torch, the tensors made inside are like any others, and may be recorded later.
    `inference_mode(False)` records, as `enable_grad`.
    """

    def __new__(cls, mode: bool | Callable = True) -> Any:
        return super().__new__(cls) if not callable(mode) else cls()(mode)

    def __init__(self, mode: bool = True):
        self.is_on = check_flag("inference_mode", "mode", mode)
        self.mode = not self.is_on

    def __enter__(self) -> None:
        super().__enter__()
        thread_mode.inference.append(self.is_on)

    def __exit__(self, *exc: object) -> None:
        thread_mode.inference.pop()
        super().__exit__(*exc)


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside of `inference_mode`."""
    return bool(thread_mode.inference) and thread_mode.inference[-1]


class set_grad_enabled(_GradMode):
    """Switches recording on or off: at once when called, for the block as a context manager."""

    def __init__(self, mode: bool):
        self.mode = check_flag("set_grad_enabled", "mode", mode)
        self.previous = thread_mode.recording
        thread_mode.recording = self.mode

    def __enter__(self) -> None:
        thread_mode.recording = self.previous
        super().__enter__()

    def __call__(self, function: Decorated) -> Decorated:
        """Decorates a function, inside which recording is then on or off."""
        thread_mode.recording = self.previous  # decorating a function changes nothing yet
        return (enable_grad if self.mode else no_grad)()(function)
