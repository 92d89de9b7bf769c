"""Numeric checks of first- and second-order gradients: `backward` against finite differences."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinycnn import backend
from tinycnn.autograd import enable_grad, grad, wrap
from tinycnn.backend import Array
from tinycnn.checks import Number, check_count
from tinycnn.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient is wrong, or the function is not deterministic or changes its inputs."""


def gradcheck(
    func: Callable[..., Any], inputs: Tensor | Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5,
    rtol: float = 1e-3, raise_exception: bool = True, fast_mode: bool = False, seed: int = 0,
) -> bool:  # fmt: skip
    """Compares the gradients of `func` with central differences, for a random upstream gradient.

    Args:
        func: maps the inputs to a Tensor or a sequence of Tensors; integer and boolean outputs are ignored.
        inputs: the arguments of `func`. Tensors that require gradients are checked and must be float64. They are
            changed in place during the check, so `func` may also reach them as parameters of a module.
        eps: step of the differences. Default 1e-6.
        atol, rtol: a gradient may differ from the difference quotient d by atol + rtol · |d|. Default 1e-5, 1e-3.
        raise_exception: False returns False instead of raising GradcheckError. Default True.
        fast_mode: differences along three random directions per input instead of along each element. Default False.
        seed: seed of the random upstream gradients and directions. Default 0.

    Returns True if all gradients are right. Raises GradcheckError if one is wrong (with the input, the position and
    both values) or if `func` changes its inputs or is not deterministic; TypeError or ValueError for inputs that cannot
    be checked. At kinks, where the slopes to the left and right differ, it warns and accepts any gradient between them.
    """
    arguments, checked = _inputs_to_check("gradcheck", func, inputs)
    for name, number in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        Number(above=0 if name == "eps" else None, at_least=0)("gradcheck", name, number)
    check_count("gradcheck", "seed", seed)
    try:
        with backend.current(next(iter(checked.values()))._array):
            _check(func, arguments, checked, eps, atol, rtol, fast_mode, np.random.default_rng(seed))
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any], inputs: Tensor | Sequence[Any], grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
    fast_mode: bool = False, seed: int = 0,
) -> bool:  # fmt: skip
    """Checks second-order gradients: `gradcheck` of the map from (inputs, upstream gradients) to gradients.

    `grad_outputs` are the upstream gradients, random by default. The other arguments, the result and the errors are
    those of `gradcheck`.
    """
    arguments, checked = _inputs_to_check("gradgradcheck", func, inputs)
    check_count("gradgradcheck", "seed", seed)
    if grad_outputs is None:
        rng = np.random.default_rng(seed + 1)
        outputs = [y for y in _outputs(func, arguments) if y.requires_grad]
        grad_outputs = [wrap(_normal(rng, y._array)).requires_grad_() for y in outputs]
    upstream = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)

    def gradients(*arguments_and_upstream: Any) -> list[Tensor]:
        arguments = arguments_and_upstream[: -len(upstream)]
        outputs = [y for y in _outputs(func, arguments) if y.requires_grad]
        found = grad(outputs, [arguments[i] for i in checked], upstream, create_graph=True, allow_unused=True)
        return [g for g in found if g is not None]

    return gradcheck(
        gradients, (*arguments, *upstream), eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, fast_mode=fast_mode, seed=seed,
    )  # fmt: skip


def _inputs_to_check(name: str, func: Any, inputs: Any) -> tuple[tuple, dict[int, Tensor]]:
    """The arguments of `func`, and position to argument for those that require gradients."""
    if not callable(func):
        raise TypeError(f"{name}: expected func as a function, got {type(func).__name__}")
    if not isinstance(inputs, (Tensor, tuple, list)):
        raise TypeError(f"{name}: expected inputs as a Tensor or a sequence, got {type(inputs).__name__}")
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = {i: x for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad}
    if not checked:
        raise ValueError(f"{name}: none of the inputs has requires_grad=True")
    for i, x in checked.items():
        if x.dtype != np.float64:
            raise TypeError(f"{name}: inputs[{i}] is {x.dtype}; differences need float64, convert it with .double()")
        if not backend.is_writeable(x._array):
            raise ValueError(f"{name}: inputs[{i}] repeats elements in memory (expand); pass a clone()")
    return arguments, checked


