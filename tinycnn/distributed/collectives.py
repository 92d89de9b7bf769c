"""Calls that all ranks make together, on Tensors: torch.distributed's names."""

from __future__ import annotations

from enum import Enum
from typing import Any

from tinycnn import backend
from tinycnn.autograd import no_grad
from tinycnn.backend import Array
from tinycnn.checks import check_flag, shortened
from tinycnn.distributed.group import Group, current
from tinycnn.tensor import Tensor


class ReduceOp(Enum):
    """What `all_reduce` makes of the ranks' values."""

    SUM = "SUM"
    AVG = "AVG"
    PRODUCT = "PROD"
    MIN = "MIN"
    MAX = "MAX"


class Work:
    """A reduction that was begun: `wait()` returns when the tensor holds its result."""

    def __init__(self, group: Group, called: str, tensor: Tensor, op: ReduceOp):
        self._group, self._called, self._tensor, self._op = group, called, tensor, op
        self._sent = sendable(tensor._array)
        with group.failures.watching(called):
            self._request = group.engine.start_all_reduce(self._sent, "SUM" if op is ReduceOp.AVG else op.value)
        group.pending[self] = None

    def wait(self) -> bool:
        """Waits for the other ranks, as often as it is called. True, as in torch."""
        if self._request is None:
            return True
        with self._group.failures.watching(self._called):
            self._request.Wait()
        self._request = None
        self._group.pending.pop(self, None)
        result = self._sent
        if self._op is ReduceOp.AVG:
            result = result // self._group.size if result.dtype.kind in "iu" else result / self._group.size
        _assign(self._tensor, result)
        return True

    def is_completed(self) -> bool:
        """Whether `wait` will not wait."""
        return self._request is None or self._request.Test()


def sendable(array: Array) -> Array:
    """`array`, or what is sent for it: contiguous, numbers of 16 bits as float32, in which they are summed."""
    xp = backend.array_module(array)
    if array.dtype.kind == "b":
        return array.astype("uint8")
    if array.dtype.itemsize == 2 and array.dtype.kind not in "iu":
        return array.astype("float32")
    return xp.ascontiguousarray(array)


def _assign(tensor: Tensor, result: Array) -> None:
    if result is not tensor._array:
        tensor._array[...] = result.reshape(tensor.shape)
    tensor._changed_in_place()


def _checked(called: str, argument: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{called}: expected {argument} as a Tensor, got {shortened(tensor)}")
    return tensor


@no_grad()
def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: None = None, async_op: bool = False
) -> Work | None:  # fmt: skip
    """Gives `tensor`, in place, the sum over the ranks' tensors, which have the same shape and dtype.

    Args:
        op: `ReduceOp.SUM` (default), AVG, PRODUCT, MIN or MAX. AVG of integers is rounded down.
        group: None, all ranks; there is no other.
        async_op: begin only, and return a `Work`, whose `wait()` completes it. Default False.

    Raises TypeError for what is no Tensor or ReduceOp, ValueError without a process group.
    """
    name = "all_reduce"
    if not isinstance(op, ReduceOp):
        raise TypeError(f"{name}: expected op as a ReduceOp, got {shortened(op)}")
    ranks = current(name, group)
    ranks.check_same(name, tuple(_checked(name, "tensor", tensor).shape), tensor.dtype, op.name)
    work = Work(ranks, name, tensor, op)
    if check_flag(name, "async_op", async_op):
        return work
    work.wait()
    return None


@no_grad()
def sum_over_ranks(called: str, tensor: Tensor) -> None:
    """`all_reduce` of the library's own calls, which are the same on all ranks: they are not compared."""
    Work(current(called), called, tensor, ReduceOp.SUM).wait()


@no_grad()
def broadcast(tensor: Tensor, src: int = 0, group: None = None) -> None:
    """Gives `tensor`, in place, the value that it has on rank `src`.

    Raises TypeError for what is no Tensor, ValueError for a rank that is not there or without a process group.
    """
    ranks = current("broadcast", group)
    sent = sendable(_checked("broadcast", "tensor", tensor)._array)
    if isinstance(src, bool) or not isinstance(src, int) or not 0 <= src < ranks.size:
        raise ValueError(f"broadcast: expected src from 0 to {ranks.size - 1}, got {shortened(src)}")
    ranks.check_same("broadcast", tuple(tensor.shape), tensor.dtype, f"from rank {src}")
    with ranks.failures.watching("broadcast"):
        ranks.engine.broadcast(sent, src)
    _assign(tensor, sent)


def _gathered(called: str, tensor: Tensor) -> Array:
    group = current(called)
    sent = sendable(_checked(called, "tensor", tensor)._array)
    group.check_same(called, tuple(tensor.shape), tensor.dtype)
    with group.failures.watching(called):
        return group.engine.all_gather(sent)


@no_grad()
def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: None = None) -> None:
    """Gives each of `tensor_list`, in place, the `tensor` of a rank: all have the same shape and dtype.

    Raises TypeError for what are no Tensors, ValueError for a list of another length or without a process group.
    """
    size = current("all_gather", group).size
    if not isinstance(tensor_list, (list, tuple)) or len(tensor_list) != size:
        got = shortened(tensor_list)
        raise ValueError(f"all_gather: expected tensor_list of {size} Tensors, one a rank, got {got}")
    _checked("all_gather", "tensor", tensor)
    for each in tensor_list:
        if _checked("all_gather", "each of tensor_list", each).shape != tensor.shape or each.dtype != tensor.dtype:
            raise ValueError(f"all_gather: expected Tensors of shape {tensor.shape} and dtype {tensor.dtype} in "
                             f"tensor_list, got {each.shape} and {each.dtype}")  # fmt: skip
    for each, result in zip(tensor_list, _gathered("all_gather", tensor), strict=True):
        _assign(each, result)


@no_grad()
def all_gather_into_tensor(output_tensor: Tensor, input_tensor: Tensor, group: None = None) -> None:
    """Gives `output_tensor`, (ranks · N, *) or (ranks, N, *), in place, the `input_tensor` (N, *) of each rank.

    Raises TypeError for what are no Tensors, ValueError for other shapes or dtypes or without a process group.
    """
    name = "all_gather_into_tensor"
    size = current(name, group).size
    _checked(name, "output_tensor", output_tensor), _checked(name, "input_tensor", input_tensor)
    shape = tuple(input_tensor.shape)
    fitting = [(size, *shape), (size * shape[0], *shape[1:]) if shape else (size,)]
    if tuple(output_tensor.shape) not in fitting or output_tensor.dtype != input_tensor.dtype:
        raise ValueError(f"{name}: expected output_tensor of shape {fitting[1]} and dtype {input_tensor.dtype}, got "
                         f"{tuple(output_tensor.shape)} and {output_tensor.dtype}")  # fmt: skip
    _assign(output_tensor, _gathered(name, input_tensor))


def barrier(group: None = None) -> None:
    """Waits until all ranks have called it. ValueError without a process group."""
    current("barrier", group).check_same("barrier")
