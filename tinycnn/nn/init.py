"""Initial values of parameters, written in place; names, arguments and distributions are torch's."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn._bfloat16 import FLOATING
from tinycnn.autograd import no_grad
from tinycnn.checks import Number, check_choice, check_not_negative, check_number, check_positive, check_share
from tinycnn.dtypes import fitted
from tinycnn.nn.arguments import refuse_others
from tinycnn.tensor import Tensor

check_gain = Number(at_least=0, below=math.inf)
_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a layer followed by `nonlinearity`."""
    return _gain("calculate_gain", nonlinearity, param)


def _gain(name: str, nonlinearity: str, param: float | None) -> float:
    if not isinstance(nonlinearity, str) or not nonlinearity.startswith("conv"):
        check_choice(name, "nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    if nonlinearity != "leaky_relu":
        return _GAINS.get(nonlinearity, 1.0)
    slope = 0.01 if param is None else Number(above=-math.inf)(name, "the slope of leaky_relu", param)
    return math.sqrt(2 / (1 + slope**2))


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs one output sees, and how many outputs one input reaches."""
    return _fans("fans", tensor)


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    refuse_others(name, tensor=tensor)
    if tensor.ndim < 2:
        raise ValueError(f"{name}: expected a tensor of at least 2 dimensions, got shape {tensor.shape}")
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


def _check(name: str, tensor: Tensor, is_drawn: bool = True, **numbers: float) -> None:
    """TypeError unless `tensor` is one, of floating point if its values are drawn, and the rest are numbers."""
    refuse_others(name, tensor=tensor)
    if is_drawn and tensor.dtype.kind not in FLOATING:
        raise TypeError(f"{name}: expected a floating-point tensor, got {tensor.dtype}")
    for argument, number in numbers.items():
        check = {"std": check_not_negative, "gain": check_gain}.get(argument, check_number)
        check(name, argument, number)


def _write(tensor: Tensor, values: Any) -> Tensor:
    with backend.on(tensor.device):
        tensor._array[...] = values
    tensor._changed_in_place()
    return tensor


def _generator(tensor: Tensor) -> Any:
    return backend.random_generator(tensor.device)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform on [a, b)."""
    _check("uniform_", tensor, a=a, b=b)
    if not (a <= b and math.isfinite(b - a)):
        raise ValueError(f"uniform_: expected finite a and b, a of at most b, got a={a} and b={b}")
    return _uniform(tensor, a, b)


def _uniform(tensor: Tensor, a: float, b: float) -> Tensor:
    with no_grad():
        return tensor.uniform_(a, b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with this mean and standard deviation."""
    _check("normal_", tensor, mean=mean, std=std)
    return _normal(tensor, mean, std)


def _normal(tensor: Tensor, mean: float, std: float) -> Tensor:
    with no_grad():
        return tensor.normal_(mean, std)


def _drawn_as(tensor: Tensor) -> Any:
    return np.float64 if tensor.dtype == np.float64 else np.float32


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    _check("constant_", tensor, False, val=val)
    return _write(tensor, fitted("constant_", "val", val, tensor.dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    _check("zeros_", tensor, False)
    return _write(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    _check("ones_", tensor, False)
    return _write(tensor, 1)


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform on ±gain · √(3 / fan). Source: He et al., 2015."""
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _uniform(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal with standard deviation gain / √fan. Source: He et al., 2015."""
    return _normal(tensor, 0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    _check(name, tensor)
    check_choice(name, "mode", mode, ("fan_in", "fan_out"))
    fan, gain = _fans(name, tensor)[mode == "fan_out"], _gain(name, nonlinearity, a)
    return gain / math.sqrt(fan) if fan else 0.0


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform on ±gain · √(6 / (fan_in + fan_out)). Source: Glorot and Bengio, 2010."""
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", tensor, gain)
    return _uniform(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with standard deviation gain · √(2 / (fan_in + fan_out)). Source: Glorot and Bengio, 2010."""
    return _normal(tensor, 0, _xavier_std("xavier_normal_", tensor, gain))


def _xavier_std(name: str, tensor: Tensor, gain: float) -> float:
    _check(name, tensor, gain=gain)
    both = sum(_fans(name, tensor))
    return gain * math.sqrt(2 / both) if both else 0.0


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, but drawn again where it falls outside of [a, b]."""
    _check("trunc_normal_", tensor, mean=mean, std=std, a=a, b=b)
    if not a < b:
        raise ValueError(f"trunc_normal_: expected a < b, got a={a} and b={b}")
    if not (0 < std < math.inf and a - 3 * std < mean < b + 3 * std):
        raise ValueError(f"trunc_normal_: nearly nothing of mean={mean}, std={std} falls into [{a}, {b}]")
    with backend.on(tensor.device) as xp:
        return _write(tensor, _truncated(xp, tensor, mean, std, a, b))


def _truncated(xp: Any, tensor: Tensor, mean: float, std: float, a: float, b: float) -> backend.Array:
    generator, drawn_as = _generator(tensor), _drawn_as(tensor)

    def draw(shape: Any) -> Any:
        """Values, some of which may fall outside."""
        if std <= b - a:
            return generator.standard_normal(shape, dtype=drawn_as) * std + mean
        # Much of a wide normal falls outside. Instead, uniform values are taken with a probability in proportion to
        # the normal density, which is largest at `peak`.
        values, peak = generator.random(shape, dtype=drawn_as) * (b - a) + a, min(max(mean, a), b)
        share = xp.exp(((peak - mean) ** 2 - (values - mean) ** 2) / (2 * std**2))
        return xp.where(generator.random(shape, dtype=drawn_as) < share, values, math.inf)

    values = xp.asarray(draw(tensor.shape))
    while True:
        outside = (values < a) | (values > b)
        count = int(xp.count_nonzero(outside))
        if count == 0:
            return values
        values[outside] = draw(count)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Orthonormal rows, or columns where there are more rows, times `gain`; further dimensions count as columns.

    The Q of a normal matrix's QR decomposition, with signs that make it uniform. Source: Saxe et al., 2013.
    """
    _check("orthogonal_", tensor, gain=gain)
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least 2 dimensions, got shape {tensor.shape}")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    drawn = _generator(tensor).standard_normal((rows, tensor.numel() // rows), dtype=_drawn_as(tensor))
    drawn = backend.to_device(drawn, backend.CPU)  # on a GPU the decomposition would need one more library, cuSOLVER
    wide = drawn.shape[0] < drawn.shape[1]
    q, r = np.linalg.qr(drawn.T if wide else drawn)
    q = q * np.sign(np.diagonal(r))
    values = (gain * (q.T if wide else q).reshape(tensor.shape)).astype(tensor.dtype)
    return _write(tensor, backend.to_device(values, tensor.device))


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    _check("eye_", tensor, False)
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got shape {tensor.shape}")
    with backend.on(tensor.device) as xp:
        return _write(tensor, xp.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes channel i of each group on as output i of the group: the kernel's centre is 1."""
    _check("dirac_", tensor, False)
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: expected a convolution's weight of 3, 4 or 5 dimensions, got shape {tensor.shape}")
    check_positive("dirac_", "groups", groups)
    if tensor.shape[0] % groups:
        raise ValueError(f"dirac_: groups={groups} does not divide the {tensor.shape[0]} output channels")
    _write(tensor, 0)
    per_group = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with backend.on(tensor.device):
        for group in range(groups):
            for channel in range(min(per_group, tensor.shape[1])):
                tensor._array[(group * per_group + channel, channel, *centre)] = 1
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Normal, with the share `sparsity` of each column set to 0. Source: Martens, 2010."""
    _check("sparse_", tensor, std=std)
    check_share("sparse_", "sparsity", sparsity)
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: expected a matrix, got shape {tensor.shape}")
    _normal(tensor, 0, std)
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with backend.on(tensor.device):
        order = _generator(tensor).random((rows, columns)).argsort(axis=0)  # a random permutation of each column's rows
        tensor._array[order < zeros] = 0
    return tensor


def layer_default_(weight: Tensor, bias: Tensor | None) -> None:
    """What torch gives Linear and Conv: weight and bias uniform on ±1 / √fan_in (kaiming_uniform_ with a = √5)."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in = fans(weight)[0]
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        _uniform(bias, -bound, bound)


# --- torch's names of old -----------------------------------------------------------------------------------


def _old_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function under its name without the underscore, which warns."""
    new = function.__name__
    old = new[:-1]

    @wraps(function)
    def renamed(*arguments: Any, **options: Any) -> Tensor:
        warnings.warn(f"nn.init.{old} is now nn.init.{new}", FutureWarning, stacklevel=2)
        return function(*arguments, **options)

    renamed.__name__ = renamed.__qualname__ = old
    renamed.__doc__ = f"`{new}`, by its old name."
    return renamed


constant, dirac, eye, normal = _old_name(constant_), _old_name(dirac_), _old_name(eye_), _old_name(normal_)
orthogonal, sparse, uniform = _old_name(orthogonal_), _old_name(sparse_), _old_name(uniform_)
kaiming_normal, kaiming_uniform = _old_name(kaiming_normal_), _old_name(kaiming_uniform_)
xavier_normal, xavier_uniform = _old_name(xavier_normal_), _old_name(xavier_uniform_)
