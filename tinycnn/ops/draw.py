"""Random draws whose probabilities a tensor holds: they have no gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycnn import backend, dtypes
from tinycnn.autograd import array_of
from tinycnn.checks import check_flag, check_positive, check_share
from tinycnn.ops.new import drawn
from tinycnn.ops.reduce import check_floating
from tinycnn.ops.select import where

if TYPE_CHECKING:
    from tinycnn.tensor import Tensor

__all__ = ["bernoulli", "multinomial"]


def bernoulli(input: Tensor, p: float | None = None, *, generator: backend.Generator | None = None) -> Tensor:
    """1 with the probability that each element holds, or `p`, else 0. ValueError outside of [0, 1]."""
    array = array_of("bernoulli", input)
    if p is None:
        check_floating("bernoulli", input)
        if array.size and backend.host_reads(array) and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"bernoulli: expected probabilities from 0 to 1, got {array.min()} to {array.max()}")
    chance = input.detach() if p is None else check_share("bernoulli", "p", p)
    dtype = dtypes.float64 if array.dtype == dtypes.float64 else dtypes.float32
    share = drawn("bernoulli", "random", array.shape, dtype, input.device, False, generator)
    return (share < chance).to(array.dtype)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: backend.Generator | None = None
) -> Tensor:
    """`num_samples` indices for each row of weights (..., n), drawn with the probabilities weight / sum of the row.

    Without `replacement` no index comes twice. ValueError for negative weights, for rows of zeros, and, without
    replacement, for more samples than weights that are not 0.
    """
    check_floating("multinomial", input)
    count = check_positive("multinomial", "num_samples", num_samples)
    check_flag("multinomial", "replacement", replacement)
    if input.ndim not in (1, 2) or not input._array.size:
        raise ValueError(f"multinomial: expected weights (n) or (rows, n), got shape {input.shape}")
    weights = input.detach().double()
    possible = (weights > 0).sum(-1)
    if not (weights.isfinite() & (weights >= 0)).all() or (possible < (1 if replacement else count)).any():
        raise ValueError("multinomial: expected weights of at least 0, as many above 0 as there are samples to draw")
    shape = (*input._array.shape[:-1], count if replacement else input._array.shape[-1])
    share = drawn("multinomial", "random", shape, dtypes.float64, input.device, False, generator)
    if replacement:
        ends = weights.cumsum(-1)
        total = ends[..., -1:]
        return (ends.unsqueeze(-2) <= (share * total).unsqueeze(-1)).sum(-1)
    # The first of exponential clocks, whose rates are the weights, to ring: each is it with its share of the sum.
    rates = where(weights > 0, weights, 1.0)
    times = where(weights > 0, -(-share).log1p() / rates, float("inf"))
    return times.topk(count, -1, largest=False).indices
