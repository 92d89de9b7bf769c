"""Step 1: how many windows fit?"""


def output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """The number of positions of a sliding window along one axis: the size of the output.

    The axis has `size` elements and gets `padding` zeros at *each* end. Neighbouring elements of the kernel lie
    `dilation` apart, so a kernel of `kernel_size` elements covers

        extent = dilation·(kernel_size − 1) + 1

    elements from its first to its last. The window starts at 0, stride, 2·stride, ..; the last start is the largest
    at which the whole window still lies on the padded axis. A window that does not fit is not used.

    Hint: with stride 1 and an axis of n elements there are n − extent + 1 positions. Draw n = 7, extent = 3 and count
    for stride 1, 2, 3; then divide with `//`.

    Returns an int.
    """
    extent = dilation * (kernel_size - 1) + 1
    return (size + 2 * padding - extent) // stride + 1
