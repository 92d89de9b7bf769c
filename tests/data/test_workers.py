"""Workers of the loader: they change neither order nor random numbers, and leave nothing."""

import gc
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tests.data.test_loader_state import LOADERS, N, Noisy, NoisyStream, plain, trained
from tinycnn import backend
from tinycnn.data import DataLoader, Dataset, ImageFolder, IterableDataset, TensorDataset, get_worker_info, transforms

ROOT = Path(__file__).parents[2]
MAPS = {name: make for name, make in LOADERS.items() if "stream" not in name}


def with_workers(make, count, context=None, **options):
    """The same loader with workers, whose arguments it takes as they are."""
    loader = make()
    loader.num_workers, loader.multiprocessing_context, loader.prefetch_factor = count, context, 2
    for name, value in options.items():
        setattr(loader, name, value)
    return loader


def gone(pid):
    """Whether a process has ended within some seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def shared_memory():
    """What lies there, but for that of an MPI, whose programs may run beside these tests for long."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("mpich")}


def stays(names):
    """Those of these segments that stay: other tests that run beside these have some too, for a moment."""
    for _ in range(500):
        if not (names := names & shared_memory()):
            break
        time.sleep(0.02)
    return names


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class Whereabouts(Dataset):
    """Item i is (i, the process, the worker)."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        return int(index), os.getpid(), get_worker_info().id


# --- the batches --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["fork", "thread"])
@pytest.mark.parametrize("make", LOADERS.values(), ids=list(LOADERS))
def test_workers_change_nothing(make, context):
    tinycnn.manual_seed(4)
    expected = trained(make(), 2)[0]
    for count in (1, 2, 5) if make in MAPS.values() else (1,):
        tinycnn.manual_seed(4)
        assert trained(with_workers(make, count, context), 2)[0] == expected


@pytest.mark.parametrize("context", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_that_start_from_nothing(context):
    tinycnn.manual_seed(4)
    expected = [plain(batch) for batch in LOADERS["shuffled"]()]
    tinycnn.manual_seed(4)
    assert [plain(batch) for batch in with_workers(LOADERS["shuffled"], 2, context)] == expected
    given = multiprocessing.get_context(context)
    assert len(list(DataLoader(range(N), 3, num_workers=1, multiprocessing_context=given))) == 4


@pytest.mark.parametrize("context", ["fork", "thread"])
@pytest.mark.parametrize("make", LOADERS.values(), ids=list(LOADERS))
def test_to_resume_with_workers(make, context):
    """The state tells of what was given, not of what was made ahead; the number of workers may be another."""
    tinycnn.manual_seed(5)
    first, then = (2, 3) if make in MAPS.values() else (2, 2)
    found, states = trained(with_workers(make, first, context, persistent_workers=True), 2)
    for position, state, random_state in states[:: 7 if context == "fork" else 1]:
        tinycnn.manual_seed(99)
        loader = with_workers(make, then, context)
        loader.load_state_dict(json.loads(state))
        tinycnn.set_rng_state(random_state)
        assert trained(loader, 2)[0] == found[position:]


def test_memory_is_that_of_the_plain_loader():
    """Strides, dtypes, empty arrays and what is no array arrive as they are, and may be written to."""

    def collate(samples):
        images = np.arange(24.0).reshape(2, 3, 4)
        return {
            "transposed": tinycnn.tensor(images.astype(np.float32)).transpose(0, 2),
            "fortran": np.asfortranarray(images),
            "steps": images[:, ::2],
            "empty": np.zeros((0, 3)),
            "number": tinycnn.tensor(3, dtype=tinycnn.float16),
            "more": ("text", None, samples, b"bytes", bytearray(3)),
        }

    (plainly,) = DataLoader([1, 2], 2, collate_fn=collate)
    (batch,) = DataLoader([1, 2], 2, collate_fn=collate, num_workers=1)
    assert list(batch) == list(plainly)
    assert batch["more"] == plainly["more"]
    for name in ("transposed", "fortran", "steps", "empty", "number"):
        one, other = (np.asarray(each[name]) for each in (batch, plainly))
        np.testing.assert_array_equal(one, other)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert batch["fortran"].strides == plainly["fortran"].strides
    assert batch["transposed"]._array.strides == plainly["transposed"]._array.strides
    batch["fortran"][:] = 1
    batch["transposed"].add_(1)


class Refilled:
    """A collate_fn that fills the same array again."""

    def __init__(self):
        self.batch = np.zeros((64, 3, 32, 32))

    def __call__(self, samples):
        self.batch[:] = samples[0]
        return self.batch


def test_an_array_that_is_filled_again():
    for i, batch in enumerate(DataLoader(range(8), 1, collate_fn=Refilled(), num_workers=1, prefetch_factor=8)):
        assert (batch == i).all()


def test_large_batches_and_long_lists_of_indices():
    images = np.random.default_rng(0).standard_normal((300, 3, 32, 32)).astype(np.float32)
    for found, expected in zip(DataLoader(images, 128, num_workers=2), DataLoader(images, 128), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())
    many = list(DataLoader(range(400_000), 100_000, shuffle=True, num_workers=1, prefetch_factor=4))
    assert np.array_equal(np.sort(np.concatenate([batch.numpy() for batch in many])), np.arange(400_000))


class OfOthers(Noisy):
    """Draws from the random numbers of Python and NumPy."""

    def __getitem__(self, index):
        return random.random(), np.random.rand()  # noqa: NPY002


def test_random_numbers_of_python_and_numpy_in_processes():
    found = []
    for count in (1, 2, 5, 2):
        tinycnn.manual_seed(6)
        random.seed(count)
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        found.append([plain(batch) for batch in DataLoader(OfOthers(), 2, num_workers=count)])
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert all(each == found[0] for each in found)
    values = [value for batch in found[0] for part in batch for value in part]
    assert len(set(values)) == len(values) == 2 * N


def test_batches_are_made_ahead():
    dataset = Noisy()
    loader = DataLoader(dataset, 1, num_workers=2, prefetch_factor=3, multiprocessing_context="thread")
    iterator = iter(loader)
    for given in range(3):
        for _ in range(500):
            if len(dataset.loaded) == 6 + given:
                break
            time.sleep(0.01)
        time.sleep(0.05)
        assert sorted(dataset.loaded) == list(range(6 + given))  # and no more than that
        next(iterator)
    assert loader.state_dict()["batches"] == 3


def test_image_folders(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    rng = np.random.default_rng(0)
    for i in range(10):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    augmented = transforms.Compose([
        transforms.RandomResizedCrop(16), transforms.RandomHorizontalFlip(), transforms.ColorJitter(0.3, 0.3, 0.3),
        transforms.RandomRotation(10), transforms.ToTensor(), transforms.RandomErasing(),
    ])  # fmt: skip
    found = []
    for options in ({}, {"num_workers": 1}, {"num_workers": 2},
                    {"num_workers": 3, "multiprocessing_context": "thread"}):  # fmt: skip
        tinycnn.manual_seed(2)
        loader = DataLoader(ImageFolder(tmp_path, augmented), 3, shuffle=True, **options)
        found.append([(images.numpy().tobytes(), targets.tolist()) for images, targets in loader])
    assert all(each == found[0] for each in found)
    assert len(set(found[0][0][0])) > 10


# --- where data sets learn of the worker --------------------------------------------------------------------------


class Infos(Noisy):
    def __getitem__(self, index):
        info = get_worker_info()
        return info.id, info.num_workers, info.seed, len(info.dataset), tinycnn.initial_seed(), os.getpid()


def test_worker_info():
    tinycnn.manual_seed(7)
    found = list(DataLoader(Infos(), None, num_workers=3))
    assert [info[0] for info in found] == [i % 3 for i in range(N)]
    assert {info[1] for info in found} == {3}
    seeds = [info[2] for info in found[:3]]
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]
    assert all(info[2] == info[4] for info in found)  # as in torch
    assert {info[3] for info in found} == {N}
    assert len({info[5] for info in found} - {os.getpid()}) == 3
    assert get_worker_info() is None
    assert all(info[5] == os.getpid() for info in with_workers(lambda: DataLoader(Infos(), None), 2, "thread"))
    assert get_worker_info() is None


def test_threads_share_the_data_set():
    dataset = Noisy()
    seen = []
    loader = DataLoader(dataset, 1, num_workers=2, multiprocessing_context="thread",
                        worker_init_fn=lambda i: seen.append((i, get_worker_info().dataset is dataset)))  # fmt: skip
    list(loader)
    assert sorted(seen) == [(0, True), (1, True)]


class Shard(IterableDataset):
    """The numbers to `end`, shared out among the workers unless `whole`."""

    def __init__(self, end, whole=False):
        self.end, self.whole = end, whole

    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None or self.whole else (info.id, info.num_workers)
        return iter(range(first, self.end, step))


class Uneven(IterableDataset):
    """Worker i gives 4 i numbers."""

    def __iter__(self):
        worker = get_worker_info().id
        return iter([100 * worker + i for i in range(4 * worker)])


STREAMS = [
    (Shard(10), {"num_workers": 2, "batch_size": 2}), (Shard(11), {"num_workers": 3, "batch_size": 2}),
    (Shard(5, whole=True), {"num_workers": 2, "batch_size": 2}), (Shard(5), {"num_workers": 2, "batch_size": None}),
    (Shard(11), {"num_workers": 2, "batch_size": 2, "drop_last": True}),
    (Uneven(), {"num_workers": 4, "batch_size": 2}),
    (Uneven(), {"num_workers": 3, "batch_size": 3, "prefetch_factor": 1}), (Shard(0), {"num_workers": 2}),
]  # fmt: skip
EXPECTED = [
    [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]], [[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8]],
    [[0, 1], [0, 1], [2, 3], [2, 3], [4], [4]], [0, 1, 2, 3, 4],
    [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10]],
    [[100, 101], [200, 201], [300, 301], [102, 103], [202, 203], [302, 303], [204, 205], [304, 305], [206, 207],
     [306, 307], [308, 309], [310, 311]],
    [[100, 101, 102], [200, 201, 202], [103], [203, 204, 205], [206, 207]], [],
]  # fmt: skip


@pytest.mark.parametrize("context", ["fork", "thread"])
@pytest.mark.parametrize("given, expected", list(zip(STREAMS, EXPECTED, strict=True)))
def test_each_worker_iterates_its_copy(given, expected, context):
    dataset, options = given
    loader = DataLoader(dataset, **options, multiprocessing_context=context)
    assert [plain(batch) for batch in loader] == expected
    for left in range(0, len(expected) + 1, 1 if context == "thread" else 5):  # and each goes on with its own
        iterator = iter(loader)
        list(islice(iterator, left))
        other = DataLoader(dataset, **options, multiprocessing_context=context)
        other.load_state_dict(loader.state_dict())
        assert [plain(batch) for batch in other] == expected[left:]


@pytest.mark.torch
@pytest.mark.parametrize("dataset, options", STREAMS)
def test_streams_as_in_torchs_loader(dataset, options):
    from torch.utils import data

    class Theirs(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            if isinstance(dataset, Uneven):
                return iter([100 * info.id + i for i in range(4 * info.id)])
            first, step = (0, 1) if dataset.whole else (info.id, info.num_workers)
            return iter(range(first, dataset.end, step))

    theirs = data.DataLoader(Theirs(), **options)
    assert [plain(batch) for batch in DataLoader(dataset, **options)] == [plain(batch) for batch in theirs]


def test_a_stream_is_resumed_with_as_many_workers():
    loader = DataLoader(NoisyStream(), 2, num_workers=2)
    next(iter(loader))
    with pytest.raises(ValueError, match="expected the state of a loader with workers 3, got one with 2"):
        DataLoader(NoisyStream(), 2, num_workers=3).load_state_dict(loader.state_dict())


# --- exceptions ---------------------------------------------------------------------------------------------------


class OfTwo(Exception):
    def __init__(self, one, other):
        super().__init__(one, other)


class Faulty(Noisy):
    """Item 4 raises."""

    def __init__(self, error):
        self.error = error

    def __getitem__(self, index):
        if index == 4:
            raise self.error
        return index


def raised(error, context, **options):
    """What comes out of a loader for an error at item 4; the other batches come too."""
    iterator = iter(DataLoader(Faulty(error), 2, num_workers=2, multiprocessing_context=context, **options))
    assert [next(iterator).tolist(), next(iterator).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        next(iterator)
    assert [batch.tolist() for batch in iterator] == [[6, 7], [8, 9], [10]]
    return caught.value


@pytest.mark.parametrize("context, kind", [("fork", "process"), ("thread", "thread")])
def test_exceptions_arrive_with_their_traceback(context, kind):
    for error in (ValueError("so it is"), KeyError("so it is"), OSError(3, "so it is"), SystemExit("so it is")):
        found = raised(error, context)
        assert type(found) is type(error)
        name = type(error).__name__
        start = f"Caught {name} in DataLoader worker {kind} 0.\nOriginal Traceback (most recent call last):\n"
        assert str(found).startswith(start)
        assert "raise self.error" in str(found)
        assert "so it is" in str(found).splitlines()[-1]
    for error in (OfTwo(1, 2), StopIteration("so it is")):
        found = raised(error, context)
        assert type(found) is RuntimeError
        assert type(error).__name__ in str(found)


def test_exceptions_that_cannot_be_sent():
    class Local(Exception):
        pass

    found = raised(Local("so it is"), "fork")
    assert type(found) is RuntimeError
    assert str(found).endswith("Local: so it is\n")
    loader = DataLoader(range(5), 2, collate_fn=lambda samples: (lambda: samples), num_workers=1)
    for _ in range(2):
        iterator = iter(loader)
        with pytest.raises((AttributeError, TypeError), match="^Caught .* in DataLoader worker process 0"):
            next(iterator)


@pytest.mark.torch
def test_exceptions_as_in_torchs_loader():
    from torch.utils import data

    for error in (ValueError("so"), KeyError("so"), OfTwo(1, 2)):
        found = []
        for library in (data, tinycnn.data):
            iterator = iter(library.DataLoader(Faulty(error), 2, num_workers=2))
            next(iterator), next(iterator)
            with pytest.raises(Exception) as caught:  # noqa: PT011
                next(iterator)
            lines = str(caught.value).splitlines()
            found.append((type(caught.value), *lines[:2], *lines[-2:], next(iterator).tolist()))
        assert found[0] == found[1]


@pytest.mark.parametrize("context", ["fork", "thread"])
def test_an_exception_of_worker_init_fn(context):
    def init(worker):
        if worker == 1:
            raise ValueError(f"not {worker}")

    loader = DataLoader(range(6), 2, num_workers=2, worker_init_fn=init, multiprocessing_context=context)
    iterator = iter(loader)
    assert next(iterator).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"(?s)^Caught ValueError in DataLoader worker .* 1\..*not 1$"):
        next(iterator)
    assert next(iterator).tolist() == [4, 5]


def test_an_exception_of_the_sampler_comes_where_it_belongs():
    class Broken:
        def __iter__(self):
            yield from (0, 1, 2)
            raise KeyError("order")

    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "multiprocessing_context": "thread"}):
        iterator = iter(DataLoader(range(6), 1, sampler=Broken(), **options))
        assert [next(iterator).tolist() for _ in range(3)] == [[0], [1], [2]]
        with pytest.raises(KeyError, match="order"):
            next(iterator)
        assert list(iterator) == []


class Slow(Noisy):
    def __getitem__(self, index):
        time.sleep(60 if index == 2 else 0)
        return index


@pytest.mark.parametrize("context", ["fork", "thread"])
def test_timeout(context, monkeypatch):
    monkeypatch.setattr("tinycnn.data.workers.PATIENCE", 0.1)
    iterator = iter(DataLoader(Slow(), 2, num_workers=2, timeout=0.3, multiprocessing_context=context))
    assert next(iterator).tolist() == [0, 1]
    start = time.perf_counter()
    for _ in range(2):  # one may go on waiting
        with pytest.raises(RuntimeError, match=r"^DataLoader timed out after 0\.3 seconds$"):
            next(iterator)
    assert 0.6 <= time.perf_counter() - start < 5
    del iterator
    gc.collect()
    assert time.perf_counter() - start < 5


def test_what_cannot_be_sent_to_a_new_process():
    loader = DataLoader(range(6), 2, num_workers=2, collate_fn=lambda samples: samples, multiprocessing_context="spawn")
    before = descriptors()
    message = r"^DataLoader: dataset, collate_fn or worker_init_fn cannot be sent to a worker process \(.*lambda.*\); "
    with pytest.raises(TypeError, match=message) as error:
        iter(loader)
    assert "\n" not in str(error.value)
    del error
    gc.collect()
    assert descriptors() <= before + 1  # of multiprocessing's own tracker


@pytest.mark.parametrize("options, message", [
    ({"prefetch_factor": 2}, "DataLoader: expected no prefetch_factor with num_workers=0, got 2"),
    ({"persistent_workers": True}, "DataLoader: expected no persistent_workers with num_workers=0, got True"),
    ({"multiprocessing_context": "fork"}, "DataLoader: expected no multiprocessing_context with num_workers=0, got 'f"),
    ({"num_workers": 1, "prefetch_factor": 0}, r"DataLoader\(prefetch_factor\): expected an int of at least 1, got 0"),
    ({"num_workers": 1, "multiprocessing_context": "x"}, r"DataLoader\(multiprocessing_context\): expected 'fork', .*, "
                                                         "'thread' or a context, got 'x'"),
    ({"num_workers": 1, "multiprocessing_context": 3}, r"DataLoader\(multiprocessing_context\): .* got 3"),
])  # fmt: skip
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        DataLoader(range(5), **options)


# --- deaths -------------------------------------------------------------------------------------------------------


class Deadly(Noisy):
    def __getitem__(self, index):
        if index == 5:
            time.sleep(0.5)  # while what was made before is sent
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 8:
            time.sleep(0.5)
            os._exit(3)
        return index, os.getpid()


@pytest.mark.parametrize("persistent", [False, True])
def test_a_worker_that_is_killed(persistent):
    loader = DataLoader(Deadly(), 2, sampler=[0, 1, 2, 3, 4, 5, 6, 7], num_workers=2, persistent_workers=persistent)
    iterator = iter(loader)
    pid = int(next(iterator)[1][0])
    next(iterator)
    with pytest.raises(RuntimeError, match=rf"^DataLoader worker \(pid {pid}\) is killed by signal: Killed$"):
        next(iterator)
    with pytest.raises(RuntimeError, match="^DataLoader: a worker died, or the wait for it was interrupted;"):
        next(iterator)
    assert loader.state_dict()["batches"] == 2
    loader.sampler = loader.batch_sampler.sampler = [0, 1, 8]
    iterator = iter(loader)
    next(iterator)
    with pytest.raises(RuntimeError, match=r"^DataLoader worker \(pid \d+\) exited unexpectedly with code 3$"):
        next(iterator)


def test_a_worker_that_is_killed_while_it_waits():
    loader = DataLoader(Whereabouts(), 1, num_workers=1, prefetch_factor=1, persistent_workers=True)
    iterator = iter(loader)
    pid = int(next(iterator)[1])
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    next(iterator)  # which had been made
    with pytest.raises(RuntimeError, match=rf"^DataLoader worker \(pid {pid}\) is killed by signal: Killed$"):
        list(iterator)
    assert len(list(loader)) == N


PROGRAM = """
import sys, time
sys.path.insert(0, ".")
from tests.data.test_workers import Slow, Whereabouts
from tinycnn.data import DataLoader, workers
if __name__ == "__main__":
    loaders = [DataLoader(Whereabouts(), 1, num_workers=2, multiprocessing_context=sys.argv[1]) for _ in range(2)]
    iterators = [iter(loader) for loader in loaders]
    pids = [int(next(iterator)[1]) for iterator in iterators for _ in range(2)]
    print(*pids, flush=True)
    {}
