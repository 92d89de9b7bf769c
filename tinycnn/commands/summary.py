"""`tinycnn summary`: the layers of a net, with sizes and costs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tinycnn._command import Parser, guarded, users_errors


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn summary",
        description="The layers of a net: output shapes, parameters, multiply-adds and memory.",
        examples=[
            "tinycnn summary lenet5",
            "tinycnn summary resnet18 --input 3,224,224 --classes 1000",
            "tinycnn summary runs/lenet_mnist",
            "tinycnn summary --list",
        ],
    )
    add = result.add_argument
    add("model", nargs="?", metavar="MODEL", help="a name of tinycnn.models, weights, or the folder of a run")
    add("--input", type=_shape, metavar="C,H,W", help="of a picture; default 1,28,28, or that of the run")
    add("--classes", type=_count, metavar="N", help="default 10, or those of the run")
    add("--list", action="store_true", help="the names of tinycnn.models instead")
    return result


def _count(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return int(text)


def _shape(text: str) -> tuple[int, int, int]:
    sizes = [_count(size) for size in text.split(",")]
    if len(sizes) != 3:
        raise argparse.ArgumentTypeError(f"expected C,H,W such as 1,28,28, got {text!r}")
    return sizes[0], sizes[1], sizes[2]


@guarded("tinycnn summary")
def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table for the command line `arguments`. Returns the exit status."""
    options = parser().parse_args(arguments)
    if (options.model is None) != options.list:
        parser().error("expected a MODEL or --list")
    from tinycnn._files import kind_of
    from tinycnn.diagnostics.summary import summary
    from tinycnn.models import list_models, model_for
    from tinycnn.training.results import read_weights

    if options.list:
        print("\n".join(list_models()))
        return 0
    with users_errors(ValueError, OSError):
        if options.model not in list_models() and kind_of(options.model) != "nothing":
            weights = read_weights(Path(options.model))
            name, of_run = weights.recipe["model"], weights.data
            shape, classes = options.input or of_run.image_shape, options.classes or len(of_run.classes)
            model = model_for(name, shape, classes, **weights.recipe.get("model_options", {}))
        else:
            name, shape, classes = options.model, options.input or (1, 28, 28), options.classes or 10
            model = model_for(name, shape, classes)
        text = str(summary(model, (1, *shape), show=False))
    print(f"{name} for one picture of {'×'.join(map(str, shape))} and {classes} classes\n\n{text}")
    return 0
