"""Step 14, optional: average pooling with all its options."""

import numpy as np


def pool_output_size(size: int, kernel_size: int, stride: int, padding: int = 0, ceil_mode: bool = False) -> int:
    """The number of windows along one axis. Without `ceil_mode` it is that of step 1.

    With `ceil_mode` the quotient is rounded up: a last window may reach beyond the padded axis, so that the elements
    behind the last whole window are seen too. But a window that would *start* behind the input, in the padding after it
    or later, is not used: the last start, (count − 1)·stride, must be less than size + padding.

    Returns an int.

    Hint: −(−a // b) is a / b rounded up. size 5, kernel_size 2, stride 2: two windows, or three with ceil_mode.
    """
    rest = size + 2 * padding - kernel_size
    if not ceil_mode:
        return rest // stride + 1
    count = -(-rest // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def avg_pool_forward(
    x: np.ndarray,
    kernel_size: tuple[int, int],
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """The sum over each window, in each channel by itself, divided by

    - `divisor_override`, if that is given;
    - the number of positions of the window on the padded input, if `count_include_pad`: KH·KW, but less for a window
      that reaches beyond the padded input, which only `ceil_mode` allows;
    - the number of positions of the window on the input itself, without the padding, otherwise.

    Args:
        x: (N, C, H, W)
        kernel_size, stride, padding: for rows and columns; stride None: that of kernel_size
        ceil_mode: see `pool_output_size`

    Returns y: (N, C, OH, OW).

    Hint: for each window the first and the last row on the padded input, `i·SH` and the smaller of `i·SH + KH` and
    `H + 2·PH`, and then both again without the padding; the same for columns. Their differences are the counts.
    """
    y = np.zeros((*x.shape[:2], *output_sizes(x, kernel_size, stride, padding, ceil_mode)), x.dtype)
    for i, j in np.ndindex(y.shape[2:]):
        rows, columns, divisor = window(
            i, j, x.shape[2:], kernel_size, stride, padding, count_include_pad, divisor_override
        )
        y[:, :, i, j] = x[:, :, rows, columns].sum(axis=(2, 3)) / divisor
    return y


def avg_pool_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    kernel_size: tuple[int, int],
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """dx of `avg_pool_forward`: each element of a window gets its output's gradient, divided by the window's divisor.

    Args: grad_output (N, C, OH, OW), x (N, C, H, W), of which only the shape matters. Returns dx: (N, C, H, W).
    """
    dx = np.zeros_like(x)
    for i, j in np.ndindex(grad_output.shape[2:]):
        rows, columns, divisor = window(
            i, j, x.shape[2:], kernel_size, stride, padding, count_include_pad, divisor_override
        )
        dx[:, :, rows, columns] += grad_output[:, :, i : i + 1, j : j + 1] / divisor
    return dx


def output_sizes(x, kernel_size, stride, padding, ceil_mode):
    axes = zip(x.shape[2:], kernel_size, stride or kernel_size, padding)
    return tuple(pool_output_size(*axis, ceil_mode) for axis in axes)


def window(i, j, input_size, kernel_size, stride, padding, count_include_pad, divisor_override):
    """The rows and the columns of x in the window of output (i, j), as slices, and the divisor."""
    slices, inside, padded = [], 1, 1
    for start, size, K, S, P in zip((i, j), input_size, kernel_size, stride or kernel_size, padding):
        first, last = start * S, min(start * S + K, size + 2 * P)
        padded *= last - first
        first, last = max(first - P, 0), min(last - P, size)
        inside *= last - first
        slices.append(slice(first, last))
    return *slices, divisor_override or (padded if count_include_pad else inside)
