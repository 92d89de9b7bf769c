"""Data sets on a GPU: their batches are those of the CPU, and nothing in an epoch makes the host wait."""

import math

import numpy as np
import pytest

import tinycnn
from tests.gpu import without_waiting
from tinycnn import backend
from tinycnn.data import (
    ArrayDataset,
    Compose,
    DataLoader,
    Dataset,
    Normalize,
    RandomShift,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)

pytestmark = pytest.mark.gpu

GPU = backend.Device.named("cuda", 0)
SORTING = ["argsort"]  # the order of an epoch may wait for it


@pytest.fixture(params=["cuda:0", "cuda:1"], autouse=True)
def device(request):
    """Each of two GPUs, while the first is the current one."""
    try:
        found = backend.device(request.param)
    except ValueError:
        pytest.skip("needs two GPUs")
    with backend.on(GPU):
        yield found
        assert backend.cupy().cuda.runtime.getDevice() == 0


def array_dataset(N, transform=None, channels=2):
    rng = np.random.default_rng(N)
    images = rng.standard_normal((N, channels, 5, 6)).astype(np.float32)
    return ArrayDataset(images, np.arange(N), transform, normalize=(0.5, 2), classes=[str(i) for i in range(N)])


def assert_same(batches, expected, device):
    for batch, there in zip(batches, expected, strict=True):
        for found, wanted in zip(batch, there, strict=True):
            assert isinstance(found, tinycnn.Tensor)
            assert (found.device, found.dtype, found.shape) == (device, wanted.dtype, wanted.shape)
            np.testing.assert_array_equal(found.cpu().numpy(), wanted.numpy())


# --- moving -------------------------------------------------------------------------------------------------------


def test_to_and_back(device):
    dataset = array_dataset(7)
    there = dataset.to(device)
    assert type(there) is ArrayDataset
    assert (there.device, dataset.device) == (device, backend.CPU)
    assert backend.device_of(there.images) == backend.device_of(there.targets) == device
    assert there.to(device) is there
    assert dataset.to("cpu") is dataset
    assert (there.classes, there.background, there.name) == (dataset.classes, dataset.background, dataset.name)
    assert repr(there) == repr(dataset)[:-1] + f", on {device})"
    back = there.to("cpu")
    np.testing.assert_array_equal(back.images, dataset.images)
    np.testing.assert_array_equal(back.targets, dataset.targets)
    assert tinycnn.tensor(there.targets, device=device).tolist() == list(range(7))
    other = dataset.to("cuda:0")
    assert other.to(device).device == device


def test_tensors_move_too(device):
    dataset = TensorDataset(np.arange(20.0).reshape(10, 2), np.arange(10))
    there = dataset.to(device)
    assert there.device == device
    assert there.to(device) is there
    assert_same([there[3]], [dataset[3]], device)
    assert_same(DataLoader(there, 4), DataLoader(dataset, 4), device)
    assert TensorDataset(tinycnn.ones(3, device=device)).device == device
    with pytest.raises(ValueError, match=f"^TensorDataset: expected tensors on one device, got .'{device}', 'cpu'.$"):
        TensorDataset(tinycnn.ones(3, device=device), np.ones(3))


def test_items(device):
    dataset = array_dataset(5)
    there = dataset.to(device)
    for index in (0, 4, -5, np.int64(2)):
        (image, target), (expected, wanted) = there[index], dataset[index]
        assert_same([(image,)], [(expected,)], device)
        assert type(target) is int
        assert target == wanted
    assert [target for _, target in there] == list(range(5))


