"""The loader: what is in the batches, in which order, and what it refuses."""

import math
import time
from collections import namedtuple
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn.data import (
    ArrayDataset,
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)


def array_dataset(N, shape=(2, 3, 4)):
    rng = np.random.default_rng(N)
    return ArrayDataset(rng.standard_normal((N,) + shape).astype(np.float32), np.arange(N))


def order_of(loader):
    """The targets, which are the indices, of one epoch."""
    return np.concatenate([targets.numpy() for _, targets in loader]).tolist()


class ItemByItem:
    """The items of a data set, without its fast path."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        assert type(index) is int
        return self.dataset[index]


# --- batches and order ------------------------------------------------------------------------------------


@given(N=st.integers(1, 30), batch_size=st.integers(1, 12), shuffle=st.booleans(), drop_last=st.booleans())
def test_every_item_once_in_full_batches(N, batch_size, shuffle, drop_last):
    loader = DataLoader(array_dataset(N), batch_size, shuffle, drop_last=drop_last)
    batches = list(loader)
    sizes = [len(targets.numpy()) for _, targets in batches]
    assert len(loader) == len(sizes) == (N // batch_size if drop_last else math.ceil(N / batch_size))
    assert all(size == batch_size for size in sizes[:-1])
    seen = [i for _, targets in batches for i in targets.numpy()]
    assert len(set(seen)) == len(seen) == (len(sizes) * batch_size if drop_last else N)
    for images, targets in batches:
        np.testing.assert_array_equal(images.numpy(), loader.dataset.images[targets.numpy()])
    if not shuffle:
        assert seen == list(range(len(seen)))


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_fast_path_gives_the_same_batches(batch_size):
    dataset = array_dataset(10)
    fast = DataLoader(dataset, batch_size, shuffle=True, seed=5)
    slow = DataLoader(ItemByItem(dataset), batch_size, shuffle=True, seed=5)
    for one, other in zip(fast, slow, strict=True):
        for a, b in zip(one, other, strict=True):
            assert isinstance(b, tinycnn.Tensor)
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_order_is_a_function_of_seed_and_epoch():
    dataset = array_dataset(40)
    loader = DataLoader(dataset, 7, shuffle=True, seed=1)
    epochs = [order_of(loader) for _ in range(3)]
    assert loader.epoch == 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    tinycnn.manual_seed(123)  # plays no part
    resumed = DataLoader(dataset, 9, shuffle=True, seed=1)
    resumed.epoch = 2
    assert order_of(resumed) == epochs[2]
    assert order_of(DataLoader(dataset, 7, shuffle=True, seed=2)) != epochs[0]


def test_order_without_a_seed_follows_manual_seed():
    loader = DataLoader(array_dataset(40), 7, shuffle=True)
    tinycnn.manual_seed(1)
    first, second = order_of(loader), order_of(loader)
    tinycnn.manual_seed(1)
    assert order_of(loader) == first != second


def test_two_iterators_at_a_time_are_two_epochs():
    loader = DataLoader(array_dataset(30), 30, shuffle=True, seed=0)
    first, second = iter(loader), iter(loader)
    orders = [next(iterator)[1].numpy().tolist() for iterator in (first, second)]
    loader.epoch = 0
    assert [order_of(loader), order_of(loader)] == orders
    assert orders[0] != orders[1]


def test_subset_and_tensor_dataset_are_fast_too():
    dataset = TensorDataset(np.arange(20.0).reshape(10, 2), np.arange(10))
    (x, y), *_ = DataLoader(Subset(dataset, [7, 3, 9]), batch_size=3)
    assert y.numpy().tolist() == [7, 3, 9]
    assert x.numpy().tolist() == [[14, 15], [6, 7], [18, 19]]


def test_transform_runs_once_a_batch():
    dataset = array_dataset(10)
    calls = []
    dataset.transform = lambda images: calls.append(len(images)) or images
    list(DataLoader(dataset, 4))
    assert calls == [4, 4, 2]


def test_a_batch_is_cheap():
    """MNIST costs 0.05 ms a batch of 64; item by item it is 0.7 ms. The bound allows for a busy machine."""
    images = np.zeros((20000, 1, 28, 28), np.float32)
    loader = DataLoader(ArrayDataset(images, np.zeros(20000, int)), 64, shuffle=True, seed=0)
    durations = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in loader:
            pass
        durations.append((time.perf_counter() - start) / len(loader))
    assert min(durations) < 0.3e-3


# --- exceptions of the data set -------------------------------------------------------------------------------


class Faulty:
    """Item i is i; the items in `faults` raise."""

    def __init__(self, faults, error=KeyError):
        self.faults, self.error = faults, error

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index in self.faults:
            raise self.error(f"item {index}")
        return index


def outcomes(iterator, failures=(KeyError, RuntimeError)):
    """The batches of an iterator, and the types of the exceptions in between."""
    found = []
    while True:
        try:
            found.append(next(iterator).tolist())
        except StopIteration:
            return found
        except failures as error:
            found.append(type(error))


@pytest.mark.parametrize("where", ["dataset", "transform", "collate_fn"])
def test_after_an_exception_the_epoch_goes_on(where):
    faulty = Faulty({2, 5})
    if where == "dataset":
        loader = DataLoader(faulty, 2)
    elif where == "collate_fn":
        loader = DataLoader(range(10), 2, collate_fn=lambda samples: tinycnn.tensor([faulty[i] for i in samples]))
    else:
        dataset = ArrayDataset(np.arange(10.0).reshape(10, 1, 1, 1), np.arange(10))
        dataset.transform = lambda images: np.array([faulty[i] for i in images.ravel()], np.float32)
        loader = Images(DataLoader(dataset, 2))
    assert outcomes(iter(loader)) == [[0, 1], KeyError, KeyError, [6, 7], [8, 9]]


class Images:
    """The images alone of a loader."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return map(itemgetter(0), iter(self.loader))


