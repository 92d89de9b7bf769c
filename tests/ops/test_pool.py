"""Max and average pooling, against the loops of `tinycnn.reference`."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinycnn
from tests.layouts import LAYOUTS
from tinycnn import gradcheck, gradgradcheck
from tinycnn.nn import functional as F
from tinycnn.teaching import reference

MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class Pool(NamedTuple):
    """The input's spatial size, and the arguments."""

    input: tuple
    kernel: tuple
    stride: tuple | None = None
    padding: tuple | int = 0
    dilation: tuple | int = 1
    ceil_mode: bool = False

    @property
    def options(self):
        """Those that both kinds have."""
        return {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
        }

    def array(self, N=2, C=3, dtype=np.float64):
        """Random numbers of few values, so that there are ties, all negative, so that padding of zeros would win."""
        rng = np.random.default_rng(0)
        return rng.integers(-9, -1, (N, C, *self.input)).astype(dtype)


POOLS = {
    "2x2": Pool((6, 8), (2, 2)),
    "2x2 that leaves a rest": Pool((7, 9), (2, 2)),
    "not square": Pool((7, 8), (2, 3)),
    "not square, the other way": Pool((7, 8), (3, 2)),
    "as large as the input": Pool((5, 3), (5, 3)),
    "1x1": Pool((3, 4), (1, 1)),
    "overlapping": Pool((7, 8), (3, 3), (2, 1)),
    "with gaps": Pool((9, 10), (2, 2), (3, 4)),
    "padded": Pool((7, 8), (3, 4), (2, 3), (1, 2)),
    "padded tiles": Pool((6, 4), (2, 4), (2, 4), (1, 2)),
    "more padding than input": Pool((1, 2), (4, 5), (1, 1), (2, 2)),
    "ceil_mode, a window that is partly there": Pool((7, 8), (2, 3), (2, 3), ceil_mode=True),
    "ceil_mode, padded, where the last window would start in the padding": Pool(
        (5, 6), (2, 2), (2, 2), 1, ceil_mode=True
    ),
    "ceil_mode, kernel larger than the input": Pool((2, 3), (3, 4), (2, 3), ceil_mode=True),
    "1-d": Pool((11,), (3,), (2,), (1,)),
    "3-d": Pool((4, 5, 6), (2, 1, 3), (1, 2, 2), (1, 0, 1)),
}
DILATED = {
    "dilated": Pool((9, 8), (3, 2), (1, 1), (1, 1), (2, 3)),
    "dilated and strided": Pool((11, 13), (3, 2), (2, 3), (1, 1), (3, 2)),
    "dilated, ceil_mode": Pool((8, 10), (2, 3), (3, 2), (1, 1), (2, 2), True),
    "dilated, a window wholly in the padding": Pool((1, 2), (2, 2), (1, 1), (1, 1), (2, 3)),
    "dilated 1-d": Pool((12,), (4,), (2,), (2,), (3,)),
    "dilated 3-d": Pool((5, 6, 4), (2, 2, 2), (1, 2, 1), (1, 0, 1), (1, 3, 2)),
}
every_pool = pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
every_max_pool = pytest.mark.parametrize("pool", (POOLS | DILATED).values(), ids=POOLS | DILATED)


@st.composite
def pools(draw, dilated=True):
    dims = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, stride, size = each(1, 4), draw(st.none() | st.just(0)), each(1, 7)
    stride = stride if stride is None else each(1, 5)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    pool = Pool(size, kernel, stride, padding, each(1, 3) if dilated else 1, draw(st.booleans()))
    assume(all(count >= 1 for count in output_size(pool)))
    return pool


def output_size(pool):
    dims = len(pool.input)
    dilation = (pool.dilation,) * dims if isinstance(pool.dilation, int) else pool.dilation
    stride = pool.stride or pool.kernel
    axes = zip(pool.input, pool.kernel, stride, pool.padding, dilation)
    return tuple(reference.pool_output_size(*axis, pool.ceil_mode) for axis in axes)


def max_pool(x, pool):
    return MAX_POOL[len(pool.input)](x, **pool.options, dilation=pool.dilation)


