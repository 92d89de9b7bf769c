"""Step 15, optional: grouped and depthwise convolution."""

import numpy as np
from step06_conv import conv_backward, conv_forward


def grouped_conv_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> np.ndarray:
    """`groups` convolutions side by side: each sees its share of the input channels and makes its share of the outputs.

    The first C / groups input channels and the first O / groups kernels are the first group, and so on. Output channel
    o is in the group o // (O / groups), whose first input channel is that number times C / groups. So a kernel has
    C / groups channels, and there are `groups` times fewer weights and products. With groups = C, every channel by
    itself, the convolution is called depthwise: then O / C kernels, next to each other in w, see the same channel.

    Args: x (N, C, H, W), w (O, C / groups, KH, KW), b (O,); groups divides C and O. Returns y: (N, O, OH, OW).

    Hint: a convolution of step 6 for each group, on slices of x, w and b; then `np.concatenate`.
    """
    raise NotImplementedError("grouped_conv_forward")


def grouped_conv_backward(
    grad_output: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `grouped_conv_forward`.

    Args: grad_output (N, O, OH, OW); x, w, b and the rest as in the forward pass.
    Returns (dx, dw, db), of the shapes of x, w and b.

    Hint: which outputs does an input channel reach? Only those of its group, so the groups do not meet here either.
    """
    raise NotImplementedError("grouped_conv_backward")
