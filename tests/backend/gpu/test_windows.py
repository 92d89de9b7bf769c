"""Sliding windows on the GPU, against the CPU's: every shape of window, element type and memory order."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gpu import on_gpu
from tests.layouts import LAYOUTS
from tinycnn.backend import cpu
from tinycnn.ops.windows import Window

pytestmark = pytest.mark.gpu


def window(input_size, kernel, stride=1, padding=0, dilation=1, ceil_mode=False):
    """A Window; a number is for every dimension, and a padding (before, after) too."""
    d = len(input_size)
    kernel, stride, dilation = ((n,) * d if isinstance(n, int) else n for n in (kernel, stride, dilation))
    if isinstance(padding, int):
        padding = (padding, padding)
    padding = padding if isinstance(padding[0], tuple) else (padding,) * d
    return Window(tuple(input_size), kernel, stride, padding, dilation, ceil_mode)


WINDOWS = {
    "1d": window((9,), 3),
    "1d, stride beyond the kernel": window((20,), 2, 5, 1),
    "1d, all of the input": window((7,), 7),
    "1d, dilation beyond the input": window((3,), 3, 1, 5, 4),
    "1d, one element": window((1,), 1),
    "2d": window((6, 7), (3, 2)),
    "2d, tiles": window((6, 8), (3, 2), (3, 2)),
    "2d, tiles with a rest": window((7, 9), (3, 2), (3, 2)),
    "2d, asymmetric padding": window((5, 4), (3, 4), (2, 1), ((0, 2), (3, 1))),
    "2d, padding before only": window((5, 6), 2, 2, (1, 0)),
    "2d, dilation and stride share a factor": window((9, 11), (2, 3), (2, 4), 2, (4, 2)),
    "2d, stride beyond the kernel": window((10, 9), (2, 1), (3, 4)),
    "2d, ceil mode": window((7, 8), 3, 2, 0, 1, True),
    "2d, ceil mode beyond the padding": window((6, 5), (3, 2), (4, 3), (1, 1), 1, True),
    "2d, windows on padding alone": window((2, 3), 2, 1, (4, 3)),
    "2d, one output": window((3, 4), (3, 4)),
    "3d": window((4, 5, 6), (2, 3, 2), (1, 2, 3), ((1, 0), (0, 1), (1, 1)), (2, 1, 2)),
    "3d, tiles": window((4, 4, 6), 2, 2),
    "257 taps": window((300,), 257, 7, 3),
    "2d, 256 taps": window((17, 18), 16, 1, 1),
    "2d, 306 taps": window((18, 17), (17, 18), (2, 1), 3),
}
each_window = pytest.mark.parametrize("w", WINDOWS.values(), ids=WINDOWS)
each_float = pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16], ids=lambda dtype: dtype.__name__)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)
outer_shapes = pytest.mark.parametrize("outer", [(2, 3), (1, 1), (0, 3), (2, 0)], ids=str)


@pytest.fixture(autouse=True)
def modules(request, monkeypatch):
    """A module is compiled for each window in float32 only; the others get the one for windows of any size. What is
    compiled for a window of each type is in test_packs.py."""
    from tinycnn.backend.gpu import windows

    parameters = getattr(request.node, "callspec", None)
    if parameters is not None and parameters.params.get("dtype") in (None, np.float32):
        yield
        return
    cached = (windows._adjoint, windows._pooling)
    monkeypatch.setattr(windows, "MOST_TAPS", 0)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def numbers(shape, dtype, seed=0):
    """Small integers, so that some are equal."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def normal(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def laid_out(array, layout="row-major"):
    return LAYOUTS[layout](array) if array.ndim > 2 else array


def twice(function, *arguments):
    """The result as NumPy arrays: the same bits if it is computed again."""
    first, second = ([None if a is None else a.get() for a in _tuple(function(*arguments))] for _ in range(2))
    for a, b in zip(first, second):
        assert (a is None and b is None) or a.tobytes() == b.tobytes()
    return first


