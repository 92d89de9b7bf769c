"""How each operator and function is written in ONNX: the tables and rows that recording uses.

An operator's entry is the type of a node with the same operands, or a row: a function of the run, the result, the
operator and its inputs. `run.op` writes a node and returns the name of its result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import Function, is_view
from tinycnn.interop.onnx_record import Run, Sizes, Unexportable, row_of
from tinycnn.nn import activation, linear, loss, norm, piecewise, resize
from tinycnn.nn import conv as nn_conv
from tinycnn.ops import (
    adaptive_pool,
    arithmetic,
    conv,
    copy,
    functions,
    index,
    matmul,
    pad,
    pool,
    rearrange,
    reduce,
    select,
    shape,
    sort,
    unary,
    windows,
)  # fmt: skip
from tinycnn.tensor import Tensor

_FAR = 2**62  # as a bound of a slice: beyond every end

# --- operators ------------------------------------------------------------------------------------------------


@row_of(Function.__call__)
def _operator(run: Run, y: Tensor, self: Function, inputs: tuple) -> Any:
    if self.returns_view and is_view(y._array, inputs[0]._array):
        run.note_view(y, inputs[0], self)
    row = _OPERATORS.get(type(self))
    if row is None:
        raise Unexportable(f"the operator {self.name} cannot be exported")
    return run.op(row, *inputs) if isinstance(row, str) else row(run, y, self, *inputs)


def _binary(type: str) -> Callable:
    """Two operands of the result's dtype: ONNX promotes nothing."""
    return lambda run, y, f, a, b: run.op(type, run.cast(a, y.dtype), run.cast(b, y.dtype))


def _reduction(type: str) -> Callable:
    return lambda run, y, f, x: run.op(type, run.cast(x, y.dtype), list(f.dims), keepdims=int(f.keepdim))


def _whole_division(run: Run, y: Tensor, f: Function, a: Any, b: Any) -> Any:
    if y.dtype.kind not in FLOATING:
        raise Unexportable("a whole division of integers cannot be exported")
    a, b = run.cast(a, y.dtype), run.cast(b, y.dtype)
    quotient = run.op("Floor", run.op("Div", a, b))
    return quotient if isinstance(f, arithmetic.FloorDivide) else run.op("Sub", a, run.op("Mul", quotient, b))


def _softplus(run: Run, y: Tensor, f: Any, x: Tensor) -> Any:
    beta = run.cast(f.beta, y.dtype)
    z = x if f.beta == 1 else run.op("Mul", x, beta)
    soft = run.op("Softplus", z) if f.beta == 1 else run.op("Div", run.op("Softplus", z), beta)
    if f.threshold >= 20:  # both agree to the last digit
        return soft
    return run.op("Where", run.op("Greater", z, run.cast(f.threshold, y.dtype)), x, soft)


_LOGARITHMS = {"log2": math.log(2), "log10": math.log(10)}


def _one_variable(run: Run, y: Tensor, f: Any, x: Tensor) -> Any:
    if f.name == "exp2":
        return run.op("Pow", run.cast(2, y.dtype), x)
    if f.name in _LOGARITHMS:
        return run.op("Div", run.op("Log", x), run.cast(_LOGARITHMS[f.name], y.dtype))
    return run.op(f.name.capitalize(), x)


def _clamp(run: Run, y: Tensor, f: Function, x: Tensor, low: Any, high: Any) -> Any:
    least, most = (None if bound is None else run.cast(bound, y.dtype) for bound in (low, high))
    if all(getattr(bound, "ndim", 0) == 0 for bound in (low, high)):
        return run.op("Clip", x, least, most)
    z = x if low is None else run.op("Max", x, least)
    return z if high is None else run.op("Min", z, most)


