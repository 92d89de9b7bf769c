"""All differences as rows of the identity; the adjoint as a matrix."""

import numpy as np


def numeric_gradient(f, x, eps=1e-5):
    steps = eps * np.eye(x.size).reshape(x.size, *x.shape)
    return np.reshape([(f(x + e) - f(x - e)) / (2 * eps) for e in steps], x.shape)


def gradient_is_right(forward, backward, x, grad_output):
    dx = backward(grad_output, x)
    if x.shape != dx.shape:
        return False
    wanted = numeric_gradient(lambda a: (forward(a) * grad_output).sum(), x)
    return np.linalg.norm(dx - wanted) / (np.linalg.norm(dx) + np.linalg.norm(wanted)) < 1e-6


def is_adjoint(forward, adjoint, x, g):
    y, dx = forward(x), adjoint(g)
    return x.shape == dx.shape and np.isclose((y * g).sum() / np.abs(y * g).sum(), (x * dx).sum() / np.abs(y * g).sum(),
                                              rtol=0, atol=1e-9)  # fmt: skip
