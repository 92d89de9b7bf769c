"""Step 9: softmax and cross-entropy, and their gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import mistakes, passages
from tinycnn.teaching.grade.drawing import normal
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake, Step

Array = np.ndarray

SMALL, LARGE = "small scores", "large scores"


def draw_scores(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, N, C, scale in [(SMALL, 1, 2, 1), (SMALL, 1, 3, 1), (SMALL, 3, 3, 2), (SMALL, 4, 6, 2),
                                   (LARGE, 1, 2, 1000), (LARGE, 3, 4, -1000), (LARGE, 5, 3, 2000),
                                   (LARGE, 4, 4, 1)]:  # fmt: skip
            scores, target = scale * normal(rng, N, C), rng.integers(0, C, N)
            if scale == 1 and level == LARGE:  # rows further apart than the range of exp, each small in itself
                scores += 4000.0 * rng.permutation(N)[:, None] - 6000
            elif level == LARGE:  # classes further apart than that, and the right class often the least
                scores = scale + 1000.0 * rng.permuted(np.tile(np.arange(C), (N, 1)), axis=1) + rng.random((N, C))
                target[0] = scores[0].argmax() if N == 1 else scores[0].argmin()
            upstream = {"grad_output": float(np.round(rng.uniform(1.5, 3), 3))} if backward else {}
            cases.append(Case(level, {**upstream, "scores": scores, "target": target}))
        return cases

    return draw


def softmax(scores: Array) -> Array:
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(scores: Array, target: Array) -> Array:
    return np.eye(scores.shape[1])[target]


def chosen(scores: Array, target: Array) -> Array:
    return scores[np.arange(len(target)), target]


Part = tuple[str, str, Callable[..., Any]]  # of a computation: what is wrong with it ("" if nothing), a passage, and it

# From the scores: those shifted, and the sum of their exponentials.
EXPONENTIALS: list[Part] = [
    ("", "", lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True))),
    ("softmax overflows: subtract each row's maximum first", passages.LARGE_SCORES,
     lambda s: (s, np.exp(s).sum(1, keepdims=True))),
    ("one maximum for the whole batch: each row has its own", passages.LARGE_SCORES,
     lambda s: (s - s.max(), np.exp(s - s.max()).sum(1, keepdims=True))),
    ("the maximum over the batch (axis 0) instead of the classes (axis 1)", passages.LARGE_SCORES,
     lambda s: (s - s.max(0), np.exp(s - s.max(0)).sum(1, keepdims=True))),
    ("softmax over the batch (axis 0) instead of the classes (axis 1)", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(0), np.exp(s - s.max(0)).sum(0))),
    ("softmax over the batch (axis 0) instead of the classes (axis 1)", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).sum(0))),
    ("softmax over all scores of the batch instead of each row", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(), np.full((len(s), 1), np.exp(s - s.max()).sum()))),
    ("the sum of the exponentials is over the whole batch instead of each row", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.full((len(s), 1), np.exp(s - s.max(1, keepdims=True)).sum()))),
    ("keepdims=True is missing: the maxima of the rows are subtracted from the columns", passages.AXES,
     lambda s: (s - s.max(1), np.exp(s - s.max(1)).sum(1, keepdims=True))),
    ("keepdims=True is missing: the columns are divided by the sums of the rows", passages.AXES,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).sum(1))),
    ("keepdims=True is missing: maxima and sums of the rows meet the columns", passages.AXES,
     lambda s: (s - s.max(1), np.exp(s - s.max(1)).sum(1))),
    ("softmax twice: the scores are real numbers, not probabilities", passages.CROSS_ENTROPY,
     lambda s: (softmax(s), np.exp(softmax(s)).sum(1, keepdims=True))),
    ("the mean of the exponentials instead of their sum", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s - s.max(1, keepdims=True)).mean(1, keepdims=True))),
    ("e^s is not divided by the sum over the classes", passages.CROSS_ENTROPY,
     lambda s: (s - s.max(1, keepdims=True), np.ones((len(s), 1)))),
    ("the minimum is subtracted instead of the maximum", passages.LARGE_SCORES,
     lambda s: (s - s.min(1, keepdims=True), np.exp(s - s.min(1, keepdims=True)).sum(1, keepdims=True))),
    ("the mean is subtracted instead of the maximum", passages.LARGE_SCORES,
     lambda s: (s - s.mean(1, keepdims=True), np.exp(s - s.mean(1, keepdims=True)).sum(1, keepdims=True))),
    ("divided by the maximum instead of shifted by it", passages.LARGE_SCORES,
     lambda s: (s / s.max(1, keepdims=True), np.exp(s / s.max(1, keepdims=True)).sum(1, keepdims=True))),
    ("the maximum is subtracted from the score only, not in the sum", passages.LARGE_SCORES,
     lambda s: (s - s.max(1, keepdims=True), np.exp(s).sum(1, keepdims=True))),
    ("the maximum is subtracted from the sum only", passages.LARGE_SCORES,
     lambda s: (s, np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True))),
    ("clipped scores are other scores: subtract each row's maximum", passages.LARGE_SCORES,
     lambda s: (s.clip(-500, 500), np.exp(s.clip(-500, 500)).sum(1, keepdims=True))),
    ("clipped scores are other scores: subtract each row's maximum", passages.LARGE_SCORES,
     lambda s: (s.clip(-700, 700), np.exp(s.clip(-700, 700)).sum(1, keepdims=True))),
]  # fmt: skip

SMALL_NUMBERS = [10.0**-n for n in range(5, 17)] + [1e-20, 1e-30, 1e-100, 1e-300, float(np.finfo(float).eps)]

# From them: minus the logarithms of the probabilities.
LOGARITHMS: list[Part] = [
    ("", "", lambda s, total: np.log(total) - s),
    ("the logarithm of a softmax that has become 0: compute log Σ e^s − s from the shifted scores instead",
     passages.LARGE_SCORES, lambda s, total: -np.log(np.exp(s) / total)),
    *((f"{eps:g} is added to the probability: compute log Σ e^s − s from the shifted scores instead",
       passages.LARGE_SCORES, lambda s, total, eps=eps: -np.log(np.exp(s) / total + eps)) for eps in SMALL_NUMBERS),
    *((f"the probability is clipped at {eps:g}: compute log Σ e^s − s from the shifted scores instead",
       passages.LARGE_SCORES, lambda s, total, eps=eps: -np.log(np.maximum(np.exp(s) / total, eps)))
      for eps in SMALL_NUMBERS),
    *((f"the probability is clipped at {eps:g} and 1 − {eps:g}: compute log Σ e^s − s instead",
       passages.LARGE_SCORES, lambda s, total, eps=eps: -np.log(np.clip(np.exp(s) / total, eps, 1 - eps)))
      for eps in SMALL_NUMBERS),
    *((f"another logarithm (base {base}): it is the natural one, np.log", passages.CROSS_ENTROPY,
       lambda s, total, base=base: (np.log(total) - s) / np.log(base)) for base in (2, 10)),
    *((f"another logarithm (base {base}): it is the natural one, np.log", passages.CROSS_ENTROPY,
       lambda s, total, base=base: np.log(total) / np.log(base) - s) for base in (2, 10)),
    ("the logarithm of the mean over the batch, of the sums", passages.CROSS_ENTROPY,
     lambda s, total: np.log(total.mean()) - s),
    ("the logarithm of the sum is missing", passages.CROSS_ENTROPY, lambda s, total: -s),
    ("the score is added instead of subtracted: −log p = log Σ e^s − s", passages.CROSS_ENTROPY,
     lambda s, total: np.log(total) + s),
    ("the logarithm is missing", passages.CROSS_ENTROPY, lambda s, total: total - s),
    ("log(1 + x) instead of log(x)", passages.CROSS_ENTROPY, lambda s, total: np.log1p(total) - s),
    ("the probability itself instead of minus its logarithm", passages.CROSS_ENTROPY,
     lambda s, total: np.exp(s) / total),
    ("the squared error instead of minus the logarithm", passages.CROSS_ENTROPY,
     lambda s, total: (1 - np.exp(s) / total) ** 2),
    ("half the squared error instead of minus the logarithm", passages.CROSS_ENTROPY,
     lambda s, total: (1 - np.exp(s) / total) ** 2 / 2),
    ("1 − the probability instead of minus its logarithm", passages.CROSS_ENTROPY,
     lambda s, total: 1 - np.exp(s) / total),
    ("minus the probability instead of minus its logarithm", passages.CROSS_ENTROPY,
     lambda s, total: -np.exp(s) / total),
]  # fmt: skip

# From them (N, C) and the target: the loss.
REDUCTIONS: list[Part] = [
    ("", "", lambda each, t: chosen(each, t).mean()),
    ("the loss is not divided by N: it is the mean over the batch", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).sum()),
    ("the loss is divided by N·C instead of N", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).sum() / each.size),
    ("the loss is divided by C instead of N", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).sum() / each.shape[1]),
    ("the loss is divided by N twice", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t).mean() / len(t)),
    ("the loss is divided by 2", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t).mean() / 2),
    ("the sign is wrong: the loss is minus the logarithm", passages.CROSS_ENTROPY,
     lambda each, t: -chosen(each, t).mean()),
    ("only the first sample counts", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t)[0]),
    ("only the last sample counts", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t)[-1]),
    ("only the last sample counts", passages.ZEROS, lambda each, t: chosen(each, t)[-1] / len(t)),
    ("the losses of the samples, not their mean", passages.CROSS_ENTROPY, lambda each, t: chosen(each, t)),
    ("the largest loss of the batch instead of the mean", passages.CROSS_ENTROPY,
     lambda each, t: chosen(each, t).max()),
    ("all classes count instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.sum(axis=1).mean()),
    ("all classes count instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.mean()),
    ("all classes count instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.sum()),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t].mean()),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t].sum() / len(t)),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t].sum()),
    ("[target] takes whole rows: it is [np.arange(N), target]", passages.CROSS_ENTROPY, lambda each, t: each[t].mean()),
    ("the target is taken for every sample from the first", passages.CROSS_ENTROPY,
     lambda each, t: each[:, t[0]].mean()),
    *(("each class counts by itself, the wrong ones with log(1 − p): only the right one counts",
       passages.CROSS_ENTROPY, lambda each, t, reduce=reduce: reduce(np.where(
           one_hot(each, t), each, -np.log1p(-np.exp(-each))).sum(axis=1))) for reduce in (np.mean, np.sum)),
    ("the logarithm of the mean instead of the mean of the logarithms", passages.CROSS_ENTROPY,
     lambda each, t: -np.log(np.exp(-chosen(each, t)).mean())),
    ("the likeliest class counts instead of the right one", passages.CROSS_ENTROPY, lambda each, t: each.min(1).mean()),
    *(("the class beside the right one counts: the targets begin at 0", passages.CROSS_ENTROPY,
       lambda each, t, step=step: chosen(each, (t + step) % each.shape[1]).mean()) for step in (1, -1)),
    ("the loss is cut off to an integer", passages.RULES, lambda each, t: int(chosen(each, t).mean())),
]  # fmt: skip

# From the probabilities and the target: d_scores, but for the factor.
DIFFERENCES: list[Part] = [
    ("", "", lambda p, t: p - one_hot(p, t)),
    ("the 1 of the right class is not subtracted", passages.CROSS_ENTROPY, lambda p, t: p),
    ("the sign is wrong: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda p, t: one_hot(p, t) - p),
    ("1 is added at the right class: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda p, t: p + one_hot(p, t)),
    ("the probability of the right class is replaced by 1: subtract 1 from it", passages.CROSS_ENTROPY,
     lambda p, t: np.where(one_hot(p, t), 1, p)),
    ("the probability of the right class is replaced by −1: subtract 1 from it", passages.CROSS_ENTROPY,
     lambda p, t: np.where(one_hot(p, t), -1, p)),
    ("[:, target] takes the target's columns in every row: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda p, t: p - one_hot(p, t).max(0)),
    ("[target] takes whole rows: it is [np.arange(N), target]", passages.CROSS_ENTROPY,
     lambda p, t: p - np.isin(np.arange(len(p)), np.arange(len(p))[t])[:, None]),
    ("1 is subtracted from every class: only from the right one", passages.CROSS_ENTROPY, lambda p, t: p - 1),
    ("1 is subtracted for the first sample only", passages.CROSS_ENTROPY,
     lambda p, t: p - one_hot(p, t) * (np.arange(len(p)) == 0)[:, None]),
    ("only the element of the right class gets a gradient: softmax pulls at all of them", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * one_hot(p, t)),
    ("the gradient with respect to the probability, not the score", passages.CROSS_ENTROPY,
     lambda p, t: -one_hot(p, t) / p),
    ("multiplied by p·(1 − p): softmax and logarithm together have p − one_hot", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * p * (1 - p)),
    ("the derivative of a sigmoid, p·(1 − p): softmax and logarithm together have p − one_hot", passages.CROSS_ENTROPY,
     lambda p, t: p * (1 - p)),
    ("one_hot is multiplied instead of subtracted", passages.CROSS_ENTROPY, lambda p, t: p * one_hot(p, t)),
    ("multiplied by the probability: softmax and logarithm together have p − one_hot", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * p),
    ("1 is subtracted at the likeliest class instead of the right one", passages.CROSS_ENTROPY,
     lambda p, t: p - one_hot(p, p.argmax(1))),
    ("only the one_hot is there: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda p, t: -one_hot(p, t)),
    ("the gradients are summed over the classes", passages.SUMS,
     lambda p, t: np.broadcast_to((p - one_hot(p, t)).sum(1, keepdims=True), p.shape)),
    ("the gradients are summed over the classes", passages.SUMS,
     lambda p, t: (p - one_hot(p, t)).sum(1, keepdims=True)),
    ("the gradients are summed over the batch", passages.SUMS, lambda p, t: (p - one_hot(p, t)).sum(0)),
    ("only the first sample of the batch is computed", passages.CROSS_ENTROPY,
     lambda p, t: (p - one_hot(p, t)) * (np.arange(len(p)) == 0)[:, None]),
    ("the gradient is missing (zeros)", passages.CROSS_ENTROPY, lambda p, t: 0 * p),
    ("multiplied by the probability of the right class: softmax and logarithm together have p − one_hot",
     passages.CROSS_ENTROPY, lambda p, t: (p - one_hot(p, t)) * chosen(p, t)[:, None]),
]  # fmt: skip

# What a class may get instead of p, or p − 1 for the right one.
OF_A_CLASS: list[tuple[str, Callable[[Array], Array]]] = [
    ("p", lambda p: p), ("p − 1", lambda p: p - 1), ("−p", lambda p: -p), ("1 − p", lambda p: 1 - p),
    ("p + 1", lambda p: p + 1), ("0", np.zeros_like), ("1", np.ones_like), ("−1", lambda p: -np.ones_like(p)),
    ("p·(1 − p)", lambda p: p * (1 - p)), ("p²", np.square), ("−p²", lambda p: -p * p), ("log p", np.log),
    ("−log p", lambda p: -np.log(p)), ("1 / p", lambda p: 1 / p), ("−1 / p", lambda p: -1 / p),
]  # fmt: skip
DIFFERENCES += [
    (f"the right class gets {right}, the others {others}: it is p − 1, and p", passages.CROSS_ENTROPY,
     lambda p, t, of_right=of_right, of_others=of_others: np.where(one_hot(p, t), of_right(p), of_others(p)))
    for right, of_right in OF_A_CLASS
    for others, of_others in OF_A_CLASS
    if (right, others) != ("p − 1", "p")
]  # fmt: skip

# From the upstream gradient, N and C: the factor.
FACTORS: list[Part] = [
    ("", "", lambda g, N, C: g / N),
    ("the upstream gradient is ignored (as if it were 1)", passages.ONE_RULE, lambda g, N, C: 1 / N),
    ("not divided by N: the loss is a mean over the batch", passages.CROSS_ENTROPY, lambda g, N, C: g),
    ("not divided by N, and the upstream gradient is ignored", passages.CROSS_ENTROPY, lambda g, N, C: 1.0),
    ("divided by N·C instead of N", passages.CROSS_ENTROPY, lambda g, N, C: g / N / C),
    ("divided by C instead of N", passages.CROSS_ENTROPY, lambda g, N, C: g / C),
    ("divided by N − 1 instead of N", passages.CROSS_ENTROPY, lambda g, N, C: g / (N - 1 or 1)),
    ("divided by N twice", passages.CROSS_ENTROPY, lambda g, N, C: g / N**2),
    ("multiplied by N instead of divided", passages.CROSS_ENTROPY, lambda g, N, C: g * N),
    ("divided by the upstream gradient", passages.ONE_RULE, lambda g, N, C: 1 / g / N),
    ("the upstream gradient counts twice", passages.ONE_RULE, lambda g, N, C: g * g / N),
    ("the sign is wrong: it is softmax − one_hot", passages.CROSS_ENTROPY, lambda g, N, C: -g / N),
]  # fmt: skip


def combined(result: str, parts: Sequence[list[Part]], compute: Callable[..., Any]) -> list[Mistake]:
    """A computation of several parts with one of them wrong, or two."""
    found = []
    last_first = range(len(parts))[::-1]  # what is done last is the likelier
    places = [places for count in (1, 2) for places in combinations(last_first, count)]
    for which in places:
        for wrong in product(*(parts[place][1:] for place in which)):  # the first of each list is right
            steps = [part[0][2] for part in parts]
            for place, (_, _, step) in zip(which, wrong):
                steps[place] = step
            name = "; and ".join(name for name, _, _ in wrong[::-1])
            found.append(Mistake(result, name, partial(compute, steps), wrong[-1][1]))
    return found


def loss_of(steps: Sequence[Callable[..., Any]], scores: Array, target: Array) -> Any:
    exponentials, logarithms, reduction = steps
    return reduction(logarithms(*exponentials(scores)), target)


def d_scores_of(steps: Sequence[Callable[..., Any]], grad_output: float, scores: Array, target: Array) -> Array:
    exponentials, difference, factor = steps
    shifted, total = exponentials(scores)
    return difference(np.exp(shifted) / total, target) * factor(grad_output, *scores.shape)


def score_gradient(grad_output: float, scores: Array, target: Array) -> Array:
    return grad_output * reference.softmax_cross_entropy_backward(scores, target)


def loss_mistakes() -> list[Mistake]:
    right = reference.softmax_cross_entropy
    return combined("loss", (EXPONENTIALS, LOGARITHMS, REDUCTIONS), loss_of) + of_targets("loss", right)


def of_targets(result: str, right: Callable[..., Any]) -> list[Mistake]:
    """Another class in the place of the right one."""
    wrong: list[tuple[str, Callable[[Array, int], Array]]] = [
        ("the class before the right one: the targets begin at 0", lambda t, C: (t - 1) % C),
        ("the class behind the right one: the targets begin at 0", lambda t, C: (t + 1) % C),
        ("the right class of the first sample, for all", lambda t, C: np.full_like(t, t[0])),
        ("the right class of the last sample, for all", lambda t, C: np.full_like(t, t[-1])),
        ("the right classes in the opposite order", lambda t, C: t[::-1]),
        ("the first class for all samples", lambda t, C: np.zeros_like(t)),
    ]  # fmt: skip
    return [
        mistakes.before(result, right, name, passages.CROSS_ENTROPY, lambda a, change=change: (
            a | {"target": change(a["target"], a["scores"].shape[1])}))
        for name, change in wrong
    ]  # fmt: skip


def score_gradient_mistakes() -> list[Mistake]:
    own = combined("d_scores", (EXPONENTIALS, DIFFERENCES, FACTORS), d_scores_of)

    def added(grad_output: float, scores: Array, target: Array) -> Array:
        return grad_output + score_gradient(1.0, scores, target)

    factors: list[tuple[str, Callable[[float, int], float]]] = [
        ("1", lambda g, N: 1.0), ("grad_output", lambda g, N: g), ("1/N", lambda g, N: 1 / N),
        ("grad_output / N", lambda g, N: g / N),
    ]  # fmt: skip
    own += [
        Mistake("d_scores", f"the softmax is multiplied by {name}, the one_hot by {other}: parentheses are missing",
                lambda grad_output, scores, target, of_p=of_p, of_hot=of_hot: (
                    of_p(grad_output, len(target)) * softmax(scores)
                    - of_hot(grad_output, len(target)) * one_hot(scores, target)), passages.ONE_RULE)
        for name, of_p in factors for other, of_hot in factors if name != other
    ]  # fmt: skip
    own += of_targets("d_scores", score_gradient)
    probabilities = [
        ("the scores themselves in the place of their softmax", lambda s: s),
        ("the logarithm of the softmax in its place", lambda s: np.log(softmax(s))),
        ("the logarithm of the softmax in its place", lambda s: s - s.max(1, keepdims=True) - np.log(
            np.exp(s - s.max(1, keepdims=True)).sum(1, keepdims=True))),
        ("a sigmoid of each score in the place of the softmax", lambda s: 1 / (1 + np.exp(-s))),
    ]
    own += [
        Mistake("d_scores", name, lambda grad_output, scores, target, p=p: (
            grad_output * (p(scores) - one_hot(scores, target)) / len(target)), passages.CROSS_ENTROPY)
        for name, p in probabilities
    ]  # fmt: skip
    own.append(Mistake("d_scores", "the upstream gradient is added instead of multiplied", added, passages.ONE_RULE))
    return [*own, *mistakes.of_result("d_scores", score_gradient, "N classes")]


LOSSES = [
    Exercise("cross_entropy_forward", ("loss",), {"loss": {SMALL: 0.5, LARGE: 1, FLOAT32: 0.5}}, draw_scores(False),
             reference.softmax_cross_entropy, loss_mistakes(), passages.CROSS_ENTROPY),
    Exercise("cross_entropy_backward", ("d_scores",), {"d_scores": {SMALL: 1.5, LARGE: 1, FLOAT32: 0.5}},
             draw_scores(True), score_gradient, score_gradient_mistakes(), passages.CROSS_ENTROPY),
]  # fmt: skip

STEP = Step(9, "softmax and cross-entropy", "step09_cross_entropy", LOSSES)
