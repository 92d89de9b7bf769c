"""Kernels: CUDA C++ compiled for the CPU by g++, and launched with arguments that are checked as CuPy never does."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from . import machine, memory
from .ndarray import check_device, ndarray

HERE = Path(__file__).parent
HEADER = HERE / "cuda_on_cpu.h"
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
CUDA_INCLUDES = re.compile(r'^\s*#\s*include\s*[<"](cuda|math_constants|vector_types|cooperative).*$', re.M)
EXTERN_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w\s]+?)\s*(\w+)\s*\[\s*\]\s*;")
SHARED = re.compile(r"(?<!extern )__shared__\s+[\w:<>\s,()]+?\s(\w+)\s*(?:\[[^\];]*\]\s*)*;")
KERNEL = re.compile(r'(extern\s+"C"\s+)?__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+'
                    r"(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)\s*\{")  # fmt: skip
# The inline PTX that is known: a conversion from one type to another.
CONVERSION = re.compile(
    r'asm\s*\(\s*"cvt\.(?:rn\.)?(f\d+)\.(f\d+) %0, %1;"\s*:\s*"=[fhd]"\((\w+)\)\s*:\s*"[fhd]"\((\w+)\)\)'
)
BARRIER = re.compile(r"__syncthreads|__syncwarp|__shfl\w*_sync|__ballot_sync|__any_sync|__all_sync")
# The floating-point options of NVRTC mean something to g++ too; its other options do not.
OPTIONS = {"--fmad=false": "-ffp-contract=off", "-fmad=false": "-ffp-contract=off"}
MOST_ARGUMENTS = 4096  # bytes; more need CUDA 12.1 and a GPU of at least sm_70


class CompileException(Exception):
    pass


class CUDADriverError(RuntimeError):
    pass


def cache_folder() -> Path:
    default = Path(tempfile.gettempdir()) / f"tinycnn-emulator-{os.getuid()}"
    folder = Path(os.environ.get("TINYCNN_EMULATOR_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def gxx(options, source: str) -> str:
    if shutil.which("g++") is None:
        raise RuntimeError("the emulated GPU needs g++ to compile CUDA kernels: apt-get install g++")
    done = subprocess.run(["g++", "-x", "c++", *options, "-"], input=source, text=True, capture_output=True)
    if done.returncode:
        raise CompileException(done.stderr)
    return done.stdout


def build(options: list[str], source: str, *depends: str) -> Path:
    """The shared library made of `source`, compiled unless it is in the cache."""
    key = hashlib.sha256("\0".join([*options, source, *depends]).encode()).hexdigest()[:32]
    library = cache_folder() / f"{key}.so"
    if not library.exists():
        unfinished = library.with_suffix(f".{os.getpid()}")
        gxx([*options, "-shared", "-fPIC", "-o", str(unfinished)], source)
        unfinished.replace(library)
    return library


class RawModule:
    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
                 enable_cooperative_groups=False, name_expressions=None, jitify=None):  # fmt: skip
        if code is None or path is not None or name_expressions:
            raise NotImplementedError('the emulated GPU compiles `code` with extern "C" kernels only')
        if not isinstance(options, tuple):
            raise TypeError(f"options: expected a tuple, got {type(options)}")
        self.code, self.options, self._functions = code, options, {}

    def compile(self, log_stream=None):
        _ = self._library

    @functools.cached_property
    def _library(self):
        """The loaded library and the names of each kernel's parameters."""
        defines = [option for option in self.options if option.startswith(("-D", "-U"))]
        source = COMMENT.sub(lambda match: "\n" * match[0].count("\n"), CUDA_INCLUDES.sub("", self.code))
        # The preprocessor, without our header, leaves __global__ in place and expands the macros around it.
        expanded = gxx(["-E", "-P", "-std=c++17", *defines], source)
        source = CONVERSION.sub(r"cuda_on_cpu::convert<cuda_on_cpu::\1, cuda_on_cpu::\2>(\3, \4)", source)
        source = EXTERN_SHARED.sub(r"\1* \2 = reinterpret_cast<\1*>(cuda_on_cpu::dynamic_shared);", source)
        know = r"\g<0> static const bool known_\1 = cuda_on_cpu::know_shared((void*)&\1, sizeof \1);"
        source = SHARED.sub(know, source)
        parameters = {}
        for extern_c, name, text in KERNEL.findall(expanded):
            if extern_c or re.search(r'extern\s+"C"\s*\{', expanded):
                pieces = [piece for piece in text.split(",") if piece.strip() not in ("", "void")]
                parameters[name] = [re.findall(r"\w+", piece)[-1] for piece in pieces]
        fibers = "true" if BARRIER.search(expanded) else "false"
        source += "\n" + "".join(f"CUDA_ON_CPU_KERNEL({name}, {fibers})\n" for name in parameters)
        options = ["-O1", "-std=c++17", "-march=native", "-w", "-include", str(HEADER)]
        # A kernel may be named like a function of glibc, which would come first: `advance`, for one.
        options += ["-Wl,-Bsymbolic"]
        # The shared memory of a function is static, and would be one for all modules that have a function of its name.
        options += ["-fno-gnu-unique"]
        options += ["-fno-strict-aliasing", "-fno-threadsafe-statics", "-fsanitize=alignment"]
        options += [OPTIONS[option] for option in self.options if option in OPTIONS]
        # PyDLL keeps the interpreter's lock: the state of a running kernel is one for the whole process.
        return ctypes.PyDLL(str(build([*options, *defines], source, HEADER.read_text()))), parameters

    def get_function(self, name):
        library, parameters = self._library
        if name not in parameters:
            raise CUDADriverError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        if name not in self._functions:
            self._functions[name] = Kernel(library, name, parameters[name])
        return self._functions[name]


