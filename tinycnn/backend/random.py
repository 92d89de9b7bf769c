"""The random state of each device."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycnn.backend.devices import CPU, Device, gpu_kernels, on
from tinycnn.checks import check_count

_seed: int | None = None
_generators: dict[Device, Any] = {}


def manual_seed(seed: int) -> None:
    """Seeds the random state of every device: the next draws on each depend on `seed` alone."""
    global _seed
    _seed = int(check_count("manual_seed", "seed", seed))
    _generators.pop(CPU, None)
    for target, generator in _generators.items():
        generator.seed(_seed_of(target))


def random_generator(target: Device = CPU) -> Any:
    """The random generator of a device: a numpy.random.Generator, or `gpu.random.Generator` with its interface."""
    generator = _generators.get(target)
    if generator is None:
        with on(target):
            made = np.random.default_rng(_seed) if target == CPU else gpu_kernels().Generator(_seed_of(target))
        generator = _generators.setdefault(target, made)  # one for all threads, whichever comes first
    return generator


def _seed_of(target: Device) -> np.random.SeedSequence:
    """For a GPU, so that the numbers of no two are the same."""
    return np.random.SeedSequence(_seed, spawn_key=(target.index,))


def random_states(*devices: Device) -> dict[Device, Any]:
    """The random state of the CPU, of these devices and of all others that have been drawn from. That of a GPU is a
    copy there, for which nobody waits."""
    for target in (CPU, *devices):
        random_generator(target)
    return {
        target: generator.bit_generator.state if target == CPU else generator.state()
        for target, generator in list(_generators.items())
    }


def set_random_states(states: dict[Device, Any]) -> None:
    """Continues the random numbers from what `random_states` gave."""
    for target, state in states.items():
        if target == CPU:
            random_generator().bit_generator.state = state
        else:
            random_generator(target).set_state(state)
