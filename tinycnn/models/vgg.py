"""VGG and AlexNet with torchvision's structure, names of parameters and initial values."""

from __future__ import annotations

from typing import Any

from tinycnn import flatten, nn
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = [
    "VGG", "AlexNet", "alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip

# By the number of layers: output channels of 3×3 convolutions, "M" for 2×2 max pooling.
_CONFIGURATIONS: dict[int, list] = {
    11: [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    13: [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    16: [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
    19: [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M"],
}  # fmt: skip


def make_layers(configuration: list, batch_norm: bool = False) -> nn.Sequential:
    """The convolutions and pools that a configuration names."""
    layers: list[nn.Module] = []
    channels = 3
    for entry in configuration:
        if entry == "M":
            layers.append(nn.MaxPool2d(2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, entry, 3, padding=1))
        layers += [nn.BatchNorm2d(entry), nn.ReLU(inplace=True)] if batch_norm else [nn.ReLU(inplace=True)]
        channels = entry
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """(N, 3, H, W) to scores (N, num_classes).

    Args:
        features: the convolutions; 512 channels come out.
        num_classes: number of scores. Default 1000.
        init_weights: draw initial values as torchvision does. Default True.
        dropout: probability in the classifier. Default 0.5.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.
    """

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        for module in self.modules() if init_weights else ():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


class AlexNet(nn.Module):
    """(N, 3, H, W), H and W of at least 63, to scores (N, num_classes).

    Args:
        num_classes: number of scores. Default 1000.
        dropout: probability in the classifier. Default 0.5.

    Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True),
            nn.Dropout(p=dropout), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


@register_model
def alexnet(**options: Any) -> AlexNet:
    """`options` are those of `AlexNet`. ValueError for `weights`: nothing is downloaded."""
    return AlexNet(**options)


def _vgg(layers: int, batch_norm: bool, options: dict[str, Any]) -> VGG:
    return VGG(make_layers(_CONFIGURATIONS[layers], batch_norm), **options)


@register_model
def vgg11(**options: Any) -> VGG:
    """11 layers; `options` are those of `VGG`. ValueError for `weights`: nothing is downloaded."""
    return _vgg(11, False, options)


@register_model
def vgg11_bn(**options: Any) -> VGG:
    """11 layers with batch normalisation; see `vgg11`."""
    return _vgg(11, True, options)


@register_model
def vgg13(**options: Any) -> VGG:
    """13 layers; see `vgg11`."""
    return _vgg(13, False, options)


@register_model
def vgg13_bn(**options: Any) -> VGG:
    """13 layers with batch normalisation; see `vgg11`."""
    return _vgg(13, True, options)


@register_model
def vgg16(**options: Any) -> VGG:
    """16 layers; see `vgg11`."""
    return _vgg(16, False, options)


@register_model
def vgg16_bn(**options: Any) -> VGG:
    """16 layers with batch normalisation; see `vgg11`."""
    return _vgg(16, True, options)


@register_model
def vgg19(**options: Any) -> VGG:
    """19 layers; see `vgg11`."""
    return _vgg(19, False, options)


@register_model
def vgg19_bn(**options: Any) -> VGG:
    """19 layers with batch normalisation; see `vgg11`."""
    return _vgg(19, True, options)
