"""The wide net: that of the benchmarks, and its twin."""

import pytest

import tinycnn
from tests.models.twins import check_file, check_gradients, check_twin, pictures
from tests.test_benchmarks import nets
from tinycnn.models import WideNet, wide


def twin(lib, p, x):
    F = lib.nn.functional
    for first, second, norm in [(0, 2, 4), (6, 8, 10)]:
        for layer in (first, second):
            x = F.relu(F.conv2d(x, p[f"features.{layer}.weight"], p[f"features.{layer}.bias"]))
        x = F.batch_norm(x, None, None, p[f"features.{norm}.weight"], p[f"features.{norm}.bias"], training=True)
        x = F.max_pool2d(x, 2)
    return F.linear(x.flatten(1), p["classifier.1.weight"], p["classifier.1.bias"])


def test_it_is_the_net_of_the_benchmarks():
    net, measured = wide(), nets.wide(tinycnn)
    assert sum(p.numel() for p in net.parameters()) == 87_850
    measured.load_state_dict(dict(zip(measured.state_dict(), net.state_dict().values(), strict=True)))
    x = tinycnn.randn(2, 1, 28, 28)
    assert tinycnn.equal(net(x), measured(x))


@pytest.mark.parametrize("size", [20, 28, 31, 32])
def test_sizes(size):
    assert WideNet(3, num_classes=4, image_size=size)(tinycnn.zeros(2, 3, size, size)).shape == (2, 4)


def test_twin():
    check_twin(WideNet(), twin, tinycnn, pictures(3, 1, 28, 28))


@pytest.mark.torch
def test_twin_in_torch():
    import torch

    check_twin(WideNet(), twin, torch, pictures(3, 1, 28, 28))


def test_gradients():
    check_gradients(WideNet(), pictures(3, 1, 28, 28))


def test_file(tmp_path):
    check_file(WideNet(), WideNet(), pictures(2, 1, 28, 28), tmp_path / "net.safetensors")


def test_errors():
    with pytest.raises(ValueError, match="WideNet: expected image_size of at least 20, got 19"):
        WideNet(image_size=19)
    with pytest.raises(TypeError, match="WideNet: expected image_size as an int, got 28.5"):
        WideNet(image_size=28.5)
