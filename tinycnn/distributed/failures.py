"""A rank that fails ends all of them: else the others would wait for it for ever.

Three ways lead to the end, beside the launcher's, which ends all ranks when one is killed:

- an exception that nobody catches;
- a rank that ends while others wait for it: it has told them as it went;
- a rank that never makes the call in which the others wait: they ask one another, after `timeout`, who waits.

A thread looks twice a second whether this rank has waited for long. In the calls themselves nothing is sent.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinycnn.distributed.mpi import MPIEngine

PERIOD = 0.5  # seconds between two looks
LONG = 1.0  # seconds of waiting that are worth a look at the notices
GRACE = 3.0  # seconds for the answers of the others
READ = 0.5  # seconds in which mpiexec reads a rank's last line: what it has not read by the abort, it drops

ENDED, WHO_WAITS, I_WAIT = range(3)  # tags of the notices
LENGTH = 32  # bytes of a notice, which holds the name of a call, or how many there were


def let_rank_0_speak(rank: int) -> None:
    """Of a failure that all ranks have, rank 0 tells: the others give it the time to end them."""
    if rank:
        time.sleep(READ + min(1.0 + 0.1 * rank, 3.0))


def end_all(world: Any, why: BaseException | str, status: int = 1) -> None:
    """Ends all ranks of the communicator `world`, with one line, after the traceback if `why` is an exception."""
    let_rank_0_speak(world.rank)
    if isinstance(why, BaseException):
        traceback.print_exception(why)
        why = traceback.format_exception_only(why)[-1].strip().splitlines()[0]
    sys.stdout.flush()
    print(f"rank {world.rank} of {world.size}: {why}", file=sys.stderr, flush=True)
    time.sleep(READ)
    world.Abort(status)


class Failures:
    """Ends all ranks when one has failed. `timeout`: seconds that a call may wait for another rank."""

    def __init__(self, mpi: MPIEngine, timeout: float):
        self.mpi, self.timeout = mpi, timeout
        self.calls = 0  # that wait for others; all ranks make the same ones
        self.waits: tuple[str, float] | None = None  # the call that waits, and since when
        self.ended: dict[int, int] = {}  # the ranks that have ended, and how many calls they had made
        self.asked: float | None = None  # when the others were asked
        self.waiting: dict[int, str] = {}  # the ranks that have answered, and their calls
        self.closed = threading.Event()
        self._former_hook, sys.excepthook = sys.excepthook, self._uncaught
        atexit.register(self._tell_end)
        threading.Thread(target=self._watch, name="tinycnn.distributed", daemon=True).start()

    @contextmanager
    def watching(self, call: str) -> Iterator[None]:
        """Within the block this rank waits for others, in the call of this name."""
        self.calls += 1
        self.waits = call, time.monotonic()
        try:
            yield
        finally:
            self.waits = None

    def close(self) -> None:
        """Looks no longer, and tells those that wait."""
        self.closed.set()
        atexit.unregister(self._tell_end)
        self._tell_end()
        if sys.excepthook == self._uncaught:
            sys.excepthook = self._former_hook

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        end_all(self.mpi.MPI.COMM_WORLD, error)

    def _tell_end(self) -> None:
        self._send(ENDED, str(self.calls))

    def _send(self, notice: int, text: str = "", to: int | None = None) -> None:
        words = np.frombuffer(text.ljust(LENGTH)[:LENGTH].encode(), np.uint8)
        for rank in range(self.mpi.size) if to is None else (to,):
            if rank != self.mpi.rank:
                self.mpi.notices.Isend(words, rank, notice)

    # --- the thread -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self.closed.wait(PERIOD):
            waits = self.waits
            if waits is None or time.monotonic() - waits[1] < LONG:
                self.asked = None
                continue
            self._read_notices(waits[0])
            self._ask(*waits)

    def _read_notices(self, call: str) -> None:
        status, words = self.mpi.MPI.Status(), np.empty(LENGTH, np.uint8)
        while self.mpi.notices.Iprobe(status=status):
            source, notice = status.source, status.tag
            self.mpi.notices.Recv(words, source, notice)
            if notice == ENDED:
                self.ended[source] = int(words.tobytes())
            elif notice == WHO_WAITS:
                self._send(I_WAIT, call, source)
            else:
                self.waiting[source] = words.tobytes().decode().strip()
        for rank, calls in self.ended.items():
            if calls < self.calls:  # else it has made this one, too
                end_all(self.mpi.MPI.COMM_WORLD, f"{call} waits for rank {rank}, which has ended")

    def _ask(self, call: str, since: float) -> None:
        now = time.monotonic()
        if self.asked is None and now - since > self.timeout:
            self.asked, self.waiting = now, {}
            self._send(WHO_WAITS)
        elif self.asked is not None and now - self.asked > GRACE:
            silent = [rank for rank in range(self.mpi.size) if rank != self.mpi.rank and rank not in self.waiting]
            waited = f"{call} has waited {self.timeout:g} s"
            if silent:
                ranks = f"rank{'s' if len(silent) > 1 else ''} {', '.join(map(str, silent))}"
                end_all(self.mpi.MPI.COMM_WORLD, f"{waited} for {ranks}, which did not call it")
            calls = ", ".join(f"rank {rank} in {name}" for rank, name in sorted(self.waiting.items()))
            end_all(self.mpi.MPI.COMM_WORLD, f"{waited}, while others wait in other calls: {calls}")
