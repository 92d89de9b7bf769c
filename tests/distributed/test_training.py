"""A training program that knows nothing of ranks, under the launcher: the embedded digits."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.distributed.ranks import REPOSITORY, run
from tinycnn.distributed.launch import mpiexec

pytestmark = pytest.mark.mpi

TRAIN = REPOSITORY / "examples" / "train_mnist.py"


def train(ranks, out, *options, **more):
    dataset = [] if "--resume" in options else ["--dataset", "digits", "--out", out]
    return run(ranks, TRAIN, *dataset, *options, **more)


def figures(out):
    _, *epochs = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in epoch.items() if k not in ("seconds", "images_per_second")} for epoch in epochs]


def test_one_rank_trains_as_none(tmp_path):
    train(0, tmp_path / "none", "--epochs", 2)
    train(1, tmp_path / "one", "--epochs", 2)
    assert figures(tmp_path / "one") == figures(tmp_path / "none")
    assert (tmp_path / "one/weights.safetensors").read_bytes() == (tmp_path / "none/weights.safetensors").read_bytes()


def test_in_a_shell_that_a_scheduler_has_started(tmp_path):
    """`srun --pty bash` is one process: nothing of MPI is needed there."""
    without_mpi = "import sys; sys.modules['mpi4py'] = None; from examples import train_mnist as t; sys.exit(t.main())"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SLURM_STEP_NUM_TASKS": "1", "PMIX_RANK": "0"}
    words = ["-c", without_mpi, "--dataset", "digits", "--epochs", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ranks_share_the_batches_and_rank_0_writes(tmp_path):
    done = train(3, tmp_path / "out", "--epochs", 6)
    lines = done.stdout.splitlines()
    assert [line[:14] for line in lines[1:-1]] == [f"Digits epoch {i + 1}" for i in range(6)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoints", "metrics.jsonl", "report.png", "weights.safetensors"
    ]  # fmt: skip
    *_, last = figures(tmp_path / "out")
    assert len(figures(tmp_path / "out")) == 6
    assert last["test_accuracy"] > 0.85
    # Nothing is counted twice: shares of 360 images.
    assert (last["test_accuracy"] * 360) == pytest.approx(round(last["test_accuracy"] * 360), abs=1e-6)


def test_a_batch_smaller_than_the_ranks(tmp_path):
    done = train(3, tmp_path / "out", "--batch-size", 2, check=False)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if "batches of at least 3 items, one a rank, got 2" in line]
    assert len(lines) == 1, done.stderr


@pytest.mark.parametrize(
    "signum, to_all",
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)],
    ids=["Ctrl-C", "SIGINT", "SIGTERM"],
)
def test_an_interrupted_training_goes_on_with_another_number_of_ranks(signum, to_all, tmp_path):
    """Ctrl-C goes to the process group of the launcher, as a shell starts it; other signals to the launcher alone."""
    words = [sys.executable, "-m", "tinycnn.distributed", "-n", "2", str(TRAIN), "--dataset", "digits", "--out",
             str(tmp_path / "out"), "--epochs", "6"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    begun = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True, process_group=0)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/checkpoints/latest").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    (os.killpg if to_all else os.kill)(begun.pid, signum)
    _, errors = begun.communicate(timeout=30)
    assert begun.returncode != 0
    if not is_open_mpi():  # whose mpiexec then drops what ranks write
        assert errors.count("holds step") == 1
        assert begun.returncode == 128 + signum
    done = train(3, tmp_path / "out", "--resume", tmp_path / "out")
    assert "resumed after step" in done.stdout
    assert figures(tmp_path / "out")[-1]["epoch"] == 6


def is_open_mpi():
    done = subprocess.run([mpiexec(), "--version"], capture_output=True, text=True, check=True)
    return "Open MPI" in done.stdout


def test_a_resumed_training_has_the_bits_of_one_that_was_not_interrupted(tmp_path):
    """With dropout and shifts, of which each rank draws its own, interrupted in the middle of an epoch."""
    run(2, "resumed.py", tmp_path / "whole")
    run(2, "resumed.py", tmp_path / "parts", "--stop", 17)
    run(2, "resumed.py", tmp_path / "parts", "--resume")
    whole, parts = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "parts"))
    assert whole.files == parts.files
    assert all((whole[name] == parts[name]).all() for name in whole.files)


@pytest.mark.slow
def test_mnist_on_two_ranks(tmp_path, mnist_root):
    for ranks in (0, 2):
        out = tmp_path / f"{ranks}"
        run(ranks, TRAIN, "--dataset", "mnist", "--data-root", mnist_root, "--epochs", 2, "--out", out, timeout=280)
    alone, shared = (figures(tmp_path / f"{ranks}")[-1]["test_accuracy"] for ranks in (0, 2))
    assert abs(alone - shared) < 0.004