def test_stop_iteration_does_not_end_the_epoch_in_silence():
    iterator = iter(DataLoader(Faulty({4}, StopIteration), 2))
    assert outcomes(iterator) == [[0, 1], [2, 3], RuntimeError, [6, 7], [8, 9]]


def test_an_epoch_keeps_its_batch_size():
    loader = DataLoader(Faulty({}), 5)
    iterator = iter(loader)
    loader.batch_size = 2
    assert outcomes(iterator) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@pytest.mark.torch
def test_exceptions_as_in_torchs_loader():
    import torch

    for faults in ({0}, {9}, {2, 5}, set(range(10))):
        theirs = iter(torch.utils.data.DataLoader(Faulty(faults), 3))
        assert outcomes(iter(DataLoader(Faulty(faults), 3))) == outcomes(theirs)


# --- collating --------------------------------------------------------------------------------------------


def test_collate_keeps_the_structure():
    rng = np.random.default_rng(0)
    samples = [
        {
            "image": tinycnn.tensor(rng.standard_normal((2, 3)).astype(np.float32)),
            "more": [rng.standard_normal(4), (i, 0.5 * i)],
            "odd": i % 2 == 1,
            "size": np.uint8(i),
        }
        for i in range(3)
    ]
    batch = default_collate(samples)
    assert list(batch) == ["image", "more", "odd", "size"]
    np.testing.assert_array_equal(batch["image"].numpy(), np.stack([s["image"].numpy() for s in samples]))
    assert batch["image"].dtype == np.float32
    array, (integers, floats) = batch["more"]
    np.testing.assert_array_equal(array.numpy(), np.stack([s["more"][0] for s in samples]))
    assert (array.dtype, integers.dtype, floats.dtype) == (np.float64, np.int64, np.float64)
    assert (integers.numpy().tolist(), floats.numpy().tolist()) == ([0, 1, 2], [0, 0.5, 1])
    assert (batch["odd"].dtype, batch["odd"].numpy().tolist()) == (bool, [False, True, False])
    assert (batch["size"].dtype, batch["size"].numpy().tolist()) == (np.uint8, [0, 1, 2])


def test_collate_leaves_the_samples_alone():
    sample = tinycnn.tensor([1.0, 2.0])
    batch = default_collate([sample])
    batch._array[:] = 0
    assert sample.numpy().tolist() == [1, 2]


