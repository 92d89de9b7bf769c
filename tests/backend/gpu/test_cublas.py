"""Which cuBLAS is loaded, and what is said where there is none. The products themselves: test_matmul.py."""

import ctypes
import sys
import types

import pytest

from tinycnn._extras import how_to_install
from tinycnn.backend.gpu import cublas


@pytest.fixture
def loaded(monkeypatch):
    """The names that were asked for, of which none is found but those in `loaded.found`."""
    names = types.SimpleNamespace(asked=[], found=set())

    def load(name):
        names.asked.append(name)
        if name not in names.found:
            raise OSError(f"{name}: cannot open shared object file")
        return name

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("TINYCNN_CUBLAS", raising=False)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)  # as if it were not installed
    cublas.library.cache_clear()
    yield names
    cublas.library.cache_clear()


def pathfinder(monkeypatch, load):
    module = types.SimpleNamespace(load_nvidia_dynamic_lib=load)
    monkeypatch.setitem(sys.modules, "cuda", types.SimpleNamespace(pathfinder=module))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", module)


def test_of_cupys_wheels(loaded, monkeypatch):
    loaded.found = {"/wheels/libcublas.so.13"}
    pathfinder(monkeypatch, lambda name: types.SimpleNamespace(abs_path=f"/wheels/lib{name}.so.13"))
    assert cublas.library(13) == "/wheels/libcublas.so.13"


@pytest.mark.parametrize("cuda", [12, 13])
def test_of_the_system(loaded, monkeypatch, cuda):
    """Of the version of CUDA that CuPy is built for, though the other may be installed too."""
    loaded.found = {"libcublas.so.12", "libcublas.so.13"}
    assert cublas.library(cuda) == f"libcublas.so.{cuda}"
    pathfinder(monkeypatch, lambda name: types.SimpleNamespace(abs_path=None))  # it is loaded already
    cublas.library.cache_clear()
    assert cublas.library(cuda) == f"libcublas.so.{cuda}"


def test_of_windows(loaded, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    loaded.found = {"cublas64_12"}
    assert cublas.library(12) == "cublas64_12"


def test_that_was_asked_for(loaded, monkeypatch):
    monkeypatch.setenv("TINYCNN_CUBLAS", "/own/cublas.so")
    loaded.found = {"/own/cublas.so", "libcublas.so.13"}
    assert cublas.library(13) == "/own/cublas.so"


def test_none(loaded, monkeypatch):
    def not_found(name):
        raise RuntimeError(f"Failure finding {name}")

    pathfinder(monkeypatch, not_found)
    expected = (
        "matmul: cuBLAS was not found (libcublas.so.13: cannot open shared object file): "
        f"{how_to_install('cuda13x')}, which brings it, or install the CUDA 13 toolkit"
    )
    with pytest.raises(ImportError) as refused:
        cublas.library(13)
    assert str(refused.value) == expected
    assert loaded.asked == ["libcublas.so.13"]
