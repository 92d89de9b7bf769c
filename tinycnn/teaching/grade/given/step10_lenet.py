import numpy as np
from step06_conv import conv_backward, conv_forward
from step08_pooling import max_pool_backward, max_pool_forward
from step09_cross_entropy import cross_entropy_backward, cross_entropy_forward


def relu_forward(x):
    return np.maximum(x, 0)


def relu_backward(grad_output, x):
    return grad_output * (x > 0)


def linear_forward(x, w, b):
    return x @ w.T + b


def linear_backward(grad_output, x, w, b):
    return grad_output @ w, grad_output.T @ x, grad_output.sum(axis=0)


def loss_and_gradients(parameters, images, labels):
    """All layers by hand, forward and back: (function, its inputs) of each, on a list."""
    p, done = parameters, []

    def layer(forward, backward, *arguments):
        done.append((backward, arguments))
        return forward(*arguments)

    h = layer(conv_forward, conv_backward, images, p["w1"], p["b1"], 1, 2)
    h = layer(relu_forward, relu_backward, h)
    h = layer(max_pool_forward, max_pool_backward, h, (2, 2), 2)
    h = layer(conv_forward, conv_backward, h, p["w2"], p["b2"])
    h = layer(relu_forward, relu_backward, h)
    h = layer(max_pool_forward, max_pool_backward, h, (2, 2), 2)
    h = layer(linear_forward, linear_backward, h.reshape(len(h), 64), p["w3"], p["b3"])
    h = layer(relu_forward, relu_backward, h)
    h = layer(linear_forward, linear_backward, h, p["w4"], p["b4"])
    g, gradients, number = cross_entropy_backward(1.0, h, labels), {}, 4
    for backward, arguments in reversed(done):
        g = backward(g, *arguments)
        if isinstance(g, tuple):
            g, gradients[f"w{number}"], gradients[f"b{number}"] = g
            g, number = g if number != 3 else g.reshape(-1, 16, 2, 2), number - 1
    return float(cross_entropy_forward(h, labels)), gradients
