"""Convolution layers: one class for any number of dimensions, and three thin ones."""

from __future__ import annotations

from typing import Any

from tinycnn import creation
from tinycnn.nn import functional as F
from tinycnn.nn import init
from tinycnn.nn.module import Module, Parameter
from tinycnn.tensor import Tensor


class _ConvNd(Module):
    dims: int

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
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        name, dims = type(self).__name__, self.dims
        (self.in_channels,) = F.sizes(in_channels, 1, name, "in_channels")
        (self.out_channels,) = F.sizes(out_channels, 1, name, "out_channels")
        (self.groups,) = F.sizes(groups, 1, name, "groups")
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: groups={groups} does not divide {argument}={channels}")
        self.kernel_size = F.sizes(kernel_size, dims, name, "kernel_size")
        self.stride = F.sizes(stride, dims, name, "stride")
        self.dilation = F.sizes(dilation, dims, name, "dilation")
        F.padding_pairs(padding, self.kernel_size, self.stride, self.dilation, name)
        self.padding = padding if isinstance(padding, str) else F.sizes(padding, dims, name, "padding", least=0)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        make = {"device": device, "dtype": dtype}
        self.weight = Parameter(creation.empty(*shape, **make))
        self.register_parameter("bias", Parameter(creation.empty(out_channels, **make)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.layer_default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.convolve(
            self.dims, f"{type(self).__name__}(in_channels={self.in_channels})", input, self.weight, self.bias,
            self.stride, self.padding, self.dilation, self.groups,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        if self.padding != (0,) * self.dims:
            shown.append(f"padding={self.padding!r}")
        if self.dilation != (1,) * self.dims:
            shown.append(f"dilation={self.dilation}")
        if self.groups != 1:
            shown.append(f"groups={self.groups}")
        if self.bias is None:
            shown.append("bias=False")
        return ", ".join(shown)


class Conv1d(_ConvNd):
    """1-d convolution: (N, in_channels, L) to (N, out_channels, OL); see `Conv2d`."""

    dims = 1


class Conv2d(_ConvNd):
    """2-d convolution: (N, in_channels, H, W) to (N, out_channels, OH, OW), or without N for one sample.

    Args:
        in_channels, out_channels: positive ints that `groups` divides.
        kernel_size, stride (1), dilation (1): positive ints, or one for each of H and W.
        padding: zeros added on both sides (0), likewise; or "valid", or "same" (with stride 1).
        groups: how many groups the channels are split into; in_channels of them make it depthwise.
        bias: whether to add a learned bias.

    weight is (out_channels, in_channels / groups, KH, KW), bias (out_channels); both start uniform on
    ±1 / √(in_channels / groups · KH · KW). Formula and output size: `tinycnn.nn.functional.conv2d`.
    """

    dims = 2


class Conv3d(_ConvNd):
    """3-d convolution: (N, in_channels, D, H, W) to (N, out_channels, OD, OH, OW); see `Conv2d`."""

    dims = 3
