"""The random state of the process, as torch.random names it: seeds, and states to be kept and restored."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator

import numpy as np

from tinycnn import backend
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike, Generator, default_generator, manual_seed
from tinycnn.checks import check_flag
from tinycnn.tensor import Tensor

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed",
    "set_rng_state",
]  # fmt: skip


def seed() -> int:
    """Seeds the random state of every device with a number that nobody can foresee, and returns it."""
    return manual_seed(secrets.randbits(63)).initial_seed()


def initial_seed() -> int:
    """The number that the random state was seeded with."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The random state of the CPU, a vector of uint8: see `set_rng_state`."""
    text = json.dumps(backend.random_generator().bit_generator.state)
    return wrap(np.frombuffer(text.encode(), np.uint8).copy())


def set_rng_state(new_state: Tensor) -> None:
    """Continues the random numbers of the CPU from what `get_rng_state` returned. ValueError for anything else."""
    try:
        backend.random_generator().bit_generator.state = json.loads(new_state._array.tobytes())
    except (AttributeError, ValueError, TypeError, KeyError):
        raise ValueError("set_rng_state: expected what get_rng_state returned") from None


@contextlib.contextmanager
def fork_rng(devices: Iterable[DeviceLike] | None = None, enabled: bool = True) -> Iterator[None]:
    """Draws inside the block leave the random states outside of it as they were.

    Args:
        devices: the GPUs whose states are kept beside the CPU's. Default: all.
        enabled: False lets the draws count. Default True.
    """
    if not check_flag("fork_rng", "enabled", enabled):
        yield
        return
    with backend.random_states_kept(None if devices is None else {backend.CPU, *map(backend.device, devices)}):
        yield
