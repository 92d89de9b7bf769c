"""How tensors are printed. Live torch prints thousands of random tensors in the same way; dtypes aside, which print
their own names. The rows "Printing" of tests/idioms hold the same against recorded text."""

import numpy as np
import pytest

import tinycnn
from tinycnn import _printing


@pytest.fixture(autouse=True)
def _default_options():
    yield
    tinycnn.set_printoptions(profile="default")


@pytest.mark.parametrize("values, text", [
    ([1.0, 2.5], "tensor([1.0000, 2.5000])"),
    ([1.0, -20.0], "tensor([  1., -20.])"),
    ([0.0, 0.0], "tensor([0., 0.])"),
    (2.0, "tensor(2.)"),
    ([1e-5, 1.0], "tensor([1.0000e-05, 1.0000e+00])"),
    ([1.0, 1001.0], "tensor([1.0000e+00, 1.0010e+03])"),
    ([1.0, 1000.0], "tensor([   1., 1000.])"),
    ([float("nan"), 1.0, float("inf")], "tensor([nan, 1., inf])"),
    ([], "tensor([])"),
    ([[], []], "tensor([], size=(2, 0))"),
    ([True, False], "tensor([ True, False])"),
    ([[[1]], [[-2]]], "tensor([[[ 1]],\n\n        [[-2]]])"),
])  # fmt: skip
def test_values(values, text):
    assert repr(tinycnn.tensor(values)) == text


def test_a_long_tensor_shows_its_ends():
    assert repr(tinycnn.arange(1001)) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert "..." not in repr(tinycnn.arange(1000))
    rows = repr(tinycnn.zeros(101, 10)).split("\n")
    assert len(rows) == 7
    assert rows[3] == "        ...,"


def test_a_line_is_80_characters_long():
    assert max(map(len, repr(tinycnn.rand(100)).split("\n"))) <= 80
    x = tinycnn.tensor(np.linspace(0.0, 1.0, 9), requires_grad=True)
    assert repr(x).endswith("\n       dtype=float64, requires_grad=True)")


def test_options():
    x = tinycnn.tensor([1.23456, 2.0])
    tinycnn.set_printoptions(precision=2)
    assert repr(x) == "tensor([1.23, 2.00])"
    tinycnn.set_printoptions(sci_mode=True)
    assert repr(x) == "tensor([1.23e+00, 2.00e+00])"
    tinycnn.set_printoptions(threshold=2, edgeitems=1)
    assert repr(tinycnn.arange(5)) == "tensor([0,  ..., 4])"
    tinycnn.set_printoptions(linewidth=15)
    assert repr(x) == "tensor([1.23,\n        2.00])"
    tinycnn.set_printoptions(profile="full")
    assert "..." not in repr(tinycnn.arange(2000))


@pytest.mark.parametrize("options, error, message", [
    ({"precision": -1}, ValueError, "set_printoptions: expected precision of at least 0, got -1"),
    ({"threshold": "many"}, TypeError, "set_printoptions: expected threshold as a number, got 'many' (str)"),
    ({"profile": "long"}, ValueError, "set_printoptions: expected profile as 'default', 'short' or 'full', got 'long'"),
    ({"sci_mode": 1}, TypeError, "set_printoptions: expected sci_mode as True or False, got 1 (int)"),
])  # fmt: skip
def test_wrong_options_are_refused_and_change_nothing(options, error, message):
    before = _printing._options
    with pytest.raises(error) as raised:
        tinycnn.set_printoptions(**options)
    assert str(raised.value) == message
    assert _printing._options == before


def random_array(rng):
    shape = tuple(rng.integers(0, 5, rng.integers(0, 4))) if rng.random() < 0.9 else tuple(rng.integers(1, 60, 2))
    x = np.asarray(rng.standard_normal(shape), np.float32)
    with np.errstate(over="ignore"):
        return np.asarray([
            x, np.round(x * 3), x * np.float32(10.0) ** rng.integers(-8, 12), np.exp(x * rng.integers(1, 8)),
            (x * 50).astype(np.int64), x > 0, np.where(x > 1, np.float32(np.inf), np.round(x * 4) / 2),
            np.where(x < 0, np.float32(np.nan), np.round(x)), np.round(x * 10.0 ** rng.integers(0, 9)),
        ][rng.integers(9)])  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(10))
def test_as_torch_prints(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    options = {}
    if seed % 2:
        options = {"precision": seed % 6, "threshold": 5 * seed, "edgeitems": 1 + seed % 3, "linewidth": 30 + 9 * seed,
                   "sci_mode": [None, True, False][seed % 3]}  # fmt: skip
    for lib in (tinycnn, torch):
        lib.set_printoptions(**options)
    try:
        for _ in range(200):
            array = random_array(rng)
            if array.dtype not in (np.float32, np.int64, np.bool_) or not array.size:
                continue
            assert repr(tinycnn.from_numpy(array)) == repr(torch.from_numpy(array))
    finally:
        torch.set_printoptions(profile="default")
