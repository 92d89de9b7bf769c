"""Normalisation: batch, layer, group and instance."""

from __future__ import annotations

import math
from typing import Any

from tinycnn.nn.functional.arguments import sizes
from tinycnn.ops import norm as norm_ops
from tinycnn.tensor import Tensor


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
    _check_pair(running_mean, running_var, name)
    per_channel = (1, channels, *[1] * (input.ndim - 2))
    if training:
        count = input.numel() // max(channels, 1)
        if count <= 1:
            raise ValueError(f"{name}: expected more than 1 value per channel when training, got input {input.shape}")
        normalize = norm_ops.Normalize((0, *range(2, input.ndim)), eps)
        y = normalize(input)
        unbiased = normalize.variance.reshape(-1) * (count / (count - 1))
        _update_running(running_mean, running_var, normalize.mean.reshape(-1), unbiased, momentum)
        return _affine(y, weight, bias, name)
    if running_mean is None or running_var is None:
        raise ValueError(f"{name}: running_mean and running_var are needed when not training")
    scale = (running_var + eps) ** -0.5
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale
    if bias is not None:
        shift = shift + bias
    return input * scale.reshape(*per_channel) + shift.reshape(*per_channel)


def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """The last dimensions, of sizes `normalized_shape`, to mean 0 and variance 1, then · weight + bias of that shape.

    Source: Ba et al., "Layer Normalization", 2016.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or not isinstance(input, Tensor) or input.shape[-len(shape) :] != shape:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"layer_norm: expected input (*, {', '.join(map(str, shape))}), got {got}")
    for argument, x in (("weight", weight), ("bias", bias)):
        if x is not None and x.shape != shape:
            raise ValueError(f"layer_norm: expected {argument} of shape {shape}, got {x.shape}")
    y = norm_ops.Normalize(tuple(range(input.ndim - len(shape), input.ndim)), eps)(input)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each group of channels of each sample of (N, C, *) to mean 0 and variance 1, then · weight (C) + bias (C).

    Source: Wu and He, "Group Normalization", 2018.
    """
    if not isinstance(input, Tensor) or input.ndim < 2:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"group_norm: expected input (N, C, *), got {got}")
    (num_groups,) = sizes(num_groups, 1, "group_norm", "num_groups")
    batch, channels, *spatial = input.shape
    if channels % num_groups:
        raise ValueError(f"group_norm: num_groups={num_groups} does not divide {channels} channels, got {input.shape}")
    if input.numel() == num_groups:  # as in torch, that of several samples is a constant, not an error
        raise ValueError(f"group_norm: expected more than 1 value per group, got input {input.shape}")
    grouped = input.reshape(batch, num_groups, channels // num_groups, *spatial)
    y = norm_ops.Normalize(tuple(range(2, grouped.ndim)), eps)(grouped).reshape(*input.shape)
    return _affine(y, weight, bias, "group_norm")


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample of (N, C, *) to mean 0 and variance 1, then · weight (C) + bias (C).

    Running statistics, if given, move towards the mean over the batch of each sample's, and take their place where
    `use_input_stats` is False. Source: Ulyanov et al., "Instance Normalization", 2016.
    """
    if not isinstance(input, Tensor) or input.ndim < 3:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"instance_norm: expected input (N, C, *) with at least one spatial dimension, got {got}")
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps, name="instance_norm")
    count = math.prod(input.shape[2:])
    if count <= 1:
        raise ValueError(f"instance_norm: expected more than 1 spatial element when training, got input {input.shape}")
    _check_pair(running_mean, running_var, "instance_norm")
    normalize = norm_ops.Normalize(tuple(range(2, input.ndim)), eps)
    y = normalize(input)
    mean, variance = (x.reshape(input.shape[:2]).mean(axis=0) for x in (normalize.mean, normalize.variance))
    _update_running(running_mean, running_var, mean, variance * (count / (count - 1)), momentum)
    return _affine(y, weight, bias, "instance_norm")


def _check_pair(running_mean: Tensor | None, running_var: Tensor | None, name: str) -> None:
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name}: expected running_mean and running_var, or neither, got only one of them")


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None, name: str) -> Tensor:
    """y (N, C, *) · weight (C) + bias (C)."""
    channels, per_channel = y.shape[1], (1, y.shape[1], *[1] * (y.ndim - 2))
    for argument, x in (("weight", weight), ("bias", bias)):
        if x is not None and x.shape != (channels,):
            raise ValueError(f"{name}: expected {argument} of shape ({channels},), got {x.shape}")
    y = y if weight is None else y * weight.reshape(*per_channel)
    return y if bias is None else y + bias.reshape(*per_channel)


def _update_running(mean: Tensor | None, var: Tensor | None, new_mean: Any, new_var: Any, momentum: float) -> None:
    """Moves the running statistics, in place, towards those of a batch."""
    for running, new in ((mean, new_mean), (var, new_var)):
        if running is not None:
            running._array[...] = (1 - momentum) * running._array + momentum * new
            running._changed_in_place()
