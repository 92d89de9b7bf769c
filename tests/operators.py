"""The operator table: every operator of the library with sample inputs, and how to compare it with torch.

A row is `case(name, function, *inputs)`. `function(lib, *tensors)` is called with tinycnn and with torch as `lib`, so
that both run the same expression; where torch spells it otherwise, `torch=` gives its version. Each input is a
sampler, a function of a seeded generator that makes an array: floating-point ones are differentiated, integers and
booleans are not. `kinks=True` says that the inputs lie where the function has no derivative (equal maxima, relu at
0), so that torch's choice of a gradient is compared but finite differences are not taken; `twice=False` that there is
no second derivative either; `differentiable=False` that no output has a gradient. `view=True` says that an output
lies in the memory of an input; of all other rows, every output has memory of its own.

`tests/test_operators.py` runs every row; `tests/fixtures/record_operators.py` records what torch gives.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Sampler = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class OpCase:
    name: str
    function: Callable[..., Any]
    samplers: tuple[Sampler, ...]
    torch_function: Callable[..., Any]
    kinks: bool
    twice: bool
    differentiable: bool
    view: bool

    def inputs(self) -> list[np.ndarray]:
        """The sample inputs, the same at each call; float64 where they are floating-point."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [sampler(rng) for sampler in self.samplers]

    def run(self, lib: Any, tensors: list[Any]) -> list[Any]:
        """The outputs with `lib` tinycnn or torch, as a list."""
        function = self.torch_function if lib.__name__ == "torch" else self.function
        outputs = function(lib, *tensors)
        return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def gradients(case: OpCase, lib: Any, inputs: list[Any], outputs: list[Any], rng: np.random.Generator) -> dict:
    """First-order gradients of the floating-point inputs for random upstream gradients, and the gradients of
    ⟨first-order gradients, random⟩, by the names 'first0', 'second0', ... of their inputs."""
    kept = [y for y in outputs if y.requires_grad]
    asked = {i: x for i, x in enumerate(inputs) if x.requires_grad}
    if not kept:
        return {}
    grad = lib.autograd.grad
    upstream = [lib.tensor(rng.standard_normal(tuple(y.shape)), dtype=y.dtype, requires_grad=True) for y in kept]
    first = grad(kept, list(asked.values()), upstream, create_graph=True, allow_unused=True)
    found = {f"first{i}": g for i, g in zip(asked, first) if g is not None}
    total = 0.0
    for g in found.values():
        total = total + (g * lib.tensor(rng.standard_normal(tuple(g.shape)), dtype=g.dtype)).sum()
    if case.twice:
        inputs = [*asked.values(), *upstream]
        constant = not getattr(total, "requires_grad", False)
        second = [None] * len(inputs) if constant else grad(total, inputs, allow_unused=True)
        names = [f"second{i}" for i in asked] + [f"second_upstream{i}" for i in range(len(upstream))]
        # Where a gradient does not depend on an input, one library may say None and the other zeros.
        found |= {n: lib.zeros_like(x) if g is None else g for n, x, g in zip(names, inputs, second)}
    return found


# --- samplers ---------------------------------------------------------------------------------------------


def normal(*shape: int) -> Sampler:
    return lambda rng: np.array(rng.standard_normal(shape))


def positive(*shape: int) -> Sampler:
    return lambda rng: np.array(rng.uniform(0.3, 2.5, shape))


def off_zero(*shape: int) -> Sampler:
    """Of either sign, and at least 0.2 away from 0."""
    return lambda rng: np.array(rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape))


def distinct(*shape: int) -> Sampler:
    """At least 0.1 apart from each other, in random order."""
    return lambda rng: (rng.permutation(int(np.prod(shape))).reshape(shape) - 3.3) * 0.1


def ties(*shape: int) -> Sampler:
    """-1, 0 and 1, so that some are equal."""
    return lambda rng: rng.integers(-1, 2, shape).astype(np.float64)


def whole(low: int, high: int, *shape: int, dtype: str = "int64") -> Sampler:
    return lambda rng: np.array(rng.integers(low, high, shape), dtype)


def mask(*shape: int) -> Sampler:
    return lambda rng: np.array(rng.random(shape) < 0.5)


def exactly(values: Any, dtype: str = "float64") -> Sampler:
    return lambda rng: np.array(values, dtype)


# --- the table --------------------------------------------------------------------------------------------

CASES: list[OpCase] = []


def case(
    name: str,
    function: Callable[..., Any],
    *samplers: Sampler,
    torch: Callable[..., Any] | None = None,
    kinks: bool = False,
    twice: bool = True,
    differentiable: bool = True,
    view: bool = False,
) -> None:
    assert all(name != other.name for other in CASES), f"two rows of the name {name}"
    CASES.append(OpCase(name, function, samplers, torch or function, kinks, twice, differentiable, view))


# Two operands, in every combination of shapes that broadcasting allows.
SHAPES = {
    "same": ((3, 4), (3, 4)),
    "row": ((2, 3, 4), (4,)),
    "column": ((3, 4), (3, 1)),
    "both_grow": ((3, 1, 2), (4, 1)),
    "numbers": ((), ()),
    "number_left": ((), (2, 3)),
    "number_right": ((2, 3), ()),
    "empty": ((0, 3), (0, 3)),
    "empty_grows": ((0, 3), (1, 3)),
}
for label, (left, right) in SHAPES.items():
    case(f"add/{label}", lambda lib, a, b: a + b, normal(*left), normal(*right))
    case(f"sub/{label}", lambda lib, a, b: a - b, normal(*left), normal(*right))
    case(f"mul/{label}", lambda lib, a, b: a * b, normal(*left), normal(*right))
    case(f"div/{label}", lambda lib, a, b: a / b, normal(*left), off_zero(*right))
    case(f"pow/{label}", lambda lib, a, b: a**b, positive(*left), normal(*right))
for label in ("same", "row", "both_grow", "number_left", "empty"):
    left, right = SHAPES[label]
    case(f"maximum/{label}", lambda lib, a, b: lib.maximum(a, b), positive(*left), positive(*right))
    case(f"minimum/{label}", lambda lib, a, b: lib.minimum(a, b), positive(*left), positive(*right))
case("maximum/ties", lambda lib, a, b: lib.maximum(a, b), ties(4, 3), ties(3), kinks=True)
case("minimum/ties", lambda lib, a, b: lib.minimum(a, b), ties(4, 3), ties(3), kinks=True)
case("max/of_two", lambda lib, a, b: a.max(b), positive(2, 3), positive(3))
case("min/of_two", lambda lib, a, b: a.min(b), positive(2, 3), positive(3))
case("mul/with_itself", lambda lib, x: x * x * x, normal(2, 3))

# A Python number on either side.
case("add/python", lambda lib, x: 2 + x + 0.5, normal(2, 3))
case("sub/python", lambda lib, x: (2 - x) - 0.5, normal(2, 3))
case("mul/python", lambda lib, x: 3 * x * 0.5, normal(2, 3))
for rounding in ("trunc", "floor"):
    case(f"div/{rounding}", lambda lib, a, b, r=rounding: lib.div(a, b, rounding_mode=r).detach(), normal(3, 4),
         off_zero(4), differentiable=False)  # fmt: skip
    case(f"div/{rounding}_int", lambda lib, a, r=rounding: [a.div(3, rounding_mode=r), a.div(-2, rounding_mode=r)],
         whole(-9, 9, 7))  # fmt: skip
case("div/python", lambda lib, x: 2 / x + x / 3, off_zero(2, 3))
for exponent in (0, 1, 2, 3, -1, 0.5, -1.5):
    case(f"pow/python_{exponent}", lambda lib, x, p=exponent: x**p, positive(2, 3))
case("pow/square_at_0", lambda lib, x: x**2, exactly([0.0, -1.5, 2.0]))
case("pow/exponent_0_at_0", lambda lib, x: x**0, exactly([0.0, -1.5, 2.0]))
case("pow/tensor_exponents_at_0", lambda lib, x, p: x**p, exactly([0.0, 0.0, 2.0, 3.0]), exactly([0.0, 2.0, 0.0, 2.0]),
     kinks=True, twice=False)  # fmt: skip
case("pow/python_base", lambda lib, x: 2**x + 0.5**x, normal(2, 3))
case("pow/whole_exponents", lambda lib, x, n: x**n, off_zero(2, 3), whole(0, 4, 3))

# One variable.
case("neg", lambda lib, x: -x, normal(2, 3))
case("exp", lambda lib, x: x.exp(), normal(2, 3))
case("exp/number", lambda lib, x: lib.exp(x), normal())
case("log", lambda lib, x: x.log(), positive(2, 3))
case("sqrt", lambda lib, x: x.sqrt(), positive(2, 3))
case("abs", lambda lib, x: abs(x) + x.abs(), off_zero(2, 3))
case("abs/at_0", lambda lib, x: lib.abs(x), ties(5), kinks=True)
case("tanh", lambda lib, x: x.tanh(), normal(2, 3))
case("sigmoid", lambda lib, x: x.sigmoid(), normal(2, 3))
case("sigmoid/far_out", lambda lib, x: lib.sigmoid(x), exactly([-800.0, -40.0, 40.0, 800.0]), kinks=True)
case("relu", lambda lib, x: x.relu(), off_zero(2, 3))
case("relu/at_0", lambda lib, x: lib.relu(x), ties(5), kinks=True)
case("relu/empty", lambda lib, x: lib.relu(x), normal(0, 3))
case("where/alone", lambda lib, n: lib.where(n), whole(0, 2, 3, 4))
case("clamp/both", lambda lib, x: x.clamp(-1.0, 0.95), off_zero(3, 4))
case("clamp/min", lambda lib, x: x.clamp(min=0.1), off_zero(3, 4))
case("clamp/max", lambda lib, x: lib.clamp(x, max=1), off_zero(3, 4))
case("clamp/at_bounds", lambda lib, x: x.clamp(-1, 1), exactly([-1.0, -1.5, 0.0, 1.0, 1.5]), kinks=True)
case("clamp/tensor_bounds", lambda lib, x, a, b: x.clamp(a - 2, b + 1), normal(3, 4), positive(4), positive(3, 1))
case("clamp/tensor_bounds_ties", lambda lib, x, a: x.clamp(min=a), ties(3, 4), ties(4), kinks=True)
case("clamp/tensor_bounds_crossed", lambda lib, x, a, b: x.clamp(a, b), ties(3, 4, 2), ties(4, 2),
     ties(3, 1, 2), kinks=True)  # fmt: skip
case("clamp/tensor_bounds_nan", lambda lib, x, a, b: x.clamp(a, b), exactly([0.0, 5.0, float("nan"), -1.0]),
     exactly([1.0, float("nan"), 1.0, float("-inf")]), exactly([2.0, 1.0, 1.0, float("nan")]), kinks=True)  # fmt: skip
case("relu/of_nan", lambda lib, x: [x.relu(), lib.nn.functional.elu(x, 0.5)], exactly([float("nan"), 1.0]), kinks=True)
case("sign", lambda lib, x: x.sign().detach(), ties(2, 3), differentiable=False)

case("sin", lambda lib, x: x.sin() + lib.sin(2 * x), normal(2, 3))
case("cos", lambda lib, x: x.cos() + lib.cos(2 * x), normal(2, 3))
case("log1p", lambda lib, x: x.log1p() + lib.log1p(x), positive(2, 3))
case("log1p/near_0", lambda lib, x: x.log1p(), exactly([1e-18, -1e-18, 0.0]))
case("expm1", lambda lib, x: x.expm1() + lib.expm1(x), normal(2, 3))
case("expm1/near_0", lambda lib, x: x.expm1(), exactly([1e-18, -1e-18, 0.0]))
case("rounding", lambda lib, x: [x.floor().detach(), x.ceil().detach(), x.round().detach()],
     exactly([-1.5, -0.5, -0.2, 0.0, 0.5, 1.5, 2.5, 7.9]), differentiable=False)  # fmt: skip
