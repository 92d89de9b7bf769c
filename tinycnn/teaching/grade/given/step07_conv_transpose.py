import numpy as np
from step05_col2im import col2im


def insert_zeros(grad_output, stride):
    N, O, OH, OW = grad_output.shape
    spread = np.zeros((N, O, (OH - 1) * stride + 1, (OW - 1) * stride + 1), grad_output.dtype)
    spread[:, :, ::stride, ::stride] = grad_output
    return spread


def rotate_kernel(w):
    return w.swapaxes(0, 1)[:, :, ::-1, ::-1]


def conv_transpose(grad_output, w, input_size, stride=1, padding=0, dilation=1):
    columns = w.reshape(len(w), -1).T @ grad_output.reshape(*grad_output.shape[:2], -1)
    return col2im(columns, input_size, w.shape[2:], stride, padding, dilation)
