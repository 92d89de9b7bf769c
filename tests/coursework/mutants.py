"""Plausible wrong answers: a step, a change of one place in its solution, the result that must be found wrong, and
the words that must be in the grader's diagnosis (or, without one, in its description of the problem)."""

STEPS = {
    1: "step01_output_size.py", 2: "step02_conv_forward_loops.py", 3: "step03_conv_backward_loops.py",
    4: "step04_im2col.py", 5: "step05_col2im.py", 6: "step06_conv.py", 7: "step07_conv_transpose.py",
    8: "step08_pooling.py", 9: "step09_cross_entropy.py", 10: "step10_lenet.py",
}  # fmt: skip

OVERWRITES = "= instead of +="
UPSTREAM = "upstream gradient is ignored"
AT_END = "padding is stripped at the end only"
NOT_STRIPPED = "padding is not stripped"

X_WINDOW = "x[n, :, i * stride : i * stride + KH, j * stride : j * stride + KW]"
ROWS = "rows = slice(i * stride, i * stride + KH)\n                    columns = slice(j * stride, j * stride + KW)"
ROWS_1 = "rows = slice(i, i + KH)\n                    columns = slice(j, j + KW)"
DX = "dx_padded[n, :, rows, columns] += g * w[o]"
DW = "dw[o] += g * x_padded[n, :, rows, columns]"
DB = "db[o] += g\n"
G = "g = grad_output[n, o, i, j]"
CUT = "dx_padded[:, :, padding : padding + H, padding : padding + W]"
TAPS = "top, left = k * dilation, l * dilation"
PAD = "((0, 0), (0, 0), (padding, padding), (padding, padding))"
PAD_END = "((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding))"
IM2COL_END = "return columns.reshape(N, C * KH * KW, OH * OW)"
IM2COL_ONE = "columns[:, :, k, l] = x[:, :, top : top + stride * OH : stride, left : left + stride * OW : stride]"
COL2IM_ADD = "x[:, :, top : top + stride * OH : stride, left : left + stride * OW : stride] += columns[:, :, k, l]"
COL2IM_CUT = "return x[:, :, padding : padding + H, padding : padding + W]"
COLUMNS_AS_SIX = "columns = columns.reshape(N, C, KH, KW, OH, OW)"
D_COLUMNS = "d_columns = w.reshape(O, C * KH * KW).T @ dy"
ROTATE = "return w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]"
MAX_ADD = "dx[samples, channels, rows, columns] += grad_output[:, :, i, j]"
AVG_ADD = "+= grad_output / (KH * KW)"
SHIFT = "shifted = scores - scores.max(axis=1, keepdims=True)"
SIZES = "OH, OW = output_size(H, KH, stride, 0, dilation), output_size(W, KW, stride, 0, dilation)"

