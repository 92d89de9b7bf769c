"""Builds what a teacher hands out and uploads, without any solution:

    python tools/coursework_release.py [--output dist] [--without-grader]

    tinycnn-coursework.zip    for students: the exercises and tinycnn with its grader
    tinycnn-autograder.zip    for Gradescope: the grader and its two scripts
    tinycnn-github.zip        for GitHub: the students' repository, with a workflow that grades it
    tinycnn-otter.zip         for Otter-Grader: the grader, and tests that call it

Needs the standard library only.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path
from typing import Any

from without_grader import LEFT_OUT, sections, text_without_grader

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = ["tinycnn", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
# To which the grader's sentences lead.
FIGURES = ["explain.png", "routing.svg", "stride.svg", "windows.svg", "wires.svg"]
TEXTS = ["docs/backprop-through-conv.md", "docs/pitfalls.md", *[f"docs/figures/{name}" for name in FIGURES]]
GIVEN = "tinycnn/teaching/grade/given/"  # the reference's steps: solutions
Files = dict[str, tuple[Any, int]]  # by name in the zip: the text, or a picture's bytes, and the permissions


def files_of(names: list[str]) -> list[Path]:
    """The files of these files and folders, without what Python leaves behind."""
    found = []
    for name in names:
        path = REPOSITORY / name
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [p for p in found if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".pyc"]


def texts_of(names: list[str]) -> Files:
    """The files of these files and folders by their names in the repository, each with its text."""

    def content(path: Path) -> Any:
        return path.read_bytes() if path.suffix == ".png" else path.read_text("utf-8")

    return {p.relative_to(REPOSITORY).as_posix(): (content(p), 0o644) for p in files_of(names)}


def for_students(grader: bool) -> Files:
    """What students get: the exercises and tinycnn, with its grader and the texts to which it leads, or without."""
    files = {name: (sections(text, grader), mode) for name, (text, mode) in texts_of(["coursework"]).items()}
    files |= {name: file for name, file in texts_of(PACKAGE).items() if not name.startswith(GIVEN)}
    if grader:
        return files | texts_of(TEXTS)
    kept = {name: file for name, file in files.items() if not name.startswith(LEFT_OUT)}
    return {name: (text_without_grader(name, text), mode) for name, (text, mode) in kept.items()}


def renamed(folder: str, to: str) -> Files:
    """The files of a folder of the repository, in the folder `to` of the zip."""
    return {to + name.removeprefix(f"{folder}/"): file for name, file in texts_of([folder]).items()}


def write_zip(target: Path, files: Files) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (text, mode) in files.items():
            entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)


def solved(folder: Path) -> list[str]:
    """The exercises in which nothing is left to do: someone's solutions."""
    return [p.name for p in sorted(folder.glob("step*.py")) if "raise NotImplementedError" not in p.read_text("utf-8")]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds the zips for students, Gradescope, GitHub and Otter-Grader.")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist", help="folder for the zips; default dist")
    parser.add_argument("--without-grader", action="store_true",
                        help="students get neither the grader nor tinycnn/teaching/reference.py")  # fmt: skip
    options = parser.parse_args(arguments)
    if done := solved(REPOSITORY / "coursework"):
        print(f"error: coursework/{done[0]} is solved; put the exercise back before handing it out", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    scripts = {name: (text, 0o755) for name, (text, _) in renamed("tools/gradescope", "").items()}
    zips = {
        "coursework": ("students", for_students(grader=not options.without_grader)),
        "autograder": ("Gradescope", texts_of(PACKAGE) | scripts),
        "otter": ("Otter-Grader", renamed("tools/otter_grader", "") | renamed("tinycnn", "files/tinycnn/")),
    }
    if not options.without_grader:
        workflow = renamed("tools/github", ".github/workflows/")
        zips["github"] = ("GitHub", for_students(grader=True) | workflow)
    for name, (reader, files) in zips.items():
        write_zip(options.output / f"tinycnn-{name}.zip", files)
        print(f"{options.output / f'tinycnn-{name}.zip'}    for {reader}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
