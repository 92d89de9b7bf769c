"""How mistakes are named that are not listed: two at once, and by how the result differs from the right one."""

import numpy as np
import pytest

from tinycnn.teaching import reference
from tinycnn.teaching.grade import pairs, windows
from tinycnn.teaching.grade.exercise import Mistake
from tinycnn.teaching.grade.relations import Pair, of_named, related

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_the_quick_windows_are_those_of_the_reference(stride, dilation):
    x, w, b = RNG.normal(size=(2, 3, 8, 9)), RNG.normal(size=(4, 3, 2, 3)), RNG.normal(size=4)
    both = (stride, stride), (dilation, dilation)
    y = reference.conv_nd(x, w, b, stride, 0, dilation)
    np.testing.assert_allclose(windows.conv(x, w, b, *both), y)
    g = RNG.normal(size=y.shape)
    dx, dw, _ = reference.conv_nd_backward(g, x, w, stride, 0, dilation)
    np.testing.assert_allclose(windows.scattered(windows.input_patches(g, w), x.shape[2:], *both), dx)
    np.testing.assert_allclose(windows.weight_gradient(g, x, (2, 3), *both), dw)
    columns = reference.im2col_loops(x, (2, 3), stride, 0, dilation)
    np.testing.assert_array_equal(windows.patches(x, (2, 3), *both).reshape(columns.shape), columns)
    if dilation == 1:
        pooled = reference.max_pool_nd(x, (2, 3), stride)
        upstream = RNG.normal(size=pooled.shape)
        expected = reference.max_pool_nd_backward(upstream, x, (2, 3), stride)
        np.testing.assert_allclose(windows.max_pool_backward(upstream, x, (2, 3), (stride, stride)), expected)


DOUBLES = [  # a step, what is changed in its solution, the result, and the two names
    (2, [("window * w[o]", "window * w[o, :, ::-1, ::-1]"), ("+ b[o]", "")], "y", ("rotated", "bias is missing")),
    (2, [("i * stride : i * stride + KH", "i : i + KH"), ("range(N)", "range(N - 1)")], "y",
     ("stride is ignored along the rows", "samples")),
    (3, [("padding : padding + H", ":H"), ("dx_padded[n, :, rows, columns] +=", "dx_padded[n, :, rows, columns] =")],
     "dx", ("= instead of +=", "stripped at the end only along the rows")),
    (3, [("dx, dw, db", "dx, dw[:, :, ::-1, ::-1] / N, db")], "dw", ("rotated by 180°", "averaged over the batch")),
    (5, [("] += columns[:, :, k, l]", "] += columns[:, :, KH - 1 - k, l]"), ("range(KW)", "range(KW - 1)")], "x",
     ("reversed along the kernel rows", "0 at the last of the kernel columns")),
]  # fmt: skip


@pytest.mark.parametrize("step, changes, result, names", DOUBLES)
def test_two_mistakes_at_once_are_both_named(folder, step, changes, result, names):
    for old, new in changes:
        folder.change(step, old, new)
    found = [check.diagnosis for check in folder.grade(step, seed=0).checks if check.result == result]
    named = next(filter(None, found), "")
    assert "; and " in named
    assert all(name in named for name in names), named


def test_one_mistake_goes_before_two(folder):
    folder.change(3, "dx, dw, db", "dx, dw / N, db")
    diagnoses = [check.diagnosis for check in folder.grade(3).checks]
    assert any(diagnoses)
    assert not any("; and" in text for text in diagnoses)


def test_two_mistakes_are_named_only_if_they_explain_all_cases(folder):
    folder.change(2, "    return y", "    return y[::-1] * 3 if len(y) > 1 else y + 1")
    assert not any("; and" in check.diagnosis for check in folder.grade(2).checks)


def test_the_search_ends_in_time():
    def slow(**arguments):
        return sum(np.ones(10**4).sum() for _ in range(300)) * arguments["x"]

    known = [Mistake("y", str(i), slow, before=lambda a: a | {"x": a["x"] + 1}) for i in range(200)]
    budget = pairs.Budget(0.2)
    assert not list(pairs.pairs(known, (), {"x": np.ones((2, 3))}, RNG.normal(size=(2, 3)), budget))
    assert -2.0 < budget.seconds < 0.0


# --- relations --------------------------------------------------------------------------------------------

A = [RNG.normal(size=size) for size in ((1, 2, 3, 4), (2, 3, 5, 4), (3, 2, 6, 7))]


