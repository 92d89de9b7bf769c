"""Reductions, beyond the operator table: dims by properties, stability, what is chosen among equals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn import tensor


@st.composite
def shapes_and_dims(draw, min_side=0):
    """A shape, some of its dims (counted from either end) and keepdim."""
    shape = tuple(draw(st.lists(st.integers(min_side, 4), min_size=1, max_size=4)))
    dims = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    signed = tuple(d - len(shape) if draw(st.booleans()) else d for d in sorted(dims))
    return shape, signed, draw(st.booleans())


@given(shapes_and_dims(), st.integers(0, 1000))
def test_sum_and_mean(case, seed):
    shape, dims, keepdim = case
    x = tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)
    y = x.sum(dims, keepdim)
    np.testing.assert_allclose(y._array, x._array.sum(dims, keepdims=keepdim), atol=1e-12)
    u = np.random.default_rng(seed + 1).standard_normal(y.shape)
    (found,) = tinycnn.grad(y, x, tensor(u))
    kept = [1 if i in {d % len(shape) for d in dims} else size for i, size in enumerate(shape)]
    np.testing.assert_array_equal(found._array, np.broadcast_to(u.reshape(kept), shape))
    if x.numel():
        np.testing.assert_allclose(x.mean(dims, keepdim)._array, x._array.mean(dims, keepdims=keepdim), atol=1e-12)


@given(shapes_and_dims(min_side=1), st.integers(0, 1000))
def test_extrema_share_the_gradient_among_equals(case, seed):
    shape, dims, keepdim = case
    x = tensor(np.random.default_rng(seed).integers(-1, 2, shape).astype(float), requires_grad=True)
    for y, best in [(x.amax(dims, keepdim), np.max), (x.amin(dims, keepdim), np.min)]:
        np.testing.assert_array_equal(y._array, best(x._array, dims, keepdims=keepdim))
        (found,) = tinycnn.grad(y, x, tinycnn.ones_like(y))
        chosen = x._array == best(x._array, dims, keepdims=True)
        np.testing.assert_allclose(found._array, chosen / chosen.sum(dims, keepdims=True))


@given(shapes_and_dims(min_side=2), st.integers(0, 1000), st.integers(0, 2))
def test_variance(case, seed, correction):
    shape, dims, keepdim = case
    x = tensor(np.random.default_rng(seed).standard_normal(shape))
    count = math.prod(shape[d] for d in dims)
    if count > correction:
        expected = x._array.var(dims, ddof=correction, keepdims=keepdim)
        np.testing.assert_allclose(x.var(dims, correction=correction, keepdim=keepdim)._array, expected)
        np.testing.assert_allclose(x.std(dims, correction=correction, keepdim=keepdim)._array, np.sqrt(expected))


def test_variance_of_numbers_far_from_zero():
    x = tensor(1e8 + np.arange(5.0))
    assert x.var().item() == 2.5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_reductions_of_nothing():
    nothing = tinycnn.zeros(0, 3)
    assert nothing.sum().item() == 0
    assert nothing.sum(0).tolist() == [0.0] * 3
    assert nothing.sum(1).shape == (0,)
    assert math.isnan(nothing.mean().item())
    assert nothing.all().item() is True
    assert nothing.any().item() is False
    assert nothing.amax(1).shape == (0,)
    assert math.isnan(tinycnn.ones(1).var().item())
    assert math.isnan(tinycnn.ones(1).std().item())


def test_softmax_does_not_overflow():
    x = tensor([[1e30, 1e30, -1e30], [-1e30, -1e30, -1e30]])
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(x.softmax(1)._array, [[0.5, 0.5, 0], [1 / 3] * 3], rtol=1e-6)
        np.testing.assert_allclose(x.log_softmax(1)._array[1], [-math.log(3)] * 3, rtol=1e-6)


def test_log_softmax_keeps_small_probabilities():
    assert tensor([0.0, -2000.0]).log_softmax(0).tolist() == [0.0, -2000.0]


@given(shapes_and_dims(min_side=1), st.integers(0, 1000))
def test_softmax_sums_to_1_and_shifts_do_not_matter(case, seed):
    shape, (dim, *_), _ = case
    x = tensor(np.random.default_rng(seed).standard_normal(shape) * 10)
    y = x.softmax(dim)
    np.testing.assert_allclose(y.sum(dim)._array, 1.0)
    np.testing.assert_allclose((x + 100.0).softmax(dim)._array, y._array)
    np.testing.assert_allclose(x.log_softmax(dim).exp()._array, y._array)


def test_max_along_a_dim_gives_the_first_of_equals_all_the_gradient():
    x = tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    values, indices = x.max(1)
    assert (values.tolist(), indices.tolist(), indices.dtype) == ([3.0, 2.0], [1, 0], np.int64)
    values.backward(tensor([5.0, 7.0]))
    assert x.grad.tolist() == [[0.0, 5.0, 0.0], [7.0, 0.0, 0.0]]
    assert x.max(1).indices.tolist() == x.argmax(1).tolist() == [1, 0]
    assert x.min(1).values.tolist() == [1.0, 2.0]


def test_nan_wins():
    x = tensor([1.0, float("nan"), 2.0])
    assert math.isnan(x.max().item())
    assert math.isnan(x.amin().item())
    values, index = x.max(0)
    assert math.isnan(values.item())
    assert index.item() == x.argmin().item() == 1


def test_norms_by_hand():
    x = tensor([[3.0, -4.0], [0.0, 0.0]])
    assert x.norm().item() == x.norm("fro").item() == x.norm(2).item() == 5
    assert x.norm(1).item() == 7
    assert x.norm(float("inf")).item() == 4
    np.testing.assert_allclose(x.norm(3, 1)._array, [91 ** (1 / 3), 0], rtol=1e-6)
    assert x.norm(dim=(0, 1), keepdim=True).shape == (1, 1)


@pytest.mark.parametrize("p", [1, 2, 3, 1.5, float("inf")])
def test_gradient_of_the_norm_of_zeros_is_finite(p):
    x = tensor(np.zeros((2, 3)), requires_grad=True)
    x.norm(p, 1).sum().backward()
    assert np.isfinite(x.grad._array).all()


def test_gradient_of_the_deviation_of_equals_is_zero():
    x = tensor(np.full(4, 2.0), requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0] * 4


def test_sums_of_integers_are_wide():
    assert tinycnn.full((300,), 255, dtype="uint8").sum().item() == 76500
    assert (tinycnn.ones(70000) > 0).sum().item() == 70000
    assert tinycnn.full((2,), 2**31 - 1, dtype="int32").sum().item() == 2**32 - 2


def test_booleans_have_a_largest_element_but_no_argmax():
    x = tinycnn.tensor([[True, False], [False, False]])
    assert x.max(1).values.tolist() == [True, False]
    assert x.min(1).indices.tolist() == [1, 0]
    for function in (tinycnn.argmax, tinycnn.argmin):
        with pytest.raises(TypeError, match=rf"^{function.__name__}: not defined for booleans"):
            function(x, 1)
