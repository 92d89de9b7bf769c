"""Normalisation to mean 0 and variance 1, functions and layers: batch, layer, group and instance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinycnn import backend, creation, dtypes
from tinycnn.autocast_mode import autocasts
from tinycnn.autograd import ON_CPU, Function, Gradients, is_grad_enabled, wrap
from tinycnn.backend import Array, DeviceLike
from tinycnn.checks import check_flag, check_not_negative, check_number
from tinycnn.dtypes import DTypeLike
from tinycnn.nn import init
from tinycnn.nn.arguments import check_shapes, size, sizes
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.ops.arithmetic import widened
from tinycnn.ops.in_place import assign, check_changeable
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.shape import reshaped
from tinycnn.tensor import Tensor

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "LayerNorm",
]  # fmt: skip


class Standardize(Function):
    """y = x̂ · weight + bias with x̂ = (x − mean) / √(variance + eps), mean and (biased) variance taken over `dims`.

    weight and bias, if given, have an element for each mean. After `forward`, `mean` and `variance` hold the
    statistics, with size 1 along `dims`. `running` is what `backend.cpu.standardize` moves towards them.

    Backward: Ioffe and Szegedy 2015, section 3.
    """

    saves_inputs = (0, 1)
    in_float32 = ON_CPU

    def __init__(self, dims: tuple[int, ...], eps: float, running: Any = None):
        self.dims, self.eps, self.running = dims, eps, running

    def forward(self, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        kept = self._kept(x.shape)
        weight, bias = (None if array is None else array.reshape(kept) for array in (weight, bias))
        y, self.mean, self.variance, self.saved = self.kernels.standardize(
            x, self.dims, self.eps, weight, bias, self.running
        )
        return y

    def backward(self, grad_output: Tensor) -> Gradients:
        x, weight, *_ = (*self.inputs, None)
        kept = self._kept(x.shape)
        weight = None if weight is None else weight.reshape(*kept)
        gradients: Sequence[Any]
        if is_grad_enabled():
            gradients = self._recorded_backward(widened(grad_output), widened(x), weight)
        else:
            found = self.kernels.standardize_backward(
                grad_output._array, x.to(grad_output.dtype)._array, self.saved, self.dims,
                None if weight is None else weight._array, self.needs_input_grad[0],
            )  # fmt: skip
            gradients = [None if array is None else wrap(array) for array in found]
        return gradients[0], *[g.reshape(-1) for g in gradients[1 : len(self.edges)]]

    def _kept(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([1 if d in self.dims else n for d, n in enumerate(shape)])

    def _recorded_backward(self, u: Tensor, x: Tensor, weight: Tensor | None) -> list[Tensor]:
        """The gradients of x, weight and bias by operators, which can be differentiated in turn."""
        inverse_std = (x.var(self.dims, correction=0, keepdim=True) + self.eps) ** -0.5
        x_hat = (x - x.mean(self.dims, keepdim=True)) * inverse_std
        sum_ux, sum_u = (u * x_hat).sum(self.dims, keepdim=True), u.sum(self.dims, keepdim=True)
        count = math.prod([x.shape[d] for d in self.dims])
        g = (u - sum_u / count - x_hat * (sum_ux / count)) * inverse_std
        return [g if weight is None else g * weight, sum_ux, sum_u]


class Affine(Function):
    """y · weight + bias, which broadcast or are None, rounded once: of 16 bits with parameters of 32, 16 bits."""

    saves_inputs = (0, 1)
    in_float32 = ON_CPU

    def forward(self, y: Array, weight: Array | None, bias: Array | None) -> Array:
        return self.kernels.scale_shift(y, weight, bias)

    def backward(self, grad_output: Tensor) -> Gradients:
        y, weight, _ = self.inputs
        need_y, need_weight, need_bias = self.needs_input_grad
        wide = widened(grad_output)  # gradients of parameters are sums
        return (
            (grad_output if weight is None else Affine()(grad_output, weight, None)) if need_y else None,
            wide * widened(y) if need_weight else None,
            wide if need_bias else None,
        )


# --- functions ----------------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5, *,
    num_batches_tracked: Tensor | None = None, name: str = "batch_norm",
) -> Tensor:  # fmt: skip
    """Each channel of (N, C, *) to mean 0 and variance 1, then times `weight` (C) plus `bias` (C).

    In training the statistics are those of the batch, and the running ones move towards them by `momentum` (the
    variance unbiased) and `num_batches_tracked` (int64), if given, is counted up; otherwise the running statistics are
    used. Source: Ioffe and Szegedy, 2015.
    """
    if not isinstance(input, Tensor) or input.ndim < 2:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"{name}: expected input (N, C, *), got {got}")
    channels = input.shape[1]
    statistics = {"running_mean": running_mean, "running_var": running_var}
    _check(name, input, (channels,), eps, weight=weight, bias=bias, **statistics)
    _check_momentum(name, momentum)
    check_flag(name, "training", training)
    _check_pair(running_mean, running_var, name)
    if training:
        if not eps > 0:
            raise ValueError(f"{name}: expected eps above 0 when training, got {eps}")
        if input.numel() == channels > 0:
            raise ValueError(f"{name}: expected more than 1 value per channel when training, got input {input.shape}")
        moving = [x for x in (running_mean, running_var, num_batches_tracked) if x is not None]
        for x in moving:
            check_changeable("running statistics", x)
        if input.numel() == 0:
            if num_batches_tracked is not None:
                num_batches_tracked += 1
            return _affine(input, weight, bias)
        running = None
        if running_mean is not None and running_var is not None:
            counted = None if num_batches_tracked is None else num_batches_tracked._array
            per_channel = (1, channels, *[1] * (input.ndim - 2))
            arrays = [x._array.reshape(per_channel) for x in (running_mean, running_var)]
            running = (*arrays, momentum, counted)
        y = Standardize((0, *range(2, input.ndim)), eps, running)(input, weight, bias)
        for x in moving:
            x._changed_in_place()
        return y
    if running_mean is None or running_var is None:
        raise ValueError(f"{name}: running_mean and running_var are needed when not training")
    scale = (widened(running_var) + eps) ** -0.5
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale
    if bias is not None:
        shift = shift + bias
    return _affine(input, scale, shift)


@autocasts
def layer_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """The last dimensions, of sizes `normalized_shape`, to mean 0 and variance 1, then · weight + bias of that shape.

    Source: Ba et al., "Layer Normalization", 2016.
    """
    shape = _normalized_shape("layer_norm", normalized_shape)
    if not isinstance(input, Tensor) or input.shape[-len(shape) :] != shape:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"layer_norm: expected input (*, {', '.join(map(str, shape))}), got {got}")
    _check("layer_norm", input, shape, eps, weight=weight, bias=bias)
    y = Standardize(tuple(range(input.ndim - len(shape), input.ndim)), eps)(input)
    return y if weight is bias is None else Affine()(y, weight, bias)


def _normalized_shape(name: str, given: Any) -> tuple[int, ...]:
    """The last dimensions of an input, given as one size or as several."""
    shape = given if isinstance(given, (tuple, list)) else (given,)
    if not shape:
        raise ValueError(f"{name}: expected normalized_shape of at least one size, got {given!r}")
    return sizes(shape, len(shape), name, "normalized_shape")


@autocasts
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each group of channels of each sample of (N, C, *) to mean 0 and variance 1, then · weight (C) + bias (C).

    Source: Wu and He, "Group Normalization", 2018.
    """
    if not isinstance(input, Tensor) or input.ndim < 2:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"group_norm: expected input (N, C, *), got {got}")
    num_groups = size(num_groups, "group_norm", "num_groups")
    _check("group_norm", input, input.shape[1:2], eps, weight=weight, bias=bias)
    batch, channels, *spatial = input.shape
    if channels % num_groups:
        raise ValueError(f"group_norm: num_groups={num_groups} does not divide {channels} channels, got {input.shape}")
    if input.numel() == num_groups:  # as in torch, that of several samples is a constant, not an error
        raise ValueError(f"group_norm: expected more than 1 value per group, got input {input.shape}")
    grouped = reshaped(input, batch, num_groups, channels // num_groups, *spatial)
    y = Standardize(tuple(range(2, grouped.ndim)), eps)(grouped).reshape(*input.shape)
    return _affine(y, weight, bias)


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel of each sample of (N, C, *) to mean 0 and variance 1, then · weight (C) + bias (C).

    Running statistics, if given, move towards the mean over the batch of each sample's, and take their place where
    `use_input_stats` is False. Source: Ulyanov et al., "Instance Normalization", 2016.
    """
    check_flag("instance_norm", "use_input_stats", use_input_stats)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps, name="instance_norm")
    if not isinstance(input, Tensor) or input.ndim < 3:
        got = input.shape if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"instance_norm: expected input (N, C, *) with at least one spatial dimension, got {got}")
    count = math.prod(input.shape[2:])
    if 0 in input.shape:
        raise ValueError(f"instance_norm: expected an input with no empty dimension, got {input.shape}")
    if count <= 1:
        raise ValueError(f"instance_norm: expected more than 1 spatial element when training, got input {input.shape}")
    statistics = {"running_mean": running_mean, "running_var": running_var}
    _check("instance_norm", input, input.shape[1:2], eps, weight=weight, bias=bias, **statistics)
    _check_momentum("instance_norm", momentum)
    _check_pair(running_mean, running_var, "instance_norm")
    standardize = Standardize(tuple(range(2, input.ndim)), eps)
    y = standardize(input)
    of_samples = (x.reshape(input.shape[:2]) for x in (standardize.mean, standardize.variance))
    with backend.current(standardize.mean):
        mean, variance = (standardize.kernels.reduced("mean", x, (0,), False) for x in of_samples)
        _update_running(running_mean, running_var, mean, variance * (count / (count - 1)), momentum)
    return _affine(y, weight, bias)


def _check(name: str, input: Tensor, shape: tuple[int, ...], eps: float, **parameters: Tensor | None) -> None:
    """Refuses an input that is not floating-point, and parameters and statistics of another shape or dtype; with
    16 bits they may be float32."""
    check_floating(name, input)
    check_not_negative(name, "eps", eps)
    check_shapes(name, input, shape, **parameters)
    for argument, x in parameters.items():
        if x is not None and x.dtype != input.dtype and (input.dtype.itemsize, x.dtype) != (2, dtypes.float32):
            raise TypeError(f"{name}: input is {input.dtype}, {argument} is {x.dtype}: convert one with .to()")


def _check_momentum(name: str, momentum: Any) -> None:
    if not backend.is_gpu_array(momentum):  # the average over all batches: see _BatchNorm._momentum
        check_number(name, "momentum", momentum)


def _check_pair(running_mean: Tensor | None, running_var: Tensor | None, name: str) -> None:
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name}: expected running_mean and running_var, or neither, got only one of them")


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y (N, C, *) · weight (C) + bias (C)."""
    if weight is bias is None:
        return y
    per_channel = (1, y.shape[1], *[1] * (y.ndim - 2))
    return Affine()(y, *[x if x is None else x.reshape(*per_channel) for x in (weight, bias)])


def _update_running(mean: Tensor | None, var: Tensor | None, new_mean: Any, new_var: Any, momentum: float) -> None:
    """Moves the running statistics, in place, towards those of a batch."""
    for running, new in ((mean, new_mean), (var, new_var)):
        if running is not None:
            assign("running statistics", running, wrap((1 - momentum) * running._array + momentum * new))


# --- layers -------------------------------------------------------------------------------------------------


class _RunningNorm(Module):
    """What batch and instance norm share: parameters, running statistics, and what input they expect."""

    ndims: tuple[int, ...]  # how many dimensions an input may have
    expected: str
    _version = 2

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: DeviceLike = None, dtype: DTypeLike = None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        name = type(self).__name__
        self.num_features = size(num_features, name, "num_features")
        check_not_negative(name, "eps", eps)
        if momentum is not None:
            check_number(name, "momentum", momentum)
        for flag, value in (("affine", affine), ("track_running_stats", track_running_stats), ("bias", bias)):
            check_flag(name, flag, value)
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        make: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(creation.ones(num_features, **make)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_features, **make)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", creation.zeros(num_features, **make) if tracked else None)
        self.register_buffer("running_var", creation.ones(num_features, **make) if tracked else None)
        count = creation.tensor(0, dtype=dtypes.int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Forgets all batches: mean 0, variance 1."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Sets weight, bias and running statistics to where they start."""
        self.reset_running_stats()
        _reset(self)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *more: Any
    ) -> None:
        if self.track_running_stats and local_metadata.get("version", 1) < 2:  # batches were not counted yet
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *more)

    def _is_sample(self, input: Tensor) -> bool:
        """Whether the input is one sample, without N."""
        return False

    def _check_input(self, input: Any, channel_dim: int = 1) -> None:
        shown = self.expected.replace("C", str(self.num_features))
        if (
            not isinstance(input, Tensor)
            or input.ndim not in self.ndims
            or input.shape[channel_dim] != self.num_features
        ):
            got = input.shape if isinstance(input, Tensor) else type(input).__name__
            name = f"{type(self).__name__}(num_features={self.num_features})"
            raise ValueError(f"{name}: expected input {shown}, got {got}")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


