"""ResNet with torchvision's structure, names of parameters and initial values."""

from __future__ import annotations

from typing import Any

from tinycnn import flatten, nn
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
           "resnext50_32x4d", "wide_resnet50_2"]  # fmt: skip


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size, divided by the stride."""
    return nn.Conv2d(in_planes, out_planes, 3, stride, padding=1, groups=groups, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: (N, inplanes, H, W) to (N, planes, H / stride, W / stride)."""

    expansion = 1

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, groups: int = 1,
        base_width: int = 64,
    ):  # fmt: skip
        super().__init__()
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut: (N, inplanes, H, W) to (N, 4·planes, H / stride, W / stride)."""

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, groups: int = 1,
        base_width: int = 64,
    ):  # fmt: skip
        super().__init__()
        width = planes * base_width // 64 * groups
        self.conv1 = nn.Conv2d(inplanes, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + identity)


class ResNet(nn.Module):
    """(N, 3, H, W) to scores (N, num_classes).

    Args:
        block: BasicBlock or Bottleneck.
        layers: blocks in each of the four stages.
        num_classes: number of scores. Default 1000.
        zero_init_residual: start with every block as the identity. Default False.
        groups: groups of the bottlenecks' 3×3 convolutions. Default 1.
        width_per_group: their channels for each 64 planes. Default 64.

    Sources: He et al., "Deep residual learning for image recognition", 2016; the stride stands in the 3×3 convolution,
    as in torchvision.
    """

    def __init__(
        self, block: type[BasicBlock | Bottleneck], layers: list[int], num_classes: int = 1000,
        zero_init_residual: bool = False, groups: int = 1, width_per_group: int = 64,
    ):  # fmt: skip
        super().__init__()
        self.inplanes, self.groups, self.base_width = 64, groups, width_per_group
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                nn.init.zeros_((module.bn2 if isinstance(module, BasicBlock) else module.bn3).weight)

    def _make_layer(self, block: type[BasicBlock | Bottleneck], planes: int, blocks: int, stride: int = 1) -> nn.Module:
        out_planes, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != out_planes:
            convolution = nn.Conv2d(self.inplanes, out_planes, 1, stride, bias=False)
            downsample = nn.Sequential(convolution, nn.BatchNorm2d(out_planes))
        layers = []
        for i in range(blocks):
            first = (stride, downsample) if i == 0 else (1, None)
            layers.append(block(self.inplanes, planes, *first, self.groups, self.base_width))
            self.inplanes = out_planes
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(flatten(self.avgpool(x), 1))


@register_model
def resnet18(**options: Any) -> ResNet:
    """18 layers; `options` are those of `ResNet`. ValueError for `weights`: nothing is downloaded."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **options)


@register_model
def resnet34(**options: Any) -> ResNet:
    """34 layers; see `resnet18`."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **options)


@register_model
def resnet50(**options: Any) -> ResNet:
    """50 layers; see `resnet18`."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **options)


@register_model
def resnet101(**options: Any) -> ResNet:
    """101 layers; see `resnet18`."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **options)


@register_model
def resnet152(**options: Any) -> ResNet:
    """152 layers; see `resnet18`."""
    return ResNet(Bottleneck, [3, 8, 36, 3], **options)


@register_model
def resnext50_32x4d(**options: Any) -> ResNet:
    """ResNeXt of 50 layers with 32 groups of 4 channels; see `resnet18`. Source: Xie et al., 2017."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"groups": 32, "width_per_group": 4, **options})


@register_model
def wide_resnet50_2(**options: Any) -> ResNet:
    """50 layers of twice the width; see `resnet18`. Source: Zagoruyko and Komodakis, 2016."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"width_per_group": 128, **options})
