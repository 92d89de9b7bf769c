"""Tensors in tuples, lists and dicts, as batches and the arguments of functions hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinycnn.tensor import Tensor


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """`value` with `function` of each Tensor in it in place of that."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return type(value)({key: mapped(function, item) for key, item in value.items()})
    if isinstance(value, (tuple, list)):
        items = [mapped(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def tensors(value: Any) -> list[Tensor]:
    """The Tensors in `value`, in their order."""
    found: list[Tensor] = []
    mapped(found.append, value)
    return found
