"""Plausible wrong answers to the optional steps, in the form of known.py."""

SUM = "(forward(x) * grad_output).sum()"
CLOSE = "return bool(np.abs(dx - numeric).max() <= 1e-5 * np.abs(numeric).max())"
SHAPES = "    if dx.shape != x.shape:\n        return False\n    numeric"
ADJOINT = "return bool(abs((y * g).sum() - (x * dx).sum()) <= 1e-9 * np.abs(y * g).sum())"
QUOTIENT = "(f(above) - f(below)) / (2 * eps)"
EACH = "above, below = x.copy(), x.copy()"
Z = "z = (x - mean) / np.sqrt(var + eps)"
DX = "(grad_output - dbias / M - z * dweight / M)"
WEIGHT = "weight.reshape(1, -1, 1, 1) / s * "
GRADIENTS = "return dx, dweight.reshape(-1), dbias.reshape(-1)"
Y = "return weight.reshape(1, -1, 1, 1) * z + bias.reshape(1, -1, 1, 1)"
STATISTICS = "mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)\n    z"
RUNNING = "mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3), ddof=1)"
RETURNED = "return (1 - momentum) * running_mean + momentum * mean, (1 - momentum) * running_var + momentum * var"
MASK = "return rng.random(shape) >= p"
DROPPED = "return x * mask / (1 - p)"
DROPPED_DX = "return grad_output * mask / (1 - p)"
LAST_WINDOW = "return count - 1 if (count - 1) * stride >= size + padding else count"
DIVISOR = "divisor_override or (padded if count_include_pad else inside)"
REACH = "first, last = start * S, min(start * S + K, size + 2 * P)"
ADD = "dx[:, :, rows, columns] += grad_output[:, :, i : i + 1, j : j + 1] / divisor"
PARTS = "each = zip(np.split(x, groups, axis=1), np.split(w, groups), np.split(b, groups))"
JOINED = "return np.concatenate([conv_forward(*of_group, stride, padding, dilation) for of_group in each], axis=1)"
JOINED_GRADIENTS = "return np.concatenate(dx, axis=1), np.concatenate(dw), np.concatenate(db)"
SPLIT = "np.split(grad_output, groups, axis=1), np.split(x, groups, axis=1), np.split(w, groups), np.split(b, groups)"
WARM = "    f()\n    measured = []"
RATIO = '"ratio": loops / im2col'
PREPARED = "((images[:, np.newaxis].astype(np.float32) / 255 - MEAN) / STD)"

