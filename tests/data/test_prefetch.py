"""Batches that are copied to a GPU while it computes: the loader's numbers, and streams that wait for each other."""

import collections

import numpy as np
import pytest

import tinycnn
from tests.gpu import launches
from tinycnn import backend
from tinycnn.data import DataLoader, Dataset, TensorDataset, prefetch_to_device

Pair = collections.namedtuple("Pair", "images targets")


class Pictures(Dataset):
    """On the host, though the batches go to a GPU."""

    def __init__(self, N, shape=(2, 5, 4)):
        self.images = np.random.default_rng(N).standard_normal((N, *shape)).astype(np.float32)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], i


@pytest.fixture(params=["cpu", *(pytest.param(name, marks=pytest.mark.gpu) for name in ("cuda:0", "cuda:1"))])
def device(request):
    try:
        return backend.device(request.param)
    except ValueError:
        pytest.skip("needs two GPUs")


def assert_same(found, expected, device):
    """Of two nested batches."""
    assert type(found) is type(expected)
    if isinstance(expected, tinycnn.Tensor):
        assert (found.device, found.dtype, found.shape) == (device, expected.dtype, expected.shape)
        np.testing.assert_array_equal(found.detach().cpu().numpy(), expected.detach().numpy())
        assert found.requires_grad == expected.requires_grad
    elif isinstance(expected, (dict, list, tuple)):
        pairs = [(found[name], expected[name]) for name in expected] if isinstance(expected, dict) else zip(
            found, expected, strict=True)  # fmt: skip
        for inner, wanted in pairs:
            assert_same(inner, wanted, device)
    else:
        assert found == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_the_batches_are_those_of_the_loader(device, workers):
    loader = DataLoader(Pictures(23), batch_size=4, shuffle=True, seed=3, num_workers=workers)
    expected = [*loader]
    loader.epoch = 0
    found = [*prefetch_to_device(loader, device)]  # which are all alive in the end
    assert len(found) == len(expected) == 6
    for batch, wanted in zip(found, expected):
        assert_same(batch, wanted, device)


def test_nested_batches(device):
    batches = [
        [Pair(tinycnn.full((3, 2), i), [tinycnn.arange(3) + i, "name"]), {"mask": tinycnn.ones(3) > i, "count": i}]
        for i in range(4)
    ]
    for batch, wanted in zip(prefetch_to_device(batches, device), batches, strict=True):
        assert_same(batch, wanted, device)


@pytest.mark.parametrize("odd", [
    lambda: tinycnn.randn(3, 4, 5).transpose(1, 2), lambda: tinycnn.tensor(3.0), lambda: tinycnn.zeros(0, 4),
    lambda: tinycnn.randn(2, 3, requires_grad=True), lambda: tinycnn.randn(8)[::2],
    lambda: tinycnn.randn(3, dtype="float64"), lambda: tinycnn.tensor([True, False]),
])  # fmt: skip
def test_odd_tensors_between_others(device, odd):
    x = tinycnn.randn(3, 4)
    batches = [(x, x + 1), (odd(), x), (x, odd()), (odd(), odd()), (x, x), (x + 2, x)]
    for batch, wanted in zip(prefetch_to_device(batches, device), batches, strict=True):
        assert_same(batch, wanted, device)


def test_tensors_of_the_device_are_passed_on(device):
    batches = [tinycnn.randn(3, 4, device=device) for _ in range(3)]
    assert all(found is x for found, x in zip(prefetch_to_device(batches, device), batches, strict=True))


def test_a_batch_is_taken_when_it_is_asked_for(device):
    taken = []

    def batches():
        for i in range(5):
            taken.append(i)
            yield tinycnn.full((2, 3), i)

    prefetched = prefetch_to_device(batches(), device)
    assert taken == []
    for i in range(3):
        next(prefetched)
        assert taken == [*range(i + 1)]
    prefetched.close()
    assert taken == [0, 1, 2]


def test_a_batch_of_the_host_may_be_written_into_afterwards(device):
    """As a loader may do that fills the same memory again and again."""
    buffer, found = tinycnn.zeros(1000), []

    def batches():
        for i in range(6):
            buffer.fill_(i)
            yield (buffer.clone() if device.type == "cpu" else buffer,)

    for (batch,) in prefetch_to_device(batches(), device):
        found.append(batch)
    assert [x.sum().item() for x in found] == [1000 * i for i in range(6)]


