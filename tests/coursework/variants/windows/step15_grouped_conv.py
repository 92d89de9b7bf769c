"""Windows cut out of x, each output channel by itself."""

import numpy as np


def parts(x, w, stride, padding, dilation, groups):
    """For each output channel and position: its channels, its rows and its columns of the padded input."""
    O, C, KH, KW = w.shape
    H, W = (n + 2 * padding for n in x.shape[2:])
    for o in range(O):
        channels = slice(o // (O // groups) * C, (o // (O // groups) + 1) * C)
        for i, top in enumerate(range(0, H - dilation * (KH - 1), stride)):
            for j, left in enumerate(range(0, W - dilation * (KW - 1), stride)):
                rows = slice(top, top + dilation * (KH - 1) + 1, dilation)
                columns = slice(left, left + dilation * (KW - 1) + 1, dilation)
                yield o, i, j, (slice(None), channels, rows, columns)


def padded(x, padding):
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def grouped_conv_forward(x, w, b, stride=1, padding=0, dilation=1, groups=1):
    places, x = list(parts(x, w, stride, padding, dilation, groups)), padded(x, padding)
    _, OH, OW, _ = places[-1]
    y = np.zeros((len(x), len(w), OH + 1, OW + 1), x.dtype)
    for o, i, j, window in places:
        y[:, o, i, j] = (x[window] * w[o]).sum(axis=(1, 2, 3)) + b[o]
    return y


def grouped_conv_backward(grad_output, x, w, b, stride=1, padding=0, dilation=1, groups=1):
    places, inside = list(parts(x, w, stride, padding, dilation, groups)), x.shape[2:]
    x = padded(x, padding)
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), grad_output.sum(axis=(0, 2, 3))
    for o, i, j, window in places:
        g = grad_output[:, o, i, j].reshape(-1, 1, 1, 1)
        dx[window] += g * w[o]
        dw[o] += (g * x[window]).sum(axis=0)
    return dx[:, :, padding : padding + inside[0], padding : padding + inside[1]], dw, db
