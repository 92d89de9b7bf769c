"""How tensors are printed: torch's rules, so that printed numbers agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinycnn._bfloat16 import FLOATING
from tinycnn.checks import check_choice, check_count, check_flag, check_not_negative

__all__ = ["set_printoptions"]


@dataclass(frozen=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=float("inf")),
}
_options = _PROFILES["default"]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed; None leaves an option as it is.

    Args:
        precision: digits after the point of a float; default 4.
        threshold: with more elements than this, the middle of a tensor is left out; default 1000.
        edgeitems: how many rows and columns are then shown at each end; default 3.
        linewidth: the characters of a line; default 80.
        profile: "default", "short" or "full", from which the others depart.
        sci_mode: True for scientific notation, False for none; by default (None) the numbers decide, at each call.

    Raises ValueError for another profile and for a number below 0.
    """
    global _options
    if profile is not None:
        check_choice("set_printoptions", "profile", profile, [*_PROFILES])
    given = {"precision": precision, "edgeitems": edgeitems, "linewidth": linewidth, "threshold": threshold}
    for name, value in given.items():
        if value is not None:
            check = check_not_negative if name == "threshold" else check_count
            check("set_printoptions", name, value)
    if sci_mode is not None:
        check_flag("set_printoptions", "sci_mode", sci_mode)
    base = _options if profile is None else _PROFILES[profile]
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options = replace(base, **chosen, sci_mode=sci_mode)


def tensor_text(array: np.ndarray, prefix: str, notes: Iterable[str]) -> str:
    """`prefix`, the elements, and after them the notes: "tensor([1., 2.], requires_grad=True)"."""
    is_long = array.size > _options.threshold
    indent = len(prefix)
    if array.size:
        shown = _edges(array) if is_long else array
        text = prefix + _elements(array, indent, is_long, *_number_format(shown))
    else:
        text = prefix + "[]"
    length = len(text) - text.rfind("\n") + 1  # of the last line
    for note in notes:
        if length + len(note) + 2 > _options.linewidth:
            text, length = f"{text},\n{' ' * indent}{note}", indent + len(note)
        else:
            text, length = f"{text}, {note}", length + len(note) + 2
    return text + ")"


def _edges(array: np.ndarray) -> np.ndarray:
    """The elements that are shown of a long tensor."""
    edge = _options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array


def _number_format(array: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """How each of the elements is written, and the width that all are brought to."""
    if array.dtype.kind not in FLOATING:
        return str, max(len(str(value)) for value in array.ravel().tolist())
    precision = _options.precision
    values = array.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    is_whole = bool((values == np.ceil(values)).all())
    smallest, largest = (np.abs(values).min(), np.abs(values).max()) if values.size else (1.0, 1.0)
    is_scientific = largest / smallest > 1000 or largest > 1e8 or (not is_whole and smallest < 1e-4)
    if _options.sci_mode is not None and values.size:
        is_scientific = _options.sci_mode

    def write(value: float) -> str:
        if is_scientific:
            return f"{value:.{precision}e}"
        if is_whole:
            return f"{value:.0f}." if np.isfinite(value) else f"{value:.0f}"
        return f"{value:.{precision}f}"

    return write, max(map(len, map(write, values.tolist())), default=1)


def _elements(array: np.ndarray, indent: int, is_long: bool, write: Callable[[Any], str], width: int) -> str:
    if array.ndim == 0:
        return write(array.item()).rjust(width)
    edge = _options.edgeitems
    has_gap = is_long and len(array) > 2 * edge
    ends = [array[:edge], array[len(array) - edge :]] if has_gap else [array]
    if array.ndim == 1:
        parts = [[write(value).rjust(width) for value in end.tolist()] for end in ends]
        cells = [*parts[0], " ...", *parts[1]] if has_gap else parts[0]
        count = max(1, (_options.linewidth - indent) // (width + 2))
        return _bracketed([", ".join(cells[i : i + count]) for i in range(0, len(cells), count)], "\n", indent)
    blocks = [[_elements(part, indent + 1, is_long, write, width) for part in end] for end in ends]
    return _bracketed([*blocks[0], "...", *blocks[1]] if has_gap else blocks[0], "\n" * (array.ndim - 1), indent)


def _bracketed(rows: list[str], newlines: str, indent: int) -> str:
    return "[" + f",{newlines}{' ' * (indent + 1)}".join(rows) + "]"
