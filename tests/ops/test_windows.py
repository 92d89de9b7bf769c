"""Window geometry, im2col and col2im, against loops, against each other, and what they are not."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tests.layouts import LAYOUTS
from tinycnn import gradcheck, gradgradcheck, tensor
from tinycnn.nn import functional as F
from tinycnn.ops import windows
from tinycnn.ops.windows import Window
from tinycnn.teaching import reference

# (input size, kernel size, stride, padding, dilation)
GEOMETRIES = {
    "plain": ((4, 5), (2, 3), (1, 1), (0, 0), (1, 1)),
    "tiles": ((4, 6), (2, 3), (2, 3), (0, 0), (1, 1)),
    "with gaps": ((9, 8), (2, 2), (3, 4), (0, 0), (1, 1)),
    "all at once": ((6, 7), (3, 2), (2, 3), (1, 2), (2, 3)),
    "more padding than input": ((1, 2), (2, 3), (2, 1), (3, 2), (1, 2)),
}
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


@st.composite
def sliding(draw):
    dims = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation, before, after, extra = (
        each(1, 3), each(1, 4), each(1, 3), each(0, 3), each(0, 3), each(0, 4),
    )  # fmt: skip
    axes = zip(kernel, dilation, before, after, extra)
    size = tuple(max(1, d * (k - 1) + 1 - b - a) + e for k, d, b, a, e in axes)
    return Window(size, kernel, stride, tuple(zip(before, after)), dilation)


def meetings(window):
    """By enumeration: {(kernel position, output position): input position} wherever that lies on the input."""
    result = {}
    for k in np.ndindex(window.kernel_size):
        for o in np.ndindex(window.output_size):
            axes = zip(o, window.stride, k, window.dilation, window.padding)
            position = tuple(i * s + tap * d - before for i, s, tap, d, (before, _) in axes)
            if all(0 <= p < size for p, size in zip(position, window.input_size)):
                result[k, o] = position
    return result


@given(sliding())
def test_taps_are_where_kernel_and_input_meet(window):
    numbers = np.arange(np.prod(window.input_size)).reshape(window.input_size)
    expected = meetings(window)
    assert [tap.position for tap in window.taps] == list(np.ndindex(window.kernel_size))
    for tap in window.taps:
        seen = np.full(window.output_size, -1)
        seen[tap.outputs] = numbers[tap.inputs]
        for o in np.ndindex(window.output_size):
            assert seen[o] == (numbers[expected[tap.position, o]] if (tap.position, o) in expected else -1)
        margins = np.zeros(window.output_size, bool)
        for margin in tap.margins:
            margins[margin] = True
        np.testing.assert_array_equal(margins, seen < 0)


@given(sliding())
def test_overlaps_says_whether_an_input_is_in_two_windows(window):
    if window.padding != ((0, 0),) * len(window.padding):
        return
    positions = list(meetings(window).values())
    if len(set(positions)) < len(positions):
        assert window.overlaps


@pytest.mark.parametrize(
    "size, kernel, stride, padding, dilation", list(itertools.product([5, 8], [1, 3], [1, 2], [0, 1], [1, 2]))
)
def test_output_size(size, kernel, stride, padding, dilation):
    window = Window((size,), (kernel,), (stride,), ((padding, padding),), (dilation,))
    assert window.output_size == (reference.conv_output_size(size, kernel, stride, padding, dilation),)


# --- im2col and col2im ------------------------------------------------------------------------------------


def image(size, N=2, C=3):
    return np.random.default_rng(0).standard_normal((N, C, *size))


def options(geometry):
    _, kernel, stride, padding, dilation = geometry
    return {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}


@every_geometry
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_unfold_against_loops(geometry, layout):
    x = image(geometry[0])
    columns = F.unfold(tinycnn.from_numpy(layout(x)), **options(geometry))
    np.testing.assert_array_equal(columns.numpy(), reference.im2col_loops(x, **options(geometry)))


@every_geometry
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_fold_against_loops(geometry, layout):
    columns = reference.im2col_loops(image(geometry[0]), **options(geometry))
    columns = np.random.default_rng(1).standard_normal(columns.shape)
    # LAYOUTS speak of a spatial dimension, which columns have only after it is split.
    x = F.fold(tinycnn.from_numpy(layout(columns[..., None])[..., 0]), geometry[0], **options(geometry))
    expected = reference.col2im_loops(columns, geometry[0], **options(geometry))
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-12)


@given(sliding())
def test_adjoint(window):
    """⟨im2col(x), u⟩ = ⟨x, col2im(u)⟩, in 1 to 3 dimensions and with asymmetric padding."""
    x = image(window.input_size)
    columns = windows.im2col(tensor(x), window).numpy()
    u = np.random.default_rng(2).standard_normal(columns.shape)
    folded = windows.col2im(tensor(u), window).numpy()
    assert folded.shape == x.shape
    magnitude = np.linalg.norm(columns) * np.linalg.norm(u) + 1e-300
    assert abs((columns * u).sum() - (x * folded).sum()) < 1e-12 * magnitude


@pytest.mark.parametrize("name", ["plain", "tiles", "with gaps", "all at once"])
def test_fold_is_not_the_inverse_of_unfold(name):
    """An element comes back as often as it lies in a window: more than once, or never."""
    geometry = GEOMETRIES[name]
    x = tensor(image(geometry[0]))
    back = F.fold(F.unfold(x, **options(geometry)), geometry[0], **options(geometry))
    counts = F.fold(F.unfold(tensor(np.ones(x.shape)), **options(geometry)), geometry[0], **options(geometry))
    np.testing.assert_allclose(back.numpy(), x.numpy() * counts.numpy(), rtol=1e-12)
    assert (counts.numpy() == 1).all() == (name == "tiles")


@every_geometry
def test_finite_differences(geometry):
    x = tensor(image(geometry[0], N=1, C=1), requires_grad=True)
    columns = F.unfold(x.detach(), **options(geometry)).requires_grad_()
    for function, inputs in (
        (lambda x: F.unfold(x, **options(geometry)), (x,)),
        (lambda columns: F.fold(columns, geometry[0], **options(geometry)), (columns,)),
    ):
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)


def test_one_sample_and_an_empty_batch():
    x = image((4, 5))
    whole = F.unfold(tensor(x), (2, 3)).numpy()
    np.testing.assert_array_equal(F.unfold(tensor(x[1]), (2, 3)).numpy(), whole[1])
    np.testing.assert_array_equal(
        F.fold(tensor(whole[1]), (4, 5), (2, 3)).numpy(), F.fold(tensor(whole), (4, 5), (2, 3)).numpy()[1]
    )
    empty = F.unfold(tensor(x[:0]), (2, 3))
    assert empty.shape == (0, *whole.shape[1:])
    assert F.fold(empty, (4, 5), (2, 3)).shape == (0, 3, 4, 5)


def test_float32_in_float32_out():
    columns = F.unfold(tensor(image((4, 5)), dtype="float32"), 2)
    assert columns.dtype == np.float32
    assert F.fold(columns, (4, 5), 2).dtype == np.float32


IMAGE, COLUMNS = tensor(np.zeros((1, 2, 3, 3))), tensor(np.zeros((1, 8, 4)))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.unfold(IMAGE, 4), ValueError, "unfold: kernel (4, 4) with dilation (1, 1) spans (4, 4), more than"),
        (lambda: F.unfold(IMAGE[0, 0], 2), ValueError, "unfold: expected input (N, C, H, W) or one sample without N"),
        (lambda: F.unfold(IMAGE, 2, stride=0), ValueError, "unfold: expected stride of at least 1, got 0"),
        (lambda: F.fold(COLUMNS, (4, 3), 2), ValueError,
         "fold: for output_size (4, 3) and kernel_size (2, 2) expected input (N, C·4, 6), got (1, 8, 4)"),
        (lambda: F.fold(COLUMNS[:, 1:], 3, 2), ValueError, "expected input (N, C·4, 4), got (1, 7, 4)"),
        (lambda: F.fold(COLUMNS[0, 0], 3, 2), ValueError, "fold: expected input (N, C·KH·KW, L) or (C·KH·KW, L)"),
        (lambda: F.fold(COLUMNS, "33", 2), TypeError, "fold: expected output_size as an int or 2 ints, got '33'"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


# --- PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.torch
@every_geometry
def test_same_as_torch(geometry):
    import torch

    x = image(geometry[0])
    columns = torch.nn.functional.unfold(torch.tensor(x), **options(geometry))
    np.testing.assert_array_equal(F.unfold(tensor(x), **options(geometry)).numpy(), columns.numpy())
    folded = torch.nn.functional.fold(columns, geometry[0], **options(geometry))
    ours = F.fold(tensor(columns.numpy()), geometry[0], **options(geometry))
    np.testing.assert_allclose(ours.numpy(), folded.numpy(), atol=1e-12)
