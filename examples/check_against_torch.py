"""The layers of convolutional nets against torch's of the same name: outputs and gradients, over many random shapes.

    python examples/check_against_torch.py
    python examples/check_against_torch.py --cases 200 --seed 7 --only Conv2d

Both libraries get the same arguments, parameters, inputs and upstream gradients, in float64. Compared are outputs and
running statistics ("forward"), gradients of inputs and parameters ("backward"). An error is the largest difference,
divided by the largest element of torch's result.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from program import Parser, UserError, positive, require, run, seed, table

import tinycnn
from tinycnn.ops.windows import Window

TOLERANCE = 1e-9
Array = np.ndarray


@dataclass
class Case:
    """One random call of a layer, or of a function."""

    options: dict[str, Any]  # of the layer's constructor, or of the function; arrays become tensors
    inputs: list[Array]  # those of floating point are differentiated
    constants: list[Any] = field(default_factory=list)  # further arguments, not differentiated
    training: bool = True

    def __str__(self) -> str:
        options = ", ".join(f"{name}={_short(value)}" for name, value in self.options.items())
        arguments = ", ".join(_short(value) for value in [*self.inputs, *self.constants])
        return f"({options}) of {arguments}" + ("" if self.training else ", in evaluation mode")


def _short(value: Any) -> str:
    return f"array {value.shape}" if isinstance(value, Array) else repr(value)


# --- random arguments ---------------------------------------------------------------------------------------


class Draw:
    """Random arguments; all bounds are inclusive."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def int(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def ints(self, low: int, high: int, number: int) -> tuple[int, ...]:
        return tuple(self.int(low, high) for _ in range(number))

    def flag(self) -> bool:
        return self.rng.random() < 0.5

    def one_of(self, *values: Any) -> Any:
        return values[self.int(0, len(values) - 1)]

    def normal(self, *shape: int) -> Array:
        return np.array(self.rng.standard_normal(shape))

    def shape(self) -> tuple[int, ...]:
        return self.ints(1, 5, self.int(0, 4))

    def batch(self, *shape: int) -> Array:
        """A batch of random numbers, or now and then one sample without a batch dimension."""
        return self.normal(*(() if self.int(1, 5) == 1 else (self.int(1, 4),)), *shape)

    def with_ties(self, *shape: int) -> Array:
        """Random numbers, or for every other call few different ones, so that maxima are equal."""
        return self.batch(*shape) if self.flag() else np.round(self.batch(*shape))

    def indices(self, classes: int, *shape: int) -> Array:
        return self.rng.integers(0, classes, shape)


def window_of(draw: Draw, dims: int, dilate: bool = True, pad_half: bool = False) -> tuple[dict[str, Any], tuple]:
    """Random kernel_size, stride, padding and dilation, and an input size that they fit."""
    kernel, stride = draw.ints(1, 4 if dims < 3 else 3, dims), draw.ints(1, 3, dims)
    dilation = draw.ints(1, 3, dims) if dilate and draw.flag() else (1,) * dims
    padding = tuple(draw.int(0, k // 2 if pad_half else k) for k in kernel) if draw.flag() else (0,) * dims
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation)]
    size = tuple(n + draw.int(0, 6 if dims < 3 else 3) for n in least)
    if draw.flag() and len(set(kernel)) == len(set(stride)) == 1:  # an int stands for all dimensions
        kernel, stride = kernel[0], stride[0]
    options = {"kernel_size": kernel, "stride": stride, "padding": padding}
    return options | ({"dilation": dilation} if dilate else {}), size


def pooling_of(draw: Draw, dims: int, dilate: bool, ceil: bool = True) -> tuple[dict[str, Any], tuple]:
    """The same for pooling, with no window that lies wholly in the padding: there torch 2.13 reads and writes memory
    that is not the tensor's, and an average without padding divides by zero."""
    while True:
        options, size = window_of(draw, dims, dilate, pad_half=True)
        ceil_mode = ceil and draw.flag()
        each = [(v,) * dims if isinstance(v, int) else v for v in options.values()]
        kernel, stride, padding, dilation = each if dilate else (*each, (1,) * dims)
        window = Window(size, kernel, stride, tuple((p, p) for p in padding), dilation, ceil_mode)
        seen = np.zeros(window.output_size, int)
        for tap in window.taps:
            seen[tap.outputs] += 1
        if seen.size and seen.min() > 0:
            return options | ({"ceil_mode": ceil_mode} if ceil else {}), size


