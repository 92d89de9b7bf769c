from step04_im2col import selection


def col2im(columns, input_size, kernel_size, stride=1, padding=0, dilation=1):
    """The adjoint of a matrix is its transpose."""
    N, C = len(columns), columns.shape[1] // (kernel_size[0] * kernel_size[1])
    S = selection(input_size, kernel_size, stride, padding, dilation)
    return (columns.reshape(N, C, -1) @ S.astype(columns.dtype)).reshape(N, C, *input_size)
