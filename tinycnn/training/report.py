"""The picture of a training run: curves, and of a net that labels pictures the confusion matrix, its worst mistakes and
the first layer's filters; of one that labels pixels, some pictures and what is recognised of each class."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from tinycnn._extras import how_to_install
from tinycnn._files import write_whole
from tinycnn.tensor import Tensor

TRAIN, TEST, WRONG, GREY, PAPER = "#9aa5b1", "#1f6feb", "#c62828", "#5f6b7a", "#f2f2f2"
MISTAKES = 12
LABELLED = 7  # pictures
MANY_CLASSES = 25


def require_matplotlib() -> None:
    """ImportError, saying what to install, where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise ImportError(f"report.png: needs matplotlib, which is not installed: {how_to_install('training')}")


def draw_report(
    path: Path,
    title: str,
    history: list[dict[str, Any]],
    probabilities: np.ndarray,
    test_set: Any,
    filters: np.ndarray,
) -> None:
    """Writes the picture to the PNG file `path`.

    Args:
        history: one dict an epoch, with epoch and train_/test_ loss and accuracy.
        probabilities: (N, classes), the model's for the images of `test_set`.
        filters: (O, C, KH, KW), the first layer's weight.
    """
    # Imported here, so that reading a --help needs no matplotlib; a Figure of its own always draws with Agg.
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(13, 8.2), dpi=120, layout="constrained")
    figure.suptitle(title, fontsize=15, fontweight="bold")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.25, 1], hspace=0.04)

    loss, accuracy, confusion = top.subplots(1, 3, width_ratios=[1, 1, 1.05])
    draw_curves(loss, history, "loss", "Loss")
    draw_curves(accuracy, history, "accuracy", "Accuracy")
    draw_confusion(confusion, probabilities.argmax(1), np.asarray(test_set.targets), test_set.classes)

    left, right = bottom.subfigures(1, 2, width_ratios=[3, 1], wspace=0.03)
    draw_mistakes(left, probabilities, test_set)
    draw_filters(right, filters)
    write_png(path, figure)


def draw_pixel_report(
    path: Path,
    title: str,
    history: list[dict[str, Any]],
    images: Tensor,
    targets: Tensor,
    predicted: Tensor,
    iou: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Writes the picture of a net that labels pixels to the PNG file `path`.

    Args:
        history: as for `draw_report`.
        images: (N, 1, H, W), of which the first are shown.
        targets, predicted: (N, H, W), the classes of their pixels, and what they were taken for.
        iou: (C,), intersection over union of each class.
        classes: their C names, of which the last is background.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(14, 7.2), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=15, fontweight="bold")
    left, right = figure.subfigures(1, 2, width_ratios=[3, 1], wspace=0.03)

    colours = [*colormaps["tab10"](np.arange(len(classes) - 1) % 10), PAPER]
    of_class: Any = {"cmap": ListedColormap(colours), "vmin": 0, "vmax": len(colours) - 1, "interpolation": "nearest"}
    ink, labels, found = images.numpy()[:LABELLED, 0], targets.numpy(), predicted.numpy()
    mistakes = np.where(found == labels, np.nan, 0)
    rows: list[Any] = [
        ("picture", [(ink, {"cmap": "gray_r"})]),
        ("label of each pixel", [(labels, of_class)]),
        ("predicted", [(found, of_class)]),
        ("mistakes", [(ink, {"cmap": "gray_r", "vmax": 4}), (mistakes, {"cmap": ListedColormap([WRONG])})]),
    ]
    axes = np.reshape(tiles(left, len(rows), LABELLED), (len(rows), LABELLED))
    for row, (name, layers) in zip(axes, rows):
        row[0].set_title(name, loc="left")
        for i, pixels in enumerate(row[: len(ink)]):
            for values, style in layers:
                pixels.imshow(values[i], **style)

    loss, bars = right.subplots(2, 1)
    draw_curves(loss, history, "loss", "Loss")
    draw_iou(bars, iou, classes, colours)
    write_png(path, figure)


def write_png(path: Path, figure: Any) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_whole(path, buffer.getbuffer())


