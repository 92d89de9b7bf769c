"""Transforms against their definitions, written as loops over images."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn.data import Compose, Normalize, RandomShift


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((7, 3, 5, 6)).astype(np.float32)


def shifted(image, dy, dx, fill):
    """The image (C, H, W) moved down by dy and right by dx, pixel by pixel."""
    C, H, W = image.shape
    result = np.full_like(image, fill)
    for c in range(C):
        for h in range(H):
            for w in range(W):
                if 0 <= h - dy < H and 0 <= w - dx < W:
                    result[c, h, w] = image[c, h - dy, w - dx]
    return result


def test_compose_applies_in_order(images):
    transform = Compose([lambda x: x + 1, lambda x: x * 2])
    np.testing.assert_array_equal(transform(images), (images + 1) * 2)


def test_compose_needs_callables():
    with pytest.raises(TypeError, match=r"^Compose: expected transforms that can be called, got 3$"):
        Compose([abs, 3])


def test_normalize_per_channel(images):
    before = images.copy()
    mean, std = [0.1, -0.2, 0.3], [2.0, 0.5, 3.0]
    result = Normalize(mean, std)(images)
    assert result.dtype == np.float32
    for c in range(3):
        np.testing.assert_allclose(result[:, c], (images[:, c] - mean[c]) / std[c], rtol=1e-5)
    np.testing.assert_array_equal(images, before)


def test_normalize_with_numbers_and_its_background(images):
    normalize = Normalize(0.1307, 0.3081)
    np.testing.assert_allclose(normalize(images), (images - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(normalize(np.zeros((1, 1, 1, 1), np.float32)).item(), normalize.background)


@pytest.mark.parametrize(
    "mean, std, message",
    [
        (0.5, 0, "Normalize: expected std greater than 0, got 0"),
        ([0.5, 0.5], [1, -1], r"Normalize: expected std greater than 0, got \[1, -1\]"),
        (float("nan"), 1, "Normalize: expected mean to be finite, a number or one per channel, got nan"),
        (0, [[1, 2]], "Normalize: expected std to be finite, a number or one per channel, got "),
        ([], 1, "Normalize: expected mean to be finite, "),
    ],
)
def test_normalize_refuses(mean, std, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Normalize(mean, std)


@pytest.mark.parametrize("mean, std, error, message", [
    ("a", 1, TypeError, r"Normalize\(mean\): expected an array of numbers, got a str of <U1"),
    ("0.5", 1, TypeError, r"Normalize\(mean\): expected an array of numbers, got a str of <U3"),
    (None, 1, TypeError, r"Normalize\(mean\): expected an array of numbers, got a NoneType of object"),
    (0, 1j, TypeError, r"Normalize\(std\): expected an array of numbers, got a complex of complex128"),
    (0, [[1], [1, 2]], TypeError, r"Normalize\(std\): expected an array of numbers, got a list: "),
    (1e40, 1, ValueError, r"Normalize: expected mean to be finite, a number or one per channel, got 1e\+40"),
    ([0, 0], [1, 1, 1], ValueError, "Normalize: expected as many mean as std, got 2 and 3"),
])  # fmt: skip
def test_normalize_refuses_other_types(mean, std, error, message):
    with pytest.raises(error, match=f"^{message}"):
        Normalize(mean, std)


@pytest.mark.parametrize("transform, name", [
    (Normalize(0.5, 1), r"Normalize\(mean=0.5, std=1.0\)"), (RandomShift(1), r"RandomShift\(pixels=1, fill=0.0\)"),
])  # fmt: skip
@pytest.mark.parametrize("images, error, got", [
    (None, TypeError, "a Tensor or an array (..., C, H, W), got a NoneType"),
    ([[[[1.0]]]], TypeError, "a Tensor or an array (..., C, H, W), got a list"),
    (np.ones((4, 4)), ValueError, "(..., C, H, W), got shape (4, 4)"),
])  # fmt: skip
def test_what_are_no_images(transform, name, images, error, got):
    with pytest.raises(error, match=f"^{name}: expected {re.escape(got)}$"):
        transform(images)


def test_compose_names_a_transform_that_returns_nothing(images):
    with pytest.raises(TypeError, match="^Compose: expected <function .* to return images, got None$"):
        Compose([lambda x: None, Normalize(0, 1)])(images)
    with pytest.raises(TypeError, match="^Compose: expected a list of transforms, got <function "):
        Compose(lambda x: x)


@pytest.mark.parametrize("arguments, error, message", [
    ({"fill": "black"}, TypeError, r"RandomShift\(fill\): expected an array of numbers, got a str of <U5"),
    ({"fill": None}, TypeError, r"RandomShift\(fill\): expected an array of numbers, got a NoneType of object"),
    ({"seed": -1}, ValueError, r"RandomShift\(seed\): expected an int of at least 0, got -1"),
    ({"seed": "x"}, ValueError, r"RandomShift\(seed\): expected an int of at least 0, got 'x'"),
    ({"seed": 0.5}, ValueError, r"RandomShift\(seed\): expected an int of at least 0, got 0.5"),
])  # fmt: skip
def test_random_shift_refuses_other_types(arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        RandomShift(1, **arguments)


def test_normalize_refuses_other_channels(images):
    with pytest.raises(ValueError, match=r"expected 2 channels, got images \(7, 3, 5, 6\)$"):
        Normalize([0, 0], 1)(images)


@pytest.mark.parametrize("fill", [0.0, -0.4242])
def test_random_shift_is_a_shift_of_each_image(images, fill):
    pixels = 2
    result = RandomShift(pixels, fill=fill, seed=3)(images)
    assert result.shape == images.shape
    assert result.dtype == np.float32
    steps = range(-pixels, pixels + 1)
    found = [
        [(dy, dx) for dy in steps for dx in steps if np.array_equal(out, shifted(image, dy, dx, fill))]
        for image, out in zip(images, result, strict=True)
    ]
    assert all(len(shifts) == 1 for shifts in found)
    assert len({shifts[0] for shifts in found}) > 1  # not the same one for all


def test_random_shift_draws_every_shift_equally():
    image = np.zeros((9000, 1, 5, 6), np.float32)
    image[:, 0, 2, 3] = 1  # one bright pixel, which tells the shift
    counts = RandomShift(1, seed=0)(image).sum(axis=(0, 1))
    assert counts.sum() == 9000
    assert np.count_nonzero(counts) == 9
    assert abs(counts[1:4, 2:5] - 1000).max() < 150  # 5 standard deviations of a count of 1000 of 9000


def test_random_shift_fills_per_channel():
    fill = np.array([1.0, 2.0, 3.0], np.float32).reshape(3, 1, 1)
    result = RandomShift(3, fill=fill, seed=1)(np.zeros((50, 3, 4, 5), np.float32))
    assert [np.unique(result[:, c]).tolist() for c in range(3)] == [[0, 1], [0, 2], [0, 3]]


@given(seed=st.integers(0, 2**32))
def test_random_shift_repeats_with_its_seed(seed):
    images = np.arange(4 * 30, dtype=np.float32).reshape(4, 1, 5, 6)
    once, again = RandomShift(2, seed=seed), RandomShift(2, seed=np.random.default_rng(seed))
    for _ in range(2):
        np.testing.assert_array_equal(once(images), again(images))


def test_random_shift_follows_manual_seed(images):
    transform = RandomShift(2)
    tinycnn.manual_seed(4)
    first, second = transform(images), transform(images)
    tinycnn.manual_seed(4)
    np.testing.assert_array_equal(transform(images), first)
    assert not np.array_equal(first, second)


def test_random_shift_by_nothing(images):
    np.testing.assert_array_equal(RandomShift(0)(images), images)


@pytest.mark.parametrize("pixels", [-1, 1.5, True, "2"])
def test_random_shift_refuses(pixels):
    message = rf"^RandomShift\(pixels\): expected an int of at least 0, got {pixels!r}$"
    with pytest.raises(ValueError, match=message):
        RandomShift(pixels)


def test_random_shift_refuses_small_images(images):
    with pytest.raises(ValueError, match="expected images larger than 5 pixels, got 5×6"):
        RandomShift(5)(images)


def test_random_shift_refuses_a_fill_of_other_channels(images):
    message = r"expected fill to be a number or of shape \(3, 1, 1\), got shape \(2, 1, 1\)$"
    with pytest.raises(ValueError, match=message):
        RandomShift(1, fill=np.zeros((2, 1, 1)))(images)


def test_reprs():
    transform = Compose([Normalize([0.5, 0.25], 2), RandomShift(2, fill=-0.42421)])
    steps = "Normalize(mean=[0.5, 0.25], std=2.0), RandomShift(pixels=2, fill=-0.4242)"
    assert repr(transform) == f"Compose([{steps}])"
