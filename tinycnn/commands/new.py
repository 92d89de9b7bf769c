"""`tinycnn new`: a small project to begin with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tinycnn._command import Parser, UserError, guarded, users_errors

# Path in the project to its template in the folder project/.
FILES = {
    "train.py": "train.py.template",
    "config.toml": "config.toml.template",
    "README.md": "README.md.template",
    "tests/test_net.py": "test_net.py.template",
    ".gitignore": "gitignore.template",
}


def parser() -> Parser:
    """The options."""
    result = Parser(
        prog="tinycnn new",
        description="A small project to begin with: a net of your own, its training, its settings and its tests.",
        examples=["tinycnn new my-net", "tinycnn new ~/nets/digits"],
    )
    result.add_argument("folder", type=Path, metavar="FOLDER", help="to be made; its name is that of the project")
    return result


@guarded("tinycnn new")
def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the project that the command line `arguments` name. Returns the exit status."""
    folder = parser().parse_args(arguments).folder
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", folder.name):
        raise UserError(f"expected a name of letters, digits, '-', '_' and '.', got {folder.name!r}", status=2)
    with users_errors(OSError):
        write_project(folder)
    print(f"{folder}: {', '.join(FILES)}\n\n  cd {folder}\n  python train.py --epochs 3\n  python -m pytest")
    return 0


def write_project(folder: Path) -> None:
    """Writes the files of a project. OSError, naming the folder, if it is there and not empty, or cannot be written."""
    from importlib import resources

    from tinycnn._files import kind_of, write_whole

    kind = kind_of(folder)
    if kind not in ("nothing", "folder"):
        raise OSError(f"cannot make the folder {folder}: there is a {kind}")
    try:
        if kind == "folder" and any(folder.iterdir()):
            raise OSError("it is there, and not empty")
        (folder / "tests").mkdir(parents=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {folder}: {error.strerror or error}") from None
    templates = resources.files("tinycnn.commands.project")
    for path, template in FILES.items():
        text = templates.joinpath(template).read_text(encoding="utf-8")
        write_whole(folder / path, text.replace("$name", folder.name).encode())
