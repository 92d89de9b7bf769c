"""The ResNets for CIFAR, with torchvision's names of parameters."""

from __future__ import annotations

from typing import Any

from tinycnn import flatten, nn
from tinycnn.checks import check_positive
from tinycnn.models.registry import register_model
from tinycnn.models.resnet import BasicBlock, conv3x3
from tinycnn.nn.functional import pad
from tinycnn.tensor import Tensor

__all__ = ["CIFARResNet", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]


class PaddedIdentity(nn.Module):
    """The shortcut without parameters, option A of the paper: every second row and column, and channels of zeros behind
    its own: (N, C, H, W) to (N, 2·C, H / 2, W / 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))


class CIFARResNet(nn.Module):
    """(N, in_channels, H, W) to scores (N, num_classes): three stages of 16, 32 and 64 channels.

    Args:
        blocks: blocks in each stage; 6 · blocks + 2 layers in all.
        in_channels: channels of a picture. Default 3.
        num_classes: number of scores. Default 10.

    Source: He et al., "Deep residual learning for image recognition", 2016, section 4.2; the initial values are those
    of He et al., "Delving deep into rectifiers", 2015.
    """

    def __init__(self, blocks: int, in_channels: int = 3, num_classes: int = 10):
        super().__init__()
        check_positive("CIFARResNet", "blocks", blocks)
        self.conv1 = conv3x3(in_channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(*(BasicBlock(16, 16) for _ in range(blocks)))
        self.layer2 = self._halving_layer(16, blocks)
        self.layer3 = self._halving_layer(32, blocks)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def _halving_layer(self, inplanes: int, blocks: int) -> nn.Sequential:
        """A stage of half the size and twice the channels."""
        planes = 2 * inplanes
        first = BasicBlock(inplanes, planes, stride=2, downsample=PaddedIdentity())
        return nn.Sequential(first, *(BasicBlock(planes, planes) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(flatten(self.avgpool(x), 1))


@register_model
def resnet20(**options: Any) -> CIFARResNet:
    """20 layers; `options` are those of `CIFARResNet`."""
    return CIFARResNet(3, **options)


@register_model
def resnet32(**options: Any) -> CIFARResNet:
    """32 layers; see `resnet20`."""
    return CIFARResNet(5, **options)


@register_model
def resnet44(**options: Any) -> CIFARResNet:
    """44 layers; see `resnet20`."""
    return CIFARResNet(7, **options)


@register_model
def resnet56(**options: Any) -> CIFARResNet:
    """56 layers; see `resnet20`."""
    return CIFARResNet(9, **options)


@register_model
def resnet110(**options: Any) -> CIFARResNet:
    """110 layers; see `resnet20`. The paper warms it up: its learning rate is 0.01 until the error is below 80 %."""
    return CIFARResNet(18, **options)
