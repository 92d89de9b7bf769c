"""Builds what a teacher hands out and uploads, without any solution:

    python tools/coursework_release.py [--output dist] [--without-grader]

    tinycnn-coursework.zip    for students: the exercises and tinycnn with its grader
    tinycnn-autograder.zip    for Gradescope: the grader and its two scripts

Needs the standard library only.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = ["tinycnn", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
# reference.py computes with loops what steps 2 to 8 ask for.
GRADER = ("tinycnn/teaching/grade/", "tinycnn/teaching/reference.py")
# The reference's solutions, with which the autograder alone takes the place of earlier steps.
GIVEN = "tinycnn/teaching/grade/given/"


def files_of(names: list[str]) -> list[Path]:
    """The files of these files and folders, without what Python leaves behind."""
    found = []
    for name in names:
        path = REPOSITORY / name
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [p for p in found if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".pyc"]


def write_zip(target: Path, files: list[Path], extra: dict[str, tuple[str, int]]) -> None:
    """`extra`: further files by name, each with its text and its permissions."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(REPOSITORY).as_posix())
        for name, (text, mode) in extra.items():
            entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)


def solved(folder: Path) -> list[str]:
    """The exercises in which nothing is left to do: someone's solutions."""
    return [p.name for p in sorted(folder.glob("step*.py")) if "raise NotImplementedError" not in p.read_text("utf-8")]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds the zips for students and for Gradescope.")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist", help="folder for the zips; default dist")
    parser.add_argument("--without-grader", action="store_true",
                        help="students get neither the grader nor tinycnn/teaching/reference.py")  # fmt: skip
    options = parser.parse_args(arguments)
    if done := solved(REPOSITORY / "coursework"):
        print(f"error: coursework/{done[0]} is solved; put the exercise back before handing it out", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    left_out = GRADER if options.without_grader else GIVEN
    files = files_of(["coursework", *PACKAGE])
    files = [p for p in files if not p.relative_to(REPOSITORY).as_posix().startswith(left_out)]
    student, autograder = (options.output / f"tinycnn-{name}.zip" for name in ("coursework", "autograder"))
    write_zip(student, files, {})
    scripts = {p.name: (p.read_text("utf-8"), 0o755) for p in files_of(["tools/gradescope"])}
    write_zip(autograder, files_of(PACKAGE), scripts)
    print(f"for students:   {student}\nfor Gradescope: {autograder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
