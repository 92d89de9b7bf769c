"""Threads take packs of neighbours where arrays lie so, single elements elsewhere: results are the same, and which way
was taken is known."""

import importlib
import math

import numpy as np
import pytest

import tinycnn
from tests.gpu import on_gpu
from tinycnn import nn
from tinycnn.backend import cpu
from tinycnn.nn import functional as F
from tinycnn.ops.windows import Window

pytestmark = pytest.mark.gpu

FLOATS = ["float32", "float64", "float16"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
POOLED = Window((5, 6), (3, 2), (2, 2), ((1, 1), (0, 1)), (1, 1))
TILES = Window((4, 6), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
DILATED = Window((7, 8), (2, 3), (4, 1), ((2, 1), (1, 2)), (6, 2))
MANY_TAPS = Window((9, 40), (2, 33), (1, 2), ((0, 0), (3, 3)), (1, 1))  # 66: not unrolled
MOST = Window((300,), (257,), (7,), ((3, 3),), (1,))  # taps that need four bytes
WINDOWS = [POOLED, TILES, DILATED, MANY_TAPS, MOST]
each_window = pytest.mark.parametrize("w", WINDOWS, ids=["overlapping", "tiles", "dilated", "66 taps", "257 taps"])


# --- how an array lies on the GPU ---------------------------------------------------------------------------------


def dense(array):
    """Batch innermost."""
    axes = (2, 1, *range(3, array.ndim), 0)
    return on_gpu(np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes)))


def in_larger_memory(before, after):
    """Batch innermost, with `before` and `after` elements of other memory around the batch."""

    def placed(array):
        n = len(array)
        larger = np.zeros((n + before + after, *array.shape[1:]), array.dtype)
        larger[before : before + n] = array
        return dense(larger)[before : before + n]

    return placed


def row_major(array):
    return on_gpu(np.ascontiguousarray(array))


PLACES = {  # and whether packs are taken
    "dense": (dense, True),
    "gaps": (in_larger_memory(16, 16), True),
    "begins between packs": (in_larger_memory(1, 15), False),
    "steps between packs": (in_larger_memory(0, 1), False),
    "row-major": (row_major, False),
}
each_place = pytest.mark.parametrize("place", PLACES)


def width_of(launched, name):
    (width,) = {width for kernel, width, _ in launched if kernel == name}
    return width


def values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 7, shape).astype(dtype)


def assert_near(found, expected, dtype):
    tolerance = 64 * np.finfo(dtype).eps if np.dtype(dtype).kind == "f" else 0
    np.testing.assert_allclose(found.get().astype(float), expected.astype(float), rtol=tolerance, atol=tolerance)


# --- windows ------------------------------------------------------------------------------------------------------


def columns_shape(n, w):
    return (*w.kernel_size, n, 3, *w.output_size)


def empty_columns(n, w, dtype):
    """Batch innermost, as convolutions unfold."""
    columns = np.zeros(columns_shape(n, w), dtype)
    d = len(w.kernel_size)
    axes = (*range(d), *range(d + 1, columns.ndim), d)
    return np.ascontiguousarray(columns.transpose(axes)).transpose(np.argsort(axes))


@pytest.mark.slow
@each_place
@each_window
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_over_windows(gpu, launched, w, dtype, place):
    n, (lay_out, packed) = 16, PLACES[place]
    x, g = values((n, 3, *w.input_size), dtype), values((n, 3, *w.output_size), dtype, 1)
    wide = 16 // np.dtype(dtype).itemsize
    sums, spread = gpu.window_sum(lay_out(x), w), gpu.window_spread(lay_out(g), w)
    assert_near(sums, cpu.window_sum(x.astype(np.float64), w), dtype)
    assert_near(spread, cpu.window_spread(g.astype(np.float64), w), dtype)
    assert width_of(launched, "window_sum") == width_of(launched, "fold") == (wide if packed else 1)
    for _, _, sizes in launched:
        assert (sizes is not None) == (math.prod(w.kernel_size) <= 64)