case("rounding/functions", lambda lib, x: [f(x).detach() for f in (lib.floor, lib.ceil, lib.round)], normal(2, 3),
     differentiable=False)  # fmt: skip
case("remainder", lambda lib, a, b: a % b + lib.remainder(b, a), off_zero(2, 3), off_zero(3))
case("remainder/python", lambda lib, x: x % 0.75 + 3 % x.detach(), off_zero(2, 3), kinks=True)
case("floor_divide", lambda lib, a, b: [(a // b).detach(), (a // 0.3).detach(), (2 // b).detach()], off_zero(2, 3),
     off_zero(3), differentiable=False)  # fmt: skip

# Selection.
case("masked_fill", lambda lib, x, m: x.masked_fill(m, -2.5), normal(2, 3), mask(3))
case("masked_fill/infinity", lambda lib, x, m: lib.masked_fill(x, m, float("-inf")).softmax(1), normal(2, 3),
     exactly([[False, True, False], [True, False, False]], "bool"))  # fmt: skip
case("masked_fill/integers", lambda lib, a, m: a.masked_fill(m, 7), whole(-9, 9, 2, 3), mask(2, 3))
case("isclose", lambda lib, a, b: [a.isclose(b), lib.isclose(a, b, 0.0, 0.5), lib.isclose(a, b, equal_nan=True)],
     exactly([1.0, 1.0, float("nan"), float("inf"), 0.0]), exactly([1.0 + 1e-6, 1.1, float("nan"), float("inf"), 1e-9]),
     differentiable=False)  # fmt: skip
case("where", lambda lib, c, a, b: lib.where(c, a, b), mask(2, 3), normal(2, 3), normal(2, 3))
case("where/grows", lambda lib, c, a, b: lib.where(c, a, b), mask(3, 1), normal(4), normal(2, 1, 1))
case("where/python", lambda lib, c, a: lib.where(c, a, 0.5) + lib.where(c, 2, a), mask(2, 3), normal(2, 3))
case("where/method", lambda lib, c, a, b: a.where(c, b), mask(2, 3), normal(2, 3), normal(3))
case("where/two_python", lambda lib, c: lib.where(c, 1.0, 2.0), mask(2, 3))

# Reductions.
DIMS = {"all": None, "first": 0, "last": -1, "two": (0, 2), "negative": (-1, 1), "none_named": ()}
for label, dim in DIMS.items():
    case(f"sum/{label}", lambda lib, x, d=dim: x.sum(d), normal(2, 3, 4))
    case(f"sum/{label}_keepdim", lambda lib, x, d=dim: x.sum(d, keepdim=True), normal(2, 3, 4))
    case(f"mean/{label}", lambda lib, x, d=dim: lib.mean(x, d), normal(2, 3, 4))
    case(f"amax/{label}", lambda lib, x, d=dim: x.amax(d if d is not None else ()), distinct(2, 3, 4))
    case(f"amin/{label}_keepdim", lambda lib, x, d=dim: lib.amin(x, d if d is not None else (), keepdim=True),
         distinct(2, 3, 4))  # fmt: skip
    if dim != ():  # torch's own gradient is inf there
        case(f"var/{label}", lambda lib, x, d=dim: x.var(d), normal(2, 3, 4))
        case(f"var/{label}_biased", lambda lib, x, d=dim: lib.var(x, d, correction=0, keepdim=True), normal(2, 3, 4))
        case(f"std/{label}", lambda lib, x, d=dim: x.std(d), normal(2, 3, 4))
case("var/unbiased", lambda lib, x: [x.var(1, unbiased=False), x.var(False), x.var(0, True, True)], normal(3, 4))
case("std/unbiased", lambda lib, x: [x.std(unbiased=True), x.std(False), lib.var(x, (0, 1), False)], normal(3, 4))
case("sum/number", lambda lib, x: x.sum(0) + x.sum(-1), normal())
case("sum/of_nothing", lambda lib, x: x.sum(0), normal(0, 3))
case("sum/dtype", lambda lib, x: x.sum(0, dtype=lib.float32), normal(2, 3), kinks=True)  # too coarse for differences
case("mean/keepdim", lambda lib, x: x.mean((0, 1), keepdim=True), normal(2, 3, 4))
case("mean/empty_batch", lambda lib, x: x.mean(1), normal(0, 3))
case("std/of_equal", lambda lib, x: x.std(1), exactly([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), kinks=True, twice=False)
case("amax/ties", lambda lib, x: x.amax(1), ties(4, 5), kinks=True)
case("amin/ties", lambda lib, x: x.amin((0, 1)), ties(4, 5), kinks=True)
case("amax/number", lambda lib, x: x.amax(0), normal())
case("max/whole", lambda lib, x: x.max(), distinct(3, 4))
case("max/whole_ties", lambda lib, x: x.max(), ties(3, 4), kinks=True)
case("min/whole", lambda lib, x: x.min(), distinct(3, 4))
for label, dim in {"first": 0, "middle": 1, "last": -1}.items():
    case(f"max/{label}", lambda lib, x, d=dim: x.max(d), distinct(2, 3, 4))
    case(f"min/{label}_keepdim", lambda lib, x, d=dim: x.min(d, keepdim=True), distinct(2, 3, 4))
    case(f"argmax/{label}", lambda lib, x, d=dim: x.argmax(d), distinct(2, 3, 4), differentiable=False)
    case(f"argmin/{label}", lambda lib, x, d=dim: x.argmin(d, keepdim=True), distinct(2, 3, 4), differentiable=False)
case("max/ties", lambda lib, x: x.max(1), exactly([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]), kinks=True)
case("max/number", lambda lib, x: x.max(0), normal())
case("argmax/whole", lambda lib, x: lib.argmax(x), distinct(2, 3, 4), differentiable=False)
case("argmin/whole", lambda lib, x: lib.argmin(x), distinct(2, 3, 4), differentiable=False)
for p in (1, 2, 3, 0.5, float("inf")):
    case(f"norm/{p}", lambda lib, x, p=p: x.norm(p), distinct(3, 4))
    case(f"norm/{p}_dim", lambda lib, x, p=p: lib.norm(x, p, 1, True), distinct(3, 4))
    case(f"norm/{p}_at_zeros", lambda lib, x, p=p: x.norm(p, 1), exactly([[0.0, 2.0], [3.0, 0.0]]), kinks=True,
         twice=False)  # fmt: skip
case("norm/default", lambda lib, x: x.norm(), normal(2, 3))
case("norm/of_zeros", lambda lib, x: x.norm(dim=1), exactly([[0.0, 0.0], [3.0, 4.0]]), kinks=True, twice=False)
case("all", lambda lib, m: m.all(), mask(2, 3))
case("all/dim", lambda lib, m: lib.all(m, 1), mask(4, 2))
case("any/dim", lambda lib, m: m.any(0, keepdim=True), mask(2, 3))
case("any/of_nothing", lambda lib, m: lib.any(m), mask(0, 3))
for dim in (0, 1, -1):
    case(f"softmax/{dim}", lambda lib, x, d=dim: x.softmax(d), normal(2, 3, 4))
    case(f"log_softmax/{dim}", lambda lib, x, d=dim: lib.log_softmax(x, d), normal(2, 3, 4))
case("softmax/number", lambda lib, x: lib.softmax(x, 0), normal())
case("softmax/empty_batch", lambda lib, x: lib.softmax(x, 1), normal(0, 3))
case("softmax/of_nothing", lambda lib, x: x.softmax(1), normal(2, 0))
case("softmax/large", lambda lib, x: x.softmax(0), exactly([1000.0, 1001.0, 0.0]))
case("log_softmax/large", lambda lib, x: x.log_softmax(-1), exactly([[1000.0, 1001.0, 0.0]]))

case("logsumexp", lambda lib, x: x.logsumexp(1), normal(2, 3, 4))
case("logsumexp/keepdim", lambda lib, x: lib.logsumexp(x, (0, -1), True), normal(2, 3, 4))
case("logsumexp/large", lambda lib, x: x.logsumexp(0), exactly([1000.0, 1001.0, -1000.0]))
case("logsumexp/nothing_likely", lambda lib, x: x.logsumexp(1).detach(), exactly([[float("-inf")] * 2, [0.0, 1.0]]),
     differentiable=False)  # fmt: skip

# Along one dimension.
for dim in (0, 1, -1):
    case(f"cumsum/{dim}", lambda lib, x, d=dim: x.cumsum(d), normal(2, 3, 4))
    case(f"sort/{dim}", lambda lib, x, d=dim: x.sort(d), distinct(2, 3, 4))
    case(f"sort/{dim}_descending", lambda lib, x, d=dim: lib.sort(x, d, True), distinct(2, 3, 4))
    case(f"argsort/{dim}", lambda lib, x, d=dim: x.argsort(d, True), distinct(2, 3, 4), differentiable=False)
    case(f"topk/{dim}", lambda lib, x, d=dim: x.topk(2, d), distinct(2, 3, 4))
case("cumsum/number", lambda lib, x: lib.cumsum(x, 0), normal())
case("cumsum/integers", lambda lib, a: a.cumsum(0), whole(-9, 9, 4, dtype="int32"))
case("sort/default", lambda lib, x: x.sort(), distinct(2, 3))
case("sort/number", lambda lib, x: x.sort(), normal())
case("sort/integers", lambda lib, a: a.sort(descending=True)[0], whole(0, 9, 7, dtype="uint8"))
case("topk/smallest", lambda lib, x: lib.topk(x, 3, largest=False), distinct(2, 5))
case("topk/none", lambda lib, x: x.topk(0), distinct(2, 5))
case("topk/number", lambda lib, x: x.topk(1), normal())

# Shapes.
case("reshape", lambda lib, x: x.reshape(4, 6), normal(2, 3, 4), view=True)
case("reshape/infer", lambda lib, x: lib.reshape(x, (3, -1)), normal(2, 3, 4), view=True)
case("reshape/keep_batch", lambda lib, x: x.reshape(2, 12).reshape(2, 2, 3, 2), normal(2, 3, 4), view=True)
case("reshape/to_number", lambda lib, x: x.reshape(()), normal(1, 1), view=True)
case("reshape/empty", lambda lib, x: x.reshape(-1, 2, 3), normal(0, 6))
case("view", lambda lib, x: x.view(6, -1), normal(2, 3, 4), view=True)
case("flatten", lambda lib, x: x.flatten(), normal(2, 3, 4), view=True)
case("flatten/part", lambda lib, x: lib.flatten(x, 1, 2), normal(2, 3, 2, 2), view=True)
case("flatten/number", lambda lib, x: x.flatten(), normal(), view=True)
case("unflatten", lambda lib, x: x.unflatten(1, (2, -1)), normal(2, 6, 2), view=True)
case("unflatten/nothing", lambda lib, x: [x.unflatten(1, (2, -1)), x.unflatten(0, (2, -1))], normal(0, 4))
case("chunk/nothing", lambda lib, x: x.chunk(3), normal(0, 2))
case("logsumexp/nothing", lambda lib, x: [x.logsumexp(0), x.logsumexp((0, 1))], normal(0, 2))
case("sum_to_size/number", lambda lib, x: x.sum_to_size(()), normal())
case("squeeze", lambda lib, x: x.squeeze(), normal(1, 3, 1, 2), view=True)
case("squeeze/one", lambda lib, x: lib.squeeze(x, -2), normal(1, 3, 1, 2), view=True)
case("squeeze/two", lambda lib, x: x.squeeze((0, 2)), normal(1, 3, 1, 2), view=True)
case("squeeze/nothing", lambda lib, x: x.squeeze(1), normal(1, 3), view=True)
case("unsqueeze", lambda lib, x: x.unsqueeze(0).unsqueeze(-1).unsqueeze(2), normal(2, 3), view=True)
case("permute", lambda lib, x: x.permute(2, 0, 1), normal(2, 3, 4), view=True)
case("permute/negative", lambda lib, x: lib.permute(x, (0, -1, -2)), normal(2, 3, 4), view=True)
case("transpose", lambda lib, x: x.transpose(0, -1), normal(2, 3, 4), view=True)
case("transpose/number", lambda lib, x: x.transpose(0, -1), normal(), view=True)
case("T", lambda lib, x: x.T + x.t(), normal(2, 3))
case("expand", lambda lib, x: x.expand(2, -1, 4), normal(3, 1), view=True)
case("expand/number", lambda lib, x: x.expand(2, 3), normal(), view=True)
case("expand/empty", lambda lib, x: x.expand(0, 3), normal(1, 3))
case("expand_as", lambda lib, x, y: x.expand_as(y) * y, normal(3, 1), normal(2, 3, 4))
case("sum_to_size", lambda lib, x: x.sum_to_size(3, 1), normal(2, 3, 4))
case("repeat", lambda lib, x: x.repeat(2, 3), normal(2, 3))
case("repeat/more_dims", lambda lib, x: x.repeat((2, 1, 2)), normal(1, 3))
case("repeat/none", lambda lib, x: x.repeat(2, 0), normal(2, 3))
for diagonal in (-1, 0, 2):
    case(f"tril/{diagonal}", lambda lib, x, d=diagonal: x.tril(d), normal(2, 3, 4))
    case(f"triu/{diagonal}", lambda lib, x, d=diagonal: lib.triu(x, d), normal(2, 3, 4))
case("tril/booleans", lambda lib, m: m.tril(), mask(3, 3))
case("flip", lambda lib, x: x.flip(0, -1), normal(2, 3, 4))
case("split", lambda lib, x: lib.split(x, 2, 1), normal(2, 5), view=True)
case("split/sizes", lambda lib, x: x.split([1, 3, 0], 0), normal(4, 2), view=True)
case("split/empty", lambda lib, x: x.split(2), normal(0, 3))
case("chunk", lambda lib, x: x.chunk(3, -1), normal(2, 7), view=True)
case("cat", lambda lib, x, y: lib.cat([x, y], 1), normal(2, 3), normal(2, 1))
case("cat/same_twice", lambda lib, x, y: lib.cat((x, y, x)), normal(1, 3), normal(2, 3))
case("cat/empty", lambda lib, x, y: lib.cat([x, y], -2), normal(2, 3), normal(0, 3))
case("cat/empty_vector", lambda lib, x, y: lib.cat([x, y, x], -2), normal(0), normal(2, 3))
case("stack", lambda lib, x, y: lib.stack([x, y]), normal(2, 3), normal(2, 3))
case("stack/last", lambda lib, x, y: lib.stack([x, y], -1), normal(2, 3), normal(2, 3))
# Where nothing changes: what is a view all the same, and what a copy.
case("reshape/same", lambda lib, x: x.reshape(2, 3), normal(2, 3), view=True)
case("expand/same", lambda lib, x: x.expand(2, -1), normal(2, 3), view=True)
case("sum_to_size/same", lambda lib, x: x.sum_to_size(2, 3), normal(2, 3), view=True)
case("contiguous/same", lambda lib, x: x.contiguous(), normal(2, 3), view=True)
case("to/same", lambda lib, x: x.to(x.dtype), normal(2, 3), view=True)
case("positive", lambda lib, x: +x, normal(2, 3), view=True)
case("t", lambda lib, x: (x.t(), x.T), normal(2, 3), view=True)
case("flip/one", lambda lib, x: x.flip(0), normal(1, 3))
case("repeat/once", lambda lib, x: x.repeat(1, 1), normal(2, 3))
case("repeat/one_row", lambda lib, x: x.repeat(2, 1), normal(1, 3))
case("tril/all", lambda lib, x: x.tril(5), normal(2, 3))
case("cat/single", lambda lib, x: lib.cat([x]), normal(2, 3))
case("stack/single", lambda lib, x: lib.stack([x]), normal(2, 3))
case("max/dim_of_one", lambda lib, x: x.max(0).values, normal(1, 3))
case("sum/dim_of_one", lambda lib, x: x.sum(0), normal(1, 3))
case("sort/one", lambda lib, x: x.sort(0).values, normal(1, 3))
case("cumsum/one", lambda lib, x: x.cumsum(0), normal(1, 3))
case("masked_fill/nothing", lambda lib, x: x.masked_fill(x > 9, 0.0), normal(2, 3))
case("clamp/nothing", lambda lib, x: x.clamp(-9, 9), normal(2, 3))
case("floor/int", lambda lib, n: (n.floor(), n.ceil(), n.round()), whole(0, 9, 3), differentiable=False)
for mode in ("constant", "reflect", "replicate", "circular"):
    case(f"pad/nothing_{mode}", lambda lib, x, m=mode: lib.nn.functional.pad(x, (0, 0), m), normal(1, 2, 3))
case("pixel_shuffle/1", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 1), normal(1, 2, 3, 3))
case("pixel_shuffle/of_one_pixel", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2), normal(1, 4, 1, 1))
case("pixel_unshuffle/1", lambda lib, x: lib.nn.functional.pixel_unshuffle(x, 1), normal(1, 2, 3, 3))
case("avg_pool2d/1", lambda lib, x: lib.nn.functional.avg_pool2d(x, 1), normal(1, 2, 3, 3))
case("max_pool2d/1", lambda lib, x: lib.nn.functional.max_pool2d(x, 1), normal(1, 2, 3, 3))
case("adaptive_avg_pool2d/same", lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, 3), normal(1, 2, 3, 3))
case("adaptive_max_pool2d/same", lambda lib, x: lib.nn.functional.adaptive_max_pool2d(x, 3), normal(1, 2, 3, 3))
case("interpolate/same", lambda lib, x: lib.nn.functional.interpolate(x, (3, 3)), normal(1, 2, 3, 3))
case("unfold/1", lambda lib, x: lib.nn.functional.unfold(x, 1), normal(1, 2, 3, 3))
case("fold/1", lambda lib, x: lib.nn.functional.fold(x, (3, 3), 1), normal(1, 2, 9))
case("dropout/eval", lambda lib, x: lib.nn.functional.dropout(x, 0.5, False), normal(2, 3), view=True)
case("clone", lambda lib, x: x.clone(), normal(2, 3))
case("contiguous", lambda lib, x: x.T.contiguous(), normal(2, 3))
case("to_float32", lambda lib, x: x.float() * 2, normal(2, 3), kinks=True)