# fmt: off
MUTANTS = [
    # --- 11: gradient check
    (11, QUOTIENT, "(f(above) - f(below)) / eps", "dx", "divided by eps instead of 2·eps"),
    (11, QUOTIENT, "f(above) - f(below)", "dx", "not divided by 2·eps"),
    (11, QUOTIENT, "(f(above) - f(below)) / 2 * eps", "dx", "not divided by eps"),
    (11, QUOTIENT, "(f(above) - f(x)) / eps", "dx", "a forward difference"),
    (11, QUOTIENT, "(f(x) - f(below)) / eps", "dx", "a backward difference"),
    (11, QUOTIENT, "(f(below) - f(above)) / (2 * eps)", "dx", "the sign is wrong"),
    (11, "above[i] += eps\n        below[i] -= eps", "above += eps\n        below -= eps", "dx", "moved at once"),
    (11, EACH, "above, below = x, x.copy()", "dx", "changes its argument x"),
    (11, "dx = np.zeros_like(x)", "dx = np.zeros(x.size)", "dx", "IndexError"),
    (11, SUM, "forward(x).sum()", "verdict", "take differences of Σ forward(x) · grad_output"),
    (11, CLOSE, "return True", "verdict", "likely:"),
    (11, CLOSE, "return False", "verdict", "compare with a tolerance"),
    (11, CLOSE, "return bool((dx == numeric).all())", "verdict", "compare with a tolerance"),
    (11, CLOSE, "return bool(np.abs(dx - numeric).max() <= 1e-5)", "verdict", "relative to the numbers"),
    (11, CLOSE, "return bool(np.allclose(dx, numeric, rtol=0.1))", "verdict", "too large"),
    (11, CLOSE, "return bool(np.abs(np.abs(dx) - np.abs(numeric)).max() <= 1e-5 * np.abs(numeric).max())", "verdict",
     "not that of their absolute values"),
    (11, CLOSE, "return bool(abs(dx.sum() - numeric.sum()) <= 1e-5 * np.abs(numeric).sum())", "verdict",
     "errors may cancel"),
    (11, CLOSE, "return bool(abs(dx.flat[0] - numeric.flat[0]) <= 1e-5 * np.abs(numeric).max())", "verdict",
     "compare every element"),
    (11, CLOSE, "return bool((dx * numeric).sum() >= 0.99999 * np.linalg.norm(dx) * np.linalg.norm(numeric))",
     "verdict", "of the same direction"),
    (11, SHAPES, "    numeric", "verdict", "compare the shapes first"),
    (11, CLOSE, "return float(np.abs(dx - numeric).max())", "verdict", "expected True or False"),
    (11, CLOSE, "return str(np.abs(dx - numeric).max() <= 1e-5)", "verdict", "expected True or False"),
    (11, ADJOINT, "return bool((y * g).sum() == (x * dx).sum())", "verdict", "compare with a tolerance"),
    (11, ADJOINT, "return bool(np.isclose((y * g).sum(), (x * dx).sum()))", "verdict", "relative to the numbers"),
    (11, ADJOINT, "return bool(np.isclose((y * g).sum(), (x * dx).sum(), rtol=1e-9, atol=0))", "verdict",
     "relative to the terms"),
    (11, ADJOINT, "return bool(abs(abs((y * g).sum()) - abs((x * dx).sum())) <= 1e-9 * np.abs(y * g).sum())", "verdict",
     "absolute values"),
    (11, "    y, dx = forward(x), adjoint(g)\n    if dx.shape != x.shape:\n        return False\n",
     "    y, dx = forward(x), adjoint(g)\n", "verdict", "compare the shapes first"),
    # --- 12: batch normalisation
    (12, STATISTICS, STATISTICS.replace("keepdims=True)\n", "keepdims=True, ddof=1)\n"), "y", "divided by M − 1"),
    (12, Z, "z = (x - mean) / (np.sqrt(var) + eps)", "y", "added to the standard deviation"),
    (12, Z, "z = (x - mean) / np.sqrt(var)", "y", "eps is missing"),
    (12, Z, "z = (x - mean) / (var + eps)", "y", "the variance instead of its square root"),
    (12, Z, "z = x / np.sqrt(var + eps)", "y", "the mean is not subtracted"),
    (12, Z, "z = (x - mean) / np.sqrt(var + 1e-5)", "y", "that of the default"),
    (12, STATISTICS, STATISTICS.replace("axis=(0, 2, 3)", "axis=0"), "y", "over the batch only"),
    (12, STATISTICS, STATISTICS.replace("axis=(0, 2, 3)", "axis=(2, 3)"), "y", "each sample by itself"),
    (12, STATISTICS, STATISTICS.replace("axis=(0, 2, 3)", "axis=(1, 2, 3)"), "y", "layer normalisation"),
    (12, STATISTICS, STATISTICS.replace("axis=(0, 2, 3), ", ""), "y", "all channels together"),
    (12, STATISTICS, STATISTICS.replace(", keepdims=True", ""), "y", "ValueError"),
    (12, Y, "return z", "y", "weight and bias are missing"),
    (12, Y, "return weight.reshape(1, -1, 1, 1) * z", "y", "the bias is missing"),
    (12, Y, "return z + bias.reshape(1, -1, 1, 1)", "y", "the weight is missing"),
    (12, Y, "return weight.reshape(1, -1, 1, 1) * (z + bias.reshape(1, -1, 1, 1))", "y", "the bias is scaled too"),
    (12, Y, "return weight * z + bias", "y", "along the columns"),
    (12, DX, "grad_output", "dx", "mean and variance are taken for constants"),
    (12, DX, "(grad_output - dbias / M)", "dx", "the variance is taken for a constant"),
    (12, DX, "(grad_output - z * dweight / M)", "dx", "the mean is taken for a constant"),
    (12, DX, "(grad_output + dbias / M + z * dweight / M)", "dx", "the sign of the ways"),
    (12, DX, "(grad_output - dbias - z * dweight)", "dx", "not divided by M"),
    (12, WEIGHT, "", "dx", "neither multiplied"),
    (12, WEIGHT, "1 / s * ", "dx", "the weight is missing"),
    (12, WEIGHT, "weight.reshape(1, -1, 1, 1) * ", "dx", "not divided by the standard deviation"),
    (12, GRADIENTS, "return dx, (grad_output * x).sum(axis=(0, 2, 3)), dbias.reshape(-1)", "dweight", "x instead of z"),
    (12, GRADIENTS, "return dx, (grad_output * (x - mean)).sum(axis=(0, 2, 3)), dbias.reshape(-1)", "dweight",
     "x less its mean"),
    (12, GRADIENTS, "return dx, weight * dweight.reshape(-1), dbias.reshape(-1)", "dweight",
     "multiplied by the weight"),
    (12, GRADIENTS, "return dx, dweight.reshape(-1) / M, dbias.reshape(-1) / M", "dbias", "averaged over batch"),
    (12, GRADIENTS, "return dx, dbias.reshape(-1), dweight.reshape(-1)", "dweight", "in another order"),
    (12, GRADIENTS, "return dx, dweight, dbias", "dbias", "expected shape"),
    (12, GRADIENTS, "grad_output[:] = 0\n    " + GRADIENTS, "dx", "changes its argument grad_output"),
    (12, RUNNING, RUNNING.replace(", ddof=1", ""), "running_var", "divided by M:"),
    (12, RUNNING, RUNNING.replace("x.var(axis=(0, 2, 3), ddof=1)", "x.std(axis=(0, 2, 3), ddof=1)"), "running_var",
     "standard deviation instead"),
    (12, RETURNED, RETURNED.replace("(1 - momentum)", "momentum").replace("+ momentum", "+ (1 - momentum)"),
     "running_mean", "weighs the old value"),
    (12, RETURNED, "return mean, var", "running_mean", "of this batch alone"),
    (12, RETURNED, "return running_mean + momentum * mean, running_var + momentum * var", "running_var",
     "the old value is added whole"),
    (12, RETURNED, "running_mean *= 1 - momentum\n    running_mean += momentum * mean\n    return running_mean, var",
     "running_mean", "changes its argument running_mean"),
    # --- 13: dropout
    (13, MASK, "return rng.random(shape) < p", "mask", "the mask says what is kept"),
    (13, MASK, "return rng.random(shape) < 1 - p", "mask", "probability of being kept"),
    (13, MASK, "return (rng.random(shape) >= p) / (1 - p)", "mask", "expected an array of bools"),
    (13, MASK, "return np.random.default_rng(0).random(shape) >= p", "mask", "are not those of rng.random(shape)"),
    (13, MASK, "return rng.random(shape[0]) >= p", "mask", "expected an array of shape"),
    (13, DROPPED, "return x * mask", "y", "not divided by 1 − p"),
    (13, DROPPED, "return x * mask / p", "y", "divided by p instead of 1 − p"),
    (13, DROPPED, "return x * mask * (1 - p)", "y", "multiplied by 1 − p"),
    (13, DROPPED, "return x * ~mask / (1 - p)", "y", "the mask is inverted"),
    (13, DROPPED, "x *= mask\n    return x / (1 - p)", "y", "changes its argument x"),
    (13, DROPPED, "return x * mask / mask.mean()", "y", "the share that was kept"),
    (13, DROPPED, "return x * (mask.astype(np.float64) / (1 - p))", "y", "float64 comes out where float32 went in"),
    (13, DROPPED_DX, "return grad_output * mask", "dx", "not divided by 1 − p"),
    (13, DROPPED_DX, "return mask / (1 - p)", "dx", "upstream gradient is ignored"),
    (13, DROPPED_DX, "return grad_output / (1 - p)", "dx", ""),
    (13, DROPPED_DX, "return grad_output", "dx", "nothing is dropped"),
    # --- 14: average pooling
    (14, LAST_WINDOW, "return count", "size", "must start before size + padding"),
    (14, "    if not ceil_mode:\n        return rest // stride + 1\n", "", "size", "always rounded up"),
    (14, "    if not ceil_mode:\n", "    if True:\n", "size", "ceil_mode is ignored"),
    (14, "count = -(-rest // stride) + 1", "count = rest // stride + 2", "size", "always a window more"),
    (14, "rest = size + 2 * padding", "rest = size + padding", "size", "one side only"),
    (14, DIVISOR, "padded if count_include_pad else inside", "y", "divisor_override is ignored"),
    (14, DIVISOR, "divisor_override or padded", "y", "count_include_pad is ignored"),
    (14, DIVISOR, "divisor_override or inside", "y", "the padding never counts"),
    (14, DIVISOR, "divisor_override or (inside if count_include_pad else padded)", "y", "the wrong way round"),
    (14, DIVISOR, "kernel_size[0] * kernel_size[1]", "y", "always divided by KH·KW"),
    (14, DIVISOR, "divisor_override or (kernel_size[0] * kernel_size[1] if count_include_pad else inside)", "y",
     "beyond the padded input"),
    (14, DIVISOR, "1", "y", "the sum instead of the mean"),
    (14, ADD, ADD.replace("+=", "="), "dx", "= instead of +="),
    (14, ADD, "dx[:, :, rows, columns] += 1 / divisor", "dx", "upstream gradient is ignored"),
    (14, ADD, ADD.replace(" / divisor", ""), "dx", "the sum instead of the mean"),
    # --- 15: grouped convolution
    (15, PARTS, "each = ((x[:, g::groups], w[k], b[k]) for g, k in zip(range(groups), np.split(np.arange(len(w)), "
     "groups)))", "y", "c mod groups"),
    (15, PARTS, PARTS.replace("np.split(x, groups, axis=1)", "[x[:, : w.shape[1]]] * groups"), "y",
     "the channels of the first one"),
    (15, PARTS, PARTS.replace("np.split(b, groups)", "[b[: len(b) // groups]] * groups"), "y", "bias of the first one"),
    (15, JOINED, JOINED.replace("return np.concatenate(", "return sum(").replace(", axis=1)", ")"), "y", "added up"),
    (15, JOINED, "y = np.stack([conv_forward(*of_group, stride, padding, dilation) for of_group in each], axis=2)\n    "
     "return y.reshape(len(y), len(w), *y.shape[3:])", "y", "interleaved"),
    (15, JOINED, JOINED.replace("padding, dilation)", "padding)"), "y", "the dilation is ignored"),
    (15, JOINED, JOINED.replace("axis=1", "axis=0"), "y", "expected shape"),
    (15, SPLIT, SPLIT.replace("np.split(grad_output, groups, axis=1)", "[grad_output[:, : len(w) // groups]] * groups"),
     "dx", "the upstream gradient of the first one"),
    (15, SPLIT, SPLIT.replace("np.split(w, groups)", "[w[: len(w) // groups]] * groups"), "dx",
     "the kernels of the first one"),
    (15, SPLIT, SPLIT.replace("np.split(x, groups, axis=1)", "[x[:, : w.shape[1]]] * groups"), "dw",
     "the channels of the first one"),
    (15, JOINED_GRADIENTS, JOINED_GRADIENTS.replace("np.concatenate(dw)", "sum(dw)"), "dw", "added up"),
    (15, JOINED_GRADIENTS, JOINED_GRADIENTS.replace("np.concatenate(db)", "sum(db)"), "db", "added up"),
    (15, JOINED_GRADIENTS, JOINED_GRADIENTS.replace("(db)", "(db) / len(x)"), "db", "averaged over the batch"),
    # --- 16: timing
    (16, WARM, "    measured = []", "seconds", "the first call is measured too"),
    (16, "return min(measured)", "return sum(measured) / len(measured)", "seconds", "the mean instead"),
    (16, "return min(measured)", "return sum(measured)", "seconds", "the sum instead"),
    (16, "return min(measured)", "return max(measured)", "seconds", "the largest instead"),
    (16, "return min(measured)", "return measured[-1]", "seconds", "the last measurement instead"),
    (16, "return min(measured)", "return 1000 * min(measured)", "seconds", "milliseconds"),
    (16, "start = clock()", "start, clock = time.perf_counter(), time.perf_counter", "seconds", "the clock is not"),
    (16, "        start = clock()\n        f()\n", "        f()\n        start = clock()\n", "seconds",
     "nothing is called between"),
    (16, RATIO, '"ratio": im2col / loops', "times", "the wrong way round"),
    (16, ", " + RATIO, "", "times", "expected a dict"),
    (16, 'return {"loops": loops, "im2col": im2col, "ratio": loops / im2col}', "return loops / im2col", "times",
     "expected a dict"),
    (16, "loops = seconds(lambda: conv_forward_loops(x, w, b, stride, padding), repeats)", "loops = 0.0", "times",
     "expected more than 0 seconds"),
    # --- 17: Fashion-MNIST, without its data
    (17, PREPARED, "((images[:, np.newaxis].astype(np.float32) - MEAN) / STD)", "pictures", "not divided by 255"),
    (17, PREPARED, "(images[:, np.newaxis].astype(np.float32) / 255)", "pictures", "neither MEAN nor STD"),
    (17, PREPARED, "(images[:, np.newaxis].astype(np.float32) / 255 - MEAN)", "pictures", "not divided by STD"),
    (17, PREPARED, "((images.astype(np.float32) / 255 - MEAN) / STD)", "pictures", "expected shape"),
    (17, PREPARED + ".astype(np.float32)", "((images[:, np.newaxis] / 255 - MEAN) / STD)", "pictures",
     "expected dtype"),
]
# fmt: on
