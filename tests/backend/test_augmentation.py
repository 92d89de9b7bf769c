"""Augmentation of batches in NumPy: each function against its definition, as a loop over images and pixels."""

import math

import numpy as np
import pytest

from tests.layouts import LAYOUTS
from tinycnn import backend
from tinycnn.backend import augmentation, cpu

DTYPES = ["float16", "float32", "float64", "uint8", "int64"]


def images(dtype="float32", shape=(5, 3, 6, 7), seed=0):
    values = np.random.default_rng([seed, *shape]).uniform(0, 200, shape)
    return values.astype(dtype)


def assert_laid_as(result, x):
    """In memory, the axes have the order of those of x."""
    assert np.argsort(-np.abs(result.strides)).tolist() == np.argsort(-np.abs(x.strides)).tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_crops(dtype, layout):
    x = LAYOUTS[layout](images(dtype))
    starts = np.array([[0, 1, 2, 3, 3], [4, 0, 1, 2, 4]], np.int32)
    rows, columns = np.array([-1, 0, 1, 2, 3, 4, 5, -1]), np.array([1, 0, 1, 2, 3, 4, 5, 6, 6])
    fill = np.array([7, 8, 9], dtype)
    found = cpu.cropped(x, starts, rows, columns, (5, 5), fill)
    assert (found.dtype, found.shape) == (x.dtype, (5, 3, 5, 5))
    assert_laid_as(found, x)
    for n, c, i, j in np.ndindex(found.shape):
        h, w = rows[starts[0, n] + i], columns[starts[1, n] + j]
        assert found[n, c, i, j] == (fill[c] if h < 0 or w < 0 else x[n, c, h, w])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_crops_of_more_images_than_are_padded_at_a_time(layout):
    rng = np.random.default_rng(0)
    N, rows, columns = 50, np.pad(np.arange(50), 3, constant_values=-1), np.pad(np.arange(40), 2, mode="reflect")
    x, starts, fill = rng.random((N, 3, 50, 40)), rng.integers(0, 5, (2, N)), np.arange(3.0)
    assert x.nbytes > 3 * augmentation.CACHED
    found = cpu.cropped(LAYOUTS[layout](x), starts, rows, columns, (50, 40), fill)
    for n in range(N):
        one = slice(n, n + 1)
        np.testing.assert_array_equal(found[one], cpu.cropped(x[one], starts[:, one], rows, columns, (50, 40), fill))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dim", [-1, -2])
