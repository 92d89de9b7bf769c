import numpy as np
from step01_output_size import output_size


def selection(input_size, kernel_size, stride, padding, dilation):
    """(KH·KW·OH·OW, H·W), zeros and ones: which pixel each element of a column is."""
    (H, W), (KH, KW) = input_size, kernel_size
    OH, OW = output_size(H, KH, stride, padding, dilation), output_size(W, KW, stride, padding, dilation)
    along = []
    for size, K, count in ((H, KH, OH), (W, KW, OW)):
        places = np.arange(K)[:, None] * dilation + np.arange(count) * stride - padding
        along.append((places[:, :, None] == np.arange(size)).astype(np.float64))
    rows, columns = along
    return np.einsum("kih,ljw->klijhw", rows, columns).reshape(KH * KW * OH * OW, H * W)


def im2col(x, kernel_size, stride=1, padding=0, dilation=1):
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    S = selection((H, W), kernel_size, stride, padding, dilation)
    return (x.reshape(N, C, H * W) @ S.T.astype(x.dtype)).reshape(N, C * KH * KW, -1)
