"""The second round: odd on purpose. At first try 63 % of these were named."""

from wrong.known import COL2IM_ADD, COL2IM_CUT, DW, DX, IM2COL_END, TAPS

# fmt: off
WRONG = [
    (1, "- extent) // stride + 1", "- extent) % stride + 1", "size", ""),
    (1, "2 * padding", "padding * padding", "size", "padding"),
    (2, "np.sum(window * w[o]) + b[o]", "np.sum(window * w[o]) + b[o] * x.shape[1]", "y", "bias"),
    (2, "window = x[n, :,", "window = x[n, ::-1,", "y", "channels"),
    (2, "i * stride : i * stride + KH, j * stride : j * stride + KW", "i * stride : i * stride + KH, j : j + KW", "y",
     "along the columns (W)"),
    (2, "np.sum(window * w[o])", "np.sum(window * w[o]) / KH", "y", ""),
    (3, "return dx, dw, db", "return dx, dw, grad_output.sum(axis=(1, 2, 3))", "db", "wrong axes"),
    (3, DW, "dw[o] += g * x_padded[n, :, rows, columns][:, ::-1]", "dw", "reversed along the kernel rows"),
    (3, DX, DX.replace("g * w[o]", "g * w[o] * b[o]"), "dx", ""),
    (3, "return dx, dw, db", "return dx, dw.reshape(w.shape[1], w.shape[0], KH, KW).swapaxes(0, 1), db", "dw",
     "reshape"),
    (4, IM2COL_END, "return columns.transpose(0, 3, 1, 2, 4, 5).reshape(N, C * KH * KW, OH * OW)", "columns", "order"),
    (4, TAPS, "top, left = k * dilation, l * stride", "columns", "the stride takes the place of the dilation"),
    (5, COL2IM_CUT, "return x[:, :, padding : padding + H, padding:-padding]", "x", "-padding"),
    (5, COL2IM_ADD, COL2IM_ADD.replace("top + stride * OH : stride, left", "top + OH, left"), "x", "along the rows"),
    (6, "dy.sum(axis=(0, 2))", "dy.max(axis=(0, 2))", "db", ""),
    (6, "w.reshape(O, C * KH * KW).T @ dy", "w[::-1].reshape(O, C * KH * KW).T @ dy", "dx", "output channels"),
    (6, "return y.reshape(len(x), O, OH, OW)", "return y.reshape(len(x), O, OW, OH).swapaxes(2, 3)", "y", "reshape"),
    (7, "return dx[:, :, padding : padding + H, padding : padding + W]",
     "return dx[:, :, padding + 1 : padding + 1 + H, padding : padding + W]", "dx", ""),
    (7, "spread = insert_zeros(grad_output, stride)", "spread = insert_zeros(grad_output, stride + 1)", "dx", ""),
    (8, "return y / (KH * KW)", "return y / (KH * KW - 1)", "y", ""),
    (8, "best // KW, j * stride + best % KW", "best // KW, j * stride + best // KW", "dx", ""),
    (9, "return losses.sum() / N", "return losses.sum() / scores.shape[1]", "loss", "divided by C"),
    (9, "return grad_output * d_scores / N", "return grad_output * d_scores / (N - 1 or 1)", "d_scores", ""),
    (9, "scores.max(axis=1, keepdims=True))\n    d", "scores.max(axis=0))\n    d", "d_scores", "axis 0"),
    (10, "return grad_output * (x > 0)", "return grad_output * (x < 0)", "dx", "x < 0"),
    (10, "grad_output.T @ x,", "x.T @ x,", "dw", ""),
    (10, "batch = order[start : start + batch_size]", "batch = order[: start + batch_size]", "parameters", ""),
]
# fmt: on
