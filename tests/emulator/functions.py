"""The functions of `cupy`, `cupy.random`, `cupy.linalg` and `cupyx`: NumPy's, where CuPy has one of that name."""

from __future__ import annotations

import math

import numpy as np

from . import machine
from .ndarray import (
    NOT_OF_BFLOAT16,
    RECORDED,
    arrays_in,
    bind,
    check_device,
    compute,
    is_bfloat16,
    mutate,
    ndarray,
    view,
)


def names(text):
    return set(text.split())


VIEWS = names(
    "array_split atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_to diagonal dsplit expand_dims flip "
    "fliplr flipud hsplit imag matrix_transpose moveaxis permute_dims ravel real reshape rollaxis rot90 split squeeze "
    "swapaxes transpose vsplit"
)
BLAS = names("dot einsum inner kron matmul outer tensordot vdot vecdot")
# Functions that need to know a value before they can go on; sorting, by thrust, ends with a synchronisation.
WAITING = names(
    "argsort lexsort sort argwhere bincount compress digitize extract flatnonzero histogram histogram2d histogramdd "
    "nonzero setdiff1d setxor1d trim_zeros union1d unique unique_all unique_counts unique_inverse unique_values "
    "array_repr array_str array2string"
)
# Functions that tell about arrays and need no device.
ABOUT = names(
    "can_cast common_type iscomplexobj isfortran isrealobj isscalar may_share_memory min_scalar_type ndim result_type "
    "shape shares_memory size array_repr array_str array2string base_repr binary_repr"
)
NOT_EMULATED = names(
    "apply_along_axis apply_over_axes asarray_chkfinite format_float_positional format_float_scientific "
    "frombuffer fromfile fromfunction fromiter fromstring genfromtxt load loadtxt piecewise save savetxt savez "
    "savez_compressed show_config test vectorize who"
)


def refuse_bfloat16(name, args):
    """For what CuPy does not do with bfloat16, or what is not known of it."""
    if any(is_bfloat16(a.dtype) for a in arrays_in(list(args))):
        raise TypeError(f"CuPy has no {name} of bfloat16")


class ufunc:
    """An elementwise function; `out` may also be the last positional argument."""

    def __init__(self, name):
        self._numpy = getattr(np, name)
        self.__name__ = name
        self.nin, self.nout, self.nargs = self._numpy.nin, self._numpy.nout, self._numpy.nargs

    def __call__(self, *args, **keywords):
        bind(self.__name__, args, keywords)
        if self.__name__ in ("divmod", "rint", "floor", "ceil", "trunc"):
            refuse_bfloat16(self.__name__, args)
        if self.__name__ in BLAS:
            machine.refuse_library_in_capture("cuBLAS")
        if len(args) > self.nin:
            args, keywords["out"] = args[: self.nin], args[self.nin]
        return compute(self._numpy, *args, **keywords)

    def at(self, a, indices, b=None):
        mutate(self._numpy.at, a, indices, *([] if b is None else [b]))

    def outer(self, A, B, **keywords):
        return compute(self._numpy.outer, A, B, **keywords)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        return compute(self._numpy.reduce, array, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        return compute(self._numpy.accumulate, array, axis=axis, dtype=dtype, out=out)


def function(name, prefix="", owner=np):
    """The function of NumPy, held to what CuPy's takes."""
    numpys = getattr(owner, name)

    def run(*args, **keywords):
        bind(prefix + name, args, keywords)
        if name in NOT_OF_BFLOAT16 or name in WAITING - {"nonzero", "flatnonzero", "argwhere"} or prefix:
            refuse_bfloat16(name, args)
        if name == "concatenate" and len(args[0]) > 8 and sum(a.nbytes for a in args[0]) < len(args[0]) << 21:
            machine.refuse_in_capture("a list of many arrays, whose addresses are copied from the host")
        if name in BLAS or prefix == "linalg.":
            machine.refuse_library_in_capture("cuBLAS")
        if name in WAITING or (name == "where" and len(args) == 1) or (prefix == "linalg." and name != "norm"):
            machine.host_waits(name)
        if name in ABOUT:
            return numpys(*_hosts(args), **keywords)
        if name in VIEWS and arrays_in([args]):
            return view(numpys, *args, **keywords)
        out_at = RECORDED["takes"][prefix + name].index("out") if "out" in RECORDED["takes"][prefix + name] else 99
        if len(args) > out_at:
            args, keywords["out"] = args[:out_at], args[out_at]
        return compute(numpys, *args, **keywords)

    run.__name__ = name
    return run


def _hosts(args):
    return [a._host if isinstance(a, ndarray) else a for a in args]


# --- arrays from other things ---------------------------------------------------------------------------------


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    order = order or "K"
    if isinstance(obj, ndarray):
        if obj.device.id != machine.state.device:
            if not (obj.flags.c_contiguous or obj.flags.f_contiguous):
                raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
            obj, copy = obj.copy(order="K"), False
        result = obj.astype(obj.dtype if dtype is None else dtype, order=order, copy=bool(copy))
    elif arrays_in([obj]):
        result = compute(lambda items: np.array(items, dtype), obj)
    else:
        host = np.asarray(obj, dtype)
        in_fortran_order = order == "F" or (order in "KA" and host.flags.fnc)
        result = ndarray(host.shape, host.dtype, order="F" if in_fortran_order else "C")
        result.set(host) if host.ndim else result.fill(host[()])  # a number is a kernel's argument
    return result if result.ndim >= ndmin else result[(None,) * (ndmin - result.ndim)]


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, bool(copy), order)