def test_collate_takes_keys_in_any_order_and_tuples_for_lists():
    batch = default_collate([{"a": 1, "b": [2, 3]}, {"b": (4, 5), "a": 6}])
    assert {key: np.array([x.tolist() for x in value]).tolist() if key == "b" else value.tolist()
            for key, value in batch.items()} == {"a": [1, 6], "b": [[2, 4], [3, 5]]}  # fmt: skip


def test_collate_promotes_as_torch_does():
    assert default_collate([1, 2.5]).dtype == np.float32
    assert default_collate([tinycnn.tensor([1]), tinycnn.tensor([2.5])]).dtype == np.float32
    assert default_collate([np.ones(1), np.ones(1, np.float32)]).dtype == np.float64


def test_gradients_flow_through_a_batch_of_tensors():
    x = tinycnn.ones(2, requires_grad=True)
    (batch,) = DataLoader([x, x, 2 * x], 3)
    batch.sum().backward()
    assert x.grad.tolist() == [4, 4]


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_collate_makes_images_channels_first(mode, channels):
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, channels), dtype=np.uint8)
    images = [Image.fromarray(p.squeeze(), mode) if channels == 1 else Image.fromarray(p) for p in pixels]
    assert images[0].mode == mode
    batch, targets = default_collate([(image, i) for i, image in enumerate(images)])
    assert batch.dtype == np.float32
    expected = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(batch.numpy(), expected)
    assert targets.numpy().tolist() == [0, 1]


def test_images_of_floats_are_not_scaled():
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    pixels = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    np.testing.assert_array_equal(default_collate([Image.fromarray(pixels)]).numpy(), pixels[None, None])


def test_own_collate_gets_the_samples():
    loader = DataLoader(array_dataset(5), 2, collate_fn=lambda samples: [target for _, target in samples])
    assert list(loader) == [[0, 1], [2, 3], [4]]


@pytest.mark.torch
def test_torch_datasets_give_what_torchs_loader_gives():
    import torch

    x, y = torch.randn(11, 3, 4), torch.randint(0, 5, (11,))
    base = torch.utils.data.TensorDataset(x, y)
    for dataset in (base, torch.utils.data.Subset(base, [8, 1, 5, 2, 7])):
        expected = torch.utils.data.DataLoader(dataset, batch_size=3)
        for ours, theirs in zip(DataLoader(dataset, 3), expected, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert isinstance(a, tinycnn.Tensor)
                np.testing.assert_array_equal(a.numpy(), b.numpy())
                assert a.numpy().dtype == b.numpy().dtype


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [0, -3, 2.0, True, "8"])
def test_refuses_batch_size(batch_size):
    with pytest.raises(ValueError, match=r"^DataLoader\(batch_size\): expected an int of at least 1, got "):
        DataLoader(array_dataset(3), batch_size)


def test_refuses_seed():
    with pytest.raises(ValueError, match=r"^DataLoader\(seed\): expected an int of at least 0, got -1$"):
        DataLoader(array_dataset(3), seed=-1)


@pytest.mark.parametrize("flag", ["shuffle", "drop_last"])
@pytest.mark.parametrize("value", ["no", 1, 0, [False]])
def test_flags_are_true_or_false(flag, value):
    with pytest.raises(TypeError, match=f"^DataLoader: expected {flag} as True or False, got "):
        DataLoader(array_dataset(3), **{flag: value})


def test_refuses_a_collate_fn_that_cannot_be_called():
    with pytest.raises(TypeError, match=r"^DataLoader\(collate_fn\): expected a function or None, got 'list'$"):
        DataLoader(array_dataset(3), collate_fn="list")


@pytest.mark.parametrize("epoch", [-1, 0.5, None])
def test_refuses_an_epoch(epoch):
    loader = DataLoader(array_dataset(3), shuffle=True, seed=0)
    loader.epoch = epoch
    with pytest.raises(ValueError, match=rf"^DataLoader\.epoch: expected an int of at least 0, got {epoch}$"):
        iter(loader)


