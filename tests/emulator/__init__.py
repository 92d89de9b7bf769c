"""A stand-in for CuPy on a machine without a GPU: strict where CuPy is, and it runs real CUDA C++ kernels, on the CPU.

    install()                  from here on `import cupy` gives the emulator
    with emulated(): ...       the same for a while
    waits                      what has made the host wait for the device; waits.clear()
    limit_memory(nbytes)       a small device, to run out of memory
    cublas_path()              the shared library that stands in for cuBLAS

Needs g++ (x86-64) for kernels and cuBLAS. What CuPy takes was recorded from the real one: record_signatures.py.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import sys
import types

import numpy as np

from . import compiler, devices, functions, machine, memory, nccl
from .cublas import cublas_path
from .machine import host_waits, waits
from .memory import limit_memory
from .ndarray import RECORDED, ndarray


class _Namespace(types.ModuleType):
    """cupy itself: the functions that NumPy and CuPy share are made as they are first used."""

    def __getattr__(self, name):
        if name in RECORDED["same"] and hasattr(np, name):
            value = getattr(np, name)
        elif name in RECORDED["takes"] and hasattr(np, name) and name not in functions.NOT_EMULATED:
            is_ufunc = isinstance(getattr(np, name), np.ufunc) and "casting" in RECORDED["takes"][name]
            value = functions.ufunc(name) if is_ufunc else functions.function(name)
        else:
            raise AttributeError(f"module 'cupy' has no attribute {name!r} (or the emulator does not know it)")
        setattr(self, name, value)
        return value


OWN = functions.names(
    "array asarray asanyarray ascontiguousarray asfortranarray asnumpy copy copyto empty empty_like fill_diagonal full "
    "from_dlpack full_like get_array_module mgrid ndarray ogrid ones ones_like place put putmask ufunc zeros zeros_like"
)


@functools.cache
def modules() -> dict[str, types.ModuleType]:
    """The emulator's modules, by the names under which the package finds CuPy's."""
    module = devices.module
    cuda = devices.cuda()
    cuda["cupy.cuda.nccl"] = cuda["cupy.cuda"].nccl = nccl.module()
    linalg = {n.removeprefix("linalg."): n for n in RECORDED["takes"] if n.startswith("linalg.")}
    found = {
        "cupy.linalg": module("cupy.linalg", **{
            n: functions.function(n, "linalg.", np.linalg) for n in linalg if hasattr(np.linalg, n)
        }),
        "cupy.random": module("cupy.random", **functions.random_functions()),
        "cupy.lib.stride_tricks": module(
            "cupy.lib.stride_tricks",
            as_strided=functions.as_strided,
            sliding_window_view=functions.sliding_window_view,
        ),
        "cupy.exceptions": np.exceptions,
        "cupyx.scipy.special": module("cupyx.scipy.special", **functions.SPECIAL),
    }  # fmt: skip
    found["cupy.lib"] = module("cupy.lib", stride_tricks=found["cupy.lib.stride_tricks"])
    found["cupyx.scipy"] = module("cupyx.scipy", special=found["cupyx.scipy.special"])
    found["cupyx"] = module(
        "cupyx",
        scipy=found["cupyx.scipy"],
        **{n: getattr(functions, n) for n in ("rsqrt", "scatter_add", "scatter_max", "scatter_min")},
        empty_pinned=np.empty,
        zeros_pinned=np.zeros,
        empty_like_pinned=np.empty_like,
    )
    cupy = _Namespace("cupy")
    vars(cupy).update(
        {name: getattr(functions, name) for name in OWN},
        __version__=RECORDED["cupy"],
        __path__=[],
        __spec__=importlib.machinery.ModuleSpec("cupy", None),
        cuda=cuda["cupy.cuda"],
        RawModule=compiler.RawModule,
        RawKernel=compiler.RawKernel,
        get_default_memory_pool=lambda: memory.default_pool,
        is_available=lambda: True,
        **{name: found[f"cupy.{name}"] for name in ("linalg", "random", "lib", "exceptions")},
    )
    return {"cupy": cupy, **cuda, **found}


def install():
    """Puts the emulator in the place of cupy and cupyx; to be called before anything imports them."""
    sys.modules.update(modules())


@contextlib.contextmanager
def emulated():
    """`install()` for the length of a with statement."""

    def is_cupy(name):
        return name.partition(".")[0] in ("cupy", "cupyx", "cupy_backends")

    before = {name: module for name, module in sys.modules.items() if is_cupy(name)}
    for name in before:
        del sys.modules[name]
    install()
    try:
        yield modules()["cupy"]
    finally:
        for name in [name for name in sys.modules if is_cupy(name)]:
            del sys.modules[name]
        sys.modules.update(before)
        machine.state.__init__()