def asanyarray(a, dtype=None, order=None, *, blocking=False):
    return asarray(a, dtype, order)


def ascontiguousarray(a, dtype=None):
    return array(a, dtype, False, "C", ndmin=1)


def asfortranarray(a, dtype=None):
    return array(a, dtype, False, "F", ndmin=1)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream, order, out, blocking)
    return np.asarray(a, order=order)


def from_dlpack(array, *, device=None, copy=None):
    """An array of the same memory. CuPy takes no memory of the host so."""
    kind, index = array.__dlpack_device__()
    if kind != 2:
        raise BufferError(f"CuPy arrays cannot be made of memory of the kind {kind}")
    if index != machine.state.device:
        raise ValueError(f"the array is on device {index}, the current device is {machine.state.device}")
    given = array.__dlpack__(stream=1, max_version=(1, 0)).array
    return view(lambda host: host[...], given)


def copy(a, order="K"):
    return a.copy(order)


def get_array_module(*args):
    import cupy

    return cupy if any(isinstance(a, ndarray) for a in args) else np


# --- new arrays -----------------------------------------------------------------------------------------------


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    return prototype._like(dtype, order, shape)


def full(shape, fill_value, dtype=None, order="C"):
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, ndarray) else np.array(fill_value).dtype
    result = ndarray(shape, dtype, order=order)
    result.fill(fill_value)
    return result


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    result = a._like(dtype, order, shape)
    result.fill(fill_value)
    return result


def zeros(shape, dtype=float, order="C"):
    return full(shape, 0, dtype, order)


def ones(shape, dtype=float, order="C"):
    return full(shape, 1, dtype, order)


def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 0, dtype, order, subok, shape)


def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 1, dtype, order, subok, shape)


class _Grid:
    def __init__(self, grid):
        self._grid = grid

    def __getitem__(self, key):
        return compute(lambda: self._grid[key])


mgrid, ogrid = _Grid(np.mgrid), _Grid(np.ogrid)


# --- functions that NumPy has otherwise -----------------------------------------------------------------------


def copyto(dst, src, casting="same_kind", where=None):
    given = {"casting": casting} if where is None else {"casting": casting, "where": where._host}
    check_device(arrays_in([where]))
    mutate(lambda dst, src: np.copyto(dst, src, **given), dst, src)


def fill_diagonal(a, val, wrap=False):
    mutate(np.fill_diagonal, a, val)


