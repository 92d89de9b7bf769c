import numpy as np
from step01_output_size import output_size


def _windows(size, kernel_size, stride, padding):
    """For each output position, the rows and the columns of its window that lie on the image."""
    for i in range(output_size(size[0], kernel_size[0], stride, padding)):
        for j in range(output_size(size[1], kernel_size[1], stride, padding)):
            top, left = i * stride - padding, j * stride - padding
            yield i, j, slice(max(top, 0), top + kernel_size[0]), slice(max(left, 0), left + kernel_size[1])


def _output(x, kernel_size, stride, padding):
    sizes = (output_size(n, K, stride, padding) for n, K in zip(x.shape[2:], kernel_size))
    return np.zeros((*x.shape[:2], *sizes), x.dtype)


def max_pool_forward(x, kernel_size, stride, padding=0):
    y = _output(x, kernel_size, stride, padding)
    for i, j, rows, columns in _windows(x.shape[2:], kernel_size, stride, padding):
        y[:, :, i, j] = x[:, :, rows, columns].max(axis=(2, 3))
    return y


def max_pool_backward(grad_output, x, kernel_size, stride, padding=0):
    dx = np.zeros_like(x)
    for i, j, rows, columns in _windows(x.shape[2:], kernel_size, stride, padding):
        window = x[:, :, rows, columns]
        best = window.reshape(*x.shape[:2], -1).argmax(axis=2)
        is_best = np.arange(window[0, 0].size) == best[:, :, None]
        dx[:, :, rows, columns] += (is_best * grad_output[:, :, i, j, None]).reshape(window.shape)
    return dx


def avg_pool_forward(x, kernel_size, stride, padding=0):
    y = _output(x, kernel_size, stride, padding)
    for i, j, rows, columns in _windows(x.shape[2:], kernel_size, stride, padding):
        y[:, :, i, j] = x[:, :, rows, columns].sum(axis=(2, 3)) / np.prod(kernel_size)
    return y


def avg_pool_backward(grad_output, x, kernel_size, stride, padding=0):
    dx = np.zeros_like(x)
    for i, j, rows, columns in _windows(x.shape[2:], kernel_size, stride, padding):
        dx[:, :, rows, columns] += grad_output[:, :, i, j][:, :, None, None] / np.prod(kernel_size)
    return dx
