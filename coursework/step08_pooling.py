"""Step 8: max and average pooling."""

import numpy as np
from step01_output_size import output_size


def max_pool_forward(x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0) -> np.ndarray:
    """The largest element of each window, in each channel by itself.

        y[n, c, i, j] = max over k < KH, l < KW of x[n, c, i·stride + k − padding, j·stride + l − padding]

    Padding never wins, not even over negative numbers: it counts as −∞.

    Args: x (N, C, H, W), kernel_size (KH, KW). Returns y: (N, C, OH, OW).

    Hint: np.pad has constant_values. Loop over the windows or, faster, over the KH·KW kernel positions with np.maximum.
    """
    raise NotImplementedError("max_pool_forward")


def max_pool_backward(
    grad_output: np.ndarray, x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0
) -> np.ndarray:
    """dx of `max_pool_forward`: each output's gradient goes to the element that was the largest, and to it alone.

    If several elements of a window are equally large, the first of them in row-major order gets it all (as np.argmax
    counts). An element that is the largest of several windows gets the sum.

    Args: grad_output (N, C, OH, OW), x (N, C, H, W). Returns dx: (N, C, H, W). The arguments stay as they are.
    """
    raise NotImplementedError("max_pool_backward")


def avg_pool_forward(x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0) -> np.ndarray:
    """The mean of each window, in each channel by itself. The padding counts as zeros, and the divisor is always KH·KW.

    Args: x (N, C, H, W), kernel_size (KH, KW). Returns y: (N, C, OH, OW).
    """
    raise NotImplementedError("avg_pool_forward")


def avg_pool_backward(
    grad_output: np.ndarray, x: np.ndarray, kernel_size: tuple[int, int], stride: int, padding: int = 0
) -> np.ndarray:
    """dx of `avg_pool_forward`: each output's gradient goes to all elements of its window, in equal parts.

    Args: grad_output (N, C, OH, OW), x (N, C, H, W), of which only the shape matters. Returns dx: (N, C, H, W).
    """
    raise NotImplementedError("avg_pool_backward")
