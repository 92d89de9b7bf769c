"""The layers as functions: torch.nn.functional's names, argument order and defaults.

Arguments are checked here, once for functions and layers alike: a layer calls the same code under its own name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import no_grad
from tinycnn.ops import conv as conv_ops
from tinycnn.ops import loss as loss_ops
from tinycnn.ops import norm as norm_ops
from tinycnn.ops import patches, pool
from tinycnn.ops.elementwise import relu, sigmoid, tanh
from tinycnn.ops.reduce import log_softmax, softmax
from tinycnn.tensor import Tensor

__all__ = [
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm", "conv1d", "conv2d", "conv3d", "cross_entropy", "dropout",
    "fold", "linear", "log_softmax", "max_pool1d", "max_pool2d", "max_pool3d", "mse_loss", "nll_loss", "one_hot",
    "relu", "sigmoid", "softmax", "tanh", "unfold",
]  # fmt: skip

# --- arguments --------------------------------------------------------------------------------------------


def sizes(value: Any, count: int, name: str, argument: str, least: int = 1) -> tuple[int, ...]:
    """An int, or `count` of them, as a tuple of `count` ints of at least `least`."""
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * count
    if any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) for v in given):
        raise TypeError(f"{name}: expected {argument} as an int or {count} ints, got {value!r}")
    if len(given) == 1:
        given *= count
    if len(given) != count:
        raise ValueError(f"{name}: expected {argument} as one int or {count}, got {len(given)}: {value!r}")
    if any(v < least for v in given):
        raise ValueError(f"{name}: expected {argument} of at least {least}, got {value!r}")
    return tuple(int(v) for v in given)


def _batched(x: Any, dims: int, name: str, channels: int | None = None) -> tuple[Tensor, bool]:
    """x as (N, C, *spatial), and whether a batch dimension had to be added: (C, *spatial) is one sample."""
    axes = ", ".join("DHW"[3 - dims :])
    expected = f"(N, {channels or 'C'}, {axes})"
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected an input Tensor {expected}, got {type(x).__name__}")
    if x.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"{name}: expected input {expected} or one sample without N, got shape {x.shape}")
    if channels is not None and x.shape[x.ndim - dims - 1] != channels:
        raise ValueError(f"{name}: expected input {expected}, got {x.shape}")
    return (x, False) if x.ndim == dims + 2 else (x.unsqueeze(0), True)


def _unbatched(y: Tensor, added: bool) -> Tensor:
    return y.squeeze(0) if added else y


# --- convolution ------------------------------------------------------------------------------------------


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """1-d convolution: (N, C, L) to (N, O, OL); see `conv2d`."""
    return convolve(1, "conv1d", input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """2-d convolution (cross-correlation, as in torch: the kernel is not flipped).

    y[n, o, i, j] = bias[o] + Σ_{c,k,l} weight[o, c, k, l] · input[n, c, i·stride + k·dilation − padding, ...]

    Args:
        input: (N, C, H, W), or (C, H, W) for one sample.
        weight: (O, C / groups, KH, KW).
        bias: (O), or None.
        stride, dilation: positive ints, or one for each of H and W.
        padding: zeros added on both sides, likewise; or "valid" (none), or "same" (output of the input's size;
            stride 1 only).
        groups: output channels are split into this many groups, each of which sees its own group of inputs.

    Returns:
        (N, O, OH, OW) with OH = ⌊(H + 2·padding − dilation·(KH − 1) − 1) / stride⌋ + 1.

    Raises ValueError or TypeError, naming the argument, if they do not fit.
    """
    return convolve(2, "conv2d", input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """3-d convolution: (N, C, D, H, W) to (N, O, OD, OH, OW); see `conv2d`."""
    return convolve(3, "conv3d", input, weight, bias, stride, padding, dilation, groups)


def convolve(
    dims: int, name: str, input: Any, weight: Tensor, bias: Tensor | None,
    stride: Any, padding: Any, dilation: Any, groups: int,
) -> Tensor:  # fmt: skip
    """The convolution over `dims` spatial dimensions; errors speak of `name`."""
    if not isinstance(weight, Tensor) or weight.ndim != dims + 2:
        got = weight.shape if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"{name}: expected a weight Tensor of {dims + 2} dimensions (O, C / groups, ...), got {got}")
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{name}: expected groups as a positive int, got {groups!r}")
    out_channels, group_channels = weight.shape[:2]
    if out_channels % groups:
        raise ValueError(f"{name}: groups={groups} does not divide the {out_channels} output channels of the weight")
    x, added = _batched(input, dims, name, group_channels * groups)
    if bias is not None and bias.shape != (out_channels,):
        raise ValueError(f"{name}: expected a bias of shape ({out_channels},), got {bias.shape}")
    for argument, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and (tensor.dtype != x.dtype or tensor.device != x.device):
            raise TypeError(
                f"{name}: input is {x.dtype} on {x.device}, {argument} is {tensor.dtype} on {tensor.device}: "
                "convert one with .to()"
            )
    spec = _conv_spec(name, x.shape[2:], weight.shape[2:], _hashable(stride), _hashable(padding), _hashable(dilation),
                      groups)  # fmt: skip
    return _unbatched(conv_ops.conv(x, weight, bias, spec), added)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=1024)
def _conv_spec(
    name: str, input_size: tuple, kernel_size: tuple, stride: Any, padding: Any, dilation: Any, groups: int
) -> conv_ops.ConvSpec:
    """The checked geometry; cached, because a net asks for the same few on every step."""
    dims = len(input_size)
    stride = sizes(stride, dims, name, "stride")
    dilation = sizes(dilation, dims, name, "dilation")
    pads = padding_pairs(padding, kernel_size, stride, dilation, name)
    spec = conv_ops.ConvSpec(input_size, kernel_size, stride, pads, dilation, False, groups)
    check_fits(spec, name)
    return spec


def padding_pairs(
    padding: Any, kernel_size: tuple, stride: tuple, dilation: tuple, name: str
) -> tuple[tuple[int, int], ...]:
    """(before, after) for each dimension, from ints, "valid" or "same"."""
    if padding == "valid":
        return ((0, 0),) * len(kernel_size)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: padding='same' needs stride 1, got stride {stride}")
        totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ValueError(f"{name}: expected padding as ints, 'valid' or 'same', got {padding!r}")
    return tuple((p, p) for p in sizes(padding, len(kernel_size), name, "padding", least=0))


def check_fits(window: patches.Window, name: str) -> None:
    """Refuses a window that is larger than the padded input."""
    if any(k < 1 for k in window.kernel_size):
        raise ValueError(f"{name}: expected a kernel of at least one element, got kernel size {window.kernel_size}")
    if any(extent > padded for extent, padded in zip(window.extent, window.padded_size, strict=True)):
        raise ValueError(
            f"{name}: kernel {window.kernel_size} with dilation {window.dilation} spans {window.extent}, more than "
            f"the padded input {window.padded_size}"
        )


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """im2col: (N, C, H, W) to (N, C·KH·KW, OH·OW), each column the window at one output position."""
    x, added = _batched(input, 2, "unfold")
    window = _unfold_window("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    return _unbatched(patches.im2col(x, window), added)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """col2im: (N, C·KH·KW, L) to (N, C, *output_size); overlapping windows add up. The adjoint of `unfold`."""
    if not isinstance(input, Tensor) or input.ndim not in (2, 3):
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"fold: expected input (N, C·KH·KW, L) or (C·KH·KW, L), got {got}")
    columns = input if input.ndim == 3 else input.unsqueeze(0)
    output_size = sizes(output_size, 2, "fold", "output_size")
    window = _unfold_window("fold", output_size, kernel_size, dilation, padding, stride)
    taps, positions = math.prod(window.kernel_size), math.prod(window.output_size)
    if columns.shape[1] % taps or columns.shape[2] != positions:
        raise ValueError(
            f"fold: for output_size {output_size} and kernel_size {window.kernel_size} expected input "
            f"(N, C·{taps}, {positions}), got {input.shape}"
        )
    return _unbatched(patches.col2im(columns, window), input.ndim == 2)


def _unfold_window(
    name: str, size: tuple, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> patches.Window:
    pads = tuple((p, p) for p in sizes(padding, 2, name, "padding", least=0))
    window = patches.Window(
        size, sizes(kernel_size, 2, name, "kernel_size"), sizes(stride, 2, name, "stride"), pads,
        sizes(dilation, 2, name, "dilation"),
    )  # fmt: skip
    check_fits(window, name)
    return window


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, name: str = "linear") -> Tensor:
    """y = input · weightᵀ + bias: input (*, in_features), weight (out_features, in_features), bias (out_features)."""
    if not isinstance(input, Tensor) or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"{name}: expected input (*, {weight.shape[1]}), got {got}")
    if input.dtype != weight.dtype:
        raise TypeError(f"{name}: input is {input.dtype}, weight is {weight.dtype}: convert one with .to()")
    y = input @ weight.T
    return y if bias is None else y + bias


# --- pooling ----------------------------------------------------------------------------------------------


def _pool_window(
    dims: int, name: str, x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> patches.Window:
    return _pool_spec(name, x.shape[2:], _hashable(kernel_size), _hashable(stride), _hashable(padding),
                      _hashable(dilation), bool(ceil_mode))  # fmt: skip


@lru_cache(maxsize=1024)
def _pool_spec(
    name: str, input_size: tuple, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> patches.Window:
    dims = len(input_size)
    kernel = sizes(kernel_size, dims, name, "kernel_size")
    pads = sizes(padding, dims, name, "padding", least=0)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise ValueError(f"{name}: expected padding of at most half the kernel size {kernel}, got {padding}")
    window = patches.Window(
        input_size, kernel, kernel if stride is None else sizes(stride, dims, name, "stride"),
        tuple((p, p) for p in pads), sizes(dilation, dims, name, "dilation"), ceil_mode,
    )  # fmt: skip
    if any(size < 1 for size in window.output_size):
        check_fits(window, name)
    return window


def max_pooling(
    dims: int, name: str, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Tensor:
    """Max pooling over `dims` spatial dimensions; errors speak of `name`."""
    x, added = _batched(input, dims, name)
    return _unbatched(
        pool.max_pool(x, _pool_window(dims, name, x, kernel_size, stride, padding, dilation, ceil_mode)), added
    )


def avg_pooling(
    dims: int, name: str, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    """Average pooling over `dims` spatial dimensions; errors speak of `name`."""
    if divisor_override == 0:
        raise ValueError(f"{name}: expected a divisor_override other than 0")
    x, added = _batched(input, dims, name)
    window = _pool_window(dims, name, x, kernel_size, stride, padding, 1, ceil_mode)
    return _unbatched(pool.avg_pool(x, window, count_include_pad, divisor_override), added)


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """(N, C, L) to (N, C, OL): the largest element of each window; see `max_pool2d`."""
    return max_pooling(1, "max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """(N, C, H, W) to (N, C, OH, OW): the largest element of each window.

    Args:
        kernel_size, stride (default: kernel_size), dilation: positive ints, or one for each of H and W.
        padding: elements of −∞ added on both sides, at most half the kernel size.
        ceil_mode: round the output size up, so that the last window may reach beyond the padded input.

    The gradient goes to the first largest element of the window.
    """
    return max_pooling(2, "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """(N, C, D, H, W) to (N, C, OD, OH, OW): the largest element of each window; see `max_pool2d`."""
    return max_pooling(3, "max_pool3d", input, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """(N, C, L) to (N, C, OL): the mean of each window; see `avg_pool2d`."""
    return avg_pooling(1, "avg_pool1d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, H, W) to (N, C, OH, OW): the mean of each window.

    Args:
        kernel_size, stride (default: kernel_size): positive ints, or one for each of H and W.
        padding: zeros added on both sides, at most half the kernel size.
        ceil_mode: round the output size up, so that the last window may reach beyond the padded input.
        count_include_pad: whether the zeros of the padding count in the mean.
        divisor_override: divide the sum by this instead of the number of elements.
    """
    return avg_pooling(
        2, "avg_pool2d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, D, H, W) to (N, C, OD, OH, OW): the mean of each window; see `avg_pool2d`."""
    return avg_pooling(
        3, "avg_pool3d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# --- normalisation and dropout ----------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    name: str = "batch_norm",
) -> Tensor:
    """Each channel of (N, C, *) to mean 0 and variance 1, then times `weight` (C) plus `bias` (C).

    In training the statistics are those of the batch, and the running ones move towards them by `momentum` (the
    variance unbiased); otherwise the running statistics are used. Source: Ioffe and Szegedy, 2015.
    """
    if not isinstance(input, Tensor) or input.ndim < 2:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"{name}: expected input (N, C, *), got {got}")
    channels = input.shape[1]
    per_feature = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for argument, x in per_feature.items():
        if x is not None and x.shape != (channels,):
            raise ValueError(
                f"{name}: expected {argument} of shape ({channels},) for input {input.shape}, got {x.shape}"
            )
    per_channel = (1, channels, *[1] * (input.ndim - 2))
    if training:
        count = input.numel() // max(channels, 1)
        if count <= 1:
            raise ValueError(f"{name}: expected more than 1 value per channel when training, got input {input.shape}")
        normalize = norm_ops.Normalize((0, *range(2, input.ndim)), eps)
        y = normalize(input)
        if running_mean is not None and running_var is not None:
            unbiased = normalize.variance.reshape(-1) * (count / (count - 1))
            for running, batch in ((running_mean, normalize.mean.reshape(-1)), (running_var, unbiased)):
                running._array[...] = (1 - momentum) * running._array + momentum * batch
                running._changed_in_place()
        if weight is not None:
            y = y * weight.reshape(*per_channel)
        return y if bias is None else y + bias.reshape(*per_channel)
    if running_mean is None or running_var is None:
        raise ValueError(f"{name}: running_mean and running_var are needed when not training")
    scale = (running_var + eps) ** -0.5
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale
    if bias is not None:
        shift = shift + bias
    return input * scale.reshape(*per_channel) + shift.reshape(*per_channel)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each element is 0 with probability `p`, else divided by 1 − p; the identity when not training."""
    check_probability(p, "dropout")
    if not training or p == 0:
        return input
    keep = _keep_mask(input._array, p)
    return input * Tensor._wrap(keep)


def _keep_mask(x: backend.Array, p: float) -> backend.Array:
    """0 with probability p, else 1 / (1 − p), in the memory order of `x`."""
    xp = backend.array_module(x)
    mask = xp.empty_like(x)
    draws = backend.random_generator(backend.device_of(x)).random(x.size, dtype=np.float32)
    mask.ravel(order="K")[...] = draws >= p
    if p < 1:
        mask *= 1 / (1 - p)
    return mask


def check_probability(p: Any, name: str) -> None:
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: expected p as a probability from 0 to 1, got {p!r}")


# --- losses -----------------------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    name: str = "cross_entropy",
) -> Tensor:
    """−log softmax(input)[target]: the softmax over classes and the negative log-likelihood in one.

    Args:
        input: scores (logits) (N, C), (N, C, *) or (C).
        target: class indices, integers, of the input's shape without C; or probabilities of the input's shape.
        weight: (C), a factor for each class; the mean is then the weighted one.
        ignore_index: targets of this value count nowhere.
        reduction: "mean", "sum" or "none".
        label_smoothing: this share of the target's probability is spread evenly over all classes.
    """
    _check_loss_input(name, input, target, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: expected label_smoothing from 0 to 1, got {label_smoothing}")
    class_dim = 0 if input.ndim == 1 else 1
    classes = input.shape[class_dim]
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{name}: expected a weight of shape ({classes},), got {weight.shape}")
    log_probs = input.log_softmax(class_dim)
    if target.is_floating_point() and target.shape == input.shape:
        smoothed = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        per_class = smoothed * log_probs
        if weight is not None:
            per_class = per_class * weight.reshape(-1, *[1] * (input.ndim - class_dim - 1))
        loss = -per_class.sum(class_dim)
        return loss_ops.reduced(loss, reduction, name)
    loss = loss_ops.nll_loss(log_probs, target, weight, ignore_index, reduction, name)
    if label_smoothing == 0:
        return loss
    smooth = _smoothing_loss(log_probs, target, weight, ignore_index, reduction, class_dim)
    return loss * (1 - label_smoothing) + smooth * (label_smoothing / classes)


def _smoothing_loss(
    log_probs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, class_dim: int
) -> Tensor:
    """−Σ_c weight[c] · log_probs[c] where the target counts; the mean is over the targets' own weights."""
    counts = target != ignore_index
    if weight is not None:
        log_probs = log_probs * weight.reshape(-1, *[1] * (log_probs.ndim - class_dim - 1))
    loss = -log_probs.sum(class_dim) * counts
    if reduction != "mean":
        return loss_ops.reduced(loss, reduction, "cross_entropy")
    own = counts.to(log_probs.dtype)
    if weight is not None:
        own = own * weight[target * counts]
    return loss.sum() / own.sum()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−weight[target] · input[target] for log-probabilities (N, C), (N, C, *) or (C); see `cross_entropy`."""
    _check_loss_input("nll_loss", input, target, reduction)
    return loss_ops.nll_loss(input, target, weight, ignore_index, reduction)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(input − target)², its mean or sum. Shapes must be equal."""
    loss_ops.check_same_shape("mse_loss", input, target)
    _check_loss_input("mse_loss", input, target, reduction)
    difference = input - target
    return loss_ops.reduced(difference * difference, reduction, "mse_loss")


def _check_loss_input(name: str, input: Any, target: Any, reduction: str) -> None:
    for argument, x in (("input", input), ("target", target)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected {argument} as a Tensor, got {type(x).__name__}")
    if not input.is_floating_point():
        raise TypeError(f"{name}: expected a floating-point input, got {input.dtype}")
    if input.ndim == 0 and name != "mse_loss":
        raise ValueError(f"{name}: expected input (N, C), (N, C, *) or (C), got a tensor without dimensions")
    if reduction == "mean" and input.numel() == 0:
        raise ValueError(f"{name}: the mean over an empty batch is undefined, got input of shape {input.shape}")


@no_grad()
def one_hot(target: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices (*) to (*, num_classes): 1 at the index, 0 elsewhere; num_classes defaults to the largest + 1."""
    if target.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integer class indices, got {target.dtype}")
    classes = target._array
    if num_classes == -1:
        num_classes = int(classes.max()) + 1
    if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
        raise ValueError(f"one_hot: indices from {classes.min()} to {classes.max()} for {num_classes} classes")
    return Tensor._wrap(backend.array_module(classes).eye(num_classes, dtype=np.int64)[classes])
