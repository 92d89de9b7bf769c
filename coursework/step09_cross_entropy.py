"""Step 9: softmax and cross-entropy, in one."""

import numpy as np


def cross_entropy_forward(scores: np.ndarray, target: np.ndarray) -> float:
    """The mean over the batch of minus the logarithm of the probability that softmax gives to the right class:

        p[n, c] = e^scores[n, c] / Σ_d e^scores[n, d]
        loss    = −1/N · Σ_n log p[n, target[n]]

    Args:
        scores: (N, C), any real numbers, thousands too
        target: (N,), the right classes, ints from 0 to C − 1

    Returns a number.

    Hints: e^1000 overflows. Subtracting a row's maximum from the row changes no probability (why?). Then do not take
    the logarithm of a quotient that may have become 0: log(a / b) = log a − log b.
    """
    raise NotImplementedError("cross_entropy_forward")


def cross_entropy_backward(grad_output: float, scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The gradient of `cross_entropy_forward` with respect to the scores:

        d_scores = grad_output · (p − one_hot(target)) / N

    Args: grad_output, a number (∂L/∂loss; 1 if the loss is the last thing computed); scores and target as above.
    Returns d_scores: (N, C).
    """
    raise NotImplementedError("cross_entropy_backward")
