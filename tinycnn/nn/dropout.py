"""Dropout of elements and of whole channels."""

from __future__ import annotations

from tinycnn.nn.functional.arguments import check_probability
from tinycnn.nn.functional.dropout import channel_dropout, dropout
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class Dropout(Module):
    """In training, each element is 0 with probability `p`, else divided by 1 − p. Source: Srivastava et al., 2014."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        check_probability(p, type(self).__name__)
        self.p = p
        self.inplace = inplace  # accepted for torch's sake; the input is never overwritten

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class _ChannelDropout(Dropout):
    dims: int

    def forward(self, input: Tensor) -> Tensor:
        return channel_dropout(self.dims, type(self).__name__, input, self.p, self.training)


class Dropout1d(_ChannelDropout):
    """As `Dropout2d`, for (N, C, L) or (C, L)."""

    dims = 1


class Dropout2d(_ChannelDropout):
    """In training, each channel of each sample, (N, C, H, W) or (C, H, W), is 0 with probability `p`, else divided by
    1 − p. Source: Tompson et al., 2015."""

    dims = 2


class Dropout3d(_ChannelDropout):
    """As `Dropout2d`, for (N, C, D, H, W) or (C, D, H, W)."""

    dims = 3
