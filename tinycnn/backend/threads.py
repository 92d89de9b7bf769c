"""Threads on a CPU: how many, and how work is shared out among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinycnn.checks import Integer

# Below this many multiply-adds, one thread is faster: another one has to be woken and waited for, and every NumPy call
# in between contends for the interpreter's lock.
OPERATIONS_A_THREAD = 32_000_000
# What an element costs in a few passes over memory, in multiply-adds of a matrix product: below two million elements, a
# second thread gains nothing.
OPERATIONS_AN_ELEMENT = 16


def _default_threads() -> int:
    """OMP_NUM_THREADS, as the numeric libraries understand it, or one thread for each core this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


num_threads = _default_threads()  # that an operator may use
_workers: list[_Worker] = []
_in_use = threading.Lock()  # the workers: of one thread at a time


def get_num_threads() -> int:
    """How many threads an operator may use on a CPU."""
    return num_threads


def set_num_threads(count: int) -> None:
    """Lets an operator use up to `count` threads on a CPU; the default is OMP_NUM_THREADS, or the number of cores.

    With the same count, results are the same bit for bit: threads share out work in a fixed way.
    """
    global num_threads
    num_threads = int(Integer(at_least=1, at_most=2**31 - 1)("set_num_threads", "count", count))


class _Share:
    """Work that a worker computes while another thread waits for it."""

    def __init__(self, work: Callable[[], Any]):
        self.work = work
        self.numpy_errors = np.geterr()  # which belong to a thread
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.end = threading.Lock()  # until it is finished
        self.end.acquire()

    def compute(self) -> None:
        try:
            with np.errstate(**self.numpy_errors):
                self.result = self.work()
        except BaseException as error:  # for the thread that waits
            self.error = error
        self.finished = True
        self.end.release()

    def wait(self) -> None:
        while not self.finished:  # Ctrl-C may come between the end and this question, and one waits again
            self.end.acquire()


class _Worker:
    """A thread that computes one share after the other.

    Bare locks wake it and wait for it. An executor takes ten times as long, 0.1 ms, for its queue and its futures.
    """

    def __init__(self) -> None:
        self.begin = threading.Lock()  # while there is nothing to do
        self.begin.acquire()
        self.share: _Share | None = None
        threading.Thread(target=self._run, name="tinycnn", daemon=True).start()

    def _run(self) -> None:
        _this_thread.keeps_work = True
        while True:
            self.begin.acquire()
            share, self.share = self.share, None
            assert share is not None
            share.compute()
            del share  # so that what it holds is freed

    def start(self, share: _Share) -> None:
        self.share = share
        self.begin.release()


class _ThisThread(threading.local):
    # In a worker, which must not wait for another one, and while this thread shares out work: what a finaliser or a
    # signal handler computes in between is not shared out.
    keeps_work = False


_this_thread = _ThisThread()


def _forget_workers() -> None:
    """A forked child has none of its parent's threads."""
    global _in_use
    _workers.clear()
    _in_use = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


def shares(items: Sequence, operations: int) -> list[Sequence]:
    """`items` split into one consecutive run for each thread; all in one if `operations` are too few for two."""
    count = max(1, min(num_threads, len(items))) if operations >= OPERATIONS_A_THREAD else 1
    return [items[part] for part in evenly(len(items), count)]


def evenly(length: int, count: int) -> list[slice]:
    """`length` in `count` consecutive parts, whose sizes differ by one at most."""
    return [slice(length * i // count, length * (i + 1) // count) for i in range(count)]


def in_threads(work: Callable[[Any], Any], shared: Sequence[Any]) -> list[Any]:
    """[work(share) for each share], each in a thread of its own; the first in this one."""
    if len(shared) == 1 or _this_thread.keeps_work or not _in_use.acquire(blocking=False):
        return [work(share) for share in shared]
    others: list[_Share] = []
    try:
        _this_thread.keeps_work = True
        _workers.extend(_Worker() for _ in range(len(shared) - 1 - len(_workers)))
        for worker, share in zip(_workers, shared[1:]):
            others.append(_Share(partial(work, share)))
            worker.start(others[-1])
        first = work(shared[0])
    finally:
        try:
            _wait_for(others)  # also after an error: they write to memory that the caller is about to drop
        finally:
            _this_thread.keeps_work = False
            _in_use.release()
    for share in others:
        if share.error is not None:
            raise share.error
    return [first, *[share.result for share in others]]


def _wait_for(shares: list[_Share]) -> None:
    try:
        for share in shares:
            share.wait()
    except BaseException:  # Ctrl-C, which is to take effect when all are finished
        try:
            for share in shares:
                share.wait()
        except BaseException:  # a second one: they may end when they like
            _workers.clear()
            raise
        raise
