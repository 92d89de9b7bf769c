import numpy as np
from step04_im2col import windows_of


def conv_forward(x, w, b, stride=1, padding=0, dilation=1):
    windows = windows_of(x, w.shape[2:], stride, padding, dilation)
    return np.einsum("ncijkl,ockl->noij", windows, w, optimize=True) + b[:, None, None]


def conv_backward(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    windows = windows_of(x, w.shape[2:], stride, padding, dilation)
    dw = np.einsum("noij,ncijkl->ockl", grad_output, windows, optimize=True)
    d_windows = np.einsum("noij,ockl->ncijkl", grad_output, w, optimize=True)
    dx = np.zeros([*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding], x.dtype)
    _, _, OH, OW, KH, KW = d_windows.shape
    for i in range(OH):
        for j in range(OW):
            rows = slice(i * stride, i * stride + dilation * KH, dilation)
            columns = slice(j * stride, j * stride + dilation * KW, dilation)
            dx[:, :, rows, columns] += d_windows[:, :, i, j]
    return dx[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]], dw, grad_output.sum((0, 2, 3))
