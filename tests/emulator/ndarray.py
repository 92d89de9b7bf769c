"""The array: a NumPy array in emulated device memory, with CuPy's methods and CuPy's refusals.

`compute` runs a NumPy function as a device operation, `view` one that only looks at memory in another way.
"""

from __future__ import annotations

import functools
import json
import numbers
from pathlib import Path

import numpy as np

from . import machine, memory

RECORDED = json.loads((Path(__file__).parent / "signatures.json").read_text())


def raw(value):
    """The NumPy array inside each array of an argument; NumPy arrays themselves are refused."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(raw(item) for item in value)
    if isinstance(value, dict):
        return {name: raw(item) for name, item in value.items()}
    return value


def arrays_in(value):
    if isinstance(value, ndarray):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [array for item in value for array in arrays_in(item)] if isinstance(value, (list, tuple)) else []


def zeros_for(value):
    """`value` with zeros in place of each array: during a capture they tell the shape of a result."""
    if isinstance(value, np.ndarray):
        return np.zeros(value.shape, value.dtype)
    if isinstance(value, (list, tuple)):
        return type(value)(zeros_for(item) for item in value)
    return {name: zeros_for(item) for name, item in value.items()} if isinstance(value, dict) else value


def check_device(arrays):
    current = machine.state.device
    for array in arrays:
        if array._memory.device_id != current:
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {array._memory.device_id} while current = {current}"
            )


def _quietly(function, arguments, keywords):
    with np.errstate(all="ignore"):  # a GPU does not warn
        return function(*arguments, **keywords)


def is_bfloat16(dtype):
    return dtype.kind == "V" and dtype.name == "bfloat16"


def without_promotion(arguments):
    """Python's numbers among bfloat16 arrays as such numbers: to CuPy they have no type, but to NumPy they have."""
    arrays = [x for x in arguments if isinstance(x, np.ndarray)]
    if not any(is_bfloat16(x.dtype) for x in arrays) or any(x.dtype.kind == "f" for x in arrays):
        return arguments
    dtype = next(x.dtype for x in arrays if is_bfloat16(x.dtype))
    return tuple([dtype.type(x) if type(x) in (int, float) else x for x in arguments])


def compute(function, *arguments, out=None, **keywords):
    """New C-contiguous arrays, or `out`, with what a NumPy function returns for arrays on the device."""
    check_device(arrays_in([arguments, keywords, out]))
    arguments, keywords = raw(arguments), raw(keywords)
    if isinstance(function, np.ufunc):
        arguments = without_promotion(arguments)
    recording = machine.capture() is not None
    given = zeros_for((arguments, keywords)) if recording else (arguments, keywords)
    result = _quietly(function, *given)
    several = isinstance(result, (list, tuple))
    results = [np.asarray(r) for r in result] if several else [np.asarray(result)]
    if out is None:
        outs = [ndarray(r.shape, r.dtype) for r in results]
    else:
        outs = list(out) if isinstance(out, tuple) else [out]
        for o, r in zip(outs, results):
            if o.shape != r.shape:
                raise ValueError(f"Out shape is mismatched: expected {r.shape}, got {o.shape}")
            if not np.can_cast(r.dtype, o.dtype, "same_kind"):
                raise TypeError(f"output (typecode '{r.dtype}') could not be coerced to '{o.dtype}' under 'same_kind'")
    targets = raw(outs)

    def operation():
        values = _quietly(function, arguments, keywords) if recording else result
        for target, value in zip(targets, values if several else [values]):
            with np.errstate(all="ignore"):
                np.copyto(target, value, casting="unsafe")

    machine.execute(operation)
    return type(result)(outs) if type(result) in (list, tuple) else tuple(outs) if several else outs[0]


def mutate(function, target, *arguments):
    """Runs a function that writes to its first argument, such as numpy.add.at."""
    check_device(arrays_in([target, arguments]))
    host, arguments = target._host, raw(arguments)
    if machine.capture() is not None:
        _quietly(function, zeros_for((host, *arguments)), {})  # its errors come now, not at the launch
    machine.execute(lambda: _quietly(function, (host, *arguments), {}))