# Indexing.
case("index/int", lambda lib, x: x[1], normal(3, 4), view=True)
case("index/element", lambda lib, x: x[1, 2], normal(3, 4), view=True)
case("index/element_of_vector", lambda lib, x: x[-1], normal(3), view=True)
case("index/negative", lambda lib, x: x[-1, -2], normal(3, 4), view=True)
case("index/slices", lambda lib, x: x[1:, ::2], normal(3, 4), view=True)
case("index/none_and_ellipsis", lambda lib, x: x[..., None, 1:3], normal(2, 3, 4), view=True)
case("index/empty_slice", lambda lib, x: x[2:2], normal(3, 4))
case("index/mask", lambda lib, x, m: x[m], normal(3, 4), mask(3, 4))
case("index/mask_of_rows", lambda lib, x, m: x[m], normal(3, 4), mask(3))
case("index/python_bool", lambda lib, x: x[True], normal(3, 2))
case("index/list", lambda lib, x: x[[2, 0, 2]], normal(3, 4))
case("index/repeats", lambda lib, x, i: x[i], normal(3, 4), whole(0, 3, 7))
case("index/two_arrays", lambda lib, x, i, j: x[i, j], normal(3, 4), whole(0, 3, 5), whole(-4, 4, 5))
case("index/arrays_grow", lambda lib, x, i, j: x[i, j], normal(3, 4), whole(0, 3, 2, 1), whole(0, 4, 3))
case("index/array_and_slice", lambda lib, x, i: x[:, i, 1:], normal(2, 3, 4), whole(0, 3, 4))
case("index/arrays_apart", lambda lib, x, i: x[i, :, i], normal(3, 2, 3), whole(0, 3, 4))
case("index/int_before_array", lambda lib, x, i: x[1, :, i], normal(2, 3, 4), whole(0, 4, 2))
case("index/int_among_arrays", lambda lib, x, i, m: x[i, -1, :, m], normal(3, 2, 2, 4), whole(0, 3, 1), mask(4))
case("index/int_none_array", lambda lib, x, i: x[i, None, 1], normal(3, 4), whole(0, 3, 5))
case("index/int_tensor", lambda lib, x, i: x[i], normal(3, 4), whole(0, 3), view=True)
case("index/of_nothing", lambda lib, x, i: x[i], normal(3, 4), whole(0, 3, 0))
case("gather/0", lambda lib, x, i: x.gather(0, i), normal(3, 4), whole(0, 3, 5, 4))
case("gather/smaller", lambda lib, x, i: lib.gather(x, 1, i), normal(3, 4), whole(0, 4, 2, 3))
case("gather/3d", lambda lib, x, i: x.gather(-2, i), normal(2, 3, 4), whole(0, 3, 2, 1, 4))
case("gather/one_of", lambda lib, x, i: x.gather(0, i), normal(3), exactly(2, "int64"))
case("gather/of_number", lambda lib, x, i: x.gather(-1, i), normal(), whole(0, 1, 4))
case("gather/number", lambda lib, x, i: x.gather(0, i), normal(), exactly(0, "int64"))

# Matrix products.
for label, (left, right) in {
    "matrices": ((2, 3), (3, 4)),
    "dot": ((3,), (3,)),
    "row": ((3,), (3, 4)),
    "column": ((2, 3), (3,)),
    "batch": ((2, 3, 4), (2, 4, 2)),
    "batch_grows": ((2, 1, 2, 3), (4, 3, 2)),
    "batch_by_matrix": ((2, 2, 3), (3, 4)),
    "matrix_by_batch": ((2, 3), (2, 3, 4)),
    "row_by_batch": ((3,), (2, 3, 4)),
    "batch_by_column": ((2, 2, 3), (3,)),
    "empty_batch": ((0, 3), (3, 4)),
    "empty_inner": ((2, 0), (0, 3)),
    "empty_batch_of_matrices": ((0, 2, 3), (3, 4)),
}.items():
    case(f"matmul/{label}", lambda lib, a, b: a @ b, normal(*left), normal(*right))
case("matmul/transposed", lambda lib, a, b: lib.matmul(a.T, b.transpose(0, 1)), normal(3, 2), normal(4, 3))
case("matmul/with_itself", lambda lib, a: a @ a, normal(3, 3))
case("matmul/integers", lambda lib, a, b: a @ b, whole(-3, 4, 2, 3), whole(-3, 4, 3, 2))

