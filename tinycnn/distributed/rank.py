"""python -m tinycnn.distributed.rank PROGRAM: runs a program as one rank, so that all ranks end when it fails.

It is `python -m mpi4py PROGRAM`, and one line says which rank failed and why, also before there is a process group.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mpi4py import MPI
from mpi4py.run import run_command_line

from tinycnn.distributed.failures import end_all
from tinycnn.distributed.launch import ENDED


def main() -> None:
    """Runs the program that the command line names."""
    world = MPI.COMM_WORLD
    try:
        run_command_line(sys.argv[1:])
    except SystemExit as end:
        if end.code not in (None, 0):
            status = end.code & 255 or 1 if isinstance(end.code, int) else 1
            end_all(world, f"exit status {end.code}" if isinstance(end.code, int) else str(end.code), status)
    except BaseException as error:
        end_all(world, error)
    if ended := os.environ.get(ENDED):
        Path(ended, str(world.rank)).touch()


if __name__ == "__main__":
    main()
