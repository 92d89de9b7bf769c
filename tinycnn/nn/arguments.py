"""Checks of arguments, shared by functions and layers: what came, what was expected, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from tinycnn.checks import Integer, ShapeError, is_int, shortened
from tinycnn.ops.windows import Window
from tinycnn.tensor import Tensor

Size: TypeAlias = int | Sequence[int]  # one for all spatial dimensions, or one for each
Shape: TypeAlias = tuple[int, ...]

LARGEST = 2**31 - 1  # of a kernel, stride, padding, dilation or spatial size, as in torch


def sizes(value: Any, count: int, name: str, argument: str, least: int = 1) -> tuple[int, ...]:
    """An int, or `count` of them, as a tuple of `count` ints of at least `least`."""
    given = tuple(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else (value,) * count
    if not all(map(is_int, given)):
        ints = "an int" if count == 1 else f"an int or {count} ints"
        raise TypeError(f"{name}: expected {argument} as {ints}, got {shortened(value)}")
    if len(given) == 1:
        given *= count
    if len(given) != count:
        raise ValueError(f"{name}: expected {argument} as one int or {count}, got {len(given)}: {shortened(value)}")
    if any(v < least for v in given):
        raise ValueError(f"{name}: expected {argument} of at least {least}, got {shortened(value)}")
    if any(v > LARGEST for v in given):
        raise ValueError(f"{name}: {argument} is too large: {shortened(value)}")
    return tuple(int(v) for v in given)


def size(value: Any, name: str, argument: str, least: int = 1) -> int:
    """An int of at least `least`."""
    return int(Integer(at_least=least)(name, argument, value))


def refuse_others(name: str, **given: Any) -> None:
    """TypeError for the first of these arguments that is no Tensor."""
    for argument, x in given.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected {argument} as a Tensor, got {type(x).__name__}")


def _form(dims: int, channels: int | None) -> str:
    """For errors: the shape of a batch."""
    return f"(N, {channels or 'C'}, {', '.join('DHW'[3 - dims :])})"


def check_input(name: str, input: Any, dims: int, channels: int | None = None) -> None:
    """TypeError unless the input is a Tensor."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: expected an input Tensor {_form(dims, channels)}, got {type(input).__name__}")


def is_batch(shape: Shape, dims: int, name: str, channels: int | None = None) -> bool:
    """Whether an input of this shape is (N, C, *spatial); False if it is one sample, (C, *spatial)."""
    expected = _form(dims, channels)
    if len(shape) not in (dims + 1, dims + 2):
        raise ShapeError(f"{name}: expected input {expected} or one sample without N, got shape {shape}")
    if channels is not None and shape[-dims - 1] != channels:
        raise ShapeError(f"{name}: expected input {expected}, got {shape}")
    if 0 in shape[-dims:]:
        raise ShapeError(f"{name}: expected input {expected} with no empty dimension but N, got {shape}")
    return len(shape) == dims + 2


def cacheable(*values: Any) -> Any:
    """The values as keys of the cache of checked geometries: lists of ints as tuples. A sequence of anything else
    becomes a list, which no cache takes, because it holds (1.0, True) to be (1, 1)."""
    def key(value: Any) -> Any:
        if not isinstance(value, (tuple, list)):
            return value
        return tuple(value) if all(v.__class__ is int for v in value) else list(value)

    return map(key, values)


def padding_pairs(padding: Any, kernel_size: Shape, stride: Shape, dilation: Shape, name: str) -> tuple:
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


def check_fits(window: Window, name: str) -> None:
    """Refuses a window that is larger than the padded input."""
    if any(k < 1 for k in window.kernel_size):
        raise ValueError(f"{name}: expected a kernel of at least one element, got kernel size {window.kernel_size}")
    if any(extent > padded for extent, padded in zip(window.extent, window.padded_size, strict=True)):
        raise ShapeError(
            f"{name}: kernel {window.kernel_size} with dilation {window.dilation} spans {window.extent}, more than "
            f"the padded input {window.padded_size}"
        )


def probability(p: Any, name: str) -> float:
    """`p` as a number of Python; ValueError unless 0 <= p <= 1."""
    if isinstance(p, bool) or not isinstance(p, Real) or not 0 <= p <= 1:  # type: ignore[operator]
        raise ValueError(f"{name}: expected p as a probability from 0 to 1, got {shortened(p)}")
    return p if isinstance(p, int) else float(p)


def check_shapes(name: str, input: Tensor, shape: Shape, **parameters: Tensor | None) -> None:
    """TypeError for a weight, a bias or running statistics that are no Tensors, ValueError for another shape than
    `shape`."""
    for argument, x in parameters.items():
        if x is not None and not isinstance(x, Tensor):
            refuse_others(name, **{argument: x})
        if x is not None and x.shape != shape:
            raise ValueError(f"{name}: expected {argument} of shape {shape} for input {input.shape}, got {x.shape}")


def check_alike(name: str, dtypes: Sequence[np.dtype | None]) -> None:
    """TypeError unless input, weight and bias (None: there is none) have one dtype."""
    for argument, dtype in zip(("weight", "bias"), dtypes[1:], strict=True):
        if dtype is not None and dtype != dtypes[0]:
            raise TypeError(f"{name}: input is {dtypes[0]}, {argument} is {dtype}: convert one with .to()")


def _ntuple(count: int) -> Callable[[Any], tuple]:
    """What torch.nn.modules.utils has for layers of one's own: a function that makes `count` numbers of one."""
    return lambda x: tuple(x) if isinstance(x, Iterable) else (x,) * count


_single, _pair, _triple, _quadruple = (_ntuple(count) for count in (1, 2, 3, 4))
