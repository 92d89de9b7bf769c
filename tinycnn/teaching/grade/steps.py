"""All steps, in order."""

from __future__ import annotations

from tinycnn.teaching.grade import conv, im2col, lenet, loss, optional, output_size, pooling, transposed
from tinycnn.teaching.grade.exercise import Step

STEPS = [
    Step(1, "output size", "step01_output_size", [output_size.SIZE]),
    Step(2, "convolution forward, with loops", "step02_conv_forward_loops", [conv.CONV_LOOPS]),
    Step(3, "convolution backward, with loops", "step03_conv_backward_loops", [conv.CONV_BACKWARD_LOOPS]),
    Step(4, "im2col", "step04_im2col", [im2col.IM2COL]),
    Step(5, "col2im", "step05_col2im", [im2col.COL2IM]),
    Step(6, "convolution through im2col and col2im", "step06_conv", [conv.CONV, conv.CONV_BACKWARD]),
    Step(7, "the input gradient as a transposed convolution", "step07_conv_transpose",
         [transposed.INSERT_ZEROS, transposed.ROTATE_KERNEL, transposed.CONV_TRANSPOSE]),
    pooling.STEP,
    loss.STEP,
    lenet.STEP,
    *optional.STEPS,
]  # fmt: skip
