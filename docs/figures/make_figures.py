"""Draws the figures of docs/backprop-through-conv.md and docs/augmentation.md: `python docs/figures/make_figures.py`.

explain.png is a photograph of the page of `tinycnn explain`, taken where playwright and Chromium are installed.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import tinycnn
from tinycnn._files import write_whole
from tinycnn.data import Digits, make_grid
from tinycnn.data.transforms import v2
from tinycnn.teaching.explain.command import page
from tinycnn.teaching.explain.figure import HUES, SELECTED
from tinycnn.teaching.explain.worked import ConvGeometry

FOLDER = Path(__file__).parent
INK, FAINT = "#111111", "#c4c4c4"


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A drawing area of cells of 0.4 inches, rows counted downwards."""
    figure = Figure(figsize=(0.4 * width, 0.4 * height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    return figure, axes


def save(draw: Callable[[], Figure]) -> None:
    """Writes what `draw` draws, under its name."""
    buffer = io.BytesIO()
    draw().savefig(buffer, format="svg", metadata={"Date": None}, facecolor="white")
    write_whole(FOLDER / f"{draw.__name__}.svg", buffer.getbuffer())


def cell(
    axes: Axes, x: float, y: float, text: object, face: str = "white", strong: bool = False, hatch: str = ""
) -> None:
    axes.add_patch(
        Rectangle((x, y), 1, 1, facecolor=face, edgecolor=INK if strong else "#8a8a8a", linewidth=2 if strong else 0.8,
                  hatch=hatch or None, zorder=3 if strong else 2)
    )  # fmt: skip
    shown = str(text).replace("-", "−")
    axes.text(x + 0.5, y + 0.53, shown, ha="center", va="center", fontsize=10, zorder=4,
              fontweight="bold" if strong else "normal")  # fmt: skip


def name(axes: Axes, x: float, y: float, text: str, **style: object) -> None:
    axes.text(x, y, text, va="center", **{"fontsize": 11, **style})


def wires() -> Figure:
    """Inputs below, outputs above, a line for each product; three ways to choose among the same lines."""
    S, K = 6, 3
    figure, axes = canvas(27, 7.5)
    # What collects, its sum, its lines, what stands above, below and on the lines, and how far down a line its label
    # is: where the lines are apart.
    panels = [
        ("y[2] collects", "w0·x2 + w1·x3 + w2·x4", lambda i, k: i == 2, "y", "x", "w", 0.66),
        ("dx[3] collects", "dy1·w2 + dy2·w1 + dy3·w0", lambda i, k: i + k == 3, "dy", "dx", "w", 0.34),
        ("dw[1] collects", "dy0·x1 + dy1·x2 + dy2·x3 + dy3·x4", lambda i, k: k == 1, "dy", "x", "dw", 0.5),
    ]
    for panel, (title, terms, chosen, above, below, on_lines, down) in enumerate(panels):
        left, result = 1.2 + 8.9 * panel, title[: title.index("[")]
        name(axes, left - 0.2, 0.6, title, fontweight="bold")
        name(axes, left - 0.2, 1.5, terms, fontsize=10)
        for i in range(S - K + 1):
            for k in range(K):
                lit = chosen(i, k)
                axes.plot([left + 1.5 + i, left + i + k + 0.5], [3.5, 6], color=INK if lit else FAINT,
                          linewidth=2 if lit else 0.9, zorder=1 if lit else 0)  # fmt: skip
                if lit:
                    edge, width = (SELECTED, 2) if result == "dw" else (INK, 1)
                    box = {"boxstyle": "round,pad=0.15", "facecolor": HUES["w"], "edgecolor": edge, "linewidth": width}
                    x, y = left + 1.5 + i + down * (k - 1), 3.5 + down * 2.5
                    axes.text(x, y, f"{on_lines}{k}", fontsize=8, ha="center", va="center", bbox=box)
        for i in range(S - K + 1):
            lit = any(chosen(i, k) for k in range(K))
            cell(axes, left + 1 + i, 2.5, f"{above}{i}", HUES["y"] if lit else "white", lit)
        for p in range(S):
            lit = any(chosen(i, p - i) for i in range(S - K + 1) if 0 <= p - i < K)
            cell(axes, left + p, 6, f"{below}{p}", HUES["x"] if lit else "white", lit)
        if result != "dw":
            x, y = (left + 3, 2.5) if result == "y" else (left + 3, 6)
            axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=SELECTED, linewidth=3.5, zorder=5))
    return figure


def stride() -> Figure:
    """dy, the same with zeros between, and the rotated kernel below at one position, and dx: eight inputs, of which the
    last lies behind the last window."""
    dy, w = [1, 2, -1], [1, -1, 2]
    padded = [0, 0, 1, 0, 2, 0, -1, 0, 0, 0]
    dx = [sum(a * b for a, b in zip(w[::-1], padded[p : p + 3])) for p in range(8)]
    at = 2
    figure, axes = canvas(20.5, 9.2)
    name(axes, 0.3, 1, "dy")
    for i, number in enumerate(dy):
        cell(axes, 9 + 2 * i, 0.5, number, HUES["y"])
        axes.annotate("", (9.5 + 2 * i, 2.7), (9.5 + 2 * i, 1.6), arrowprops={"arrowstyle": "->", "color": INK})
    name(axes, 15.1, 1, "left over: R = 1", fontsize=10)
    axes.annotate("", (14.5, 2.7), (15.4, 1.4), arrowprops={"arrowstyle": "->", "color": INK})
    name(axes, 0.3, 3.3, "zeros between and around")
    for i, number in enumerate(padded):
        given, lit = i in (2, 4, 6), at <= i < at + 3
        cell(axes, 7 + i, 2.8, number, HUES["y"] if given else "white", lit, "" if given else "///")
    name(axes, 0.3, 4.9, "kernel, rotated")
    for k, number in enumerate(w[::-1]):
        cell(axes, 7 + at + k, 4.4, number, HUES["w"], True)
    name(axes, 12.5, 4.9, f"1·2 + 0·(−1) + 2·1 = {dx[at]}")
    axes.annotate("", (8.5 + at, 6.7), (8.5 + at, 5.5), arrowprops={"arrowstyle": "->", "color": INK})
    name(axes, 0.3, 7.3, "dx")
    for p, number in enumerate(dx):
        cell(axes, 8 + p, 6.8, number, HUES["x"], p == at)
    name(axes, 11.3, 8.6, "in no window", fontsize=10)
    axes.annotate("", (15.3, 7.9), (14.3, 8.5), arrowprops={"arrowstyle": "->", "color": INK})
    return figure


