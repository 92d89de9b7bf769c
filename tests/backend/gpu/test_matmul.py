"""Matrix products on the GPU, against NumPy's in float64: operands and results however they lie in memory."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinycnn
from tests.gpu import launches, on_gpu
from tinycnn.backend import cpu

pytestmark = pytest.mark.gpu


FLOATS = [np.float64, np.float32, np.float16]
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.__name__)


def normal(shape, dtype=np.float64, seed=0):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def swapped(x):
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def with_gaps(x):
    """Rows that are further apart than they are long."""
    return np.concatenate([x, np.full_like(x, np.nan)[..., :3]], axis=-1)[..., : x.shape[-1]]


def every_second(x):
    return np.repeat(x, 2, axis=-1)[..., ::2]


def reversed_rows(x):
    return np.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :]


def one_row(x):
    """The same row again and again, by a stride of 0."""
    return np.broadcast_to(x[..., :1, :], x.shape)


def one_column(x):
    return np.broadcast_to(x[..., :1], x.shape)


def overlapping(x):
    """Row i + 1 begins at the second element of row i, as the windows of a convolution do."""
    n, k = x.shape[-2:]
    if n == 0 or k == 0:
        return x
    line = np.ascontiguousarray(np.concatenate([x[..., 0, :], x[..., -1]], axis=-1))
    return np.lib.stride_tricks.as_strided(line, x.shape, (*line.strides[:-1], line.itemsize, line.itemsize))


def batch_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)


def one_matrix(x):
    return np.broadcast_to(x[:1], x.shape)


IN_MEMORY = [
    np.ascontiguousarray, swapped, with_gaps, lambda x: with_gaps(x.swapaxes(-1, -2)).swapaxes(-1, -2), every_second,
    reversed_rows, one_row, one_column, overlapping, lambda x: overlapping(x.swapaxes(-1, -2)).swapaxes(-1, -2),
]  # fmt: skip
IN_MEMORY = {(f.__name__ if f.__name__ != "<lambda>" else f"transposed{i}"): f for i, f in enumerate(IN_MEMORY)}
RESULTS = ["ascontiguousarray", "swapped", "with_gaps", "transposed3", "every_second", "reversed_rows"]


def check(gpu, a, b, out=None):
    """The product, rounded once or as float32 is summed up; the same bits if it is computed again."""
    on_a, on_b, on_out = on_gpu(a), on_gpu(b), None if out is None else on_gpu(out)
    first = gpu.matmul(on_a, on_b, on_out).get()
    second = gpu.matmul(on_a, on_b, on_out)
    assert second is on_out or out is None
    assert first.tobytes() == second.get().tobytes()
    in_double = a.astype(np.float64), b.astype(np.float64)
    expected = cpu.matmul(*in_double)
    assert (first.shape, first.dtype) == (expected.shape, a.dtype)
    eps = np.finfo(np.float32 if a.dtype == np.float16 else a.dtype).eps
    bound = 2 * eps * a.shape[-1] * cpu.matmul(*map(abs, in_double)) + np.finfo(a.dtype).eps * abs(expected)
    assert (abs(first.astype(np.float64) - expected) <= bound + np.finfo(a.dtype).smallest_subnormal).all()


@pytest.mark.parametrize("of_b", IN_MEMORY)
@pytest.mark.parametrize("of_a", IN_MEMORY)
def test_operands_in_memory(gpu, of_a, of_b):
    for batch in ((), (3,), (2, 3)):
        a, b = IN_MEMORY[of_a](normal((*batch, 4, 5))), IN_MEMORY[of_b](normal((*batch, 5, 6), seed=1))
        check(gpu, a, b)
        check(gpu, a, b[0, :1] if len(batch) == 2 else b)


@pytest.mark.parametrize("of_out", RESULTS)
@pytest.mark.parametrize("of_a", ["ascontiguousarray", "swapped", "every_second"])
@pytest.mark.parametrize("of_b", ["ascontiguousarray", "swapped", "every_second"])
def test_result_in_memory(gpu, of_a, of_b, of_out):
    for batch, dtype in itertools.product(((), (3,)), FLOATS):
        a, b = normal((*batch, 4, 5), dtype), normal((*batch, 5, 6), dtype, 1)
        out = IN_MEMORY[of_out](np.full((*batch, 4, 6), np.nan, dtype))
        check(gpu, IN_MEMORY[of_a](a), IN_MEMORY[of_b](b), out)


@each_float
@pytest.mark.parametrize("k", [0, 1, 7])
@pytest.mark.parametrize("m", [0, 1, 6])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_sizes(gpu, n, m, k, dtype):
    """None, one and more rows, columns, terms: a dimension of size 1 may have any stride."""
    for batch, of_a, of_b in itertools.product(((), (1,), (2,), (0,)), IN_MEMORY, ("ascontiguousarray", "swapped")):
        a, b = normal((*batch, n, k), dtype), normal((*batch, k, m), dtype, 1)
        try:
            a, b = IN_MEMORY[of_a](a), IN_MEMORY[of_b](b)
        except ValueError:  # NumPy repeats nothing out of nothing
            continue
        check(gpu, a, b)
    for of_out in RESULTS:
        check(gpu, a, b, IN_MEMORY[of_out](np.full((*batch, n, m), np.nan, dtype)))


@pytest.mark.parametrize("shape_a, shape_b", [
    ((3, 1), (1, 4)), ((3, 1), ()), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((1, 1), (5,)), ((3,), (3,)), ((2, 3), (2, 3)),
], ids=str)  # fmt: skip
def test_batches_are_broadcast(gpu, shape_a, shape_b):
    check(gpu, normal((*shape_a, 4, 5)), normal((*shape_b, 5, 2), seed=1))
    check(gpu, swapped(normal((*shape_a, 4, 5), np.float32)), normal((*shape_b, 5, 2), np.float32, 1))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_batch_axes_in_memory(gpu, order):
    """Operands and result whose batch axes lie in any order, with the matrices inside, around or between them."""
    def lay_out(x):
        return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))

    a, b = normal((2, 3, 4, 5)), normal((2, 3, 5, 6), seed=1)
    check(gpu, lay_out(a), b)
    check(gpu, lay_out(a), lay_out(b))
    check(gpu, a, lay_out(b), lay_out(np.full((2, 3, 4, 6), np.nan)))


def test_batches_that_repeat_or_overlap(gpu):
    a, b = normal((3, 4, 5)), normal((3, 5, 6), seed=1)
    check(gpu, one_matrix(a), b)
    check(gpu, a, one_matrix(b))
    check(gpu, one_matrix(a), one_matrix(b))
    check(gpu, batch_last(a), b, batch_last(np.zeros((3, 4, 6))))
    windows = np.lib.stride_tricks.sliding_window_view(normal(30), 20).reshape(11, 4, 5)[::2]
    line = normal(80)
    rows = np.lib.stride_tricks.as_strided(line, (5, 6, 8), (2 * 5 * 8, 5 * 8, 8))  # as in ops/conv.py
    check(gpu, windows, normal((5, 3)))
    check(gpu, normal((4, 6)), rows)
    check(gpu, rows.swapaxes(-1, -2), normal((6, 2)))


def test_writes_nothing_but_the_result(gpu):
    larger = on_gpu(np.full((3, 6, 9), 7.0))
    a, b = normal((3, 4, 5)), normal((3, 5, 6), seed=1)
    gpu.matmul(on_gpu(a), on_gpu(b), larger[:, 1:5, 2:8])
    expected = np.full((3, 6, 9), 7.0)
    expected[:, 1:5, 2:8] = a @ b
    np.testing.assert_allclose(larger.get(), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_integers(gpu, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2, shape).astype(dtype) for shape in ((2, 3, 4), (4, 5)))
    found = gpu.matmul(on_gpu(a), on_gpu(b))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.get(), a @ b)
    out = on_gpu(swapped(np.zeros((2, 3, 5), dtype)))
    np.testing.assert_array_equal(gpu.matmul(on_gpu(a), on_gpu(b), out).get(), a @ b)


@st.composite
def products(draw):
    n, m, k = (draw(st.integers(0, 5)) for _ in range(3))
    batch = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))

    def operand(rows, columns):
        own = tuple(draw(st.sampled_from([1, size])) for size in batch)[draw(st.integers(0, len(batch))) :]
        x = normal((*own, rows, columns), np.float32, draw(st.integers(0, 99)))
        order = draw(st.permutations(range(x.ndim)))
        gap = draw(st.sampled_from([1, 1, 2]))
        x = np.repeat(np.ascontiguousarray(x.transpose(order)), gap, axis=-1)[..., ::gap].transpose(np.argsort(order))
        return np.broadcast_to(x, (*batch, rows, columns)) if draw(st.booleans()) else x

    a, b = operand(n, k), operand(k, m)
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), n, m)
    order = draw(st.permutations(range(len(shape))))
    out = np.empty([shape[i] for i in order], np.float32).transpose(np.argsort(order))
    return a, b, draw(st.sampled_from([None, out]))


@pytest.mark.parametrize("of_out", RESULTS)
@pytest.mark.parametrize("of_a", ["ascontiguousarray", "swapped", "every_second"])
def test_added_to_the_result(gpu, of_a, of_out):
    for batch, dtype, k in itertools.product(((), (3,)), FLOATS, (0, 1, 5)):
        a, b = normal((*batch, 4, k), dtype), normal((*batch, k, 6), dtype, 1)
        if k:
            a = IN_MEMORY[of_a](a)
        before = normal((*batch, 4, 6), dtype, 2)
        out = on_gpu(IN_MEMORY[of_out](before))
        before = out.get().astype(np.float64)
        assert gpu.matmul(on_gpu(a), on_gpu(b), out, added=True) is out
        expected = before + cpu.matmul(a.astype(np.float64), b.astype(np.float64))
        eps = max(np.finfo(dtype).eps, 1e-15)
        np.testing.assert_allclose(out.get().astype(np.float64), expected, rtol=4 * eps, atol=40 * eps)
    out = on_gpu(np.arange(6).reshape(2, 3))
    gpu.matmul(on_gpu(np.ones((2, 4), int)), on_gpu(np.ones((4, 3), int)), out, added=True)
    np.testing.assert_array_equal(out.get(), np.arange(6).reshape(2, 3) + 4)


ANY_OPERANDS = ["ascontiguousarray", "swapped", "every_second"]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("of_w", ANY_OPERANDS)
@pytest.mark.parametrize("of_x", ANY_OPERANDS)
@each_float
def test_linear(gpu, dtype, of_x, of_w, with_bias):
    """x wᵀ + b and its gradients, each needed or not, and none of the memory around them touched."""
    for n, k, m in itertools.product((0, 1, 5), (0, 1, 8), (0, 1, 6)):
        try:
            x, w, u = (IN_MEMORY[of](normal(shape, dtype, i)) for i, (of, shape) in enumerate(
                ((of_x, (n, k)), (of_w, (m, k)), (of_x, (n, m)))
            ))  # fmt: skip
        except ValueError:  # NumPy repeats nothing out of nothing
            continue
        b = normal((m,), dtype, 5) if with_bias else None
        there = [None if array is None else on_gpu(array) for array in (x, w, b, u)]
        exact = [None if array is None else array.astype(np.float64) for array in (x, w, b, u)]
        sums = np.finfo(np.float32 if dtype == np.float16 else dtype).eps
        found = gpu.linear(*there[:3], "float32")
        expected = cpu.linear(*exact[:3], "float32")
        assert (found.shape, found.dtype, found.flags.c_contiguous) == (expected.shape, dtype, True)
        tolerance = {"rtol": 2 * np.finfo(dtype).eps, "atol": 100 * sums + np.finfo(dtype).eps * 10}
        np.testing.assert_allclose(found.get().astype(np.float64), expected, **tolerance)
        for needs in itertools.product((True, False), repeat=3 if with_bias else 2):
            found = gpu.linear_backward(there[3], there[0], there[1], needs, "float32")
            expected = cpu.linear_backward(exact[3], exact[0], exact[1], needs, "float32")
            assert len(found) == len(expected) == len(needs)
            for gradient, wanted, needed in zip(found, expected, needs):
                assert (gradient is not None) == needed
                if needed:
                    assert (gradient.shape, gradient.dtype) == (wanted.shape, dtype)
                    np.testing.assert_allclose(gradient.get().astype(np.float64), wanted, **tolerance)


@pytest.mark.parametrize("dtype, forward, backward", [
    (np.float32, 1, 2), (np.float16, 1, 2), (np.float64, 2, 3),  # cuBLASLt adds nothing to a product of float64
])  # fmt: skip
def test_launches_of_linear(gpu, dtype, forward, backward):
    """The bias is added, and its gradient summed up, by the launch of a product."""
    x, w, u = (on_gpu(normal(shape, dtype)) for shape in ((9, 8), (6, 8), (9, 6)))
    b = on_gpu(normal((6,), dtype))
    gpu.linear(x, w, b, "float32"), gpu.linear_backward(u, x, w, (True, True, True), "float32")
    assert launches(lambda: gpu.linear(x, w, b, "float32")) == forward
    assert launches(lambda: gpu.linear_backward(u, x, w, (True, True, True), "float32")) == backward
    assert launches(lambda: gpu.linear_backward(u, x, w, (True, True, False), "float32")) == 2


def test_linear_of_operands_at_any_address(gpu):
    """The algorithm that is chosen for one alignment is not used for another."""
    memory = on_gpu(normal((400,), np.float32))
    for start in (0, 1, 2, 4, 8, 0):
        x, w, b = (memory[start + at :][:size] for at, size in ((0, 40), (64, 48), (128, 6)))
        found = gpu.linear(x.reshape(5, 8), w.reshape(6, 8), b, "float32")
        x, w, b = (array.get() for array in (x, w, b))
        np.testing.assert_allclose(found.get(), x.reshape(5, 8) @ w.reshape(6, 8).T + b, rtol=1e-5, atol=1e-5)


def test_few_plans_are_kept(gpu, monkeypatch):
    from tinycnn.backend.gpu import cublas

    monkeypatch.setattr(cublas, "MOST_PLANS", 3)
    handle = gpu.linear.__globals__["_handle"]()
    handle.plans.clear()
    for n in range(1, 9):
        x, w, b = normal((n, 3), np.float32), normal((4, 3), np.float32), normal((4,), np.float32)
        found = gpu.linear(on_gpu(x), on_gpu(w), on_gpu(b), "float32")
        np.testing.assert_allclose(found.get(), x @ w.T + b, rtol=1e-5, atol=1e-5)
        assert len(handle.plans) <= 3


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products())
def test_any_product(gpu, case):
    check(gpu, *case)


# --- mixed precision ----------------------------------------------------------------------------------------------


def sixteen_bits(x, dtype):
    return x.astype(tinycnn.bfloat16 if dtype == "bfloat16" else dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("precision, eps", [("float32", {"float16": 2**-11, "bfloat16": 2**-8}), ("wide", None)])
def test_products_of_16_bits(gpu, dtype, precision, eps):
    """Summed in float32, and rounded once, or, as "wide" asks, not at all."""
    a, b = (sixteen_bits(normal(shape, np.float32, i), dtype) for i, shape in enumerate([(3, 40, 50), (3, 50, 30)]))
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    result = a.dtype if eps else np.float32
    close = {"rtol": eps[dtype] * 1.01, "atol": 1e-4} if eps else {"rtol": 0, "atol": 1e-5}
    for lay_a, lay_b, lay_out in itertools.product((np.ascontiguousarray, swapped, with_gaps), repeat=3):
        for out in (None, on_gpu(lay_out(np.zeros((3, 40, 30), result)))):
            found = gpu.matmul(on_gpu(lay_a(a)), on_gpu(lay_b(b)), out, precision)
            assert found.dtype == result
            np.testing.assert_allclose(found.get().astype(np.float64), exact, **close)


def test_products_of_16_bits_in_several_calls(gpu):
    """Batches that do not lie evenly in memory, and results that are twice as wide as the operands."""
    a, b = normal((4, 3, 5, 7), np.float16), normal((4, 3, 7, 2), np.float16, 1)
    operands = [on_gpu(x).swapaxes(0, 1)[:, ::2] for x in (a, b)]
    exact = np.matmul(*(x.get().astype(np.float64) for x in operands))
    np.testing.assert_allclose(gpu.matmul(*operands, None, "wide").get(), exact, rtol=0, atol=1e-5)


def test_products_of_tf32(gpu):
    a, b = normal((3, 40, 50), np.float32), normal((3, 50, 30), np.float32, 1)
    exact = a.astype(np.float64) @ b
    found = gpu.matmul(on_gpu(a), on_gpu(b), precision="tf32").get()
    error = abs(found - exact) / (abs(a) @ abs(b))
    assert found.dtype == np.float32
    assert error.max() < 1e-3  # 10 bits of mantissa: each operand is off by up to 2**-11
    assert error.max() > 1e-5  # else float32 was not rounded at all
    in_float32 = gpu.matmul(on_gpu(a), on_gpu(b)).get()
    np.testing.assert_allclose(in_float32, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["tf32", "wide"])
def test_float64_is_never_rounded(gpu, precision):
    a, b = normal((4, 5)), normal((5, 6), seed=1)
    found = gpu.matmul(on_gpu(a), on_gpu(b), precision=precision)
    np.testing.assert_allclose(found.get(), a @ b, rtol=1e-14, atol=1e-14)
