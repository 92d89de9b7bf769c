"""The layers as functions: torch.nn.functional's names, argument order and defaults.

Arguments are checked here, once for functions and layers alike: a layer calls the same code under its own name.
"""

from tinycnn.nn.functional.activation import (
    elu,
    gelu,
    hardswish,
    leaky_relu,
    log_softmax,
    logsigmoid,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from tinycnn.nn.functional.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    fold,
    unfold,
)
from tinycnn.nn.functional.dropout import dropout, dropout1d, dropout2d, dropout3d
from tinycnn.nn.functional.linear import linear, one_hot
from tinycnn.nn.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from tinycnn.nn.functional.norm import batch_norm, group_norm, instance_norm, layer_norm
from tinycnn.nn.functional.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from tinycnn.nn.functional.resize import interpolate, pad, pixel_shuffle, pixel_unshuffle
