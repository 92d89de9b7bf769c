"""The memory that the process keeps."""

from __future__ import annotations

import os
from functools import cache

MMAP_BYTES, TRIM_BYTES = 16 << 20, 64 << 20  # see keep_freed_memory


@cache
def keep_freed_memory() -> None:
    """Lets the process keep up to 64 MiB of memory that was freed for the next training step, which needs the same
    again. The first larger matrix product calls it: importing the library changes nothing.

    By default, glibc returns large blocks to the system as they are freed. To get them back costs a page fault every
    4 KiB: half of the time of a LeNet step. Blocks above MMAP_BYTES, and free memory above TRIM_BYTES, still go
    back; these are sizes that glibc itself reaches with time. Settings that the user made in the environment stand;
    other C libraries have no such setting.
    """
    made = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    try:
        is_glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # no such function, or no such question, on this system
        return
    if not is_glibc or any(name in os.environ for name in made):
        return
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
