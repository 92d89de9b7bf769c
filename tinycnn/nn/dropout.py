"""Dropout of elements and of whole channels, functions and layers. With `inplace` the result overwrites the input."""

from __future__ import annotations

import math
import warnings

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import array_of, wrap
from tinycnn.checks import check_flag
from tinycnn.nn.arguments import probability
from tinycnn.nn.module import Module
from tinycnn.ops.arithmetic import mul
from tinycnn.ops.in_place import overwrite
from tinycnn.ops.reduce import check_floating
from tinycnn.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]

ALPHA = 1.7580993408473766  # what selu tends to far below 0, less the sign


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element is 0 with probability `p`, else divided by 1 − p; the identity when not training."""
    p = probability(p, "dropout")
    if _is_identity("dropout", input, p, training):
        return input
    return _masked("dropout_", input, _keep_mask(input._array, p), inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As `dropout2d`, for (N, C, L) or (C, L)."""
    return _channel_dropout(1, "dropout1d", input, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each channel of each sample (N, C, H, W) is 0 with probability `p`, else divided by 1 − p. As in torch, with a
    warning, other inputs of at least 2 dimensions are (N, C, *). Source: Tompson et al., 2015."""
    return _channel_dropout(2, "dropout2d", input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As `dropout2d`, for (N, C, D, H, W) or (C, D, H, W)."""
    return _channel_dropout(3, "dropout3d", input, p, training, inplace)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Each element is, with probability `p`, what `selu` tends to far below 0; then all are scaled and moved so that
    mean 0 and variance 1 stay. The identity when not training. Source: Klambauer et al., 2017."""
    return _alpha_dropout("alpha_dropout", input, p, training, inplace, array_of("alpha_dropout", input).shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """As `alpha_dropout`, for whole channels of (N, C, *)."""
    name = "feature_alpha_dropout"
    if array_of(name, input).ndim < 2:
        raise ValueError(f"{name}: expected an input (N, C, *), got {input.shape}")
    return _alpha_dropout(name, input, p, training, inplace, input.shape[:2] + (1,) * (input.ndim - 2))


def _alpha_dropout(
    name: str, input: Tensor, p: float, training: bool, inplace: bool, shape: tuple[int, ...]
) -> Tensor:  # fmt: skip
    p = probability(p, name)
    check_flag(name, "inplace", inplace)
    if _is_identity(name, input, p, training):
        return input
    check_floating(name, input)
    if p == 1:
        return overwrite(f"{name}_", input, mul, 0.0) if inplace else input * 0.0
    with backend.on(input.device) as xp:
        kept = wrap(_keep_mask(xp.empty(shape, input.dtype), p)) * (1 - p)  # 1 or 0
    scale = 1 / math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
    mask, moved = kept * scale, (kept - (1 - p)) * (ALPHA * scale)
    return overwrite(f"{name}_", input, lambda x: x * mask + moved) if inplace else input * mask + moved


def _channel_dropout(dims: int, name: str, input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    p = probability(p, name)
    array_of(name, input)
    own = input.ndim == dims + 2 or (dims != 2 and input.ndim == dims + 1)
    if not own:
        if dims == 1 or input.ndim < 2:
            raise ValueError(f"{name}: expected {dims + 2} dimensions, or {dims + 1} without N, got {input.shape}")
        warnings.warn(
            f"{name}: expected {dims + 2} dimensions, got input {input.shape}: whole slices are dropped as in torch, "
            "which deprecates it",
            stacklevel=3,
        )
    if _is_identity(name, input, p, training):
        return input
    # Torch takes an input of dropout2d for a batch, whatever it has, and one of the others for a sample without N.
    kept = 2 if dims == 2 or input.ndim == dims + 2 else 1
    with backend.on(input.device) as xp:
        channels = xp.empty(input.shape[:kept] + (1,) * (input.ndim - kept), input.dtype)
    return _masked(f"{name}_", input, _keep_mask(channels, p), inplace)


def _masked(name: str, input: Tensor, mask: backend.Array, inplace: bool) -> Tensor:
    return overwrite(name, input, mul, wrap(mask)) if inplace else input * wrap(mask)


def _is_identity(name: str, input: Tensor, p: float, training: bool) -> bool:
    """Whether nothing is to be dropped; refuses integers where some elements are, and the others grow."""
    check_flag(name, "training", training)
    if array_of(name, input).dtype.kind not in FLOATING and training and 0 < p < 1:
        check_floating(name, input)
    return not training or p == 0


def _keep_mask(x: backend.Array, p: float) -> backend.Array:
    with backend.current(x):
        return backend.kernels(x).dropout_mask(x, p, backend.random_generator(backend.device_of(x)))


class Dropout(Module):
    """In training, each element is 0 with probability `p`, else divided by 1 − p. Source: Srivastava et al., 2014."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        self.p = probability(p, type(self).__name__)
        self.inplace = check_flag(type(self).__name__, "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class AlphaDropout(Dropout):
    """In training, keeps mean 0 and variance 1 where elements are dropped: for nets of SELUs; see `F.alpha_dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(Dropout):
    """As `AlphaDropout`, for whole channels of (N, C, *)."""

    def forward(self, input: Tensor) -> Tensor:
        return feature_alpha_dropout(input, self.p, self.training)


class _ChannelDropout(Dropout):
    dims: int

    def forward(self, input: Tensor) -> Tensor:
        return _channel_dropout(self.dims, type(self).__name__, input, self.p, self.training, self.inplace)


class Dropout1d(_ChannelDropout):
    """As `Dropout2d`, for (N, C, L) or (C, L)."""

    dims = 1


class Dropout2d(_ChannelDropout):
    """In training, each channel of each sample (N, C, H, W) is 0 with probability `p`, else divided by 1 − p; see
    `F.dropout2d`."""

    dims = 2


class Dropout3d(_ChannelDropout):
    """As `Dropout2d`, for (N, C, D, H, W) or (C, D, H, W)."""

    dims = 3