def view(function, *arguments, **keywords):
    """What a NumPy function returns: views where it makes views, else new arrays."""
    result = function(*raw(arguments), **raw(keywords))
    several = isinstance(result, (list, tuple))
    views = []
    for host in result if several else [result]:
        owner = next((a for a in arrays_in([arguments]) if np.may_share_memory(host, a._host)), None)
        if owner is None and host.size:
            return compute(function, *arguments, **keywords)
        owner = arrays_in([arguments])[0] if owner is None else owner
        views.append(ndarray._of(host, owner._memory, owner if owner._base is None else owner._base))
    return type(result)(views) if several else views[0]


def bind(name, args, keywords):
    """Refuses the arguments that the function `name` of CuPy does not take."""
    takes = RECORDED["takes"][name]
    if "**" not in takes:
        wrong = set(keywords) - set(takes)
        if wrong or ("*" not in takes and len(args) > len(takes)):
            raise TypeError(f"{name}() of CuPy takes {takes}, got {len(args)} arguments and {sorted(keywords)}")
    return args, keywords


def is_mask(index):
    if isinstance(index, (tuple, list)):
        return any(is_mask(item) for item in index)
    return isinstance(index, (bool, np.bool)) or (isinstance(index, ndarray) and index.dtype == bool)


def is_advanced(index):
    items = index if isinstance(index, tuple) else (index,)
    return any(isinstance(item, (ndarray, np.ndarray, list, bool, np.bool)) for item in items)


def _check_index(index):
    if is_mask(index):
        machine.host_waits("a boolean index")
    if isinstance(index, list) or (isinstance(index, tuple) and any(isinstance(item, list) for item in index)):
        machine.refuse_in_capture("a list as index, which is copied from the host")


class Flags:
    def __init__(self, host, base):
        self.c_contiguous, self.f_contiguous = host.flags.c_contiguous, host.flags.f_contiguous
        self.owndata = base is None
        self.forc, self.fnc = host.flags.forc, host.flags.fnc

    def __getitem__(self, name):
        return getattr(self, {"C": "c_contiguous", "F": "f_contiguous", "O": "owndata"}.get(name, name.lower()))


class Flat:
    """array.flat"""

    def __init__(self, base):
        self.base = base

    def __getitem__(self, index):
        return self.base.ravel()[index].copy()

    def __setitem__(self, index, value):
        def assign(host, value, *index):
            host.flat[index[0]] = value

        mutate(assign, self.base, value, index)

    def __len__(self):
        return self.base.size

    def __iter__(self):
        return iter(self.base.ravel())

    def copy(self):
        return self.base.flatten()


