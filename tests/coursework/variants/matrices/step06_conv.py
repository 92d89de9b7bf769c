import numpy as np
from step01_output_size import output_size


def _taps(x, w, stride, padding, dilation):
    """For each kernel position, the matrix there and the slice of the padded input that it meets."""
    OH, OW = (output_size(n, K, stride, padding, dilation) for n, K in zip(x.shape[2:], w.shape[2:]))
    for k, l in np.ndindex(w.shape[2:]):
        rows = slice(k * dilation, k * dilation + stride * (OH - 1) + 1, stride)
        columns = slice(l * dilation, l * dilation + stride * (OW - 1) + 1, stride)
        yield (Ellipsis, k, l), (slice(None), slice(None), rows, columns)


def _padded(x, padding):
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def conv_forward(x, w, b, stride=1, padding=0, dilation=1):
    """A 1×1 convolution for each kernel position, summed."""
    padded = _padded(x, padding)
    products = [np.tensordot(w[tap], padded[part], (1, 1)) for tap, part in _taps(x, w, stride, padding, dilation)]
    return sum(products[1:], products[0]).swapaxes(0, 1) + b[:, None, None]


def conv_backward(grad_output, x, w, b, stride=1, padding=0, dilation=1):
    padded = _padded(x, padding)
    d_padded, dw = np.zeros_like(padded), np.empty_like(w)
    for tap, part in _taps(x, w, stride, padding, dilation):
        dw[tap] = np.tensordot(grad_output, padded[part], ((0, 2, 3), (0, 2, 3)))
        d_padded[part] += np.tensordot(w[tap], grad_output, (0, 1)).swapaxes(0, 1)
    dx = d_padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return dx, dw, np.einsum("noij->o", grad_output)
