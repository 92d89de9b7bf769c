"""Functions and generators that exercises are given as arguments, by name: a message cannot carry code.

A copy of this file lies beside the exercise, in its process, and `by_name` puts functions in the place of names. It
imports NumPy only. The grader takes the same functions from here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


# --- functions, and gradients that are right and wrong ----------------------------------------------------

KERNEL = np.array([2.0, -1.0, 0.5])


def sliding(x: Array) -> Array:
    """y[i] = Σ_k KERNEL[k] · x[i + k], along the last axis."""
    return sum(KERNEL[k] * x[..., k : x.shape[-1] - 2 + k] for k in range(3))


def sliding_adjoint(g: Array, kernel: Array = KERNEL, add: bool = True) -> Array:
    """The adjoint of `sliding`; without `add`, = instead of +=."""
    dx = np.zeros((*g.shape[:-1], g.shape[-1] + 2))
    for i in range(g.shape[-1]):
        for k in range(3):
            dx[..., i + k] = g[..., i] * kernel[k] + (dx[..., i + k] if add else 0)
    return dx


WEIGHT = np.arange(36.0).reshape(3, 2, 2, 3) % 7 - 3
SIZE = 5, 6  # of its input


def conv(x: Array) -> Array:
    """x (N, 2, *SIZE) to y (N, 3, 3, 3): a convolution by WEIGHT with stride 2 and padding 1."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((len(x), 3, 3, 3))
    for i, j in np.ndindex(3, 3):
        window = padded[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3]
        y[:, :, i, j] = np.einsum("nckl,ockl->no", window, WEIGHT)
    return y


def conv_adjoint(g: Array, weight: Array = WEIGHT, first: int = 1) -> Array:
    """The adjoint of `conv`, if `first` is the padding that is stripped in front."""
    padded = np.zeros((len(g), 2, SIZE[0] + 2, SIZE[1] + 2))
    for i, j in np.ndindex(3, 3):
        window = padded[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3]
        window += np.einsum("no,ockl->nckl", g[:, :, i, j], weight)
    return padded[:, :, first : first + SIZE[0], first : first + SIZE[1]]


def last_spoilt(dx: Array) -> Array:
    """Wrong in the last element only."""
    dx = dx.copy()
    dx.flat[-1] *= 1.5
    return dx


def cancelling(dx: Array) -> Array:
    """Wrong in two elements, by the same amount with opposite signs."""
    dx, amount = dx.copy(), np.abs(dx).max()
    dx.flat[0] += amount
    dx.flat[1] -= amount
    return dx


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Σ x²": lambda x: float((x**2).sum()),
    "Σ x³": lambda x: float((x**3).sum()),
    "x[0]·x[1] + x[2]²": lambda x: float(x.flat[0] * x.flat[1] + x.flat[2] ** 2),
    "Σ sin x": lambda x: float(np.sin(x).sum()),
    "x³": lambda x: x**3,
    "tanh x": np.tanh,
    "10⁶·x²": lambda x: 1e6 * x**2,
    "10⁻⁶·x²": lambda x: 1e-6 * x**2,
    "a sliding window": sliding,
    "conv": conv,
    "10⁻¹² times a sliding window": lambda x: 1e-12 * sliding(x),
}

# (grad_output, x) to dx, under the name of the function and what is wrong.
GRADIENTS: dict[str, Callable[[Array, Array], Array]] = {
    "x³: right, with a grad_output of ones": lambda g, x: 3 * g * x**2,
    "x³: right": lambda g, x: 3 * g * x**2,
    "x³: without grad_output": lambda g, x: 3 * x**2,
    "x³: of the other sign": lambda g, x: -3 * g * x**2,
    "x³: half of it": lambda g, x: 1.5 * g * x**2,
    "x³: wrong in the last element": lambda g, x: last_spoilt(3 * g * x**2),
    "x³: with errors that cancel": lambda g, x: cancelling(3 * g * x**2),
    "x³: of another shape": lambda g, x: (3 * g * x**2)[np.newaxis],
    "tanh x: right": lambda g, x: g * (1 - np.tanh(x) ** 2),
    "tanh x: 1 % too large": lambda g, x: 1.01 * g * (1 - np.tanh(x) ** 2),
    "10⁶·x²: right": lambda g, x: 2e6 * g * x,
    "10⁻⁶·x²: right": lambda g, x: 2e-6 * g * x,
    "10⁻⁶·x²: 10 % too large": lambda g, x: 2.2e-6 * g * x,
    "a sliding window: right": lambda g, x: sliding_adjoint(g),
    "a sliding window: = instead of +=": lambda g, x: sliding_adjoint(g, add=False),
    "a sliding window: the kernel reversed": lambda g, x: sliding_adjoint(g, KERNEL[::-1]),
}

# g to dx, under the name of the linear map and what is wrong.
ADJOINTS: dict[str, Callable[[Array], Array]] = {
    "adjoint of a sliding window: right": sliding_adjoint,
    "adjoint of a sliding window: right, where the sums are near 0": sliding_adjoint,
    "adjoint of a sliding window: = instead of +=": lambda g: sliding_adjoint(g, add=False),
    "adjoint of a sliding window: the kernel reversed": lambda g: sliding_adjoint(g, KERNEL[::-1]),
    "adjoint of a sliding window: of the other sign": lambda g: -sliding_adjoint(g),
    "adjoint of a sliding window: wrong in the last element": lambda g: last_spoilt(sliding_adjoint(g)),
    "adjoint of a sliding window: of another shape": lambda g: sliding_adjoint(g)[np.newaxis],
    "adjoint of 10⁻¹² times a sliding window: right": lambda g: 1e-12 * sliding_adjoint(g),
    "adjoint of 10⁻¹² times a sliding window: = instead of +=": lambda g: 1e-12 * sliding_adjoint(g, add=False),
    "adjoint of conv: right": conv_adjoint,
    "adjoint of conv: the kernel reversed": lambda g: conv_adjoint(g, WEIGHT[:, :, ::-1, ::-1]),
    "adjoint of conv: the padding stripped at the end only": lambda g: conv_adjoint(g, first=0),
}


# --- a clock ----------------------------------------------------------------------------------------------


class Work:
    """A function whose calls take the given seconds of its own clock, and then the last of them."""

    def __init__(self, durations: list[float]):
        self.durations, self.calls, self.now = durations, 0, 0.0

    def __call__(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1

    def clock(self) -> float:
        return self.now


# --- from names -------------------------------------------------------------------------------------------

CALLS, CLOCK, GENERATOR = "calls that take ", "their clock", "default_rng "


def named(arguments: tuple) -> list[Any]:
    """The arguments, with what they name in the place of names."""
    result: list[Any] = []
    for value in arguments:
        if not isinstance(value, str):
            result.append(value)
        elif value.startswith(GENERATOR):
            result.append(np.random.default_rng(int(value.removeprefix(GENERATOR))))
        elif value.startswith(CALLS):
            result.append(Work([float(word) for word in value.removeprefix(CALLS).split(", ")]))
        elif value == CLOCK:
            result.append(next(each for each in result if isinstance(each, Work)).clock)
        else:
            result.append((FUNCTIONS | GRADIENTS | ADJOINTS)[value])
    return result


def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which then takes names too."""

    @functools.wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        return function(*named(arguments), **options)

    return called
