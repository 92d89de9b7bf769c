"""A matrix for the rows and one for the columns: y = A · x · Bᵀ, and the counts by the same matrices."""

import math

import numpy as np


def pool_output_size(size, kernel_size, stride, padding=0, ceil_mode=False):
    rounded = math.ceil if ceil_mode else math.floor
    count = rounded((size + 2 * padding - kernel_size) / stride) + 1
    while (count - 1) * stride >= size + padding:
        count -= 1
    return count


def matrix(size, kernel_size, stride, padding, ceil_mode):
    """Which positions of the padded axis are in which window."""
    count = pool_output_size(size, kernel_size, stride, padding, ceil_mode)
    first, at = np.arange(count)[:, None] * stride, np.arange(size + 2 * padding)
    return ((at >= first) & (at < first + kernel_size)).astype(float)


def matrices(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    axes = zip(x.shape[2:], kernel_size, stride or kernel_size, padding)
    whole = [matrix(*axis, ceil_mode) for axis in axes]
    inner = [m[:, p : p + n] for m, p, n in zip(whole, padding, x.shape[2:])]
    counts = [m.sum(axis=1) for m in (whole if count_include_pad else inner)]
    divisors = (
        np.outer(*counts) if divisor_override is None else np.full((len(inner[0]), len(inner[1])), divisor_override)
    )
    return *(m.astype(x.dtype) for m in inner), divisors.astype(x.dtype)


def avg_pool_forward(
    x, kernel_size, stride=None, padding=(0, 0), ceil_mode=False, count_include_pad=True, divisor_override=None
):
    A, B, divisors = matrices(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return A @ x @ B.T / divisors


def avg_pool_backward(
    grad_output, x, kernel_size, stride=None, padding=(0, 0), ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    A, B, divisors = matrices(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return A.T @ (grad_output / divisors) @ B
