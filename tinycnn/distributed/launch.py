"""The launcher: starts one process for each rank, by the mpiexec that belongs to mpi4py."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tinycnn._command import Parser, guarded, users_errors
from tinycnn._extras import how_to_install

# What a launcher sets for the processes that it starts: MPICH and Intel MPI, Open MPI, Slurm's srun; PMIx.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
PMIX = "PMIX_RANK"

PROGRAM = "tinycnn.distributed"
ENDED = "TINYCNN_ENDED"  # the environment's name of a folder where each rank leaves a file when its program ends
EXIT_CODES = re.compile(r"\[mpiexec@.*\] Exit codes: (.*)")  # what -print-all-exitcodes writes last


def is_launched() -> bool:
    """Whether a launcher (mpiexec, srun, `python -m tinycnn.distributed`) has started this process as a rank."""
    return any(name in os.environ for name in (*SIZES, PMIX))


def started() -> int:
    """How many processes the launcher says that it has started; 1 if it says nothing."""
    return next((int(os.environ[name]) for name in SIZES if os.environ.get(name, "").isdecimal()), 1)


def mpiexec() -> str | None:
    """The path of mpiexec: beside this Python, where wheels put it, or on the PATH."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


def command(ranks: int, program: Sequence[str]) -> list[str]:
    """The command line that runs `program` on so many ranks. ValueError if that is impossible."""
    if ranks < 1:
        raise ValueError(f"-n: expected at least 1 rank, got {ranks}")
    if importlib.util.find_spec("mpi4py") is None:
        raise ValueError(f"needs mpi4py, which is not installed: {how_to_install('mpi')}")
    launcher = mpiexec()
    if launcher is None:
        raise ValueError(f"no mpiexec beside {sys.executable} or on the PATH: {how_to_install('mpi')}")
    options = [*_options(launcher, ranks), "-n", str(ranks)]
    return [launcher, *options, sys.executable, "-m", "tinycnn.distributed.rank", *program]


def _options(launcher: str, ranks: int) -> list[str]:
    """What the implementations want to be told. Intel's has the defaults of the others' options."""
    version = subprocess.run([launcher, "--version"], capture_output=True, text=True).stdout
    if "HYDRA" in version:  # MPICH's does not say by itself which rank was killed
        return ["-print-all-exitcodes"]
    if "Open MPI" in version and ranks > (os.cpu_count() or 1):  # it would refuse
        return ["--map-by", ":OVERSUBSCRIBE"]
    return []


def run(words: Sequence[str], ranks: int) -> int:
    """Runs a command line of mpiexec, and names the ranks that a signal or `os._exit` has ended. Returns the status.

    mpiexec has a session of its own and no terminal: Ctrl-C comes to this process, which hands it on, once.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
    with (
        tempfile.TemporaryDirectory() as ended,
        subprocess.Popen(
            words, stdin=stdin, stdout=subprocess.PIPE, env=os.environ | {ENDED: ended}, start_new_session=True
        ) as process,
    ):
        former = [signal.signal(signum, lambda signum, _: process.send_signal(signum)) for signum in signals]
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := EXIT_CODES.match(line.decode(errors="replace")):
                    for rank, killed_by in killed(found[1]):
                        print(f"rank {rank}: ended by {signal.Signals(killed_by).name}", file=sys.stderr)
                else:
                    sys.stdout.buffer.write(line)
                    sys.stdout.flush()
            if status := process.wait():
                return status
            # By `os._exit`; the launcher has then ended the others, too.
            missing = [str(rank) for rank in range(ranks) if not Path(ended, str(rank)).exists()]
            if missing:
                print(f"rank {', '.join(missing)}: ended before the program did, with status 0", file=sys.stderr)
            return 1 if missing else 0
        finally:
            for signum, handler in zip(signals, former):
                signal.signal(signum, handler)


def killed(statuses: str) -> list[tuple[int, int]]:
    """(rank, signal) of those that a signal has ended; by machine: "[one] 0,9 [other] 256,0"."""
    of_ranks = enumerate(map(int, re.findall(r"\d+", re.sub(r"\[.*?\]", "", statuses))))
    return [(rank, status) for rank, status in of_ranks if 0 < status < signal.NSIG]


@guarded(PROGRAM)
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line `arguments` (default: this process's). Returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = 2 if words[:1] == ["-n"] else 1  # what follows is the program's, and looks like options, too
    usage = f"python -m {PROGRAM} -n N (PROGRAM | -m MODULE | -c CODE) ..."
    parser = Parser(prog=PROGRAM, usage=usage, description="Runs a program on N ranks, by mpiexec.")
    parser.add_argument("-n", type=int, required=True, help="how many processes")
    options = parser.parse_args(words[:own])
    if len(words) == own:
        parser.error("expected a program after -n N")
    with users_errors(ValueError):
        started = command(options.n, words[own:])
    return run(started, options.n)
