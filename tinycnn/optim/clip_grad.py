"""Limits on gradients, to be applied between `backward()` and `step()`."""

from __future__ import annotations

from collections.abc import Iterable

from tinycnn import backend, creation
from tinycnn.autograd import wrap
from tinycnn.backend import Array, Device
from tinycnn.checks import check_flag, check_not_negative, check_number
from tinycnn.optim._checks import check_optional_flag, check_parameters
from tinycnn.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Scales all gradients, in place, by one factor, so that their norm, as one long vector, is at most `max_norm`.

    Args:
        parameters: a Tensor or an iterable of Tensors; those without a gradient are left out.
        max_norm: the largest norm allowed; `inf` changes nothing, so that only the norm is measured.
        norm_type: the p of the p-norm, `inf` for the largest absolute value. Default 2.
        error_if_nonfinite: raise RuntimeError, before any change, if the norm is nan or inf. Default False.
        foreach: torch's way to compute it, which changes nothing. Default None.

    Returns:
        The norm before the scaling, a Tensor of shape (); 0 if there are no gradients.

    Raises:
        TypeError: parameters that are no Tensors, an argument of the wrong type.
        ValueError: a negative max_norm.
        RuntimeError: a norm that is not finite, if `error_if_nonfinite`.

    Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (ICML 2013),
    algorithm 1; as in torch, the factor is min(1, max_norm / (norm + 1e-6)).
    """
    name = "clip_grad_norm_"
    params = check_parameters(name, parameters)
    check_not_negative(name, "max_norm", max_norm)
    check_number(name, "norm_type", norm_type)
    check_flag(name, "error_if_nonfinite", error_if_nonfinite)
    check_optional_flag(name, "foreach", foreach)
    grads = [param.grad for param in params if param.grad is not None]
    if not grads:
        return creation.zeros(())
    total = _total_norm(name, grads, norm_type, error_if_nonfinite)
    xp = backend.array_module(total)
    factor = xp.asarray(xp.minimum(float(max_norm) / (total + 1e-6), 1.0))
    on = _by_device(grads)
    for place, arrays in on.items():
        backend.kernels(arrays[0]).scale_all(arrays, backend.to_device(factor, place))
    for grad in grads:
        grad._changed_in_place()
    return wrap(total)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """The norm of all elements of the tensors, as of one long vector; arguments as in `clip_grad_norm_`."""
    name = "get_total_norm"
    grads = check_parameters(name, tensors)
    check_number(name, "norm_type", norm_type)
    check_flag(name, "error_if_nonfinite", error_if_nonfinite)
    check_optional_flag(name, "foreach", foreach)
    return wrap(_total_norm(name, grads, norm_type, error_if_nonfinite)) if grads else creation.tensor(0.0)


def _by_device(tensors: list[Tensor]) -> dict[Device, list[Array]]:
    on: dict[Device, list[Array]] = {}
    for tensor in tensors:
        on.setdefault(tensor.device, []).append(tensor._array)
    return on


def _total_norm(name: str, grads: list[Tensor], norm_type: float, error_if_nonfinite: bool) -> Array:
    """The norm, on the device of the first of them."""
    on = _by_device(grads)
    device, *others = on
    total = backend.kernels(on[device][0]).total_norm(on[device], float(norm_type))
    xp = backend.array_module(total)
    if others:
        norms = [backend.kernels(on[other][0]).total_norm(on[other], float(norm_type)) for other in others]
        norms = [total, *(backend.to_device(norm, device) for norm in norms)]
        total = backend.kernels(total).total_norm([xp.stack(norms)], float(norm_type))
    if error_if_nonfinite and not bool(xp.isfinite(total)):
        raise RuntimeError(
            f"{name}: expected a finite norm of the gradients, got {float(total)}: look for a loss or input "
            "that is not finite, or pass error_if_nonfinite=False"
        )
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limits every element of the gradients, in place, to [-clip_value, clip_value].

    Args:
        parameters: a Tensor or an iterable of Tensors; those without a gradient are left out.
        clip_value: the largest absolute value allowed, at least 0.
        foreach: torch's way to compute it, which changes nothing. Default None.

    Raises TypeError for parameters that are no Tensors or a clip_value that is no number, ValueError below 0.
    """
    name = "clip_grad_value_"
    params = check_parameters(name, parameters)
    check_not_negative(name, "clip_value", clip_value)
    check_optional_flag(name, "foreach", foreach)
    for param in params:
        if param.grad is not None:
            array = param.grad._array
            backend.array_module(array).clip(array, -float(clip_value), float(clip_value), out=array)
            param.grad._changed_in_place()