# Integers and booleans: torch's result types.
case("int/add", lambda lib, a, b: a + b, whole(-9, 9, 2, 3), whole(-9, 9, 3, dtype="int32"))
case("int/uint8_int8", lambda lib, a, b: a * b, whole(0, 9, 3, dtype="uint8"), whole(-9, 9, 3, dtype="int8"))
case("int/true_division", lambda lib, a, b: a / b, whole(-9, 9, 2, 3), whole(1, 9, 3))
case("int/python_float", lambda lib, a: a * 0.5, whole(-9, 9, 3))
case("int/with_float", lambda lib, a, x: a * x, whole(-9, 9, 3), normal(2, 3))
case("int/whole_division", lambda lib, a, b: [a // b, a % b, a // 2, 7 % b], whole(-9, 9, 2, 3), whole(1, 9, 3))
case("int/rounding", lambda lib, a: [a.floor(), a.ceil(), a.round()], whole(-9, 9, 3))
case("int/exp", lambda lib, a: a.exp(), whole(-3, 3, 3))
case("int/sum", lambda lib, a: a.sum(), whole(-9, 9, 3, dtype="int32"))
case("int/sum_uint8", lambda lib, a: a.sum(0), whole(0, 255, 3, 2, dtype="uint8"))
case("int/minimum_uint8", lambda lib, a, b: lib.minimum(a, b), whole(0, 9, 5, dtype="uint8"),
     whole(0, 9, 5, dtype="uint8"))  # fmt: skip
case("int/relu", lambda lib, a: a.relu(), whole(-9, 9, 5))
case("int/pow", lambda lib, a: a**2, whole(-9, 9, 5))
case("int/number_does_not_widen", lambda lib, a, b: a + b, whole(0, 9, 3, dtype="int32"), exactly(2, "int64"))
case("int/negative_powers", lambda lib, a, b: [a**b, 2**b, (-1) ** b, (a > 0) ** b], whole(-2, 3, 4, 4),
     whole(-3, 3, 4))  # fmt: skip
case("int/wrapped", lambda lib, a: [a + -1, 300 - a, a * -3, a == -56, a < 300, a & -2, a // -1, a % 300, a / -2],
     exactly([1, 200, 255], "uint8"))  # fmt: skip
case("int/divided_by_a_negative_number", lambda lib, a, b: a / b, whole(0, 9, 3, dtype="uint8"), exactly(-4, "int32"))
case("int/alpha", lambda lib, a, m: [a.add(m, alpha=3), a.sub(a, alpha=-2), m.add(m, alpha=2), a.add(0.5, alpha=3)],
     whole(0, 99, 4, dtype="uint8"), mask(4))  # fmt: skip
case("int/put_into", lambda lib, a, m: [a.masked_fill(m, -1), a.masked_fill(m, 2.75), a.clamp(-1, 250),
     lib.full_like(a, -2), m.masked_fill(m, 0.5), a.clamp(True)], whole(0, 255, 4, dtype="uint8"), mask(4))  # fmt: skip
case("int/truth_of_uint8", lambda lib, a: [a.all(), a.any(0), a.all(1, keepdim=True)],
     whole(0, 2, 3, 4, dtype="uint8"))  # fmt: skip
case("int/logsumexp", lambda lib, a, m: [a.logsumexp(0), m.logsumexp(0)], whole(-3, 3, 4), mask(4))
case("int/softmax_of_nothing", lambda lib, a: [a.softmax(1), a.log_softmax(0)], whole(0, 2, 0, 2, dtype="int32"))
case("int/losses", lambda lib, a, x: [lib.nn.functional.l1_loss(a, x), lib.nn.functional.smooth_l1_loss(x, a),
     lib.nn.functional.mse_loss(x > 0, x)], whole(-3, 3, 4), distinct(4))  # fmt: skip
case("int/dropout", lambda lib, a: lib.nn.functional.dropout(a, 1.0), whole(-3, 3, 4))
case("bool/clamp", lambda lib, m, a: [m.clamp(a * 0.5, a), m.clamp(0, 2), m.clamp(m, a)], mask(4), whole(-1, 3, 4))
case("bool/whole_division", lambda lib, m, a: [m // 2, m % 2, m // a, a % (m | True), m % 0.75, a / 3 // (m | True)],
     mask(4), whole(1, 4, 4))  # fmt: skip
case("int/cat", lambda lib, a, b: lib.cat([a.float(), b]), whole(0, 9, 3), whole(0, 9, 2))
case("bool/sum", lambda lib, m: m.sum(), mask(5))
case("bool/add", lambda lib, m, n: m + n, mask(5), mask(5))
case("bool/mul", lambda lib, m, x: m * x, mask(3), normal(2, 3))
case("bool/mean_of_float", lambda lib, m: m.float().mean(), mask(5))
case("bool/logic", lambda lib, m, n: [m & n, m | n, m ^ n, ~m], mask(5), mask(5))
case("bool/maximum", lambda lib, m, n: lib.maximum(m, n), mask(5), mask(5))
case("int/logic_does_not_widen", lambda lib, a, b: [a & b, a | b, b ^ a], whole(0, 9, 3, dtype="int32"),
     exactly(2, "int64"))  # fmt: skip
case("int/logic", lambda lib, a, b: [a & b, a | b, a ^ b, ~a, a & 3], whole(0, 9, 5), whole(0, 9, 5))
case(
    "compare",
    lambda lib, a, b: [a == b, a != b, a < b, a <= b, a > b, a >= b],
    ties(5),
    ties(2, 5),
    differentiable=False,
)
case("compare/python", lambda lib, a: [a == 0, a != 0.5, a < 1, a <= 1, a > 0.5, a >= 1], ties(5), differentiable=False)
case("cast/integers", lambda lib, x: [x.long(), x.int(), x.bool()], normal(5), differentiable=False)
case("cast/half", lambda lib, x: x.half(), normal(5), kinks=True)
case("cast/double", lambda lib, x: x.float().double(), normal(5), kinks=True)

# Functions of nn: what the layer table leaves out.
for size in (1, 3, 4, 7, 10):
    case(f"interpolate/nearest_to_{size}", lambda lib, x, s=size: lib.nn.functional.interpolate(x, s), normal(1, 2, 5))
    for corners in (False, True):
        case(f"interpolate/linear_to_{size}_{corners}",
             lambda lib, x, s=size, c=corners: lib.nn.functional.interpolate(x, s, mode="linear", align_corners=c),
             normal(1, 2, 5))  # fmt: skip
for scale in (0.3, 0.7, 0.9, 1.4, 2.3):
    for again in (False, True):
        case(f"interpolate/nearest_by_{scale}_{again}", lambda lib, x, s=scale, r=again: lib.nn.functional.interpolate(
            x, scale_factor=s, recompute_scale_factor=r), normal(1, 1, 7, 4))  # fmt: skip
        case(f"interpolate/bilinear_by_{scale}_{again}", lambda lib, x, s=scale, r=again: lib.nn.functional.interpolate(
            x, scale_factor=s, mode="bilinear", recompute_scale_factor=r), normal(1, 1, 7, 4))  # fmt: skip
for options in ({}, {"align_corners": True}):
    case(f"interpolate/bicubic_{len(options)}", lambda lib, x, o=options: [
        lib.nn.functional.interpolate(x, size, mode="bicubic", **o) for size in ((7, 3), (2, 8), (4, 6), (1, 1))] + [
        lib.nn.functional.interpolate(x, scale_factor=(1.2, 0.7), mode="bicubic", **o)],
        normal(1, 2, 4, 5))  # fmt: skip
case("interpolate/area", lambda lib, x: [
    lib.nn.functional.interpolate(x, (3, 2), mode="area"),
    lib.nn.functional.interpolate(x, scale_factor=1.5, mode="area")], normal(1, 2, 4, 5))  # fmt: skip
case("interpolate/nearest-exact", lambda lib, x: [
    lib.nn.functional.interpolate(x, size, mode="nearest-exact") for size in (2, 3, 7, 12)] + [
    lib.nn.functional.interpolate(x, scale_factor=s, mode="nearest-exact") for s in (0.6, 1.4, 2)],
    normal(1, 2, 5))  # fmt: skip
case("interpolate/two_scales", lambda lib, x: lib.nn.functional.interpolate(x, scale_factor=(2.5, 0.5)),
     normal(1, 1, 3, 4))  # fmt: skip
case("interpolate/trilinear", lambda lib, x: lib.nn.functional.interpolate(x, (3, 2, 5), mode="trilinear"),
     normal(1, 1, 2, 3, 4))  # fmt: skip
case("interpolate/of_one", lambda lib, x: lib.nn.functional.interpolate(x, 3, mode="linear", align_corners=True),
     normal(1, 2, 1))  # fmt: skip
for mode in ("reflect", "replicate", "circular"):
    case(f"pad/{mode}_1d", lambda lib, x, m=mode: lib.nn.functional.pad(x, (2, 1), m), normal(2, 3, 4))
    case(f"pad/{mode}_1d_one_sample", lambda lib, x, m=mode: lib.nn.functional.pad(x, (0, 3), m), normal(2, 4))
    case(f"pad/{mode}_2d", lambda lib, x, m=mode: lib.nn.functional.pad(x, (0, 2, 1, 0), m), normal(1, 2, 3, 4))
    case(f"pad/{mode}_3d", lambda lib, x, m=mode: lib.nn.functional.pad(x, (1, 0, 2, 1, 0, 1), m),
         normal(1, 1, 3, 4, 2))  # fmt: skip
case("pad/largest_reflect", lambda lib, x: lib.nn.functional.pad(x, (3, 3), "reflect"), normal(1, 4))
case("pad/largest_circular", lambda lib, x: lib.nn.functional.pad(x, (4, 4), "circular"), normal(1, 4))
case("pad/constant", lambda lib, x: lib.nn.functional.pad(x, (1, 0, -1, 2), value=1.5), normal(2, 3, 4))
case("pad/to_nothing", lambda lib, x: lib.nn.functional.pad(x, (-1, -3)), normal(2, 4))
case("pixel_shuffle/3", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 3), normal(18, 2, 1))
case("pixel_shuffle/batches", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2), normal(2, 1, 4, 2, 3))
case("pixel_unshuffle/3", lambda lib, x: lib.nn.functional.pixel_unshuffle(x, 3), normal(2, 3, 6))
for ceil in (False, True):
    for length in (5, 6, 7, 8):
        case(f"pool/length_{length}_{ceil}", lambda lib, x, c=ceil: [
            lib.nn.functional.max_pool1d(x, 3, 2, 1, ceil_mode=c), lib.nn.functional.avg_pool1d(x, 3, 2, 1, c),
            lib.nn.functional.avg_pool1d(x, 3, 2, 1, c, False)], distinct(1, 2, length))  # fmt: skip
case("max_pool2d/indices", lambda lib, x: lib.nn.functional.max_pool2d(x, (2, 3), (2, 1), (1, 0), return_indices=True),
     distinct(1, 2, 4, 5))  # fmt: skip
case("max_pool2d/dilation", lambda lib, x: lib.nn.functional.max_pool2d(x, 2, 1, 0, (2, 3)), distinct(1, 2, 4, 5))
case("avg_pool2d/divisor", lambda lib, x: lib.nn.functional.avg_pool2d(x, 2, 1, 1, divisor_override=-3),
     normal(1, 2, 3, 4))  # fmt: skip
case("avg_pool2d/one_sample", lambda lib, x: lib.nn.functional.avg_pool2d(x, (1, 2)), normal(2, 3, 4))
case("adaptive/more_than_there_are", lambda lib, x: [lib.nn.functional.adaptive_avg_pool1d(x, 7),
     lib.nn.functional.adaptive_max_pool1d(x, 7, return_indices=True)[1]], distinct(1, 2, 4))  # fmt: skip
case("adaptive/one_sample", lambda lib, x: [lib.nn.functional.adaptive_avg_pool2d(x, (2, None)),
     *lib.nn.functional.adaptive_max_pool2d(x, 2, return_indices=True)], distinct(2, 5, 3))  # fmt: skip
case("conv/one_sample", lambda lib, x, w: lib.nn.functional.conv1d(x, w, None, 2, 1, 2), normal(2, 6), normal(3, 2, 2))
case("conv_transpose/one_sample", lambda lib, x, w, b: lib.nn.functional.conv_transpose1d(x, w, b, 2, 1, 1, 1, 2),
     normal(2, 4), normal(2, 3, 2), normal(3))  # fmt: skip
case("conv_transpose/by_dilation", lambda lib, x, w: lib.nn.functional.conv_transpose2d(
    x, w, None, 1, 0, (1, 0), 2, (2, 1)), normal(1, 4, 2, 3), normal(4, 1, 2, 2))  # fmt: skip
case("unfold/one_sample", lambda lib, x: lib.nn.functional.unfold(x, (2, 3), 1, 1, 2), normal(2, 4, 5))
case("fold/one_sample", lambda lib, x: lib.nn.functional.fold(x, (3, 4), 2, 1, 0, (1, 2)), normal(8, 4))


def weights(lib: Any, x: Any) -> Any:
    """Three weights that fit x, and have no gradient."""
    return lib.tensor(np.array([0.5, 2.0, 1.25]), dtype=x.dtype)


for reduction in ("none", "mean", "sum"):
    case(f"losses/{reduction}", lambda lib, x, y, r=reduction: [
        lib.nn.functional.mse_loss(x, y, reduction=r), lib.nn.functional.l1_loss(x, y, reduction=r),
        lib.nn.functional.smooth_l1_loss(x, y, reduction=r, beta=0.7),
        lib.nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction=r)],
        distinct(2, 3), positive(2, 3))  # fmt: skip
    case(f"losses/weighted_{reduction}", lambda lib, x, y, r=reduction: [
        lib.nn.functional.binary_cross_entropy(x.sigmoid(), y.sigmoid(), weights(lib, x), reduction=r),
        lib.nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid(), weights(lib, x), reduction=r,
                                                           pos_weight=weights(lib, x))],
        normal(2, 3), normal(2, 3))  # fmt: skip
    case(f"cross_entropy/{reduction}", lambda lib, x, t, r=reduction: [
        lib.nn.functional.cross_entropy(x, t, reduction=r),
        lib.nn.functional.cross_entropy(x, t, weights(lib, x), ignore_index=1, reduction=r)],
        normal(4, 3, 2), exactly([[0, 1], [1, 2], [2, 2], [1, 0]], "int64"))  # fmt: skip
    case(f"nll_loss/{reduction}", lambda lib, x, t, r=reduction: [
        lib.nn.functional.nll_loss(x, t, reduction=r),
        lib.nn.functional.nll_loss(x, t, weights(lib, x), ignore_index=2, reduction=r)],
        normal(4, 3), exactly([0, 2, 1, 2], "int64"))  # fmt: skip
