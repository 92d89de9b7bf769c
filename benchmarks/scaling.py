"""How a training step's time grows with the batch, the depth, the width, the size of images and the number of threads.

    python benchmarks/scaling.py [--threads 1 2 4] [--only depth] --json scaling.json
    python benchmarks/scaling.py --draw scaling.json docs/figures/scaling.png

The second draws what the first has measured; it needs matplotlib.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nets
import numpy as np
import timing

from tinycnn._files import write_whole


class Panel(NamedTuple):
    """What grows, and what the time is to be proportional to."""

    values: tuple[int, ...]
    label: str
    divisor: Callable[[int], float]


PANELS = {
    "batch": Panel((32, 64, 128, 256, 512, 1024, 2048, 4096), "LeNet-5: ms by batch", lambda n: n),
    "depth": Panel((5, 10, 20, 40, 80), "16 channels, 16×16: ms by depth", lambda n: n),
    "width": Panel((8, 16, 32, 64, 128), "4 layers, 16×16: µs by width²", lambda n: n * n / 1e3),
    "size": Panel((8, 16, 32, 64, 128), "4 layers of 16 channels: µs by size²", lambda n: n * n / 1e3),
}


def lenet(batch: int) -> Callable[[Any], timing.Calls]:
    return lambda lib: {"": nets.training_step(lib, nets.lenet, batch, "SGD")}


def stack(depth: int, width: int, size: int, batch: int = 32) -> Callable[[Any], timing.Calls]:
    """A training step of `depth` convolutions 3×3 of so many channels with ReLU, on images size × size."""

    def calls(lib: Any) -> timing.Calls:
        nn = lib.nn
        layers = [m for _ in range(depth) for m in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
        model = nn.Sequential(*layers)
        array = np.random.default_rng(0).standard_normal((batch, width, size, size))
        x = lib.tensor(array.astype(np.float32))
        return {"": lambda: model(x).sum().backward()}

    return calls


GROUPS = {
    **{f"batch {n}": lenet(n) for n in PANELS["batch"].values},
    **{f"depth {n}": stack(n, 16, 16) for n in PANELS["depth"].values},
    **{f"width {n}": stack(4, n, 16) for n in PANELS["width"].values},
    **{f"size {n}": stack(4, 16, n) for n in PANELS["size"].values},
}


def draw(rows: list[timing.Row], path: Path) -> None:
    """A panel for each of what grows, with a line for each library and number of threads."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for axis, (name, panel) in zip(axes.flat, PANELS.items()):
        for threads in sorted({row["threads"] for row in rows}):
            for library, style in (("tinycnn", "-o"), ("torch", "--s")):
                found = [row for row in rows if row["threads"] == threads and library in row]
                points = [
                    (int(match[1]), row[library] * 1e3 / panel.divisor(int(match[1])))
                    for row in found
                    if (match := re.match(rf"{name} (\d+)", row["name"]))
                ]
                if points:
                    axis.plot(*zip(*points), style, markersize=4, label=f"{library}, {threads} thread(s)")
        axis.set(xscale="log", xlabel=name, ylabel=panel.label)
        axis.set_xticks(panel.values, [str(n) for n in panel.values])
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
    axes[0, 0].legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_whole(path, buffer.getvalue())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--draw"]:
        draw(json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3]))
    else:
        timing.run(__file__, GROUPS, __doc__, threads=[1, 2], repeats=3)
