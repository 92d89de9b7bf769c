"""Weights of a chosen norm: each forward computes the weight anew from the parameters that are trained instead."""

from __future__ import annotations

from typing import Any, TypeVar

from tinycnn import creation
from tinycnn.autograd import no_grad
from tinycnn.checks import check_not_negative, check_positive, is_int
from tinycnn.nn.conv import _ConvTransposeNd
from tinycnn.nn.distance import normalize
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter, Uninitialized
from tinycnn.ops.reduce import norm
from tinycnn.ops.shape import dim_of
from tinycnn.tensor import Tensor

M = TypeVar("M", bound=Module)


class _Reparametrized:
    """A hook before each forward, which sets the attribute `name`, no parameter any more, to a computed weight."""

    name: str
    function: str
    kept: tuple[str, ...]  # endings of the names under which the module holds what the weight is computed of

    def __init__(self, module: Module, name: str):
        _check(self.function, module, name)
        of_module = f"{self.function}: expected {type(module).__name__}"
        if any(type(hook) is type(self) and hook.name == name for hook in module._forward_pre_hooks.values()):
            raise RuntimeError(f"{of_module}.{name} without {self.function}, which it has")
        weight = module._parameters.get(name)
        if weight is None or isinstance(weight, Uninitialized):
            raise ValueError(f"{of_module} to have a parameter {name!r} with elements, got {weight!r}")
        self.name = name

    def compute(self, module: Module) -> Tensor:
        """The weight."""
        raise NotImplementedError

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module))


def _check(function: str, module: Module, name: str) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"{function}: expected a Module, got {type(module).__name__}")
    if not isinstance(name, str):
        raise TypeError(f"{function}: expected name as a str, got {type(name).__name__}")


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Trains the length and the direction of a weight apart: weight = g · v / ‖v‖, for each index of `dim` or, if it is
    None (or −1, as in torch), as a whole. The parameters are then `name`_g and `name`_v. Returns the module.

    Source: Salimans, Kingma, "Weight normalization", 2016.
    """
    hook = _WeightNorm(module, name)
    weight = module._parameters.pop(name)
    own = None if dim is None or (is_int(dim) and dim == -1) else dim_of(dim, weight.ndim, "weight_norm")
    hook.dims = None if own is None else tuple(i for i in range(weight.ndim) if i != own)
    module.register_parameter(f"{name}_g", Parameter(hook.length(weight.detach())))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


class _WeightNorm(_Reparametrized):
    function, kept = "weight_norm", ("_g", "_v")
    dims: tuple[int, ...] | None  # over which the norm is taken; None: all, which leaves a number

    def length(self, v: Tensor) -> Tensor:
        return v.abs() if self.dims == () else norm(v, 2, self.dims, keepdim=self.dims is not None)

    def compute(self, module: Module) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / self.length(v))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divides a weight by its largest singular value, as a matrix whose rows are the indices of `dim`. The parameter is
    then `name`_orig, and the buffers `name`_u and `name`_v are the singular vectors, which `n_power_iterations` of the
    power method improve in each forward in training. Returns the module.

    `dim` is by default 1 for transposed convolutions, else 0. Source: Miyato et al., "Spectral normalization", 2018.
    """
    hook = _SpectralNorm(module, name)
    weight = module._parameters[name]
    hook.steps = check_positive("spectral_norm", "n_power_iterations", n_power_iterations)
    hook.eps = check_not_negative("spectral_norm", "eps", eps)
    dim = int(isinstance(module, _ConvTransposeNd)) if dim is None else dim
    hook.dim = dim_of(dim, weight.ndim, "spectral_norm")
    del module._parameters[name]
    rows, columns = hook.matrix(weight).shape
    options = {"dtype": weight.dtype, "device": weight.device}
    u, v = (normalize(creation.randn(size, **options), dim=0, eps=eps) for size in (rows, columns))
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


class _SpectralNorm(_Reparametrized):
    function, kept = "spectral_norm", ("_orig", "_u", "_v")
    steps: int
    eps: float
    dim: int

    def matrix(self, weight: Tensor) -> Tensor:
        order = (self.dim, *(i for i in range(weight.ndim) if i != self.dim))
        return weight.permute(*order).reshape(weight.shape[self.dim], -1)

    def compute(self, module: Module) -> Tensor:
        weight, u, v = (getattr(module, self.name + end) for end in self.kept)
        matrix = self.matrix(weight)
        with no_grad():
            for _ in range(self.steps if module.training else 0):
                v.copy_(normalize(matrix.t() @ u, dim=0, eps=self.eps))
                u.copy_(normalize(matrix @ v, dim=0, eps=self.eps))
            u, v = u.clone(), v.clone()  # the next forward changes the buffers, which this graph needs
        return weight / (u @ (matrix @ v))


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Makes the weight that `weight_norm` computes a parameter again; returns the module."""
    return _removed(_WeightNorm, module, name)


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Makes the weight that `spectral_norm` computes a parameter again; returns the module."""
    return _removed(_SpectralNorm, module, name)


@no_grad()
def _removed(kind: type[_Reparametrized], module: M, name: str) -> M:
    _check(f"remove_{kind.function}", module, name)
    for key, hook in module._forward_pre_hooks.items():
        if type(hook) is kind and hook.name == name:
            training = module.training
            module.training = False  # the singular vectors stay
            weight = hook.compute(module)
            module.training = training
            for end in ("", *kind.kept):
                delattr(module, name + end)
            setattr(module, name, Parameter(weight))
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"remove_{kind.function}: {type(module).__name__} has no {kind.function} of {name!r}")