def _tuple(result):
    return result if isinstance(result, tuple) else (result,)


def assert_sums(found, expected, terms):
    """`expected` is in float64: sums of up to `terms` numbers, rounded to the type of `found` at the end. Half
    precision is summed up in float32."""
    dtype = found.dtype
    in_sum = np.finfo(np.float32 if dtype == np.float16 else dtype).eps * terms
    scale = abs(expected).max(initial=1)
    bound = in_sum * scale + np.finfo(dtype).eps * abs(expected) + np.finfo(dtype).smallest_subnormal
    assert found.shape == expected.shape
    assert (abs(found.astype(np.float64) - expected) <= bound).all()


def same_memory_order(found, like):
    """Whether found, a CuPy array, lies in memory as a NumPy array does."""
    size = [n for n in like.shape if n != 1]
    strides = [[s // a.itemsize for n, s in zip(a.shape, a.strides) if n != 1] for a in (found, like)]
    return 0 in size or strides[0] == strides[1]


def columns_shape(outer, w):
    return (*w.kernel_size, *outer, *w.output_size)


# --- im2col and its adjoint ---------------------------------------------------------------------------------------


@outer_shapes
@each_window
def test_unfold(gpu, w, outer):
    x = normal((*outer, *w.input_size), np.float32)
    expected, found = (np.full(columns_shape(outer, w), np.nan, np.float32) for _ in range(2))
    found = on_gpu(found)
    cpu.unfold_into(expected, x, w)
    gpu.unfold_into(found, on_gpu(x), w)
    np.testing.assert_array_equal(found.get(), expected)


@pytest.mark.slow
@outer_shapes
@each_float
@each_window
def test_fold(gpu, w, dtype, outer):
    columns = normal(columns_shape(outer, w), dtype)
    x, result = np.full((*outer, *w.input_size), np.nan), on_gpu(np.full((*outer, *w.input_size), np.nan, dtype))
    cpu.fold_into(x, columns.astype(np.float64), w)

    def fold(columns):
        result.fill(np.nan)
        gpu.fold_into(result, columns, w)
        return result

    (found,) = twice(fold, on_gpu(columns))
    assert_sums(found, x, math.prod(w.kernel_size))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bool", "uint8", "int8", "int16", "int32", "int64"])
def test_unfold_and_fold_of_every_type(gpu, dtype):
    w = WINDOWS["2d, asymmetric padding"]
    x = abs(numbers((2, 3, *w.input_size), np.int64)).astype(dtype)
    columns = np.empty(columns_shape((2, 3), w), dtype)
    cpu.unfold_into(columns, x, w)
    found = on_gpu(np.empty_like(columns))
    gpu.unfold_into(found, on_gpu(x), w)
    np.testing.assert_array_equal(found.get(), columns)
    folded = np.empty_like(x)
    cpu.fold_into(folded, columns, w)
    in_x = on_gpu(np.empty_like(x))
    gpu.fold_into(in_x, found, w)
    np.testing.assert_array_equal(in_x.get(), folded)


@each_layout
@pytest.mark.parametrize("w", [WINDOWS["2d, asymmetric padding"], WINDOWS["3d"]], ids=["2d", "3d"])
def test_unfold_and_fold_in_any_memory_order(gpu, w, layout):
    """In columns whose axes lie in another order, and with gaps."""
    x = laid_out(normal((2, 3, *w.input_size), np.float64), layout)
    d = len(w.kernel_size)
    order = np.random.default_rng(3).permutation(2 * d + 2)
    columns = np.zeros(columns_shape((2, 3), w))
    cpu.unfold_into(columns, x, w)
    found = on_gpu(np.full([columns.shape[i] + 1 for i in order], 7.0))[(slice(1, None),) * (2 * d + 2)]
    found = found.transpose(np.argsort(order).tolist())
    gpu.unfold_into(found, on_gpu(x), w)
    np.testing.assert_array_equal(found.get(), columns)
    folded, in_x = np.empty_like(x), on_gpu(x)
    cpu.fold_into(folded, columns, w)
    gpu.fold_into(in_x, found, w)
    np.testing.assert_allclose(in_x.get(), folded, rtol=1e-13, atol=1e-13)


# --- sums over windows --------------------------------------------------------------------------------------------


@outer_shapes
@each_float
@each_window
def test_window_sum_and_spread(gpu, w, dtype, outer):
    x, g = normal((*outer, *w.input_size), dtype), normal((*outer, *w.output_size), dtype)
    terms = math.prod(w.kernel_size)
    assert_sums(*twice(gpu.window_sum, on_gpu(x), w), cpu.window_sum(x.astype(np.float64), w), terms)
    assert_sums(*twice(gpu.window_spread, on_gpu(g), w), cpu.window_spread(g.astype(np.float64), w), terms)


@each_layout
@pytest.mark.parametrize("w", [WINDOWS["2d, ceil mode"], WINDOWS["3d"]], ids=["2d", "3d"])
def test_window_sum_and_spread_in_any_memory_order(gpu, w, layout):
    x = laid_out(normal((2, 3, *w.input_size), np.float64), layout)
    g = laid_out(normal((2, 3, *w.output_size), np.float64), layout)
    for name, array in (("window_sum", x), ("window_spread", g)):
        expected, found = getattr(cpu, name)(array, w), getattr(gpu, name)(on_gpu(array), w)
        np.testing.assert_allclose(found.get(), expected, rtol=1e-13, atol=1e-13)
        assert same_memory_order(found, expected)


# --- max pooling --------------------------------------------------------------------------------------------------


def assert_pooled(gpu, w, x):
    expected, argmax = cpu.max_pool(x, w, True)
    found, taps = twice(gpu.max_pool, on_gpu(x), w, True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(taps, argmax)
    assert (found.dtype, taps.dtype) == (x.dtype, argmax.dtype)
    alone, none = twice(gpu.max_pool, on_gpu(x), w, False)
    assert none is None
    np.testing.assert_array_equal(alone, expected)


@pytest.mark.slow
@outer_shapes
@each_float
@each_window
def test_max_pool(gpu, w, dtype, outer):
    assert_pooled(gpu, w, numbers((*outer, *w.input_size), dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("name", ["2d, tiles", "2d, asymmetric padding", "2d, windows on padding alone", "257 taps"])
def test_max_pool_of_integers(gpu, name, dtype):
    w, limits = WINDOWS[name], np.iinfo(dtype)
    rng = np.random.default_rng(1)
    shape = (2, 3, *w.input_size)
    assert_pooled(gpu, w, rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))
    assert_pooled(gpu, w, rng.choice(np.array([limits.min, limits.min + 1, limits.max], dtype), shape))
    assert_pooled(gpu, w, np.full(shape, limits.min, dtype))


@pytest.mark.slow
@each_float
@each_window
def test_max_pool_of_nan_and_infinities(gpu, w, dtype):
    rng = np.random.default_rng(2)
    shape = (2, 3, *w.input_size)
    assert_pooled(gpu, w, np.full(shape, -np.inf, dtype))
    assert_pooled(gpu, w, rng.choice(np.array([-np.inf, -np.inf, np.inf, 0.0, -0.0], dtype), shape))
    assert_pooled(gpu, w, rng.choice(np.array([-np.inf, np.nan, 1, 2, 3], dtype), shape))
    assert_pooled(gpu, w, np.full(shape, np.nan, dtype))


@outer_shapes
@each_float
@each_window
def test_scatter_and_gather_taps(gpu, w, dtype, outer):
    x, g = numbers((*outer, *w.input_size), dtype), normal((*outer, *w.output_size), dtype, 5)
    _, argmax = cpu.max_pool(x, w, True)
    scattered = cpu.scatter_taps(g.astype(np.float64), argmax, w)
    assert_sums(*twice(gpu.scatter_taps, on_gpu(g), on_gpu(argmax), w), scattered, math.prod(w.kernel_size))
    x = normal(x.shape, dtype, 6)
    (found,) = twice(gpu.gather_taps, on_gpu(x), on_gpu(argmax), w)
    np.testing.assert_array_equal(found, cpu.gather_taps(x, argmax, w))


@pytest.mark.parametrize("other", LAYOUTS)
@each_layout
@pytest.mark.parametrize("w", [WINDOWS["2d, asymmetric padding"], WINDOWS["3d"]], ids=["2d", "3d"])
def test_max_pool_in_any_memory_order(gpu, w, layout, other):
    """The upstream gradient may lie in another order than the pooled array."""
    x = laid_out(numbers((2, 3, *w.input_size), np.float64), layout)
    y, argmax = cpu.max_pool(x, w, True)
    found, taps = gpu.max_pool(on_gpu(x), w, True)
    np.testing.assert_array_equal(found.get(), y)
    np.testing.assert_array_equal(taps.get(), argmax)
    assert same_memory_order(found, y)
    assert same_memory_order(taps, argmax)
    g = laid_out(normal(y.shape, np.float64), other)
    expected, found = cpu.scatter_taps(g, argmax, w), gpu.scatter_taps(on_gpu(g), taps, w)
    np.testing.assert_allclose(found.get(), expected, rtol=1e-13, atol=1e-13)
    assert same_memory_order(found, expected)
    h = laid_out(normal(x.shape, np.float64, 8), other)
    np.testing.assert_array_equal(gpu.gather_taps(on_gpu(h), taps, w).get(), cpu.gather_taps(h, argmax, w))


# --- any window ---------------------------------------------------------------------------------------------------


@st.composite
def windows(draw):
    d = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(d))

    kernel, stride, dilation = each(1, 3), each(1, 4), each(1, 4)
    padding = tuple(zip(each(0, 3), each(0, 3)))
    extent = [(k - 1) * e + 1 for k, e in zip(kernel, dilation)]
    size = tuple(max(1, e - sum(p)) + more for e, p, more in zip(extent, padding, each(0, 4)))
    return Window(size, kernel, stride, padding, dilation, draw(st.booleans()))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows(), st.sampled_from(list(LAYOUTS)), st.integers(0, 99))
def test_any_window(gpu, w, layout, seed):
    x = laid_out(numbers((2, 3, *w.input_size), np.float32, seed), layout)
    g = laid_out(numbers((2, 3, *w.output_size), np.float32, seed), layout)
    in_x, in_g = on_gpu(x), on_gpu(g)
    columns = np.empty(columns_shape((2, 3), w), np.float32)
    on_device = on_gpu(columns)
    cpu.unfold_into(columns, x, w)
    gpu.unfold_into(on_device, in_x, w)
    (y, argmax), (found, taps) = cpu.max_pool(x, w, True), gpu.max_pool(in_x, w, True)
    expected = [columns, y, argmax, cpu.window_sum(x, w), cpu.window_spread(g, w), cpu.scatter_taps(g, argmax, w)]
    results = [on_device, found, taps, gpu.window_sum(in_x, w), gpu.window_spread(in_g, w)]
    results.append(gpu.scatter_taps(in_g, taps, w))
    cpu.fold_into(x, columns, w)
    gpu.fold_into(in_x, on_device, w)
    for a, b in zip([*results, in_x], [*expected, x]):  # sums of small integers are exact
        np.testing.assert_array_equal(a.get(), b)


def test_more_dimensions_than_the_kernels_know(gpu):
    w = window((3, 3, 3, 3), 2)
    with pytest.raises(ValueError, match="windows over 4 dimensions: the GPU kernels know up to 3"):
        gpu.window_sum(on_gpu(np.ones((1, 1, 3, 3, 3, 3))), w)
