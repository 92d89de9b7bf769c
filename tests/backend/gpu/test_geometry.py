"""The structs that lead the GPU's kernels through arrays, from the host's side: no GPU, no emulator."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinycnn.backend.gpu import geometry
from tinycnn.ops.windows import Window

LARGEST = 2**31 - 1


# --- division -----------------------------------------------------------------------------------------------------


def quotient(n, d):
    """As in common.cuh: 32 bits, which must not overflow."""
    divisor, magic, shift = d
    assert max(n, magic, divisor) < 2**32
    total = (n * magic >> 32) + n
    assert total < 2**32
    return total >> shift


@given(st.integers(0, LARGEST), st.integers(1, LARGEST))
@example(LARGEST, 1)
@example(LARGEST, LARGEST)
def test_division(n, d):
    assert quotient(n, geometry.divisor(d)) == n // d


def test_division_at_the_boundaries():
    powers = {max(1, min(LARGEST, 2**i + j)) for i in range(32) for j in (-1, 0, 1)}
    for d in powers | {3, 5, 7, 10, 641, 6700417, 715827883}:
        struct = geometry.divisor(d)
        multiples = {d * k + j for k in (0, 1, 2, LARGEST // d - 1, LARGEST // d) for j in (-1, 0, 1)}
        for n in powers | multiples:
            if 0 <= n <= LARGEST:
                assert quotient(n, struct) == n // d, (n, d)


# --- walks --------------------------------------------------------------------------------------------------------


def located(walk):
    """a, b, c and the position (3, size) for every index below walk.size: `locate` of common.cuh, for all at once."""
    indices = np.arange(walk["size"], dtype=np.int64)
    found = {name: np.zeros(len(indices), np.int64) for name in "abc"}
    position = np.zeros((3, len(indices)), np.int64)
    for axis in walk["axis"][walk["first"] :][::-1]:
        size = axis["size"]
        rest = ((indices * int(size["magic"]) >> 32) + indices) >> int(size["shift"])
        step = indices - rest * int(size["divisor"])
        indices = rest
        for name in "abc":
            found[name] += step * int(axis[name])
        position += step * axis["position"].astype(np.int64)[:, None]
    assert not indices.any()
    return found["a"], found["b"], found["c"], position


def offsets(shape, strides):
    """Where each element lies, in the order of the axes."""
    return sum((index * step for index, step in zip(np.indices(shape), strides)), np.zeros(shape, np.int64)).ravel()


@st.composite
def arrays(draw, count=3):
    """A shape, a memory order of the first array without two elements at one place, any strides for the others."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=6)))
    order = draw(st.permutations(range(len(shape))))
    steps, reach = [0] * len(shape), 1
    for d in order:
        steps[d] = reach * draw(st.sampled_from([1, 1, 1, -1]))
        reach *= shape[d] + draw(st.sampled_from([0, 0, 0, 1]))
    rows = [row_major(shape), tuple(steps)]
    others = [draw(st.sampled_from(rows) | st.tuples(*[st.integers(-9, 9)] * len(shape))) for _ in range(count - 1)]
    return shape, tuple(steps), others


def row_major(shape):
    return tuple(int(np.prod(shape[d + 1 :], dtype=int)) for d in range(len(shape)))


@given(arrays(6))
@example(((2, 3, 4), (12, 4, 1), [(12, 4, 1), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]))
def test_walk_visits_every_element_once_in_memory_order(case):
    shape, a, (b, c, *positions) = case
    in_a, in_b, in_c, position = located(geometry.walk(shape, a, b, c, tuple(positions)).view(geometry.WALK))
    expected = np.stack([offsets(shape, strides) for strides in (a, b, c, *positions)])
    assert sorted(zip(in_a, in_b, in_c, *position)) == sorted(map(tuple, expected.T.tolist()))
    assert len(set(in_a.tolist())) == len(in_a)
    if all(step > 0 for step in a):
        assert (np.diff(in_a) > 0).all()
    elif len(in_a) > 1:
        assert min(abs(np.diff(in_a))) == min(abs(step) for step, n in zip(a, shape) if n > 1)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_positions_fill_the_last_dimensions(count):
    """A kernel for three dimensions sees those of a window with fewer as the last."""
    shape = (2, 3, 4, 5)[4 - max(count, 1) :]
    positions = tuple(tuple(int(i == d) for i in range(len(shape))) for d in range(count))
    walk = geometry.walk(shape, row_major(shape), positions=positions).view(geometry.WALK)
    *_, position = located(walk)
    assert not position[: 3 - count].any()
    np.testing.assert_array_equal(position[3 - count :], np.indices(shape).reshape(len(shape), -1)[:count])