# --- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("N, batch_size", [(10, 4), (8, 4), (3, 5), (1, 1)])
def test_batches_in_order(device, N, batch_size, drop_last):
    dataset = array_dataset(N)
    loader = DataLoader(dataset.to(device), batch_size, drop_last=drop_last)
    assert len(loader) == (N // batch_size if drop_last else math.ceil(N / batch_size))
    with without_waiting():
        batches = list(loader)
    assert_same(batches, DataLoader(dataset, batch_size, drop_last=drop_last), device)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_seed_gives_the_order_of_the_cpu(device, drop_last):
    dataset = array_dataset(10)
    ours = DataLoader(dataset.to(device), 4, shuffle=True, seed=3, drop_last=drop_last)
    theirs = DataLoader(dataset, 4, shuffle=True, seed=3, drop_last=drop_last)
    for _ in range(2):
        with without_waiting():
            batches = list(ours)
        assert_same(batches, theirs, device)


def test_without_a_seed_the_device_draws_the_order(device):
    dataset = array_dataset(40).to(device)
    loader = DataLoader(dataset, 7, shuffle=True)
    images = dataset.images.get()

    def epoch():
        iterator = iter(loader)
        with without_waiting():
            batches = list(iterator)
        for batch_images, targets in batches:
            np.testing.assert_array_equal(batch_images.cpu().numpy(), images[targets.cpu().numpy()])
        return [i for _, targets in batches for i in targets.tolist()]

    tinycnn.manual_seed(1)
    on_the_host = backend.random_generator().random()
    tinycnn.manual_seed(1)
    first, second = epoch(), epoch()
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second
    assert backend.random_generator().random() == on_the_host
    tinycnn.manual_seed(1)
    assert epoch() == first
    with without_waiting(but=SORTING):
        iter(loader)


def test_the_first_device_stays_usable_between_batches(device):
    loader = DataLoader(array_dataset(6).to(device), 2)
    for images, targets in loader:
        assert images.device == targets.device == device
        tinycnn.zeros(3, device=GPU)


@pytest.mark.parametrize("seed", [None, 0])
def test_subsets(device, seed):
    dataset = array_dataset(12)
    there = dataset.to(device)
    parts, expected = random_split(there, [8, 4], seed=2), random_split(dataset, [8, 4], seed=2)
    for part, on_cpu in zip(parts, expected):
        assert part.device == device
        with without_waiting():
            batches = list(DataLoader(part, 3))
        assert_same(batches, DataLoader(on_cpu, 3), device)
        assert part[1][1] == on_cpu[1][1]
    moved = expected[0].to(device)
    assert moved.device == device
    assert moved.to(device) is moved
    assert_same(DataLoader(moved, 3, True, seed=1), DataLoader(expected[0], 3, True, seed=1), device)
    loader = DataLoader(Subset(moved, [5, 0, 2]), 2, shuffle=True, seed=seed)
    found = [i for _, targets in loader for i in targets.tolist()]
    assert sorted(found) == sorted(expected[0].indices[[5, 0, 2]].tolist())


class ItemByItem(Dataset):
    """The items of a data set, without its fast path."""

    def __init__(self, dataset):
        self.dataset = dataset

    device = property(lambda self: self.dataset.device)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]


def test_an_own_collate_gets_samples_of_the_device(device):
    dataset = array_dataset(5).to(device)
    loader = DataLoader(dataset, 2, shuffle=True, seed=0, collate_fn=default_collate)
    with without_waiting():
        assert list(DataLoader(TensorDataset(np.ones(5)).to(device), 2, shuffle=True, collate_fn=len)) == [2, 2, 1]
        assert len(list(DataLoader(ItemByItem(TensorDataset(np.ones(5)).to(device)), 2, shuffle=True))) == 3
    expected = DataLoader(array_dataset(5), 2, shuffle=True, seed=0)
    for (images, targets), (wanted, classes) in zip(loader, expected, strict=True):
        assert_same([(images,)], [(wanted,)], device)
        assert targets.tolist() == classes.tolist()


# --- transforms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [-0.25, np.array([1.0, -2.0], np.float32).reshape(2, 1, 1)])
def test_shifts_with_a_seed_are_those_of_the_cpu(device, fill):
    images = array_dataset(9).images
    ours, theirs = RandomShift(2, fill, seed=4), RandomShift(2, fill, seed=4)
    with backend.on(device) as xp:
        there = xp.asarray(images)
    ours(there)  # copies the fill
    theirs(images)
    for array, on_cpu in [(there, images), (there.transpose(0, 1, 3, 2), images.transpose(0, 1, 3, 2))]:
        with without_waiting():
            shifted = ours(array)
        assert shifted.dtype == np.float32
        np.testing.assert_array_equal(shifted.get(), theirs(on_cpu))
    assert ours(there[:0]).shape == (0, 2, 5, 6)
    np.testing.assert_array_equal(Normalize([1, 2], 2)(there).get(), Normalize([1, 2], 2)(images))
    np.testing.assert_array_equal(RandomShift(0)(there).get(), images)


