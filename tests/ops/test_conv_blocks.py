"""The blocks of a convolution: they cover each output position once, and their windows see what the whole one sees."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn.ops.conv_blocks import blocks, flipped, is_unfolded, part_of
from tinycnn.ops.windows import Window


@st.composite
def windows(draw, dims=2, stride=3):
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, strides, dilation = each(1, 4), each(1, stride), each(1, 3)
    before, after, extra = each(0, 3), each(0, 3), each(0, 6)
    size = tuple(max(1, d * (k - 1) + 1 - a - b) + e for k, d, a, b, e in zip(kernel, dilation, before, after, extra))
    return Window(size, kernel, strides, tuple(zip(before, after)), dilation)


def unfolded(x, window):
    """x (N, *input_size) to (N, *kernel_size, *output_size), one position at a time."""
    columns = np.zeros((len(x), *window.kernel_size, *window.output_size))
    for index in itertools.product(*map(range, (*window.kernel_size, *window.output_size))):
        kernel, output = index[: len(window.stride)], index[len(window.stride) :]
        axes = zip(output, window.stride, kernel, window.dilation, window.padding)
        place = [o * s + k * d - p for o, s, k, d, (p, _) in axes]
        if all(0 <= i < size for i, size in zip(place, window.input_size)):
            columns[(slice(None), *index)] = x[(slice(None), *place)]
    return columns


@given(windows(), st.data())
def test_a_part_sees_what_the_whole_window_sees(window, data):
    start = data.draw(st.integers(0, window.output_size[0] - 1))
    stop = data.draw(st.integers(start + 1, window.output_size[0]))
    met, part = part_of(window, start, stop)
    x = np.random.default_rng(0).standard_normal((1, *window.input_size))
    whole = unfolded(x, window)[:, :, :, start:stop]
    assert part.output_size == (stop - start, window.output_size[1])
    np.testing.assert_array_equal(unfolded(x[:, met], part), whole)


@given(windows(stride=1))
def test_a_flipped_window_is_the_way_back(window):
    """Output o and input i meet at tap k of one as i and o meet at the opposite tap of the other."""
    back = flipped(window)
    fits = all(max(pair) <= extent - 1 for pair, extent in zip(window.padding, window.extent))
    assert (back is not None) == fits
    if back is None:
        return
    assert back.output_size == window.input_size
    forth = {(k, o, i) for k, o, i in _triples(window)}
    again = {(tuple(s - 1 - t for s, t in zip(window.kernel_size, k)), i, o) for k, o, i in _triples(back)}
    assert forth == again


def _triples(window):
    for k, o in itertools.product(np.ndindex(*window.kernel_size), np.ndindex(*window.output_size)):
        i = tuple(a * s + b * d - p for a, s, b, d, (p, _) in zip(o, window.stride, k, window.dilation, window.padding))
        if all(0 <= j < size for j, size in zip(i, window.input_size)):
            yield k, o, i


def test_a_window_with_a_stride_has_no_way_back():
    assert flipped(Window((5,), (2,), (2,), ((0, 0),), (1,))) is None


@given(
    windows(dims=1), st.integers(1, 12), st.integers(1, 4), st.integers(1, 9), st.integers(1, 200), st.integers(1, 20),
    st.integers(1, 4),
)  # fmt: skip
def test_blocks_cover_every_position_once(width, rows, kernel_rows, batch, block_bytes, columns, threads):
    met = np.zeros((rows, *width.output_size, batch), int)
    runs = blocks(rows, kernel_rows, width, batch, 4, (block_bytes, columns, threads))
    assert len(runs) <= threads
    for run in runs:
        for block in run:
            met[(block.rows, *block.outputs)] += 1
            x = np.zeros((*width.input_size, batch))[block.inputs]
            assert x.shape[0] == block.width.input_size[0]
            assert met[(block.rows, *block.outputs)].shape[1:-1] == block.width.output_size
        for of_rows in itertools.groupby(run, key=lambda block: block.rows):
            first, *others = of_rows[1]
            assert first.is_first
            assert first.is_all == (not others)
            assert not any(each.is_first for each in others)
    assert (met == 1).all()


def test_blocks_are_as_large_as_they_may_be():
    width = Window((32,), (3,), (1,), ((1, 1),), (1,))
    depth = 3 * 16 * 4
    (run,) = blocks(32, 3, width, 64, depth, (3 << 19, 128, 1))
    for block in run:
        positions = block.width.positions * 64
        assert positions >= 128
        assert depth * positions * (block.rows.stop - block.rows.start + 2) <= 3 << 19
    assert len(run) < 20


def test_a_large_batch_is_cut():
    width = Window((1,), (1,), (1,), ((0, 0),), (1,))
    (run,) = blocks(4, 1, width, 4096, 4, (1, 512, 1))
    assert {block.outputs[-1].stop - block.outputs[-1].start for block in run} == {512}


@pytest.mark.parametrize(
    ("view", "kernel_rows", "expected"),
    [
        (np.zeros((5, 3, 4, 2)), 3, True),
        (np.zeros((5, 3, 4, 2))[:, :, 1:3], 3, True),  # columns follow one another within a channel
        (np.zeros((5, 3, 4, 2))[..., :1], 3, False),
        (np.zeros((10, 3, 4, 2))[::2], 3, False),  # the rows of a window do not
        (np.zeros((10, 3, 4, 2))[::2], 1, True),
        (np.zeros((2, 3, 4, 5)).transpose(3, 1, 2, 0), 1, False),
        (np.zeros((5, 3, 4, 2))[..., ::2], 1, False),  # one image, and gaps between its columns
        (np.zeros((5, 3, 1, 2))[..., ::2], 1, True),  # one column
    ],
)
def test_which_rows_are_unfolded_already(view, kernel_rows, expected):
    assert is_unfolded(view.shape, view.strides, view.itemsize, kernel_rows) is expected