class ndarray:
    __slots__ = ("__weakref__", "_base", "_host", "_memory")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        shape = (shape,) if isinstance(shape, numbers.Integral) else tuple(int(size) for size in shape)
        dtype = np.dtype(dtype)
        if dtype.kind not in "biufcV":
            raise ValueError(f"Unsupported dtype {dtype}")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize if 0 not in shape else 0
        start = memptr or memory.alloc(size)
        self._memory, self._base = start.mem, None
        self._host = np.ndarray(shape, dtype, self._memory.bytes, start.offset, strides, order or "C")

    @classmethod
    def _of(cls, host, owner, base):
        self = cls.__new__(cls)
        self._host, self._memory, self._base = host, owner, base
        return self

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    base = property(lambda self: self._base)
    flags = property(lambda self: Flags(self._host, self._base))
    flat = property(Flat)
    device = property(lambda self: self._memory.device)
    T = property(lambda self: view(np.transpose, self))
    mT = property(lambda self: view(np.matrix_transpose, self))
    real = property(lambda self: view(np.real, self))
    imag = property(lambda self: view(np.imag, self))

    @property
    def data(self):
        if self._memory.ptr == 0:
            return memory.MemoryPointer(self._memory)
        return memory.MemoryPointer(self._memory, self._host.__array_interface__["data"][0] - self._memory.ptr)

    @property
    def __cuda_array_interface__(self):
        strides = None if self.flags.c_contiguous else self.strides
        address = self.data.ptr, False
        return {"shape": self.shape, "typestr": self.dtype.str, "strides": strides, "data": address, "version": 3}

    def __dlpack_device__(self):
        return 2, self._memory.device_id

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if stream is not None and not isinstance(stream, int):
            raise TypeError(f"stream: expected an int or None, got {stream!r}")
        return DLPackCapsule(self)

    # --- to and from the host ---

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        """A NumPy scalar on the left of an operator is fine; a NumPy ufunc called on purpose is not."""
        scalar_on_the_left = len(inputs) == 2 and isinstance(inputs[0], np.generic) and not keywords
        if method == "__call__" and scalar_on_the_left:
            return compute(ufunc, *inputs)
        raise TypeError(f"numpy.{ufunc.__name__} with a cupy.ndarray: use the array's own module")

    def __array_function__(self, function, types, args, keywords):
        raise TypeError(f"numpy.{function.__name__} with a cupy.ndarray: use the array's own module")

    def get(self, stream=None, order="C", out=None, blocking=True):
        if blocking:
            machine.host_waits("get")
        else:
            machine.refuse_in_capture("get")
        if out is None:
            return np.array(self._host, order=order)
        np.copyto(out, self._host)
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if (self.dtype, self.shape) != (arr.dtype, arr.shape):
            raise ValueError(f"set: expected {self.dtype} {self.shape}, got {arr.dtype} {arr.shape}")
        machine.refuse_in_capture("a copy from the host")
        machine.execute(lambda: np.copyto(self._host, arr), stream)

    def item(self, *index):
        machine.host_waits("item")
        return self._host.item(*index)

    def tolist(self):
        machine.host_waits("tolist")
        return self._host.tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def _scalar(convert):
        def method(self):
            machine.host_waits(convert.__name__)
            return convert(self._host)

        return method

    __bool__, __int__, __float__, __complex__ = map(_scalar, (bool, int, float, complex))
    __repr__, __str__ = map(_scalar, (repr, str))

    def __format__(self, spec):
        return format(self.item(), spec) if self.ndim == 0 else format(str(self), spec)

    def __reduce__(self):
        from .functions import array

        return array, (self.get(),)

    # --- copies ---

    def _like(self, dtype=None, order="K", shape=None):
        """An empty array in the memory order that CuPy's *_like functions and astype give it."""
        host = self._host
        if shape is not None and isinstance(shape, numbers.Integral):
            shape = (shape,)
        pattern = np.empty_like(host, dtype, order, subok=False, shape=shape)  # takes no memory unless it is touched
        return ndarray(pattern.shape, pattern.dtype, None, pattern.strides if pattern.size else None)

    def copy(self, order="C"):
        """A copy on the current device, from any other."""
        result = self._like(order=order)
        source, target = self._host, result._host
        machine.execute(lambda: np.copyto(target, source))
        return result

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        with self.device:
            return self.copy()

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        check_device([self])
        same_order = {"C": self._host.flags.c_contiguous, "F": self._host.flags.f_contiguous}.get(order, True)
        if not copy and np.dtype(dtype) == self.dtype and same_order:
            return self
        result = self._like(dtype, order)
        mutate(functools.partial(np.copyto, casting=casting or "unsafe"), result, self)
        return result

    def fill(self, value):
        if isinstance(value, (np.ndarray, list, tuple)):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        mutate(np.copyto if isinstance(value, ndarray) else np.ndarray.fill, self, value)

    # --- views ---

    def reshape(self, *shape, order="C", copy=None):
        return view(np.ndarray.reshape, self, *shape, order=order)

    def transpose(self, *axes):
        return view(np.ndarray.transpose, self, *axes)

    def view(self, dtype=None, type=None):
        return view(np.ndarray.view, self, *([] if dtype is None else [dtype]))

    def reduced_view(self, dtype=None):
        return self.view()

    # --- indexing ---

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        _check_index(index)
        if is_advanced(index):
            return compute(lambda host, index: host[index], self, index)
        items = index if isinstance(index, tuple) else (index,)
        items = items if any(item is Ellipsis for item in items) else (*items, Ellipsis)  # a view even of one element
        return view(lambda host: host[items], self)

    def __setitem__(self, index, value):
        _check_index(index)
        if isinstance(value, (list, tuple)):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        mutate(lambda host, index, value: host.__setitem__(index, value), self, index, value)