# fmt: off
MUTANTS = [
    # --- 1: the size of the output
    (1, "dilation * (kernel_size - 1) + 1", "dilation * kernel_size", "size", "without its −1"),
    (1, "// stride + 1", "// stride", "size", "the + 1 is missing"),
    (1, "(size + 2 * padding - extent) // stride", "-((extent - size - 2 * padding) // stride)", "size", "ceil"),
    (1, "2 * padding", "padding", "size", "one side only"),
    (1, "2 * padding", "0 * padding", "size", "the padding is ignored"),
    (1, "dilation * (kernel_size - 1) + 1", "kernel_size", "size", "the dilation is ignored"),
    (1, "- extent) // stride + 1", "- extent + 1) // stride", "size", "inside the division"),
    (1, "- extent) // stride + 1", "- extent) / stride + 1", "size", "expected the int"),
    # --- 2: convolution forward
    (2, "window * w[o]", "window * w[o, :, ::-1, ::-1]", "y", "rotated by 180°"),
    (2, " + b[o]", "", "y", "the bias is missing"),
    (2, "np.sum(window * w[o]) + b[o]", "np.sum(window * w[o] + b[o])", "y", "at every product"),
    (2, "np.sum(window * w[o]) + b[o]", "(window * w[o])[-1].sum() + b[o]", "y", "only the last channel"),
    (2, "window * w[o]", "window[0] * w[o, 0]", "y", "only the first channel"),
    (2, X_WINDOW, "x[n, :, i : i + KH, j : j + KW]", "y", "the stride is ignored"),
    (2, PAD, PAD_END, "y", "put at the end only"),
    (2, "(padding, padding)))", "(padding, padding)), mode='edge')", "y", "repeats the border"),
    (2, "for n in range(N)", "for n in range(1)", "y", "only the first sample"),
    (2, "window * w[o]", "window * w[o].transpose(0, 2, 1)", "y", "rows and columns are swapped"),
    (2, "return y", "return y.swapaxes(2, 3)", "y", "height and width of the output are swapped"),
    (2, "return y", "return y.astype(np.float32)", "y", "single precision"),
    # --- 3: convolution backward
    (3, G, "g = 1.0", "dx", UPSTREAM),
    (3, G, "g = 1.0", "dw", UPSTREAM),
    (3, G, "g = 1.0", "db", UPSTREAM),
    (3, DX, DX.replace("+=", "="), "dx", OVERWRITES),
    (3, DW, DW.replace("+=", "="), "dw", OVERWRITES),
    (3, DB, DB.replace("+=", "="), "db", OVERWRITES),
    (3, DX, DX + "[:, ::-1, ::-1]", "dx", "rotated (or not) where it should not be"),
    (3, DW, DW + "[:, ::-1, ::-1]", "dw", "dw is rotated by 180°"),
    (3, CUT, "dx_padded", "dx", NOT_STRIPPED),
    (3, CUT, "dx_padded[:, :, :H, :W]", "dx", AT_END),
    (3, ROWS, ROWS_1, "dx", "the stride is ignored"),
    (3, ROWS, ROWS_1, "dw", "the stride is ignored"),
    (3, DB, "db[o] += 0 * g\n", "db", "missing (zeros)"),
    (3, "return dx, dw, db", "return dx, dw, db / len(x)", "db", "averaged over the batch"),
    (3, "return dx, dw, db", "return dx, dw, grad_output.mean(axis=(0, 2, 3))", "db",
     "averaged over batch and positions"),
    (3, "return dx, dw, db", "return dx, dw, grad_output.sum(axis=(0, 1, 2))", "db", "expected shape"),
    (3, "return dx, dw, db", "return dx, dw, grad_output.sum(axis=(2, 3))", "db", "summed over the wrong axes"),
    (3, "return dx, dw, db", "return dx, dw / len(x), db", "dw", "averaged over the batch"),
    (3, "for n in range(N)", "for n in range(1)", "dx", "only the first sample"),
    (3, "for n in range(N)", "for n in range(1)", "dw", "only the first sample counts"),
    (3, "for o in range(O)", "for o in range(O - 1, O)", "dx", "only the last output channel"),
    (3, DX, "dx_padded[n, :, rows, columns] += g * w[o].transpose(0, 2, 1)", "dx", "rows and columns are swapped"),
    (3, "return dx, dw, db", "return dx, dw", "dx", "expected a tuple (dx, dw, db)"),
    (3, "return dx, dw, db", "x[...] = 0\n    return dx, dw, db", "dx", "changes its argument x"),
    (3, "return dx, dw, db", "grad_output *= 2\n    return dx, dw, db", "dx", "changes its argument grad_output"),
    (3, "np.zeros_like(x_padded)", "np.zeros_like(x_padded, np.float32)", "dx", "single precision"),
    # --- 4: im2col
    (4, IM2COL_END, "return columns.transpose(0, 2, 3, 1, 4, 5).reshape(N, C * KH * KW, OH * OW)", "columns",
     "here kernel row, kernel column, channel"),
    (4, IM2COL_END, "return columns.swapaxes(2, 3).reshape(N, C * KH * KW, OH * OW)", "columns",
     "here channel, kernel column, kernel row"),
    (4, IM2COL_END, "return columns.swapaxes(4, 5).reshape(N, C * KH * KW, OH * OW)", "columns",
     "columns are in another order"),
    (4, IM2COL_END, IM2COL_END + ".swapaxes(1, 2)", "columns", "rows and columns are swapped"),
    (4, IM2COL_END, "return columns.transpose(1, 2, 3, 0, 4, 5).reshape(C * KH * KW, N * OH * OW)", "columns",
     "side by side in one matrix"),
    (4, IM2COL_END, "return columns.transpose(0, 4, 5, 1, 2, 3).reshape(N, C * KH * KW, OH * OW)", "columns",
     "a reshape cannot take the place of a transpose"),
    (4, TAPS, "top, left = k, l", "columns", "the dilation is ignored"),
    (4, TAPS, "top, left = k * max(1, dilation - 1), l * max(1, dilation - 1)", "columns", "dilation is off by one"),
    (4, IM2COL_ONE, "columns[:, :, k, l] = x[:, :, top : top + OH, left : left + OW]", "columns",
     "the stride is ignored"),
    (4, PAD, PAD_END, "columns", "put at the end only"),
    (4, SIZES, SIZES.replace("(W, KW, stride, 0, dilation)", "(W, KH, stride, 0, dilation)"), "columns", "ValueError"),
    # --- 5: col2im
    (5, COL2IM_ADD, COL2IM_ADD.replace("+=", "="), "x", OVERWRITES),
    (5, COL2IM_CUT, "return x", "x", NOT_STRIPPED),
    (5, COL2IM_CUT, "return x[:, :, :H, :W]", "x", AT_END),
    (5, COLUMNS_AS_SIX, "columns = columns.reshape(N, KH, KW, C, OH, OW).transpose(0, 3, 1, 2, 4, 5)", "x",
     "here kernel row, kernel column, channel"),
    (5, COLUMNS_AS_SIX, "columns = columns.reshape(N, C, KW, KH, OH, OW).swapaxes(2, 3)", "x",
     "here channel, kernel column, kernel row"),
    (5, COLUMNS_AS_SIX, "columns = columns.reshape(N, C, KH, KW, OW, OH).swapaxes(4, 5)", "x",
     "another order than output row, output column"),
    (5, COL2IM_ADD, "x[:, :, top : top + OH, left : left + OW] += columns[:, :, k, l]", "x", "the stride is ignored"),
    (5, TAPS, "top, left = k, l", "x", "the dilation is ignored"),
    (5, TAPS, "top, left = k * max(1, dilation - 1), l * max(1, dilation - 1)", "x", "dilation is off by one"),
    (5, COL2IM_CUT, "from step04_im2col import im2col\n    ones = np.ones((1, 1, H, W))\n"
     "    counts = col2im_of_ones(im2col(ones, kernel_size, stride, padding, dilation), x.shape, stride, dilation, KH,"
     " KW, OH, OW)\n    return (x / counts)[:, :, padding : padding + H, padding : padding + W]\n\n\n"
     "def col2im_of_ones(ones, shape, stride, dilation, KH, KW, OH, OW):\n    x = np.zeros(shape)\n"
     "    for k in range(KH):\n        for l in range(KW):\n"
     "            x[:, :, k * dilation : k * dilation + stride * OH : stride,"
     " l * dilation : l * dilation + stride * OW : stride] += 1\n    return np.maximum(x, 1)", "x",
     "averaged where windows overlap"),
    # --- 6: convolution by im2col
    (6, "w.reshape(O, C * KH * KW) @ columns", "w.transpose(0, 2, 3, 1).reshape(O, C * KH * KW) @ columns", "y",
     "ordered differently"),
    (6, " + b[:, None]", "", "y", "the bias is missing"),
    (6, D_COLUMNS, "d_columns = w[:, :, ::-1, ::-1].reshape(O, C * KH * KW).T @ dy", "dx", "rotated (or not)"),
    (6, D_COLUMNS, "d_columns = w.transpose(0, 2, 3, 1).reshape(O, C * KH * KW).T @ dy", "dx", "ordered differently"),
    (6, D_COLUMNS, D_COLUMNS.replace("dy", "np.ones_like(dy)"), "dx", UPSTREAM),
    (6, "(dy @ columns.transpose(0, 2, 1)).sum(axis=0)", "(dy @ columns.transpose(0, 2, 1))[0]", "dw",
     "only the first sample counts"),
    (6, "(dy @ columns.transpose(0, 2, 1)).sum(axis=0)", "(dy @ columns.transpose(0, 2, 1)).mean(axis=0)", "dw",
     "averaged over the batch"),
    (6, "dw.reshape(w.shape)", "dw.reshape(O, KH, KW, C).transpose(0, 3, 1, 2)", "dw", "not in the order of w"),
    (6, "dy.sum(axis=(0, 2))", "dy.sum(axis=0)", "db", "expected shape"),
    (6, "dy.sum(axis=(0, 2))", "dy.mean(axis=(0, 2))", "db", "averaged over batch and positions"),
    (6, "col2im(d_columns, x.shape[2:], (KH, KW), stride, padding, dilation)",
     "col2im(d_columns, x.shape[2:], (KH, KW), stride, padding)", "dx", "ValueError"),
    # --- 7: transposed convolution
    (7, ROTATE, "return w[:, :, ::-1, ::-1]", "rotated", "input and output channels are not swapped"),
    (7, ROTATE, "return w.transpose(1, 0, 2, 3)", "rotated", "the kernel is not rotated"),
    (7, ROTATE, "return w.transpose(1, 0, 3, 2)", "rotated", "swapped instead of both reversed"),
    (7, ROTATE, "return w.transpose(1, 0, 2, 3)[:, :, ::-1]", "rotated", "reverse the columns too"),
    (7, "rotate_kernel(w), np.zeros", "w.transpose(1, 0, 2, 3), np.zeros", "dx", "not rotated by 180°"),
    (7, "spread[:, :, ::stride, ::stride] = grad_output", "return grad_output", "spread", "no zeros are inserted"),
    (7, "(OH - 1) * stride + 1, (OW - 1) * stride + 1", "OH * stride, OW * stride", "spread", "behind the last row"),
    (7, "return dx[:, :, padding : padding + H, padding : padding + W]", "return dx", "dx", NOT_STRIPPED),
    (7, "return dx[:, :, padding : padding + H, padding : padding + W]", "return dx[:, :, :H, :W]", "dx", AT_END),
    (7, "np.pad(spread, ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])))",
     "np.pad(spread, ((0, 0), (0, 0), (before[0], before[0]), (before[1], before[1])))", "dx",
     "behind the last window are missing"),
    # --- 8: pooling
    (8, ", constant_values=-np.inf)\n    y", ")\n    y", "y", "pad with −∞"),
    (8, "np.full((N, C, OH, OW), -np.inf, x.dtype)", "np.zeros((N, C, OH, OW), x.dtype)", "y", "maximum starts at 0"),
    (8, MAX_ADD, MAX_ADD.replace("+=", "="), "dx", OVERWRITES),
    (8, MAX_ADD, MAX_ADD.replace("grad_output[:, :, i, j]", "1"), "dx", UPSTREAM),
    (8, MAX_ADD, "dx[:, :, i * stride : i * stride + KH, j * stride : j * stride + KW] += "
     "(window == window.max(axis=(2, 3), keepdims=True)) * grad_output[:, :, i : i + 1, j : j + 1]", "dx", "every tie"),
    (8, MAX_ADD, "tied = window == window.max(axis=(2, 3), keepdims=True)\n            "
     "dx[:, :, i * stride : i * stride + KH, j * stride : j * stride + KW] += "
     "tied / tied.sum(axis=(2, 3), keepdims=True) * grad_output[:, :, i : i + 1, j : j + 1]", "dx",
     "shared among the ties"),
    (8, "window.reshape(N, C, KH * KW).argmax(axis=2)",
     "KH * KW - 1 - window.reshape(N, C, KH * KW)[:, :, ::-1].argmax(axis=2)", "dx", "last tie"),
    (8, "rows, columns = i * stride + best // KW, j * stride + best % KW",
     "rows, columns = i * stride + best // KH, j * stride + best % KH", "dx", "rows of KW elements"),
    (8, "return y / (KH * KW)", "return y", "y", "the sum instead of the mean"),
    (8, "return y / (KH * KW)", "return y / (KH * KH)", "y", "need not be square"),
    (8, "return y / (KH * KW)", "ones = np.pad(np.ones((1, 1, H, W)), ((0, 0), (0, 0), (padding, padding), (padding, "
     "padding)))\n    return y / sum(ones[:, :, k : k + stride * OH : stride, l : l + stride * OW : stride]\n"
     "                   for k in range(KH) for l in range(KW))", "y", "number of elements inside x"),
    (8, AVG_ADD, AVG_ADD.replace("+=", "="), "dx", OVERWRITES),
    (8, AVG_ADD, "+= grad_output", "dx", "not divided by KH·KW"),
    (8, AVG_ADD, "+= 1 / (KH * KW)", "dx", UPSTREAM),
    # --- 9: softmax and cross-entropy
    (9, SHIFT, "shifted = scores", "loss", "softmax overflows"),
    (9, "losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(N), target]",
     "p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)\n    losses = -np.log(p[np.arange(N), target])",
     "loss", "a softmax that has become 0"),
    (9, "return losses.sum() / N", "return losses.sum()", "loss", "not divided by N"),
    (9, "return losses.sum() / N", "return losses", "loss", "expected a number"),
    (9, "losses.sum() / N", "-losses.sum() / N", "loss", "the sign is wrong"),
    (9, "np.log(", "np.log2(", "loss", "another logarithm"),
    (9, "e = np.exp(scores - scores.max(axis=1, keepdims=True))", "e = np.exp(scores)", "d_scores",
     "softmax overflows"),
    (9, "return grad_output * d_scores / N", "return grad_output * d_scores", "d_scores", "not divided by N"),
    (9, "return grad_output * d_scores / N", "return d_scores / N", "d_scores", UPSTREAM),
    (9, "    d_scores[np.arange(N), target] -= 1\n", "", "d_scores", "the 1 of the right class"),
    (9, "e.sum(axis=1, keepdims=True)", "e.sum(axis=0, keepdims=True)", "d_scores", "over the batch"),
    # --- 10: the net
    (10, "return grad_output * (x > 0)", "return 1.0 * (x > 0)", "dx", UPSTREAM),
    (10, "return grad_output * (x > 0)", "return grad_output * (x >= 0)", "dx", "passes where x is 0"),
    (10, "return grad_output * (x > 0)", "return np.maximum(grad_output, 0)", "dx", "sign, not that of x"),
    (10, "return x @ w.T + b", "return x @ w.T", "y", "the bias is missing"),
    (10, "grad_output.sum(axis=0)\n", "grad_output.mean(axis=0)\n", "db", "averaged over the batch"),
    (10, "grad_output.T @ x,", "x.T @ grad_output,", "dw", "dw is transposed"),
    (10, "    x = Operator(relu_forward, relu_backward)(x)\n    return", "    return", "loss", "loss: got"),
    (10, "parameters[name] = parameters[name] - lr * gradient",
     "total = locals().get('total', {})\n"
     "                total[name] = total.get(name, 0) + gradient\n"
     "                parameters[name] = parameters[name] - lr * total[name]", "parameters",
     "earlier steps are added up"),
    (10, "for _ in range(epochs)", "for _ in range(1)", "parameters", "only one epoch"),
    (10, "return parameters\n", "return initial_parameters()\n", "parameters", "got"),
    (10, "parameters[name] - lr", "parameters[name] + lr", "parameters", "go up the gradient"),
    (10, "parameters[name] - lr *", "parameters[name] -", "parameters", "learning rate is ignored"),
    (10, "parameters[name] = parameters[name] - lr * gradient", "parameters[name] -= lr * gradient", "parameters",
     "changes its argument parameters"),
]
# fmt: on
