"""Normalisation, against the loops of `tinycnn.reference` and finite differences."""

import re

import numpy as np
import pytest

import tinycnn
from tests.layouts import LAYOUTS
from tinycnn import gradcheck, gradgradcheck
from tinycnn.nn import functional as F
from tinycnn.nn.norm import Standardize
from tinycnn.teaching import reference

SHAPES = [(5, 3), (4, 3, 7), (3, 2, 4, 5), (2, 3, 2, 3, 4)]


def arrays(shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) * 3 + 2
    return x, rng.standard_normal(shape[1]), rng.standard_normal(shape[1]), rng.standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_against_loops(shape):
    x, weight, bias, g = arrays(shape)
    tensors = [tinycnn.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    y = F.batch_norm(tensors[0], None, None, *tensors[1:], training=True, eps=1e-3)
    np.testing.assert_allclose(y.detach().numpy(), reference.batch_norm(x, weight, bias, 1e-3), atol=1e-12)
    y.backward(tinycnn.tensor(g))
    for tensor, expected in zip(tensors, reference.batch_norm_backward(g, x, weight, 1e-3)):
        np.testing.assert_allclose(tensor.grad.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_any_memory_order(layout):
    x, weight, bias, g = arrays((3, 2, 4, 5))
    tensor = tinycnn.from_numpy(layout(x)).requires_grad_()
    y = F.batch_norm(tensor, None, None, tinycnn.tensor(weight), tinycnn.tensor(bias), training=True)
    np.testing.assert_allclose(y.detach().numpy(), reference.batch_norm(x, weight, bias), atol=1e-12)
    y.backward(tinycnn.from_numpy(layout(g)))
    np.testing.assert_allclose(tensor.grad.numpy(), reference.batch_norm_backward(g, x, weight)[0], atol=1e-12)


@pytest.mark.parametrize("dims", [(0,), (0, 2, 3), (1, 2, 3), (2, 3), (3,)])
def test_statistics_over_any_dimensions(dims):
    x = arrays((3, 2, 4, 5))[0]
    normalize = Standardize(dims, 1e-5)
    y = normalize(tinycnn.tensor(x)).numpy()
    np.testing.assert_allclose(normalize.mean, x.mean(dims, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(normalize.variance, x.var(dims, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(y.mean(dims), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(dims), 1, atol=1e-4)


@pytest.mark.parametrize("dims", [(0,), (0, 2), (1, 2)])
def test_finite_differences(dims):
    x = tinycnn.tensor(np.random.default_rng(1).standard_normal((3, 2, 4)), requires_grad=True)
    assert gradcheck(lambda x: Standardize(dims, 1e-3)(x), (x,))
    assert gradgradcheck(lambda x: Standardize(dims, 1e-3)(x), (x,))


def test_finite_differences_of_batch_norm():
    rng = np.random.default_rng(2)
    inputs = [tinycnn.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((4, 2, 3), 2, 2)]
    assert gradcheck(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), inputs)
    assert gradgradcheck(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), inputs)
    mean, var = tinycnn.tensor(rng.standard_normal(2)), tinycnn.tensor(rng.random(2) + 0.5)
    assert gradcheck(lambda x, w, b: F.batch_norm(x, mean, var, w, b), inputs)


def test_a_large_mean_does_not_swallow_the_variance():
    """Mean and square of the mean apart: E[x²] − E[x]² would cancel to nothing in float32."""
    x = np.random.default_rng(3).standard_normal((64, 2, 8, 8)).astype(np.float32) + 3000
    y = F.batch_norm(tinycnn.tensor(x), None, None, training=True).numpy()
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.std(axis=(0, 2, 3)), 1, atol=1e-2)


def test_constant_input_has_finite_gradients():
    x = tinycnn.tensor(np.full((4, 2, 3), 7.0), requires_grad=True)
    y = F.batch_norm(x, None, None, training=True)
    y.backward(tinycnn.tensor(np.random.default_rng(4).standard_normal(y.shape)))
    assert not y.detach().numpy().any()
    assert np.isfinite(x.grad.numpy()).all()


def test_changes_no_argument():
    x, weight, bias, g = arrays((3, 2, 4))
    held = [tinycnn.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    upstream = tinycnn.tensor(g)
    F.batch_norm(held[0], None, None, *held[1:], training=True).backward(upstream)
    for tensor, array in zip([*held, upstream], (x, weight, bias, g)):
        np.testing.assert_array_equal(tensor.detach().numpy(), array)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input": np.ones((1, 3))}, "expected more than 1 value per channel when training, got input (1, 3)"),
        ({"input": np.ones(3)}, "expected input (N, C, *), got (3,)"),
        ({"weight": np.ones(4)}, "expected weight of shape (3,) for input (2, 3, 4), got (4,)"),
        ({"running_var": np.ones(2)}, "expected running_var of shape (3,) for input (2, 3, 4), got (2,)"),
        ({"training": False}, "running_mean and running_var are needed when not training"),
    ],
)
def test_errors_name_argument_and_value(arguments, message):
    arguments = {"input": np.ones((2, 3, 4)), "running_mean": None, "running_var": None, "training": True} | arguments
    arguments = {name: tinycnn.tensor(v) if isinstance(v, np.ndarray) else v for name, v in arguments.items()}
    with pytest.raises(ValueError, match=f"batch_norm: .*{re.escape(message)}"):
        F.batch_norm(**arguments)
