"""Layers that only change shapes."""

from __future__ import annotations

from typing import Any

from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class Flatten(Module):
    """Merges dimensions start_dim to end_dim into one: (N, C, H, W) to (N, C·H·W) by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input; takes and ignores any arguments."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input
