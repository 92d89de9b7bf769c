"""A program written once, as users of torch write it, and run with tinycnn and with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def plain(result: Any) -> Any:
    """What a program returned, with tensors as (array, requires_grad)."""
    if isinstance(result, (tuple, list)):
        return [plain(each) for each in result]
    if isinstance(result, dict):
        return {key: plain(each) for key, each in result.items()}
    return (result.detach().numpy(), result.requires_grad) if hasattr(result, "detach") else result


def outcome(program: Callable[[Any], Any], lib: Any) -> Any:
    """What `program(lib)` returns, or the kind of error that torch and tinycnn both raise."""
    try:
        return plain(program(lib))
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        kinds = (NotImplementedError, RuntimeError, TypeError, ValueError)
        return next(kind.__name__ for kind in kinds if isinstance(error, kind))


def check_same(found: Any, expected: Any, tolerance: float = 1e-9) -> None:
    """Both outcomes are of the same shapes, dtypes and values."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            check_same(one, other, tolerance)
    elif isinstance(expected, np.ndarray):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    else:
        assert found == expected


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).uniform(0.5, 1.5, shape)
