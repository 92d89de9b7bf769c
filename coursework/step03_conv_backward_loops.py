"""Step 3: the gradients of convolution, with loops."""

import numpy as np


def conv_backward_loops(
    grad_output: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int = 1, padding: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `conv_forward_loops`: of a loss L, given grad_output = ∂L/∂y, return ∂L/∂x, ∂L/∂w and ∂L/∂b.

    Every product w[o, c, k, l] · x[n, c, row, column] that went into y[n, o, i, j] sends g = grad_output[n, o, i, j],
    times the *other* factor, to each of its two factors:

        dx[n, c, row, column] += g · w[o, c, k, l]        row = i·stride + k − padding
        dw[o, c, k, l]        += g · x[n, c, row, column] column = j·stride + l − padding
        db[o]                 += g

    Args:
        grad_output: (N, O, OH, OW)
        x, w, b: what the forward pass had; (N, C, H, W), (O, C, KH, KW), (O,)

    Returns (dx, dw, db), of the shapes of x, w and b. The arguments stay as they are.

    Hints: the loops are those of step 2; the one line in the middle becomes three. Why `+=`? In how many windows does
    the pixel in the middle of an image lie? Work on a padded copy of x and a padded dx, and cut the padding off dx at
    the end: at both ends.
    """
    raise NotImplementedError("conv_backward_loops")
