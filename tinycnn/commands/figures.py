"""The figures of `tinycnn report`: each is an HTML <figure> that holds its picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

import tinycnn
from tinycnn.diagnostics.inspection import record
from tinycnn.nn import Conv2d, Module
from tinycnn.training import report
from tinycnn.training.evaluation import Evaluation

# Of Okabe and Ito: told apart with every kind of colour vision, and in grey on paper.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLES = ("-", "--", "-.", ":")  # where there are more runs than colours
QUANTITIES = (
    ("test_accuracy", "Test accuracy (%)", 100), ("test_loss", "Test loss", 1),
    ("train_accuracy", "Training accuracy (%)", 100), ("train_loss", "Training loss", 1), ("lr", "Learning rate", 1),
)  # fmt: skip
CHANNELS, LAYERS, FILTERS = 12, 12, 64  # at most, of feature maps and filters
PLAIN: Any = {"text.parse_math": False, "svg.hashsalt": "tinycnn", "font.size": 10}  # a name may have a $


def embedded(figure: Figure, description: str, caption: str = "", kind: str = "svg") -> str:
    """The HTML of a figure: SVG for lines, PNG for pixels."""
    buffer = io.BytesIO()
    with rc_context(PLAIN):
        figure.savefig(buffer, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    data = base64.b64encode(buffer.getvalue()).decode()
    media = "image/svg+xml" if kind == "svg" else "image/png"
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{escape(description)}" src="data:{media};base64,{data}">{below}</figure>'


def curves(runs: Sequence[tuple[str, list[dict[str, Any]]]]) -> Iterator[str]:
    """Of each quantity the curves of all runs, given as (name, figures of each epoch)."""
    for quantity, title, scale in QUANTITIES:
        if not any(quantity in line for _, metrics in runs for line in metrics):
            continue
        with rc_context(PLAIN):
            figure = Figure(figsize=(5.4, 3.6), layout="constrained")
            axes = figure.subplots()
            for i, (name, metrics) in enumerate(runs):
                epochs = [line["epoch"] for line in metrics]
                values = [scale * line.get(quantity, np.nan) for line in metrics]
                style = STYLES[i // len(COLOURS) % len(STYLES)]
                axes.plot(epochs, values, style, marker="o", markersize=3.5, linewidth=1.8, label=name,
                          color=COLOURS[i % len(COLOURS)])  # fmt: skip
            finish(axes, title)
            if len(runs) > 1:
                axes.legend(frameon=False, fontsize=9)
        yield embedded(figure, f"{title} by epoch")


def finish(axes: Any, title: str) -> None:
    """Title, whole epochs below, a grid."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def gradient_norms(metrics: Sequence[dict[str, Any]]) -> str:
    """The norm of each layer's gradient by epoch."""
    lines = [line for line in metrics if "gradient_norms" in line]
    layers = list(dict.fromkeys(name for line in lines for name in line["gradient_norms"]))
    with rc_context(PLAIN):
        figure = Figure(figsize=(8.5, 4), layout="constrained")
        axes = figure.subplots()
        for i, name in enumerate(layers):
            values = [line["gradient_norms"].get(name, np.nan) for line in lines]
            axes.plot([line["epoch"] for line in lines], values, "o-", markersize=3.5,
                      color=colormaps["viridis"](i / max(1, len(layers))), label=name)  # fmt: skip
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # plain text: formulas are not parsed
        axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.4)))
        finish(axes, "Norm of each layer’s gradient")
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), ncols=1 + len(layers) // 16)
    return embedded(figure, "Norm of each layer’s gradient by epoch", "Dark layers are near the input.")


def confusion(evaluation: Evaluation) -> str:
    """The confusion matrix."""
    with rc_context(PLAIN):
        figure = Figure(figsize=(5.4, 5.4), layout="constrained")
        predicted = evaluation.probabilities.argmax(1)
        report.draw_confusion(figure.subplots(), predicted, evaluation.targets, evaluation.classes)
    return embedded(figure, "Confusion matrix", "Only mistakes are coloured.")


def worst_mistakes(evaluation: Evaluation, test_set: Any) -> str:
    """The pictures of the surest wrong predictions."""
    with rc_context(PLAIN):
        figure = Figure(figsize=(5.4, 5.4), layout="constrained")
        report.draw_mistakes(figure, evaluation.probabilities, test_set, columns=3)
    return embedded(figure, "The wrong predictions of which the net was surest", kind="png")


def first_filters(model: Module) -> str:
    """The weight of the first convolution; nothing for a net without one."""
    first = next((layer for layer in model.modules() if isinstance(layer, Conv2d)), None)
    if first is None:
        return ""
    filters = first.weight.detach().cpu().numpy()[:FILTERS]
    columns = min(len(filters), 16)
    with rc_context(PLAIN):
        figure = Figure(figsize=(0.62 * max(columns, 8), 0.62 * -(-len(filters) // columns)), layout="constrained")
        for axes, kernel in zip(report.tiles(figure, -(-len(filters) // columns), columns), filters):
            report.draw_filter(axes, kernel, limit=np.abs(filters).max())
    caption = "Of each filter the three colours." if filters.shape[1] == 3 else "Blue excites, red inhibits."
    shown = f" The first {FILTERS} of {len(first.weight)}." if len(first.weight) > FILTERS else ""
    return embedded(figure, "The first layer’s filters", caption + shown, kind="png")


@tinycnn.no_grad()
def feature_maps(model: Module, test_set: Any) -> Iterator[str]:
    """What the layers make of the first picture of the test part: the first channels of each."""
    image, target = test_set[0]
    device = next(model.parameters()).device
    with record(model) as seen:
        scores = model(image.unsqueeze(0).to(device))
    leaves = [name for name, layer in model.named_modules() if next(layer.children(), None) is None]
    maps = [name for name in leaves if name in seen and getattr(seen[name].output, "ndim", 0) == 4]
    chosen = maps if len(maps) <= LAYERS else [maps[i] for i in np.linspace(0, len(maps) - 1, LAYERS).astype(int)]
    layers = dict(model.named_modules())
    with rc_context(PLAIN):
        figure = Figure(figsize=(0.8 * CHANNELS, 0.8), layout="constrained")
        report.show(report.tiles(figure, 1, CHANNELS)[0], image)
    named = test_set.classes[target], test_set.classes[int(scores.argmax(1)[0])]
    text = f"Input {'×'.join(map(str, image.shape))}, a {named[0]}, taken for {named[1]}."
    yield f'<div class="maps">{embedded(figure, text, text, kind="png")}'
    for name in chosen:
        output = seen[name].output[0].cpu().numpy()
        with rc_context(PLAIN):
            figure = Figure(figsize=(0.8 * CHANNELS, 0.8), layout="constrained")
            for axes, channel in zip(report.tiles(figure, 1, CHANNELS), output):
                axes.imshow(channel, cmap="gray_r")
        shown = f", the first {CHANNELS}" if len(output) > CHANNELS else ""
        text = f"{name} ({type(layers[name]).__name__}): {'×'.join(map(str, output.shape))}{shown}"
        yield embedded(figure, text, text, kind="png")
    yield "</div>"