def _reset(layer: Module) -> None:
    if layer.weight is not None:
        init.ones_(layer.weight)
    if layer.bias is not None:
        init.zeros_(layer.bias)


class _BatchNorm(_RunningNorm):
    def forward(self, input: Tensor) -> Tensor:
        self._check_input(input)
        return batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, self._momentum(), self.eps,
            num_batches_tracked=self.num_batches_tracked if self.training else None, name=type(self).__name__,
        )  # fmt: skip

    def _momentum(self) -> Any:
        """How far the running statistics move towards a batch; None in the configuration: to the average of all."""
        count = self.num_batches_tracked
        if self.momentum is not None or count is None or not self.training:
            return self.momentum or 0.0
        # On a GPU the number stays there: to read it, the host would wait.
        return 1 / (count.item() + 1 if backend.host_reads(count._array) else count._array + 1)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); see `BatchNorm2d`."""

    ndims = (2, 3)
    expected = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W): each channel to mean 0 and variance 1, then · weight + bias.

    Args:
        num_features: C.
        eps: added to the variance under the root.
        momentum: how far the running statistics move towards each batch's; None averages over all batches.
        affine: whether to learn `weight` (starts at 1) and, unless `bias` is False, `bias` (starts at 0).
        track_running_stats: whether to keep the statistics that `eval()` uses; without, each batch's are used.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    ndims = (4,)
    expected = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W); see `BatchNorm2d`."""

    ndims = (5,)
    expected = "(N, C, D, H, W)"


