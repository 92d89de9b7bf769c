"""Tensors in tuples, lists and dicts, as batches and the arguments of functions hold them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tinycnn.tensor import Tensor


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """`value` with each Tensor x in it replaced by `function(x)`."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        result = copy.copy(value)  # of its class, as a defaultdict
        result.update({key: mapped(function, item) for key, item in value.items()})
        return result
    if isinstance(value, (tuple, list)):
        items = [mapped(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def tensors(value: Any) -> list[Tensor]:
    """The Tensors in `value`, in their order."""
    found: list[Tensor] = []
    mapped(found.append, value)
    return found
