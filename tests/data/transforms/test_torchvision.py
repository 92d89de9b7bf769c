"""Every transform against what torchvision gave once, on made-up pictures: see `cases`."""

import json
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.data.transforms.cases import array_of, cases
from tinycnn.data import make_grid, save_image, transforms

pytest.importorskip("PIL", reason="needs Pillow")

FIXTURE = Path(__file__).parents[2] / "fixtures" / "transforms.npz"
OURS = dict(cases(transforms, make_grid, save_image, tinycnn.tensor, str))


def recorded():
    """By case: the array."""
    with np.load(FIXTURE) as file:
        layout, values = json.loads(str(file["layout"])), file["values"].tobytes()
    position, found = 0, {}
    for name, (dtype, shape) in layout.items():
        found[name] = np.frombuffer(values, dtype, int(np.prod(shape)), position).reshape(shape)
        position += found[name].nbytes
    assert position == len(values)
    return found


RECORDED = recorded()
# Bytes interpolated in float32: a value halfway between two bytes is rounded to either.
HALFWAY = {"resize bytes", "resized_crop bytes", "affine bytes", "rotate bytes", "gaussian_blur bytes"}


def test_the_cases_are_those_that_were_recorded():
    assert list(OURS) == list(RECORDED), "run tests/fixtures/record_transforms.py"


@pytest.mark.parametrize("name", RECORDED)
def test_the_same_as_torchvision(name):
    found, expected = array_of(OURS[name]()), RECORDED[name]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        return
    off = np.abs(found.astype(np.int64) - expected)
    halfway = " ".join(name.split()[:2]) in HALFWAY
    assert off.max(initial=0) <= halfway
    assert np.count_nonzero(off) <= 0.02 * off.size
