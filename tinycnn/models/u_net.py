"""U-Net, which labels the pixels of a picture."""

from __future__ import annotations

from typing import Any

from tinycnn import cat, nn
from tinycnn.checks import check_count, check_positive
from tinycnn.models.registry import register_model
from tinycnn.tensor import Tensor

__all__ = ["UNet", "unet"]


def two_convolutions(in_channels: int, out_channels: int, batch_norm: bool) -> nn.Sequential:
    """Two 3×3 convolutions that keep the size, each with ReLU and, if asked for, batch normalisation before it."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        # A bias would be lost in batch normalisation, which subtracts the mean.
        layers.append(nn.Conv2d(channels, out_channels, 3, padding=1, bias=not batch_norm))
        layers += [nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)] if batch_norm else [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """(N, in_channels, H, W) to scores of each pixel (N, num_classes, H, W), for pictures of any size.

    Unlike the paper's, the convolutions pad, so that the output has the size of the input. Pooling an odd size keeps
    the last row or column; what up-convolution then gives too much of is cropped.

    Args:
        in_channels: channels of a picture. Default 1.
        num_classes: number of scores of a pixel. Default 2.
        width: channels of the first level, twice as many in each further one. Default 64.
        depth: how often the size is halved. Default 4.
        batch_norm: normalise after each 3×3 convolution. Default False, as in the paper.

    Source: Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", 2015; the initial
    values are those of He et al., "Delving deep into rectifiers", 2015, as there.
    """

    def __init__(
        self, in_channels: int = 1, num_classes: int = 2, width: int = 64, depth: int = 4, batch_norm: bool = False
    ):
        super().__init__()
        check_positive("UNet", "width", width)
        check_count("UNet", "depth", depth)
        widths = [width * 2**level for level in range(depth)]
        self.down, self.up, self.join = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = in_channels
        for level_width in widths:
            self.down.append(two_convolutions(channels, level_width, batch_norm))
            channels = level_width
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.bottom = two_convolutions(channels, width * 2**depth, batch_norm)
        for level_width in reversed(widths):
            self.up.append(nn.ConvTranspose2d(2 * level_width, level_width, 2, stride=2))
            self.join.append(two_convolutions(2 * level_width, level_width, batch_norm))
        self.head = nn.Conv2d(width, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, H, W) to scores (N, num_classes, H, W)."""
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for up, join in zip(self.up, self.join):
            skip = skips.pop()
            height, width = skip.shape[2:]
            x = join(cat([skip, up(x)[:, :, :height, :width]], 1))
        return self.head(x)


@register_model
def unet(**options: Any) -> UNet:
    """`options` are those of `UNet`."""
    return UNet(**options)
