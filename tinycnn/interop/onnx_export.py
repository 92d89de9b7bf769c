"""A net as an ONNX file: the operators of one forward pass, recorded while it runs.

The interpreter's profile hook tells of every call in the package. A call of a function or operator that has a row in
this file is recorded as the nodes that the row writes, and what happens inside is not looked at: `F.leaky_relu` is one
node, wherever it was called. A composed function without a row is recorded by the operators that it calls.

The net runs twice, on the example and on other numbers of another batch size. What is the same in both runs is a
constant of the file; a size that grows with the batch is computed from the input's; anything else that differs was
computed in a way that the file could not repeat, and is refused.
"""

from __future__ import annotations

import inspect
import itertools
import math
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._extras import how_to_install
from tinycnn._files import StrPath, checked_path, write_whole
from tinycnn.autograd import Function, no_grad, wrap
from tinycnn.checks import check_flag, is_int, shortened
from tinycnn.diagnostics.anomaly import layer_name
from tinycnn.nn import activation, linear, loss, norm, resize
from tinycnn.nn import conv as nn_conv
from tinycnn.nn.module import Module
from tinycnn.ops import (
    adaptive_pool, arithmetic, conv, copy, index, matmul, pad, pool, reduce, select, shape, sort, unary, windows,
)  # fmt: skip
from tinycnn.tensor import Tensor

OPSET = 18
_IR_VERSION = 8  # the version of the file format that came with this opset
_FAR = 2**62  # as a bound of a slice: beyond every end


class Unexportable(ValueError):
    """What cannot be written as ONNX, with the layer where it was found."""


# --- what is recorded ---------------------------------------------------------------------------------------


class Sizes(tuple):
    """Sizes among the operands of a node, some of which may grow with the batch."""


@dataclass
class Recorded:
    """A node. Its operands are names of values, arrays, Sizes or, where one is left out, None."""

    type: str
    operands: list[Any]
    outputs: list[str]
    attributes: dict[str, Any]
    layer: str


