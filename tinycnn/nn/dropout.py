"""Dropout."""

from __future__ import annotations

from tinycnn.nn import functional as F
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class Dropout(Module):
    """In training, each element is 0 with probability `p`, else divided by 1 − p. Source: Srivastava et al., 2014."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        F.check_probability(p, type(self).__name__)
        self.p = p
        self.inplace = inplace  # accepted for torch's sake; the input is never overwritten

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
