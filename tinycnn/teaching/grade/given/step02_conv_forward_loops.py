import numpy as np
from step01_output_size import output_size


def conv_forward_loops(x, w, b, stride=1, padding=0):
    OH, OW = (output_size(n, K, stride, padding) for n, K in zip(x.shape[2:], w.shape[2:]))
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    y = np.zeros((len(x), len(w), OH, OW), x.dtype)
    for n, o, i, j in np.ndindex(y.shape):
        top, left = i * stride, j * stride
        y[n, o, i, j] = (x[n, :, top : top + w.shape[2], left : left + w.shape[3]] * w[o]).sum() + b[o]
    return y
