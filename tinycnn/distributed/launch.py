"""The launcher: starts one process for each rank, by the mpiexec that belongs to mpi4py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tinycnn._command import Parser
from tinycnn._extras import how_to_install

# What a launcher sets for the processes that it starts: MPICH and Intel MPI, Open MPI, PMIx, Slurm's srun.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS")

PROGRAM = "tinycnn.distributed"


def is_launched() -> bool:
    """Whether a launcher (mpiexec, srun, `python -m tinycnn.distributed`) has started this process as a rank."""
    return any(name in os.environ for name in SIZES)


def mpiexec() -> str | None:
    """The path of mpiexec: beside this Python, where wheels put it, or on the PATH."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


def command(ranks: int, program: Sequence[str]) -> list[str]:
    """The command line that runs `program` on so many ranks. ValueError if that is impossible."""
    if ranks < 1:
        raise ValueError(f"-n: expected at least 1 rank, got {ranks}")
    import importlib.util

    if importlib.util.find_spec("mpi4py") is None:
        raise ValueError(f"needs mpi4py, which is not installed: {how_to_install('mpi')}")
    launcher = mpiexec()
    if launcher is None:
        raise ValueError(f"no mpiexec beside {sys.executable} or on the PATH: {how_to_install('mpi')}")
    return [launcher, "-n", str(ranks), sys.executable, "-m", "tinycnn.distributed.rank", *program]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line `arguments` (default: this process's). Returns the exit status."""
    parser = Parser(prog=f"python -m {PROGRAM}", description="Runs a program on several ranks, by mpiexec.")
    parser.add_argument("-n", "--ranks", type=int, required=True, help="how many processes")
    parser.add_argument("program", help="a file, or -m for a module")
    parser.add_argument("arguments", nargs="...", help="of the program")
    options = parser.parse_args(arguments)
    try:
        words = command(options.ranks, [options.program, *options.arguments])
    except ValueError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 2
    return subprocess.run(words).returncode
