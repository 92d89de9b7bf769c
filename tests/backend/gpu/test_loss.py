"""The cross-entropy on the GPU and its gradient, against the CPU's in float64."""

import itertools

import numpy as np
import pytest

from tests.gpu import on_gpu
from tests.layouts import LAYOUTS
from tinycnn.backend import cpu

pytestmark = pytest.mark.gpu


IGNORED = -100
TOLERANCE = {np.float64: 1e-13, np.float32: 2e-5, np.float16: 2e-3}
each_float = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def inputs(shape, classes, dtype, seed=0, ignored=True):
    """Scores (N, C, *), or (C) for the shape (); targets (N, *), a third of them ignored; weights (C)."""
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal((*shape[:1], classes, *shape[1:]))).astype(dtype)
    target = np.asarray(rng.integers(0, classes, shape))
    if ignored and target.size > 1:
        target[rng.random(shape) < 0.33] = IGNORED
        target.flat[0] = classes - 1
    return x, target, rng.random(classes).astype(dtype)


def compare(gpu, x, target, weight=None, smoothing=0.0, reduction="mean", ignore_index=IGNORED, u=None):
    """Loss and gradient for a random upstream gradient, twice the same bits."""
    dtype, class_dim = x.dtype.type, min(1, x.ndim - 1)
    options = (ignore_index, smoothing, reduction, class_dim)

    def exact(array):
        return None if array is None else array.astype(np.float64)

    loss, saved = cpu.cross_entropy(exact(x), target, exact(weight), *options)
    if u is None:
        u = np.asarray(np.random.default_rng(9).standard_normal(loss.shape), dtype)
    gradient = cpu.cross_entropy_backward(exact(u), exact(x), saved, exact(weight), class_dim)

    def run():
        in_x, in_weight = on_gpu(x), None if weight is None else on_gpu(weight)
        loss, saved = gpu.cross_entropy(in_x, on_gpu(target), in_weight, *options)
        return loss.get(), gpu.cross_entropy_backward(on_gpu(u), in_x, saved, in_weight, class_dim).get()

    found, again = run(), run()
    for a, b, expected in zip(found, again, (loss, gradient)):
        assert a.tobytes() == b.tobytes()
        assert (a.shape, a.dtype) == (expected.shape, dtype)
        scale = abs(expected).max(initial=1)
        np.testing.assert_allclose(a.astype(np.float64), expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@each_float
@pytest.mark.parametrize("classes", [1, 2, 3, 10, 257, 1000])
def test_classes(gpu, classes, dtype, reduction):
    x, target, weight = inputs((37,), classes, dtype)
    for given, smoothing in itertools.product((None, weight), (0.0, 0.1, 1.0)):
        compare(gpu, x, target, given, smoothing, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@each_float
def test_rows_too_many_for_one_block(gpu, dtype, reduction):
    x, target, weight = inputs((5, 211), 3, dtype)
    for given, smoothing in itertools.product((None, weight), (0.0, 0.1)):
        compare(gpu, x, target, given, smoothing, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (1,), (300,), (4, 5), (2, 3, 4, 5), (0,), (3, 0)], ids=str)
def test_shapes(gpu, shape, reduction):
    x, target, weight = inputs(shape, 5, np.float64)
    if target.size or reduction != "mean":
        compare(gpu, x, target, None, 0.0, reduction)
        compare(gpu, x, target, weight, 0.2, reduction)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@each_layout
def test_memory_order_does_not_matter(gpu, layout, reduction):
    x, target, weight = inputs((6, 4, 5), 7, np.float64)
    rng = np.random.default_rng(3)
    lay_out = LAYOUTS[layout]
    repeated = lambda u: np.broadcast_to(u[:1, :, :1], u.shape)  # noqa: E731
    for upstream in (np.ascontiguousarray, np.asfortranarray, lay_out, repeated):
        u = upstream(rng.standard_normal((6, 4, 5))) if reduction == "none" else None
        compare(gpu, lay_out(x), lay_out(target), weight, 0.1, reduction, u=u)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_types_of_targets(gpu, dtype):
    x, target, weight = inputs((20,), 6, np.float64, ignored=False)
    compare(gpu, x, target.astype(dtype), weight)
    compare(gpu, x, target.astype(dtype), weight, ignore_index=3)  # a class


def test_far_scores_neither_overflow_nor_vanish(gpu):
    x = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 3], [-np.inf, 0, 1], [5e4, 5e4, 5e4]], np.float32)
    target = np.array([0, 2, 1, 2])
    for dtype in (np.float32, np.float64):
        compare(gpu, x.astype(dtype), target, reduction="none")
        compare(gpu, x.astype(dtype), target)


@pytest.mark.parametrize("weighted", [False, True])
def test_where_nothing_counts(gpu, weighted):
    x, target, weight = inputs((4,), 3, np.float32)
    target[:] = IGNORED if not weighted else 1
    weight[1] = 0
    given = on_gpu(weight) if weighted else None
    for reduction, expected in (("mean", np.nan), ("sum", 0), ("none", [0, 0, 0, 0])):
        loss, saved = gpu.cross_entropy(on_gpu(x), on_gpu(target), given, IGNORED, 0.0, reduction, 1)
        np.testing.assert_array_equal(loss.get(), np.array(expected, np.float32))
        u = on_gpu(np.ones_like(loss.get()))
        gradient = gpu.cross_entropy_backward(u, on_gpu(x), saved, given, 1).get()
        np.testing.assert_array_equal(gradient, np.zeros_like(x))


@pytest.mark.parametrize("wrong", [-1, 5, 2**40])
def test_a_target_that_is_no_class_gives_nan(gpu, wrong):
    x, target, _ = inputs((6,), 5, np.float32, ignored=False)
    target[2] = wrong
    loss, saved = gpu.cross_entropy(on_gpu(x), on_gpu(target), None, IGNORED, 0.0, "none", 1)
    assert np.isnan(loss.get()).tolist() == [False, False, True, False, False, False]
    gradient = gpu.cross_entropy_backward(on_gpu(np.ones(6, np.float32)), on_gpu(x), saved, None, 1).get()
    assert np.isnan(gradient).all(1).tolist() == [False, False, True, False, False, False]
    mean, _ = gpu.cross_entropy(on_gpu(x), on_gpu(target), None, IGNORED, 0.0, "mean", 1)
    assert np.isnan(mean.get())
