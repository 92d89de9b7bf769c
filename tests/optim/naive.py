"""What torch lacks, in plain NumPy: each function is one step of one parameter, in place; `state` is {} at first."""

import numpy as np


def sgd(param, grad, state, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False,
        decoupled_weight_decay=False):  # fmt: skip
    """SGDW, algorithm 1 of Loshchilov and Hutter, element by element; plain SGD if weight decay is not decoupled."""
    first, velocity = "velocity" not in state, state.setdefault("velocity", np.zeros_like(param))
    for i in np.ndindex(param.shape):
        g = -grad[i] if maximize else grad[i]
        if not decoupled_weight_decay:
            g += weight_decay * param[i]
        velocity[i] = momentum * velocity[i] + (1 if first else 1 - dampening) * g
        step = g + momentum * velocity[i] if nesterov else velocity[i] if momentum else g
        shrunk = lr * weight_decay * param[i] if decoupled_weight_decay else 0
        param[i] -= lr * step + shrunk


def lion(param, grad, state, lr, betas=(0.9, 0.99), weight_decay=0, maximize=False):
    """Algorithm 2 of Chen et al., element by element."""
    (beta1, beta2), mean = betas, state.setdefault("mean", np.zeros_like(param))
    for i in np.ndindex(param.shape):
        g = -grad[i] if maximize else grad[i]
        sign = np.sign(beta1 * mean[i] + (1 - beta1) * g)
        param[i] -= lr * (sign + weight_decay * param[i])
        mean[i] = beta2 * mean[i] + (1 - beta2) * g


def muon(param, grad, state, lr, weight_decay=0.1, momentum=0.95, nesterov=True,
         ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn=None):  # fmt: skip
    """Jordan's, by a singular value decomposition: the polynomial is taken of the singular values alone."""
    mean = state.setdefault("mean", np.zeros_like(param))
    mean[...] = momentum * mean + (1 - momentum) * grad
    direction = (1 - momentum) * grad + momentum * mean if nesterov else mean
    u, s, v = np.linalg.svd(direction.reshape(len(param), -1), full_matrices=False)
    s /= max(np.sqrt((s**2).sum()), eps)
    a, b, c = ns_coefficients
    for _ in range(ns_steps):
        s = a * s + b * s**3 + c * s**5
    rows, columns = len(u), v.shape[1]
    factor = 0.2 * max(rows, columns) ** 0.5 if adjust_lr_fn == "match_rms_adamw" else max(1, rows / columns) ** 0.5
    param -= lr * weight_decay * param
    param -= lr * factor * (u * s @ v).reshape(param.shape)
