"""One random state for all threads."""

import threading

import tinycnn


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
