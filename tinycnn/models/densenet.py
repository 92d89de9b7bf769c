"""DenseNet with torchvision's structure, names of parameters and initial values."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from tinycnn import cat, flatten, nn
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = ["DenseNet", "densenet121", "densenet169", "densenet201"]


class _DenseLayer(nn.Module):
    """The new channels that a layer computes from those of all layers before it."""

    def __init__(self, channels: int, growth_rate: int, bn_size: int, drop_rate: float):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, bn_size * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = drop_rate

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.relu1(self.norm1(x)))
        out = self.conv2(self.relu2(self.norm2(out)))
        return nn.functional.dropout(out, self.drop_rate, self.training) if self.drop_rate else out


class _DenseBlock(nn.ModuleDict):
    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(cat(features, 1)))
        return cat(features, 1)


class DenseNet(nn.Module):
    """(N, 3, H, W) to scores (N, num_classes).

    Args:
        growth_rate: channels that each layer adds. Default 32.
        block_config: layers in each block.
        num_init_features: channels of the first convolution. Default 64.
        bn_size: channels of a layer's 1×1 convolution, in multiples of `growth_rate`. Default 4.
        drop_rate: probability of dropout after each layer. Default 0.
        num_classes: number of scores. Default 1000.

    Source: Huang et al., "Densely connected convolutional networks", 2017.
    """

    def __init__(
        self, growth_rate: int = 32, block_config: tuple[int, ...] = (6, 12, 24, 16), num_init_features: int = 64,
        bn_size: int = 4, drop_rate: float = 0, num_classes: int = 1000,
    ):  # fmt: skip
        super().__init__()
        channels = num_init_features
        features = OrderedDict(
            conv0=nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False), norm0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(inplace=True), pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        for i, count in enumerate(block_config, 1):
            names = [f"denselayer{j}" for j in range(1, count + 1)]
            widths = [channels + j * growth_rate for j in range(count)]
            layers = {name: _DenseLayer(n, growth_rate, bn_size, drop_rate) for name, n in zip(names, widths)}
            features[f"denseblock{i}"] = _DenseBlock(layers)
            channels += count * growth_rate
            if i < len(block_config):
                features[f"transition{i}"] = nn.Sequential(
                    OrderedDict(
                        norm=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True),
                        conv=nn.Conv2d(channels, channels // 2, 1, bias=False), pool=nn.AvgPool2d(2, stride=2),
                    )
                )  # fmt: skip
                channels //= 2
        features["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = nn.functional.relu(self.features(x), inplace=True)
        return self.classifier(flatten(nn.functional.adaptive_avg_pool2d(out, (1, 1)), 1))


@register_model
def densenet121(**options: Any) -> DenseNet:
    """121 layers; `options` are those of `DenseNet`. ValueError for `weights`: nothing is downloaded."""
    return DenseNet(32, (6, 12, 24, 16), 64, **options)


@register_model
def densenet169(**options: Any) -> DenseNet:
    """169 layers; see `densenet121`."""
    return DenseNet(32, (6, 12, 32, 32), 64, **options)


@register_model
def densenet201(**options: Any) -> DenseNet:
    """201 layers; see `densenet121`."""
    return DenseNet(32, (6, 12, 48, 32), 64, **options)
