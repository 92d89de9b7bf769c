import numpy as np
from step01_output_size import output_size


def col2im(columns, input_size, kernel_size, stride=1, padding=0, dilation=1):
    (H, W), (KH, KW) = input_size, kernel_size
    OH, OW = (output_size(n, K, stride, padding, dilation) for n, K in zip(input_size, kernel_size))
    columns = columns.reshape(len(columns), -1, KH, KW, OH, OW)
    x = np.zeros((*columns.shape[:2], H + 2 * padding, W + 2 * padding), columns.dtype)
    for k, l in np.ndindex(KH, KW):
        rows, lefts = (slice(d * dilation, d * dilation + stride * n, stride) for d, n in ((k, OH), (l, OW)))
        x[:, :, rows, lefts] += columns[:, :, k, l]
    return x[:, :, padding : padding + H, padding : padding + W]
