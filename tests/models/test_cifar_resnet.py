"""The ResNets for CIFAR: the parameters that the paper counts, the shortcut as loops, and their twin."""

import numpy as np
import pytest

import tinycnn
from tests.models.twins import check_file, check_gradients, check_twin, pictures
from tinycnn import models, nn, tensor
from tinycnn.models import CIFARResNet
from tinycnn.models.cifar_resnet import PaddedIdentity

# Of the paper's table 6, in millions, and exactly.
PARAMETERS = {
    "resnet20": (20, 0.27, 269_722),
    "resnet32": (32, 0.46, 464_154),
    "resnet44": (44, 0.66, 658_586),
    "resnet56": (56, 0.85, 853_018),
    "resnet110": (110, 1.7, 1_727_962),
}


def twin(lib, p, x):
    F = lib.nn.functional

    def normalised(x, conv, norm, stride=1):
        x = F.conv2d(x, p[f"{conv}.weight"], stride=stride, padding=1)
        return F.batch_norm(x, None, None, p[f"{norm}.weight"], p[f"{norm}.bias"], training=True)

    x = F.relu(normalised(x, "conv1", "bn1"))
    for stage in (1, 2, 3):
        for block in range(sum(name.startswith(f"layer{stage}.") and name.endswith("conv1.weight") for name in p)):
            name, halves = f"layer{stage}.{block}", stage > 1 and block == 0
            out = F.relu(normalised(x, f"{name}.conv1", f"{name}.bn1", 2 if halves else 1))
            out = normalised(out, f"{name}.conv2", f"{name}.bn2")
            if halves:
                x = F.avg_pool2d(x, 1, stride=2)
                x = lib.cat([x, lib.zeros_like(x)], 1)
            x = F.relu(x + out)
    return F.linear(x.mean((2, 3)), p["fc.weight"], p["fc.bias"])


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_paper_counts_the_parameters(name):
    layers, millions, exact = PARAMETERS[name]
    net = getattr(models, name)()
    count = sum(p.numel() for p in net.parameters())
    assert count == exact
    assert f"{count / 1e6:.{len(str(millions)) - 2}f}" == str(millions)
    assert sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in net.modules()) == layers


def test_names_of_parameters_are_torchvisions():
    own, torchvisions = models.resnet20().state_dict(), models.resnet18().state_dict()
    theirs = {name for name in torchvisions if "downsample" not in name and "layer4" not in name}
    assert {name for name in own if ".2." not in name} == theirs
    assert own["layer2.0.conv1.weight"].shape == (32, 16, 3, 3)


def test_the_shortcut_as_loops():
    x = pictures(2, 3, 5, 6)
    expected = np.zeros((2, 6, 3, 3))
    for n, c, i, j in np.ndindex(2, 3, 3, 3):
        expected[n, c, i, j] = x[n, c, 2 * i, 2 * j]
    np.testing.assert_array_equal(PaddedIdentity()(tensor(x)).numpy(), expected)


@pytest.mark.parametrize("shape", [(4, 3, 32, 32), (4, 3, 28, 28), (3, 1, 19, 22)])
def test_pictures_of_any_size(shape):
    net = CIFARResNet(1, in_channels=shape[1], num_classes=7)
    assert net(tinycnn.randn(*shape)).shape == (shape[0], 7)


def test_twin():
    check_twin(CIFARResNet(2), twin, tinycnn, pictures(3, 3, 13, 16))


@pytest.mark.torch
def test_twin_in_torch():
    import torch

    check_twin(models.resnet20(), twin, torch, pictures(4, 3, 32, 32))


def test_gradients():
    check_gradients(CIFARResNet(1), pictures(3, 3, 12, 12))


def test_file(tmp_path):
    check_file(CIFARResNet(1), CIFARResNet(1), pictures(2, 3, 16, 16), tmp_path / "net.safetensors")


def test_errors():
    with pytest.raises(ValueError, match="CIFARResNet: expected blocks of at least 1, got 0"):
        CIFARResNet(0)