class _InstanceNorm(_RunningNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: DeviceLike = None, dtype: DTypeLike = None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _is_sample(self, input: Tensor) -> bool:
        return isinstance(input, Tensor) and input.ndim == self.ndims[0]

    def forward(self, input: Tensor) -> Tensor:
        unbatched = self._is_sample(input)
        self._check_input(input, 0 if unbatched else 1)
        y = instance_norm(
            input.unsqueeze(0) if unbatched else input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return y.squeeze(0) if unbatched else y


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L); see `InstanceNorm2d`."""

    ndims = (2, 3)
    expected = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each sample of (N, C, H, W), or (C, H, W), to mean 0 and variance 1.

    Arguments as in `BatchNorm2d`, but without weight and bias (`affine`) and without running statistics unless asked
    for. Source: Ulyanov et al., "Instance Normalization", 2016.
    """

    ndims = (3, 4)
    expected = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W) or (C, D, H, W); see `InstanceNorm2d`."""

    ndims = (4, 5)
    expected = "(N, C, D, H, W) or (C, D, H, W)"


class LayerNorm(Module):
    """The last dimensions, of sizes `normalized_shape`, to mean 0 and variance 1, then · weight + bias of that shape.

    Source: Ba et al., "Layer Normalization", 2016.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: DeviceLike = None, dtype: DTypeLike = None,
    ):  # fmt: skip
        super().__init__()
        shape = self.normalized_shape = _normalized_shape("LayerNorm", normalized_shape)
        check_not_negative("LayerNorm", "eps", eps)
        check_flag("LayerNorm", "elementwise_affine", elementwise_affine)
        check_flag("LayerNorm", "bias", bias)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        make: dict[str, Any] = {"device": device, "dtype": dtype}
        weight, offset = elementwise_affine, elementwise_affine and bias
        self.register_parameter("weight", Parameter(creation.ones(*shape, **make)) if weight else None)
        self.register_parameter("bias", Parameter(creation.zeros(*shape, **make)) if offset else None)

    def reset_parameters(self) -> None:
        """Sets the weight to 1 and the bias to 0 again."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={bias}"


class GroupNorm(Module):
    """Each of `num_groups` groups of channels of each sample to mean 0 and variance 1, then · weight (C) + bias (C).

    Source: Wu and He, "Group Normalization", 2018.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: DeviceLike = None,
        dtype: DTypeLike = None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.num_groups = size(num_groups, "GroupNorm", "num_groups")
        self.num_channels = size(num_channels, "GroupNorm", "num_channels")
        check_not_negative("GroupNorm", "eps", eps)
        check_flag("GroupNorm", "affine", affine)
        check_flag("GroupNorm", "bias", bias)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}")
        self.eps, self.affine = eps, affine
        make: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(creation.ones(num_channels, **make)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_channels, **make)) if affine and bias else None)

    def reset_parameters(self) -> None:
        """Sets the weight to 1 and the bias to 0 again."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"
