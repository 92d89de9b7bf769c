"""Step 7: the input gradient once more, as a convolution: where the rotated kernel comes from."""

import numpy as np
from step06_conv import conv_forward


def insert_zeros(grad_output: np.ndarray, stride: int) -> np.ndarray:
    """stride − 1 zeros between neighbours along both axes, and none at the ends.

    grad_output (N, O, OH, OW) to (N, O, (OH − 1)·stride + 1, (OW − 1)·stride + 1).

    Hint: an array of zeros, and one assignment to a slice with a step.
    """
    N, O, OH, OW = grad_output.shape
    spread = np.zeros((N, O, (OH - 1) * stride + 1, (OW - 1) * stride + 1), grad_output.dtype)
    spread[:, :, ::stride, ::stride] = grad_output
    return spread


def rotate_kernel(w: np.ndarray) -> np.ndarray:
    """Input and output channels exchanged, and every kernel rotated by 180°: rows and columns reversed.

    w (O, C, KH, KW) to (C, O, KH, KW).
    """
    return w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]


def conv_transpose(
    grad_output: np.ndarray,
    w: np.ndarray,
    input_size: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> np.ndarray:
    """dx of step 6, by a convolution of grad_output instead of col2im.

    In one dimension, with stride 1 and without padding: y[i] = Σ_k w[k] · x[i + k], so x[r] meets w[k] in y[r − k], and

        dx[r] = Σ_k w[k] · g[r − k]

    The index of g *falls* as k rises. Read backwards, k' = K − 1 − k, it rises again: a convolution of g, padded with
    K − 1 zeros on each side, with the reversed kernel. That is where the rotation comes from. Then

    - a stride leaves out positions: zeros take their place (`insert_zeros`);
    - a dilated kernel stays dilated, and the zeros around g are dilation·(K − 1);
    - padding that the forward pass put around x is cut off dx: that many zeros fewer around g, and where that is less
      than none, rows and columns of the result are cut off instead;
    - rows and columns of x behind the last window met no kernel: more zeros behind g, until dx has `input_size`.

    Args:
        grad_output: (N, O, OH, OW)
        w: (O, C, KH, KW)
        input_size: (H, W) of x

    Returns dx: (N, C, H, W).

    Hint: pad by dilation·(K − 1) in front and by as much as it takes behind, convolve with stride 1 and no padding, and
    take [padding : padding + H]; that covers every case.
    """
    (H, W), (_, C, KH, KW) = input_size, w.shape
    spread = insert_zeros(grad_output, stride)
    before = [dilation * (K - 1) for K in (KH, KW)]
    # The result has H + 2·padding rows: as many as go in, less dilation·(KH − 1).
    after = [n + 2 * padding - size for n, size in zip((H, W), spread.shape[2:], strict=True)]
    spread = np.pad(spread, ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])))
    dx = conv_forward(spread, rotate_kernel(w), np.zeros(C, w.dtype), 1, 0, dilation)
    return dx[:, :, padding : padding + H, padding : padding + W]
