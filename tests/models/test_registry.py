"""The nets by name, and for given pictures."""

import re
import types

import pytest

import tinycnn
from tests.models.test_torchvision import NETS
from tinycnn import models
from tinycnn.models import get_model, get_model_builder, list_models, model_for

OWN = ["lenet5", "lenet5_1998", "resnet110", "resnet20", "resnet32", "resnet44", "resnet56", "unet", "wide"]


def test_every_net_is_listed():
    builders = {name for name in models.__all__ if name.islower() and name not in models.registry.__all__}
    assert list_models() == sorted(builders) == sorted([*NETS, *OWN])
    for name in list_models():
        assert get_model_builder(name) is getattr(models, name)


def test_patterns_as_in_torchvision():
    assert list_models(models) == list_models()
    assert list_models(types.ModuleType("another")) == []
    assert list_models(include="squeeze*") == ["squeezenet1_0", "squeezenet1_1"]
    assert list_models(include=["vgg1[13]", "alex*"], exclude="vgg13") == ["alexnet", "vgg11"]
    assert list_models(exclude=["*net*", "vgg*", "resnext*"]) == ["wide"]
    assert list_models(include="none") == list_models(exclude="*") == []


@pytest.mark.parametrize("name", ["resnet18", "ResNet18"])
def test_a_net_by_its_name(name):
    net = get_model(name, num_classes=3)
    assert isinstance(net, models.ResNet)
    assert net.fc.out_features == 3


@pytest.mark.parametrize("name", OWN)
def test_weights_are_not_downloaded(name):
    with pytest.raises(ValueError, match=f"{name}: nothing is downloaded here"):
        get_model(name, weights="DEFAULT")


@pytest.mark.parametrize("name, message", [
    ("resnet81", "models: there is no net 'resnet81'; the nearest are resnet"),
    ("lenet", "models: there is no net 'lenet'; the nearest are lenet5, "),
    ("xyz", "models: there is no net 'xyz'; list_models() has the names"),
])  # fmt: skip
def test_unknown_names(name, message):
    for call in (get_model, get_model_builder, lambda name: model_for(name, (3, 32, 32), 10)):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(name)


def test_a_name_that_is_no_str():
    with pytest.raises(TypeError, match=re.escape("models: expected the name of a net, got 18 (int)")):
        get_model(18)


@pytest.mark.parametrize("name, image_shape, options", [
    ("lenet5", (1, 28, 28), {}),
    ("lenet5", (1, 32, 32), {}),
    ("lenet5_1998", (1, 32, 32), {"output": "linear"}),
    ("wide", (3, 32, 32), {}),
    ("resnet20", (1, 28, 28), {}),
    ("resnet32", (3, 24, 40), {}),
    ("resnet18", (3, 32, 32), {"zero_init_residual": True}),
    ("mobilenet_v2", (3, 32, 32), {"width_mult": 0.25, "dropout": 0.1}),
    ("squeezenet1_1", (3, 32, 32), {}),
    ("densenet121", (3, 32, 32), {"drop_rate": 0.1}),
])  # fmt: skip
def test_a_net_for_pictures(name, image_shape, options):
    net = model_for(name, image_shape, 7, **options)
    assert net.training
    assert all(module.training for module in net.modules())
    assert net(tinycnn.randn(2, *image_shape)).shape == (2, 7)


def test_scores_of_pixels():
    assert model_for("unet", (2, 9, 7), 3, width=2, depth=2)(tinycnn.zeros(1, 2, 9, 7)).shape == (1, 3, 9, 7)


def test_showing_a_picture_changes_nothing():
    """Neither the statistics of batch normalisation nor the random numbers."""
    tinycnn.manual_seed(0)
    shown = model_for("mobilenet_v2", (3, 32, 32), 2)
    drawn = tinycnn.rand(3)
    tinycnn.manual_seed(0)
    built = get_model("mobilenet_v2", num_classes=2)
    assert tinycnn.equal(drawn, tinycnn.rand(3))
    for name, value in built.state_dict().items():
        assert tinycnn.equal(shown.state_dict()[name], value), name


@pytest.mark.parametrize("name, image_shape, message", [
    ("resnet18", (1, 28, 28),
     "model_for: resnet18 does not take pictures (C, H, W) = (1, 28, 28): Conv2d(in_channels=3): expected input"),
    ("lenet5", (3, 32, 32), "model_for: lenet5 does not take pictures (C, H, W) = (3, 32, 32): Conv2d(in_channels=1)"),
    ("squeezenet1_1", (3, 8, 8), "model_for: squeezenet1_1 does not take pictures (C, H, W) = (3, 8, 8): MaxPool2d"),
    ("densenet121", (3, 28, 28), "model_for: densenet121 does not take pictures (C, H, W) = (3, 28, 28): AvgPool2d"),
    ("lenet5", (1, 30, 30), "LeNet5: expected image_size 28 or 32, got 30"),
    ("wide", (1, 28, 32), "model_for: wide takes square pictures, got (C, H, W) = (1, 28, 32)"),
    ("resnet20", (28, 28), "model_for: expected image_shape (C, H, W), got (28, 28)"),
    ("resnet20", (3, 0, 28), "model_for: expected image_shape of at least 1, got 0"),
])  # fmt: skip
def test_pictures_that_a_net_cannot_take(name, image_shape, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        model_for(name, image_shape, 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name, options, message", [
    ("lenet5", {"width": 3}, "model_for: lenet5 has no option 'width'; it has none"),
    ("unet", {"widht": 3}, "model_for: unet has no option 'widht'; it has width, depth, batch_norm"),
    ("wide", {"image_size": 28}, "model_for: wide has no option 'image_size'; it has none"),
    ("unet", {"width": 0}, "UNet: expected width of at least 1, got 0"),
    ("resnet18", {"weights": "DEFAULT"}, "model_for: resnet18 has no option 'weights'; it has zero_init_residual"),
])  # fmt: skip
def test_options_that_a_net_cannot_take(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        model_for(name, (1, 28, 28), 10, **options)


@pytest.mark.parametrize("count, error", [(0, ValueError), (-3, ValueError), (2.5, TypeError), ("10", TypeError)])
def test_numbers_of_classes(count, error):
    with pytest.raises(error, match="model_for: expected num_classes"):
        model_for("resnet20", (3, 32, 32), count)