# --- the layers ---------------------------------------------------------------------------------------------


def convolution(dims: int, draw: Draw) -> Case:
    options, size = window_of(draw, dims)
    groups = draw.one_of(1, 1, 2, 3)
    C, O = groups * draw.int(1, 3), groups * draw.int(1, 3)
    options |= {"groups": groups, "bias": draw.flag()}
    mode = draw.one_of("zeros", "zeros", "reflect", "replicate", "circular")
    if mode != "zeros":  # these take their numbers from the input, which must hold as many
        pads = options["padding"]
        size = tuple(max(n, p + 1) for n, p in zip(size, pads))
        options["padding_mode"] = mode
    elif draw.int(1, 5) == 1:
        options |= {"padding": draw.one_of("same", "valid"), "stride": 1}
        spans = [d * (k - 1) + 1 for k, d in zip(np.broadcast_to(options["kernel_size"], dims), options["dilation"])]
        size = tuple(int(max(n, span)) for n, span in zip(size, spans))
    return Case({"in_channels": C, "out_channels": O, **options}, [draw.batch(C, *size)])


def transposed_convolution(dims: int, draw: Draw) -> Case:
    while True:
        options, _ = window_of(draw, dims)
        groups = draw.one_of(1, 1, 2, 3)
        C, O = groups * draw.int(1, 3), groups * draw.int(1, 3)
        stride = np.broadcast_to(options["stride"], dims)
        extra = tuple(draw.int(0, max(s, d) - 1) for s, d in zip(stride, options["dilation"]))
        size = draw.ints(1, 5, dims)
        geometry = zip(size, stride, options["padding"], options["dilation"],
                       np.broadcast_to(options["kernel_size"], dims), extra)  # fmt: skip
        if all((n - 1) * s - 2 * p + d * (k - 1) + 1 + e > 0 for n, s, p, d, k, e in geometry):
            options |= {"output_padding": extra, "groups": groups, "bias": draw.flag()}
            return Case({"in_channels": C, "out_channels": O, **options}, [draw.batch(C, *size)])


def max_pooling(dims: int, draw: Draw) -> Case:
    options, size = pooling_of(draw, dims, dilate=True)
    return Case(options | {"return_indices": draw.flag()}, [draw.with_ties(draw.int(1, 3), *size)])


def average_pooling(dims: int, draw: Draw) -> Case:
    options, size = pooling_of(draw, dims, dilate=False)
    if dims == 3:  # torch refuses an input smaller than the kernel, padded or not
        size = tuple(max(n, k) for n, k in zip(size, np.broadcast_to(options["kernel_size"], 3).tolist()))
    options["count_include_pad"] = draw.flag()
    if dims > 1 and draw.int(1, 4) == 1:
        options["divisor_override"] = draw.int(1, 7)
    return Case(options, [draw.batch(draw.int(1, 3), *size)])


def max_unpooling(dims: int, draw: Draw) -> Case:
    """The maxima of random numbers, put back; the places are those that pooling finds."""
    options, size = pooling_of(draw, dims, dilate=False, ceil=False)
    pool = getattr(tinycnn.nn, f"MaxPool{dims}d")(**options, return_indices=True)
    values, indices = pool(tinycnn.tensor(draw.batch(draw.int(1, 3), *size)))
    return Case(options, [values.numpy()], [indices.numpy(), size])


def adaptive_pooling(dims: int, draw: Draw, indices: bool = False) -> Case:
    size = draw.ints(1, 9 if dims < 3 else 5, dims)
    output = tuple(draw.int(1, 6) if dims == 1 or draw.flag() else None for _ in size)
    options = {"output_size": draw.one_of(output, draw.int(1, 5))}
    x = draw.with_ties(draw.int(1, 3), *size) if indices else draw.batch(draw.int(1, 3), *size)
    return Case(options | ({"return_indices": draw.flag()} if indices else {}), [x])


