"""The CUDA sources compile for GPUs of several generations. Needs NVIDIA's compiler, but neither GPU nor driver."""

import ctypes
import importlib.util
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from functools import cache
from pathlib import Path

import pytest

from tinycnn.backend.gpu import cuda

# CUDA 13 has dropped sm_70, the oldest that CuPy for CUDA 12 supports; sm_80 brought tf32, sm_90 is Hopper.
ARCHITECTURES = ["sm_70", "sm_80", "sm_90"]

FLOATS = ["float32", "float64", "float16", "bfloat16"]
# The element types with which backend/gpu uses a file, where they are others than FLOATS.
USED_FOR = {
    "index": list(cuda.TYPES),
    "random": [*FLOATS, "int64"],
    "reduce": list(cuda.TYPES),
    "shift": list(cuda.TYPES),
    "window": list(cuda.TYPES),
}


@cache
def nvrtc():
    """The compiler library of the wheel nvidia-cuda-nvrtc-cu12; the test is skipped where it is not installed."""
    folders = getattr(importlib.util.find_spec("nvidia"), "submodule_search_locations", None) or []
    pattern = "nvrtc64_12*.dll" if sys.platform == "win32" else "libnvrtc.so.12"
    found = [path for folder in folders for path in Path(folder).glob(f"cuda_nvrtc/*/{pattern}")]
    if not found:
        pytest.skip("needs NVIDIA's compiler: pip install nvidia-cuda-nvrtc-cu12")
    return ctypes.CDLL(str(min(found, key=lambda path: len(path.name))))


def compiled(name, source, architecture):
    """(whether it compiles, what the compiler says). As backend/gpu compiles, down to machine code."""
    library, program = nvrtc(), c_void_p()

    def call(function, *arguments):
        status = getattr(library, function)(*arguments)
        assert status == 0, f"{function}: status {status}"

    call("nvrtcCreateProgram", byref(program), c_char_p(source.encode()), c_char_p(name.encode()), 0, None, None)
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"-ftz=true"]  # the last is CuPy's own
    status = library.nvrtcCompileProgram(program, len(options), (c_char_p * len(options))(*options))
    size = c_size_t()
    call("nvrtcGetProgramLogSize", program, byref(size))
    log = ctypes.create_string_buffer(size.value)
    call("nvrtcGetProgramLog", program, log)
    call("nvrtcDestroyProgram", byref(program))
    return status == 0, log.value.decode()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_source_compiles(architecture):
    nvrtc()
    jobs = [(file, dtype) for file in cuda.FILES for dtype in USED_FOR.get(file, FLOATS)]
    if architecture != ARCHITECTURES[0]:  # what an integer type breaks, it breaks for all of them
        jobs = [(file, dtype) for file, dtype in jobs if dtype in FLOATS]

    def failure(job):
        file, dtype = job
        succeeded, log = compiled(f"{file}.cu", cuda.source(file, dtype), architecture)
        return None if succeeded else f"{file}.cu for {dtype}:\n{log}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [text for text in pool.map(failure, jobs) if text]
    assert not failures, "\n".join(failures)


def test_an_error_is_reported_with_its_line():
    source = cuda.source("elementwise", "float32")
    wrong = source + "\n__device__ int wrong() { return no_such_name; }\n"
    succeeded, log = compiled("elementwise.cu", wrong, "sm_70")
    assert not succeeded
    assert f"elementwise.cu({wrong.count(chr(10))}): error" in log
    assert "no_such_name" in log


def test_the_compiler_is_of_cuda_12():
    major, minor = c_int(), c_int()
    assert nvrtc().nvrtcVersion(byref(major), byref(minor)) == 0
    assert major.value == 12
