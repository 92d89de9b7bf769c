"""The ways to compute a convolution agree, also where rows and columns, or N, C and O, could be confused."""

import conv_three_ways
import numpy as np
import pytest
from program import difference

from tests.examples.programs import run_program
from tinycnn._extras import how_to_install
from tinycnn.teaching import reference


@pytest.mark.parametrize("stride, padding", [(1, 0), (1, 2), (2, 1), (3, 2)])
def test_all_ways_agree_on_images_that_are_not_square(stride, padding):
    rng = np.random.default_rng(stride)
    x, w, b = rng.standard_normal((2, 3, 6, 9)), rng.standard_normal((4, 3, 2, 3)), rng.standard_normal(4)
    y = reference.conv_nd(x, w, b, stride, padding)
    g = rng.standard_normal(y.shape)
    expected = [y, *reference.conv_nd_backward(g, x, w, stride, padding)]
    ways = conv_three_ways.ways()
    assert len(ways) >= 6
    for way in ways:
        found = [way.forward(x, w, b, stride, padding), *way.backward(g, x, w, stride, padding)]
        assert max(map(difference, found, expected)) < 1e-12, way.name


def test_the_table():
    done = run_program("conv_three_ways", "--size", 7, "--batch", 2, "--stride", 2, "--repeat", 1)
    assert (done.status, done.err) == (0, "")
    rows = done.table()
    assert list(rows)[:6] == [
        "sliding window, one channel", "sliding window, all channels", "seven nested loops",
        "im2col by loops, one product", "F.unfold, one product", "F.conv2d",
    ]  # fmt: skip
    for cells in rows.values():
        forward, backward, *differences = cells
        assert all(time.endswith(" ms") and float(time[:-3].replace(",", "")) > 0 for time in (forward, backward))
        assert all(cell == "–" or float(cell) < 1e-12 for cell in differences)
    assert rows["F.conv2d"][2:4] == ["–", "–"]
    assert "y (2, 8, 4, 4)" in done.out
    assert f"{2 * 8 * 4 * 4 * 3 * 9:,} multiply-adds" in done.out


@pytest.mark.torch
def test_torch_is_one_of_them():
    done = run_program("conv_three_ways", "--size", 5, "--batch", 1, "--repeat", 1)
    assert [float(cell) < 1e-12 for cell in done.table()["torch"][2:4]] == [True, True]


def test_without_torch_it_says_so(monkeypatch):
    monkeypatch.setattr(conv_three_ways, "optional_torch", lambda: None)
    done = run_program("conv_three_ways", "--size", 5, "--batch", 1, "--repeat", 1)
    assert done.status == 0
    assert done.out.splitlines()[-1].endswith(f"which is not installed: {how_to_install('torch')}")
    assert "torch" not in done.table()


def test_a_kernel_that_does_not_fit_is_one_line():
    done = run_program("conv_three_ways", "--size", 2, "--kernel-size", 5)
    assert done == (
        1, "", "conv_three_ways.py: error: kernel (5,) with dilation (1,) spans (5,), more than the padded input (4,)\n"
    )  # fmt: skip