def test_neighbouring_axes_are_merged():
    def axes(*arguments):
        return geometry.MAX_AXES - int(geometry.walk(*arguments).view(geometry.WALK)["first"])

    assert axes((2, 3, 4), (12, 4, 1), (12, 4, 1)) == 1
    assert axes((2, 3, 4), (1, 2, 6), (1, 2, 6)) == 1
    assert axes((2, 3, 4), (12, 4, 1), (0, 0, 0)) == 1
    assert axes((2, 3, 4), (12, 4, 1), (12, 5, 1)) == 3
    assert axes((2, 3, 4), (12, 4, 1), (0, 4, 1)) == 2
    assert axes((2, 3, 4), (12, 4, 1), None, None, ((0, 1, 0),)) == 3
    assert axes((1, 1), (7, 9)) == 0
    assert axes((), ()) == 0


# --- packs --------------------------------------------------------------------------------------------------------


@given(arrays(3), st.sampled_from([2, 4, 8]), st.integers(1, 3), st.booleans())
@example(((2, 3, 4), (12, 4, 1), [(12, 4, 1), (0, 0, 0)]), 4, 1, True)
@example(((2, 3, 4), (12, 4, 1), [(12, 4, 1), (12, 4, 1)]), 4, 1, False)
def test_packs_are_where_neighbours_are(case, width, more, once):
    """Those of a walk over packs are the elements of the other walk, WIDTH at a time, and begin at multiples of it."""
    shape, a, (b, c) = case
    shape = (*shape, width * more)  # a last axis that lies innermost in a and, mostly, in the others
    a, b, c = ((*[width * more * step for step in strides], 1) for strides in (a, b, c))
    c = (*c[:-1], 0) if once else c
    walks = geometry.walks(16 // width, shape, a, b, c, once="c" if once else "")
    single = located(walks.single.view(geometry.WALK))
    assert len(single[0]) == walks.size == np.prod(shape)
    if walks.width == 1:
        assert walks.packed is walks.single
        return
    packed = located(walks.packed.view(geometry.WALK))
    apart = np.arange(width)
    for name, elements, firsts in zip("abc", single, packed):
        between = apart * (name != "c" or not once)
        np.testing.assert_array_equal((firsts[:, None] + between).ravel(), elements)
        assert not (between.any() and (firsts % width).any())
    assert all(step > 0 for step in a[-1:])


DENSE = ((2, 3, 8), (24, 8, 1))


@pytest.mark.parametrize("expected, given", [
    (4, {}),
    (4, {"b": DENSE[1]}),
    (4, {"b": (48, 16, 1), "c": (4, 12, 1)}),
    (1, {"b": (0, 0, 0)}),  # a pack needs neighbours in b, too
    (1, {"b": (24, 8, 2)}),
    (1, {"b": (24, 9, 1)}),  # rows begin between packs
    (1, {"a": (24, 8, -1)}),
    (1, {"shape": (2, 3, 6)}),
    (4, {"a": (1, 2, 6)}),  # column-major and dense
    (1, {"a": (1, 2, 7)}),
    (4, {"c": (5, 3, 0), "once": "c"}),
    (1, {"c": (5, 3, 1), "once": "c"}),
    (4, {"positions": ((0, 1, 0),)}),
    (1, {"positions": ((0, 0, 1),)}),  # the position changes within a pack
    (4, {"further": (12, -8, 0)}),
    (1, {"further": (12, 2)}),
    (1, {"shape": (0, 3, 8)}),
    (2, {"widest": 8}),
    (8, {"widest": 2}),
    (1, {"widest": 1}),  # 48 = 3 · 16, but rows of 8 with a gap
], ids=str)  # fmt: skip
def test_the_width_of_packs(expected, given):
    defaults = {"shape": DENSE[0], "a": DENSE[1], "widest": 4}
    if given == {"widest": 1}:
        defaults["a"] = (40, 8 + 8, 1)
    assert geometry.walks(**defaults | given).width == expected


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (0, 0)])
def test_walk_over_nothing(shape):
    assert geometry.walk(shape, (1,) * len(shape)).view(geometry.WALK)["size"] == 0


def test_walk_at_its_limits():
    shape = (3,) * 8
    steps = [3**i * 2 for i in range(8)]
    scattered = tuple(steps[i] for i in (3, 1, 4, 0, 5, 2, 7, 6))
    in_a, in_b, *_ = located(geometry.walk(shape, scattered, tuple(steps)).view(geometry.WALK))
    np.testing.assert_array_equal(in_a, np.arange(3**8) * 2)
    assert len(set(in_b.tolist())) == 3**8
    assert geometry.walk((LARGEST,), (1,)).view(geometry.WALK)["size"] == LARGEST
    with pytest.raises(ValueError, match="^an array of 2,147,483,648 elements is too large for the GPU kernels"):
        geometry.walk((2**31,), (1,))
    with pytest.raises(ValueError, match="have too many axes for the GPU kernels: expected at most 8"):
        geometry.walk((2,) * 9, tuple(3**i for i in range(9)))


