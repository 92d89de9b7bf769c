"""Workers: processes or threads that make the batches of a loader before they are asked for.

Of n workers, worker i mod n makes batch i, and each answers in order. So the batches come in order, whoever is faster.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import random
import signal
import socket
import struct
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.util import Finalize
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.checks import shortened

PATIENCE = 5.0  # seconds that a worker has to finish the batch that it is making, before it is killed


@dataclass(frozen=True)
class WorkerInfo:
    """What a data set can learn of the worker that it is in.

    Attributes:
        id: from 0 to num_workers − 1.
        num_workers: of the loader.
        seed: `id` more than the seed of the epoch in which the worker was started.
        dataset: the worker's copy of the data set; in a thread the data set itself.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Here(threading.local):
    info: WorkerInfo | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """What the worker of a loader that this is called in is, as a `WorkerInfo`. None elsewhere."""
    return _here.info


class Failure:
    """An exception of a worker, which another process can raise."""

    def __init__(self, error: BaseException, worker: str):
        self.type = type(error)
        trace = "".join(traceback.format_exception(error))
        self.text = f"Caught {self.type.__name__} in DataLoader {worker}.\nOriginal {trace}"

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.type)
        except Exception:  # a class within a function, which is not known elsewhere
            return {"type": RuntimeError, "text": self.text}
        return self.__dict__

    def exception(self) -> BaseException:
        """An exception of the same type with the worker's traceback as its text."""
        try:
            return self.type(_Text(self.text) if self.type is KeyError else self.text)
        except Exception:  # of a type that takes other arguments
            return RuntimeError(self.text)


class _Text(str):
    """A text that KeyError shows as it is."""

    def __repr__(self) -> str:
        return self


def context_of(given: Any) -> Any:
    """What `multiprocessing_context` means: "thread", or a context of multiprocessing. None is Python's own."""
    if given == "thread":
        return given
    names = multiprocessing.get_all_start_methods()
    if given is None or (isinstance(given, str) and given in names):
        return multiprocessing.get_context(given)
    if isinstance(given, BaseContext):
        return given
    expected = ", ".join(map(repr, [*names, "thread"]))
    raise ValueError(f"DataLoader(multiprocessing_context): expected {expected} or a context, got {shortened(given)}")


# --- in a worker --------------------------------------------------------------------------------------------------


def _work(load: Any, info: WorkerInfo, init: Callable | None, tasks: Iterable, answer: Callable, kind: str) -> None:
    """Answers the tasks in order. One is the number of a batch and its indices; the seed of an epoch begins it."""
    _here.info = info
    name, failed = f"worker {kind} {info.id}", None
    try:
        if init is not None:
            init(info.id)
    except BaseException as error:  # for the process or thread that asks for the first batch
        failed = Failure(error, name)
    for task in tasks:
        if isinstance(task, int):
            load.begin(task, info.id, info.num_workers)
            continue
        try:
            if kind == "process":
                _seed_others(load.seed, task[0])
            answer(failed or load(*task))
        except BaseException as error:
            answer(Failure(error, name))


def _seed_others(seed: int, number: int) -> None:
    """Seeds Python's and NumPy's own random numbers for a batch."""
    words = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(8)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:])  # noqa: NPY002  # what a data set draws from that knows nothing of us


def _serve(link: socket.socket, load: Any, info: WorkerInfo, init: Callable | None) -> None:
    """The life of a worker process: until the loader closes its end of the link."""
    # Ctrl-C, and the SIGTERM of a scheduler to all processes, are for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    backend.set_num_threads(1)
    backend.manual_seed(info.seed)
    _Here.info = info  # also for threads that the data set starts
    answers: queue.SimpleQueue[list] = queue.SimpleQueue()
    for target, arguments in ((_end_with_parent, ()), (_answer_all, (link, answers))):
        threading.Thread(target=target, args=arguments, daemon=True).start()
    _work(load, info, init, _tasks(link), lambda answer: answers.put(_parts(answer)), "process")


def _end_with_parent() -> None:
    """Ends this process when its parent has died, which its siblings' copies of the link may hide from it."""
    parent, its_id = multiprocessing.parent_process(), os.getppid()
    while parent is not None and parent.is_alive() and os.getppid() == its_id:
        parent.join(1)
    os._exit(1)


def _tasks(link: socket.socket) -> Iterator[Any]:
    while True:
        try:
            yield _receive(link)
        except (EOFError, OSError):
            return


