"""Steps on several ranks are those of one process on the whole batch, with batches that ranks do not divide evenly."""

import numpy as np
import pytest

from tests.distributed.ranks import run

pytestmark = pytest.mark.mpi

OPTIONS = {
    "SGD": [],
    "Adam": ["--optimizer", "adam"],
    "SGD, norm": ["--norm"],
    "Adam, norm": ["--optimizer", "adam", "--norm"],
    "several buckets": ["--bucket", "0.0005"],
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The states after training in one process, by the options."""
    made = {}

    def state(options):
        key = tuple(options)
        if key not in made:
            out = tmp_path_factory.mktemp("alone") / "out.npz"
            run(0, "steps.py", out, *options)
            made[key] = dict(np.load(out))
        return made[key]

    return state


def difference(first, second):
    assert first.keys() == second.keys()
    return max(np.abs(first[name] - second[name]).max() for name in first)


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_several_ranks_make_the_steps_of_one(ranks, options, alone, tmp_path):
    run(ranks, "steps.py", tmp_path / "out.npz", *options)
    assert difference(np.load(tmp_path / "out.npz"), alone(options)) < 1e-10


@pytest.mark.parametrize("options", [OPTIONS["SGD"], OPTIONS["Adam, norm"]], ids=["SGD", "Adam, norm"])
def test_one_rank_is_as_none_bit_for_bit(options, alone, tmp_path):
    run(1, "steps.py", tmp_path / "out.npz", *options)
    assert difference(np.load(tmp_path / "out.npz"), alone(options)) == 0


@pytest.mark.parametrize("ranks", [2, 4])
def test_parts_of_a_batch_are_added_up(ranks, alone, tmp_path):
    run(ranks, "steps.py", tmp_path / "out.npz", "--accumulate", "--bucket", "0.0005")
    assert difference(np.load(tmp_path / "out.npz"), alone([])) < 1e-10


def test_a_planted_bug_is_seen(alone, tmp_path):
    """Gradients that are not weighted by samples."""
    run(3, "steps.py", tmp_path / "out.npz", "--unweighted")
    assert difference(np.load(tmp_path / "out.npz"), alone([])) > 1e-4


def test_averages_of_parameters(alone, tmp_path):
    """After each step they are those of gradients, without momentum; after each eighth they are others."""
    run(2, "steps.py", tmp_path / "one.npz", "--average-every", 1, "--even")
    run(2, "steps.py", tmp_path / "eight.npz", "--average-every", 8, "--even")
    assert difference(np.load(tmp_path / "one.npz"), alone(["--even"])) < 1e-10
    assert 1e-4 < difference(np.load(tmp_path / "eight.npz"), alone(["--even"])) < 0.5


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("program", ["norm.py", "loaders.py"])
def test_parts_of_batches(ranks, program):
    run(ranks, program)


def test_backward_passes_of_every_kind():
    run(2, "backwards.py")


def test_averages_with_momentum_and_what_is_sent():
    run(2, "averages.py")


@pytest.mark.parametrize("options", [[], ["--norm"], ["--capture"]], ids=["", "norm", "captured"])
def test_on_gpus(options, alone, tmp_path):
    """On the emulator of CuPy, by a stand-in for NCCL; captured steps contain the all-reduce."""
    run(2, "steps.py", tmp_path / "out.npz", "--even", "--gpu", *options)
    own = [option for option in options if option != "--capture"]
    assert difference(np.load(tmp_path / "out.npz"), alone(["--even", *own])) < 1e-10


@pytest.mark.parametrize("case", [[], ["waits"]], ids=["other shapes", "one rank cannot"])
def test_a_step_is_captured_on_all_ranks_or_on_none(case):
    run(2, "captures.py", *case)
