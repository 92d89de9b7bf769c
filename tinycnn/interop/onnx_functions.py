"""What each operator of ONNX computes: the table that imported nets run by.

An entry is a function of the node and its inputs, Tensors. Of some operators later inputs are numbers that say what to
do, such as the shape of a Reshape: `STATIC` says from which input on. They come as they are, mostly as arrays.
Source: https://onnx.ai/onnx/operators
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinycnn as tc
from tinycnn.nn import functional as F
from tinycnn.ops import index, pool
from tinycnn.ops.pad import index_select
from tinycnn.ops.pad import pad as constant_pad
from tinycnn.ops.windows import Window, col2im
from tinycnn.tensor import Tensor


@dataclass
class Node:
    """One operator of a graph. Inputs that are left out are ""."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    opset: int
    training: bool = False  # whether the net is in training mode
    last_uses: list[str] = field(default_factory=list)  # values that no later node takes

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def argument(self, inputs: Sequence[Any], place: int, name: str) -> Any:
        """What is an attribute in older files, an input in newer ones; None if it is left out."""
        given = inputs[place] if len(inputs) > place else None
        return self.attributes.get(name) if given is None else given

    def refuse(self, what: str) -> ValueError:
        """An error that says what this package lacks."""
        return ValueError(f"{what} is not supported")


def _ints(x: Any) -> list[int]:
    """Ints, given as an attribute, an array or a Tensor."""
    return [int(n) for n in (x if isinstance(x, (list, tuple)) else np.asarray(_host(x)).reshape(-1))]


def _number(x: Any) -> Any:
    return np.asarray(_host(x)).reshape(-1)[0].item() if x is not None else None


def _host(x: Any) -> Any:
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else x


# --- element by element -----------------------------------------------------------------------------------------


def _fold(function: Callable) -> Callable:
    """Any number of operands, two at a time."""

    def folded(node: Node, first: Tensor, *others: Tensor) -> Tensor:
        for x in others:
            first = function(first, x)
        return first

    return folded


def _div(node: Node, a: Tensor, b: Tensor) -> Tensor:
    if a.is_floating_point():
        return a / b
    return a.abs() // b.abs() * (a.sign() * b.sign())  # of integers the part before the point


def _mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    if not node.get("fmod", 0):
        return a % b
    rest = a.abs() % b.abs()
    return rest * a.sign()


def _pow(node: Node, a: Tensor, b: Tensor) -> Tensor:
    exponent = b if b.ndim else b.item()  # of a number the gradient is simpler
    return (a**exponent).to(a.dtype)


def _clip(node: Node, x: Tensor, *bounds: Any) -> Tensor:
    low, high = (_number(node.argument((x, *bounds), place, name)) for place, name in ((1, "min"), (2, "max")))
    return x if low is None and high is None else x.clamp(low, high)


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return tc.where(x > 0, x, x * slope)


def _selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.get("alpha", 1.6732632423543772), node.get("gamma", 1.0507009873554805)
    return F.elu(x, alpha) * gamma


def _celu(node: Node, x: Tensor) -> Tensor:
    alpha = node.get("alpha", 1.0)
    return tc.where(x > 0, x, alpha * tc.expm1(x.clamp(max=0.0) / alpha))


def _cast(node: Node, x: Tensor, *like: Tensor) -> Tensor:
    return x.to(like[0].dtype if like else node.get("to"))


# --- shapes -----------------------------------------------------------------------------------------------------


def _reshape(node: Node, x: Tensor, *shape: Any) -> Tensor:
    sizes = _ints(node.argument((x, *shape), 1, "shape"))
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(*sizes)


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(*node.get("perm", range(x.ndim)[::-1]))


def _squeeze(node: Node, x: Tensor, *axes: Any) -> Tensor:
    given = node.argument((x, *axes), 1, "axes")
    return x.squeeze() if given is None else x.squeeze(tuple(_ints(given)))


