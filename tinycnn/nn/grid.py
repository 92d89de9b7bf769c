"""Sampling an image at given places, which an affine map may give: spatial transformer networks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from tinycnn import creation
from tinycnn.autocast_mode import autocasts
from tinycnn.checks import check_choice, check_flag, shortened
from tinycnn.nn.arguments import refuse_others, sizes
from tinycnn.ops import unary
from tinycnn.ops.arithmetic import narrowed, widened
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import clamp, where
from tinycnn.ops.shape import contiguous, stack
from tinycnn.tensor import Tensor


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places that affine maps take the pixels of an output image to, for `grid_sample`.

    Args:
        theta: (N, 2, 3), the maps: (x, y) = theta · (x, y, 1).
        size: of the output, (N, C, H, W).
        align_corners: whether −1 and 1 are the middles of the outer pixels, or the image's edges (False). Default None:
            False, with a warning as in torch.

    Returns (N, H, W, 2), x first. Source: Jaderberg et al., "Spatial transformer networks", 2015.
    """
    check_floating("affine_grid", theta)
    batch, _, height, width = sizes(size, 4, "affine_grid", "size")
    if theta.shape != (batch, 2, 3):
        raise ValueError(f"affine_grid: expected theta ({batch}, 2, 3) for size {shortened(size)}, got {theta.shape}")
    align_corners = _aligned("affine_grid", align_corners)
    options: dict[str, Any] = {"dtype": theta.dtype, "device": theta.device}
    ends = ((n - 1) / n if not align_corners else min(n - 1, 1) for n in (width, height))
    x, y = (creation.linspace(-end, end, n, **options) for end, n in zip(ends, (width, height), strict=True))
    x, y = x.expand(height, width), y.unsqueeze(1).expand(height, width)
    base = stack([x, y, creation.ones(height, width, **options)], -1)
    return (base.reshape(height * width, 3) @ theta.transpose(1, 2)).reshape(batch, height, width, 2)


@autocasts
def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """The input (N, C, H, W) at the places of `grid` (N, OH, OW, 2), from −1 to 1, x first: (N, C, OH, OW).

    Args:
        mode: "bilinear" between the four nearest pixels, or "nearest" (which gives the grid no gradient).
        padding_mode: what is outside: "zeros", the nearest pixel ("border"), or the image mirrored ("reflection").
        align_corners: whether −1 and 1 are the middles of the outer pixels, or the image's edges (False). Default None:
            False, with a warning as in torch.
    """
    refuse_others("grid_sample", input=input, grid=grid)
    check_floating("grid_sample", input)
    check_choice("grid_sample", "mode", mode, ("bilinear", "nearest"))
    check_choice("grid_sample", "padding_mode", padding_mode, ("zeros", "border", "reflection"))
    align_corners = _aligned("grid_sample", align_corners)
    batch = input.shape[:1]
    if input.ndim != 4 or grid.ndim != 4 or grid.shape[-1] != 2 or grid.shape[:1] != batch or 0 in input.shape[2:]:
        raise ValueError(
            f"grid_sample: expected input (N, C, H, W) and grid (N, OH, OW, 2), got {input.shape} and {grid.shape}"
        )
    if grid.dtype != input.dtype:
        raise TypeError(f"grid_sample: input is {input.dtype}, grid is {grid.dtype}: convert one with .to()")
    image, places = widened(input), widened(grid)
    height, width = input.shape[2:]
    x = _pixels(places[..., 0], width, padding_mode, align_corners)
    y = _pixels(places[..., 1], height, padding_mode, align_corners)
    if mode == "nearest":
        return narrowed(_at(image, unary.round(y), unary.round(x)), input)
    left, above = unary.floor(x), unary.floor(y)
    right_share, below_share = x - left, y - above
    sampled = (
        _at(image, above, left) * _over_channels((1 - below_share) * (1 - right_share))
        + _at(image, above, left + 1) * _over_channels((1 - below_share) * right_share)
        + _at(image, above + 1, left) * _over_channels(below_share * (1 - right_share))
        + _at(image, above + 1, left + 1) * _over_channels(below_share * right_share)
    )
    return narrowed(sampled, input)


def _aligned(name: str, align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(f"{name}: align_corners=False is assumed: pass it", stacklevel=3)
        return False
    return check_flag(name, "align_corners", align_corners)


def _pixels(place: Tensor, size: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Places from −1 to 1 as numbers of pixels, from 0 to size − 1; those outside as `padding_mode` says."""
    position = (place + 1) * ((size - 1) / 2) if align_corners else ((place + 1) * size - 1) * 0.5
    if padding_mode == "reflection":
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        if span == 0:
            return position * 0.0
        distance = (position - low).abs()
        turns = unary.floor(distance / span)
        rest = distance - turns * span
        position = where(turns % 2 == 0, rest, span - rest) + low
    return position if padding_mode == "zeros" else clamp(position, 0.0, size - 1.0)


def _at(image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The pixels (N, C, OH, OW) of the image at whole rows and columns (N, OH, OW), 0 outside of it."""
    height, width = image.shape[2:]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    row, column = where(inside, y, 0.0).detach().long(), where(inside, x, 0.0).detach().long()
    sample = creation.arange(len(image), device=image.device).reshape(-1, 1, 1)
    pixels = image.permute(0, 2, 3, 1)[sample, row, column]  # (N, OH, OW, C)
    return contiguous(where(inside.unsqueeze(-1), pixels, 0.0).permute(0, 3, 1, 2))


def _over_channels(share: Tensor) -> Tensor:
    return share.unsqueeze(1)
