"""What can be said of a wrong result that no known mistake gives: how it differs from the right one, and where.

Every relation holds in all wrong cases, or is not named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.comparing import same

Array = np.ndarray
Named = tuple[str, str]
UNKNOWN: Named = ("", "")

NEAR = 1e-9


class Pair(NamedTuple):
    """What came and what was expected, in one case."""

    got: Array
    expected: Array
    arguments: dict[str, Any]


def related(result: str, function: str, cases: list[Pair]) -> Named:
    """How `got` is related to `expected` in all cases, and a passage; or two ""."""
    if not cases or any(pair.got.dtype.kind not in "fiu" or not pair.expected.size for pair in cases):
        return UNKNOWN
    shaped = [pair for pair in cases if pair.got.shape != pair.expected.shape]
    if any(not pair.got.size for pair in shaped):
        empty = all(not pair.got.size for pair in shaped)
        return (f"{result} is empty: a slice that ends where it begins", passages.CROPPING) if empty else UNKNOWN
    if shaped and len({pair.got.ndim for pair in shaped}) + len({pair.expected.ndim for pair in shaped}) > 2:
        return UNKNOWN
    if len({pair.expected.ndim for pair in cases}) > 1:
        cases = [Pair(pair.got.ravel(), pair.expected.ravel(), pair.arguments) for pair in cases]
    with np.errstate(all="ignore"):
        for relation in SHAPES if shaped else VALUES:
            if (found := relation(result, shaped or cases))[0]:
                return found
    return _of_maxima(cases) if function == "max_pool_forward" and not shaped else UNKNOWN


def _of_maxima(cases: list[Pair]) -> Named:
    """A maximum that is too small has not seen the whole window, one that is too large has seen more."""
    if all((pair.got <= pair.expected).all() for pair in cases):
        return "no element of y is too large, some are too small: they are not the largest of their whole window", (
            passages.MAX_POOLING)
    if all((pair.got >= pair.expected).all() for pair in cases):
        return "no element of y is too small, some are too large: they see something outside of their windows", (
            passages.MAX_POOLING)
    return UNKNOWN


def axis_names(result: str, axes: int) -> tuple[str, ...]:
    """What the axes of a result are called."""
    names = {"dw": ("output channel", "input channel", "kernel row", "kernel column"),
             "rotated": ("input channel", "output channel", "kernel row", "kernel column"),
             "db": ("output channel",), "columns": ("sample", "row", "column")}.get(result)  # fmt: skip
    if names is None or len(names) != axes:
        names = {1: ("element",), 2: ("row", "column"), 4: ("sample", "channel", "row", "column")}.get(axes)
    return names or tuple(f"index of axis {axis}" for axis in range(axes))


# --- other shapes -------------------------------------------------------------------------------------------


def _other_number_of_axes(result: str, cases: list[Pair]) -> Named:
    axes, wanted = {pair.got.ndim for pair in cases}, {pair.expected.ndim for pair in cases}
    if len(axes) != 1 or axes == wanted:
        return UNKNOWN
    found, right = axes.pop(), wanted.pop()
    if all(pair.got.size == pair.expected.size and same(pair.got.reshape(pair.expected.shape), pair.expected)
           for pair in cases):  # fmt: skip
        return f"the numbers of {result} are right, in the right order: only the shape is wrong", passages.AXES
    names = axis_names(result, right)
    for axis in range(max(found, right)):
        for word, reduce in (("sum", np.sum), ("mean", np.mean), ("first", _first), ("last", _last)):
            if found == right + 1 and all(same(reduce(pair.got, axis=axis), pair.expected) for pair in cases):
                return f"{result} has an axis too many: it is the {word} over axis {axis}", passages.SUMS
            if found == right - 1 and axis < right and all(
                same(pair.got, reduce(pair.expected, axis=axis)) for pair in cases
            ):
                return f"{result} lacks an axis: here it is the {word} over the {names[axis]}s", passages.SUMS
    for axis in range(right):
        if found == right - 1 and all(
            list(pair.got.shape) == np.delete(pair.expected.shape, axis).tolist() for pair in cases
        ):
            return f"{result} lacks an axis, that of the {names[axis]}s: write down which axes are left", passages.AXES
    more = f"has {found} axes instead of {right}"
    return f"{result} {more}: write down the axes after each line, with their sizes", passages.AXES


def _first(a: Array, axis: int) -> Array:
    return a.take(0, axis)


def _last(a: Array, axis: int) -> Array:
    return a.take(-1, axis)


def _part(result: str, cases: list[Pair]) -> Named:
    """Right numbers with rows, columns, .. that are missing or too many."""
    for word in ("missing", "too many"):
        found: set[tuple[tuple[str, ...], ...]] = set()
        for pair in cases:
            small, large = (pair.got, pair.expected) if word == "missing" else (pair.expected, pair.got)
            offsets = _place_of(small, large)
            if offsets is None:
                break
            sides = []
            for n, whole, start in zip(small.shape, large.shape, offsets):
                sides.append((*(["first"] if start else []), *(["last"] if whole - n - start else [])))
            found.add(tuple(sides))
        else:
            names = axis_names(result, cases[0].expected.ndim)
            several = [" and ".join(sorted({side for sides in found for side in sides[axis]}))
                       for axis in range(len(names))]  # fmt: skip
            listed = ", ".join(f"the {sides} {names[axis]}s" for axis, sides in enumerate(several) if sides)
            what = f"the numbers of {result} are right, but {listed} are {word}"
            return what, passages.CROPPING if word == "too many" else passages.SIZE
    return UNKNOWN


def _place_of(small: Array, large: Array) -> tuple[int, ...] | None:
    """The index at which `small` begins within `large`."""
    rest = [big - n for n, big in zip(small.shape, large.shape)]
    if small.ndim != large.ndim or min(rest, default=-1) < 0 or not small.size or np.prod([n + 1 for n in rest]) > 400:
        return None
    for offsets in product(*(range(n + 1) for n in rest)):
        if same(small, large[tuple(slice(start, start + n) for start, n in zip(offsets, small.shape))]):
            return offsets
    return None


def _same_numbers(result: str, cases: list[Pair]) -> Named:
    if all(pair.got.size == pair.expected.size and same(np.sort(pair.got, None), np.sort(pair.expected, None))
           for pair in cases):  # fmt: skip
        return f"{result} has the right numbers in another order and shape: a transpose is missing, or one too many", (
            passages.RESHAPE)
    return UNKNOWN


def _reduced_axis(result: str, cases: list[Pair]) -> Named:
    """An axis of size 1 where the others are summed up, or where one belongs."""
    for axis, name in enumerate(axis_names(result, cases[0].expected.ndim)):
        for word, reduce in (("summed", np.sum), ("averaged", np.mean)):
            if all(same(pair.got, reduce(pair.expected, axis=axis, keepdims=True)) for pair in cases):
                return f"{result} is {word} over the {name}s, which belong into it", passages.SUMS
            if all(same(reduce(pair.got, axis=axis, keepdims=True), pair.expected) for pair in cases):
                return f"{result} is not {word} over axis {axis}", passages.SUMS
    return UNKNOWN


def _sizes_of(arguments: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """What a size may be off by, for rows and columns."""
    yield "1", (1, 1)
    yield "2", (2, 2)
    S, P, D = (arguments.get(name, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1)))
    if not all(isinstance(value, int) for value in (S, P, D)):
        return
    yield from (("padding", (P, P)), ("2·padding", (2 * P, 2 * P)), ("4·padding", (4 * P, 4 * P)),
                ("stride", (S, S)), ("stride − 1", (S - 1, S - 1)))  # fmt: skip
    kernel = arguments.get("kernel_size", arguments["w"].shape[2:] if "w" in arguments else None)
    if isinstance(kernel, tuple) and len(kernel) == 2:
        for name, of in (("the kernel's size", lambda K: K), ("the kernel's size − 1", lambda K: K - 1),
                         ("dilation·(kernel size − 1)", lambda K: D * (K - 1)),
                         ("twice dilation·(kernel size − 1)", lambda K: 2 * D * (K - 1)),
                         ("what the dilation adds", lambda K: (D - 1) * (K - 1))):  # fmt: skip
            yield name, (of(kernel[0]), of(kernel[1]))


def _wrong_size(result: str, cases: list[Pair]) -> Named:
    """Which axis is too long or too short, and by how much."""
    if any(pair.got.ndim != pair.expected.ndim for pair in cases):
        return UNKNOWN
    names = axis_names(result, cases[0].expected.ndim)
    differences = np.array([np.subtract(pair.got.shape, pair.expected.shape) for pair in cases])
    axes = [axis for axis in range(len(names)) if differences[:, axis].any()]
    listed = " and ".join(f"{names[axis]}s" for axis in axes)
    some = differences[:, axes]
    if not ((some >= 0).all() or (some <= 0).all()):
        return f"{result} has another size along the {listed}: compute it on paper for this case", passages.SIZE
    word = "too many" if (some >= 0).all() else "too few"
    if len(names) == 4 and set(axes) <= {2, 3} and result not in ("dw", "rotated"):
        for name, _ in _sizes_of(cases[0].arguments):
            by = [dict(_sizes_of(pair.arguments)).get(name, (0, 0)) for pair in cases]
            if all(abs(row[axis]) == sizes[axis - 2] for row, sizes in zip(differences, by) for axis in axes):
                return f"{result} has {name} {listed} {word}", passages.SIZE
    return f"{result} has {word} {listed}: compute their number on paper for this case", passages.SIZE


SHAPES: list[Callable[[str, list[Pair]], Named]] = [
    _other_number_of_axes, _part, _same_numbers, _reduced_axis, _wrong_size,
]  # fmt: skip


# --- other values -------------------------------------------------------------------------------------------


def _wrong(pair: Pair) -> Array:
    scale = max(float(np.abs(pair.expected[np.isfinite(pair.expected)]).max(initial=0.0)), 1e-3)
    return ~np.isclose(pair.got, pair.expected, NEAR, NEAR * scale)


def _constant(values: Array) -> bool:
    return bool(np.isclose(values, values.flat[0], 1e-7, 1e-9).all())


def _not_finite(result: str, cases: list[Pair]) -> Named:
    if all((~np.isfinite(pair.got[_wrong(pair)])).all() for pair in cases):
        return f"{result} is inf or nan: a number overflows, or is divided by 0, or is the logarithm of 0", (
            passages.LARGE_SCORES if result in ("loss", "d_scores") else passages.PADDING)
    return UNKNOWN


def _nothing(result: str, cases: list[Pair]) -> Named:
    if all(not pair.got.any() for pair in cases):
        return f"{result} is 0 everywhere: is anything added to it, and is that the array that comes back?", (
            passages.ZEROS)
    return UNKNOWN


def _number(result: str, cases: list[Pair]) -> Named:
    """A result that is one number: it takes several cases to see something."""
    if len(cases) < 3 or any(pair.expected.size > 1 for pair in cases):
        return UNKNOWN
    got, expected = (np.array([float(a.flat[0]) for a in side]) for side in (
        [pair.got for pair in cases], [pair.expected for pair in cases]))  # fmt: skip
    if _constant(got - expected):
        by = got[0] - expected[0]
        return f"{result} is {abs(by):.6g} too {'large' if by > 0 else 'small'} in all wrong cases", passages.ONE_RULE
    if expected.all() and _constant(got / expected):
        return f"{result} is {got[0] / expected[0]:.6g} times what it should be in all wrong cases", passages.ONE_RULE
    return UNKNOWN


def of_named(result: str, cases: list[tuple[dict[str, Array], dict[str, Array]]]) -> Named:
    """The same for arrays with names, as the gradients of a net are: which of them are wrong, and how."""
    wrong = [{name for name in expected if not same(got.get(name), expected[name])} for got, expected in cases]
    if any(not isinstance(got.get(name), np.ndarray) or got[name].shape != expected[name].shape
           for got, expected in cases for name in expected):  # fmt: skip
        return UNKNOWN
    names = sorted(wrong[0])
    flat = [Pair(np.concatenate([got[name].ravel() for name in names]),
                 np.concatenate([expected[name].ravel() for name in names]), {})
            for got, expected in cases]  # fmt: skip
    how, see = UNKNOWN
    with np.errstate(all="ignore"):
        for relation in (_not_finite, _nothing, _factor, _sign):
            how, see = (how, see) if how else relation(result, flat)
    if any(names != sorted(each) for each in wrong) or len(names) == len(cases[0][1]):
        return how, see
    right = ", ".join(sorted(set(cases[0][1]) - set(names)))
    where = f"only {', '.join(names)} {'is' if len(names) == 1 else 'are'} wrong, and {right} right"
    return f"{where}{'; ' * bool(how)}{how}", see or passages.ONE_RULE


def _factor(result: str, cases: list[Pair]) -> Named:
    factors = []
    for pair in cases:
        places = pair.expected != 0
        if pair.got[~places].any() or not places.any():
            return UNKNOWN
        ratios = pair.got[places] / pair.expected[places]
        if not _constant(ratios) or not np.isfinite(ratios[0]):
            return UNKNOWN
        factors.append(float(ratios.flat[0]))
    if sum(pair.expected.size for pair in cases) < 2 * len(cases) + 2:
        return UNKNOWN  # one number is a multiple of any other
    if np.allclose(factors, factors[0]):
        return f"every element of {result} is {factors[0]:.6g} times what it should be", passages.SUMS
    low, high = min(factors), max(factors)
    return (f"all elements of {result} are off by the same factor, from {low:.4g} to {high:.4g} in the cases: a number "
            "of elements, by which too much, too little or wrongly is divided?"), passages.SUMS  # fmt: skip


def _addend(result: str, cases: list[Pair]) -> Named:
    """The same number too much everywhere, or one for each index of an axis."""
    differences = [pair.got - pair.expected for pair in cases]
    if not all(np.isfinite(difference).all() for difference in differences):
        return UNKNOWN
    if all(map(_constant, differences)) and max(d.size for d in differences) > 2:
        return f"all elements of {result} are off by the same number: something is added that does not belong, or is "\
               "missing", passages.ONE_RULE
    if len({d.ndim for d in differences}) != 1 or differences[0].ndim < 2:
        return UNKNOWN
    for axis, name in enumerate(axis_names(result, differences[0].ndim)):
        others = tuple(i for i in range(differences[0].ndim) if i != axis)
        if all(np.isclose(np.ptp(d, axis=others), 0, atol=1e-9).all() for d in differences) and any(
            d.size > 2 * d.shape[axis] for d in differences
        ):
            bias = " (a bias is missing, or counts twice?)" if (result, axis) == ("y", 1) else ""
            return f"each {name} of {result} is off by a number of its own, the same at all its elements{bias}", (
                passages.CHANNELS)
    return UNKNOWN


def _sign(result: str, cases: list[Pair]) -> Named:
    if all(same(abs(pair.got), abs(pair.expected)) for pair in cases):
        return f"the numbers of {result} are right but for the sign of some", passages.ONE_RULE
    return UNKNOWN


def _moved(result: str, cases: list[Pair]) -> Named:
    if not all(same(np.sort(pair.got, None), np.sort(pair.expected, None)) for pair in cases):
        return UNKNOWN
    axes = cases[0].expected.ndim
    names = axis_names(result, axes)
    if axes < 2:
        return f"{result} has the right numbers, but at other places", passages.AXES
    for kept in range(axes - 1, 0, -1):
        if all(same(_sorted(pair.got, kept), _sorted(pair.expected, kept)) for pair in cases):
            inside = " and ".join(f"each {name}" for name in names[:kept])
            return f"{result} has the right numbers in {inside}, but at other places there: look at the order of the "\
                   "axes, and at the indices", passages.RESHAPE
    return f"{result} has the right numbers, but at other places: look at the order of the axes", passages.RESHAPE


def _sorted(a: Array, kept: int) -> Array:
    """Sorted over all axes but the first `kept`."""
    return np.sort(a.reshape(*a.shape[:kept], -1), axis=-1)


def _shifted(result: str, cases: list[Pair]) -> Named:
    """The right picture, one or two elements off."""
    if any(pair.expected.ndim < 2 for pair in cases):
        return UNKNOWN
    for rows, columns in sorted(product(range(-2, 3), repeat=2), key=lambda step: abs(step[0]) + abs(step[1])):
        enough = 0
        for pair in cases:
            seen, wanted = _overlap(pair.got, rows, columns), _overlap(pair.expected, -rows, -columns)
            if not same(seen, wanted):
                break
            enough += int(seen.size > 2 and np.ptp(seen) > 0)
        else:
            if 2 * enough >= len(cases):
                down, right = ("up", "", "down")[np.sign(rows) + 1], ("left", "", "right")[np.sign(columns) + 1]
                listed = " and ".join(f"{abs(step)} {way}" for step, way in ((rows, down), (columns, right)) if step)
                return f"{result} is right, but shifted by {listed}", passages.PADDING
    return UNKNOWN


def _overlap(a: Array, rows: int, columns: int) -> Array:
    """What is left of a picture that moves by so many rows and columns."""
    (H, W) = a.shape[-2:]
    return a[..., max(rows, 0) : H + min(rows, 0), max(columns, 0) : W + min(columns, 0)]


Region = Callable[[tuple[int, ...]], Array]  # from a shape: where it is


def _regions(names: tuple[str, ...]) -> Iterator[tuple[str, Region]]:
    """Parts of an array, the smallest first: first and last of each axis, and what touches the border."""

    def at(axis: int, place: int) -> Region:
        def region(shape: tuple[int, ...]) -> Array:
            mask = np.zeros(shape, bool)
            mask[(slice(None),) * axis + (place,)] = True
            return mask

        return region

    def union(*regions: Region) -> Region:
        return lambda shape: np.logical_or.reduce([region(shape) for region in regions])

    def without(region: Region) -> Region:
        return lambda shape: ~region(shape)

    axes = len(names)
    for axis in reversed(range(axes)):
        for place, word in ((-1, "last"), (0, "first")):
            yield f"in the {word} {names[axis]}", at(axis, place)
    if axes >= 2:
        last = axes - 2, axes - 1
        ends, starts = (union(*(at(axis, place) for axis in last)) for place in (-1, 0))
        rows, columns = (union(at(axis, 0), at(axis, -1)) for axis in last)
        yield f"in the last {names[-2]} and the last {names[-1]}", ends
        yield f"in the first {names[-2]} and the first {names[-1]}", starts
        yield f"in the first and the last {names[-2]}", rows
        yield f"in the first and the last {names[-1]}", columns
        yield f"at the border (first and last {names[-2]}s and {names[-1]}s)", union(rows, columns)
        yield "inside, not at the border", without(union(rows, columns))
    for axis in reversed(range(axes)):
        for place, word in ((0, "first"), (-1, "last")):
            yield f"right only in the {word} {names[axis]}", without(at(axis, place))


def _where(result: str, cases: list[Pair]) -> Named:
    """Where the wrong elements are, and whether they are 0 or should be."""
    wrongs = [_wrong(pair) for pair in cases]
    elements = [(pair.got[wrong], pair.expected[wrong]) for pair, wrong in zip(cases, wrongs)]
    how, see = "", passages.AXES
    if all(not got.any() for got, _ in elements):
        how, see = ": 0 came there, so nothing is written or added", passages.ZEROS
    elif all(not expected.any() for _, expected in elements):
        how, see = ": 0 is expected there, so something is written that does not belong", passages.ZEROS
    if len({wrong.ndim for wrong in wrongs}) == 1 and wrongs[0].ndim:
        for place, region in _regions(axis_names(result, wrongs[0].ndim)):
            masks = [region(wrong.shape) for wrong in wrongs]
            if all(not (wrong & ~mask).any() for wrong, mask in zip(wrongs, masks)) and _clear(wrongs, masks):
                where = f"{result} is {place}" if place.startswith("right") else f"{result} is wrong only {place}"
                return f"{where}{how}", see if how else passages.GEOMETRY
    if how and any(not wrong.all() for wrong in wrongs):
        return f"some elements of {result} are wrong, and the others right{how}", see
    return UNKNOWN


def _copied(result: str, cases: list[Pair]) -> Named:
    """Whole rows, columns, channels, .. that are those of another index, or 0."""
    if len({pair.expected.ndim for pair in cases}) != 1:
        return UNKNOWN
    for axis, name in enumerate(axis_names(result, cases[0].expected.ndim)):
        examples = [_other_index(pair, axis) for pair in cases]
        if all(example is not None for example in examples) and any(examples):
            at, found = next(filter(None, examples))
            return (f"the {name}s of {result} are right ones, but some are at another index: number {at} has what "
                    f"belongs to number {found} in the first such case"), passages.AXES  # fmt: skip
    return UNKNOWN


def _other_index(pair: Pair, axis: int) -> tuple[int, int] | None:
    """The first index along the axis with the numbers of another one, and that; () if there are zeros only.

    None if some have other numbers.
    """
    n = pair.expected.shape[axis]
    got, expected = (np.moveaxis(a, axis, 0).reshape(n, -1) for a in pair[:2])
    if expected.shape[1] < 2 <= n:
        return None  # single numbers may be equal by chance
    first: Any = ()
    for at in range(n):
        if same(got[at], expected[at]) or not got[at].any():
            continue
        found = next((other for other in range(n) if same(got[at], expected[other])), None)
        if found is None:
            return None
        first = first or (at, found)
    return first


def _clear(wrongs: list[Array], masks: list[Array]) -> bool:
    """Whether that the wrong elements lie in a region is no chance: many lie in it, and much lies outside."""
    inside, wrong = sum(int(mask.sum()) for mask in masks), sum(int(each.sum()) for each in wrongs)
    outside = sum(int((~mask).sum()) for mask in masks)
    return outside >= max(20, 3 * len(masks)) and wrong >= 0.3 * inside


def _sums(result: str, cases: list[Pair]) -> Named:
    """Right sums over the last axes: everything is there, at wrong places."""
    axes = cases[0].expected.ndim
    if axes < 2 or result not in ("dx", "x", "dw", "spread"):
        return UNKNOWN
    names = axis_names(result, axes)
    for kept in range(axes - 1, 0, -1):
        rest = tuple(range(kept, axes))
        if all(same(pair.got.sum(rest), pair.expected.sum(rest)) for pair in cases):
            inside = " and ".join(f"each {name}" for name in names[:kept])
            return f"the sum over {inside} of {result} is right: nothing is lost, but it is added at wrong places", (
                passages.GEOMETRY)
    return UNKNOWN


def _same_along(result: str, cases: list[Pair]) -> Named:
    """An axis along which nothing changes, where it should."""
    for axis, name in enumerate(axis_names(result, cases[0].expected.ndim)):
        if all(same(pair.got, np.broadcast_to(pair.got.take([0], axis), pair.got.shape)) for pair in cases) and any(
            pair.got.shape[axis] > 1 and not same(
                pair.expected, np.broadcast_to(pair.expected.take([0], axis), pair.got.shape))
            for pair in cases
        ):  # fmt: skip
            return f"{result} is the same for all {name}s: an index is missing, or always the same", passages.AXES
    return UNKNOWN


VALUES: list[Callable[[str, list[Pair]], Named]] = [
    _not_finite, _nothing, _number, _factor, _addend, _sign, _copied, _moved, _shifted, _same_along, _where, _sums,
]  # fmt: skip