def running_norm(dims: int, draw: Draw, batch: bool) -> Case:
    """Batch or instance norm; at least 3 numbers a channel, as the gradient of 2 is all cancellation."""
    C, size = draw.int(1, 4), draw.ints(3, 5, dims)
    N = draw.int(1, 4)
    if batch and dims == 1 and draw.flag():
        N, size = draw.int(3, 6), ()
    options = {"num_features": C, "eps": draw.one_of(1e-5, 0.1), "momentum": draw.one_of(0.1, 0.7)}
    if batch and draw.int(1, 5) == 1:
        options["momentum"] = None
    options |= {"affine": draw.flag(), "track_running_stats": draw.flag()}
    one_sample = not batch and draw.int(1, 5) == 1
    return Case(options, [draw.normal(*(() if one_sample else (N,)), C, *size)], training=draw.flag())


def layer_norm(draw: Draw) -> Case:
    shape, normalized = draw.ints(1, 4, draw.int(0, 2)), draw.ints(3, 5, draw.int(1, 2))
    options = {"normalized_shape": normalized, "elementwise_affine": draw.flag(), "bias": draw.flag()}
    return Case(options, [draw.normal(*shape, *normalized)])


def group_norm(draw: Draw) -> Case:
    groups = draw.int(1, 3)
    C = groups * draw.int(1, 3)
    options = {"num_groups": groups, "num_channels": C, "affine": draw.flag()}
    return Case(options, [draw.normal(draw.int(1, 3), C, *draw.ints(3, 4, draw.int(1, 3)))])


def linear(draw: Draw) -> Case:
    options = {"in_features": draw.int(1, 6), "out_features": draw.int(1, 6), "bias": draw.flag()}
    return Case(options, [draw.normal(*draw.shape(), options["in_features"])])


def elementwise(draw: Draw, **values: tuple) -> Case:
    """An activation: any shape; for each option one of its values. Beyond ±4 some slopes are all cancellation."""
    x = np.array(draw.rng.uniform(-4, 4, draw.shape()))
    return Case({name: draw.one_of(*choices) for name, choices in values.items()}, [x])


def softmax(draw: Draw) -> Case:
    shape = draw.ints(1, 5, draw.int(1, 4))
    return Case({"dim": draw.int(-len(shape), len(shape) - 1)}, [3 * draw.normal(*shape)])


def dropout(dims: int, draw: Draw) -> Case:
    """What is random cannot be compared: nothing is dropped, or everything, or it is in evaluation mode."""
    x = draw.batch(*draw.ints(1, 4, dims + 1)) if dims else draw.normal(*draw.shape())
    training = draw.flag()
    return Case({"p": draw.one_of(0.0, 1.0) if training else draw.rng.random()}, [x], training=training)


def unfold(draw: Draw) -> Case:
    options, size = window_of(draw, 2)
    return Case(options, [draw.batch(draw.int(1, 3), *size)])


def fold(draw: Draw) -> Case:
    options, size = window_of(draw, 2)
    columns = tinycnn.nn.Unfold(**options)(tinycnn.zeros(1, draw.int(1, 3), *size))
    return Case({"output_size": size, **options}, [draw.batch(*columns.shape[1:])])


def upsample(draw: Draw) -> Case:
    dims, linear = draw.int(1, 3), draw.flag()
    options: dict[str, Any] = {"mode": ["linear", "bilinear", "trilinear"][dims - 1] if linear else "nearest"}
    if linear:
        options["align_corners"] = draw.flag()
    if draw.flag():
        options["size"] = draw.ints(1, 8, dims)
    else:
        options["scale_factor"] = draw.one_of(2, 1.5, 2.7, tuple(draw.one_of(1.0, 2.0, 2.5) for _ in range(dims)))
    return Case(options, [draw.normal(*draw.ints(1, 3, 2), *draw.ints(1, 5, dims))])


def interpolate(draw: Draw) -> Case:
    case = upsample(draw)
    if "scale_factor" in case.options and draw.flag():
        case.options["recompute_scale_factor"] = True
    return case


def pixel_shuffle(draw: Draw, down: bool) -> Case:
    r, (C, H, W) = draw.int(1, 3), draw.ints(1, 3, 3)
    shape = (C, H * r, W * r) if down else (C * r * r, H, W)
    return Case({"downscale_factor" if down else "upscale_factor": r}, [draw.batch(*shape)])


def flatten(draw: Draw) -> Case:
    shape = draw.ints(1, 4, draw.int(2, 5))
    start = draw.int(0, len(shape) - 1)
    end = draw.int(start, len(shape) - 1)
    return Case({"start_dim": start, "end_dim": draw.one_of(end, end - len(shape))}, [draw.normal(*shape)])


