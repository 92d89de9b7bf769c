"""Steps 8 and 9: max and average pooling, and softmax with cross-entropy, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade.conv import normal
from tinycnn.teaching.grade.exercise import Case, Exercise, Mistake, Step

Array = np.ndarray

TILES, OVERLAP = "windows side by side", "overlap, padding, ties"

# (N, C, H, W), kernel_size, stride, padding
TILE_SIZES = [((1, 1, 2, 4), (2, 2), 2, 0), ((1, 1, 4, 6), (2, 2), 2, 0), ((2, 3, 5, 7), (2, 2), 2, 0)]
OVERLAP_SIZES = [
    ((1, 1, 3, 4), (2, 3), 1, 0),
    ((1, 1, 4, 3), (2, 2), 1, 0),
    ((1, 1, 3, 4), (3, 2), 2, 1),
    ((2, 2, 5, 6), (2, 3), 1, 1),
    ((2, 3, 7, 6), (3, 4), 2, 1),
    ((2, 2, 9, 8), (2, 3), 4, 1),  # gaps between the windows
]


def draw_pool(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, sizes in ((TILES, TILE_SIZES), (OVERLAP, OVERLAP_SIZES)):
            for i, (size, kernel, S, P) in enumerate(sizes):
                if level == TILES:  # all different
                    x = rng.permutation(int(np.prod(size))).reshape(size) - 5.0
                else:  # negative, so that a padding of 0 would win, and with ties
                    x = rng.integers(-4, 0, size).astype(float)
                arguments = {"x": x, "kernel_size": kernel, "stride": S, "padding": P}
                if backward:
                    shape = reference.max_pool_nd(x, kernel, S, P).shape
                    arguments = {"grad_output": normal(rng, *shape, small=i < 2), **arguments}
                cases.append(Case(level, arguments))
        return cases

    return draw


def zero_padded(x: Array, padding: int) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def stripped(padded: Array, x: Array, padding: int) -> Array:
    return padded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def max_pool_gradient(g, x, kernel, stride, padding, *, weights=None, add=True, zeros=False):
    """dx by loops; `weights(n)` gives the shares of n tied maxima, in row-major order."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)),
                    constant_values=0.0 if zeros else -np.inf)  # fmt: skip
    dx = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(g.shape):
        rows, columns = i * stride, j * stride
        window = padded[n, c, rows : rows + kernel[0], columns : columns + kernel[1]]
        places = np.argwhere(window == window.max())
        for (k, l), weight in zip(places, weights(len(places)) if weights else [1.0]):
            if add:
                dx[n, c, rows + k, columns + l] += weight * g[n, c, i, j]
            else:
                dx[n, c, rows + k, columns + l] = weight * g[n, c, i, j]
    return dx, stripped(dx, x, padding)


