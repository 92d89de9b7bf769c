"""Max and average pooling by hand and by layers, and what a small shift of the input does to both.

    python examples/pooling.py
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from program import Parser, difference, run, show, side_by_side, table

import tinycnn
from tinycnn import nn

Array = np.ndarray

POOLS = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2)}


def max_pool_by_hand(x: Array, K: int, stride: int) -> Array:
    """(H, W) to (OH, OW): the largest element of each window."""
    return np.array([[window.max() for window in row] for row in windows_of(x, K, stride)])


def average_pool_by_hand(x: Array, K: int, stride: int) -> Array:
    """(H, W) to (OH, OW): the mean of each window."""
    return np.array([[window.mean() for window in row] for row in windows_of(x, K, stride)])


def windows_of(x: Array, K: int, stride: int) -> list[list[Array]]:
    rows, columns = (range(0, size - K + 1, stride) for size in x.shape)
    return [[x[i : i + K, j : j + K] for j in columns] for i in rows]


def layer_and_gradient(pool: nn.Module, x: Array) -> tuple[Array, Array]:
    """What `pool` makes of x (H, W), and the gradient of the sum of it."""
    tensor = tinycnn.tensor(x[None, None], requires_grad=True)
    y = pool(tensor)
    y.sum().backward()
    return y.detach().numpy()[0, 0], tensor.grad.numpy()[0, 0]


def shifted(x: Array, pixels: int) -> Array:
    """x (H, W) moved to the right, or with a negative number to the left; zeros come in."""
    result = np.zeros_like(x)
    W = x.shape[1]
    result[:, max(pixels, 0) : W + min(pixels, 0)] = x[:, max(-pixels, 0) : W - max(pixels, 0)]
    return result


def ramp() -> Array:
    return np.arange(16.0).reshape(4, 4)


def spot(column: int) -> Array:
    """A bright spot in the dark, 2×6."""
    x = np.zeros((2, 6))
    x[0, column] = 8
    return x


def demonstrate(options: argparse.Namespace) -> None:
    by_hand_and_by_layer()
    gradients()
    moving_ramp()
    moving_spot()


def by_hand_and_by_layer() -> None:
    print("1. The ramp, its windows of 2×2 with stride 2 and with stride 1, and what is made of them\n")
    x = ramp()
    for stride in (2, 1):
        by_hand = max_pool_by_hand(x, 2, stride), average_pool_by_hand(x, 2, stride)
        layers = nn.MaxPool2d(2, stride), nn.AvgPool2d(2, stride)
        by_layer = [layer_and_gradient(layer, x)[0] for layer in layers]
        print(side_by_side(["x", f"max, stride {stride}", f"average, stride {stride}"], [show(x), *map(show, by_hand)]))
        print(f"By the layers: largest difference {max(map(difference, by_hand, by_layer)):g}\n")


def gradients() -> None:
    print("2. The gradient of the sum of the outputs: which inputs they hang on, and how much\n")
    found = [layer_and_gradient(pool, ramp())[1] for pool in POOLS.values()]
    overlapping = [layer_and_gradient(pool, ramp())[1] for pool in (nn.MaxPool2d(2, 1), nn.AvgPool2d(2, 1))]
    titles = ["max, stride 2", "average, stride 2", "max, stride 1", "average, stride 1"]
    print(side_by_side(titles, [show(g) for g in [*found, *overlapping]]))
    print("\nMax sends all of it to the largest element of a window, average a quarter to each of the four; where")
    print("windows overlap, gradients add.\n")


def moving_ramp() -> None:
    print("3. The ramp moved to the right by one pixel, zeros coming in\n")
    x, moved = ramp(), shifted(ramp(), 1)
    for name, pool in POOLS.items():
        (y, g), (moved_y, moved_g) = layer_and_gradient(pool, x), layer_and_gradient(pool, moved)
        print(side_by_side(
            ["x moved", f"{name} of x", "of x moved", "gradient of x", "of x moved"],
            [show(each) for each in (moved, y, moved_y, g, moved_g)],
        ))  # fmt: skip
        print()
    print("Max falls by 1, the ramp's step, in every window; average by 1 too at the right, but at the left, where the")
    print("zeros came in, by 1.5 and 5.5. The maxima stand at the bottom right of their windows before and after, so")
    print("the gradient of max does not move; that of average never does.\n")


def moving_spot() -> None:
    print("4. A spot of brightness 8 moved over six pixels: three windows of 2×2\n")
    rows = []
    for column in range(6):
        x = spot(column)
        row = [f"spot at {column}"]
        for pool in POOLS.values():
            y, g = layer_and_gradient(pool, x)
            row += [" ".join(f"{v:g}" for v in y[0]), " ".join(f"{v:g}" for v in g[0])]
        rows.append(row)
    print(table(["", "max", "its gradient, first row", "average", "its gradient, first row"], rows))
    print("\nWithin a window a move changes neither output; over its border the answer jumps to the next window. So,")
    print("of the moves by one pixel, pooling forgives every other one. Max's gradient follows the spot (in a dark")
    print("window, all equal, it goes to the first element); average's is the same wherever the spot is.")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="pooling.py", description="Max and average pooling by hand, and under a small shift.")
    return run(demonstrate, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
