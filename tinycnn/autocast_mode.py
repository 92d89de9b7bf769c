"""Mixed precision by `autocast`: which operators run in 16 bits inside of it, and which in float32."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING
from tinycnn._decorator import ContextDecorator
from tinycnn.checks import check_flag, shortened
from tinycnn.dtypes import DTypeLike
from tinycnn.grad_mode import thread_mode

F = TypeVar("F", bound=Callable[..., Any])

DeviceType = Literal["cuda", "cpu"]
_DEFAULTS: dict[str, DTypeLike] = {"cuda": dtypes.float16, "cpu": "bfloat16"}

LOWER, FLOAT32, WIDEST, REFUSED = "the dtype of autocast", "float32", "the widest of the operands'", "nothing"

_CONVOLUTIONS = "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
_LOSSES = (
    "binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy hinge_embedding_loss huber_loss kl_div "
    "l1_loss margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss nll_loss poisson_nll_loss "
    "smooth_l1_loss soft_margin_loss triplet_margin_loss"
)
# torch's lists, "Autocast Op Reference", of what there is here. What is on none runs in the dtype of its operands;
# `einsum` is the products that it makes. On a CPU, torch pads by reflection and pools in three dimensions in float32,
# for want of other code: here these keep their dtype.
_LISTS = {
    "cuda": {
        LOWER: f"addbmm addmm addmv addr baddbmm bmm linear matmul mm mv prelu {_CONVOLUTIONS}",
        FLOAT32: f"__rtruediv__ acos asin cdist cosh cosine_similarity cumprod cumsum dist exp expm1 gaussian_nll_loss "
        "group_norm interpolate layer_norm local_response_norm log log10 log1p log2 log_softmax logsumexp matrix_norm "
        "multilabel_soft_margin_loss norm normalize pairwise_distance pow prod reciprocal rsqrt sinh softmax softmin "
        f"softplus sum tan vector_norm {_LOSSES}",
        WIDEST: "addcdiv addcmul atan2 bilinear cross dot grid_sample index_put scatter_add tensordot",
        REFUSED: "binary_cross_entropy",
    },
    "cpu": {
        LOWER: f"addbmm addmm baddbmm bmm linear matmul mm prelu tensordot {_CONVOLUTIONS}",
        FLOAT32: "binary_cross_entropy cdist grid_sample local_response_norm multilabel_soft_margin_loss prod quantile "
        f"trace {_LOSSES}",
        WIDEST: "cat index_copy stack",
    },
}
LISTS = {
    device_type: {name: precision for precision, names in lists.items() for name in names.split()}
    for device_type, lists in _LISTS.items()
}


class Casting:
    """What `autocast` says in a thread: the dtype for each type of device on which it is on, and the casts of
    parameters, which are made once in the outermost block."""

    def __init__(self, dtype_of: dict[str, np.dtype], casts: dict[tuple, tuple[Any, int, Any]] | None):
        self.dtype_of, self.casts = dtype_of, casts

    def cast(self, name: str, operands: Any) -> Any:
        """The operands of the operator `name`, in the dtypes that the lists say."""
        tensors = [x for x in _flat(operands) if isinstance(x, autograd.Tensor)]
        if not tensors:
            return operands
        device_type = "cpu" if tensors[0]._array.__class__ is np.ndarray else "cuda"
        dtype, precision = self.dtype_of.get(device_type), LISTS[device_type].get(name)
        if dtype is None or precision is None:
            return operands
        if precision is REFUSED:
            raise RuntimeError(
                f"{name}: unsafe under autocast, where its gradient may overflow: leave out the sigmoid and use "
                f"{name}_with_logits"
            )
        if precision is not LOWER:
            of = {x._array.dtype for x in tensors if _is_eligible(x)}
            if precision is WIDEST and len(of) < 2:
                return operands
            dtype = dtypes.float32
        return _mapped(lambda x: self._one(x, dtype), operands)

    def _one(self, x: Any, dtype: np.dtype) -> Any:
        """An operand in `dtype`, unless it is float64 or has no fractions."""
        if not isinstance(x, autograd.Tensor) or x._array.dtype == dtype or not _is_eligible(x):
            return x
        is_kept = self.casts is not None and thread_mode.recording and dtype.itemsize == 2
        if not is_kept or not x._requires_grad or x._node is not None or x._view_of:
            return x.to(dtype)
        key = id(x), dtype  # x is held: its id stays
        found = self.casts.get(key)  # type: ignore[union-attr]
        if found is None or found[1] != x._version:
            found = self.casts[key] = x, x._version, x.to(dtype)  # type: ignore[index]
        return found[2]

    @property
    def state(self) -> tuple:
        """What tells it from another one, but for the casts that it has made."""
        return *self.dtype_of.items(), self.casts is not None

    def run(self, name: str, function: Callable, arguments: tuple, options: dict[str, Any]) -> Any:
        """What `function` makes of its arguments, cast; nothing is cast inside of it."""
        arguments, options = self.cast(name, (arguments, options))
        thread_mode.autocast = None
        try:
            return function(*arguments, **options)
        finally:
            thread_mode.autocast = self


def _is_eligible(x: Any) -> bool:
    dtype = x._array.dtype
    return dtype.itemsize <= 4 and dtype.kind in FLOATING


def _flat(value: Any) -> Iterator[Any]:
    """The elements of nested tuples, lists and dicts."""
    if isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _flat(item)
    else:
        yield value


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(function, item) for name, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)([_mapped(function, item) for item in value])
    return function(value)


def autocasts(function: F) -> F:
    """For a function of several operators, which to `autocast` is one: it is looked up by its name, and what is on no
    list runs in the dtype of its operands, whatever it is made of."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if thread_mode.autocast is None:
            return function(*arguments, **options)
        return thread_mode.autocast.run(function.__name__, function, arguments, options)

    return call  # type: ignore[return-value]