class Run:
    """One run of a net, recorded: `nodes`, and a name for each array that they compute.

    Called as the profile hook. Rows call `op` to write nodes.
    """

    def __init__(self, model: Module, inputs: Sequence[Tensor], names: Sequence[str]):
        self.model = model
        self.nodes: list[Recorded] = []
        self.problem: str | None = None
        # By id: the array, kept alive; its name; a checksum, for changes that no row tells of; whether inputs reach it.
        self.known: dict[int, tuple[Any, str, int, bool]] = {}
        self.weights = model.state_dict()
        self._unused = {"": itertools.count()}  # numbers for names, by the name that they follow
        self._paths = {module: name for name, module in model.named_modules()}
        self._layers: list[Module] = []  # those that run now, from the outermost
        self._inside: FrameType | None = None  # the call that is recorded as a whole
        for name, x in self.weights.items():
            if id(x._array) not in self.known:
                self._name(x._array, name, False)
        for name, x in zip(names, inputs):
            self._name(x._array, name, True)

    def output_of(self, inputs: Sequence[Tensor]) -> Any:
        """What the net gives for the inputs; what it does is recorded."""
        outer = sys.getprofile()
        sys.setprofile(self)
        try:
            return self.model(*inputs)
        finally:
            sys.setprofile(outer)
            if self.problem is not None:
                raise Unexportable(f"export: {self.problem}")

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        if self.problem is not None:
            return
        code = frame.f_code
        if event == "call" and self._inside is None:
            if code is _MODULE_CALL:
                self._layers.append(frame.f_locals["self"])
            elif code in _ROWS and _ROWS[code][1](arguments := dict(frame.f_locals)):
                self._inside, self._arguments = frame, arguments
        elif event == "return" and frame is self._inside:
            self._inside = None
            if result is not None:  # it raised no error
                try:
                    self._record(_ROWS[code][0], result)
                except Unexportable as error:
                    self.problem = f"{self.where()}: {error}"
        elif event == "return" and code is _MODULE_CALL and self._inside is None:
            self._layers.pop()

    def _record(self, row: Callable, result: Any) -> None:
        of_inputs = any(self._varies(x) for x in self._arguments.values())
        try:
            names = row(self, result, **self._arguments)
        except Unexportable:
            if of_inputs:
                raise
            return  # what is computed of constants alone is a constant
        results, names = (result, names) if isinstance(names, tuple) else ((result,), (names,))
        for y, name in zip(results, names):
            self._name(y._array, name, of_inputs)

    def _varies(self, x: Any) -> bool:
        if isinstance(x, (tuple, list)):
            return any(map(self._varies, x))
        array = getattr(x, "_array", x)
        return id(array) in self.known and self.known[id(array)][3]

    def _name(self, array: Any, name: str, of_inputs: bool) -> None:
        self.known[id(array)] = array, name, _checksum(array), of_inputs

    def where(self) -> str:
        """The layer that runs now, with its options, or the type of the net."""
        if self._layers:
            return layer_name(self._layers[-1], self.model)
        return type(self.model).__name__

    def name_of(self, x: Any) -> Any:
        """A Tensor or an array as an operand: the name of its value, or itself, a constant."""
        array = getattr(x, "_array", x)
        if id(array) not in self.known:
            return backend.to_device(array, backend.CPU) if hasattr(array, "dtype") else array
        _, name, checksum, _ = self.known[id(array)]
        if checksum != _checksum(array):
            raise Unexportable(f"{name} was changed in place, which cannot be exported")
        return name

    def op(self, type: str, *operands: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Writes a node; returns the name of its result, or of all its results.

        Operands are Tensors, arrays, names, Sizes, a list of ints that are no sizes, or None.
        """
        taken = [np.array(x, np.int64) if isinstance(x, list) else x for x in operands]
        taken = [x if isinstance(x, (str, Sizes)) or x is None else self.name_of(x) for x in taken]
        path = self._paths.get(self._layers[-1], "") if self._layers else ""
        start = f"{path}/{type}" if path else type
        number = next(self._unused.setdefault(start, itertools.count()))
        start = f"{start}_{number}" if number else start
        names = [start] if outputs == 1 else [f"{start}:{i}" for i in range(outputs)]
        self.nodes.append(Recorded(type, taken, names, attributes, self.where()))
        return names[0] if outputs == 1 else tuple(names)

    def cast(self, x: Any, dtype: Any) -> Any:
        """An operand of `dtype`: ONNX promotes nothing."""
        if not isinstance(x, (Tensor, np.ndarray)):
            return np.asarray(x, dtype)
        return x if x.dtype == dtype else self.op("Cast", x, to=dtype)


def _checksum(array: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(backend.to_device(array, backend.CPU)).data)


# --- rows ---------------------------------------------------------------------------------------------------

# Code of a function to its row, and to what tells from the arguments whether the row applies. A row gets the run, the
# result and the arguments, and returns the name of the value that the result is.
_ROWS: dict[CodeType, tuple[Callable, Callable[[dict], bool]]] = {}
_OPERATORS: dict[type[Function], Callable] = {}
_MODULE_CALL = Module.__call__.__code__


def of(*functions: Any, when: Callable[..., bool] = lambda _: True) -> Callable:
    """Makes what it decorates the row of operators or functions."""
    def add(row: Callable) -> Callable:
        for function in functions:
            if isinstance(function, type):
                _OPERATORS[function] = row
            else:
                _ROWS[function.__code__] = row, when
        return row

    return add


@of(Function.__call__)
def _operator(run: Run, y: Tensor, self: Function, inputs: tuple) -> Any:
    if type(self) in _SAME:
        return run.op(_SAME[type(self)], *inputs)
    if type(self) in _OPERATORS:
        return _OPERATORS[type(self)](run, y, self, *inputs)
    raise Unexportable(f"the operator {self.name} has no counterpart in ONNX here")


# Operators whose operands are those of the node.
_SAME: dict[type[Function], str] = {
    unary.Exp: "Exp", unary.Log: "Log", unary.Sqrt: "Sqrt", unary.Sin: "Sin", unary.Cos: "Cos", unary.Tanh: "Tanh",
    unary.Sigmoid: "Sigmoid", unary.Relu: "Relu", unary.Erf: "Erf", unary.Abs: "Abs", arithmetic.Neg: "Neg",
    matmul.MatMul: "MatMul", select.Maximum: "Max", select.Minimum: "Min",
}  # fmt: skip
# Those of two operands of one dtype.
_BINARY: dict[type[Function], str] = {
    arithmetic.Add: "Add", arithmetic.Sub: "Sub", arithmetic.Mul: "Mul", arithmetic.Div: "Div", arithmetic.Pow: "Pow",
}  # fmt: skip
_COMPARISONS = {
    "eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip


@of(*_BINARY)
def _binary(run: Run, y: Tensor, f: Function, a: Any, b: Any) -> str:
    return run.op(_BINARY[type(f)], run.cast(a, y.dtype), run.cast(b, y.dtype))


@of(arithmetic.FloorDivide, arithmetic.Remainder)
def _whole_division(run: Run, y: Tensor, f: Function, a: Any, b: Any) -> str:
    a, b = run.cast(a, y.dtype), run.cast(b, y.dtype)
    if y.dtype.kind != "f":
        raise Unexportable("a whole division of integers cannot be exported")
    quotient = run.op("Floor", run.op("Div", a, b))
    return quotient if isinstance(f, arithmetic.FloorDivide) else run.op("Sub", a, run.op("Mul", quotient, b))


@of(arithmetic.compare)
def _compare(run: Run, y: Tensor, name: str, a: Any, b: Any) -> str:
    dtype = np.result_type(*[x if isinstance(x, (int, float)) else x.dtype for x in (a, b)])
    result = run.op(_COMPARISONS[name], run.cast(a, dtype), run.cast(b, dtype))
    return run.op("Not", result) if name == "ne" else result


@of(arithmetic._logical)
def _logical(run: Run, y: Tensor, name: str, given: tuple) -> str:
    word = name.removeprefix("bitwise_").capitalize()
    return run.op(word if y.dtype == bool else f"Bitwise{word}", *[run.cast(x, y.dtype) for x in given])


@of(arithmetic.isnan)
def _isnan(run: Run, y: Tensor, input: Tensor) -> str:
    return run.op("IsNaN", input)


@of(arithmetic.isinf)
def _isinf(run: Run, y: Tensor, input: Tensor) -> str:
    return run.op("IsInf", input)


@of(unary.sign)
def _sign(run: Run, y: Tensor, input: Tensor) -> str:
    return run.op("Sign", input)


@of(unary._rounded)
def _rounded(run: Run, y: Tensor, function: str, x: Tensor) -> str:
    return run.op(function.capitalize(), x)


@of(unary.Expm1)
def _expm1(run: Run, y: Tensor, f: Function, x: Tensor) -> str:
    return run.op("Sub", run.op("Exp", x), run.cast(1, y.dtype))


@of(unary.Log1p)
def _log1p(run: Run, y: Tensor, f: Function, x: Tensor) -> str:
    return run.op("Log", run.op("Add", x, run.cast(1, y.dtype)))


@of(unary.Softplus)
def _softplus(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    beta = run.cast(f.beta, y.dtype)
    z = x if f.beta == 1 else run.op("Mul", x, beta)
    soft = run.op("Softplus", z) if f.beta == 1 else run.op("Div", run.op("Softplus", z), beta)
    if f.threshold >= 20:  # both agree to the last digit
        return soft
    return run.op("Where", run.op("Greater", z, run.cast(f.threshold, y.dtype)), x, soft)


@of(activation.leaky_relu)
def _leaky_relu(run: Run, y: Tensor, input: Tensor, negative_slope: float, **_: Any) -> str:
    return run.op("LeakyRelu", input, alpha=float(negative_slope))


@of(activation.elu)
def _elu(run: Run, y: Tensor, input: Tensor, alpha: float, **_: Any) -> str:
    return run.op("Elu", input, alpha=float(alpha))


@of(activation.hardswish)
def _hardswish(run: Run, y: Tensor, input: Tensor, **_: Any) -> str:
    return run.op("HardSwish", input)


# Selection, copies, dtypes.


@of(select.Where)
def _where(run: Run, y: Tensor, f: Function, condition: Tensor, a: Any, b: Any) -> str:
    return run.op("Where", condition, run.cast(a, y.dtype), run.cast(b, y.dtype))


@of(select.Clamp)
def _clamp(run: Run, y: Tensor, f: Function, x: Tensor, low: Any, high: Any) -> str:
    bounds = [None if b is None else run.cast(b, y.dtype) for b in (low, high)]
    if all(getattr(b, "ndim", 0) == 0 for b in (low, high)):
        return run.op("Clip", x, *bounds)
    z = x if low is None else run.op("Max", x, bounds[0])
    return z if high is None else run.op("Min", z, bounds[1])


@of(copy.Clone, copy.Contiguous, copy.ToDevice)
def _same(run: Run, y: Tensor, f: Function, x: Tensor) -> Any:
    return run.name_of(x)


@of(copy.Cast)
def _cast(run: Run, y: Tensor, f: Function, x: Tensor) -> Any:
    return run.op("Cast", x, to=y.dtype)


# Shapes.


@of(shape.Reshape)
def _reshape(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    if y.ndim == 2 < x.ndim and y.shape[0] == x.shape[0]:
        return run.op("Flatten", x, axis=1)
    return run.op("Reshape", x, Sizes(f.shape))


@of(shape.Permute)
def _permute(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op("Transpose", x, perm=list(f.dims))


@of(shape.Expand)
def _expand(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op("Expand", x, Sizes(f.shape))


@of(shape.Flip)
def _flip(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    count = len(f.dims)
    return run.op("Slice", x, [-1] * count, [-_FAR] * count, list(f.dims), [-1] * count)


@of(shape.Cat)
def _cat(run: Run, y: Tensor, f: Any, *tensors: Tensor) -> str:
    return run.op("Concat", *tensors, axis=f.dim)


@of(pad.Pad)
def _pad(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op("Pad", x, _flat(f.pads), run.cast(f.value, y.dtype))


def _flat(pads: Sequence[tuple[int, int]]) -> list[int]:
    """All amounts before, then all amounts after."""
    return [before for before, _ in pads] + [after for _, after in pads]


@of(resize.pad, when=lambda given: given["mode"] in ("reflect", "replicate"))
def _pad_edges(run: Run, y: Tensor, input: Tensor, pad: Sequence[int], mode: str, value: Any) -> str:
    pads = [(0, 0)] * (input.ndim - len(pad) // 2) + [*zip(pad[-2::-2], pad[::-2])]
    return run.op("Pad", input, _flat(pads), mode={"replicate": "edge"}.get(mode, mode))


@of(pad.IndexSelect)
def _index_select(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op("Gather", x, f.index, axis=f.dim)


@of(index.Gather)
def _gather(run: Run, y: Tensor, f: Any, x: Tensor, places: Tensor) -> str:
    return run.op("GatherElements", x, places, axis=f.dim)


@of(index.GetItem)
def _getitem(run: Run, y: Tensor, f: Any, x: Tensor) -> Any:
    """One Slice for all slices and ints, then the dimensions that ints remove and None adds; or one array."""
    index = list(f.index) if isinstance(f.index, tuple) else [f.index]
    at = next((i for i, part in enumerate(index) if part is ...), len(index))
    index[at : at + 1] = [slice(None)] * (x.ndim - len([part for part in index if part is not None and part is not ...]))
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
    if isinstance(part, int):
        return part, part + 1 or _FAR, 1
    step = part.step or 1
    start = (0 if step > 0 else _FAR) if part.start is None else part.start
    return start, (_FAR if step > 0 else -_FAR) if part.stop is None else part.stop, step


# Reductions.

_REDUCTIONS: dict[type[Function], str] = {
    reduce.Sum: "ReduceSum", reduce.Mean: "ReduceMean", reduce.LogSumExp: "ReduceLogSumExp",
}  # fmt: skip


@of(*_REDUCTIONS)
def _reduction(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op(_REDUCTIONS[type(f)], run.cast(x, y.dtype), list(f.dims), keepdims=int(f.keepdim))


@of(reduce.Extremum)
def _extremum(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op(f"Reduce{f.method.capitalize()}", x, list(f.dims), keepdims=int(f.keepdim))


@of(reduce.Var)
def _var(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    _, square = _deviation(run, x, f.dims)
    variance = run.op("ReduceMean", square, list(f.dims), keepdims=int(f.keepdim))
    count = math.prod([x.shape[d] for d in f.dims])
    return run.op("Mul", variance, run.cast(f.factor * count, y.dtype)) if f.correction else variance


def _deviation(run: Run, x: Tensor, dims: Sequence[int]) -> tuple[str, str]:
    """x − mean, and its square."""
    centred = run.op("Sub", x, run.op("ReduceMean", x, list(dims)))
    return centred, run.op("Mul", centred, centred)


@of(reduce.Softmax, reduce.LogSoftmax)
def _softmax(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op(type(f).__name__, x, axis=f.dim)


@of(sort.CumSum)
def _cumsum(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    return run.op("CumSum", run.cast(x, y.dtype), np.array(f.dim))


@of(reduce._arg)
def _arg(run: Run, y: Tensor, method: str, x: Tensor, dim: int | None, keepdim: bool, **_: Any) -> str:
    word = {"argmax": "ArgMax", "argmin": "ArgMin"}[method]
    if dim is not None:
        return run.op(word, x, axis=dim % max(x.ndim, 1), keepdims=int(keepdim))
    return run.op("Reshape", run.op(word, run.op("Reshape", x, [-1]), axis=0, keepdims=0), Sizes(y.shape))


@of(reduce._truth)
def _truth(run: Run, y: Tensor, method: str, x: Tensor, dim: Any, keepdim: bool) -> str:
    dims = shape.normalize_dims(dim, x, method)
    chosen = run.op("ReduceMin" if method == "all" else "ReduceMax", run.op("Cast", run.cast(x, bool), to="int32"),
                    list(dims), keepdims=int(keepdim))  # fmt: skip
    return run.op("Cast", chosen, to=y.dtype)


@of(sort._argsort)
def _argsort(run: Run, y: Tensor, name: str, input: Tensor, dim: int, descending: bool) -> str:
    count = [input.shape[dim]]
    return run.op("TopK", input, count, axis=dim % input.ndim, largest=int(descending), outputs=2)[1]


@of(linear.one_hot, when=lambda given: given["num_classes"] > 0)
def _one_hot(run: Run, y: Tensor, target: Tensor, num_classes: int) -> str:
    return run.op("OneHot", target, np.array(num_classes), [0, 1])


# Products.


@of(matmul.Linear)
def _linear(run: Run, y: Tensor, f: Function, *operands: Tensor) -> str:
    return run.op("Gemm", *operands, transB=1)


def _window(window: windows.Window, *left_out: str) -> dict[str, Any]:
    """The attributes of a node that slides a window."""
    attributes = {
        "kernel_shape": list(window.kernel_size), "strides": list(window.stride), "pads": _flat(window.padding),
        "dilations": list(window.dilation),
    }  # fmt: skip
    return {name: value for name, value in attributes.items() if name not in left_out}


@of(conv.Conv)
def _conv(run: Run, y: Tensor, f: Any, *operands: Tensor) -> str:
    return run.op("Conv", *operands, group=f.spec.groups, **_window(f.spec))


@of(nn_conv._transposed)
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


@of(windows.Im2col)
def _im2col(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    """Each spatial dimension becomes two, by a Gather: the kernel's positions and the output's."""
    window, d = f.window, len(f.window.kernel_size)
    value = run.op("Pad", x, _flat([(0, 0), (0, 0), *window.padding]), run.cast(0, y.dtype))
    for i, (kernel, stride, dilation) in enumerate(zip(window.kernel_size, window.stride, window.dilation)):
        places = np.arange(kernel)[:, None] * dilation + np.arange(window.output_size[i]) * stride
        value = run.op("Gather", value, places, axis=2 + 2 * i)
    return run.op("Transpose", value, perm=[0, 1, *range(2, 2 + 2 * d, 2), *range(3, 3 + 2 * d, 2)])


@of(windows.col2im)
def _col2im(run: Run, y: Tensor, columns: Tensor, window: windows.Window) -> str:
    sizes = list(window.input_size), list(window.kernel_size)
    return run.op("Col2Im", columns, *sizes, **_window(window, "kernel_shape"))


# Pooling.


def _with_ceil(window: windows.Window) -> list[int]:
    """Padding with which the windows end where these do, also those that ceil_mode adds."""
    pads = [
        (before, max((out - 1) * stride + extent - size - before, 0))
        for out, stride, extent, size, (before, _) in zip(
            window.output_size, window.stride, window.extent, window.input_size, window.padding
        )
    ]
    return _flat(pads)


def _spatial(pads: list[int]) -> list[int]:
    """The padding of spatial dimensions for all dimensions."""
    d = len(pads) // 2
    return [0, 0, *pads[:d], 0, 0, *pads[d:]]


@of(pool.MaxPool)
def _max_pool(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    attributes = {**_window(f.window), "pads": _with_ceil(f.window)}
    if any(p >= k for p, k in zip(attributes["pads"], 2 * f.window.kernel_size)) and y.dtype.kind == "f":
        x = run.op("Pad", x, _spatial(attributes.pop("pads")), run.cast(-math.inf, y.dtype))  # too much for a MaxPool
    return run.op("MaxPool", x, **attributes)


@of(pool.max_pool_with_indices)
def _max_pool_with_indices(run: Run, y: Any, x: Tensor, window: windows.Window) -> tuple:
    attributes = {**_window(window), "pads": _with_ceil(window)}
    values, indices = run.op("MaxPool", x, outputs=2, **attributes)
    return values, run.op("Mod", indices, np.array(math.prod(window.input_size)))  # counted in each channel anew


@of(pool.Unpool)
def _unpool(run: Run, y: Tensor, f: Any, x: Tensor, indices: Tensor) -> str:
    zeros = run.op("Expand", run.cast(0, y.dtype), Sizes(y.shape))
    return run.op("ScatterElements", zeros, indices, x, axis=2)


@of(pool.avg_pool, when=lambda given: given["divisor_override"] is None and not given["window"].ceil_mode)
def _avg_pool(run: Run, y: Tensor, x: Tensor, window: windows.Window, count_include_pad: bool, **_: Any) -> str:
    return run.op("AveragePool", x, count_include_pad=int(count_include_pad), **_window(window, "dilations"))


@of(pool.WindowSum)
def _window_sum(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    padded = run.op("Pad", x, _spatial(_with_ceil(f.window)), run.cast(0, y.dtype))
    means = run.op("AveragePool", padded, **_window(f.window, "pads", "dilations"))
    return run.op("Mul", means, run.cast(math.prod(f.window.kernel_size), y.dtype))


def _divides(given: dict) -> bool:
    return all(size % count == 0 for size, count in zip(given["x"].shape[2:], given["output_size"]))


def _bins(x: Tensor, output_size: Sequence[int]) -> dict[str, Any]:
    sizes = [size // count for size, count in zip(x.shape[2:], output_size)]
    return {"kernel_shape": sizes, "strides": sizes}


@of(adaptive_pool.adaptive_avg_pool, when=_divides)
def _adaptive_avg_pool(run: Run, y: Tensor, x: Tensor, output_size: Sequence[int]) -> str:
    if math.prod(output_size) == 1:
        return run.op("GlobalAveragePool", x)
    return run.op("AveragePool", x, **_bins(x, output_size))


@of(adaptive_pool.adaptive_max_pool, when=_divides)
def _adaptive_max_pool(run: Run, y: Any, x: Tensor, output_size: Sequence[int]) -> tuple:
    values, indices = run.op("MaxPool", x, outputs=2, **_bins(x, output_size))
    return values, run.op("Mod", indices, np.array(math.prod(x.shape[2:])))


# Resolution.


def _resizes(given: dict) -> bool:
    """Whether a Resize node gives exactly these numbers: it does not round scales as torch does."""
    x, scale = given["input"], given["scale_factor"]
    if not isinstance(x, Tensor) or x.dtype != np.float32 or x.ndim != 4:
        return False
    out, _ = resize._output_size(x.shape[2:], given["size"], scale)
    if given["mode"] == "nearest":
        return all(o % n == 0 for o, n in zip(out, x.shape[2:]))
    scales = scale if isinstance(scale, (tuple, list)) else [scale] * 2
    return scale is None or all(n * s == o for n, s, o in zip(x.shape[2:], scales, out))


@of(resize.interpolate, when=_resizes)
def _interpolate(run: Run, y: Tensor, input: Tensor, mode: str, align_corners: Any, **_: Any) -> str:
    if mode == "nearest":
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    else:
        how = {"mode": "linear",
               "coordinate_transformation_mode": "align_corners" if align_corners else "half_pixel"}  # fmt: skip
    return run.op("Resize", input, None, None, Sizes(y.shape), **how)


@of(resize.pixel_shuffle, when=lambda given: getattr(given["input"], "ndim", 0) == 4)
def _pixel_shuffle(run: Run, y: Tensor, input: Tensor, upscale_factor: int) -> str:
    return run.op("DepthToSpace", input, blocksize=int(upscale_factor), mode="CRD")


# Normalisation.


def _or_filled(given: Tensor | None, x: Tensor, size: Any, value: float) -> Any:
    return np.full(size, value, x.dtype) if given is None else given


@of(norm.batch_norm, when=lambda given: given["training"] is False)
def _batch_norm(
    run: Run, y: Tensor, input: Tensor, running_mean: Tensor, running_var: Tensor, weight: Any, bias: Any, eps: float,
    **_: Any,
) -> str:  # fmt: skip
    channels = input.shape[1]
    scale, offset = _or_filled(weight, input, channels, 1), _or_filled(bias, input, channels, 0)
    return run.op("BatchNormalization", input, scale, offset, running_mean, running_var, epsilon=float(eps))


@of(norm.layer_norm)
def _layer_norm(
    run: Run, y: Tensor, input: Tensor, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> str:  # fmt: skip
    dims = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
    scale, offset = (_or_filled(x, input, input.shape[-dims:], value) for x, value in ((weight, 1), (bias, 0)))
    return run.op("LayerNormalization", input, scale, offset, axis=-dims, epsilon=float(eps))


@of(norm.instance_norm, when=lambda given: given["use_input_stats"] is True)
def _instance_norm(run: Run, y: Tensor, input: Tensor, weight: Any, bias: Any, eps: float, **_: Any) -> str:
    channels = input.shape[1]
    scale, offset = _or_filled(weight, input, channels, 1), _or_filled(bias, input, channels, 0)
    return run.op("InstanceNormalization", input, scale, offset, epsilon=float(eps))


@of(norm.Normalize)
def _normalize(run: Run, y: Tensor, f: Any, x: Tensor) -> str:
    if f.dims == tuple(range(2, x.ndim)):
        scale, offset = np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
        return run.op("InstanceNormalization", x, scale, offset, epsilon=float(f.eps))
    centred, square = _deviation(run, x, f.dims)
    variance = run.op("Add", run.op("ReduceMean", square, list(f.dims)), run.cast(f.eps, y.dtype))
    return run.op("Div", centred, run.op("Sqrt", variance))


# Losses.


@of(loss.CrossEntropy)
def _cross_entropy(run: Run, y: Tensor, f: Any, x: Tensor, target: Tensor, weight: Tensor | None) -> str:
    log_p = run.op("LogSoftmax", x, axis=f.class_dim)
    return _nll(run, x, log_p, target, weight, f.ignore_index, f.reduction, f.smoothing)


@of(loss.nll_loss)
def _nll_loss(
    run: Run, y: Tensor, input: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, **_: Any
) -> str:  # fmt: skip
    return _nll(run, input, input, target, weight, ignore_index, reduction, 0.0)


def _nll(
    run: Run, x: Tensor, log_p: Any, target: Tensor, weight: Any, ignored: int, reduction: str, smoothing: float
) -> str:  # fmt: skip
    """−(1 − s) w[t] log p[t] − s/C Σ_j w[j] log p[j], and 0 where the target is ignored."""
    dim, classes = (0, x.shape[0]) if x.ndim == 1 else (1, x.shape[1])
    zero = run.cast(0, x.dtype)
    is_ignored = run.op("Equal", target, run.cast(ignored, target.dtype))
    places = run.op("Where", is_ignored, run.cast(0, target.dtype), target)
    picked = run.op("GatherElements", log_p, run.op("Unsqueeze", places, [dim]), axis=dim)
    weights = run.op("Gather", _or_filled(weight, x, classes, 1), places)
    weights = run.op("Where", is_ignored, zero, weights)
    each = run.op("Neg", run.op("Mul", run.op("Squeeze", picked, [dim]), weights))
    if smoothing:
        per_class = log_p if weight is None else run.op(
            "Mul", log_p, run.op("Reshape", weight, [-1, *[1] * (x.ndim - dim - 1)]))  # fmt: skip
        spread = run.op("Where", is_ignored, zero, run.op("ReduceSum", per_class, [dim], keepdims=0))
        each = run.op("Sub", run.op("Mul", each, run.cast(1 - smoothing, x.dtype)),
                      run.op("Mul", spread, run.cast(smoothing / classes, x.dtype)))  # fmt: skip
    if reduction == "none":
        return each
    total = run.op("ReduceSum", each, keepdims=0)
    return total if reduction == "sum" else run.op("Div", total, run.op("ReduceSum", weights, keepdims=0))


@of(loss.BinaryCrossEntropy)
def _binary_cross_entropy(run: Run, y: Tensor, f: Function, p: Tensor, t: Tensor) -> str:
    one, least = run.cast(1, y.dtype), run.cast(-100, y.dtype)
    log_p, log_q = (run.op("Max", run.op("Log", x), least) for x in (p, run.op("Sub", one, p)))
    return run.op("Neg", run.op("Add", run.op("Mul", t, log_p), run.op("Mul", run.op("Sub", one, t), log_q)))


# --- two runs made into one graph -----------------------------------------------------------------------------


class Merged:
    """The nodes of two runs as those of one graph, for every batch size."""

    def __init__(self, runs: Sequence[Run], ends: Sequence[Sequence[Any]], batches: tuple[int, int]):
        self.nodes: list[Recorded] = []
        self.constants: dict[tuple, tuple[str, np.ndarray]] = {}  # by what they hold
        self._batches = batches
        self.has_batch = False  # whether a node asks for the size of the batch
        first, second = ([*run.nodes] for run in runs)
        alike = [a.outputs == b.outputs and a.attributes == b.attributes for a, b in zip(first, second)]
        if len(first) != len(second) or not all(alike):
            a = first[min(alike.index(False) if False in alike else len(alike), len(first) - 1)]
            raise Unexportable(f"export: {a.layer}: another input or batch size makes {a.type} another operation")
        wanted = {name for name in ends[0] if isinstance(name, str)}
        kept = []
        for a, b in zip(reversed(first), reversed(second)):
            if wanted.intersection(a.outputs):
                wanted.update(x for x in a.operands if isinstance(x, str))
                kept.append((a, b))
        for a, b in reversed(kept):
            operands = [self._operand(a, x, y) for x, y in zip(a.operands, b.operands, strict=True)]
            self.nodes.append(Recorded(a.type, operands, a.outputs, a.attributes, a.layer))

    def _operand(self, node: Recorded, a: Any, b: Any) -> str | None:
        if isinstance(a, str) or a is None:
            if a != b:
                raise Unexportable(f"export: {node.layer}: {node.type} takes another value for another input")
            return a
        if isinstance(a, Sizes):
            return self._sizes(node, a, b)
        x, y = np.asarray(a), np.asarray(b)
        if x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes():
            return self.constant(x)
        if x.size and x.ndim == y.ndim and (x == x.flat[0]).all() and (y == x.flat[0]).all():
            return self._add("Expand", node, self.constant(x.reshape(-1)[0]), self._sizes(node, x.shape, y.shape))
        raise Unexportable(
            f"export: {node.layer}: {node.type} takes a value that changes with the input or the batch size, or at "
            "random, and was computed by what cannot be recorded"
        )

    def _sizes(self, node: Recorded, a: Sequence[int], b: Sequence[int]) -> str:
        varying = [i for i, (m, n) in enumerate(zip(a, b)) if m != n]
        if not varying:
            return self.constant(np.array(a, np.int64).reshape(-1))
        if node.type == "Reshape" and len(varying) == 1 and 0 not in a:
            return self.constant(np.array([-1 if i in varying else n for i, n in enumerate(a)], np.int64))
        parts = []
        for m, n in zip(a, b):
            times = m // self._batches[0]
            if m == n:
                parts.append(self.constant(np.array([m], np.int64)))
            elif (m, n) == (times * self._batches[0], times * self._batches[1]):
                self.has_batch = True
                size = "batch_size"
                parts.append(size if times == 1 else self._add("Mul", node, size, self.constant(np.array([times]))))
            else:
                raise Unexportable(f"export: {node.layer}: the size {m} is no multiple of the batch size")
        return self._add("Concat", node, *parts, axis=0)

    def _add(self, type: str, node: Recorded, *operands: str, **attributes: Any) -> str:
        name = f"{node.outputs[0]}/{type}_{len(self.nodes)}"
        self.nodes.append(Recorded(type, list(operands), [name], attributes, node.layer))
        return name

    def constant(self, x: np.ndarray) -> str:
        """The name of a constant; equal ones are one."""
        x = np.asarray(x)
        key = x.dtype.str, x.shape, x.tobytes()
        return self.constants.setdefault(key, (f"constant_{len(self.constants)}", x))[0]


# --- the file ---------------------------------------------------------------------------------------------


def export(
    model: Module, example: Tensor | Sequence[Tensor], path: StrPath, dynamic_batch: bool = True, *,
    input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None, opset_version: int = OPSET,
    export_params: bool = True, do_constant_folding: bool = True, verbose: bool | None = None, dynamo: bool = True,
) -> None:  # fmt: skip
    """Writes a net as an ONNX file, whole or not at all.

    The net runs in eval mode, without recording gradients, and is set back. Weights have the names of `state_dict`.

    Args:
        model: the net; what it returns is a Tensor, or a sequence or dict of them.
        example: its input, or a tuple of its inputs.
        path: the file.
        dynamic_batch: whether the first dimension of the inputs, the batch, may have any size in the file; the net is
            then run with one more sample than the example has. False: the file takes the example's shapes only.
        input_names, output_names: default: the names of the parameters of `forward`, and "output" (or the keys).
        opset_version: the file's version of ONNX's operators, 18 to 23; for less, which torch accepts, 18 and a warning.
        export_params, do_constant_folding, verbose, dynamo: accepted as in torch, without effect.

    Raises ValueError, naming the layer, for what cannot be exported; nothing is written then. ImportError without
    onnx-ir, OSError if the file cannot be written.
    """
    ir = onnx_ir("export")
    path = checked_path("export", "path", path)
    check_flag("export", "dynamic_batch", dynamic_batch)
    if not isinstance(model, Module):
        raise TypeError(f"export: expected model as a Module, got {type(model).__name__}")
    inputs = tuple(example) if isinstance(example, (tuple, list)) else (example,)
    for x in inputs:
        if not isinstance(x, Tensor):
            raise TypeError(f"export: expected example as a Tensor or a tuple of them, got {type(x).__name__}")
    if not is_int(opset_version) or opset_version > 23:
        raise ValueError(f"export: expected opset_version from {OPSET} to 23, got {shortened(opset_version)}")
    if opset_version < OPSET:
        warnings.warn(f"export: writes opset {OPSET}, not {opset_version}", stacklevel=2)
    names = _checked_names("input_names", input_names, _input_names(model, len(inputs)))
    if dynamic_batch and (not inputs or not inputs[0].ndim):
        raise ValueError("export: dynamic_batch=True expects an example with a batch as its first dimension")
    batch = inputs[0].shape[0] if dynamic_batch else 0
    others = [wrap(_others(x, batch)) for x in inputs]
    run, result = _recorded(model, inputs, names)
    try:
        other_run, other_result = _recorded(model, others, names)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        if isinstance(error, Unexportable) or not dynamic_batch:
            raise
        raise Unexportable(
            f"export: with dynamic_batch=True the net must take any batch size, but with {batch + 1} instead of {batch} "
            f"samples it failed: {error}; use dynamic_batch=False"
        ) from None
    keys, outputs = zip(*_flattened(result))
    defaults = [f"output_{i}" if len(keys) > 1 else "output" for i in range(len(keys))]
    keys = _checked_names("output_names", output_names, [key or name for key, name in zip(keys, defaults)])
    other_outputs = [y for _, y in _flattened(other_result)]
    ends = [run.name_of(y) for y in outputs], [other_run.name_of(y) for y in other_outputs]
    merged = Merged((run, other_run), ends, (batch, batch + 1))
    file = File(ir, names, inputs, others, batch)
    file.write_nodes(merged, run, names[0])
    file.write_outputs(keys, ends[0], outputs, other_outputs)
    graph = ir.Graph(
        file.inputs, file.outputs, nodes=file.nodes, initializers=file.initializers, name=type(model).__name__,
        opset_imports={"": max(opset_version, OPSET)},
    )  # fmt: skip
    proto = ir.to_proto(ir.Model(graph, ir_version=_IR_VERSION, producer_name="tinycnn"))
    write_whole(path, proto.SerializeToString())


def onnx_ir(called: str) -> Any:
    """The module onnx_ir. ImportError with advice if it is not installed."""
    try:
        import onnx_ir
    except ImportError as error:
        raise ImportError(f"{called}: needs onnx-ir, which is not installed: {how_to_install('onnx')}") from error
    return onnx_ir


def _checked_names(argument: str, given: Any, default: Sequence[str]) -> list[str]:
    if given is None:
        return [*default]
    if not isinstance(given, (tuple, list)) or len({*map(str, given)}) != len(default):
        raise ValueError(f"export: expected {argument} as {len(default)} names, got {shortened(given)}")
    return [*map(str, given)]


def _input_names(model: Module, count: int) -> list[str]:
    """The names of the parameters of `forward`."""
    names = [p.name for p in inspect.signature(model.forward).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    return names[:count] if len(names) >= count else [f"input_{i}" for i in range(count)]


def _others(x: Tensor, batch: int) -> Any:
    """Other numbers of the same kind and range, and one sample more, if x is a batch."""
    array = np.flip(backend.to_device(x._array, backend.CPU))
    if array.dtype.kind == "f" and array.size:
        ramp = np.linspace(0.5, 1, array.size, dtype=array.dtype).reshape(array.shape)
        array = ramp if not array.any() else array * ramp
    if batch and array.shape[:1] == (batch,):
        array = np.concatenate([array, array[:1]])
    return backend.to_device(np.ascontiguousarray(array), x.device)


def _recorded(model: Module, inputs: Sequence[Tensor], names: Sequence[str]) -> tuple[Run, Any]:
    """One run, in eval mode, and its result."""
    modes = [(module, module.training) for module in model.modules()]
    run = Run(model, inputs, names)
    try:
        model.eval()
        with no_grad():
            return run, run.output_of(inputs)
    finally:
        for module, training in modes:
            object.__setattr__(module, "training", training)


def _flattened(result: Any, key: str = "") -> Iterator[tuple[str, Tensor]]:
    """The Tensors that a net returns, with their keys if it returns a dict."""
    if isinstance(result, Tensor):
        yield key, result
    elif isinstance(result, dict):
        for name, value in result.items():
            yield from _flattened(value, str(name))
    elif isinstance(result, (tuple, list)) and result:
        for value in result:
            yield from _flattened(value)
    else:
        raise TypeError(f"export: expected the net to return Tensors, got {type(result).__name__}")


class File:
    """The parts of the ONNX graph."""

    def __init__(self, ir: Any, names: Sequence[str], inputs: Sequence[Tensor], others: Sequence[Tensor], batch: int):
        self._ir, self._batch = ir, batch
        self.nodes: list[Any] = []
        self.outputs: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs = [self._value(name, x, y) for name, x, y in zip(names, inputs, others)]
        self._values = {value.name: value for value in self.inputs}

    def _value(self, name: str, x: Tensor, other: Tensor) -> Any:
        """A value of the graph's surface: with dtype and shape, as they were in both runs."""
        dims = [m if m == n else self._dim(m) for m, n in zip(x.shape, other.shape)]
        dtype = self._ir.DataType.from_numpy(x.dtype)
        return self._ir.Value(name=name, shape=self._ir.Shape(dims), type=self._ir.TensorType(dtype))

    def _dim(self, size: int) -> str:
        return "batch" if size == self._batch else f"batch_of_{size}_for_{self._batch}"

    def _node(self, node: Recorded) -> None:
        attributes = {
            name: int(self._ir.DataType.from_numpy(np.dtype(value))) if name == "to" else value
            for name, value in node.attributes.items()
        }
        inputs = [None if x is None else self._values[x] for x in node.operands]
        outputs = [self._ir.Value(name=name) for name in node.outputs]
        self._values.update(zip(node.outputs, outputs))
        self.nodes.append(self._ir.node(node.type, inputs, attributes, outputs=outputs, name=node.outputs[0]))

    def _initializer(self, name: str, array: np.ndarray) -> None:
        tensor = self._ir.tensor(np.ascontiguousarray(array), name=name)
        value = self._ir.Value(
            name=name, shape=tensor.shape, type=self._ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._values[name] = value
        self.initializers.append(value)

    def write_nodes(self, merged: Merged, run: Run, source: str) -> None:
        """All nodes, after the weights and constants that they take."""
        taken = {x for node in merged.nodes for x in node.operands}
        for array, name, *_ in [*run.known.values()]:
            if name in taken and name not in self._values and name in run.weights:
                self._initializer(name, backend.to_device(array, backend.CPU))
        for name, array in merged.constants.values():
            self._initializer(name, array)
        if merged.has_batch:
            self._node(Recorded("Shape", [source], ["batch_size"], {"start": 0, "end": 1}, ""))
        for node in merged.nodes:
            self._node(node)

    def write_outputs(
        self, keys: Sequence[str], ends: Sequence[Any], outputs: Sequence[Tensor], others: Sequence[Tensor]
    ) -> None:
        """The results, under the names that users see."""
        of_nodes = {value.name: value for node in self.nodes for value in node.outputs}
        for key, end, y, other in zip(keys, ends, outputs, others):
            if end not in of_nodes:  # an input, a weight, a constant, or an output already
                if not isinstance(end, str):
                    self._initializer(f"{key}_constant", end)
                    end = f"{key}_constant"
                self._node(Recorded("Identity", [end], [f"{key}/Identity"], {}, ""))
                end = f"{key}/Identity"
            value, surface = self._values[end], self._value(key, y, other)
            of_nodes.pop(end, None)
            value.name, value.shape, value.type = key, surface.shape, surface.type
            self.outputs.append(value)
