"""`tinycnn --print-completion SHELL`: the script by which a shell completes commands, options and files."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinycnn._command import Parser, UserError, guarded
from tinycnn._extras import how_to_install

SHELLS = ("bash", "zsh", "fish")


def parser() -> Parser:
    """The options of `tinycnn --print-completion`."""
    result = Parser(
        prog="tinycnn --print-completion",
        description="Prints the script by which a shell completes the commands, options and files of tinycnn.",
        examples=[
            'eval "$(tinycnn --print-completion bash)"                               # in ~/.bashrc',
            "tinycnn --print-completion zsh > ~/.zfunc/_tinycnn                      # a folder of $fpath",
            "tinycnn --print-completion fish > ~/.config/fish/completions/tinycnn.fish",
        ],
    )
    result.add_argument("shell", choices=SHELLS, help="the shell")
    return result


def whole_parser(commands: Mapping[str, tuple[str, str]]) -> Parser:
    """The parser of `tinycnn` with those of `commands`, given by name as (module, text)."""

    def parser_of(prog: str, **_: Any) -> Parser:
        module, _text = commands[prog.split()[-1]]
        return importlib.import_module(module).parser()

    whole = Parser(prog="tinycnn")
    whole.add_argument("--version", action="store_true", help="show the version")
    whole.add_argument("--print-completion", choices=SHELLS, help="print the script for a shell")
    made_by: Any = parser_of  # a function will do for a class
    group = whole.add_subparsers(dest="command", parser_class=made_by)
    for name, (_, text) in commands.items():
        group.add_parser(name, help=text)
    return whole


@guarded("tinycnn")
def main(arguments: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> int:
    """Prints the script for the shell that `arguments` name. Returns the exit status."""
    shell = parser().parse_args(arguments).shell
    try:
        import shtab
    except ModuleNotFoundError:
        needed = f"needs shtab, which is not installed: {how_to_install('completion')}"
        raise UserError(f"--print-completion: {needed}") from None
    whole = whole_parser(commands)
    complete_files(whole, shtab.FILE)
    print(shtab.complete(whole, shell))
    return 0


def complete_files(parser: argparse.ArgumentParser, files: Any) -> None:
    """Has every argument that is a Path completed with the names of files."""
    for action in parser._actions:
        if action.type is Path:
            action.complete = files  # type: ignore[attr-defined]  # an attribute for shtab
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                complete_files(sub, files)
