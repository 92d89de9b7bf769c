"""Step 6: convolution as one matrix product, and its gradients."""

import numpy as np
from step01_output_size import output_size
from step04_im2col import im2col
from step05_col2im import col2im


def conv_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1
) -> np.ndarray:
    """The convolution of step 2, now also dilated, as a matrix product:

        y = w as (O, C·KH·KW)  @  im2col(x) as (N, C·KH·KW, OH·OW)  +  b as (O, 1)

    Args: x (N, C, H, W), w (O, C, KH, KW), b (O,). Returns y: (N, O, OH, OW).

    Hint: `@` of a matrix and a stack of N matrices is a stack of N matrices.
    """
    raise NotImplementedError("conv_forward")


def conv_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `conv_forward`. With dy = grad_output as (N, O, OH·OW):

        dw        = Σ over the batch of  dy @ columnsᵀ     (O, C·KH·KW)
        d_columns = wᵀ @ dy                                (N, C·KH·KW, OH·OW)
        dx        = col2im(d_columns)
        db        = Σ over batch and positions of dy       (O,)

    which is the rule for a matrix product, y = w @ columns, and nothing else.

    Args: grad_output (N, O, OH, OW); x, w, b as in the forward pass.
    Returns (dx, dw, db), of the shapes of x, w and b.

    Hint: make the columns again instead of keeping them; check every shape on paper before you run it.
    """
    raise NotImplementedError("conv_backward")
