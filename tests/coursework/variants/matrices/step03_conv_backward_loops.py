import numpy as np


def conv_backward_loops(grad_output, x, w, b, stride=1, padding=0):
    """From the side of the inputs: each pixel asks which outputs it went into."""
    (_, _, H, W), (O, _, KH, KW), (_, _, OH, OW) = x.shape, w.shape, grad_output.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for row, column, k, l in np.ndindex(H, W, KH, KW):
        i, missed_rows = divmod(row + padding - k, stride)
        j, missed_columns = divmod(column + padding - l, stride)
        if missed_rows or missed_columns or not (0 <= i < OH and 0 <= j < OW):
            continue
        g = grad_output[:, :, i, j]
        dx[:, :, row, column] += g @ w[:, :, k, l]
        dw[:, :, k, l] += g.T @ x[:, :, row, column]
    for o in range(O):
        db[o] = grad_output[:, o].sum()
    return dx, dw, db
