def output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """Counts the starts at which the window fits."""
    last = size + 2 * padding - dilation * (kernel_size - 1) - 1
    return len(range(0, last + 1, stride))
