"""Convolution and its two adjoints, against the loops of `tinycnn.reference` and against each other."""

import threading
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tests.layouts import LAYOUTS
from tinycnn import Tensor, backend, gradcheck, gradgradcheck, nn
from tinycnn.nn import functional as F
from tinycnn.ops import conv as conv_ops
from tinycnn.ops.conv import ConvSpec
from tinycnn.teaching import reference

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Geometry(NamedTuple):
    """A convolution of N images; `channels` and `out_channels` count within one group."""

    input: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int = 1
    channels: int = 2
    out_channels: int = 3
    N: int = 2

    @property
    def options(self):
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def arrays(self, seed=0, dtype=np.float64):
        """Random x, w and b."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((self.N, self.groups * self.channels, *self.input))
        w = rng.standard_normal((self.groups * self.out_channels, self.channels, *self.kernel))
        b = rng.standard_normal(len(w))
        return x.astype(dtype), w.astype(dtype), b.astype(dtype)

    def spec(self):
        pairs = tuple(p if isinstance(p, tuple) else (p, p) for p in self.padding)
        return ConvSpec(self.input, self.kernel, self.stride, pairs, self.dilation, False, self.groups)


GEOMETRIES = {
    "1x1": Geometry((5, 7), (1, 1), (1, 1), (0, 0), (1, 1)),
    "1x1 with stride": Geometry((5, 7), (1, 1), (2, 3), (0, 0), (1, 1)),
    "3x2": Geometry((5, 7), (3, 2), (1, 1), (0, 0), (1, 1)),
    "kernel as large as the input": Geometry((4, 3), (4, 3), (1, 1), (0, 0), (1, 1)),
    "kernel as large as the padded input": Geometry((2, 3), (6, 5), (1, 1), (2, 1), (1, 1)),
    "one pixel in much padding": Geometry((1, 1), (3, 2), (1, 1), (3, 2), (1, 1)),
    "stride larger than the kernel": Geometry((11, 12), (2, 3), (4, 5), (0, 0), (1, 1)),
    "stride that leaves a rest": Geometry((10, 9), (3, 4), (3, 2), (1, 0), (1, 1)),
    "dilation that divides no size": Geometry((11, 13), (3, 2), (1, 1), (2, 3), (3, 4)),
    "stride and dilation with a common factor": Geometry((13, 17), (3, 3), (4, 2), (1, 2), (2, 4)),
    "stride and dilation without one": Geometry((15, 14), (3, 3), (2, 3), (2, 1), (3, 2)),
    "all at once, in groups": Geometry((12, 11), (2, 3), (3, 2), (2, 3), (2, 3), groups=3),
    "depthwise": Geometry((7, 6), (3, 2), (2, 1), (1, 2), (1, 2), groups=5, channels=1, out_channels=1),
    "depthwise with a multiplier": Geometry((7, 6), (3, 2), (2, 1), (1, 2), (1, 2), groups=4, channels=1),
    "one channel": Geometry((6, 8), (5, 3), (1, 1), (2, 1), (1, 1), channels=1, out_channels=1),
    "1-d": Geometry((17,), (4,), (3,), (2,), (2,)),
    "1-d, in groups": Geometry((13,), (3,), (2,), (4,), (3,), groups=2),
    "3-d": Geometry((5, 6, 7), (2, 3, 2), (2, 1, 3), (1, 2, 0), (2, 1, 3)),
    "3-d, in groups": Geometry((4, 5, 6), (3, 2, 2), (1, 2, 2), (1, 1, 2), (1, 2, 1), groups=2, channels=1),
}
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


@st.composite
def geometries(draw, asymmetric=False):
    dims = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation, padding, extra = each(1, 3), each(1, 4), each(1, 3), each(0, 3), each(0, 4)
    after = each(0, 3) if asymmetric else padding
    axes = zip(kernel, dilation, padding, after, extra)
    size = tuple(max(1, d * (k - 1) + 1 - before - behind) + e for k, d, before, behind, e in axes)
    groups, channels, out_channels, N = (draw(st.integers(1, 3)) for _ in range(4))
    pads = tuple(zip(padding, after)) if asymmetric else padding
    return Geometry(size, kernel, stride, pads, dilation, groups, channels, out_channels, N)


def convolve(x, w, b, geometry):
    return CONVOLUTIONS[len(geometry.input)](x, w, b, **geometry.options)


def leaves(*arrays):
    return [tinycnn.tensor(array, requires_grad=True) for array in arrays]


def assert_close(got, expected, tolerance=1e-12):
    """Equal to `tolerance`, relative to the largest element: sums of many terms cancel."""
    got = got.detach().numpy() if isinstance(got, Tensor) else got
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max(initial=0)))


def check_against_loops(geometry, tolerance=1e-12):
    x, w, b = geometry.arrays()
    tensors = leaves(x, w, b)
    y = convolve(*tensors, geometry)
    assert_close(y, reference.conv_nd(x, w, b, **geometry.options), tolerance)
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(tinycnn.tensor(g))
    for tensor, expected in zip(tensors, reference.conv_nd_backward(g, x, w, **geometry.options)):
        assert_close(tensor.grad, expected, tolerance)


# --- values and gradients ---------------------------------------------------------------------------------


@every_geometry
def test_against_loops(geometry):
    check_against_loops(geometry)


@given(geometries())
def test_any_geometry_against_loops(geometry):
    check_against_loops(geometry)


@pytest.mark.parametrize("block_bytes", [1, 700, 3000, 20_000])
@every_geometry
def test_blocks_of_any_size(geometry, block_bytes, monkeypatch):
    monkeypatch.setattr(backend.cpu, "BLOCK_BYTES", block_bytes)
    check_against_loops(geometry)


@pytest.mark.parametrize("columns", [1, 3, 10])
@every_geometry
def test_blocks_of_few_columns(geometry, columns, monkeypatch):
    monkeypatch.setattr(backend.cpu, "BLOCK_BYTES", 700)
    for name in ("BLOCK_COLUMNS", "SMALL_COLUMNS"):
        monkeypatch.setattr(backend.cpu, name, columns)
    check_against_loops(geometry._replace(N=3))


# What the CPU's kernels choose by size; each of both answers has to be right for any size.
CHOICES = {
    "leaves_weights": lambda out_channels, positions: positions > 0,
    "sums_rows": lambda depth, columns, is_identity: True,
    "unfolds_gradient": lambda channels, positions, out_channels, out_positions: True,
}


@pytest.mark.parametrize("answer", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
@every_geometry
def test_each_way_to_compute(geometry, choice, answer, monkeypatch):
    for name in CHOICES:
        monkeypatch.setattr(backend.cpu, name, lambda *sizes: False)
    if answer:
        monkeypatch.setattr(backend.cpu, choice, CHOICES[choice])
    monkeypatch.setattr(backend.cpu, "BLOCK_BYTES", 300)
    check_against_loops(geometry)


@pytest.mark.parametrize("transposed", [0, 64])
@pytest.mark.parametrize("most", [32, 64])
def test_products_cut_into_small_ones(most, transposed, monkeypatch):
    """The columns are cut in whole vectors of 32, and there is a rest."""
    monkeypatch.setattr(backend.cpu, "columns_of_small_product", lambda m, k: most)
    monkeypatch.setattr(backend.cpu, "SMALL_COLUMNS", 32)
    monkeypatch.setattr(backend.cpu, "TRANSPOSED_CHANNELS", transposed)
    monkeypatch.setattr(backend.cpu, "_part_of_sum", backend.cpu._part_of_sum.__wrapped__)
    for groups in (1, 2):
        check_against_loops(Geometry((6, 11), (3, 2), (1, 1), (1, 0), (1, 1), groups, 5, 40, N=7))


@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("every", [1, 2, 4])
def test_some_images_of_a_batch(every, kernel):
    """Batch innermost, the columns of one image of four lie apart; the stride of a batch of one tells nothing."""
    rng = np.random.default_rng(0)
    rows = tinycnn.tensor(rng.standard_normal((6, 3, 7, 4))).permute(3, 1, 0, 2)
    w = tinycnn.tensor(rng.standard_normal((5, 3, *kernel)))
    some = rows[::every]
    found, expected = F.conv2d(some, w), F.conv2d(some.contiguous(), w)
    assert_close(found, expected.numpy())
    g = tinycnn.tensor(rng.standard_normal((6, 5, 7, 4))).permute(3, 1, 0, 2)[::every]
    back = [F.conv_transpose2d(each, w.flip(0)) for each in (g, g.contiguous())]
    assert_close(back[0], back[1].numpy())


def test_the_gradient_of_weights_lies_in_memory_as_they_do():
    for geometry in (
        GEOMETRIES["3x2"],
        GEOMETRIES["all at once, in groups"],
        Geometry((2, 2), (3, 3), (1, 1), (1, 1), (1, 1)),
    ):
        x, w, b = leaves(*geometry.arrays())
        convolve(x, w, b, geometry).sum().backward()
        assert w.grad.is_contiguous()


@pytest.mark.parametrize("threads", [2, 3])
@every_geometry
def test_blocks_shared_among_threads(geometry, threads, monkeypatch):
    monkeypatch.setattr(backend.threads, "num_threads", threads)
    monkeypatch.setattr(backend.threads, "OPERATIONS_A_THREAD", 0)
    monkeypatch.setattr(backend.cpu, "BLOCK_BYTES", 500)
    check_against_loops(geometry)


@every_geometry
def test_the_definition_written_several_ways(geometry):
    """The reference's own versions agree, so the oracle of all other tests is not one person's slip."""
    if len(geometry.input) != 2:
        return
    x, w, b = geometry.arrays()
    g = np.random.default_rng(1).standard_normal(reference.conv_nd(x, w, b, **geometry.options).shape)
    expected = reference.conv_nd_backward(g, x, w, **geometry.options)
    for by_region, one_by_one in zip(expected, reference.conv2d_backward(g, x, w, **geometry.options)):
        assert_close(one_by_one, by_region)
    stride, padding = geometry.stride[0], geometry.padding[0]
    if geometry.groups > 1 or any(s + 2 * padding < k for s, k in zip(geometry.input, geometry.kernel)):
        return
    expected = reference.conv_nd(x, w, b, stride, padding)
    for version in (reference.conv2d_loops, reference.conv2d_nested, reference.conv2d_im2col):
        assert_close(version(x, w, b, stride, padding), expected)
    g = np.random.default_rng(2).standard_normal(expected.shape)
    for version in (reference.conv2d_loops_backward, reference.conv2d_im2col_backward):
        for ours, gradient in zip(
            version(g, x, w, stride, padding), reference.conv_nd_backward(g, x, w, stride, padding)
        ):
            assert_close(ours, gradient)
    one = (slice(1), slice(1))
    single = reference.conv2d_single_channel(x[0, 0], w[0, 0], stride, padding)
    assert_close(single, reference.conv_nd(x[one], w[one], None, stride, padding)[0, 0])
    dx, dw = reference.conv2d_single_channel_backward(g[0, 0], x[0, 0], w[0, 0], stride, padding)
    expected_dx, expected_dw, _ = reference.conv_nd_backward(g[one], x[one], w[one], stride, padding)
    assert_close(dx, expected_dx[0, 0])
    assert_close(dw, expected_dw[0, 0])


def test_a_kernel_that_is_known():
    x = tinycnn.tensor(np.arange(20.0).reshape(1, 1, 4, 5), requires_grad=True)
    w = tinycnn.tensor([[[[1.0, 0.0], [0.0, -1.0]]]], dtype="float64", requires_grad=True)
    y = F.conv2d(x, w)
    assert y.tolist() == [[[[-6.0] * 4] * 3]]  # x[i, j] − x[i + 1, j + 1]: not flipped, or it would be 6
    y.sum().backward()
    assert w.grad.tolist() == [[[[78.0, 90.0], [138.0, 150.0]]]]
    assert x.grad[0, 0].tolist() == [[1, 1, 1, 1, 0], [1, 0, 0, 0, -1], [1, 0, 0, 0, -1], [0, -1, -1, -1, -1]]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_ints_and_tuples_mean_the_same(dims):
    geometry = Geometry((8,) * dims, (3,) * dims, (2,) * dims, (1,) * dims, (2,) * dims)
    x, w, _ = map(tinycnn.tensor, geometry.arrays())
    by_ints = CONVOLUTIONS[dims](x, w, None, 2, 1, 2)
    np.testing.assert_array_equal(by_ints.numpy(), convolve(x, w, None, geometry).numpy())
    by_lists = CONVOLUTIONS[dims](x, w, None, [2] * dims, [1] * dims, [2] * dims)
    np.testing.assert_array_equal(by_ints.numpy(), by_lists.numpy())


@pytest.mark.parametrize("kernel, dilation", [((2, 3), (1, 1)), ((4, 2), (2, 3)), ((4,), (3,)), ((2, 3, 4), (1, 2, 1))])
def test_same_padding_adds_the_odd_one_behind(kernel, dilation):
    dims = len(kernel)
    geometry = Geometry((7, 6, 5)[:dims], kernel, (1,) * dims, (0,) * dims, dilation)
    x, w, b = geometry.arrays()
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    pairs = [(total // 2, total - total // 2) for total in totals]
    tensors = leaves(x, w, b)
    y = CONVOLUTIONS[dims](*tensors, padding="same", dilation=dilation)
    assert y.shape[2:] == x.shape[2:]
    assert_close(y, reference.conv_nd(x, w, b, 1, pairs, dilation))
    g = np.random.default_rng(2).standard_normal(y.shape)
    y.backward(tinycnn.tensor(g))
    for tensor, expected in zip(tensors, reference.conv_nd_backward(g, x, w, 1, pairs, dilation)):
        assert_close(tensor.grad, expected)


def test_valid_padding_is_none():
    x, w, b = map(tinycnn.tensor, GEOMETRIES["3x2"].arrays())
    np.testing.assert_array_equal(F.conv2d(x, w, b, padding="valid").numpy(), F.conv2d(x, w, b).numpy())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_one_sample_without_a_batch(dims):
    geometry = Geometry((5, 6, 4)[:dims], (2,) * dims, (2,) * dims, (1,) * dims, (1,) * dims)
    x, w, b = geometry.arrays()
    one, w, b = leaves(x[0], w, b)
    y = convolve(one, w, b, geometry)
    assert_close(y, reference.conv_nd(x[:1], w.detach().numpy(), b.detach().numpy(), **geometry.options)[0])
    y.sum().backward()
    assert one.grad.shape == one.shape


@every_geometry
def test_float32_in_float32_out(geometry):
    x, w, b = geometry.arrays(dtype=np.float32)
    tensors = leaves(x, w, b)
    y = convolve(*tensors, geometry)
    assert y.dtype == np.float32
    assert_close(y, reference.conv_nd(*(a.astype(np.float64) for a in (x, w, b)), **geometry.options), 1e-5)
    y.sum().backward()
    assert {tensor.grad.dtype for tensor in tensors} == {np.dtype(np.float32)}


@every_geometry
def test_empty_batch(geometry):
    geometry = geometry._replace(N=0)
    x, w, b = leaves(*geometry.arrays())
    y = convolve(x, w, b, geometry)
    assert y.shape == reference.conv_nd(*geometry._replace(N=1).arrays(), **geometry.options)[:0].shape
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert not w.grad.numpy().any()
    assert not b.grad.numpy().any()


def test_nothing_but_the_gradients_asked_for():
    x, w, b = (tinycnn.tensor(array) for array in GEOMETRIES["3x2"].arrays())
    w.requires_grad = True
    F.conv2d(x, w, b).sum().backward()
    assert x.grad is None
    assert b.grad is None
    assert w.grad is not None


# --- three adjoints ---------------------------------------------------------------------------------------


def check_triple(geometry):
    """⟨conv(x, w), g⟩ = ⟨x, conv_transpose(g, w)⟩ = ⟨w, conv_weight(x, g)⟩."""
    spec = geometry.spec()
    x, w, _ = geometry.arrays()
    y = conv_ops.conv(tinycnn.tensor(x), tinycnn.tensor(w), None, spec).numpy()
    g = np.random.default_rng(3).standard_normal(y.shape)
    dx = conv_ops.conv_transpose(tinycnn.tensor(g), tinycnn.tensor(w), spec).numpy()
    dw = conv_ops.conv_weight(tinycnn.tensor(x), tinycnn.tensor(g), spec).numpy()
    assert (dx.shape, dw.shape) == (x.shape, w.shape)
    magnitude = np.linalg.norm(y) * np.linalg.norm(g) + 1e-300
    assert abs((y * g).sum() - (x * dx).sum()) < 1e-12 * magnitude
    assert abs((y * g).sum() - (w * dw).sum()) < 1e-12 * magnitude


@every_geometry
def test_triple(geometry):
    check_triple(geometry)


@given(geometries(asymmetric=True))
def test_triple_of_any_geometry(geometry):
    check_triple(geometry)
    x, w, _ = geometry.arrays()
    y = conv_ops.conv(tinycnn.tensor(x), tinycnn.tensor(w), None, geometry.spec())
    options = geometry.options
    assert_close(y, reference.conv_nd(x, w, None, **options))
    g = np.random.default_rng(4).standard_normal(y.shape)
    dx, dw, _ = reference.conv_nd_backward(g, x, w, **options)
    assert_close(conv_ops.conv_transpose(tinycnn.tensor(g), tinycnn.tensor(w), geometry.spec()), dx)
    assert_close(conv_ops.conv_weight(tinycnn.tensor(x), tinycnn.tensor(g), geometry.spec()), dw)


SMALL = {
    "plain": Geometry((3, 4), (2, 3), (1, 1), (0, 0), (1, 1), channels=1, out_channels=2),
    "all at once": Geometry((4, 3), (2, 2), (2, 3), (2, 1), (3, 2), groups=2, channels=1, out_channels=1),
    "1-d": Geometry((5,), (2,), (2,), (1,), (2,)),
    "3-d": Geometry((2, 3, 2), (2, 1, 2), (1, 2, 1), (0, 1, 1), (1, 1, 2), channels=1, out_channels=1),
}


@pytest.mark.parametrize("geometry", SMALL.values(), ids=SMALL)
def test_finite_differences(geometry):
    x, w, b = leaves(*geometry.arrays())
    assert gradcheck(lambda x, w, b: convolve(x, w, b, geometry), (x, w, b))
    assert gradgradcheck(lambda x, w, b: convolve(x, w, b, geometry), (x, w, b))


@pytest.mark.parametrize("geometry", SMALL.values(), ids=SMALL)
def test_finite_differences_of_the_adjoints(geometry):
    spec = geometry.spec()
    x, w, _ = geometry.arrays()
    g = np.random.default_rng(5).standard_normal((len(x), len(w), *spec.output_size))
    x, w, g = leaves(x, w, g)
    for function, inputs in ((conv_ops.conv_transpose, (g, w)), (conv_ops.conv_weight, (x, g))):
        assert gradcheck(lambda a, b, function=function: function(a, b, spec), inputs)
        assert gradgradcheck(lambda a, b, function=function: function(a, b, spec), inputs)


def test_gradients_of_third_order():
    geometry = SMALL["plain"]
    x, w, b = leaves(*geometry.arrays())
    assert gradcheck(lambda x, w: _mixed_second(x, w, b, geometry), (x, w))


@tinycnn.enable_grad()
def _mixed_second(x, w, b, geometry):
    y = (convolve(x, w, b, geometry) ** 2).sum()
    (first,) = tinycnn.grad(y, w, create_graph=True)
    (second,) = tinycnn.grad((first * first).sum(), x, create_graph=True)
    return second


# --- memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["1x1", "all at once, in groups", "depthwise", "1-d", "3-d"])
def test_any_memory_order(name, layout):
    geometry = GEOMETRIES[name]
    x, w, b = geometry.arrays()
    tensors = [tinycnn.from_numpy(array).requires_grad_() for array in (layout(x), sliced_weight(w), b[::-1][::-1])]
    y = convolve(*tensors, geometry)
    assert_close(y, reference.conv_nd(x, w, b, **geometry.options))
    g = np.random.default_rng(6).standard_normal(y.shape)
    y.backward(tinycnn.from_numpy(layout(g)))
    for tensor, expected in zip(tensors, reference.conv_nd_backward(g, x, w, **geometry.options)):
        assert_close(tensor.grad, expected)


def sliced_weight(w):
    """The weight as the odd elements of memory whose others are nan, in reversed order."""
    larger = np.full((*w.shape, 2), np.nan)
    larger[..., 1] = w[::-1]
    return larger[::-1, ..., 1]


@pytest.mark.parametrize("name", ["3x2", "all at once, in groups", "3-d"])
def test_broadcast_input_and_gradient(name):
    geometry = GEOMETRIES[name]
    x, w, b = geometry.arrays()
    x = np.broadcast_to(x[:1, :, :1], x.shape)
    tensors = [tinycnn.from_numpy(array).requires_grad_() for array in (x, w, b)]
    y = convolve(*tensors, geometry)
    assert_close(y, reference.conv_nd(x, w, b, **geometry.options))
    y.sum().backward()  # its upstream gradient is a single 1, broadcast
    expected = reference.conv_nd_backward(np.ones(y.shape), np.ascontiguousarray(x), w, **geometry.options)
    for tensor, gradient in zip(tensors, expected):
        assert_close(tensor.grad, gradient)


@every_geometry
def test_changes_no_argument(geometry):
    x, w, b = leaves(*geometry.arrays())
    y = convolve(x, w, b, geometry)
    g = tinycnn.tensor(np.random.default_rng(7).standard_normal(y.shape))
    held = [x, w, b, y, g]
    before = [tensor.detach().numpy().copy() for tensor in held]
    y.backward(g)
    for tensor, values in zip(held, before):
        np.testing.assert_array_equal(tensor.detach().numpy(), values)


@every_geometry
def test_same_bits_every_time(geometry):
    def run():
        x, w, b = leaves(*geometry.arrays(dtype=np.float32))
        y = convolve(x, w, b, geometry)
        y.backward(tinycnn.tensor(np.random.default_rng(8).standard_normal(y.shape), dtype="float32"))
        return [t.detach().numpy().copy() for t in (y, x.grad, w.grad, b.grad)]

    for first, second in zip(run(), run()):
        np.testing.assert_array_equal(first, second)


@every_geometry
def test_results_are_not_scratch_memory(geometry):
    """What one call returned stays as it was while other convolutions reuse the scratch memory."""

    def run(seed):
        x, w, b = leaves(*geometry.arrays(seed))
        y = convolve(x, w, b, geometry)
        y.backward(tinycnn.tensor(np.random.default_rng(seed).standard_normal(y.shape)))
        return y.detach(), x.grad, w.grad, b.grad

    kept = run(0)
    before = [tensor.numpy().copy() for tensor in kept]
    for seed in (1, 2):
        run(seed)
    for other in GEOMETRIES.values():
        convolve(*map(tinycnn.tensor, other.arrays()), other)
    for tensor, values in zip(kept, before):
        np.testing.assert_array_equal(tensor.numpy(), values)


def test_stale_scratch_memory_is_never_read():
    """After a call that filled the scratch memory with nan, padding is still zero."""
    geometry = GEOMETRIES["one pixel in much padding"]._replace(N=4)
    x, w, b = leaves(*geometry.arrays())
    poison = tinycnn.tensor(np.full((8, 4, 20, 20), np.nan), requires_grad=True)
    weight = tinycnn.tensor(np.ones((8, 4, 5, 5)), requires_grad=True)
    F.conv2d(poison, weight, padding=2).sum().backward()
    y = convolve(x, w, b, geometry)
    y.sum().backward()
    for tensor in (y, x.grad, w.grad, b.grad):
        assert np.isfinite(tensor.detach().numpy()).all()


def test_threads_do_not_share_scratch_memory():
    """Convolutions of images so large that NumPy lets the other thread run in the midst of each."""
    rng = np.random.default_rng(0)
    inputs = [tinycnn.tensor(rng.standard_normal((4, 4, 60, 60))) for _ in range(2)]
    weight = tinycnn.tensor(rng.standard_normal((4, 4, 3, 3)))
    expected = [F.conv2d(x, weight, padding=1).numpy() for x in inputs]
    wrong = []

    def work(x, y):
        wrong.extend((F.conv2d(x, weight, padding=1).numpy() != y).any() for _ in range(15))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 30
    assert not any(wrong)


def test_no_layer_keeps_an_im2col_matrix():
    """A training step of four 5×5 layers peaks at a few activations, not at the 25 copies of each that im2col makes."""
    x = tinycnn.tensor(np.zeros((8, 8, 32, 32), np.float32))
    net = nn.Sequential(*[nn.Conv2d(8, 8, 5, padding=2) for _ in range(4)])
    net(x).sum().backward()  # scratch memory is there from now on
    activation = x.numel() * x.element_size()
    tracemalloc.start()
    try:
        net(x).sum().backward()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * activation  # 4 activations and their gradients; im2col would add 25 for each layer


# --- errors -----------------------------------------------------------------------------------------------

X, W, B = np.ones((2, 3, 8, 9), np.float32), np.ones((4, 3, 3, 3), np.float32), np.ones(4, np.float32)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"input": np.ones((2, 1, 8, 9), np.float32)}, ValueError, r"expected input (N, 3, H, W), got (2, 1, 8, 9)"),
        ({"input": np.ones((3, 9), np.float32)}, ValueError, r"expected input (N, 3, H, W) or one sample without N"),
        ({"input": "a cat"}, TypeError, "expected an input Tensor (N, 3, H, W), got str"),
        ({"weight": np.ones((4, 3, 3), np.float32)}, ValueError, "expected a weight Tensor of 4 dimensions"),
        ({"bias": np.ones(5, np.float32)}, ValueError, "expected a bias of shape (4,), got (5,)"),
        ({"weight": np.ones((4, 3, 9, 3), np.float32)}, ValueError, "spans (9, 3), more than the padded input (8, 9)"),
        ({"dilation": 5}, ValueError, "kernel (3, 3) with dilation (5, 5) spans (11, 11), more than the padded input"),
        ({"stride": 0}, ValueError, "expected stride of at least 1, got 0"),
        ({"stride": (1, -2)}, ValueError, "expected stride of at least 1, got (1, -2)"),
        ({"stride": (1, 2, 3)}, ValueError, "expected stride as one int or 2, got 3: (1, 2, 3)"),
        ({"stride": "2"}, TypeError, "expected stride as an int or 2 ints, got '2'"),
        ({"stride": 1.5}, TypeError, "expected stride as an int or 2 ints, got 1.5"),
        ({"stride": True}, TypeError, "expected stride as an int or 2 ints, got True"),
        ({"padding": -1}, ValueError, "expected padding of at least 0, got -1"),
        ({"padding": "some"}, ValueError, "expected padding as ints, 'valid' or 'same', got 'some'"),
        ({"padding": "same", "stride": 2}, ValueError, "padding='same' needs stride 1, got stride (2, 2)"),
        ({"dilation": 0}, ValueError, "expected dilation of at least 1, got 0"),
        ({"groups": 3}, ValueError, "groups=3 does not divide the 4 output channels of the weight"),
        ({"groups": 0}, ValueError, "expected groups as a positive int, got 0"),
        ({"groups": 2}, ValueError, "expected input (N, 6, H, W), got (2, 3, 8, 9)"),
        ({"input": X.astype(np.float64)}, TypeError, "input is float64, weight is float32"),
        ({"input": X.astype(np.int64)}, TypeError, "input is int64, weight is float32"),
    ],
)
def test_errors_name_function_argument_and_value(arguments, error, message):
    arguments = {"input": X, "weight": W, "bias": B} | arguments
    arguments = {name: tinycnn.tensor(v) if isinstance(v, np.ndarray) else v for name, v in arguments.items()}
    with pytest.raises(error) as raised:
        F.conv2d(**arguments)
    assert str(raised.value).startswith("conv2d: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


# --- PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.torch
@given(geometry=geometries())
def test_same_as_torch(geometry):
    import torch

    x, w, b = geometry.arrays()
    theirs = [torch.tensor(array, requires_grad=True) for array in (x, w, b)]
    ours = leaves(x, w, b)
    expected = getattr(torch.nn.functional, f"conv{len(geometry.input)}d")(*theirs, **geometry.options)
    y = convolve(*ours, geometry)
    assert_close(y, expected.detach().numpy())
    g = np.random.default_rng(9).standard_normal(y.shape)
    expected.backward(torch.tensor(g))
    y.backward(tinycnn.tensor(g))
    for our, their in zip(ours, theirs):
        assert_close(our.grad, their.grad.numpy())


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel, dilation", [((2, 3), (1, 1)), ((4, 2), (2, 3))])
def test_same_padding_as_torch(kernel, dilation):
    import torch

    x, w, b = Geometry((7, 6), kernel, (1, 1), (0, 0), dilation).arrays()
    expected = torch.nn.functional.conv2d(*map(torch.tensor, (x, w, b)), padding="same", dilation=dilation)
    assert_close(F.conv2d(*map(tinycnn.tensor, (x, w, b)), padding="same", dilation=dilation), expected.numpy())
