"""Step 14: average pooling with all options of torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn.teaching import reference
from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.drawing import normal
from tinycnn.teaching.grade.exercise import FLOAT32, Case, Exercise, Mistake, Step
from tinycnn.teaching.grade.optional.unweighted import unweighted

Array = np.ndarray

BASIC, CEIL, DIVISOR = "kernel, stride, padding", "ceil_mode", "divisors"

# (N, C, H, W), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
POOLS: dict[str, list] = {
    BASIC: [
        ((1, 1, 2, 4), (2, 2), None, (0, 0), False, True, None),
        ((1, 1, 3, 4), (2, 3), (1, 1), (0, 0), False, True, None),
        ((1, 1, 3, 4), (2, 2), (2, 1), (1, 0), False, True, None),
        ((2, 3, 5, 7), (3, 2), (2, 3), (1, 1), False, True, None),
    ],
    CEIL: [
        ((1, 1, 3, 4), (2, 2), None, (0, 0), True, True, None),
        ((1, 1, 3, 2), (2, 2), (2, 2), (1, 1), True, True, None),  # a last window would start in the padding
        ((2, 2, 5, 7), (2, 3), (3, 3), (1, 1), True, True, None),
        ((2, 2, 6, 8), (3, 3), (2, 4), (1, 1), True, True, None),
    ],
    DIVISOR: [
        ((1, 1, 2, 3), (2, 2), (1, 1), (1, 1), False, False, None),
        ((1, 1, 3, 4), (2, 2), None, (0, 0), False, True, 3),
        ((2, 2, 5, 7), (3, 2), (2, 2), (1, 1), True, False, None),
        ((2, 2, 6, 5), (3, 3), (2, 2), (1, 1), True, False, 5),
    ],
}
POOL_OPTIONS = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def draw_pool_sizes(rng: np.random.Generator) -> list[Case]:
    rows = [(BASIC, 5, 2, 2, 0, False), (BASIC, 7, 3, 2, 1, False), (BASIC, 28, 3, 1, 0, False),
            (CEIL, 5, 2, 2, 0, True), (CEIL, 4, 2, 2, 0, True), (CEIL, 2, 2, 2, 1, True), (CEIL, 7, 3, 3, 1, True),
            (CEIL, 10, 3, 4, 1, True)]  # fmt: skip
    for _ in range(4):
        K, S = (int(n) for n in rng.integers(2, 6, 2))
        rows.append((CEIL, int(rng.integers(K, 30)), K, S, int(rng.integers(0, K // 2 + 1)), True))
    names = ("size", "kernel_size", "stride", "padding", "ceil_mode")
    return [Case(level, dict(zip(names, row))) for level, *row in rows]


def pool_size_mistakes() -> list[Mistake]:
    def mistake(name: str, formula: Callable[..., Any]) -> Mistake:
        return Mistake("size", name, lambda size, kernel_size, stride, padding, ceil_mode: formula(
            size, kernel_size, stride, padding, ceil_mode), passages.AVERAGE_POOLING)  # fmt: skip

    def up(n: int, K: int, S: int, P: int) -> int:
        return -(-(n + 2 * P - K) // S) + 1

    def down(n: int, K: int, S: int, P: int) -> int:
        return (n + 2 * P - K) // S + 1

    return [
        mistake("a last window that starts behind the input is used: it must start before size + padding",
                lambda n, K, S, P, ceil: up(n, K, S, P) if ceil else down(n, K, S, P)),
        mistake("ceil_mode is ignored", lambda n, K, S, P, ceil: down(n, K, S, P)),
        mistake("always rounded up: only with ceil_mode", lambda n, K, S, P, ceil: up(n, K, S, P)),
        mistake("with ceil_mode there is always a window more: only if something is left behind the last",
                lambda n, K, S, P, ceil: down(n, K, S, P) + ceil),
        mistake("with ceil_mode there is always a window more: only if something is left behind the last",
                lambda n, K, S, P, ceil: (d := down(n, K, S, P)) + (ceil and d * S < n + P)),
        mistake("the + 1 is missing: the first window counts too",
                lambda n, K, S, P, ceil: reference.pool_output_size(n, K, S, P, 1, ceil) - 1),
        mistake("the padding is ignored", lambda n, K, S, P, ceil: reference.pool_output_size(n, K, S, 0, 1, ceil)),
        mistake("the padding is counted on one side only", lambda n, K, S, P, ceil: (
            -(-(n + P - K) // S) if ceil else (n + P - K) // S) + 1),
    ]  # fmt: skip


def draw_avg_pool(backward: bool) -> Callable[[np.random.Generator], list[Case]]:
    def draw(rng: np.random.Generator) -> list[Case]:
        cases = []
        for level, rows in POOLS.items():
            for size, *options in rows:
                small = size[0] * size[1] == 1
                x, how, upstream = normal(rng, *size, small=small), dict(zip(POOL_OPTIONS, options)), {}
                if backward:
                    upstream = {"grad_output": normal(rng, *reference.avg_pool_nd(x, **how).shape, small=small)}
                cases.append(Case(level, {**upstream, "x": x, **how}))
        return cases

    return draw


def avg_pool(
    x: Array, upstream: Array | None, how: dict[str, Any], divide: Callable[..., float] | None = None
) -> Array:
    """The reference, forward or, with an upstream gradient, backward.

    `divide(inside, padded, whole)` gives other divisors from the numbers of positions of a window on the input, on the
    padded input, and at all.
    """
    if divide is None:
        return reference.avg_pool_nd(x, **how) if upstream is None else (
            reference.avg_pool_nd_backward(upstream, x, **how))  # fmt: skip
    whole = {**how, "divisor_override": 1, "count_include_pad": True}
    sizes = reference.avg_pool_nd(x[:1, :1], **whole).shape[2:]
    K, S, P = how["kernel_size"], how["stride"] or how["kernel_size"], how["padding"]
    inside, padded = np.ones(sizes), np.ones(sizes)
    for place in np.ndindex(*sizes):
        for i, size, k, s, p in zip(place, x.shape[2:], K, S, P):
            first, last = i * s, min(i * s + k, size + 2 * p)
            padded[place] *= last - first
            inside[place] *= min(last - p, size) - max(first - p, 0)
    divisors = np.vectorize(divide, otypes=[float])(inside, padded, K[0] * K[1])
    if upstream is None:
        return reference.avg_pool_nd(x, **whole) / divisors
    return reference.avg_pool_nd_backward(upstream / divisors, x, **whole)


def scattered(x: Array, g: Array, how: dict[str, Any]) -> Array:
    """dx by a loop over the upstream gradient, whose shape need not be that for these options."""
    dx, K, S, P = np.zeros_like(x), how["kernel_size"], how["stride"] or how["kernel_size"], how["padding"]
    for place in np.ndindex(*g.shape[2:]):
        axes = list(zip(place, x.shape[2:], K, S, P))
        inside = [slice(max(i * s - p, 0), max(min(i * s - p + k, n), 0)) for i, n, k, s, p in axes]
        padded = np.prod([min(k, n + 2 * p - i * s) for i, n, k, s, p in axes])
        part = dx[:, :, *inside]
        if part.size:
            counted = padded if how["count_include_pad"] else part[0, 0].size
            part += g[:, :, *place].reshape(*g.shape[:2], 1, 1) / (how["divisor_override"] or counted)
    return dx


def avg_pool_mistakes(result: str) -> list[Mistake]:
    def mistake(name: str, compute: Callable[..., Any]) -> Mistake:
        return Mistake(result, name, lambda x, grad_output=None, **how: compute(x, grad_output, how),
                       passages.AVERAGE_POOLING)  # fmt: skip

    def changed(**options: Any) -> Callable[..., Any]:
        return lambda x, g, how: avg_pool(x, g, {**how, **options})

    def misplaced(other: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
        """With windows of another kernel size, stride or padding."""
        return lambda x, g, how: avg_pool(x, g, how | other(how)) if g is None else scattered(x, g, how | other(how))

    def step(how: dict[str, Any]) -> tuple[int, int]:
        return how["stride"] or how["kernel_size"]

    def divisor(override: Any, ordinary: Any) -> Any:
        return ordinary if override is None else override

    return [
        mistake("count_include_pad is ignored: the padding always counts", changed(count_include_pad=True)),
        mistake("the padding never counts: with count_include_pad it does", changed(count_include_pad=False)),
        mistake("count_include_pad the wrong way round", lambda x, g, how: avg_pool(
            x, g, {**how, "count_include_pad": not how["count_include_pad"]})),
        mistake("divisor_override is ignored", changed(divisor_override=None)),
        mistake("divisor_override is multiplied by the number of positions", lambda x, g, how: avg_pool(
            x, g, how, lambda inside, padded, whole: (how["divisor_override"] or 1) * (
                padded if how["count_include_pad"] else inside))),
        mistake("divided by KH·KW where the window reaches beyond the padded input: less of it counts there",
                lambda x, g, how: avg_pool(x, g, how, lambda inside, padded, whole: divisor(
                    how["divisor_override"], whole if how["count_include_pad"] else inside))),
        mistake("always divided by KH·KW", lambda x, g, how: avg_pool(x, g, how, lambda inside, padded, whole: whole)),
        mistake("the sum instead of the mean", changed(divisor_override=1)),
        *([mistake("ceil_mode is ignored", changed(ceil_mode=False))] if result == "y" else []),
        mistake("kernel_size is (KH, KW), here taken as (KW, KH)",
                misplaced(lambda how: {"kernel_size": how["kernel_size"][::-1]})),
        mistake("stride is (rows, columns), here taken as (columns, rows)",
                misplaced(lambda how: {"stride": step(how)[::-1]})),
        mistake("the first stride is taken for both axes", misplaced(lambda how: {"stride": step(how)[:1] * 2})),
        mistake("padding is (rows, columns), here taken as (columns, rows)",
                misplaced(lambda how: {"padding": how["padding"][::-1]})),
        mistake("the padding is ignored", misplaced(lambda how: {"padding": (0, 0)})),
        mistake("without a stride it is 1: it is that of kernel_size",
                misplaced(lambda how: {"stride": how["stride"] or (1, 1)})),
        *([] if result == "y" else [
            mistake("the upstream gradient is ignored (as if it were all ones)",
                    lambda x, g, how: avg_pool(x, np.ones_like(g), how)),
            mistake("= instead of +=: where windows overlap their gradients add up", overwritten_avg_pool),
        ]),
    ]  # fmt: skip


def overwritten_avg_pool(x: Array, g: Array, how: dict[str, Any]) -> Array:
    dx = np.zeros_like(x)
    for place in np.ndindex(*g.shape[2:]):
        one = np.zeros_like(g)
        one[:, :, *place] = g[:, :, *place]
        part = avg_pool(x, one, how)
        dx[part != 0] = part[part != 0]
    return dx


STEP = Step(
    14, "average pooling with all options", "step14_average_pooling", optional=True,
    exercises=[
        Exercise("pool_output_size", ("size",), unweighted("size", levels=[BASIC, CEIL]), draw_pool_sizes,
                 lambda size, kernel_size, stride, padding, ceil_mode: reference.pool_output_size(
                     size, kernel_size, stride, padding, 1, ceil_mode),
                 pool_size_mistakes(), see=passages.AVERAGE_POOLING),
        Exercise("avg_pool_forward", ("y",), unweighted("y", levels=[*POOLS, FLOAT32]), draw_avg_pool(False),
                 reference.avg_pool_nd, avg_pool_mistakes("y"), see=passages.AVERAGE_POOLING),
        Exercise("avg_pool_backward", ("dx",), unweighted("dx", levels=[*POOLS, FLOAT32]), draw_avg_pool(True),
                 reference.avg_pool_nd_backward, avg_pool_mistakes("dx"), see=passages.AVERAGE_POOLING),
    ],
)  # fmt: skip
