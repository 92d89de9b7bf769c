"""The matrix product: against loops, for every mix of dimensions and memory orders."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn import tensor

sizes = st.integers(0, 3)


def by_loops(a, b):
    """(n, k) by (k, m)."""
    result = np.zeros((a.shape[0], b.shape[1]))
    for i, j in np.ndindex(*result.shape):
        for k in range(a.shape[1]):
            result[i, j] += a[i, k] * b[k, j]
    return result


@given(sizes, sizes, sizes, st.integers(0, 99))
def test_against_loops(n, k, m, seed):
    rng = np.random.default_rng(seed)
    a, b, u = rng.standard_normal((n, k)), rng.standard_normal((k, m)), rng.standard_normal((n, m))
    x, w = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    y = x @ w
    np.testing.assert_allclose(y._array, by_loops(a, b), atol=1e-12)
    y.backward(tensor(u))
    np.testing.assert_allclose(x.grad._array, by_loops(u, b.T), atol=1e-12)
    np.testing.assert_allclose(w.grad._array, by_loops(a.T, u), atol=1e-12)


def in_orders(array):
    """The same values in every memory order, and strided."""
    for order in itertools.permutations(range(array.ndim)):
        yield np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    yield np.repeat(array, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize(
    "left, right",
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
    ],
)
def test_memory_orders(left, right):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(left), rng.standard_normal(right)
    u = tensor(rng.standard_normal((a @ b).shape))
    plain = [tensor(a, requires_grad=True), tensor(b, requires_grad=True)]
    (plain[0] @ plain[1]).backward(u)
    for a_laid, b_laid in itertools.product(in_orders(a), in_orders(b)):
        x, w = (tinycnn.from_numpy(array).requires_grad_() for array in (a_laid, b_laid))
        y = x @ w
        np.testing.assert_allclose(y._array, a @ b)
        y.backward(u)
        for found, expected in zip((x, w), plain):
            np.testing.assert_allclose(found.grad._array, expected.grad._array)


def test_batch_innermost_stays_innermost():
    x = tensor(np.ones((4, 6)).T)  # six samples, the batch innermost
    assert (x @ tensor(np.ones((4, 3))))._array.strides[0] == 8


def test_batches_broadcast():
    rng = np.random.default_rng(0)
    a, b = (
        tensor(rng.standard_normal((2, 1, 3, 4)), requires_grad=True),
        tensor(rng.standard_normal((5, 4, 2)), requires_grad=True),
    )
    y = a @ b
    assert y.shape == (2, 5, 3, 2)
    for i, j in np.ndindex(2, 5):
        np.testing.assert_allclose(y._array[i, j], by_loops(a._array[i, 0], b._array[j]))
    y.sum().backward()
    assert (a.grad.shape, b.grad.shape) == (a.shape, b.shape)


def test_only_the_gradient_that_is_needed():
    x, w = tensor(np.ones((2, 3))), tensor(np.ones((3, 4)), requires_grad=True)
    (x @ w).sum().backward()
    assert x.grad is None
    assert w.grad.tolist() == [[2.0] * 4] * 3


def test_empty_sum_is_zero():
    assert (tinycnn.ones(2, 0) @ tinycnn.ones(0, 3)).tolist() == [[0.0] * 3] * 2
    assert (tinycnn.ones(0) @ tinycnn.ones(0)).item() == 0


def test_linear_keeps_no_bias():
    x, weight, bias = tensor(np.ones((2, 3)), requires_grad=True), tensor(np.ones((4, 3))), tensor(np.ones(4))
    y = tinycnn.nn.functional.linear(x, weight, bias)
    bias.zero_()  # which the backward pass does not need
    y.sum().backward()
    assert x.grad.tolist() == [[4.0] * 3] * 2
    y = tinycnn.nn.functional.linear(x, weight, bias)
    weight.zero_()
    with pytest.raises(RuntimeError, match="backward through Linear: input 1 of shape .* was changed in place"):
        y.sum().backward()
