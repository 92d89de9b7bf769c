"""Single convolutions: forward, input gradient and weight gradient, tinycnn beside torch.

Shapes of LeNet, VGG, ResNet and MobileNet (depthwise, grouped, 1×1 and strided among them).

    python benchmarks/operators.py [--threads 1 2] [--only depthwise] [--repeats 7]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import nets
import numpy as np
import timing

DIRECTIONS = ("forward", "input gradient", "weight gradient")


class Case(NamedTuple):
    """A convolution of x (N, C, S, S) with O kernels K × K."""

    name: str
    n: int
    c: int
    s: int
    o: int
    k: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


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
]


def candidates(lib: Any, case: Case, device: str = "cpu") -> dict[str, Any]:
    """forward, input gradient and weight gradient as functions of no arguments."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.n, case.c, case.s, case.s), dtype=np.float32)
    w = rng.standard_normal((case.o, case.c // case.groups, case.k, case.k), dtype=np.float32)
    x, w = lib.tensor(x).to(device), lib.tensor(w).to(device)
    if case.c > 3:
        # As inside a net: from the second layer on, activations lie in the order that the framework itself makes.
        x = lib.nn.functional.conv2d(x, lib.eye(case.c).to(device).reshape(case.c, case.c, 1, 1))
    x.requires_grad_(), w.requires_grad_()
    options = {"stride": case.stride, "padding": case.padding, "groups": case.groups}
    y = lib.nn.functional.conv2d(x, w, **options)
    g = y.detach() * 0.5
    grad = lib.grad if hasattr(lib, "grad") else lib.autograd.grad

    def forward() -> Any:
        with lib.no_grad():
            return lib.nn.functional.conv2d(x, w, **options)

    return {
        "forward": forward,
        "input gradient": lambda: grad(y, x, g, retain_graph=True),
        "weight gradient": lambda: grad(y, w, g, retain_graph=True),
    }


def measure(threads: int, only: str, repeats: int) -> list[timing.Row]:
    rows = []
    for case in CASES:
        if only.lower() not in case.name.lower():
            continue
        by_library = {library: candidates(nets.library(library, threads), case) for library in timing.libraries()}
        for direction in DIRECTIONS:
            calls = {library: made[direction] for library, made in by_library.items()}
            name = f"{case.name}: {direction}"
            rows.append({"name": name, "threads": threads} | timing.interleaved(calls, repeats, warm_up=2))
    return rows


if __name__ == "__main__":
    timing.run(__file__, measure, __doc__, threads=[1, 2], repeats=7)
