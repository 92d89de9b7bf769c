"""Parameter and Buffer, what a Module lists among its parameters and its buffers, and their shapeless forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from numpy.typing import ArrayLike

from tinycnn import backend, creation, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn.backend import DeviceLike
from tinycnn.checks import check_flag
from tinycnn.dtypes import DTypeLike
from tinycnn.tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]


class Parameter(Tensor):
    """A tensor that a Module, which has it as an attribute, lists among its parameters. It shares `data`'s memory."""

    def __init__(self, data: ArrayLike | Tensor | None = None, requires_grad: bool = True):
        source = data if isinstance(data, Tensor) else creation.tensor([] if data is None else data)
        check_flag("Parameter", "requires_grad", requires_grad)
        self._array = source._array
        source._share_memory(self)
        self.requires_grad = requires_grad

    def __deepcopy__(self, memo: dict) -> Tensor:
        """A copy without the gradient, as in torch: what a copied net learns begins with it."""
        result = super().__deepcopy__(memo)
        result.grad = None
        return result

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that a Module, which has it as an attribute, lists among its buffers; saved with it if `persistent`. It
    shares `data`'s memory."""

    def __init__(self, data: ArrayLike | Tensor | None = None, *, persistent: bool = True):
        source = data if isinstance(data, Tensor) else creation.tensor([] if data is None else data)
        self.persistent = check_flag("Buffer", "persistent", persistent)
        self._array = source._array
        source._share_memory(self)


class Uninitialized(Tensor):
    """A tensor of a lazy layer before its first forward: it has a dtype and a device, but no shape and no elements.

    `materialize` gives it both, and the tensor is then a plain one of the same identity. TypeError before, wherever
    elements or their number are asked for.
    """

    cls_to_become: type[Tensor] = Tensor

    def __init__(self, requires_grad: bool = False, device: DeviceLike = None, dtype: DTypeLike = None):
        self._kind = backend.device(device), dtypes.as_dtype(dtype)
        self._requires_grad = check_flag(type(self).__name__, "requires_grad", requires_grad)

    @property
    def _array(self) -> NoReturn:  # type: ignore[override]
        raise ValueError(
            f"{type(self).__name__}: it has no shape and no elements yet: call the net once, with a batch"
        )

    @property
    def device(self) -> backend.Device:
        return self._kind[0]

    @property
    def dtype(self) -> Any:
        return self._kind[1]

    def materialize(self, shape: Sequence[int], device: DeviceLike = None, dtype: DTypeLike = None) -> None:
        """Gives this tensor a shape and elements, which hold anything."""
        device, dtype = device or self.device, dtype or self.dtype
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        self._array = creation.empty(tuple(shape), device=device, dtype=dtype)._array  # type: ignore[misc, assignment]

    def to(self, *targets: Any, dtype: DTypeLike = None, device: DeviceLike = None, **options: Any) -> Tensor:
        """Sets dtype and device; there is nothing to copy."""
        self._kind = (
            self.device if device is None else backend.device(device),
            self.dtype if dtype is None else dtypes.as_dtype(dtype),
        )
        return self

    def detach(self) -> Tensor:
        """This tensor itself: nothing computed it."""
        return self

    def is_floating_point(self) -> bool:
        return self.dtype.kind in FLOATING

    def __deepcopy__(self, memo: dict) -> Tensor:
        result = type(self)(self.requires_grad, *self._kind)
        memo[id(self)] = result
        return result

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A Parameter before its layer has seen an input."""

    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: DeviceLike = None, dtype: DTypeLike = None):
        super().__init__(requires_grad, device, dtype)


class UninitializedBuffer(Uninitialized):
    """A buffer before its layer has seen an input."""
