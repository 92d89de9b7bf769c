"""Context managers that are decorators too, of generator functions as well, and decorators of operators."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class ContextDecorator(contextlib.ContextDecorator):
    """A context manager, without state of its own, that may decorate a function.

    A generator function runs its body step by step, long after it was called: the context is entered for every step,
    and left where the generator yields. The body of a coroutine waits in between for other ones, in the same thread:
    TypeError for such a function.
    """

    def __call__(self, function: Callable) -> Any:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            name = type(self).__name__
            raise TypeError(f"{name}: cannot decorate a coroutine function; use `with {name}(...):` between its awaits")
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        @functools.wraps(function)
        def inside(*args: Any, **options: Any) -> Any:
            generator = function(*args, **options)
            step, value = generator.send, None
            while True:
                with self:  # type: ignore[attr-defined]  # subclasses are context managers
                    try:
                        result = step(value)
                    except StopIteration as stop:
                        return stop.value
                try:
                    step, value = generator.send, (yield result)
                except BaseException as error:  # also GeneratorExit, of which the body has to hear
                    step, value = generator.throw, error

        return inside


def numpy_names(function: F) -> F:
    """Lets a function take NumPy's names of two arguments, as all of torch's do: `axis` is `dim`, `keepdims` is
    `keepdim`."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if options:
            for numpys, torchs in (("axis", "dim"), ("keepdims", "keepdim")):
                if numpys in options and torchs not in options:
                    options[torchs] = options.pop(numpys)
        return function(*arguments, **options)

    return call  # type: ignore[return-value]


def composed(function: F) -> F:
    """For a function that is composed of others: what they refuse is refused in its own name."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except (TypeError, ValueError, IndexError) as error:
            if re.match(rf"{function.__name__}(:|\(\))", str(error)):
                raise
            raise type(error)(f"{function.__name__}: {error}") from None

    return call  # type: ignore[return-value]