@pytest.mark.gpu
def test_a_copy_waits_for_what_used_its_memory_and_not_for_the_step_before(monkeypatch):
    """After it was set aside, that is; and what reads the copy waits for it."""
    if backend.cupy().cuda.Stream.__module__ != "tests.emulator.machine":
        pytest.skip("only the emulator's streams can be watched")
    from tests.emulator import machine

    seen, current = [], machine.current_stream()

    def watch(kind, name):
        original = getattr(kind, name)

        def call(self, event=None):
            result = original(self) if event is None else original(self, event)
            stream = "host" if kind is machine.Event else "computing" if self == current else "copying"
            seen.append((stream, name, id(self if kind is machine.Event else event or result)))
            return result

        monkeypatch.setattr(kind, name, call)

    for kind, name in ((machine.Event, "synchronize"), (machine.Stream, "record"), (machine.Stream, "wait_event")):
        watch(kind, name)
    batches = prefetch_to_device([tinycnn.randn(2, 3) for _ in range(5)], "cuda")
    next(batches)  # copied before there was a place for it
    ((_, _, free),) = seen
    turns = []
    for _ in range(4):
        seen.clear()
        next(batches)
        (_, _, copied), *_ = seen
        assert seen == [
            ("host", "synchronize", copied),  # the pinned memory was copied from
            ("copying", "wait_event", free),
            ("copying", "record", copied),
            ("computing", "wait_event", copied),
            ("computing", "record", free),
        ]
        turns.append(copied)
    assert turns[:2] == turns[2:]
    assert turns[0] != turns[1]


@pytest.mark.gpu
def test_nothing_is_launched_for_tensors_of_the_device():
    batches = [tinycnn.randn(3, 4, device="cuda") for _ in range(3)]
    assert launches(lambda: [*prefetch_to_device(batches, "cuda")]) == 0


@pytest.mark.gpu
@pytest.mark.parametrize("module, name", [("cupy", "empty"), ("cupyx", "empty_pinned")])
def test_without_memory_for_a_second_batch_each_is_copied_as_it_comes(monkeypatch, module, name):
    from tinycnn.backend.gpu import copies

    asked = []

    def refuse(shape, dtype):
        asked.append(shape)
        raise MemoryError

    monkeypatch.setattr(getattr(copies, module), name, refuse)
    batches = [tinycnn.full((2, 3), i) for i in range(5)]
    assert [x.sum().item() for x in prefetch_to_device(batches, "cuda")] == [0, 6, 12, 18, 24]
    assert asked == [(2, 3)]  # once: what CuPy does in need of memory takes long


def test_classes_of_dicts_are_kept(device):
    batch = collections.defaultdict(list, images=tinycnn.ones(2), names=["a"])
    (found,) = prefetch_to_device([batch], device)
    assert_same(found, batch, device)
    assert found["none"] == []


@pytest.mark.parametrize("move", [lambda loader: iter(loader), lambda loader: prefetch_to_device(loader, "cpu")])
def test_an_exception_of_the_data_set_comes_out(move):
    class Broken(Pictures):
        def __getitem__(self, i):
            raise ValueError(f"item {i}")

    with pytest.raises(ValueError, match="item 0"):
        next(iter(move(DataLoader(Broken(3)))))


def test_bad_input(device):
    with pytest.raises(TypeError, match=r"^prefetch_to_device\(batches\): expected a sequence, got 3$"):
        prefetch_to_device(3, device)
    with pytest.raises(ValueError, match="device"):
        prefetch_to_device([], "gpx")


@pytest.mark.gpu
@pytest.mark.parametrize("capture", [False, True])
def test_a_training_with_data_on_the_host_is_that_with_data_on_the_gpu(capture):
    from tinycnn.training import Trainer

    x, y = tinycnn.randn(22, 1, 6, 6), tinycnn.arange(22) % 3
    weights = []
    for place in ("cpu", "cuda"):
        tinycnn.manual_seed(0)
        model = tinycnn.nn.Sequential(tinycnn.nn.Flatten(), tinycnn.nn.Linear(36, 3)).to("cuda")
        trainer = Trainer(model, tinycnn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), capture=capture)
        loader = DataLoader(TensorDataset(x.to(place), y.to(place)), batch_size=5, shuffle=True, seed=1)
        trainer.fit(loader, 3, loader)
        weights.append((model[1].weight.detach().cpu().numpy(), trainer.history[-1]["test_loss"]))
    np.testing.assert_array_equal(weights[0][0], weights[1][0])
    assert weights[0][1] == weights[1][1]
