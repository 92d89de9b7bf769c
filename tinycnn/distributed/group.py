"""The process group: all ranks of the program, and the engine by which they exchange arrays."""

from __future__ import annotations

import importlib.util
import math
import os
import zlib
from datetime import timedelta
from typing import Any

import numpy as np

from tinycnn import backend as _backend
from tinycnn._extras import how_to_install
from tinycnn.backend.recording import set_ranks
from tinycnn.checks import check_choice, shortened
from tinycnn.distributed import launch, nccl
from tinycnn.distributed.failures import Failures
from tinycnn.distributed.mpi import MPIEngine

HALF_AN_HOUR = 1800.0  # torch's default

BACKENDS = ("auto", "mpi", "nccl", "gloo")


class Group:
    """The ranks of the program.

    Attributes:
        rank, size: which one this is, of how many.
        mpi: the engine for arrays on a CPU and for Python's objects.
        engine: `mpi`, or NCCL's.
        failures: ends all ranks when one has failed.
    """

    def __init__(self, backend: str, timeout: float):
        mpi = MPIEngine()
        self.rank, self.size, self.backend = mpi.rank, mpi.size, "mpi"
        self.mpi = mpi
        self.failures = Failures(mpi, timeout)
        self.pending: dict[Any, None] = {}  # reductions that nobody has waited for: MPI writes into their arrays
        self.engine: Any = mpi
        self._threads_before = _backend.get_num_threads()
        if "OMP_NUM_THREADS" not in os.environ:
            _backend.set_num_threads(threads_of_a_rank(mpi))
        self._gpu_before = _backend.current_gpu()
        if backend in ("auto", "nccl"):
            nccl.choose_gpu(mpi)
            reason = nccl.NCCLEngine.refusal(mpi)
            if reason is None:
                self.engine, self.backend = nccl.NCCLEngine(mpi), "nccl"
            elif backend == "nccl":
                raise ValueError(f"init_process_group: backend 'nccl' cannot be used: {reason}; backend 'mpi' can")

    @property
    def calls_on_gpus(self) -> int:
        """How often arrays were exchanged among GPUs so far, by calls that a captured step can hold."""
        return self.engine.calls_on_gpus

    def least(self, number: int) -> int:
        """The least of the ranks' numbers."""
        found = np.array([number])
        with self.failures.watching("capture"):
            self.mpi.all_reduce(found, "MIN")
        return int(found[0])

    def check_same(self, called: str, *what: Any) -> None:
        """ValueError, on all ranks, unless all make this call with the same `what`. Waits for all of them."""
        text = " ".join([called, *map(str, what)])
        own = np.array([zlib.crc32(text.encode())])
        with self.failures.watching(called):
            if (self.mpi.all_gather(own) == own).all():
                return
            texts = self.mpi.gather(text)
        other = next(rank for rank, each in enumerate(texts) if each != texts[0])
        raise ValueError(
            f"{called}: expected the same call on all ranks, got {texts[0]} on rank 0, {texts[other]} on rank {other}"
        )

    def end(self) -> None:
        """Leaves the process as it was."""
        for work in [*self.pending]:
            work.wait()
        self.failures.close()
        self.engine.close()
        _backend.set_num_threads(self._threads_before)
        if _backend.current_gpu() != self._gpu_before:
            nccl.use_gpu(self._gpu_before)


_group: Group | None = None


