"""Batch normalisation."""

from __future__ import annotations

from typing import Any

from tinycnn import creation, dtypes
from tinycnn.nn import functional as F
from tinycnn.nn.module import Module, Parameter
from tinycnn.tensor import Tensor


class _BatchNorm(Module):
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
    ):
        super().__init__()
        (self.num_features,) = F.sizes(num_features, 1, type(self).__name__, "num_features")
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        make = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(creation.ones(num_features, **make)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(num_features, **make)) if affine else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", creation.zeros(num_features, **make) if tracked else None)
        self.register_buffer("running_var", creation.ones(num_features, **make) if tracked else None)
        count = creation.tensor(0, dtype=dtypes.int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)

    def forward(self, input: Tensor) -> Tensor:
        if not isinstance(input, Tensor) or input.ndim not in self.ndims or input.shape[1] != self.num_features:
            got = input.shape if isinstance(input, Tensor) else type(input).__name__
            expected = self.expected.replace("C", str(self.num_features))
            name = f"{type(self).__name__}(num_features={self.num_features})"
            raise ValueError(f"{name}: expected input {expected}, got {got}")
        momentum = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked += 1
            if momentum is None:  # the plain average over all batches
                momentum = 1 / self.num_batches_tracked.item()
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, momentum or 0.0, self.eps, name=type(self).__name__,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


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
        affine: whether to learn `weight` (starts at 1) and `bias` (starts at 0).
        track_running_stats: whether to keep the statistics that `eval()` uses; without, each batch's are used.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    ndims = (4,)
    expected = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W); see `BatchNorm2d`."""

    ndims = (5,)
    expected = "(N, C, D, H, W)"
