"""The random state of each device."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from tinycnn.backend.devices import CPU, Device, DeviceLike, gpu_kernels, on
from tinycnn.checks import check_count, shortened

NEW = 67280421310721  # the seed of a generator that nobody has seeded: torch's

_seed: int | None = None
_generators: dict[Device, Any] = {}


class Generator:
    """A random state of its own, for functions that take `generator=`.

    Args:
        device: where the draws are made. Default "cpu".

    Until it is seeded, it draws what any new generator draws, as in torch.
    """

    def __init__(self, device: DeviceLike = "cpu"):
        self.device = Device(device)
        self.manual_seed(NEW)

    def manual_seed(self, seed: int) -> Generator:
        """Seeds this state: the next draws depend on `seed` alone. Returns the generator."""
        self._seed = int(check_count("Generator.manual_seed", "seed", seed))
        with on(self.device):
            self._numbers = _made(self.device, self._seed)
        return self

    def seed(self) -> int:
        """Seeds this state with a number that nobody can foresee, and returns it."""
        return self.manual_seed(secrets.randbits(63)).initial_seed()

    def initial_seed(self) -> int:
        """The number that this state was seeded with."""
        return self._seed

    @property
    def numbers(self) -> Any:
        """What draws: a numpy.random.Generator, or `gpu.random.Generator` with its interface."""
        return self._numbers


class _Process(Generator):
    """The random state of every device, which functions draw from that are given no generator."""

    def __init__(self) -> None:
        self.device = CPU

    def manual_seed(self, seed: int) -> Generator:
        return manual_seed(seed)

    def initial_seed(self) -> int:
        return manual_seed(secrets.randbits(63)).initial_seed() if _seed is None else _seed

    @property
    def numbers(self) -> Any:
        return random_generator(self.device)


default_generator: Generator = _Process()


def manual_seed(seed: int) -> Generator:
    """Seeds the random state of every device: the next draws on each depend on `seed` alone. Returns that state.

    A data set that calls it while a loader makes a batch seeds the random state of that batch alone.
    """
    global _seed
    checked = int(check_count("manual_seed", "seed", seed))
    if _this_thread.own is not None:
        _this_thread.own.numbers = np.random.default_rng(checked)
        return default_generator
    _seed = checked
    _generators.pop(CPU, None)
    for target, generator in _generators.items():
        generator.seed(_seed_of(target, _seed))
    return default_generator


def random_generator(target: Device = CPU) -> Any:
    """The random generator of a device: a numpy.random.Generator, or `gpu.random.Generator` with its interface."""
    if _this_thread.own is not None and target == CPU:
        return _this_thread.own.numbers
    generator = _generators.get(target)
    if generator is None:
        with on(target):
            made = _made(target, _seed)
        generator = _generators.setdefault(target, made)  # one for all threads, whichever comes first
    return generator


class OwnRandomState:
    """In this block, this thread draws on the CPU from a random state of its own, a function of `seed` and `key`.

    It is made at the first draw: a block that draws nothing costs nothing. The block may be entered again, and goes on.
    """

    def __init__(self, seed: int, *key: int):
        self._seed, self._key = seed, key
        self._outer: OwnRandomState | None = None

    @cached_property
    def numbers(self) -> Any:
        """What draws."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=self._key))

    def __enter__(self) -> None:
        self._outer, _this_thread.own = _this_thread.own, self

    def __exit__(self, *exc: Any) -> None:
        _this_thread.own = self._outer


class _ThisThread(threading.local):
    own: OwnRandomState | None = None


_this_thread = _ThisThread()


def numbers_of(owner: str, generator: Generator | None, target: Device = CPU) -> Any:
    """What draws on a device: of `generator`, or the device's own. TypeError, naming `owner`, unless it is a Generator
    or None, ValueError for one of another device."""
    if generator is None:
        return random_generator(target)
    if not isinstance(generator, Generator):
        raise TypeError(f"{owner}: expected generator as a tinycnn.Generator or None, got {shortened(generator)}")
    if generator.device != target:
        raise ValueError(f"{owner}: expected a generator on {target}, got one on {generator.device}")
    return generator.numbers


def _made(target: Device, seed: int | None) -> Any:
    return np.random.default_rng(seed) if target == CPU else gpu_kernels().Generator(_seed_of(target, seed))


def _seed_of(target: Device, seed: int | None) -> np.random.SeedSequence:
    """For a GPU, so that the numbers of no two are the same."""
    return np.random.SeedSequence(seed, spawn_key=(target.index,))


def state_of(numbers: Any) -> Any:
    """The random state of what draws. That of a GPU is a copy there, for which nobody waits."""
    return numbers.bit_generator.state if isinstance(numbers, np.random.Generator) else numbers.state()


def check_state(numbers: Any, state: Any) -> None:
    """TypeError, ValueError, KeyError or OverflowError unless `set_state_of` can set this state."""
    if isinstance(numbers, np.random.Generator):
        np.random.default_rng().bit_generator.state = state
    elif len(state) != 2:
        raise ValueError("expected two numbers")
    else:
        np.array(state, np.uint64)


def set_state_of(numbers: Any, state: Any) -> None:
    """Continues from what `state_of` gave; for a GPU also from a list of its numbers."""
    if isinstance(numbers, np.random.Generator):
        numbers.bit_generator.state = state
    else:
        numbers.set_state(state)


def random_states(*devices: Device) -> dict[Device, Any]:
    """The random state of the CPU, of these devices and of all others that have been drawn from: see `state_of`."""
    return {target: state_of(random_generator(target)) for target in dict.fromkeys((CPU, *devices, *_generators))}


def set_random_states(states: dict[Device, Any]) -> None:
    """Continues the random numbers from what `random_states` gave."""
    for target, state in states.items():
        set_state_of(random_generator(target), state)


@contextlib.contextmanager
def random_states_kept(devices: set[Device] | None) -> Iterator[None]:
    """What is drawn inside the block leaves the seed, and the random states of these devices, as they were. None: those
    of all devices, also of one that is drawn from in the block for the first time."""
    global _seed
    seed, states = _seed, random_states(*(devices or ()))
    try:
        yield
    finally:
        if _this_thread.own is None:
            _seed = seed
        set_random_states({target: state for target, state in states.items() if devices is None or target in devices})
        for target in _generators.keys() - states.keys() if devices is None else ():
            _generators[target].seed(_seed_of(target, seed))
