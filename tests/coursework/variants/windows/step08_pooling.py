import numpy as np


def _windows(x, kernel_size, stride, padding, fill):
    x = np.pad(x, [(0, 0)] * 2 + [(padding, padding)] * 2, constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(2, 3))[:, :, ::stride, ::stride]


def max_pool_forward(x, kernel_size, stride, padding=0):
    return _windows(x, kernel_size, stride, padding, -np.inf).max(axis=(4, 5))


def max_pool_backward(grad_output, x, kernel_size, stride, padding=0):
    windows = _windows(x, kernel_size, stride, padding, -np.inf)
    best = windows.reshape(*windows.shape[:4], -1).argmax(axis=-1)
    n, c, i, j = np.indices(best.shape)
    dx = np.zeros_like(x)
    places = n, c, i * stride + best // kernel_size[1] - padding, j * stride + best % kernel_size[1] - padding
    np.add.at(dx, places, grad_output)
    return dx


def avg_pool_forward(x, kernel_size, stride, padding=0):
    return _windows(x, kernel_size, stride, padding, 0.0).mean(axis=(4, 5))


def avg_pool_backward(grad_output, x, kernel_size, stride, padding=0):
    KH, KW = kernel_size
    dx = np.zeros_like(x)
    for i, j in np.ndindex(grad_output.shape[2:]):
        top, left = i * stride - padding, j * stride - padding
        rows, columns = slice(max(top, 0), max(top + KH, 0)), slice(max(left, 0), max(left + KW, 0))
        dx[:, :, rows, columns] += grad_output[:, :, i, j, None, None] / KH / KW
    return dx
