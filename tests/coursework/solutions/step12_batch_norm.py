"""Step 12, optional: batch normalisation."""

import numpy as np


def batch_norm_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Each channel with mean 0 and variance 1 over the batch and all positions, then scaled and shifted:

        mean[c] = Σ_{n, i, j} x[n, c, i, j] / M                    M = N·H·W
        var[c]  = Σ_{n, i, j} (x[n, c, i, j] − mean[c])² / M
        z[n, c, i, j] = (x[n, c, i, j] − mean[c]) / √(var[c] + eps)
        y[n, c, i, j] = weight[c] · z[n, c, i, j] + bias[c]

    Args: x (N, C, H, W), weight (C,), bias (C,). Returns y: (N, C, H, W). The arguments stay as they are.

    Hint: `axis=(0, 2, 3), keepdims=True` leaves the mean a shape that broadcasts against x. weight has one axis only,
    and would broadcast along W: bring it to (1, C, 1, 1).
    """
    mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    z = (x - mean) / np.sqrt(var + eps)
    return weight.reshape(1, -1, 1, 1) * z + bias.reshape(1, -1, 1, 1)


def batch_norm_backward(
    grad_output: np.ndarray, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `batch_norm_forward`. With g = grad_output, s[c] = √(var[c] + eps), and sums over n, i, j:

        dbias[c]   = Σ g
        dweight[c] = Σ g · z
        dx         = weight[c] / s[c] · (g − (Σ g) / M − z · (Σ g · z) / M)

    The first term of dx is the direct way. The second and the third are the ways through the mean and the variance:
    each x moves both for its channel, and with them every output of the channel.

    Args: grad_output (N, C, H, W); x, weight, bias and eps as in the forward pass.
    Returns (dx, dweight, dbias), of the shapes of x, weight and bias. The arguments stay as they are.

    Hint: derive it before you use it. dz = weight · g; then var and mean as functions of x, and the chain rule. One sum
    vanishes on the way, Σ (x − mean). What must the sum of dx over a channel be? (Add 1 to all of x: what does y do?)
    """
    M = x.size // x.shape[1]
    mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    s = np.sqrt(var + eps)
    z = (x - mean) / s
    dbias = grad_output.sum(axis=(0, 2, 3), keepdims=True)
    dweight = (grad_output * z).sum(axis=(0, 2, 3), keepdims=True)
    dx = weight.reshape(1, -1, 1, 1) / s * (grad_output - dbias / M - z * dweight / M)
    return dx, dweight.reshape(-1), dbias.reshape(-1)


def running_statistics(
    x: np.ndarray, running_mean: np.ndarray, running_var: np.ndarray, momentum: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """The statistics for evaluation, where no batch gives them: running means over the batches of the training.

        new = (1 − momentum) · running + momentum · that of this batch

    The variance of the batch is here the unbiased one, divided by M − 1 instead of M, as torch has it.

    Args: x (N, C, H, W), the batch; running_mean (C,), running_var (C,).
    Returns (running_mean, running_var), new arrays. The arguments stay as they are.
    """
    mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3), ddof=1)
    return (1 - momentum) * running_mean + momentum * mean, (1 - momentum) * running_var + momentum * var
