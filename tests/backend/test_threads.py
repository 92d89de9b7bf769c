"""Threads: the same results however work is shared out, bit for bit the same run to run, errors passed on."""

import os
import subprocess
import sys
import threading
import time
import warnings
import weakref

import numpy as np
import pytest

import tinycnn
from tinycnn import backend
from tinycnn.backend.threads import OPERATIONS_A_THREAD
from tinycnn.nn import functional as F


@pytest.fixture(autouse=True)
def restored_threads():
    before = tinycnn.get_num_threads()
    yield
    tinycnn.set_num_threads(before)


def conv_with_gradients(threads: int) -> list[np.ndarray]:
    tinycnn.set_num_threads(threads)
    rng = np.random.default_rng(1)
    x, w, b = (tinycnn.tensor(rng.standard_normal(s), requires_grad=True) for s in [(5, 4, 13, 11), (6, 2, 3, 2), (6,)])
    y = F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2)
    y.backward(tinycnn.tensor(rng.standard_normal(y.shape)))
    return [y.detach().numpy(), x.grad.numpy(), w.grad.numpy(), b.grad.numpy()]


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_share_a_convolution(threads, monkeypatch):
    alone = conv_with_gradients(1)
    monkeypatch.setattr(backend.threads, "OPERATIONS_A_THREAD", 0)
    monkeypatch.setattr(backend.cpu, "BLOCK_BYTES", 1000)
    shared = conv_with_gradients(threads)
    for a, b in zip(alone, shared, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for a, b in zip(shared, conv_with_gradients(threads), strict=True):
        np.testing.assert_array_equal(a, b)


def test_shares_are_consecutive_and_complete(monkeypatch):
    tinycnn.set_num_threads(3)
    assert backend.shares(range(8), OPERATIONS_A_THREAD) == [range(2), range(2, 5), range(5, 8)]
    assert backend.shares([1, 2], OPERATIONS_A_THREAD) == [[1], [2]]
    assert backend.shares([1, 2], OPERATIONS_A_THREAD - 1) == [[1, 2]], "too little work to hand over"
    assert backend.shares([], 10**9) == [[]]


def test_an_error_in_a_thread_reaches_the_caller():
    tinycnn.set_num_threads(2)

    def fails_for_two(share):
        if 2 in share:
            raise ValueError("share with 2")
        return share

    with pytest.raises(ValueError, match="share with 2"):
        backend.in_threads(fails_for_two, [[1], [2]])
    assert backend.in_threads(fails_for_two, [[1], [3]]) == [[1], [3]]


def test_every_share_is_computed_before_an_error_is_passed_on():
    """They write to memory that the caller is about to drop."""
    tinycnn.set_num_threads(3)
    finished = []

    def work(share):
        if share == 0:
            raise ValueError("the first")
        time.sleep(0.05)
        finished.append(share)

    with pytest.raises(ValueError, match="the first"):
        backend.in_threads(work, [0, 1, 2])
    assert sorted(finished) == [1, 2]


def test_each_share_has_a_thread_of_its_own_and_the_first_the_callers():
    everyone = threading.Barrier(3, timeout=10)

    def work(share):
        everyone.wait()
        return threading.get_ident()

    found = backend.in_threads(work, [0, 1, 2])
    assert found[0] == threading.get_ident()
    assert len(set(found)) == 3
    assert backend.in_threads(work, [0, 1, 2]) == found, "the same threads again"


def test_threads_of_the_user_do_not_wait_for_each_other():
    """One shares out its work; the other computes alone meanwhile, and gets the same."""
    tinycnn.set_num_threads(2)
    inside, go_on = threading.Event(), threading.Event()

    def held(share):
        inside.set()
        assert go_on.wait(10)
        return share

    results = []
    first = threading.Thread(target=lambda: results.append(backend.in_threads(held, [1, 2])))
    first.start()
    assert inside.wait(10)
    assert backend.in_threads(lambda share: share * 10, [1, 2]) == [10, 20]
    go_on.set()
    first.join(10)
    assert results == [[1, 2]]


def test_many_threads_of_the_user_get_their_own_results():
    tinycnn.set_num_threads(3)
    before, wrong = sys.getswitchinterval(), []

    def user(name):
        for i in range(1500):
            found = backend.in_threads(lambda share: (name, i, share), [0, 1, 2])  # noqa: B023
            if found != [(name, i, share) for share in range(3)]:
                wrong.append(found)

    sys.setswitchinterval(1e-6)
    try:
        users = [threading.Thread(target=user, args=(name,)) for name in range(4)]
        for each in users:
            each.start()
        for each in users:
            each.join(60)
    finally:
        sys.setswitchinterval(before)
    assert not wrong
    assert not any(each.is_alive() for each in users)


def test_a_traced_program_shares_out_its_work():
    """A trace function, as of a debugger, runs between any two lines: there threads may take turns."""
    code = """
import threading, time
threading.settrace(lambda *event: time.sleep(0) or (lambda *event: time.sleep(0)))
from tinycnn import backend
for i in range(300):
    assert backend.in_threads(lambda share: share, [1, 2, 3]) == [1, 2, 3]
print("all")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "all\n"
    assert not run.stderr


def test_numpys_errors_are_those_of_the_caller():
    zero = np.zeros(3)
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.in_threads(lambda share: share / zero, [1, 2])
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        backend.in_threads(lambda share: share / zero if share == 2 else share, [1, 2])


def test_results_are_not_kept():
    class Result:
        pass

    found = backend.in_threads(lambda share: Result(), [1, 2, 3])
    left = [weakref.ref(each) for each in found]
    del found
    deadline = time.monotonic() + 5  # a worker that has just told its result may still hold it
    while any(each() is not None for each in left) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert [each() for each in left] == [None] * 3


def test_ctrl_c_while_others_compute():
    """The interrupt arrives when they are done, and afterwards all is as before."""
    code = """
import _thread, threading, time
import tinycnn
from tinycnn import backend
tinycnn.set_num_threads(2)
finished = []
def work(share):
    if share == 1:
        time.sleep(0.3)
        finished.append(share)
threading.Timer(0.1, _thread.interrupt_main).start()
try:
    backend.in_threads(work, [0, 1])
except KeyboardInterrupt:
    print("interrupted", finished)
print(backend.in_threads(len, [[1], [1, 2]]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "interrupted [1]\n[1, 2]\n", run.stdout + run.stderr


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_thread_count_is_checked(count):
    with pytest.raises((TypeError, ValueError), match="set_num_threads: expected count"):
        tinycnn.set_num_threads(count)


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("2,1", 2), ("", None), ("many", None)])
def test_omp_num_threads_is_honoured(given, expected):
    code = "import tinycnn; print(tinycnn.get_num_threads())"
    environment = os.environ | {"OMP_NUM_THREADS": given}
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert int(out) == (expected or len(os.sched_getaffinity(0)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_threads_of_its_own():
    tinycnn.set_num_threads(2)
    assert backend.in_threads(len, [[1], [1, 2]]) == [1, 2]
    child = os.fork()
    if child == 0:
        os._exit(0 if backend.in_threads(len, [[1], [1, 2]]) == [1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts page faults of glibc's allocator")
@pytest.mark.parametrize("setting, few", [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False)])
def test_freed_memory_is_kept_unless_the_user_set_it_otherwise(setting, few):
    """A large array that is made and freed again and again costs page faults the first time only."""
    code = """
import resource, numpy as np, tinycnn
def faults(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2)
print(faults(50))
"""
    clean = {key: value for key, value in os.environ.items() if key not in ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_")}
    run = subprocess.run([sys.executable, "-c", code], env=clean | setting, capture_output=True, text=True, check=True)
    if few:
        assert int(run.stdout) < 200
    else:
        assert int(run.stdout) > 200, "the setting had no effect, so this test shows nothing"


def test_results_do_not_depend_on_what_ran_before():
    """BLAS may not compute the first product on several threads, and later ones, when it is limited, on one."""
    code = """
import numpy as np, tinycnn
from tinycnn.nn import functional as F
tinycnn.set_num_threads(2)
rng = np.random.default_rng(0)
x, w = (tinycnn.tensor(rng.standard_normal((300, 500)).astype("f")) for _ in range(2))
image, kernel = tinycnn.tensor(rng.standard_normal((8, 16, 40, 40)).astype("f")), tinycnn.ones(32, 16, 3, 3)
before = F.linear(x, w).numpy()
F.conv2d(image, kernel)
print(np.array_equal(before, F.linear(x, w).numpy()), (x.reshape(3, 100, 500) @ w.T.reshape(1, 500, 300)).shape)
"""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("NUM_THREADS")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split()[0] == "True"
