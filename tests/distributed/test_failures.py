"""A rank that fails ends all of them within ten seconds, with a status that is not 0 and a line that names it."""

import os
import re
import subprocess

import pytest

from tests.distributed.ranks import REPOSITORY, run
from tinycnn.distributed.launch import mpiexec

pytestmark = pytest.mark.mpi

FAILURES = {
    "raise": "rank 1 of 3: ValueError: there is",
    "exit": "rank 1 of 3: exit status 3",
    "exit with words": "rank 1 of 3: no more",
    "return": "waits for rank 1, which has ended",
    "hang": "all_reduce has waited 3 s for rank 1, which did not call it",
    "other call": "got all_reduce (3,) float32 SUM on rank 0, broadcast (3,) float32 from rank 0 on rank 1",
    "other internal call": "while others wait in other calls: rank 1 in the average of parameters",
    "destroy": "waits for rank 1, which has ended",
    "exit 256": "rank 1 of 3: exit status 256",
    "different models": "DistributedDataParallel: expected the same model on all ranks, got weight (5, 3) float32 on "
    "rank 0 and (4, 3) float32 on rank 1",
    "drifted": "check_parameters: 1.bias of rank 1 differs from that of rank 0",
    "backend": "init_process_group: expected backend",
    "world size": "init_process_group: expected world_size of at least 1, or -1, got 0",
    "size": "init_process_group: expected world_size 3, as the launcher says, got 7",
    "twice": "init_process_group: there is a process group",
}


def lines_of(done, words):
    return [line for line in done.stderr.splitlines() if words in line and line.startswith("rank ")]


@pytest.mark.parametrize("how, words", FAILURES.items(), ids=FAILURES)
def test_a_rank_that_fails_ends_all(how, words):
    done = run(3, "fails.py", how, 1, check=False)
    assert done.returncode != 0
    assert len(lines_of(done, words)) == 1, done.stderr
    begin = 4  # seconds, to start three processes on a busy machine
    wait = 3 if how in ("hang", "other internal call") else 0
    assert done.seconds < begin + wait + 10


def test_a_rank_that_is_killed_ends_all():
    """MPICH's launcher does not name it, so ours does; Open MPI's and Intel's do."""
    done = run(3, "fails.py", "kill", 1, check=False)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert re.search("rank 1: ended by SIGKILL|rank 1 with PID .* signal 9|RANK 1 PID .* SIGNAL: 9", said), said
    assert done.seconds < 14


def test_a_rank_that_leaves_without_a_word_ends_all():
    """`os._exit(0)`: Open MPI's launcher and Intel's tell it in their own words; MPICH's ends all ranks at once, by
    signals that it sometimes tells."""
    done = run(3, "fails.py", "os._exit", 1, check=False)
    assert done.returncode != 0
    version = subprocess.run([mpiexec(), "--version"], capture_output=True, text=True, check=True).stdout
    if "HYDRA" in version:
        assert lines_of(done, "ended before the program did, with status 0") or lines_of(done, "ended by SIGKILL")
    assert done.seconds < 14


@pytest.mark.parametrize("how", ["raise", "return", "hang"])
def test_also_without_the_launchers_help(how):
    """Under an mpiexec of the user's own, without -m: the process group alone."""
    done = run(2, "fails.py", how, 0, launcher=False, check=False)
    assert done.returncode != 0
    assert len(lines_of(done, FAILURES[how].replace("1 of 3", "0 of 2").replace("rank 1", "rank 0"))) == 1, done.stderr


def test_without_a_launcher():
    done = run(0, "fails.py", "raise", 0, check=False)
    assert done.returncode == 1
    assert "ValueError: init_process_group: this program was started without a launcher: python -m" in done.stderr


def test_a_launcher_of_another_mpi():
    """Each process would be rank 0 of 1, and train alone."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SLURM_STEP_NUM_TASKS": "2"}
    done = run(0, "fails.py", "raise", 0, check=False, env=environment)
    assert done.returncode == 1
    words = "init_process_group: the launcher has started 2 processes, but MPI knows of this one alone: use the mpiexec"
    assert words in done.stderr


@pytest.mark.parametrize("ranks", ["0", "-1", "two"])
def test_a_number_of_ranks_that_is_none(ranks):
    done = run(ranks, "fails.py", "raise", 0, check=False)
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1
    assert "-n" in done.stderr
