import numpy as np


def dropout_mask(shape, p, rng):
    return np.logical_not(rng.random(shape) < p)


def dropout_forward(x, mask, p):
    y = np.zeros_like(x)
    y[mask] = x[mask] / (1 - p)
    return y


def dropout_backward(grad_output, mask, p):
    return dropout_forward(grad_output, mask, p)
