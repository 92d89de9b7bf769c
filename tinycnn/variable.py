"""What torch once had, or has, beside tensors: `Variable`, and inference tensors."""

from __future__ import annotations

import warnings
from typing import Any

from tinycnn.autograd import array_of
from tinycnn.checks import check_flag
from tinycnn.creation import tensor
from tinycnn.tensor import Tensor


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """`Variable(data)` is a Tensor of the same memory without history; every Tensor is an instance of it.

    Args:
        data: a Tensor. Default: an empty one.
        requires_grad: whether operators on the result are recorded. Default False.
        volatile: has no effect but a warning, as in torch: use `no_grad`.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool = False) -> Tensor:  # type: ignore[misc]
        if volatile:
            warnings.warn("Variable: volatile has no effect; use `with no_grad():`", stacklevel=2)
        data = tensor([]) if data is None else data
        array_of("Variable", data)
        return data.detach().requires_grad_(check_flag("Variable", "requires_grad", requires_grad))


def is_inference(input: Tensor) -> bool:
    """False: a tensor that was made in `inference_mode` is like any other here."""
    array_of("is_inference", input)
    return False
