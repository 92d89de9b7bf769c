"""Where a loader is: a run that is interrupted anywhere and goes on in a new loader is the uninterrupted run."""

import copy
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import backend
from tinycnn.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

N = 11


class Noisy(Dataset):
    """Item i is i and a draw; `loaded` tells which items were asked for."""

    def __init__(self):
        self.loaded = []

    def __len__(self):
        return N

    def __getitem__(self, index):
        self.loaded.append(int(index))
        return int(index), tinycnn.rand(1)


class NoisyStream(IterableDataset):
    """Draws while it begins, and for each sample."""

    def __iter__(self):
        first = tinycnn.rand(1)
        for i in range(N):
            yield i, first + tinycnn.rand(1)


class Lazy:
    """A sampler that draws between one batch and the next, without an end of its own."""

    def __iter__(self):
        for _ in range(N):
            yield int(tinycnn.randint(0, N, (1,)).item())

    def __len__(self):
        return N


class OwnGenerator(Lazy):
    """A sampler that draws its order from a generator of its own, at the first index."""

    def __init__(self):
        self.generator = tinycnn.Generator()

    def __iter__(self):
        yield from tinycnn.randperm(N, generator=self.generator).tolist()


def collate(samples):
    return [index for index, _ in samples], tinycnn.rand(2), [noise.item() for _, noise in samples]


LOADERS = {
    "in order": lambda: DataLoader(Noisy(), 3),
    "shuffled": lambda: DataLoader(Noisy(), 3, shuffle=True),
    "drop_last": lambda: DataLoader(Noisy(), 3, shuffle=True, drop_last=True),
    "seed": lambda: DataLoader(Noisy(), 3, shuffle=True, seed=5),
    "generator": lambda: DataLoader(Noisy(), 3, shuffle=True, generator=tinycnn.Generator()),
    "collate_fn": lambda: DataLoader(Noisy(), 3, shuffle=True, collate_fn=collate),
    "RandomSampler": lambda: DataLoader(Noisy(), 3, sampler=RandomSampler(range(N), True, 20, tinycnn.Generator())),
    "SubsetRandomSampler": lambda: DataLoader(Noisy(), 2, sampler=SubsetRandomSampler(range(1, N))),
    "its generator": lambda: DataLoader(Noisy(), 2, sampler=SubsetRandomSampler(range(N), tinycnn.Generator())),
    "WeightedRandomSampler": lambda: DataLoader(Noisy(), 2, sampler=WeightedRandomSampler(range(N), 9)),
    "batch_sampler": lambda: DataLoader(
        Noisy(), batch_sampler=BatchSampler(SubsetRandomSampler(range(N), tinycnn.Generator()), 4, True)
    ),
    "lists": lambda: DataLoader(Noisy(), batch_sampler=[[3, 1], [5], [0, 2, 4]]),
    "lazy": lambda: DataLoader(Noisy(), 3, sampler=Lazy()),
    "lazy, own generator": lambda: DataLoader(Noisy(), 3, sampler=OwnGenerator()),
    "items": lambda: DataLoader(Noisy(), None, shuffle=True),
    "items of a sampler": lambda: DataLoader(Noisy(), None, sampler=Lazy()),
    "stream": lambda: DataLoader(NoisyStream(), 3),
    "stream of items": lambda: DataLoader(NoisyStream(), None),
}


def plain(batch):
    """A batch as lists of Python's numbers."""
    if isinstance(batch, (tuple, list)):
        return [plain(each) for each in batch]
    return batch.tolist() if hasattr(batch, "tolist") else batch


def trained(loader, epochs, present=None):
    """The batches of the epochs that are left, each with a draw of the training, and the state after each batch."""
    found, states = [] if present is None else [present], []
    while loader.epoch < epochs:
        epoch = loader.epoch
        for batch in loader:
            found.append((epoch, plain(batch), tinycnn.rand(1).item()))
            states.append((len(found), json.dumps(loader.state_dict()), tinycnn.get_rng_state()))
        found.append((epoch, "end"))
        states.append((len(found), json.dumps(loader.state_dict()), tinycnn.get_rng_state()))
    return found, states


@pytest.mark.parametrize("make", LOADERS.values(), ids=list(LOADERS))
def test_from_every_batch_on(make):
    tinycnn.manual_seed(3)
    found, states = trained(make(), 3)
    assert len({str(each) for each in found}) == len(found)
    for position, state, random_state in states:
        tinycnn.manual_seed(99)
        loader = make()
        loader.load_state_dict(json.loads(state))
        assert json.dumps(loader.state_dict()) == state
        tinycnn.set_rng_state(random_state)
        assert trained(loader, 3)[0] == found[position:]


