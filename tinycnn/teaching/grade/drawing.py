"""Sizes and numbers of the cases, which most steps share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade.mistakes import Axis, Geometry

Array = np.ndarray

PLAIN, GEOMETRY = "stride 1, no padding", "stride, padding"
DILATION, ALL = "dilation", "stride, padding, dilation"

# (N, C, H, W), (O, KH, KW), stride, padding, dilation: the smallest first
PLAIN_SIZES = [
    ((1, 1, 3, 4), (1, 2, 2), 1, 0, 1),
    ((1, 1, 4, 5), (1, 2, 3), 1, 0, 1),
    ((1, 2, 4, 3), (1, 2, 1), 1, 0, 1),
    ((1, 2, 4, 5), (3, 3, 2), 1, 0, 1),
    ((2, 2, 5, 4), (3, 2, 3), 1, 0, 1),
]
GEOMETRY_SIZES = [
    ((1, 1, 4, 5), (1, 2, 1), 2, 0, 1),
    ((1, 1, 5, 7), (1, 3, 3), 2, 0, 1),  # windows overlap
    ((1, 1, 6, 8), (1, 3, 2), 2, 0, 1),  # the last row is in no window
    ((1, 1, 2, 3), (1, 2, 3), 1, 1, 1),
    ((1, 1, 2, 3), (1, 1, 2), 1, 2, 1),  # more padding than the kernel can reach over
    ((1, 2, 5, 4), (3, 3, 2), 2, 1, 1),
    ((3, 2, 7, 6), (2, 3, 4), 3, 2, 1),
]
DILATION_SIZES = [
    ((1, 1, 4, 5), (1, 2, 2), 1, 0, 2),
    ((1, 1, 7, 5), (1, 3, 2), 1, 0, 3),
    ((1, 2, 3, 4), (2, 2, 1), 1, 3, 2),  # more padding than the kernel can reach over
    ((2, 2, 6, 8), (3, 3, 2), 2, 1, 2),
    ((2, 3, 8, 7), (2, 2, 3), 3, 2, 2),
]


def normal(rng: np.random.Generator, *shape: int, small: bool = False) -> Array:
    """Normal random numbers; with `small`, integers from ±1 to ±5, so that a case can be computed on paper."""
    if not small:
        return rng.standard_normal(shape)
    numbers = np.array([-5.0, -4, -3, -2, -1, 1, 2, 3, 4, 5])
    return rng.choice(numbers, shape, replace=int(np.prod(shape)) > len(numbers))  # all different, if there are enough


def with_random(sizes: list, rng: np.random.Generator, dilated: bool = False) -> list:
    """The sizes and one random case."""
    N, C, O, KH, KW, S, P = (int(rng.integers(2, high)) for high in (4, 4, 5, 4, 5, 4, 3))
    D = int(rng.integers(2, 4)) if dilated else 1
    H, W = (int(rng.integers(D * (K - 1) + 1, D * (K - 1) + 6)) for K in (KH, KW))
    return [*sizes, ((N, C, H, W), (O, KH, KW), S, P, D)]


def output_shape(
    size: Sequence[int], kernel_size: Sequence[int], stride: int, padding: int, dilation: int
) -> tuple[int, int]:
    OH, OW = (reference.conv_output_size(n, K, stride, padding, dilation) for n, K in zip(size, kernel_size))
    return OH, OW


def around(stride: int, padding: int, dilation: int = 1) -> Geometry:
    """The same geometry along both axes."""
    return (Axis(stride, padding, padding, dilation),) * 2
