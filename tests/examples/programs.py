"""How the tests run the small programs in examples/."""

import contextlib
import io
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Finished(NamedTuple):
    status: int
    out: str
    err: str

    def table(self):
        """The rows of the first table that was printed, by their first cell: lists of the cells after it."""
        lines = self.out.splitlines()
        rule = next(i for i, line in enumerate(lines) if re.fullmatch("-{20,}", line))
        rows = {}
        for line in lines[rule + 1 :]:
            if not line or line.startswith("---"):
                break
            name, *cells = re.split(" {2,}", line)
            rows[name] = cells
        return rows


def run_program(name, *arguments):
    """In this process, so that it is quick: its `main`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = import_module(name).main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's own
            status = stop.code
    return Finished(status, out.getvalue(), err.getvalue())


def start_program(name, *arguments, cwd):
    """As a user does, in another folder."""
    command = [sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    return Finished(done.returncode, done.stdout, done.stderr)
