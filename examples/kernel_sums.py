"""What a kernel answers to an input of ones: its sum. So one can read off which kernel meets which channel.

    python examples/kernel_sums.py
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from program import Parser, run, seed, show, side_by_side, table

import tinycnn
from tinycnn import nn

SIZE, K = 6, 3


@tinycnn.no_grad()
def answers_to_ones(layer: nn.Conv2d, channels: list[int] | None = None) -> np.ndarray:
    """What each output channel of `layer` is, at each position, where the input is 1 in `channels` (in all), else 0.

    (O, OH, OW) for an input (1, C, SIZE, SIZE).
    """
    x = tinycnn.zeros(1, layer.in_channels, SIZE, SIZE, dtype="float64")
    x[:, slice(None) if channels is None else channels] = 1
    return layer(x)[0].numpy()


def weights_of(layer: nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of its kernels and of its biases."""
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def kernel_sums(layer: nn.Conv2d) -> np.ndarray:
    """Σ weight[o, c] + bias[o] for each output channel o."""
    kernels, biases = weights_of(layer)
    return kernels.sum((1, 2, 3)) + biases


def who_meets_whom(layer: nn.Conv2d) -> np.ndarray:
    """(O, C): how far each output moves when the ones of one input channel alone are switched on."""
    _, biases = weights_of(layer)
    answers = [answers_to_ones(layer, [c])[:, 0, 0] - biases for c in range(layer.in_channels)]
    return np.stack(answers, axis=1)


def random_layer(*arguments: int, least: int = -4, **options: int) -> nn.Conv2d:
    """A layer whose weights and biases are integers from `least` to 4, so that sums can be checked in the head."""
    layer = nn.Conv2d(*arguments, **options, dtype="float64")
    for parameter in layer.parameters():
        parameter.data.copy_(tinycnn.randint(least, 5, parameter.shape))
    return layer


def demonstrate(options: argparse.Namespace) -> None:
    tinycnn.manual_seed(options.seed)
    one_channel(random_layer(1, 2, K))
    with_padding(random_layer(1, 1, K, padding=1))
    several_channels(random_layer(3, 4, K))
    groups()


def one_channel(layer: nn.Conv2d) -> None:
    print(f"1. One channel: an input of ones, {SIZE}×{SIZE}, through {layer}\n")
    y = answers_to_ones(layer)
    kernels, biases = weights_of(layer)
    titles = [f"kernel {o}, bias {bias:g}" for o, bias in enumerate(biases)]
    print(side_by_side(titles, [show(kernel[0]) for kernel in kernels]))
    print()
    print(side_by_side([f"output {o}" for o in range(2)], [show(channel) for channel in y], gap=" " * 8))
    print("\nEach position of output o is the sum of kernel o plus its bias: " + sums_as_text(layer) + ".\n")


def with_padding(layer: nn.Conv2d) -> None:
    print(f"2. With padding=1 the kernel hangs over the border, where it meets zeros:\n   {layer}\n")
    y = answers_to_ones(layer)[0]
    ((kernel,),), (bias,) = weights_of(layer)
    print(side_by_side([f"kernel, bias {bias:g}", "output"], [show(kernel), show(y)], gap=" " * 8))
    part = kernel[1:, 1:].sum() + bias
    print(
        f"\nInside it is the sum and the bias, {sums_as_text(layer)}; at the top left only the four elements at the "
        f"kernel's\nbottom right meet ones: {part - bias:g} and the bias give {part:g}.\n"
    )


def several_channels(layer: nn.Conv2d) -> None:
    print(f"3. Several channels: {layer}\n")
    y = answers_to_ones(layer)
    rows = []
    for o, (kernel, bias, total) in enumerate(zip(*weights_of(layer), kernel_sums(layer))):
        sums = kernel.sum((1, 2))
        rows.append([f"output {o}", *(f"{s:g}" for s in sums), f"{bias:g}", f"{total:g}", f"{y[o, 0, 0]:g}"])
    channels = [f"Σ channel {c}" for c in range(layer.in_channels)]
    print(table(["", *channels, "bias", "together", "conv gives"], rows))
    print("\nEvery kernel has a slice for every input channel; an output adds up the answers of its kernel's slices.\n")


def groups() -> None:
    print("4. Which kernel meets which channel: the answer when one input channel alone is 1, less the bias\n")
    layers = [random_layer(4, 8, K, groups=groups, least=1) for groups in (1, 2, 4)]
    titles = [f"groups={layer.groups}, weight {layer.weight.shape}" for layer in layers]
    blocks = []
    for layer in layers:
        cells = [[f"{value:g}" if value else "·" for value in row] for row in who_meets_whom(layer)]
        names = [f"out {o}" for o in range(layer.out_channels)]
        lines = [["", *(f"in {c}" for c in range(layer.in_channels))], *([n, *row] for n, row in zip(names, cells))]
        blocks.append([" ".join(cell.rjust(5) for cell in line) for line in lines])
    print(side_by_side(titles, blocks))
    print(
        "\nA dot: they never meet (the kernels here are positive). With one group every output sees every channel.\n"
        "With two, the first half of the outputs sees the first half of the channels. With as many groups as channels\n"
        "(depthwise), each output sees one."
    )


def sums_as_text(layer: nn.Conv2d) -> str:
    kernels, biases = weights_of(layer)
    sums = kernels.sum((1, 2, 3))
    return ", ".join(f"{s:g} {'+' if b >= 0 else '−'} {abs(b):g} = {s + b:g}" for s, b in zip(sums, biases))


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="kernel_sums.py", description="Ones through a convolution give the sums of its kernels.")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the random kernels; default 0")
    return run(demonstrate, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
