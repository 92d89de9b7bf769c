"""The table of numeric cases: operators on inputs whose sums lose digits where they are taken carelessly.

A case is an operator, a dtype and a distribution. `errors(case, lib)` gives the largest error of its output and of
the gradients of its inputs, in units in the last place of the largest element, against the same in float64; with
tinycnn or torch as `lib`. What overflows in the dtype counts as right where it is infinite.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Sampler = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

DISTRIBUTIONS: dict[str, Sampler] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "tenths": lambda rng, shape: np.full(shape, 0.1),
    "large mean": lambda rng, shape: 30 + rng.standard_normal(shape),
    "very large mean": lambda rng, shape: 1000 + rng.standard_normal(shape),
    "large": lambda rng, shape: 100 * rng.standard_normal(shape),
    "tiny": lambda rng, shape: 1e-3 * rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.random(shape),
    "cancelling": lambda rng, shape: np.resize([100.0, -100.0, 0.01], shape),
}
DTYPES = ("float16", "float32")
ULPS = 8.0  # that an error may have, beside twice torch's
# torch takes these statistics in float64; and the gradient of the weight cancels.
LOOSER = {"batch_norm": 64.0, "instance_norm": 64.0}


class Case(NamedTuple):
    name: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    distribution: str

    def inputs(self) -> list[np.ndarray]:
        """The same at each call, in the case's dtype. The distribution is that of the first; others are normal."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        first, *others = self.shapes
        arrays = [DISTRIBUTIONS[self.distribution](rng, first), *[rng.standard_normal(shape) for shape in others]]
        return [array.astype(self.dtype) for array in arrays]


def classes(lib: Any, x: Any) -> Any:
    """Some class for each row of x (N, C, *)."""
    shape = (x.shape[0], *x.shape[2:])
    return lib.tensor((np.arange(int(np.prod(shape))) * 7 % x.shape[1]).reshape(shape), device=x.device)


def batch_norm(lib: Any, x: Any, *weights: Any) -> Any:
    mean, var = (make(x.shape[1], dtype=x.dtype, device=x.device) for make in (lib.zeros, lib.ones))
    y = lib.nn.functional.batch_norm(x, mean, var, *weights, training=True)
    return [y, mean, var]


