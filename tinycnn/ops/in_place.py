"""Changes in place: values written into the memory of a tensor, and recorded like any operator.

A tensor that is changed becomes the result of the operator that changed it. If it is a view, the tensor that it is a
view of becomes the result of `Overwrite`, and all views of that are recorded anew: each of them is from then on what
its elements now are.
"""

from __future__ import annotations

import copy
import functools
import math
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from tinycnn import autograd, backend, dtypes
from tinycnn._bfloat16 import FLOATING, holds_numbers
from tinycnn.autograd import NOT_RECORDED, Function, Gradients, wrap
from tinycnn.backend import Array
from tinycnn.checks import Number, check_int, check_not_negative, check_number, check_share, shortened
from tinycnn.ops import arithmetic, select, unary
from tinycnn.ops.index import GetItem, own
from tinycnn.ops.select import Masked

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = [
    "abs_", "exp_", "expm1_", "log_", "log1p_", "sqrt_", "sin_", "cos_", "tanh_", "sigmoid_", "relu_", "erf_", "floor_",
    "ceil_", "round_", "neg_", "clamp_",
]  # fmt: skip  # of the rest there are methods only, as in torch

Arguments = ParamSpec("Arguments")
_check_rate = Number(above=0)

# --- the operator -----------------------------------------------------------------------------------------


class Overwrite(Function):
    """x with `value` in a part of it, written into the memory of x.

    The `path` of Functions that give views leads to the part; the last one may be any GetItem.
    """

    def __init__(self, path: Sequence[Function]):
        self.path = path

    def forward(self, x: Array, value: Any) -> Array:
        if self.recorded:
            self.path = [GetItem(own(step.index)) if isinstance(step, GetItem) else step for step in self.path]
            self.axes = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
        self.write(x, value)
        return x

    def write(self, x: Array, value: Any) -> None:
        *views, last = self.path or [GetItem(...)]
        if not isinstance(last, GetItem):
            views, last = [*views, last], GetItem(...)
        for view in views:
            x = view.forward(x)
        x[last.index] = value

    def backward(self, grad_output: Tensor) -> Gradients:
        grad_x = grad_value = None
        need_x, need_value = self.needs_input_grad
        if need_x:
            with backend.current(grad_output._array):
                stays = self.xp.ones([grad_output.shape[axis] for axis in self.axes], bool)
                # In x's order in memory, so that views of it are views.
                stays = stays.transpose(np.argsort(self.axes).tolist())
                self.write(stays, False)
            grad_x = Masked(stays)(grad_output)
        if need_value:
            grad_value = grad_output
            for step in self.path:
                grad_value = step.unapplied()(grad_value)
        return grad_x, grad_value


# --- writing ----------------------------------------------------------------------------------------------


def assign(name: str, x: Tensor, value: Any, *index: Any) -> Tensor:
    """x[index] = value, with any number of indices that are applied one after the other. Errors name `name`."""
    recorded = _is_recorded(x, value)
    if isinstance(value, autograd.Tensor):
        backend.one_device(name, [x._array, value._array])
        value = value.to(x.dtype) if recorded else value._array
    elif isinstance(value, (np.ndarray, list, tuple)):
        value = backend.to_device(_numbers(name, value), x.device)
    elif not backend.is_gpu_array(value):
        value = dtypes.fitted(name, "a value", value, x.dtype)
    shape = tuple(getattr(value, "shape", ()))
    if not index and len(shape) > x.ndim:
        raise ValueError(
            f"{name}: a change in place keeps the shape {tuple(x.shape)}, but the result has shape {shape}"
        )
    if shape[:1] == (1,):  # dimensions of size 1 in front mean nothing
        value = value.reshape(shape[next((i for i, size in enumerate(shape) if size != 1), len(shape)) :])
    check_changeable(name, x)
    path = [GetItem(step) for step in index]
    try:
        if recorded:
            root, views = root_of(name, x)
            become(root, Overwrite([*views, *path])(root, value))
        else:
            with backend.current(x._array):
                Overwrite(path).write(x._array, value)
    except IndexError as error:
        raise IndexError(f"indexing a tensor of shape {tuple(x.shape)}: {error}") from None
    except ValueError:
        part = x._array
        for step in index:
            part = part[step]
        raise ValueError(
            f"{name}: cannot assign a value of shape {shape} to a tensor region of shape {part.shape}"
        ) from None
    x._changed_in_place()
    return x


