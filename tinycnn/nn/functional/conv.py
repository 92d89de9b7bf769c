"""Convolution and transposed convolution, and their two halves unfold (im2col) and fold (col2im)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from tinycnn.nn.functional.arguments import batched, check_fits, hashable, padding_pairs, sizes, unbatched
from tinycnn.ops import conv as conv_ops
from tinycnn.ops import windows
from tinycnn.tensor import Tensor


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """1-d convolution: (N, C, L) to (N, O, OL); see `conv2d`."""
    return convolve(1, "conv1d", input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
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
    return convolve(2, "conv2d", input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """3-d convolution: (N, C, D, H, W) to (N, O, OD, OH, OW); see `conv2d`."""
    return convolve(3, "conv3d", input, weight, bias, stride, padding, dilation, groups)


def convolve(
    dims: int, name: str, input: Any, weight: Tensor, bias: Tensor | None,
    stride: Any, padding: Any, dilation: Any, groups: int,
) -> Tensor:  # fmt: skip
    """The convolution over `dims` spatial dimensions; errors speak of `name`."""
    _check_weight(dims, name, weight, groups, "(O, C / groups, ...)")
    out_channels, group_channels = weight.shape[:2]
    if out_channels % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the {out_channels} output channels of the weight")
    x, added = batched(input, dims, name, group_channels * groups)
    _check_alike(name, x, weight, bias, out_channels)
    spec = _conv_spec(name, x.shape[2:], weight.shape[2:], hashable(stride), hashable(padding), hashable(dilation),
                      groups)  # fmt: skip
    return unbatched(conv_ops.conv(x, weight, bias, spec), added)


@lru_cache(maxsize=1024, typed=True)
def _conv_spec(
    name: str, input_size: tuple, kernel_size: tuple, stride: Any, padding: Any, dilation: Any, groups: int
) -> conv_ops.ConvSpec:
    """The checked geometry; cached, because a net asks for the same few on every step."""
    dims = len(input_size)
    stride = sizes(stride, dims, name, "stride")
    dilation = sizes(dilation, dims, name, "dilation")
    pads = padding_pairs(padding, kernel_size, stride, dilation, name)
    spec = conv_ops.ConvSpec(input_size, kernel_size, stride, pads, dilation, False, groups)
    check_fits(spec, name)
    return spec


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """1-d transposed convolution: (N, C, L) to (N, O, OL); see `conv_transpose2d`."""
    return transposed(1, "conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
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
    return transposed(2, "conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """3-d transposed convolution: (N, C, D, H, W) to (N, O, OD, OH, OW); see `conv_transpose2d`."""
    return transposed(3, "conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation)


def transposed(
    dims: int, name: str, input: Any, weight: Tensor, bias: Tensor | None,
    stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    """The transposed convolution over `dims` spatial dimensions; errors speak of `name`."""
    _check_weight(dims, name, weight, groups, "(C, O / groups, ...)")
    in_channels, out_channels = weight.shape[0], weight.shape[1] * groups
    if in_channels % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the {in_channels} input channels of the weight")
    x, added = batched(input, dims, name, in_channels)
    _check_alike(name, x, weight, bias, out_channels)
    spec = _transposed_spec(name, x.shape[2:], weight.shape[2:], hashable(stride), hashable(padding),
                            hashable(output_padding), groups, hashable(dilation))  # fmt: skip
    y = conv_ops.conv_transpose(x, weight, spec)
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * dims)
    return unbatched(y, added)


@lru_cache(maxsize=1024, typed=True)
def _transposed_spec(
    name: str, size: tuple, kernel_size: tuple, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> conv_ops.ConvSpec:
    """The geometry of the convolution whose input gradient it is: its output has this one's input `size`."""
    dims = len(size)
    stride = sizes(stride, dims, name, "stride")
    dilation = sizes(dilation, dims, name, "dilation")
    padding = sizes(padding, dims, name, "padding", least=0)
    extra = sizes(output_padding, dims, name, "output_padding", least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: expected output_padding smaller than stride {stride} or dilation {dilation}, got {output_padding}"
        )
    smallest = smallest_transposed_size(size, kernel_size, stride, padding, dilation)
    result = tuple(n + e for n, e in zip(smallest, extra, strict=True))
    if any(n < 1 for n in result):
        raise ValueError(f"{name}: input {size}, kernel {kernel_size} and padding {padding} give an output of {result}")
    # Padding less after the end by output_padding makes the convolution of `result` exactly `size` again.
    pads = tuple((p, p - e) for p, e in zip(padding, extra, strict=True))
    return conv_ops.ConvSpec(result, kernel_size, stride, pads, dilation, False, groups)


def smallest_transposed_size(
    size: tuple, kernel_size: tuple, stride: tuple, padding: tuple, dilation: tuple
) -> tuple[int, ...]:
    """The smallest input size that a convolution of this geometry maps to `size`; stride − 1 larger ones do too."""
    geometry = zip(size, kernel_size, stride, padding, dilation, strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in geometry)


def _check_weight(dims: int, name: str, weight: Any, groups: int, form: str) -> None:
    if not isinstance(weight, Tensor) or weight.ndim != dims + 2:
        got = weight.shape if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"{name}: expected a weight Tensor of {dims + 2} dimensions {form}, got {got}")
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{name}: expected groups as a positive int, got {groups!r}")


def _check_alike(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, out_channels: int) -> None:
    """Bias of the right shape, and all of one dtype on one device."""
    if bias is not None and bias.shape != (out_channels,):
        raise ValueError(f"{name}: expected a bias of shape ({out_channels},), got {bias.shape}")
    for argument, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and (tensor.dtype != x.dtype or tensor.device != x.device):
            raise TypeError(
                f"{name}: input is {x.dtype} on {x.device}, {argument} is {tensor.dtype} on {tensor.device}: "
                "convert one with .to()"
            )


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """im2col: (N, C, H, W) to (N, C·KH·KW, OH·OW), each column the window at one output position."""
    x, added = batched(input, 2, "unfold")
    window = _unfold_window("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    return unbatched(windows.im2col(x, window), added)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """col2im: (N, C·KH·KW, L) to (N, C, *output_size); overlapping windows add up. The adjoint of `unfold`."""
    if not isinstance(input, Tensor) or input.ndim not in (2, 3):
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"fold: expected input (N, C·KH·KW, L) or (C·KH·KW, L), got {got}")
    columns = input if input.ndim == 3 else input.unsqueeze(0)
    output_size = sizes(output_size, 2, "fold", "output_size")
    window = _unfold_window("fold", output_size, kernel_size, dilation, padding, stride)
    taps, positions = math.prod(window.kernel_size), math.prod(window.output_size)
    if columns.shape[1] % taps or columns.shape[2] != positions:
        raise ValueError(
            f"fold: for output_size {output_size} and kernel_size {window.kernel_size} expected input "
            f"(N, C·{taps}, {positions}), got {input.shape}"
        )
    return unbatched(windows.col2im(columns, window), input.ndim == 2)


def _unfold_window(
    name: str, size: tuple, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> windows.Window:
    pads = tuple((p, p) for p in sizes(padding, 2, name, "padding", least=0))
    window = windows.Window(
        size, sizes(kernel_size, 2, name, "kernel_size"), sizes(stride, 2, name, "stride"), pads,
        sizes(dilation, 2, name, "dilation"),
    )  # fmt: skip
    check_fits(window, name)
    return window
