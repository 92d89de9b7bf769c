"""What a training on several ranks does together. On one rank, or without a process group, nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

import tinycnn
from tinycnn import distributed
from tinycnn.data import DataLoader, DistributedSampler
from tinycnn.distributed.collectives import sum_over_ranks
from tinycnn.distributed.failures import let_rank_0_speak
from tinycnn.distributed.launch import started
from tinycnn.distributed.parameters import broadcast_all
from tinycnn.nn import Module
from tinycnn.nn.parallel import DistributedDataParallel
from tinycnn.tensor import Tensor


def begin() -> None:
    """Makes a program of which a launcher has started several processes a rank. Rank 0 alone prints."""
    if started() > 1 and not distributed.is_initialized():
        distributed.init_process_group()
        if rank():
            sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")  # until the end of the process


def rank() -> int:
    """Which rank this process is; 0 alone logs, draws and saves."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def ranks() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def parallel(model: Module, **options: Any) -> Module:
    """The model, or what trains it on all ranks, with options of DistributedDataParallel."""
    return model if ranks() == 1 else DistributedDataParallel(model, **options)


def no_exchange(model: Module) -> AbstractContextManager[None]:
    """Within the block, a model of `parallel` adds to the gradients of this rank alone."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def can_capture() -> bool:
    """Whether a captured step can hold what ranks exchange: NCCL's calls, not those of MPI. The same on all ranks."""
    return ranks() == 1 or distributed.get_backend() == "nccl"


def check_batch(size: int, owner: str = "batch_size") -> None:
    """ValueError for batches of which not every rank gets a part."""
    if size < ranks():
        raise ValueError(f"{owner}: expected batches of at least {ranks()} items, one a rank, got {size}")


@contextmanager
def shared(owner: str, loader: Iterable[Any]) -> Iterator[None]:
    """Within the block, a DataLoader gives each rank its part of each batch, unless its sampler gives it its own items.

    Raises ValueError for batches smaller than the number of ranks, or for what cannot be divided.
    """
    if ranks() == 1 or distributed_sampler(loader) is not None:
        yield
        return
    if not isinstance(loader, DataLoader):
        got = type(loader).__name__
        raise ValueError(f"{owner}: expected a DataLoader, to divide its batches among ranks, got {got}")
    if loader.batch_size is not None:
        check_batch(loader.batch_size, owner)
    former = loader.divide(rank(), ranks())
    try:
        yield
    finally:
        loader.divide(*former)  # perhaps an evaluation on the training part


def distributed_sampler(loader: Any) -> DistributedSampler | None:
    """That of a loader, which gives each rank its own items."""
    samplers = getattr(loader, "sampler", None), getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    return next((sampler for sampler in samplers if isinstance(sampler, DistributedSampler)), None)


def begin_epoch(loader: Any, epoch: int) -> None:
    """Lets a DistributedSampler draw the order of this epoch."""
    if (sampler := distributed_sampler(loader)) is not None:
        sampler.set_epoch(epoch)


def shared_seed(seed: int | None) -> int | None:
    """`seed`, or one that rank 0 has drawn for all; None on one rank."""
    if ranks() == 1 or seed is not None:
        return seed
    distributed.broadcast(drawn := tinycnn.randint(0, 2**31, (1,)))
    return int(drawn.item())


def draw_for_step(seed: int | None, step: int) -> None:
    """Gives each rank but rank 0 random numbers for one step, from a seed of its own: they train on other images. A
    checkpoint has those of rank 0, and this seed, of which the others come again."""
    if rank() and seed is not None:
        (own,) = np.random.SeedSequence((seed, rank(), step)).generate_state(1, np.uint64)
        tinycnn.manual_seed(int(own >> 1))


@contextmanager
def errors_of_rank_0_first() -> Iterator[None]:
    """Within the block, an exception of all ranks is told by rank 0 alone, which ends the others."""
    try:
        yield
    except GeneratorExit:  # nobody asks for another epoch
        raise
    except BaseException:
        let_rank_0_speak(rank())
        raise


@contextmanager
def interrupts_by_rank_0() -> Iterator[None]:
    """Within the block, Ctrl-C and SIGTERM are for rank 0, which may save a checkpoint before it ends all ranks."""
    former = {}
    if rank() and threading.current_thread() is threading.main_thread():
        former = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)


def finite_everywhere(model: Module, loss: Tensor) -> Tensor:
    """A number that is finite where the loss of each rank is that makes the same step."""
    if isinstance(model, DistributedDataParallel) and model.average_every is None:
        loss = loss.clone()
        sum_over_ranks("the sum of losses", loss)
    return loss


def summed(sums: dict[str, Tensor], items: int, names: Iterable[str], device: Any) -> tuple[dict[str, Tensor], int]:
    """The sums and counts of all ranks. `names`: of the sums, of which a rank without items has none."""
    if ranks() == 1:
        return sums, items
    values = [float(sums[name].item()) if name in sums else 0.0 for name in names]
    total = tinycnn.tensor([*values, float(items)], dtype="float64", device=device)
    sum_over_ranks("the sum of figures", total)
    *values, items = total.tolist()
    return {name: tinycnn.tensor(value, dtype="float64") for name, value in zip(names, values)}, int(items)


def average_parameters(model: Module, evaluated: Module) -> None:
    """At the end of an epoch: of ranks that make steps of their own. Another model that is evaluated is rank 0's."""
    if isinstance(model, DistributedDataParallel) and model.average_every is not None:
        model.average_parameters()
        broadcast_all(distributed.group.current("Trainer"), [*evaluated.parameters(), *evaluated.buffers()])


def check_equal(model: Module) -> None:
    """ValueError, naming the first parameter, if ranks have different ones."""
    if ranks() > 1:
        distributed.check_parameters(model)
