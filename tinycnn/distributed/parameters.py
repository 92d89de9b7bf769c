"""Whether models of all ranks are the same, and how they become it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.checks import shortened
from tinycnn.distributed.collectives import sendable
from tinycnn.distributed.group import Group, current
from tinycnn.tensor import Tensor


def check_parameters(model: Any) -> None:
    """Compares the checksums of a model's parameters and buffers on all ranks.

    Raises ValueError, naming the first that differs and a rank that has another than rank 0, on all ranks; TypeError
    for what is no Module; ValueError without a process group.
    """
    name = "check_parameters"
    group = current(name)
    sums = {key: _checksum(tensor) for key, tensor in _state(name, model).items()}
    with group.failures.watching(name):
        gathered = group.mpi.gather(sums)
    for key, value in gathered[0].items():
        for rank, others in enumerate(gathered):
            if others.get(key) != value:
                raise ValueError(f"{name}: {key} of rank {rank} differs from that of rank 0")


def check_structure(called: str, model: Any) -> None:
    """ValueError, on all ranks, unless the parameters and buffers of all have the same names, shapes and dtypes."""
    group = current(called)
    shapes = {key: f"{tuple(x.shape)} {x.dtype}" for key, x in _state(called, model).items()}
    with group.failures.watching(called):
        gathered = group.mpi.gather(shapes)
    for rank, others in enumerate(gathered):
        for key in [*gathered[0], *others]:
            wanted, got = gathered[0].get(key, "none"), others.get(key, "none")
            if wanted != got:
                raise ValueError(f"{called}: expected the same model on all ranks, got {key} {wanted} on rank 0 and "
                                 f"{got} on rank {rank}")  # fmt: skip


def broadcast_all(group: Group, tensors: Sequence[Tensor]) -> None:
    """Gives `tensors`, in place, their values on rank 0."""
    for tensor in tensors if group.size > 1 else ():
        sent = sendable(tensor._array)
        with group.failures.watching("the broadcast of parameters and buffers"):
            group.engine.broadcast(sent, 0)
        found = sent.reshape(tensor.shape)
        # What is as it was may be used by a graph. On a GPU, to see whether it is, the host would wait.
        if group.rank and not (backend.host_reads(found) and np.array_equal(tensor._array, found)):
            tensor._array[...] = found
            tensor._changed_in_place()


def _state(called: str, model: Any) -> dict[str, Tensor]:
    if not (hasattr(model, "named_parameters") and hasattr(model, "named_buffers")):
        raise TypeError(f"{called}: expected a Module, got {shortened(model)}")
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _checksum(tensor: Tensor) -> bytes:
    array = np.ascontiguousarray(backend.to_device(tensor._array, backend.CPU))
    return hashlib.blake2b(array.reshape(-1).view(np.uint8).data, digest_size=16).digest()
