"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tinycnn.autograd import no_grad
from tinycnn.nn.arguments import refuse_others
from tinycnn.ops.shape import cat
from tinycnn.optim._checks import check_parameters
from tinycnn.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters in one vector, one parameter after the other; recorded."""
    given = check_parameters("parameters_to_vector", parameters)
    if not given:
        raise ValueError("parameters_to_vector: expected at least one parameter, got none")
    return cat([parameter.reshape(-1) for parameter in given])


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the elements of a vector into the parameters, in place, one after the other.

    ValueError, with nothing changed, unless it has as many elements as they have.
    """
    refuse_others("vector_to_parameters", vec=vec)
    given = check_parameters("vector_to_parameters", parameters)
    count = sum(parameter.numel() for parameter in given)
    if vec.shape != (count,):
        raise ValueError(f"vector_to_parameters: expected a vector of {count} elements, got {vec.shape}")
    begun = 0
    for parameter in given:
        end = begun + parameter.numel()
        parameter.copy_(vec[begun:end].reshape(*parameter.shape))
        begun = end
