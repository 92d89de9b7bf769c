"""Pooling of the ramp by numbers worked out on paper, and what shifts do."""

import numpy as np
import pooling
import pytest

from tests.examples.programs import run_program
from tinycnn import nn
from tinycnn.teaching import reference

LAYERS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
BY_HAND = {"max": pooling.max_pool_by_hand, "average": pooling.average_pool_by_hand}


@pytest.mark.parametrize("kind, stride, expected", [
    ("max", 2, [[5, 7], [13, 15]]),
    ("average", 2, [[2.5, 4.5], [10.5, 12.5]]),
    ("max", 1, [[5, 6, 7], [9, 10, 11], [13, 14, 15]]),
    ("average", 1, [[2.5, 3.5, 4.5], [6.5, 7.5, 8.5], [10.5, 11.5, 12.5]]),
])  # fmt: skip
def test_the_ramp(kind, stride, expected):
    np.testing.assert_array_equal(BY_HAND[kind](pooling.ramp(), 2, stride), expected)
    y, g = pooling.layer_and_gradient(LAYERS[kind](2, stride), pooling.ramp())
    np.testing.assert_array_equal(y, expected)
    backward = {"max": reference.max_pool_nd_backward, "average": reference.avg_pool_nd_backward}[kind]
    np.testing.assert_array_equal(g, backward(np.ones((1, 1, *y.shape)), pooling.ramp()[None, None], 2, stride)[0, 0])


@pytest.mark.parametrize("kind", LAYERS)
def test_by_hand_is_the_layer_on_images_that_are_not_square(kind):
    x = np.random.default_rng(0).standard_normal((5, 8))
    for K, stride in [(2, 2), (3, 2), (2, 3)]:
        y, _ = pooling.layer_and_gradient(LAYERS[kind](K, stride), x)
        np.testing.assert_allclose(BY_HAND[kind](x, K, stride), y, atol=1e-12)


def test_shifts():
    x = np.array([[1.0, 2, 3]])
    assert [pooling.shifted(x, n).tolist() for n in (0, 1, -1)] == [[[1, 2, 3]], [[0, 1, 2]], [[2, 3, 0]]]


@pytest.mark.parametrize("kind, height", [("max", 8), ("average", 2)])
def test_a_spot_is_noticed_only_when_it_leaves_its_window(kind, height):
    outputs = [pooling.layer_and_gradient(pooling.POOLS[kind], pooling.spot(column))[0][0] for column in range(6)]
    np.testing.assert_array_equal(outputs, height * np.eye(3)[[0, 0, 1, 1, 2, 2]])


def test_the_gradient_of_max_follows_the_spot_and_that_of_average_does_not():
    for column in range(6):
        _, g = pooling.layer_and_gradient(pooling.POOLS["max"], pooling.spot(column))
        assert g[0, column] == 1
        assert g.sum() == 3
        _, g = pooling.layer_and_gradient(pooling.POOLS["average"], pooling.spot(column))
        np.testing.assert_array_equal(g, np.full((2, 6), 0.25))


def test_what_it_prints():
    done = run_program("pooling")
    assert (done.status, done.err) == (0, "")
    assert done.out.count("By the layers: largest difference 0\n") == 2
    assert done.table()["spot at 3"] == ["0 8 0", "1 0 0 1 1 0", "0 2 0", " ".join(["0.25"] * 6)]
    # The sentences about the moved ramp, by its numbers.
    (max_, _), (average, _) = (pooling.layer_and_gradient(p, pooling.ramp()) for p in pooling.POOLS.values())
    moved = pooling.shifted(pooling.ramp(), 1)
    (moved_max, _), (moved_average, _) = (pooling.layer_and_gradient(p, moved) for p in pooling.POOLS.values())
    np.testing.assert_array_equal(max_ - moved_max, np.ones((2, 2)))
    np.testing.assert_array_equal(average - moved_average, [[1.5, 1], [5.5, 1]])