case("cross_entropy/no_classes", lambda lib, x, t: [
    f(x, t, ignore_index=0, reduction=r) for f in (lib.nn.functional.cross_entropy, lib.nn.functional.nll_loss)
    for r in ("none", "sum")], normal(2, 0), exactly([0, 0], "int64"))  # fmt: skip
case("nll_loss/uint8", lambda lib, x, t: lib.nn.functional.nll_loss(x, t), normal(2, 3),
     whole(0, 3, 2, dtype="uint8"))  # fmt: skip
case("batch_norm/nothing", lambda lib, x, w: lib.nn.functional.batch_norm(x, None, None, w, w * 2, True),
     normal(0, 2, 3), normal(2))  # fmt: skip
case("binary_cross_entropy/sure", lambda lib, p, t: lib.nn.functional.binary_cross_entropy(p.detach(), t),
     exactly([0.0, 1.0, 0.5]), exactly([0.25, 1.0, 0.75]), kinks=True)  # fmt: skip
case("cross_entropy/smoothing", lambda lib, x, t: [
    lib.nn.functional.cross_entropy(x, t, weights(lib, x), label_smoothing=0.2, reduction=r) for r in ("mean", "none")],
    normal(4, 3), exactly([0, 2, 1, 2], "int64"))  # fmt: skip
case("cross_entropy/one_row", lambda lib, x, t: lib.nn.functional.cross_entropy(x, t), normal(3), exactly(2, "int64"))
case("cross_entropy/probabilities", lambda lib, x, p: [
    lib.nn.functional.cross_entropy(x, p.softmax(1), weights(lib, x), label_smoothing=s, reduction=r)
    for r in ("none", "mean", "sum") for s in (0.0, 0.3)], normal(4, 3, 2), normal(4, 3, 2))  # fmt: skip
case("smooth_l1/beta_0", lambda lib, x, y: lib.nn.functional.smooth_l1_loss(x, y, beta=0.0), off_zero(5),
     exactly([0.0] * 5), kinks=True)  # fmt: skip
case("smooth_l1/at_beta", lambda lib, x: lib.nn.functional.smooth_l1_loss(x, x.detach() * 0, beta=0.5,
     reduction="none"), exactly([-0.6, -0.5, -0.4, 0.0, 0.5]), kinks=True, twice=False)  # fmt: skip
case("one_hot", lambda lib, t: [lib.nn.functional.one_hot(t), lib.nn.functional.one_hot(t, 5)], whole(0, 4, 2, 3))
case("activations", lambda lib, x: [
    lib.nn.functional.leaky_relu(x), lib.nn.functional.leaky_relu(x, 0.3), lib.nn.functional.elu(x),
    lib.nn.functional.elu(x, 0.6), lib.nn.functional.gelu(x), lib.nn.functional.gelu(x, approximate="tanh"),
    lib.nn.functional.silu(x), lib.nn.functional.softplus(x), lib.nn.functional.logsigmoid(x),
    lib.nn.functional.softplus(x, 3.0, 2.5), lib.nn.functional.hardswish(4 * x)], off_zero(4, 5))  # fmt: skip
case(
    "activations/at_kinks",
    lambda lib, x: [lib.nn.functional.leaky_relu(x), lib.nn.functional.elu(x), lib.nn.functional.softplus(x, 2.0, 6.0)],
    exactly([-3.0, -1.0, 0.0, 1.0, 3.0]),
    kinks=True,
    twice=False,
)
case("activations/far_out", lambda lib, x: [
    lib.nn.functional.logsigmoid(x), lib.nn.functional.softplus(x), lib.nn.functional.silu(x),
    lib.nn.functional.elu(x)], exactly([-800.0, -40.0, 40.0, 800.0]), kinks=True, twice=False)  # fmt: skip
case("activations/pieces", lambda lib, x: [
    lib.nn.functional.relu6(4 * x), lib.nn.functional.hardtanh(x), lib.nn.functional.hardtanh(x, -0.3, 1.1),
    lib.nn.functional.threshold(x, 0.1, 3.0), lib.nn.functional.hardshrink(x), lib.nn.functional.softshrink(x, 0.3),
    lib.nn.functional.hardshrink(x, 0.9)], off_zero(4, 5))  # fmt: skip
case("activations/in_place", lambda lib, x: [
    function(x * 1, *options) for function, options in [
        (lib.nn.functional.leaky_relu_, (0.2,)), (lib.nn.functional.elu_, (0.5,)), (lib.nn.functional.celu_, (0.5,)),
        (lib.nn.functional.selu_, ()), (lib.nn.functional.hardtanh_, (-0.3, 1.1)), (lib.nn.functional.rrelu_, ()),
        (lib.nn.functional.threshold_, (0.1, 3.0))]], off_zero(4, 5))  # fmt: skip
case("activations/rrelu", lambda lib, x: [
    lib.nn.functional.rrelu(x), lib.nn.functional.rrelu(x, 0.3, 0.3, True)], off_zero(4, 5))  # fmt: skip
case("activations/pieces_at_kinks", lambda lib, x: [
    lib.nn.functional.relu6(x), lib.nn.functional.hardtanh(x), lib.nn.functional.threshold(x, 1.0, 3.0),
    lib.nn.functional.hardshrink(x, 1.0), lib.nn.functional.softshrink(x, 1.0), lib.nn.functional.celu(x),
    lib.nn.functional.selu(x), lib.nn.functional.softsign(x)],
    exactly([-3.0, -1.0, 0.0, 1.0, 3.0, 6.0]), kinks=True, twice=False)  # fmt: skip
case("activations/of_nan", lambda lib, x: [
    lib.nn.functional.relu6(x), lib.nn.functional.hardtanh(x), lib.nn.functional.threshold(x, 1.0, 3.0),
    lib.nn.functional.mish(x), lib.nn.functional.softsign(x), lib.nn.functional.hardshrink(x)],
    exactly([float("nan"), 1.5]), kinks=True, twice=False)  # fmt: skip
case("activations/smooth", lambda lib, x: [
    lib.nn.functional.mish(x), lib.nn.functional.celu(x, 0.5), lib.nn.functional.selu(x),
    lib.nn.functional.softsign(x), lib.nn.functional.tanhshrink(x), lib.nn.functional.glu(x),
    lib.nn.functional.glu(x, 0), lib.nn.functional.softmin(x, 0)], off_zero(4, 6))  # fmt: skip
case("activations/smooth_far_out", lambda lib, x: [
    lib.nn.functional.mish(x), lib.nn.functional.celu(x), lib.nn.functional.selu(x), lib.nn.functional.softsign(x)],
    exactly([-800.0, -40.0, 40.0, 800.0]), kinks=True, twice=False)  # fmt: skip
case("prelu", lambda lib, x, w, v: [lib.nn.functional.prelu(x, w), lib.nn.functional.prelu(x, v)],
     off_zero(2, 3, 2), off_zero(3), off_zero(1))  # fmt: skip
case("prelu/one_dimension", lambda lib, x, v: lib.nn.functional.prelu(x, v), off_zero(5), off_zero(1))
case("softmax/dtype", lambda lib, x: [
    lib.nn.functional.softmax(x, 1, dtype=x.dtype), lib.nn.functional.log_softmax(x, 0, dtype=x.dtype)],
    normal(2, 3))  # fmt: skip
case("normalize", lambda lib, x: [
    lib.nn.functional.normalize(x), lib.nn.functional.normalize(x, 1.0, 0), lib.nn.functional.normalize(x, dim=-1),
    lib.nn.functional.normalize(x * 1e-3, eps=10.0)], off_zero(2, 3, 2))  # fmt: skip
case("cosine_similarity", lambda lib, x, y, z: [
    lib.nn.functional.cosine_similarity(x, y), lib.nn.functional.cosine_similarity(x, z, 0, 1e-3)],
    normal(3, 4), normal(3, 4), normal(1, 4))  # fmt: skip
case("pairwise_distance", lambda lib, x, y, z: [
    lib.nn.functional.pairwise_distance(x, y), lib.nn.functional.pairwise_distance(x, z, 1.0, 0.1, True)],
    normal(3, 4), normal(3, 4), normal(4))  # fmt: skip
case("bilinear", lambda lib, x, y, w, b: [
    lib.nn.functional.bilinear(x, y, w, b), lib.nn.functional.bilinear(x, y, w)],
    normal(2, 4, 3), normal(2, 4, 2), normal(5, 3, 2), normal(5))  # fmt: skip
case("embedding", lambda lib, w, i: lib.nn.functional.embedding(i, w), normal(4, 3), whole(0, 4, 2, 5))
case("embedding/padding", lambda lib, w, i: [
    lib.nn.functional.embedding(i, w, 1), lib.nn.functional.embedding(i, w, -1)], normal(4, 3), whole(0, 4, 2, 5),
    kinks=True)  # fmt: skip
case("rms_norm", lambda lib, x, w: [
    lib.nn.functional.rms_norm(x, (3,)), lib.nn.functional.rms_norm(x, [2, 3], w, 0.1)],
    normal(4, 2, 3), normal(2, 3))  # fmt: skip
case("local_response_norm", lambda lib, x: [
    lib.nn.functional.local_response_norm(x, 3, 0.7), lib.nn.functional.local_response_norm(x, 4, 0.2, 0.5, 0.3)],
    normal(2, 5, 2, 2))  # fmt: skip
case("lp_pool", lambda lib, x, y: [
    lib.nn.functional.lp_pool1d(x, 2, 3, 2, True), lib.nn.functional.lp_pool2d(y, 1.5, (2, 1)),
    lib.nn.functional.lp_pool3d(y.unsqueeze(0), 3.0, 2, 1)], positive(1, 2, 6), positive(2, 2, 3, 4))  # fmt: skip
case("channel_shuffle", lambda lib, x: lib.nn.functional.channel_shuffle(x, 2), normal(2, 6, 3))
for mode in ("bilinear", "nearest"):
    for aligned in (False, True):
        case(f"grid_sample/{mode}_{aligned}", lambda lib, x, g, m=mode, c=aligned: [
            lib.nn.functional.grid_sample(x, g.detach() if m == "nearest" else g, m, p, c)
            for p in ("zeros", "border", "reflection")],
            normal(2, 3, 4, 5), lambda rng: rng.uniform(-2.3, 2.4, (2, 3, 2, 2)), twice=False)  # fmt: skip