def _unsqueeze(node: Node, x: Tensor, *axes: Any) -> Tensor:
    given = _ints(node.argument((x, *axes), 1, "axes"))
    for axis in sorted(axis % (x.ndim + len(given)) for axis in given):
        x = x.unsqueeze(axis)
    return x


def _slice(node: Node, x: Tensor, *bounds: Any) -> Tensor:
    names = ("starts", "ends", "axes", "steps")
    starts, ends, axes, steps = (node.argument((x, *bounds), 1 + i, name) for i, name in enumerate(names))
    parts = [slice(None)] * x.ndim
    starts, ends = _ints(starts), _ints(ends)
    axes = range(len(starts)) if axes is None else _ints(axes)
    for axis, start, end, step in zip(axes, starts, ends, itertools.repeat(1) if steps is None else _ints(steps)):
        # A negative end that is still negative after counting from the other end lies before the first element.
        parts[axis] = slice(start, None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(parts)]


def _gather(node: Node, x: Tensor, indices: Any) -> Tensor:
    axis = node.get("axis", 0) % max(x.ndim, 1)
    at = (slice(None),) * axis
    return x[(*at, _number(indices))] if indices.ndim == 0 else x[(*at, indices)]


def _gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.get("axis", 0) % x.ndim
    return x.gather(axis, tc.where(indices < 0, indices + x.shape[axis], indices))


def _gather_nd(node: Node, x: Tensor, indices: Any) -> Tensor:
    if node.get("batch_dims", 0):
        raise node.refuse("batch_dims")
    places = np.moveaxis(np.asarray(_host(indices)), -1, 0)
    return x[tuple(places)]


def _scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    if node.get("reduction", "none") not in ("none", "add"):
        raise node.refuse(f"reduction {node.get('reduction')!r}")
    at, adds = index.along(indices._array, node.get("axis", 0) % x.ndim), node.get("reduction") == "add"
    moved = index.Scatter(at, x.shape, adds)(updates)
    if adds:
        return x + moved
    return tc.where(index.Scatter(at, x.shape, False)(tc.ones_like(updates)) != 0, moved, x)


def _expand(node: Node, x: Tensor, shape: Any) -> Tensor:
    return x.expand(*np.broadcast_shapes(x.shape, tuple(_ints(shape))))


