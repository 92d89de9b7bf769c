"""The engine for arrays on a CPU: MPI by mpi4py, which is imported here alone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.backend import Array


class MPIEngine:
    """Exchanges arrays among all ranks. Those on a GPU go through the host.

    Methods change their argument in place, which is contiguous and of a dtype that MPI knows: see `collectives`.
    """

    calls_on_gpus = 0

    def __init__(self) -> None:
        from mpi4py import MPI

        self.MPI = MPI
        self.world = MPI.COMM_WORLD.Dup()  # what the program itself sends does not get in the way
        self.notices = MPI.COMM_WORLD.Dup()  # of `failures`
        self.rank, self.size = self.world.rank, self.world.size

    def start_all_reduce(self, array: Array, op: str) -> Any:
        """Begins to reduce; what it returns has `Wait()`, after which each rank has the result in `array`."""
        if backend.is_gpu_array(array):
            return _Copied(self, array, op)
        return self.world.Iallreduce(self.MPI.IN_PLACE, array, getattr(self.MPI, op))

    def all_reduce(self, array: Array, op: str) -> None:
        """The sum, product, ... over the ranks."""
        if backend.is_gpu_array(array):
            _Copied(self, array, op).Wait()
        else:
            self.world.Allreduce(self.MPI.IN_PLACE, array, getattr(self.MPI, op))

    def broadcast(self, array: Array, src: int) -> None:
        """What rank `src` has in it."""
        host = backend.to_device(array, backend.CPU)
        self.world.Bcast(host, src)
        if host is not array:
            array[...] = backend.to_device(host, backend.device_of(array))

    def all_gather(self, array: Array) -> Array:
        """(ranks, *shape): what each rank has in it."""
        host = backend.to_device(array, backend.CPU)
        gathered = np.empty((self.size, *array.shape), array.dtype)
        self.world.Allgather(host, gathered)
        return backend.to_device(gathered, backend.device_of(array))

    def gather(self, value: Any) -> list[Any]:
        """A Python object of each rank."""
        return self.world.allgather(value)

    def gather_on_node(self, value: Any) -> list[Any]:
        """A Python object of each rank on this one's machine."""
        node = self.world.Split_type(self.MPI.COMM_TYPE_SHARED)
        gathered = node.allgather(value)
        node.Free()
        return gathered

    def library(self) -> str:
        """The implementation's name."""
        name, _ = self.MPI.get_vendor()
        return name

    def channel(self) -> MPIEngine:
        """This engine, for calls whose order among those of other channels may differ from rank to rank."""
        channel = copy.copy(self)
        channel.world = self.world.Dup()
        return channel

    def close(self) -> None:
        """Nothing: MPI itself lives as long as the process."""


class _Copied:
    """An all-reduce of an array on a GPU, through the host."""

    def __init__(self, engine: MPIEngine, array: Array, op: str):
        self.array, self.host = array, backend.to_device(array, backend.CPU)
        self.request = engine.start_all_reduce(self.host, op)

    def Test(self) -> bool:
        return self.request.Test()

    def Wait(self) -> None:
        self.request.Wait()
        self.array[...] = backend.to_device(self.host, backend.device_of(self.array))