def put(a, ind, v, mode="wrap"):
    mutate(lambda a, ind, v: np.put(a, ind, v, mode), a, ind, v)


def putmask(a, mask, values):
    mutate(np.putmask, a, mask, values)


def place(arr, mask, vals):
    machine.host_waits("place")
    mutate(np.place, arr, mask, vals)


def as_strided(x, shape=None, strides=None):
    return view(np.lib.stride_tricks.as_strided, x, shape=shape, strides=strides)


def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    return view(np.lib.stride_tricks.sliding_window_view, x, window_shape, axis)


def _scatter(name, ufunc, dtypes):
    def scatter(a, slices, value):
        if not any(a.dtype == np.dtype(d) for d in dtypes.split()):
            raise TypeError(f"{name} only supports {dtypes} as data type, got {a.dtype}")
        if any(i.dtype == bool for i in arrays_in([slices])):
            machine.host_waits("a boolean index")
        mutate(ufunc.at, a, slices, value)

    return scatter


ATOMIC = "int32 float32 float64 uint32 uint64"
scatter_add = _scatter("scatter_add", np.add, ATOMIC + " float16 complex64 complex128")
scatter_max = _scatter("scatter_max", np.maximum, ATOMIC)
scatter_min = _scatter("scatter_min", np.minimum, ATOMIC)


def rsqrt(x, out=None):
    return compute(lambda x: 1 / np.sqrt(x), x, out=out)


def _each(function):
    """A function of one Python float for every element of an array, of the array's dtype."""

    def over(x):
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        return np.array([function(float(v)) for v in x.flat], dtype).reshape(x.shape)

    def of_array(x, out=None):
        refuse_bfloat16("function of cupyx", [x])
        return compute(over, x, out=out)

    return of_array


def _inverse_normal(p):
    from statistics import NormalDist

    return NormalDist().inv_cdf(p) if 0 < p < 1 else {0.0: -math.inf, 1.0: math.inf}.get(p, math.nan)


SPECIAL = {
    "erf": lambda x, out=None: _each(math.erf)(x.astype(np.float64) if x.dtype == np.float16 else x, out),
    "erfc": _each(math.erfc),
    "expit": lambda x, out=None: compute(lambda x: 1 / (1 + np.exp(-x)), x, out=out),
    "ndtr": _each(lambda x: math.erfc(-x / math.sqrt(2)) / 2),
    "ndtri": _each(_inverse_normal),
}


# --- random numbers -------------------------------------------------------------------------------------------


def _drawing(name, prefix, draw):
    def method(*args, **keywords):
        bind(prefix + name, args, keywords)
        machine.refuse_library_in_capture("cuRAND")
        return compute(draw, *args, **keywords)

    return method


class Generator:
    """What cupy.random.default_rng returns. It has fewer methods than NumPy's: no `normal`, no `permutation`."""

    def __init__(self, seed=None):
        draws = np.random.default_rng(seed)
        for name in RECORDED["takes"]:
            if name.startswith("random.Generator."):
                short = name.rpartition(".")[2]
                setattr(self, short, _drawing(short, "random.Generator.", getattr(draws, short)))


def random_functions():
    """The functions of cupy.random."""
    state = np.random.RandomState()

    def seed(seed=None):
        state.seed(seed)

    names = [n.removeprefix("random.") for n in RECORDED["takes"] if n.startswith("random.") and n.count(".") == 1]
    found = {n: _drawing(n, "random.", getattr(state, n)) for n in names if hasattr(state, n)}
    dtyped = {n: _with_dtype(found[n]) for n in ("rand", "randn", "random", "random_sample", "normal", "uniform")}
    return found | dtyped | {"seed": seed, "default_rng": Generator, "Generator": Generator}


def _with_dtype(draw):
    """CuPy's functions take a dtype where NumPy's do not."""

    def method(*args, dtype=float, **keywords):
        return draw(*args, **keywords).astype(dtype, copy=False)

    return method
