"""Step 12: batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.drawing import normal
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray

CHANNEL = (0, 2, 3)  # the axes over which a channel is normalised


def as_channels(a: Array) -> Array:
    return a.reshape(1, -1, 1, 1)


def statistics(x: Array, axes: Sequence[int] = CHANNEL, ddof: int = 0) -> tuple[Array, Array]:
    axes = tuple(axes)
    return x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True, ddof=ddof)


def normalised(x: Array, eps: float, axes: Sequence[int] = CHANNEL, ddof: int = 0) -> Array:
    mean, var = statistics(x, axes, ddof)
    return (x - mean) / np.sqrt(var + eps)


def draw_batch_norm(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for i, size in enumerate([(1, 1, 2, 2), (2, 1, 1, 2), (1, 2, 1, 3), (3, 2, 2, 3), (2, 3, 4, 3), (3, 3, 3, 3)]):
            small, C = i < 3, size[1]
            x, upstream = normal(rng, *size, small=small), {}
            if i == 4:
                x = 3 * x + 1000  # far from 0
            if backward:
                upstream = {"grad_output": normal(rng, *size, small=small)}
            weight, bias = normal(rng, C, small=small), normal(rng, C, small=small)
            cases.append(Case("", {**upstream, "x": x, "weight": weight, "bias": bias, "eps": 0.5 if small else 1e-3}))
        return cases

    return draw


def batch_norm(x: Array, weight: Array, bias: Array, eps: float, **how: Any) -> Array:
    return as_channels(weight) * normalised(x, eps, **how) + as_channels(bias)


def batch_norm_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("y", name, lambda x, weight, bias, eps: compute(x, weight, bias, eps))

    def with_scale(x: Array, weight: Array, bias: Array, scale: Array) -> Array:
        return as_channels(weight) * (x - x.mean(axis=CHANNEL, keepdims=True)) / scale + as_channels(bias)

    def variance(x: Array) -> Array:
        return x.var(axis=CHANNEL, keepdims=True)

    return [
        mistake("the variance is divided by M − 1: here it is divided by M", lambda *a: batch_norm(*a, ddof=1)),
        mistake("eps is added to the standard deviation instead of the variance",
                lambda x, w, b, eps: with_scale(x, w, b, np.sqrt(variance(x)) + eps)),
        mistake("eps is missing", lambda x, w, b, eps: batch_norm(x, w, b, 0.0)),
        mistake("eps is that of the default: it is an argument", lambda x, w, b, eps: batch_norm(x, w, b, 1e-5)),
        mistake("divided by the variance instead of its square root",
                lambda x, w, b, eps: with_scale(x, w, b, variance(x) + eps)),
        mistake("the mean is not subtracted", lambda x, w, b, eps: as_channels(w) * x / np.sqrt(variance(x) + eps)
                + as_channels(b)),
        mistake("normalised over the batch only, for each position by itself: sum over batch and positions",
                lambda *a: batch_norm(*a, axes=(0,))),
        mistake("normalised for each sample by itself: sum over the batch too", lambda *a: batch_norm(*a, axes=(2, 3))),
        mistake("normalised over all channels together: each has its own mean and variance",
                lambda *a: batch_norm(*a, axes=(0, 1, 2, 3))),
        mistake("normalised over the channels of each sample: that is layer normalisation",
                lambda *a: batch_norm(*a, axes=(1, 2, 3))),
        mistake("weight and bias are missing", lambda x, w, b, eps: normalised(x, eps)),
        mistake("the weight is missing", lambda x, w, b, eps: normalised(x, eps) + as_channels(b)),
        mistake("the bias is missing", lambda x, w, b, eps: as_channels(w) * normalised(x, eps)),
        mistake("weight and bias go along the columns instead of the channels: bring them to (1, C, 1, 1)",
                lambda x, w, b, eps: w * normalised(x, eps) + b),
        mistake("the bias is scaled too: weight · z + bias",
                lambda x, w, b, eps: as_channels(w) * (normalised(x, eps) + as_channels(b))),
    ]  # fmt: skip


def batch_norm_gradients(grad_output: Array, x: Array, weight: Array, bias: Array, eps: float) -> tuple:
    return reference.batch_norm_backward(grad_output, x, weight, eps)


def batch_norm_gradient_mistakes() -> list[Mistake]:
    def mistakes(index: int, rows: list[tuple[str, Callable[..., Any]]]) -> list[Mistake]:
        def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
            return Mistake(("dx", "dweight", "dbias")[index], name, lambda grad_output, x, weight, bias, eps: compute(
                grad_output, x, weight, bias, eps))  # fmt: skip

        shared = [
            ("the gradient is missing (zeros)", lambda *a: np.zeros_like(batch_norm_gradients(*a)[index])),
            ("the sign is wrong", lambda *a: -batch_norm_gradients(*a)[index]),
        ]
        return [mistake(*row) for row in shared + rows]

    def of_eps(index: int) -> list[tuple[str, Callable[..., Any]]]:
        return [
            ("eps is that of the default: it is an argument",
             lambda g, x, w, b, eps: batch_norm_gradients(g, x, w, b, 1e-5)[index]),
            ("eps is missing", lambda g, x, w, b, eps: batch_norm_gradients(g, x, w, b, 0.0)[index]),
        ]  # fmt: skip

    def dx_of(g, x, w, b, eps, *, mean=1.0, var=1.0, weight=True, ddof=0, scale=True):
        """dx with shares of the ways through the mean and the variance."""
        z, M = normalised(x, eps, ddof=ddof), x.size // x.shape[1] - ddof
        s = np.sqrt(statistics(x, ddof=ddof)[1] + eps) if scale else 1.0
        total, along = g.sum(axis=CHANNEL, keepdims=True), (g * z).sum(axis=CHANNEL, keepdims=True)
        return (as_channels(w) if weight else 1.0) / s * (g - mean * total / M - var * z * along / M)

    def M(x: Array) -> int:
        return x.size // x.shape[1]

    return [
        *mistakes(0, [
            *of_eps(0),
            ("mean and variance are taken for constants: x moves them too", lambda *a: dx_of(*a, mean=0, var=0)),
            ("the variance is taken for a constant: x moves it too", lambda *a: dx_of(*a, var=0)),
            ("the mean is taken for a constant: x moves it too", lambda *a: dx_of(*a, mean=0)),
            ("the weight is missing", lambda *a: dx_of(*a, weight=False)),
            ("not divided by the standard deviation", lambda *a: dx_of(*a, scale=False)),
            ("neither multiplied by the weight nor divided by the standard deviation",
             lambda *a: dx_of(*a, weight=False, scale=False)),
            ("the sign of the ways through mean and variance is wrong", lambda *a: dx_of(*a, mean=-1, var=-1)),
            ("the sums over the channel are not divided by M",
             lambda g, x, *a: dx_of(g, x, *a, mean=M(x), var=M(x))),
            ("the variance is divided by M − 1: here it is divided by M", lambda *a: dx_of(*a, ddof=1)),
            ("the sums go over the batch only: over the positions too", lambda g, x, w, b, eps: (
                as_channels(w) / np.sqrt(statistics(x)[1] + eps)
                * (g - g.mean(axis=0, keepdims=True)
                   - normalised(x, eps) * (g * normalised(x, eps)).mean(axis=0, keepdims=True)))),
        ]),
        *mistakes(1, [
            *of_eps(1),
            ("z is missing: the sum of g alone is dbias", lambda g, *a: g.sum(axis=CHANNEL)),
            ("x instead of z: the weight multiplies the normalised x", lambda g, x, *a: (g * x).sum(axis=CHANNEL)),
            ("x less its mean instead of z: divide by the standard deviation too",
             lambda g, x, *a: (g * (x - statistics(x)[0])).sum(axis=CHANNEL)),
            ("multiplied by the weight: it is the factor that falls away",
             lambda g, x, w, *a: w * batch_norm_gradients(g, x, w, *a)[1]),
            ("averaged over batch and positions: the gradient is a sum",
             lambda g, x, *a: batch_norm_gradients(g, x, *a)[1] / M(x)),
            ("averaged over the batch: the gradient is a sum",
             lambda g, x, *a: batch_norm_gradients(g, x, *a)[1] / len(x)),
        ]),
        *mistakes(2, [
            ("the upstream gradient is ignored (as if it were all ones)",
             lambda g, *a: np.ones_like(g).sum(axis=CHANNEL)),
            ("averaged over batch and positions: the gradient is a sum", lambda g, x, *a: g.mean(axis=CHANNEL)),
            ("averaged over the batch: the gradient is a sum", lambda g, x, *a: g.sum(axis=CHANNEL) / len(x)),
            ("multiplied by the weight: the bias is added after it", lambda g, x, w, *a: w * g.sum(axis=CHANNEL)),
            ("summed over the wrong axes: the channels, axis 1, stay", lambda g, *a: g.sum(axis=(0, 1, 2))),
            ("summed over the wrong axes: the channels, axis 1, stay", lambda g, *a: g.sum(axis=(1, 2, 3))),
        ]),
    ]  # fmt: skip


def draw_running(rng: np.random.Generator) -> list[Case]:
    cases = []
    for i, size in enumerate([(1, 1, 2, 2), (2, 2, 1, 2), (3, 2, 2, 3), (2, 3, 3, 2)]):
        C, small = size[1], i < 2
        running = {"running_mean": normal(rng, C, small=small), "running_var": np.abs(normal(rng, C, small=small))}
        cases.append(Case("", {"x": normal(rng, *size, small=small), **running, "momentum": (0.5, 0.25, 0.1, 0.3)[i]}))
    return cases


def running(x: Array, running_mean: Array, running_var: Array, momentum: float, ddof: int = 1) -> tuple[Array, Array]:
    mean, var = x.mean(axis=CHANNEL), x.var(axis=CHANNEL, ddof=ddof)
    return (1 - momentum) * running_mean + momentum * mean, (1 - momentum) * running_var + momentum * var


def running_mistakes() -> list[Mistake]:
    def mistakes(index: int) -> list[Mistake]:
        def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
            result = ("running_mean", "running_var")[index]
            return Mistake(result, name, lambda x, running_mean, running_var, momentum: compute(
                x, running_mean, running_var, momentum)[index])  # fmt: skip

        return [
            mistake("the momentum weighs the old value instead of the new one",
                    lambda x, mean, var, momentum: running(x, mean, var, 1 - momentum)),
            mistake("the statistics of this batch alone: the old ones count too",
                    lambda x, mean, var, momentum: running(x, mean, var, 1.0)),
            mistake("the momentum is that of the default: it is an argument",
                    lambda x, mean, var, momentum: running(x, mean, var, 0.1)),
            mistake("the old value is added whole, not 1 − momentum of it", lambda x, mean, var, momentum: tuple(
                a + momentum * old for a, old in zip(running(x, mean, var, momentum), (mean, var)))),
        ]  # fmt: skip

    return [
        *mistakes(0), *mistakes(1),
        Mistake("running_var", "the variance of the batch is divided by M: here it is divided by M − 1",
                lambda **a: running(**a, ddof=0)[1]),
        Mistake("running_var", "the standard deviation instead of the variance",
                lambda x, running_mean, running_var, momentum: (1 - momentum) * running_var
                + momentum * x.std(axis=CHANNEL, ddof=1)),
    ]  # fmt: skip


STEP = Step(
    12, "batch normalisation", "step12_batch_norm", optional=True,
    exercises=[
        Exercise("batch_norm_forward", ("y",), unweighted("y"), draw_batch_norm(False), reference.batch_norm,
                 batch_norm_mistakes(), see=passages.BATCH_NORM),
        Exercise("batch_norm_backward", ("dx", "dweight", "dbias"), unweighted("dx", "dweight", "dbias"),
                 draw_batch_norm(True), batch_norm_gradients, batch_norm_gradient_mistakes(),
                 see=passages.BATCH_NORM),
        Exercise("running_statistics", ("running_mean", "running_var"), unweighted("running_mean", "running_var"),
                 draw_running, running, running_mistakes(), see=passages.BATCH_NORM),
    ],
)  # fmt: skip
