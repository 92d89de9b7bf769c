"""LeNet-5 as it was published in 1998: squashed layers, trained sub-sampling, partial connections, fixed prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinycnn import empty, nn, tanh, tensor
from tinycnn.checks import check_choice
from tinycnn.models.registry import register_model
from tinycnn.nn.functional import avg_pool2d, conv2d
from tinycnn.tensor import Tensor

__all__ = ["LeNet5Original", "lenet5_1998"]

# Of each map of C3 the maps of S2 that it takes: table I of the paper.
C3_INPUTS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# The digits 0 to 9 as pictures of 12 rows and 7 columns, after figure 3 of the paper. A bar above tells 0, 2, 4 and 5
# from the letters o, z, y and s.
DIGITS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def prototypes() -> Tensor:
    """The pictures of the ten digits as vectors (10, 84): 1 for ink, −1 for paper."""
    rows = [line.split() for line in DIGITS.split("\n") if line]
    digits = ["".join(row[digit] for row in rows) for digit in range(10)]
    return tensor([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits])


def squash(x: Tensor) -> Tensor:
    """1.7159 · tanh(2x / 3), which is ±1 at ±1: the prototypes lie where it curves most, not where it saturates."""
    return 1.7159 * tanh(x * (2 / 3))


def draw(fan_in: int, *parameters: Tensor) -> None:
    """First values within ±2.4 / fan_in, as in appendix A of the paper."""
    for parameter in parameters:
        nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in)


class Subsampling(nn.Module):
    """The sum of each 2×2 window, times the coefficient of its map, plus the bias of its map: (N, C, H, W) to
    (N, C, H / 2, W / 2)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(empty(channels)), nn.Parameter(empty(channels))
        draw(2 * 2, self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        sums = avg_pool2d(x, 2, divisor_override=1)
        return self.weight.reshape(-1, 1, 1) * sums + self.bias.reshape(-1, 1, 1)


class PartialConv2d(nn.Module):
    """A convolution whose output maps take some of the input maps each: (N, C, H, W) to (N, len(inputs), OH, OW).

    Args:
        in_channels: C.
        inputs: of each output map, the input maps that it takes.
        kernel_size: height and width of the kernels, of which `weight` has one for each connection.
    """

    def __init__(self, in_channels: int, inputs: Sequence[Sequence[int]], kernel_size: int):
        super().__init__()
        self.shape = (len(inputs), in_channels, kernel_size, kernel_size)
        connections = [(output, input) for output, maps in enumerate(inputs) for input in maps]
        self.weight = nn.Parameter(empty(len(connections), kernel_size, kernel_size))
        self.bias = nn.Parameter(empty(len(inputs)))
        self.register_buffer("connections", tensor(connections).T, persistent=False)
        counts = [len(maps) for maps in inputs]
        for count, kernels, bias in zip(counts, self.weight.detach().split(counts), self.bias.detach().split(1)):
            draw(count * kernel_size**2, kernels, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Kernels of no connection are 0."""
        outputs, inputs = self.connections
        kernels = self.weight.new_zeros(self.shape)
        kernels[outputs, inputs] = self.weight
        return conv2d(x, kernels, self.bias)


class EuclideanRBF(nn.Module):
    """Radial basis functions: x (N, 84) to scores (N, 10), minus the squared distances to the prototypes, which are
    constants and no part of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centres", prototypes(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return -(x.unsqueeze(1) - self.centres).square().sum(2)


class LeNet5Original(nn.Module):
    """LeNet-5 of 1998: (N, 1, S, S) to scores (N, num_classes); 60,000 parameters.

    Cross-entropy of the scores is the paper's criterion, equation 9, without its rubbish class. |x|² then cancels:
    the last layer is linear, with weights 2w that are not trained.

    Args:
        num_classes: number of scores. Default 10.
        image_size: S. 28 (default, MNIST) pads by 2 on each side in the first convolution; 32, as in the paper, does
            not pad.
        output: "rbf" (default) scores by the distance of the last layer to pictures of the ten digits, which serve as
            codes of any ten classes; "linear" by a trained layer, with any number of classes.

    Raises ValueError for another `image_size` or `output`, and for other than 10 classes with "rbf".
    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II.B; the initial
    values are those of appendix A.
    """

    def __init__(self, num_classes: int = 10, image_size: int = 28, output: str = "rbf"):
        super().__init__()
        if image_size not in (28, 32):
            raise ValueError(f"LeNet5Original: expected image_size 28 or 32, got {image_size!r}")
        check_choice("LeNet5Original", "output", output, ("rbf", "linear"))
        if output == "rbf" and num_classes != 10:
            raise ValueError(f"LeNet5Original: output='rbf' has 10 classes, got num_classes={num_classes!r}")
        self.c1 = nn.Conv2d(1, 6, 5, padding=(32 - image_size) // 2)  # (N, 6, 28, 28)
        self.s2 = Subsampling(6)  # (N, 6, 14, 14)
        self.c3 = PartialConv2d(6, C3_INPUTS, 5)  # (N, 16, 10, 10)
        self.s4 = Subsampling(16)  # (N, 16, 5, 5)
        self.c5 = nn.Conv2d(16, 120, 5)  # (N, 120, 1, 1)
        self.f6 = nn.Linear(120, 84)
        self.output = EuclideanRBF() if output == "rbf" else nn.Linear(84, num_classes)
        for layer in (self.c1, self.c5, self.f6, self.output):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                draw(layer.weight[0].numel(), layer.weight, layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, S, S) to scores (N, num_classes)."""
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5):
            x = squash(layer(x))
        return self.output(squash(self.f6(x.flatten(1))))


@register_model
def lenet5_1998(**options: Any) -> LeNet5Original:
    """`options` are those of `LeNet5Original`."""
    return LeNet5Original(**options)
