import numpy as np


def _windows(x, kernel_size, stride, padding, fill):
    """(N, C, OH, OW, KH, KW)"""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(2, 3))[:, :, ::stride, ::stride]


def max_pool_forward(x, kernel_size, stride, padding=0):
    return _windows(x, kernel_size, stride, padding, -np.inf).max(axis=(4, 5))


def max_pool_backward(grad_output, x, kernel_size, stride, padding=0):
    windows = _windows(x, kernel_size, stride, padding, -np.inf)
    best = windows.reshape(*windows.shape[:4], -1).argmax(axis=-1)
    n, c, i, j = np.indices(best.shape)
    dx = np.zeros_like(x)
    rows, columns = i * stride + best // kernel_size[1] - padding, j * stride + best % kernel_size[1] - padding
    np.add.at(dx, (n, c, rows, columns), grad_output)
    return dx


def avg_pool_forward(x, kernel_size, stride, padding=0):
    return _windows(x, kernel_size, stride, padding, 0.0).mean(axis=(4, 5))


def avg_pool_backward(grad_output, x, kernel_size, stride, padding=0):
    KH, KW = kernel_size
    (H, W), (OH, OW) = x.shape[2:], grad_output.shape[2:]
    dx = np.zeros((*x.shape[:2], H + 2 * padding, W + 2 * padding), x.dtype)
    for k, l in np.ndindex(KH, KW):
        dx[:, :, k : k + stride * OH : stride, l : l + stride * OW : stride] += grad_output / (KH * KW)
    return dx[:, :, padding : padding + H, padding : padding + W]
