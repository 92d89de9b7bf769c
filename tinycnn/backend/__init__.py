"""Where arrays lie and what computes with them. Nothing outside of this folder imports CuPy or branches on a
device.

`devices` knows where an array lies, `cpu` and `gpu` hold kernels of the same names. The other modules hold state
of the process: `random` generators, `threads`, `memory` that is kept, figures of `gpu_memory`, the `precision` of
products, the `recording` of GPU work.
"""

from tinycnn.backend import cpu, devices, gpu_memory, memory, precision, random, threads
from tinycnn.backend.devices import *
from tinycnn.backend.random import (
    Generator,
    OwnRandomState,
    check_state,
    default_generator,
    manual_seed,
    numbers_of,
    random_generator,
    random_states,
    random_states_kept,
    set_random_states,
    set_state_of,
    state_of,
)
from tinycnn.backend.recording import keeping_constants, recorded, recording
from tinycnn.backend.threads import get_num_threads, in_threads, set_num_threads, shares

__all__ = [
    "cpu", "devices", "gpu_memory", "memory", "precision", "random", "threads", "Generator", "OwnRandomState",
    "check_state", "default_generator", "manual_seed", "numbers_of", "random_generator", "random_states",
    "random_states_kept", "set_random_states", "set_state_of", "state_of", "keeping_constants", "recorded", "recording",
    "get_num_threads", "in_threads", "set_num_threads", "shares",
]  # fmt: skip
__all__ += devices.__all__
