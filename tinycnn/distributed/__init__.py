"""Training over several processes and machines: torch.distributed's names, on MPI and NCCL.

    python -m tinycnn.distributed -n 2 program.py

A process is a rank: one of `get_world_size()` that run the same program, each on its part of the data.
"""

from __future__ import annotations

from tinycnn.distributed.collectives import (
    ReduceOp,
    Work,
    all_gather,
    all_gather_into_tensor,
    all_reduce,
    barrier,
    broadcast,
)
from tinycnn.distributed.group import (
    destroy_process_group,
    get_backend,
    get_rank,
    get_world_size,
    init_process_group,
    is_available,
    is_initialized,
    is_mpi_available,
    is_nccl_available,
)
from tinycnn.distributed.launch import is_launched
from tinycnn.distributed.parameters import check_parameters

__all__ = [
    "ReduceOp", "Work", "all_gather", "all_gather_into_tensor", "all_reduce", "barrier", "broadcast",
    "check_parameters", "destroy_process_group", "get_backend", "get_rank", "get_world_size", "init_process_group",
    "is_available", "is_initialized", "is_launched", "is_mpi_available", "is_nccl_available",
]  # fmt: skip
