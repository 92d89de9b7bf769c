"""Single convolutions: forward, input gradient and weight gradient, tinycnn beside torch.

Shapes of LeNet, VGG, ResNet and MobileNet (depthwise, grouped, 1×1 and strided among them), in one and three
dimensions, asymmetric, and of large images.

    python benchmarks/operators.py [--threads 1 2] [--only depthwise] [--repeats 7]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import timing

DIRECTIONS = ("forward", "input gradient", "weight gradient")


class Case(NamedTuple):
    """A convolution of x (N, C, *S) with O kernels of size K; one number stands for both of two dimensions."""

    name: str
    n: int
    c: int
    s: int | tuple[int, ...]
    o: int
    k: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    groups: int = 1

    @property
    def size(self) -> tuple[int, ...]:
        return (self.s, self.s) if isinstance(self.s, int) else self.s

    @property
    def kernel(self) -> tuple[int, ...]:
        return (self.k,) * len(self.size) if isinstance(self.k, int) else self.k


CASES = [
    Case("LeNet 1→6, 5×5", 64, 1, 28, 6, 5, padding=2),
    Case("LeNet 6→16, 5×5", 64, 6, 14, 16, 5),
    Case("wide 1→32, 5×5", 128, 1, 28, 32, 5),
    Case("wide 32→32, 5×5", 128, 32, 24, 32, 5),
    Case("wide 32→64, 3×3", 128, 32, 10, 64, 3),
    Case("VGG 64→64, 3×3", 16, 64, 56, 64, 3, padding=1),
    Case("VGG 256→256, 3×3", 16, 256, 14, 256, 3, padding=1),
    Case("ResNet 3→64, 7×7, stride 2", 8, 3, 112, 64, 7, stride=2, padding=3),
    Case("ResNet 64→128, 3×3, stride 2", 16, 64, 56, 128, 3, stride=2, padding=1),
    Case("ResNet 256→64, 1×1", 16, 256, 28, 64, 1),
    Case("ResNet 128→256, 1×1, stride 2", 16, 128, 28, 256, 1, stride=2),
    Case("ResNeXt 128→128, 3×3, 32 groups", 16, 128, 28, 128, 3, padding=1, groups=32),
    Case("MobileNet 64, 3×3 depthwise", 16, 64, 56, 64, 3, padding=1, groups=64),
    Case("MobileNet 128, 3×3 depthwise, stride 2", 16, 128, 28, 128, 3, stride=2, padding=1, groups=128),
    Case("MobileNet 64→128, 1×1", 16, 64, 56, 128, 1),
    Case("ResNet-20 16→16, 3×3", 64, 16, 32, 16, 3, padding=1),
    Case("ResNet-18 512→512, 3×3", 32, 512, 4, 512, 3, padding=1),
    Case("ResNet-18 512→512, 3×3, batch 1", 1, 512, 4, 512, 3, padding=1),
    Case("U-Net 32→32, 3×3, batch 1", 1, 32, 96, 32, 3, padding=1),
    Case("large image 3→8, 3×3, batch 1", 1, 3, 1024, 8, 3, padding=1),
    Case("large image 8→8, 5×5, batch 2", 2, 8, 512, 8, 5, padding=2),
    Case("asymmetric 32→48, 1×7", 32, 32, (17, 40), 48, (1, 7), padding=(0, 3)),
    Case("asymmetric 48→32, 7×1, stride (2, 1)", 32, 48, (40, 17), 32, (7, 1), stride=(2, 1), padding=(3, 0)),
    Case("1-d 64→64, 5", 32, 64, (1000,), 64, 5, padding=2),
    Case("1-d 16→32, 9, stride 2", 16, 16, (4000,), 32, 9, stride=2, padding=4),
    Case("3-d 16→32, 3×3×3", 4, 16, (16, 24, 24), 32, 3, padding=1),
    Case("3-d 1→8, 5×5×5", 2, 1, (32, 32, 32), 8, 5, padding=2),
]


def candidates(lib: Any, case: Case, device: str = "cpu") -> dict[str, Any]:
    """forward, input gradient and weight gradient as functions of no arguments."""
    rng = np.random.default_rng(0)
    dims = len(case.size)
    convolve = getattr(lib.nn.functional, f"conv{dims}d")
    x = rng.standard_normal((case.n, case.c, *case.size), dtype=np.float32)
    w = rng.standard_normal((case.o, case.c // case.groups, *case.kernel), dtype=np.float32)
    x, w = lib.tensor(x).to(device), lib.tensor(w).to(device)
    if case.c > 3:
        # As inside a net: from the second layer on, activations lie in the order that the framework itself makes.
        x = convolve(x, lib.eye(case.c).to(device).reshape(case.c, case.c, *[1] * dims))
    x.requires_grad_(), w.requires_grad_()
    options = {"stride": case.stride, "padding": case.padding, "groups": case.groups}
    y = convolve(x, w, **options)
    g = y.detach() * 0.5
    grad = lib.grad if hasattr(lib, "grad") else lib.autograd.grad

    def forward() -> Any:
        with lib.no_grad():
            return convolve(x, w, **options)

    return {
        "forward": forward,
        "input gradient": lambda: grad(y, x, g, retain_graph=True),
        "weight gradient": lambda: grad(y, w, g, retain_graph=True),
    }


def of_case(case: Case) -> Callable[[Any], timing.Calls]:
    return lambda lib: candidates(lib, case)


GROUPS = {case.name: of_case(case) for case in CASES}

if __name__ == "__main__":
    timing.run(__file__, GROUPS, __doc__, threads=[1, 2], repeats=5)
