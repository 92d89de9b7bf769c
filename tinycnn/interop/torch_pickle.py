"""The pickles within torch's files, read without torch and without executing what they name.

A pickle is a program for a small stack machine. This machine knows the instructions that torch's files need. A global
name stands for an entry of a table here: nothing is imported, and no object of this process can be reached. So it makes
tensors, containers and numbers, whatever the file says.

Sources: https://docs.python.org/3/library/pickletools.html; torch/_utils.py and torch/serialization.py of PyTorch.
"""

from __future__ import annotations

import argparse
import math
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import bfloat16
from tinycnn.checks import shortened
from tinycnn.interop.source import Unreadable, item_size
from tinycnn.nn.parameter import Parameter
from tinycnn.size import Size
from tinycnn.tensor import Tensor

# torch's names of memory by the dtype of its numbers, as its files have them.
STORAGES = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "uint8": "ByteStorage", "int8": "CharStorage", "int16": "ShortStorage", "int32": "IntStorage",
    "int64": "LongStorage", "bool": "BoolStorage",
}  # fmt: skip
LATER = ("uint16", "uint32", "uint64")  # these have untyped memory, and the dtype beside it

_Unpickler: Any = pickle._Unpickler


@dataclass(frozen=True, slots=True)
class Global:
    """A global name in a pickle: what it stands for is `make(machine, *arguments)`, or nothing where it is written."""

    module: str
    name: str
    make: Callable[..., Any] | None = None

    def __call__(self) -> NoReturn:
        """Python's pickler wants a function to be callable."""
        raise NotImplementedError