def overwrite(name: str, x: Tensor, function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
    """Overwrites x with `function(x, ...)`, which keeps its shape. Errors name `name`."""
    if not isinstance(x, autograd.Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(x).__name__}")
    check_changeable(name, x)
    if not _is_recorded(x, *arguments, *options.values()):
        return put(name, x, _fitting(name, x, function(x, *arguments, **options)))
    root, _ = root_of(name, x)
    # What the function keeps of x must stay as it is. If nobody else knows this memory, x leaves it to the function,
    # and becomes what this gives; else the function gets a copy.
    alone = root is x and x._is_alone()
    before = wrap(x._array if alone else x._array.copy(order="K"))
    before._node, before._requires_grad = x._node, x._requires_grad
    result = _fitting(name, x, function(before, *arguments, **options))
    if not alone or not result._requires_grad:
        return assign(name, x, result)
    result = result.to(x.dtype)
    x._array = result._array
    x._changed_in_place()
    if result._node is not None and result._node._output is x._array:  # a further change is one of what the node keeps
        result._node._output_version = version = x._shared_version()
        result._node._output_mark = version.mark(x._array)
    become(x, result)
    return x


def put(name: str, x: Tensor, values: Tensor) -> Tensor:
    """Overwrites x with values of its shape, unrecorded, after the checks that `overwrite` has made for `name`."""
    with backend.current(x._array):
        x._array[...] = values._array
    x._changed_in_place()
    return x


def _is_recorded(x: Tensor, *values: Any) -> bool:
    """Whether a change of x by `values` is one for gradients."""
    if not autograd.is_grad_enabled() or x._array.dtype.kind not in FLOATING:
        return False
    return x._requires_grad or any(getattr(value, "_requires_grad", False) for value in values)


def _fitting(name: str, x: Tensor, result: Tensor) -> Tensor:
    """`result`, which is to overwrite x: TypeError if x would have to be of another kind, ValueError if larger."""
    if dtypes.rank(result.dtype) > dtypes.rank(x.dtype):
        raise TypeError(f"{name}: a change in place keeps the dtype {x.dtype}, but the result is {result.dtype}")
    if result._array.shape != x._array.shape:
        raise ValueError(
            f"{name}: a change in place keeps the shape {tuple(x.shape)}, but the result has shape "
            f"{tuple(result.shape)}"
        )
    return result


def check_changeable(name: str, x: Tensor) -> None:
    """RuntimeError if a change of x would change more than x, or less than in torch."""
    if not backend.is_writeable(x._array):
        is_expanded = any(not step and n > 1 for n, step in zip(x._array.shape, x._array.strides))
        what = "an expanded tensor repeats its elements in memory" if is_expanded else "its memory is read-only"
        raise RuntimeError(f"{what}: clone() it before changing it")
    version = x._changes
    if version is None or (version.copies is None and version.copied is None):
        return
    if autograd.alive(version.copied):
        what = "this tensor is a copy of another one"
    elif autograd.alive(version.copies):
        what = "there is a copy of this tensor"
    else:
        return
    raise RuntimeError(
        f"{name}: {what}, made by view(), reshape() or flatten(), which here had to copy; the change would be lost: "
        "clone() one of them"
    )


def _numbers(name: str, value: Any) -> np.ndarray:
    """Numbers to be assigned, as an array."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        array = None
    if array is None or not holds_numbers(array.dtype):
        raise TypeError(f"{name}: cannot assign {shortened(value)} to elements of a tensor")
    return array


# --- recording --------------------------------------------------------------------------------------------


def root_of(name: str, x: Tensor) -> tuple[Tensor, list[Function]]:
    """The tensor that x is a view of, or x, and the Functions that lead from there to x.

    RuntimeError if a change of x cannot be recorded.
    """
    root, path = x, []
    while root._view_of and root._view_of[0]._changes is root._changes:
        root, function = root._view_of
        path.append(function)
    if root._requires_grad and root._node is None:
        what = "a leaf" if root is x else "a view of a leaf"
        raise RuntimeError(f"{name}: {what} that requires grad cannot be changed in place: do it under no_grad()")
    others = [] if x._changes is None else [y for y in autograd.alive(x._changes.sharers) if y is not x]
    if x._view_of == NOT_RECORDED and others:
        raise RuntimeError(
            f"{name}: a view that was made under no_grad(), or that a backward hook watches, cannot be changed in "
            "place where gradients are recorded: clone() it first"
        )
    for y in others:
        if y._view_of and y._node is None and y._requires_grad:
            raise RuntimeError(
                f"{name}: a view of this memory is a leaf that requires grad: clone() one of them before changing it"
            )
    return root, path[::-1]


def become(root: Tensor, result: Tensor) -> None:
    """Lets `root`, whose memory holds `result`, have its history too, and all views of it follow from that."""
    _follow(root, result._node)
    for view in [] if root._changes is None else autograd.alive(root._changes.sharers):
        if view._view_of and view._view_of[0]._changes is view._changes:
            base, function = view._view_of
            _follow(view, function.recorded_anew(base, view))


def _follow(x: Tensor, node: Function | None) -> None:
    """Makes `node` the one that made x."""
    if x._node is not None and x._node.retained is not None and x._node.retained() is x:
        x._node.retained = None
        if node is not None:
            node.retained = weakref.ref(x)
    x._node, x._requires_grad = node, node is not None


# --- methods ----------------------------------------------------------------------------------------------


def in_place(
    function: Callable[Concatenate[Tensor, Arguments], Tensor],
) -> Callable[Concatenate[Tensor, Arguments], Tensor]:
    """The function whose result overwrites its first argument: `exp_` for `exp`."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def method(input: Tensor, *arguments: Arguments.args, **options: Arguments.kwargs) -> Tensor:
        return overwrite(name, input, function, *arguments, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{function.__name__}`, in place: the result overwrites the tensor, which is returned."
    return method


abs_ = in_place(unary.abs)
exp_ = in_place(unary.exp)
expm1_ = in_place(unary.expm1)
log_ = in_place(unary.log)
log1p_ = in_place(unary.log1p)
sqrt_ = in_place(unary.sqrt)
sin_ = in_place(unary.sin)
cos_ = in_place(unary.cos)
tanh_ = in_place(unary.tanh)
sigmoid_ = in_place(unary.sigmoid)
relu_ = in_place(unary.relu)
erf_ = in_place(unary.erf)
floor_ = in_place(unary.floor)
ceil_ = in_place(unary.ceil)
round_ = in_place(unary.round)
neg_ = in_place(arithmetic.neg)
clamp_ = in_place(select.clamp)


# --- random values ----------------------------------------------------------------------------------------


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draws each element from the normal distribution with this mean and standard deviation, in place."""
    _check_drawn("normal_", input, mean=mean, std=check_not_negative("normal_", "std", std))
    with backend.on(input.device):
        return assign("normal_", input, _draw(input, "standard_normal") * std + mean)


def uniform_(input: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draws each element from the uniform distribution on [a, b), in place."""
    _check_drawn("uniform_", input, a=a, b=b)
    if not (a <= b and math.isfinite(b - a)):
        raise ValueError(f"uniform_: expected finite a and b, a of at most b, got a={a} and b={b}")
    kind = input.dtype.type
    with backend.on(input.device) as xp:
        drawn = (_draw(input, "random") * float(b - a) + a).astype(kind)
        return assign("uniform_", input, xp.minimum(drawn, np.nextafter(kind(b), kind(a))))  # rounded, it could be b


def exponential_(input: Tensor, lambd: float = 1.0) -> Tensor:
    """Draws each element from the exponential distribution of rate `lambd`, in place."""
    _check_drawn("exponential_", input, lambd=_check_rate("exponential_", "lambd", lambd))
    with backend.on(input.device) as xp:
        return assign("exponential_", input, -xp.log1p(-_draw(input, "random")) / lambd)


def bernoulli_(input: Tensor, p: float | Tensor = 0.5) -> Tensor:
    """Draws each element, 1 with probability `p`, else 0, in place; `p` may be a Tensor that broadcasts."""
    share = p._array if isinstance(p, autograd.Tensor) else check_share("bernoulli_", "p", p)
    autograd.check_broadcast("bernoulli_", [input, share])
    with backend.on(input.device):
        return assign("bernoulli_", input, (_draw(input, "random") < share).astype(input.dtype))


def random_(input: Tensor, low: int = 0, high: int | None = None) -> Tensor:
    """Draws each element from the integers in [low, high), in place: `random_(high)` from [0, high), `random_()` from
    all that the dtype holds exactly and that are not negative."""
    dtype = autograd.array_of("random_", input).dtype
    low = check_int("random_", "low", low)
    if high is None:
        is_floating = dtype.kind in FLOATING
        bits = dtypes.float_info(dtype).nmant + 1 if is_floating else dtype.itemsize * 8 - (dtype.kind == "i")
        low, high = 0, low or 2**bits
    if low >= check_int("random_", "high", high):
        raise ValueError(f"random_: expected low < high, got {low} and {high}")
    with backend.on(input.device):
        drawn = backend.random_generator(input.device).integers(low, high, tuple(input.shape))
        return assign("random_", input, drawn.astype(dtype))


def _check_drawn(name: str, input: Tensor, **numbers: float) -> None:
    if autograd.array_of(name, input).dtype.kind not in FLOATING:
        raise TypeError(f"{name}: expected a floating-point tensor, got {input.dtype}")
    for argument, number in numbers.items():
        check_number(name, argument, number)


def _draw(x: Tensor, distribution: str) -> Array:
    drawn_as = np.float64 if x.dtype == np.float64 else np.float32
    return getattr(backend.random_generator(x.device), distribution)(tuple(x.shape), dtype=drawn_as)


# --- shapes -----------------------------------------------------------------------------------------------


def another_shape(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method that makes a tensor the view of itself that `function` gives: `unsqueeze_`."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def method(input: Tensor, *arguments: Any, **options: Any) -> Tensor:
        if input._requires_grad and input._node is None and autograd.is_grad_enabled():
            raise RuntimeError(f"{name}: a leaf that requires grad cannot be changed in place: do it under no_grad()")
        former = copy.copy(input)
        result = function(former, *arguments, **options)
        former._share_memory(input, result._view_of)  # once more: younger than what it is a view of
        input._array = result._array
        _follow(input, result._node)
        return input

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{function.__name__}`, in place: the tensor, which is returned, gets this shape."
    return method
