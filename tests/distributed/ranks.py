"""Programs on several ranks, by a real mpiexec."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tinycnn.distributed.launch import command

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"


def run(ranks, program, *arguments, launcher=True, check=True, **options):
    """The finished process; with `launcher`, the command `python -m tinycnn.distributed`, else mpiexec itself.

    0 ranks: without any. Attribute `seconds`: how long it took.
    """
    path = program if str(program).startswith("-") else PROGRAMS / program
    if ranks == 0:
        words = [sys.executable]
    elif launcher:
        words = [sys.executable, "-m", "tinycnn.distributed", "-n", str(ranks)]
    else:
        words = [word for word in command(ranks, []) if word not in ("-m", "tinycnn.distributed.rank")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    done = subprocess.run(
        [*words, str(path), *map(str, arguments)],
        **{"env": environment, "capture_output": True, "text": True, "timeout": 100, **options},
    )
    done.seconds = time.monotonic() - begun
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done