case("grid_sample/one_pixel", lambda lib, x, g: [
    lib.nn.functional.grid_sample(x, g, padding_mode=p, align_corners=c)
    for p in ("zeros", "border", "reflection") for c in (False, True)], normal(1, 2, 1, 1),
    lambda rng: rng.uniform(-0.9, 0.9, (1, 2, 3, 2)), twice=False)  # fmt: skip
case("affine_grid", lambda lib, t: [
    lib.nn.functional.affine_grid(t, (2, 3, 4, 5), False), lib.nn.functional.affine_grid(t, [2, 1, 3, 1], True)],
    normal(2, 2, 3))  # fmt: skip
for reduction in ("mean", "sum", "none"):
    case(f"losses/of_differences_{reduction}", lambda lib, x, y, z, r=reduction: [
        lib.nn.functional.huber_loss(x, y, r), lib.nn.functional.huber_loss(x, y, reduction=r, delta=0.4),
        lib.nn.functional.kl_div(x, y.softmax(-1), reduction="batchmean" if r == "mean" else r),
        lib.nn.functional.kl_div(x, y, reduction="batchmean" if r == "mean" else r, log_target=True),
        lib.nn.functional.poisson_nll_loss(x, y, reduction=r),
        lib.nn.functional.poisson_nll_loss(x.exp(), y.exp() * 2, False, True, eps=0.1, reduction=r),
        lib.nn.functional.gaussian_nll_loss(x, y, z.exp(), reduction=r),
        lib.nn.functional.gaussian_nll_loss(x, y, z[:, :1].exp(), True, 0.01, r)],
        normal(3, 4), normal(3, 4), normal(3, 4))  # fmt: skip
    case(f"losses/of_margins_{reduction}", lambda lib, x, y, z, t, r=reduction: [
        lib.nn.functional.margin_ranking_loss(x, y, t, 0.3, reduction=r),
        lib.nn.functional.hinge_embedding_loss(x, t, 0.3, reduction=r),
        lib.nn.functional.cosine_embedding_loss(x, y, t[:, 0], 0.1, reduction=r),
        lib.nn.functional.triplet_margin_loss(x, y, z, reduction=r),
        lib.nn.functional.triplet_margin_loss(x, y, z, 0.5, 1.0, 1e-3, True, reduction=r),
        lib.nn.functional.soft_margin_loss(x, t, reduction=r),
        lib.nn.functional.multilabel_soft_margin_loss(x, y.sigmoid(), z[0].exp(), reduction=r)],
        normal(6, 4), normal(6, 4), normal(6, 4),
        lambda rng: rng.choice([-1, 1], (6, 4)))  # fmt: skip
    case(f"losses/multilabel_margin_{reduction}", lambda lib, x, t, r=reduction: [
        lib.nn.functional.multilabel_margin_loss(x, t, reduction=r),
        lib.nn.functional.multilabel_margin_loss(x[0], t[1], reduction=r)],
        normal(3, 4), lambda rng: np.array([[3, 0, -1, 1], [-1, 2, 1, 0], [1, 1, 0, -1]]), twice=False)  # fmt: skip
    case(f"losses/multi_margin_{reduction}", lambda lib, x, t, r=reduction: [
        lib.nn.functional.multi_margin_loss(x, t, reduction=r),
        lib.nn.functional.multi_margin_loss(x, t, 2, 0.6, weights(lib, x), reduction=r)],
        normal(4, 3), whole(0, 3, 4), twice=False)  # fmt: skip
case("kl_div/zeros", lambda lib, x, t: lib.nn.functional.kl_div(x, t.detach(), reduction="sum"), normal(4),
     exactly([0.0, 1.0, 0.0, 0.5]), kinks=True, twice=False)  # fmt: skip

# Defaults and edges of arguments.
case("argsort/default", lambda lib, x: [x.argsort(), lib.argsort(x, descending=True)], distinct(3, 4),
     differentiable=False)  # fmt: skip
case("argsort/ties", lambda lib, x: [x.argsort(stable=True) if lib.__name__ == "torch" else x.argsort(),
     lib.argsort(x, descending=True, stable=True) if lib.__name__ == "torch" else x.argsort(descending=True)],
     ties(9), differentiable=False)  # fmt: skip
case("topk/default", lambda lib, x: x.topk(2), distinct(3, 4))
case("topk/all", lambda lib, x: x.topk(4), distinct(3, 4))
case("split/one_by_one", lambda lib, x: x.split(1), normal(3, 2), view=True)
case("split/larger", lambda lib, x: x.split(9, -1), normal(3, 2), view=True)
case("chunk/default", lambda lib, x: [*x.chunk(1), *x.chunk(2), *x.chunk(9)], normal(5, 2), view=True)
case("flatten/of_one_dim", lambda lib, x: [x.flatten(1, 1), x.flatten(-2), x.flatten(0, 1)], normal(2, 3, 4), view=True)
case("unflatten/negative", lambda lib, x: x.unflatten(-2, (3, 2)), normal(2, 6, 2), view=True)
case("transpose/both_ends", lambda lib, x: [x.transpose(-3, 2), x.transpose(1, 1)], normal(2, 3, 4), view=True)
case("triangles/default", lambda lib, x: [x.tril(), lib.triu(x), x.tril(-3), x.triu(4), x.tril(9)], normal(3, 4))

# Arguments that no row above gives.
case(
    "sub/alpha",
    lambda lib, x, y: [lib.sub(x, y, alpha=3), x.sub(y, alpha=-0.5), x.add(y, alpha=2), lib.add(x, 2, alpha=3)],
    normal(2, 3),
    normal(3),
)
case(
    "mean/dtype",
    lambda lib, n, m: [n.mean(dtype=lib.float32), lib.mean(m, 0, dtype=lib.float64)],
    whole(-9, 9, 2, 3),
    mask(2, 3),
)
case(
    "all/keepdim",
    lambda lib, m: [m.all(1, keepdim=True), m.any(1, True), lib.all(m, 0), lib.any(m, 0, keepdim=True)],
    mask(3, 2),
)
case(
    "max/named",
    lambda lib, x: [*lib.max(x, dim=1, keepdim=True), *x.min(dim=0), *lib.min(x, dim=-1, keepdim=True)],
    distinct(2, 3),
)
case(
    "argmax/keepdim",
    lambda lib, x: [x.argmax(1, keepdim=True), lib.argmin(x, dim=0, keepdim=True)],
    distinct(2, 3),
    differentiable=False,
)
case(
    "normalisation/eps",
    lambda lib, x, w, b: [
        lib.nn.functional.group_norm(x, 2, w, b, 0.3),
        lib.nn.functional.layer_norm(x, (4, 3), eps=0.2),
        lib.nn.functional.instance_norm(x, weight=w, bias=b, eps=0.4),
        lib.nn.functional.batch_norm(x, None, None, w, b, True, eps=0.5),
    ],
    normal(2, 4, 3),
    normal(4),
    normal(4),
)
case(
    "batch_norm/of_running_statistics",
    lambda lib, x, m, w, b: [
        lib.nn.functional.batch_norm(x, m.detach(), m.detach() ** 2, w, b, eps=0.5),
        lib.nn.functional.instance_norm(x, m.detach(), m.detach() ** 2, w, b, use_input_stats=False, eps=0.1),
    ],
    normal(2, 3, 4),
    exactly([0.5, 2.0, 1.5]),
    normal(3),
    normal(3),
    kinks=True,
)
for dims in (1, 2, 3):
    spatial = (5, 3, 2)[:dims]
    case(
        f"conv_transpose{dims}d/all",
        lambda lib, x, w, b, d=dims: getattr(lib.nn.functional, f"conv_transpose{d}d")(x, w, b, 2, 1, 1, 2, 2),
        normal(1, 4, *spatial),
        normal(4, 1, *[2] * dims),
        normal(2),
    )
    case(
        f"conv{dims}d/all",
        lambda lib, x, w, b, d=dims: getattr(lib.nn.functional, f"conv{d}d")(x, w, b, 2, 1, 2, 2),
        normal(1, 4, *[n + 1 for n in spatial]),
        normal(2, 2, *[2] * dims),
        normal(2),
    )
    case(
        f"max_unpool{dims}d/all",
        lambda lib, x, d=dims: getattr(lib.nn.functional, f"max_unpool{d}d")(
            *getattr(lib.nn.functional, f"max_pool{d}d")(x, 3, 3, 1, return_indices=True), 3, 3, 1
        ),
        distinct(1, 1, *[7, 4, 4][:dims]),
    )
case("compare/named", lambda lib, a, b: [
    getattr(source, name)(*(() if source is a else (a,)), other)
    for name in ("eq", "ne", "lt", "le", "gt", "ge") for source in (a, lib) for other in (b, 0)],
    ties(5), ties(2, 5), differentiable=False)  # fmt: skip
case("compare/functions", lambda lib, x: [lib.isnan(x), lib.isinf(x), lib.isfinite(x), x.isnan(), x.isinf()],
     exactly([1.0, float("nan"), float("inf"), -float("inf")]), differentiable=False)  # fmt: skip
case(
    "max/of_number",
    lambda lib, x: [lib.maximum(x, lib.tensor(0.5, dtype=x.dtype)), x.min(lib.tensor(0.2, dtype=x.dtype))],
    off_zero(2, 3),
)

# Names by which torch's programs know what can be composed, and what has indices or counts as its result.
for name in ("tan", "atan", "sinh", "cosh", "asinh", "exp2", "square"):
    case(name, lambda lib, x, n=name: getattr(x, n)() + getattr(lib, n)(2 * x), normal(2, 3))
for name in ("log2", "log10", "rsqrt", "reciprocal"):
    case(name, lambda lib, x, n=name: getattr(x, n)() + getattr(lib, n)(2 * x), positive(2, 3))
for name in ("asin", "acos", "atanh", "logit"):
    case(name, lambda lib, x, n=name: getattr(lib, n)(x / 4 + 0.2), positive(2, 3))
case("acosh", lambda lib, x: lib.acosh(x + 1), positive(2, 3))
case("one_variable/at_ends", lambda lib, x: [lib.asin(x), lib.acos(x), lib.atanh(x), lib.log2(x), lib.rsqrt(x)],
     exactly([-2.0, -1.0, 0.0, 1.0, 2.0]), kinks=True, twice=False)  # fmt: skip
case("degrees", lambda lib, x: [lib.deg2rad(x), x.rad2deg()], normal(2, 3))
case("logit/eps", lambda lib, x: x.logit(0.3), exactly([0.1, 0.5, 0.6, 0.9]))
case("one_variable/of_ints", lambda lib, n: [lib.tan(n), lib.log2(n), n.rsqrt(), n.reciprocal(), n.square(), n.atan()],
     whole(1, 9, 3))  # fmt: skip
case("trunc", lambda lib, x: [x.trunc().detach(), lib.fix(x).detach(), lib.signbit(x)],
     exactly([-1.5, -0.2, -0.0, 0.0, 2.7]), differentiable=False)  # fmt: skip
case("frac", lambda lib, x: x.frac(), off_zero(2, 3))
case("trunc/int", lambda lib, n: [n.trunc(), n.signbit(), n.sgn()], whole(-9, 9, 5))
case("round/decimals", lambda lib, x: [x.round(decimals=1).detach(), lib.round(x * 100, decimals=-1).detach()],
     normal(2, 3), differentiable=False)  # fmt: skip
case("nan_to_num", lambda lib, x: [x.nan_to_num(), lib.nan_to_num(x, 2.0, 3.0, -4.0)],
     exactly([1.5, float("nan"), float("inf"), -float("inf")]), kinks=True)  # fmt: skip
case("nan_to_num/int", lambda lib, n: n.nan_to_num(7.0), whole(-9, 9, 5))
for label, (left, right) in SHAPES.items():
    case(f"atan2/{label}", lambda lib, a, b: lib.atan2(a, b), normal(*left), off_zero(*right))
