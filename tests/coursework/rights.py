"""Right answers in other styles: a step, and changes of its solution that leave it right."""

from mutants import COL2IM_ADD, COL2IM_CUT, COLUMNS_AS_SIX, CUT, DB, DW, DX, IM2COL_END, MAX_ADD, PAD, ROTATE, X_WINDOW

LOSSES = "losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(N), target]"
WINDOW = "window = " + X_WINDOW

# fmt: off
RIGHTS = [
    (1, [("(size + 2 * padding - extent) // stride + 1", "int((size + 2 * padding - extent) / stride) + 1")]),
    (1, [("(size + 2 * padding - extent) // stride + 1", "(size + 2 * padding - extent + stride) // stride")]),
    (1, [("    return", "    count = 0\n    while count * stride + extent <= size + 2 * padding:\n        count += 1\n"
          "    return count\n    return")]),
    (1, [("    return", "    import numpy as np\n    return int(np.floor((size + 2 * padding - extent) / stride) + 1)\n"
          "    return")]),
    (1, [("    return", "    import numpy as np\n    return np.int64((size + 2 * padding - extent) // stride + 1)\n"
          "    return")]),
    (1, [("(size + 2 * padding - extent) // stride + 1", "divmod(size + 2 * padding - extent, stride)[0] + 1")]),
    (2, [("np.sum(window * w[o]) + b[o]", "np.einsum('ckl,ckl->', window, w[o]) + b[o]")]),
    (2, [("np.sum(window * w[o]) + b[o]", "np.vdot(window, w[o]) + b[o]")]),
    (2, [("np.sum(window * w[o]) + b[o]", "sum(float(a) * float(c) for a, c in zip(window.flat, w[o].flat)) + b[o]")]),
    (2, [("np.zeros((N, O, OH, OW), x.dtype)", "np.empty((N, O, OH, OW), x.dtype)")]),
    (2, [("np.zeros((N, O, OH, OW), x.dtype)", "np.zeros((N, O, OH, OW))"), ("return y", "return y.astype(x.dtype)")]),
    (2, [("for i in range(OH)", "for i in reversed(range(OH))")]),
    (2, [(PAD, "[(0, 0)] * 2 + [(padding, padding)] * 2")]),
    (2, [("    for n in range(N)", "    y += b[:, None, None]\n    for n in range(N)"),
         ("y[n, o, i, j] = np.sum(window * w[o]) + b[o]", "y[n, o, i, j] += np.sum(window * w[o])")]),
    (2, [("                    " + WINDOW + "\n                    y[n, o, i, j] = np.sum(window * w[o]) + b[o]",
          "                    total = b[o]\n                    for c in range(x.shape[1]):\n"
          "                        for k in range(KH):\n                            for l in range(KW):\n"
          "                                total += x[n, c, i * stride + k, j * stride + l] * w[o, c, k, l]\n"
          "                    y[n, o, i, j] = total")]),
    (2, [("    return y", "    y.setflags(write=False)\n    return y")]),
    (2, [("    return y", "    return np.asfortranarray(y)")]),
    (3, [(DB, "pass\n"), ("return dx, dw, db", "return dx, dw, grad_output.sum(axis=(0, 2, 3))")]),
    (3, [(DB, "pass\n"), ("return dx, dw, db", "return dx, dw, np.einsum('noij->o', grad_output)")]),
    (3, [(DX, "dx_padded[n, :, rows, columns] = dx_padded[n, :, rows, columns] + g * w[o]")]),
    (3, [(DW, "dw[o, ...] += x_padded[n, :, rows, columns] * g")]),
    (3, [(CUT, "dx_padded[:, :, padding : x_padded.shape[2] - padding, padding : x_padded.shape[3] - padding]")]),
    (3, [("return dx, dw, db", "return np.ascontiguousarray(dx), dw.copy(), db")]),
    (3, [("return dx, dw, db", "return [dx, dw, db]")]),
    (3, [("for n in range(N)", "for n in range(N - 1, -1, -1)"), ("for o in range(O)",
     "for o in range(O - 1, -1, -1)")]),
    (4, [(IM2COL_END, "return columns.reshape(N, -1, OH * OW)")]),
    (4, [(IM2COL_END, "return columns.reshape((N, C * KH * KW, -1))")]),
    (4, [("np.zeros((N, C, KH, KW, OH, OW), x.dtype)", "np.empty((N, C, KH, KW, OH, OW), dtype=x.dtype)")]),
    (4, [("columns[:, :, k, l] = x[:, :, top : top + stride * OH : stride, left : left + stride * OW : stride]",
          "for i in range(OH):\n                for j in range(OW):\n"
          "                    columns[:, :, k, l, i, j] = x[:, :, top + i * stride, left + j * stride]")]),
    (4, [("top : top + stride * OH : stride", "top : top + stride * (OH - 1) + 1 : stride")]),
    (5, [(COL2IM_CUT, "return x[:, :, padding : x.shape[2] - padding, padding : x.shape[3] - padding]")]),
    (5, [(COLUMNS_AS_SIX, "columns = columns.reshape(N, -1, KH, KW, OH, OW)")]),
    (5, [(COL2IM_ADD, "for i in range(OH):\n                for j in range(OW):\n"
          "                    x[:, :, top + i * stride, left + j * stride] += columns[:, :, k, l, i, j]")]),
    (5, [(COL2IM_CUT, "return x[:, :, padding : padding + H, padding : padding + W].copy()")]),
    (6, [("w.reshape(O, C * KH * KW) @ columns + b[:, None]",
          "np.einsum('or,nrm->nom', w.reshape(O, -1), columns) + b.reshape(1, O, 1)")]),
    (6, [("w.reshape(O, C * KH * KW) @ columns + b[:, None]",
     "np.matmul(w.reshape(O, -1), columns) + b[None, :, None]")]),
    (6, [("(dy @ columns.transpose(0, 2, 1)).sum(axis=0)", "np.tensordot(dy, columns, ((0, 2), (0, 2)))")]),
    (6, [("(dy @ columns.transpose(0, 2, 1)).sum(axis=0)", "np.einsum('nom,nrm->or', dy, columns, optimize=True)")]),
    (6, [("dy.sum(axis=(0, 2))", "grad_output.sum(axis=3).sum(axis=2).sum(axis=0)")]),
    (6, [("w.reshape(O, C * KH * KW).T @ dy", "np.stack([w.reshape(O, -1).T @ each for each in dy])")]),
    (7, [(ROTATE, "return np.flip(w.swapaxes(0, 1), axis=(-1, -2))")]),
    (7, [(ROTATE, "return np.ascontiguousarray(np.transpose(w, (1, 0, 2, 3))[..., ::-1, ::-1])")]),
    (8, [("    return y\n\n\ndef max_pool_backward", "    return y + 0\n\n\ndef max_pool_backward")]),
    (8, [("return y / (KH * KW)", "return y / KH / KW")]),
    (8, [("return y / (KH * KW)", "return y * (1 / (KH * KW))")]),
    (8, [(MAX_ADD, "np.add.at(dx, (samples, channels, rows, columns), grad_output[:, :, i, j])")]),
    (8, [("constant_values=-np.inf)\n    y", "constant_values=np.finfo(x.dtype).min)\n    y")]),
    (8, [("np.full((N, C, OH, OW), -np.inf, x.dtype)", "np.full((N, C, OH, OW), float('-inf'), dtype=x.dtype)")]),
    (8, [("+= grad_output / (KH * KW)", "+= grad_output * (1.0 / KH / KW)")]),
    (9, [("return losses.sum() / N", "return float(np.mean(losses))")]),
    (9, [("return losses.sum() / N", "return np.asarray(losses.mean())")]),
    (9, [(LOSSES, "losses = np.array([np.log(np.exp(row).sum()) - row[t] for row, t in zip(shifted, target)])")]),
    (9, [("shifted[np.arange(N), target]", "np.take_along_axis(shifted, target[:, None], axis=1)[:, 0]")]),
    (9, [("scores.max(axis=1, keepdims=True)\n    losses", "scores.max(axis=1)[:, None]\n    losses")]),
    (9, [("d_scores[np.arange(N), target] -= 1",
     "d_scores = d_scores - np.eye(scores.shape[1])[target].astype(scores.dtype)")]),
    (9, [("d_scores[np.arange(N), target] -= 1", "for n, t in enumerate(target):\n        d_scores[n, t] -= 1")]),
    (9, [("return grad_output * d_scores / N", "d_scores *= grad_output / N\n    return d_scores")]),
    (10, [("return np.maximum(x, 0)", "return np.where(x > 0, x, 0).astype(x.dtype)")]),
    (10, [("return grad_output * (x > 0)", "dx = grad_output.copy()\n    dx[x <= 0] = 0\n    return dx")]),
    (10, [("return x @ w.T + b", "return np.einsum('nc,oc->no', x, w) + b")]),
    (10, [("np.random.default_rng(0)\n    parameters = dict", "np.random.default_rng(123)\n    parameters = dict"),
          ("parameters[name] = parameters[name] - lr * gradient",
           "parameters[name] = np.subtract(parameters[name], lr * gradient)")]),
    (10, [("for start in range(0, len(images), batch_size):\n            batch = order[start : start + batch_size]",
           "for batch in np.split(order, range(batch_size, len(images), batch_size)):")]),
    (10, [("    parameters = dict(parameters)",
     "    parameters = {name: array.copy() for name, array in parameters.items()}"),
          ("parameters[name] = parameters[name] - lr * gradient", "parameters[name] -= lr * gradient")]),
]
# fmt: on
