import numpy as np


def dropout_mask(shape, p, rng):
    return rng.random(size=shape) >= p


def dropout_forward(x, mask, p):
    return np.where(mask, x * (1 / (1 - p)), np.zeros(1, x.dtype))


def dropout_backward(grad_output, mask, p):
    return np.where(mask, grad_output, 0).astype(grad_output.dtype) / (1 - p)
