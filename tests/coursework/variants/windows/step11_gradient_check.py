"""In place, with the element put back."""

import numpy as np


def numeric_gradient(f, x, eps=1e-5):
    x, dx = np.array(x), []
    for i in range(x.size):
        before = x.flat[i]
        x.flat[i] = before + eps
        above = f(x)
        x.flat[i] = before - eps
        below = f(x)
        x.flat[i] = before
        dx.append((above - below) / eps / 2)
    return np.array(dx).reshape(x.shape)


def gradient_is_right(forward, backward, x, grad_output):
    dx = backward(grad_output, x)
    wanted = numeric_gradient(lambda a: np.vdot(forward(a), grad_output), x, 1e-4)
    return dx.shape == wanted.shape and np.allclose(dx, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def is_adjoint(forward, adjoint, x, g):
    dx, y = adjoint(g), forward(x)
    if np.shape(dx) != np.shape(x):
        return False
    return abs(np.vdot(y, g) - np.vdot(x, dx)) < 1e-10 * np.linalg.norm(y) * np.linalg.norm(g)
