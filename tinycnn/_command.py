"""What the commands share: an argument parser whose errors are one line, and an end in one line."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

P = ParamSpec("P")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with status 2."""
        self.exit(2, f"{self.prog}: error: {message}; --help shows the options\n")


def guarded(name: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Decorates the `main` of a command: 0 where nobody reads its output any more (`| head`), 130 for Ctrl-C, and 1,
    after a line that begins with `name`, where memory is short or output cannot be written."""

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def run(*arguments: P.args, **options: P.kwargs) -> int:
            try:
                status = main(*arguments, **options)
                sys.stdout.flush()
                return status
            except BrokenPipeError:
                status = 0
            except KeyboardInterrupt:
                return 130
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
