import numpy as np


def conv_backward_loops(grad_output, x, w, b, stride=1, padding=0):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    d_padded, dw, db = np.zeros_like(padded), np.zeros_like(w), np.zeros_like(b)
    for n, o, i, j in np.ndindex(grad_output.shape):
        window = n, slice(None), *(slice(p * stride, p * stride + K) for p, K in zip((i, j), w.shape[2:]))
        d_padded[window] += grad_output[n, o, i, j] * w[o]
        dw[o] += grad_output[n, o, i, j] * padded[window]
        db[o] += grad_output[n, o, i, j]
    return d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]], dw, db
