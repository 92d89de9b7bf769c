"""The CPU's scratch memory, which is not handed out twice, and BLAS, which is limited in our own products alone."""

import gc
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import tinycnn
from tinycnn import backend
from tinycnn.nn import functional as F


def convolution(seed, size=20):
    rng = np.random.default_rng(seed)
    x, w = (tinycnn.tensor(rng.standard_normal(s), requires_grad=True) for s in [(4, 3, size, size), (6, 3, 5, 5)])

    def gradients():
        with tinycnn.enable_grad():  # within a backward pass, nothing is recorded
            y = F.conv2d(x, w)
            return [tensor._array for tensor in (y, *tinycnn.autograd.grad(y.sum(), [x, w]))]

    return gradients


def all_equal(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


# --- scratch memory -----------------------------------------------------------------------------------------


def test_scratch_memory_is_used_again_when_no_view_is_left():
    like = np.zeros(1, np.float32)
    first = backend.cpu.scratch("test", (30, 40), like)
    place = backend.address(first)
    second = backend.cpu.scratch("test", (10,), like)
    assert not np.shares_memory(first, second), "the first is still in use"
    rows = first[3:5].T
    del first, second
    assert not np.shares_memory(backend.cpu.scratch("test", (30, 40), like), rows), "a view of the first is in use"
    del rows
    third = backend.cpu.scratch("test", (40, 30), like)
    place = backend.address(third)
    del third
    assert backend.address(backend.cpu.scratch("test", (7,), like)) == place


def test_blocks_of_a_convolution_take_turns_in_the_same_memory(monkeypatch):
    monkeypatch.setattr(backend.cpu, "BLOCK_BYTES", 1000)
    gradients = convolution(0)
    gradients()
    before = {name: backend.address(buffer) for name, buffer in backend.cpu._scratch.buffers.items()}
    gradients()
    assert {name: backend.address(buffer) for name, buffer in backend.cpu._scratch.buffers.items()} == before


def interrupted(run, handle, times):
    """Yields run(), again and again, while a signal handler has interrupted it less than `times`, with handle()."""
    count = 0

    def handler(number, frame):
        nonlocal count
        handle()
        count += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    try:
        while count < times:
            yield run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


has_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")


@has_timers
def test_a_signal_handler_may_compute_in_the_midst_of_an_operator():
    outer, inner, within = convolution(0), convolution(1, 15), []
    expected, expected_within = outer(), inner()
    for found in interrupted(outer, lambda: within.append(inner()), 100):
        assert all_equal(found, expected)
    assert all(all_equal(found, expected_within) for found in within)


@has_timers
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_a_signal_handler_may_take_a_step_in_the_midst_of_another(name):
    options = {"lr": 0.1, "weight_decay": 0.01}

    def steps():
        weight = tinycnn.tensor(np.linspace(-1, 1, 6000), requires_grad=True)
        optimizer = getattr(tinycnn.optim, name)([weight], **options)
        for _ in range(5):
            weight.grad = weight.detach() * 3.0
            optimizer.step()
        return [weight._array]

    expected, within = steps(), []
    for found in interrupted(steps, lambda: within.append(steps()), 50):
        assert all_equal(found, expected)
    assert all(all_equal(found, expected) for found in within)


def test_a_finaliser_may_compute_in_the_midst_of_an_operator(monkeypatch):
    outer, inner = convolution(0), convolution(1, 15)
    expected, expected_inner, found = outer(), inner(), []

    class Cycle:
        def __init__(self):
            self.itself = self

        def __del__(self):
            found.append(inner())

    unfold = backend.cpu.unfold_into

    def unfold_into(*arguments):
        unfold(*arguments)
        if len(found) < 20:
            Cycle()
            gc.collect()

    monkeypatch.setattr(backend.cpu, "unfold_into", unfold_into)
    assert all_equal(outer(), expected)
    assert found
    assert all(all_equal(x, expected_inner) for x in found)


def test_what_runs_in_a_thread_of_the_pool_does_not_wait_for_the_pool():
    threads = tinycnn.get_num_threads()
    tinycnn.set_num_threads(2)
    try:

        def work(share):
            return sum(backend.in_threads(sum, [[share], [share]]))

        done = []
        runner = threading.Thread(target=lambda: done.append(backend.in_threads(work, [1, 2])), daemon=True)
        runner.start()
        runner.join(20)
        assert done == [[2, 4]]
    finally:
        tinycnn.set_num_threads(threads)


# --- BLAS ---------------------------------------------------------------------------------------------------


def blas_threads():
    """Of NumPy's BLAS; SciPy, if it is loaded, may have one of its own."""
    libraries = ThreadpoolController().select(user_api="blas").info()
    of_numpy = [library for library in libraries if "numpy" in library["filepath"]]
    return [library["num_threads"] for library in of_numpy or libraries]


@pytest.fixture
def two_blas_threads():
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        if set(blas_threads()) != {2}:
            pytest.skip("this BLAS does not use two threads")
        yield


def test_blas_has_one_thread_in_our_products_alone(two_blas_threads, monkeypatch):
    counts, product = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda *arguments: counts.append(blas_threads()) or product(*arguments))
    a = np.ones((100, 100), np.float32)
    backend.cpu.matmul(a, a)
    assert set(counts[0]) == {1}
    assert set(blas_threads()) == {2}
    monkeypatch.setattr(np, "matmul", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backend.cpu.matmul(a, a)
    assert set(blas_threads()) == {2}


def test_blas_gets_its_threads_back_from_products_in_many_threads(two_blas_threads):
    a = np.ones((60, 60), np.float32)

    def multiply():
        for _ in range(300):
            backend.cpu.matmul(a, a)

    threads = [threading.Thread(target=multiply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(blas_threads()) == {2}


def test_blas_gets_its_threads_back_from_a_product_that_was_broken_off(two_blas_threads, monkeypatch):
    a, libraries = np.ones((60, 60), np.float32), backend.cpu._blas_libraries()

    def interrupted_count(count):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backend.cpu, "_blas_libraries", lambda: [(get, interrupted_count) for get, _ in libraries])
        with pytest.raises(KeyboardInterrupt):
            backend.cpu.matmul(a, a)
    backend.cpu._blas.before = None
    backend.cpu.matmul(a, a)
    assert set(blas_threads()) == {2}


@has_timers
def test_blas_gets_its_threads_back_from_products_within_products(two_blas_threads):
    a = np.ones((60, 60), np.float32)
    for _ in interrupted(lambda: backend.cpu.matmul(a, a), lambda: backend.cpu.matmul(a, a), 300):
        pass
    assert set(blas_threads()) == {2}


# --- the process around ---------------------------------------------------------------------------------------

CHANGES = """
import gc, os, signal, sys, threading, warnings, locale, random
import numpy as np
from threadpoolctl import ThreadpoolController

def state():
    return {
        "BLAS": [library["num_threads"] for library in ThreadpoolController().info()],
        "errors": np.geterr(), "printing": np.get_printoptions(), "draws": random.getstate()[1][:5],
        "numpy draws": np.random.get_state()[1][:5].tolist(), "environment": dict(os.environ),
        "recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval(), "threads": threading.active_count(),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()], "folder": os.getcwd(),
        "warnings": list(warnings.filters), "locale": locale.setlocale(locale.LC_ALL), "gc": gc.get_threshold(),
        "hooks": (sys.excepthook, sys.displayhook, tuple(sys.meta_path), tuple(sys.path_hooks)), "path": list(sys.path),
        "mask": next(line for line in open("/proc/self/status") if line.startswith("Umask")),
        "files": sorted(os.listdir("/proc/self/fd")),
    }

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def kept():
    "MiB that stay with the process of 800 MiB in blocks of 1 MiB."
    before, blocks = resident(), [np.ones(2**17) for _ in range(800)]
    last = np.ones(2**10)  # at the end of the heap: what lies before it is trimmed only if it goes too
    blocks = None
    return resident() - before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_importing_changes_nothing_in_the_process():
    code = CHANGES + "before = state()\nimport tinycnn\nfor k, v in state().items(): assert v == before[k], k"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_training_keeps_of_freed_memory_is_bounded():
    step = """
import tinycnn
from tinycnn.models import LeNet5
if {train}:
    model = LeNet5()
    loss = model(tinycnn.randn(64, 1, 28, 28)).sum()
    loss.backward()
    del loss
print(kept())
"""
    kept = {}
    programs = {"without": "print(kept())", "imported": step.format(train=False), "trained": step.format(train=True)}
    for name, code in programs.items():
        command = [sys.executable, "-c", CHANGES + code]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment).stdout
        kept[name] = float(output)
    assert kept["imported"] < kept["without"] + 10
    assert kept["trained"] < kept["without"] + 64 + 10, kept
