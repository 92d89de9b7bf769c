"""SqueezeNet with torchvision's structure, names of parameters and initial values."""

from __future__ import annotations

from typing import Any

from tinycnn import cat, flatten, nn
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = ["Fire", "SqueezeNet", "squeezenet1_0", "squeezenet1_1"]


class Fire(nn.Module):
    """Few channels by 1×1 convolutions, then many by 1×1 and 3×3 ones side by side."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1
        )


class SqueezeNet(nn.Module):
    """(N, 3, H, W) to scores (N, num_classes).

    Args:
        version: "1_0" (default) or "1_1", which needs 2.4 times fewer operations.
        num_classes: number of scores. Default 1000.
        dropout: probability in the classifier. Default 0.5.

    Raises ValueError for another version.
    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        if version not in ("1_0", "1_1"):
            raise ValueError(f"SqueezeNet: expected version '1_0' or '1_1', got {version!r}")
        first = nn.Conv2d(3, 96, 7, stride=2) if version == "1_0" else nn.Conv2d(3, 64, 3, stride=2)
        planes = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
        inputs = (first.out_channels, *(2 * expand for _, expand in planes))
        fires = [Fire(n, squeeze, expand, expand) for n, (squeeze, expand) in zip(inputs, planes)]
        pools = (3, 7) if version == "1_0" else (2, 4)  # of the fires, which of them come after a pool
        layers: list[nn.Module] = [first, nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, ceil_mode=True)]
        for i, fire in enumerate(fires):
            layers += [nn.MaxPool2d(3, stride=2, ceil_mode=True), fire] if i in pools else [fire]
        self.features = nn.Sequential(*layers)
        final = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is final:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return flatten(self.classifier(self.features(x)), 1)


@register_model
def squeezenet1_0(**options: Any) -> SqueezeNet:
    """Version 1.0; `options` are those of `SqueezeNet`. ValueError for `weights`: nothing is downloaded."""
    return SqueezeNet("1_0", **options)


@register_model
def squeezenet1_1(**options: Any) -> SqueezeNet:
    """Version 1.1; see `squeezenet1_0`."""
    return SqueezeNet("1_1", **options)
