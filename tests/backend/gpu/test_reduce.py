"""Sums, means and variances on the GPU, against the CPU's in float64, in any memory order."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gpu import captured, on_gpu
from tests.layouts import LAYOUTS
from tinycnn.backend import cpu

pytestmark = pytest.mark.gpu


FLOATS = [np.float64, np.float32, np.float16]
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.__name__)

# Some have few results of many elements each, which are then summed up in shares.
CASES = [
    ((3, 4, 5, 6), (0, 2, 3)),
    ((3, 4, 5, 6), (1,)),
    ((3, 4, 5, 6), (3, 0)),
    ((3, 4, 5, 6), ()),
    ((3, 4, 5, 6), (0, 1, 2, 3)),
    ((7,), (0,)),
    ((1, 1), (0,)),
    ((2, 5000), (1,)),
    ((9001, 3), (0,)),
    ((30_011,), (0,)),
    ((300_011,), (0,)),  # more shares than threads that join them
    ((40, 3, 9, 8), (0, 2, 3)),
    ((2050, 1), (1,)),
]
each_case = pytest.mark.parametrize("shape, dims", CASES, ids=str)


def normal(shape, dtype, seed=0, mean=0.0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) + mean).astype(dtype)


def twice(function, *arguments):
    """The results as NumPy arrays: the same bits if they are computed again."""
    first, second = (function(*arguments) for _ in range(2))
    first, second = ([a.get() for a in (r if isinstance(r, tuple) else (r,))] for r in (first, second))
    for a, b in zip(first, second):
        assert a.tobytes() == b.tobytes()
    return first


def assert_near(found, expected, dtype, factor=1.0):
    """Within a few roundings of `expected` (float64), as large as its largest element; float16 sums in float32."""
    assert (found.shape, found.dtype) == (expected.shape, dtype)
    scale = abs(expected).max(initial=1) * factor
    in_sum = 50 * np.finfo(np.float32 if dtype == np.float16 else dtype).eps
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=np.finfo(dtype).eps, atol=in_sum * scale)


@pytest.mark.parametrize("keepdims", [True, False])
@each_float
@pytest.mark.parametrize("shape, dims", [*CASES, ((), ())], ids=str)
def test_sum(gpu, shape, dims, dtype, keepdims):
    x = normal(shape, dtype)
    (found,) = twice(gpu.sum_over, on_gpu(x), dims, keepdims)
    expected = np.asarray(cpu.sum_over(x.astype(np.float64), dims, keepdims))
    assert_near(found, expected, dtype, factor=math.sqrt(x.size))


@pytest.mark.parametrize("shape, dims", [((0, 3), (0,)), ((0, 3), (1,)), ((2, 0, 3), (0, 2)), ((0,), (0,))], ids=str)
def test_sum_without_elements(gpu, shape, dims):
    found = gpu.sum_over(on_gpu(np.ones(shape, np.float32)), dims, False).get()
    np.testing.assert_array_equal(found, np.ones(shape, np.float32).sum(dims))


def test_half_precision_is_summed_up_in_float(gpu):
    x = np.ones(5000, np.float16)  # in half precision, 2048 + 1 is 2048
    assert gpu.sum_over(on_gpu(x), (0,), False).get() == 5000
    assert gpu.sum_over(on_gpu(np.full(70_000, 1.0, np.float16)), (0,), False).get() == np.inf


def kept_shape(shape, dims):
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


def wide(dtype):
    """Of statistics, and of what is summed."""
    return np.dtype(np.float32) if dtype == np.float16 else np.dtype(dtype)


def affine(shape, dims, seed=5):
    """A weight and a bias for each mean, float64."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(kept_shape(shape, dims)) for _ in range(2)]


