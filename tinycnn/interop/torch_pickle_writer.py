"""The pickles within torch's files, written without torch: see `torch_pickle`, which reads them."""

from __future__ import annotations

import argparse
import io
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinycnn import backend
from tinycnn.interop.torch_pickle import GLOBALS, LATER, STORAGES, Global, is_plain
from tinycnn.nn.parameter import Parameter
from tinycnn.size import Size
from tinycnn.tensor import Tensor

_Pickler: Any = pickle._Pickler  # that in Python can be told how to write a global name without importing it
_TORCH_DTYPES = {name: Global("torch", name) for name in (*STORAGES, *LATER)}


@dataclass(slots=True)
class _Piece:
    """A piece of memory that is written as one storage."""

    first: np.ndarray  # the array that begins it
    location: str
    end: int
    number: int = -1

    @property
    def count(self) -> int:
        return (self.end - backend.address(self.first)) // self.first.itemsize


class Memory:
    """The storages of the tensors in an object. Tensors that overlap in memory have one, so that they share it again
    when they are read."""

    def __init__(self, tensors: list[Tensor]):
        self._arrays = {id(x._array): (x._array, _writable(x), str(x.device)) for x in tensors}  # held: ids stay theirs
        self._pieces: dict[int, _Piece] = {}
        latest, latest_kind = None, None
        places = {i: (where, a.dtype.name, _span(a)[0] % a.itemsize) for i, (_, a, where) in self._arrays.items()}
        for identity in sorted(places, key=lambda i: (places[i], _span(self._arrays[i][1]))):
            array, location, kind = *self._arrays[identity][1:], places[identity]
            low, high = _span(array)
            if latest is None or kind != latest_kind or low >= latest.end:
                latest, latest_kind = _Piece(array, location, high), kind
            latest.end = max(latest.end, high)
            self._pieces[identity] = latest
        self.pieces: list[_Piece] = []  # as the tensors come in the object, so that equal objects give equal files
        for identity in self._arrays:
            piece = self._pieces[identity]
            if piece.number < 0:
                piece.number = len(self.pieces)
                self.pieces.append(piece)

    def of(self, x: Tensor) -> tuple[np.ndarray, _Piece, int]:
        """The array of a tensor, its piece of memory, and where therein it begins."""
        array, piece = self._arrays[id(x._array)][1], self._pieces[id(x._array)]
        return array, piece, (backend.address(array) - backend.address(piece.first)) // array.itemsize

    def bytes(self) -> list[memoryview]:
        """The content of each storage."""
        flat = [np.lib.stride_tricks.as_strided(p.first, (p.count,), (p.first.itemsize,)) for p in self.pieces]
        return [array.view(np.uint8).data for array in flat]


def _writable(x: Tensor) -> np.ndarray:
    """The array on the CPU, in this machine's byte order and with strides that torch knows: itself, or a copy."""
    array = backend.to_device(x._array, backend.CPU)
    if array.dtype.isnative and all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides):
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C")


def _span(array: np.ndarray) -> tuple[int, int]:
    """Where in memory an array begins and where it ends."""
    low = backend.address(array)
    steps = sum((n - 1) * stride for n, stride in zip(array.shape, array.strides))
    return low, low + (steps + array.itemsize if array.size else 0)


def tensors_in(obj: Any) -> list[Tensor]:
    """The tensors of an object, once each, as they come."""
    found: dict[int, Any] = {}
    left = [obj]
    while left:
        each = left.pop()
        if id(each) in found:
            continue
        found[id(each)] = each
        if isinstance(each, (Mapping, set)) and (wrong := [key for key in each if not is_plain(key)]):
            raise TypeError(f"save: expected numbers and strings as keys, got {type(wrong[0]).__name__}")
        if isinstance(each, Mapping):
            left += reversed(list(each.values()))
        elif isinstance(each, (list, tuple)):
            left += reversed(each)
        elif isinstance(each, argparse.Namespace):
            left += reversed(list(vars(each).values()))
    return [each for each in found.values() if isinstance(each, Tensor)]


def written(obj: Any, memory: Memory) -> bytes:
    """The pickle of an object. TypeError for what is neither tensor, number, string nor a container of them."""
    file = io.BytesIO()
    try:
        _Writer(file, memory).dump(obj)
    except RecursionError:
        raise ValueError("save: the object is nested too deeply") from None
    return file.getvalue()


class _Writer(_Pickler):
    """Python's own, with a shorter list of types."""

    dispatch: ClassVar[dict[type, Callable]] = {
        kind: _Pickler.dispatch[kind] for kind in (type(None), bool, int, float, str, tuple, list, dict)
    }

    def __init__(self, file: Any, memory: Memory):
        super().__init__(file, protocol=2)
        self.memory = memory

    def _write_global(self, name: Global) -> None:
        self.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    dispatch[Global] = _write_global

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Numbers of NumPy are written as Python's, which every reader takes, and dtypes as torch's."""
        if isinstance(obj, np.generic):
            obj = obj.item()
        elif isinstance(obj, np.dtype):
            obj = _TORCH_DTYPES.get(obj.name, obj)
        super().save(obj, save_persistent_id)

    def persistent_id(self, obj: Any) -> Any:
        """How torch describes a storage."""
        if not isinstance(obj, _Piece):
            return None
        dtype = obj.first.dtype.name
        kind = GLOBALS["torch.storage.UntypedStorage" if dtype in LATER else f"torch.{STORAGES[dtype]}"]
        size = obj.count * obj.first.itemsize if dtype in LATER else obj.count
        return "storage", kind, str(obj.number), obj.location, size

    def reducer_override(self, obj: Any) -> Any:
        """The global function that makes an object, and its arguments."""
        if type(obj) in self.dispatch:
            return NotImplemented
        if isinstance(obj, Parameter):
            return GLOBALS["torch._utils._rebuild_parameter"], (obj.detach(), obj.requires_grad, OrderedDict())
        if isinstance(obj, Tensor):
            array, piece, offset = self.memory.of(obj)
            strides = tuple(stride // array.itemsize for stride in array.strides)
            arguments: tuple = piece, offset, tuple(array.shape), strides, obj.requires_grad, OrderedDict()
            if array.dtype.name in LATER:
                return GLOBALS["torch._utils._rebuild_tensor_v3"], (*arguments, array.dtype)
            return GLOBALS["torch._utils._rebuild_tensor_v2"], arguments
        if type(obj) is OrderedDict:
            return GLOBALS["collections.OrderedDict"], (), None, None, iter(obj.items())
        if type(obj) is Counter:
            return GLOBALS["collections.Counter"], (dict(obj),)
        if type(obj) is set:
            return GLOBALS["__builtin__.set"], (list(obj),)
        if type(obj) is bytes:
            return GLOBALS["_codecs.encode"], (obj.decode("latin1"), "latin1")
        if type(obj) is argparse.Namespace:
            return GLOBALS["argparse.Namespace"], (), vars(obj)
        if type(obj) is Size:
            return GLOBALS["torch.Size"], (tuple(obj),)
        if isinstance(obj, backend.Device):
            return GLOBALS["torch.device"], (obj.type,) if obj.type == "cpu" else (obj.type, obj.index)
        raise TypeError(
            f"save: expected tensors, numbers, strings and containers of them, got {type(obj).__name__}"
            + ("; save its state_dict()" if hasattr(obj, "state_dict") else "")
        )