@pytest.mark.slow
@each_place
@each_window
@pytest.mark.parametrize("dtype", [*FLOATS, "uint8", "int64"])
def test_unfold_and_fold(gpu, launched, w, dtype, place):
    n, (lay_out, packed) = 16, PLACES[place]
    x, expected = values((n, 3, *w.input_size), dtype), empty_columns(n, w, dtype)
    columns, wide = on_gpu(expected), 16 // np.dtype(dtype).itemsize
    cpu.unfold_into(expected, x, w)
    gpu.unfold_into(columns, lay_out(x), w)
    np.testing.assert_array_equal(columns.get(), expected)
    in_x, folded = lay_out(np.zeros_like(x)), np.zeros_like(x)
    cpu.fold_into(folded, expected, w)
    gpu.fold_into(in_x, columns, w)
    assert_near(in_x, folded, dtype)
    assert width_of(launched, "unfold") == (wide if packed else 1)
    # a result of which rows begin between packs, or lie in another order, is written one by one
    assert width_of(launched, "fold") == (wide if packed else 1)


@pytest.mark.slow
@each_place
@each_window
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_max_pooling(gpu, launched, w, dtype, place):
    n, (lay_out, packed) = 16, PLACES[place]
    x = values((n, 3, *w.input_size), dtype)
    if np.dtype(dtype).kind == "f":  # a nan wins
        x[values(x.shape, "int64", 3) == 0] = np.nan
        x[values(x.shape, "int64", 4) == 0] = -np.inf
    y, argmax = cpu.max_pool(x, w, True)
    taps = argmax.dtype
    wide = 16 // max(np.dtype(dtype).itemsize, taps.itemsize) if packed else 1
    on_device = lay_out(x)
    found, chosen = gpu.max_pool(on_device, w, True)
    alone, _ = gpu.max_pool(on_device, w, False)
    for result in (found, alone):
        np.testing.assert_array_equal(result.get(), y)
    np.testing.assert_array_equal(chosen.get(), argmax)
    name = taps.str[1:]
    assert [width for kernel, width, _ in launched if kernel == f"max_pool_{name}"] == [
        wide, 16 // np.dtype(dtype).itemsize if packed else 1
    ]  # fmt: skip
    g, other = values(y.shape, dtype, 5), values(x.shape, dtype, 6)
    argmax_there = lay_out(argmax)
    scattered, gathered = (
        gpu.scatter_taps(lay_out(g), argmax_there, w),
        gpu.gather_taps(lay_out(other), argmax_there, w),
    )
    assert_near(scattered, cpu.scatter_taps(g.astype(np.float64), argmax, w), dtype)
    np.testing.assert_array_equal(gathered.get(), cpu.gather_taps(other.astype(np.float64), argmax, w))
    assert width_of(launched, f"scatter_taps_{name}") == width_of(launched, f"gather_taps_{name}") == wide


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3, 4, 6, 7, 8, 12, 15])
@pytest.mark.parametrize("dtype", [*FLOATS, "uint8"])
def test_batches_that_are_no_packs(gpu, launched, n, dtype):
    x = values((n, 3, *POOLED.input_size), dtype)
    found, chosen = gpu.max_pool(dense(x), POOLED, True)
    y, argmax = cpu.max_pool(x, POOLED, True)
    np.testing.assert_array_equal(found.get(), y)
    np.testing.assert_array_equal(chosen.get(), argmax)
    wide = 16 // np.dtype(dtype).itemsize
    assert width_of(launched, "max_pool_u1") == (wide if n % wide == 0 else 1)