def _reshape(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    if y.ndim == 2 < x.ndim and y.shape[0] == x.shape[0]:
        return run.op("Flatten", x, axis=1)
    return run.op("Reshape", x, Sizes(f.shape))


def _flip(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    count = len(f.dims)
    return run.op("Slice", x, [-1] * count, [-_FAR] * count, list(f.dims), [-1] * count)


def _getitem(run: Run, y: Tensor, f: Any, x: Tensor) -> Any:
    """An array, then one Slice for all slices and ints, then the dimensions that ints remove and None adds."""
    index = list(f.index) if isinstance(f.index, tuple) else [f.index]
    at = next((i for i, part in enumerate(index) if part is ...), len(index))
    index[at : at + 1] = [slice(None)] * (x.ndim - sum(part is not None and part is not ... for part in index))
    parts = [part for part in index if part is not None]  # one for each dimension
    arrays = [dim for dim, part in enumerate(parts) if hasattr(part, "dtype")]
    value: Any = run.name_of(x)
    if arrays:
        dim, places = arrays[0], parts[arrays[0]]
        if len(arrays) > 1 or places.dtype == bool:
            raise Unexportable("an index of booleans or of several arrays cannot be exported")
        value = run.op("Gather", value, places, axis=dim)
    bounds = [(d, *_bounds(part)) for d, part in enumerate(parts) if d not in arrays and part != slice(None)]
    if bounds:
        dims, starts, stops, steps = map(list, zip(*bounds))
        value = run.op("Slice", value, starts, stops, dims, steps)
    if taken := [d for d, part in enumerate(parts) if isinstance(part, int)]:
        value = run.op("Squeeze", value, taken)
    kept = [part for part in index if not isinstance(part, int)]
    added = [d for d, part in enumerate(kept) if part is None]
    return run.op("Unsqueeze", value, added) if added else value


def _bounds(part: int | slice) -> tuple[int, int, int]:
    """Start, stop and step of a Slice."""
    if isinstance(part, int):
        return part, part + 1 or _FAR, 1
    step = part.step or 1
    start = (0 if step > 0 else _FAR) if part.start is None else part.start
    return start, (_FAR if step > 0 else -_FAR) if part.stop is None else part.stop, step


def _sliding_windows(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    places = np.arange(y.shape[f.dim])[:, None] * f.step + np.arange(f.size)
    axes = [axis for axis in range(y.ndim) if axis != f.dim + 1]
    return run.op("Transpose", run.op("Gather", x, places, axis=f.dim), perm=[*axes, f.dim + 1])


def _var(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    _, square = _deviation(run, x, f.dims)
    variance = run.op("ReduceMean", square, list(f.dims), keepdims=int(f.keepdim))
    count = math.prod([x.shape[d] for d in f.dims])
    return run.op("Mul", variance, run.cast(f.factor * count, y.dtype)) if f.correction else variance


def _deviation(run: Run, x: Tensor, dims: Sequence[int]) -> tuple[str, str]:
    """x − mean, and its square."""
    centred = run.op("Sub", x, run.op("ReduceMean", x, list(dims)))
    return centred, run.op("Mul", centred, centred)


def _standardize(run: Run, y: Tensor, f: Any, x: Tensor, weight: Any = None, bias: Any = None) -> Any:
    if f.dims == tuple(range(2, x.ndim)):
        return run.op("InstanceNormalization", x, *_affine(x, None, None, x.shape[1]), epsilon=float(f.eps))
    centred, square = _deviation(run, x, f.dims)
    variance = run.op("Add", run.op("ReduceMean", square, list(f.dims)), run.cast(f.eps, y.dtype))
    standard: Any = run.op("Div", centred, run.op("Sqrt", variance))
    kept = [1 if d in f.dims else n for d, n in enumerate(x.shape)]
    for operator, given in (("Mul", weight), ("Add", bias)):
        if given is not None:
            standard = run.op(operator, standard, run.op("Reshape", given, kept))
    return standard


def _scale_shift(run: Run, y: Tensor, f: Any, x: Any, weight: Any, bias: Any) -> str:
    if weight is not None:
        x = run.op("Mul", x, run.cast(weight, y.dtype))
    return x if bias is None else run.op("Add", x, run.cast(bias, y.dtype))


def _affine(x: Tensor, weight: Any, bias: Any, size: Any) -> list[Any]:
    """Weight and bias, or what takes their place where there are none."""
    return [np.full(size, n, x.dtype) if given is None else given for given, n in ((weight, 1), (bias, 0))]


def _flat(pads: Sequence[tuple[int, int]]) -> list[int]:
    """All amounts before, then all amounts after."""
    return [before for before, _ in pads] + [after for _, after in pads]


def _window(window: windows.Window, *left_out: str) -> dict[str, Any]:
    """The attributes of a node that slides a window."""
    attributes = {
        "kernel_shape": list(window.kernel_size), "strides": list(window.stride), "pads": _flat(window.padding),
        "dilations": list(window.dilation),
    }  # fmt: skip
    return {name: value for name, value in attributes.items() if name not in left_out}


def _with_ceil(window: windows.Window) -> list[int]:
    """Padding with which the windows end where these do, also those that ceil_mode adds."""
    before = [start for start, _ in window.padding]
    geometry = zip(window.output_size, window.stride, window.extent, window.input_size, before)
    return before + [max((o - 1) * s + extent - n - start, 0) for o, s, extent, n, start in geometry]


def _spatial(pads: list[int]) -> list[int]:
    """The padding of spatial dimensions for all dimensions."""
    d = len(pads) // 2
    return [0, 0, *pads[:d], 0, 0, *pads[d:]]


def _im2col(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    """Each spatial dimension becomes two, by a Gather: the kernel's positions and the output's."""
    window, d = f.window, len(f.window.kernel_size)
    value = run.op("Pad", x, _spatial(_flat(window.padding)), run.cast(0, y.dtype))
    for i, (kernel, stride, dilation) in enumerate(zip(window.kernel_size, window.stride, window.dilation)):
        places = np.arange(kernel)[:, None] * dilation + np.arange(window.output_size[i]) * stride
        value = run.op("Gather", value, places, axis=2 + 2 * i)
    return run.op("Transpose", value, perm=[0, 1, *range(2, 2 + 2 * d, 2), *range(3, 3 + 2 * d, 2)])


def _max_pool(run: Run, y: Tensor, f: Any, x: Any) -> str:
    attributes = {**_window(f.window), "pads": _with_ceil(f.window)}
    if any(p >= k for p, k in zip(attributes["pads"], 2 * f.window.kernel_size)) and y.dtype.kind in FLOATING:
        x = run.op("Pad", x, _spatial(attributes.pop("pads")), run.cast(-math.inf, y.dtype))  # too much for a MaxPool
    return run.op("MaxPool", x, **attributes)


def _window_sum(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    padded = run.op("Pad", x, _spatial(_with_ceil(f.window)), run.cast(0, y.dtype))
    means = run.op("AveragePool", padded, **_window(f.window, "pads", "dilations"))
    return run.op("Mul", means, run.cast(math.prod(f.window.kernel_size), y.dtype))


def _unpool(run: Run, y: Tensor, f: Any, x: Tensor, indices: Tensor) -> str:
    zeros = run.op("Expand", run.cast(0, y.dtype), Sizes(y.shape))
    return run.op("ScatterElements", zeros, indices, x, axis=2)


def _cross_entropy(run: Run, y: Tensor, f: Any, x: Tensor, target: Tensor, weight: Tensor | None) -> str:
    log_p = run.op("LogSoftmax", x, axis=f.class_dim)
    return _nll(run, x, log_p, target, weight, f.ignore_index, f.reduction, f.smoothing)


def _nll(
    run: Run, x: Tensor, log_p: Any, target: Tensor, weight: Any, ignored: int, reduction: str, smoothing: float
) -> str:
    """−(1 − s) w[t] log p[t] − s/C Σ_j w[j] log p[j], and 0 where the target is ignored."""
    dim, classes = (0, x.shape[0]) if x.ndim == 1 else (1, x.shape[1])
    zero = run.cast(0, x.dtype)
    is_ignored = run.op("Equal", target, run.cast(ignored, target.dtype))
    places = run.op("Where", is_ignored, run.cast(0, target.dtype), target)
    picked = run.op("GatherElements", log_p, run.op("Unsqueeze", places, [dim]), axis=dim)
    weights = run.op("Gather", _affine(x, weight, None, classes)[0], places)
    weights = run.op("Where", is_ignored, zero, weights)
    each = run.op("Neg", run.op("Mul", run.op("Squeeze", picked, [dim]), weights))
    if smoothing:
        per_class = log_p
        if weight is not None:
            per_class = run.op("Mul", log_p, run.op("Reshape", weight, [-1, *[1] * (x.ndim - dim - 1)]))
        spread = run.op("Where", is_ignored, zero, run.op("ReduceSum", per_class, [dim], keepdims=0))
        near = run.op("Mul", each, run.cast(1 - smoothing, x.dtype))
        each = run.op("Sub", near, run.op("Mul", spread, run.cast(smoothing / classes, x.dtype)))
    if reduction == "none":
        return each
    total = run.op("ReduceSum", each, keepdims=0)
    return total if reduction == "sum" else run.op("Div", total, run.op("ReduceSum", weights, keepdims=0))


def _binary_cross_entropy(run: Run, y: Tensor, f: Function, p: Tensor, t: Tensor) -> str:
    one, least = run.cast(1, y.dtype), run.cast(-100, y.dtype)
    log_p, log_q = (run.op("Max", run.op("Log", x), least) for x in (p, run.op("Sub", one, p)))
    return run.op("Neg", run.op("Add", run.op("Mul", t, log_p), run.op("Mul", run.op("Sub", one, t), log_q)))


_OPERATORS: dict[type[Function], str | Callable] = {
    unary.Exp: "Exp", unary.Log: "Log", unary.Sqrt: "Sqrt", unary.Sin: "Sin", unary.Cos: "Cos", unary.Tanh: "Tanh",
    unary.Sigmoid: "Sigmoid", unary.Relu: "Relu", unary.Erf: "Erf", unary.Abs: "Abs", arithmetic.Neg: "Neg",
    matmul.MatMul: "MatMul",
    unary.Expm1: lambda run, y, f, x: run.op("Sub", run.op("Exp", x), run.cast(1, y.dtype)),
    unary.Log1p: lambda run, y, f, x: run.op("Log", run.op("Add", x, run.cast(1, y.dtype))),
    unary.Rsqrt: lambda run, y, f, x: run.op("Reciprocal", run.op("Sqrt", x)),
    unary.Softplus: _softplus, functions.OneVariable: _one_variable,
    piecewise.Clip: lambda run, y, f, x: run.op("Clip", x, run.cast(f.low, y.dtype), run.cast(f.high, y.dtype)),
    # Two operands.
    arithmetic.Add: _binary("Add"), arithmetic.Sub: _binary("Sub"), arithmetic.Mul: _binary("Mul"),
    arithmetic.Div: _binary("Div"), arithmetic.Pow: _binary("Pow"), select.Maximum: _binary("Max"),
    select.Minimum: _binary("Min"), arithmetic.FloorDivide: _whole_division, arithmetic.Remainder: _whole_division,
    functions.Fmod: lambda run, y, f, a, b: run.op("Mod", run.cast(a, y.dtype), run.cast(b, y.dtype), fmod=1),
    select.Clamp: _clamp,
    select.Where: lambda run, y, f, mask, a, b: run.op("Where", mask, run.cast(a, y.dtype), run.cast(b, y.dtype)),
    # Copies and shapes.
    copy.Clone: lambda run, y, f, x: run.name_of(x),
    shape.Contiguous: lambda run, y, f, x: run.name_of(x),
    copy.ToDevice: lambda run, y, f, x: run.name_of(x),
    copy.Cast: lambda run, y, f, x: run.op("Cast", x, to=y.dtype),
    shape.Reshape: _reshape,
    shape.Permute: lambda run, y, f, x: run.op("Transpose", x, perm=list(f.dims)),
    shape.Expand: lambda run, y, f, x: run.op("Expand", x, Sizes(f.shape)),
    shape.Flip: _flip,
    shape.Cat: lambda run, y, f, *tensors: run.op("Concat", *tensors, axis=f.dim),
    pad.Pad: lambda run, y, f, x: run.op("Pad", x, _flat(f.pads), run.cast(f.value, y.dtype)),
    pad.IndexSelect: lambda run, y, f, x: run.op("Gather", x, f.index, axis=f.dim),
    index.Gather: lambda run, y, f, x, places: run.op("GatherElements", x, places, axis=f.dim),
    index.GetItem: _getitem, rearrange.SlidingWindows: _sliding_windows,
    # Reductions.
    reduce.Sum: _reduction("ReduceSum"), reduce.Mean: _reduction("ReduceMean"),
    reduce.LogSumExp: _reduction("ReduceLogSumExp"), reduce.Var: _var,
    reduce.Extremum: lambda run, y, f, x: _reduction(f"Reduce{f.method.capitalize()}")(run, y, f, x),
    reduce.Softmax: lambda run, y, f, x: run.op("Softmax", x, axis=f.dim),
    reduce.LogSoftmax: lambda run, y, f, x: run.op("LogSoftmax", x, axis=f.dim),
    sort.CumSum: lambda run, y, f, x: run.op("CumSum", run.cast(x, y.dtype), np.array(f.dim)),
    norm.Standardize: _standardize,
    norm.Affine: _scale_shift,
    # Products and windows.
    matmul.Linear: lambda run, y, f, *operands: run.op("Gemm", *operands, transB=1),
    conv.Conv: lambda run, y, f, *operands: run.op("Conv", *operands, group=f.spec.groups, **_window(f.spec)),
    windows.Im2col: _im2col, pool.MaxPool: _max_pool, pool.WindowSum: _window_sum, pool.Unpool: _unpool,
    # Losses.
    loss.CrossEntropy: _cross_entropy, loss.BinaryCrossEntropy: _binary_cross_entropy,
}  # fmt: skip

# --- functions that are a node of their own, and those that are no operators ------------------------------------

_COMPARISONS = {
    "eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip


@row_of(arithmetic.compare)
def _compare(run: Run, y: Tensor, name: str, a: Any, b: Any, **_: Any) -> str:
    dtype = np.result_type(*[x if isinstance(x, (int, float)) else x.dtype for x in (a, b)])
    result = run.op(_COMPARISONS[name], run.cast(a, dtype), run.cast(b, dtype))
    return run.op("Not", result) if name == "ne" else result


@row_of(arithmetic._logical)
def _logical(run: Run, y: Tensor, name: str, given: tuple, **_: Any) -> str:
    word = name.removeprefix("bitwise_").capitalize()
    return run.op(word if y.dtype == bool else f"Bitwise{word}", *[run.cast(x, y.dtype) for x in given])


row_of(arithmetic.isnan)(lambda run, y, input, **_: run.op("IsNaN", input))
row_of(arithmetic.isinf)(lambda run, y, input, **_: run.op("IsInf", input))
row_of(arithmetic.isfinite)(
    lambda run, y, input, **_: run.op("Not", run.op("Or", run.op("IsNaN", input), run.op("IsInf", input)))
)
row_of(functions.trunc)(
    lambda run, y, input, **_: run.op("Mul", run.op("Sign", input), run.op("Floor", run.op("Abs", input)))
)
row_of(unary.sign)(lambda run, y, input, **_: run.op("Sign", input))
row_of(unary._rounded)(lambda run, y, function, x, **_: run.op(function.capitalize(), x))
row_of(activation.elu)(lambda run, y, input, alpha, **_: run.op("Elu", input, alpha=float(alpha)))
row_of(activation.hardswish)(lambda run, y, input, **_: run.op("HardSwish", input))
row_of(activation.leaky_relu)(
    lambda run, y, input, negative_slope, **_: run.op("LeakyRelu", input, alpha=float(negative_slope))
)


@row_of(reduce._arg)
def _arg(run: Run, y: Tensor, method: str, x: Tensor, dim: int | None, keepdim: bool, **_: Any) -> str:
    word = {"argmax": "ArgMax", "argmin": "ArgMin"}[method]
    if dim is not None:
        return run.op(word, x, axis=dim % max(x.ndim, 1), keepdims=int(keepdim))
    return run.op("Reshape", run.op(word, run.op("Reshape", x, [-1]), axis=0, keepdims=0), Sizes(y.shape))


@row_of(reduce._truth)
def _truth(run: Run, y: Tensor, method: str, x: Tensor, dim: Any, keepdim: bool, **_: Any) -> str:
    dims = shape.normalize_dims(dim, x, method)
    numbers = run.op("Cast", run.cast(x, np.dtype(bool)), to=np.dtype("int32"))
    reduced = run.op("ReduceMin" if method == "all" else "ReduceMax", numbers, list(dims), keepdims=int(keepdim))
    return run.op("Cast", reduced, to=y.dtype)


@row_of(sort._argsort)
def _argsort(run: Run, y: Tensor, input: Tensor, dim: int, descending: bool, **_: Any) -> str:
    options = {"axis": dim % input.ndim, "largest": int(descending)}
    return run.op("TopK", input, [input.shape[dim]], outputs=2, **options)[1]


@row_of(linear.one_hot, when=lambda given: given["num_classes"] > 0)
def _one_hot(run: Run, y: Tensor, target: Tensor, num_classes: int, **_: Any) -> str:
    return run.op("OneHot", target, np.array(num_classes), [0, 1])


@row_of(nn_conv._transposed)
def _conv_transpose(
    run: Run, y: Tensor, dims: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, stride: Any,
    padding: Any, output_padding: Any, dilation: Any, **_: Any,
) -> str:  # fmt: skip
    stride, padding, output_padding, dilation = (
        [*given] if isinstance(given, (tuple, list)) else [given] * dims
        for given in (stride, padding, output_padding, dilation)
    )
    attributes = {"strides": stride, "pads": padding * 2, "output_padding": output_padding, "dilations": dilation}
    batched = input.ndim == dims + 2
    x = input if batched else run.op("Unsqueeze", input, [0])
    value = run.op("ConvTranspose", x, weight, bias, group=groups, kernel_shape=[*weight.shape[2:]], **attributes)
    return value if batched else run.op("Squeeze", value, [0])


@row_of(windows.col2im)
def _col2im(run: Run, y: Tensor, columns: Tensor, window: windows.Window, **_: Any) -> str:
    sizes = list(window.input_size), list(window.kernel_size)
    return run.op("Col2Im", columns, *sizes, **_window(window, "kernel_shape"))


@row_of(pool.max_pool_with_indices)
def _max_pool_with_indices(run: Run, y: Any, x: Tensor, window: windows.Window, **_: Any) -> tuple:
    return _values_and_indices(run, x, {**_window(window), "pads": _with_ceil(window)})


def _values_and_indices(run: Run, x: Tensor, attributes: dict[str, Any]) -> tuple:
    """Those of a MaxPool, which counts places in the whole batch; here they are counted in each channel anew."""
    values, indices = run.op("MaxPool", x, outputs=2, **attributes)
    return values, run.op("Mod", indices, np.array(math.prod(x.shape[2:])))


@row_of(pool.avg_pool, when=lambda given: given["divisor_override"] is None and not given["window"].ceil_mode)
def _avg_pool(run: Run, y: Tensor, x: Tensor, window: windows.Window, count_include_pad: bool, **_: Any) -> str:
    return run.op("AveragePool", x, count_include_pad=int(count_include_pad), **_window(window, "dilations"))


def _divides(given: dict) -> bool:
    return all(size % count == 0 for size, count in zip(given["x"].shape[2:], given["output_size"]))


def _bins(x: Tensor, output_size: Sequence[int]) -> dict[str, Any]:
    sizes = [size // count for size, count in zip(x.shape[2:], output_size)]
    return {"kernel_shape": sizes, "strides": sizes}


@row_of(adaptive_pool.adaptive_avg_pool, when=_divides)
def _adaptive_avg_pool(run: Run, y: Tensor, x: Tensor, output_size: Sequence[int], **_: Any) -> str:
    if math.prod(output_size) == 1:
        return run.op("GlobalAveragePool", x)
    return run.op("AveragePool", x, **_bins(x, output_size))


@row_of(adaptive_pool.adaptive_max_pool, when=_divides)
def _adaptive_max_pool(run: Run, y: Any, x: Tensor, output_size: Sequence[int], **_: Any) -> tuple:
    return _values_and_indices(run, x, _bins(x, output_size))


@row_of(resize.pad, when=lambda given: given["mode"] in ("reflect", "replicate"))
def _pad_edges(run: Run, y: Tensor, input: Tensor, pad: Sequence[int], mode: str, **_: Any) -> str:
    pads = [(0, 0)] * (input.ndim - len(pad) // 2) + [*zip(pad[-2::-2], pad[::-2])]
    return run.op("Pad", input, _flat(pads), mode="edge" if mode == "replicate" else mode)


def _resizes(given: dict) -> bool:
    """Whether a Resize gives exactly these numbers: it does not round scales as torch does."""
    x, scale = given["input"], given["scale_factor"]
    if not isinstance(x, Tensor) or x.dtype != np.float32 or x.ndim != 4:
        return False
    size = x.shape[2:]
    out, _ = resize._output_size(size, given["size"], scale)
    if given["mode"] == "nearest":
        return all(o % n == 0 for o, n in zip(out, size))
    scales = scale if isinstance(scale, (tuple, list)) else [scale] * 2
    return scale is None or all(n * s == o for n, s, o in zip(size, scales, out))


@row_of(resize.interpolate, when=_resizes)
def _interpolate(run: Run, y: Tensor, input: Tensor, mode: str, align_corners: Any, **_: Any) -> str:
    if mode == "nearest":
        how: dict[str, Any] = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    else:
        how = {"coordinate_transformation_mode": "align_corners" if align_corners else "half_pixel"}
    return run.op("Resize", input, None, None, Sizes(y.shape), mode=mode.removeprefix("bi"), **how)


@row_of(resize.pixel_shuffle, when=lambda given: getattr(given["input"], "ndim", 0) == 4)
def _pixel_shuffle(run: Run, y: Tensor, input: Tensor, upscale_factor: int, **_: Any) -> str:
    return run.op("DepthToSpace", input, blocksize=int(upscale_factor), mode="CRD")


@row_of(norm.batch_norm, when=lambda given: given["training"] is False)
def _batch_norm(
    run: Run, y: Tensor, input: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any, eps: float,
    **_: Any,
) -> str:  # fmt: skip
    affine = _affine(input, weight, bias, input.shape[1])
    return run.op("BatchNormalization", input, *affine, running_mean, running_var, epsilon=float(eps))


@row_of(norm.layer_norm)
def _layer_norm(
    run: Run, y: Tensor, input: Tensor, normalized_shape: Any, weight: Any, bias: Any, eps: float, **_: Any
) -> str:
    dims = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
    affine = _affine(input, weight, bias, input.shape[-dims:])
    return run.op("LayerNormalization", input, *affine, axis=-dims, epsilon=float(eps))


@row_of(norm.instance_norm, when=lambda given: given["use_input_stats"] is True)
def _instance_norm(run: Run, y: Tensor, input: Tensor, weight: Any, bias: Any, eps: float, **_: Any) -> str:
    affine = _affine(input, weight, bias, input.shape[1])
    return run.op("InstanceNormalization", input, *affine, epsilon=float(eps))


@row_of(loss.nll_loss)
def _nll_loss(
    run: Run, y: Tensor, input: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, **_: Any
) -> str:
    return _nll(run, input, input, target, weight, ignore_index, reduction, 0.0)
