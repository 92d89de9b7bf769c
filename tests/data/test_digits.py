"""The enlarged digits of scikit-learn."""

import re
import sys

import numpy as np
import pytest

from tinycnn._extras import how_to_install
from tinycnn.data import Digits
from tinycnn.data.digits import enlarge, interpolation_matrix


def test_interpolation_by_hand():
    # New centres of two pixels a, b enlarged by 4: -3/8, -1/8, 1/8, 3/8, 5/8, 7/8, 9/8, 11/8.
    weight_of_b = np.array([0, 0, 1, 3, 5, 7, 8, 8]) / 8
    np.testing.assert_allclose(interpolation_matrix(2, 4), np.stack([1 - weight_of_b, weight_of_b], axis=1))
    np.testing.assert_array_equal(interpolation_matrix(5, 1), np.eye(5))


def test_enlarge_is_bilinear():
    image = np.array([[[1.0, 3.0, 5.0], [2.0, 8.0, 0.0]]])
    result = enlarge(image, 2)
    assert result.shape == (1, 4, 6)
    assert result[0, 0, 0] == 1
    assert result[0, 3, 5] == 0
    # (¾, ¼) in rows times (¾, ¼) in columns of [[1, 3], [2, 8]]
    np.testing.assert_allclose(result[0, 1, 1], (9 * 1 + 3 * 3 + 3 * 2 + 1 * 8) / 16)


@pytest.mark.torch
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_enlarge_is_the_same_as_torch(scale):
    import torch

    images = np.random.default_rng(0).standard_normal((3, 5, 7))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(images)[None], scale_factor=scale, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(enlarge(images, scale), expected[0].numpy(), atol=1e-12)


@pytest.fixture(scope="module")
def parts():
    return Digits(train=True), Digits(train=False)


def test_sizes_and_normalisation(parts):
    train, test = parts
    assert (train.images.shape, test.images.shape) == ((1437, 1, 32, 32), (360, 1, 32, 32))
    assert train.images.dtype == np.float32
    assert abs(train.images.mean(dtype=np.float64)) < 1e-5
    assert abs(train.images.std(dtype=np.float64) - 1) < 1e-5
    # The test part is normalised by the training part: black has the same value in both.
    assert train.background == test.background == pytest.approx(train.images.min())
    assert test.images.min() == pytest.approx(train.images.min())
    assert repr(test).startswith("Digits(360 images of 1×32×32, 10 classes, Normalize(")


def test_parts_are_a_stratified_partition_of_the_real_digits(parts):
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = [Digits(train=train, scale=1) for train in (True, False)]
    pixels = [np.rint((part.images * part.normalize.std + part.normalize.mean) * 16)[:, 0] for part in small]
    both = np.concatenate([p.reshape(-1, 64) for p in pixels])
    labels = np.concatenate([part.targets for part in small])
    found = np.column_stack([both, labels])
    expected = np.column_stack([digits.data, digits.target])
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
    counts = [np.bincount(part.targets, minlength=10) for part in parts]
    assert abs(counts[1] / (counts[0] + counts[1]) - 0.2).max() < 0.01


def test_the_split_is_fixed(parts):
    np.testing.assert_array_equal(Digits(train=False).images, parts[1].images)


@pytest.mark.parametrize("train", ["test", 1, None])
def test_train_is_true_or_false(train):
    with pytest.raises(TypeError, match=rf"^Digits: expected train as True or False, got {train!r} "):
        Digits(train)


@pytest.mark.parametrize("scale", [0, -2, 1.5, 1001, 10**18])
def test_refuses_other_scales(scale):
    with pytest.raises(ValueError, match=rf"^Digits\(scale\): expected an int from 1 to 1000, got {scale}$"):
        Digits(scale=scale)


def test_names_the_extra_without_sklearn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    message = f"Digits: needs scikit-learn, which is not installed: {how_to_install('examples')}"
    with pytest.raises(ImportError, match=rf"^{re.escape(message)}\Z"):
        Digits()