@dataclass(slots=True)
class Storage:
    """A piece of memory that tensors view, and those views: (tensor, offset, size, stride), counted in numbers."""

    key: str
    is_typed: bool  # else it is of bytes, and each tensor says its dtype
    dtype: str | None
    location: str
    size: int  # of numbers, or of bytes
    views: list[tuple[Tensor, int, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The numbers that it holds."""
        return self.size if self.is_typed else self.size // item_size(self.dtype or "uint8")


# --- reading ----------------------------------------------------------------------------------------------


def read(file: Any) -> tuple[Any, dict[str, Storage]]:
    """The object that the pickle at the beginning of `file` makes, and its storages, whose views have no array yet."""
    machine = _Machine(file)
    try:
        return machine.load(), machine.storages
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # the machine meets nothing but the file
        what = str(error).splitlines()[0] if str(error) else ""
        raise Unreadable(f"its pickle is damaged ({type(error).__name__}: {what:.80})") from None


class _Machine(_Unpickler):
    """Python's own in Python: that in C takes gigabytes where a damaged file asks for a large index."""

    dispatch: ClassVar[dict[int, Callable]] = {
        code[0]: _Unpickler.dispatch[code[0]]
        for code in (
            pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
            pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE,
            pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES,
            pickle.SHORT_BINBYTES, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_TUPLE, pickle.EMPTY_SET,
            pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.APPEND, pickle.APPENDS, pickle.GLOBAL,
            pickle.STACK_GLOBAL, pickle.BINPERSID, pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT,
            pickle.LONG_BINPUT, pickle.MEMOIZE,
        )
    }  # fmt: skip

    def __init__(self, file: Any):
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a global name stands for."""
        if (module, name) == ("torch", "bfloat16"):
            return bfloat16()
        if f"{module}.{name}" not in GLOBALS:
            raise Unreadable(_refusal(f"{module}.{name}"))
        return GLOBALS[f"{module}.{name}"]

    def persistent_load(self, saved: Any) -> Storage:
        """The storage that torch describes so: ("storage", type, key, location, size)."""
        if type(saved) is not tuple or len(saved) < 5 or saved[0] != "storage" or saved[5:] not in ((), (None,)):
            raise Unreadable(f"expected a description of a storage, got {_shown(saved)}")
        _, kind, key, location, size = saved[:5]
        if not isinstance(kind, Global) or kind.name not in _DTYPES:
            raise Unreadable(f"expected a type of storage, got {_shown(kind)}")
        if type(key) is not str or type(location) is not str or type(size) is not int or size < 0:
            raise Unreadable(f"expected key, location and size of a storage, got {_shown(saved[2:])}")
        dtype = _DTYPES[kind.name]
        known = self.storages.setdefault(key, Storage(key, dtype is not None, dtype, location, size))
        if (known.location, known.size, known.is_typed) != (location, size, dtype is not None):
            raise Unreadable(f"the storage {key!r:.20} is described in two ways")
        if dtype not in (None, known.dtype):
            raise Unreadable(f"the storage {key!r:.20} is of {known.dtype} and of {dtype}")
        return known

    def _make(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or function.make is None or type(arguments) is not tuple:
            raise Unreadable(f"its pickle calls {_shown(function)}")
        self.stack.append(function.make(self, *arguments))

    dispatch[pickle.REDUCE[0]] = dispatch[pickle.NEWOBJ[0]] = _make

    def _set_state(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is argparse.Namespace and type(state) is dict and all(type(key) is str for key in state):
            vars(target).update(state)
        elif isinstance(target, np.dtype):
            if state[1] not in "<|=":
                raise Unreadable(f"its pickle holds a number of NumPy in the byte order {_shown(state[1])}")
        elif type(target) is not OrderedDict:  # of torch's, `_metadata`, which nothing here needs
            raise Unreadable(f"its pickle sets the state of {_shown(target)}")

    dispatch[pickle.BUILD[0]] = _set_state

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    dispatch[pickle.SETITEM[0]] = _set_item

    def _set_items(self) -> None:
        self._fill(self.pop_mark())

    dispatch[pickle.SETITEMS[0]] = _set_items

    def _fill(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict, Counter) or len(items) % 2:
            raise Unreadable(f"its pickle fills {_shown(target)}")
        for key, value in zip(items[::2], items[1::2]):
            target[_plain(key)] = value

    def _add_items(self) -> None:
        items = self.pop_mark()
        set.update(self.stack[-1], map(_plain, items))

    dispatch[pickle.ADDITEMS[0]] = _add_items


def is_plain(key: Any) -> bool:
    """Whether the key of a dict, or the element of a set, is a number, a string or a tuple of those: of tuples in
    tuples a hash can take for ever."""
    parts = key if type(key) is tuple else (key,)
    return all(isinstance(part, (str, bytes, int, float, np.generic, type(None))) for part in parts)


def _plain(key: Any) -> Any:
    if not is_plain(key):
        raise Unreadable(f"expected numbers and strings as keys, got {_shown(key)}")
    return key


def _shown(value: Any, depth: int = 1) -> str:
    """What a pickle has made, for an error. The repr of tuples in tuples can take for ever."""
    if isinstance(value, (str, bytes, int, float, type(None))):
        return shortened(value)
    if isinstance(value, Global):
        return f"{value.module}.{value.name}"
    if type(value) not in (tuple, list) or not depth:
        return type(value).__name__
    return f"({', '.join(_shown(each, 0) for each in value[:9])}{', …' if len(value) > 9 else ''})"


def _refusal(full: str) -> str:
    """Why a pickle with this global name is not read."""
    for words, kind in _NOT_HERE.items():
        if words in full.lower():
            return f"it holds {kind} ({full:.80}): only dense tensors of real numbers can be read"
    return (
        f"it holds {full!r:.80}, and files are read without executing code: save tensors, numbers and containers of "
        "them, of a whole net the state_dict()"
    )


_NOT_HERE = {
    "complex": "a tensor of complex numbers", "sparse": "a sparse tensor", "qtensor": "a quantised tensor",
    "qint": "a quantised tensor", "nested": "a nested tensor", "float8": "a tensor of float8", "jit": "a program",
}  # fmt: skip


# --- what global names stand for --------------------------------------------------------------------------


def _tensor(
    machine: _Machine, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *rest: Any
) -> Tensor:
    """A tensor without its array, noted as a view of its storage."""
    if not isinstance(storage, Storage) or storage.dtype is None:
        raise Unreadable(f"expected a tensor of a storage, got {_shown(storage)}")
    _check_view(storage, offset, size, stride)
    tensor = Tensor.__new__(Tensor)
    tensor._requires_grad = requires_grad is True and "float" in storage.dtype
    storage.views.append((tensor, offset, tuple(size), tuple(stride)))
    return tensor


def _check_view(storage: Storage, offset: Any, size: Any, stride: Any) -> None:
    """That such a tensor lies within its storage."""
    numbers = [offset, *size, *stride]
    if not all(type(n) is int and 0 <= n < 2**63 for n in numbers) or len(size) != len(stride) or len(size) > 64:
        raise Unreadable(f"a tensor has the size {_shown(size)} and the stride {_shown(stride)}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if 0 not in size else offset - 1
    if last >= storage.count or math.prod(n or 1 for n in size) >= 2**50:
        raise Unreadable(
            f"a tensor of size {_shown(size)}, stride {_shown(stride)} and offset {offset} does not lie in its "
            f"storage of {storage.count:,} numbers"
        )


def _tensor_with_dtype(
    machine: _Machine, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any,
    *rest: Any,
) -> Tensor:  # fmt: skip
    """The same, of untyped memory."""
    if not isinstance(storage, Storage) or not isinstance(dtype, np.dtype):
        raise Unreadable(f"expected a tensor of a storage and a dtype, got {_shown((storage, dtype))}")
    if storage.dtype is None:
        storage.dtype = dtype.name
    if storage.dtype != dtype.name:
        raise Unreadable(f"the storage {storage.key!r:.20} is of {storage.dtype} and of {dtype}")
    return _tensor(machine, storage, offset, size, stride, requires_grad)


def _parameter(machine: _Machine, data: Any, requires_grad: Any, *rest: Any) -> Tensor:
    if type(data) is not Tensor:
        raise Unreadable(f"expected a parameter of a tensor, got {_shown(data)}")
    data.__class__ = Parameter  # it has no array yet from which a Parameter could be made
    data._requires_grad = requires_grad is True
    return data


def _with_attributes(machine: _Machine, function: Any, kind: Any, arguments: Any, *state: Any) -> Any:
    """A tensor that had Python attributes, without them."""
    if not isinstance(function, Global) or function.make not in (_tensor, _tensor_with_dtype, _parameter):
        raise Unreadable(f"expected a function that makes a tensor, got {_shown(function)}")
    return function.make(machine, *arguments)


def _ordered(machine: _Machine, pairs: Any = ()) -> OrderedDict:
    return OrderedDict((_plain(key), value) for key, value in pairs)


def _counter(machine: _Machine, counts: Any = ()) -> Counter:
    if type(counts) not in (dict, tuple):
        raise Unreadable(f"expected a Counter of a dict, got {_shown(counts)}")
    return Counter(counts)


def _set(machine: _Machine, items: Any = ()) -> set:
    return set(map(_plain, items))


def _device(machine: _Machine, kind: str, index: int = 0) -> backend.Device:
    if type(kind) is not str or type(index) is not int:
        raise Unreadable(f"expected a device, got {_shown((kind, index))}")
    return backend.Device.named(kind, index)


def _bytes(machine: _Machine, text: str, encoding: str) -> bytes:
    """Bytes, as the second protocol has them."""
    return text.encode("latin1")


def _numpy_dtype(machine: _Machine, name: str, *rest: Any) -> np.dtype:
    found = np.dtype(name) if type(name) is str and len(name) <= 3 else np.dtype(object)
    if found.kind not in "buif":
        raise Unreadable(f"it holds a number of NumPy of dtype {_shown(name)}")
    return found


def _numpy_scalar(machine: _Machine, dtype: Any, data: Any) -> np.generic:
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or len(data) != dtype.itemsize:
        raise Unreadable(f"expected a number of NumPy, got {_shown((dtype, data))}")
    return np.frombuffer(data, dtype)[0]


def _namespace(machine: _Machine) -> argparse.Namespace:
    return argparse.Namespace()


_DTYPES: dict[str, str | None] = {name: dtype for dtype, name in STORAGES.items()} | {"UntypedStorage": None}
_MAKERS: dict[str, Callable[..., Any] | None] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_with_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
    "torch.Size": lambda machine, sizes=(): Size(sizes),
    "torch.device": _device,
    "torch.storage.UntypedStorage": None,
    **{f"torch.{name}": None for name in STORAGES.values()},
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "_codecs.encode": _bytes,
    "numpy.dtype": _numpy_dtype,
    "numpy._core.multiarray.scalar": _numpy_scalar,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "argparse.Namespace": _namespace,
}
GLOBALS: dict[str, Any] = {
    full: Global(full.rpartition(".")[0], full.rpartition(".")[2], make) for full, make in _MAKERS.items()
}
GLOBALS |= {f"torch.{name}": np.dtype(name) for name in (*STORAGES, *LATER) if name != "bfloat16"}
