"""Convolution from the picture of a sliding window to one matrix product: the same numbers, in ever less time.

    python examples/conv_three_ways.py
    python examples/conv_three_ways.py --batch 8 --size 20 --stride 2

The loops are those of tinycnn/teaching/reference.py; each way is compared, forward and backward, with F.conv2d and with
torch.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from program import Parser, UserError, difference, natural, optional_torch, positive, run, seed, table, timed

import tinycnn
from tinycnn import Tensor
from tinycnn._extras import how_to_install
from tinycnn.diagnostics.shapes import output_size
from tinycnn.nn import functional as F
from tinycnn.teaching import reference

Array = np.ndarray
Gradients = tuple[Array, Array, Array]


class Way(NamedTuple):
    """One way to compute y (N, O, OH, OW) of x (N, C, H, W), w (O, C, KH, KW) and b (O), and its gradients."""

    name: str
    forward: Callable[..., Array]  # (x, w, b, stride, padding) -> y
    backward: Callable[..., Gradients]  # (grad_output, x, w, stride, padding) -> (dx, dw, db)


def one_channel(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The window slides over one channel of one image; an output channel is the sum over the input channels."""
    slide = reference.conv2d_single_channel
    y = [[sum(slide(x_c, w_c, stride, padding) for x_c, w_c in zip(image, kernel)) for kernel in w] for image in x]
    return np.array(y) + b[:, None, None]


def one_channel_backward(grad_output: Array, x: Array, w: Array, stride: int, padding: int) -> Gradients:
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n, o, c in np.ndindex(len(x), *w.shape[:2]):
        d_channel, d_kernel = reference.conv2d_single_channel_backward(
            grad_output[n, o], x[n, c], w[o, c], stride, padding
        )
        dx[n, c] += d_channel
        dw[o, c] += d_kernel
    return dx, dw, grad_output.sum(axis=(0, 2, 3))


def unfold_and_product(x: Tensor, w: Tensor, b: Tensor, stride: int, padding: int) -> Tensor:
    """im2col without loops over positions. Its backward pass is autograd's: two products and col2im."""
    N, _, H, _ = x.shape
    O, _, KH, KW = w.shape
    columns = F.unfold(x, (KH, KW), stride=stride, padding=padding)  # (N, C·KH·KW, OH·OW)
    y = w.reshape(O, -1) @ columns + b.reshape(O, 1)
    return y.reshape(N, O, output_size(H, KH, stride, padding), -1)


class Autograd:
    """A convolution of tensors as a Way: the library, tinycnn or torch, finds the backward pass itself."""

    def __init__(self, library: Any, convolve: Callable):
        self.library, self.convolve = library, convolve

    def forward(self, x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
        self.inputs = [self.library.tensor(array, requires_grad=True) for array in (x, w, b)]
        self.output = self.convolve(*self.inputs, stride=stride, padding=padding)
        return self.output.detach().numpy()

    def backward(self, grad_output: Array, x: Array, w: Array, stride: int, padding: int) -> Gradients:
        self.output.backward(self.library.tensor(grad_output))
        dx, dw, db = (tensor.grad.numpy() for tensor in self.inputs)
        return dx, dw, db


def ways() -> list[Way]:
    """From the slowest to the fastest; the last but torch's is F.conv2d."""
    product, library = Autograd(tinycnn, unfold_and_product), Autograd(tinycnn, F.conv2d)
    found = [
        Way("sliding window, one channel", one_channel, one_channel_backward),
        Way("sliding window, all channels", reference.conv2d_loops, reference.conv2d_loops_backward),
        Way("seven nested loops", reference.conv2d_nested, reference.conv2d_backward),
        Way("im2col by loops, one product", reference.conv2d_im2col, reference.conv2d_im2col_backward),
        Way("F.unfold, one product", product.forward, product.backward),
        Way("F.conv2d", library.forward, library.backward),
    ]
    torch = optional_torch()
    if torch is not None:
        torch.set_num_threads(1)  # handing so little work to other threads takes longer than doing it
        theirs = Autograd(torch, torch.nn.functional.conv2d)
        found.append(Way("torch", theirs.forward, theirs.backward))
    return found


def compare(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    N, C, O, H, K = options.batch, options.channels, options.kernels, options.size, options.kernel_size
    geometry = options.stride, options.padding
    try:
        OH = output_size(H, K, *geometry)
    except ValueError as error:
        raise UserError(str(error).removeprefix("output_size: ")) from None
    x, w, b, g = (rng.standard_normal(shape) for shape in [(N, C, H, H), (O, C, K, K), (O,), (N, O, OH, OH)])

    results: dict[str, list[Array]] = {}
    times = {}
    for way in ways():
        forward_ms, backward_ms = math.inf, math.inf
        for _ in range(options.repeat):
            y, ms = timed(way.forward, x, w, b, *geometry)
            forward_ms = min(forward_ms, ms)
            gradients, ms = timed(way.backward, g, x, w, *geometry)
            backward_ms = min(backward_ms, ms)
        results[way.name] = [y, *gradients]
        times[way.name] = forward_ms, backward_ms

    against = [name for name in ("F.conv2d", "torch") if name in results]
    header = ["way", "forward", "backward", *(f"{pass_} − {name}" for name in against for pass_ in ("y", "dx, dw, db"))]
    rows = []
    for name, (y, *gradients) in results.items():
        row = [name, *(f"{ms:,.2f} ms" for ms in times[name])]
        for other in against:
            other_y, *other_gradients = results[other]
            worst = max(map(difference, gradients, other_gradients))
            row += ["–", "–"] if other == name else [f"{difference(y, other_y):.1e}", f"{worst:.1e}"]
        rows.append(row)

    count = O * OH * OH * C * K * K
    print(f"x {x.shape}, w {w.shape}, b {b.shape}, stride {options.stride}, padding {options.padding}: y {y.shape},")
    print(f"{N * count:,} multiply-adds forward, twice as many backward; float64.")
    print()
    print(table(header, rows))
    print()
    slowest, ours = times["seven nested loops"], times["F.conv2d"]
    print(f"Times are the best of {options.repeat}; the other columns are largest absolute differences.")
    print(
        f"All ways compute the same, up to rounding. F.conv2d takes 1/{slowest[0] / ours[0]:,.0f} of the time of the "
        f"seven loops forward, 1/{slowest[1] / ours[1]:,.0f} backward."
    )
    if "torch" not in results:
        print(f"Not compared with torch, which is not installed: {how_to_install('torch')}")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="conv_three_ways.py", description="Convolution by sliding windows, loops and im2col.")
    for name, default, text in [
        ("batch", 4, "images, N;"),
        ("channels", 3, "input channels, C;"),
        ("kernels", 8, "output channels, O;"),
        ("size", 14, "of the square images, H = W;"),
        ("kernel-size", 3, "of the square kernels, K;"),
        ("stride", 1, ""),
        ("padding", 1, ""),
        ("repeat", 3, "time each way so many times;"),
    ]:
        kind = natural if name == "padding" else positive
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} default {default}")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the random numbers; default 0")
    return run(compare, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
