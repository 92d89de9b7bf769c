"""`tinycnn evaluate`: how well a trained net recognises the test part of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinycnn._command import Parser, guarded, users_errors

if TYPE_CHECKING:
    from tinycnn.training.evaluation import Evaluation

WIDEST = 20  # classes: the columns of a confusion matrix that a terminal can show
MOST_MISTAKES = 15  # lines, where it cannot


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn evaluate",
        description="Loss, accuracy, a table of the classes and the confusion matrix of a trained net.",
        examples=[
            "tinycnn evaluate runs/lenet_mnist",
            "tinycnn evaluate runs/lenet_mnist --dataset qmnist --data-root data",
            "tinycnn evaluate weights.safetensors --out confusion.png",
        ],
    )
    add = result.add_argument
    add("run", type=Path, metavar="RUN_OR_WEIGHTS", help="the folder of a run, or a .safetensors file of one")
    add("--dataset", metavar="NAME", help="another data set with the same classes; default: that of the training")
    add("--data-root", type=Path, metavar="DIR", help="the folder of the data; default: $TINYCNN_DATA, or data")
    add("--device", default="cpu", help="cpu (default), gpu, cuda:N, or auto: a GPU if there is one")
    add("--out", type=Path, metavar="PNG", help="also draw the confusion matrix, into this file")
    return result


@guarded("tinycnn evaluate")
def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates what the command line `arguments` names. Returns the exit status."""
    options = parser().parse_args(arguments)
    with users_errors(ValueError, OSError, ImportError, RuntimeError):
        from tinycnn import backend
        from tinycnn.commands.runs import load_test_set
        from tinycnn.training.evaluation import evaluate
        from tinycnn.training.report import require_matplotlib
        from tinycnn.training.results import read_weights

        if options.out is not None:
            require_matplotlib()
        device = backend.device(options.device)
        weights = read_weights(options.run)
        model = weights.classifier().to(device)
        name, test_set = load_test_set(weights, options.dataset, options.data_root)
    evaluation = evaluate(model, test_set, device)
    print(
        f"{name}: {len(test_set):,} test images; {weights.recipe['model']} of {weights.path}, epoch {weights.epoch}\n"
        f"loss {evaluation.loss:.4f}, accuracy {evaluation.accuracy:.2%}\n\n{class_table(evaluation)}\n\n"
        f"{confusion_text(evaluation)}"
    )
    if options.out is not None:
        write_confusion(evaluation, f"{name}: accuracy {evaluation.accuracy:.2%}", options.out)
        print(f"\nthe confusion matrix is in {options.out}")
    return 0


def class_table(evaluation: Evaluation) -> str:
    """A row for each class: recall is the share of its pictures that are recognised, precision the share of what is
    taken for it that belongs to it."""
    from tinycnn.diagnostics.summary import table

    rows, counts = [], evaluation.confusion
    worst: dict[int, tuple[int, int]] = {}  # class to (count, the class that it is most often taken for)
    for count, i, j in evaluation.mistakes():
        worst.setdefault(i, (count, j))
    for i, name in enumerate(evaluation.classes):
        images, taken, right = counts[i].sum(), counts[:, i].sum(), counts[i, i]
        recall, precision = (f"{right / of:.2%}" if of else "–" for of in (images, taken))
        count, other = worst.get(i, (0, 0))
        mistaken = f"{evaluation.classes[other]} ({count:,})" if count else ""
        rows.append([name, f"{images:,}", f"{right:,}", recall, precision, mistaken])
    return table(["class", "images", "right", "recall", "precision", "most often taken for"], rows)


def confusion_text(evaluation: Evaluation) -> str:
    """The confusion matrix, or of many classes the most frequent mistakes."""
    classes, mistakes = evaluation.classes, evaluation.mistakes()
    if len(classes) > WIDEST:
        lines = [f"{count:>7,}  {classes[i]} taken for {classes[j]}" for count, i, j in mistakes[:MOST_MISTAKES]]
        return "\n".join(["The most frequent mistakes:", *lines])
    cells = [[f"{count:,}" if count else "·" for count in row] for row in evaluation.confusion]
    short = [name.partition(" - ")[0][:6] for name in classes]  # MNIST's are "0 - zero", ...
    width = max(len(text) for row in [*cells, short] for text in row)
    left = max(map(len, classes))
    header = " ".join(name.rjust(width) for name in short)
    lines = [f"{name:<{left}}  {' '.join(c.rjust(width) for c in row)}" for name, row in zip(classes, cells)]
    return "\n".join(["Rows are true classes, columns what they were taken for:", " " * (left + 2) + header, *lines])


def write_confusion(evaluation: Evaluation, title: str, path: Path) -> None:
    """Draws the confusion matrix into a PNG file. UserError if it cannot be written."""
    import io

    from matplotlib.figure import Figure

    from tinycnn._files import write_whole
    from tinycnn.training.report import draw_confusion

    side = max(5.0, 0.28 * len(evaluation.classes))
    figure = Figure(figsize=(side, side + 0.4), dpi=150, layout="constrained")
    figure.suptitle(title, fontweight="bold")
    predicted = evaluation.probabilities.argmax(1)
    draw_confusion(figure.subplots(), predicted, evaluation.targets, evaluation.classes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with users_errors(OSError):
        write_whole(path, buffer.getbuffer())
