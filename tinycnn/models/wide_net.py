"""The wide net for MNIST that the benchmarks measure."""

from __future__ import annotations

from typing import Any

from tinycnn import nn
from tinycnn.checks import Integer
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = ["WideNet", "wide"]


class WideNet(nn.Module):
    """Two blocks of two convolutions, batch normalisation and pooling: (N, C, S, S) to scores (N, num_classes).

    Args:
        in_channels: C. Default 1.
        num_classes: number of scores. Default 10.
        image_size: S, at least 20. Default 28, which gives 87,850 parameters.

    Raises ValueError for smaller images, TypeError unless `image_size` is an int.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, image_size: int = 28):
        super().__init__()
        Integer(at_least=20)("WideNet", "image_size", image_size)
        size = ((image_size - 8) // 2 - 4) // 2  # two kernels take 4 pixels each, pooling halves, two kernels take 2
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 5), nn.ReLU(), nn.Conv2d(32, 32, 5), nn.ReLU(), nn.BatchNorm2d(32),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(64 * size * size, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, S, S) to scores (N, num_classes)."""
        return self.classifier(self.features(x))


@register_model
def wide(**options: Any) -> WideNet:
    """`options` are those of `WideNet`."""
    return WideNet(**options)
