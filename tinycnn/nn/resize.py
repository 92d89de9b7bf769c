"""Padding in all modes, interpolation, pixel shuffle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import wrap
from tinycnn.checks import LARGEST, Number, check_choice, check_flag, check_number, is_int, shortened
from tinycnn.nn.arguments import Size, refuse_others, sizes
from tinycnn.nn.arguments import size as size_of
from tinycnn.ops import pad as pad_ops
from tinycnn.ops.adaptive_pool import adaptive_avg_pool
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.copy import Clone
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.shape import reshaped
from tinycnn.tensor import Tensor

# --- padding ----------------------------------------------------------------------------------------------

PADDING_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Adds elements around the last dimensions, or with negative amounts removes them.

    Args:
        input: any shape for "constant"; (N, C, *) or (C, *) otherwise, and only * is padded.
        pad: (before, after) of the last dimension, then of the one before it, and so on, flat.
        mode: "constant" (`value`, default 0); "reflect" (mirrored, without the edge element: … c b | a b c …);
            "replicate" (the edge element again: … a a | a b c …); "circular" (wrapped around: … b c | a b c …).
    """
    check_choice("pad", "mode", mode, PADDING_MODES)
    if value is not None:
        check_number("pad", "value", value)
    pads = _pad_pairs(input, pad)
    if mode != "constant" and input.ndim and input.shape[1:].count(0):
        raise ValueError(f"pad: mode {mode!r} expects an input with no empty dimension but N, got {input.shape}")
    if mode == "constant":
        return pad_ops.pad(input, pads, 0 if value is None else value)
    if value:
        raise ValueError(f"pad: a value belongs to mode 'constant', got value={value} with mode {mode!r}")
    dims = len(pad) // 2
    if input.ndim not in (dims + 1, dims + 2):
        raise ValueError(
            f"pad: mode {mode!r} pads all dimensions after the channels: {dims} pairs need an input of "
            f"{dims + 1} or {dims + 2} dimensions, got shape {input.shape}"
        )
    y = input
    for dim, (before, after) in enumerate(pads):
        if (before, after) != (0, 0):
            y = pad_ops.index_select(y, dim, _padding_index(y.shape[dim], before, after, mode, input.shape))
    return y.clone() if y is input else y


def _pad_pairs(input: Any, pad: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(before, after) for each dimension, from torch's flat list that begins with the last dimension."""
    if not isinstance(input, Tensor):
        raise TypeError(f"pad: expected an input Tensor, got {type(input).__name__}")
    if not isinstance(pad, (tuple, list)) or not all(map(is_int, pad)):
        raise TypeError(f"pad: expected a sequence of ints, got {shortened(pad)}")
    if any(abs(p) > LARGEST for p in pad):
        raise ValueError(f"pad: amounts are too large: {shortened(pad)}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: expected pairs for at most {input.ndim} dimensions, got {len(pad)} numbers: {pad}")
    given = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)][::-1]
    pairs = ((0, 0),) * (input.ndim - len(given)) + tuple(given)
    if any(size + before + after < 0 for size, (before, after) in zip(input.shape, pairs, strict=True)):
        raise ValueError(f"pad: cutting {pad} leaves nothing of shape {input.shape}")
    return pairs


def _padding_index(size: int, before: int, after: int, mode: str, shape: tuple) -> np.ndarray:
    """The index of the element at each position of the padded dimension."""
    limit = {"reflect": size - 1, "circular": size, "replicate": math.inf if size else 0}[mode]
    if max(before, after) > limit:
        got = f"{(before, after)} for input {shape}"
        raise ValueError(f"pad: mode {mode!r} pads a size of {size} by at most {limit}, got {got}")
    position = np.arange(-before, size + after)
    if mode == "replicate":
        return position.clip(0, size - 1)
    if mode == "circular":
        return position % size
    return size - 1 - np.abs(size - 1 - np.abs(position))


# --- interpolation ----------------------------------------------------------------------------------------

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}  # the spatial dimensions that they are for
_STEPS = ("nearest", "nearest-exact", "area")


