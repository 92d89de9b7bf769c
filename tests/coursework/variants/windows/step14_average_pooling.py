"""Position by position, with the reach of the window asked of each."""

import numpy as np


def pool_output_size(size, kernel_size, stride, padding=0, ceil_mode=False):
    count, start = 0, 0
    while start + kernel_size <= size + 2 * padding or (
        ceil_mode and start < size + padding and count and start - stride + kernel_size < size + 2 * padding
    ):
        count, start = count + 1, start + stride
    return count


def windows(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    (KH, KW), (PH, PW), (H, W) = kernel_size, padding, x.shape[2:]
    SH, SW = kernel_size if stride is None else stride
    for i in range(pool_output_size(H, KH, SH, PH, ceil_mode)):
        for j in range(pool_output_size(W, KW, SW, PW, ceil_mode)):
            reach = [(r, c) for r in range(i * SH - PH, i * SH - PH + KH) for c in range(j * SW - PW, j * SW - PW + KW)]
            padded = [(r, c) for r, c in reach if r < H + PH and c < W + PW]
            inside = [(r, c) for r, c in padded if 0 <= r < H and 0 <= c < W]
            if divisor_override is not None:
                divisor = divisor_override
            else:
                divisor = len(padded) if count_include_pad else len(inside)
            yield i, j, inside, divisor


def avg_pool_forward(
    x, kernel_size, stride=None, padding=(0, 0), ceil_mode=False, count_include_pad=True, divisor_override=None
):
    found = list(windows(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override))
    y = np.zeros((*x.shape[:2], found[-1][0] + 1, found[-1][1] + 1), x.dtype)
    for i, j, inside, divisor in found:
        for r, c in inside:
            y[:, :, i, j] += x[:, :, r, c] / divisor
    return y


def avg_pool_backward(
    grad_output, x, kernel_size, stride=None, padding=(0, 0), ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    dx = np.zeros_like(x)
    for i, j, inside, divisor in windows(
        x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    ):
        for r, c in inside:
            dx[:, :, r, c] += grad_output[:, :, i, j] / divisor
    return dx