ROWS, LONG = (64, 500), (3000, 5)
IMAGES = (8, 6, 20, 20)
OPERATORS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "sum/all": (lambda lib, x: x.sum(), (LONG,)),
    "sum/first": (lambda lib, x: x.sum(0), (LONG,)),
    "sum/last": (lambda lib, x: x.sum(-1), ((5, 3000),)),
    "sum/two": (lambda lib, x: x.sum((0, 2)), ((100, 3, 200),)),
    "sum_to_size": (lambda lib, x: x.sum_to_size(5), (LONG,)),
    "mean/all": (lambda lib, x: x.mean(), (LONG,)),
    "mean/first": (lambda lib, x: x.mean(0), (LONG,)),
    "var/first": (lambda lib, x: x.var(0), (LONG,)),
    "var/all": (lambda lib, x: x.var(), (LONG,)),
    "std/last": (lambda lib, x: x.std(-1), (ROWS,)),
    "norm/2": (lambda lib, x: x.norm(), (LONG,)),
    "norm/1_first": (lambda lib, x: x.norm(1, 0), (LONG,)),
    "norm/3": (lambda lib, x: lib.norm(x, 3, 0), (ROWS,)),
    "cumsum/first": (lambda lib, x: x.cumsum(0), (LONG,)),
    "cumsum/last": (lambda lib, x: x.cumsum(-1), (ROWS,)),
    "softmax/first": (lambda lib, x: x.softmax(0), (LONG,)),
    "softmax/last": (lambda lib, x: x.softmax(-1), (ROWS,)),
    "log_softmax/first": (lambda lib, x: x.log_softmax(0), (LONG,)),
    "logsumexp": (lambda lib, x: x.logsumexp(0), (LONG,)),
    "mul/number": (lambda lib, x: x * 1e-4 * 1e4, (ROWS,)),
    "div/number": (lambda lib, x: x / 30000.0, (ROWS,)),
    "tanh": (lambda lib, x: x.tanh(), (ROWS,)),
    "sigmoid": (lambda lib, x: x.sigmoid(), (ROWS,)),
    "exp": (lambda lib, x: (x * 0.01).exp(), (ROWS,)),
    "gelu": (lambda lib, x: lib.nn.functional.gelu(x), (ROWS,)),
    "silu": (lambda lib, x: lib.nn.functional.silu(x), (ROWS,)),
    "softplus": (lambda lib, x: lib.nn.functional.softplus(x), (ROWS,)),
    "elu": (lambda lib, x: lib.nn.functional.elu(x), (ROWS,)),
    "hardswish": (lambda lib, x: lib.nn.functional.hardswish(x), (ROWS,)),
    "broadcast": (lambda lib, x, b: x + b, (LONG, (5,))),
    "broadcast/product": (lambda lib, x, b: x * b, (LONG, (5,))),
    "index/repeats": (lambda lib, x: x[np.zeros(3000, int)] * 0.5, ((2, 5),)),
    "mse_loss": (lambda lib, x, t: lib.nn.functional.mse_loss(x, t), (LONG, LONG)),
    "l1_loss": (lambda lib, x, t: lib.nn.functional.l1_loss(x, t), (LONG, LONG)),
    "smooth_l1_loss": (lambda lib, x, t: lib.nn.functional.smooth_l1_loss(x, t), (LONG, LONG)),
    "mse_loss/sum": (lambda lib, x, t: lib.nn.functional.mse_loss(x, t, reduction="sum"), (ROWS, ROWS)),
    "bce_with_logits": (
        lambda lib, x, t: lib.nn.functional.binary_cross_entropy_with_logits(x, t.sigmoid().detach()), (LONG, LONG)),
    "bce": (
        lambda lib, x, t: lib.nn.functional.binary_cross_entropy((0.1 * x).sigmoid(), t.sigmoid().detach()),
        (LONG, LONG)),
    "cross_entropy": (lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, x)), (LONG,)),
    "cross_entropy/sum": (
        lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, x), reduction="sum"), ((8, 5, 10, 10),)),
    "cross_entropy/smoothing": (
        lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, x), label_smoothing=0.1), (ROWS,)),
    "nll_loss": (lambda lib, x: lib.nn.functional.nll_loss(x, classes(lib, x)), (LONG,)),
    "batch_norm": (batch_norm, (IMAGES, (6,), (6,))),
    "batch_norm/1d": (batch_norm, (LONG, (5,), (5,))),
    "batch_norm/eval": (
        lambda lib, x, m, v: lib.nn.functional.batch_norm(x, m.detach(), (v * v + 0.5).detach()),
        (IMAGES, (6,), (6,))),
    "layer_norm": (lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (500,), w, b), (ROWS, (500,), (500,))),
    "group_norm": (lambda lib, x, w, b: lib.nn.functional.group_norm(x, 2, w, b), (IMAGES, (6,), (6,))),
    "instance_norm": (lambda lib, x: lib.nn.functional.instance_norm(x), (IMAGES,)),
    "avg_pool": (lambda lib, x: lib.nn.functional.avg_pool2d(x, 9, 3), (IMAGES,)),
    "adaptive_avg_pool": (lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, (3, 1)), (IMAGES,)),
    "max_pool": (lambda lib, x: lib.nn.functional.max_pool2d(x, 5, 1), (IMAGES,)),
    "interpolate": (
        lambda lib, x: lib.nn.functional.interpolate(x, size=(7, 50), mode="bilinear", align_corners=False), (IMAGES,)),
    "interpolate/nearest": (lambda lib, x: lib.nn.functional.interpolate(x, size=(90, 90)), ((1, 2, 3, 3),)),
    "pad/replicate": (
        lambda lib, x: lib.nn.functional.pad(x, (40, 40, 40, 40), mode="replicate"), ((1, 2, 3, 3),)),
    "fold": (lambda lib, x: lib.nn.functional.fold(x, (12, 12), 5), ((2, 50, 64),)),
    "matmul": (lambda lib, x, w: x @ w, (ROWS, (500, 7))),
    "matmul/batch": (lambda lib, x, w: x @ w, ((3, 20, 500), (3, 500, 7))),
    "linear": (lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), (ROWS, (7, 500), (7,))),
    "conv2d": (lambda lib, x, w, b: lib.nn.functional.conv2d(x, w, b, padding=2), (IMAGES, (4, 6, 5, 5), (4,))),
    "conv_transpose2d": (
        lambda lib, x, w: lib.nn.functional.conv_transpose2d(x, w, stride=2), (IMAGES, (6, 4, 5, 5))),
}  # fmt: skip


CASES = [
    Case(f"{operator} {dtype} {distribution}", function, shapes, dtype, distribution)
    for operator, (function, shapes) in OPERATORS.items()
    for dtype in DTYPES
    for distribution in DISTRIBUTIONS
]


def run(case: Case, lib: Any, arrays: list[np.ndarray], device: Any = "cpu") -> dict[str, np.ndarray]:
    """Outputs and gradients in the dtype of `arrays`, for an upstream gradient of the case's dtype."""
    inputs = [lib.tensor(array, requires_grad=True, device=device) for array in arrays]
    outputs = case.function(lib, *inputs)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    rng = np.random.default_rng(zlib.crc32(case.name.encode()) + 1)
    upstream = (rng.random(tuple(outputs[0].shape)) + 0.1).astype(case.dtype).astype(arrays[0].dtype)
    outputs[0].backward(lib.tensor(upstream, device=device))
    found = {f"output{i}": y for i, y in enumerate(outputs)}
    found |= {f"gradient{i}": x.grad for i, x in enumerate(inputs) if x.grad is not None}
    return {name: y.detach().cpu().numpy() for name, y in found.items()}


def errors(case: Case, lib: Any, device: Any = "cpu") -> dict[str, float]:
    """The largest error of each result, in units in the last place of its largest element in float64."""
    import tinycnn

    arrays = case.inputs()
    exact = run(case, tinycnn, [array.astype(np.float64) for array in arrays])
    found, limits = run(case, lib, arrays, device), np.finfo(case.dtype)
    result = {}
    for name, y in found.items():
        assert y.dtype == case.dtype, f"{case.name}: {name} is {y.dtype}"
        expected, got = exact[name], y.astype(np.float64)
        scale = max(float(np.abs(expected).max()) * float(limits.eps), float(limits.tiny) * float(limits.eps))
        too_large = np.abs(expected) > float(limits.max)
        with np.errstate(invalid="ignore"):
            wrong = np.where(too_large & np.isinf(got), 0, np.abs(got - expected)) / scale
        result[name] = float(np.where(np.isnan(wrong), np.inf, wrong).max())
    return result