case("fmod", lambda lib, a, b: a.fmod(b) + lib.fmod(a, 0.7), off_zero(2, 3), positive(3))
case("fmod/int", lambda lib, a, b: [a.fmod(b), a.fmod(4), lib.fmod(a, 2.5)], whole(-9, 9, 2, 3), whole(1, 5, 3))
case("hypot", lambda lib, a, b: lib.hypot(a, b), off_zero(2, 3), off_zero(3))
case("logaddexp", lambda lib, a, b: lib.logaddexp(a, b), normal(2, 3), normal(3))
case("logaddexp/far_out", lambda lib, a, b: a.logaddexp(b), exactly([-800.0, 900.0, 1.0, -float("inf")]),
     exactly([0.0, 900.0, -900.0, 2.0]), kinks=True, twice=False)  # fmt: skip
case("xlogy", lambda lib, a, b: lib.xlogy(a, b), off_zero(2, 3), positive(3))
case("xlogy/at_0", lambda lib, a, b: a.xlogy(b).detach(), exactly([0.0, 0.0, 0.0, 2.0]),
     exactly([0.0, float("nan"), 2.0, 0.0]), differentiable=False)  # fmt: skip
case("lerp", lambda lib, a, b, w: a.lerp(b, 0.3) + lib.lerp(a, b, w), normal(2, 3), normal(3), normal(2, 1))
case("addcmul", lambda lib, a, b, c: a.addcmul(b, c, value=0.5), normal(2, 3), normal(3), normal(2, 1))
case("addcdiv", lambda lib, a, b, c: lib.addcdiv(a, b, c, value=-2), normal(2, 3), normal(3), off_zero(2, 1))
case("clamp/one_side", lambda lib, x: x.clamp_min(0.1) + lib.clamp_max(x, 0.95) + x.clip(-1, 1), off_zero(3, 4))
case("logical", lambda lib, a, b: [f(a, b) for f in (lib.logical_and, lib.logical_or, lib.logical_xor)]
     + [a.logical_not(), a.logical_and(b > 0)], ties(5), ties(2, 5), differentiable=False)  # fmt: skip
case("second_names", lambda lib, a, b: [
    a.multiply(b), lib.divide(a, b), a.true_divide(b), lib.subtract(a, b), lib.negative(a), a.absolute(),
    lib.arctan2(a, b), a.swapaxes(0, 1).clone(), a.moveaxis(0, 1).clone(), lib.concat([a, a], 1)],
    off_zero(2, 3), off_zero(2, 3))  # fmt: skip
case("second_names/compare", lambda lib, a, b: [
    a.greater(b), lib.less(a, b), a.not_equal(b), a.less_equal(b), lib.greater_equal(a, b)], ties(5), ties(2, 5),
    differentiable=False)  # fmt: skip

# Arrangements.
case("views/by_name", lambda lib, x, y: [x.view_as(y), x.reshape_as(y), x.ravel(), lib.ravel(x)], normal(2, 6),
     normal(3, 4), view=True)  # fmt: skip
case("ravel/empty", lambda lib, x: x.ravel(), normal(0, 3))
for label, (source, place) in {"one": (0, 2), "negative": (-1, 0), "two": ((0, 1), (-1, 0))}.items():
    case(f"movedim/{label}", lambda lib, x, s=source, p=place: x.movedim(s, p), normal(2, 3, 4), view=True)
case("narrow", lambda lib, x: [x.narrow(1, 1, 2), lib.narrow(x, -1, -2, 2), x.narrow(0, 2, 0)], normal(2, 4), view=True)
case("select", lambda lib, x: [x.select(1, 2), lib.select(x, 0, -1)], normal(2, 4), view=True)
case("unbind", lambda lib, x: [*x.unbind(), *lib.unbind(x, 1)], normal(2, 3), view=True)
for offset in (-2, 0, 1, 3):
    case(f"diag/matrix_{offset}", lambda lib, x, o=offset: x.diag(o), normal(3, 4))
    case(f"diag/vector_{offset}", lambda lib, x, o=offset: lib.diag(x, o), normal(3))
    case(f"diagonal/{offset}", lambda lib, x, o=offset: x.diagonal(o, 0, -1), normal(4, 2, 3), view=offset != 3)
    case(f"diag_embed/{offset}", lambda lib, x, o=offset: lib.diag_embed(x, o), normal(2, 3))
case("diag_embed/dims", lambda lib, x: x.diag_embed(1, 0, 2), normal(2, 3))
case("trace", lambda lib, x: x.trace() + lib.trace(x * 2), normal(3, 4))
case("unfold", lambda lib, x: x.unfold(1, 3, 2), normal(2, 7, 3), view=True)
case("unfold/twice", lambda lib, x: x.unfold(-2, 2, 1).unfold(-2, 2, 3), normal(2, 3, 5), view=True)
case("broadcast", lambda lib, x, y: [x.broadcast_to((2, 3, 4)), *lib.broadcast_tensors(x, y)], normal(3, 1),
     normal(4), view=True)  # fmt: skip
case("expand/size", lambda lib, x: x.expand(size=(2, 3, 4)), normal(3, 1), view=True)
for indexing in ("ij", "xy"):
    case(f"meshgrid/{indexing}", lambda lib, x, y, z, i=indexing: lib.meshgrid(x, y, z, indexing=i), normal(2),
         normal(3), normal(), view=True)  # fmt: skip
case("meshgrid/list", lambda lib, x, y: lib.meshgrid([x, y], indexing="ij"), normal(2), normal(0))
for label, (shifts, dims) in {"one": (1, 0), "back": (-5, 2), "two": ((1, 2), (0, 1)), "flat": (3, None)}.items():
    case(f"roll/{label}", lambda lib, x, s=shifts, d=dims: x.roll(s, d), normal(2, 3, 4))
case("roll/nothing", lambda lib, x: [lib.roll(x, 3, 1), x[:0].roll(1, 0)], normal(2, 3))
case("tile", lambda lib, x: [x.tile(2), x.tile((2, 1, 2)), lib.tile(x, (1, 1))], normal(2, 3))
case("repeat_interleave", lambda lib, x, n: [x.repeat_interleave(2), x.repeat_interleave(3, 1),
     lib.repeat_interleave(x, n, dim=0)], normal(3, 2), whole(0, 4, 3))  # fmt: skip
for turns in (-1, 0, 1, 2):
    case(f"rot90/{turns}", lambda lib, x, k=turns: x.rot90(k, (2, 0)), normal(2, 3, 4))
case("flip/by_name", lambda lib, x: [x.fliplr(), lib.flipud(x)], normal(2, 3))
case("tensor_split", lambda lib, x: [*x.tensor_split(3, 1), *lib.tensor_split(x, (1, 4), -1)], normal(2, 7), view=True)
case("stacks", lambda lib, x, y, z: [lib.vstack([x, y]), lib.hstack([x, y]), lib.dstack((x, y)),
     lib.column_stack([x, y]), lib.vstack([z, z]), lib.hstack([z, z]), lib.dstack([z, z]), lib.column_stack([z, z])],
     normal(2, 3), normal(2, 3), normal(3))  # fmt: skip
case("stacks/numbers", lambda lib, x, y: [lib.vstack([x, y]), lib.hstack([x, y]), lib.dstack([x, y])], normal(),
     normal())  # fmt: skip

# By tensors of indices and booleans.
case("index_select", lambda lib, x, i: [x.index_select(0, i), lib.index_select(x, -1, i)], normal(3, 3), whole(0, 3, 5))
case("index_select/number", lambda lib, x, i: x.index_select(0, i), normal(), exactly([0], "int64"))
case("take_along_dim", lambda lib, x, i: [x.take_along_dim(i, 1), lib.take_along_dim(x, i)], normal(3, 4),
     whole(0, 3, 1, 2))  # fmt: skip
case("take", lambda lib, x, i: x.take(i), normal(3, 4), whole(-12, 12, 2, 3))
case("masked_select", lambda lib, x, m: x.masked_select(m), normal(2, 1, 4), mask(3, 1))
case("scatter_add", lambda lib, x, i, y: x.scatter_add(0, i, y), normal(3, 4), whole(0, 3, 5, 2), normal(5, 2))
case("scatter_add/vector", lambda lib, x, i, y: lib.scatter_add(x, -1, i, y), normal(3), whole(0, 3, 5), normal(5))
case("scatter", lambda lib, x, i, y: x.scatter(1, i, y), normal(2, 5), exactly([[3, 0, 2], [4, 1, 0]], "int64"),
     normal(2, 3))  # fmt: skip
case("scatter/number", lambda lib, x, i: [x.scatter(1, i, 1.5), lib.scatter(x, 0, i[:, :2], value=2)], normal(3, 5),
     whole(0, 3, 2, 3))  # fmt: skip
case("scatter/reduce", lambda lib, x, i, y: [
    x.detach().scatter(1, i, y.detach(), reduce="add"), x.detach().scatter_add(1, i, y.detach())], normal(2, 5),
    whole(0, 5, 2, 3), normal(2, 4), differentiable=False)  # fmt: skip
case("scatter/nothing", lambda lib, x, i, y: [x.scatter(1, i, y), x.scatter_add(1, i, y)], normal(2, 5),
     whole(0, 5, 2, 0), normal(2, 0))  # fmt: skip
case("index_add", lambda lib, x, i, y: x.index_add(1, i, y, alpha=0.5), normal(2, 3), whole(0, 3, 4), normal(2, 4))
case("index_copy", lambda lib, x, i, y: x.index_copy(1, i, y), normal(2, 3), exactly([2, 0], "int64"), normal(2, 2))
case("index_fill", lambda lib, x, i: [x.index_fill(1, i, 1.5), lib.index_fill(x, 0, i[:1] * 0, -2)], normal(2, 3),
     whole(0, 3, 4))  # fmt: skip
case("masked_scatter", lambda lib, x, m, y: x.masked_scatter(m, y), normal(2, 3), mask(2, 3), normal(7))
case("nonzero", lambda lib, x: [x.nonzero(), *lib.nonzero(x, as_tuple=True), lib.argwhere(x), x[0, 0].nonzero(),
     x.count_nonzero(), lib.count_nonzero(x, (0, -1))], ties(3, 4), differentiable=False)  # fmt: skip
case("isin", lambda lib, a, b: [lib.isin(a, b), lib.isin(a, b, invert=True), lib.isin(a, 2)], whole(0, 5, 3, 4),
     whole(0, 5, 2))  # fmt: skip

# Products.
case("products", lambda lib, a, b, c, d: [
    a.mm(b), lib.mm(a, b), a.mv(c), c.dot(c * 2), lib.outer(c, d), c.ger(d), lib.inner(a, c), a.inner(a),
    lib.kron(a, d), c.kron(a)], normal(2, 3), normal(3, 4), normal(3), normal(2))  # fmt: skip
case("bmm", lambda lib, a, b: a.bmm(b), normal(2, 3, 4), normal(2, 4, 2))
case("addmm", lambda lib, x, a, b: [lib.addmm(x, a, b), x.addmm(a, b, beta=0.5, alpha=2),
     lib.addmm(x, a, b, beta=0)], normal(4), normal(2, 3), normal(3, 4))  # fmt: skip
case("addmv", lambda lib, x, a, b: x.addmv(a, b, alpha=0.5), normal(2), normal(2, 3), normal(3))
case("addr", lambda lib, x, a, b: x.addr(a, b, beta=3), normal(2, 3), normal(2), normal(3))
case("baddbmm", lambda lib, x, a, b: lib.baddbmm(x, a, b, alpha=0.5), normal(3, 1), normal(2, 3, 4), normal(2, 4, 2))
case("addbmm", lambda lib, x, a, b: x.addbmm(a, b), normal(3, 2), normal(2, 3, 4), normal(2, 4, 2))
for label, dims in {"two": 2, "none": 0, "lists": ([0, 2], [1, 0])}.items():
    case(f"tensordot/{label}", lambda lib, a, b, d=dims: lib.tensordot(a, b, dims=d), normal(2, 2, 2), normal(2, 2, 3))
