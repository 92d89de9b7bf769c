"""The operators as functions, `tinycnn.exp(x)` for `x.exp()`: with a check that their first argument is a Tensor.

Those of two operands and of lists, such as `maximum` and `cat`, check by themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tinycnn.ops import arithmetic, reduce, shape, unary
from tinycnn.ops import sort as order
from tinycnn.tensor import Tensor


def _of_tensor(function: Callable) -> Callable:
    @functools.wraps(function)
    def checked(input: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{function.__name__}: expected a Tensor, got {type(input).__name__}")
        return function(input, *arguments, **options)

    return checked


abs = _of_tensor(arithmetic.abs)
allclose = _of_tensor(arithmetic.allclose)
clamp = _of_tensor(arithmetic.clamp)
exp = _of_tensor(arithmetic.exp)
isclose = _of_tensor(arithmetic.isclose)
log = _of_tensor(arithmetic.log)
masked_fill = _of_tensor(arithmetic.masked_fill)
relu = _of_tensor(arithmetic.relu)
sigmoid = _of_tensor(arithmetic.sigmoid)
sqrt = _of_tensor(arithmetic.sqrt)
tanh = _of_tensor(arithmetic.tanh)

ceil = _of_tensor(unary.ceil)
cos = _of_tensor(unary.cos)
expm1 = _of_tensor(unary.expm1)
floor = _of_tensor(unary.floor)
log1p = _of_tensor(unary.log1p)
round = _of_tensor(unary.round)
sin = _of_tensor(unary.sin)

all = _of_tensor(reduce.all)
amax = _of_tensor(reduce.amax)
amin = _of_tensor(reduce.amin)
any = _of_tensor(reduce.any)
argmax = _of_tensor(reduce.argmax)
argmin = _of_tensor(reduce.argmin)
log_softmax = _of_tensor(reduce.log_softmax)
logsumexp = _of_tensor(reduce.logsumexp)
mean = _of_tensor(reduce.mean)
norm = _of_tensor(reduce.norm)
softmax = _of_tensor(reduce.softmax)
sum = _of_tensor(reduce.sum)
var = _of_tensor(reduce.var)

argsort = _of_tensor(order.argsort)
cumsum = _of_tensor(order.cumsum)
sort = _of_tensor(order.sort)
topk = _of_tensor(order.topk)

flatten = _of_tensor(shape.flatten)
gather = _of_tensor(shape.gather)
permute = _of_tensor(shape.permute)
reshape = _of_tensor(shape.reshape)
split = _of_tensor(shape.split)
squeeze = _of_tensor(shape.squeeze)
transpose = _of_tensor(shape.transpose)
tril = _of_tensor(shape.tril)
triu = _of_tensor(shape.triu)
unsqueeze = _of_tensor(shape.unsqueeze)
