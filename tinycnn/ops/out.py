"""`out=`: results of functions that are written into tensors that are there already."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinycnn import autograd, dtypes
from tinycnn.checks import shortened
from tinycnn.ops.in_place import assign

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

# The functions of the package, not the methods of Tensor, that take it; of torch's, what programs use it with.
NAMES = [
    "abs", "add", "addmm", "amax", "amin", "arange", "argmax", "argmin", "baddbmm", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "bmm", "cat", "ceil", "clamp", "cos", "cumprod", "cumsum", "div", "dot", "empty",
    "eq", "exp", "expm1", "eye", "floor", "floor_divide", "full", "gather", "ge", "gt", "index_select", "le",
    "linspace", "log", "log1p", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "masked_select",
    "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul", "multinomial", "mv", "ne", "neg", "nonzero",
    "normal", "ones", "outer", "pow", "prod", "rand", "randint", "randn", "randperm", "remainder", "round", "rsqrt",
    "sigmoid", "sign", "sin", "sort", "sqrt", "square", "stack", "std", "sub", "sum", "take", "tanh", "topk", "tril",
    "triu", "var", "where", "zeros",
]  # fmt: skip
_MAKES = {"arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "randperm", "zeros"}


def takes_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with an argument `out`: a Tensor, or of several results a tuple of them, that they are written into
    and that is returned. It keeps its dtype, and its shape unless it is empty. RuntimeError where gradients would be
    recorded."""
    name = function.__name__

    @functools.wraps(function)
    def call(*arguments: Any, out: Any = None, **options: Any) -> Any:
        if out is None:
            return function(*arguments, **options)
        outs = out if isinstance(out, (tuple, list)) else (out,)
        for x in outs:
            if not isinstance(x, autograd.Tensor):
                raise TypeError(f"{name}: expected out as a Tensor, or as one for each result, got {shortened(out)}")
        if name in _MAKES:
            options = {"dtype": outs[0].dtype, "device": outs[0].device} | options
        every = (*arguments, *options.values())
        given = [x for value in every for x in (value if isinstance(value, (tuple, list)) else (value,))]
        if autograd.is_grad_enabled() and any(getattr(x, "_requires_grad", False) for x in (*outs, *given)):
            raise RuntimeError(f"{name}: out= takes no part in gradients, but a tensor requires one: use no_grad()")
        found = function(*arguments, **options)
        results = found if isinstance(found, tuple) else (found,)
        if len(results) != len(outs):
            raise ValueError(f"{name}: expected out as {len(results)} Tensor(s), got {len(outs)}")
        for x, result in zip(outs, results):
            _write(name, x, result)
        return type(found)(*outs) if hasattr(found, "_fields") else out

    call.__module__ = "tinycnn"  # where this function, not that of the operator, is found
    return call


def _write(name: str, out: Tensor, result: Tensor) -> None:
    if dtypes.rank(result.dtype) > dtypes.rank(out.dtype):
        raise TypeError(f"{name}: out is {out.dtype}, but the result is {result.dtype}")
    if out.shape != result.shape:
        if out.numel():
            raise ValueError(f"{name}: out has shape {tuple(out.shape)}, but the result has {tuple(result.shape)}")
        out.data = result.to(out.dtype)
    else:
        assign(name, out, result.detach())
