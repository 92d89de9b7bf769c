"""What may stand in a random program, and how often.

A function marked `operator` returns the text of one statement over the tensors that there are, or None where it finds
none that fit. What it makes is executed with torch at once, so that the next one knows shapes and values. A few
statements are wrong on purpose, or by chance: both libraries must then raise.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from tests.fuzz.generator import Generator, change, differentiate, dtype_of, index
from tests.fuzz.program import DTYPES, Program

Operator = Callable[[Generator], str | None]
OPERATORS: list[Operator] = []
WEIGHTS: list[float] = []


def operator(weight: float) -> Callable[[Operator], Operator]:
    def add(make: Operator) -> Operator:
        OPERATORS.append(make)
        WEIGHTS.append(weight)
        return make

    return add


def generate(seed: int, dtype: str | None = None) -> Program:
    """The program of a seed: the same on every machine."""
    g = Generator(seed, dtype)

    def compute() -> None:
        g.make(g.rng.choices(OPERATORS, WEIGHTS)[0])

    for _ in range(g.rng.randint(2, 12)):
        compute()
        if g.chance(0.12):
            g.make(change)
    for _ in range(g.rng.choices([0, 1, 2, 3], [1, 3, 5, 4])[0]):
        if g.chance(0.5):
            g.make(change)
        g.make(differentiate)
        if g.chance(0.3):
            compute()
    used = {name for statement in g.program for name in statement.uses}
    return tuple(s for s in g.program if s.leaf is None or s.target in used)


# --- operators: element by element --------------------------------------------------------------------------


@operator(10)
def arithmetic(g: Generator) -> str:
    x = g.tensor()
    other = g.number() if g.chance(0.25) else g.broadcasting(x)
    if g.chance(0.2):
        method = g.pick("add", "sub")
        return f"{x}.{method}({other}{g.options(0.5, alpha=g.pick(2, 0.5, -1))})"
    a, b = (x, other) if g.chance(0.6) else (other, x)
    sign = g.rng.choices(["+", "-", "*", "/", "**", "%", "//"], [4, 4, 5, 4, 2, 1, 1])[0]
    return f"({a} // {b}).detach()" if sign == "//" else f"({a} {sign} {b})"


@operator(2)
def comparison(g: Generator) -> str:
    x = g.tensor()
    if g.chance(0.2):
        return f"lib.{g.pick('isnan', 'isinf', 'isfinite')}({x})"
    if g.chance(0.15):
        return f"{x}.isclose({g.like(x)}{g.options(rtol=0.1, atol=0.5, equal_nan=True)})"
    return f"({x} {g.pick('==', '!=', '<', '<=', '>', '>=')} {g.number() if g.chance(0.3) else g.broadcasting(x)})"


@operator(1)
def bits(g: Generator) -> str:
    x = g.tensor(kinds="ib")
    if g.chance(0.25):
        return f"(~{x})"
    return f"({x} {g.pick('&', '|', '^')} {g.pick('True', '3') if g.chance(0.3) else g.broadcasting(x)})"


@operator(8)
def unary(g: Generator) -> str:
    if g.chance(0.1):  # constants in tinycnn: docs/coming-from-pytorch.md, "Step functions"
        return f"{g.tensor()}.{g.pick('sign', 'floor', 'ceil', 'round')}().detach()"
    x = g.tensor(largest=20 if g.chance(0.7) else inf)
    name = g.pick("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "erf", "abs", "neg")
    return f"lib.{name}({x})" if g.chance(0.3) or name == "erf" else f"{x}.{name}()"


@operator(5)
def activation(g: Generator) -> str:
    x = g.floating() if g.chance(0.9) else g.tensor()
    return g.pick(
        f"F.relu({x})", f"F.leaky_relu({x}, {g.pick('0.1', '-0.5', '2')})", f"F.silu({x})",
        f"F.elu({x}, {g.pick('1.0', '0.5')})", f"F.gelu({x}{g.options(approximate=repr('tanh'))})",
        f"F.hardswish({x})", f"F.logsigmoid({x})", f"F.sigmoid({x})", f"F.tanh({x})",
        f"F.softplus({x}{g.options(beta=g.pick('2', '0.5'), threshold=g.pick('20', '1'))})",
        f"F.dropout({x}, 0.5, training=False)", f"F.{g.pick('dropout1d', 'dropout2d')}({x}, 0.5, False)",
        f"F.dropout({x}, {g.pick('0.0', '1.0')}, training=True)",
    )  # fmt: skip


@operator(6)
def selection(g: Generator) -> str:
    x = g.tensor()
    y = g.number() if g.chance(0.2) else g.broadcasting(x)
    mask = g.leaf(tuple(1 if g.chance(0.2) else size for size in g.value(x).shape), "bool")
    number = g.chance(0.6)  # or tensors: torch takes no mixture
    bounds = [g.pick("2", "(-1)", "0.5", "inf", "0") if number else g.broadcasting(x) for _ in range(2)]
    return g.pick(
        f"lib.where({mask}, {x}, {y})", f"{x}.where({mask}, {y})", f"lib.maximum({x}, {g.broadcasting(x)})",
        f"lib.minimum({g.broadcasting(x)}, {x})", f"{x}.masked_fill({mask}, {g.number()})",
        f"{x}.clamp(min={bounds[0]})", f"{x}.clamp({bounds[0]}, {bounds[1]})", f"{x}.clamp(max={bounds[0]})",
        f"{x}.{g.pick('max', 'min')}({g.broadcasting(x)})",
    )  # fmt: skip


# --- operators: along dimensions ----------------------------------------------------------------------------


@operator(8)
def reduction(g: Generator) -> str:
    x = g.tensor()
    name = g.pick("sum", "sum", "mean", "mean", "var", "std", "amax", "amin", "all", "any", "norm", "logsumexp")
    keepdim = g.options(0.3, keepdim=g.flag())
    if name == "logsumexp":
        return f"{x}.logsumexp({g.dims(x)}{keepdim})"
    if g.chance(0.3):
        return f"{x}.{name}()"
    if name == "norm":
        return f"{x}.norm({g.pick('2', '1', '3', 'inf', '0.5')}, dim={g.dims(x)}{keepdim})"
    if name in ("var", "std"):
        keepdim += g.options(0.4, correction=g.pick(0, 1))
    if name in ("sum", "mean"):
        keepdim += g.options(0.1, dtype=g.pick("lib.float64", "lib.float32"))
    return f"{x}.{name}({g.dims(x)}{keepdim})"


@operator(4)
def extremum(g: Generator) -> str:
    x = g.tensor()
    name = g.pick("max", "min", "argmax", "argmin")
    return f"{x}.{name}({'' if g.chance(0.2) else g.dims(x, several=False) + g.options(0.3, keepdim=g.flag())})"


@operator(4)
def along(g: Generator) -> str | None:
    x = g.floating() if g.chance(0.8) else g.tensor()
    dim, value = g.dim(x), g.value(x)
    name = g.pick("softmax", "log_softmax", "cumsum", "sort", "argsort", "topk")
    if name in ("softmax", "log_softmax", "cumsum"):
        return f"{x}.{name}({dim})" if g.chance(0.7) or name == "cumsum" else f"F.{name}({x}, {dim})"
    if value.unique().numel() != value.numel() or value.isnan().any():
        return None  # of equal elements torch does not say which comes first
    if name == "topk":
        size = value.shape[dim] if -value.ndim <= dim < value.ndim else 1
        return f"{x}.topk({g.rng.randint(0, size)}, {dim}{g.options(largest=g.flag())})"
    return f"{x}.{name}({dim}{g.options(descending=g.flag())})"


# --- operators: shapes --------------------------------------------------------------------------------------


@operator(10)
def reshaping(g: Generator) -> str | None:
    x = g.tensor()
    value = g.value(x)
    ndim, shape = value.ndim, tuple(value.shape)
    order = g.rng.sample(range(ndim), ndim)
    d = g.dim(x)
    splits = [k for k in range(1, 8) if value.numel() % k == 0]
    sizes = (g.pick(splits), -1) if value.numel() else (0, g.size())
    factors = [k for k in range(1, 8) if ndim and -ndim <= d < ndim and shape[d] % k == 0]
    return g.pick(
        g.may_view(x, f"{x}.{g.pick('reshape', 'view')}({g.pick(sizes, sizes[::-1], (-1,))})"),
        g.may_view(x, f"{x}.flatten({g.pick('', g.rng.randrange(max(ndim, 1)))})"),
        g.may_view(x, f"{x}.unflatten({d}, {(g.pick(factors), -1)})") if factors else None,
        g.may_view(x, f"{x}.contiguous()"),
        f"{x}.squeeze({g.pick('', d, g.dims(x))})", f"{x}.unsqueeze({g.rng.randint(-ndim - 1, ndim)})",
        f"{x}.permute({tuple(order)})", f"{x}.transpose({g.dim(x)}, {g.dim(x)})",
        f"{x}.t()" if ndim <= 2 or g.chance(0.1) else f"{x}.transpose(0, -1)",
        f"{x}.flip({g.dims(x)})", f"{x}.detach()", f"{x}.clone()",
    )  # fmt: skip


@operator(6)
def sizing(g: Generator) -> str | None:
    x = g.tensor()
    value = g.value(x)
    ndim = value.ndim
    grown = tuple(g.pick(2, 3, -1) if size == 1 else g.pick(size, -1) for size in value.shape)
    kept = tuple(1 if g.chance(0.4) else size for size in value.shape)[g.rng.randint(0, ndim) if g.chance(0.3) else 0 :]
    return g.pick(
        f"{x}.expand({g.pick((), (2,), (1, 3)) + grown})", f"{x}.expand_as({g.broadcasting(x)})",
        f"{x}.repeat({tuple(g.pick(1, 1, 2, 2, 0) for _ in range(ndim + g.pick(0, 0, 1)))})",
        f"{x}.sum_to_size({kept})", f"{x}.{g.pick('tril', 'triu')}({g.rng.randint(-2, 2)})",
        f"{x}.split({g.pick(1, 2, 3)}, {g.dim(x)})", f"{x}.chunk({g.pick(1, 2, 3)}, {g.dim(x)})",
        f"lib.{g.pick('zeros', 'ones')}_like({x})", f"lib.full_like({x}, {g.number()})",
    )  # fmt: skip


@operator(3)
def joining(g: Generator) -> str:
    x = g.tensor(ndim=range(5))
    shape = tuple(g.value(x).shape)
    same = g.existing(lambda y: tuple(y.shape) == shape)
    y = g.pick(x, same, g.leaf(shape)) or x
    d = g.dim(x)
    if g.chance(0.3) and shape and -len(shape) <= d < len(shape):
        other = list(shape)
        other[d] = g.size()
        y = g.leaf(tuple(other))
        return f"lib.cat([{x}, {y}], {d})"
    return f"lib.{g.pick('cat', 'stack')}([{x}, {y}], {d})"


@operator(3)
def casting(g: Generator) -> str:
    x = g.tensor(largest=100)
    dtype = g.pick(*DTYPES)
    return f"{x}.to({'bool' if dtype == 'bool' else f'lib.{dtype}'})"


@operator(10)
def indexing(g: Generator) -> str:
    x = g.tensor(ndim=range(1, 6)) if g.chance(0.95) else g.tensor()
    return f"{x}[{index(g, tuple(g.value(x).shape))}]"


@operator(2)
def gathering(g: Generator) -> str:
    if g.chance(0.2):
        return f"F.one_hot({g.leaf(g.shape(g.pick(0, 1, 2)), 'int64', 0, 3)}, {g.pick(-1, 4, 5)})"
    x = g.tensor(ndim=range(4))
    shape, d = tuple(g.value(x).shape), g.dim(x)
    size = shape[d] if shape and -len(shape) <= d < len(shape) else 1
    places = tuple(g.rng.randint(1, 3) if i == d % max(len(shape), 1) else g.rng.randint(0, s) if g.chance(0.2) else s
                   for i, s in enumerate(shape))  # fmt: skip
    return f"{x}.gather({d}, {g.leaf(places, 'int64', 0, max(size - 1, 0))})"


# --- operators of networks ----------------------------------------------------------------------------------


@operator(6)
def product(g: Generator) -> str:
    x = g.tensor(range(5), "fi") if g.chance(0.1) else g.floating(range(1, 5), largest=100)
    value = g.value(x)
    dtype = dtype_of(value)
    inner = value.shape[-1] if value.ndim else 1
    if g.chance(0.3):
        weight = g.leaf((g.pick(1, 2, 4), inner), dtype)
        bias = f", {g.leaf(tuple(g.value(weight).shape[:1]), dtype)}" if g.chance(0.6) else ""
        return f"F.linear({x}, {weight}{bias})"
    batch = tuple(1 if g.chance(0.3) else size for size in value.shape[:-2]) if g.chance(0.5) else ()
    y = g.leaf(g.pick((inner,), (*batch, inner, g.size()), (*batch, inner, 3)), dtype)
    if g.chance(0.3):
        x, y = f"{y}.transpose(0, -1)", f"{x}.transpose(0, -1)"
    return f"({x} @ {y})" if g.chance(0.6) else f"lib.matmul({x}, {y})"


def images(g: Generator, dims: int, unbatched: bool = True) -> str:
    """(N, C, ...) or (C, ...) with `dims` spatial dimensions."""
    ndim = dims + 2 - (unbatched and g.chance(0.15))
    found = g.existing(lambda x: x.ndim == ndim and x.is_floating_point()) if g.chance(0.6) else None
    spatial = [g.rng.randint(2, 7 if dims < 3 else 4) for _ in range(dims)]
    return found or g.leaf((*(g.pick(1, 2, 3) for _ in range(ndim - dims)), *spatial), requires_grad=g.chance(0.7))


def sizes(g: Generator, dims: int, *options: int) -> Any:
    """One of the options, or one for each spatial dimension."""
    return tuple(g.pick(*options) for _ in range(dims)) if g.chance(0.3) else g.pick(*options)


@operator(6)
def convolution(g: Generator) -> str:
    dims = g.rng.choices([1, 2, 3], [3, 5, 1])[0]
    x = images(g, dims)
    value = g.value(x)
    channels = value.shape[-dims - 1]
    transposed = g.chance(0.35)
    groups = g.pick([k for k in (1, 1, 2, 3) if channels % k == 0])
    outputs = groups * g.pick(1, 2)
    kernel = tuple(g.pick(1, 2, 3) for _ in range(dims))
    first, second = (channels, outputs // groups) if transposed else (outputs, channels // groups)
    weight = g.leaf((first, second, *kernel), dtype_of(value))
    bias = g.leaf((outputs,), dtype_of(value)) if g.chance(0.5) else "None"
    options = g.options(0.4, stride=sizes(g, dims, 1, 2, 3), dilation=sizes(g, dims, 1, 2), groups=groups)
    if groups > 1 and "groups" not in options:
        options += f", groups={groups}"
    if transposed:
        options += g.options(0.4, padding=sizes(g, dims, 0, 1), output_padding=sizes(g, dims, 0, 1))
        return f"F.conv_transpose{dims}d({x}, {weight}, {bias}{options})"
    padding = g.pick(sizes(g, dims, 0, 1, 2), repr("valid"), repr("same") if "stride" not in options else 1)
    return f"F.conv{dims}d({x}, {weight}, {bias}{options}{g.options(0.6, padding=padding)})"


@operator(5)
def pooling(g: Generator) -> str:
    dims = g.rng.choices([1, 2, 3], [3, 5, 1])[0]
    x = images(g, dims) if g.chance(0.9) else g.tensor(ndim=dims + 2)
    what = g.pick("max", "avg", "adaptive_max", "adaptive_avg", "unpool")
    if what.startswith("adaptive"):
        size = tuple(g.pick(1, 2, 3) for _ in range(dims)) if dims == 1 or g.chance(0.5) else g.pick(1, 2, 3)
        return f"F.{what}_pool{dims}d({x}, {size}{g.options(0.3, return_indices=True) if what[-3:] == 'max' else ''})"
    kernel = sizes(g, dims, 1, 2, 3)
    options = g.options(0.4, stride=sizes(g, dims, 1, 2, 3), padding=sizes(g, dims, 0, 1))
    if what == "unpool":
        return f"F.max_unpool{dims}d(*F.max_pool{dims}d({x}, {g.pick(1, 2)}, return_indices=True), 2)"
    options += g.options(0.3, ceil_mode=g.flag())
    if what == "avg":
        return f"F.avg_pool{dims}d({x}, {kernel}{options}{g.options(0.3, count_include_pad=g.flag())})"
    # torch reads memory that is not its own where a dilated window lies wholly in the padding.
    if min(g.value(x).shape[-dims:], default=0) >= 2:
        options += g.options(0.3, dilation=sizes(g, dims, 1, 2))
    return f"F.max_pool{dims}d({x}, {kernel}{options}{g.options(0.3, return_indices=True)})"


@operator(4)
def normalisation(g: Generator) -> str:
    x = images(g, g.pick(0, 1, 2), unbatched=False) if g.chance(0.8) else g.floating(ndim=range(1, 5))
    value = g.value(x)
    dtype = dtype_of(value)
    channels = (value.shape[1],) if value.ndim > 1 else (1,)
    # Finite: of an infinite weight, whether the mean is subtracted before or after decides between inf and nan.
    # Row-major: torch's backward pass of a batch takes them for that.
    weight, bias = (g.leaf(channels, dtype, -2, 2, layout="row-major") if g.chance(0.5) else "None" for _ in range(2))
    eps = g.options(0.2, eps=0.1)
    what = g.pick("batch", "batch", "layer", "group", "instance")
    if what in ("batch", "instance"):
        mean, var = "None", "None"
        if g.chance(0.5):
            mean = g.leaf(channels, dtype, -1, 1, requires_grad=False, layout="row-major")
            var = g.leaf(channels, dtype, 0.5, 2, requires_grad=False, layout="row-major")
        flag = g.flag() if mean != "None" else "True"
        return f"F.{what}_norm({x}, {mean}, {var}, {weight}, {bias}, {flag}{g.options(0.3, momentum=0.3)}{eps})"
    if what == "group":
        bias = bias if weight != "None" else "None"  # torch's backward pass fails without a weight
        groups = g.pick([k for k in (1, 2, 3) if channels[0] % k == 0])
        return f"F.group_norm({x}, {groups}, {weight}, {bias}{eps})"
    last = tuple(value.shape)[-g.rng.randint(1, min(value.ndim, 2)) :]
    weight, bias = (g.leaf(last, dtype, -2, 2) if g.chance(0.5) else "None" for _ in range(2))
    return f"F.layer_norm({x}, {last}, {weight}, {bias}{eps})"


@operator(5)
def loss(g: Generator) -> str:
    reduction = g.options(0.6, reduction=repr(g.pick("mean", "sum", "none")))
    if g.chance(0.5):
        x = g.floating(ndim=range(4))
        y = g.like(x) if g.chance(0.9) else g.broadcasting(x)
        name = g.pick("mse_loss", "l1_loss", "smooth_l1_loss", "binary_cross_entropy", "with_logits")
        if name == "smooth_l1_loss":
            return f"F.smooth_l1_loss({x}, {y}{reduction}{g.options(0.4, beta=g.pick('0.5', '2.0', '0.0'))})"
        if name in ("mse_loss", "l1_loss"):
            return f"F.{name}({x}, {y}{reduction})"
        target = g.like(x, 0, 1, requires_grad=g.chance(0.2))
        weight = f", {g.like(x, 0, 2, requires_grad=False)}" if g.chance(0.3) else ""
        if name == "binary_cross_entropy":
            return f"F.binary_cross_entropy({x}.sigmoid(), {target}{weight}{reduction})"
        positive = g.options(0.3, pos_weight=g.like(x, 0.5, 2, requires_grad=False))
        return f"F.binary_cross_entropy_with_logits({x}, {target}{weight}{reduction}{positive})"
    x = g.floating(ndim=range(1, 5))
    shape, dtype = tuple(g.value(x).shape), dtype_of(g.value(x))
    classes = shape[min(1, len(shape) - 1)]
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    name = g.pick("cross_entropy", "cross_entropy", "nll_loss")
    weight = f", {g.leaf((classes,), dtype, 0.1, 2, requires_grad=g.chance(0.05))}" if g.chance(0.3) else ""
    if name == "cross_entropy":
        reduction += g.options(0.25, label_smoothing="0.1")
        if g.chance(0.25):
            return f"F.cross_entropy({x}, {g.like(x, 0, 1)}{weight}{reduction})"
    target = g.leaf(places, "int64" if g.chance(0.9) else "uint8", 0, max(classes - 1, 0))
    ignored = g.options(0.3, ignore_index=g.pick(0, 1))
    return f"F.{name}({x}, {target}{weight}{reduction}{ignored})"


@operator(4)
def resizing(g: Generator) -> str | None:
    dims = g.rng.choices([1, 2, 3], [3, 5, 1])[0]
    x = images(g, dims, unbatched=False) if g.chance(0.9) else g.tensor(ndim=dims + 2)
    shape = tuple(g.value(x).shape)
    if g.chance(0.35):
        count = g.rng.randint(1, dims)
        mode = g.pick("constant", "constant", "reflect", "replicate", "circular")
        low = -1 if mode == "constant" and g.chance(0.2) else 0
        amounts = tuple(g.rng.randint(low, 2) for _ in range(2 * (count if mode == "constant" else dims)))
        value = g.options(0.5, value=g.pick("1", "0.5")) if mode == "constant" else ""
        return f"F.pad({x}, {amounts}, {mode!r}{value})"
    if g.chance(0.5):
        mode = g.pick("nearest", ["linear", "bilinear", "trilinear"][dims - 1])
        how = f"size={sizes(g, dims, 1, 2, 3, 5)}" if g.chance(0.6) else f"scale_factor={g.pick('2', '0.5', '1.7')}"
        align = g.options(0.5, align_corners=g.flag()) if mode != "nearest" else ""
        return f"F.interpolate({x}, {how}, mode={mode!r}{align})"
    if dims != 2:
        return None
    factor = g.pick(1, 2)
    kernel = tuple(g.pick(1, 2) for _ in range(2))
    folded = g.leaf((shape[0], 2 * kernel[0] * kernel[1], (4 - kernel[0]) * (5 - kernel[1])), dtype_of(g.value(x)))
    options = g.options(0.3, dilation=g.pick(1, 2), padding=g.pick(0, 1), stride=g.pick(1, 2))
    return g.pick(
        f"F.pixel_shuffle({g.leaf((shape[0], 2 * factor**2, 2, 3))}, {factor})",
        f"F.pixel_unshuffle({g.leaf((shape[0], 2, 2 * factor, 3 * factor))}, {factor})",
        f"F.unfold({x}, {kernel}{options})", f"F.fold({folded}, (3, 4), {kernel})",
    )  # fmt: skip
