"""Device memory: host memory in pools that hand it out, split, merge and reuse it as CuPy's do.

What a pool hands out is filled with 0xFF, which reads as nan or -1, so that a read of uninitialised memory shows.
"""

from __future__ import annotations

import bisect
import contextlib
import gc
import threading
import weakref
from collections import Counter, defaultdict

import numpy as np

from . import machine

UNIT = 512  # bytes: sizes are rounded up to it, addresses are multiples of it
POISON = 0xFF

_total = Counter()  # bytes taken from each device, by all pools
_limit = 1 << 40  # bytes that each device has
_live: dict[int, np.ndarray] = {}  # the bytes in use, by their address
_addresses: list[int] = []  # its keys, sorted
_slack: dict[int, np.ndarray] = {}  # for each, the bytes from its end to the next chunk


class OutOfMemoryError(MemoryError):
    def __init__(self, size, total, limit=0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited}).")


def limit_memory(nbytes: int | None):
    """Gives every device `nbytes` of memory in all; None for plenty."""
    global _limit
    _limit = 1 << 40 if nbytes is None else nbytes


def free_and_total():
    return _limit - _total[machine.state.device], _limit


class Chunk:
    """A part of one allocation from the device, between its neighbours in the same allocation."""

    def __init__(self, buffer, start, size, arena):
        self.buffer, self.start, self.size, self.arena = buffer, start, size, arena
        self.previous = self.next = None

    @property
    def bytes(self):
        return self.buffer[self.start : self.start + self.size]

    def split(self, size):
        """Shortens this chunk to `size` and returns the rest."""
        rest = Chunk(self.buffer, self.start + size, self.size - size, self.arena)
        rest.previous, rest.next, self.next, self.size = self, self.next, rest, size
        if rest.next is not None:
            rest.next.previous = rest
        return rest

    def absorb_next(self):
        other = self.next
        self.size += other.size
        self.next = other.next
        if self.next is not None:
            self.next.previous = self


class Memory:
    """Memory in use; it goes back to its pool when the last array that holds it dies."""

    def __init__(self, pool, chunk, size):
        self.device_id = machine.state.device
        self.size = size
        self._pool, self._chunk = weakref.ref(pool), chunk
        self.bytes = chunk.bytes[:size] if chunk else np.empty(0, np.uint8)
        self.ptr = self.bytes.ctypes.data if chunk else 0
        if chunk:
            chunk.bytes.fill(POISON)
            _live[self.ptr], _slack[self.ptr] = self.bytes, self.slack
            bisect.insort(_addresses, self.ptr)

    def __del__(self):
        if self._chunk is None or _live is None:  # None at the end of the interpreter
            return
        del _live[self.ptr], _slack[self.ptr], _addresses[bisect.bisect_left(_addresses, self.ptr)]
        pool = self._pool()
        if pool is None:
            self._chunk.bytes.fill(POISON)
            _total[self._chunk.arena[0]] -= self._chunk.size
        else:
            pool._take_back(self._chunk)

    @property
    def device(self):
        from .devices import Device

        return Device(self.device_id)

    @property
    def slack(self):
        """The bytes between the end of the memory asked for and the next chunk: nobody may write them."""
        return self._chunk.bytes[self.size :] if self._chunk else self.bytes


class MemoryPointer:
    def __init__(self, mem, offset=0):
        self.mem, self.offset = mem, offset

    ptr = property(lambda self: self.mem.ptr + self.offset if self.mem.ptr else 0)
    device_id = property(lambda self: self.mem.device_id)
    device = property(lambda self: self.mem.device)

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.offset + offset)

    def __int__(self):
        return self.ptr

    def memset_async(self, value, size, stream=None):
        view = self.mem.bytes[self.offset : self.offset + size]
        machine.execute(lambda: view.fill(value))

    memset = memset_async


class DeviceMemory:
    """Memory straight from the current device: cupy.cuda.Memory."""

    def __init__(self, size):
        self.device_id, self.size = machine.state.device, size
        self._counted = 0
        if _total[self.device_id] + size > _limit:
            raise machine.CUDARuntimeError(2)
        self._counted = size
        _total[self.device_id] += size
        buffer = np.empty(size + UNIT, np.uint8)
        self.bytes = buffer[-buffer.ctypes.data % UNIT :][:size]
        self.ptr = self.bytes.ctypes.data if size else 0

    def hand_over(self):
        """To a pool, which counts it from now on."""
        self._counted = 0
        return self.bytes

    def __del__(self):
        if _total is not None:
            _total[self.device_id] -= self._counted


