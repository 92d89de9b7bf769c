"""cupy.cuda: devices and the runtime's functions; streams, memory and kernels come from their own modules."""

from __future__ import annotations

import ctypes
import importlib.machinery
import types

import numpy as np

from . import compiler, machine, memory
from .machine import CUDARuntimeError


class Device:
    def __init__(self, device=None):
        self.id = machine.state.device if device is None else int(device)
        self._previous = []

    def use(self):
        setDevice(self.id)

    def __enter__(self):
        self._previous.append(machine.state.device)
        self.use()
        return self

    def __exit__(self, *error):
        setDevice(self._previous.pop())

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __int__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def synchronize(self):
        machine.host_waits("Device.synchronize")

    @property
    def mem_info(self):
        with self:
            return memory.free_and_total()

    compute_capability = "90"
    pci_bus_id = property(lambda self: f"0000:{self.id:02d}:00.0")
    attributes = property(lambda self: {"MultiProcessorCount": 132, "WarpSize": 32, "MaxThreadsPerBlock": 1024})


def getDeviceCount():
    return machine.DEVICES


def getDevice():
    return machine.state.device


def setDevice(device):
    if not 0 <= device < machine.DEVICES:
        raise CUDARuntimeError(101)
    machine.state.device = device


def getDeviceProperties(device):
    if not 0 <= device < machine.DEVICES:
        raise CUDARuntimeError(101)
    return {
        "name": b"Emulated GPU",
        "totalGlobalMem": memory.free_and_total()[1],
        "sharedMemPerBlock": 48 << 10,
        "sharedMemPerBlockOptin": 227 << 10,
        "sharedMemPerMultiprocessor": 228 << 10,
        "warpSize": 32,
        "maxThreadsPerBlock": 1024,
        "maxThreadsDim": (1024, 1024, 64),
        "maxGridSize": (2**31 - 1, 65535, 65535),
        "multiProcessorCount": 132,
        "maxThreadsPerMultiProcessor": 2048,
        "regsPerBlock": 65536,
        "l2CacheSize": 50 << 20,
        "clockRate": 1_980_000,
        "memoryClockRate": 2_619_000,
        "memoryBusWidth": 5120,
        "major": 9,
        "minor": 0,
    }


def deviceSynchronize():
    machine.host_waits("deviceSynchronize")


def streamSynchronize(stream):
    machine.host_waits("streamSynchronize")


def memcpyAsync(dst, src, size, kind, stream):
    if kind in (runtime.memcpyHostToDevice, runtime.memcpyDeviceToDevice):
        memory.find(dst, size)
    if kind in (runtime.memcpyDeviceToHost, runtime.memcpyDeviceToDevice):
        memory.find(src, size)
    machine.execute(lambda: ctypes.memmove(dst, src, size))


def memcpy(dst, src, size, kind):
    machine.host_waits("memcpy")
    memcpyAsync(dst, src, size, kind, 0)


def memsetAsync(ptr, value, size, stream):
    view = memory.find(ptr, size)
    machine.execute(lambda: view.fill(value))


def module(name, **contents):
    made = types.ModuleType(name)
    vars(made).update(contents, __spec__=importlib.machinery.ModuleSpec(name, None))  # find_spec asks for it
    return made


runtime = module(
    "cupy.cuda.runtime",
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=getDeviceCount,
    getDevice=getDevice,
    setDevice=setDevice,
    getDeviceProperties=getDeviceProperties,
    deviceSynchronize=deviceSynchronize,
    streamSynchronize=streamSynchronize,
    memGetInfo=memory.free_and_total,
    memcpyAsync=memcpyAsync,
    memcpy=memcpy,
    memsetAsync=memsetAsync,
    driverGetVersion=lambda: 12080,
    runtimeGetVersion=lambda: 12090,
    streamIsCapturing=lambda stream: any(s.ptr == stream for s in machine.state.capturing),
    deviceCanAccessPeer=lambda device, peer: 0,
    is_hip=False,
    memcpyHostToHost=0,
    memcpyHostToDevice=1,
    memcpyDeviceToHost=2,
    memcpyDeviceToDevice=3,
    memcpyDefault=4,
    streamCaptureModeGlobal=0,
    streamCaptureModeThreadLocal=1,
    streamCaptureModeRelaxed=2,
)
machine.Stream.null = machine.NULL


def cuda():
    """The modules of cupy.cuda, by their full name."""
    shared = {
        "memory": module("cupy.cuda.memory", OutOfMemoryError=memory.OutOfMemoryError, MemoryPool=memory.MemoryPool,
                         Memory=memory.DeviceMemory,
                         MemoryPointer=memory.MemoryPointer, alloc=memory.alloc, set_allocator=memory.set_allocator,
                         get_allocator=memory.get_allocator, PythonFunctionAllocator=memory.PythonFunctionAllocator),
        "stream": module("cupy.cuda.stream", Stream=machine.Stream, Event=machine.Event,
                         get_current_stream=lambda device_id=-1: machine.current_stream(),
                         get_elapsed_time=machine.elapsed_time),
        "graph": module("cupy.cuda.graph", Graph=machine.Graph),
        "device": module("cupy.cuda.device", Device=Device, get_device_id=getDevice),
        "driver": module("cupy.cuda.driver", CUDADriverError=compiler.CUDADriverError),
        "compiler": module("cupy.cuda.compiler", CompileException=compiler.CompileException),
        "nvrtc": module("cupy.cuda.nvrtc", getVersion=lambda: (12, 9)),
        "runtime": runtime,
    }  # fmt: skip
    offered = {n: v for name in ("memory", "stream", "graph", "device") for n, v in vars(shared[name]).items()}
    own = {n: v for n, v in offered.items() if n[:2] != "__" and n != "OutOfMemoryError"}
    top = module("cupy.cuda", **own, **shared, is_available=lambda: True,
                 using_allocator=memory.using_allocator,
                 alloc_pinned_memory=lambda size: np.empty(size, np.uint8),
                 get_local_runtime_version=runtime.runtimeGetVersion)  # fmt: skip
    return {"cupy.cuda": top} | {m.__name__: m for m in shared.values()}
