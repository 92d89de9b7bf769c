"""The nets that torchvision has too: names and shapes of their parameters are torchvision's."""

import hashlib

import pytest

import tinycnn
from tinycnn import models

# The net: entries of its state, parameters, and the MD5 of all names with their shapes, from torchvision 0.29.
STATES = {
    "resnet18": (122, 11_689_512, "8dcdcda764fe"),
    "resnet34": (218, 21_797_672, "a4708405eb22"),
    "resnet50": (320, 25_557_032, "d23f5d8e2f4e"),
    "resnext50_32x4d": (320, 25_028_904, "d2dfea2ecf30"),
    "alexnet": (16, 61_100_840, "bdf91bc2a5a7"),
    "vgg11": (22, 132_863_336, "6d482b30bfc0"),
    "vgg11_bn": (62, 132_868_840, "ad58df7c82af"),
    "mobilenet_v2": (314, 3_504_872, "82ca1c5f9718"),
    "densenet121": (727, 7_978_856, "f1903605766e"),
    "squeezenet1_0": (52, 1_248_424, "c7a00b45ee8f"),
    "squeezenet1_1": (52, 1_235_496, "98a5866b316f"),
}
NETS = [*STATES, "resnet101", "resnet152", "wide_resnet50_2", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19",
        "vgg19_bn", "densenet169", "densenet201"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_the_state_is_torchvisions(name):
    net = getattr(models, name)(weights=None)
    state = [(key, tuple(value.shape)) for key, value in net.state_dict().items()]
    text = " ".join(f"{key}{list(shape)}" for key, shape in state)
    found = len(state), sum(p.numel() for p in net.parameters()), hashlib.md5(text.encode()).hexdigest()[:12]
    assert found == STATES[name]


@pytest.mark.parametrize("name, size", [("resnet18", 40), ("mobilenet_v2", 40), ("densenet121", 40),
                                        ("squeezenet1_1", 40)])  # fmt: skip
def test_scores_and_gradients(name, size):
    tinycnn.manual_seed(0)
    net = getattr(models, name)(num_classes=3)
    scores = net(tinycnn.randn(2, 3, size, size))
    assert scores.shape == (2, 3)
    scores.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("options", [{"weights": "DEFAULT"}, {"pretrained": True}])
def test_weights_are_not_downloaded(name, options):
    with pytest.raises(ValueError, match=f"{name}: nothing is downloaded here; save torchvision's weights to a file"):
        getattr(models, name)(**options)


def test_former_options_of_torchvision():
    net = models.squeezenet1_1(pretrained=False, progress=True, num_classes=2)
    assert net(tinycnn.zeros(1, 3, 32, 32)).shape == (1, 2)
    with pytest.raises(ValueError, match="SqueezeNet: expected version '1_0' or '1_1', got '2'"):
        models.SqueezeNet("2")


def test_options_of_resnet():
    net = models.ResNet(models.BasicBlock, [1, 1, 1, 1], num_classes=4, zero_init_residual=True)
    assert float(net.layer1[0].bn2.weight.abs().sum()) == 0
    assert net(tinycnn.zeros(2, 3, 32, 32)).shape == (2, 4)
