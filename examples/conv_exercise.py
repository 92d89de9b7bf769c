"""A convolution worked through by hand, forward and backward, with every step printed: numbers to follow on paper.

    python examples/conv_exercise.py

The input is 1×3×5×5; two kernels of 3×3×3 with biases 1 and 0 slide over it with stride 2 and padding 1. `MyConv2d`
below is an operator of one's own: a Function with im2col and one matrix product. nn.Conv2d gives the same.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from program import Parser, difference, run, show, side_by_side

from tinycnn import Function, Tensor, nn, tensor
from tinycnn.diagnostics.shapes import output_size
from tinycnn.nn import functional as F

Array = np.ndarray

STRIDE, PADDING = 2, 1

INPUT = """
    0 1 1 0 2   1 0 2 2 0   2 1 2 0 0
    2 2 2 2 1   0 0 0 2 0   1 0 0 1 0
    1 0 0 2 0   1 2 1 2 1   0 2 1 0 1
    0 1 1 0 0   1 0 0 0 0   0 1 2 2 2
    1 2 0 0 2   1 2 1 1 1   2 1 0 0 1
"""
KERNELS = """
    -1  1  0   -1 -1  0    0  0 -1
     0  1  0    0  0  0    0  1  0
     0  1  1    0 -1  0    1 -1 -1

     1  1 -1    0  1  0   -1  0  0
    -1 -1  1   -1  0 -1   -1  0  1
     0 -1  1   -1  1  0   -1  0  0
"""
BIAS = 1, 0
UPSTREAM = """
     1  0  2    0  1  0
     0 -1  0    1  0 -1
     1  0  1    0  2  0
"""


def channels_of(text: str, size: int) -> Array:
    """Channels written next to each other, and blocks of them below each other, as (blocks, channels, size, size)."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return np.array(rows, float).reshape(-1, size, len(rows[0]) // size, size).swapaxes(1, 2)


# --- an operator of one's own -------------------------------------------------------------------------------


