"""What torch writes to files, for the tests of their reader.

`tests/fixtures/record_torch_files.py` records such files and what torch computes with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "fixtures" / "torch_files"


def resnet18(lib: Any, width: int = 64, classes: int = 1000) -> Any:
    """ResNet-18, of tinycnn or torch, with the structure and the names of torchvision's; there `width` is 64."""
    nn = lib.nn

    class BasicBlock(nn.Module):
        def __init__(self, inplanes, planes, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(planes)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(planes)
            self.downsample = None
            if stride != 1 or inplanes != planes:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
                )

        def forward(self, x):
            identity = x if self.downsample is None else self.downsample(x)
            out = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(out)) + identity)

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            inplanes = width
            for i, planes in enumerate((width, 2 * width, 4 * width, 8 * width)):
                blocks = BasicBlock(inplanes, planes, 1 if i == 0 else 2), BasicBlock(planes, planes, 1)
                setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
                inplanes = planes
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(inplanes, classes)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(lib.flatten(self.avgpool(x), 1))

    return ResNet()


def torch_resnet18(torch: Any, **options: Any) -> Any:
    """The same of torch, with running statistics that are not those of a new net, in evaluation mode."""
    torch.manual_seed(0)
    net = resnet18(torch, **options)
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return net.eval()


def image(size: int = 64) -> np.ndarray:
    """(2, 3, size, size)."""
    return np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)


def checkpoint(torch: Any) -> dict[str, Any]:
    """What programs put into a file, of torch."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    grid = torch.arange(12.0).reshape(3, 4)
    return {
        "epoch": 3,
        "best": 0.5,
        "names": ["a", "ü", None, (1, 2.5, True), 2**70],
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2, 2]).state_dict(),
        "parameter": torch.nn.Parameter(grid[:2].clone()),
        "grid": grid,
        "column": grid[:, 1],
        "transposed": grid.T,
        "repeated": torch.tensor([[7.0]]).expand(2, 3),
        "empty": grid[:0],
        "number": torch.tensor(3),
        "size": grid.shape,
        "dtype": torch.float64,
        "device": torch.device("cpu"),
        "bfloat16": torch.tensor([1.0, -2.5, 2.0**127]).bfloat16(),
        "set": {1, 2},
        "bytes": b"\0\xff",
        "dtypes": {name: torch.arange(3).to(getattr(torch, name)) for name in DTYPES},
    }


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
LATER = ["uint16", "uint32", "uint64"]  # torch's former format lacks them