def unravelled_by_height(g, x, kernel, stride, padding):
    """dx with the maximum at (best // KH, best % KH) instead of (best // KW, best % KW)."""
    KH, KW = kernel
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    dx = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(g.shape):
        rows, columns = i * stride, j * stride
        best = int(padded[n, c, rows : rows + KH, columns : columns + KW].argmax())
        dx[n, c, rows + best // KH, columns + best % KH] += g[n, c, i, j]
    return stripped(dx, x, padding)


def avg_overwritten(g, x, kernel, stride, padding, *, by_position=True):
    dx = zero_padded(np.zeros_like(x), padding)
    taps, places = list(np.ndindex(*kernel)), list(np.ndindex(*g.shape[2:]))
    order = [(t, p) for p in places for t in taps] if by_position else [(t, p) for t in taps for p in places]
    for (k, l), (i, j) in order:
        dx[:, :, i * stride + k, j * stride + l] = g[:, :, i, j] / (kernel[0] * kernel[1])
    return stripped(dx, x, padding)


def cropped(y: Array, like: Array) -> Array:
    return y[:, :, : like.shape[2], : like.shape[3]]


def pool_mistakes(which: str) -> list[Mistake]:
    forward: Callable[..., Array] = reference.max_pool_nd if which == "max" else reference.avg_pool_nd

    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("y", name, lambda x, kernel_size, stride, padding: compute(x, kernel_size, stride, padding))

    shared = [
        mistake("the stride is ignored: the window moves one step at a time",
                lambda x, K, S, P: cropped(forward(x, K, 1, P), forward(x, K, S, P))),
        mistake("the stride is taken to be the kernel size", lambda x, K, S, P: cropped(
            forward(np.pad(x, ((0, 0), (0, 0), (0, 40), (0, 40))), K, K, P), forward(x, K, S, P))),
        mistake("the padding is ignored", lambda x, K, S, P: forward(x, K, S, 0)),
        mistake("the kernel's height and width are swapped", lambda x, K, S, P: forward(x, K[::-1], S, P)),
        mistake("height and width of the output are swapped", lambda x, K, S, P: forward(x, K, S, P).swapaxes(2, 3)),
        mistake("the windows at the end that do not fit are used too (ceil instead of floor)",
                lambda x, K, S, P: forward(x, K, S, P, ceil_mode=True)),
    ]  # fmt: skip
    if which == "max":
        return [
            *shared,
            mistake("the padding counts as 0 and wins over negative numbers: pad with −∞",
                    lambda x, K, S, P: forward(zero_padded(x, P), K, S, 0)),
            mistake("the maximum starts at 0, so negative numbers never win",
                    lambda x, K, S, P: np.maximum(forward(x, K, S, P), 0)),
            mistake("the minimum instead of the maximum", lambda x, K, S, P: -forward(-x, K, S, P)),
            mistake("the mean instead of the maximum", reference.avg_pool_nd),
        ]  # fmt: skip
    return [
        *shared,
        mistake("divided by the number of elements inside x: the padding counts, the divisor is always KH·KW",
                lambda x, K, S, P: forward(x, K, S, P, count_include_pad=False)),
        mistake("the sum instead of the mean: divide by KH·KW", lambda x, K, S, P: forward(x, K, S, P) * (K[0] * K[1])),
        mistake("divided by KH² or KW²: the kernel need not be square",
                lambda x, K, S, P: forward(x, K, S, P) * K[1] / K[0]),
        mistake("divided by KH² or KW²: the kernel need not be square",
                lambda x, K, S, P: forward(x, K, S, P) * K[0] / K[1]),
        mistake("divided by the number of outputs instead of the elements of a window",
                lambda x, K, S, P: forward(x, K, S, P) * (K[0] * K[1]) / forward(x, K, S, P)[0, 0].size),
    ]  # fmt: skip


def pool_gradient_mistakes(which: str) -> list[Mistake]:
    is_max = which == "max"
    right: Callable[..., Array] = reference.max_pool_nd_backward if is_max else reference.avg_pool_nd_backward

    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake("dx", name, lambda grad_output, x, kernel_size, stride, padding: compute(
            grad_output, x, kernel_size, stride, padding
        ))  # fmt: skip

    def stride_one(g, x, K, S, P):
        OH, OW = reference.max_pool_nd(x, K, 1, P).shape[2:]
        return right(np.pad(g, ((0, 0), (0, 0), (0, OH - g.shape[2]), (0, OW - g.shape[3]))), x, K, 1, P)

    shared = [
        mistake("the upstream gradient is ignored (as if it were all ones)",
                lambda g, *a: right(np.ones_like(g), *a)),
        mistake("the stride is ignored: output i belongs to the window that starts at i·stride", stride_one),
        mistake("the gradient is missing (zeros)", lambda g, x, *a: np.zeros_like(x)),
    ]  # fmt: skip
    overwritten = "= instead of +=: where windows overlap their gradients add up"
    if which == "max":
        return [
            *shared,
            mistake(overwritten, lambda *a: max_pool_gradient(*a, add=False)[1]),
            mistake("the gradient goes to every tie of the maximum: only the first one gets it",
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [1.0] * n)[1]),
            mistake("the gradient is shared among the ties of the maximum: the first one gets all of it",
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [1 / n] * n)[1]),
            mistake("the gradient goes to the last tie of the maximum: the first one gets it",
                    lambda *a: max_pool_gradient(*a, weights=lambda n: [0.0] * (n - 1) + [1.0])[1]),
            mistake("the padding is not stripped from dx", lambda *a: max_pool_gradient(*a)[0]),
            mistake("the padding is stripped at the end only: x starts at [padding], not at [0]",
                    lambda g, x, *a: max_pool_gradient(g, x, *a)[0][:, :, : x.shape[2], : x.shape[3]]),
            mistake("the padding counts as 0 and wins over negative numbers: pad with −∞",
                    lambda *a: max_pool_gradient(*a, zeros=True)[1]),
            mistake("the place of the maximum is found by dividing by KH: argmax counts in rows of KW elements",
                    unravelled_by_height),
            mistake("the gradient goes to the whole window instead of its maximum",
                    lambda g, x, K, *a: reference.avg_pool_nd_backward(g * (K[0] * K[1]), x, K, *a)),
        ]  # fmt: skip
    return [
        *shared,
        mistake(overwritten, avg_overwritten),
        mistake(overwritten, lambda *a: avg_overwritten(*a, by_position=False)),
        mistake("not divided by KH·KW", lambda g, x, K, *a: right(g * (K[0] * K[1]), x, K, *a)),
        mistake("divided by the number of elements inside x: the padding counts, the divisor is always KH·KW",
                lambda *a: right(*a, count_include_pad=False)),
        mistake("the padding is not stripped from dx",
                lambda g, x, K, S, P: right(g, zero_padded(x, P), K, S, 0)),
        mistake("the padding is stripped at the end only: x starts at [padding], not at [0]",
                lambda g, x, K, S, P: cropped(right(g, zero_padded(x, P), K, S, 0), x)),
    ]  # fmt: skip


