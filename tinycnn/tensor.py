"""Tensor: an array that knows how it was computed.

Every method that computes calls an operator from `tinycnn.ops`; this file only gives them torch's names.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn.ops import arithmetic, matmul, reduce, shape, unary
from tinycnn.ops import sort as order

_new = object.__new__
Dims = int | Sequence[int] | None  # one dimension, several, or all


class Tensor:
    """An n-dimensional array (NumPy on a CPU, CuPy on a GPU) with reverse-mode automatic differentiation.

    Args:
        data: a number, nested sequence, array or Tensor; it is copied.
        dtype: default: that of an array; float32 (see `set_default_dtype`) for Python floats, int64 for ints.
        device: "cpu" (default), "gpu", "cuda:N"; default for an array: where it lies.
        requires_grad: record operators on this tensor, so that `backward` gives its gradient in `.grad`.

    Attributes:
        grad: the accumulated gradient, a Tensor of the same shape, or None.
        requires_grad: whether operators on this tensor are recorded.
    """

    _node: autograd.Function | None = None
    _version: autograd.Version | None = None
    _requires_grad = False
    _hooks: dict[int, Callable] | None = None
    _grad: Tensor | None = None
    _array: backend.Array

    __array_ufunc__ = None  # array * tensor is tensor's business, not NumPy's

    def __init__(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False):
        self._array = _new_array(data, dtype, device)
        if requires_grad:
            self.requires_grad = True

    @staticmethod
    def _wrap(array: Any) -> Tensor:
        """A Tensor around `array` itself, unchecked: for results of operators."""
        result = _new(Tensor)
        result._array = np.asarray(array) if isinstance(array, np.generic) else array
        return result

    # --- what it is ---------------------------------------------------------------------------------------

    @property
    def data(self) -> backend.Array:
        """The array itself. It may be changed in place; a graph that still needs it will notice, unless it is on a GPU:
        see `autograd.Version`."""
        self._shared_version().expose(self._array)
        return self._array

    @data.setter
    def data(self, array: Any) -> None:
        array = array.data if isinstance(array, Tensor) else array
        if getattr(array, "shape", None) != self._array.shape or array.dtype != self._array.dtype:
            what = getattr(array, "shape", type(array).__name__), getattr(array, "dtype", "")
            raise ValueError(
                f"Tensor.data: expected an array of shape {self._array.shape} and dtype {self._array.dtype}, "
                f"got {' '.join(map(str, what))}"
            )
        self._array = array
        # Other memory from now on, so views share it no longer; what was saved of this tensor is out of date.
        count = self._shared_version().current() + 1
        self._version = autograd.Version()
        self._version.count = count
        self._version.expose(array)

    @property
    def shape(self) -> tuple:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    @property
    def device(self) -> backend.Device:
        return backend.device_of(self._array)

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix (all dimensions reversed)."""
        return self.permute(*range(self.ndim)[::-1])

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
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.dtype.kind != "f":
            raise TypeError(f"requires_grad: only floating-point tensors have gradients, this one is {self.dtype}")
        if not value and self._node is not None:
            raise RuntimeError("requires_grad: this tensor was computed from others; use detach() to cut it off")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self.requires_grad = requires_grad
        return self

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self._array.shape[shape.normalize_dim(dim, self.ndim, "size")]

    def dim(self) -> int:
        return self._array.ndim

    def numel(self) -> int:
        return self._array.size

    def element_size(self) -> int:
        """Bytes an element."""
        return self._array.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._array.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        return self._array.flags.c_contiguous

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
        """The same memory, cut off from the graph."""
        result = Tensor._wrap(self._array)
        result._version = self._shared_version()
        return result

    def retain_grad(self) -> None:
        """Lets a tensor that is not a leaf keep its gradient in `.grad` too."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad: this tensor needs no gradient (requires_grad=False)")
        if self._node is not None:
            self._node.retained = weakref.ref(self)  # a node that kept its output alive would be a cycle

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> autograd.RemovableHandle:
        """Calls `hook(gradient)` when this tensor's gradient is complete; what it returns, unless None, replaces
        the gradient. `remove()` of the handle that is returned removes the hook."""
        if not self._requires_grad:
            raise RuntimeError("register_hook: this tensor needs no gradient (requires_grad=False)")
        holder, attribute = (self, "_hooks") if self._node is None else (self._node, "hooks")
        if getattr(holder, attribute) is None:
            setattr(holder, attribute, {})
        return autograd.RemovableHandle(getattr(holder, attribute), hook)

    def _shared_version(self) -> autograd.Version:
        if self._version is None:
            self._version = autograd.Version()
        return self._version

    def _changed_in_place(self) -> None:
        """Tells every graph that saved this memory that it is not what it was."""
        self._shared_version().count += 1

    # --- changes in place ---------------------------------------------------------------------------------

    def _assign(self, value: Any, *index: Any) -> Tensor:
        """self[index] = value, in this tensor's memory. Changes in place are not differentiable here."""
        if autograd.is_grad_enabled() and (self._requires_grad or getattr(value, "_requires_grad", False)):
            raise RuntimeError(
                "a change in place is not recorded for gradients: compute a new tensor (y = x + 1, where, cat), "
                "or do it under no_grad()"
            )
        if value is None or isinstance(value, str):
            raise TypeError(f"cannot assign {value!r} to elements of a tensor")
        array = value
        if isinstance(value, Tensor):
            array = value._array
            backend.one_device("assignment", [self._array, array])
        elif isinstance(value, (np.ndarray, list, tuple)):
            array = backend.to_device(np.asarray(value), self.device)
        if not backend.is_writeable(self._array):
            raise RuntimeError("an expanded tensor repeats its elements in memory: clone() it before changing it")
        if isinstance(array, (np.ndarray, type(self._array))) and array.size == 1:
            array = array.reshape(())  # one number goes anywhere, also into a single element
        *first, last = index or (...,)
        target = self._array
        try:
            with backend.current(target):
                for step in first:
                    target = target[step]
                target[last] = array
        except IndexError as error:
            raise IndexError(f"indexing a tensor of shape {self.shape}: {error}") from None
        except ValueError:
            raise ValueError(
                f"cannot assign a value of shape {getattr(array, 'shape', ())} to a tensor region of shape "
                f"{target[last].shape}"
            ) from None
        self._changed_in_place()
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        self._assign(value, *shape.index_steps(index, self._array))

    def copy_(self, source: Any) -> Tensor:
        """Overwrites the values with those of `source`, which is cast, moved and broadcast."""
        if isinstance(source, Tensor) and source.device != self.device:
            source = source.to(self.device)
        return self._assign(source)

    def fill_(self, value: Any) -> Tensor:
        """Overwrites every element with one number."""
        if getattr(value, "ndim", 0) > 0:
            raise ValueError(f"fill_: expected a single number, got shape {tuple(value.shape)}; use copy_ for more")
        return self._assign(value)

    def zero_(self) -> Tensor:
        return self._assign(0)

    def add_(self, other: Any, *, alpha: float = 1) -> Tensor:
        return self._update(self + other if alpha == 1 else self + alpha * other)

    def sub_(self, other: Any, *, alpha: float = 1) -> Tensor:
        return self._update(self - other if alpha == 1 else self - alpha * other)

    def mul_(self, other: Any) -> Tensor:
        return self._update(self * other)

    def div_(self, other: Any) -> Tensor:
        return self._update(self / other)

    def _update(self, result: Tensor) -> Tensor:
        """Overwrites this tensor with the result of an operation on it."""
        if dtypes.rank(result.dtype) > dtypes.rank(self.dtype):
            raise TypeError(f"a change in place keeps the dtype {self.dtype}, but the result is {result.dtype}")
        return self._assign(result)

    def _updated(self, result: Tensor) -> Tensor:
        """`x op= other`: where it must be recorded `x` becomes a new tensor, so that nothing saved is lost."""
        if not result._requires_grad:
            return self._update(result)
        if self.is_leaf and self._requires_grad:
            raise RuntimeError("a leaf that requires grad cannot be changed in place: do it under no_grad()")
        return result

    def __iadd__(self, other: Any) -> Tensor:
        return self._updated(self + other)

    def __isub__(self, other: Any) -> Tensor:
        return self._updated(self - other)

    def __imul__(self, other: Any) -> Tensor:
        return self._updated(self * other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._updated(self / other)

    # --- copies and conversions ---------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The array, sharing memory. A tensor on a GPU or one that requires grad refuses: see `cpu`, `detach`."""
        if self._requires_grad:
            raise RuntimeError("numpy(): this tensor requires grad; use tensor.detach().numpy()")
        if not isinstance(self._array, np.ndarray):
            raise TypeError(f"numpy(): this tensor is on {self.device}; use tensor.cpu().numpy()")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.numel() != 1:
            raise ValueError(f"item(): expected a tensor of one element, got shape {self.shape}")
        return self._array.item()

    def tolist(self) -> Any:
        return self._array.tolist()

    def clone(self) -> Tensor:
        """A copy in memory of its own; gradients flow through."""
        return shape.Clone()(self)

    def contiguous(self) -> Tensor:
        """This tensor with its elements in row-major order in memory: itself, if they are."""
        return self if self.is_contiguous() else shape.Contiguous()(self)

    def to(self, *targets: Any, dtype: Any = None, device: Any = None) -> Tensor:
        """This tensor with another dtype, on another device, or both; itself if nothing changes.

        `to("cuda:0")`, `to(float64)`, `to("cpu", float64)`, `to(other_tensor)`.
        """
        for target in targets:
            if isinstance(target, Tensor):
                dtype, device = target.dtype, target.device
            elif isinstance(target, backend.Device) or _names_device(target):
                device = target
            else:
                dtype = target
        result = self
        if dtype is not None and (dtype := dtypes.as_dtype(dtype)) != self.dtype:
            result = shape.Cast(dtype)(result)
        if device is not None and (device := backend.device(device)) != self.device:
            result = shape.ToDevice(device)(result)
        return result

    def type(self, dtype: Any) -> Tensor:
        return self.to(dtype=dtype)

    def cpu(self) -> Tensor:
        return self.to(device="cpu")

    def gpu(self) -> Tensor:
        return self.to(device="gpu")

    def cuda(self, index: int = 0) -> Tensor:
        return self.to(device=f"cuda:{index}")

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
            raise ValueError(f"the truth value of a tensor of shape {self.shape} is ambiguous: use any() or all()")
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
        values = np.array2string(
            backend.to_device(self._array, backend.CPU), separator=", ", precision=4, suppress_small=False,
            threshold=1000, edgeitems=3, prefix="tensor(",
        )  # fmt: skip
        notes = [values]
        if self.numel() == 0 and self.ndim > 1:
            notes.append(f"size={tuple(self.shape)}")
        if self.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_):
            notes.append(f"dtype={self.dtype}")
        if self.device != backend.CPU:
            notes.append(f"device='{self.device}'")
        if self._node is not None:
            notes.append(f"grad_fn={self._node!r}")
        elif self._requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join(notes)})"

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
        """For pickle: what lies on a GPU as a NumPy array and the name of its device, to which it returns."""
        state = self.__dict__.copy()
        if self.device != backend.CPU:
            state |= {"_array": backend.to_device(self._array, backend.CPU), "device": str(self.device)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        device = backend.device(state.pop("device", "cpu"))
        self.__dict__.update(state, _array=backend.to_device(state["_array"], device))

    # --- arithmetic ---------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return arithmetic.add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return arithmetic.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return arithmetic.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return arithmetic.mul(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return arithmetic.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return arithmetic.div(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return arithmetic.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return arithmetic.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return arithmetic.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return arithmetic.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return matmul.matmul(self, other)

    def __neg__(self) -> Tensor:
        return arithmetic.neg(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return arithmetic.abs(self)

    __radd__, __rmul__ = __add__, __mul__
    add, sub, mul, div, pow, neg = __add__, __sub__, __mul__, __truediv__, __pow__, __neg__
    floor_divide, remainder = __floordiv__, __mod__
    matmul, __rmatmul__ = __matmul__, lambda self, other: matmul.matmul(other, self)

    def __eq__(self, other: Any) -> Any:
        return arithmetic.compare("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return arithmetic.compare("not_equal", self, other)

    def __lt__(self, other: Any) -> Tensor:
        return arithmetic.compare("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return arithmetic.compare("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return arithmetic.compare("greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return arithmetic.compare("greater_equal", self, other)

    __hash__ = object.__hash__  # by identity: a tensor can be a key, though == compares element by element

    def __invert__(self) -> Tensor:
        return arithmetic.logical("~", self)

    def __and__(self, other: Any) -> Tensor:
        return arithmetic.logical("&", self, other)

    def __or__(self, other: Any) -> Tensor:
        return arithmetic.logical("|", self, other)

    def __xor__(self, other: Any) -> Tensor:
        return arithmetic.logical("^", self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def isnan(self) -> Tensor:
        return arithmetic.test("isnan", self)

    def isinf(self) -> Tensor:
        return arithmetic.test("isinf", self)

    def isfinite(self) -> Tensor:
        return arithmetic.test("isfinite", self)

    def exp(self) -> Tensor:
        return arithmetic.exp(self)

    def log(self) -> Tensor:
        return arithmetic.log(self)

    def sqrt(self) -> Tensor:
        return arithmetic.sqrt(self)

    def abs(self) -> Tensor:
        return arithmetic.abs(self)

    def sign(self) -> Tensor:
        return arithmetic.sign(self)

    def tanh(self) -> Tensor:
        return arithmetic.tanh(self)

    def sigmoid(self) -> Tensor:
        return arithmetic.sigmoid(self)

    def relu(self) -> Tensor:
        return arithmetic.relu(self)

    def sin(self) -> Tensor:
        return unary.sin(self)

    def cos(self) -> Tensor:
        return unary.cos(self)

    def log1p(self) -> Tensor:
        return unary.log1p(self)

    def expm1(self) -> Tensor:
        return unary.expm1(self)

    def floor(self) -> Tensor:
        return unary.floor(self)

    def ceil(self) -> Tensor:
        return unary.ceil(self)

    def round(self) -> Tensor:
        return unary.round(self)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        return arithmetic.clamp(self, min, max)

    def maximum(self, other: Any) -> Tensor:
        return arithmetic.maximum(self, other)

    def minimum(self, other: Any) -> Tensor:
        return arithmetic.minimum(self, other)

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """This tensor where `condition` is true, `other` elsewhere."""
        return arithmetic.where(condition, self, other)

    def masked_fill(self, mask: Tensor, value: float | Tensor) -> Tensor:
        """`value` where `mask` is true, this tensor elsewhere."""
        return arithmetic.masked_fill(self, mask, value)

    def isclose(self, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
        """Whether |self - other| <= atol + rtol |other|, for each element."""
        return arithmetic.isclose(self, other, rtol, atol, equal_nan)

    def allclose(self, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
        """Whether all elements are close to those of `other`, as a Python bool: see `isclose`."""
        return arithmetic.allclose(self, other, rtol, atol, equal_nan)

    # --- reductions ---------------------------------------------------------------------------------------

    def sum(self, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        return reduce.sum(self if dtype is None else self.to(dtype), dim, keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return reduce.mean(self, dim, keepdim)

    def var(
        self, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
    ) -> Tensor:
        """The variance: squared deviations from the mean, summed and divided by n - correction.

        `unbiased=False` is correction=0, `unbiased=True` correction=1.
        """
        return reduce.var(self, dim, unbiased, keepdim, correction=correction)

    def std(
        self, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
    ) -> Tensor:
        """The standard deviation, the root of `var`."""
        return reduce.std(self, dim, unbiased, keepdim, correction=correction)

    def amax(self, dim: Dims = (), keepdim: bool = False) -> Tensor:
        """The maximum over `dim`; its gradient is shared evenly among equal maxima."""
        return reduce.amax(self, dim, keepdim)

    def amin(self, dim: Dims = (), keepdim: bool = False) -> Tensor:
        return reduce.amin(self, dim, keepdim)

    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        """Without `dim`, the largest element; with it, (values, indices) along it. With another Tensor instead
        of `dim`, the element-wise maximum of the two."""
        if isinstance(dim, Tensor):
            return arithmetic.maximum(self, dim)
        return self.amax() if dim is None else order.ValuesAndIndices(*reduce.max_along(self, dim, keepdim))

    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        """As `max`, for the smallest element."""
        if isinstance(dim, Tensor):
            return arithmetic.minimum(self, dim)
        return self.amin() if dim is None else order.ValuesAndIndices(*reduce.min_along(self, dim, keepdim))

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """The index of the largest element, of the flattened tensor or along `dim`; the first of equal ones."""
        return reduce.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return reduce.argmin(self, dim, keepdim)

    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return reduce.all(self, dim, keepdim)

    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return reduce.any(self, dim, keepdim)

    def norm(self, p: Any = "fro", dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The p-norm, (sum |x|^p)^(1/p); p = inf gives the largest absolute value."""
        return reduce.norm(self, p, dim, keepdim)

    def softmax(self, dim: int) -> Tensor:
        return reduce.softmax(self, dim)

    def log_softmax(self, dim: int) -> Tensor:
        return reduce.log_softmax(self, dim)

    def logsumexp(self, dim: Dims, keepdim: bool = False) -> Tensor:
        return reduce.logsumexp(self, dim, keepdim)

    # --- along one dimension ------------------------------------------------------------------------------

    def cumsum(self, dim: int) -> Tensor:
        """The sum of all elements up to each, along `dim`."""
        return order.cumsum(self, dim)

    def argsort(self, dim: int = -1, descending: bool = False) -> Tensor:
        return order.argsort(self, dim, descending)

    def sort(self, dim: int = -1, descending: bool = False) -> order.ValuesAndIndices:
        """(values, indices) in order along `dim`; equal elements keep theirs."""
        return order.sort(self, dim, descending)

    def topk(self, k: int, dim: int = -1, largest: bool = True) -> order.ValuesAndIndices:
        """(values, indices) of the k largest (or smallest) elements along `dim`, in order."""
        return order.topk(self, k, dim, largest)

    # --- shapes -------------------------------------------------------------------------------------------

    def reshape(self, *sizes: Any) -> Tensor:
        """The same elements in another shape; one size may be -1. Shares memory where it can."""
        return shape.reshape(self, shape.sizes_of(sizes))

    def view(self, *sizes: Any) -> Tensor:
        """As `reshape`: here, elements that cannot be viewed in the new shape are copied."""
        return shape.reshape(self, shape.sizes_of(sizes))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return shape.flatten(self, start_dim, end_dim)

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Tensor:
        return shape.unflatten(self, dim, sizes)

    def squeeze(self, dim: Dims = None) -> Tensor:
        return shape.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        return shape.unsqueeze(self, dim)

    def permute(self, *dims: Any) -> Tensor:
        return shape.permute(self, shape.sizes_of(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return shape.transpose(self, dim0, dim1)

    def t(self) -> Tensor:
        if self.ndim > 2:
            raise ValueError(f"t(): expected at most 2 dimensions, got shape {self.shape}")
        return self.T

    def expand(self, *sizes: Any) -> Tensor:
        """Repeats dimensions of size 1, without copying, to the given sizes; -1 keeps a size."""
        return shape.expand(self, shape.sizes_of(sizes))

    def repeat(self, *counts: Any) -> Tensor:
        """Copies side by side, so many along each dimension; more counts than dimensions add some in front."""
        return shape.repeat(self, shape.sizes_of(counts))

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangle of each matrix; zeros above."""
        return shape.tril(self, diagonal)

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangle of each matrix; zeros below."""
        return shape.triu(self, diagonal)

    def expand_as(self, other: Tensor) -> Tensor:
        return self.expand(*other.shape)

    def sum_to_size(self, *sizes: Any) -> Tensor:
        """Sums the dimensions along which `sizes` would have been broadcast to this shape: `expand`'s adjoint."""
        return shape.sum_to_size(self, shape.sizes_of(sizes))

    def flip(self, *dims: Any) -> Tensor:
        return shape.flip(self, shape.sizes_of(dims))

    def gather(self, dim: int, index: Tensor) -> Tensor:
        return shape.gather(self, dim, index)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Pieces of `split_size` along `dim` (the last may be smaller), or of the sizes in a list."""
        return shape.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        return shape.chunk(self, chunks, dim)

    def __getitem__(self, index: Any) -> Tensor:
        return shape.getitem(self, index)

    # --- conversions, named like Python's types: last, for in annotations below them these names mean the methods ---

    def float(self) -> Tensor:
        return self.to(dtypes.float32)

    def double(self) -> Tensor:
        return self.to(dtypes.float64)

    def half(self) -> Tensor:
        return self.to(dtypes.float16)

    def int(self) -> Tensor:
        return self.to(dtypes.int32)

    def long(self) -> Tensor:
        return self.to(dtypes.int64)

    def bool(self) -> Tensor:
        return self.to(dtypes.bool_)


def _names_device(target: Any) -> bool:
    return isinstance(target, str) and target.split(":")[0] in ("cpu", "gpu", "cuda", "auto")


def _new_array(data: Any, dtype: Any, device: Any) -> backend.Array:
    """A fresh array holding `data`."""
    dtype = None if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(data, Tensor):
        data = data._array
    if hasattr(data, "__cuda_array_interface__"):
        data = data if backend.is_gpu_array(data) else backend.cupy().asarray(data)
        target = backend.device_of(data) if device is None else backend.device(device)
        with backend.current(data):
            return backend.to_device(data.astype(dtype or data.dtype, copy=True), target)
    try:
        array = np.array(data, order="K")
    except (ValueError, TypeError) as error:
        raise type(error)(f"tensor: cannot make an array of {type(data).__name__}: {error}") from None
    if array.dtype.kind not in "buif":
        raise TypeError(f"tensor: expected numbers, got {_shortened(data)} (dtype {array.dtype})")
    # Python floats have no dtype of their own, arrays have.
    if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        dtype = dtypes.get_default_dtype()
    # Converted here, for NumPy would read strings and None as numbers too if it were told a dtype.
    array = array.astype(dtype or array.dtype, order="K", copy=False)
    return backend.to_device(array, backend.device(device))


def _shortened(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."


autograd.Tensor = Tensor
