"""Ones in, sums of kernels out: for one channel, several, groups and at the border."""

import re

import kernel_sums
import numpy as np
import pytest

import tinycnn
from tests.examples.programs import run_program
from tinycnn import nn


@pytest.mark.parametrize("C, O, groups", [(1, 1, 1), (3, 5, 1), (4, 6, 2), (4, 8, 4)])
def test_ones_give_the_sum_of_the_kernel_plus_the_bias_everywhere(C, O, groups):
    tinycnn.manual_seed(0)
    layer = nn.Conv2d(C, O, (2, 3), groups=groups, dtype="float64")
    expected = [layer.weight.detach().numpy()[o].sum() + layer.bias.detach().numpy()[o] for o in range(O)]
    np.testing.assert_allclose(kernel_sums.kernel_sums(layer), expected)
    y = kernel_sums.answers_to_ones(layer)
    assert y.shape == (O, 5, 4)
    np.testing.assert_allclose(y, np.broadcast_to(np.reshape(expected, (O, 1, 1)), y.shape), atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_an_output_meets_the_channels_of_its_group_only(groups):
    layer = kernel_sums.random_layer(4, 8, 3, groups=groups, least=1)
    meets = kernel_sums.who_meets_whom(layer)
    expected = np.zeros((8, 4))
    for o in range(8):
        for i in range(4 // groups):
            expected[o, o // (8 // groups) * (4 // groups) + i] = layer.weight.detach().numpy()[o, i].sum()
    np.testing.assert_array_equal(meets, expected)
    assert (meets > 0).sum() == 8 * 4 // groups


def test_what_it_prints():
    done = run_program("kernel_sums")
    assert (done.status, done.err) == (0, "")
    sums = re.findall(r"(-?\d+) ([+−]) (\d+) = (-?\d+)", done.out)
    assert len(sums) == 3
    for s, sign, bias, total in sums:
        assert int(s) + int(bias) * (1 if sign == "+" else -1) == int(total)
    for cells in done.table().values():
        *parts, together, conv = map(int, cells)
        assert sum(parts) == together == conv
    assert done.out.count("out 7") == 3
    assert sum(line.count("·") for line in done.out.splitlines() if line.startswith("out")) == 16 + 24
