"""The command `tinycnn`, with a subcommand for each module that has a `main(arguments)`.

    tinycnn grade coursework/        is short for    python -m tinycnn.grade coursework/
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from tinycnn._command import guarded

# Imported on use, so that `tinycnn shapes` does not load the grader.
COMMANDS = {
    "explain": ("tinycnn.teaching.explain", "an operator worked through with numbers, forward and backward"),
    "grade": ("tinycnn.teaching.grade", "grade the exercises of coursework/"),
    "shapes": ("tinycnn.diagnostics.shapes", "the output size of a layer, and what it costs"),
}


def usage() -> str:
    """The help text: the subcommands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:<{width}}  {text}" for command, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: tinycnn COMMAND ...", "", *lines, "", "tinycnn COMMAND --help shows its options."])


@guarded("tinycnn")
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the subcommand named first (default: that of the command line). Returns its exit status, 2 if unknown."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in ([], ["-h"], ["--help"]):
        print(usage())
        return 0 if words else 2
    command, *rest = words
    if command not in COMMANDS:
        print(f"tinycnn: error: no command {command!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    return importlib.import_module(COMMANDS[command][0]).main(rest)


if __name__ == "__main__":
    sys.exit(main())
