"""Nets of public shapes, small, written for torch's names: each is built from tinycnn.nn or from torch.nn."""

from __future__ import annotations

from typing import Any


def lenet(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Dropout(0.5), nn.Linear(120, 10), nn.LogSoftmax(1),
    )  # fmt: skip


def resnet18(lib: Any) -> Any:
    nn = lib.nn

    class Block(nn.Module):
        def __init__(self, C: int, O: int, stride: int):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(C, O, 3, stride, 1, bias=False), nn.BatchNorm2d(O)
            self.conv2, self.bn2 = nn.Conv2d(O, O, 3, 1, 1, bias=False), nn.BatchNorm2d(O)
            self.relu = nn.ReLU()
            self.downsample = None
            if stride != 1 or C != O:
                self.downsample = nn.Sequential(nn.Conv2d(C, O, 1, stride, bias=False), nn.BatchNorm2d(O))

        def forward(self, x: Any) -> Any:
            identity = x if self.downsample is None else self.downsample(x)
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + identity)

    class ResNet(nn.Module):
        def __init__(self, width: int = 8, classes: int = 7):
            super().__init__()
            self.conv1, self.bn1, self.relu = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            for i in range(4):
                C, O = width * 2 ** max(i - 1, 0), width * 2**i
                setattr(self, f"layer{i + 1}", nn.Sequential(Block(C, O, 1 + (i > 0)), Block(O, O, 1)))
            self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(8 * width, classes)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(lib.flatten(self.avgpool(x), 1))

    return ResNet()


def mobilenet_v2(lib: Any) -> Any:
    nn = lib.nn

    def conv(C: int, O: int, kernel: int, stride: int = 1, groups: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(C, O, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(O), Clipped()
        )

    class Clipped(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.clamp(0, 6)

    class InvertedResidual(nn.Module):
        def __init__(self, C: int, O: int, stride: int, ratio: int):
            super().__init__()
            hidden = C * ratio
            self.conv = nn.Sequential(
                *([conv(C, hidden, 1)] if ratio != 1 else []), conv(hidden, hidden, 3, stride, hidden),
                nn.Conv2d(hidden, O, 1, bias=False), nn.BatchNorm2d(O),
            )  # fmt: skip
            self.is_residual = stride == 1 and C == O

        def forward(self, x: Any) -> Any:
            return x + self.conv(x) if self.is_residual else self.conv(x)

    class MobileNetV2(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            rows = [(8, 4, 1, 1), (4, 6, 2, 6), (6, 6, 1, 6), (6, 8, 2, 6), (8, 8, 1, 6)]
            self.features = nn.Sequential(conv(3, 8, 3, 2), *[InvertedResidual(*row) for row in rows], conv(8, 24, 1))
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(24, 5))

        def forward(self, x: Any) -> Any:
            return self.classifier(self.features(x).mean([2, 3]))

    return MobileNetV2()


def unet(lib: Any) -> Any:
    """Transposed convolutions and bilinear upsampling, concatenation, padding modes, pooling whose sizes do not fit."""
    nn, F = lib.nn, lib.nn.functional

    def double(C: int, O: int, mode: str) -> Any:
        return nn.Sequential(
            nn.Conv2d(C, O, 3, padding=1, padding_mode=mode), nn.GroupNorm(2, O), nn.LeakyReLU(0.1),
            nn.Conv2d(O, O, 3, padding="same", dilation=2), nn.InstanceNorm2d(O, affine=True), nn.SiLU(),
        )  # fmt: skip

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2 = double(2, 4, "reflect"), double(4, 8, "replicate")
            self.bottom = double(8, 16, "zeros")
            self.pool = nn.MaxPool2d(2)
            self.up2, self.merge2 = nn.ConvTranspose2d(16, 8, 2, 2), double(16, 8, "circular")
            self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.merge1 = double(12, 4, "zeros")
            self.out = nn.Conv2d(4, 3, 1)

        def forward(self, x: Any) -> Any:
            skip1 = self.down1(x)
            skip2 = self.down2(self.pool(skip1))
            y = self.bottom(self.pool(skip2))
            y = self.merge2(lib.cat([skip2, self.up2(y)], 1))
            y = self.up1(y)
            rows, columns = skip1.shape[2] - y.shape[2], skip1.shape[3] - y.shape[3]
            y = F.pad(y, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
            y = self.merge1(lib.cat([skip1, y], dim=1))
            scores = self.out(y)
            return scores, F.interpolate(scores, (13, 9), mode="bilinear")

    return UNet()


# Name to the net and the shape of an input.
NETS = {
    "LeNet": (lenet, (2, 1, 28, 28)), "ResNet-18": (resnet18, (2, 3, 64, 64)),
    "MobileNetV2": (mobilenet_v2, (3, 3, 32, 32)), "U-Net": (unet, (2, 2, 21, 20)),
}  # fmt: skip