@pytest.mark.parametrize("is_affine", [False, True])
@each_float
@each_case
def test_standardize(gpu, shape, dims, dtype, is_affine):
    x, eps = normal(shape, dtype, mean=3), 1e-3
    weight, bias = affine(shape, dims) if is_affine else (None, None)
    expected = cpu.standardize(x.astype(np.float64), dims, eps, weight, bias)
    given = [on_gpu(array.astype(dtype)) for array in (weight, bias)] if is_affine else []
    found = twice(lambda *arguments: gpu.standardize(*arguments)[:3], on_gpu(x), dims, eps, *given)
    # y is computed with the rounded mean and inverse_std, and weight and bias are rounded.
    largest = 1 if weight is None else abs(weight).max() + abs(bias).max()
    inverse_std = 1 / np.sqrt(expected[2] + eps)
    slack = np.finfo(dtype).eps * (abs(x).max() * abs(inverse_std).max() + abs(expected[0]).max()) * 8 * largest
    np.testing.assert_allclose(found[0].astype(np.float64), expected[0], rtol=0, atol=slack)
    assert found[0].dtype == dtype
    for result, wanted in zip(found[1:], expected[1:3]):
        assert_near(result, np.asarray(wanted), wide(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
def test_variance_beside_a_large_mean(gpu, dtype):
    """The mean of squares less the square of the mean would be off by far more than the variance."""
    mean = 1e3 / np.sqrt(np.finfo(dtype).eps) / 1e2
    x = normal((3, 4, 5000), dtype, mean=mean)
    expected = x.astype(np.float64).var((0, 2), keepdims=True)
    _, _, variance, _ = gpu.standardize(on_gpu(x), (0, 2), 0.0)
    np.testing.assert_allclose(variance.get(), expected, rtol=1e-3)


@pytest.mark.parametrize("of_running", [np.float32, np.float16], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", [(8, 3, 4), (700, 2, 9), (9001, 1)], ids=str)  # one block for each mean, and several
def test_running_statistics(gpu, shape, of_running):
    dims = (0, *range(2, len(shape)))
    x, kept = normal(shape, np.float32, mean=2), kept_shape(shape, dims)
    rng = np.random.default_rng(7)
    mean, variance = (rng.random(kept).astype(of_running) for _ in range(2))
    for momentum in (0.3, np.asarray(0.25)):
        count = np.asarray(41, np.int64)
        there = [on_gpu(array) for array in (mean, variance, count)]
        average = on_gpu(momentum) if isinstance(momentum, np.ndarray) else momentum
        gpu.standardize(on_gpu(x), dims, 1e-5, None, None, (*there[:2], average, there[2]))
        cpu.standardize(x, dims, 1e-5, None, None, (mean, variance, momentum, count))
        for found, expected in zip(there, (mean, variance, count)):
            np.testing.assert_allclose(found.get(), expected, rtol=3e-6 if of_running == np.float32 else 2e-3)
        assert there[2].get() == 42


def test_the_counters_are_as_before(gpu):
    """Blocks that share a result count themselves. What they leave is where the next launch begins."""
    x = on_gpu(normal((2, 50_000), np.float32))
    first = gpu.sum_over(x, (1,), False).get()
    gpu.standardize(x, (1,), 1e-5)
    gpu.sum_over(on_gpu(normal((5, 9000), np.float64)), (1,), False)
    np.testing.assert_array_equal(gpu.sum_over(x, (1,), False).get(), first)


def test_shared_sums_in_a_graph(gpu):
    """The counters of the stream may be made while it is captured."""
    x = on_gpu(normal((2, 50_000), np.float32))
    expected = gpu.sum_over(x, (1,), False).get()
    found, graph = captured(lambda: gpu.sum_over(x, (1,), False))
    for _ in range(3):
        found.fill(0)
        graph.launch()
        np.testing.assert_array_equal(found.get(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("is_affine", [False, True])
@each_float
@each_case
def test_standardize_backward(gpu, shape, dims, dtype, is_affine):
    u, x = normal(shape, dtype, 1), normal(shape, dtype, 2)
    weight = affine(shape, dims)[0] if is_affine else None
    _, _, variance, saved = cpu.standardize(x.astype(np.float64), dims, 1e-2)
    expected = cpu.standardize_backward(*(a.astype(np.float64) for a in (u, x)), saved, dims, weight)
    given = () if weight is None else (on_gpu(weight.astype(dtype)),)
    saved = gpu.standardize(on_gpu(x), dims, 1e-2)[3]
    found = twice(gpu.standardize_backward, on_gpu(u), on_gpu(x), saved, dims, *given)
    inverse_std = 1 / np.sqrt(variance + 1e-2).min()
    assert_near(found[0], np.asarray(expected[0]), dtype, 10 * inverse_std**2)
    for sums, wanted in zip(found[1:], expected[1:]):
        assert_near(sums, np.asarray(wanted), wide(dtype), 10 * inverse_std * math.sqrt(x.size))
    g, *sums = gpu.standardize_backward(on_gpu(u), on_gpu(x), saved, dims, *given, needs_x=False)
    assert g is None
    for again, first in zip(sums, found[1:]):
        np.testing.assert_array_equal(again.get(), first)


@pytest.mark.parametrize("dims", [(0, 2, 3), (1,), (2, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("other", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_order_does_not_matter(gpu, layout, other, dims):
    """The upstream gradient may lie in another order than x."""
    x, u = LAYOUTS[layout](normal((3, 4, 5, 6), np.float64)), LAYOUTS[other](normal((3, 4, 5, 6), np.float64, 1))
    np.testing.assert_allclose(gpu.sum_over(on_gpu(x), dims, True).get(), x.sum(dims, keepdims=True), atol=1e-13)
    weight, bias = affine(x.shape, dims)
    there = [on_gpu(array) for array in (x, u, weight, bias)]
    expected = cpu.standardize(x, dims, 1e-5, weight, bias)
    found = gpu.standardize(there[0], dims, 1e-5, *there[2:])
    for a, b in zip(found[:3], expected[:3]):
        np.testing.assert_allclose(a.get(), b, rtol=1e-12, atol=1e-13)
    gradients = gpu.standardize_backward(there[1], there[0], found[3], dims, there[2])
    for a, b in zip(gradients, cpu.standardize_backward(u, x, expected[3], dims, weight)):
        np.testing.assert_allclose(a.get(), b, rtol=1e-11, atol=1e-12)
    assert gradients[0].strides == found[0].strides


@pytest.mark.parametrize("shape, dims", [((0, 3, 2), (0, 2)), ((2, 0), (0,)), ((0, 4), (1,))], ids=str)
def test_standardize_without_elements(gpu, shape, dims):
    x = on_gpu(np.ones(shape, np.float32))
    y, mean, _, saved = gpu.standardize(x, dims, 1e-5)
    assert (y.shape, mean.shape) == (shape, kept_shape(shape, dims))
    assert gpu.standardize_backward(x, x, saved, dims)[0].shape == shape


@st.composite
def cases(draw):
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    dims = draw(st.sets(st.sampled_from(range(len(shape)))))
    return shape, tuple(sorted(dims)), draw(st.permutations(range(len(shape))))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases(), st.integers(0, 99))
def test_any_dimensions(gpu, case, seed):
    shape, dims, order = case
    values = np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32)
    x = np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    np.testing.assert_array_equal(gpu.sum_over(on_gpu(x), dims, False).get(), x.sum(dims))
    y, mean, variance, _ = gpu.standardize(on_gpu(x), dims, 1e-2)
    expected = cpu.standardize(x.astype(np.float64), dims, 1e-2)
    np.testing.assert_allclose(mean.get(), expected[1], atol=1e-5)
    np.testing.assert_allclose(variance.get(), expected[2], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(y.get(), expected[0], rtol=1e-4, atol=1e-4)