def test_shifts_are_drawn_by_the_device(device):
    images = np.zeros((9000, 1, 5, 6), np.float32)
    images[:, 0, 2, 3] = 1  # one bright pixel, which tells the shift
    dataset = ArrayDataset(images, np.zeros(9000, int), RandomShift(1)).to(device)
    loader = DataLoader(dataset, 1000)

    def epoch():
        with without_waiting():
            batches = list(loader)
        return np.concatenate([images.cpu().numpy() for images, _ in batches])

    tinycnn.manual_seed(2)
    first, second = epoch(), epoch()
    tinycnn.manual_seed(2)
    np.testing.assert_array_equal(epoch(), first)
    assert (first != second).any()
    counts = first.sum(axis=(0, 1))
    assert counts.sum() == 9000
    assert np.count_nonzero(counts) == 9
    assert abs(counts[1:4, 2:5] - 1000).max() < 150  # 5 standard deviations of a count of 1000 of 9000


@pytest.mark.parametrize("mean, std", [(0.5, 2), ([0.5, -1], [2, 3])])
def test_a_chain_of_transforms(device, mean, std):
    chain = Compose([Normalize(mean, std), RandomShift(1, fill=Normalize(mean, std).background, seed=0)])
    again = Compose([Normalize(mean, std), RandomShift(1, fill=Normalize(mean, std).background, seed=0)])
    loader = DataLoader(array_dataset(8, chain).to(device), 4)
    with without_waiting():
        batches = list(loader)
    assert_same(batches, DataLoader(array_dataset(8, again), 4), device)


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [5, -6])
def test_refuses_indices_that_a_gpu_would_wrap(device, index):
    there = array_dataset(5).to(device)
    with pytest.raises(IndexError, match=f"^ArrayDataset: expected indices within 0..4, got {index}$"):
        there[index]
    with pytest.raises(IndexError, match=f"^TensorDataset: expected indices within 0..4, got {index}$"):
        TensorDataset(np.ones(5)).to(device).__getitems__([0, index])
    assert there.__getitems__([])[0].shape == (0, 2, 5, 6)


def test_refuses_an_empty_dataset(device):
    there = ArrayDataset(np.zeros((0, 1, 2, 2)), np.zeros(0, int)).to(device)
    assert (len(there), there.device) == (0, device)
    with pytest.raises(ValueError, match="^DataLoader: the dataset is empty$"):
        DataLoader(there, shuffle=True)
    assert list(DataLoader(there)) == []


def test_refuses_a_fill_of_other_channels(device):
    with backend.on(device) as xp:
        images = xp.zeros((2, 3, 5, 6), np.float32)
    message = r"^RandomShift.*: expected fill to be a number or of shape \(3, 1, 1\), got shape \(2, 1, 1\)$"
    with pytest.raises(ValueError, match=message):
        RandomShift(1, fill=np.zeros((2, 1, 1)))(images)


def test_refuses_to_move_what_cannot(device):
    with pytest.raises(ValueError, match="^device: cuda:9 does not exist"):
        array_dataset(3).to("cuda:9")
    with pytest.raises(TypeError, match=r"^Subset: expected a tinycnn.data.Dataset to move, got a list$"):
        Subset([1, 2, 3], [0]).to(device)

    class Squares(Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            return index**2

    with pytest.raises(NotImplementedError, match=r"^Squares must define to\(device\)$"):
        Squares().to(device)
    assert [batch.tolist() for batch in DataLoader(Squares(), 5)] == [[0, 1, 4, 9, 16], [25, 36, 49, 64, 81]]


def test_refuses_to_collate_from_two_devices(device):
    message = f"different devices: item 0 has {device}, item 1 has cpu; make them equal or pass collate_fn"
    with pytest.raises(ValueError, match=message):
        default_collate([tinycnn.ones(2, device=device), tinycnn.ones(2)])
