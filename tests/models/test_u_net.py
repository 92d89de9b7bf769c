"""U-Net: its parameters, pictures of every size, and its twin."""

from itertools import pairwise

import pytest

import tinycnn
from tests.models.twins import check_file, check_gradients, check_twin, pictures
from tinycnn import nn
from tinycnn.models import UNet, unet


def twin(lib, p, x, levels=2):
    F = lib.nn.functional

    def convolved(x, name):
        step = 3 if f"{name}.1.weight" in p else 2  # with batch normalisation or without
        for i in (0, step):
            x = F.conv2d(x, p[f"{name}.{i}.weight"], p.get(f"{name}.{i}.bias"), padding=1)
            if step == 3:
                weight, bias = p[f"{name}.{i + 1}.weight"], p[f"{name}.{i + 1}.bias"]
                x = F.batch_norm(x, None, None, weight, bias, training=True)
            x = F.relu(x)
        return x

    skips = []
    for level in range(levels):
        x = convolved(x, f"down.{level}")
        skips.append(x)
        h, w = x.shape[2:]
        x = F.max_pool2d(F.pad(x, (0, w % 2, 0, h % 2), value=-1e9), 2)
    x = convolved(x, "bottom")
    for level in range(levels):
        skip = skips[levels - 1 - level]
        x = F.conv_transpose2d(x, p[f"up.{level}.weight"], p[f"up.{level}.bias"], stride=2)
        x = x[:, :, : skip.shape[2], : skip.shape[3]]
        x = convolved(lib.cat([skip, x], 1), f"join.{level}")
    return F.conv2d(x, p["head.weight"], p["head.bias"])


def test_the_papers_net():
    """23 convolutions, four of them up, from 64 to 1,024 channels and back."""
    net = unet()
    layers = [module for module in net.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))]
    assert len(layers) == 23
    assert [layer.out_channels for layer in layers if isinstance(layer, nn.ConvTranspose2d)] == [512, 256, 128, 64]
    assert max(layer.out_channels for layer in layers) == 1024
    channels = [1, 64, 128, 256, 512, 1024]
    expected = 0
    for c, o in pairwise(channels):
        expected += 9 * c * o + o + 9 * o * o + o  # down, and the bottom
    for o in channels[1:-1]:
        expected += 4 * 2 * o * o + o + 9 * 2 * o * o + o + 9 * o * o + o  # up, and what is joined
    expected += 64 * 2 + 2
    assert sum(p.numel() for p in net.parameters()) == expected == 31_030_658


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (16, 16), (17, 30), (33, 9)])
@pytest.mark.parametrize("depth", [0, 1, 4])
def test_every_size(size, depth):
    net = UNet(3, num_classes=5, width=2, depth=depth)
    assert net(tinycnn.randn(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("size", [(8, 12), (9, 14), (7, 11)])
def test_twin(size, batch_norm):
    tinycnn.manual_seed(0)
    check_twin(UNet(2, 3, 4, 2, batch_norm), twin, tinycnn, pictures(2, 2, *size))


@pytest.mark.torch
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("size", [(8, 12), (9, 14), (7, 11)])
def test_twin_in_torch(size, batch_norm):
    import torch

    tinycnn.manual_seed(0)
    check_twin(UNet(2, 3, 4, 2, batch_norm), twin, torch, pictures(2, 2, *size))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradients(batch_norm):
    tinycnn.manual_seed(0)
    check_gradients(UNet(1, 3, 3, 2, batch_norm), pictures(2, 1, 10, 7))


def test_file(tmp_path):
    nets = [UNet(width=4, depth=2, batch_norm=True) for _ in range(2)]
    check_file(*nets, pictures(2, 1, 16, 16), tmp_path / "net.safetensors")


def test_it_learns_the_outlines_of_squares():
    """Pixels of a square, of its edge and outside: a class needs the surroundings, so that all levels are used."""
    tinycnn.manual_seed(0)
    net = UNet(1, 3, 4, 2, batch_norm=True)
    picture, labels = tinycnn.zeros(1, 1, 20, 20), tinycnn.zeros(1, 20, 20, dtype=tinycnn.int64)
    picture[:, :, 5:15, 4:12] = 1
    labels[:, 5:15, 4:12] = 1
    labels[:, 6:14, 5:11] = 2
    optimizer = tinycnn.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(picture), labels).backward()
        optimizer.step()
    assert (net(picture).argmax(1) == labels).float().mean() > 0.99


@pytest.mark.parametrize("options, message", [
    ({"depth": -1}, "UNet: expected depth of at least 0, got -1"),
    ({"width": 0}, "UNet: expected width of at least 1, got 0"),
])  # fmt: skip
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        UNet(**options)
