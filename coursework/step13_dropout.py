"""Step 13, optional: dropout."""

import numpy as np


def dropout_mask(shape: tuple[int, ...], p: float, rng: np.random.Generator) -> np.ndarray:
    """Which elements are kept: each with the probability 1 − p, independent of the others.

        mask[i] = u[i] ≥ p      with u = rng.random(shape), uniform in [0, 1)

    Args:
        shape: of the array to come
        p: the probability of being *dropped*, 0 ≤ p < 1
        rng: draws from it once, so that the same generator gives the same mask again

    Returns an array of bools of this shape.
    """
    raise NotImplementedError("dropout_mask")


def dropout_forward(x: np.ndarray, mask: np.ndarray, p: float) -> np.ndarray:
    """x where the mask keeps it, divided by 1 − p; 0 elsewhere.

    The division is what the word *inverted* dropout means: it makes the mean of y over all masks equal to x (why?), so
    that nothing has to be done at evaluation, when nothing is dropped.

    Args: x of any shape, mask of the same shape, bools; p as in `dropout_mask`. Returns y, of the shape and dtype of x.
    """
    raise NotImplementedError("dropout_forward")


def dropout_backward(grad_output: np.ndarray, mask: np.ndarray, p: float) -> np.ndarray:
    """dx of `dropout_forward`, with the mask of *that* forward pass: another mask would be another function.

    Args: grad_output of any shape, mask of the same shape. Returns dx, of the same shape.
    """
    raise NotImplementedError("dropout_backward")
