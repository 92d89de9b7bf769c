"""Normalisation layers: batch, instance, layer and group."""

from __future__ import annotations

from typing import Any

from tinycnn import backend, creation, dtypes
from tinycnn.nn.functional.arguments import sizes
from tinycnn.nn.functional.norm import batch_norm, group_norm, instance_norm, layer_norm
from tinycnn.nn.module import Module, Parameter
from tinycnn.tensor import Tensor


class _RunningNorm(Module):
    """What batch and instance norm share: parameters, running statistics, and what input they expect."""

    ndims: tuple[int, ...]  # how many dimensions an input may have
    expected: str

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        (self.num_features,) = sizes(num_features, 1, type(self).__name__, "num_features")
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        make = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(creation.ones(num_features, **make)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_features, **make)) if affine and bias else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", creation.zeros(num_features, **make) if tracked else None)
        self.register_buffer("running_var", creation.ones(num_features, **make) if tracked else None)
        count = creation.tensor(0, dtype=dtypes.int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)

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


class _BatchNorm(_RunningNorm):
    def forward(self, input: Tensor) -> Tensor:
        self._check_input(input)
        return batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, self._momentum(), self.eps, name=type(self).__name__,
        )  # fmt: skip

    def _momentum(self) -> Any:
        """Counts a batch in training, and returns how far the running statistics move towards it."""
        if not (self.training and self.track_running_stats):
            return self.momentum or 0.0
        self.num_batches_tracked += 1
        if self.momentum is not None:
            return self.momentum
        # The plain average over all batches. On a GPU the number stays there: to read it, the host would wait.
        count = self.num_batches_tracked
        return 1 / (count.item() if count.device == backend.CPU else count._array)


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
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        unbatched = isinstance(input, Tensor) and input.ndim == self.ndims[0]
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
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape = sizes(shape, len(shape), "LayerNorm", "normalized_shape")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        make = {"device": device, "dtype": dtype}
        weight, offset = elementwise_affine, elementwise_affine and bias
        self.register_parameter("weight", Parameter(creation.ones(*shape, **make)) if weight else None)
        self.register_parameter("bias", Parameter(creation.zeros(*shape, **make)) if offset else None)

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
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        (self.num_groups,) = sizes(num_groups, 1, "GroupNorm", "num_groups")
        (self.num_channels,) = sizes(num_channels, 1, "GroupNorm", "num_channels")
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}")
        self.eps, self.affine = eps, affine
        make = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(creation.ones(num_channels, **make)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_channels, **make)) if affine and bias else None)

    def forward(self, input: Tensor) -> Tensor:
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"
