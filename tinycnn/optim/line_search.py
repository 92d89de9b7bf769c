"""The length of a step that meets the strong Wolfe conditions: far enough down, and to where the slope is small."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from tinycnn.backend import Array

ENOUGH = 1e-4  # the loss is to fall by this share of what the slope at the start promises
FLAT = 0.9  # and the slope is to shrink to this share


class Point(NamedTuple):
    """A place on the line."""

    t: float  # the length of the step
    loss: float
    grad: Array
    slope: float  # of the loss along the line


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, width: float, least: float, most_calls: int
) -> tuple[Point, int]:
    """A point that meets both conditions or, if none was found, the lowest of those that enclose one; and the number of
    calls of `evaluate`.

    Args:
        evaluate: gives the point at a length.
        start: the point at length 0.
        t: the first length to try.
        width: the largest change of a parameter for length 1.
        least: the search ends where the points that enclose the goal are nearer than this, times `width`.
        most_calls: how many lengths to try after the first.

    Source: Nocedal, Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6.
    """
    new, before, tried, stuck = evaluate(t), start, 0, False
    while tried < most_calls:  # ever longer steps, until they enclose a point that meets the conditions
        if _too_high(new, start) or (tried > 1 and new.loss >= before.loss):
            break
        if _is_flat(new, start):
            return new, tried + 1
        if new.slope >= 0:
            break
        longer = (new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new = new, evaluate(_lowest(before, new, *longer))
        tried += 1
    else:
        before = start
    low, high = (before, new) if before.loss <= new.loss else (new, before)
    while tried < most_calls and abs(high.t - low.t) * width >= least:  # ever nearer points
        left, right = sorted((low.t, high.t))
        t, margin = _lowest(low, high, left, right), 0.1 * (right - left)
        near_an_end = min(right - t, t - left) < margin
        if near_an_end and (stuck or t >= right or t <= left):
            t, stuck = right - margin if abs(t - right) < abs(t - left) else left + margin, False
        else:
            stuck = near_an_end
        new = evaluate(t)
        tried += 1
        if _too_high(new, start) or new.loss >= low.loss:
            low, high = (low, new) if low.loss <= new.loss else (new, low)
        elif _is_flat(new, start):
            return new, tried + 1
        else:
            low, high = new, low if new.slope * (high.t - low.t) >= 0 else high
    return low, tried + 1


def _too_high(point: Point, start: Point) -> bool:
    return point.loss > start.loss + ENOUGH * point.t * start.slope


def _is_flat(point: Point, start: Point) -> bool:
    return abs(point.slope) <= -FLAT * start.slope


def _lowest(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points, with their slopes, is lowest between `low` and `high`; or their middle."""
    if a.t > b.t:
        a, b = b, a
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t) if a.t != b.t else math.nan
    square = first**2 - a.slope * b.slope
    if square >= 0 and (divisor := b.slope - a.slope + 2 * math.sqrt(square)):
        place = b.t - (b.t - a.t) * ((b.slope + math.sqrt(square) - first) / divisor)
        return min(max(place, low), high)
    return (low + high) / 2