def unflatten(draw: Draw) -> Case:
    shape, parts = list(draw.ints(1, 4, draw.int(1, 3))), draw.ints(1, 3, draw.int(1, 3))
    dim = draw.int(0, len(shape) - 1)
    shape[dim] = int(np.prod(parts))
    return Case({"dim": dim, "unflattened_size": parts}, [draw.normal(*shape)])


def pad(draw: Draw) -> Case:
    mode = draw.one_of("constant", "reflect", "replicate", "circular")
    dims = draw.int(1, 3)
    size = draw.ints(3, 5, dims)
    options = {"pad": draw.ints(0, 2, 2 * dims), "mode": mode}
    if mode == "constant":
        options |= {"pad": draw.ints(-1, 3, 2 * dims), "value": draw.one_of(0.0, 1.5)}
    return Case(options, [draw.normal(*draw.ints(1, 3, 2), *size)])


def one_hot(draw: Draw) -> Case:
    classes = draw.int(1, 6)
    return Case({"num_classes": draw.one_of(classes, classes + 2)}, [draw.indices(classes, *draw.shape())])


# --- the losses ---------------------------------------------------------------------------------------------

REDUCTIONS = "mean", "sum", "none"


def regression(draw: Draw, **values: tuple) -> Case:
    shape = draw.shape()
    options = {name: draw.one_of(*choices) for name, choices in values.items()}
    return Case({"reduction": draw.one_of(*REDUCTIONS), **options}, [draw.normal(*shape), draw.normal(*shape)])


def classification(draw: Draw, soft: bool) -> Case:
    """Cross-entropy (`soft`: it also takes probabilities, and smooths them) or negative log-likelihood."""
    C = draw.int(2, 5)
    batch, spatial = ((), ()) if draw.int(1, 5) == 1 else ((draw.int(1, 4),), draw.ints(1, 3, draw.int(0, 2)))
    options: dict[str, Any] = {"reduction": draw.one_of(*REDUCTIONS)}
    if draw.flag():
        options["weight"] = draw.rng.uniform(0.3, 2, C)
    if soft and draw.flag():
        options["label_smoothing"] = draw.rng.uniform(0, 0.9)
    x = 3 * draw.normal(*batch, C, *spatial)
    if soft and draw.flag():
        return Case(options, [x], [draw.rng.uniform(0, 1, x.shape)])
    target = draw.indices(C, *batch, *spatial)
    if draw.flag() and target.size > 1:
        options["ignore_index"] = int(target.flat[0])
        target.flat[-1] = (target.flat[0] + 1) % C  # a mean over nothing is nan in torch and refused here
    return Case(options, [x], [target])


def binary(draw: Draw, logits: bool) -> Case:
    shape = draw.shape()
    options: dict[str, Any] = {"reduction": draw.one_of(*REDUCTIONS)}
    if draw.flag():
        options["weight"] = draw.rng.uniform(0.3, 2, shape)
    if logits and draw.flag():
        options["pos_weight"] = draw.rng.uniform(0.3, 2, shape[-1:])
    x = 4 * draw.normal(*shape) if logits else draw.rng.uniform(0.01, 0.99, shape)
    return Case(options, [np.array(x)], [np.array(draw.rng.uniform(0, 1, shape))])


