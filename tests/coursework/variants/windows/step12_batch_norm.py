"""Channel by channel, by the chain rule."""

import numpy as np


def batch_norm_forward(x, weight, bias, eps=1e-5):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        centred = x[:, c] - x[:, c].mean()
        y[:, c] = weight[c] * centred / np.sqrt((centred**2).mean() + eps) + bias[c]
    return y


def batch_norm_backward(grad_output, x, weight, bias, eps=1e-5):
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(bias)
    for c in range(x.shape[1]):
        g, centred = grad_output[:, c], x[:, c] - x[:, c].mean()
        var = (centred**2).mean() + eps
        dbias[c], dweight[c] = g.sum(), (g * centred).sum() / var**0.5
        dz = g * weight[c]
        dvar = (dz * centred).sum() * -0.5 * var**-1.5
        dcentred = dz / var**0.5 + dvar * 2 * centred / g.size
        dx[:, c] = dcentred - dcentred.mean()
    return dx, dweight, dbias


def running_statistics(x, running_mean, running_var, momentum=0.1):
    M = x.size / x.shape[1]
    mean = x.mean(axis=(0, 2, 3))
    var = ((x - mean[:, None, None]) ** 2).sum(axis=(0, 2, 3)) / (M - 1)
    return running_mean + momentum * (mean - running_mean), running_var + momentum * (var - running_var)
