"""What is asked of tensors and dtypes: facts, which have no gradients."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import numpy_names
from tinycnn.autograd import array_of
from tinycnn.backend import DeviceLike
from tinycnn.memory_format import layout as Layout
from tinycnn.memory_format import strided
from tinycnn.ops.arithmetic import constant
from tinycnn.ops.shape import normalize_dim

if TYPE_CHECKING:
    from tinycnn.ops.arithmetic import Operand
    from tinycnn.tensor import Tensor

__all__ = ["equal", "is_floating_point", "is_complex", "is_nonzero", "is_tensor", "result_type"]


def is_tensor(obj: object) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, autograd.Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating-point one."""
    return array_of("is_floating_point", input).dtype.kind in FLOATING


def is_complex(input: Tensor) -> bool:
    """False: there are no complex tensors."""
    return array_of("is_complex", input).dtype.kind == "c"


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not 0. ValueError for more than one."""
    if array_of("is_nonzero", input).size != 1:
        raise ValueError(f"is_nonzero: expected a tensor of one element, got shape {input.shape}")
    return bool(input._array.item())


def is_cuda(input: Tensor) -> bool:
    """Whether the tensor is on a GPU."""
    return not isinstance(input._array, np.ndarray)


def get_device(input: Tensor) -> int:
    """The index of the GPU that holds the tensor; −1 on a CPU."""
    return backend.device_of(input._array).index if is_cuda(input) else -1


@numpy_names
def stride(input: Tensor, dim: int | None = None) -> Any:
    """How many elements of memory lie between neighbours along each dimension, or along `dim`."""
    steps = tuple([step // input._array.itemsize for step in input._array.strides])
    return steps if dim is None else steps[normalize_dim(dim, input, "stride")]


def storage_offset(input: Tensor) -> int:
    """How many elements of the memory lie before the first one of the tensor."""
    x = array_of("storage_offset", input)
    return (backend.address(x) - backend.memory_address(x)) // x.itemsize


def layout(input: Tensor) -> Layout:
    """`strided`: there are no others."""
    return strided


def is_sparse(input: Tensor) -> bool:
    """False: there are no sparse tensors."""
    return False


def is_quantized(input: Tensor) -> bool:
    """False: there are no quantised tensors."""
    return False


def is_cpu(input: Tensor) -> bool:
    """Whether the tensor is in the host's memory."""
    return isinstance(input._array, np.ndarray)


def is_shared(input: Tensor) -> bool:
    """Whether other processes see this memory: that of a GPU, as torch has it; `share_memory_` shares none."""
    return is_cuda(input)


def share_memory_(input: Tensor) -> Tensor:
    """The tensor itself. Its memory stays that of this process: another one is sent a copy."""
    array_of("share_memory_", input)
    return input


def is_pinned(input: Tensor, device: DeviceLike = None) -> bool:
    """False: see `pin_memory`."""
    return False


def pin_memory(input: Tensor, device: DeviceLike = None) -> Tensor:
    """The tensor itself: copies to a GPU pin what they need."""
    array_of("pin_memory", input)
    return input


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements; nan equals nothing."""
    if array_of("equal", input).shape != array_of("equal", other).shape:
        return False
    return bool((input == other).all())


def result_type(tensor1: Operand, tensor2: Operand) -> np.dtype:
    """The dtype of an operation on two Tensors or numbers: torch's type promotion."""
    found = []
    for x in (tensor1, tensor2):
        y = x if isinstance(x, autograd.Tensor) else constant("result_type", x, None)
        found.append((dtypes.rank(y.dtype), 0 if not isinstance(x, autograd.Tensor) else 1 + (y.ndim > 0), y.dtype))
    highest = max(rank for rank, _, _ in found)
    weight = max(weight for rank, weight, _ in found if rank == highest)
    return functools.reduce(np.promote_types, [d for rank, w, d in found if (rank, w) == (highest, weight)])