CASES: dict[str, Callable[[Draw], Case]] = {
    **{f"Conv{d}d": partial(convolution, d) for d in (1, 2, 3)},
    **{f"ConvTranspose{d}d": partial(transposed_convolution, d) for d in (1, 2, 3)},
    **{f"MaxPool{d}d": partial(max_pooling, d) for d in (1, 2, 3)},
    **{f"AvgPool{d}d": partial(average_pooling, d) for d in (1, 2, 3)},
    **{f"MaxUnpool{d}d": partial(max_unpooling, d) for d in (1, 2, 3)},
    **{f"AdaptiveAvgPool{d}d": partial(adaptive_pooling, d) for d in (1, 2, 3)},
    **{f"AdaptiveMaxPool{d}d": partial(adaptive_pooling, d, indices=True) for d in (1, 2, 3)},
    **{f"BatchNorm{d}d": partial(running_norm, d, batch=True) for d in (1, 2, 3)},
    **{f"InstanceNorm{d}d": partial(running_norm, d, batch=False) for d in (1, 2, 3)},
    "LayerNorm": layer_norm,
    "GroupNorm": group_norm,
    "Linear": linear,
    **dict.fromkeys(("ReLU", "Tanh", "Sigmoid", "SiLU", "Hardswish", "LogSigmoid", "ReLU6", "Mish", "SELU",
                     "Softsign", "Tanhshrink"), elementwise),
    "Hardtanh": partial(elementwise, min_val=(-1.0, -0.3), max_val=(1.0, 2)),
    **dict.fromkeys(("Hardshrink", "Softshrink"), partial(elementwise, lambd=(0.5, 1.3))),
    "LeakyReLU": partial(elementwise, negative_slope=(0.01, 0.3, 0)),
    "ELU": partial(elementwise, alpha=(1.0, 0.4, 2)),
    "GELU": partial(elementwise, approximate=("none", "tanh")),
    "Softplus": partial(elementwise, beta=(1.0, 0.5, 3), threshold=(20.0, 2)),
    "Softmax": softmax,
    "LogSoftmax": softmax,
    **{f"Dropout{f'{d}d' if d else ''}": partial(dropout, d) for d in (0, 1, 2, 3)},
    "Flatten": flatten,
    "Unflatten": unflatten,
    "Identity": elementwise,
    "Unfold": unfold,
    "Fold": fold,
    "Upsample": upsample,
    "PixelShuffle": partial(pixel_shuffle, down=False),
    "PixelUnshuffle": partial(pixel_shuffle, down=True),
    "CrossEntropyLoss": partial(classification, soft=True),
    "NLLLoss": partial(classification, soft=False),
    "MSELoss": regression,
    "L1Loss": regression,
    "HuberLoss": partial(regression, delta=(1.0, 0.3)),
    "SmoothL1Loss": partial(regression, beta=(1.0, 0.3, 0)),
    "BCELoss": partial(binary, logits=False),
    "BCEWithLogitsLoss": partial(binary, logits=True),
    # Functions without a layer.
    "F.pad": pad,
    "F.interpolate": interpolate,
    "F.one_hot": one_hot,
}


# --- the comparison -----------------------------------------------------------------------------------------


class Call:
    """A case run with `library`, tinycnn or torch."""

    def __init__(self, library: Any, name: str, case: Case):
        self.library, self.case = library, case
        options = {key: self.tensor(value) for key, value in case.options.items()}
        self.layer = None
        if name.startswith("F."):
            self.function = partial(getattr(library.nn.functional, name[2:]), **options)
        else:
            self.layer = self.function = getattr(library.nn, name)(**options).double().train(case.training)
        self.inputs = [library.tensor(x, requires_grad=x.dtype.kind == "f") for x in case.inputs]
        self.outputs: list[Any] = []

    def tensor(self, value: Any) -> Any:
        return self.library.tensor(value) if isinstance(value, Array) else value

    def forward(self, state: dict[str, Array]) -> dict[str, Array]:
        """The outputs, and the buffers after the call, that began with `state`."""
        if self.layer is not None:
            self.layer.load_state_dict({key: self.tensor(value) for key, value in state.items()})
        outputs = self.function(*self.inputs, *map(self.tensor, self.case.constants))
        self.outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
        results = {f"output {i}": y.detach().numpy() for i, y in enumerate(self.outputs)}
        return results | {key: buffer.numpy() for key, buffer in self.named("buffers")}

    def backward(self, upstream: list[Array]) -> dict[str, Array]:
        """The gradients of inputs and parameters."""
        found = {f"input {i}": x for i, x in enumerate(self.inputs)} | dict(self.named("parameters"))
        found = {key: x for key, x in found.items() if x.requires_grad}
        if found:
            pairs = zip(self.outputs, upstream)
            sum((y * self.tensor(g)).sum() for y, g in pairs if y.requires_grad).backward()
        return {key: x.grad.numpy() for key, x in found.items()}

    def named(self, kind: str) -> Iterator[tuple[str, Any]]:
        return iter(()) if self.layer is None else getattr(self.layer, f"named_{kind}")()