@pytest.mark.parametrize("make", LOADERS.values(), ids=list(LOADERS))
def test_before_the_first_batch(make):
    for begun in (False, True):
        tinycnn.manual_seed(3)
        loader = make()
        iterator = iter(loader) if begun else None
        state, random_state = loader.state_dict(), tinycnn.get_rng_state()
        expected = list(map(plain, loader if iterator is None else iterator)), list(map(plain, loader))
        other = make()
        other.load_state_dict(state)
        tinycnn.set_rng_state(random_state)
        assert (list(map(plain, other)), list(map(plain, other))) == expected


def test_what_was_given_is_not_loaded_again():
    loader = DataLoader(Noisy(), 3, shuffle=True)
    iterator = iter(loader)
    next(iterator), next(iterator)
    given, state = list(loader.dataset.loaded), loader.state_dict()
    other = DataLoader(Noisy(), 3, shuffle=True)
    other.load_state_dict(state)
    list(other)
    assert sorted(given + other.dataset.loaded) == list(range(N))
    assert len(other.dataset.loaded) == N - 6


@pytest.mark.parametrize("make", LOADERS.values(), ids=list(LOADERS))
def test_to_resume_leaves_the_random_state_alone(make):
    loader = make()
    next(iter(loader))
    state = loader.state_dict()
    other = make()
    before = tinycnn.get_rng_state().tolist()
    other.load_state_dict(state)
    iterator = iter(other)
    assert tinycnn.get_rng_state().tolist() == before
    next(iterator)
    assert tinycnn.get_rng_state().tolist() == before


def test_epochs_are_counted():
    loader = DataLoader(Noisy(), 3, shuffle=True, seed=1)
    list(loader)
    next(iter(loader))
    other = DataLoader(Noisy(), 3, shuffle=True, seed=1)
    other.load_state_dict(loader.state_dict())
    assert (loader.epoch, other.epoch) == (2, 1)  # the second one has yet to be finished
    assert len(list(other)) == 3
    assert other.epoch == 2
    assert other.state_dict() == {**loader.state_dict(), "batches": 0, "seed": None, "drawn_from": None, "epoch": 2}


def test_the_state_is_that_of_the_iterator_made_last():
    loader = DataLoader(range(6), 1)
    first = iter(loader)
    next(first)
    second = iter(loader)
    next(second), next(second)
    next(first)
    assert loader.state_dict()["batches"] == 2
    del second  # nor does it need to exist
    assert (loader.state_dict()["batches"], loader.state_dict()["epoch"]) == (2, 1)


def test_an_exception_is_a_batch_that_was_given():
    class Faulty(Noisy):
        def __getitem__(self, index):
            if index == 4:
                raise KeyError(index)
            return index

    loader = DataLoader(Faulty(), 3)
    iterator = iter(loader)
    next(iterator)
    with pytest.raises(KeyError):
        next(iterator)
    other = DataLoader(Faulty(), 3)
    other.load_state_dict(loader.state_dict())
    assert [batch.tolist() for batch in other] == [[6, 7, 8], [9, 10]]


def test_a_generator_goes_on_where_it_was():
    """Also if others draw from it in the course of an epoch."""
    generator = tinycnn.Generator().manual_seed(4)
    training, test = (DataLoader(range(N), 3, shuffle, generator=generator) for shuffle in (True, False))
    list(training)
    next(iter(training))
    list(test)
    states = training.state_dict(), test.state_dict()
    expected = list(map(plain, training)), tinycnn.rand(1, generator=generator).item()
    other = tinycnn.Generator()
    again = [DataLoader(range(N), 3, shuffle, generator=other) for shuffle in (True, False)]
    for loader, state in zip(again, states, strict=True):
        loader.load_state_dict(state)
    assert len(list(again[0])) == 3
    assert (list(map(plain, again[0])), tinycnn.rand(1, generator=other).item()) == expected


PROGRAM = """
import json, sys
import tinycnn
from tests.data.test_loader_state import LOADERS, plain
name, state, random_state = json.load(sys.stdin)
loader = LOADERS[name]()
loader.load_state_dict(state)
tinycnn.set_rng_state(tinycnn.tensor(random_state, dtype=tinycnn.uint8))
print(json.dumps([list(map(plain, loader)) for _ in range(2)]))
"""


@pytest.mark.parametrize("name", ["shuffled", "generator"])
def test_in_another_process(name):
    tinycnn.manual_seed(8)
    loader = LOADERS[name]()
    iterator = iter(loader)
    list(islice(iterator, 2))
    given = json.dumps([name, loader.state_dict(), tinycnn.get_rng_state().tolist()])
    command, root = [sys.executable, "-c", PROGRAM], Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [list(map(plain, iterator)), list(map(plain, loader))]


# --- draws of the loading belong to the batch ---------------------------------------------------------------------


def test_draws_of_a_batch_depend_on_nothing_that_is_drawn_elsewhere():
    tinycnn.manual_seed(1)
    alone = list(map(plain, DataLoader(Noisy(), 3, shuffle=True)))
    after = tinycnn.rand(1).item()
    tinycnn.manual_seed(1)
    beside = [(plain(batch), tinycnn.rand(5))[0] for batch in DataLoader(Noisy(), 3, shuffle=True)]
    assert beside == alone
    tinycnn.manual_seed(1)
    iter(DataLoader(Noisy(), 3, shuffle=True))
    assert tinycnn.rand(1).item() == after  # one draw for an epoch