@pytest.mark.parametrize("shape, step", [((2, 3), 2**31 - 2), ((2, 3), 2 - 2**31), ((2**16 + 1, 3), 2**15)], ids=str)
def test_elements_out_of_reach_are_refused(shape, step):
    """However few they are: kernels find them with 32 bits."""
    view = SimpleNamespace(shape=shape, strides=(4 * step, 4), itemsize=4)
    with pytest.raises(ValueError, match="elements of memory is too large for the GPU kernels: expected at most 2"):
        geometry.elements(view)
    for shape, step in (((2, 2), 2**31 - 2), ((2**16, 3), 2**15 - 1), ((2**40, 3), 0), ((0, 3), 2**40)):
        view = SimpleNamespace(shape=shape, strides=(4 * step, 4), itemsize=4)
        assert geometry.elements(view) == (step, 1)


# --- windows ------------------------------------------------------------------------------------------------------


def test_window_struct():
    window = Window((5, 6), (2, 3), (1, 2), ((1, 0), (0, 2)), (2, 1))
    struct = geometry.window_struct(window, step=(60, 10), step_kernel=(3, 1)).view(geometry.WINDOW)["dim"]
    unused, *used = struct.tolist()
    by_1, by_2 = geometry.divisor(1), geometry.divisor(2)
    first, second = (2, 1, 2, 1, 1, 0, 2, 2), (3, 2, 1, 1, 2, 1, 1, 2)
    assert unused == (1, 1, 0, (1, 1, 1, 1, 1, 0, 1, 1), by_1, by_1, by_1, 0, 0, 0, 0)
    assert used == [
        (5, 4, 1, first, by_1, by_1, by_1, 60, 0, 3, 0),
        (6, 3, 0, second, by_2, by_1, by_2, 10, 0, 1, 0),
    ]
    with pytest.raises(ValueError, match="windows over 4 dimensions: the GPU kernels know up to 3"):
        geometry.walk((5,) * 4, row_major((5,) * 4), positions=((0,) * 4,) * 4)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12), st.integers(0, 200))
def test_windows_that_meet_one_position(kernel, stride, dilation, place):
    """As `first_meeting` and FOR_EACH_MEETING of cuda/window.cuh find them: all, in the order of kernel positions."""
    _, _, _, common, period, inverse, apart, turns = geometry.window_sizes(kernel, stride, dilation)
    k = place // common % period * inverse % period
    rest = place - k * dilation
    o = rest // stride if rest >= 0 and rest % stride == 0 else -1
    found = [(k + turn * period, o - turn * apart) for turn in range(turns)]
    expected = [(k, (place - k * dilation) // stride) for k in range(kernel) if (place - k * dilation) % stride == 0]
    assert [(k, o) for k, o in found if k < kernel and o >= 0] == [(k, o) for k, o in expected if o >= 0]


def test_tiles_meet_a_position_once():
    assert geometry.window_sizes(3, 3, 1)[-1] == geometry.window_sizes(2, 5, 1)[-1] == 1
    assert geometry.window_sizes(3, 2, 1)[-1] == 2


def test_windows_too_far_apart():
    geometry.window_sizes(3, 1 << 30, 1)
    with pytest.raises(ValueError, match="windows with stride 50000 and dilation 49999 are too far"):
        geometry.window_sizes(3, 50000, 49999)


def test_structs_lie_in_memory_as_in_c():
    sizes = {"DIVISOR": 12, "AXIS": 36, "WALK": 296, "SIZES": 32, "DIM": 96, "WINDOW": 288}
    assert {name: getattr(geometry, name).itemsize for name in sizes} == sizes


# --- batches ------------------------------------------------------------------------------------------------------


@given(arrays(3))
@example(((3, 1, 2), (2, 2, 1), [(0, 0, 0), (4, 9, 1)]))
def test_batches_visit_every_member_once(case):
    shape, *steps = case[0], case[1], *case[2]
    starts, count, distances = geometry.batches(shape, *steps)
    assert len(starts) * count == np.prod(shape)
    calls = itertools.product(starts, range(count))
    found = [tuple(at + i * step for at, step in zip(start, distances)) for start, i in calls]
    expected = np.stack([offsets(shape, strides) for strides in steps]).T
    assert sorted(found) == sorted(map(tuple, expected.tolist()))


def test_batches_take_as_many_members_as_lie_evenly():
    assert geometry.batches((), (), ()) == ([(0, 0)], 1, (0, 0))
    assert geometry.batches((4, 5), (50, 10), (0, 0)) == ([(0, 0)], 20, (10, 0))
    assert geometry.batches((2, 5), (60, 10), (5, 1)) == ([(0, 0), (60, 5)], 5, (10, 1))
    assert geometry.batches((5, 2), (10, 60), (1, 5)) == ([(0, 0), (60, 5)], 5, (10, 1))