def compare(torch: Any, name: str, case: Case, rng: np.random.Generator) -> tuple[float, float | None]:
    """The relative errors (forward, backward) of one case; None where nothing has a gradient."""
    ours, theirs = Call(tinycnn, name, case), Call(torch, name, case)
    state = {} if ours.layer is None else {k: random_like(v, k, rng) for k, v in ours.layer.state_dict().items()}
    forward = largest_error(ours.forward(state), theirs.forward(state))
    upstream = [np.array(rng.standard_normal(y.shape)) for y in ours.outputs]
    gradients = ours.backward(upstream), theirs.backward(upstream)
    return forward, largest_error(*gradients) if gradients[1] else None


def random_like(value: Any, name: str, rng: np.random.Generator) -> Array:
    if not value.is_floating_point():
        return value.numpy().copy()  # num_batches_tracked, which a forward pass changes in place
    return np.array(rng.uniform(0.3, 2, value.shape) if "var" in name else rng.standard_normal(value.shape))


def largest_error(ours: dict[str, Array], theirs: dict[str, Array]) -> float:
    """Infinite where names, shapes or dtypes differ."""
    if ours.keys() != theirs.keys():
        return np.inf
    return max(relative_error(ours[key], theirs[key]) for key in ours)


def relative_error(ours: Array, theirs: Array) -> float:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return np.inf
    unequal = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    if not unequal.any():
        return 0.0
    error = float(np.abs(ours - theirs)[unequal].max() / (np.abs(theirs).max() or 1))
    return error if np.isfinite(error) else np.inf


@dataclass
class Result:
    name: str
    cases: int = 0
    forward: float = 0.0
    backward: float | None = None
    failure: str = ""  # the first case that failed

    def check(self, torch: Any, cases: int, seed: int) -> None:
        for i in range(cases):
            # A generator for each case, so that case i is the same whatever else is checked.
            rng = np.random.default_rng([seed, i, zlib.crc32(self.name.encode())])
            case = CASES[self.name](Draw(rng))
            try:
                forward, backward = compare(torch, self.name, case, rng)
            except Exception as error:  # whichever library raised it, they disagree
                forward, backward = np.inf, None
                what = f"{type(error).__name__}: {error}"
            else:
                what = f"error {forward:.1e} forward" + ("" if backward is None else f", {backward:.1e} backward")
            self.cases += 1
            self.forward = max(self.forward, forward)
            if backward is not None:
                self.backward = max(self.backward or 0.0, backward)
            if max(forward, backward or 0.0) > TOLERANCE and not self.failure:
                self.failure = f"{self.name}, case {i}: {case}: {what}"

    def row(self) -> list[str]:
        backward = "–" if self.backward is None else f"{self.backward:.1e}"
        return [self.name, str(self.cases), f"{self.forward:.1e}", backward, "FAIL" if self.failure else "pass"]


def check(options: argparse.Namespace) -> int:
    torch = require("torch", "torch", extra="torch")
    torch.set_num_threads(1)  # the tensors are small
    warnings.filterwarnings("ignore", module="torch")  # of slow or deprecated ways to call it
    names = [chosen(name) for name in options.only] or list(CASES)
    results = [Result(name) for name in names]
    for result in results:
        result.check(torch, options.cases, options.seed)
    print(f"tinycnn {tinycnn.__version__} against torch {torch.__version__}, float64, seed {options.seed}")
    print()
    print(table(["layer", "cases", "forward", "backward", "verdict"], [result.row() for result in results]))
    print()
    failures = [result.failure for result in results if result.failure]
    for failure in failures:
        print(failure)
    print(
        f"{len(results) - len(failures)} of {len(results)} pass: the largest error, relative to the largest element of "
        f"torch's result, is at most {TOLERANCE:.0e}."
    )
    return 1 if failures else 0


def chosen(name: str) -> str:
    """The layer that the user means, by its name in any case."""
    by_lower = {known.lower(): known for known in CASES}
    if name.lower() not in by_lower:
        close = [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower)]
        hint = f"; did you mean {' or '.join(close)}?" if close else f"; expected one of {', '.join(CASES)}"
        raise UserError(f"--only: no layer {name!r}{hint}", status=2)
    return by_lower[name.lower()]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="check_against_torch.py", description="Compares every layer of tinycnn.nn with torch's.")
    parser.add_argument("--cases", type=positive, default=20, metavar="N", help="random cases a layer; default 20")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the random cases; default 0")
    only = "this layer, such as Conv2d or F.pad; may be repeated"
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=only)
    return run(check, parser.parse_args(arguments), parser.prog)


if __name__ == "__main__":
    sys.exit(main())