POOLS = [
    Exercise("max_pool_forward", ("y",), {"y": {TILES: 1, OVERLAP: 2}}, draw_pool(False), reference.max_pool_nd,
             pool_mistakes("max")),
    Exercise("max_pool_backward", ("dx",), {"dx": {TILES: 1, OVERLAP: 2}}, draw_pool(True),
             lambda grad_output, **a: reference.max_pool_nd_backward(grad_output, **a), pool_gradient_mistakes("max")),
    Exercise("avg_pool_forward", ("y",), {"y": {TILES: 1, OVERLAP: 1}}, draw_pool(False), reference.avg_pool_nd,
             pool_mistakes("avg")),
    Exercise("avg_pool_backward", ("dx",), {"dx": {TILES: 1, OVERLAP: 1}}, draw_pool(True),
             lambda grad_output, **a: reference.avg_pool_nd_backward(grad_output, **a), pool_gradient_mistakes("avg")),
]  # fmt: skip


# --- softmax and cross-entropy ----------------------------------------------------------------------------

SMALL, LARGE = "small scores", "large scores"


def draw_scores(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, N, C, scale in [(SMALL, 1, 2, 1), (SMALL, 1, 3, 1), (SMALL, 3, 3, 2), (SMALL, 4, 6, 2),
                                   (LARGE, 1, 2, 1000), (LARGE, 3, 4, -1000), (LARGE, 5, 3, 2000)]:  # fmt: skip
            scores, target = scale * normal(rng, N, C), rng.integers(0, C, N)
            if level == LARGE:  # further apart than the range of exp, and the right class often the least
                scores = scale + 1000.0 * rng.permuted(np.tile(np.arange(C), (N, 1)), axis=1) + rng.random((N, C))
                target[0] = scores[0].argmax() if N == 1 else scores[0].argmin()
            upstream = {"grad_output": float(np.round(rng.uniform(1.5, 3), 3))} if backward else {}
            cases.append(Case(level, {**upstream, "scores": scores, "target": target}))
        return cases

    return draw


def softmax(scores: Array, axis: int = 1) -> Array:
    e = np.exp(scores - scores.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def one_hot(scores: Array, target: Array) -> Array:
    return np.eye(scores.shape[1])[target]


def naive_softmax(scores: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def half_turned_softmax(scores: Array) -> Array:
    """The maximum is taken over the classes, the sum over the batch."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    with np.errstate(all="ignore"):
        return e / e.sum(axis=0, keepdims=True)


def log_sum(scores: Array) -> Array:
    """log Σ e^s of each row minus its maximum."""
    return np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1))


def chosen(scores: Array, target: Array) -> Array:
    return scores[np.arange(len(target)), target]


def naive_loss(scores: Array, target: Array) -> float:
    with np.errstate(all="ignore"):
        return float(-np.log(chosen(naive_softmax(scores), target)).mean())


def logarithm_apart(scores: Array, target: Array) -> float:
    """log Σ e^s − s without subtracting the maximum, so that e^s overflows."""
    with np.errstate(all="ignore"):
        return float((np.log(np.exp(scores).sum(axis=1)) - chosen(scores, target)).mean())


def softmax_over_batch(scores: Array, target: Array) -> float:
    with np.errstate(all="ignore"):
        return float(-np.log(chosen(softmax(scores, 0), target)).mean())


def logarithm_of_zero(scores: Array, target: Array) -> float:
    """Subtracts the maximum, but takes the logarithm of a quotient that may be 0."""
    with np.errstate(all="ignore"):
        return float(-np.log(chosen(softmax(scores), target)).mean())


def loss_mistakes() -> list[Mistake]:
    right = reference.softmax_cross_entropy

    def mistake(name: str, compute: Callable[[Array, Array], Any]) -> Mistake:
        return Mistake("loss", name, lambda scores, target: compute(scores, target))

    overflow = "softmax overflows: subtract each row's maximum first"
    return [
        mistake(overflow, naive_loss),
        mistake(overflow, logarithm_apart),
        mistake("the logarithm of a softmax that has become 0: compute log Σ e^s − s from the shifted scores instead",
                logarithm_of_zero),
        mistake("the loss is not divided by N: it is the mean over the batch", lambda s, t: right(s, t) * len(s)),
        mistake("the loss is divided by N·C instead of N", lambda s, t: right(s, t) / s.shape[1]),
        mistake("the sign is wrong: the loss is minus the logarithm", lambda s, t: -right(s, t)),
        *(mistake("another logarithm: it is the natural one, np.log", compute) for base in (2, 10) for compute in (
            lambda s, t, base=base: right(s, t) / np.log(base),
            lambda s, t, base=base: log_sum(s).mean() / np.log(base) - chosen(s - s.max(1, keepdims=True), t).mean(),
        )),
        mistake("softmax over the batch (axis 0) instead of the classes (axis 1)",
                softmax_over_batch),
        mistake("the logarithm of the sum is missing", lambda s, t: float(-chosen(s, t).mean())),
        mistake("the probability itself instead of minus its logarithm",
                lambda s, t: float(chosen(softmax(s), t).mean())),
    ]  # fmt: skip


def score_gradient(grad_output: float, scores: Array, target: Array) -> Array:
    return grad_output * reference.softmax_cross_entropy_backward(scores, target)


def score_gradient_mistakes() -> list[Mistake]:
    def mistake(name: str, compute: Callable[[float, Array, Array], Any]) -> Mistake:
        return Mistake("d_scores", name, lambda grad_output, scores, target: compute(grad_output, scores, target))

    return [
        mistake("the upstream gradient is ignored (as if it were 1)", lambda g, s, t: score_gradient(1.0, s, t)),
        mistake("not divided by N: the loss is a mean over the batch",
                lambda g, s, t: len(s) * score_gradient(g, s, t)),
        mistake("not divided by N, and the upstream gradient is ignored",
                lambda g, s, t: len(s) * score_gradient(1.0, s, t)),
        mistake("divided by N twice", lambda g, s, t: score_gradient(g, s, t) / len(s)),
        mistake("the 1 of the right class is not subtracted", lambda g, s, t: g * softmax(s) / len(s)),
        mistake("the sign is wrong: it is softmax − one_hot", lambda g, s, t: -score_gradient(g, s, t)),
        mistake("only the element of the right class gets a gradient: softmax pulls at all of them",
                lambda g, s, t: score_gradient(g, s, t) * one_hot(s, t)),
        mistake("softmax over the batch (axis 0) instead of the classes (axis 1)",
                lambda g, s, t: g * (softmax(s, 0) - one_hot(s, t)) / len(s)),
        mistake("softmax over the batch (axis 0) instead of the classes (axis 1)",
                lambda g, s, t: g * (half_turned_softmax(s) - one_hot(s, t)) / len(s)),
        mistake("softmax overflows: subtract each row's maximum first",
                lambda g, s, t: g * (naive_softmax(s) - one_hot(s, t)) / len(s)),
    ]  # fmt: skip


LOSSES = [
    Exercise("cross_entropy_forward", ("loss",), {"loss": {SMALL: 1, LARGE: 1}}, draw_scores(False),
             reference.softmax_cross_entropy, loss_mistakes()),
    Exercise("cross_entropy_backward", ("d_scores",), {"d_scores": {SMALL: 2, LARGE: 1}}, draw_scores(True),
             score_gradient, score_gradient_mistakes()),
]  # fmt: skip

STEPS = [
    Step(8, "max and average pooling", "step08_pooling", POOLS),
    Step(9, "softmax and cross-entropy", "step09_cross_entropy", LOSSES),
]