"""


def started(code, context="fork"):
    """A program with four workers of two loaders, and their processes."""
    command = [sys.executable, "-c", PROGRAM.replace("{}", code), context]
    program = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    return program, list(map(int, program.stdout.readline().split()))


@pytest.mark.parametrize("code", ["time.sleep(60)", "next(iter(DataLoader(Slow(), 1, sampler=[2], num_workers=1)))"])
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_die_with_their_parent(code, context):
    program, pids = started(code, context)
    time.sleep(0.3)
    assert len(set(pids)) == 4
    program.kill()
    program.communicate()
    assert all(map(gone, pids))


def test_ctrl_c():
    shared = shared_memory()
    program, pids = started("workers.PATIENCE = 0.5; next(iter(DataLoader(Slow(), 1, sampler=[2], num_workers=1)))")
    time.sleep(0.5)
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1  # the workers say nothing
    assert all(map(gone, pids))
    assert not stays(shared_memory() - shared)


def test_an_interrupted_wait(monkeypatch):
    """What comes after it cannot be read from the middle of an answer."""
    monkeypatch.setattr("tinycnn.data.workers.PATIENCE", 0.1)
    loader = DataLoader(Slow(), 2, num_workers=2, persistent_workers=True)
    iterator = iter(loader)
    next(iterator)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(iterator)
    with pytest.raises(RuntimeError, match="^DataLoader: a worker died, or the wait for it was interrupted;"):
        next(iterator)


# --- what is left -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["fork", "thread"])
@pytest.mark.parametrize("epochs", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_epochs_leave_nothing(epochs, context):
    loader = DataLoader(Whereabouts(), 4, num_workers=2, multiprocessing_context=context)
    list(loader)
    gc.collect()
    before, shared = (descriptors(), threading.active_count(), len(multiprocessing.active_children())), shared_memory()
    for epoch in range(epochs):
        iterator = iter(loader)
        for _ in range(epoch % 5):  # the last one ends the epoch
            next(iterator, None)
    del iterator
    gc.collect()
    assert (descriptors(), threading.active_count(), len(multiprocessing.active_children())) == before
    assert not stays(shared_memory() - shared)


def test_an_iterator_that_is_dropped_ends_its_workers():
    iterator = iter(DataLoader(Whereabouts(), 1, num_workers=2))
    pids = [int(next(iterator)[1]) for _ in range(2)]
    start = time.perf_counter()
    del iterator
    assert time.perf_counter() - start < 4  # by themselves: none had to be killed
    assert all(map(gone, pids))


def pids_of(batches):
    return {int(pid) for _, pids, _ in batches for pid in pids}


def test_persistent_workers():
    loader = DataLoader(Whereabouts(), 2, num_workers=2, persistent_workers=True)
    first = pids_of(loader)
    assert len(first) == 2
    assert pids_of(loader) == first
    next(iter(loader))  # left in the middle
    batches = list(loader)
    assert pids_of(batches) == first
    assert [i for indices, _, _ in batches for i in indices.tolist()] == list(range(N))
    one = iter(loader)
    start = list(islice(one, 2))
    assert pids_of(loader).isdisjoint(first)  # another epoch, while one is not at its end
    assert pids_of([*start, *one]) == first
    del loader, one
    gc.collect()
    assert all(map(gone, first))


def test_a_persistent_worker_that_dies_between_epochs():
    loader = DataLoader(Whereabouts(), 2, num_workers=2, persistent_workers=True)
    first = pids_of(loader)
    os.kill(min(first), signal.SIGKILL)
    while min(first) in {child.pid for child in multiprocessing.active_children()}:
        time.sleep(0.01)  # a process with threads may be a zombie before it can be waited for
    assert pids_of(loader).isdisjoint(first)
    assert gone(max(first))


def test_workers_of_a_run_without_persistence_are_others_in_each_epoch():
    loader = DataLoader(Whereabouts(), 2, num_workers=2)
    assert pids_of(loader).isdisjoint(pids_of(loader))


def test_a_fork_leaves_the_workers_to_its_parent():
    for context in ("fork", "thread"):
        loader = DataLoader(range(N), 1, num_workers=2, persistent_workers=True, multiprocessing_context=context)
        iterator = iter(loader)
        next(iterator)
        child = os.fork()
        if child == 0:
            try:
                with pytest.raises(RuntimeError, match="^DataLoader: its workers belong to another process"):
                    next(iterator)
                del iterator
                assert len(list(loader)) == N  # with workers of its own
                del loader
                gc.collect()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert [batch.tolist() for batch in iterator] == [[i] for i in range(1, N)]


class Computing(Noisy):
    """Uses threads and BLAS, as its parent does."""

    def __getitem__(self, index):
        assert backend.get_num_threads() == 1
        x = tinycnn.ones(400, 400)
        return float((x @ x).sum())


def test_a_fork_beside_threads_that_compute():
    x = tinycnn.ones(600, 600)
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            (x @ x).sum()

    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            loader = DataLoader(Computing(), 4, num_workers=2, timeout=60)
            assert {value for batch in loader for value in batch.tolist()} == {400.0**3}
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# --- a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_data_set_on_a_gpu_is_loaded_in_this_process():
    dataset = TensorDataset(np.arange(N)).to("cuda")
    loader = DataLoader(dataset, 4, num_workers=2)
    children = set(multiprocessing.active_children())
    batches = [plain(batch) for batch in loader]
    assert batches == [[[0, 1, 2, 3]], [[4, 5, 6, 7]], [[8, 9, 10]]]
    assert set(multiprocessing.active_children()) == children