def test_windows_along_the_innermost_axis_are_taken_one_by_one(gpu, launched):
    x = np.ascontiguousarray(values((4, 4, 4, 8), "float32"))
    w = Window((4, 8), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    np.testing.assert_array_equal(gpu.window_sum(on_gpu(x), w).get(), x)
    assert width_of(launched, "window_sum") == 1
    padded = Window((4, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    expected = np.empty(columns_shape(4, padded)[:2] + (4, 4, 4, 8), "float32")
    cpu.unfold_into(expected, x, padded)
    columns = on_gpu(np.empty_like(expected))  # row-major, as x is: a pack would begin on padding and end on x
    gpu.unfold_into(columns, on_gpu(x), padded)
    np.testing.assert_array_equal(columns.get(), expected)
    assert width_of(launched, "unfold") == 1


# --- element by element -------------------------------------------------------------------------------------------


@each_place
@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_backward(gpu, launched, dtype, place):
    """The result lies as y does; its upstream gradient may lie otherwise."""
    lay_out, packed = PLACES[place]
    y = values((16, 3, 5, 7), dtype).clip(0)
    u = values(y.shape, dtype, 1)
    u[0, 0] = np.nan
    found = gpu.relu_backward(lay_out(u), dense(y))
    np.testing.assert_array_equal(found.get(), np.where(y != 0, u, 0))
    assert width_of(launched, "relu_backward") == (16 // np.dtype(dtype).itemsize if packed else 1)


@pytest.mark.parametrize("shape", [(64,), (8, 8), (3, 4, 5), (1, 1), (63,), (5, 7), (0, 4), ()])
@pytest.mark.parametrize("dtype", FLOATS)
def test_dense_arrays_of_any_shape(gpu, launched, dtype, shape):
    y, u = values(shape, dtype).clip(0), values(shape, dtype, 1)
    found = gpu.relu_backward(on_gpu(np.asarray(u)), on_gpu(np.asarray(y)))
    np.testing.assert_array_equal(found.get(), np.where(y != 0, u, 0))
    wide = 16 // np.dtype(dtype).itemsize
    assert [width for _, width, _ in launched] == ([] if 0 in shape else [wide if math.prod(shape) % wide == 0 else 1])


@each_place
@pytest.mark.parametrize("dtype", FLOATS)
def test_normalisation(gpu, launched, dtype, place):
    lay_out, packed = PLACES[place]
    x, u = values((16, 3, 5, 7), dtype), values((16, 3, 5, 7), dtype, 1)
    expected, _, _, saved = cpu.standardize(x.astype(np.float64), (0, 2, 3), 1e-5)
    y, _, _, of_gpu = gpu.standardize(lay_out(x), (0, 2, 3), 1e-5)
    assert_near(y, expected, dtype)
    wide = 16 // np.dtype(dtype).itemsize
    in_packs = packed or (place == "row-major" and 35 % wide == 0)
    for name in ("moments", "standardize"):
        assert width_of(launched, name) == (wide if in_packs else 1)
    g, *sums = gpu.standardize_backward(lay_out(u), dense(x), of_gpu, (0, 2, 3))
    wanted, *expected = cpu.standardize_backward(u.astype(np.float64), x.astype(np.float64), saved, (0, 2, 3))
    assert_near(g, wanted, dtype)
    for found, total in zip(sums, expected):
        assert_near(found, total, "float64" if dtype == "float64" else "float32")
    for name in ("standardize_sums", "standardize_backward"):
        assert width_of(launched, name) == (wide if packed else 1)


@each_place
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums(gpu, launched, dtype, place):
    lay_out, packed = PLACES[place]
    x = values((16, 3, 20, 40), dtype)
    found = gpu.sum_over(lay_out(x), (0, 2, 3), False)
    wanted = x.astype(np.float64).sum((0, 2, 3))
    assert_near(found, wanted, dtype)
    wide = 16 // np.dtype(dtype).itemsize
    assert width_of(launched, "sum") == (wide if packed or place == "row-major" else 1)


def test_statistics_along_the_innermost_axis(gpu, launched):
    """A pack would need one for each of its elements."""
    x = values((16, 3, 5, 7), "float32")
    y, *_ = gpu.standardize(dense(x), (1, 2, 3), 1e-5)
    assert_near(y, cpu.standardize(x.astype(np.float64), (1, 2, 3), 1e-5)[0], "float32")
    assert width_of(launched, "standardize") == 1


REPEATED = {  # where a copy takes one element for a whole pack: (to, what is copied, whether packs are written)
    "one for each channel": (lambda: dense(values((16, 3, 5, 7), "float32")), (3, 1, 1), True),
    "one for each image": (lambda: dense(values((16, 3, 5, 7), "float32")), (16, 1, 1, 1), False),
    "one for all": (lambda: dense(values((16, 3, 5, 7), "float32")), (), True),
    "between packs": (lambda: in_larger_memory(1, 15)(values((16, 3, 5, 7), "float32")), (3, 1, 1), False),
    "row-major": (lambda: row_major(values((16, 3, 5, 7), "float32")), (3, 1, 1), False),
    "none": (lambda: dense(values((16, 0, 5, 7), "float32")), (), False),
}


@each_place
@pytest.mark.parametrize("case", REPEATED)
def test_copies_besides_an_unfolding(gpu, launched, place, case):
    """In one launch, however both lie in memory; the third is made by itself."""
    lay_out, packed = PLACES[place]
    make, shape, _ = REPEATED[case]
    x = values((16, 3, *POOLED.input_size), "float32")
    to, source = make(), on_gpu(np.asarray(values(shape, "float32", 3)))
    weight = values((4, 2, 3, 5), "float32", 4)
    ordered, third = on_gpu(np.zeros((4, 3, 5, 2), np.float32)), on_gpu(np.zeros(3, np.float32))
    expected = empty_columns(16, POOLED, "float32")
    columns = on_gpu(expected)
    copies = [(ordered, on_gpu(weight).transpose(0, 2, 3, 1)), (to, source), (third, on_gpu(np.arange(3.0)))]
    gpu.unfold_into(columns, lay_out(x), POOLED, copies)
    cpu.unfold_into(expected, x, POOLED)
    np.testing.assert_array_equal(columns.get(), expected)
    np.testing.assert_array_equal(ordered.get(), weight.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(to.get(), np.broadcast_to(source.get(), to.shape))
    np.testing.assert_array_equal(third.get(), np.arange(3.0))
    assert [name for name, *_ in launched] == ["unfold"]
    assert width_of(launched, "unfold") == (4 if packed else 1)


@pytest.mark.parametrize("case", REPEATED)
def test_copies_of_one_element_to_packs(gpu, case):
    windows = importlib.import_module("tinycnn.backend.gpu.windows")
    make, shape, packs = REPEATED[case]
    to = make()
    source = np.broadcast_to(np.zeros(shape, np.float32), to.shape)
    is_aligned = to.data.ptr % 16 == 0
    struct = windows._copying(to.shape, to.strides, source.strides, 4, 4 if is_aligned else 1).view(windows.COPY)
    assert bool(struct["repeated"]) == packs
    assert struct["walk"]["size"] == to.size // (4 if packs else 1)


# --- nets ---------------------------------------------------------------------------------------------------------

PACKED = {
    "relu_backward",
    "standardize",
    "standardize_backward",
    "fold",
    "window_sum",
    "max_pool_u1",
    "scatter_taps_u1",
}


class Residual(nn.Module):
    """ResNet's beginning, a block with stride and its end, with few channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.BatchNorm2d(4), nn.ReLU(),
                                  nn.MaxPool2d(3, stride=2, padding=1))  # fmt: skip
        self.block = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
                                   nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))  # fmt: skip
        self.short = nn.Sequential(nn.Conv2d(4, 8, 1, stride=2), nn.BatchNorm2d(8))
        self.end = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 10))

    def forward(self, x):
        x = self.stem(x)
        return self.end(self.block(x) + self.short(x))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


WINDOWS_OF = {  # (kernel, stride, dilation) of each dimension
    lenet: {((2, 2, 1),) * 2, ((5, 1, 1),)},
    Residual: {((3, 2, 1),) * 2, ((2, 2, 1),) * 2, ((3, 1, 1),), ((3, 2, 1),), ((1, 2, 1),)},
}


@pytest.mark.parametrize("net, size", [(lenet, (1, 28, 28)), (Residual, (3, 16, 16))], ids=["LeNet", "ResNet"])
def test_activations_of_nets_are_taken_in_packs(launched, net, size):
    importlib.import_module("tinycnn.backend.gpu.kernels")
    model = net().gpu()
    x = tinycnn.tensor(values((64, *size), "float32"), device="gpu")
    F.cross_entropy(model(x), tinycnn.zeros(64, dtype="int64", device="gpu")).backward()
    seen = {name for name, _, _ in launched}
    assert seen & PACKED
    assert [(name, width) for name, width, _ in launched if name in PACKED and width != 4] == []
    # the images of the first layer come row-major; all that is unfolded later is batch innermost
    assert next(width for name, width, _ in launched if name == "unfold") == 1
    assert {width for name, width, _ in launched if name == "unfold"} == {1, 4}
    # a module for each geometry: convolutions fold along the width alone, the rest is pooling
    geometries = {tuple(of[:3] for of in sizes) for _, _, sizes in launched if sizes}
    assert geometries == WINDOWS_OF[net]
