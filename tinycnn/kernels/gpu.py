"""Array kernels for CuPy, of the same names as those in `cpu`. The CUDA sources are in `cuda/`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import cupy
import cupyx
import cupyx.scipy.special
import numpy as np

from tinycnn.kernels import cuda, geometry

THREADS = 256
MAX_BLOCKS = 1 << 14  # each thread then takes several elements

NULL = np.uint64(0)  # a pointer to nothing; for None, CuPy would pass no argument at all


@cache
def _module(file: str, dtype: np.dtype) -> Any:
    # --fmad=false would make sums equal a CPU's more often; fused multiply-adds are faster and more exact.
    return cupy.RawModule(code=cuda.source(file, dtype), options=("--std=c++17",))


@cache
def kernel(file: str, name: str, dtype: np.dtype) -> Any:
    """The function `name` of cuda/`file`.cu, for elements of `dtype`: call it with (grid, block, arguments)."""
    return _module(file, dtype).get_function(name)


def launch(file: str, name: str, dtype: np.dtype, size: int, *arguments: Any) -> None:
    """Runs a kernel that takes one element, of `size`, at a time. Arguments are CuPy arrays (passed as pointers),
    NumPy scalars of the parameter's type, and structs as NumPy arrays without dimensions (passed by value)."""
    if size:
        blocks = min(-(-size // THREADS), MAX_BLOCKS)
        kernel(file, name, dtype)((blocks,), (THREADS,), arguments)


# --- element by element -------------------------------------------------------------------------------------------


def in_memory_order(function: Callable[..., Any], *operands: Any) -> Any:
    """function(*operands), an elementwise function of arrays and numbers, with the result in the memory order of the
    first array that has its shape.

    CuPy's functions walk through all arrays in the order of the axes and give a row-major result. They are shown views
    whose axes are in memory order: neighbouring threads then read and write neighbouring places.
    """
    order = _axis_order(*[(x.shape, x.strides) for x in operands if hasattr(x, "strides")])
    if order is None:
        return function(*operands)
    return function(*[_transposed(x, order) for x in operands]).transpose(_inverse(order))


@lru_cache(maxsize=4096)
def _axis_order(*arrays: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[int, ...] | None:
    """The axes of a result from the outermost to the innermost in memory, for arrays of these (shape, strides); None
    if it is row-major."""
    full = np.broadcast_shapes(*[shape for shape, _ in arrays])
    for shape, strides in arrays:
        if shape == full and all(step or size == 1 for size, step in zip(shape, strides, strict=True)):
            ones = [d for d, size in enumerate(shape) if size == 1]
            others = [d for d, size in enumerate(shape) if size != 1]
            by_step = sorted(others, key=lambda d: -abs(strides[d]))
            return None if by_step == others or 0 in shape else (*ones, *by_step)
    return None


def _transposed(x: Any, order: tuple[int, ...]) -> Any:
    """x, an array or a number, with the axes of the result in another order."""
    if not getattr(x, "ndim", 0):
        return x
    return x[(None,) * (len(order) - x.ndim)].transpose(order)


def _inverse(order: tuple[int, ...]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def masked(x: Any, mask: Any) -> Any:
    """x where the boolean `mask`, of the same shape, is true, and 0 elsewhere."""
    return in_memory_order(lambda x, mask: cupy.where(mask, x, 0), x, mask)


def relu(x: Any) -> Any:
    """max(x, 0), nan for nan."""
    return cupy.maximum(x, 0)


def erf(x: Any) -> Any:
    """The error function."""
    return cupyx.scipy.special.erf(x)


# --- along dimensions ---------------------------------------------------------------------------------------------


def reduced(method: str, x: Any, dims: Any, keepdims: bool) -> Any:
    """The method "sum", "max", "all", "argmax", ... of x over `dims`: an int, several, or None for all.

    CuPy is shown x with its axes in memory order, so that neighbouring threads read neighbouring places.
    """
    options = {"dtype": np.int64} if method == "sum" and x.dtype.kind != "f" else {}
    order = _axis_order((x.shape, x.strides))
    with x.device:
        if order is None or dims is None:  # all elements are numbered in the order of the axes
            return getattr(x, method)(axis=dims, keepdims=keepdims, **options)
        there = order.index(dims) if isinstance(dims, int) else tuple(map(order.index, dims))
        y = getattr(x.transpose(order), method)(axis=there, keepdims=True, **options).transpose(_inverse(order))
        gone = (dims,) if isinstance(dims, int) else dims
        return y if keepdims else y.reshape([size for d, size in enumerate(y.shape) if d not in gone])


def along(function: Callable[[Any, int], Any], x: Any, dim: int) -> Any:
    """function(x, dim), of the shape of x: what works along one dimension and is the same for all others."""
    order = _axis_order((x.shape, x.strides))
    if order is None:
        return function(x, dim)
    return function(x.transpose(order), order.index(dim)).transpose(_inverse(order))


def add_at(array: Any, index: Any, values: Any) -> None:
    """array[index] += values for a row-major array, where an element that is indexed several times gets every value.

    Atomic additions would come in another order each time, with other roundings. Here the values are sorted by where
    they go, for which the host waits, and added up in the order of their indices.
    """
    position = cupy.arange(array.size).reshape(array.shape)[index].ravel()
    order = cupy.argsort(position)  # stable
    values = cupy.ascontiguousarray(values)
    launch("index", "add_runs", array.dtype, order.size, array, values, position, order, np.int64(order.size))


# --- random numbers -----------------------------------------------------------------------------------------------


class Generator:
    """Random numbers on one GPU, the current one: the methods of numpy.random.Generator that the package uses.

    `seed` is what numpy.random.default_rng takes: an int, None, a numpy.random.SeedSequence. All numbers are a
    function of it and of how many were drawn before. The state lies on the device and kernels advance it there: the
    host waits for nothing (but the sort of a permutation), and a captured graph draws other numbers in every replay.
    """

    def __init__(self, seed: Any = None):
        self._state = cupy.empty(2, np.uint64)
        self.seed(seed)

    def seed(self, seed: Any = None) -> None:
        """Starts anew, in the same memory: graphs that were captured go on with it."""
        with self._state.device:
            if cupy.cuda.get_current_stream().is_capturing():
                raise RuntimeError(
                    "random numbers: a generator cannot be made or seeded while a graph is captured, for the graph "
                    "would seed it again in every replay; seed it, or draw from it once, before"
                )
            sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
            (key,) = sequence.generate_state(1, np.uint64)
            kernel("random", "seed", np.dtype("float32"))((1,), (1,), (self._state, key))

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Uniform on [0, 1), float32 or float64."""
        return self._drawn("uniform", size, self._real("random", dtype))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Normal with mean 0 and standard deviation 1, float32 or float64."""
        return self._drawn("normal", size, self._real("standard_normal", dtype))

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """int64, uniform on low .. high − 1, or on 0 .. low − 1."""
        low, high = (0, int(low)) if high is None else (int(low), int(high))
        if not -(2**63) <= low < high < 2**63:
            raise ValueError(f"integers: expected −2**63 ≤ low < high < 2**63, got low={low} and high={high}")
        numbers = (low % 2**64, high - low, 2**64 % (high - low))
        return self._drawn("integers", size, np.dtype("int64"), *map(np.uint64, numbers))

    def permutation(self, n: int) -> Any:
        """0 .. n − 1 in random order, int64. The host waits for the sort."""
        with self._state.device:
            # Of 63 bits: among 60,000 keys, two are equal once in five billion times.
            return cupy.argsort(self.integers(0, 2**63 - 1, n)) if n else cupy.empty(0, np.int64)

    def fill(self, name: str, out: Any, *numbers: Any) -> None:
        """Runs the kernel `name` of cuda/random.cu over `out`, in the order of its memory, which has no gaps."""
        if out.size >= 1 << 31:
            raise ValueError(f"random numbers: expected less than 2**31 at a time, got {out.size:,}")
        with self._state.device:
            a_block = 1 if name == "integers" else 2 if out.dtype == np.float64 else 4
            blocks = -(-out.size // a_block)
            launch("random", name, out.dtype, blocks, out, self._state, np.uint32(out.size), *numbers)
            kernel("random", "move_on", out.dtype)((1,), (1,), (self._state, np.uint64(blocks)))

    def _drawn(self, name: str, size: Any, dtype: np.dtype, *numbers: Any) -> Any:
        with self._state.device:
            out = cupy.empty(() if size is None else size, dtype)
            self.fill(name, out, *numbers)
        return out

    @staticmethod
    def _real(name: str, dtype: Any) -> np.dtype:
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"{name}: expected float32 or float64, got {np.dtype(dtype)}")
        return np.dtype(dtype)


def dropout_mask(x: Any, p: float, generator: Generator) -> Any:
    """0 with probability p, else 1 / (1 − p), in the shape and the memory order of `x`."""
    mask = cupy.empty_like(x)
    real = np.float64 if x.dtype == np.float64 else np.float32
    generator.fill("dropout_mask", mask, real(p), real(1 / (1 - p) if p < 1 else 0))
    return mask


def shifted(images: Any, starts: Any, pixels: int, fill: Any) -> Any:
    """Windows of the images, padded with `fill` by `pixels` on all sides: image n's begins at row starts[0, n] and
    column starts[1, n]. Shapes: images (N, C, H, W), starts (2, N), fill a number or (C, 1, 1)."""
    N, C, H, W = images.shape
    out = cupy.empty_like(images)
    if out.size == 0:
        return out
    *outer, step_h, step_w = geometry.elements(images)
    h_w_n = ((0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 0, 0))
    walk = geometry.walk(images.shape, geometry.elements(out), (*outer, 0, 0), (0, 1, 0, 0), h_w_n)
    image = np.array((H, W, step_h, step_w), "i4, i4, i4, i4")
    values = tuple(np.broadcast_to(np.asarray(fill, images.dtype), (C, 1, 1)).ravel().tolist())
    arrays = (out, images, cupy.ascontiguousarray(starts), _constants(values, images.dtype, images.device.id))
    launch("shift", "shift", images.dtype, out.size, *arrays, walk, image, np.int32(N), np.int32(pixels))
    return out


@cache
def _constants(values: tuple[float, ...], dtype: np.dtype, device: int) -> Any:
    """These numbers on the device, which is the current one; copied there once."""
    return cupy.asarray(np.array(values, dtype))


# --- optimizers ---------------------------------------------------------------------------------------------------

MOST_PARAMETERS, MOST_AXES, PIECE = 40, 32, 1024  # as in cuda/optim.cu

PARAMETER = np.dtype(
    [("value", "u8"), ("grad", "u8"), ("buffer", "u8", 3), ("step", "u8")]
    + [("size", "u4"), ("first_block", "u4"), ("first_axis", "i4"), ("axes", "i4")],
    align=True,
)
PARAMETERS = np.dtype(
    [("count", "i4"), ("parameter", PARAMETER, MOST_PARAMETERS), ("axis", geometry.AXIS, MOST_AXES)], align=True
)
NUMBERS = np.dtype([("number", "f8", 8)], align=True)


class Numbers:
    """Up to eight numbers in device memory, where kernels find the latest whenever they run, in replays too."""

    def __init__(self, dtype: np.dtype) -> None:
        self.array = cupy.empty(8, np.float64)
        self.values: tuple[float, ...] | None = None
        self._dtype = dtype  # of the module whose kernel sets them: any, so one that is compiled anyway

    def set(self, values: tuple[float, ...]) -> None:
        """Takes over `values` if they have changed: as a kernel's argument, for the host would wait for a copy."""
        if values != self.values:
            given = np.zeros((), NUMBERS)
            given["number"][: len(values)] = values
            with self.array.device:
                kernel("optim", "set_numbers", self._dtype)((1,), (8,), (self.array, given))
            self.values = values


def optimizer_step(
    name: str,
    rows: list[tuple[Any, Any, list[Any], Any]],
    numbers: Numbers,
    flags: tuple[bool, bool],
    found_inf: Any = None,
    grad_scale: Any = None,
) -> None:
    """One step of the algorithm `name` of cuda/optim.cu for any number of parameters, in place.

    `rows` has for each parameter: its array, its gradient, up to three buffers of its shape (None where one is not
    used), in any memory orders, and the count of its steps, int64 of shape (), or None if they are not counted.
    `found_inf` and `grad_scale` are float32 of shape (): not 0 to skip the step; a factor for the gradients.
    """
    of_dtype: dict[np.dtype, list[Any]] = {}
    for row in rows:
        of_dtype.setdefault(row[0].dtype, []).append(row)
    counted = rows[0][3] is not None
    with numbers.array.device:
        factors = cupy.empty((MOST_PARAMETERS, 2), np.float64) if counted else NULL
        pointers = [NULL if array is None else array for array in (found_inf, grad_scale)]
        arguments = (numbers.array, factors, *pointers, *map(np.int32, flags))
        for dtype, rows_of_dtype in of_dtype.items():
            for parameters, blocks in _optimizer_launches(rows_of_dtype):
                if counted:
                    kernel("optim", f"{name}_begin", dtype)((1,), (64,), (parameters, *arguments))
                if blocks:
                    kernel("optim", name, dtype)((blocks,), (THREADS,), (parameters, *arguments))


def _optimizer_launches(rows: list[Any]) -> list[tuple[np.ndarray, int]]:
    """The struct Parameters and the number of blocks of each launch."""
    launches: list[tuple[np.ndarray, int]] = []
    parameters: list[Any] = []
    axes: list[Any] = []
    blocks = 0
    for value, grad, buffers, step in rows:
        strides = [value.strides if buffer is None else buffer.strides for buffer in buffers]
        strides += [value.strides] * (3 - len(buffers))
        own = _optimizer_axes(value.shape, value.itemsize, value.strides, grad.strides, *strides)
        if len(parameters) == MOST_PARAMETERS or len(axes) + len(own) > MOST_AXES:
            launches.append((_parameters_struct(parameters, axes), blocks))
            parameters, axes, blocks = [], [], 0
        device = value.data.device_id
        pointers = [0 if array is None else _address(array, device) for array in (value, grad, step, *buffers)]
        of_buffers = (*pointers[3:], *[0] * (3 - len(buffers)))
        parameters.append((*pointers[:2], of_buffers, pointers[2], value.size, blocks, len(axes), len(own)))
        axes += own
        blocks += -(-value.size // PIECE)
    return [*launches, (_parameters_struct(parameters, axes), blocks)]


def _parameters_struct(parameters: list[Any], axes: list[Any]) -> np.ndarray:
    result = np.zeros((), PARAMETERS)
    result["count"] = len(parameters)
    result["parameter"][: len(parameters)] = parameters
    if axes:
        result["axis"][: len(axes)] = axes
    return result


def _address(array: Any, device: int) -> int:
    found = getattr(array.data, "device_id", None)  # NumPy arrays have none
    if found != device:
        raise ValueError(
            f"Optimizer: expected the gradient and the state of a parameter on cuda:{device} there, "
            f"got an array on {'cpu' if found is None else f'cuda:{found}'}"
        )
    return array.data.ptr


@cache
def _optimizer_axes(shape: tuple[int, ...], itemsize: int, *strides: tuple[int, ...]) -> list[tuple]:
    """The structs Axis of a parameter: none where it, its gradient and its buffers lie alike and without gaps."""
    if 0 in shape:
        return []
    value, grad, *buffers = [tuple(step // itemsize for step in own) for own in strides]
    walk = geometry.walk(shape, value, grad, None, tuple(buffers))
    axes = walk["axis"][walk["first"] :]
    alike = len(axes) == 0 or (len(axes) == 1 and {*axes["a"], *axes["b"], *axes["position"].flat} == {1})
    return [] if alike else axes.tolist()


def total_norm(arrays: list[Any], p: float) -> Any:
    """The p-norm of the elements of all arrays, as of one long vector; of shape (), in the widest of their dtypes."""
    dtype = np.result_type(*[array.dtype for array in arrays])
    if p == 0:  # as torch has it: how many arrays are not all 0
        return sum((array != 0).any().astype(dtype) for array in arrays)
    with arrays[0].device:
        launches = _launches_in_place(arrays)
        shares = cupy.empty(sum(blocks for _, _, blocks in launches), np.float64)
        begun = 0
        for of_arrays, parameters, blocks in launches:
            arguments = (parameters, shares[begun:], np.float64(p))
            kernel("optim", "norm_shares", of_arrays)((blocks,), (THREADS,), arguments)
            begun += blocks
        result = cupy.empty((), dtype)
        kernel("optim", "norm_of_shares", dtype)((1,), (THREADS,), (result, shares, np.int32(begun), np.float64(p)))
    return result


def scale_all(arrays: list[Any], factor: Any) -> None:
    """Multiplies all arrays, in place, with `factor`, of shape () and on their device."""
    with arrays[0].device:
        factor = factor.astype(np.float64, copy=False)
        for dtype, parameters, blocks in _launches_in_place(arrays):
            kernel("optim", "scale", dtype)((blocks,), (THREADS,), (parameters, factor))


def _launches_in_place(arrays: list[Any]) -> list[tuple[np.dtype, np.ndarray, int]]:
    """The dtype, the struct Parameters and the number of blocks of launches that change arrays in place."""
    launches = []
    for dtype in dict.fromkeys(array.dtype for array in arrays):
        rows: list[Any] = [(array, array, [], None) for array in arrays if array.dtype == dtype]
        launches += [(dtype, parameters, blocks) for parameters, blocks in _optimizer_launches(rows) if blocks]
    return launches