def _split(node: Node, x: Tensor, *split: Any) -> tuple[Tensor, ...]:
    axis, sizes = node.get("axis", 0), node.argument((x, *split), 1, "split")
    if sizes is not None:
        return x.split(_ints(sizes), axis)
    return x.split(-(-x.shape[axis] // len(node.outputs)), axis)


def _pad(node: Node, x: Tensor, *arguments: Any) -> Tensor:
    names = ("pads", "value", "axes")
    pads, value, axes = (node.argument((x, *arguments), 1 + i, name) for i, name in enumerate(names))
    pads = _ints(node.get("paddings") if pads is None else pads)
    dims = range(x.ndim) if axes is None else [axis % x.ndim for axis in _ints(axes)]
    pairs = [(0, 0)] * x.ndim
    for i, dim in enumerate(dims):
        pairs[dim] = pads[i], pads[i + len(dims)]
    mode = node.get("mode", "constant")
    if mode == "constant":
        return constant_pad(x, tuple(pairs), 0 if value is None else _number(value))
    for dim, (before, after) in enumerate(pairs):
        if (before, after) != (0, 0):
            position, last = np.arange(-before, x.shape[dim] + after), x.shape[dim] - 1
            places = {"edge": position.clip(0, last), "reflect": last - np.abs(last - np.abs(position)),
                      "wrap": position % (last + 1)}  # fmt: skip
            x = index_select(x, dim, places[mode])
    return x


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, node.get("blocksize"))
    N, C, H, W = x.shape
    r = node.get("blocksize")
    return x.reshape(N, r, r, C // r**2, H, W).permute(0, 3, 4, 1, 5, 2).reshape(N, C // r**2, H * r, W * r)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    N, C, H, W = x.shape
    r = node.get("blocksize")
    return x.reshape(N, C, H // r, r, W // r, r).permute(0, 3, 5, 1, 2, 4).reshape(N, C * r**2, H // r, W // r)


def _one_hot(node: Node, indices: Tensor, depth: Any, values: Any) -> Tensor:
    axis, count = node.get("axis", -1), _number(depth)
    places = np.arange(count).reshape(-1, *[1] * (-axis - 1 if axis < 0 else indices.ndim - axis))
    hits = (indices.long() % count).unsqueeze(axis) == tc.tensor(places, device=indices.device)
    off, on = np.asarray(_host(values))
    return tc.where(hits, tc.tensor(on, device=indices.device), tc.tensor(off, device=indices.device))


def _constant(node: Node) -> np.ndarray:
    ((name, value),) = node.attributes.items()
    return value if name == "value" else np.array(value, {"f": np.float32, "i": np.int64}[name.split("_")[1][0]])


def _constant_of_shape(node: Node, shape: Any) -> np.ndarray:
    return np.full(_ints(shape), np.asarray(node.get("value", np.float32(0))).reshape(-1)[0])


def _range(node: Node, *bounds: Any) -> np.ndarray:
    return np.arange(*map(_number, bounds), dtype=np.asarray(_host(bounds[0])).dtype)


# --- reductions -------------------------------------------------------------------------------------------------


def _reduce(function: Callable) -> Callable:
    """`function(x, dims, keepdim)` over axes that are an attribute or an input."""

    def reduced(node: Node, x: Tensor, *axes: Any) -> Tensor:
        given = node.argument((x, *axes), 1, "axes")
        dims = () if given is None else tuple(_ints(given))
        if not dims and node.get("noop_with_empty_axes", 0):
            return x
        return function(x, dims or tuple(range(x.ndim)), bool(node.get("keepdims", 1)))

    return reduced


def _product(x: Tensor, dims: Sequence[int], keepdim: bool) -> Tensor:
    for dim in sorted([dim % x.ndim for dim in dims], reverse=True):
        x = x.prod(dim, keepdim)
    return x


def _arg(method: str) -> Callable:
    def found(node: Node, x: Tensor) -> Tensor:
        if node.get("select_last_index", 0):
            raise node.refuse("select_last_index")
        return getattr(x, method)(node.get("axis", 0), bool(node.get("keepdims", 1)))

    return found


def _softmax(method: str) -> Callable:
    def along(node: Node, x: Tensor) -> Tensor:
        if node.opset >= 13:
            return getattr(x, method)(node.get("axis", -1))
        return getattr(_flatten(node, x), method)(1).reshape(x.shape)  # all dimensions from the axis on are one

    return along


def _top_k(node: Node, x: Tensor, k: Any) -> tuple[Tensor, ...]:
    return tuple(x.topk(_number(k), node.get("axis", -1), bool(node.get("largest", 1))))


def _cumsum(node: Node, x: Tensor, axis: Any) -> Tensor:
    dim = _number(axis)
    x = x.flip(dim) if node.get("reverse", 0) else x
    y = x.cumsum(dim) - (x if node.get("exclusive", 0) else 0)
    return y.to(x.dtype).flip(dim) if node.get("reverse", 0) else y.to(x.dtype)


# --- products, windows, normalisation ---------------------------------------------------------------------------


def _geometry(node: Node, size: Sequence[int], kernel: Sequence[int]) -> dict[str, Any]:
    """Stride, padding pairs and dilation, also those of auto_pad."""
    dims = len(size)
    stride, dilation = (tuple(node.get(name, [1] * dims)) for name in ("strides", "dilations"))
    auto, pads = node.get("auto_pad", "NOTSET"), node.get("pads", [0] * 2 * dims)
    if auto == "NOTSET":
        pairs = tuple(zip(pads[:dims], pads[dims:]))
    elif auto == "VALID":
        pairs = ((0, 0),) * dims
    else:  # as many windows as steps fit into the input; what is odd goes to the end, or to the beginning
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
        totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(size, stride, extents)]
        pairs = tuple((t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals)
    return {"stride": stride, "padding": pairs, "dilation": dilation}


def _flat(pairs: Sequence[tuple[int, int]]) -> list[int]:
    return [amount for pair in reversed(pairs) for amount in pair]  # F.pad begins with the last dimension


def _conv(node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    given = _geometry(node, x.shape[2:], w.shape[2:])
    padding: tuple[int, ...] = tuple(before for before, _ in given["padding"])
    if any(before != after for before, after in given["padding"]):
        x, padding = F.pad(x, _flat(given["padding"])), (0,) * len(padding)
    function = getattr(F, f"conv{len(padding)}d")
    return function(x, w, b, given["stride"], padding, given["dilation"], node.get("group", 1))


def _conv_transpose(node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    dims = x.ndim - 2
    given = _geometry(node, x.shape[2:], w.shape[2:])
    extra = node.get("output_padding", [0] * dims)
    stride, dilation, pairs = given["stride"], given["dilation"], given["padding"]
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x.shape[2:], stride, dilation, w.shape[2:])]
    auto = node.get("auto_pad", "NOTSET")
    if auto.startswith("SAME") or "output_shape" in node.attributes:
        sizes = node.get("output_shape", [n * s for n, s in zip(x.shape[2:], stride)])[-dims:]
        totals = [m + e - n for m, e, n in zip(full, extra, sizes)]
        pairs = [(t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]
    function = getattr(F, f"conv_transpose{dims}d")
    if all(before == after >= 0 for before, after in pairs):
        padding = tuple(before for before, _ in pairs)
        return function(x, w, b, stride, padding, tuple(extra), node.get("group", 1), dilation)
    y = function(x, w, None, stride, 0, 0, node.get("group", 1), dilation)
    y = F.pad(y, _flat([(-before, e - after) for (before, after), e in zip(pairs, extra)]))
    return y if b is None else y + b.reshape(-1, *[1] * dims)


def _pool_window(node: Node, x: Tensor) -> Window:
    kernel = tuple(node.get("kernel_shape"))
    given = _geometry(node, x.shape[2:], kernel)
    window = Window(x.shape[2:], kernel, ceil_mode=bool(node.get("ceil_mode", 0)), **given)
    if any(n < 1 for n in window.output_size):
        raise ValueError(f"kernel {kernel} spans more than the padded input {window.padded_size}")
    return window


def _max_pool(node: Node, x: Tensor) -> Any:
    window = _pool_window(node, x)
    if len(node.outputs) == 1:
        return pool.max_pool(x, window)
    if node.get("storage_order", 0):
        raise node.refuse("storage_order 1")
    values, indices = pool.max_pool_with_indices(x, window)
    channels = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    return values, indices + tc.tensor(channels * math.prod(x.shape[2:]), device=x.device)


def _average_pool(node: Node, x: Tensor) -> Tensor:
    window = _pool_window(node, x)
    if any(d != 1 for d in window.dilation):
        raise node.refuse("dilation")
    return pool.avg_pool(x, window, bool(node.get("count_include_pad", 0)))


def _col2im(node: Node, x: Tensor, image: Any, block: Any) -> Tensor:
    size, kernel = tuple(_ints(image)), tuple(_ints(block))
    return col2im(x, Window(size, kernel, **_geometry(node, size, kernel)))


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = a.t() if node.get("transA", 0) else a
    if node.get("transB", 0) and alpha == beta == 1 and (c is None or c.shape == b.shape[:1]):
        return F.linear(a, b, c)
    y = a @ (b.t() if node.get("transB", 0) else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


def _batch_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    momentum, eps = 1 - node.get("momentum", 0.9), node.get("epsilon", 1e-5)
    return F.batch_norm(x, mean, variance, scale, bias, node.training, momentum, eps)


def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    if len(node.outputs) > 1:
        raise node.refuse("more than one output")
    shape = x.shape[node.get("axis", -1) :]
    y = F.layer_norm(x, shape, eps=node.get("epsilon", 1e-5)) * scale
    return y if bias is None else y + bias


def _group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.get("num_groups")
    if len(scale) != x.shape[1]:  # of versions before 21: one for each group
        scale, bias = (p.reshape(-1, 1).expand(groups, x.shape[1] // groups).reshape(-1) for p in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


def _lrn(node: Node, x: Tensor) -> Tensor:
    size, bias = node.get("size"), node.get("bias", 1.0)
    squares = F.pad((x * x).reshape(len(x), 1, x.shape[1], -1), (0, 0, (size - 1) // 2, size // 2))
    mean = F.avg_pool2d(squares, (size, 1), 1).reshape(x.shape)
    return x / (mean * node.get("alpha", 1e-4) + bias) ** node.get("beta", 0.75)


def _dropout(node: Node, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
    ratio = node.argument((x, *arguments), 1, "ratio")
    y = F.dropout(x, 0.5 if ratio is None else _number(ratio), node.training)
    return (y, tc.ones(x.shape, dtype=tc.bool_))[: len(node.outputs)]


def _nll_loss(node: Node, x: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    options = {"ignore_index": node.get("ignore_index", -100), "reduction": node.get("reduction", "mean")}
    return F.nll_loss(x, target.long(), None if weight is None else weight.detach(), **options)


def _cross_entropy(node: Node, x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    log_p = x.log_softmax(1)
    return (_nll_loss(node, log_p, *others), log_p)[: len(node.outputs)]


# --- another resolution -----------------------------------------------------------------------------------------


def _resize(node: Node, x: Tensor, *arguments: Any) -> Tensor:
    if node.type == "Upsample" or node.opset < 11:
        scales, sizes = node.argument((x, *arguments), 1, "scales"), None
        transform, rounding = "asymmetric", "floor"
    else:
        scales, sizes = (arguments[i] if len(arguments) > i and np.size(_host(arguments[i])) else None for i in (1, 2))
        transform = node.get("coordinate_transformation_mode", "half_pixel")
        rounding = node.get("nearest_mode", "round_prefer_floor")
    for name, plain in (("antialias", 0), ("exclude_outside", 0), ("keep_aspect_ratio_policy", "stretch")):
        if node.get(name, plain) != plain:
            raise node.refuse(name)
    mode = node.get("mode", "nearest")
    dims = range(x.ndim) if node.get("axes") is None else [axis % x.ndim for axis in node.get("axes")]
    given = _ints(sizes) if sizes is not None else np.asarray(_host(scales), np.float32).tolist()
    for dim, number in zip(dims, given):
        size = x.shape[dim]
        out = number if sizes is not None else math.floor(size * number)
        scale = out / size if sizes is not None else number
        if (out, scale) != (size, 1):
            x = _resampled(x, dim, out, _positions(node, transform, size, out, scale), mode, rounding, node)
    return x


def _positions(node: Node, transform: str, size: int, out: int, scale: float) -> np.ndarray:
    """Where each output lies among the inputs."""
    i = np.arange(out)
    if transform == "asymmetric":
        return i / scale
    if transform == "align_corners":
        return i * ((size - 1) / (out - 1)) if out > 1 else i * 0.0
    if transform == "half_pixel_symmetric":
        return size / 2 * (1 - out / (size * scale)) + (i + 0.5) / scale - 0.5
    if transform == "pytorch_half_pixel" and out == 1:
        return i * 0.0
    if transform in ("half_pixel", "pytorch_half_pixel"):
        return (i + 0.5) / scale - 0.5
    raise node.refuse(f"coordinate_transformation_mode {transform!r}")


_ROUNDINGS: dict[str, Callable] = {
    "floor": np.floor, "ceil": np.ceil, "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
}  # fmt: skip


def _resampled(x: Tensor, dim: int, out: int, at: np.ndarray, mode: str, rounding: str, node: Node) -> Tensor:
    """Along one dimension, at the positions `at`: the nearest element, or a weighted sum of 2 or 4 around."""
    last = x.shape[dim] - 1
    if mode == "nearest":
        return index_select(x, dim, _ROUNDINGS[rounding](at).clip(0, last).astype(np.int64))
    at = at.clip(0, last) if mode == "linear" else at
    left = np.floor(at)
    t = at - left
    if mode == "linear":
        weights = [1 - t, t]
    elif mode == "cubic":
        a = node.get("cubic_coeff_a", -0.75)
        weights = [
            ((a + 2) * d - (a + 3)) * d * d + 1 if near else ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
            for d, near in ((t + 1, False), (t, True), (1 - t, True), (2 - t, False))
        ]
    else:
        raise node.refuse(f"mode {mode!r}")
    shape = [out if i == dim else 1 for i in range(x.ndim)]
    first = 1 - len(weights) // 2
    terms = [
        index_select(x, dim, (left + first + k).clip(0, last).astype(np.int64))
        * tc.tensor(weight.reshape(shape).astype(x.dtype), device=x.device)
        for k, weight in enumerate(weights)
    ]
    return sum(terms[1:], terms[0])


# --- the table --------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable] = {
    # One input.
    "Identity": lambda node, x: x, "Neg": lambda node, x: -x, "Not": lambda node, x: ~x, "Abs": lambda node, x: x.abs(),
    "Relu": lambda node, x: x.relu(), "Sigmoid": lambda node, x: x.sigmoid(), "Tanh": lambda node, x: x.tanh(),
    "Exp": lambda node, x: x.exp(), "Log": lambda node, x: x.log(), "Sqrt": lambda node, x: x.sqrt(),
    "Sin": lambda node, x: x.sin(), "Cos": lambda node, x: x.cos(), "Erf": lambda node, x: x.erf(),
    "Tan": lambda node, x: x.tan(), "Asin": lambda node, x: x.asin(), "Acos": lambda node, x: x.acos(),
    "Atan": lambda node, x: x.atan(), "Sinh": lambda node, x: x.sinh(), "Cosh": lambda node, x: x.cosh(),
    "Asinh": lambda node, x: x.asinh(), "Acosh": lambda node, x: x.acosh(), "Atanh": lambda node, x: x.atanh(),
    "Floor": lambda node, x: x.floor(), "Ceil": lambda node, x: x.ceil(), "Round": lambda node, x: x.round(),
    "Sign": lambda node, x: x.sign(), "Reciprocal": lambda node, x: 1 / x, "BitwiseNot": lambda node, x: ~x,
    "IsNaN": lambda node, x: x.isnan(), "IsInf": lambda node, x: x.isinf(),
    "Softplus": lambda node, x: F.softplus(x, threshold=math.inf), "Softsign": lambda node, x: x / (1 + x.abs()),
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)),
    "Elu": lambda node, x: F.elu(x, node.get("alpha", 1.0)), "Selu": _selu, "Celu": _celu,
    "HardSigmoid": lambda node, x: (x * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0.0, 1.0),
    "HardSwish": lambda node, x: F.hardswish(x), "Gelu": lambda node, x: F.gelu(x, node.get("approximate", "none")),
    "Mish": lambda node, x: x * F.softplus(x).tanh(),
    "ThresholdedRelu": lambda node, x: tc.where(x > node.get("alpha", 1.0), x, 0.0),
    "Clip": _clip, "Cast": _cast, "CastLike": _cast, "Dropout": _dropout,
    # Two inputs or more.
    "Add": lambda node, a, b: a + b, "Sub": lambda node, a, b: a - b, "Mul": lambda node, a, b: a * b, "Div": _div,
    "Mod": _mod, "Pow": _pow, "Max": _fold(tc.maximum), "Min": _fold(tc.minimum), "Sum": _fold(tc.add),
    "Mean": lambda node, *xs: _fold(tc.add)(node, *xs) / len(xs), "PRelu": _prelu,
    "Equal": lambda node, a, b: a == b, "Less": lambda node, a, b: a < b, "Greater": lambda node, a, b: a > b,
    "LessOrEqual": lambda node, a, b: a <= b, "GreaterOrEqual": lambda node, a, b: a >= b,
    "And": lambda node, a, b: a & b, "Or": lambda node, a, b: a | b, "Xor": lambda node, a, b: a ^ b,
    "BitwiseAnd": lambda node, a, b: a & b, "BitwiseOr": lambda node, a, b: a | b,
    "BitwiseXor": lambda node, a, b: a ^ b, "Where": lambda node, mask, a, b: tc.where(mask, a, b),
    # Shapes.
    "Constant": _constant, "ConstantOfShape": _constant_of_shape, "Reshape": _reshape, "Flatten": _flatten,
    "Shape": lambda node, x: np.array(x.shape[node.get("start", 0) : node.get("end")], np.int64),
    "Size": lambda node, x: np.array(x.numel(), np.int64), "Transpose": _transpose, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Concat": lambda node, *xs: tc.cat(xs, node.get("axis")), "Split": _split, "Slice": _slice,
    "Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements, "Expand": _expand,
    "Tile": lambda node, x, repeats: x.repeat(*_ints(repeats)), "Pad": _pad, "OneHot": _one_hot,
    "Range": _range,
    "Trilu": lambda node, x, *k: (x.triu if node.get("upper", 1) else x.tril)(_number(k[0]) if k else 0),
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth, "Resize": _resize, "Upsample": _resize,
    # Reductions.
    "ReduceSum": _reduce(tc.sum), "ReduceMean": _reduce(tc.mean), "ReduceMax": _reduce(tc.amax),
    "ReduceMin": _reduce(tc.amin), "ReduceL1": _reduce(lambda x, *how: tc.norm(x, 1, *how)),
    "ReduceL2": _reduce(lambda x, *how: tc.norm(x, 2, *how)), "ReduceLogSumExp": _reduce(tc.logsumexp),
    "ReduceProd": _reduce(_product),
    "ReduceSumSquare": _reduce(lambda x, *how: tc.sum(x * x, *how)), "ArgMax": _arg("argmax"), "ArgMin": _arg("argmin"),
    "Softmax": _softmax("softmax"), "LogSoftmax": _softmax("log_softmax"), "TopK": _top_k, "CumSum": _cumsum,
    # Products, windows, normalisation.
    "MatMul": lambda node, a, b: a @ b, "Gemm": _gemm, "Conv": _conv, "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool, "AveragePool": _average_pool, "Col2Im": _col2im,
    "GlobalAveragePool": lambda node, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda node, x: x.amax(tuple(range(2, x.ndim)), keepdim=True),
    "BatchNormalization": _batch_norm, "InstanceNormalization": _instance_norm, "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm, "LRN": _lrn,
    "NegativeLogLikelihoodLoss": _nll_loss, "SoftmaxCrossEntropyLoss": _cross_entropy,
}  # fmt: skip

# From which input on the inputs are numbers that say what to do.
_STATIC_FROM_1 = (
    "Reshape", "Squeeze", "Unsqueeze", "Slice", "Gather", "GatherND", "Expand", "Split", "Pad", "OneHot", "Tile",
    "Trilu", "Resize", "Upsample", "Clip", "TopK", "CumSum", "Col2Im", "Dropout",
    *[name for name in FUNCTIONS if name.startswith("Reduce")],
)  # fmt: skip
STATIC = {"ConstantOfShape": 0, "Range": 0, **dict.fromkeys(_STATIC_FROM_1, 1)}


def computed(node: Node, inputs: Sequence[Any]) -> list[Any]:
    """The results of a node. Of arrays they are arrays, which stay on the host; else Tensors."""
    static = STATIC.get(node.type, len(inputs))
    device = next((x.device for x in inputs if isinstance(x, Tensor)), None)
    given = [
        tc.tensor(x, device=device) if isinstance(x, np.ndarray) and i < static else x for i, x in enumerate(inputs)
    ]
    results = FUNCTIONS[node.type](node, *given)
    results = [*results] if isinstance(results, (tuple, list)) else [results]
    return [y.numpy() if isinstance(y, Tensor) and device is None else y for y in results]
