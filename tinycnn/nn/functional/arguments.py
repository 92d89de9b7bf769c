"""Checks of arguments, shared by functions and layers: what came, what was expected, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycnn.ops import windows
from tinycnn.tensor import Tensor


def sizes(value: Any, count: int, name: str, argument: str, least: int = 1) -> tuple[int, ...]:
    """An int, or `count` of them, as a tuple of `count` ints of at least `least`."""
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * count
    if any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) for v in given):
        raise TypeError(f"{name}: expected {argument} as an int or {count} ints, got {value!r}")
    if len(given) == 1:
        given *= count
    if len(given) != count:
        raise ValueError(f"{name}: expected {argument} as one int or {count}, got {len(given)}: {value!r}")
    if any(v < least for v in given):
        raise ValueError(f"{name}: expected {argument} of at least {least}, got {value!r}")
    return tuple(int(v) for v in given)


def batched(x: Any, dims: int, name: str, channels: int | None = None) -> tuple[Tensor, bool]:
    """x as (N, C, *spatial), and whether a batch dimension had to be added: (C, *spatial) is one sample."""
    axes = ", ".join("DHW"[3 - dims :])
    expected = f"(N, {channels or 'C'}, {axes})"
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected an input Tensor {expected}, got {type(x).__name__}")
    if x.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"{name}: expected input {expected} or one sample without N, got shape {x.shape}")
    if channels is not None and x.shape[x.ndim - dims - 1] != channels:
        raise ValueError(f"{name}: expected input {expected}, got {x.shape}")
    if 0 in x.shape[x.ndim - dims :]:
        raise ValueError(f"{name}: expected input {expected} with no empty dimension but N, got {x.shape}")
    return (x, False) if x.ndim == dims + 2 else (x.unsqueeze(0), True)


def unbatched(y: Tensor, added: bool) -> Tensor:
    return y.squeeze(0) if added else y


def hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def padding_pairs(
    padding: Any, kernel_size: tuple, stride: tuple, dilation: tuple, name: str
) -> tuple[tuple[int, int], ...]:
    """(before, after) for each dimension, from ints, "valid" or "same"."""
    if padding == "valid":
        return ((0, 0),) * len(kernel_size)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: padding='same' needs stride 1, got stride {stride}")
        totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ValueError(f"{name}: expected padding as ints, 'valid' or 'same', got {padding!r}")
    return tuple((p, p) for p in sizes(padding, len(kernel_size), name, "padding", least=0))


def check_fits(window: windows.Window, name: str) -> None:
    """Refuses a window that is larger than the padded input."""
    if any(k < 1 for k in window.kernel_size):
        raise ValueError(f"{name}: expected a kernel of at least one element, got kernel size {window.kernel_size}")
    if any(extent > padded for extent, padded in zip(window.extent, window.padded_size, strict=True)):
        raise ValueError(
            f"{name}: kernel {window.kernel_size} with dilation {window.dilation} spans {window.extent}, more than "
            f"the padded input {window.padded_size}"
        )


def check_probability(p: Any, name: str) -> None:
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: expected p as a probability from 0 to 1, got {p!r}")
