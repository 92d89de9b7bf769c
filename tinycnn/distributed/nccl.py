"""The engine for arrays on GPUs: NCCL, by CuPy. What else is exchanged goes by MPI."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from tinycnn import backend
from tinycnn.backend import Array

if TYPE_CHECKING:
    from tinycnn.distributed.mpi import MPIEngine

NUMBERS = {"int8": "INT8", "uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float16": "FLOAT16",
           "float32": "FLOAT32", "float64": "FLOAT64"}  # fmt: skip


def has_gpu() -> bool:
    """Whether this process can compute on a GPU."""
    try:
        return importlib.util.find_spec("cupy") is not None and backend.gpu_count() > 0
    except (ImportError, RuntimeError):
        return False


def choose_gpu(mpi: MPIEngine) -> None:
    """Lets "cuda" mean a GPU of this rank's own, as far as the machine has so many."""
    if has_gpu():
        place = mpi.gather_on_node(mpi.rank).index(mpi.rank)
        use_gpu(place % backend.gpu_count())
    else:
        mpi.gather_on_node(mpi.rank)  # which all ranks of a machine call


def use_gpu(index: int) -> None:
    """Makes it "cuda", and CuPy's current device."""
    backend.set_current_gpu(index)
    backend.cupy().cuda.Device(index).use()


def is_installed() -> bool:
    """Whether there are a GPU and NCCL for it."""
    if not has_gpu():
        return False
    try:
        return bool(backend.cupy().cuda.nccl.available)
    except (ImportError, AttributeError):
        return False


class NCCLEngine:
    """Exchanges arrays among GPUs, in a stream of its own, beside what is computed."""

    def __init__(self, mpi: MPIEngine):
        cupy = backend.cupy()
        self.mpi, self.nccl, self.cuda = mpi, cupy.cuda.nccl, cupy.cuda
        self.rank, self.size = mpi.rank, mpi.size
        self.calls_on_gpus = 0
        unique = mpi.gather(self.nccl.get_unique_id() if mpi.rank == 0 else None)[0]
        with backend.on(backend.device("cuda")):
            self.communicator = self.nccl.NcclCommunicator(mpi.size, unique, mpi.rank)
            self.stream = self.cuda.Stream(non_blocking=True)

    @staticmethod
    def refusal(mpi: MPIEngine) -> str | None:
        """Why NCCL cannot be used, the same on all ranks; None if it can."""
        gpu = None
        if is_installed():
            gpu = mpi.MPI.Get_processor_name(), backend.cupy().cuda.Device(backend.current_gpu()).pci_bus_id
        found = mpi.gather(gpu)
        for rank, each in enumerate(found):
            if each is None:
                return f"rank {rank} has no GPU, or no NCCL"
            if (other := found.index(each)) < rank:
                return f"ranks {other} and {rank} share a GPU"
        return None

    def start_all_reduce(self, array: Array, op: str) -> Any:
        """As `MPIEngine.start_all_reduce`; the host does not wait, what is computed afterwards does."""
        if not self._takes(array):
            return self.mpi.start_all_reduce(array, op)
        kind, how = self._kind(array), getattr(self.nccl, f"NCCL_{op}")
        place = backend.address(array)
        return self._begin("allReduce", place, place, array.size, kind, how)

    def all_reduce(self, array: Array, op: str) -> None:
        """As `MPIEngine.all_reduce`."""
        self.start_all_reduce(array, op).Wait()

    def broadcast(self, array: Array, src: int) -> None:
        """As `MPIEngine.broadcast`."""
        if not self._takes(array):
            self.mpi.broadcast(array, src)
            return
        place = backend.address(array)
        self._begin("broadcast", place, place, array.size, self._kind(array), src).Wait()

    def all_gather(self, array: Array) -> Array:
        """As `MPIEngine.all_gather`."""
        if not self._takes(array):
            return self.mpi.all_gather(array)
        with backend.on(backend.device_of(array)) as xp:
            gathered = xp.empty((self.size, *array.shape), array.dtype)
        addresses = backend.address(array), backend.address(gathered)
        self._begin("allGather", *addresses, array.size, self._kind(array)).Wait()
        return gathered

    def channel(self) -> NCCLEngine:
        """As `MPIEngine.channel`, but all calls have one order: NCCL's communicators may wait for one another."""
        return self

    def close(self) -> None:
        """Gives the communicator back."""
        self.communicator.destroy()

    @staticmethod
    def _takes(array: Array) -> bool:
        return backend.is_gpu_array(array) and array.dtype.name in NUMBERS

    def _kind(self, array: Array) -> int:
        return getattr(self.nccl, f"NCCL_{NUMBERS[array.dtype.name]}")

    def _begin(self, call: str, *arguments: Any) -> _Sent:
        """Calls NCCL in the own stream, after all that was computed so far."""
        self.calls_on_gpus += 1
        self.stream.wait_event(self.cuda.get_current_stream().record())
        getattr(self.communicator, call)(*arguments, self.stream.ptr)
        return _Sent(self)


class _Sent:
    """A call in the engine's stream. Other calls may follow there before it is waited for."""

    def __init__(self, engine: NCCLEngine):
        self.cuda, self.event = engine.cuda, engine.stream.record()

    def Wait(self) -> None:
        """Lets what is computed from now on wait for it."""
        self.cuda.get_current_stream().wait_event(self.event)

    def Test(self) -> bool:
        """Whether it has been done."""
        return self.event.done
