"""Step 8: max and average pooling."""

import numpy as np
from step01_output_size import output_size


def max_pool_forward(x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0) -> np.ndarray:
    """The largest element of each window, in each channel by itself.

        y[n, c, i, j] = max over k < KH, l < KW of x[n, c, i·stride + k − padding, j·stride + l − padding]

    Padding never wins, not even over negative numbers: it counts as −∞.

    Args: x (N, C, H, W), kernel_size (KH, KW). Returns y: (N, C, OH, OW).

    Hint: np.pad has constant_values. Loop over the windows or, faster, over the KH·KW kernel positions with np.maximum.
    """
    (KH, KW), (N, C, H, W) = kernel_size, x.shape
    OH, OW = output_size(H, KH, stride, padding), output_size(W, KW, stride, padding)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    y = np.full((N, C, OH, OW), -np.inf, x.dtype)
    for k in range(KH):
        for l in range(KW):
            y = np.maximum(y, x[:, :, k : k + stride * OH : stride, l : l + stride * OW : stride])
    return y


def max_pool_backward(
    grad_output: np.ndarray, x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0
) -> np.ndarray:
    """dx of `max_pool_forward`: each output's gradient goes to the element that was the largest, and to it alone.

    If several elements of a window are equally large, the first of them in row-major order gets it all (as np.argmax
    counts). An element that is the largest of several windows gets the sum.

    Args: grad_output (N, C, OH, OW), x (N, C, H, W). Returns dx: (N, C, H, W). The arguments stay as they are.
    """
    (KH, KW), (N, C, H, W) = kernel_size, x.shape
    OH, OW = grad_output.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    dx = np.zeros_like(x)
    samples, channels = np.ix_(range(N), range(C))
    for i in range(OH):
        for j in range(OW):
            window = x[:, :, i * stride : i * stride + KH, j * stride : j * stride + KW]
            best = window.reshape(N, C, KH * KW).argmax(axis=2)
            rows, columns = i * stride + best // KW, j * stride + best % KW
            dx[samples, channels, rows, columns] += grad_output[:, :, i, j]
    return dx[:, :, padding : padding + H, padding : padding + W]


def avg_pool_forward(x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0) -> np.ndarray:
    """The mean of each window, in each channel by itself. The padding counts as zeros, and the divisor is always KH·KW.

    Args: x (N, C, H, W), kernel_size (KH, KW). Returns y: (N, C, OH, OW).
    """
    (KH, KW), (N, C, H, W) = kernel_size, x.shape
    OH, OW = output_size(H, KH, stride, padding), output_size(W, KW, stride, padding)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.zeros((N, C, OH, OW), x.dtype)
    for k in range(KH):
        for l in range(KW):
            y += x[:, :, k : k + stride * OH : stride, l : l + stride * OW : stride]
    return y / (KH * KW)


def avg_pool_backward(
    grad_output: np.ndarray, x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0
) -> np.ndarray:
    """dx of `avg_pool_forward`: each output's gradient goes to all elements of its window, in equal parts.

    Args: grad_output (N, C, OH, OW), x (N, C, H, W), of which only the shape matters. Returns dx: (N, C, H, W).
    """
    (KH, KW), (N, C, H, W) = kernel_size, x.shape
    OH, OW = grad_output.shape[2:]
    dx = np.zeros((N, C, H + 2 * padding, W + 2 * padding), x.dtype)
    for k in range(KH):
        for l in range(KW):
            dx[:, :, k : k + stride * OH : stride, l : l + stride * OW : stride] += grad_output / (KH * KW)
    return dx[:, :, padding : padding + H, padding : padding + W]
