"""Commands and programs whose output ends early: nobody reads it, or it cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinycnn._command import guarded

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = {
    "tinycnn": ["-m", "tinycnn.cli", "--help"],
    "tinycnn shapes": ["-m", "tinycnn.cli", "shapes", "conv", "--input", "28", "--channels", "1", "6", "--kernel", "5"],
    "tinycnn explain": ["-m", "tinycnn.cli", "explain"],
    "tinycnn grade": ["-m", "tinycnn.cli", "grade", str(REPOSITORY / "coursework"), "--only", "1"],
    "pooling.py": [str(REPOSITORY / "examples" / "pooling.py")],
}


def run(name, stdout, cwd):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *COMMANDS[name]]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_nobody_reads(name, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(name, writer, tmp_path)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_cannot_be_written(name, tmp_path):
    with open("/dev/full", "w") as full:
        done = run(name, full, tmp_path)
    assert (done.returncode, done.stderr) == (1, f"{name}: error: No space left on device\n")


@pytest.mark.parametrize("error, status, said", [
    (KeyboardInterrupt(), 130, ""),
    (MemoryError("3 TiB"), 1, "tinycnn x: error: 3 TiB\n"),
    (MemoryError(), 1, "tinycnn x: error: not enough memory\n"),
    (OSError(5, "Input/output error"), 1, "tinycnn x: error: Input/output error\n"),
])  # fmt: skip
def test_what_ends_a_command(error, status, said, capsys):
    @guarded("tinycnn x")
    def main():
        raise error

    assert (main(), capsys.readouterr().err) == (status, said)
