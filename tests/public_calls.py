"""The table of public calls: for every public function, method and class one call that is right.

A row is `call(name, *arguments, **options)`. `name` is the path below `tinycnn`, and below `torch` unless `torch=`
gives another one ("" where torch has no such thing). Arguments are values for both libraries: a NumPy array becomes a
Tensor, `Made(function)` is made by `function(lib)`, `DType` names a dtype. Of a class, `inputs=` are what its object is
then called with, and `then=` is what is done with the result.

`tests/bad_input.py` spoils one argument of a row after the other; a test fails where a public name has no row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import tinycnn
import tinycnn.training


@dataclass(frozen=True)
class Made:
    """An argument that each library makes for itself."""

    make: Callable[[Any], Any]


class MadeFunction(Made):
    """The same for a function, in place of which another one would be as good."""


@dataclass(frozen=True)
class DType:
    name: str


@dataclass(frozen=True)
class Call:
    name: str
    arguments: tuple
    options: dict[str, Any] = field(default_factory=dict)
    inputs: tuple = ()
    torch: str | None = None
    then: Callable[[Any, Any], Any] | None = None

    def run(self, lib: Any) -> Any:
        """The call, as it stands, with `lib` tinycnn or torch."""
        _made.clear()
        path = self.name if lib.__name__ == "tinycnn" or self.torch is None else self.torch
        function: Any = lib
        for part in path.split("."):
            function = getattr(function, part)
        options = {name: given(lib, value) for name, value in self.options.items()}
        result = function(*[given(lib, value) for value in self.arguments], **options)
        if self.inputs:
            result = result(*[given(lib, value) for value in self.inputs])
        return self.then(lib, result) if self.then else result


def given(lib: Any, value: Any) -> Any:
    """A value of the table as `lib` takes it."""
    if isinstance(value, np.ndarray):
        return lib.tensor(value.copy())
    if isinstance(value, Made):
        return value.make(lib)
    if isinstance(value, DType):
        return getattr(lib, value.name, np.dtype(value.name))
    return type(value)(given(lib, v) for v in value) if type(value) in (tuple, list) else value


CALLS: list[Call] = []
_made: dict[str, Any] = {}  # what several arguments of one call share


def call(
    name: str, *arguments: Any, inputs: tuple = (), torch: str | None = None,
    then: Callable[[Any, Any], Any] | None = None, **options: Any,
) -> None:  # fmt: skip
    CALLS.append(Call(name, arguments, options, inputs, torch, then))


def real(*shape: int) -> np.ndarray:
    """From 0.1 to 0.9, float32, the same for each shape."""
    return np.random.default_rng(zlib.crc32(repr(shape).encode())).uniform(0.1, 0.9, shape).astype(np.float32)


def whole(*shape: int, below: int = 3) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, below, shape)


def mask(*shape: int) -> np.ndarray:
    return real(*shape) > 0.5


def entered(lib: Any, mode: Any) -> None:
    """Enters a context and leaves it; a function that was decorated is none."""
    if hasattr(mode, "__enter__"):
        with mode:
            pass


# --- making tensors ---------------------------------------------------------------------------------------

for name in ("zeros", "ones", "empty", "rand", "randn"):
    call(name, 2, 3, dtype=DType("float64"), requires_grad=True)
    call(name, (2, 3))
for name in ("zeros_like", "ones_like", "empty_like"):
    call(name, real(2, 3), dtype=DType("float64"), requires_grad=False)
call("full", (2, 3), 1.5, dtype=DType("float32"))
call("full_like", real(2, 3), 1.5, dtype=DType("float64"))
call("tensor", [[1.0, 2.0], [3.0, 4.0]], dtype=DType("float32"), requires_grad=True)
call("Tensor", [1.0, 2.0])
call("from_numpy", Made(lambda lib: real(2, 3)))
call("from_dlpack", Made(lambda lib: real(2, 3)), device="cpu", copy=True)
call("arange", 1, 7, 2, dtype=DType("float32"))
call("arange", 5)
call("linspace", 0.0, 1.0, 5)
call("eye", 3, 2)
call("randint", 1, 7, (2, 3))
call("randperm", 5)
call("logspace", 0.0, 2.0, 3, 10.0, dtype=DType("float64"))
for name in ("tril_indices", "triu_indices"):
    call(name, 3, 4, 1)
call("as_tensor", [1.0, 2.0], dtype=DType("float32"), device="cpu")
call("scalar_tensor", 1.5, dtype=DType("float64"))
call("normal", 1.0, 0.5, (2, 3))
call("normal", real(2, 3), real(3))
for name in ("rand_like", "randn_like"):
    call(name, real(2, 3), dtype=DType("float64"), device="cpu", requires_grad=True)
call("randint_like", real(2, 3), 1, 7)
for name in ("FloatTensor", "DoubleTensor", "HalfTensor", "LongTensor", "IntTensor", "ShortTensor", "CharTensor",
             "ByteTensor", "BoolTensor", "BFloat16Tensor"):  # fmt: skip
    call(name, [1, 0])
call("manual_seed", 3)
call("asarray", [1.0, 2.0], dtype=DType("float32"), device="cpu", copy=True)
call("device", "cpu")
call("set_num_threads", 1)
call("get_num_threads")
call("set_default_dtype", DType("float32"))
call("get_default_dtype")
call("set_float32_matmul_precision", "highest")
call("get_float32_matmul_precision")

# --- operators and methods ----------------------------------------------------------------------------------

for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "erf", "abs", "sign",
             "floor", "ceil", "round", "neg", "isnan", "isinf", "isfinite", "clone"):  # fmt: skip
    call(name, real(2, 3))
    call(f"Tensor.{name}", real(2, 3))
for name in ("add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "eq", "ne", "lt", "le", "gt", "ge",
             "maximum", "minimum", "isclose", "allclose"):  # fmt: skip
    call(name, real(2, 3), real(3))
    call(f"Tensor.{name}", real(2, 3), real(2, 3))
for name in ("add", "sub", "mul", "div", "floor_divide", "remainder", "pow", "eq", "lt"):
    call(name, real(2, 3), 0.5)
    if name in ("add", "sub"):
        call(name, real(2, 3), real(2, 3), alpha=2)
for name in ("isclose", "allclose"):
    call(name, real(2, 3), real(2, 3), 1e-4, 1e-6, True)
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    call(name, mask(2, 3), mask(2, 3))
    call(f"Tensor.{name}", whole(2, 3), 3)
call("bitwise_not", mask(2, 3))
call("Tensor.bitwise_not", whole(2, 3))
for prefix in ("", "Tensor."):
    call(f"{prefix}matmul", real(2, 3), real(3, 4))
    call(f"{prefix}clamp", real(2, 3), 0.2, 0.8)
    call(f"{prefix}clamp", real(2, 3), real(3), real(3))
    call(f"{prefix}masked_fill", real(2, 3), mask(3), -1.0)
    for name in ("sum", "mean"):
        call(f"{prefix}{name}", real(2, 3, 4), 1, True, dtype=DType("float64"))
        call(f"{prefix}{name}", real(2, 3, 4), (0, 2))
    for name in ("amax", "amin", "all", "any", "argmax", "argmin", "max", "min"):
        call(f"{prefix}{name}", real(2, 3, 4), 1, True)
        call(f"{prefix}{name}", real(2, 3))
    for name in ("var", "std"):
        call(f"{prefix}{name}", real(2, 3, 4), (0, 2), correction=1, keepdim=True)
        call(f"{prefix}{name}", real(2, 3), 1, True, False)
    call(f"{prefix}norm", real(2, 3), 2.0, 1, True)
    call(f"{prefix}norm", real(2, 3), "fro")
    call(f"{prefix}logsumexp", real(2, 3), 1, True)
    for name in ("softmax", "log_softmax", "cumsum"):
        call(f"{prefix}{name}", real(2, 3), 1)
    for name in ("sort", "argsort"):
        call(f"{prefix}{name}", real(2, 3), 1, True)
    call(f"{prefix}topk", real(2, 5), 2, 1, True)
    call(f"{prefix}gather", real(2, 3), 1, whole(2, 4))
    call(f"{prefix}reshape", real(2, 3), (3, 2))
    call(f"{prefix}flatten", real(2, 3, 4), 1, 2)
    call(f"{prefix}unflatten", real(2, 6), 1, (2, 3))
    call(f"{prefix}squeeze", real(2, 1, 3), 1)
    call(f"{prefix}squeeze", real(2, 1, 3))
    call(f"{prefix}unsqueeze", real(2, 3), 1)
    call(f"{prefix}permute", real(2, 3, 4), (2, 0, 1))
    call(f"{prefix}transpose", real(2, 3), 0, 1)
    call(f"{prefix}t", real(2, 3))
    call(f"{prefix}flip", real(2, 3), (0, 1))
    call(f"{prefix}tril", real(3, 3), 1)
    call(f"{prefix}triu", real(3, 3), -1)
    call(f"{prefix}split", real(5, 2), 2, 0)
    call(f"{prefix}split", real(5, 2), (2, 3), 0)
    call(f"{prefix}chunk", real(5, 2), 2, 0)
    for name in ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "exp2", "log2", "log10",
                 "rsqrt", "reciprocal", "square", "deg2rad", "rad2deg", "trunc", "frac", "signbit", "logical_not",
                 "absolute", "arccos", "arcsin", "arctan", "fix", "negative", "sgn", "ravel", "fliplr", "flipud",
                 "trace", "argwhere", "nonzero", "median", "mode", "nanmean", "nansum", "aminmax", "cov", "corrcoef",
                 "is_complex", "is_floating_point", "numel", "unique", "unique_consecutive"):  # fmt: skip
        call(f"{prefix}{name}", real(2, 3))
    for name in ("atan2", "arctan2", "hypot", "logaddexp", "xlogy", "logical_and", "logical_or", "logical_xor", "fmod",
                 "divide", "multiply", "subtract", "true_divide", "greater", "greater_equal", "less", "less_equal",
                 "not_equal", "equal", "clamp_min", "clamp_max", "dist"):  # fmt: skip
        call(f"{prefix}{name}", real(2, 3), real(2, 3))
    call(f"{prefix}logit", real(2, 3), 0.1)
    call(f"{prefix}nan_to_num", real(2, 3), 0.5, 2.0, -2.0)
    call(f"{prefix}lerp", real(2, 3), real(3), 0.5)
    for name in ("addcmul", "addcdiv"):
        call(f"{prefix}{name}", real(2, 3), real(3), real(2, 3), value=0.5)
    call(f"{prefix}clip", real(2, 3), 0.2, 0.8)
    call(f"{prefix}clamp_min", real(2, 3), 0.5)
    call(f"{prefix}is_nonzero", real(1))
    for name in ("mm", "inner"):
        call(f"{prefix}{name}", real(2, 3), real(3, 4) if name == "mm" else real(4, 3))
    call(f"{prefix}bmm", real(2, 2, 3), real(2, 3, 4))
    call(f"{prefix}mv", real(2, 3), real(3))
    call(f"{prefix}dot", real(3), real(3))
    for name in ("outer", "ger"):
        call(f"{prefix}{name}", real(3), real(2))
    call(f"{prefix}kron", real(2, 3), real(2))
    call(f"{prefix}cross", real(2, 3), real(2, 3), 1)
    call(f"{prefix}addmm", real(2, 4), real(2, 3), real(3, 4), beta=0.5, alpha=2.0)
    call(f"{prefix}addmv", real(2), real(2, 3), real(3), beta=0.5, alpha=2.0)
    call(f"{prefix}addr", real(2, 3), real(2), real(3), beta=0.5, alpha=2.0)
    call(f"{prefix}baddbmm", real(2, 2, 4), real(2, 2, 3), real(2, 3, 4), beta=0.5, alpha=2.0)
    call(f"{prefix}addbmm", real(2, 4), real(2, 2, 3), real(2, 3, 4), beta=0.5, alpha=2.0)
    call(f"{prefix}prod", real(2, 3), 1, True, dtype=DType("float64"))
    call(f"{prefix}prod", real(2, 3))
    call(f"{prefix}cumprod", real(2, 3), 1, dtype=DType("float64"))
    for name in ("cummax", "cummin"):
        call(f"{prefix}{name}", real(2, 3), 1)
    call(f"{prefix}median", real(2, 3), 1, True)
    call(f"{prefix}kthvalue", real(2, 3), 2, 1, True)
    call(f"{prefix}quantile", real(2, 3), 0.4, 1, True, interpolation="lower")
    call(f"{prefix}nansum", real(2, 3), 1, True)
    call(f"{prefix}nanmean", real(2, 3), 1, True)
    call(f"{prefix}aminmax", real(2, 3), dim=1, keepdim=True)
    call(f"{prefix}diff", real(2, 5), 2, 1, real(2, 1), real(2, 1))
    call(f"{prefix}bincount", whole(5), real(5), 4)
    call(f"{prefix}histc", real(5), 4, 0.2, 0.8)
    call(f"{prefix}unique", whole(5), True, True, True)
    call(f"{prefix}unique_consecutive", whole(5), True, True)
    call(f"{prefix}cov", real(2, 3), correction=0)
    call(f"{prefix}bernoulli", real(2, 3))
    call(f"{prefix}bernoulli", real(2, 3), 0.5)
    call(f"{prefix}multinomial", real(2, 3), 2, True)
    for name in ("movedim", "moveaxis", "swapaxes", "swapdims"):
        call(f"{prefix}{name}", real(2, 3, 4), 0, 2)
    call(f"{prefix}narrow", real(2, 5), 1, 1, 3)
    call(f"{prefix}select", real(2, 5), 1, 2)
    call(f"{prefix}unbind", real(2, 3), 1)
    call(f"{prefix}diag", real(3, 4), 1)
    call(f"{prefix}diagonal", real(2, 3, 4), 1, 0, 2)
    call(f"{prefix}diag_embed", real(2, 3), 1, 0, 2)
    call(f"{prefix}broadcast_to", real(3, 1), (2, 3, 4))
    call(f"{prefix}roll", real(2, 3), (1, 2), (0, 1))
    call(f"{prefix}roll", real(2, 3), 2)
    call(f"{prefix}tile", real(2, 3), (2, 2))
    call(f"{prefix}repeat_interleave", real(2, 3), 2, 1)
    call(f"{prefix}repeat_interleave", real(2, 3), whole(2), 0)
    call(f"{prefix}rot90", real(2, 3), 1, (0, 1))
    call(f"{prefix}tensor_split", real(5, 2), 2, 0)
    call(f"{prefix}tensor_split", real(5, 2), (1, 3), 0)
    call(f"{prefix}split_with_sizes", real(5, 2), (2, 3), 0)
    call(f"{prefix}index_select", real(2, 3), 1, whole(4))
    call(f"{prefix}take_along_dim", real(2, 3), whole(2, 4), 1)
    call(f"{prefix}take", real(2, 3), whole(2, 4))
    call(f"{prefix}masked_select", real(2, 3), mask(2, 3))
    call(f"{prefix}masked_scatter", real(2, 3), mask(2, 3), real(7))
    call(f"{prefix}scatter", real(2, 3), 1, whole(2, 4), real(2, 4))
    call(f"{prefix}scatter", real(2, 3), 1, whole(2, 4), 0.5)
    call(f"{prefix}scatter_add", real(2, 3), 1, whole(2, 4), real(2, 4))
    call(f"{prefix}index_add", real(2, 3), 1, whole(4), real(2, 4), alpha=0.5)
    call(f"{prefix}index_copy", real(2, 3), 1, whole(2), real(2, 2))
    call(f"{prefix}index_fill", real(2, 3), 1, whole(2), 0.5)
    call(f"{prefix}nonzero", real(2, 3), as_tuple=True)
    call(f"{prefix}count_nonzero", real(2, 3), 1)
call("where", mask(2, 3), real(2, 3), real(3))
call("where", mask(2, 3), real(2, 3), 0.5)
call("Tensor.where", real(2, 3), mask(2, 3), real(3))
call("cat", [real(2, 3), real(4, 3)], 0)
call("stack", [real(2, 3), real(2, 3)], 1)
for name in ("reshape", "view"):
    call(f"Tensor.{name}", real(2, 3), 3, -1)
call("Tensor.permute", real(2, 3), 1, 0)
call("Tensor.flip", real(2, 3), 0)
call("Tensor.expand", real(2, 1), 2, 3)
call("Tensor.expand", real(2, 1), (2, 3))
call("Tensor.expand_as", real(2, 1), real(2, 3))
call("Tensor.sum_to_size", real(2, 3), 2, 1)
call("Tensor.repeat", real(2, 3), 2, 1)
call("Tensor.contiguous", real(2, 3))
for name in ("view_as", "reshape_as"):
    call(f"Tensor.{name}", real(2, 3), real(3, 2))
call("Tensor.type_as", real(2, 3), real(3))
call("Tensor.unfold", real(2, 5), 1, 3, 2)
call("Tensor.tile", real(2, 3), 2, 2)
for name in ("new_zeros", "new_ones", "new_empty"):
    call(f"Tensor.{name}", real(2), 2, 3, dtype=DType("float64"), requires_grad=True)
call("Tensor.new_full", real(2), (2, 3), 1.5, dtype=DType("float64"), device="cpu")
call("Tensor.new_tensor", real(2), [[1.0, 2.0]], dtype=DType("float64"), device="cpu")
for name in ("short", "char", "byte", "nelement", "ndimension", "get_device", "stride"):
    call(f"Tensor.{name}", real(2, 3))
call("Tensor.stride", real(2, 3), 1)
call("Tensor.new", real(2), [1.0, 2.0])
for name in ("storage_offset", "is_shared", "share_memory_", "is_pinned"):
    call(f"Tensor.{name}", real(2, 3))
call("Tensor.pin_memory", real(2, 3), torch="")  # torch's asks for a GPU
for prefix in ("", "Tensor."):
    for name in ("fmax", "fmin", "heaviside", "nextafter"):
        call(f"{prefix}{name}", real(2, 3), real(3))
    for name in ("bitwise_left_shift", "bitwise_right_shift"):
        call(f"{prefix}{name}", whole(2, 3), whole(3))
    call(f"{prefix}positive", real(2, 3))
    call(f"{prefix}index_put", real(2, 3), [whole(2, below=2)], real(3), True)
for name in ("heaviside_", "nextafter_"):
    call(f"Tensor.{name}", real(2, 3), real(3))
for name in ("bitwise_left_shift_", "bitwise_right_shift_"):
    call(f"Tensor.{name}", whole(2, 3), whole(3))
call("Tensor.index_put_", real(2, 3), [whole(2, below=2)], real(3))
call("Tensor.cumprod_", real(2, 3), 1)
call("Tensor.addmm_", real(2, 4), real(2, 3), real(3, 4), beta=0.5, alpha=2.0)
call("Tensor.addmv_", real(2), real(2, 3), real(3), beta=0.5, alpha=2.0)
call("Tensor.addr_", real(2, 3), real(2), real(3), beta=0.5, alpha=2.0)
call("Tensor.addbmm_", real(2, 4), real(2, 2, 3), real(2, 3, 4), beta=0.5, alpha=2.0)
call("Tensor.baddbmm_", real(2, 2, 4), real(2, 2, 3), real(2, 3, 4), beta=0.5, alpha=2.0)
for name in ("atleast_1d", "atleast_2d", "atleast_3d", "block_diag"):
    call(name, real(2, 3), real(3))
call("cartesian_prod", real(2), real(3))
call("combinations", real(4), 2, True)
for name in ("vstack", "hstack", "dstack", "column_stack", "row_stack"):
    call(name, [real(2, 3), real(2, 3)])
for name in ("concat", "concatenate"):
    call(name, [real(2, 3), real(4, 3)], 0)
call("broadcast_tensors", real(3, 1), real(4))
call("isin", real(2, 3), real(2))
call("broadcast_shapes", (3, 1), (4,))
call("meshgrid", real(2), real(3), indexing="xy")
call("einsum", "ij,jk->ik", real(2, 3), real(3, 4))
call("tensordot", real(2, 3), real(3, 4), 1)
call("cdist", real(2, 3), real(4, 3), 1.0)
for name in ("var_mean", "std_mean"):
    call(name, real(2, 3), 1, correction=0, keepdim=True)
call("searchsorted", real(5), real(2, 3), right=True)
call("bucketize", real(2, 3), real(5), right=True)
call("is_tensor", real(2))
call("result_type", real(2), 1.5)
call("finfo", DType("float32"))
call("iinfo", DType("int16"))
for name in ("promote_types", "can_cast"):
    call(name, DType("float32"), DType("int16"))
call("set_printoptions", 4, 1000, 3, 80, "default", True,
     then=lambda lib, _: lib.set_printoptions(profile="default"))  # fmt: skip
for key in (0, -1, (1, 2), slice(0, 2), (slice(None), slice(1, 3)), whole(2, below=2), mask(3, 4), (None, Ellipsis, 1),
            (whole(2), slice(0, 2)), [0, 2], (mask(3), 1)):  # fmt: skip
    call("Tensor.__getitem__", real(3, 4), key)
call("Tensor.__setitem__", real(3, 4), 1, real(4))
call("Tensor.__setitem__", real(3, 4), (slice(0, 2), 1), 0.5)
call("Tensor.__setitem__", real(3, 4), mask(3, 4), 0.5)
for name in ("add_", "sub_", "mul_", "div_", "copy_"):
    call(f"Tensor.{name}", real(2, 3), real(3))
for name in ("abs_", "exp_", "expm1_", "log_", "log1p_", "sqrt_", "sin_", "cos_", "tanh_", "sigmoid_", "relu_", "erf_",
             "floor_", "ceil_", "round_", "neg_"):  # fmt: skip
    call(name, real(2, 3))
    call(f"Tensor.{name}", real(2, 3))
for prefix in ("", "Tensor."):
    call(f"{prefix}clamp_", real(2, 3), 0.2, 0.8)
call("nn.functional.relu_", real(2, 3))
for name in ("sign_", "tril_", "triu_", "normal_", "uniform_", "exponential_", "bernoulli_", "random_", "squeeze_",
             "t_"):  # fmt: skip
    call(f"Tensor.{name}", real(2, 3))
for name in ("floor_divide_", "remainder_", "pow_", "eq_", "ne_", "lt_", "le_", "gt_", "ge_"):
    call(f"Tensor.{name}", real(2, 3), real(3))
for name in ("bitwise_and_", "bitwise_or_", "bitwise_xor_"):
    call(f"Tensor.{name}", mask(2, 3), mask(2, 3))
call("Tensor.bitwise_not_", mask(2, 3))
call("Tensor.masked_fill_", real(2, 3), mask(3), -1.0)
call("Tensor.cumsum_", real(2, 3), 1)
call("Tensor.normal_", real(2, 3), 1.0, 2.0)
call("Tensor.uniform_", real(2, 3), -1.0, 2.0)
call("Tensor.random_", real(2, 3), 2, 5)
call("Tensor.bernoulli_", real(2, 3), real(3))
call("Tensor.unsqueeze_", real(2, 3), 1)
call("Tensor.transpose_", real(2, 3), 0, 1)
call("Tensor.add_", real(2, 3), 0.5, alpha=2)
call("Tensor.sub_", real(2, 3), 0.5, alpha=2)
call("Tensor.fill_", real(2, 3), 0.5)
call("Tensor.zero_", real(2, 3))
for name in ("float", "double", "half", "bfloat16", "int", "long", "bool", "cpu", "detach", "numpy", "tolist", "numel",
             "data_ptr", "dim", "element_size", "is_contiguous", "is_floating_point"):  # fmt: skip
    call(f"Tensor.{name}", real(2, 3))
call("Tensor.item", real(1))
call("Tensor.size", real(2, 3), 1)
call("Tensor.to", real(2, 3), DType("float64"))
call("Tensor.to", real(2, 3), dtype=DType("float64"), device="cpu")
call("Tensor.type", real(2, 3), DType("float64"))
call("Tensor.requires_grad_", real(2, 3), True)
call("Tensor.retain_grad", Made(lambda lib: lib.ones(2, requires_grad=True) * 2))
hook = MadeFunction(lambda lib: lambda *given: None)
call("Tensor.detach_", Made(lambda lib: lib.ones(2, requires_grad=True) * 2))
call("Tensor.register_post_accumulate_grad_hook", Made(lambda lib: lib.ones(2, requires_grad=True)), hook)
call("Tensor.register_hook", Made(lambda lib: lib.ones(2, requires_grad=True)), hook)

# --- gradients ----------------------------------------------------------------------------------------------


def summed(lib: Any) -> Any:
    return (lib.ones(3, requires_grad=True) * 2).sum()


call("Tensor.backward", Made(summed), real(), True, False)
call("Tensor.backward", Made(lambda lib: lib.ones(3, requires_grad=True) * 2), real(3))
leaf = Made(lambda lib: _leaf_and_output(lib)[0])
call("grad", Made(lambda lib: _leaf_and_output(lib)[1]), leaf, real(2, 3), True, True, True, torch="autograd.grad")
call("grad", [Made(lambda lib: _leaf_and_output(lib)[1])], [leaf], [real(2, 3)], torch="autograd.grad")
call("no_grad", then=entered)
call("inference_mode", True, then=entered)
call("inference_mode", MadeFunction(lambda lib: lambda x: x))
call("is_inference_mode_enabled")
call("is_inference", real(2, 3))
call("Tensor.is_inference", real(2, 3))
call("no_grad", MadeFunction(lambda lib: lambda x: x))
call("enable_grad", MadeFunction(lambda lib: lambda x: x))
call("set_grad_enabled", True)
call("is_grad_enabled")
differentiable = Made(lambda lib: lib.tensor([0.5, 1.0], dtype=lib.float64, requires_grad=True))
call("gradcheck", MadeFunction(lambda lib: lib.exp), [differentiable], torch="autograd.gradcheck",
     eps=1e-6, atol=1e-5, rtol=1e-3)  # fmt: skip
call("gradgradcheck", MadeFunction(lambda lib: lib.exp), [differentiable], torch="autograd.gradgradcheck")

def _leaf_and_output(lib: Any) -> Any:
    """A leaf and what was computed from it, the same two for all arguments of a call."""
    if "leaf" not in _made:
        x = lib.ones(2, 3, requires_grad=True)
        _made["leaf"] = x, x * x
    return _made["leaf"]


# --- nn.functional ------------------------------------------------------------------------------------------

F = "nn.functional."
for name in ("relu", "sigmoid", "tanh", "silu", "hardswish", "logsigmoid"):
    call(F + name, real(2, 3))
call(F + "leaky_relu", real(2, 3), 0.1)
call(F + "elu", real(2, 3), 0.5)
call(F + "gelu", real(2, 3), approximate="tanh")
call(F + "softplus", real(2, 3), 2.0, 10.0)
call(F + "softmax", real(2, 3), 1, torch="softmax")
call(F + "log_softmax", real(2, 3), 1, torch="log_softmax")
SPATIAL = (7, 6, 5)
for d in (1, 2, 3):
    extent = SPATIAL[:d]
    x, kernel = real(2, 4, *extent), (3, 2, 2)[:d]
    call(f"{F}conv{d}d", x, real(6, 2, *kernel), real(6), 1, (1,) * d, 2 if d < 2 else 1, 2)
    call(f"{F}conv_transpose{d}d", x, real(4, 3, *kernel), real(6), 2, 1, 1, 2, 1)
    call(f"{F}max_pool{d}d", x, 3, (2,) * d, 1, 1, False, False)
    call(f"{F}avg_pool{d}d", x, (3,) * d, 2, 1, False, True, **({"divisor_override": 2} if d > 1 else {}))
    call(f"{F}adaptive_avg_pool{d}d", x, (2,) * d)
    call(f"{F}adaptive_max_pool{d}d", x, 2, False)
    pooled = tuple(n // 2 for n in extent)
    places = np.broadcast_to(np.arange(np.prod(pooled)).reshape(pooled), (2, 4, *pooled)).copy()
    call(f"{F}max_unpool{d}d", real(2, 4, *pooled), places, 2, 2, 0, extent)
    call(f"{F}dropout{d}d", x, 0.5, True)
    mode = ("linear", "bilinear", "trilinear")[d - 1]
    call(f"{F}interpolate", x, (4,) * d, None, mode, False)
call(F + "conv2d", real(4, 5, 5), real(6, 4, 3, 3), None, 1, "same")
call(F + "interpolate", real(1, 2, 4, 4), None, 2.0, "nearest")
call(F + "unfold", real(2, 3, 5, 4), (2, 3), 1, (1, 0), 2)
call(F + "fold", real(2, 12, 12), (4, 5), (2, 2), 1, 0, 1)
call(F + "pad", real(2, 3, 4), (1, 2), "constant", 0.5)
call(F + "pad", real(2, 3, 4), (1, 2), "reflect")
call(F + "pixel_shuffle", real(2, 8, 3, 2), 2)
call(F + "pixel_unshuffle", real(2, 2, 4, 6), 2)
call(F + "linear", real(2, 3), real(4, 3), real(4))
call(F + "one_hot", whole(5), 4)
call(F + "dropout", real(2, 3), 0.5, True)
call(F + "batch_norm", real(3, 4, 2), real(4), real(4), real(4), real(4), True, 0.1, 1e-5)
call(F + "batch_norm", real(3, 4, 2), real(4), real(4), real(4), real(4), False)
call(F + "layer_norm", real(2, 3, 4), (3, 4), real(3, 4), real(3, 4), 1e-5)
call(F + "group_norm", real(2, 4, 3), 2, real(4), real(4), 1e-5)
call(F + "instance_norm", real(2, 4, 3), real(4), real(4), real(4), real(4), True, 0.1, 1e-5)
call(F + "cross_entropy", real(4, 3), whole(4), real(3), ignore_index=-100, reduction="mean", label_smoothing=0.1)
call(F + "cross_entropy", real(4, 3), real(4, 3))
call(F + "nll_loss", real(4, 3), whole(4), real(3), ignore_index=1, reduction="sum")
call(F + "mse_loss", real(4, 3), real(4, 3), reduction="mean")
call(F + "l1_loss", real(4, 3), real(4, 3), reduction="none")
call(F + "smooth_l1_loss", real(4, 3), real(4, 3), reduction="mean", beta=0.5)
call(F + "binary_cross_entropy", real(4, 3), real(4, 3), real(4, 3), reduction="mean")
call(F + "binary_cross_entropy_with_logits", real(4, 3), real(4, 3), real(4, 3), reduction="mean", pos_weight=real(3))

for name in ("mish", "selu", "softsign", "tanhshrink", "relu6", "hardsigmoid"):
    call(F + name, real(2, 3))
for name in ("celu", "hardshrink", "softshrink"):
    call(F + name, real(2, 3), 0.5)
for name, options in {"leaky_relu_": (0.2,), "elu_": (0.5,), "celu_": (0.5,), "selu_": (), "hardtanh_": (-0.5, 0.5),
                      "threshold_": (0.5, 2.0), "rrelu": (0.2, 0.3, False), "rrelu_": (0.2, 0.3, False)}.items():
    call(F + name, real(2, 3), *options)
for name in ("alpha_dropout", "feature_alpha_dropout"):
    call(F + name, real(2, 3), 0.3, True)
call(F + "multilabel_margin_loss", real(2, 3), np.array([[1, 0, -1], [-1, 2, 0]]), reduction="sum")
call(F + "glu", real(2, 4), 1)
call(F + "softmin", real(2, 4), 1)
call(F + "gumbel_softmax", real(2, 4), 0.5, True, 1e-10, 1)
call(F + "hardtanh", real(2, 3), -0.5, 0.5)
call(F + "threshold", real(2, 3), 0.5, 2.0)
call(F + "prelu", real(2, 3), real(3))
call(F + "normalize", real(2, 3), 2.0, 1, 1e-12)
call(F + "cosine_similarity", real(2, 3), real(2, 3), 1, 1e-8)
call(F + "pairwise_distance", real(2, 3), real(2, 3), 2.0, 1e-6, True)
call(F + "bilinear", real(2, 3), real(2, 4), real(5, 3, 4), real(5))
call(F + "embedding", whole(2, 3), real(3, 4), 1)
call(F + "affine_grid", real(2, 2, 3), (2, 3, 4, 5), False)
call(F + "grid_sample", real(2, 3, 4, 5), real(2, 3, 4, 2), "bilinear", "border", True)
call(F + "rms_norm", real(2, 3, 4), (3, 4), real(3, 4), 1e-5)
call(F + "local_response_norm", real(2, 4, 3), 3, 1e-4, 0.75, 1.0)
call(F + "channel_shuffle", real(2, 4, 3), 2)
call(F + "upsample", real(1, 2, 3, 4), (4, 6), None, "bilinear", True)
call(F + "huber_loss", real(4, 3), real(4, 3), "mean", 0.5)
call(F + "kl_div", real(4, 3), real(4, 3), reduction="batchmean", log_target=False)
call(F + "poisson_nll_loss", real(4, 3), real(4, 3), True, True, eps=1e-8, reduction="sum")
call(F + "gaussian_nll_loss", real(4, 3), real(4, 3), real(4, 3), True, 1e-6, "sum")
call(F + "margin_ranking_loss", real(4), real(4), real(4), 0.1, reduction="sum")
call(F + "hinge_embedding_loss", real(4, 3), real(4, 3), 0.1, reduction="sum")
call(F + "cosine_embedding_loss", real(4, 3), real(4, 3), real(4), 0.1, reduction="sum")
call(F + "triplet_margin_loss", real(4, 3), real(4, 3), real(4, 3), 0.1, 2.0, 1e-6, True, reduction="sum")
call(F + "soft_margin_loss", real(4, 3), real(4, 3), reduction="sum")
call(F + "multilabel_soft_margin_loss", real(4, 3), real(4, 3), real(3), reduction="sum")
call(F + "multi_margin_loss", real(4, 3), whole(4), 2, 0.5, real(3), reduction="sum")

# --- nn.init ------------------------------------------------------------------------------------------------

INIT = "nn.init."
weight = Made(lambda lib: lib.empty(4, 3))
kernel_weight = Made(lambda lib: lib.empty(4, 2, 3, 3))
call(INIT + "calculate_gain", "leaky_relu", 0.2)
call(INIT + "uniform_", weight, -1.0, 1.0)
call(INIT + "normal_", weight, 0.0, 2.0)
call(INIT + "constant_", weight, 0.5)
for name in ("zeros_", "ones_", "eye_"):
    call(INIT + name, weight)
for name in ("kaiming_uniform_", "kaiming_normal_"):
    call(INIT + name, kernel_weight, 0.1, "fan_out", "leaky_relu")
for name in ("xavier_uniform_", "xavier_normal_", "orthogonal_"):
    call(INIT + name, kernel_weight, 1.5)
call(INIT + "trunc_normal_", weight, 0.0, 1.0, -2.0, 2.0)
call(INIT + "dirac_", kernel_weight, 2)
call(INIT + "fans", kernel_weight, torch="nn.init._calculate_fan_in_and_fan_out")
call(INIT + "sparse_", weight, 0.3, 0.01)

# --- layers: the constructor's arguments, then the inputs ---------------------------------------------------

for d in (1, 2, 3):
    extent, kernel = SPATIAL[:d], (3, 2, 2)[:d]
    x = real(2, 4, *extent)
    call(f"nn.Conv{d}d", 4, 6, kernel, 1, (1,) * d, 1, 2, True, "zeros", inputs=(x,), dtype=DType("float32"))
    call(f"nn.ConvTranspose{d}d", 4, 6, kernel, 2, 1, 1, 2, True, 1, inputs=(x,))
    call(f"nn.MaxPool{d}d", 3, 2, 1, 1, False, False, inputs=(x,))
    call(f"nn.AvgPool{d}d", 3, 2, 1, False, True, inputs=(x,))
    places = np.arange(2**d).reshape(1, 1, *[2] * d).repeat(2, 1)
    call(f"nn.MaxUnpool{d}d", 2, 2, 0, inputs=(real(1, 2, *[2] * d), places))
    call(f"nn.AdaptiveAvgPool{d}d", (2,) * d, inputs=(x,))
    call(f"nn.AdaptiveMaxPool{d}d", 2, inputs=(x,))
    call(f"nn.BatchNorm{d}d", 4, 1e-5, 0.1, True, True, inputs=(x,))
    call(f"nn.InstanceNorm{d}d", 4, 1e-5, 0.1, True, True, inputs=(x,))
    call(f"nn.Dropout{d}d", 0.3, inputs=(x,))
call("nn.Conv2d", 4, 6, 3, padding="same", padding_mode="reflect", inputs=(real(2, 4, 6, 5),))
call("nn.Dropout", 0.3, inputs=(real(2, 3),))
call("nn.Linear", 3, 4, True, dtype=DType("float32"), inputs=(real(2, 3),))
call("nn.LayerNorm", (3, 4), 1e-5, True, True, inputs=(real(2, 3, 4),))
call("nn.GroupNorm", 2, 4, 1e-5, True, inputs=(real(2, 4, 3),))
for name in ("ReLU", "Tanh", "Sigmoid", "SiLU", "Hardswish", "LogSigmoid"):
    call(f"nn.{name}", inputs=(real(2, 3),))
call("nn.LeakyReLU", 0.1, inputs=(real(2, 3),))
call("nn.ELU", 0.5, inputs=(real(2, 3),))
call("nn.GELU", "tanh", inputs=(real(2, 3),))
call("nn.Softplus", 2.0, 10.0, inputs=(real(2, 3),))
call("nn.Softmax", 1, inputs=(real(2, 3),))
call("nn.LogSoftmax", 1, inputs=(real(2, 3),))
call("nn.Flatten", 1, -1, inputs=(real(2, 3, 4),))
call("nn.Unflatten", 1, (2, 3), inputs=(real(2, 6),))
call("nn.Identity", inputs=(real(2, 3),))
call("nn.Unfold", (2, 3), 1, (1, 0), 2, inputs=(real(2, 3, 5, 4),))
call("nn.Fold", (4, 5), (2, 2), 1, 0, 1, inputs=(real(2, 12, 12),))
call("nn.Upsample", (4, 6), mode="bilinear", align_corners=True, inputs=(real(1, 2, 3, 4),))
call("nn.Upsample", scale_factor=2, mode="nearest", inputs=(real(1, 2, 3, 4),))
call("nn.PixelShuffle", 2, inputs=(real(2, 8, 3, 2),))
call("nn.PixelUnshuffle", 2, inputs=(real(2, 2, 4, 6),))
call("nn.CrossEntropyLoss", real(3), ignore_index=-100, reduction="mean", label_smoothing=0.1,
     inputs=(real(4, 3), whole(4)))  # fmt: skip
call("nn.NLLLoss", real(3), ignore_index=-100, reduction="mean", inputs=(real(4, 3), whole(4)))
for name in ("MSELoss", "L1Loss"):
    call(f"nn.{name}", reduction="sum", inputs=(real(4, 3), real(4, 3)))
call("nn.SmoothL1Loss", reduction="mean", beta=0.5, inputs=(real(4, 3), real(4, 3)))
call("nn.BCELoss", real(4, 3), reduction="mean", inputs=(real(4, 3), real(4, 3)))
call("nn.BCEWithLogitsLoss", real(4, 3), reduction="mean", pos_weight=real(3), inputs=(real(4, 3), real(4, 3)))

for name in ("ReLU6", "Hardsigmoid", "Mish", "SELU", "Softsign", "Tanhshrink"):
    call(f"nn.{name}", inputs=(real(2, 3),))
for name in ("CELU", "Hardshrink", "Softshrink"):
    call(f"nn.{name}", 0.5, inputs=(real(2, 3),))
call("nn.Hardtanh", -0.5, 0.5, inputs=(real(2, 3),))
call("nn.RReLU", 0.2, 0.3, inputs=(real(2, 3),))
for name in ("AlphaDropout", "FeatureAlphaDropout"):
    call(f"nn.{name}", 0.3, inputs=(real(2, 3),))
call("nn.MultiLabelMarginLoss", reduction="sum", inputs=(real(2, 3), np.array([[1, 0, -1], [-1, 2, 0]])))
call("nn.Threshold", 0.5, 2.0, inputs=(real(2, 3),))
call("nn.PReLU", 3, 0.25, inputs=(real(2, 3),))
call("nn.GLU", 1, inputs=(real(2, 4),))
call("nn.Softmin", 1, inputs=(real(2, 4),))
call("nn.Softmax2d", inputs=(real(2, 4, 2, 2),))
call("nn.ChannelShuffle", 2, inputs=(real(2, 4, 3),))
call("nn.UpsamplingNearest2d", None, 2, inputs=(real(1, 2, 3, 4),))
call("nn.UpsamplingBilinear2d", (4, 6), inputs=(real(1, 2, 3, 4),))
call("nn.LocalResponseNorm", 3, 1e-4, 0.75, 1.0, inputs=(real(2, 4, 3),))
call("nn.RMSNorm", (3, 4), 1e-5, True, inputs=(real(2, 3, 4),))
call("nn.CosineSimilarity", 1, 1e-8, inputs=(real(2, 3), real(2, 3)))
call("nn.PairwiseDistance", 2.0, 1e-6, True, inputs=(real(2, 3), real(2, 3)))
call("nn.Bilinear", 3, 4, 5, True, inputs=(real(2, 3), real(2, 4)))
call("nn.Embedding", 3, 4, 1, inputs=(whole(2, 3),))
for d in (1, 2, 3):
    extent, kernel = SPATIAL[:d], (3, 2, 2)[:d]
    x = real(2, 4, *extent)
    for kind in ("Circular", "Reflection", "Replication", "Zero"):
        call(f"nn.{kind}Pad{d}d", (1,) * (2 * d), inputs=(x,))
    call(f"nn.ConstantPad{d}d", 1, 0.5, inputs=(x,))
    call(f"nn.LazyConv{d}d", 6, kernel, 1, (1,) * d, 1, 2, True, "zeros", inputs=(x,), dtype=DType("float32"))
    call(f"nn.LazyConvTranspose{d}d", 6, kernel, 2, 1, 1, 2, True, 1, inputs=(x,))
    call(f"nn.LazyBatchNorm{d}d", 1e-5, 0.1, True, True, inputs=(x,))
    call(f"nn.LazyInstanceNorm{d}d", 1e-5, 0.1, True, True, inputs=(x,))
for d in (1, 2, 3):
    size = 2 if d == 1 else (2,) * d  # as torch's lp_pool1d wants it
    call(f"{F}lp_pool{d}d", real(2, 4, *SPATIAL[:d]), 2.0, size, 1, True)
    call(f"nn.LPPool{d}d", 2.0, size, 1, True, inputs=(real(2, 4, *SPATIAL[:d]),))
call("nn.LazyLinear", 4, True, dtype=DType("float32"), inputs=(real(2, 3),))
call("nn.HuberLoss", reduction="mean", delta=0.5, inputs=(real(4, 3), real(4, 3)))
call("nn.KLDivLoss", reduction="batchmean", log_target=False, inputs=(real(4, 3), real(4, 3)))
call("nn.PoissonNLLLoss", True, True, eps=1e-8, reduction="sum", inputs=(real(4, 3), real(4, 3)))
call("nn.GaussianNLLLoss", full=True, eps=1e-6, reduction="sum", inputs=(real(4, 3), real(4, 3), real(4, 3)))
call("nn.MarginRankingLoss", 0.1, reduction="sum", inputs=(real(4), real(4), real(4)))
call("nn.HingeEmbeddingLoss", 0.1, reduction="sum", inputs=(real(4, 3), real(4, 3)))
call("nn.CosineEmbeddingLoss", 0.1, reduction="sum", inputs=(real(4, 3), real(4, 3), real(4)))
call("nn.TripletMarginLoss", 0.1, 2.0, 1e-6, True, reduction="sum", inputs=(real(4, 3), real(4, 3), real(4, 3)))
call("nn.SoftMarginLoss", reduction="sum", inputs=(real(4, 3), real(4, 3)))
call("nn.MultiLabelSoftMarginLoss", real(3), reduction="sum", inputs=(real(4, 3), real(4, 3)))
call("nn.MultiMarginLoss", 2, 0.5, real(3), reduction="sum", inputs=(real(4, 3), whole(4)))

# --- modules ------------------------------------------------------------------------------------------------

net = Made(lambda lib: lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.ReLU(), lib.nn.Linear(4, 2)))
linear = Made(lambda lib: lib.nn.Linear(3, 4))
call("nn.Parameter", real(2, 3), True)
call("nn.Buffer", real(2, 3), persistent=False)
call("nn.UninitializedParameter", True, dtype=DType("float32"), torch="nn.UninitializedParameter")
call("nn.UninitializedBuffer", False, dtype=DType("float32"))
call("nn.ParameterList", Made(lambda lib: [lib.ones(2), lib.ones(3)]))
call("nn.ParameterDict", Made(lambda lib: {"first": lib.ones(2)}))
call("nn.Sequential", linear, Made(lambda lib: lib.nn.Tanh()), inputs=(real(2, 3),))
call("nn.ModuleList", [linear, linear])
call("nn.ModuleDict", Made(lambda lib: {"first": lib.nn.Linear(3, 4)}))
M = "nn.Module."
call("nn.Module")
for name in ("children", "named_children", "modules", "named_modules", "parameters", "named_parameters", "buffers",
             "named_buffers", "state_dict", "eval", "cpu", "half", "bfloat16", "float", "double",
             "extra_repr"):  # fmt: skip
    call(M + name, net)
call(M + "train", net, True)
call(M + "requires_grad_", net, True)
call(M + "zero_grad", net, True)
call(M + "apply", net, MadeFunction(lambda lib: lambda module: None))
call(M + "to", net, "cpu", DType("float64"))
call(M + "to", net, dtype=DType("float64"), device="cpu")
call(M + "type", net, DType("float64"))
call(M + "get_submodule", net, "0")
call(M + "get_parameter", net, "0.weight")
call(M + "get_buffer", Made(lambda lib: lib.nn.BatchNorm1d(2)), "running_mean")
call(M + "register_parameter", net, "p", Made(lambda lib: lib.nn.Parameter(lib.ones(2))))
call(M + "register_buffer", net, "b", real(2), True)
call(M + "add_module", net, "m", linear)
call(M + "register_module", net, "m", linear)
for name in ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
             "register_backward_hook", "register_full_backward_pre_hook"):  # fmt: skip
    call(M + name, net, hook)
for name in ("register_state_dict_pre_hook", "register_state_dict_post_hook", "register_load_state_dict_pre_hook"):
    call(M + name, net, hook)
call(M + "compile", net)
call(M + "share_memory", net)
call("nn.Sequential.append", net, linear)
call("nn.Sequential.insert", net, 1, linear)
call("nn.Sequential.extend", net, [linear])
call("nn.Sequential.__getitem__", net, 1)

# --- optimizers ---------------------------------------------------------------------------------------------


def parameters(lib: Any) -> list:
    found = [lib.ones(2, 3, requires_grad=True), lib.ones(3, requires_grad=True)]
    for x in found:
        x.grad = lib.full(tuple(x.shape), 0.5)
    return found


def step(lib: Any, optimizer: Any) -> None:
    optimizer.step()


params = Made(parameters)
sgd = Made(lambda lib: lib.optim.SGD(parameters(lib), lr=0.1, momentum=0.9))
call("optim.SGD", params, lr=0.1, momentum=0.9, dampening=0.0, weight_decay=1e-4, nesterov=True, maximize=False,
     then=step)  # fmt: skip
call("optim.SGD", params, weight_decay=1e-4, decoupled_weight_decay=True, torch="", then=step)  # an option of ours
call("optim.Adam", params, weight_decay=1e-4, decoupled_weight_decay=True, then=step)
call("optim.Lion", params, lr=0.1, betas=(0.9, 0.99), weight_decay=0.1, maximize=False, torch="", then=step)
call("optim.Muon", Made(lambda lib: parameters(lib)[:1]), lr=0.1, weight_decay=0.1, momentum=0.9, nesterov=True,
     ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn="original", then=step)  # fmt: skip
for name in ("Adam", "AdamW"):
    call(f"optim.{name}", params, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=1e-4, amsgrad=True, maximize=False,
         then=step)  # fmt: skip
call("optim.RMSprop", params, lr=0.1, alpha=0.9, eps=1e-8, weight_decay=0.1, momentum=0.9, centered=True,
     maximize=False, then=step)  # fmt: skip
call("optim.Adagrad", params, lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1, eps=1e-10,
     maximize=False, then=step)  # fmt: skip
call("optim.Adadelta", params, lr=0.1, rho=0.9, eps=1e-6, weight_decay=0.1, maximize=False, then=step)
call("optim.Adamax", params, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, maximize=False, then=step)
call("optim.NAdam", params, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, momentum_decay=4e-3,
     decoupled_weight_decay=True, maximize=False, then=step)  # fmt: skip
call("optim.RAdam", params, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, decoupled_weight_decay=True,
     maximize=False, then=step)  # fmt: skip
call("optim.ASGD", params, lr=0.1, lambd=1e-4, alpha=0.75, t0=10, weight_decay=0.1, maximize=False, then=step)
call("optim.Rprop", params, lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50), maximize=False, then=step)
call("optim.LBFGS", params, lr=0.1, max_iter=3, max_eval=5, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=2)
call("optim.LBFGS", params, line_search_fn="strong_wolfe")
call("optim.Optimizer", params, Made(lambda lib: {"lr": 0.1}))
call("optim.Optimizer.add_param_group", sgd, Made(lambda lib: {"params": [lib.ones(2, requires_grad=True)]}))
call("optim.Optimizer.zero_grad", sgd, True)
call("optim.SGD.step", sgd)
for prefix in ("optim.", "nn.utils."):
    call(prefix + "clip_grad_norm_", params, 0.5, 2.0, False, torch="nn.utils.clip_grad_norm_")
    call(prefix + "clip_grad_value_", params, 0.5, torch="nn.utils.clip_grad_value_")
vector = "nn.utils."
call(vector + "parameters_to_vector", params)
call(vector + "get_total_norm", params, 2.0, False)
call(vector + "vector_to_parameters", real(9), params)
for name in ("weight_norm", "spectral_norm"):
    call(vector + name, linear, "weight", dim=0)
    normed = Made(lambda lib, name=name: getattr(lib.nn.utils, name)(lib.nn.Linear(3, 4)))
    call(f"{vector}remove_{name}", normed, "weight")
S = "optim.lr_scheduler."
call(S + "MultiplicativeLR", sgd, MadeFunction(lambda lib: lambda epoch: 0.5), then=step)
call(S + "ConstantLR", sgd, 0.5, 4, then=step)
call(S + "PolynomialLR", sgd, 4, 2.0, then=step)
call(S + "CosineAnnealingWarmRestarts", sgd, 5, 2, 0.01, then=step)
call(S + "CyclicLR", sgd, 0.1, 0.5, 5, 5, "triangular2", 0.9, cycle_momentum=True, base_momentum=0.8, max_momentum=0.9,
     then=step)  # fmt: skip
call(S + "ChainedScheduler", Made(lambda lib: [lib.optim.lr_scheduler.StepLR(lib.optim.SGD(parameters(lib)), 2)]),
     then=step)  # fmt: skip
call(S + "LambdaLR", sgd, MadeFunction(lambda lib: lambda epoch: 0.5), then=step)
call(S + "StepLR", sgd, 2, 0.5, then=step)
call(S + "MultiStepLR", sgd, [2, 4], 0.5, then=step)
call(S + "ExponentialLR", sgd, 0.9, then=step)
call(S + "LinearLR", sgd, 0.5, 1.0, 4, then=step)
call(S + "CosineAnnealingLR", sgd, 5, 0.01, then=step)
call(S + "OneCycleLR", sgd, 0.5, total_steps=10, pct_start=0.3, anneal_strategy="cos", cycle_momentum=True,
     base_momentum=0.85, max_momentum=0.95, div_factor=25.0, final_div_factor=1e4, three_phase=False,
     then=step)  # fmt: skip
call(S + "OneCycleLR", sgd, 0.5, epochs=3, steps_per_epoch=4)
call(S + "ReduceLROnPlateau", sgd, "min", 0.5, 3, 1e-4, "rel", 1, 0.001, 1e-8, then=lambda lib, s: s.step(0.5))
call(S + "ReduceLROnPlateau.step", Made(lambda lib: lib.optim.lr_scheduler.ReduceLROnPlateau(sgd.make(lib))), 0.5)
schedule = Made(lambda lib: _schedule(lib))
call(S + "SequentialLR", Made(lambda lib: _optimizer(lib)), [schedule, schedule], [2])


def _optimizer(lib: Any) -> Any:
    """One optimizer for all arguments of a call."""
    if "optimizer" not in _made:
        _made["optimizer"] = sgd.make(lib)
    return _made["optimizer"]


def _schedule(lib: Any) -> Any:
    return lib.optim.lr_scheduler.ExponentialLR(_optimizer(lib), 0.9)


# --- precision and tools --------------------------------------------------------------------------------------

call("autocast", "cpu", dtype=DType("float16"), enabled=True, cache_enabled=True, torch="")
call("amp.autocast", "cpu", "bfloat16", True, torch="")
call("is_autocast_enabled", "cpu")
call("get_autocast_dtype", "cpu", torch="")
call("amp.is_autocast_available", "cpu")
call("amp.GradScaler", "cpu", 65536.0, 2.0, 0.5, 2000, True)
call("conv_parts", Made(lambda lib: lib.nn.Conv2d(1, 2, 3)), real(1, 1, 5, 5), torch="")
call("graph", Made(summed), torch="")
call("record", net, torch="")
call("summary", net, (2, 3), show=False, torch="")
call("detect_anomaly", torch="autograd.detect_anomaly")

# --- training -------------------------------------------------------------------------------------------------


def _trained(lib: Any) -> Any:
    """One net for all arguments of a call."""
    return _made.setdefault("trained", lib.nn.Linear(3, 2))


T = "training."
call(T + "EMA", 0.9, torch="")
call(T + "ClipGradients", 1.0, 2.0, torch="")
call(T + "EarlyStopping", "test_loss", 5, 0.0, "min", torch="")
call(T + "GradientNorms", 50, torch="")
call(T + "StopOnNan", 1, torch="")
call(T + "Progress", "title", 20, torch="")
call(T + "PrintFigures", "title", 3, torch="")
call(T + "JsonLines", "metrics.jsonl", {"seed": 3}, torch="")
call(T + "TensorBoard", "board", 50, torch="")
call(T + "Checkpoints", "checkpoints", 5, 3, "test_loss", "min", None, "how to go on", torch="")
call(
    T + "Trainer", Made(_trained), Made(lambda lib: lib.optim.SGD(_trained(lib).parameters(), 0.1)),
    MadeFunction(lambda lib: lib.nn.functional.cross_entropy), scheduler=None, schedule="epoch", metrics=None,
    augment=None, mix=None, accumulate=2, precision="bfloat16", capture=False, callbacks=[], torch="",
)  # fmt: skip

# --- settings -------------------------------------------------------------------------------------------------

call("Generator", "cpu")
call("seed", torch="")
call("initial_seed")
call("get_rng_state")
call("set_rng_state", Made(lambda lib: lib.get_rng_state()))
call("set_flush_denormal", False)
call("set_num_interop_threads", 1, torch="")
call("set_default_device", None)
call("set_default_tensor_type", "torch.FloatTensor")
call("use_deterministic_algorithms", False, warn_only=True)
for name in ("are_deterministic_algorithms_enabled", "get_default_device", "get_num_interop_threads"):
    call(name)
call("compile", net, torch="")
call("nn.DataParallel", net, inputs=(real(2, 3),))
call("nn.SyncBatchNorm", 3, inputs=(real(4, 3, 2),), torch="")  # torch's wants a GPU

# --- in place ---------------------------------------------------------------------------------------------------

call("Tensor.fill_diagonal_", real(2, 3), 0.5)
# The other forms take what the functions take.
for row in [*CALLS]:
    form = f"{row.name}_"
    known = {other.name for other in CALLS}
    if row.name.startswith("Tensor.") and hasattr(tinycnn.Tensor, form[7:]) and form not in known:
        CALLS.append(replace(row, name=form, torch=row.torch and f"{row.torch}_"))

# Functions of nn.functional that are below tinycnn, too.
for row in [row for row in CALLS if row.name.startswith(F)]:
    name = row.name.removeprefix(F)
    if row.torch is None and getattr(tinycnn, name, None) is getattr(tinycnn.nn.functional, name):
        call(name, *row.arguments, **row.options)
