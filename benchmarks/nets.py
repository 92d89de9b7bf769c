"""The nets that are measured. tinycnn has torch's names, so one definition serves both: `lib` is tinycnn or torch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np


def lenet(lib: Any) -> Any:
    """LeNet-5 for 28×28 images, with ReLU and max pooling."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def wide(lib: Any) -> Any:
    """A wider net for 28×28 images: two blocks of two convolutions, batch normalisation and pooling."""
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.Conv2d(32, 32, 5), nn.ReLU(), nn.BatchNorm2d(32), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(576, 10),
    )  # fmt: skip


def normalised(nn: Any, c: int, o: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Any]:
    """A convolution that keeps the size, but for its stride, and batch normalisation."""
    conv = nn.Conv2d(c, o, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(o)]


def residual(nn: Any, c: int, o: int, stride: int) -> Any:
    """Two convolutions 3×3 and a way around them, as in ResNet-18 and in those for CIFAR."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*normalised(nn, c, o, 3, stride), nn.ReLU(), *normalised(nn, o, o, 3))
            same = c == o and stride == 1
            self.around = nn.Identity() if same else nn.Sequential(*normalised(nn, c, o, 1, stride))
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.around(x))

    return Residual()


def resnet(nn: Any, widths: list[int], blocks: int) -> Any:
    """A residual net for small images: a convolution 3×3, and for each width, at half the size, `blocks` blocks."""
    layers, c = [*normalised(nn, 3, widths[0], 3), nn.ReLU()], widths[0]
    for i, o in enumerate(widths):
        for block in range(blocks):
            layers.append(residual(nn, c, o, 2 if i and block == 0 else 1))
            c = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


def resnet20(lib: Any) -> Any:
    """ResNet-20, for CIFAR's 32×32 images."""
    return resnet(lib.nn, [16, 32, 64], 3)


def resnet18(lib: Any) -> Any:
    """ResNet-18, as it is used for 32×32 images: without the strides and the pooling in front."""
    return resnet(lib.nn, [64, 128, 256, 512], 2)


def mobilenet(lib: Any) -> Any:
    """Depthwise separable convolutions of strides 1 and 2, as in MobileNet, for 32×32 images."""
    nn = lib.nn
    layers, c = [*normalised(nn, 3, 32, 3), nn.ReLU()], 32
    for o, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1)]:
        layers += [*normalised(nn, c, c, 3, stride, groups=c), nn.ReLU(), *normalised(nn, c, o, 1), nn.ReLU()]
        c = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


def vgg(lib: Any) -> Any:
    """Three pairs of convolutions 3×3 with batch normalisation, each followed by pooling, for 32×32 images."""
    nn = lib.nn
    layers, c = [], 3
    for o in (64, 128, 256):
        layers += [*normalised(nn, c, o, 3), nn.ReLU(), *normalised(nn, o, o, 3), nn.ReLU(), nn.MaxPool2d(2)]
        c = o
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 16, 10))


def unet(lib: Any) -> Any:
    """A U-Net of three levels, which labels each pixel of an image."""
    nn = lib.nn

    def double(c: int, o: int) -> Any:
        return nn.Sequential(*normalised(nn, c, o, 3), nn.ReLU(), *normalised(nn, o, o, 3), nn.ReLU())

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.bottom = double(3, 32), double(32, 64), double(64, 128)
            self.pool = nn.MaxPool2d(2)
            self.up2, self.up1 = nn.ConvTranspose2d(128, 64, 2, stride=2), nn.ConvTranspose2d(64, 32, 2, stride=2)
            self.join2, self.join1, self.head = double(128, 64), double(64, 32), nn.Conv2d(32, 10, 1)

        def forward(self, x: Any) -> Any:
            first = self.down1(x)
            second = self.down2(self.pool(first))
            y = self.up2(self.bottom(self.pool(second)))
            y = self.join2(lib.cat([second, y], 1))
            return self.head(self.join1(lib.cat([first, self.up1(y)], 1)))

    return UNet()


def library(name: str, threads: int) -> ModuleType:
    """tinycnn or torch, seeded, on `threads` threads."""
    if name == "torch":
        import torch

        torch.set_num_threads(threads)
        lib: ModuleType = torch
    else:
        import tinycnn as lib
    lib.manual_seed(0)
    return lib


def images(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images (N, 1, 28, 28), float32, and labels."""
    return random_images((batch_size, 1, 28, 28), 10)


def random_images(shape: tuple[int, ...], classes: int, of_pixels: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Random images (N, C, H, W), float32, and labels: one an image or one a pixel."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    return x, rng.integers(0, classes, (shape[0], *shape[2:]) if of_pixels else shape[0])


def training_step(
    lib: Any, net: Callable, batch_size: int, optimizer: str, device: str = "cpu", autocast: Any = None,
    image: tuple[int, ...] = (1, 28, 28), of_pixels: bool = False, **options: Any,
) -> Callable[..., Any]:  # fmt: skip
    """One step as a function: forward, loss, backward, update; of a batch on `device`, or of the one it is given.

    A label is that of an `image` (C, H, W), or of each of its pixels. `autocast` is the library's context of mixed
    precision, `options` are further ones of the optimizer.
    """
    model, loss_function = net(lib).to(device), lib.nn.CrossEntropyLoss()
    options |= {"SGD": {"lr": 0.01, "momentum": 0.9}, "Adam": {"lr": 1e-3}}[optimizer]
    optim = getattr(lib.optim, optimizer)(model.parameters(), **options)
    if autocast is not None:
        model, loss_function = autocast(model), autocast(loss_function)
    x, target = (lib.tensor(array).to(device) for array in random_images((batch_size, *image), 10, of_pixels))

    def step(x: Any = x, target: Any = target) -> Any:
        optim.zero_grad()
        loss = loss_function(model(x), target)
        loss.backward()
        optim.step()
        return loss

    return step


def inference(lib: Any, net: Callable, batch_size: int, image: tuple[int, ...] = (1, 28, 28)) -> Callable[[], Any]:
    """One forward pass as a function, in eval mode and without a graph."""
    model = net(lib).eval()
    x = lib.tensor(random_images((batch_size, *image), 10)[0])

    def forward() -> Any:
        with lib.no_grad():
            return model(x)

    return forward
