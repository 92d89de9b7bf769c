"""Padding as layers: of zeros, of a constant, reflected, replicated and circular, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from tinycnn.checks import Integer, check_number
from tinycnn.nn.arguments import LARGEST
from tinycnn.nn.module import Module
from tinycnn.nn.resize import pad
from tinycnn.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Amounts around the last dimensions, one for all sides or (before, after) of each, the last dimension first."""

    dims: int
    mode = "constant"

    def __init__(self, padding: int | Sequence[int]):
        super().__init__()
        name, count = type(self).__name__, 2 * self.dims
        given = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * count
        check = Integer(at_least=-LARGEST, at_most=LARGEST)
        if len(given) != count:
            raise ValueError(f"{name}: expected padding as one int or {count}, got {len(given)}: {padding}")
        self.padding = tuple(check(name, "padding", amount) for amount in given)

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class ConstantPad1d(_Pad):
    """`value` around the last dimension."""

    dims = 1

    def __init__(self, padding: int | Sequence[int], value: float):
        super().__init__(padding)
        self.value = check_number(type(self).__name__, "value", value)

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """`value` around the last two dimensions."""

    dims = 2


class ConstantPad3d(ConstantPad1d):
    """`value` around the last three dimensions."""

    dims = 3


class ZeroPad1d(_Pad):
    """Zeros around the last dimension."""

    dims = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two dimensions: `padding` is an int, or (left, right, top, bottom)."""

    dims = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three dimensions."""

    dims = 3


class ReflectionPad1d(_Pad):
    """The input mirrored at its ends, (N, C, L) or (C, L): … c b | a b c …"""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The input mirrored at its edges, (N, C, H, W) or (C, H, W)."""

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The input mirrored at its faces, (N, C, D, H, W) or (C, D, H, W)."""

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The first and the last element repeated, (N, C, L) or (C, L): … a a | a b c …"""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The elements at the edges repeated, (N, C, H, W) or (C, H, W)."""

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The elements at the faces repeated, (N, C, D, H, W) or (C, D, H, W)."""

    dims, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The input wrapped around, (N, C, L) or (C, L): … b c | a b c …"""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The input wrapped around, (N, C, H, W) or (C, H, W)."""

    dims, mode = 2, "circular"


class CircularPad3d(_Pad):
    """The input wrapped around, (N, C, D, H, W) or (C, D, H, W)."""

    dims, mode = 3, "circular"
