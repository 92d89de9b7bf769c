import numpy as np
from step04_im2col import im2col


def col2im(columns, input_size, kernel_size, stride=1, padding=0, dilation=1):
    """im2col of the pixels' numbers says where each element of a column comes from; np.add.at adds it there."""
    N, C = len(columns), columns.shape[1] // (kernel_size[0] * kernel_size[1])
    H, W = input_size
    numbers = 1.0 + np.arange(C * H * W).reshape(1, C, H, W)
    places = im2col(numbers, kernel_size, stride, padding, dilation)[0].astype(int)  # 0 is the padding
    x = np.zeros((N, 1 + C * H * W), columns.dtype)
    np.add.at(x, (slice(None), places), columns)
    return x[:, 1:].reshape(N, C, H, W)
