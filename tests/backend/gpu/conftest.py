"""What the tests of the kernels share."""

import pytest


@pytest.fixture(scope="session")
def gpu():
    """The kernels for CuPy, which are imported where there is one."""
    from tinycnn.backend.gpu import kernels as gpu

    return gpu
