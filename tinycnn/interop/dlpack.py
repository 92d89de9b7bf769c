"""DLPack: arrays of other libraries, and tensors in them, in the same memory.

NumPy and CuPy make and take the capsules. What is here is torch's interface, and that memory which two libraries know
is counted as known outside of this one: see `autograd.Version`.

Source: https://data-apis.org/array-api/latest/design_topics/data_interchange.html
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from tinycnn import backend, dtypes
from tinycnn.autograd import Version, array_of, wrap
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag
from tinycnn.tensor import Tensor


class DLDeviceType(IntEnum):
    """DLPack's names and numbers of the kinds of memory that can be used here."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3  # pinned: the host can use it
    kDLCUDAManaged = 13  # a GPU can use it


_ON_CPU = DLDeviceType.kDLCPU, DLDeviceType.kDLCUDAHost
_ON_GPU = DLDeviceType.kDLCUDA, DLDeviceType.kDLCUDAManaged
_VERSION = (1, 0)  # since which a capsule tells whether memory is read-only


def device_of(x: Tensor) -> tuple[DLDeviceType, int]:
    """DLPack's kind and index of the device on which a tensor lies."""
    return (DLDeviceType.kDLCPU, 0) if x.device == backend.CPU else (DLDeviceType.kDLCUDA, x.device.index)


def capsule_of(x: Tensor, stream: Any, max_version: Any, dl_device: Any, copy: bool | None) -> Any:
    """What `Tensor.__dlpack__` gives."""
    if x.requires_grad:
        raise BufferError("__dlpack__: this tensor requires grad; use tensor.detach()")
    if dl_device not in (None, device_of(x)):
        if copy is False or tuple(dl_device) != (DLDeviceType.kDLCPU, 0):
            what = "without a copy" if copy is False else "by DLPack; use tensor.to()"
            raise BufferError(f"__dlpack__: a tensor on {x.device} cannot be given to the device {dl_device} {what}")
        x, stream = x.cpu(), None
    if copy:
        x = x.clone()
    array = x._shared_version().hand_out(x._array)
    if isinstance(array, np.ndarray):
        if stream not in (None, -1):
            raise BufferError(f"__dlpack__: expected stream=None for a tensor on the CPU, got {stream!r}")
        return array.__dlpack__(max_version=max_version)
    with backend.current(array):
        return array.__dlpack__(stream=stream, max_version=max_version)


class _Capsule:
    """A capsule as an object that gives it. NumPy looks into it for the device."""

    def __init__(self, capsule: Any):
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return DLDeviceType.kDLCPU, 0


def from_dlpack(x: object, *, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """A Tensor of an array of another library, in the same memory where that is possible.

    Args:
        x: an object with `__dlpack__` (an array of NumPy, CuPy, torch, JAX …), or a capsule of memory on the CPU.
        device: where it is to be; default: where it is.
        copy: True for memory of its own, False to refuse a copy, None for a copy where it must be.

    Changes on either side are seen on the other. A graph notices them, on a CPU. Memory that the other side says is
    read-only, or of which an older library does not say that it may be written, refuses changes in place. Raises
    TypeError for anything else and for dtypes that Tensors do not have, BufferError where the other side refuses or has
    a dtype that NumPy lacks, ValueError if a copy is needed and refused.
    """
    if copy is not None:
        check_flag("from_dlpack", "copy", copy)
    if type(x).__name__ == "PyCapsule":
        x = _Capsule(x)
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, or a capsule, got {type(x).__name__}")
    kind, index = x.__dlpack_device__()
    if kind not in _ON_CPU + _ON_GPU:
        got = f"the kind of device {int(kind)}"
        raise TypeError(f"from_dlpack: expected memory of a CPU or of a GPU of NVIDIA, got {got}")
    source = backend.CPU if kind in _ON_CPU else backend.device(f"cuda:{index}")
    target = source if device is None else backend.device(device)
    if target != source and copy is False:
        raise ValueError(f"from_dlpack: memory on {source} is to be on {target}, which needs a copy")
    try:
        with backend.on(source) as xp:
            array = xp.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BufferError(f"from_dlpack: cannot take this {type(x).__name__.strip('_').lower()}: {why}") from None
    dtypes.as_dtype(array.dtype)
    if target != source:
        return wrap(backend.to_device(array, target))
    version = Version()
    result = wrap(version.take_in(array))
    result._changes = version
    return result.clone() if copy else result


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule of a tensor's memory, for one call of `from_dlpack`, also that of another library."""
    array_of("to_dlpack", tensor)
    return tensor.__dlpack__(max_version=_VERSION)
