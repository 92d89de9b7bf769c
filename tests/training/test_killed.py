"""A training that is killed again and again ends with the weights of one that is not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "train_mnist.py"
# A checkpoint after each step, so that about half of the time goes into writing them.
TRAINING = ["--dataset", "digits", "--epochs", "3", "--seed", "7", "--checkpoint-every", "1"]


def start(folder, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, PROGRAM, *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def run_until_killed(folder, seconds, *arguments):
    """The exit status of a run that is killed after so many seconds of training."""
    program = start(folder, *arguments)
    for line in program.stdout:
        if "parameters" in line:  # the training begins
            break
    time.sleep(seconds)
    program.send_signal(signal.SIGKILL)
    _, err = program.communicate()
    assert err == ""
    return program.returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing interrupts, and how long it trained."""
    folder = tmp_path_factory.mktemp("whole")
    program = start(folder, *TRAINING, "--out", "run")
    begun = None
    for line in program.stdout:
        if begun is None and "parameters" in line:
            begun = time.monotonic()
    assert program.wait() == 0, program.stderr.read()
    return folder / "run", time.monotonic() - begun


def same_results(found, expected):
    """Whether two runs left the same weights and figures, but for times."""
    timeless = []
    for folder in (found, expected):
        _, *lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
        times = "seconds", "images_per_second"
        timeless.append([{name: value for name, value in line.items() if name not in times} for line in lines])
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (found, expected)]
    return timeless[0] == timeless[1] and weights[0] == weights[1]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_fifty_random_moments_it_ends_the_same(tmp_path, whole):
    expected, seconds = whole
    generator, kills = random.Random(50), 50
    arguments = [*TRAINING, "--out", "run"]
    for _ in range(kills):
        status = run_until_killed(tmp_path, generator.uniform(0, 3 * seconds / kills), *arguments)
        if status == 0:  # it was complete before
            break
        assert status == -signal.SIGKILL
        begun = any((tmp_path / "run" / "checkpoints").glob("step_?")) or any((tmp_path / "run").glob("*/step_??"))
        arguments = ["--resume", "run", "--checkpoint-every", "1"] if begun else [*TRAINING, "--out", "run"]
    out, err = start(tmp_path, *arguments).communicate()
    assert "after epoch 3" in out, err
    assert same_results(tmp_path / "run", expected)
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == ["checkpoints", "metrics.jsonl", "report.png", "weights.safetensors"]
    assert not any((tmp_path / "run" / "checkpoints").glob("*.part"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for another process")
@pytest.mark.slow
@pytest.mark.parametrize("signum, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(tmp_path, whole, signum, status):
    expected, _ = whole
    program = start(tmp_path, *TRAINING[:-2], "--out", "run")
    for line in program.stdout:
        if "epoch 1/" in line:
            break
    program.send_signal(signum)
    _, err = program.communicate()
    assert program.returncode == status
    (checkpoint,) = err.splitlines()
    assert checkpoint.startswith("train_mnist.py: interrupted; run/checkpoints/step_")
    assert checkpoint.endswith(": --resume run goes on with it")
    out, err = start(tmp_path, "--resume").communicate()  # the last run in runs/ is none
    assert err == "train_mnist.py: error: --resume: there is no run with checkpoints in runs\n"
    out, err = start(tmp_path, "--resume", "run").communicate()
    assert "resumed after step" in out, err
    assert same_results(tmp_path / "run", expected)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_a_scheduler_that_signals_the_workers_too_gets_a_checkpoint(tmp_path):
    program = start(tmp_path, *TRAINING[:-2], "--epochs", "9", "--workers", "1", "--out", "run", start_new_session=True)
    for line in program.stdout:
        if "epoch 1/" in line:
            break
    os.killpg(program.pid, signal.SIGTERM)
    _, err = program.communicate()
    assert program.returncode == 143
    assert err.startswith("train_mnist.py: interrupted; run/checkpoints/step_")
    assert len(err.splitlines()) == 1