def draw_iou(axes: Any, iou: np.ndarray, classes: Sequence[str], colours: Sequence[Any]) -> None:
    axes.barh(classes, iou, color=colours, edgecolor=GREY, linewidth=0.5)
    for row, value in enumerate(iou):
        axes.text(0.02, row, f"{value:.3f}", va="center", fontsize=9)
    axes.set_title("Intersection over union", loc="left")
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def draw_curves(axes: Any, history: list[dict[str, Any]], quantity: str, title: str) -> None:
    epochs = [figures["epoch"] for figures in history]
    scale, digits = (100, 2) if quantity == "accuracy" else (1, 4)
    for part, colour in (("train", TRAIN), ("test", TEST)):
        values = [scale * figures[f"{part}_{quantity}"] for figures in history]
        label = f"{part} {values[-1]:.{digits}f}"
        axes.plot(epochs, values, "o-", color=colour, markersize=4, linewidth=2, label=label)
    axes.set_title(f"{title}{' (%)' if scale == 100 else ''}", loc="left")
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, epochs[-1] + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="last epoch", alignment="left")


def draw_confusion(axes: Any, predicted: np.ndarray, targets: np.ndarray, classes: Sequence[str]) -> None:
    C = len(classes)
    counts = np.zeros((C, C), int)
    np.add.at(counts, (targets, predicted), 1)
    mistakes = counts * (1 - np.eye(C, dtype=int))
    # Only mistakes are coloured: on the scale of the diagonal all of them would look white.
    shade = np.where(mistakes > 0, mistakes, np.nan)
    axes.imshow(shade, cmap="Reds", vmin=0, vmax=max(3, 1.4 * mistakes.max()))
    many = C > MANY_CLASSES  # numbers would not be legible
    for row, column in [] if many else np.argwhere(counts):
        style = {"color": GREY} if row == column else {"color": "black", "fontweight": "bold"}
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=7.5, **style)
    size = max(3.0, 250 / C) if many else None  # points
    axes.set_xticks(range(C), classes, rotation=0 if max(map(len, classes)) == 1 else 90, fontsize=size)
    axes.set_yticks(range(C), classes, fontsize=size)
    axes.set_title(f"Confusion matrix: {mistakes.sum():,} mistakes", loc="left")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def worst_mistakes(probabilities: np.ndarray, targets: np.ndarray, count: int) -> np.ndarray:
    """The indices of the wrong predictions that the model was surest of, the surest first."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != targets)
    surest_first = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[surest_first[:count]]


def draw_mistakes(
    figure: Any, probabilities: np.ndarray, test_set: Any, columns: int = MISTAKES // 2
) -> None:
    targets = np.asarray(test_set.targets)
    worst = worst_mistakes(probabilities, targets, MISTAKES)
    title = "Worst mistakes: true → predicted class, and the probability given to it"
    figure.suptitle(fill(title, 13 * columns) if len(worst) else "No mistakes", x=0.02, ha="left")
    for axes, i in zip(tiles(figure, MISTAKES // columns, columns), worst):
        predicted = probabilities[i].argmax()
        true_name, name = (test_set.classes[c] for c in (targets[i], predicted))
        between = "\n→ " if len(true_name + name) > 8 else " → "
        label = f"{true_name}{between}{name}  {probabilities[i, predicted]:.1%}"
        axes.set_title(label, fontsize=10, color=WRONG)
        show(axes, test_set[i][0])


def draw_filters(figure: Any, filters: np.ndarray) -> None:
    figure.suptitle("First layer's filters", x=0.02, ha="left")
    columns = 3 if len(filters) <= 12 else 8
    limit = np.abs(filters).max(initial=0.0)
    for axes, kernel in zip(tiles(figure, max(1, -(-len(filters) // columns)), columns), filters):
        draw_filter(axes, kernel, limit)
    if filters.shape[1] != 3:
        figure.supxlabel("blue excites, red inhibits", fontsize=9, color=GREY)


def draw_filter(axes: Any, kernel: np.ndarray, limit: float) -> None:
    """A filter (C, KH, KW) with weights up to `limit`: of three channels as colours, else the first one."""
    if len(kernel) == 3:
        axes.imshow((kernel.transpose(1, 2, 0) / limit + 1) / 2)
    else:
        axes.imshow(kernel[0], cmap="RdBu", vmin=-limit, vmax=limit)


def show(axes: Any, image: Tensor) -> None:
    """A picture (C, H, W), normalised in whatever way: one channel as ink on paper, three as colours."""
    pixels = image.cpu().numpy().transpose(1, 2, 0)
    if pixels.shape[-1] == 3:
        low, high = pixels.min(), pixels.max()
        axes.imshow((pixels - low) / max(high - low, 1e-5))
    else:
        axes.imshow(pixels[..., 0], cmap="gray_r")


def tiles(figure: Any, rows: int, columns: int) -> list[Any]:
    """Axes without ticks or frames."""
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for each in axes:
        each.set_axis_off()
    return list(axes)