def threads_of_a_rank(mpi: MPIEngine) -> int:
    """The cores that this rank may use, shared with the ranks of its node that may use the same.

    Open MPI and Intel MPI give each rank cores of its own, MPICH gives all of them to each.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]
    sharing = mpi.gather_on_node(cores).count(cores)
    return max(1, len(cores) // sharing)


def current(caller: str, group: None = None) -> Group:
    """The group. ValueError, naming `caller`, where there is none, or for another `group` than None: there is one."""
    if group is not None:
        raise ValueError(f"{caller}: expected group None, which means all ranks, got {shortened(group)}")
    if _group is None:
        raise ValueError(f"{caller}: no process group: call tinycnn.distributed.init_process_group() first")
    return _group


def size_or_1() -> int:
    """The number of ranks; 1 without a process group."""
    return 1 if _group is None else _group.size


def init_process_group(
    backend: str | None = "auto", init_method: str | None = None, timeout: timedelta | float | None = None,
    world_size: int = -1, rank: int = -1,
) -> None:  # fmt: skip
    """Makes this process a rank of its program. To be called once, by all ranks; the launcher says who they are.

    From then on an exception, or an exit, of one rank ends all of them. The threads of the node are divided among its
    ranks, unless OMP_NUM_THREADS is set.

    Args:
        backend: "mpi", "nccl" for GPUs, or "auto" (default): nccl where each rank has a GPU of its own, else mpi.
            "gloo", torch's name for CPUs, means mpi.
        init_method: must be None or "env://": MPI finds the ranks.
        timeout: seconds, or a timedelta, after which a call that waits for another rank ends the program. Default 30
            minutes.
        world_size, rank: what the launcher is expected to have said. Default -1: anything.

    Raises ValueError for other arguments, if it is called twice, or without a launcher; ImportError without mpi4py.
    """
    global _group
    name = "init_process_group"
    if _group is not None:
        raise ValueError(f"{name}: there is a process group: call destroy_process_group() first")
    backend = check_choice(name, "backend", "auto" if backend is None else backend, BACKENDS)
    if init_method not in (None, "env://"):
        raise ValueError(f"{name}: expected init_method None or 'env://', as MPI finds the ranks, got {init_method!r}")
    seconds = _seconds(name, timeout)
    for argument, value, least in (("world_size", world_size, 1), ("rank", rank, 0)):
        if value is not None and value != -1 and (not isinstance(value, int) or value < least):
            raise ValueError(f"{name}: expected {argument} of at least {least}, or -1, got {shortened(value)}")
    if not launch.is_launched():
        hint = "python -m tinycnn.distributed -n 2 PROGRAM, or mpiexec, starts a process for each rank"
        raise ValueError(f"{name}: this program was started without a launcher: {hint}")
    if not is_mpi_available():
        raise ImportError(f"{name}: needs mpi4py, which is not installed: {how_to_install('mpi')}")
    group = Group(backend, seconds)
    if group.size == 1 < launch.started():
        group.end()
        raise ValueError(
            f"{name}: the launcher has started {launch.started()} processes, but MPI knows of this one alone: use the "
            f"mpiexec of {group.mpi.library()}, or the --mpi of srun that it needs"
        )
    for argument, value, found in (("world_size", world_size, group.size), ("rank", rank, group.rank)):
        if value not in (None, -1, found):
            group.end()
            raise ValueError(f"{name}: expected {argument} {found}, as the launcher says, got {value}")
    _group = group
    set_ranks(group)


def _seconds(name: str, timeout: Any) -> float:
    seconds = HALF_AN_HOUR if timeout is None else timeout
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise ValueError(f"{name}: expected timeout in seconds above 0, or a timedelta, got {shortened(timeout)}")
    return float(seconds)


def destroy_process_group() -> None:
    """Ends the process group; each rank is then a program of its own. ValueError if there is none."""
    global _group
    current("destroy_process_group").end()
    _group = None
    set_ranks(None)


def is_available() -> bool:
    """Whether mpi4py is installed, which this package needs."""
    return is_mpi_available()


def is_mpi_available() -> bool:
    """Whether mpi4py is installed."""
    return importlib.util.find_spec("mpi4py") is not None


def is_nccl_available() -> bool:
    """Whether there are a GPU and NCCL for it."""
    return nccl.is_installed()


def is_initialized() -> bool:
    """Whether there is a process group."""
    return _group is not None


def get_backend() -> str:
    """What moves the arrays: "mpi" or "nccl". ValueError without a process group."""
    return current("get_backend").backend


def get_rank() -> int:
    """Which rank this process is, from 0. ValueError without a process group."""
    return current("get_rank").rank


def get_world_size() -> int:
    """The number of ranks. ValueError without a process group."""
    return current("get_world_size").size
