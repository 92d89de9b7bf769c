"""The layers as functions: torch.nn.functional's names, argument order and defaults.

Each is defined beside its layer, in `tinycnn/nn`: `conv2d` in `conv.py`, `relu` in `activation.py`, and so on.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from tinycnn._absent import no_attribute as _no_attribute
from tinycnn.nn.activation import (
    elu as elu, elu_ as elu_, gelu as gelu, hardswish as hardswish, leaky_relu as leaky_relu,
    leaky_relu_ as leaky_relu_, log_softmax as log_softmax, logsigmoid as logsigmoid, relu as relu, relu_ as relu_,
    sigmoid as sigmoid, silu as silu, softmax as softmax, softplus as softplus, tanh as tanh,
)  # fmt: skip
from tinycnn.nn.conv import (
    conv1d as conv1d, conv2d as conv2d, conv3d as conv3d, conv_transpose1d as conv_transpose1d,
    conv_transpose2d as conv_transpose2d, conv_transpose3d as conv_transpose3d, fold as fold, unfold as unfold,
)  # fmt: skip
from tinycnn.nn.distance import (
    bilinear as bilinear, cosine_similarity as cosine_similarity, normalize as normalize,
    pairwise_distance as pairwise_distance,
)  # fmt: skip
from tinycnn.nn.dropout import (
    alpha_dropout as alpha_dropout, dropout as dropout, dropout1d as dropout1d, dropout2d as dropout2d,
    dropout3d as dropout3d, feature_alpha_dropout as feature_alpha_dropout,
)  # fmt: skip
from tinycnn.nn.embedding import embedding as embedding
from tinycnn.nn.grid import affine_grid as affine_grid, grid_sample as grid_sample
from tinycnn.nn.likelihood import (
    gaussian_nll_loss as gaussian_nll_loss, huber_loss as huber_loss, kl_div as kl_div,
    poisson_nll_loss as poisson_nll_loss,
)  # fmt: skip
from tinycnn.nn.linear import linear as linear, one_hot as one_hot
from tinycnn.nn.local_norm import local_response_norm as local_response_norm, rms_norm as rms_norm
from tinycnn.nn.loss import (
    binary_cross_entropy as binary_cross_entropy,
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits, cross_entropy as cross_entropy,
    l1_loss as l1_loss, mse_loss as mse_loss, nll_loss as nll_loss, smooth_l1_loss as smooth_l1_loss,
)  # fmt: skip
from tinycnn.nn.lp_pool import lp_pool1d as lp_pool1d, lp_pool2d as lp_pool2d, lp_pool3d as lp_pool3d
from tinycnn.nn.margin import (
    cosine_embedding_loss as cosine_embedding_loss, hinge_embedding_loss as hinge_embedding_loss,
    margin_ranking_loss as margin_ranking_loss, multi_margin_loss as multi_margin_loss,
    multilabel_margin_loss as multilabel_margin_loss,
    multilabel_soft_margin_loss as multilabel_soft_margin_loss, soft_margin_loss as soft_margin_loss,
    triplet_margin_loss as triplet_margin_loss,
)  # fmt: skip
from tinycnn.nn.norm import (
    batch_norm as batch_norm, group_norm as group_norm, instance_norm as instance_norm, layer_norm as layer_norm,
)  # fmt: skip
from tinycnn.nn.piecewise import (
    hardshrink as hardshrink, hardsigmoid as hardsigmoid, hardtanh as hardtanh, hardtanh_ as hardtanh_, prelu as prelu,
    relu6 as relu6, rrelu as rrelu, rrelu_ as rrelu_, softshrink as softshrink, threshold as threshold,
    threshold_ as threshold_,
)  # fmt: skip
from tinycnn.nn.pool import (
    adaptive_avg_pool1d as adaptive_avg_pool1d, adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool3d as adaptive_avg_pool3d, adaptive_max_pool1d as adaptive_max_pool1d,
    adaptive_max_pool2d as adaptive_max_pool2d, adaptive_max_pool3d as adaptive_max_pool3d, avg_pool1d as avg_pool1d,
    avg_pool2d as avg_pool2d, avg_pool3d as avg_pool3d, max_pool1d as max_pool1d, max_pool2d as max_pool2d,
    max_pool3d as max_pool3d, max_unpool1d as max_unpool1d, max_unpool2d as max_unpool2d,
    max_unpool3d as max_unpool3d,
)  # fmt: skip
from tinycnn.nn.resize import (
    channel_shuffle as channel_shuffle, interpolate as interpolate, pad as pad, pixel_shuffle as pixel_shuffle,
    pixel_unshuffle as pixel_unshuffle, upsample as upsample,
)  # fmt: skip
from tinycnn.nn.smooth import (
    celu as celu, celu_ as celu_, glu as glu, gumbel_softmax as gumbel_softmax, mish as mish, selu as selu,
    selu_ as selu_, softmin as softmin, softsign as softsign, tanhshrink as tanhshrink,
)  # fmt: skip

if not _TYPE_CHECKING:  # to type checkers, what is not defined is not there

    def __getattr__(name: str) -> object:
        raise _no_attribute("tinycnn.nn.functional", name)