def im2col(x: Array, kernel_size: tuple[int, int], stride: int, padding: int) -> Array:
    """(N, C, H, W) to (N, C·KH·KW, OH·OW): each window of the padded input as a column."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(2, 3))[:, :, ::stride, ::stride]
    N, C, OH, OW, KH, KW = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * KH * KW, OH * OW)


class MyConv2d(Function):
    """y = w · im2col(x) + b for x (N, C, H, W), w (O, C, KH, KW), b (O).

    `forward` gets and returns arrays. `backward` gets and returns Tensors and uses operators that can be
    differentiated themselves, so that gradients of gradients work too.
    """

    saves_inputs = True

    def __init__(self, stride: int = 1, padding: int = 0):
        self.stride, self.padding = stride, padding

    def forward(self, x: Array, w: Array, b: Array) -> Array:
        columns = im2col(x, w.shape[2:], self.stride, self.padding)
        y = w.reshape(len(w), -1) @ columns + b[:, None]
        OH, OW = output_size(x.shape[2:], w.shape[2:], self.stride, self.padding)
        return y.reshape(len(x), len(w), OH, OW)

    def backward(self, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, w, _ = self.inputs
        geometry = {"kernel_size": w.shape[2:], "stride": self.stride, "padding": self.padding}
        dy = grad_output.flatten(2)  # (N, O, OH·OW)
        columns = F.unfold(x, **geometry)  # made again: to keep it would take KH·KW times the memory of x
        dw = (dy @ columns.transpose(1, 2)).sum(0).reshape(w.shape)
        d_columns = w.flatten(1).T @ dy
        dx = F.fold(d_columns, x.shape[2:], **geometry)  # col2im: where windows overlap, it adds
        return dx, dw, dy.sum((0, 2))


# --- the exercise -------------------------------------------------------------------------------------------


def channels(x: Array) -> str:
    """The channels of (C, H, W) next to each other."""
    return side_by_side([f"channel {c}" for c in range(len(x))], [show(channel) for channel in x])


def step(title: str, *texts: str) -> None:
    print(f"\n--- {title} {'-' * (90 - len(title))}\n")
    for text in texts:
        print(text)


def exercise(options: argparse.Namespace) -> None:
    x, w = tensor(channels_of(INPUT, 5), requires_grad=True), tensor(channels_of(KERNELS, 3), requires_grad=True)
    b = tensor(np.array(BIAS, float), requires_grad=True)
    upstream = tensor(channels_of(UPSTREAM, 3))
    y = MyConv2d(STRIDE, PADDING)(x, w, b)
    y.backward(upstream)
    print(f"y = x ⋆ w + b with stride {STRIDE} and padding {PADDING}: x {x.shape}, w {w.shape}, y {y.shape}")
    forward_steps(x.detach().numpy()[0], w.detach().numpy(), b.detach().numpy(), y.detach().numpy()[0])
    backward_steps(x, w, b, upstream.numpy()[0])

    layer = nn.Conv2d(3, 2, 3, stride=STRIDE, padding=PADDING, dtype="float64")
    layer.load_state_dict({"weight": w.detach(), "bias": b.detach()})
    x2 = tensor(x.detach().numpy(), requires_grad=True)
    y2 = layer(x2)
    y2.backward(upstream)
    pairs = {
        "y": (y.detach().numpy(), y2.detach().numpy()),
        "dx": (x.grad.numpy(), x2.grad.numpy()),
        "dw": (w.grad.numpy(), layer.weight.grad.numpy()),
        "db": (b.grad.numpy(), layer.bias.grad.numpy()),
    }
    step("nn.Conv2d gives the same", "largest differences: " + ", ".join(
        f"{name} {difference(ours, theirs):g}" for name, (ours, theirs) in pairs.items()
    ))  # fmt: skip


def forward_steps(x: Array, w: Array, b: Array, y: Array) -> None:
    O, C, KH, KW = w.shape
    OH, OW = y.shape[1:]
    padded = np.pad(x, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    step(f"x: {C} channels of 5×5, with {PADDING} zero on each side", channels(padded))
    for o in range(O):
        step(f"kernel {o}, bias {b[o]:g}", channels(w[o]))
    columns = im2col(x[None], (KH, KW), STRIDE, PADDING)[0]
    step(
        f"im2col: {C}·{KH}·{KW} = {len(columns)} rows, a column for each of the {OH}·{OW} positions of the window",
        "The first column is the window at the top left, channel by channel, row by row:\n",
        side_by_side([f"rows {c * 9} to {c * 9 + 8}: channel {c}" for c in range(C)], [
            show(columns[c * KH * KW : (c + 1) * KH * KW]) for c in range(C)
        ]),
    )  # fmt: skip
    rows = w.reshape(O, -1)
    step(f"the kernels as a matrix, {O} × {rows.shape[1]}", *show(rows))
    product = rows @ columns
    step(f"their product, {O} × {OH * OW}", *show(product))
    step("plus the biases", *show(product + b[:, None]))
    step(f"y: the same, as {O} channels of {OH}×{OW}", channels(y))


def backward_steps(x: Tensor, w: Tensor, b: Tensor, upstream: Array) -> None:
    O, C, KH, KW = w.shape
    step("backward: an upstream gradient dy, chosen for this exercise", channels(upstream))
    dy = upstream.reshape(O, -1)
    step("db: the sum of each channel of dy", f"db = {', '.join(f'{g:g}' for g in b.grad.numpy())}")
    step("dw = dy · columnsᵀ: each position sends its window, times its gradient, to the kernel")
    print("\n\n".join(f"of kernel {o}:\n{channels(w.grad.numpy()[o])}" for o in range(O)))
    d_columns = w.detach().numpy().reshape(O, -1).T @ dy
    step(
        f"d_columns = wᵀ · dy, {C * KH * KW} × {dy.shape[1]}: what each position wants of each element of its window",
        side_by_side([f"channel {c}" for c in range(C)], [
            show(d_columns[c * KH * KW : (c + 1) * KH * KW]) for c in range(C)
        ]),
    )  # fmt: skip
    step("dx = col2im(d_columns): added up where windows overlap, without the padding", channels(x.grad.numpy()[0]))


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="conv_exercise.py", description="A convolution worked through, every step printed.")
    return run(exercise, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
