"""What the commands share: an argument parser whose errors are one line, and an end in one line."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, ParamSpec

P = ParamSpec("P")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and whose help ends with `examples`, a command line each."""

    def __init__(self, *, examples: Sequence[str] = (), **options: Any):
        if examples:
            options["epilog"] = "\n".join(["examples:", *(f"  {line}" for line in examples)])
            options["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Exits with status 2."""
        self.exit(2, f"{self.prog}: error: {message}; --help shows the options\n")


LARGEST_SIZE = 100_000


def whole(text: str, least: int, most: int) -> int:
    """The int in `text`; ArgumentTypeError unless it is from `least` to `most`."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"expected an int from {least} to {most:,}, got {text}")
    return number


def natural(text: str) -> int:
    """The type of an option that is a size or a number of things, or 0."""
    return whole(text, 0, LARGEST_SIZE)


def positive(text: str) -> int:
    """The type of an option that is a size or a number of things."""
    return whole(text, 1, LARGEST_SIZE)


class UserError(Exception):
    """Something that the user can put right; `status` is the exit status."""

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def users_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Makes exceptions of these kinds, and lack of memory, UserErrors; any other is a bug and keeps its traceback."""
    expected: tuple[type[Exception], ...] = (*kinds, MemoryError)
    try:
        yield
    except expected as error:
        message = str(error) or "not enough memory"
        # That of a loader's worker comes with the worker's traceback, whose last line says it.
        raise UserError(message.splitlines()[-1] if message.startswith("Caught ") else message) from None


def guarded(name: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Decorates the `main` of a command, which then returns its exit status: 0 where nobody reads its output any more
    (`| head`), 130 for Ctrl-C, and after a line that begins with `name` the status of a UserError, or 1 where memory is
    short or output cannot be written."""

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def run(*arguments: P.args, **options: P.kwargs) -> int:
            try:
                status = main(*arguments, **options)
                sys.stdout.flush()
                return status
            except BrokenPipeError:
                status = 0
            except UserError as error:
                for line in str(error).splitlines():
                    print(f"{name}: error: {line}", file=sys.stderr)
                return error.status
            except KeyboardInterrupt as stop:
                if str(stop):
                    print(f"{name}: {stop}", file=sys.stderr)
                return getattr(stop, "status", 130)
            except MemoryError as error:
                print(f"{name}: error: {str(error) or 'not enough memory'}", file=sys.stderr)
                return 1
            except OSError as error:
                print(f"{name}: error: {error.strerror or error}", file=sys.stderr)
                status = 1
            with contextlib.suppress(OSError, ValueError):  # Python must not try to write the rest at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return status

        return run

    return decorate
