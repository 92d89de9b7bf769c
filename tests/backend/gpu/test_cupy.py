"""The real CuPy has what the package uses of it: runs wherever it can be imported, without a GPU too."""

import ast
import importlib
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn.backend.gpu import geometry

PACKAGE = Path(tinycnn.__file__).parent


@pytest.fixture(autouse=True)
def cupy():
    if os.environ.get("TINYCNN_EMULATE_GPU") == "1" or importlib.util.find_spec("cupy") is None:
        pytest.skip("needs the real CuPy")
    return importlib.import_module("cupy")


def chain(node):
    """["cupy", "cuda", "Stream"] for cupy.cuda.Stream, cupy().cuda.Stream or backend.cupy().cuda.Stream; else []."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
        if isinstance(node, ast.Call) and not node.args:
            called = node.func
            if isinstance(called, (ast.Name, ast.Attribute)) and getattr(called, "attr", None) in (None, "cupy"):
                node = ast.Name(called.attr if isinstance(called, ast.Attribute) else called.id)
    known = {"cp": "cupy", "cupy": "cupy", "cupyx": "cupyx"}
    return [known[node.id], *names] if isinstance(node, ast.Name) and node.id in known else []


def uses():
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and (names := chain(node)):
                found.add(".".join(names))
    return sorted(found)


def test_has_every_name_that_the_package_uses(cupy):
    importlib.import_module("cupyx.scipy.special")
    names = uses()
    assert {"cupy.RawModule", "cupy.cuda.runtime.getDeviceCount", "cupyx.scipy.special.erf"} <= set(names)
    for name in names:
        value = importlib.import_module(name.split(".")[0])
        for part in name.split(".")[1:]:
            assert hasattr(value, part), name
            value = getattr(value, part)


def test_has_the_methods_of_streams_graphs_and_pools(cupy):
    for owner, names in {
        cupy.cuda.Stream: ["begin_capture", "end_capture", "is_capturing", "record", "synchronize", "wait_event"],
        cupy.cuda.Graph: ["launch"],
        cupy.cuda.MemoryPool: ["free_all_blocks", "malloc", "total_bytes", "used_bytes"],
        cupy.cuda.Device: ["synchronize", "use"],
    }.items():
        assert [name for name in names if not hasattr(owner, name)] == []


def test_takes_the_options_of_the_kernels(cupy):
    module = cupy.RawModule(code='extern "C" __global__ void nothing() {}', options=("--std=c++17",))
    assert (module.options, module.backend) == (("--std=c++17",), "nvrtc")


def test_takes_structs_as_arguments(cupy):
    """Arguments are looked at before the driver is called for: without a GPU, what is taken fails there."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        count = 0
    if count:
        pytest.skip("there is a GPU: the kernels' own tests pass structs")
    function = cupy.cuda.function.Function
    nothing = function.__new__(function)  # a kernel of no module

    class Stream:
        ptr = 0

    walk = geometry.walk((2, 3), (3, 1))
    assert (walk.shape, type(walk)) == ((), np.ndarray)
    for argument in (walk, np.int32(1), np.uint64(0), np.float64(1), np.float16(1)):
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
            nothing((1,), (1,), (argument,), stream=Stream)
    with pytest.raises(TypeError, match="Unsupported type"):
        nothing((1,), (1,), ([1],), stream=Stream)
