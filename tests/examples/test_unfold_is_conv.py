"""Unfold and a product are a convolution, with its gradients; patches do not overlap."""

import numpy as np
import pytest
import unfold_is_conv

import tinycnn
from tests.examples.programs import run_program
from tinycnn import nn


@pytest.mark.parametrize("way", [unfold_is_conv.unfold_and_matmul, unfold_is_conv.nine_slices])
def test_both_forms_are_the_layer_forward_and_backward(way):
    tinycnn.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1, dtype="float64")
    x = tinycnn.randn(2, 3, 5, 7, dtype="float64", requires_grad=True)
    upstream = tinycnn.randn(2, 4, 5, 7, dtype="float64")
    inputs = [x, layer.weight, layer.bias]
    y, expected = way(x, layer), layer(x)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=1e-12)
    for found, wanted in zip(tinycnn.grad(y, inputs, upstream), tinycnn.grad(expected, inputs, upstream)):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-12)


def test_patches_are_cut_out_of_the_image():
    images = tinycnn.randn(2, 3, 28, 42)
    patches = unfold_is_conv.patches_of(images)
    assert patches.shape == (2, 588, 6)
    np.testing.assert_array_equal(
        patches.numpy()[1, :, 4].reshape(3, 14, 14), images.numpy()[1, :, 14:28, 14:28]  # second row, second column
    )
    np.testing.assert_array_equal(unfold_is_conv.patches_by_reshape(images).numpy(), patches.numpy())


def test_what_it_prints():
    done = run_program("unfold_is_conv")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    cells = {line.split("  ")[0]: line.split() for line in lines if line.endswith(" ms")}
    assert len(cells) == 7
    for name, shape in [("Unfold and matmul", "(25, 16, 32, 32)"), ("nine slices, channels last", "(25, 16, 32, 32)"),
                        ("reshape and permute", "(25, 588, 256)"),
                        ("patches through a linear layer", "(25, 256, 192)")]:  # fmt: skip
        assert shape in " ".join(cells[name])
        assert float(cells[name][-3]) < 1e-5
    assert "256 = 16 · 16 patches of 3·14·14 = 588 numbers" in done.out
    assert "undoes Unfold: largest difference 0." in done.out