case("cross", lambda lib, a, b: [a.cross(b, dim=1), lib.linalg.cross(a, b)], normal(2, 3), normal(2, 3))
case("distances", lambda lib, a, b: [lib.cdist(a, b), lib.cdist(a, b, p=1.0), lib.dist(a[:, :2], b, 3)],
     normal(2, 3, 4), normal(2, 2, 4), twice=False)  # fmt: skip
case("linalg/norm", lambda lib, x: [
    lib.linalg.norm(x), lib.linalg.norm(x, dim=1), lib.linalg.norm(x[0], "fro"), lib.linalg.vector_norm(x, 3, (0, 2)),
    lib.linalg.norm(x, 1, (0, 1)), lib.linalg.matrix_norm(x, keepdim=True), lib.linalg.matrix_norm(x, float("inf")),
    lib.linalg.vector_norm(x, 1), lib.linalg.vector_norm(x, float("-inf")), lib.linalg.diagonal(x).clone()],
    distinct(2, 3, 4))  # fmt: skip
for equation, shapes in {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 2)),
    "bhid,bhjd->bhij": ((2, 2, 3, 4), (2, 2, 2, 4)),
    "ij->ji": ((2, 3),),
    "ij->": ((2, 3),),
    "ij->j": ((2, 3),),
    "ii": ((3, 3),),
    "ii->i": ((3, 3),),
    "i,j->ij": ((2,), (3,)),
    "i,i": ((3,), (3,)),
    "ji,kj": ((2, 3), (4, 2)),
    "...ij,...jk->...ik": ((2, 1, 2, 3), (4, 3, 2)),
    "b...,b...->b": ((2, 3, 4), (2, 3, 4)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 2)),
    "ijk,jl,kl->il": ((2, 3, 4), (3, 2), (4, 2)),
    "i,->i": ((3,), ()),
    "bi,bj->bij": ((1, 3), (2, 4)),
    " b i j , b j -> b i": ((2, 3, 4), (2, 4)),
}.items():
    case(f"einsum/{equation}", lambda lib, *x, e=equation: lib.einsum(e, *x), *[normal(*s) for s in shapes],
         view=equation in ("ij->ji", "ii->i"))  # fmt: skip

# Statistics, order and counts.
for label, dim in {"first": 0, "middle": 1, "last": -1}.items():
    case(f"prod/{label}", lambda lib, x, d=dim: x.prod(d, keepdim=d == 1), normal(2, 5, 3))
    case(f"cumprod/{label}", lambda lib, x, d=dim: x.cumprod(d), normal(2, 5, 3))
    case(f"median/{label}", lambda lib, x, d=dim: x.median(d, keepdim=d == 1), distinct(2, 4, 3))
    case(f"kthvalue/{label}", lambda lib, x, d=dim: lib.kthvalue(x, 2, d), distinct(2, 4, 3))
    case(f"cummax/{label}", lambda lib, x, d=dim: [*x.cummax(d), *lib.cummin(x, d)], ties(2, 4, 3), kinks=True)
    case(f"diff/{label}", lambda lib, x, d=dim: [x.diff(dim=d), lib.diff(x, 2, d), x.diff(9, d)], normal(2, 4, 3))
    case(f"quantile/{label}", lambda lib, x, d=dim: x.quantile(0.4, d, keepdim=d == 1), distinct(2, 4, 3))
case("prod/whole", lambda lib, x: x.prod() + lib.prod(x * 2), normal(2, 3))
case("prod/zeros", lambda lib, x: [x.prod(), x.prod(1), x.cumprod(1)],
     exactly([[0.0, 2.0, 3.0], [0.0, 0.5, 0.0], [1.0, -2.0, 0.0]]), twice=False)  # fmt: skip
case("prod/of_nothing", lambda lib, x: [x.prod(0), x.prod(), x.sum(1).prod(), x.cumprod(0)], normal(0, 3))
case("prod/number", lambda lib, x: [x.prod(), x.prod(0), x.cumprod(0)], normal())
case("prod/int", lambda lib, n, m: [n.prod(), n.prod(0), m.prod(), n.cumprod(0), n.prod(dtype=lib.float64)],
     whole(-3, 4, 3, 2, dtype="int32"), mask(3))  # fmt: skip
case("cumsum/dtype", lambda lib, n: n.cumsum(0, dtype=lib.float64), whole(0, 9, 4))
for dim in (-1, 0, 1):
    case(f"mode/{dim}", lambda lib, x, d=dim: x.mode(d, keepdim=d == 0), ties(4, 3, 5), kinks=True)
case("mode/number", lambda lib, n: [*lib.mode(n), *lib.mode(n[0], 0, True)], whole(-2, 2, 9))
case("median/whole", lambda lib, x: [x.median(), lib.median(x[0])], distinct(2, 3))
case("median/nan", lambda lib, x: [x.median(), *x.median(1)], exactly([[1.0, float("nan"), 0.5], [3.0, 1.0, 2.0]]),
     kinks=True)  # fmt: skip
case("median/number", lambda lib, x: [x.median(), x.median(0).values], normal())
case("median/int", lambda lib, n: [n.median(), n.kthvalue(3).values, n.cummax(0).values], whole(-9, 9, 6))
case("quantile/all", lambda lib, x, q: [x.quantile(0.3), lib.quantile(x, q), lib.quantile(x, q, 1, True),
     x.quantile(0.3, interpolation="nearest"), x.quantile(0.3, interpolation="lower"),
     x.quantile(0.3, interpolation="higher"), x.quantile(0.3, keepdim=True)], distinct(3, 4),
     exactly([0.0, 0.25, 1.0]), kinks=True, twice=False,
     torch=lambda lib, x, q: [x.quantile(0.3), lib.quantile(x, q.detach()), lib.quantile(x, q.detach(), 1, True),
     x.quantile(0.3, interpolation="nearest"), x.quantile(0.3, interpolation="lower"),
     x.quantile(0.3, interpolation="higher"), x.quantile(0.3, keepdim=True)])  # fmt: skip
case("nan/sums", lambda lib, x: [x.nansum(), x.nansum(1), lib.nanmean(x), x.nanmean(0, keepdim=True)],
     exactly([[1.0, float("nan"), 0.5], [3.0, 1.0, 2.0]]), kinks=True)  # fmt: skip
case("aminmax", lambda lib, x: [*x.aminmax(), *lib.aminmax(x, dim=1, keepdim=True)], distinct(2, 3))
case("moments", lambda lib, x: [*lib.var_mean(x, 1), *lib.std_mean(x, (0, 1), keepdim=True), *lib.var_mean(x, False)],
     normal(3, 4), torch=lambda lib, x: [*lib.var_mean(x, 1), *lib.std_mean(x, (0, 1), keepdim=True),
     *lib.var_mean(x, unbiased=False)])  # fmt: skip
case("cov", lambda lib, x: [x.cov(), lib.cov(x, correction=0), x[0].cov()], normal(3, 5))
case("corrcoef", lambda lib, x: x.corrcoef(), normal(3, 5))
case("diff/joined", lambda lib, x, y: x.diff(prepend=y, append=y * 2), normal(2, 3), normal(2, 1))
case("diff/booleans", lambda lib, m: [m.diff(), m.diff(0)], mask(2, 5))
case("bincount", lambda lib, n, w: [n.bincount(), lib.bincount(n, minlength=9), n.bincount(w).detach()], whole(0, 6, 8),
     normal(8), differentiable=False)  # fmt: skip
case("bincount/empty", lambda lib, n: [n.bincount(), n.bincount(minlength=3)], whole(0, 6, 0))
case("histc", lambda lib, x: [x.histc(5).detach(), lib.histc(x, bins=4, min=-1, max=1).detach()], normal(3, 7),
     differentiable=False)  # fmt: skip
case("unique", lambda lib, n: [n.unique(), *lib.unique(n, return_inverse=True, return_counts=True),
     *n.unique(return_counts=True)], whole(0, 5, 3, 4))  # fmt: skip
case("unique/dim", lambda lib, n: [n.unique(dim=0), *lib.unique(n, return_inverse=True, return_counts=True, dim=1)],
     whole(0, 2, 5, 2))  # fmt: skip
case("unique/consecutive", lambda lib, n: [n.unique_consecutive(), *lib.unique_consecutive(n, True, True)],
     whole(0, 2, 3, 4))  # fmt: skip
case("searchsorted", lambda lib, x, y: [lib.searchsorted(x.sort(-1).values, y), lib.bucketize(y, y[0].sort().values),
     lib.searchsorted(x.sort(-1).values, y, right=True), lib.searchsorted(x[0].sort().values, y, side="right"),
     lib.bucketize(y, x[0].sort().values, right=True, out_int32=True), lib.searchsorted(x[0].sort().values, 0.5)],
     ties(2, 5), ties(2, 3), differentiable=False)  # fmt: skip
case("sort/options", lambda lib, x: [
    *x.sort(stable=True), *lib.sort(x, dim=0, descending=True, stable=True), lib.argsort(x, dim=1, stable=True),
    *lib.topk(x, k=2, dim=1, largest=False, sorted=True)], distinct(3, 4))  # fmt: skip
case("axis", lambda lib, x, y: [x.sum(axis=1), lib.mean(x, axis=(0, 1), keepdims=True), x.max(axis=0).values,
     lib.cat([x, y], axis=1), lib.stack([x, y], axis=-1), x.softmax(axis=1), x.cumsum(axis=0), x.std(axis=1),
     lib.squeeze(x[:1], axis=0).clone(), x.prod(axis=0)], normal(2, 3), normal(2, 3))  # fmt: skip
case("fmax", lambda lib, a, b: [lib.fmax(a, b), a.fmin(b)], distinct(2, 3), distinct(2, 3))
case("fmax/edges", lambda lib, a, b: [lib.fmax(a, b), lib.fmin(a, b)], exactly([1.0, float("nan"), 2.0, float("nan")]),
     exactly([1.0, 3.0, float("nan"), float("nan")]), kinks=True)  # fmt: skip
case("shifts", lambda lib, n, k: [lib.bitwise_left_shift(n, k), n.bitwise_right_shift(k), n << 1, n >> k, 1 << k],
     whole(-9, 9, 2, 3), whole(0, 5, 3))  # fmt: skip
case("nextafter", lambda lib, a, b: [lib.nextafter(a, b).detach(), a.heaviside(b).detach()], ties(2, 3), ties(3),
     differentiable=False)  # fmt: skip
case("index_put", lambda lib, x, n, m, v: lib.index_put(x, (n, m), v), normal(4, 5), exactly([0, 1, 3], "int64"),
     exactly([4, 0, 2], "int64"), normal(3))  # fmt: skip
case("index_put/accumulated", lambda lib, x, n, v: [x.index_put((n,), v, accumulate=True),
     x.index_put((n, n), v[0, :1], True)], normal(4, 4), whole(0, 4, 6), normal(6, 4))  # fmt: skip
case("index_put/mask", lambda lib, x, m, v: x.index_put((m,), v), normal(2, 3), mask(2, 3), normal(1))
case("atleast", lambda lib, x, y: [lib.atleast_1d(x).clone(), lib.atleast_2d(x, y)[0].clone(),
     *[z.clone() for z in lib.atleast_3d([x, y])]], normal(3), normal(2, 3))  # fmt: skip
case("block_diag", lambda lib, x, y: lib.block_diag(x, y, x[0]), normal(2, 3), normal(1, 2))
case("cartesian_prod", lambda lib, x, y: [lib.cartesian_prod(x, y), lib.cartesian_prod(x, y, x)], normal(2), normal(3))
case("combinations", lambda lib, x: [lib.combinations(x), lib.combinations(x, 3, True), lib.combinations(x, 5)],
     normal(4))  # fmt: skip
