"""docs/pitfalls.md: its blocks of code run, and what they claim holds beyond their one example."""

import re
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import gradcheck, nn, tensor
from tinycnn.diagnostics import shapes
from tinycnn.nn import functional as F
from tinycnn.teaching import reference

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "pitfalls.md").read_text(encoding="utf-8")
BEGINNING, *SECTIONS = TEXT.split("\n## ")
TITLES = [section.splitlines()[0] for section in SECTIONS]


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run_section(title):
    """Runs the blocks of a section, and returns the names that they defined."""
    (section,) = [section for section in SECTIONS if section.startswith(title)]
    names: dict = {}
    for block in blocks(BEGINNING) + blocks(section):
        exec(compile(block, f"pitfalls.md: {title}", "exec"), names)
    return names


@pytest.mark.parametrize("title", TITLES)
def test_the_blocks_run_and_claim_something(title):
    tinycnn.manual_seed(0)
    (section,) = [section for section in SECTIONS if section.startswith(title)]
    assert any("assert " in block for block in blocks(section))
    run_section(title)


def test_reflect_and_replicate_are_those_of_numpy():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    for mode, numpys in [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]:
        expected = np.pad(x, ((0, 0), (0, 0), (1, 3), (2, 0)), mode=numpys)
        np.testing.assert_array_equal(F.pad(tensor(x), (2, 0, 1, 3), mode=mode).numpy(), expected)


def test_without_its_minus_one_the_formula_is_wrong_exactly_where_the_stride_divides():
    for size in range(7, 20):
        for stride in (1, 2, 3):
            for dilation in (1, 2, 3):
                span = dilation * 2 + 1
                wrong = (size - dilation * 2) // stride + 1
                excess = wrong - shapes.output_size(size, 3, stride, dilation=dilation)
                assert excess == ((size - span + 1) % stride == 0)


def test_a_convolution_with_all_axes_summed_is_wrong_only_where_n_is_o():
    """The pitfall as a whole convolution: a test with N ≠ O finds it, one with N = O finds it by its values alone."""

    def wrong_convolution(x, w):
        N, O, (KH, KW) = len(x), len(w), w.shape[2:]
        y = np.zeros((N, O, x.shape[2] - KH + 1, x.shape[3] - KW + 1))
        for i, j in np.ndindex(y.shape[2:]):
            y[:, :, i, j] = (x[:, :, i : i + KH, j : j + KW] * w).sum(axis=(1, 2, 3))
        return y

    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 3, 5, 5)), rng.standard_normal((4, 3, 2, 2))
    y, expected = wrong_convolution(x, w), reference.conv_nd(x, w)
    assert y.shape == expected.shape
    assert not np.allclose(y, expected)
    for n in range(4):
        np.testing.assert_array_equal(y[n], y[0])  # every image has the same answers
        np.testing.assert_allclose(y[n, n], expected[n, n])
    with pytest.raises(ValueError, match="broadcast"):
        wrong_convolution(x[:3], w)


def test_one_maximum_for_the_whole_batch_shows_with_a_second_image_or_channel():
    def wrong_pool(x):
        y = np.zeros((*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2))
        for i, j in np.ndindex(y.shape[2:]):
            y[:, :, i, j] = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max()
        return y

    x = np.random.default_rng(0).standard_normal((2, 2, 4, 6))
    expected = F.max_pool2d(tensor(x), 2).numpy()
    np.testing.assert_array_equal(wrong_pool(x[:1, :1]), expected[:1, :1])
    for part in (x[:2, :1], x[:1, :2]):
        assert not np.allclose(wrong_pool(part), F.max_pool2d(tensor(part), 2).numpy())


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_col2im_of_im2col_multiplies_by_the_number_of_windows(stride):
    x, ones = tinycnn.randn(2, 3, 9, 9, dtype="float64"), tinycnn.ones(2, 3, 9, 9, dtype="float64")
    back, count = (F.fold(F.unfold(each, 3, stride=stride), (9, 9), 3, stride=stride) for each in (x, ones))
    np.testing.assert_allclose(back.numpy(), (x * count).numpy())
    assert (count.numpy() == 1).all() == (stride == 3)  # the only one without overlaps and gaps
    assert (count.numpy() == 0).any() == (stride == 4)


@pytest.mark.parametrize("error", [
    lambda g: g.flip(2, 3),
    lambda g: g.transpose(2, 3),
    lambda g: g * tinycnn.arange(1, 10).reshape(3, 3).to(g.dtype),
], ids=["kernel flipped", "kernel transposed", "scaled element by element"])  # fmt: skip
def test_wrong_weight_gradients_train_and_gradcheck_finds_each(error):
    train = run_section("A wrong gradient still trains")["train"]
    tinycnn.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3)
    conv.weight.register_hook(error)
    losses = train(conv)
    assert losses[-1] < losses[0] / 10
    x = tinycnn.randn(2, 1, 5, 6, dtype="float64")
    conv.double()
    with pytest.raises(RuntimeError, match=r"the gradient of inputs\[0\] of shape \(4, 1, 3, 3\) is wrong"):
        gradcheck(lambda weight: conv(x), conv.weight)


def test_the_right_gradient_trains_too_and_passes():
    train = run_section("A wrong gradient still trains")["train"]
    tinycnn.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3)
    assert train(conv)[-1] < 0.01
    x = tinycnn.randn(2, 1, 5, 6, dtype="float64")
    conv.double()
    assert gradcheck(lambda weight: conv(x), conv.weight)
