"""`tinycnn report`: one page about runs, for a browser, a phone or paper."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycnn._command import Parser, guarded, users_errors

if TYPE_CHECKING:
    from tinycnn.nn import Module
    from tinycnn.training.evaluation import Evaluation
    from tinycnn.training.results import RunResults


@dataclass(frozen=True)
class Section:
    """What the page tells of a run. Of its net and data there may be nothing, for the reason in `missing`."""

    name: str
    run: RunResults
    model: Module | None = None
    test_set: Any = None
    evaluation: Evaluation | None = None
    missing: str = ""


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn report",
        description="One HTML page about one run or several: curves, settings that differ, confusion matrices, worst\n"
        "mistakes, filters and feature maps. It holds its pictures and needs no network.",
        examples=["tinycnn report runs/lenet_mnist", "tinycnn report runs/* --out comparison.html"],
    )
    add = result.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="the folder of a run")
    add("--out", type=Path, default=Path("report.html"), metavar="HTML", help="the page; default report.html")
    add("--data-root", type=Path, metavar="DIR", help="the folder of the data; default: $TINYCNN_DATA, or data")
    add("--device", default="cpu", help="cpu (default), gpu, cuda:N, or auto: a GPU if there is one")
    return result


@guarded("tinycnn report")
def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page that the command line `arguments` asks for. Returns the exit status."""
    options = parser().parse_args(arguments)
    with users_errors(ValueError, OSError, ImportError, RuntimeError):
        from tinycnn import backend
        from tinycnn._files import write_whole
        from tinycnn.training.report import require_matplotlib
        from tinycnn.training.results import read_run

        require_matplotlib()
        device = backend.device(options.device)
        runs = [read_run(folder) for folder in options.runs]
    distinct = len({run.name for run in runs}) == len(runs)
    sections = [section_of(run, run.name if distinct else str(run.folder), options.data_root, device) for run in runs]
    for section in sections:
        if section.missing:
            print(f"tinycnn report: {section.missing}", file=sys.stderr)
    text = page(sections)
    with users_errors(OSError):
        write_whole(options.out, text.encode())
    print(options.out)
    return 0


def section_of(run: RunResults, name: str, root: Path | None, device: Any) -> Section:
    """A run with its net and its test part, or with the reason for which they are not to be had."""
    from tinycnn.commands.runs import load_test_set
    from tinycnn.training.evaluation import evaluate

    try:
        weights = run.weights()
        model = weights.classifier().to(device)
        _, test_set = load_test_set(weights, root=root)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return Section(name, run, missing=str(error))
    return Section(name, run, model, test_set, evaluate(model, test_set, device))


# --- the page -----------------------------------------------------------------------------------------------


def page(sections: Sequence[Section]) -> str:
    """The page as HTML."""
    from importlib import resources

    from tinycnn.commands import figures

    title = sections[0].name if len(sections) == 1 else f"{len(sections)} runs"
    runs = [section.run for section in sections]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(" · ".join(dict.fromkeys(run.dataset for run in runs)))}</p>',
        "<h2>Results</h2>",
        html_table(RESULTS, [results_row(section) for section in sections]),
    ]
    if any(run.metrics for run in runs):
        curves = figures.curves([(section.name, section.run.metrics) for section in sections])
        parts += ["<h2>Curves</h2>", '<div class="grid">', *curves, "</div>"]
    parts += ["<h2>Settings that differ</h2>" if len(runs) > 1 else "<h2>Settings</h2>", settings_table(sections)]
    for section in sections:
        parts += [f"<h2>{escape(section.name)}</h2>", *run_parts(section)]
    template = resources.files("tinycnn.commands").joinpath("report.html").read_text(encoding="utf-8")
    return template.replace("{{title}}", escape(title)).replace("{{body}}", "\n".join(parts))


RESULTS = ["run", "model", "epochs", "train loss", "train accuracy", "test loss", "test accuracy", "best epoch",
           "seconds per epoch", "device"]  # fmt: skip


def results_row(section: Section) -> list[str]:
    """The row of a run in the first table."""
    run, metrics = section.run, section.run.metrics
    model = str(run.settings.get("model", "–"))
    if section.model is not None:
        model += f", {sum(p.numel() for p in section.model.parameters()):,} parameters"
    if not metrics:
        return [section.name, model, "0", *["–"] * 6, str(run.computing["device"])]
    last = metrics[-1]
    best = max(metrics, key=lambda figures: figures.get("test_accuracy", 0.0))
    seconds = [figures["seconds"] for figures in metrics if "seconds" in figures]
    return [
        section.name, model, str(len(metrics)),
        number(last.get("train_loss"), ".4f"), number(last.get("train_accuracy"), ".2%"),
        number(last.get("test_loss"), ".4f"), number(last.get("test_accuracy"), ".2%"),
        f"{best['epoch']}: {number(best.get('test_accuracy'), '.2%')}",
        number(sum(seconds) / len(seconds) if seconds else None, ".1f"),
        f"{run.computing['device']}, {run.computing['precision']}",
    ]  # fmt: skip


def number(value: float | None, form: str) -> str:
    """A figure as text, a dash where there is none."""
    return "–" if value is None else format(value, form)


def settings_table(sections: Sequence[Section]) -> str:
    """Settings by run: all of a single run, of several those that differ."""
    columns = [
        flat({"dataset": run.dataset, **run.settings, **run.computing, "versions": run.versions})
        for run in (section.run for section in sections)
    ]
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = [[key, *(column.get(key, "–") for column in columns)] for key in keys]
    if len(sections) > 1:
        rows = [row for row in rows if len(set(row[1:])) > 1]
    if not rows:
        return "<p>The runs have the same settings.</p>"
    return html_table(["setting", *(section.name for section in sections)], rows)


def flat(settings: dict[str, Any]) -> dict[str, str]:
    """Nested settings by dotted names, such as optimizer.lr, as text."""
    from tinycnn.training.results import flattened

    return {name: "–" if value is None or value == {} else str(value) for name, value in flattened(settings).items()}


def run_parts(section: Section) -> list[str]:
    """The part of the page about a run by itself."""
    from tinycnn.commands import figures

    parts = []
    if any("gradient_norms" in line for line in section.run.metrics):
        parts += ["<h3>Gradients</h3>", figures.gradient_norms(section.run.metrics)]
    if section.model is None or section.evaluation is None:
        return [*parts, f'<p class="missing">No confusion matrix and no feature maps: {escape(section.missing)}</p>']
    evaluation = section.evaluation
    filters = figures.first_filters(section.model)
    return [
        *parts,
        "<h3>Mistakes</h3>",
        '<div class="grid">',
        figures.confusion(evaluation),
        figures.worst_mistakes(evaluation, section.test_set),
        "</div>",
        *(["<h3>First layer’s filters</h3>", filters] if filters else []),
        "<h3>A picture on its way through the net</h3>",
        *figures.feature_maps(section.model, section.test_set),
    ]


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
