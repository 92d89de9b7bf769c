"""LeNet-5."""

from __future__ import annotations

from typing import Any

from tinycnn import nn
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = ["LeNet5", "lenet5"]


class LeNet5(nn.Module):
    """LeNet-5 with ReLU and max pooling: (N, 1, S, S) to scores (N, num_classes); 61,706 parameters for 10 classes.

    Args:
        num_classes: number of scores. Default 10.
        image_size: S. 28 (default, MNIST) pads by 2 on each side in the first convolution; 32, as in the original net,
            does not pad.

    Raises ValueError for another `image_size`.
    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II.B.
    """

    def __init__(self, num_classes: int = 10, image_size: int = 28):
        super().__init__()
        if image_size not in (28, 32):
            raise ValueError(f"LeNet5: expected image_size 28 or 32, got {image_size!r}")
        self.image_size = image_size
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=(32 - image_size) // 2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, S, S) to scores (N, num_classes)."""
        return self.classifier(self.features(x))


@register_model
def lenet5(**options: Any) -> LeNet5:
    """`options` are those of `LeNet5`."""
    return LeNet5(**options)