@contextmanager
def anew(casting: Casting | None) -> Iterator[None]:
    """A block in which operands are cast as by `casting`, with none of its casts of parameters."""
    outer = thread_mode.autocast
    if casting is not None:
        casting = Casting(casting.dtype_of, None if casting.casts is None else {})
    thread_mode.autocast = casting
    try:
        yield
    finally:
        thread_mode.autocast = outer


# --- for users --------------------------------------------------------------------------------------------


def _device_type(name: str, device_type: Any) -> str:
    kind = str(device_type).partition(":")[0]
    if kind not in ("cuda", "gpu", "cpu"):
        raise ValueError(f"{name}: expected device_type 'cuda' or 'cpu', got {shortened(device_type)}")
    return "cpu" if kind == "cpu" else "cuda"


class autocast(ContextDecorator):
    """Mixed precision: context manager and decorator, to be put around the forward pass and the loss.

    Inside, convolutions, linear layers and matrix products cast their operands to 16 bits and give results of 16 bits;
    what needs the range or the digits, such as losses, exp and sums, casts them to float32; everything else runs in
    the dtype of its operands. The lists are torch's, one for each type of device: see `autocast_mode.py`. What is kept
    for the backward pass, and the gradients there, have these dtypes; those of float32 parameters are float32. float64
    is left alone. Casts of parameters are made once in the outermost block.

    bfloat16 has the range of float32; float16 has more digits but underflows below 6e-8, so that gradients need
    `GradScaler`. On a CPU it is slower than float32.

    Args:
        device_type: "cuda" or "cpu": of the tensors that are cast. "cuda" has no effect, and warns, without a GPU.
        dtype: bfloat16 or float16. Default for "cuda" float16, for "cpu" bfloat16.
        enabled: False makes the block compute in the dtypes of the operands.
        cache_enabled: False casts parameters each time. Default True.
    """

    def __init__(
        self, device_type: str, dtype: DTypeLike = None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        self.device = _device_type("autocast", device_type)
        wanted = "expected dtype as bfloat16 or float16"
        try:
            found = dtypes.as_dtype(_DEFAULTS[self.device] if dtype is None and enabled else dtype or dtypes.float16)
        except TypeError:
            raise TypeError(f"autocast: {wanted}, got {shortened(dtype)}") from None
        if found.itemsize != 2 or found.kind not in FLOATING:
            raise ValueError(f"autocast: {wanted}, got {found}")
        check_flag("autocast", "enabled", enabled)
        self.cache_enabled = cache_enabled is None or check_flag("autocast", "cache_enabled", cache_enabled)
        if enabled and self.device == "cuda" and backend.device("auto") == backend.CPU:
            warnings.warn("autocast: device_type is 'cuda', but there is no GPU: it has no effect", stacklevel=2)
            enabled = False
        self.dtype = found if enabled else None

    def __enter__(self) -> None:
        outer = thread_mode.autocast
        thread_mode.outer_autocasts.append(outer)
        dtype_of = {} if outer is None else {**outer.dtype_of}
        dtype_of.pop(self.device, None)
        if self.dtype is not None:
            dtype_of[self.device] = self.dtype
        casts: dict | None = {} if outer is None or outer.casts is None else outer.casts
        thread_mode.autocast = Casting(dtype_of, casts if self.cache_enabled else None) if dtype_of else None

    def __exit__(self, *exc: object) -> None:
        thread_mode.autocast = thread_mode.outer_autocasts.pop()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether `autocast` is on for a type of device, in this thread."""
    return _dtype_now(_device_type("is_autocast_enabled", device_type)) is not None


def get_autocast_dtype(device_type: str) -> np.dtype:
    """The dtype of 16 bits that `autocast` casts to on a type of device, or would by default."""
    kind = _device_type("get_autocast_dtype", device_type)
    return _dtype_now(kind) or dtypes.as_dtype(_DEFAULTS[kind])


def _dtype_now(device_type: str) -> np.dtype | None:
    return None if thread_mode.autocast is None else thread_mode.autocast.dtype_of.get(device_type)


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` takes a type of device: "cuda" and "cpu"."""
    return str(device_type).partition(":")[0] in ("cuda", "cpu")


# --- for operators that users write -----------------------------------------------------------------------


def custom_fwd(
    fwd: Callable | None = None, *, device_type: str, cast_inputs: DTypeLike = None
) -> Callable[..., Any]:  # fmt: skip
    """Decorates the static `forward` of a `Function` for use under `autocast`.

    With `cast_inputs`, under `autocast` floating-point Tensors on that type of device come in this dtype, and nothing
    is cast inside; without, the body is under `autocast` as it is. `custom_bwd` belongs on `backward`.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    kind = _device_type("custom_fwd", device_type)

    @functools.wraps(fwd)
    def forward(ctx: Any, *inputs: Any, **options: Any) -> Any:
        ctx._autocast_dtype = now = _dtype_now(kind)
        if cast_inputs is None or now is None:
            return fwd(ctx, *inputs, **options)
        ctx._autocast_dtype, dtype = None, dtypes.as_dtype(cast_inputs)

        def cast(x: Any) -> Any:
            is_there = isinstance(x, autograd.Tensor) and _is_eligible(x) and x.device.type == kind
            return x.to(dtype) if is_there else x

        with autocast(kind, enabled=False):
            return fwd(ctx, *_mapped(cast, inputs), **_mapped(cast, options))

    return forward


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorates the static `backward` of a `Function`: its body is under `autocast` if that of `forward` was."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    kind = _device_type("custom_bwd", device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *gradients: Any) -> Any:
        dtype = ctx._autocast_dtype
        with autocast(kind, dtype, enabled=dtype is not None):
            return bwd(ctx, *gradients)

    return backward
