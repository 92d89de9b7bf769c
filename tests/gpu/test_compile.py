"""The CUDA sources compile for GPUs of several generations. Needs NVIDIA's compiler, but neither GPU nor driver."""

import os
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_int

import numpy as np
import pytest

from tests.gpu import nvrtc
from tinycnn.backend.gpu import cuda, geometry

# CUDA 13 has dropped sm_70, the oldest that CuPy for CUDA 12 supports; sm_80 brought tf32, sm_90 is Hopper.
ARCHITECTURES = ["sm_70", "sm_80", "sm_90"]

FLOATS = ["float32", "float64", "float16", "bfloat16"]
# The element types with which backend/gpu uses a file, where they are others than FLOATS.
USED_FOR = {
    "augment": list(cuda.TYPES),
    "draws": ["float32"],
    "index": list(cuda.TYPES),
    "pool": list(cuda.TYPES),
    "random": [*FLOATS, "int64"],
    "reduce": list(cuda.TYPES),
    "window": list(cuda.TYPES),
}


# Windows with sizes of their own: overlapping, in tiles, dilated.
WINDOWS = [[(5, 1, 1)], [(3, 2, 1), (3, 2, 1)], [(2, 2, 1), (2, 2, 1)], [(2, 4, 6), (3, 1, 2), (3, 3, 1)]]


@pytest.fixture(autouse=True)
def compiler():
    try:
        nvrtc.library()
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_source_compiles(architecture):
    sizes = [tuple(geometry.window_sizes(*of) for of in window) for window in WINDOWS]
    jobs = []
    for file in cuda.FILES:
        for dtype in USED_FOR.get(file, FLOATS):
            if dtype not in FLOATS and architecture != ARCHITECTURES[0]:
                continue  # what an integer type breaks, it breaks for all of them
            width = 8 if dtype == "bfloat16" else 16 // np.dtype(dtype).itemsize
            jobs += [(file, dtype, 1, None), (file, dtype, width, None)]
            if file in ("pool", "window") and dtype in FLOATS:
                jobs += [(file, dtype, width, of) for of in sizes]

    def failure(job):
        compiled = nvrtc.compiled(f"{job[0]}.cu", cuda.source(*job), architecture)
        return None if compiled.cubin else f"{job}:\n{compiled.log}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [text for text in pool.map(failure, jobs) if text]
    assert not failures, "\n".join(failures)


def test_an_error_is_reported_with_its_line():
    source = cuda.source("elementwise", "float32")
    wrong = source + "\n__device__ int wrong() { return no_such_name; }\n"
    compiled = nvrtc.compiled("elementwise.cu", wrong, "sm_70")
    assert compiled.cubin is None
    assert f"elementwise.cu({wrong.count(chr(10))}): error" in compiled.log
    assert "no_such_name" in compiled.log


def test_the_compiler_is_of_cuda_12():
    major, minor = c_int(), c_int()
    nvrtc.call("nvrtcVersion", byref(major), byref(minor))
    assert major.value == 12
