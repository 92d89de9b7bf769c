import numpy as np
from step01_output_size import output_size
from step04_im2col import im2col
from step05_col2im import col2im


def conv_forward(x, w, b, stride=1, padding=0, dilation=1):
    sizes = [output_size(n, K, stride, padding, dilation) for n, K in zip(x.shape[2:], w.shape[2:])]
    y = w.reshape(len(w), -1) @ im2col(x, w.shape[2:], stride, padding, dilation) + b[:, None]
    return y.reshape(len(x), len(w), *sizes)


def conv_backward(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    dy = grad_output.reshape(*grad_output.shape[:2], -1)
    columns = im2col(x, w.shape[2:], stride, padding, dilation)
    dw = np.matmul(dy, columns.swapaxes(1, 2)).sum(axis=0).reshape(w.shape)
    dx = col2im(w.reshape(len(w), -1).T @ dy, x.shape[2:], w.shape[2:], stride, padding, dilation)
    return dx, dw, dy.sum(axis=(0, 2))
