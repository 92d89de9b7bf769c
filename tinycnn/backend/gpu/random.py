"""Random numbers, drawn on the device."""

from __future__ import annotations

import threading
from typing import Any

import cupy
import numpy as np

from tinycnn.backend.gpu.launch import THREADS, counters, launch, run

__all__ = ["Generator", "dropout_mask"]


class Generator:
    """Random numbers on one GPU, the current one: the methods of numpy.random.Generator that the package uses.

    `seed` is what numpy.random.default_rng takes: an int, None, a numpy.random.SeedSequence. All numbers are a
    function of it and of how many were drawn before. The state lies on the device and kernels advance it there: the
    host waits for nothing (but the sort of a permutation), and a captured graph draws other numbers in every replay.
    """

    def __init__(self, seed: Any = None):
        self._state = cupy.empty(2, np.uint64)
        self._lock = threading.Lock()
        self.seed(seed)

    def seed(self, seed: Any = None) -> None:
        """Reseeds, in the same memory, so that captured graphs use the new state."""
        with self._state.device:
            if cupy.cuda.get_current_stream().is_capturing():
                raise RuntimeError(
                    "random numbers: a generator cannot be made or seeded while a graph is captured, for the graph "
                    "would seed it again in every replay; seed it, or draw from it once, before"
                )
            sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
            (key,) = sequence.generate_state(1, np.uint64)
            run("random", "seed", np.dtype("float32"), (1,), (self._state, key), threads=1)

    def state(self) -> Any:
        """A copy of the state, on the device: what `set_state` sets."""
        with self._state.device, self._lock:
            return self._state.copy()

    def set_state(self, state: Any) -> None:
        """Sets what `state` gave, or a list of its numbers, in the same memory."""
        with self._state.device, self._lock:
            self._state[...] = cupy.asarray(state, np.uint64)

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Uniform on [0, 1), float32 or float64."""
        return self._drawn("uniform", size, self._real("random", dtype))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Normal with mean 0 and standard deviation 1, float32 or float64."""
        return self._drawn("normal", size, self._real("standard_normal", dtype))

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """int64, uniform on low .. high − 1, or on 0 .. low − 1."""
        low, high = (0, int(low)) if high is None else (int(low), int(high))
        if not -(2**63) <= low < high < 2**63:
            raise ValueError(f"integers: expected −2**63 ≤ low < high < 2**63, got low={low} and high={high}")
        numbers = (low % 2**64, high - low, 2**64 % (high - low))
        return self._drawn("integers", size, np.dtype("int64"), *map(np.uint64, numbers))

    def permutation(self, n: int) -> Any:
        """0 .. n − 1 in random order, int64. The host waits for the sort."""
        with self._state.device:
            # With 63 bits, two of 60,000 keys are equal with a probability of 2e-10.
            return cupy.argsort(self.integers(0, 2**63 - 1, n)) if n else cupy.empty(0, np.int64)

    def fill(self, name: str, out: Any, *numbers: Any) -> None:
        """Runs the kernel `name` of cuda/random.cu over `out`, in the order of its memory, which has no gaps."""
        if out.size >= 1 << 31:
            raise ValueError(f"random numbers: expected less than 2**31 at a time, got {out.size:,}")
        with self._state.device:
            a_block = 1 if name == "integers" else 2 if out.dtype == np.float64 else 4
            blocks = -(-out.size // a_block)
            with self._lock:  # no thread draws what another one is drawing
                arguments = (out, self._state, counters(1), np.uint32(out.size), *numbers)
                launch("random", name, out.dtype, blocks, *arguments)

    def run(self, name: str, *arguments: Any, threads: int = THREADS) -> None:
        """Runs the kernel `name` of cuda/draws.cu in one block; it moves the state on by itself."""
        with self._state.device, self._lock:
            run("draws", name, np.dtype("float32"), (1,), (self._state, *arguments), threads)

    def _drawn(self, name: str, size: Any, dtype: np.dtype, *numbers: Any) -> Any:
        with self._state.device:
            out = cupy.empty(() if size is None else size, dtype)
            self.fill(name, out, *numbers)
        return out

    @staticmethod
    def _real(name: str, dtype: Any) -> np.dtype:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"{name}: expected float32 or float64, got {np.dtype(dtype)}")
        return np.dtype(dtype)


def dropout_mask(x: Any, p: float, generator: Generator) -> Any:
    """0 with probability p, else 1 / (1 − p), in the shape and the memory order of `x`."""
    mask = cupy.empty_like(x)
    real = np.float64 if x.dtype == np.float64 else np.float32
    generator.fill("dropout_mask", mask, real(p), real(1 / (1 - p) if p < 1 else 0))
    return mask
