"""Tensor: an array that knows how it was computed. Its methods that compute are the functions of `tinycnn.ops`.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinycnn import _printing, autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._handle import RemovableHandle
from tinycnn.backend import DeviceLike
from tinycnn.checks import ShapeError, check_flag, shortened
from tinycnn.grad_mode import thread_mode
from tinycnn.memory_format import memory_format as MemoryFormat
from tinycnn.methods import Methods
from tinycnn.ops import copy, in_place, index
from tinycnn.ops import shape as shapes
from tinycnn.ops.arithmetic import Operand
from tinycnn.size import Size

_reference = weakref.ref


class Tensor(Methods):
    """An n-dimensional array, NumPy's on a CPU, CuPy's on a GPU, with reverse-mode automatic differentiation.

    `Tensor(data)` and `Tensor(*sizes)` make one of the default dtype, as in torch. `tensor` keeps the dtype of
    what it is given.

    Args:
        data: a nested sequence, an array or a Tensor, which is copied; or sizes, for memory with arbitrary values.
        device: "cpu" (default), "gpu", "cuda:N"; default for an array: where it lies.

    Attributes:
        grad: the accumulated gradient, a Tensor of the same shape, or None.
        requires_grad: whether operators on this tensor are recorded.
    """

    _node: autograd.Function | None = None
    _changes: autograd.Version | None = None
    _view_of: autograd.View | None = None  # what it is a view of, if it is one
    _has_torch_strides = False  # whether it lies as in torch, though it is the view of nothing: detached from one
    _is_kept = False  # whether a graph has saved it, while it has no version
    _requires_grad = False
    _hooks: dict[int, Callable] | None = None
    _accumulated_hooks: dict[int, Callable] | None = None
    _grad: Tensor | None = None
    _array: backend.Array

    __array_ufunc__ = None  # array * tensor calls tensor.__rmul__, not NumPy's loop over elements

    def __init__(self, *data: Any, device: DeviceLike = None):
        if len(data) == 1 and not isinstance(data[0], int):
            self._array = copy.new_array("Tensor", data[0], dtypes.get_default_dtype(), device)
        else:
            shape = shapes.shape_from("Tensor", data or (0,))
            with backend.on(backend.device(device)) as xp:
                self._array = xp.empty(shape, dtypes.get_default_dtype())

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def data(self) -> Tensor:
        """A Tensor that shares this memory and has no history, as `detach` gives. Unlike in torch, a graph that needs
        the memory unchanged notices a change of it. It may be set to a Tensor or an array, whose memory this tensor
        then has."""
        return self.detach()

    @data.setter
    def data(self, data: Tensor | backend.Array) -> None:
        array = data._array if isinstance(data, Tensor) else data
        if not isinstance(array, np.ndarray) and not backend.is_gpu_array(array):
            raise TypeError(f"Tensor.data: expected a Tensor or an array, got {type(array).__name__}")
        if dtypes.as_dtype(array.dtype).kind not in FLOATING and self._requires_grad:
            raise TypeError(f"Tensor.data: this tensor requires a gradient, and {array.dtype} has none")
        old = self._array
        if "cupy" in sys.modules and (recorded := backend.recorded()) is not None:
            recorded.uses([self])
        if array is old or (  # by `x.data += 1`, which has changed this memory
            backend.address(array) == backend.address(old) and (array.shape, array.strides) == (old.shape, old.strides)
        ):
            self._changed_in_place()
            return
        # This is other memory: views no longer share it, and what a graph saved of this tensor is outdated.
        count, version = self._shared_version().count, autograd.Version()
        if isinstance(data, Tensor):
            if not data._shared_version().is_kept:  # a graph that needs `data` is not to see it changed
                version = data._shared_version()
            self._array = array
        else:
            self._array = version.take_in(array)
        version.count = max(version.count, count) + 1
        self._changes, self._view_of = version, None

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> np.dtype:
        """The data type of the elements, a NumPy dtype."""
        return self._array.dtype

    @property
    def device(self) -> backend.Device:
        """Where the array lies: it prints as "cpu" or "cuda:N"."""
        return backend.device_of(self._array)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix (all dimensions reversed)."""
        return self.permute(*range(self.ndim)[::-1])

    @property
    def mT(self) -> Tensor:
        """The transpose of each matrix (the last two dimensions exchanged)."""
        return self.transpose(-2, -1)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._array.nbytes

    @property
    def _version(self) -> int:
        """How often this memory was changed in place."""
        return 0 if self._changes is None else self._changes.count

    @property
    def is_leaf(self) -> bool:
        """True unless an operator that is recorded made this tensor."""
        return self._node is None

    @property
    def grad_fn(self) -> autograd.Function | None:
        """The operator that made this tensor, where it was recorded."""
        return self._node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated, or None. Setting it checks shape and dtype."""
        if "cupy" in sys.modules and (recorded := backend.recorded()) is not None:
            recorded.gradient(self)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"Tensor.grad: expected a Tensor or None, got {type(value).__name__}")
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise ValueError(
                f"Tensor.grad: expected a gradient of shape {self.shape} and dtype {self.dtype}, "
                f"got {value.shape} and {value.dtype}"
            )
        if "cupy" in sys.modules and (recorded := backend.recorded()) is not None:
            recorded.gradient(self, reads=False)
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        """Whether operators on this tensor are recorded.

        Setting it raises TypeError for integers; unsetting it RuntimeError for the result of a recorded operator.
        """
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.dtype.kind not in FLOATING:
            raise TypeError(f"requires_grad: only floating-point tensors have gradients, this one is {self.dtype}")
        if not value and self._node is not None:
            raise RuntimeError("requires_grad: this tensor was computed from others; use detach() to cut it off")
        if "cupy" in sys.modules and (recorded := backend.recorded()) is not None and not recorded.is_own(self._array):
            recorded.rebinds(vars(self), "_requires_grad")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets `requires_grad`, in place; returns the tensor."""
        check_flag("requires_grad_", "requires_grad", requires_grad)
        self.requires_grad = requires_grad
        return self

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        return self.shape if dim is None else self._array.shape[shapes.normalize_dim(dim, self, "size")]

    def data_ptr(self) -> int:
        """The address of the first element in memory."""
        return backend.address(self._array)

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._array.dtype.itemsize

    def is_contiguous(self, memory_format: MemoryFormat = MemoryFormat.contiguous_format) -> bool:
        """Whether the elements lie in memory without gaps, row-major or with the channels last."""
        order = {MemoryFormat.channels_last: (0, 2, 3, 1), MemoryFormat.channels_last_3d: (0, 2, 3, 4, 1)}
        axes = order.get(memory_format, ())
        array = self._array.transpose(axes) if len(axes) == self.ndim else self._array
        return array.flags.c_contiguous and len(axes) in (0, self.ndim)

    # --- autograd -----------------------------------------------------------------------------------------

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Computes d self / d leaf for every leaf that requires it and adds it to the leaf's `.grad`.

        Args:
            gradient: the upstream gradient, of this tensor's shape; may be left out for a single number.
            retain_graph: keep what the graph saved, for a further backward pass; default: `create_graph`.
            create_graph: record the computation of the gradients, for gradients of higher order.
            inputs: only these tensors get a gradient; nothing else is computed.
        """
        inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
        autograd.backward([self], [gradient], retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """A Tensor that shares this memory and has no history."""
        result = autograd.wrap(self._array)
        self._share_memory(result)
        if self._view_of or self._has_torch_strides:
            result._has_torch_strides = shapes.torch_layout(self) is None
        return result

    def detach_(self) -> Tensor:
        """Drops this tensor's history, in place: it is a leaf then, and needs no gradient. Returns the tensor.
        RuntimeError for a view of another tensor."""
        if self._view_of:
            raise RuntimeError("detach_: this tensor is a view of another one, whose history it has; use detach()")
        self._node, self._requires_grad = None, False
        return self

    def retain_grad(self) -> None:
        """Lets a tensor that is not a leaf keep its gradient in `.grad` too."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad: this tensor needs no gradient (requires_grad=False)")
        if self._node is not None:
            self._node.retained = weakref.ref(self)  # a node that kept its output alive would be a cycle

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` lets this tensor, which is no leaf, keep its gradient."""
        node = self._node
        return node is not None and node.retained is not None and node.retained() is self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Calls `hook(gradient)` when this tensor's gradient is complete; what it returns, unless None, replaces the
        gradient. Returns a handle, whose `remove()` removes the hook."""
        if not self._requires_grad:
            raise RuntimeError("register_hook: this tensor needs no gradient (requires_grad=False)")
        holder, attribute = (self, "_hooks") if self._node is None else (self._node, "hooks")
        if getattr(holder, attribute) is None:
            setattr(holder, attribute, {})
        return RemovableHandle(getattr(holder, attribute), hook, "register_hook")

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Calls `hook(tensor)` whenever `backward` has added to the `.grad` of this leaf. Returns a handle, whose
        `remove()` removes the hook."""
        if not (self._requires_grad and self._node is None):
            raise RuntimeError("register_post_accumulate_grad_hook: expected a leaf that requires a gradient")
        if self._accumulated_hooks is None:
            self._accumulated_hooks = {}
        thread_mode.hooked = True
        return RemovableHandle(self._accumulated_hooks, hook, "register_post_accumulate_grad_hook")

    def is_inference(self) -> bool:
        """False: a tensor that was made in `inference_mode` is like any other here."""
        return False

    def _shared_version(self) -> autograd.Version:
        if self._changes is None:
            self._changes = autograd.Version()
            self._changes.is_kept = self._is_kept
        return self._changes

    def _changed_in_place(self) -> None:
        """Counts a change in place, so that a graph that saved this memory refuses to use it."""
        version = self._shared_version()
        version.count += 1
        if "cupy" in sys.modules and (recorded := backend.recorded()) is not None:
            recorded.changes(self, version)

    # --- memory -------------------------------------------------------------------------------------------

    def _share_memory(self, other: Tensor, view_of: autograd.View | None = None) -> None:
        """Notes that `other` lies in this memory, and how it is a view of it, if it is one."""
        version = other._changes = self._changes or self._shared_version()
        other._view_of = view_of
        if version.sharers is None:
            version.sharers = [_reference(self), _reference(other)]
            return
        version.sharers.append(_reference(other))
        if len(version.sharers) > version.room:
            version.sharers = [_reference(tensor) for tensor in autograd.alive(version.sharers)]
            version.room = 2 * len(version.sharers) + 30

    def _share_copy(self, copy: Tensor, function: shapes.Reshape | None) -> None:
        """Makes `copy = function(self)` the view that it is in torch: this tensor moves to the memory of the copy. If
        anything else knows the old memory, it stays there, and changes of either are refused."""
        moved = None if function is None else function.back(copy._array, self._array.shape)
        if function is not None and moved is not None and self._is_alone():
            self._array = moved
            self._share_memory(copy, (self, function) if autograd.is_grad_enabled() else autograd.NOT_RECORDED)
            return
        version = self._shared_version()
        version.sharers = version.sharers or [weakref.ref(self)]
        version.copies = [weakref.ref(tensor) for tensor in (*autograd.alive(version.copies), copy)]
        copy._shared_version().copied = version.sharers

    def _is_alone(self, holders: int = 0) -> bool:
        """Whether nothing but this tensor, and so many holders of its array, knows its memory."""
        array, owner = _references(self)
        return (array - holders, owner) in _OF_ONE

    # --- changes in place: how they are written and recorded is in `tinycnn.ops.in_place` -----------------------

    def __setitem__(self, key: Any, value: Any) -> None:
        try:
            steps = index.index_steps(key, self._array)
        except IndexError as error:
            raise IndexError(f"indexing a tensor of shape {self.shape}: {error}") from None
        in_place.assign("assignment", self, value, *steps)

    def copy_(self, source: Operand) -> Tensor:
        """Overwrites the values with those of `source`, which is cast, moved and broadcast."""
        if isinstance(source, Tensor) and source.device != self.device:
            source = source.to(self.device)
        return in_place.assign("copy_", self, source)

    def fill_(self, value: float | Tensor) -> Tensor:
        """Overwrites every element with one number."""
        if getattr(value, "ndim", 0) > 0 or isinstance(value, (tuple, list)):
            got = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else shortened(value)
            raise ValueError(f"fill_: expected a single number, got {got}; use copy_ for more")
        return in_place.assign("fill_", self, value)

    def zero_(self) -> Tensor:
        """Sets every element to 0, in place."""
        return in_place.assign("zero_", self, 0)

    def fill_diagonal_(self, fill_value: float) -> Tensor:
        """Overwrites the elements whose indices are all equal. ValueError for less than 2 dimensions."""
        if self.ndim < 2:
            raise ValueError(f"fill_diagonal_: expected at least 2 dimensions, got shape {self.shape}")
        places = backend.to_device(np.arange(min(self.shape)), self.device)
        return in_place.assign("fill_diagonal_", self, fill_value, (places,) * self.ndim)

    # --- copies and conversions ---------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The array, sharing memory. A tensor on a GPU or one that requires grad refuses; `force=True` is for
        `detach().cpu().numpy()`."""
        if force:
            return self.detach().cpu().numpy()
        if self._requires_grad:
            raise RuntimeError("numpy(): this tensor requires grad; use tensor.detach().numpy()")
        if not isinstance(self._array, np.ndarray):
            raise TypeError(f"numpy(): this tensor is on {self.device}; use tensor.cpu().numpy()")
        return self._shared_version().hand_out(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        from tinycnn.interop import dlpack

        return dlpack.capsule_of(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        from tinycnn.interop import dlpack

        return dlpack.device_of(self)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.numel() != 1:
            raise ShapeError(f"item(): expected a tensor of one element, got shape {self.shape}")
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._array.tolist()

    def to(
        self, *targets: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False,
        memory_format: MemoryFormat | None = None,
    ) -> Tensor:  # fmt: skip
        """This tensor with another dtype, on another device, or both; itself if nothing changes, unless `copy` is set.

        `to("cuda:0")`, `to(float64)`, `to("cpu", float64)`, `to(other_tensor)`. `non_blocking` and `memory_format`
        change nothing: they are torch's.
        """
        for target in targets:
            if isinstance(target, Tensor):
                dtype, device = target.dtype, target.device
            elif isinstance(target, backend.Device) or _names_device(target):
                device = target
            elif target is not None and not isinstance(target, bool):  # one more place for non_blocking
                dtype = dtypes.as_dtype(target)
        result = _converted(self, dtype, device)
        return self.clone() if copy and result is self else result

    def type_as(self, other: Tensor) -> Tensor:
        """This tensor with the dtype of `other`, on its device."""
        if not isinstance(other, Tensor):
            raise TypeError(f"type_as: expected a Tensor, got {type(other).__name__}")
        return self.to(other)

    def type(self, dtype: dtypes.DTypeLike | Callable[..., Tensor] = None) -> Any:
        """This tensor with another dtype, which may be one of torch's old types, `FloatTensor` or "torch.FloatTensor".

        Without an argument, the name of its own such type.
        """
        if dtype is None:
            return dtypes.type_name(self.dtype, self.device.type)
        found, device = dtypes.of_type(dtype)
        return self.to(dtype=found, device=self.device if device == self.device.type else device)

    def cpu(self, memory_format: MemoryFormat | None = None) -> Tensor:
        """This tensor on the CPU: itself, if it is there."""
        return self.to(device="cpu")

    def gpu(self) -> Tensor:
        """This tensor on the first GPU: itself, if it is there."""
        return self.to(device="gpu")

    def cuda(
        self, device: DeviceLike | int = None, non_blocking: bool = False, memory_format: MemoryFormat | None = None
    ) -> Tensor:
        """This tensor on a GPU, by default the current one: itself, if it is there."""
        return self.to(device=backend.device("cuda" if device is None else device))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iub":
            raise TypeError(f"a tensor of dtype {self.dtype} cannot be an index: expected an integer")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise ShapeError(f"the truth value of a tensor of shape {self.shape} is ambiguous: use any() or all()")
        return bool(self._array.item())

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a tensor without dimensions")
        return self._array.shape[0]

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)

    def __repr__(self) -> str:
        array, notes = backend.to_device(self._array, backend.CPU), []
        if self.numel() == 0 and self.ndim != 1:
            notes.append(f"size={tuple(self.shape)}")
        told = (dtypes.get_default_dtype(), *((dtypes.int64, dtypes.bool_) if self.numel() else ()))
        if self.dtype not in told:
            notes.append(f"dtype={self.dtype}")
        if self.device != backend.CPU:
            notes.append(f"device='{self.device}'")
        if self._node is not None:
            notes.append(f"grad_fn={self._node!r}")
        elif self._requires_grad:
            notes.append("requires_grad=True")
        return _printing.tensor_text(array, "tensor(", notes)

    def __copy__(self) -> Tensor:
        """Another Tensor of the same memory and history."""
        result = type(self).__new__(type(self))
        result.__dict__.update(self.__dict__)
        self._share_memory(result, self._view_of)
        return result

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self._node is not None:
            raise RuntimeError("deepcopy: this tensor was computed from others; use detach() first")
        result = type(self).__new__(type(self))
        with backend.current(self._array):
            result._array = self._array.copy(order="K")
        result._requires_grad = self._requires_grad
        result.grad = None if self.grad is None else self.grad.clone()
        memo[id(self)] = result
        return result

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: an array on a GPU is stored as a NumPy array with the name of its device, to which it is
        loaded."""
        state = self.__dict__.copy()
        for name in ("_changes", "_view_of", "_accumulated_hooks"):  # they tell of this memory, or of a process group
            state.pop(name, None)
        if self.device != backend.CPU:
            state |= {"_array": backend.to_device(self._array, backend.CPU), "device": str(self.device)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        device = backend.device(state.pop("device", "cpu"))
        self.__dict__.update(state, _array=backend.to_device(state["_array"], device))

    # --- conversions, named like Python's types: last, for in annotations below them these names mean the methods ---

    def float(self) -> Tensor:
        """This tensor with dtype float32: itself, if it has it."""
        return self.to(dtypes.float32)

    def double(self) -> Tensor:
        """This tensor with dtype float64: itself, if it has it."""
        return self.to(dtypes.float64)

    def half(self) -> Tensor:
        """This tensor with dtype float16: itself, if it has it."""
        return self.to(dtypes.float16)

    def bfloat16(self) -> Tensor:
        """This tensor with dtype bfloat16: itself, if it has it."""
        return self.to("bfloat16")

    def int(self) -> Tensor:
        """This tensor with dtype int32: itself, if it has it."""
        return self.to(dtypes.int32)

    def short(self) -> Tensor:
        """This tensor with dtype int16: itself, if it has it."""
        return self.to(dtypes.int16)

    def char(self) -> Tensor:
        """This tensor with dtype int8: itself, if it has it."""
        return self.to(dtypes.int8)

    def byte(self) -> Tensor:
        """This tensor with dtype uint8: itself, if it has it."""
        return self.to(dtypes.uint8)

    def long(self) -> Tensor:
        """This tensor with dtype int64: itself, if it has it."""
        return self.to(dtypes.int64)

    def bool(self) -> Tensor:
        """This tensor with dtype bool: itself, if it has it."""
        return self.to(dtypes.bool_)


def _converted(x: Tensor, dtype: Any, device: Any) -> Tensor:
    result = x
    if dtype is not None and (dtype := dtypes.as_dtype(dtype)) != x.dtype:
        result = copy.Cast(dtype)(result)
    if device is not None and (device := backend.device(device)) != x.device:
        result = copy.ToDevice(device)(result)
    return result


def _names_device(target: Any) -> bool:
    return isinstance(target, str) and target.split(":")[0] in ("cpu", "gpu", "cuda", "auto")


def _references(tensor: Tensor) -> tuple[int, int]:
    """How many know the array of a tensor, and the array that owns its memory."""
    array = tensor._array
    owner = array if array.base is None else array.base
    return sys.getrefcount(array), 0 if owner is array else sys.getrefcount(owner)


autograd.Tensor = Tensor  # type: ignore[misc]  # ties the knot: see there

# Of tensors that own their memory, and that are the only ones to know who does: it depends on the version of Python.
_OF_ONE = {_references(autograd.wrap(np.empty((2, 2)))), _references(autograd.wrap(np.empty((2, 2)).T))}
