"""Candidate mistakes, generated: for each axis, each side and each argument, what may be forgotten or mistaken there.

The exercises add what is their own: = instead of +=, ties, logarithms of 0, ..
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import combinations, permutations, product, zip_longest
from typing import Any, NamedTuple

import numpy as np

from tinycnn.teaching.grade import passages, windows
from tinycnn.teaching.grade.exercise import Mistake

Array = np.ndarray
Compute = Callable[..., Any]

WHERE = (("", (0, 1)), (" along the rows (H)", (0,)), (" along the columns (W)", (1,)))
AXIS = {
    "N": "samples", "C": "channels", "O": "output channels", "H": "rows", "W": "columns", "OH": "rows", "OW": "columns",
    "KH": "kernel rows", "KW": "kernel columns", "classes": "classes",
    "M": "positions",
}  # fmt: skip


# --- stride, padding, dilation ------------------------------------------------------------------------------


class Axis(NamedTuple):
    """The geometry along one axis: where windows start, how far their elements lie apart, the zeros at both ends."""

    stride: int
    before: int
    after: int
    dilation: int


Geometry = tuple[Axis, Axis]

_WRONG_AXES: list[tuple[str, str, Callable[[int, int, int, int], Axis]]] = [
    # from K, S, P, D: kernel size, stride, padding, dilation
    ("the stride is ignored{}: the window moves by stride, not by 1", passages.GEOMETRY,
     lambda K, S, P, D: Axis(1, P, P, D)),
    ("the padding is ignored{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, 0, 0, D)),
    ("the padding is put at the end only{}, not on both sides", passages.PADDING,
     lambda K, S, P, D: Axis(S, 0, 2 * P, D)),
    ("the padding is put at the start only{}, not on both sides", passages.PADDING,
     lambda K, S, P, D: Axis(S, 2 * P, 0, D)),
    ("padded before the first element only{}, not on both sides", passages.PADDING,
     lambda K, S, P, D: Axis(S, P, 0, D)),
    ("padded behind the last element only{}, not on both sides", passages.PADDING,
     lambda K, S, P, D: Axis(S, 0, P, D)),
    ("padded twice{}: padding is the number of zeros at each end", passages.PADDING,
     lambda K, S, P, D: Axis(S, 2 * P, 2 * P, D)),
    ("the dilation is ignored{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P, P, 1)),
    ("the dilation is off by one{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P, P, max(1, D - 1))),
    ("the dilation is off by one{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P, P, D + 1)),
    ("the window moves by the kernel's size{} instead of the stride", passages.GEOMETRY,
     lambda K, S, P, D: Axis(K, P, P, D)),
    ("the stride is off by one{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S + 1, P, P, D)),
    ("the stride is off by one{}", passages.GEOMETRY, lambda K, S, P, D: Axis(max(1, S - 1), P, P, D)),
    ("the windows start one element too early{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P + 1, P - 1, D)),
    ("the windows start one element too late{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P - 1, P + 1, D)),
    ("the windows start one element too late{}, and the last one ends too early", passages.GEOMETRY,
     lambda K, S, P, D: Axis(S, P - 1, P, D)),
    ("the windows start one dilation too early{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P + D, P - D, D)),
    ("the windows start one dilation too late{}", passages.GEOMETRY, lambda K, S, P, D: Axis(S, P - D, P + D, D)),
    ("stride and padding are ignored{}", passages.GEOMETRY, lambda K, S, P, D: Axis(1, 0, 0, D)),
    ("stride and dilation are ignored{}", passages.GEOMETRY, lambda K, S, P, D: Axis(1, P, P, 1)),
]  # fmt: skip


def _mixed_up(places: tuple[int, ...]) -> tuple[str, str, Callable[[int, int, int, int], Axis]]:
    """Stride, padding and dilation, each with the value of that with this number."""
    names = ("stride", "padding", "dilation")
    wrong = [i for i in range(3) if places[i] != i]
    if len(wrong) == 1:
        name = f"the {names[places[wrong[0]]]} takes the place of the {names[wrong[0]]}"
    elif len(wrong) == 2:
        name = f"{names[wrong[0]]} and {names[wrong[1]]} are exchanged"
    else:
        name = "stride, padding and dilation come in another order"

    def axis(K: int, *geometry: int) -> Axis:
        stride, padding, dilation = (geometry[place] for place in places)
        return Axis(stride, padding, padding, dilation)

    return f"{name}{{}}", passages.GEOMETRY, axis


_WRONG_AXES += [
    _mixed_up(places)
    for places in product(range(3), repeat=3)
    if sum(place != i for i, place in enumerate(places)) == 1 or (len(set(places)) == 3 and places != (0, 1, 2))
]


def of_geometry(
    result: str, compute: Compute, kernel: Callable[..., tuple[int, int]], dilated: bool,
    size: Callable[..., tuple[int, int]] | None = None,
) -> list[Mistake]:  # fmt: skip
    """A wrong stride, padding or dilation along both axes, the rows or the columns.

    Args:
        compute: takes a Geometry and the other arguments.
        kernel: its size, from the arguments.
        dilated: whether the function has a dilation.
        size: that of the right result, from the arguments: what is computed is cut off or continued with zeros, too.
    """

    return [
        _in_geometry(result, name, see, wrong, compute, kernel, size if fits else None)
        for name, see, wrong in wrong_axes(dilated)
        for fits in ((True, False) if size else (False,))
    ]


def of_two_in_geometry(
    result: str, compute: Compute, kernel: Callable[..., tuple[int, int]], dilated: bool,
    size: Callable[..., tuple[int, int]] | None = None,
) -> Iterator[Mistake]:  # fmt: skip
    """As `of_geometry`, with two things wrong."""
    for (name, see, wrong), (other_name, _, other) in combinations(wrong_axes(dilated), 2):
        def both(axis: int, *geometry: int, wrong: WrongAxis = wrong, other: WrongAxis = other) -> Axis:
            _, S, P, D = geometry
            right, first, second = Axis(S, P, P, D), wrong(axis, *geometry), other(axis, *geometry)
            return Axis(*(b if b != a else c for a, b, c in zip(right, second, first)))

        yield _in_geometry(result, f"{name}; and {other_name}", see, both, compute, kernel, size)


def _in_geometry(
    result: str, name: str, see: str, wrong: WrongAxis, compute: Compute, kernel: Callable[..., tuple[int, int]],
    size: Callable[..., tuple[int, int]] | None,
) -> Mistake:  # fmt: skip
    def wrongly(**arguments: Any) -> Any:
        rest = dict(arguments)
        stride, padding, dilation = rest.pop("stride"), rest.pop("padding"), rest.pop("dilation", 1)
        rows, columns = (wrong(axis, K, stride, padding, dilation) for axis, K in enumerate(kernel(**rest)))
        y = compute((rows, columns), **rest)
        return fitted(y, *size(**arguments)) if size else y

    return Mistake(result, name, wrongly, see)


WrongAxis = Callable[[int, int, int, int, int], Axis]  # from the number of the axis and K, S, P, D


def wrong_axes(dilated: bool) -> list[tuple[str, str, WrongAxis]]:
    """What may be wrong along both axes, the rows or the columns: a description, a passage, and it."""

    def only(axes: tuple[int, ...], wrong: Callable[[int, int, int, int], Axis]) -> WrongAxis:
        return lambda axis, K, S, P, D: wrong(K, S, P, D) if axis in axes else Axis(S, P, P, D)

    return [
        (name.format(where), see, only(axes, wrong))
        for where, axes in WHERE
        for name, see, wrong in _WRONG_AXES
        if dilated or "dilation" not in name
    ]


def with_size(found: list[Mistake], size: Callable[..., tuple[int, int]]) -> list[Mistake]:
    """The mistakes, each with the right size of the output as one more argument."""

    def one(mistake: Mistake) -> Mistake:
        return Mistake(mistake.result, mistake.name, lambda **a: mistake.compute(**a, size=size(**a)), mistake.see)

    return [one(mistake) for mistake in found]


# --- what lies outside of the image ---------------------------------------------------------------------------

# What np.pad puts there, or the number.
WRONG_FILLS: list[tuple[str, str | Callable[[Array], float]]] = [
    ("repeats the border", "edge"), ("mirrors the border", "reflect"), ("mirrors the border", "symmetric"),
    ("wraps around", "wrap"), ("is 1", lambda x: 1.0), ("is −1", lambda x: -1.0),
    ("is the mean of x", lambda x: x.mean()), ("is the smallest number of x", lambda x: x.min()),
    ("is the largest number of x", lambda x: x.max()),
]  # fmt: skip


def filled(x: Array, padding: int, fill: str | Callable[[Array], float]) -> Array:
    """x (N, C, H, W) with something else than 0 around it."""
    options: dict[str, Any] = {"mode": fill} if isinstance(fill, str) else {"constant_values": fill(x)}
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), **options)


# From the starts of the windows, the offsets of the kernel's elements and the size of the axis: indices, and which of
# them are used.
_WRONG_INDICES: list[tuple[str, Callable[[Array, Array, int], tuple[Array, Array]]]] = [
    ("an index below 0 counts from the end{}: it lies in the padding",
     lambda start, k, n: (start + k, (start + k >= -n) & (start + k < n))),
    ("an index of −1 is let through{}: it is the last element, not the padding",
     lambda start, k, n: (start + k, (start + k >= -1) & (start + k < n))),
    ("an index outside is moved to the border{}: it lies in the padding",
     lambda start, k, n: ((start + k).clip(0, n - 1), start + k > -(10**9))),
    ("an index outside is taken modulo the size{}: it lies in the padding",
     lambda start, k, n: ((start + k) % n, start + k > -(10**9))),
    ("the index 0 is left out{}: 0 ≤ index < size", lambda start, k, n: (start + k, (start + k > 0) & (start + k < n))),
    ("the last index is left out{}: 0 ≤ index < size",
     lambda start, k, n: (start + k, (start + k >= 0) & (start + k < n - 1))),
    ("first and last index are left out{}: 0 ≤ index < size",
     lambda start, k, n: (start + k, (start + k > 0) & (start + k < n - 1))),
    ("a window that begins in the padding is moved to the first element{}",
     lambda start, k, n: (start.clip(0) + k, start.clip(0) + k < n)),
    ("a window that reaches beyond the image is left out{}",
     lambda start, k, n: (start + k, (start >= 0) & (start + k.max() < n))),
]  # fmt: skip


def of_indices(
    result: str, compute: Compute, kernel: Callable[..., tuple[int, int]], size: Callable[..., tuple[int, int]],
) -> list[Mistake]:  # fmt: skip
    """Wrong conditions and indices of loops that do not pad.

    Args:
        compute: the result from the places of rows and columns (windows.py) and the arguments.
        kernel, size: those of the kernel and of the image, from the arguments.
    """

    def mistake(name: str, axes: tuple[int, ...], wrong: Callable[..., tuple[Array, Array]]) -> Mistake:
        def wrongly(**a: Any) -> Array:
            S, P, D = a["stride"], a["padding"], a.get("dilation", 1)
            places = []
            for axis, (n, K) in enumerate(zip(size(**a), kernel(**a))):
                count = (n + 2 * P - D * (K - 1) - 1) // S + 1
                start, offsets = np.arange(count) * S - P, np.arange(K)[:, None] * D
                index = start + offsets
                index, used = wrong(start, offsets, n) if axis in axes else (index, (index >= 0) & (index < n))
                places.append((np.where(used, index, 0) % n, np.broadcast_to(used, index.shape)))
            return compute(*places, **a)

        return Mistake(result, name, wrongly, passages.PADDING)

    return [mistake(name.format(where), axes, wrong) for where, axes in WHERE for name, wrong in _WRONG_INDICES]


def padded(x: Array, geometry: Geometry, fill: float = 0.0) -> Array:
    """x (N, C, H, W) with `fill` around it; less than none is cut off."""
    rows, columns = geometry
    (top, bottom), (left, right) = ((max(a.before, 0), max(a.after, 0)) for a in geometry)
    N, C, H, W = x.shape
    wide = np.full((N, C, top + H + bottom, left + W + right), fill, x.dtype)  # much faster than np.pad
    wide[:, :, top : top + H, left : left + W] = x
    return wide[:, :, max(-rows.before, 0) : wide.shape[2] - max(-rows.after, 0),
                max(-columns.before, 0) : wide.shape[3] - max(-columns.after, 0)]  # fmt: skip


def unpadded(wide: Array, geometry: Geometry, size: Sequence[int]) -> Array:
    """What `padded` makes of an array of this size, without the padding again; zeros where there is less than none."""
    starts = [max(axis.before, 0) for axis in geometry]
    fronts = [max(-axis.before, 0) for axis in geometry]
    x = np.zeros((*wide.shape[:2], *size))
    part = wide[:, :, starts[0] : starts[0] + size[0] - fronts[0], starts[1] : starts[1] + size[1] - fronts[1]]
    x[:, :, fronts[0] : fronts[0] + part.shape[2], fronts[1] : fronts[1] + part.shape[3]] = part
    return x


def fitted(y: Array, *size: int) -> Array:
    """`y` cut off, or continued with zeros, at the end of its last two axes."""
    if y.shape[2:] == size:
        return y
    y = y[:, :, : size[0], : size[1]]
    return np.pad(y, ((0, 0), (0, 0), (0, size[0] - y.shape[2]), (0, size[1] - y.shape[3])))


def of_crops(result: str, compute: Compute, size: Callable[..., tuple[int, int]]) -> list[Mistake]:
    """The padding stripped at a wrong place, along both axes, the rows or the columns.

    Args:
        compute: the result with its padding.
        size: that of the result, from the arguments.
    """

    def mistake(name: str, cut: Callable[[int, int, int], slice]) -> Mistake:
        def wrongly(padding: int, **arguments: Any) -> Array:
            cuts = [cut(axis, n, padding) for axis, n in enumerate(size(**arguments))]
            return compute(padding=padding, **arguments)[:, :, *cuts]

        return Mistake(result, name, wrongly, passages.CROPPING)

    def with_sizes(name: str, places: tuple[int, int]) -> Mistake:
        """[padding : padding + size] with the size of another axis."""
        def wrongly(padding: int, **arguments: Any) -> Array:
            cuts = [slice(padding, padding + size(**arguments)[place]) for place in places]
            return compute(padding=padding, **arguments)[:, :, *cuts]

        return Mistake(result, name, wrongly, passages.CROPPING)

    return [
        *(mistake(*wrong) for wrong in wrong_crops(result)),
        with_sizes(f"height and width are exchanged where the padding is stripped from {result}", (1, 0)),
        with_sizes(f"the width of {result} is cut off at its height", (0, 0)),
        with_sizes(f"the height of {result} is cut off at its width", (1, 1)),
    ]


def wrong_crops(result: str) -> list[tuple[str, Callable[[int, int, int], slice]]]:
    """A description, and the slice, from the number of the axis, its size and the padding."""
    wrong: list[tuple[str, Callable[[int, int], slice]]] = [
        (f"the padding is not stripped from {result}{{}}", lambda n, P: slice(None)),
        (f"the padding is stripped at the end only{{}}: {result} starts at [padding], not at [0]",
         lambda n, P: slice(0, n)),
        ("the padding is stripped at the start only{}", lambda n, P: slice(P, None)),
        ("[padding:-padding]{} is empty where padding is 0: write [padding : padding + size]",
         lambda n, P: slice(P, -P)),
        ("[padding:-1]{} cuts off one row or column: write [padding : padding + size]", lambda n, P: slice(P, -1)),
        ("the padding is stripped twice{}", lambda n, P: slice(2 * P, 2 * P + n)),
        ("[padding : size] ends too early{}: write [padding : padding + size]", lambda n, P: slice(P, n)),
        ("the padding is stripped one element too late{}", lambda n, P: slice(P + 1, P + 1 + n)),
        ("the padding is stripped one element too early{}", lambda n, P: slice(max(P - 1, 0), max(P - 1, 0) + n)),
    ]  # fmt: skip

    def only(axes: tuple[int, ...], cut: Callable[[int, int], slice]) -> Callable[[int, int, int], slice]:
        return lambda axis, n, P: cut(n, P) if axis in axes else slice(P, P + n)

    return [(name.format(where), only(axes, cut)) for where, axes in WHERE for name, cut in wrong]


def of_scattering(
    result: str, patches: Sequence[Compute], kernel: Callable[..., tuple[int, int]],
    size: Callable[..., tuple[int, int]], dilated: bool,
) -> Iterator[Mistake]:  # fmt: skip
    """Two mistakes of a loop that adds windows up in a padded array: in its geometry, its +=, and its crop.

    Before them, the += alone.

    Args:
        patches: what is sent to the windows (N, C, KH, KW, OH, OW), from the arguments; the first is right, the others
            are what is left of it by an = where there should be +=.
        kernel, size: those of the windows and of the result, from the arguments.
    """
    overwritten = "= instead of +=: where windows overlap, their values add up"
    right_axis: WrongAxis = lambda axis, K, S, P, D: Axis(S, P, P, D)  # noqa: E731
    geometries = [("", "", right_axis), *wrong_axes(dilated)]
    sums = [("", patches[0], "all"), *((overwritten, of, keeps) for of in patches for keeps in (
        "last window", "last tap"))]  # fmt: skip
    crops = [("", None), *wrong_crops(result)]
    alone: list[tuple] = []
    both: list[tuple] = []
    for parts in product(geometries, sums, crops):
        count = sum(bool(part[0]) for part in parts)
        if count == 2 or (count == 1 and parts[1][0]):
            (alone if count == 1 else both).append(parts)
    for (geometry, see, axis), (by, of, keeps), (crop, cut) in alone + both:
        names = [name for name in (geometry, by, crop) if name]

        def compute(
            axis: WrongAxis = axis, of: Compute = of, keeps: str = keeps, cut: Callable[..., slice] | None = cut,
            **arguments: Any,
        ) -> Array:  # fmt: skip
            S, P, D = arguments["stride"], arguments["padding"], arguments.get("dilation", 1)
            sizes = size(**arguments)
            rows, columns = (axis(i, K, S, P, D) for i, K in enumerate(kernel(**arguments)))
            wide = windows.scattered(
                of(**arguments), [n + a.before + a.after for n, a in zip(sizes, (rows, columns))],
                (rows.stride, columns.stride), (rows.dilation, columns.dilation), keeps)  # fmt: skip
            if cut is None:
                return unpadded(wide, (rows, columns), sizes)
            return wide[:, :, *(cut(i, n, P) for i, n in enumerate(sizes))]

        yield Mistake(result, "; and ".join(names), compute, see or passages.ONE_RULE)


def of_sizes(
    result: str, right: Compute, kernel: Callable[..., tuple[int, int]], sizes: Callable[..., Any],
    larger: Compute | None = None,
) -> list[Mistake]:  # fmt: skip
    """A result of a wrong size: cut off, or `larger`, or impossible where windows would reach beyond the input.

    `sizes` takes the size of the input and of the kernel, stride, padding and dilation to that of the output.
    """

    def mistake(name: str, change: Callable[..., tuple[int, int]]) -> Mistake:
        def wrongly(**a: Any) -> Array:
            y, dilation = right(**a), a.get("dilation", 1)
            wrong = change(a["x"].shape[2:], kernel(**a), a["stride"], a["padding"], dilation)
            if any(new > old for new, old in zip(wrong, y.shape[2:])):
                if larger is None:
                    raise IndexError
                return larger(**a, size=wrong)
            return y[:, :, : wrong[0], : wrong[1]]

        return Mistake(result, name, wrongly, passages.SIZE)

    names = "height", "width"
    found = [
        mistake("the width of the output is computed with the kernel's height",
                lambda n, K, *a: sizes(n, (K[0],) * 2, *a)),
        mistake("the height of the output is computed with the kernel's width",
                lambda n, K, *a: sizes(n, (K[1],) * 2, *a)),
        mistake("height and width of the kernel are swapped in the size of the output",
                lambda n, K, *a: sizes(n, K[::-1], *a)),
        mistake("the width of the output is computed from the input's height",
                lambda n, K, *a: sizes((n[0],) * 2, K, *a)),
        mistake("the height of the output is computed from the input's width",
                lambda n, K, *a: sizes((n[1],) * 2, K, *a)),
        mistake("height and width of the output are exchanged in its size", lambda *a: sizes(*a)[::-1]),
        mistake("the output is taken to be square", lambda *a: (sizes(*a)[0],) * 2),
        mistake("the output is taken to be square", lambda *a: (sizes(*a)[1],) * 2),
        mistake("the size of the output is computed without the padding", lambda n, K, S, P, D: sizes(n, K, S, 0, D)),
        mistake("the size of the output is computed without the dilation", lambda n, K, S, P, D: sizes(n, K, S, P, 1)),
        mistake("the size of the output is computed without the stride", lambda n, K, S, P, D: sizes(n, K, 1, P, D)),
    ]  # fmt: skip
    for axis, name in enumerate(names):
        for change, word in ((-1, "small"), (1, "large")):
            found.append(mistake(
                f"the {name} of the output is one too {word}",
                lambda *a, axis=axis, change=change: tuple(n + change * (i == axis) for i, n in enumerate(sizes(*a))),
            ))  # fmt: skip
    return found


# --- changes of an array ------------------------------------------------------------------------------------


_CHANGES_ALONG_AN_AXIS: list[tuple[str, str, Callable[..., Array]]] = [
    ("reversed along the {}{}", passages.INPUT, lambda a, axis: np.flip(a, axis)),
    ("the same for all {}: an index stays 0, or an axis is missing", passages.AXES,
     lambda a, axis: np.repeat(a.take([0], axis), a.shape[axis], axis)),
    ("0 at the last of the {}: a range ends one too early", passages.AXES,
     lambda a, axis: _kept(a, axis, slice(0, -1))),
    ("0 at the first of the {}: a range begins one too late", passages.AXES,
     lambda a, axis: _kept(a, axis, slice(1, None))),
    ("0 but for the first of the {}", passages.AXES, lambda a, axis: _kept(a, axis, slice(0, 1))),
    ("0 but for the last of the {}", passages.AXES, lambda a, axis: _kept(a, axis, slice(-1, None))),
    ("summed over the {}, which stay in the result", passages.SUMS,
     lambda a, axis: np.broadcast_to(a.sum(axis, keepdims=True), a.shape)),
    ("one element too late along the {}{}", passages.GEOMETRY, lambda a, axis: np.roll(a, 1, axis)),
    ("one element too early along the {}{}", passages.GEOMETRY, lambda a, axis: np.roll(a, -1, axis)),
    ("the same for all {}: an index stays at its last value", passages.AXES,
     lambda a, axis: np.repeat(a.take([-1], axis), a.shape[axis], axis)),
    ("averaged over the {}, which stay in the result", passages.SUMS,
     lambda a, axis: np.broadcast_to(a.mean(axis, keepdims=True), a.shape)),
    ("summed up along the {}: the sum is not set back to 0", passages.ZEROS, lambda a, axis: a.cumsum(axis)),
]  # fmt: skip


def changes(axes: str, turned: bool = True) -> Iterator[tuple[str, str, Callable[..., Array]]]:
    """What may be wrong with an array of these axes ("N C H W"): a description, a passage, and the change.

    An array that changes into one of another shape may be refused by what reads it; then the mistake is not possible.
    `turned`: also with its axes in other orders.
    """
    names = axes.split()
    rows_and_columns = (len(names) - 2, len(names) - 1)
    if len(names) >= 4:
        yield "rotated by 180°", passages.INPUT, lambda a: np.flip(a, rows_and_columns)
        for first in range(len(names) - 1):
            yield ("summed up from element to element: the sum is not set back to 0", passages.ZEROS,
                   lambda a, first=first: a.reshape(*a.shape[:first], -1).cumsum(-1).reshape(a.shape))  # fmt: skip
    for name, see, change in _CHANGES_ALONG_AN_AXIS:  # the likelier kind first, along all axes
        for axis, letters in enumerate(names):
            where = f" ({letters[-1]})" if letters[-1] in "HW" else ""
            if where or "element" not in name:
                yield name.format(AXIS[letters], where), see, partial(change, axis=axis)
    for count in range(2, len(names) + 1):
        for several in combinations(range(len(names)), count):
            listed = " and ".join(AXIS[names[axis]] for axis in several)
            yield f"reversed along the {listed}", passages.INPUT, lambda a, several=several: np.flip(a, several)
    for word, reduce in (("summed", np.sum), ("averaged", np.mean)):
        if len(names) >= 4:
            yield (f"{word} over {AXIS[names[-2]]} and {AXIS[names[-1]]}, which stay in the result", passages.SUMS,
                   lambda a, reduce=reduce: np.broadcast_to(
                       reduce(a, axis=rows_and_columns, keepdims=True), a.shape))  # fmt: skip
        if len(names) >= 2:
            yield (f"{word} over all its axes, which stay in the result", passages.SUMS,
                   lambda a, reduce=reduce: np.full_like(a, reduce(a)))  # fmt: skip
    if len(names) < 2 or not turned:
        return
    listed = ", ".join(names)
    for order in permutations(range(len(names))):
        if list(order) == sorted(order):
            continue
        found, back = ", ".join(names[axis] for axis in order), np.argsort(order)
        yield (f"with its axes in the order ({found}) instead of ({listed})", passages.AXES,
               lambda a, order=order: a.transpose(order))  # fmt: skip
        reshape = f"reshaped to ({listed}) from ({found}): a reshape moves no axis, that takes a transpose"
        yield reshape, passages.RESHAPE, lambda a, order=order: a.transpose(order).reshape(a.shape)
        reshape = f"reshaped to ({found}) from ({listed}): a reshape moves no axis, that takes a transpose"
        yield (reshape, passages.RESHAPE,
               lambda a, order=order, back=back: a.reshape([a.shape[i] for i in order]).transpose(back))  # fmt: skip


def _kept(a: Array, axis: int, part: slice) -> Array:
    """`a` with zeros but for a part of an axis."""
    kept, place = np.zeros_like(a), (slice(None),) * axis + (part,)
    kept[place] = a[place]
    return kept


def after(result: str, right: Compute, name: str, see: str, change: Compute) -> Mistake:
    """A change of the right result, which is given with the arguments."""
    return Mistake(result, name, lambda **arguments: change(right(**arguments), arguments), see, after=change)


def before(result: str, right: Compute, name: str, see: str, change: Compute) -> Mistake:
    """A change of the arguments."""
    return Mistake(result, name, lambda **arguments: right(**change(arguments)), see, before=change)


def of_result(result: str, right: Compute, axes: str) -> list[Mistake]:
    """A right result that was changed: zeros, the sign, and the `changes` of each axis."""

    def mistake(name: str, see: str, change: Callable[..., Array]) -> Mistake:
        return after(result, right, name, see, lambda y, arguments: change(y))

    return [
        mistake(f"{result} is missing (zeros)", "", lambda a: 0 * a),
        mistake("the sign is wrong", "", lambda a: -a),
        mistake(f"negative numbers of {result} are cut off", "", lambda a: np.maximum(a, 0)),
        mistake(f"{result} is taken without its sign", "", abs),
        mistake(f"{result} is squared", "", np.square),
        mistake(f"1 is added to {result}", "", lambda a: a + 1),
        mistake(f"1 is subtracted from {result}", "", lambda a: a - 1),
        mistake(f"{result} is rounded down: / divides, // rounds", passages.RULES, np.floor),
        mistake(f"{result} is cut off to integers", passages.RULES, np.trunc),
        *(mistake(f"{result} is rounded", passages.RULES, lambda a, digits=digits: a.round(digits))
          for digits in range(7)),
        *(mistake(f"{result} is {name}", see, change) for name, see, change in changes(axes)),
        *(mistake(f"{result} is 0 but for the first of the {AXIS[name]}, where the sum of all is", passages.AXES,
                  lambda a, axis=axis: _kept(np.broadcast_to(a.sum(axis, keepdims=True), a.shape), axis, slice(0, 1)))
          for axis, name in enumerate(axes.split())),
    ]  # fmt: skip


def of_arguments(result: str, right: Compute, **axes: str) -> list[Mistake]:
    """An argument that is read in a wrong way: each of these arrays, along each of its axes."""

    def mistake(argument: str, name: str, see: str, change: Callable[..., Array]) -> Mistake:
        def wrong(arguments: dict[str, Any]) -> dict[str, Any]:
            changed = change(arguments[argument])
            if changed.shape != arguments[argument].shape:
                raise ValueError
            return arguments | {argument: changed}

        return before(result, right, f"{argument} is read as if it were {name}", see, wrong)

    ignored = [
        mistake(argument, "all ones: it is ignored", passages.ONE_RULE, np.ones_like)
        for argument in axes
        if argument != "grad_output"
    ]
    ignored += [mistake(argument, "all zeros: it is left out", passages.ONE_RULE, np.zeros_like) for argument in axes]
    upstream = "the upstream gradient is ignored (as if it were all ones)"
    ones = lambda a: a | {"grad_output": np.ones_like(a["grad_output"])}  # noqa: E731
    return [
        *([before(result, right, upstream, passages.ONE_RULE, ones)] if "grad_output" in axes else []),
        *ignored,
        *(mistake(argument, "all of one sign", "", abs) for argument in axes),
        *(mistake(argument, "of the other sign", "", np.negative) for argument in axes),
        *(mistake(argument, "squared", "", np.square) for argument in axes),
        *(mistake(argument, "1, 0 or −1: its sign alone counts", "", np.sign) for argument in axes),
        *(mistake(argument, "cut off to integers", passages.RULES, np.trunc) for argument in axes),
        *of_terms(result, right, tuple(axes)),
        *(mistake(argument, *change) for row in zip_longest(*(
            [(argument, change) for change in changes(names)] for argument, names in axes.items()
        )) for argument, change in filter(None, row)),
    ]


def of_terms(result: str, right: Compute, names: tuple[str, ...]) -> list[Mistake]:
    """These arguments where they do not belong: exchanged, returned, or multiplied with the result, or added to it.

    It takes arrays of the same shape; where they differ, NumPy refuses what is meant here.
    """

    def checked(a: Array, b: Array) -> Array:
        if a.shape != b.shape:
            raise ValueError
        return b

    def mistake(name: str, see: str, compute: Callable[..., Any]) -> Mistake:
        return after(result, right, name, see, lambda y, arguments: compute(arguments, y))

    found = []
    for name in names:
        found += [
            mistake(f"{name} comes back as {result}", passages.ONE_RULE, lambda a, y, name=name: checked(y, a[name])),
            mistake(f"{result} is multiplied by {name} in the end", passages.ONE_RULE,
                    lambda a, y, name=name: y * checked(y, a[name])),
            mistake(f"{name} is added to {result}", passages.ONE_RULE,
                    lambda a, y, name=name: y + checked(y, a[name])),
            mistake(f"{name} is subtracted from {result}", passages.ONE_RULE,
                    lambda a, y, name=name: y - checked(y, a[name])),
        ]  # fmt: skip
    for name, other in permutations(names, 2):
        if name < other:
            found.append(before(
                result, right, f"{name} and {other} are exchanged", passages.ONE_RULE,
                lambda a, name=name, other=other: a | {name: checked(a[name], a[other]), other: a[name]},
            ))  # fmt: skip
    return found


def in_place_of(result: str, right: Compute, argument: str, other: str) -> Mistake:
    """The product of the wrong pair: `other`, of the shape of the result, where `argument` belongs."""
    return Mistake(
        result, f"{other} in the place of {argument}: each factor gets the other one times the gradient",
        lambda **a: right(**a | {argument: np.ones_like(a[argument])}) * a[other], passages.ONE_RULE,
    )  # fmt: skip


def of_factors(result: str, right: Compute, factors: Callable[..., dict[str, float]]) -> list[Mistake]:
    """A right result times or divided by a number of elements: `factors` gives them by name, from the arguments."""

    def mistake(name: str, key: str, power: int) -> Mistake:
        return after(result, right, name, passages.SUMS, lambda y, a: y * factors(**a)[key] ** power)

    keys = [  # of which factors() has some
        "N", "OH·OW", "N·OH·OW", "C", "O", "KH·KW", "C·KH·KW", "O·KH·KW", "KH", "KW", "2", "stride", "stride²", "N·C",
        "N·O", "KH + KW", "KH·KW − 1", "N − 1", "H", "W", "H·W",
    ]  # fmt: skip
    return [
        mistake(f"{result} is {verb} {key}", key, power)
        for key in keys
        for verb, power in (("divided by", -1), ("multiplied by", 1), ("divided twice by", -2),
                            ("multiplied twice by", 2))
    ]


def of_sums(result: str, addends: Compute, axes: str, kept: str) -> list[Mistake]:
    """A sum over the wrong axes: `result` keeps the axes `kept` of `addends`, which has the axes `axes`."""
    names = axes.split()
    right = tuple(i for i, name in enumerate(names) if name not in kept.split())
    listed = " and ".join(AXIS[names[i]] for i in right)

    def mistake(name: str, reduce: Compute) -> Mistake:
        return Mistake(result, name, lambda **arguments: reduce(addends(**arguments)), passages.SUMS)

    subsets = [tuple(i for i in range(len(names)) if bits >> i & 1) for bits in range(2 ** len(names))]
    wrong = f"{result} is summed over the wrong axes: it is the sum over {listed}"
    found = [
        mistake(f"{result} keeps axes of size 1: sum without keepdims, or reshape",
                lambda a: a.sum(right, keepdims=True)),
        *(mistake(wrong, lambda a, over=over: a.sum(over)) for over in subsets if over != right),
        *(mistake(wrong, lambda a, over=over: a.sum(over, keepdims=True)) for over in subsets if over != right),
    ]  # fmt: skip
    others = {"the largest": np.max, "the smallest": np.min, "the product": np.prod}
    for word, reduce in others.items():
        found.append(mistake(f"{word} of all, where {result} is the sum over {listed}",
                             lambda a, reduce=reduce: reduce(a, axis=right)))  # fmt: skip
    for over in subsets:
        if over and set(over) <= set(right):
            rest = tuple(i for i in right if i not in over)
            averaged = " and ".join(AXIS[names[i]] for i in over)
            found.append(mistake(
                f"averaged over {averaged}: {result} is a sum",
                lambda a, over=over, rest=rest: a.mean(over, keepdims=True).sum(rest, keepdims=True).squeeze(right),
            ))  # fmt: skip
            for place, word in ((0, "first"), (-1, "last")):
                found.append(mistake(
                    f"{result} counts the {word} of the {averaged} only: it is the sum over {listed}",
                    lambda a, over=over, rest=rest, place=place: _taken(a, over, place).sum(rest, keepdims=True)
                    .squeeze(right),
                ))  # fmt: skip
    return found


def _taken(a: Array, axes: Iterable[int], place: int) -> Array:
    for axis in axes:
        a = a.take([place], axis)
    return a
