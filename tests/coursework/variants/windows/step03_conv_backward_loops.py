from step06_conv import conv_backward


def conv_backward_loops(grad_output, x, w, b, stride=1, padding=0):
    return conv_backward(grad_output, x, w, b, stride, padding)