@pytest.mark.parametrize("samples", [[], None, "ab", 3])
def test_refuses_what_is_no_list_of_samples(samples):
    with pytest.raises(TypeError, match="^default_collate: expected a list of at least one sample, got "):
        default_collate(samples)


def test_refuses_an_empty_dataset():
    with pytest.raises(ValueError, match="^DataLoader: the dataset is empty$"):
        DataLoader(Subset(array_dataset(3), []), shuffle=True)
    assert list(DataLoader(Subset(array_dataset(3), []))) == []
    assert len(DataLoader([], batch_size=2)) == 0


def test_an_iterable_data_set_of_another_library():
    other = type("IterableDataset", (), {"__getitem__": None})
    stream = type("Stream", (other,), {"__iter__": lambda self: iter([(np.ones(2), i) for i in range(5)])})()
    batches = list(DataLoader(stream, 2))
    assert [targets.tolist() for _, targets in batches] == [[0, 1], [2, 3], [4]]
    assert batches[0][0].shape == (2, 2)


def test_refuses_what_has_no_length_or_items():
    message = "^DataLoader: expected a dataset with __len__ and __getitem__, got a generator$"
    with pytest.raises(TypeError, match=message):
        DataLoader(i for i in range(3))


def test_refuses_items_of_different_shapes():
    items = [(np.zeros((1, 4, 4)), 0)] * 9
    items[7] = (np.zeros((1, 4, 5)), 0)
    message = r"different shapes: item 6 has \(1, 4, 4\), item 7 has \(1, 4, 5\); make them equal or pass "
    with pytest.raises(ValueError, match=message):
        list(DataLoader(items, batch_size=3))


def test_refuses_items_of_different_structure():
    with pytest.raises(ValueError, match="different lengths: item 0 has 2, item 1 has 3;"):
        default_collate([(1, 2), (1, 2, 3)])
    with pytest.raises(ValueError, match=r"different keys: item 4 has \('a',\), item 9 has \('b',\);"):
        default_collate([{"a": 1}, {"b": 1}], [4, 9])
    with pytest.raises(ValueError, match="different types: item 0 has dict, item 1 has int;"):
        default_collate([{"a": 1}, 3])
    with pytest.raises(ValueError, match="different types: item 0 has tuple, item 1 has Tensor;"):
        default_collate([(1, 2), tinycnn.ones(2)])
    with pytest.raises(TypeError, match=r"cannot make a tensor of a tuple \(item 1\)|cannot make a tensor of a list"):
        default_collate([1, [None, 2]])


def test_refuses_other_types():
    message = r"^DataLoader: cannot make a tensor of a str \(item 1\); pass collate_fn$"
    with pytest.raises(TypeError, match=message):
        default_collate([1, "two"])
    with pytest.raises(TypeError, match=r"cannot make a tensor of a NoneType \(item 0\)"):
        default_collate([(1, None)])


# --- torch's other arguments ------------------------------------------------------------------------------


def items_of(loader):
    return [batch.tolist() for batch in loader]


def test_a_sampler_says_which_items_come():
    assert items_of(DataLoader(range(10), 2, sampler=[7, 3, 9])) == [[7, 3], [9]]
    assert items_of(DataLoader(range(10), 2, sampler=[7, 3, 9], drop_last=True)) == [[7, 3]]
    loader = DataLoader(array_dataset(10), batch_sampler=[[1, 2], [5], [8, 0, 3]])
    assert [targets.tolist() for _, targets in loader] == [[1, 2], [5], [8, 0, 3]]
    assert len(loader) == 3
    assert loader.batch_size is None
    sampler = RandomSampler(range(10), replacement=True, num_samples=25)
    loader = DataLoader(range(10), 10, sampler=sampler)
    assert [len(batch) for batch in loader] == [10, 10, 5]
    assert (len(loader), loader.sampler) == (3, sampler)
    assert isinstance(loader.batch_sampler, BatchSampler)
    assert items_of(DataLoader({"a": 1, "b": 2}, 2, sampler="ba")) == [[2, 1]]