def check_max_pool(pool, layout=np.ascontiguousarray):
    array = pool.array()
    x = tinycnn.from_numpy(layout(array)).requires_grad_()
    y = max_pool(x, pool)
    np.testing.assert_array_equal(
        y.detach().numpy(), reference.max_pool_nd(array, **pool.options, dilation=pool.dilation)
    )
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(tinycnn.from_numpy(layout(g)))
    expected = reference.max_pool_nd_backward(g, array, **pool.options, dilation=pool.dilation)
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def check_avg_pool(pool, layout=np.ascontiguousarray, **extra):
    array = pool.array()
    x = tinycnn.from_numpy(layout(array)).requires_grad_()
    y = AVG_POOL[len(pool.input)](x, **pool.options, **extra)
    expected = reference.avg_pool_nd(array, **pool.options, **extra)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-12)
    g = np.random.default_rng(2).standard_normal(y.shape)
    y.backward(tinycnn.from_numpy(layout(g)))
    expected = reference.avg_pool_nd_backward(g, array, **pool.options, **extra)
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


# --- max pooling ------------------------------------------------------------------------------------------


@every_max_pool
def test_max_pool_against_loops(pool):
    check_max_pool(pool)


@given(pools())
def test_any_max_pool_against_loops(pool):
    check_max_pool(pool)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["2x2", "padded", "dilated and strided", "1-d", "3-d"])
def test_max_pool_in_any_memory_order(name, layout):
    check_max_pool((POOLS | DILATED)[name], layout)


