"""Batch normalisation in few passes: the same as the plain way, for any memory order, by any number of threads."""

import numpy as np
import pytest

from tinycnn import backend
from tinycnn.backend import batch_statistics, cpu

ORDERS = {"batch innermost": (2, 1, 3, 0), "batch outermost": (0, 1, 2, 3)}
DIMS = (0, 2, 3)


def numbers(order, shape=(7, 5, 6, 8), seed=0, mean=0.5):
    """x (N, C, H, W), in memory in this order of its dimensions."""
    rng = np.random.default_rng(seed)
    memory = rng.standard_normal([shape[d] for d in order]) + mean
    return memory.transpose(np.argsort(order))


@pytest.fixture
def small_arrays_too(monkeypatch):
    monkeypatch.setattr(batch_statistics, "LEAST_ELEMENTS", 0)
    batch_statistics.layout.cache_clear()
    yield
    batch_statistics.layout.cache_clear()


def plain(monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(cpu, "_batch_layout", lambda x, dims: None)
        return call()


def found_layout(x):
    return batch_statistics.layout(x.shape, x.strides, x.itemsize, DIMS, 1)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("affine", ["none", "weight", "both"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_same_as_the_plain_way(order, affine, threads, small_arrays_too, monkeypatch):
    monkeypatch.setattr(backend.threads, "num_threads", threads)
    monkeypatch.setattr(backend.threads, "OPERATIONS_A_THREAD", 0)
    monkeypatch.setattr(batch_statistics, "PIECE_BYTES", 3000)
    x, u = numbers(order), numbers(order, seed=1)
    assert found_layout(x) is not None, "this would test nothing"
    rng = np.random.default_rng(2)
    weight, bias = rng.standard_normal((2, 1, 5, 1, 1))
    given = {"none": (None, None), "weight": (weight, None), "both": (weight, bias)}[affine]

    def call():
        running = np.zeros((1, 5, 1, 1)), np.ones((1, 5, 1, 1)), 0.1, np.zeros((), np.int64)
        y, mean, variance, saved = cpu.standardize(x, DIMS, 1e-5, *given, running)
        return [y, mean, variance, *running, *cpu.standardize_backward(u, x, saved, DIMS, given[0])]

    found, expected = call(), plain(monkeypatch, call)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert found[0].strides == found[-3].strides == x.strides


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_scale_and_shift(order, small_arrays_too, monkeypatch):
    x, (weight, bias) = numbers(order), np.random.default_rng(2).standard_normal((2, 1, 5, 1, 1))
    for given in ((weight, bias), (weight, None)):
        call = lambda: cpu.scale_shift(x, *given)  # noqa: B023, E731
        np.testing.assert_allclose(call(), plain(monkeypatch, call), rtol=1e-14)
        assert call().strides == x.strides


@pytest.mark.parametrize("mean", [1e3, 1e5])
def test_a_mean_far_from_zero_loses_no_digits(mean, small_arrays_too):
    """Σ x² / n − mean² has none left: there the plain way is taken."""
    x = numbers(ORDERS["batch innermost"], mean=mean).astype(np.float32)
    u = numbers(ORDERS["batch innermost"], seed=1).astype(np.float32)
    y, _, variance, saved = cpu.standardize(x, DIMS, 1e-5)
    exact = x.astype(np.float64)
    centred = exact - exact.mean(DIMS, keepdims=True)
    expected = centred / np.sqrt(centred.var(DIMS, keepdims=True) + 1e-5)
    np.testing.assert_allclose(variance, centred.var(DIMS, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(y, expected, atol=2e-3 * np.abs(expected).max())
    _, sum_ux, _ = cpu.standardize_backward(u, x, saved, DIMS)
    np.testing.assert_allclose(sum_ux, (u * expected).sum(DIMS, keepdims=True), atol=0.05)


def test_many_rows_lose_no_digits(small_arrays_too):
    x = (np.random.default_rng(0).standard_normal((100_000, 2, 1, 16)) + 1).astype(np.float32)
    assert found_layout(x) is not None
    variance = cpu.standardize(x, DIMS, 1e-5)[2]
    np.testing.assert_allclose(variance, x.astype(np.float64).var(DIMS, keepdims=True), rtol=1e-6)


def test_squares_that_overflow(small_arrays_too):
    x = numbers(ORDERS["batch innermost"], mean=0).astype(np.float32) * np.float32(1e15) + np.float32(3e19)
    with np.errstate(over="ignore"):
        y = cpu.standardize(x, DIMS, 1e-5)[0]
    assert np.isfinite(y).all()
    assert 0.5 < y.std() < 1.5


def test_a_gradient_in_another_memory_order(small_arrays_too, monkeypatch):
    x, u = numbers(ORDERS["batch innermost"]), numbers(ORDERS["batch outermost"], seed=1)
    *_, saved = cpu.standardize(x, DIMS, 1e-5)
    call = lambda: cpu.standardize_backward(u, x, saved, DIMS)  # noqa: E731
    for a, b in zip(call(), plain(monkeypatch, call), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(value, small_arrays_too):
    x = np.array(numbers(ORDERS["batch innermost"]), order="K")
    x[1, 2, 3, 4] = value
    with np.errstate(invalid="ignore"):
        y = cpu.standardize(x, DIMS, 1e-5)[0]
    assert np.isnan(y[:, 2]).any()
    assert np.isfinite(np.delete(y, 2, axis=1)).all()


@pytest.mark.parametrize(
    "x",
    [
        numbers(ORDERS["batch innermost"])[:, :, ::2],  # gaps
        numbers((1, 0, 2, 3)),  # channels outermost
        numbers((0, 2, 3, 1)),  # channels innermost
        np.broadcast_to(numbers(ORDERS["batch innermost"])[:1], (7, 5, 6, 8)),
    ],
    ids=["gaps", "channels outermost", "channels innermost", "repeated"],
)
def test_other_memory_is_left_to_the_plain_way(x, small_arrays_too):
    assert found_layout(x) is None
