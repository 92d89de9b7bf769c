"""How tensors are printed."""

import pytest

import tinycnn
from tinycnn import _printing


@pytest.fixture(autouse=True)
def _restored():
    before = dict(_printing.options)
    yield
    _printing.options.update(before)


def test_options():
    x = tinycnn.tensor([1 / 3, 2 / 3, 1e-7])
    before = repr(x)
    tinycnn.set_printoptions(precision=2, sci_mode=False)
    assert repr(x) == "tensor([0.33, 0.67, 0.  ])"
    tinycnn.set_printoptions(profile="default", sci_mode=True)
    assert repr(x) == before
    tinycnn.set_printoptions(threshold=4, edgeitems=1)
    assert repr(tinycnn.arange(9)) == "tensor([0, ..., 8])"
    tinycnn.set_printoptions(threshold=float("inf"))
    assert repr(tinycnn.arange(9)) == "tensor([0, 1, 2, 3, 4, 5, 6, 7, 8])"
    tinycnn.set_printoptions(linewidth=20)
    assert "\n" in repr(tinycnn.arange(9))
    tinycnn.set_printoptions(profile="full")
    assert "..." not in repr(tinycnn.zeros(1001))
    tinycnn.set_printoptions(profile="short")
    assert repr(tinycnn.zeros(1001)) == "tensor([0., 0., ..., 0., 0.])"


def test_bad_options():
    with pytest.raises(ValueError, match="^set_printoptions: expected profile as .*, got 'x'"):
        tinycnn.set_printoptions(profile="x")
    with pytest.raises(ValueError, match="^set_printoptions: expected precision of at least 0, got -1"):
        tinycnn.set_printoptions(precision=-1)