def test_a_generator_is_drawn_from():
    generator = tinycnn.Generator()
    loader = DataLoader(range(20), 20, shuffle=True, generator=generator.manual_seed(5))
    first, second = items_of(loader), items_of(loader)
    before = tinycnn.rand(1)
    tinycnn.manual_seed(0)
    generator.manual_seed(5)
    assert items_of(loader) == first != second
    assert sorted(first[0]) == list(range(20))
    tinycnn.manual_seed(0)
    alone = tinycnn.rand(1)
    tinycnn.manual_seed(0)
    items_of(loader)
    assert tinycnn.rand(1).tolist() == alone.tolist()
    assert before.shape == (1,)


def test_without_batches_items_come_as_they_are():
    found = list(DataLoader([np.ones(2), "a", (3, np.float32(2))], None))
    assert isinstance(found[0], tinycnn.Tensor)
    assert (found[1], found[2][0], found[2][1].item()) == ("a", 3, 2)
    assert len(DataLoader(range(7), None)) == 7


class Counting(IterableDataset):
    def __init__(self, end):
        self.end = end

    def __iter__(self):
        return iter(range(self.end))


def test_iterable_datasets():
    assert items_of(DataLoader(Counting(5), 2)) == [[0, 1], [2, 3], [4]]
    assert items_of(DataLoader(Counting(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert items_of(DataLoader(Counting(2) + Counting(3), 4)) == [[0, 1, 0, 1], [2]]
    assert list(DataLoader(Counting(3), None)) == [0, 1, 2]
    with pytest.raises(NotImplementedError, match="^IterableDataset must define __iter__$"):
        next(iter(DataLoader(IterableDataset())))


def test_options_of_workers():
    options = {"num_workers": 4, "pin_memory": True, "persistent_workers": True, "prefetch_factor": 3, "timeout": 60}
    loader = DataLoader(range(5), 2, worker_init_fn=print, **options)
    assert items_of(loader) == [[0, 1], [2, 3], [4]]
    assert {name: getattr(loader, name) for name in options} == options
    assert get_worker_info() is None


@pytest.mark.parametrize("options, message", [
    ({"sampler": [1], "shuffle": True}, "no shuffle beside sampler"),
    ({"batch_sampler": [[1]], "shuffle": True}, "no shuffle beside batch_sampler"),
    ({"batch_sampler": [[1]], "batch_size": 2}, "no batch_size beside batch_sampler"),
    ({"batch_sampler": [[1]], "sampler": [1]}, "no sampler beside batch_sampler"),
    ({"batch_sampler": [[1]], "drop_last": True}, "no drop_last beside batch_sampler"),
    ({"batch_size": None, "drop_last": True}, "no drop_last without batches"),
    ({"dataset": Counting(3), "shuffle": True}, "no shuffle for an IterableDataset"),
    ({"dataset": Counting(3), "sampler": [1]}, "no sampler for an IterableDataset"),
])  # fmt: skip
def test_arguments_that_exclude_each_other(options, message):
    with pytest.raises(ValueError, match=f"^DataLoader: expected {message}$"):
        DataLoader(**{"dataset": range(5), **options})


def test_refuses_another_generator():
    with pytest.raises(TypeError, match="^DataLoader: expected generator as a tinycnn.Generator or None, got 3$"):
        DataLoader(range(5), shuffle=True, generator=3)


# --- collating as torch does ------------------------------------------------------------------------------


Point = namedtuple("Point", "x y")
STRUCTURES = [
    [1, 2], [1.5, 2.5], [True, False], [1, 2.5], [np.float32(1), np.float32(2)], ["a", "b"], [b"a", b"b"],
    [(1, "a"), (2, "b")], [[1, 2], [3, 4]], [{"a": 1, "b": (2.0, "c")}, {"a": 3, "b": (4.0, "d")}],
    [Point(1, 2.0), Point(3, 4.0)], [np.arange(3), np.arange(3)], [(np.ones((2, 2), np.float32), 3)] * 2,
]  # fmt: skip


def plain(batch):
    """Types, dtypes and values of a batch of either library."""
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch).__name__, [plain(each) for each in batch]
    return (str(batch.numpy().dtype), batch.tolist()) if hasattr(batch, "numpy") else batch


def test_tuples_become_lists_and_named_ones_stay():
    assert type(default_collate([(1, 2)])) is list
    assert default_collate([Point(1, 2.0), Point(3, 4.0)])._fields == ("x", "y")
    assert default_collate([(1, "a"), (2, "b")])[1] == ("a", "b")
    assert plain(default_collate([1.5, 2.5])) == ("float64", [1.5, 2.5])
    assert isinstance(next(iter(DataLoader(array_dataset(3), 2))), list)


@pytest.mark.torch
@pytest.mark.parametrize("samples", STRUCTURES, ids=str)
def test_collate_and_convert_as_torch_do(samples):
    from torch.utils import data

    assert plain(default_collate(samples)) == plain(data.default_collate(samples))
    assert plain(default_convert(samples)) == plain(data.default_convert(samples))


# --- samplers and sets of sets ----------------------------------------------------------------------------


def test_samplers():
    tinycnn.manual_seed(0)
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(RandomSampler("abcd")) == [0, 1, 2, 3]
    assert len(list(RandomSampler("abcd", num_samples=2))) == 2
    twice = list(RandomSampler("abcd", num_samples=8))
    assert sorted(twice[:4]) == sorted(twice[4:]) == [0, 1, 2, 3]
    with_replacement = list(RandomSampler("abcd", True, 4000))
    assert abs(np.bincount(with_replacement) - 1000).max() < 150
    assert sorted(SubsetRandomSampler([7, 3, 5])) == [3, 5, 7]
    counts = np.bincount(list(WeightedRandomSampler([1, 0, 3], 4000)), minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 1000) < 150
    assert sorted(WeightedRandomSampler([1, 0, 3], 2, replacement=False)) == [0, 2]
    assert list(BatchSampler(SequentialSampler("abcde"), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert (len(BatchSampler(range(5), 2, True)), len(BatchSampler(range(5), 2, False))) == (2, 3)
    for make in (RandomSampler, lambda _, generator: SubsetRandomSampler(range(30), generator)):
        orders = [list(make(range(30), generator=tinycnn.Generator().manual_seed(seed))) for seed in (1, 1, 2)]
        assert orders[0] == orders[1] != orders[2]
    with pytest.raises(ValueError, match="^WeightedRandomSampler: expected num_samples of at most 2 without"):
        WeightedRandomSampler([1, 0, 3], 3, replacement=False)
    with pytest.raises(ValueError, match=r"^RandomSampler\(num_samples\): expected an int of at least 1, got 0$"):
        RandomSampler([])


def test_random_split_draws_from_a_generator():
    generators = (tinycnn.Generator().manual_seed(seed) for seed in (1, 1, 2))
    first, same, other = (random_split(range(20), [0.5, 0.5], g)[0].indices.tolist() for g in generators)
    assert first == same != other


def test_sets_of_sets():
    both = array_dataset(3) + array_dataset(2)
    assert isinstance(both, ConcatDataset)
    assert (len(both), both.cumulative_sizes) == (5, [3, 5])
    assert [both[i][1] for i in (0, 2, 3, 4, -1, -5)] == [0, 2, 0, 1, 1, 0]
    assert order_of(DataLoader(both, 2)) == [0, 1, 2, 0, 1]
    with pytest.raises(IndexError, match=r"^ConcatDataset: expected indices within 0..4, got 5$"):
        both[5]
    with pytest.raises(ValueError, match="^ConcatDataset: expected at least one dataset, got none$"):
        ConcatDataset([])
    assert StackDataset("abc", range(3))[1] == ("b", 1)
    assert StackDataset(letter="abc", number=range(3))[-1] == {"letter": "c", "number": 2}
    assert len(ChainDataset([both, both])) == 10
    with pytest.raises(ValueError, match=r"^StackDataset: expected datasets of one length, got \[2, 3\]$"):
        StackDataset("abc", range(2))
    with pytest.raises(ValueError, match="^StackDataset: expected datasets, either all by name or none$"):
        StackDataset()
