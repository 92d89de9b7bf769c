"""Threads on a CPU: how many, and how work is shared out among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

from tinycnn.checks import Integer

# Below this many multiply-adds, one thread is faster: handing work to another thread and waiting for it takes about
# 0.1 ms, and every NumPy call in between contends for the interpreter's lock.
OPERATIONS_A_THREAD = 16_000_000


def _default_threads() -> int:
    """OMP_NUM_THREADS, as the numeric libraries understand it, or one thread for each core this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


num_threads = _default_threads()  # that an operator may use
_pool: ThreadPoolExecutor | None = None


def get_num_threads() -> int:
    """How many threads an operator may use on a CPU."""
    return num_threads


def set_num_threads(count: int) -> None:
    """Lets an operator use up to `count` threads on a CPU; the default is OMP_NUM_THREADS, or the number of cores.

    With the same count, results are the same bit for bit: threads share out work in a fixed way.
    """
    global num_threads, _pool
    num_threads, _pool = int(Integer(at_least=1, at_most=2**31 - 1)("set_num_threads", "count", count)), None


def _thread_pool() -> ThreadPoolExecutor:
    """The threads beside the calling one."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(num_threads - 1, 1), thread_name_prefix="tinycnn", initializer=_enter_pool)
    return _pool


def _enter_pool() -> None:
    _this_thread.keeps_work = True


class _ThisThread(threading.local):
    # In a thread of the pool, which must not wait for another one, and while this thread shares out work: the pool and
    # its futures have locks, so what a finaliser or a signal handler computes in between is not shared out.
    keeps_work = False


_this_thread = _ThisThread()


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def shares(items: Sequence, operations: int) -> list[Sequence]:
    """`items` split into one consecutive run for each thread; all in one if `operations` are too few for two."""
    count = max(1, min(num_threads, len(items))) if operations >= OPERATIONS_A_THREAD else 1
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]


def in_threads(work: Callable[[Any], Any], shared: Sequence[Any]) -> list[Any]:
    """[work(share) for each share], each in a thread of its own; the first in this one."""
    if len(shared) == 1 or _this_thread.keeps_work:
        return [work(share) for share in shared]
    _this_thread.keeps_work = True
    try:
        others = [_thread_pool().submit(work, share) for share in shared[1:]]
        try:
            return [work(shared[0]), *[other.result() for other in others]]
        finally:
            wait(others)  # also after an error: they write to memory that the caller is about to drop
    finally:
        _this_thread.keeps_work = False