def windows() -> Figure:
    """How many windows hold each input."""
    cases = [("stride 1", 1, 0), ("stride 2", 2, 0), ("stride 3", 3, 0), ("stride 1, padding 1", 1, 1)]
    figure, axes = canvas(31, 8.2)
    for panel, (title, step, padding) in enumerate(cases):
        counts = np.zeros((6 + 2 * padding, 6 + 2 * padding), int)
        for i in range(0, len(counts) - 2, step):
            for j in range(0, len(counts) - 2, step):
                counts[i : i + 3, j : j + 3] += 1
        counts = counts[padding : padding + 6, padding : padding + 6]
        name(axes, 1 + 7.5 * panel, 0.7, title)
        for (i, j), count in np.ndenumerate(counts):
            shade = matplotlib.colormaps["Blues"](0.55 * count / 9)
            cell(axes, 1 + 7.5 * panel + j, 1.4 + i, count, matplotlib.colors.to_hex(shade))
    return figure


def routing() -> Figure:
    """One-dimensional max pooling, kernel 3, stride 2, backward."""
    x, dy, winners, dx = [3, 1, 5, 2, 4, 4, 0], [1, 2, 3], [2, 2, 4], [0, 0, 3, 0, 3, 0, 0]
    figure, axes = canvas(15, 9.4)
    name(axes, 0.3, 2.9, "x and its windows")
    for i, number in enumerate(x):
        cell(axes, 6 + i, 2.4, number, HUES["x"] if i in winners else "white", i in winners)
    for m in range(3):
        y = 2.1 - 0.45 * m
        axes.plot([6.1 + 2 * m, 8.9 + 2 * m], [y, y], color=INK, linewidth=2, linestyle=["-", "--", ":"][m])
        name(axes, 9 + 2 * m, y, f"y{m} = {x[winners[m]]}", fontsize=9)
    name(axes, 0.3, 5.5, "dy")
    for m, number in enumerate(dy):
        cell(axes, 7 + 2 * m, 5, number, HUES["y"])
        axes.annotate("", (6.5 + winners[m], 7.9), (7.5 + 2 * m, 6.05),
                      arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.8,
                                  "linestyle": ["-", "--", ":"][m]})  # fmt: skip
    name(axes, 0.3, 8.5, "dx")
    for i, number in enumerate(dx):
        cell(axes, 6 + i, 8, number, HUES["x"] if number else "white", bool(number))
    return figure


# The figures of the derivation.
DERIVATION = (wires, stride, windows, routing)


def photograph() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "explain.html"
        path.write_text(page(ConvGeometry()), encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        view = browser.new_page(viewport={"width": 1280, "height": 800})
        view.goto(path.as_uri())
        view.keyboard.press("3")
        write_whole(FOLDER / "explain.png", view.screenshot())
        browser.close()


def augmentation() -> None:
    """Eight digits above what each transform made of them, row by row."""
    smooth = {"interpolation": v2.InterpolationMode.BILINEAR}
    rows = {
        "images": v2.Compose([]),
        "RandomCrop(32, 6)": v2.RandomCrop(32, 6),
        "RandomHorizontalFlip()": v2.RandomHorizontalFlip(),
        "RandomRotation(40)": v2.RandomRotation(40, **smooth),
        "RandomAffine(15, …)": v2.RandomAffine(15, (0.1, 0.1), (0.7, 1.3), 20, **smooth),
        "RandomErasing(1)": v2.RandomErasing(1.0, value=0.5),
        "MixUp(alpha=4)": v2.MixUp(alpha=4, num_classes=10),
        "CutMix()": v2.CutMix(num_classes=10),
    }
    tinycnn.manual_seed(5)
    images, labels = Digits(train=True).__getitems__(range(8))
    figure = Figure(figsize=(8, 5.2))
    for i, (label, transform) in enumerate(rows.items()):
        shown = transform(images, labels)[0] if label in ("MixUp(alpha=4)", "CutMix()") else transform(images)
        axes = figure.add_axes((0.27, 1 - (i + 1) / len(rows), 0.73, 1 / len(rows)))
        axes.imshow(make_grid(shown, nrow=8, padding=1, pad_value=1.0)[0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
        figure.text(0.01, 1 - (i + 0.5) / len(rows), label, va="center", fontsize=11, family="monospace")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None}, facecolor="white")
    write_whole(FOLDER / "augmentation.png", buffer.getbuffer())


def main() -> None:
    matplotlib.rcParams.update({"svg.hashsalt": "tinycnn", "svg.fonttype": "none", "font.family": "sans-serif"})
    for draw in DERIVATION:
        save(draw)
    augmentation()
    try:
        photograph()
    except ImportError:
        print("explain.png not taken: it needs playwright")


if __name__ == "__main__":
    main()
