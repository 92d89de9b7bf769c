"""The worked examples: all arrays of a forward and backward pass on small integers, computed by tinycnn."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from tinycnn.autograd import no_grad
from tinycnn.creation import tensor
from tinycnn.nn import functional as F
from tinycnn.ops.windows import Window, im2col
from tinycnn.tensor import Tensor

# What fits on a screen; the page enforces the same limits.
LIMITS = {
    "input": (1, 12), "kernel": (1, 5), "stride": (1, 5), "padding": (0, 4), "dilation": (1, 4),
    "channels": (1, 3), "filters": (1, 3), "padded": (1, 16), "window": (1, 9), "output": (1, 12), "rows": (1, 50),
    "columns": (1, 64),
}  # fmt: skip

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConvGeometry:
    """The geometry of the convolution, one image. ValueError, naming the limit, if it does not fit on the page."""

    input: Pair = (5, 5)
    kernel: Pair = (3, 3)
    stride: Pair = (2, 2)
    padding: Pair = (1, 1)
    dilation: Pair = (1, 1)
    channels: int = 1
    filters: int = 1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            for number in value if isinstance(value, tuple) else (value,):
                _check(name, number)
        for size, kernel, padding, dilation in zip(self.input, self.kernel, self.padding, self.dilation, strict=True):
            _check("padded", size + 2 * padding, ", input + 2 · padding")
            _check("window", dilation * (kernel - 1) + 1, ", dilation · (kernel − 1) + 1")
        for number in self.output:
            _check("output", number, f": with this kernel, stride, padding and dilation the output is {self.output}")
        _check("rows", self.channels * self.kernel[0] * self.kernel[1], " of the im2col matrix, channels · KH · KW")
        _check("columns", self.output[0] * self.output[1], " of the im2col matrix, OH · OW")

    @property
    def window(self) -> Window:
        """The sliding windows."""
        pads = tuple((p, p) for p in self.padding)
        return Window(self.input, self.kernel, self.stride, pads, self.dilation)

    @property
    def output(self) -> Pair:
        """(OH, OW), the output size."""
        OH, OW = self.window.output_size
        return OH, OW


@dataclass(frozen=True)
class PoolGeometry(ConvGeometry):
    """The geometry of the max pooling, one channel. ValueError for a padding above half the kernel."""

    padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ValueError(f"padding: expected at most half the kernel {self.kernel}, got {self.padding}")


def _check(name: str, number: int, what: str = "") -> None:
    least, most = LIMITS[name]
    if not least <= number <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {number}{what}")


def numbers(seed: int) -> dict[str, np.ndarray]:
    """Small integers for the largest geometry. Smaller ones use the first corner of each array, so that changing the
    stride does not change the input."""
    rng = np.random.default_rng(seed)
    size, kernel, channels, filters, output = (
        LIMITS[name][1] for name in ("input", "kernel", "channels", "filters", "output")
    )
    return {
        "x": rng.integers(0, 5, (channels, size, size)),
        "w": rng.integers(-2, 3, (filters, channels, kernel, kernel)),
        "dy": rng.choice([-2, -1, 1, 2, 3], (filters, output, output)),
        "pool_x": rng.integers(0, 4, (1, size, size)),  # few values, many ties
        "pool_dy": rng.integers(1, 6, (1, output, output)),
    }


def worked_conv(geometry: ConvGeometry, seed: int = 0) -> dict[str, np.ndarray]:
    """x (C, H, W), w (O, C, KH, KW), columns (C·KH·KW, OH·OW), y (O, OH, OW), and the gradients dx, dw, dcolumns, dy;
    dx_padded is the input gradient before the padding is cropped, db (O) that of a bias. It is also the convolution of
    spread, dy with the zeros of the stride between and around, and rotated, w turned by 180° with the holes of the
    dilation."""
    given, (KH, KW), (H, W), (OH, OW) = numbers(seed), geometry.kernel, geometry.input, geometry.output
    C, O = geometry.channels, geometry.filters
    x = tensor(given["x"][None, :C, :H, :W].astype("float64"), requires_grad=True)
    w = tensor(given["w"][:O, :C, :KH, :KW].astype("float64"), requires_grad=True)
    dy = tensor(given["dy"][None, :O, :OH, :OW].astype("float64"))
    PH, PW = geometry.padding
    padded = F.pad(x, (PW, PW, PH, PH))
    whole = Window(padded.shape[2:], geometry.kernel, geometry.stride, ((0, 0), (0, 0)), geometry.dilation)
    columns = im2col(padded, whole)
    y = (w.reshape(O, -1) @ columns[0]).reshape(1, O, OH, OW)
    padded.retain_grad()
    columns.retain_grad()
    y.backward(dy)
    found = {
        "x": x[0], "w": w, "columns": columns[0], "y": y[0], "dy": dy[0], "dcolumns": _grad(columns)[0],
        "dx": _grad(x)[0], "dx_padded": _grad(padded)[0], "dw": _grad(w), "db": dy.sum((0, 2, 3)),
    }  # fmt: skip
    arrays = {name: tensor.detach().numpy().astype(int) for name, tensor in found.items()}
    (SH, SW), (DH, DW) = geometry.stride, geometry.dilation
    RH, RW = DH * (KH - 1), DW * (KW - 1)  # how far a window reaches
    arrays["rotated"] = np.zeros((O, C, RH + 1, RW + 1), int)
    arrays["rotated"][..., ::DH, ::DW] = arrays["w"][..., ::-1, ::-1]
    arrays["spread"] = np.zeros((O, padded.shape[2] + RH, padded.shape[3] + RW), int)
    arrays["spread"][:, RH : RH + OH * SH : SH, RW : RW + OW * SW : SW] = arrays["dy"]
    return arrays


def worked_pool(geometry: PoolGeometry, seed: int = 0) -> dict[str, np.ndarray]:
    """x (1, H, W), y (1, OH, OW) and the gradients dy, dx of a max pooling."""
    given, (H, W), (OH, OW) = numbers(seed), geometry.input, geometry.output
    x = tensor(given["pool_x"][None, :, :H, :W].astype("float64"), requires_grad=True)
    dy = tensor(given["pool_dy"][None, :, :OH, :OW].astype("float64"))
    y = F.max_pool2d(x, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation)
    y.backward(dy)
    # Floats: a window entirely in the padding has the maximum −∞.
    found = {"x": x[0], "y": y[0], "dy": dy[0], "dx": _grad(x)[0]}
    with no_grad():
        return {name: tensor.detach().numpy() for name, tensor in found.items()}


def _grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad
