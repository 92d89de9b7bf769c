"""Batches on a GPU that were copied there while it computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._nested import mapped, tensors
from tinycnn.autograd import wrap
from tinycnn.backend import DeviceLike
from tinycnn.data._checks import checked_iterable
from tinycnn.tensor import Tensor


def prefetch_to_device(batches: Iterable[Any], device: DeviceLike) -> Iterator[Any]:
    """Each of `batches` on `device`. A GPU gets the next one while it computes with this one.

        for images, targets in prefetch_to_device(loader, "cuda"):
            ...

    The same numbers come as from `images.to(device)`. A batch is taken from `batches` when it is asked for, not before,
    so that the state of a loader is that of the training. Tensors overlap that are in the host's memory, C-contiguous,
    and of the shapes and dtypes of the batch before; others are copied as by `Tensor.to`. The batch that comes needs
    memory on the GPU, too. An exception of `batches` ends the iteration.

    Args:
        batches: gives Tensors, or tuples, lists and dicts of them; what is none is passed on. A `DataLoader` needs no
            `pin_memory`.
        device: such as "cuda" or "cpu".

    Raises TypeError for what cannot be iterated over, ValueError for an unknown device.
    """
    batches, target = checked_iterable("prefetch_to_device(batches)", batches), backend.device(device)
    return _on_cpu(batches) if target.type == "cpu" else _on_gpu(batches, target)


def _on_cpu(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        yield mapped(lambda x: x.to(backend.CPU), batch)


def _on_gpu(batches: Iterable[Any], device: backend.Device) -> Iterator[Any]:
    from tinycnn.backend.gpu.copies import Copies  # imports CuPy

    with backend.on(device):
        copies = Copies()
    try:
        for batch in batches:
            with backend.on(device):
                hosted = [x._array for x in tensors(batch) if _can_overlap(x)]
                moved = _moved(batch, device, copies.start(hosted))
                copies.set_aside(hosted)
            yield moved
    finally:
        copies.finish()


def _can_overlap(x: Tensor) -> bool:
    array = x._array
    is_plain = isinstance(array, np.ndarray) and array.dtype.kind in "biufc" and not x.requires_grad
    return is_plain and array.size > 0 and array.flags.c_contiguous


def _moved(batch: Any, device: backend.Device, copies: list[Any] | None) -> Any:
    """`batch` on the device. `copies`: of the tensors that can overlap; None if there are none."""
    if copies is None:
        return mapped(lambda x: x.to(device), batch)
    found = iter(copies)
    return mapped(lambda x: wrap(next(found)) if _can_overlap(x) else x.to(device), batch)
