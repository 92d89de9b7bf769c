"""Step 5: the adjoint of im2col, which takes gradients of columns to gradients of images."""

import numpy as np
from step01_output_size import output_size


def col2im(
    columns: np.ndarray,
    input_size: tuple[int, int],
    kernel_size: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> np.ndarray:
    """Adds every element of `columns` to the place where `im2col` would have read it:

        x[n, c, row, column] += columns[n, (c·KH + k)·KW + l, i·OW + j]
            with row = i·stride + k·dilation − padding, column = j·stride + l·dilation − padding

    What would fall on the padding is dropped. Where windows overlap, im2col reads an element several times, and here
    all of its copies add up: col2im is im2col's *adjoint*, not its inverse. For any x and any columns,

        (im2col(x) * columns).sum() == (x * col2im(columns)).sum()

    which is a test that you can run yourself.

    Args:
        columns: (N, C·KH·KW, OH·OW)
        input_size: (H, W) of the image
        kernel_size: (KH, KW)

    Returns x: (N, C, H, W). `columns` stays as it is.

    Hints: the loops of step 4 with the two sides of the assignment exchanged, and one character more. Collect in a
    padded array and cut the padding off at the end. The size of the output does not always tell that of the input
    (why?), which is why input_size is an argument.
    """
    (H, W), (KH, KW) = input_size, kernel_size
    N, C = columns.shape[0], columns.shape[1] // (KH * KW)
    OH, OW = output_size(H, KH, stride, padding, dilation), output_size(W, KW, stride, padding, dilation)
    columns = columns.reshape(N, C, KH, KW, OH, OW)
    x = np.zeros((N, C, H + 2 * padding, W + 2 * padding), columns.dtype)
    for k in range(KH):
        for l in range(KW):
            top, left = k * dilation, l * dilation
            x[:, :, top : top + stride * OH : stride, left : left + stride * OW : stride] += columns[:, :, k, l]
    return x[:, :, padding : padding + H, padding : padding + W]
