"""Threads on a CPU: how many, and how work is shared out among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from tinycnn.checks import Integer

# Below this many multiply-adds, one thread is faster: another one has to be woken and waited for, and every NumPy call
# in between contends for the interpreter's lock.
OPERATIONS_A_THREAD = 32_000_000


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


class _Worker:
    """A thread that computes one share of the work at a time.

    Bare locks wake it and wait for it. An executor takes ten times as long, 0.1 ms, for its queue and its futures.
    """

    def __init__(self) -> None:
        self.begin, self.end = threading.Lock(), threading.Lock()
        self.begin.acquire()
        self.work: Callable[[], Any]
        self.finished = True
        self.result: Any = None
        self.error: BaseException | None = None
        threading.Thread(target=self._run, name="tinycnn", daemon=True).start()

    def _run(self) -> None:
        _this_thread.keeps_work = True
        while True:
            self.begin.acquire()
            try:
                self.result = self.work()
            except BaseException as error:  # for the thread that waits
                self.error = error
            del self.work
            self.finished = True
            self.end.release()

    def start(self, work: Callable[[], Any]) -> None:
        self.end.acquire(blocking=False)  # if nobody waited for the last share
        self.work, self.finished, self.result, self.error = work, False, None, None
        self.begin.release()

    def wait(self) -> None:
        while not self.finished:
            self.end.acquire()


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
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]


def in_threads(work: Callable[[Any], Any], shared: Sequence[Any]) -> list[Any]:
    """[work(share) for each share], each in a thread of its own; the first in this one."""
    if len(shared) == 1 or _this_thread.keeps_work or not _in_use.acquire(blocking=False):
        return [work(share) for share in shared]
    _this_thread.keeps_work = True
    workers: list[_Worker] = []
    try:
        _workers.extend(_Worker() for _ in range(len(shared) - 1 - len(_workers)))
        workers = _workers[: len(shared) - 1]
        for worker, share in zip(workers, shared[1:]):
            worker.start(partial(work, share))
        first = work(shared[0])
    finally:
        try:
            for worker in workers:  # also after an error: they write to memory that the caller is about to drop
                worker.wait()
        except BaseException:  # a second Ctrl-C; they may end when they like
            _workers.clear()
            raise
        finally:
            _this_thread.keeps_work = False
            _in_use.release()
    results = [(worker.result, worker.error) for worker in workers]
    for worker in workers:
        worker.result = worker.error = None
    for _, error in results:
        if error is not None:
            raise error
    return [first, *[result for result, _ in results]]
