import numpy as np


def insert_zeros(grad_output, stride):
    for axis in (2, 3):
        places = np.repeat(np.arange(1, grad_output.shape[axis]), stride - 1)
        grad_output = np.insert(grad_output, places, 0, axis=axis)
    return grad_output


def rotate_kernel(w):
    return np.flip(np.moveaxis(w, 0, 1), (2, 3))


def conv_transpose(grad_output, w, input_size, stride=1, padding=0, dilation=1):
    """Every output pixel stamps the kernel, on a canvas large enough for all."""
    N, _, OH, OW = grad_output.shape
    _, C, KH, KW = w.shape
    H, W = input_size
    canvas = np.zeros((N, C, H + 2 * padding + dilation * KH, W + 2 * padding + dilation * KW), w.dtype)
    for i, j, k, l in np.ndindex(OH, OW, KH, KW):
        canvas[:, :, i * stride + k * dilation, j * stride + l * dilation] += grad_output[:, :, i, j] @ w[:, :, k, l]
    return canvas[:, :, padding:, padding:][:, :, :H, :W]