def _operator(ufunc, reflected=False, in_place=False):
    def method(self, other):
        if isinstance(other, np.ndarray):
            raise TypeError(f"Unsupported type {type(other)}")
        if not isinstance(other, (ndarray, numbers.Number, np.generic)):
            return NotImplemented
        if ufunc is np.matmul:
            machine.refuse_library_in_capture("cuBLAS")
        pair = (other, self) if reflected else (self, other)
        return compute(ufunc, *pair, out=self if in_place else None)

    return method


ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "matmul": np.matmul, "truediv": np.true_divide,
              "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "lshift": np.left_shift,
              "rshift": np.right_shift, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}  # fmt: skip
COMPARISONS = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
               "eq": np.equal, "ne": np.not_equal}  # fmt: skip
for _name, _ufunc in ARITHMETIC.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))
    setattr(ndarray, f"__r{_name}__", _operator(_ufunc, reflected=True))
    if _name != "matmul":  # CuPy has no in-place matrix product
        setattr(ndarray, f"__i{_name}__", _operator(_ufunc, in_place=True))
for _name, _ufunc in COMPARISONS.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))
for _name, _ufunc in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(ndarray, f"__{_name}__", lambda self, ufunc=_ufunc: compute(ufunc, self))


def _tree_sum(x, axis=None, dtype=None, out=None, keepdims=False):
    """As CuPy sums: many threads, then a tree, float16 in float32. NumPy's error would grow with the number of rows."""
    if x.dtype.kind != "f" or dtype is not None or out is not None:
        return np.ndarray.sum(x, axis, dtype, out, keepdims)
    return np.asarray(x.sum(axis, np.float64, keepdims=keepdims)).astype(x.dtype)


def _method(name):
    function = _tree_sum if name == "sum" else getattr(np.ndarray, name, None) or getattr(np, name)

    def method(self, *args, **keywords):
        args, keywords = bind(f"ndarray.{name}", args, keywords)
        if is_bfloat16(self.dtype) and name in NOT_OF_BFLOAT16:
            raise TypeError(f"CuPy has no {name} of bfloat16")
        if name in ("nonzero", "sort", "argsort"):  # thrust sorts, and synchronises
            machine.host_waits(name)
        if name == "dot":
            machine.refuse_library_in_capture("cuBLAS")
        if name in ("diagonal", "ravel", "squeeze", "swapaxes"):
            return view(function, self, *args, **keywords)
        if name in ("sort", "partition", "put"):
            return mutate(functools.partial(function, **keywords), self, *args)
        keywords = dict(zip(RECORDED["takes"][f"ndarray.{name}"], args)) | keywords
        return compute(function, self, **keywords)

    return method


# What CuPy does not do with bfloat16, sums in bfloat16, or is not known to do.
NOT_OF_BFLOAT16 = set("argpartition argsort partition round searchsorted sort std sum trace var".split())  # noqa: SIM905
METHODS = (
    "all any argmax argmin argpartition argsort choose clip compress conj conjugate cumprod cumsum diagonal dot "
    "flatten max mean min nonzero partition prod ptp put ravel repeat round searchsorted sort squeeze std sum "
    "swapaxes take trace var"
)
for _name in METHODS.split():
    setattr(ndarray, _name, _method(_name))


class DLPackCapsule:
    """What passes memory of the device from one library to another; a PyCapsule for CuPy."""

    def __init__(self, array):
        self.array = array
