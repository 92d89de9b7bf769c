"""The command `tinycnn`, with a subcommand for each module that has `parser()` and `main(arguments)`.

    tinycnn grade coursework/        is short for    python -m tinycnn.grade coursework/
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tinycnn._command import guarded

VERSION, COMPLETION = "--version", "--print-completion"


class Command(NamedTuple):
    """A subcommand: its module, imported on use, so that `tinycnn shapes` does not load the grader."""

    module: str
    text: str
    example: str


# In the order in which one needs them.
COMMANDS = {
    "new": Command("tinycnn.commands.new", "begin a project of your own", "new my-net"),
    "shapes": Command(
        "tinycnn.diagnostics.shapes", "the output size of a layer, and what it costs",
        "shapes conv --input 28 28 --kernel 5",
    ),
    "summary": Command("tinycnn.commands.summary", "the layers of a net, and what they cost", "summary lenet5"),
    "train": Command("tinycnn.commands.train", "train a net", "train configs/lenet_mnist.toml"),
    "evaluate": Command("tinycnn.commands.evaluate", "how well a trained net does", "evaluate runs/lenet_mnist"),
    "predict": Command("tinycnn.commands.predict", "what it sees in pictures", "predict runs/lenet_mnist seven.jpg"),
    "report": Command("tinycnn.commands.report", "a page about runs, to compare them", "report runs/*"),
    "explain": Command(
        "tinycnn.teaching.explain.command", "a convolution worked through with numbers",
        "explain --kernel 3 --padding 1",
    ),
    "grade": Command("tinycnn.teaching.grade.command", "grade the exercises of coursework/", "grade coursework/"),
}  # fmt: skip

EXIT_STATUS = """\
exit status:
  0    all went well
  1    something in the data, the files or the run is wrong; one line says what
  2    the command line is wrong
  130  interrupted with Ctrl-C"""


def usage() -> str:
    """The help text: the subcommands, with an example each, and what the exit status says."""
    width = max(map(len, COMMANDS))
    lines = [
        line
        for name, command in COMMANDS.items()
        for line in (f"  {name:<{width}}  {command.text}", f"  {'':<{width}}    tinycnn {command.example}")
    ]
    return "\n".join([
        "usage: tinycnn COMMAND ...", "",
        "commands, in the order in which one needs them, with an example each:", *lines, "",
        f"tinycnn COMMAND --help shows its options. tinycnn {VERSION} shows the version,",
        f"tinycnn {COMPLETION} bash (zsh, fish) the script that lets the shell complete commands.", "", EXIT_STATUS,
    ])  # fmt: skip


@guarded("tinycnn")
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the subcommand named first (default: that of the command line). Returns its exit status, 2 if unknown."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in ([], ["-h"], ["--help"]):
        print(usage())
        return 0 if words else 2
    command, *rest = words
    if command == VERSION:
        print(f"tinycnn {importlib.import_module('tinycnn').__version__}")
        return 0
    if command == COMPLETION:
        return importlib.import_module("tinycnn.commands.completion").main(
            rest, {name: (each.module, each.text) for name, each in COMMANDS.items()}
        )
    if command not in COMMANDS:
        print(f"tinycnn: error: no command {command!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return importlib.import_module(COMMANDS[command].module).main(rest)


if __name__ == "__main__":
    sys.exit(main())
