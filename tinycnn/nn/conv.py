"""Convolution layers: one class for any number of dimensions, one for the transposed kind, and thin ones."""

from __future__ import annotations

from typing import Any

from tinycnn import creation
from tinycnn.nn import init
from tinycnn.nn.functional.arguments import padding_pairs, sizes
from tinycnn.nn.functional.conv import convolve, smallest_transposed_size, transposed
from tinycnn.nn.functional.resize import pad
from tinycnn.nn.module import Module, Parameter
from tinycnn.tensor import Tensor

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvBase(Module):
    """What both kinds share: checked arguments, weight and bias."""

    dims: int
    transposes = False
    padding: Any  # ints, or the word it was given as

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        groups: int, bias: bool, padding_mode: str, device: Any, dtype: Any,
    ):  # fmt: skip
        super().__init__()
        name, dims = type(self).__name__, self.dims
        (self.in_channels,) = sizes(in_channels, 1, name, "in_channels")
        (self.out_channels,) = sizes(out_channels, 1, name, "out_channels")
        (self.groups,) = sizes(groups, 1, name, "groups")
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: groups={groups} does not divide {argument}={channels}")
        if padding_mode not in PADDING_MODES[: 1 if self.transposes else None]:
            raise ValueError(f"{name}: expected padding_mode of {PADDING_MODES}, got {padding_mode!r}")
        self.kernel_size = sizes(kernel_size, dims, name, "kernel_size")
        self.stride = sizes(stride, dims, name, "stride")
        self.dilation = sizes(dilation, dims, name, "dilation")
        by_name = isinstance(padding, str) and not self.transposes
        self.padding = padding if by_name else sizes(padding, dims, name, "padding", least=0)
        self._pads = padding_pairs(padding, self.kernel_size, self.stride, self.dilation, name)
        self.padding_mode = padding_mode
        self._name = f"{name}(in_channels={in_channels})"  # how errors speak of this layer
        leading = (in_channels, out_channels) if self.transposes else (out_channels, in_channels)
        make = {"device": device, "dtype": dtype}
        self.weight = Parameter(creation.empty(leading[0], leading[1] // groups, *self.kernel_size, **make))
        self.register_parameter("bias", Parameter(creation.empty(out_channels, **make)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.layer_default_(self.weight, self.bias)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.dims, (1,) * self.dims
        shown = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        for name, default in [("padding", zeros), ("dilation", ones), ("output_padding", zeros), ("groups", 1)]:
            if getattr(self, name, default) != default:
                shown.append(f"{name}={getattr(self, name)}")
        if self.bias is None:
            shown.append("bias=False")
        if self.padding_mode != "zeros":
            shown.append(f"padding_mode={self.padding_mode}")
        return ", ".join(shown)


class _ConvNd(_ConvBase):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            flat = [amount for pair in self._pads[::-1] for amount in pair]  # F.pad begins with the last dimension
            input, padding = pad(input, flat, mode=self.padding_mode), (0,) * self.dims
        return convolve(
            self.dims, self._name, input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_ConvNd):
    """1-d convolution: (N, in_channels, L) to (N, out_channels, OL); see `Conv2d`."""

    dims = 1


class Conv2d(_ConvNd):
    """2-d convolution: (N, in_channels, H, W) to (N, out_channels, OH, OW), or without N for one sample.

    Args:
        in_channels, out_channels: positive ints that `groups` divides.
        kernel_size, stride (1), dilation (1): positive ints, or one for each of H and W.
        padding: elements added on both sides (0), likewise; or "valid" (none), or "same" (with stride 1).
        groups: how many groups the channels are split into; in_channels of them make it depthwise.
        bias: whether to add a learned bias.
        padding_mode: what is added: "zeros", "reflect", "replicate" or "circular" (see `F.pad`).

    weight is (out_channels, in_channels / groups, KH, KW), bias (out_channels); both start uniform on
    ±1 / √(in_channels / groups · KH · KW). Formula and output size: `tinycnn.nn.functional.conv2d`.
    """

    dims = 2


class Conv3d(_ConvNd):
    """3-d convolution: (N, in_channels, D, H, W) to (N, out_channels, OD, OH, OW); see `Conv2d`."""

    dims = 3


class _ConvTransposeNd(_ConvBase):
    transposes = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = sizes(output_padding, self.dims, type(self).__name__, "output_padding", least=0)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """`output_size`, the spatial size (or whole shape) of the result, chooses among those that the stride maps to
        the input's size; it takes the place of `output_padding`."""
        extra = self.output_padding if output_size is None else self._output_padding(input, tuple(output_size))
        return transposed(
            self.dims, self._name, input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
            self.dilation,
        )  # fmt: skip

    def _output_padding(self, input: Tensor, output_size: tuple[int, ...]) -> tuple[int, ...]:
        size = input.shape[-self.dims :]
        smallest = smallest_transposed_size(size, self.kernel_size, self.stride, self.padding, self.dilation)
        wanted = output_size[-self.dims :]
        extra = tuple(n - m for n, m in zip(wanted, smallest, strict=True))
        if len(output_size) not in (self.dims, input.ndim) or any(
            not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)
        ):
            largest = tuple(m + s - 1 for m, s in zip(smallest, self.stride, strict=True))
            raise ValueError(f"{self._name}: expected output_size from {smallest} to {largest}, got {output_size}")
        return extra


class ConvTranspose1d(_ConvTransposeNd):
    """1-d transposed convolution: (N, in_channels, L) to (N, out_channels, OL); see `ConvTranspose2d`."""

    dims = 1


class ConvTranspose2d(_ConvTransposeNd):
    """2-d transposed convolution: (N, in_channels, H, W) to (N, out_channels, OH, OW), or without N for one sample.

    The input gradient of a Conv2d with these arguments, as a layer. weight is (in_channels, out_channels / groups,
    KH, KW), bias (out_channels). Formula, output size and `output_padding`: `F.conv_transpose2d`.
    """

    dims = 2


class ConvTranspose3d(_ConvTransposeNd):
    """3-d transposed convolution: (N, in_channels, D, H, W) to (N, out_channels, OD, OH, OW); see `ConvTranspose2d`."""

    dims = 3