@autocasts
def interpolate(
    input: Tensor, size: Size | None = None, scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Another resolution: (N, C, *spatial) to (N, C, *size).

    Args:
        size: the output's spatial size, an int or one for each dimension; or
        scale_factor: what to multiply the input's by (rounded down), a number or one for each dimension.
        mode: "nearest", "nearest-exact" (of the middles of pixels), "area" (the mean of what falls together), "linear"
            (N, C, L), "bilinear" or "bicubic" (N, C, H, W), "trilinear" (N, C, D, H, W).
        align_corners: for the linear modes and "bicubic": True maps corner elements onto each other, False (the
            default) maps the image's edges onto each other, so that output i samples input (i + ½) · scale − ½.
        recompute_scale_factor: compute the scale anew from the rounded size instead of using `scale_factor`.
        antialias: as in torch; True is not supported.
    """
    if not isinstance(input, Tensor) or input.ndim not in (3, 4, 5):
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"interpolate: expected input (N, C, L), (N, C, H, W) or (N, C, D, H, W), got {got}")
    dims = input.ndim - 2
    check_choice("interpolate", "mode", mode, (*_STEPS, *_LINEAR))
    if check_flag("interpolate", "antialias", antialias):
        raise ValueError("interpolate: antialias=True is not supported")
    for flag, given in (("align_corners", align_corners), ("recompute_scale_factor", recompute_scale_factor)):
        if given is not None:
            check_flag("interpolate", flag, given)
    if 0 in input.shape[1:]:
        raise ValueError(f"interpolate: expected an input with no empty dimension but N, got {input.shape}")
    if not mode.startswith("nearest"):
        check_floating("interpolate", input)
    if mode not in _STEPS and _LINEAR[mode] != dims:
        known = [*_STEPS, *_LINEAR]
        raise ValueError(f"interpolate: mode {mode!r} does not fit input {input.shape}; modes are {known}")
    if mode in _STEPS and align_corners is not None:
        raise ValueError(f"interpolate: align_corners belongs to the linear modes, not to {mode!r}")
    out, scales = _output_size(input.shape[2:], size, scale_factor)
    if recompute_scale_factor:
        if size is not None:
            raise ValueError("interpolate: recompute_scale_factor belongs to scale_factor, not to size")
        scales = (None,) * dims
    if mode == "area":
        return adaptive_avg_pool(input, out)
    y = input if mode.startswith("nearest") else widened(input)
    if mode == "bicubic" and out == input.shape[2:]:  # as in torch, whatever the scale
        return Clone()(input)
    for i in range(dims):
        if mode.startswith("nearest"):
            offset = 0.5 if mode == "nearest-exact" else 0.0
            y = pad_ops.index_select(y, 2 + i, _nearest(input.shape[2 + i], out[i], scales[i], offset))
        elif mode == "bicubic":
            y = _cubic(y, 2 + i, out[i], scales[i], bool(align_corners))
        else:
            y = _linear(y, 2 + i, out[i], scales[i], bool(align_corners))
    return Clone()(input) if y is input else y.to(input.dtype)


def _output_size(input_size: tuple, size: Any, scale_factor: Any) -> tuple[tuple[int, ...], tuple]:
    """The output size, and the scale given for each dimension (None where a size was given)."""
    dims = len(input_size)
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: expected either size or scale_factor")
    if size is not None:
        return sizes(size, dims, "interpolate", "size"), (None,) * dims
    scales = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * dims
    if len(scales) != dims:
        raise ValueError(f"interpolate: expected {dims} scale factors, got {shortened(scale_factor)}")
    for scale in scales:
        Number(above=0, below=math.inf)("interpolate", "scale_factor", scale)
    out = tuple(math.floor(n * s) for n, s in zip(input_size, scales, strict=True))
    if max(out) > LARGEST:
        raise ValueError(f"interpolate: scale_factor {scale_factor} makes {input_size} too large")
    if min(out) < 1:
        raise ValueError(f"interpolate: scale_factor {scale_factor} leaves nothing of size {input_size}")
    return out, scales


def _nearest(size: int, out: int, scale: float | None, offset: float) -> np.ndarray:
    # In float32, as torch: products must round the same way to give the same index.
    step = np.float32(size / out if scale is None else 1 / scale)
    return np.minimum(((np.arange(out, dtype=np.float32) + np.float32(offset)) * step).astype(np.int64), size - 1)


def _linear(x: Tensor, dim: int, out: int, scale: float | None, align_corners: bool) -> Tensor:
    """Linear interpolation along one dimension between the two nearest inputs; as in torch, a size that stays is not
    interpolated, whatever the scale."""
    size = x.shape[dim]
    if out == size:
        return x
    position = np.maximum(_positions(size, out, scale, align_corners), 0)
    left = np.minimum(position.astype(np.int64), size - 1)
    right = np.minimum(left + 1, size - 1)
    shape = [1] * x.ndim
    shape[dim] = out
    nearness = wrap(backend.constant((position - left).reshape(shape).astype(x.dtype), x.device))
    return pad_ops.index_select(x, dim, left) * (1 - nearness) + pad_ops.index_select(x, dim, right) * nearness


def _cubic(x: Tensor, dim: int, out: int, scale: float | None, align_corners: bool) -> Tensor:
    """Cubic convolution along one dimension of the four nearest inputs, those at the edges repeated outside. Source:
    Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = −3/4 as in torch."""
    size, a = x.shape[dim], -0.75
    position = _positions(size, out, scale, align_corners)
    first = np.floor(position).astype(np.int64)
    shape = [1] * x.ndim
    shape[dim] = out
    y: Any = None
    for tap in range(-1, 3):
        d = np.abs(position - first - tap)
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((d - 5) * d + 8) * d * a - 4 * a
        weight = np.where(d <= 1, near, far).reshape(shape).astype(x.dtype)
        part = pad_ops.index_select(x, dim, (first + tap).clip(0, size - 1)) * wrap(backend.constant(weight, x.device))
        y = part if y is None else y + part
    return y


def _positions(size: int, out: int, scale: float | None, align_corners: bool) -> np.ndarray:
    """Where each of `out` elements lies among `size` inputs."""
    if align_corners:
        return np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    return (np.arange(out) + 0.5) * (size / out if scale is None else 1 / scale) - 0.5


# --- channels for resolution ------------------------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C·r², H, W) to (*, C, H·r, W·r): each r² channels become an r × r block. Source: Shi et al., 2016."""
    r = size_of(upscale_factor, "pixel_shuffle", "upscale_factor")
    refuse_others("pixel_shuffle", input=input)
    if input.ndim < 3 or input.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: expected input (*, C·{r * r}, H, W), got {input.shape}")
    *batch, channels, height, width = input.shape
    c = channels // (r * r)
    blocks = reshaped(input, math.prod(batch), c, r, r, height, width).permute(0, 1, 4, 2, 5, 3)  # (B, C, H, r, W, r)
    return Clone("C")(blocks).reshape(*batch, c, height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H·r, W·r) to (*, C·r², H, W): the inverse of `pixel_shuffle`."""
    r = size_of(downscale_factor, "pixel_unshuffle", "downscale_factor")
    refuse_others("pixel_unshuffle", input=input)
    if input.ndim < 3 or input.shape[-1] % r or input.shape[-2] % r:
        raise ValueError(f"pixel_unshuffle: expected input (*, C, H·{r}, W·{r}), got {input.shape}")
    *batch, c, height, width = input.shape
    blocks = reshaped(input, math.prod(batch), c, height // r, r, width // r, r)
    blocks = blocks.permute(0, 1, 3, 5, 2, 4)  # (B, C, r, r, H, W)
    return Clone("C")(blocks).reshape(*batch, c * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *) with the channels of `groups` groups dealt out in turn: the first of each, then the second of each, …
    Source: Zhang et al., "ShuffleNet", 2017."""
    groups = size_of(groups, "channel_shuffle", "groups")
    refuse_others("channel_shuffle", input=input)
    if input.ndim < 3 or input.shape[1] % groups:
        raise ValueError(f"channel_shuffle: expected input (N, C·{groups}, *), got {input.shape}")
    batch, channels, *spatial = input.shape
    dealt = reshaped(input, batch, groups, channels // groups, *spatial).transpose(1, 2)
    return Clone("C")(dealt).reshape(*input.shape)


def upsample(
    input: Tensor, size: Size | None = None, scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """`interpolate`, by its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)
