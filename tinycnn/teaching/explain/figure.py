"""The figure for slides: one output and one input gradient, each with the products that it sums."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from itertools import product

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tinycnn.teaching.explain.worked import ConvGeometry

# Okabe and Ito, "Color Universal Design", 2008; the page uses the same colours.
HUES = {"x": "#56b4e9", "w": "#e69f00", "columns": "#cc79a7", "y": "#2fb28a"}
SELECTED = "#d55e00"
Index = tuple[int, ...]


def draw(arrays: Mapping[str, np.ndarray], geometry: ConvGeometry, extension: str) -> bytes:
    """The content of a figure file, the same bytes every time. `extension`: png, svg or pdf."""
    KH, KW = geometry.kernel
    C, O, (OH, OW), (PH, PW) = geometry.channels, geometry.filters, geometry.output, geometry.padding
    meetings = [
        ((c, i * geometry.stride[0] + k * geometry.dilation[0], j * geometry.stride[1] + l * geometry.dilation[1]),
         ((c * KH + k) * KW + l, i * OW + j), (c, k, l), (i, j))
        for i, j, c, k, l in product(*map(range, (OH, OW, C, KH, KW)))
    ]  # fmt: skip  # indices of the padded x, of columns, of w and of y
    out = (0, (OH - 1) // 2, (OW - 1) // 2)
    met = [meeting for meeting in meetings if meeting[3] == out[1:]]
    counts = {(0, i + PH, j + PW): 0 for i, j in np.ndindex(geometry.input)}
    for at, *_ in meetings:
        if at in counts:
            counts[at] += 1
    home = max(counts, key=lambda at: counts[at])
    back = [meeting for meeting in meetings if meeting[0] == home]

    padded = np.pad(arrays["x"], [(0, 0), (PH, PH), (PW, PW)])
    ring = np.ones_like(padded)
    ring[:, PH : PH + geometry.input[0], PW : PW + geometry.input[1]] = 0
    rows: list[list[tuple[str, np.ndarray, set[Index], Index | None]]] = [
        [("x", padded, {at for at, *_ in met}, None), ("w", arrays["w"], {(0, *tap) for _, _, tap, _ in met}, None),
         ("columns", arrays["columns"], {entry for _, entry, *_ in met}, None), ("y", arrays["y"], set(), out)],
        [("dx", arrays["dx_padded"], set(), home), ("w", arrays["w"], _each_filter(O, (m[2] for m in back)), None),
         ("dcolumns", arrays["dcolumns"], {entry for _, entry, *_ in back}, None),
         ("dy", arrays["dy"], _each_filter(O, (m[3] for m in back)), None)],
    ]  # fmt: skip
    widths = [max(_extent(row[i][1])[1] for row in rows) for i in range(4)]
    heights = [max(_extent(array)[0] for _, array, _, _ in row) for row in rows]
    cell = 0.36
    size = (cell * (sum(widths) + 6), cell * (sum(heights) + 7.5))
    matplotlib.rcParams["svg.hashsalt"] = "tinycnn"
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, size[0] / cell)
    axes.set_ylim(size[1] / cell, 0)
    axes.set_axis_off()
    y, gap = 1.7, 1.5
    for row, height, text in zip(rows, heights, [_output_text(arrays, out), _input_text(arrays, geometry, home, back)]):
        x = 0.8
        for (name, array, lit, selected), width in zip(row, widths):
            axes.text(x, y - 0.3, name, fontsize=13, fontstyle="italic", fontweight="bold", family="serif")
            _grids(axes, (x, y), name, array, lit, selected, ring if name in ("x", "dx") else None)
            x += width + gap
        axes.text(0.8, y + height + 0.9, text, fontsize=11, va="center")
        y += height + 3.5
    buffer = io.BytesIO()
    dates: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    figure.savefig(buffer, format=extension, dpi=160, metadata=dates.get(extension))
    return buffer.getvalue()


def _each_filter(filters: int, indices: Iterable[Index]) -> set[Index]:
    return {(o, *index) for index in indices for o in range(filters)}


def _extent(array: np.ndarray) -> tuple[float, float]:
    """Rows and columns of cells that an array occupies: channels below each other, filters of w side by side."""
    if array.ndim == 2:
        return array.shape[0], array.shape[1]
    blocks, across = (array.shape[0], 1) if array.ndim == 3 else (array.shape[1], array.shape[0])
    H, W = array.shape[-2:]
    return blocks * (H + 0.5) - 0.5, across * (W + 0.5) - 0.5


def _grids(
    axes: Axes, corner: tuple[float, float], name: str, array: np.ndarray, lit: set[Index], selected: Index | None,
    ring: np.ndarray | None,
) -> None:  # fmt: skip
    hue = HUES[name.removeprefix("d")]
    H, W = array.shape[-2:]
    for index, number in np.ndenumerate(array):
        *blocks, i, j = index
        down, across = (0, 0) if not blocks else (blocks[-1], 0 if len(blocks) == 1 else blocks[0])
        x, y = corner[0] + across * (W + 0.5) + j, corner[1] + down * (H + 0.5) + i
        is_ring, is_lit, is_selected = ring is not None and bool(ring[index]), index in lit, index == selected
        face = "#111111" if is_selected else hue if is_lit else "white"
        axes.add_patch(
            Rectangle((x, y), 1, 1, facecolor=face, edgecolor="#bbbbbb" if is_ring and not is_lit else "#8a8a8a",
                      linewidth=0.7, hatch="////" if is_ring and not is_lit else None)
        )  # fmt: skip
        if is_lit or is_selected:
            edge, width = (SELECTED, 3) if is_selected else ("#111111", 1.6)
            axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=edge, linewidth=width, zorder=3))
        colour = "white" if is_selected else "#555555" if is_ring and not is_lit else "#111111"
        text = str(number).replace("-", "−")
        axes.text(
            x + 0.5, y + 0.53, text, ha="center", va="center", fontsize=10 if len(text) < 3 else 8, color=colour,
            fontweight="bold" if is_lit or is_selected else "normal", zorder=4,
        )  # fmt: skip


def _output_text(arrays: Mapping[str, np.ndarray], out: Index) -> str:
    o, i, j = out
    column = arrays["columns"][:, i * arrays["y"].shape[2] + j]
    terms = _sum_of(f"{_number(w)}·{_number(x)}" for w, x in zip(arrays["w"][o].ravel(), column))
    return f"Forward, kernel times column:   y{_label(out, arrays['y'])} = {terms} = {_number(arrays['y'][out])}"


def _input_text(arrays: Mapping[str, np.ndarray], geometry: ConvGeometry, home: Index, back: list) -> str:
    at = home[0], home[1] - geometry.padding[0], home[2] - geometry.padding[1]
    terms = _sum_of(_number(arrays["dcolumns"][entry]) for _, entry, *_ in back)
    total = _number(arrays["dx_padded"][home])
    return f"Back, col2im adds what comes from every window:   dx{_label(at, arrays['dx'])} = {terms} = {total}"


def _label(index: Index, array: np.ndarray) -> str:
    """An index as the text has it: without the channel if there is one only."""
    return str(list(index[1:] if len(array) == 1 else index))


def _sum_of(terms: Iterable[str]) -> str:
    shown = list(terms)
    return " + ".join(shown if len(shown) <= 9 else [*shown[:8], "…"])


def _number(number: int) -> str:
    return f"({number})".replace("-", "−") if number < 0 else str(number)
