"""torch's names for the order of elements in memory, taken as arguments.

The library chooses the order itself: `channels_last` asks for speed elsewhere and changes nothing here.
"""

from __future__ import annotations

import enum

__all__ = [
    "channels_last", "channels_last_3d", "contiguous_format", "layout", "memory_format", "preserve_format", "strided",
]  # fmt: skip


class memory_format(enum.Enum):
    """The order of a tensor's dimensions in memory."""

    contiguous_format = "row-major"
    preserve_format = "as in the tensor that is copied"
    channels_last = "(N, H, W, C)"
    channels_last_3d = "(N, D, H, W, C)"

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    __str__ = __repr__


class layout(enum.Enum):
    """How a tensor is stored: every one in an array with strides."""

    strided = "strides"

    def __repr__(self) -> str:
        return "torch.strided"

    __str__ = __repr__


contiguous_format = memory_format.contiguous_format
preserve_format = memory_format.preserve_format
channels_last = memory_format.channels_last
channels_last_3d = memory_format.channels_last_3d
strided = layout.strided