def at_last_row(a):
    a[:, :, -1] += RNG.normal(size=a[:, :, -1].shape)
    return a


def without_some(a):
    a.flat[1::3] = 0
    return a


RELATIONS = [
    ("dx", lambda a: 3 * a, "3 times what it should be"),
    ("dx", lambda a: a / a.shape[2], "the same factor"),
    ("y", lambda a: a + 2, "off by the same number"),
    ("y", lambda a: a + np.arange(a.shape[1])[:, None, None] + 1, "a bias is missing"),
    ("dx", lambda a: a * np.sign(np.sin(1 + np.arange(a.size).reshape(a.shape))), "but for the sign"),
    ("dx", lambda a: 0 * a, "0 everywhere"),
    ("y", lambda a: np.log(a * 0), "inf or nan"),
    ("dx", at_last_row, "wrong only in the last row"),
    ("dx", without_some, "0 came there"),
    ("dx", lambda a: np.roll(a, 1, 3), "the columns of dx are right ones"),
    ("dx", lambda a: np.pad(a, ((0, 0), (0, 0), (1, 0), (0, 1)))[:, :, :-1, 1:], "1 down and 1 left"),
    ("dx", lambda a: np.sort(a, axis=3), "right numbers in each sample and each channel and each row"),
    ("dx", lambda a: np.broadcast_to(a.mean((2, 3), keepdims=True) ** 2, a.shape), "the same for all rows"),
    ("dx", lambda a: a[:, :, 1:], "the first rows are missing"),
    ("dx", lambda a: np.pad(a, ((0, 0), (0, 0), (2, 2), (2, 2))), "too many"),
    ("dx", lambda a: np.ones((*a.shape[:2], *(n + len(a) // 2 * 2 + 2 for n in a.shape[2:]))),
     "2·padding rows and columns too many"),
    ("dx", lambda a: a.sum(1), "it is the sum over the channels"),
    ("dx", lambda a: np.stack([a, a], 1) / 2, "it is the sum over axis 1"),
    ("dx", lambda a: a.reshape(len(a), -1), "only the shape is wrong"),
    ("dx", lambda a: a.swapaxes(1, 2), "another order and shape"),
    ("dx", lambda a: a.mean(1, keepdims=True), "averaged over the channels"),
    ("dx", lambda a: a[:, :, 9:-9], "empty"),
    ("dx", lambda a: RNG.normal(size=a.shape), ""),
]  # fmt: skip


@pytest.mark.parametrize("result, change, words", RELATIONS, ids=[row[2] or "nothing" for row in RELATIONS])
def test_a_relation_is_named(result, change, words):
    paddings = [len(a) // 2 + 1 for a in A]
    cases = [Pair(change(a.copy()), a, {"stride": 1, "padding": P}) for a, P in zip(A, paddings)]
    name, see = related(result, "f", cases)
    assert words in name if words else name == ""
    assert bool(see) == bool(name)


@pytest.mark.parametrize("change", [row[1] for row in RELATIONS[:12]])
def test_a_relation_of_some_cases_is_not_named(change):
    cases = [Pair(change(a.copy()), a, {}) for a in A[:2]] + [Pair(RNG.normal(size=A[2].shape), A[2], {})]
    assert related("dx", "f", cases)[0] == ""


@pytest.mark.parametrize("change", [lambda a: a * 2, np.abs, np.sort, lambda a: a[..., :1], lambda a: a[None], np.sum])
def test_arrays_of_several_numbers_of_axes_do_no_harm(change):
    several = [A[0], A[1][0], A[2][0, 0], A[0].ravel()]
    for cases in (several, several[::-1]):
        assert isinstance(related("dx", "f", [Pair(np.asarray(change(a)), a, {}) for a in cases])[0], str)


def test_the_wrong_ones_of_several_arrays_are_named():
    right = {"w": A[0], "b": A[1]}
    assert "only w is wrong, and b right; every element of gradients is 2 times" in of_named(
        "gradients", [({"w": 2 * A[0], "b": A[1]}, right)])[0]  # fmt: skip
    assert of_named("gradients", [({"w": A[0].ravel(), "b": A[1]}, right)]) == ("", "")


def test_a_number_is_off_by_the_same_in_all_cases():
    cases = [Pair(np.array(n + 2), np.array(n), {}) for n in (3, 5, 9)]
    assert "2 too large in all wrong cases" in related("size", "output_size", cases)[0]
    assert related("size", "output_size", cases[:2])[0] == ""