def test_max_pool_of_mixed_memory_orders():
    """The upstream gradient lies in another order than the input did."""
    for there, back in zip(LAYOUTS.values(), [*LAYOUTS.values()][1:]):
        array = POOLS["padded"].array()
        x = tinycnn.from_numpy(there(array)).requires_grad_()
        y = max_pool(x, POOLS["padded"])
        g = np.random.default_rng(3).standard_normal(y.shape)
        y.backward(tinycnn.from_numpy(back(g)))
        expected = reference.max_pool_nd_backward(g, array, **POOLS["padded"].options)
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_padding_never_wins():
    x = tinycnn.tensor(np.full((1, 1, 2, 2), -5.0), requires_grad=True)
    y = F.max_pool2d(x, 2, padding=1)
    assert y.tolist() == [[[[-5.0, -5.0], [-5.0, -5.0]]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


def test_the_first_of_equal_maxima_gets_the_gradient():
    x = tinycnn.tensor([[[[1.0, 3.0, 3.0], [3.0, 2.0, 3.0]]]], requires_grad=True)
    F.max_pool2d(x, (2, 3)).sum().backward()
    assert x.grad.tolist() == [[[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]]
    x.grad = None
    F.max_pool2d(x, 2, stride=1).sum().backward()  # both windows have their first 3 at (0, 1)
    assert x.grad.tolist() == [[[[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]]]
    zeros = tinycnn.tensor([[[[0.0, -0.0], [-0.0, 0.0]]]], requires_grad=True)
    F.max_pool2d(zeros, 2).sum().backward()
    assert zeros.grad.tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


@pytest.mark.parametrize("padding", [0, 1])
def test_minus_infinity_is_an_element_like_others(padding):
    pool = Pool((4, 5), (2, 3), (1, 2), padding)
    array = np.full((2, 1, 4, 5), -np.inf)
    array[1, 0, 2, 2] = 0.0
    x = tinycnn.tensor(array, requires_grad=True)
    y = max_pool(x, pool)
    np.testing.assert_array_equal(y.detach().numpy(), reference.max_pool_nd(array, **pool.options))
    g = np.random.default_rng(4).standard_normal(y.shape)
    y.backward(tinycnn.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), reference.max_pool_nd_backward(g, array, **pool.options), atol=1e-12)


def test_nan_wins():
    array = POOLS["overlapping"].array()
    array[0, 1, 3, 4] = array[1, 0, 0, 0] = array[1, 2, -1, -1] = np.nan
    x = tinycnn.tensor(array, requires_grad=True)
    y = max_pool(x, POOLS["overlapping"])
    expected = reference.max_pool_nd(array, **POOLS["overlapping"].options)
    assert np.isnan(expected).sum() > 3
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    y.sum().backward()
    assert x.grad.numpy().sum() == y.numel()  # whose the gradient is matters little, but none is lost


def test_infinity_and_nan_in_the_gradient_stay_where_they_belong():
    x = tinycnn.tensor(np.arange(8.0).reshape(1, 1, 2, 4), requires_grad=True)
    F.max_pool2d(x, 2).backward(tinycnn.tensor([[[[np.inf, np.nan]]]], dtype="float64"))
    assert str(x.grad.tolist()) == "[[[[0.0, 0.0, 0.0, 0.0], [0.0, inf, 0.0, nan]]]]"


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_max_pool_of_integers(dtype):
    array = np.random.default_rng(5).integers(0, 200, (2, 1, 6, 7)).astype(dtype)
    y = F.max_pool2d(tinycnn.tensor(array), (2, 3), padding=1)
    assert y.dtype == dtype
    expected = reference.max_pool_nd(array.astype(np.float64), (2, 3), padding=1)
    np.testing.assert_array_equal(y.numpy(), expected.astype(dtype))


def test_a_kernel_of_more_positions_than_a_byte_counts():
    check_max_pool(Pool((20, 19), (17, 18)))
    check_max_pool(Pool((300,), (290,), (3,), (145,)))


def test_without_gradients_nothing_is_kept():
    x = tinycnn.tensor(POOLS["2x2"].array())
    assert F.max_pool2d(x, 2).grad_fn is None
    np.testing.assert_array_equal(F.max_pool2d(x, 2).numpy(), reference.max_pool_nd(POOLS["2x2"].array(), 2))


# --- average pooling --------------------------------------------------------------------------------------


@every_pool
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool_against_loops(pool, count_include_pad):
    check_avg_pool(pool, count_include_pad=count_include_pad)


@given(pools(dilated=False), st.booleans(), st.none() | st.integers(1, 5))
def test_any_avg_pool_against_loops(pool, count_include_pad, divisor_override):
    extra = {"divisor_override": divisor_override} if len(pool.input) > 1 else {}
    check_avg_pool(pool, count_include_pad=count_include_pad, **extra)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["2x2", "padded", "ceil_mode, a window that is partly there", "1-d", "3-d"])
def test_avg_pool_in_any_memory_order(name, layout):
    check_avg_pool(POOLS[name], layout, count_include_pad=False)


def test_height_and_width_of_the_kernel():
    x = tinycnn.tensor(np.arange(12.0).reshape(1, 1, 2, 6))
    assert F.avg_pool2d(x, (1, 3)).tolist() == [[[[1.0, 4.0], [7.0, 10.0]]]]
    assert F.avg_pool2d(x, (2, 1)).tolist() == [[[[3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]]]


def test_what_the_mean_counts():
    x = tinycnn.tensor(np.ones((1, 1, 3, 3)))
    corners = {"count_include_pad": 4 / 9, "not": 1.0, "override": 2.0}
    assert F.avg_pool2d(x, 3, 2, 1)[0, 0, 0, 0].item() == pytest.approx(corners["count_include_pad"])
    assert F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)[0, 0, 0, 0].item() == pytest.approx(corners["not"])
    assert F.avg_pool2d(x, 3, 2, 1, divisor_override=2)[0, 0, 0, 0].item() == pytest.approx(corners["override"])
    # What ceil_mode adds beyond the padding counts in no case: the last window is one pixel, and one of padding.
    assert F.avg_pool2d(x, 2, 2, ceil_mode=True).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]
    y = F.avg_pool2d(x, 4, 2, 1, ceil_mode=True)
    assert y[0, 0, 1, 1].item() == pytest.approx(4 / 9)


# --- both -------------------------------------------------------------------------------------------------

KINDS = {
    "max": lambda x, pool: max_pool(x, pool),
    "avg": lambda x, pool: AVG_POOL[len(pool.input)](x, **pool.options, count_include_pad=False),
}
both_kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@both_kinds
@pytest.mark.parametrize("name", ["2x2", "padded", "ceil_mode, a window that is partly there", "1-d", "3-d"])
def test_finite_differences(kind, name):
    pool = POOLS[name]
    shape = (1, 2, *pool.input)
    # No two elements are so near to each other that a finite difference could swap them.
    array = np.random.default_rng(6).permutation(math.prod(shape)).reshape(shape) / 10
    x = tinycnn.tensor(array, requires_grad=True)
    assert gradcheck(lambda x: kind(x, pool), (x,))
    assert gradgradcheck(lambda x: kind(x, pool), (x,))
    # Pooling is linear from piece to piece: with a factor that depends on x its second derivative is not zero.
    assert gradgradcheck(lambda x: kind(x * x, pool) * kind(x, pool), (x,))


@both_kinds
@every_pool
def test_float32_in_float32_out(kind, pool):
    x = tinycnn.tensor(pool.array(dtype=np.float32), requires_grad=True)
    y = kind(x, pool)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32


@both_kinds
def test_empty_batch(kind):
    for pool in POOLS.values():
        x = tinycnn.tensor(pool.array(N=0), requires_grad=True)
        y = kind(x, pool)
        assert y.shape == kind(tinycnn.tensor(pool.array(N=1)), pool).shape[:0] + (
            0,
            *kind(tinycnn.tensor(pool.array()), pool).shape[1:],
        )
        y.sum().backward()
        assert x.grad.shape == x.shape


@both_kinds
@every_pool
def test_changes_no_argument_and_repeats_itself(kind, pool):
    array = pool.array()
    x = tinycnn.tensor(array, requires_grad=True)
    g = np.random.default_rng(7).standard_normal(kind(x, pool).shape)
    upstream = tinycnn.tensor(g)
    results = []
    for _ in range(2):
        x.grad = None
        y = kind(x, pool)
        y.backward(upstream)
        results.append((y.detach().numpy().copy(), x.grad.numpy().copy()))
    np.testing.assert_array_equal(x.detach().numpy(), array)
    np.testing.assert_array_equal(upstream.numpy(), g)
    for first, second in zip(*results):
        np.testing.assert_array_equal(first, second)


@both_kinds
def test_one_sample_without_a_batch(kind):
    for pool in (POOLS["padded"], POOLS["1-d"], POOLS["3-d"]):
        array = pool.array()
        x = tinycnn.tensor(array[0], requires_grad=True)
        y = kind(x, pool)
        np.testing.assert_array_equal(y.detach().numpy(), kind(tinycnn.tensor(array), pool).numpy()[0])
        y.sum().backward()
        assert x.grad.shape == x.shape


@both_kinds
def test_broadcast_input_and_gradient(kind):
    pool = POOLS["padded"]
    array = np.broadcast_to(pool.array()[:1, :, :, :1], (2, 3, *pool.input))
    x = tinycnn.from_numpy(array).requires_grad_()
    y = kind(x, pool)
    copy = tinycnn.tensor(np.ascontiguousarray(array), requires_grad=True)
    expected = kind(copy, pool)
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    y.sum().backward()  # its upstream gradient is a single 1, broadcast
    expected.backward(tinycnn.tensor(np.ones(y.shape)))
    np.testing.assert_allclose(x.grad.numpy(), copy.grad.numpy(), atol=1e-12)


@both_kinds
def test_ints_lists_and_tuples_mean_the_same(kind):
    x = tinycnn.tensor(Pool((8, 8), (2, 2)).array())
    expected = kind(x, Pool((8, 8), (3, 3), (2, 2), (1, 1))).numpy()
    np.testing.assert_array_equal(kind(x, Pool((8, 8), 3, 2, 1)).numpy(), expected)
    np.testing.assert_array_equal(kind(x, Pool((8, 8), [3, 3], [2, 2], [1, 1])).numpy(), expected)


@pytest.mark.parametrize("function", [F.max_pool2d, F.avg_pool2d], ids=["max", "avg"])
@pytest.mark.parametrize(
    "shape, arguments, error, message",
    [
        ((2, 3), (2,), ValueError, "expected input (N, C, H, W) or one sample without N, got shape (2, 3)"),
        ((1, 1, 3, 4), (5,), ValueError, "kernel (5, 5) with dilation (1, 1) spans (5, 5), more than the padded input"),
        ((1, 1, 0, 4), (2, 2, 1), ValueError, "with no empty dimension but N, got (1, 1, 0, 4)"),
        ((1, 1, 6, 6), (2, 1, 2), ValueError, "expected padding of at most half the kernel size (2, 2), got 2"),
        ((1, 1, 6, 6), (2, 0), ValueError, "expected stride of at least 1, got 0"),
        ((1, 1, 6, 6), (0,), ValueError, "expected kernel_size of at least 1, got 0"),
        ((1, 1, 6, 6), (2, 1, -1), ValueError, "expected padding of at least 0, got -1"),
        ((1, 1, 6, 6), ("2",), TypeError, "expected kernel_size as an int or 2 ints, got '2'"),
        ((1, 1, 6, 6), (2.0,), TypeError, "expected kernel_size as an int or 2 ints, got 2.0"),
        ((1, 1, 6, 6), ((2, 2, 2),), ValueError, "expected kernel_size as one int or 2, got 3: (2, 2, 2)"),
    ],
)
def test_errors_name_function_argument_and_value(function, shape, arguments, error, message):
    with pytest.raises(error) as raised:
        function(tinycnn.tensor(np.zeros(shape)), *arguments)
    assert str(raised.value).startswith(function.__name__)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_errors_of_one_kind_only():
    x = tinycnn.tensor(np.zeros((1, 1, 6, 6)))
    with pytest.raises(ValueError, match="max_pool2d: expected dilation of at least 1, got 0"):
        F.max_pool2d(x, 2, dilation=0)
    with pytest.raises(ValueError, match="avg_pool2d: expected a divisor_override other than 0"):
        F.avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(TypeError, match="avg_pool2d: expected an input Tensor .*, got ndarray"):
        F.avg_pool2d(np.zeros((1, 1, 6, 6)), 2)


# --- PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.torch
@given(pools(), st.booleans(), st.none() | st.integers(1, 5))
def test_same_as_torch(pool, count_include_pad, divisor_override):
    import torch

    dims, array = len(pool.input), pool.array()
    x, theirs = tinycnn.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    extent = [d * (k - 1) + 1 for k, d in zip(pool.kernel, pool.dilation)]
    # Where a window may lie wholly in the padding, torch writes to memory that is not its own.
    if all(size >= e for size, e in zip(pool.input, extent)):
        expected = getattr(torch.nn.functional, f"max_pool{dims}d")(theirs, **pool.options, dilation=pool.dilation)
        y = max_pool(x, pool)
        np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
        _compare_gradients(x, y, theirs, expected)
    if all(size >= k for size, k in zip(pool.input, pool.kernel)):
        extra = {"count_include_pad": count_include_pad}
        if dims > 1:
            extra["divisor_override"] = divisor_override
        expected = getattr(torch.nn.functional, f"avg_pool{dims}d")(theirs, **pool.options, **extra)
        y = AVG_POOL[dims](x, **pool.options, **extra)
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=1e-12)
        _compare_gradients(x, y, theirs, expected)


