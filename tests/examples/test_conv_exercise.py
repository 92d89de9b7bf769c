"""The worked exercise: its result by independent loops, and the operator that it defines."""

import re

import conv_exercise
import numpy as np
import pytest
from conv_exercise import BIAS, INPUT, KERNELS, UPSTREAM, MyConv2d, channels_of

import tinycnn
from tests.examples.programs import run_program
from tinycnn import gradcheck, gradgradcheck
from tinycnn.teaching import reference

# The exercise as it is set, written down once more.
X = ["01102 22221 10020 01100 12002", "10220 00020 12121 10000 12111", "21200 10010 02101 01222 21001"]
W = [
    ["-1 1 0/0 1 0/0 1 1", "-1 -1 0/0 0 0/0 -1 0", "0 0 -1/0 1 0/1 -1 -1"],
    ["1 1 -1/-1 -1 1/0 -1 1", "0 1 0/-1 0 -1/-1 1 0", "-1 0 0/-1 0 1/-1 0 0"],
]
Y = [[[6, 7, 5], [3, -1, -1], [2, -1, 4]], [[2, -5, -8], [1, -4, -4], [0, -5, -5]]]


def test_the_numbers_are_those_of_the_exercise():
    x = [[[int(digit) for digit in row] for row in channel.split()] for channel in X]
    w = [[[[int(n) for n in row.split()] for row in channel.split("/")] for channel in kernel] for kernel in W]
    np.testing.assert_array_equal(channels_of(INPUT, 5), [x])
    np.testing.assert_array_equal(channels_of(KERNELS, 3), w)


def test_the_result_by_loops_that_share_nothing_with_the_library():
    x, w = channels_of(INPUT, 5)[0], channels_of(KERNELS, 3)
    y = np.zeros((2, 3, 3))
    for o, i, j in np.ndindex(2, 3, 3):
        y[o, i, j] = BIAS[o]
        for c, k, l in np.ndindex(3, 3, 3):
            row, column = 2 * i + k - 1, 2 * j + l - 1
            if row in range(5) and column in range(5):
                y[o, i, j] += w[o, c, k, l] * x[c, row, column]
    np.testing.assert_array_equal(y, Y)


def test_the_operator_forward_and_backward():
    x, w = channels_of(INPUT, 5), channels_of(KERNELS, 3)
    tensors = [tinycnn.tensor(array, requires_grad=True) for array in (x, w, np.array(BIAS, float))]
    y = MyConv2d(stride=2, padding=1)(*tensors)
    np.testing.assert_array_equal(y.detach().numpy()[0], Y)
    upstream = channels_of(UPSTREAM, 3)
    y.backward(tinycnn.tensor(upstream))
    for tensor, expected in zip(tensors, reference.conv2d_backward(upstream, x, w, 2, 1)):
        np.testing.assert_array_equal(tensor.grad.numpy(), expected)


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 1), (3, 2)])
def test_the_operator_is_right_to_the_second_order_on_images_that_are_not_square(stride, padding):
    rng = np.random.default_rng(0)
    shapes = [(2, 3, 5, 7), (4, 3, 2, 3), (4,)]
    inputs = [tinycnn.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
    y = MyConv2d(stride, padding)(*inputs)
    expected = reference.conv_nd(*(x.detach().numpy() for x in inputs), stride, padding)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    assert gradcheck(lambda *inputs: MyConv2d(stride, padding)(*inputs), inputs, fast_mode=True)
    assert gradgradcheck(lambda *inputs: MyConv2d(stride, padding)(*inputs), inputs, fast_mode=True)


def test_what_it_prints():
    done = run_program("conv_exercise")
    assert (done.status, done.err) == (0, "")
    blocks = dict(re.findall(r"--- (.+?) -+\n\n((?:.|\n)*?)(?=\n---|\Z)", done.out))
    numbers = lambda block: [float(n) for n in re.findall(r"-?\d+", re.sub("channel \\d", "", block))]  # noqa: E731
    assert numbers(blocks["y: the same, as 2 channels of 3×3"]) == np.hstack(Y).ravel().tolist()
    assert len(numbers(blocks["the kernels as a matrix, 2 × 27"])) == 54
    product = np.reshape(numbers(blocks["their product, 2 × 9"]), (2, 3, 3))
    np.testing.assert_array_equal(product + np.reshape(BIAS, (2, 1, 1)), Y)
    columns = conv_exercise.im2col(channels_of(INPUT, 5), (3, 3), 2, 1)[0]
    printed = next(body for title, body in blocks.items() if title.startswith("im2col: 3·3·3 = 27 rows"))
    rows = [line.split() for line in printed.splitlines()[3:] if line]
    np.testing.assert_array_equal(np.array(rows, float), np.hstack(columns.reshape(3, 9, 9)))
    assert blocks["nn.Conv2d gives the same"].strip() == "largest differences: y 0, dx 0, dw 0, db 0"