def _check(
    func: Callable, arguments: tuple, checked: dict[int, Tensor],
    eps: float, atol: float, rtol: float, fast_mode: bool, rng: np.random.Generator,
) -> None:  # fmt: skip
    before = {i: x._array.copy() for i, x in checked.items()}
    outputs = _outputs(func, arguments)
    upstream = [wrap(_normal(rng, y._array)) for y in outputs]
    found = _gradients(outputs, checked, upstream)
    again = _gradients(_outputs(func, arguments), checked, upstream)
    for i, x in checked.items():
        if not np.array_equal(_host(x._array), _host(before[i]), equal_nan=True):
            raise GradcheckError(f"gradcheck: func, or its backward, changed inputs[{i}]")
        if not np.array_equal(_host(found[i]), _host(again[i]), equal_nan=True):
            raise GradcheckError(f"gradcheck: the gradient of inputs[{i}] differs between two calls of func")

    def output_times_upstream() -> list[Array]:
        # The product is also a copy: an output may be a view of an input.
        return [u._array * y._array for u, y in zip(upstream, _outputs(func, arguments))]

    def difference(a: list[Array], b: list[Array]) -> float:
        return sum(float((ya - yb).sum()) for ya, yb in zip(a, b))

    middle = output_times_upstream()
    if any((a != b).any() for a, b in zip(middle, output_times_upstream())):
        raise GradcheckError("gradcheck: func gives different outputs for the same inputs")
    for i, x in checked.items():
        wrong, kinks = [], []
        for place, direction in _directions(x._array, rng if fast_mode else None):
            x._array[...] += eps * direction
            plus = output_times_upstream()
            x._array[...] = before[i] - eps * direction
            minus = output_times_upstream()
            x._array[...] = before[i]
            numeric = difference(plus, minus) / (2 * eps)
            left, right = difference(middle, minus) / eps, difference(plus, middle) / eps
            along = direction != 0
            analytic = float((found[i][along] * direction[along]).sum())
            allowed = atol + rtol * abs(numeric)
            if abs(right - left) > atol + rtol * max(abs(left), abs(right)):
                kinks.append(f"{place}, where the slopes are {left:.6g} to the left and {right:.6g} to the right")
                if min(left, right) - allowed <= analytic <= max(left, right) + allowed:
                    continue
            if not abs(analytic - numeric) <= allowed:
                wrong.append(
                    f"{place}: backward gives {analytic:.8g}, differences give {numeric:.8g}, "
                    f"off by {abs(analytic - numeric):.3g} where {allowed:.3g} is allowed"
                )
        if kinks:
            warnings.warn(f"gradcheck: inputs[{i}] is not smooth {kinks[0]} ({len(kinks)} in all)", stacklevel=3)
        if wrong:
            what = "directions" if fast_mode else "elements"
            raise GradcheckError(
                f"gradcheck: the gradient of inputs[{i}] of shape {x.shape} is wrong {wrong[0]} "
                f"({len(wrong)} {what} in all)"
            )


def _gradients(outputs: list[Tensor], checked: dict[int, Tensor], upstream: list[Tensor]) -> dict[int, Array]:
    """Position to gradient, for each checked input; zeros for inputs that the outputs do not depend on."""
    pairs = [(y, u) for y, u in zip(outputs, upstream) if y.requires_grad]
    if not pairs:
        raise GradcheckError("gradcheck: no output of func requires a gradient")
    kept, kept_upstream = zip(*pairs)
    given = [u._array.copy() for u in kept_upstream]
    found = grad(kept, tuple(checked.values()), kept_upstream, allow_unused=True)
    if any((u._array != before).any() for u, before in zip(kept_upstream, given)):
        raise GradcheckError("gradcheck: backward changed the upstream gradient it was given")
    zeros = {i: backend.array_module(x._array).zeros_like(x._array) for i, x in checked.items()}
    return {i: zeros[i] if g is None else g._array for i, g in zip(checked, found)}


def _outputs(func: Callable, arguments: Sequence[Any]) -> list[Tensor]:
    """The floating-point outputs of `func`. Gradients are recorded in every call: `func` may compute some itself."""
    with enable_grad():
        outputs = func(*arguments)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    if not isinstance(outputs, (tuple, list)) or not all(isinstance(y, Tensor) for y in outputs):
        raise TypeError(f"gradcheck: func must return a Tensor or a sequence of them, got {type(outputs).__name__}")
    return [y for y in outputs if y.is_floating_point()]


def _directions(x: Array, rng: np.random.Generator | None) -> Iterator[tuple[str, Array]]:
    """(description, step): along each element in turn or, with `rng`, three random directions of length 1."""
    if rng is None:
        for place in itertools.product(*map(range, x.shape)):
            direction = backend.array_module(x).zeros_like(x)
            direction[place] = 1
            yield f"at {list(place)}", direction
    elif x.size:
        for _ in range(3):
            direction = _normal(rng, x)
            yield "along a random direction", direction / float((direction * direction).sum()) ** 0.5


def _normal(rng: np.random.Generator, like: Array) -> Array:
    """Normal random numbers with the shape, memory order, dtype and device of `like`."""
    with backend.current(like):
        result = backend.array_module(like).empty_like(like)
        result[...] = backend.to_device(rng.standard_normal(like.shape), backend.device_of(like))
    return result


def _host(array: Array) -> np.ndarray:
    return backend.to_device(array, backend.CPU)
