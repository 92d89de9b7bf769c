"""One random state for all threads."""

import threading

import pytest

import tinycnn
from tinycnn import backend


def in_threads(work, count=4):
    """[work()] of so many threads that begin at the same time."""
    start, results = threading.Barrier(count), []

    def run():
        start.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_first_draws_after_a_seed_are_each_drawn_once():
    for trial in range(100):
        tinycnn.manual_seed(trial)
        drawn = in_threads(lambda: tuple(tinycnn.rand(4).tolist()))
        tinycnn.manual_seed(trial)
        assert sorted(drawn) == sorted(tuple(tinycnn.rand(4).tolist()) for _ in range(4))


def drawn(device):
    return tinycnn.rand(3, device=device).cpu().tolist()


@pytest.mark.parametrize("device", ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def test_draws_of_a_fork_do_not_count(device):
    tinycnn.manual_seed(1)
    first, second = drawn(device), drawn(device)
    for options in ({}, {"devices": [] if device == "cpu" else [device]}, {"enabled": True}):
        tinycnn.manual_seed(1)
        assert drawn(device) == first
        with tinycnn.random.fork_rng(**options):
            tinycnn.manual_seed(5)
            assert drawn(device) not in (first, second)
        assert drawn(device) == second
    tinycnn.manual_seed(1)
    with tinycnn.random.fork_rng(enabled=False):
        assert drawn(device) == first
    assert drawn(device) == second


@pytest.mark.gpu
def test_a_gpu_first_drawn_from_in_a_fork_begins_anew_after_it(monkeypatch):
    monkeypatch.setattr(backend.random, "_generators", {})
    tinycnn.manual_seed(1)
    first = drawn("gpu")
    monkeypatch.setattr(backend.random, "_generators", {})
    with tinycnn.random.fork_rng():
        assert drawn("gpu") == first
    assert drawn("gpu") == first


def test_a_seed_within_a_fork_is_gone_after_it():
    tinycnn.manual_seed(1)
    with tinycnn.random.fork_rng():
        tinycnn.manual_seed(5)
    assert tinycnn.initial_seed() == 1


def test_states_are_kept_and_restored():
    tinycnn.manual_seed(1)
    drawn("cpu")
    states, state = backend.random_states(), tinycnn.random.get_rng_state()
    expected = drawn("cpu")
    for restore in (lambda: backend.set_random_states(states), lambda: tinycnn.random.set_rng_state(state)):
        restore()
        assert drawn("cpu") == expected


def test_a_random_state_of_its_own():
    """In a block and its thread; the library's goes on afterwards as if nothing had been drawn."""

    def draw():
        return backend.random_generator().random()

    tinycnn.manual_seed(3)
    expected = [draw(), draw()]
    tinycnn.manual_seed(3)
    own, other = backend.OwnRandomState(5, 1), backend.OwnRandomState(5, 2)
    with own:
        first = draw()
        with other:
            inner = draw()
        second = draw()
        assert in_threads(draw, 1) == [expected[0]]
        state = backend.random_states()[backend.CPU]
    with own:  # goes on
        third = draw()
        backend.set_random_states({backend.CPU: state})
        assert draw() == third
    assert draw() == expected[1]
    assert len({first, second, third, inner, *expected}) == 6
    with backend.OwnRandomState(5, 1):
        assert [draw(), draw(), draw()] == [first, second, third]
    with backend.OwnRandomState(5), pytest.raises(ValueError, match="^manual_seed: expected seed"):
        tinycnn.manual_seed(-1)
