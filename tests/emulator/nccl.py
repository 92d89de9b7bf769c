"""cupy.cuda.nccl: a stand-in whose calls go by MPI, in the order in which a stream would run them.

Signatures are those of CuPy 14. As the library does, it refuses two ranks on one GPU, memory that is not the device's,
numbers that it does not know, and a call that is a part of a graph on some ranks alone.
"""

from __future__ import annotations

import importlib.util
import os

import numpy as np

from . import devices, machine, memory

KINDS = {"INT8": (0, np.int8), "UINT8": (1, np.uint8), "INT32": (2, np.int32), "INT64": (4, np.int64),
         "FLOAT16": (6, np.float16), "FLOAT32": (7, np.float32), "FLOAT64": (8, np.float64)}  # fmt: skip
OPERATIONS = {"SUM": 0, "PROD": 1, "MAX": 2, "MIN": 3}
DTYPES = dict(KINDS.values())


class NcclError(RuntimeError):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


def get_unique_id():
    return tuple(os.urandom(128))


class NcclCommunicator:
    def __init__(self, ndev, commId, rank):
        from mpi4py import MPI

        if not isinstance(commId, tuple) or len(commId) != 128:
            raise NcclError(4)
        self.MPI, self.device = MPI, machine.state.device
        self.world = MPI.COMM_WORLD.Dup()
        places = self.world.allgather((self.device, commId, ndev))
        if len(places) != ndev or len({device for device, *_ in places}) < ndev or len({i for _, i, _ in places}) > 1:
            raise NcclError(5)

    def _view(self, address, count, datatype):
        dtype = np.dtype(DTYPES[datatype])
        return memory.find(address, count * dtype.itemsize)[: count * dtype.itemsize].view(dtype)

    def _operation(self, op):
        return {code: getattr(self.MPI, name) for name, code in OPERATIONS.items()}[op]

    def _execute(self, operation):
        captured = bool(machine.state.capturing)

        def on_all_ranks():
            if len({*self.world.allgather(captured)}) > 1:
                raise NcclError(5)
            operation()

        machine.execute(on_all_ranks)

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        sent, received, operation = *(self._view(x, count, datatype) for x in (sendbuf, recvbuf)), self._operation(op)
        self._execute(lambda: self.world.Allreduce(sent.copy(), received, operation))

    def broadcast(self, sendbuff, recvbuff, count, datatype, root, stream):
        sent, received = (self._view(x, count, datatype) for x in (sendbuff, recvbuff))
        self._execute(lambda: (np.copyto(received, sent), self.world.Bcast(received, root)))

    def allGather(self, sendbuf, recvbuf, count, datatype, stream):
        sent, received = self._view(sendbuf, count, datatype), self._view(recvbuf, count * self.world.size, datatype)
        self._execute(lambda: self.world.Allgather(sent.copy(), received))

    def destroy(self):
        self.world = None


def module():
    constants = {f"NCCL_{name}": code for name, (code, _) in KINDS.items()}
    constants |= {f"NCCL_{name}": code for name, code in OPERATIONS.items()}
    return devices.module(
        "cupy.cuda.nccl", available=importlib.util.find_spec("mpi4py") is not None, NcclError=NcclError,
        get_unique_id=get_unique_id, get_version=lambda: 22703, NcclCommunicator=NcclCommunicator, **constants,
    )  # fmt: skip
