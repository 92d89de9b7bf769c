"""What the tests of the kernels share."""

import pytest


@pytest.fixture(scope="session")
def gpu():
    """The kernels for CuPy, which are imported where there is one."""
    from tinycnn.backend.gpu import kernels as gpu

    return gpu


@pytest.fixture
def launched(monkeypatch):
    """A list that grows by (name, width of packs, sizes of windows or None) with each launch of a kernel."""
    from tinycnn.backend.gpu import launch

    found, kernel = [], launch.kernel

    def noted(file, name, dtype, width=1, sizes=None):
        found.append((name, width, sizes))
        return kernel(file, name, dtype, width, sizes)

    monkeypatch.setattr(launch, "kernel", noted)
    return found