class MemoryPool:
    """A pool, as cupy.cuda.MemoryPool: memory freed on a stream is reused on that stream, the best fit first."""

    def __init__(self, allocator=None):
        self._allocator = allocator or (lambda size: MemoryPointer(DeviceMemory(size), 0))
        self._free = defaultdict(list)  # (device, stream): free chunks
        self._taken, self._used, self._limits = Counter(), Counter(), Counter()  # bytes, by device

    def malloc(self, size):
        rounded = -(-size // UNIT) * UNIT
        if rounded == 0:
            return MemoryPointer(Memory(self, None, 0))
        arena = machine.state.device, machine.current_stream().ptr
        fitting = [chunk for chunk in self._free[arena] if chunk.size >= rounded]
        if fitting:
            chunk = min(fitting, key=lambda chunk: chunk.size)
            self._free[arena].remove(chunk)
            if chunk.size > rounded:
                self._free[arena].append(chunk.split(rounded))
        else:
            chunk = self._from_device(rounded, arena)
        self._used[arena[0]] += rounded
        return MemoryPointer(Memory(self, chunk, size))

    def _from_device(self, size, arena):
        device = arena[0]
        for make_room in (lambda: None, self.free_all_blocks, gc.collect, self.free_all_blocks):
            make_room()
            over_limit = self._limits[device] and self._taken[device] + size > self._limits[device]
            try:
                memory = None if over_limit else self._allocator(size).mem
            except machine.CUDARuntimeError as error:
                if error.status != 2:
                    raise
                memory = None
            if memory is not None:
                self._taken[device] += size
                return Chunk(memory.hand_over(), 0, size, arena)
        raise OutOfMemoryError(size, self._taken[device], self._limits[device])

    def _take_back(self, chunk):
        free = self._free[chunk.arena]
        self._used[chunk.arena[0]] -= chunk.size
        if chunk.next in free:
            free.remove(chunk.next)
            chunk.absorb_next()
        if chunk.previous in free:
            free.remove(chunk.previous)
            chunk = chunk.previous
            chunk.absorb_next()
        free.append(chunk)

    def free_all_blocks(self, stream=None):
        """Gives free memory back to the current device, except parts of allocations of which others are in use."""
        for (device, on), chunks in self._free.items():
            if device != machine.state.device:
                continue
            whole = [chunk for chunk in chunks if chunk.previous is chunk.next is None]
            if stream is None or on == stream.ptr:
                chunks[:] = [chunk for chunk in chunks if chunk not in whole]
                for chunk in whole:
                    chunk.bytes.fill(POISON)
                    self._taken[device] -= chunk.size
                    _total[device] -= chunk.size

    def __del__(self):
        for (device, _), chunks in self._free.items() if _total is not None else ():
            for chunk in chunks:
                chunk.bytes.fill(POISON)
                _total[device] -= chunk.size

    def n_free_blocks(self):
        return sum(len(chunks) for (device, _), chunks in self._free.items() if device == machine.state.device)

    def used_bytes(self):
        return self._used[machine.state.device]

    def total_bytes(self):
        return self._taken[machine.state.device]

    def free_bytes(self):
        return self.total_bytes() - self.used_bytes()

    def get_limit(self):
        return self._limits[machine.state.device]

    def set_limit(self, size=None, fraction=None):
        self._limits[machine.state.device] = int(fraction * _limit) if size is None else size


class PythonFunctionMemory:
    """What PythonFunctionAllocator hands out: `free` is called when the last array that holds it dies."""

    def __init__(self, size, malloc, free):
        self.device_id, self.size, self._free = machine.state.device, size, free
        self.ptr = malloc(size, self.device_id) if size else 0
        self.bytes = find(self.ptr, size) if size else np.empty(0, np.uint8)

    def __del__(self):
        if getattr(self, "ptr", 0) and _live is not None:
            self._free(self.ptr, self.device_id)

    @property
    def device(self):
        from .devices import Device

        return Device(self.device_id)

    @property
    def slack(self):
        return _slack.get(self.ptr, self.bytes[:0])


class PythonFunctionAllocator:
    """cupy.cuda.PythonFunctionAllocator: memory from functions (size, device) -> address and (address, device)."""

    def __init__(self, malloc_func, free_func):
        self._malloc, self._free = malloc_func, free_func

    def malloc(self, size):
        return MemoryPointer(PythonFunctionMemory(size, self._malloc, self._free), 0)


def find(address: int, nbytes: int) -> np.ndarray:
    """The bytes of live device memory from `address` on; ValueError if they are not all within one allocation."""
    index = bisect.bisect_right(_addresses, address) - 1
    start = _addresses[index] if index >= 0 else 0
    if start == 0 or address + nbytes > start + _live[start].size:
        raise ValueError(f"{nbytes} bytes at address {address:#x} are not live device memory")
    return _live[start][address - start :][:nbytes]


default_pool = MemoryPool()
_allocator = default_pool.malloc
_of_thread = threading.local()


def get_allocator():
    return getattr(_of_thread, "allocator", None) or _allocator


def set_allocator(allocator=None):
    global _allocator
    if getattr(_of_thread, "allocator", None) is not None:
        raise ValueError("Can't change the global allocator inside `using_allocator` context manager")
    _allocator = allocator or default_pool.malloc


@contextlib.contextmanager
def using_allocator(allocator=None):
    previous = getattr(_of_thread, "allocator", None)
    _of_thread.allocator = allocator or default_pool.malloc
    try:
        yield
    finally:
        _of_thread.allocator = previous


def alloc(nbytes: int) -> MemoryPointer:
    return get_allocator()(nbytes)
