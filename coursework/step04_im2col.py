"""Step 4: every window as a column of a matrix."""

import numpy as np
from step01_output_size import output_size


def im2col(
    x: np.ndarray, kernel_size: tuple[int, int], stride: int = 1, padding: int = 0, dilation: int = 1
) -> np.ndarray:
    """Copies every window of x into a column, so that a convolution becomes one matrix product (step 6).

        columns[n, (c·KH + k)·KW + l, i·OW + j] = x[n, c, row, column]
            with row = i·stride + k·dilation − padding, column = j·stride + l·dilation − padding

    and x 0 outside the image. The rows are ordered by channel, then kernel row, then kernel column: the order of
    w.reshape(O, C·KH·KW). The columns are ordered by output row, then output column.

    Args:
        x: (N, C, H, W)
        kernel_size: (KH, KW)

    Returns columns: (N, C·KH·KW, OH·OW). x stays as it is.

    Hints: six loops are right, and far too slow for step 10. Loop over the KH·KW kernel positions only: for one (k, l),
    the elements for all i and j at once are a slice of the padded x with a step, `start : stop : stride`. Put them into
    an array (N, C, KH, KW, OH, OW) and reshape that at the end. A reshape reads in the order of the axes; it never
    moves an axis, which is what a transpose does.
    """
    raise NotImplementedError("im2col")
