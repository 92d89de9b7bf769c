"""Convolution and transposed convolution, functions and layers; unfold (im2col) and fold (col2im)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tinycnn import creation
from tinycnn.backend import DeviceLike
from tinycnn.checks import ShapeError, check_choice, check_flag, is_int, shortened
from tinycnn.dtypes import DTypeLike
from tinycnn.grad_mode import thread_mode
from tinycnn.nn import init
from tinycnn.nn.arguments import (
    Shape,
    Size,
    cacheable,
    check_alike,
    check_fits,
    check_input,
    is_batch,
    padding_pairs,
    refuse_others,
    size,
    sizes,
)
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.nn.resize import pad
from tinycnn.ops import conv as ops
from tinycnn.ops import windows
from tinycnn.ops.reduce import check_floating
from tinycnn.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

# --- functions --------------------------------------------------------------------------------------------


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Size = 1, padding: Size | str = 0, dilation: Size = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """1-d convolution: (N, C, L) to (N, O, OL); see `conv2d`."""
    return _convolve(1, "conv1d", input, weight, bias, groups, *cacheable(stride, padding, dilation))


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Size = 1, padding: Size | str = 0, dilation: Size = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """2-d convolution (cross-correlation, as in torch: the kernel is not flipped).

    y[n, o, i, j] = bias[o] + Σ_{c,k,l} weight[o, c, k, l] · input[n, c, i·stride + k·dilation − padding, ...]

    Args:
        input: (N, C, H, W), or (C, H, W) for one sample.
        weight: (O, C / groups, KH, KW).
        bias: (O), or None.
        stride, dilation: positive ints, or one for each of H and W.
        padding: zeros added on both sides, likewise; or "valid" (none), or "same" (output of the input's size;
            stride 1 only).
        groups: output channels are split into this many groups, each of which sees its own group of inputs.

    Returns:
        (N, O, OH, OW) with OH = ⌊(H + 2·padding − dilation·(KH − 1) − 1) / stride⌋ + 1.

    Raises ValueError or TypeError, naming the argument, if they do not fit.
    """
    return _convolve(2, "conv2d", input, weight, bias, groups, *cacheable(stride, padding, dilation))


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Size = 1, padding: Size | str = 0, dilation: Size = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """3-d convolution: (N, C, D, H, W) to (N, O, OD, OH, OW); see `conv2d`."""
    return _convolve(3, "conv3d", input, weight, bias, groups, *cacheable(stride, padding, dilation))


def _convolve(
    dims: int, name: str, input: Tensor, weight: Tensor, bias: Tensor | None,
    groups: int, stride: Any, padding: Any, dilation: Any,
) -> Tensor:  # fmt: skip
    """The convolution over `dims` spatial dimensions; errors name `name`."""
    if thread_mode.autocast is not None:
        input, weight, bias = thread_mode.autocast.cast("conv2d", (input, weight, bias))
    spec, batched = _checked(_conv_geometry, dims, name, input, weight, bias, stride, padding, dilation, groups)
    y = ops.conv(input if batched else input.unsqueeze(0), weight, bias, spec)
    return y if batched else y.squeeze(0)


@lru_cache(maxsize=1024, typed=True)
def _conv_geometry(
    dims: int, name: str, x: Shape, w: Shape, b: Shape | None, dtypes: tuple,
    stride: Any, padding: Any, dilation: Any, groups: int,
) -> tuple[ops.ConvSpec, bool]:  # fmt: skip
    """The checked geometry, and whether the input is a batch; cached: a network repeats the same
    few in every step."""
    groups = _check_weight(dims, name, w, groups, "(O, C / groups, ...)")
    out_channels, group_channels = w[:2]
    if out_channels % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the {out_channels} output channels of the weight")
    batched = is_batch(x, dims, name, group_channels * groups)
    _check_alike(name, b, out_channels, dtypes)
    stride = sizes(stride, dims, name, "stride")
    dilation = sizes(dilation, dims, name, "dilation")
    pads = padding_pairs(padding, w[2:], stride, dilation, name)
    spec = ops.ConvSpec(x[-dims:], w[2:], stride, pads, dilation, False, groups)
    check_fits(spec, name)
    return spec, batched


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Size = 1, padding: Size = 0, output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:  # fmt: skip
    """1-d transposed convolution: (N, C, L) to (N, O, OL); see `conv_transpose2d`."""
    return _transposed(
        1, "conv_transpose1d", input, weight, bias, groups, *cacheable(stride, padding, output_padding, dilation)
    )


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Size = 1, padding: Size = 0, output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:  # fmt: skip
    """2-d transposed convolution: the input gradient of `conv2d`, as an operator of its own. It is not an inverse.

    y[n, o, i, j] = bias[o] + Σ weight[c, o, k, l] · input[n, c, p, q] over i = p·stride + k·dilation − padding, ...

    Args:
        input: (N, C, H, W), or (C, H, W) for one sample.
        weight: (C, O / groups, KH, KW).
        stride, padding, dilation, groups: those of the convolution whose gradient this is.
        output_padding: a stride maps several input sizes to one output size; this many rows and columns are added
            to the smallest. Less than the stride or the dilation.

    Returns:
        (N, O, OH, OW) with OH = (H − 1)·stride − 2·padding + dilation·(KH − 1) + output_padding + 1.
    """
    return _transposed(
        2, "conv_transpose2d", input, weight, bias, groups, *cacheable(stride, padding, output_padding, dilation)
    )


def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Size = 1, padding: Size = 0, output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:  # fmt: skip
    """3-d transposed convolution: (N, C, D, H, W) to (N, O, OD, OH, OW); see `conv_transpose2d`."""
    return _transposed(
        3, "conv_transpose3d", input, weight, bias, groups, *cacheable(stride, padding, output_padding, dilation)
    )


def _transposed(
    dims: int, name: str, input: Tensor, weight: Tensor, bias: Tensor | None,
    groups: int, stride: Any, padding: Any, output_padding: Any, dilation: Any,
) -> Tensor:  # fmt: skip
    """The transposed convolution over `dims` spatial dimensions; errors name `name`."""
    if thread_mode.autocast is not None:
        input, weight, bias = thread_mode.autocast.cast("conv_transpose2d", (input, weight, bias))
    options = (stride, padding, output_padding, dilation, groups)
    spec, batched = _checked(_transposed_geometry, dims, name, input, weight, bias, *options)
    y = ops.conv_transpose(input if batched else input.unsqueeze(0), weight, spec)
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * dims)
    return y if batched else y.squeeze(0)


@lru_cache(maxsize=1024, typed=True)
def _transposed_geometry(
    dims: int, name: str, x: Shape, w: Shape, b: Shape | None, dtypes: tuple,
    stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int,
) -> tuple[ops.ConvSpec, bool]:  # fmt: skip
    """The geometry of the convolution whose input gradient it is, whose output has this one's input size; and whether
    the input is a batch."""
    groups = _check_weight(dims, name, w, groups, "(C, O / groups, ...)")
    in_channels, out_channels = w[0], w[1] * groups
    if in_channels % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the {in_channels} input channels of the weight")
    batched = is_batch(x, dims, name, in_channels)
    _check_alike(name, b, out_channels, dtypes)
    stride = sizes(stride, dims, name, "stride")
    dilation = sizes(dilation, dims, name, "dilation")
    padding = sizes(padding, dims, name, "padding", least=0)
    extra = sizes(output_padding, dims, name, "output_padding", least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: expected output_padding smaller than stride {stride} or dilation {dilation}, got {output_padding}"
        )
    smallest = _smallest_transposed_size(x[-dims:], w[2:], stride, padding, dilation)
    result = tuple(n + e for n, e in zip(smallest, extra, strict=True))
    if any(n < 1 for n in result):
        raise ShapeError(f"{name}: input {x[-dims:]}, kernel {w[2:]} and padding {padding} give an output of {result}")
    # Padding less after the end by output_padding makes the convolution of `result` give exactly the input's size.
    pads = tuple((p, p - e) for p, e in zip(padding, extra, strict=True))
    return ops.ConvSpec(result, w[2:], stride, pads, dilation, False, groups), batched


def _smallest_transposed_size(size: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    """The smallest input size that a convolution of this geometry maps to `size`; so do the next stride − 1 sizes."""
    geometry = zip(size, kernel_size, stride, padding, dilation, strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in geometry)


def _checked(
    geometry: Any, dims: int, name: str, input: Tensor, weight: Tensor, bias: Tensor | None, *options: Any
) -> tuple[ops.ConvSpec, bool]:
    """What the cached check `geometry` says of these shapes, dtypes and options."""
    try:
        x, w, b = input._array, weight._array, None if bias is None else bias._array
    except AttributeError:
        axis = 1 if geometry is _conv_geometry else 0
        is_weight = isinstance(weight, Tensor) and weight.ndim == dims + 2
        check_input(name, input, dims, weight.shape[axis] if is_weight else None)
        refuse_others(name, weight=weight, **({} if bias is None else {"bias": bias}))
        raise
    shape, dtype = (None, None) if b is None else (b.shape, b.dtype)
    arguments = (dims, name, x.shape, w.shape, shape, (x.dtype, w.dtype, dtype), *options)
    try:
        return geometry(*arguments)
    except TypeError:  # also of an argument that the cache cannot take
        return geometry.__wrapped__(*arguments)


def _check_weight(dims: int, name: str, w: Shape, groups: int, form: str) -> int:
    """Refuses a weight that is none; the groups as an int of Python."""
    if len(w) != dims + 2:
        raise ValueError(f"{name}: expected a weight Tensor of {dims + 2} dimensions {form}, got {w}")
    if 0 in w[: None if form.startswith("(C") else 1]:
        raise ValueError(f"{name}: expected a weight with no empty dimension, got {w}")
    if not is_int(groups) or groups < 1:
        raise ValueError(f"{name}: expected groups as a positive int, got {shortened(groups)}")
    return int(groups)


def _check_alike(name: str, b: Shape | None, out_channels: int, dtypes: tuple) -> None:
    """Bias of the right shape, and all of one dtype."""
    if b is not None and b != (out_channels,):
        raise ValueError(f"{name}: expected a bias of shape ({out_channels},), got {b}")
    check_alike(name, dtypes)


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """im2col: (N, C, H, W) to (N, C·KH·KW, OH·OW), each column the window at one output position.

    The sizes are ints, or one for each of H and W; `padding` is of zeros on both sides.
    """
    check_floating("unfold", input)
    batched = is_batch(input.shape, 2, "unfold")
    if input.shape[-3] == 0:
        raise ValueError(f"unfold: expected an input with no empty dimension but N, got {input.shape}")
    window = _unfold_window("unfold", input.shape[-2:], kernel_size, dilation, padding, stride)
    columns = windows.im2col(input if batched else input.unsqueeze(0), window)
    return columns if batched else columns.squeeze(0)


def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """col2im: (N, C·KH·KW, L) to (N, C, *output_size); overlapping windows add up. The adjoint of `unfold`.

    ValueError unless L is the number of windows that fit into `output_size`.
    """
    if not isinstance(input, Tensor) or input.ndim not in (2, 3):
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"fold: expected input (N, C·KH·KW, L) or (C·KH·KW, L), got {got}")
    check_floating("fold", input)
    if 0 in input.shape[-2:]:
        raise ValueError(f"fold: expected an input with no empty dimension but N, got {input.shape}")
    columns = input if input.ndim == 3 else input.unsqueeze(0)
    output_size = sizes(output_size, 2, "fold", "output_size")
    window = _unfold_window("fold", output_size, kernel_size, dilation, padding, stride)
    taps, positions = math.prod(window.kernel_size), math.prod(window.output_size)
    if columns.shape[1] % taps or columns.shape[2] != positions:
        raise ValueError(
            f"fold: for output_size {output_size} and kernel_size {window.kernel_size} expected input "
            f"(N, C·{taps}, {positions}), got {input.shape}"
        )
    y = windows.col2im(columns, window)
    return y if input.ndim == 3 else y.squeeze(0)


def _unfold_window(
    name: str, input_size: Shape, kernel_size: Size, dilation: Size, padding: Size, stride: Size
) -> windows.Window:
    options = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    for argument, given in options.items():
        if isinstance(given, (tuple, list)) and len(given) == 1:
            raise ValueError(f"{name}: expected {argument} as one int or 2, got 1: {given}")
    pads = tuple((p, p) for p in sizes(padding, 2, name, "padding", least=0))
    window = windows.Window(
        input_size, sizes(kernel_size, 2, name, "kernel_size"), sizes(stride, 2, name, "stride"), pads,
        sizes(dilation, 2, name, "dilation"),
    )  # fmt: skip
    check_fits(window, name)
    return window


# --- layers -----------------------------------------------------------------------------------------------


class _ConvBase(Module):
    """What both kinds share: checked arguments, weight and bias."""

    dims: int
    transposes = False
    padding: Any  # ints, "valid" or "same"

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, padding: Size | str, dilation: Size,
        groups: int, bias: bool, padding_mode: str, device: DeviceLike, dtype: DTypeLike,
    ):  # fmt: skip
        super().__init__()
        name, dims = type(self).__name__, self.dims
        self.in_channels = in_channels = size(in_channels, name, "in_channels")
        self.out_channels = out_channels = size(out_channels, name, "out_channels")
        self.groups = groups = size(groups, name, "groups")
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: groups={groups} does not divide {argument}={channels}")
        if self.transposes and padding_mode != "zeros":
            raise ValueError(f"{name}: expected padding_mode 'zeros', got {padding_mode!r}")
        check_choice(name, "padding_mode", padding_mode, PADDING_MODES)
        check_flag(name, "bias", bias)
        self.kernel_size = sizes(kernel_size, dims, name, "kernel_size")
        self.stride = sizes(stride, dims, name, "stride")
        self.dilation = sizes(dilation, dims, name, "dilation")
        by_name = isinstance(padding, str) and not self.transposes
        self.padding = padding if by_name else sizes(padding, dims, name, "padding", least=0)
        self._pads = padding_pairs(padding, self.kernel_size, self.stride, self.dilation, name)
        self.padding_mode = padding_mode
        self._name = f"{name}(in_channels={in_channels})"  # in errors
        self.weight = Parameter(creation.empty(self._weight_shape(), device=device, dtype=dtype))
        offset = Parameter(creation.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", offset)
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        rows, columns = self.out_channels, self.in_channels
        rows, columns = (columns, rows) if self.transposes else (rows, columns)
        return rows, columns // self.groups, *self.kernel_size

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
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
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size | str = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
        device: DeviceLike = None, dtype: DTypeLike = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            flat = [amount for pair in self._pads[::-1] for amount in pair]  # F.pad begins with the last dimension
            input, padding = pad(input, flat, mode=self.padding_mode), (0,) * self.dims
        return _convolve(
            self.dims, self._name, input, self.weight, self.bias, self.groups, self.stride, padding, self.dilation
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
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
        output_padding: Size = 0, groups: int = 1, bias: bool = True, dilation: Size = 1, padding_mode: str = "zeros",
        device: DeviceLike = None, dtype: DTypeLike = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = sizes(output_padding, self.dims, type(self).__name__, "output_padding", least=0)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`output_size`, the spatial size (or whole shape) of the result, chooses among those that the stride maps to
        the input's size; it takes the place of `output_padding`."""
        extra = self.output_padding if output_size is None else self._output_padding(input, tuple(output_size))
        return _transposed(
            self.dims, self._name, input, self.weight, self.bias, self.groups, self.stride, self.padding, extra,
            self.dilation,
        )  # fmt: skip

    def _output_padding(self, input: Tensor, output_size: tuple[int, ...]) -> tuple[int, ...]:
        size = input.shape[-self.dims :]
        smallest = _smallest_transposed_size(size, self.kernel_size, self.stride, self.padding, self.dilation)
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