def _compare_gradients(x, y, theirs, expected):
    import torch

    x.grad = theirs.grad = None
    g = np.random.default_rng(8).standard_normal(y.shape)
    expected.backward(torch.tensor(g))
    y.backward(tinycnn.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), theirs.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("kernel_size", [255, 256, 257, 300])
def test_windows_of_more_elements_than_a_byte_counts(kernel_size):
    """The number of the largest element fits, wherever it lies."""
    for place in {0, 1, 254, 255, 256, kernel_size - 1} & {*range(kernel_size)}:
        x = np.zeros((1, 1, kernel_size + 1))
        x[0, 0, place] = 2.0
        tensor = tinycnn.tensor(x, requires_grad=True)
        y, indices = F.max_pool1d(tensor, kernel_size, 1, return_indices=True)
        assert indices[0, 0, 0].item() == place
        y[0, 0, 0].backward()
        np.testing.assert_array_equal(tensor.grad.numpy(), x / 2)


def test_a_window_wholly_in_the_padding_has_no_index():
    x = tinycnn.tensor([[[1.0]]])
    assert F.max_pool1d(x, 2, 1, 1, 2).item() == -np.inf
    with pytest.raises(ValueError, match="max_pool1d: a window of kernel size .* would lie wholly in the padding"):
        F.max_pool1d(x, 2, 1, 1, 2, return_indices=True)


def test_a_huge_output_size_is_refused_at_once():
    x = tinycnn.tensor(np.ones((1, 1, 4, 4), np.float32))
    for pool in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        with pytest.raises(ValueError, match="output_size is too large"):
            pool(x, 10**12)
