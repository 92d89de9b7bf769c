"""Sums, statistics and losses keep their digits on a GPU too."""

import json

import numpy as np
import pytest

import tinycnn
from tests.numerics import CASES, LOOSER, ULPS, errors
from tests.test_numerics import FIXTURE
from tinycnn import tensor
from tinycnn.nn import functional as F

pytestmark = pytest.mark.gpu

SEEN = ("tenths", "large mean")


@pytest.fixture(scope="module")
def recorded():
    return json.loads(FIXTURE.read_text())


@pytest.mark.parametrize("case", [c for c in CASES if c.distribution in SEEN], ids=lambda case: case.name)
def test_no_worse_than_torch_was(case, recorded):
    allowed = LOOSER.get(case.name.split()[0], ULPS)
    for name, error in errors(case, tinycnn, "cuda").items():
        assert error <= 2 * recorded[case.name][name] + allowed, name


@pytest.mark.parametrize("shape, dim", [((1 << 22,), 0), ((1 << 15, 40), 0), ((250, 600), 0)])
def test_long_sums(shape, dim):
    total = tensor(np.full(shape, 0.1, np.float32), device="cuda").sum(dim)
    assert np.abs(total.cpu().numpy() / (np.float32(0.1) * np.float64(shape[dim])) - 1).max() < 4e-6


def test_the_place_of_a_nan_in_a_window_is_its_own():
    x = tensor([[[[0.0, np.nan], [2.0, 3.0]]]], device="cuda", requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    y.backward(tensor([[[[7.0]]]], device="cuda"))
    assert indices.item() == 1
    assert x.grad.tolist() == [[[[0.0, 7.0], [0.0, 0.0]]]]
