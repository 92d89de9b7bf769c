"""Failures and kills at any system call by which the package writes a file."""

import io
import os
import signal
import sys

from tinycnn import _files


class Watched:
    """Stands for the module `os` in `tinycnn._files`: notes the calls, and calls `instead(name)` instead of the one of
    number `at`."""

    def __init__(self, at=None, instead=None):
        self.calls, self.at, self.instead = [], at, instead

    def __getattr__(self, name):
        real = getattr(os, name)
        if not callable(real) or isinstance(real, type) or name in ("fspath", "fsdecode", "urandom"):
            return real

        def call(*arguments):
            self.calls.append(name)
            if len(self.calls) - 1 != self.at:
                return real(*arguments)
            if name == "close":  # as on Linux: the descriptor is gone, whatever close() returns
                real(*arguments)
            return self.instead(name)

        return call


def watch(monkeypatch, at=None, instead=None):
    """The `Watched` that stands for `os` until the test ends."""
    watched = Watched(at, instead)
    monkeypatch.setattr(_files, "os", watched)
    return watched


def killed_at(call, action):
    """The exit status of a process that does `action` and is killed instead of that system call; 0 if it made fewer."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            _files.os = Watched(call, lambda name: os.kill(os.getpid(), signal.SIGKILL))
            sys.stdout = io.StringIO()
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(process, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
    return status
