"""A convolution is im2col and one matrix product: three spellings of it, and the patches of a vision transformer.

    python examples/unfold_is_conv.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from program import Parser, difference, run, seed, table, timed

import tinycnn
from tinycnn import Tensor, nn
from tinycnn.nn import functional as F

K, PADDING = 3, 1  # of the convolution
PATCH = 14  # pixels, of the vision transformer
WIDTH = 192  # numbers that it makes of a patch


def unfold_and_matmul(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Unfold gives the columns (N, C·K·K, H·W), rows ordered by channel, then kernel row, then kernel column: the
    order of the kernel's elements in memory, so that the kernels are a matrix as they are."""
    N, _, H, W = x.shape
    columns = nn.Unfold(K, padding=PADDING)(x)
    kernels = layer.weight.reshape(layer.out_channels, -1)  # (O, C·K·K)
    y = kernels @ columns + layer.bias.reshape(-1, 1)  # (O, C·K·K) @ (N, C·K·K, H·W) = (N, O, H·W)
    return y.reshape(N, -1, H, W)


def nine_slices(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Channels last: the nine shifted images, side by side in the last dimension, are the same columns in another
    order, kernel row, kernel column, channel; each pixel is a row, so the kernels stand to the right."""
    H, W = x.shape[2:]
    padded = F.pad(x, (PADDING,) * 4).permute(0, 2, 3, 1)  # (N, H + 2, W + 2, C)
    slices = [padded[:, k : k + H, l : l + W] for k in range(K) for l in range(K)]  # each (N, H, W, C)
    rows = tinycnn.cat(slices, dim=3)  # (N, H, W, K·K·C)
    kernels = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.out_channels)  # (K·K·C, O)
    return (rows @ kernels + layer.bias).permute(0, 3, 1, 2)


def patches_of(images: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C·14·14, patches): with a stride as large as the window, windows do not overlap."""
    return nn.Unfold(PATCH, stride=PATCH)(images)


def patches_by_reshape(images: Tensor) -> Tensor:
    """The same without a window: rows and columns of patches are split off and moved behind."""
    N, C, H, W = images.shape
    split = images.reshape(N, C, H // PATCH, PATCH, W // PATCH, PATCH)
    return split.permute(0, 1, 3, 5, 2, 4).reshape(N, C * PATCH * PATCH, -1)


@tinycnn.no_grad()
def compare(options: argparse.Namespace) -> None:
    tinycnn.manual_seed(options.seed)
    layer = nn.Conv2d(3, 16, K, padding=PADDING)
    x = tinycnn.randn(25, 3, 32, 32)
    print(f"A convolution: x {x.shape}, 16 kernels of {K}×{K}, padding {PADDING}")
    print()
    ways = {
        "nn.Conv2d": layer,
        "Unfold and matmul": lambda x: unfold_and_matmul(x, layer),
        "nine slices, channels last": lambda x: nine_slices(x, layer),
    }
    print(table(["way", "y", "largest difference", "time"], rows_of(ways, x)))
    print()

    embedding = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
    images = tinycnn.randn(25, 3, 224, 224)
    columns = patches_of(images)
    print(f"The patches of a vision transformer: images {images.shape}, {PATCH}×{PATCH} pixels a patch")
    print()
    print(table(["way", "patches", "largest difference", "time"], rows_of(
        {f"Unfold({PATCH}, stride={PATCH})": patches_of, "reshape and permute": patches_by_reshape}, images
    )))  # fmt: skip
    back = nn.Fold((224, 224), PATCH, stride=PATCH)(columns)
    print()
    _, numbers, count = columns.shape
    print(f"{count} = 16 · 16 patches of 3·{PATCH}·{PATCH} = {numbers} numbers. Every pixel lies in one patch,")
    print(f"so Fold, which adds, undoes Unfold: largest difference {difference(back.numpy(), images.numpy()):g}.")
    print()
    ways = {
        f"nn.Conv2d(3, {WIDTH}, {PATCH}, stride={PATCH})": lambda x: embedding(x).flatten(2).transpose(1, 2),
        "patches through a linear layer": lambda x: (
            patches_of(x).transpose(1, 2) @ embedding.weight.flatten(1).T + embedding.bias
        ),
    }
    print(f"Their embedding, {WIDTH} numbers a patch: once more the same")
    print()
    print(table(["way", "tokens", "largest difference", "time"], rows_of(ways, images)))


def rows_of(ways: dict[str, Callable], x: Tensor) -> list[list[str]]:
    """For each way its output's shape, difference to the first way's, and best time of five."""
    rows, first = [], None
    for name, way in ways.items():
        results = [timed(way, x) for _ in range(5)]
        y = results[0][0]
        first = y if first is None else first
        off = "–" if y is first else f"{difference(y.detach().numpy(), first.detach().numpy()):.1e}"
        rows.append([name, y.shape, off, f"{min(ms for _, ms in results):.2f} ms"])
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="unfold_is_conv.py", description="A convolution as im2col and one matrix product.")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the random numbers; default 0")
    return run(compare, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
