"""Settings and fixtures shared by all tests."""

import gc
import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: the first call of a kernel is slow. Under CI the examples are the same in every run.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")

# `TINYCNN_EMULATE_GPU=1 pytest -m gpu` runs the tests of the GPU on a machine without one.
if os.environ.get("TINYCNN_EMULATE_GPU") == "1":
    from tests import emulator

    emulator.install()
    os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())


def _has_gpu() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    try:
        return cupy.cuda.runtime.getDeviceCount() > 0
    except cupy.cuda.runtime.CUDARuntimeError:  # a cupy without a driver
        return False


def pytest_collection():
    """The tens of thousands of tests that are collected stay until the end: nothing to look for among them."""
    gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    """Skip, with the reason, what this machine cannot run."""
    reasons = {}
    if not _has_gpu():
        reasons["gpu"] = "needs a CUDA device and CuPy"
    if importlib.util.find_spec("torch") is None:
        reasons["torch"] = "needs torch: make test-torch"
    if not all(map(importlib.util.find_spec, ("onnx", "onnx_ir", "onnxruntime"))):
        reasons["onnx"] = "needs onnx and onnxruntime: make test-torch"
    if importlib.util.find_spec("mpi4py") is None:
        reasons["mpi"] = "needs mpi4py: make test-mpi"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder that holds the real MNIST/raw; the test is skipped where there is none."""
    beside_checkout = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    root = Path(os.environ.get("TINYCNN_DATA", beside_checkout))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("needs the real MNIST files: set TINYCNN_DATA to the folder that holds MNIST/raw")
    return root.resolve()


# --- pages in a real browser ------------------------------------------------------------------------------

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip(f"needs {CHROMIUM}: tests/teaching/explain/install_browser.sh")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()