def _answer_all(link: socket.socket, answers: queue.SimpleQueue) -> None:
    """In a thread of its own, so that the next batch is made while the loader has not taken this one."""
    try:
        while True:
            _send(link, answers.get())
    except OSError:  # nobody wants them any more
        os._exit(0)


# --- the link to a process ----------------------------------------------------------------------------------------

# Arrays go through a socket as they lie in memory, and are received where they stay. For a batch (128, 3, 32, 32) that
# takes 0.8 ms, with memory shared by the processes 0.7 ms, by multiprocessing.Connection 4 ms: shared memory would have
# to be freed after any death of either.


def _parts(message: Any) -> list[bytes]:
    """A message, its arrays apart, as it is now: a `collate_fn` may fill the same array again."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    return [head, *(bytes(buffer.raw()) for buffer in buffers)]


def _send(link: socket.socket, parts: list[bytes]) -> None:
    sizes = [len(parts), *map(len, parts)]
    link.sendall(struct.pack(f"={len(sizes)}q", *sizes))
    for part in parts:
        link.sendall(part)


def _receive(link: socket.socket) -> Any:
    """A message. EOFError if the other side has closed the link."""
    (count,) = struct.unpack("=q", _exactly(link, 8))
    sizes = struct.unpack(f"={count}q", _exactly(link, 8 * count))
    head, *buffers = [_exactly(link, size) for size in sizes]
    return pickle.loads(head, buffers=buffers)


def _exactly(link: socket.socket, size: int) -> Any:
    received: Any = np.empty(size, np.uint8)
    rest = memoryview(received)
    while rest.nbytes:
        count = link.recv_into(rest)
        if count == 0:
            raise EOFError
        rest = rest[count:]
    return received


_links: weakref.WeakSet[socket.socket] = weakref.WeakSet()  # this process' ends


def _close_links() -> None:
    """In a forked child, which would keep the workers of its parent alive, and its siblings."""
    for link in list(_links):
        link.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_links)


class WorkerError(RuntimeError):
    """A worker process has ended before its time."""


# --- in the process of the loader ---------------------------------------------------------------------------------


class _Process:
    """A worker process, seen from the loader's."""

    def __init__(self, context: Any, load: Any, info: WorkerInfo, init: Callable | None):
        self._link, theirs = socket.socketpair()
        _links.add(self._link)
        self._process = context.Process(target=_serve, args=(theirs, load, info, init), daemon=True)
        try:
            self._process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise TypeError(
                f"DataLoader: dataset, collate_fn or worker_init_fn cannot be sent to a worker process ({error}); "
                "define them at the top of a module, or use multiprocessing_context='thread'"
            ) from None
        finally:
            theirs.close()

    def ask(self, task: Any) -> None:
        with suppress(OSError):  # it has died, which is told when its answer is due
            _send(self._link, _parts(task))

    def answer(self, timeout: float | None) -> Any:
        ready = connection.wait([self._link, self._process.sentinel], timeout)
        if not ready:
            raise queue.Empty
        try:
            if self._link in ready:
                return _receive(self._link)
        except (EOFError, OSError):
            pass
        raise self._death()

    def _death(self) -> WorkerError:
        self._process.join(PATIENCE)
        code = self._process.exitcode
        how = f"exited unexpectedly with code {code}"
        if code is not None and code < 0:
            how = f"is killed by signal: {signal.strsignal(-code)}"
        return WorkerError(f"DataLoader worker (pid {self._process.pid}) {how}")

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def release(self) -> None:
        self._link.close()

    def end(self, until: float) -> None:
        self._process.join(max(0, until - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


class _Thread:
    """A worker thread."""

    def __init__(self, load: Any, info: WorkerInfo, init: Callable | None):
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        tasks = iter(self._tasks.get, None)
        arguments = (copy(load), info, init, tasks, self._answers.put, "thread")
        self._thread = threading.Thread(target=_work, args=arguments, daemon=True)
        self._thread.start()

    def ask(self, task: Any) -> None:
        self._tasks.put(task)

    def answer(self, timeout: float | None) -> Any:
        return self._answers.get(timeout=timeout)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def release(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._tasks.get_nowait()  # which nobody wants any more
        self._tasks.put(None)

    def end(self, until: float) -> None:
        if self._thread is not threading.current_thread():  # which may collect what nobody holds
            self._thread.join(max(0, until - time.monotonic()))


class Workers:
    """The workers of a loader. They end when nothing refers to this object any more, and with the process.

    Args:
        load: makes batch `number` of `indices` by `load(number, indices)`, after `load.begin(seed, worker, workers)`.
        count: how many.
        context: of multiprocessing, or "thread".
        init: is called in each worker with its number.
        timeout: seconds to wait for a batch; 0 waits for ever.
        seed: that of the first epoch.
    """

    def __init__(self, load: Any, count: int, context: Any, init: Callable | None, timeout: float, seed: int):
        self.count, self._timeout = count, timeout
        self._longest_wait = min(timeout, 1e6) or None  # the system waits for 24 days at most
        self.user: Callable[[], Any] = lambda: None  # who has begun an epoch that has not ended
        self._asked: deque[int] = deque()  # the numbers of batches that have not been taken
        self._is_sound = True
        self._process = os.getpid()
        self._workers: list[_Process | _Thread] = []
        # Before multiprocessing ends what is left by SIGTERM, which workers ignore.
        self._finalizer = Finalize(self, _end, (self._workers, self._process), exitpriority=10)
        infos = [WorkerInfo(i, count, seed + i, load.dataset) for i in range(count)]
        try:
            for info in infos:
                is_thread = context == "thread"
                self._workers.append(_Thread(load, info, init) if is_thread else _Process(context, load, info, init))
        except BaseException:
            self._finalizer()
            raise

    def are_ready(self) -> bool:
        """Whether another epoch can begin."""
        return (self._is_sound and self.user() is None and os.getpid() == self._process
                and all(worker.is_alive() for worker in self._workers))  # fmt: skip

    def begin(self, seed: int) -> None:
        """Begins an epoch."""
        while self._asked:  # by an epoch that was left
            self.take()
        for worker in self._workers:
            worker.ask(seed)

    def ask(self, number: int, indices: Any) -> None:
        """Has batch `number` made."""
        self._workers[number % self.count].ask((number, indices))
        self._asked.append(number)

    def asked(self) -> int:
        """How many batches have been asked for and not been taken."""
        return len(self._asked)

    def take(self) -> tuple[int, Any]:
        """The number of the next batch that was asked for, and the batch, or a `Failure`."""
        if os.getpid() != self._process:
            raise RuntimeError("DataLoader: its workers belong to another process, of which this one is a fork")
        if not self._is_sound:
            raise RuntimeError("DataLoader: a worker died, or the wait for it was interrupted; make a new iterator")
        self._is_sound = False  # until all of the answer is here
        number = self._asked[0]
        try:
            found = self._workers[number % self.count].answer(self._longest_wait)
        except queue.Empty:
            self._is_sound = True
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds") from None
        self._is_sound = True
        return self._asked.popleft(), found


def _end(workers: list[_Process | _Thread], process: int) -> None:
    if os.getpid() == process:  # a fork's copy
        until = time.monotonic() + PATIENCE
        for worker in workers:
            worker.release()
        for worker in workers:
            worker.end(until)


class EpochAhead:
    """The batches of an epoch, made by workers before they are asked for: at most `ahead`."""

    def __init__(self, workers: Workers, ahead: int, seed: int, indices: Iterator[Any], progress: Any):
        self._workers: Workers | None = workers
        self._ahead, self._indices, self._progress = ahead, indices, progress
        self._next = progress.position  # to be asked for
        self._finished: set[int] = set()  # the workers whose part of an `IterableDataset` is at its end
        self._error: Exception | None = None  # of the sampler, for the batch that it comes at
        workers.begin(seed)
        workers.user = weakref.ref(self)
        self._ask(workers)

    def _ask(self, workers: Workers) -> None:
        while workers.asked() < self._ahead and len(self._finished) < workers.count and self._error is None:
            if self._next % workers.count not in self._finished:
                try:
                    indices = next(self._indices)
                except StopIteration:
                    return
                except Exception as error:
                    self._error = error
                    return
                workers.ask(self._next, indices)
            self._next += 1

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        workers = self._workers
        if workers is None:
            raise StopIteration
        self._ask(workers)
        while workers.asked():
            number, found = workers.take()
            self._ask(workers)
            self._progress.position = number + 1
            if not isinstance(found, Failure):
                return found
            if found.type is not StopIteration:
                raise found.exception()
            self._finished.add(number % workers.count)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        self._progress.ended = True
        self._workers, workers.user = None, lambda: None
        raise StopIteration
