"""Step 2: convolution as its definition says, with loops."""

import numpy as np
from step01_output_size import output_size


def conv_forward_loops(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    """A batch of images under a set of kernels.

        y[n, o, i, j] = b[o] + Σ_{c, k, l} w[o, c, k, l] · x[n, c, i·stride + k − padding, j·stride + l − padding]

    where x is 0 outside the image. The kernel is *not* rotated: what is called convolution in deep learning is called
    cross-correlation in mathematics. `stride` and `padding` hold for both axes; images and kernels need not be square.

    Args:
        x: (N, C, H, W)
        w: (O, C, KH, KW), a kernel of all C channels for each of the O output channels
        b: (O,)

    Returns y: (N, O, OH, OW), with OH and OW from step 1. x, w and b stay as they are.

    Hint: `np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))` makes a padded copy, and the formula
    loses its − padding. Loop over n, o, i, j; cut out the window as one slice and multiply it with w[o].
    """
    raise NotImplementedError("conv_forward_loops")