def test_with_a_seed_nothing_is_drawn_from_the_library():
    before = tinycnn.get_rng_state().tolist()
    first, second = (list(map(plain, DataLoader(Noisy(), 3, shuffle=True, seed=2))) for _ in range(2))
    assert first == second
    assert tinycnn.get_rng_state().tolist() == before


class Seeding(Noisy):
    def __getitem__(self, index):
        tinycnn.manual_seed(int(index))
        with tinycnn.random.fork_rng():
            tinycnn.rand(3)
        return tinycnn.rand(1).item()


def test_a_data_set_that_seeds_seeds_its_batch():
    expected = []
    for i in range(N):
        tinycnn.manual_seed(i)
        expected.append(tinycnn.rand(1).item())
    tinycnn.manual_seed(1)
    iterator = iter(DataLoader(Seeding(), 4))
    before = tinycnn.get_rng_state().tolist()
    assert [each for batch in iterator for each in batch.tolist()] == expected
    assert tinycnn.get_rng_state().tolist() == before
    assert tinycnn.initial_seed() == 1


# --- refusals -----------------------------------------------------------------------------------------------------


def states():
    """The state of a shuffled loader with a generator, and what is wrong with others."""
    loader = DataLoader(range(N), 3, shuffle=True, generator=tinycnn.Generator())
    next(iter(loader))
    good = loader.state_dict()
    loader_of = {**good["loader"], "items": 12}
    yield loader, None, "expected what state_dict.. returned, got None"
    yield loader, {}, "expected what state_dict.. returned, got {}"
    yield loader, {**good, "more": 1}, "expected what state_dict.. returned, got {"
    yield loader, {**good, "loader": loader_of}, "expected the state of a loader with items 11, got one with 12"
    for option, value in (("batch_size", 4), ("drop_last", True), ("shuffle", False), ("seed", 1), ("device", "cuda")):
        other = {**good, "loader": {**good["loader"], option: value}}
        yield loader, other, f"expected the state of a loader with {option} .*, got one with '?{value}"
    yield loader, {**good, "loader": 3}, "expected the state of a loader with items 11, got one with None"
    for key, value in (("epoch", -1), ("batches", 0.5), ("seed", "a")):
        yield loader, {**good, key: value}, rf"\({key}\): expected an int of at least 0, got "
    (state,) = good["generators"]
    for key in ("generators", "drawn_from"):
        for value in ([], [3], [{}], [state, state], [{**state, "state": {"state": -1, "inc": 2**200}}], 3):
            yield loader, {**good, key: value}, rf"\({key}\): expected 1 random states, got "


def test_refuses_other_states_and_changes_nothing():
    count = 0
    for loader, wrong, message in states():
        before, given = loader.state_dict(), copy.deepcopy(wrong)
        with pytest.raises(ValueError, match=r"^DataLoader\.load_state_dict:? ?" + message) as error:
            loader.load_state_dict(wrong)
        assert "\n" not in str(error.value)
        assert loader.state_dict() == before
        assert wrong == given
        count += 1
    assert count == 25


def test_more_batches_than_there_are():
    for make in (LOADERS["shuffled"], LOADERS["stream"], LOADERS["lazy"]):
        loader = make()
        iter(loader)
        other = make()
        other.load_state_dict({**loader.state_dict(), "batches": 10**15})
        assert list(other) == []


# --- a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"shuffle": True, "seed": 3}], ids=str)
def test_a_data_set_on_a_gpu(options):
    dataset = TensorDataset(np.arange(N)).to("cuda")

    def epochs(loader, count):
        return [[plain(batch) for batch in loader] for _ in range(count)]

    tinycnn.manual_seed(6)
    loader = DataLoader(dataset, 3, **options)
    list(loader)
    iterator = iter(loader)
    next(iterator), next(iterator)
    state, random_states = json.loads(json.dumps(loader.state_dict())), backend.random_states()
    expected = [[plain(batch) for batch in iterator], *epochs(loader, 2)]
    tinycnn.manual_seed(7)
    other = DataLoader(dataset, 3, **options)
    other.load_state_dict(state)
    backend.set_random_states(random_states)
    assert epochs(other, 3) == expected
    with pytest.raises(ValueError, match="^DataLoader.load_state_dict: expected the state of a loader with device cpu"):
        DataLoader(dataset.to("cpu"), 3, **options).load_state_dict(state)
    if options == {"shuffle": True}:
        for wrong in ([[1]], [[1, -1]], [[1, 2**64]], [3], [["a", 1]]):
            with pytest.raises(ValueError, match="expected 1 random states, got "):
                other.load_state_dict({**state, "drawn_from": wrong})