class Kernel:
    def __init__(self, library, name, parameters):
        self.name = name
        self.max_dynamic_shared_size_bytes = 48 << 10
        self.max_threads_per_block = 1024
        describe = getattr(library, f"__describe_{name}")
        describe.restype = ctypes.c_char_p
        self._parameters = list(zip(parameters, describe().decode().split()))
        required = 0
        for _, described in self._parameters:
            size = 8 if described[0] == "p" else int(described[1:])
            required = -(-required // min(size, 8)) * min(size, 8) + size
        if required > MOST_ARGUMENTS:
            raise CompileException(f"{name}: Formal parameter space overflowed ({required} bytes required)")
        self._run = getattr(library, f"__run_{name}")
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        self._run.restype = ctypes.c_char_p

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        grid, block = (tuple(int(n) for n in size) + (1,) * (3 - len(size)) for size in (grid, block))
        self._check_launch(grid, block, shared_mem)
        if len(args) != len(self._parameters):
            raise TypeError(f"{self.name}: expected {len(self._parameters)} arguments, got {len(args)}")
        arrays = [arg for arg in args if isinstance(arg, ndarray)]
        check_device(arrays)
        values = [
            ctypes.create_string_buffer(self._bytes(arg, *parameter), max(1, int(parameter[1][1:])))
            if parameter[1][0] != "p"
            else ctypes.create_string_buffer(self._bytes(arg, *parameter), 8)
            for arg, parameter in zip(args, self._parameters)
        ]
        size = (ctypes.c_uint * 6)(*grid, *block)
        given = (ctypes.c_void_p * max(1, len(values)))(*map(ctypes.addressof, values))
        keep = values, [array._host for array in arrays]  # a graph may outlive the memory, but must not crash

        def operation():
            error = self._run(size, shared_mem, given)
            if error:
                raise RuntimeError(f"kernel {self.name}: {error.decode()}")
            return keep

        machine.execute(operation)
        if not machine.state.capturing:
            for arg, (name, _) in zip(args, self._parameters):
                if isinstance(arg, ndarray) and (arg._memory.slack != memory.POISON).any():
                    raise RuntimeError(f"kernel {self.name}: a write past the end of the memory of {name}")

    def _check_launch(self, grid, block, shared_mem):
        limits = zip((*grid, *block), (2**31 - 1, 65535, 65535, 1024, 1024, 64))
        if not all(1 <= n <= limit for n, limit in limits) or block[0] * block[1] * block[2] > 1024:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: grid {grid}, block {block}")
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: {shared_mem} bytes of shared memory")

    def _bytes(self, arg, name, expected):
        """The bytes of an argument as CuPy passes it; TypeError where the kernel would read something else."""
        item = None  # bytes of what a pointer points to
        if isinstance(arg, (ndarray, memory.MemoryPointer)):
            item = arg.itemsize if isinstance(arg, ndarray) else 1
            kind, value = "p", np.uint64(arg.data.ptr if isinstance(arg, ndarray) else arg.ptr)
        elif arg is None:
            kind, value = "p", np.uint64(0)
        elif isinstance(arg, (bool, int, float)):
            value = (
                np.bool_(arg) if isinstance(arg, bool) else np.int64(arg) if isinstance(arg, int) else np.float64(arg)
            )
            kind = "f" if isinstance(arg, float) else "i"
        elif isinstance(arg, (np.generic, np.ndarray)):
            value, kind = arg, {"f": "f", "V": "s"}.get(arg.dtype.kind, "i")
        else:
            raise TypeError(f"Unsupported type {type(arg)}")
        size = 8 if expected[0] == "p" else int(expected[1:])
        pointee = int(expected[1:]) if expected[0] == "p" else 0
        if kind == "i" and expected[0] == "p":
            if value != 0:
                memory.find(int(value), 1)
            kind = "p"
        same_kind = kind == expected[0] or (expected[0] == "s" and isinstance(arg, (np.generic, np.ndarray)))
        if value.nbytes != size or not same_kind or (item and pointee and item not in (1, pointee)):
            given = f"an array of {arg.dtype}" if isinstance(arg, ndarray) else f"{value.dtype}, {value.nbytes} bytes"
            raise TypeError(f"kernel {self.name}: the parameter {name} is {_in_words(expected)}, got {given}")
        return value.tobytes()


def _in_words(described):
    kinds = {"p": "a pointer to elements", "f": "a floating-point number", "i": "an integer", "s": "a struct"}
    return f"{kinds[described[0]]} of {described[1:]} bytes"


def RawKernel(code, name, options=(), backend="nvrtc", **keywords):
    """As cupy.RawKernel, except that it compiles at once."""
    return RawModule(code=code, options=options, backend=backend, **keywords).get_function(name)