def test_flips(dim, layout):
    x, flips = LAYOUTS[layout](images("uint8")), np.array([True, False, True, True, False])
    found = cpu.flipped(x, flips, dim)
    assert_laid_as(found, x)
    for one, before, flip in zip(found, x, flips):
        np.testing.assert_array_equal(one, np.flip(before, dim) if flip else before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("noise", [False, True])
def test_erased_boxes(noise, layout):
    x = LAYOUTS[layout](images())
    boxes = np.array([[0, 2, 5, 1, 0], [0, 3, 0, 1, 0], [6, 3, 1, 0, 2], [7, 2, 7, 0, 1]], np.int32)
    value = -images(seed=1) if noise else np.float32([-1, -2, -3]).reshape(3, 1, 1)
    found, values = cpu.erased(x, boxes, value), np.broadcast_to(value, x.shape)
    assert_laid_as(found, x)
    for n, c, h, w in np.ndindex(x.shape):
        top, left, height, width = boxes[:, n]
        inside = top <= h < top + height and left <= w < left + width
        assert found[n, c, h, w] == (values if inside else x)[n, c, h, w]


# --- affine maps --------------------------------------------------------------------------------------------------


def forward_matrix(center, angle, translate, scale, shear):
    """Where a pixel (x, y) goes: to the centre and back, turned, sheared along y, then along x, enlarged and moved."""
    turn, x_shear, y_shear = np.radians([angle, *shear])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    sheared = np.array([[1, 0], [-math.tan(y_shear), 1]]) @ np.array([[1, -math.tan(x_shear)], [0, 1]])
    matrix, (cx, cy) = np.eye(3), center
    matrix[:2, :2] = scale * rotation @ sheared
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = (-cx, -cy), (cx + translate[0], cy + translate[1])
    return back @ matrix @ there


MAPS = [  # center, angle, translate, scale, shear
    ((0.0, 0.0), 0.0, (0, 0), 1.0, (0.0, 0.0)),
    ((0.0, 0.0), 25.0, (2, -1), 1.3, (10.0, 5.0)),
    ((-1.5, 2.0), -70.0, (0, 1), 0.6, (0.0, -8.0)),
    ((1.0, 0.0), 185.0, (-3, 0), 0.9, (-12.0, 0.0)),
    ((0.0, 0.0), 10.0, (50, 0), 1.0, (0.0, 0.0)),
]


def test_the_inverse_matrix():
    for one in MAPS:
        inverse = np.array([*augmentation.inverse_affine_matrix(*one), 0, 0, 1]).reshape(3, 3)
        np.testing.assert_allclose(inverse @ forward_matrix(*one), np.eye(3), atol=1e-12)


def warped_pixel(image, row, column, bilinear, fill):
    """image (H, W) at a place between its pixels, as torchvision mixes it with what is outside."""
    H, W = image.shape

    def at(h, w):
        return (image[h, w], 1.0) if 0 <= h < H and 0 <= w < W else (0.0, 0.0)

    if not bilinear:
        value, covered = at(round(row), round(column))
        return value if covered else fill
    top, left = math.floor(row), math.floor(column)
    found = covered = 0.0
    for h, w in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        share = (1 - abs(row - h)) * (1 - abs(column - w))
        value, inside = at(h, w)
        found, covered = found + share * value, covered + share * inside
    return found * covered + (1 - covered) * fill


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_affine_maps(dtype, bilinear, layout):
    x, fill = LAYOUTS[layout](images(dtype)), np.array([100, 110, 120], dtype)
    maps = np.stack([augmentation.grids(augmentation.inverse_affine_matrix(*m), (6, 7)) for m in MAPS], axis=1)
    found = cpu.warped(x, maps, bilinear, fill)
    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    assert_laid_as(found, x)
    tolerance = {"float16": 0.2, "float32": 2e-3, "float64": 2e-3}.get(dtype, 0.51)
    for n, c, h, w in np.ndindex(x.shape):
        source = np.linalg.inv(forward_matrix(*MAPS[n])) @ [w - 3.0, h - 2.5, 1]
        column, row = source[0] + 3, source[1] + 2.5
        if not bilinear and max(abs(row % 1 - 0.5), abs(column % 1 - 0.5)) < 0.01:
            continue  # rounding decides
        expected = warped_pixel(x[n, c].astype(float), row, column, bilinear, float(fill[c]))
        assert abs(float(found[n, c, h, w]) - expected) <= tolerance


def test_the_nearest_of_large_integers_is_exact():
    x = np.arange(2**60, 2**60 + 12).reshape(1, 1, 3, 4)
    maps = augmentation.grids(augmentation.inverse_affine_matrix((0, 0), 180.0, (0, 0), 1.0, (0, 0)), (3, 4))[:, None]
    np.testing.assert_array_equal(cpu.warped(x, maps, False, np.array([0])), x[:, :, ::-1, ::-1])


def test_affine_maps_of_what_is_not_finite():
    """What is outside of the image, or of the map, takes no part."""
    x = np.full((1, 1, 2, 2), np.inf, np.float32)
    maps = augmentation.grids(augmentation.inverse_affine_matrix((0, 0), 0.0, (5, 0), 1.0, (0, 0)), (2, 2))[:, None]
    for bilinear in (False, True):
        np.testing.assert_array_equal(cpu.warped(x, maps, bilinear, np.float32([3])), np.full_like(x, 3))


def test_affine_maps_are_the_same_with_several_threads():
    x = images(shape=(9, 3, 150, 140))
    generator = np.random.default_rng(0)
    ranges = [(-30, 30), (-3, 3), (-3, 3), (0.5, 2), (-9, 9), (-9, 9)]
    maps = cpu.draw_maps(generator, 9, (150, 140), ranges, (0.0, 0.0))
    count = backend.get_num_threads()
    try:
        backend.set_num_threads(1)
        expected = cpu.warped(x, maps, True, np.float32([0, 1, 2]))
        backend.set_num_threads(3)
        np.testing.assert_array_equal(cpu.warped(x, maps, True, np.float32([0, 1, 2])), expected)
    finally:
        backend.set_num_threads(count)


# --- mixtures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_mixtures(dtype, layout):
    x, share = LAYOUTS[layout](images(dtype)), np.float64(0.3)
    found, box = cpu.mixed(x, np.asarray(share)), np.array([1, 2, 3, 4], np.int32)
    assert found.dtype == x.dtype
    assert_laid_as(found, x)
    pasted = cpu.pasted(x, box)
    assert_laid_as(pasted, x)
    for n in range(5):
        expected = 0.3 * x[n].astype(float) + 0.7 * x[n - 1].astype(float)
        np.testing.assert_allclose(found[n], expected, rtol=1e-3 if dtype == "float16" else 1e-6)
        expected = x[n].copy()
        expected[:, 1:4, 2:6] = x[n - 1, :, 1:4, 2:6]
        np.testing.assert_array_equal(pasted[n], expected)


class Chosen:
    """A generator whose numbers are given."""

    def __init__(self, beta, place):
        self.beta, self.random = lambda a, b: beta, lambda size, dtype: np.array(place, dtype)


@pytest.mark.parametrize("place, box", [
    ((0.5, 0.5), [10, 15, 20, 30]), ((0.1, 0.99), [0, 44, 14, 16]), ((0.975, 0.0), [29, 0, 11, 15]),
])  # fmt: skip
def test_boxes_of_a_mixture(place, box):
    """A share of 3/4 leaves a box of half the height and half the width, which ends at the border."""
    share, found = cpu.draw_mixture(Chosen(0.75, place), 1.0, (40, 60))
    assert found.tolist() == box
    assert share == 1 - box[2] * box[3] / 2400


def test_mixtures_of_classes():
    found = cpu.mixed_classes(np.array([2, 0, 0]), np.asarray(0.25), 3)
    np.testing.assert_array_equal(found, np.float32([[0.75, 0, 0.25], [0.25, 0, 0.75], [1, 0, 0]]))
    assert found.dtype == np.float32


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0)])
def test_nothing_of_nothing(shape):
    x, N = np.zeros(shape, np.float32), shape[0]
    fill = np.zeros(shape[1], np.float32)
    assert cpu.flipped(x, np.ones(N, bool), -1).shape == shape
    assert cpu.erased(x, np.zeros((4, N), np.int32), fill.reshape(-1, 1, 1)).shape == shape
    assert cpu.warped(x, np.zeros((6, N), np.float32), True, fill).shape == shape
    assert cpu.mixed(x, np.asarray(0.5)).shape == shape
    outside = np.full(3, -1)
    assert (cpu.cropped(x, np.zeros((2, N), int), outside, outside, (2, 3), fill + 4) == 4).all()
