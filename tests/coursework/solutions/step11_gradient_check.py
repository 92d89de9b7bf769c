"""Step 11, optional: two tests that find a wrong gradient."""

from collections.abc import Callable

import numpy as np


def numeric_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """The gradient of f at x by central differences, one element of x after the other:

        dx[i] = (f(x + eps·e_i) − f(x − eps·e_i)) / (2·eps)

    where e_i is 1 at the index i and 0 elsewhere.

    Args:
        f: takes an array of the shape of x and returns a number
        x: an array of any shape, float64

    Returns dx, of the shape of x. x is as before afterwards.

    Hints: `np.ndindex(x.shape)` gives all indices. Why central? Write down Taylor's series of f(x + eps) and of
    f(x − eps), and see which terms their difference loses. Why not eps = 1e-12? Take the difference of two numbers
    near 1000 that have 16 digits each.
    """
    dx = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[i] += eps
        below[i] -= eps
        dx[i] = (f(above) - f(below)) / (2 * eps)
    return dx


def gradient_is_right(
    forward: Callable[[np.ndarray], np.ndarray],
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    grad_output: np.ndarray,
) -> bool:
    """Whether backward(grad_output, x) is the gradient of forward at x, as far as differences can tell.

    forward gives an array, and differences need a number. Take L = Σ forward(x) · grad_output: its gradient with
    respect to forward(x) is grad_output, so its gradient with respect to x is what backward must return.

    Args:
        forward: x to y
        backward: (grad_output, x) to dx
        x: float64, of any shape
        grad_output: of the shape of y; not all ones, or a backward that ignores it would pass (why?)

    Returns True or False. False too if dx has another shape than x.

    Hints: differences are right to about 8 digits, so compare with a tolerance: relative to the largest element of the
    gradient, 1e-5 say. A fixed one is too strict for gradients of a million and too lax for gradients of a millionth.
    Compare every element: wrong gradients may be right on average, or wrong at the border only.
    """
    dx = backward(grad_output, x)
    if dx.shape != x.shape:
        return False
    numeric = numeric_gradient(lambda x: float((forward(x) * grad_output).sum()), x)
    return bool(np.abs(dx - numeric).max() <= 1e-5 * np.abs(numeric).max())


def is_adjoint(
    forward: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    g: np.ndarray,
) -> bool:
    """Whether ⟨forward(x), g⟩ = ⟨x, adjoint(g)⟩ for this x and this g: the test of the gradient of a *linear* map.

    ⟨a, b⟩ is the sum of the products of all elements. A convolution without bias is linear in x, and its adjoint is the
    map from grad_output to dx: col2im is that of im2col (step 5), conv_transpose that of conv (step 7). Two numbers are
    compared, so the test is fast for any size, and exact but for rounding. It needs no eps.

    Args:
        forward: x to an array of the shape of g
        adjoint: g to an array of the shape of x
        x, g: random, float64

    Returns True or False. False too if adjoint(g) has another shape than x.

    Hint: rounding is relative to the size of the terms, not to that of their sum, which may be near 0: compare with
    1e-9 times the sum of all |forward(x) · g|.
    """
    y, dx = forward(x), adjoint(g)
    if dx.shape != x.shape:
        return False
    return bool(abs((y * g).sum() - (x * dx).sum()) <= 1e-9 * np.abs(y * g).sum())
