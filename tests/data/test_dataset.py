"""Array-backed data sets, subsets and splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn.data import ArrayDataset, Dataset, RandomShift, Subset, TensorDataset, random_split


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (11, 2, 4, 5), dtype=np.uint8), rng.integers(0, 3, 11)


@pytest.fixture
def dataset(arrays):
    return ArrayDataset(*arrays, classes=["cat", "dog", "emu"], name="Pets")


class Squares(Dataset):
    """A data set without a fast path."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index**2


def test_base_class_names_what_is_missing():
    class Nothing(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define __len__"):
        len(Nothing())
    with pytest.raises(NotImplementedError, match="Nothing must define __getitem__"):
        Nothing()[0]
    with pytest.raises(NotImplementedError, match=r"Nothing must define to\(device\)"):
        Nothing().to("cpu")


def test_where_they_are(dataset):
    for kind in (dataset, TensorDataset(np.ones(3)), Subset(dataset, [1]), Subset(Squares(), [1])):
        assert kind.device == "cpu"
    for kind in (dataset, TensorDataset(np.ones(3)), Subset(dataset, [1])):
        assert kind.to("cpu") is kind
    with pytest.raises(TypeError, match=r"^Subset: expected a tinycnn.data.Dataset to move, got a list$"):
        Subset([1, 2, 3], [0]).to("cpu")


# --- ArrayDataset -----------------------------------------------------------------------------------------


def test_items(arrays, dataset):
    images, targets = arrays
    assert len(dataset) == 11
    for i in (0, 7, -1):
        image, target = dataset[i]
        assert isinstance(image, tinycnn.Tensor)
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image.numpy(), images[i].astype(np.float32) / np.float32(255))
        assert type(target) is int
        assert target == targets[i]


def test_iteration_ends(arrays, dataset):
    assert [target for _, target in dataset] == arrays[1].tolist()


def test_batch_is_the_items(dataset):
    indices = [3, 0, 10, 3]
    images, targets = dataset.__getitems__(indices)
    assert (images.shape, images.dtype, targets.dtype) == ((4, 2, 4, 5), np.float32, np.int64)
    for i, index in enumerate(indices):
        image, target = dataset[index]
        np.testing.assert_array_equal(images.numpy()[i], image.numpy())
        assert targets.numpy()[i] == target


def test_changing_a_batch_leaves_the_dataset(dataset):
    images, targets = dataset.__getitems__([1, 2])
    before = dataset.images.copy(), dataset.targets.copy()
    images._array[:] = 9
    targets._array[:] = 9
    np.testing.assert_array_equal(dataset.images, before[0])
    np.testing.assert_array_equal(dataset.targets, before[1])


def test_normalize_and_background(arrays):
    images, targets = arrays
    mean, std = [0.3, 0.6], [0.2, 0.5]
    dataset = ArrayDataset(images, targets, normalize=(mean, std))
    for c in range(2):
        np.testing.assert_allclose(dataset.images[:, c], (images[:, c] / 255 - mean[c]) / std[c], atol=1e-5)
        np.testing.assert_allclose(dataset.background[c], (0 - mean[c]) / std[c], rtol=1e-6)
    assert dataset.images.dtype == np.float32
    assert ArrayDataset(images, targets).background == 0


def test_transform_sees_batches_and_items(arrays):
    shapes = []

    def negate(images):
        shapes.append((images.shape, images.dtype))
        return -images

    dataset = ArrayDataset(*arrays, transform=negate)
    image, _ = dataset[5]
    batch, _ = dataset.__getitems__([5, 6, 7])
    assert shapes == [((1, 2, 4, 5), np.float32), ((3, 2, 4, 5), np.float32)]
    np.testing.assert_array_equal(image.numpy(), -dataset.images[5])
    np.testing.assert_array_equal(batch.numpy(), -dataset.images[5:8])


def test_shift_over_normalized_images_keeps_the_background():
    black = np.zeros((20, 1, 6, 7), np.uint8)
    dataset = ArrayDataset(black, np.zeros(20, int), normalize=(0.1307, 0.3081))
    dataset.transform = RandomShift(2, fill=dataset.background)
    images, _ = dataset.__getitems__(range(20))
    assert np.unique(images.numpy()).tolist() == [np.float32(-0.1307) / np.float32(0.3081)]


def test_floating_point_is_taken_as_it_is():
    images = np.random.default_rng(2).standard_normal((3, 1, 2, 2))
    assert ArrayDataset(images, [0, 1, 2]).images.dtype == np.float32
    images = images.astype(np.float32)
    assert np.shares_memory(ArrayDataset(images, [0, 1, 2]).images, images)
    before = images.copy()
    ArrayDataset(images, [0, 1, 2], normalize=(1, 2))
    np.testing.assert_array_equal(images, before)


def test_repr(arrays, dataset):
    assert repr(dataset) == "Pets(11 images of 2×4×5, 3 classes)"
    other = ArrayDataset(*arrays, transform=RandomShift(1), normalize=(0.5, 0.25))
    normalize, transform = "Normalize(mean=0.5, std=0.25)", "RandomShift(pixels=1, fill=0.0)"
    assert repr(other) == f"ArrayDataset(11 images of 2×4×5, {normalize}, {transform})"


@pytest.mark.parametrize(
    "shape, dtype, targets, error, message",
    [
        ((3, 4, 5), float, [0, 0, 0], ValueError, r"images \(N, C, H, W\), got shape \(3, 4, 5\)$"),
        ((3, 1, 4, 5), int, [0, 0, 0], TypeError, "images of uint8 or floating point, got int64$"),
        ((3, 1, 4, 5), float, [0, 0], ValueError, r"targets \(3,\), one per image, got shape \(2,\)$"),
        ((3, 1, 4, 5), float, [0.0, 0.0, 0.0], TypeError, "targets of an integer dtype, got float64$"),
        ((3, 1, 4, 5), float, [0, 3, 1], ValueError, r"targets within 0\.\.2, got 0\.\.3$"),
        ((3, 1, 4, 5), float, [0, -1, 1], ValueError, r"targets within 0\.\.2, got -1\.\.1$"),
    ],
)
def test_array_dataset_refuses(shape, dtype, targets, error, message):
    with pytest.raises(error, match="^Pets: expected " + message):
        ArrayDataset(np.zeros(shape, dtype), targets, classes="abc", name="Pets")


def test_index_must_be_an_integer(dataset):
    with pytest.raises(TypeError, match="slice"):
        dataset[1:3]
    with pytest.raises(IndexError):
        dataset[11]


# --- TensorDataset ----------------------------------------------------------------------------------------


def test_tensor_dataset_of_tensors_and_arrays():
    rng = np.random.default_rng(3)
    x, y, z = rng.standard_normal((6, 3)), rng.integers(0, 9, 6), rng.standard_normal((6, 2, 2))
    dataset = TensorDataset(tinycnn.tensor(x), y, z)
    assert len(dataset) == 6
    for part, array in zip(dataset[4], (x, y, z), strict=True):
        assert isinstance(part, tinycnn.Tensor)
        np.testing.assert_array_equal(part.numpy(), array[4])
    for part, array in zip(dataset.__getitems__([5, 1]), (x, y, z), strict=True):
        np.testing.assert_array_equal(part.numpy(), array[[5, 1]])


@pytest.mark.parametrize("shapes", [[], [(3, 2), (4, 2)], [()]])
def test_tensor_dataset_refuses(shapes):
    with pytest.raises(ValueError, match="^TensorDataset: expected tensors of equal first dimension, got "):
        TensorDataset(*map(np.zeros, shapes))


# --- Subset and random_split ------------------------------------------------------------------------------


def test_subset_of_any_dataset(dataset):
    assert [Subset(Squares(), [9, 2, 2])[i] for i in range(3)] == [81, 4, 4]
    assert Subset(Squares(), [9, 2, 5]).__getitems__([2, 0]) == [25, 81]
    subset = Subset(Subset(dataset, [8, 4, 1, 0]), [3, 1])
    images, targets = subset.__getitems__([1, 0])
    np.testing.assert_array_equal(images.numpy(), dataset.images[[4, 0]])
    np.testing.assert_array_equal(targets.numpy(), dataset.targets[[4, 0]])
    assert subset[1][1] == dataset[4][1]
    assert len(Subset(dataset, [])) == 0


@pytest.mark.parametrize(
    "indices, message",
    [
        ([1, 10], r"indices within 0\.\.9, got 10"),
        ([-1], r"indices within 0\.\.9, got -1"),
        ([0.5], r"a sequence of integer indices, got shape \(1,\) of float64"),
        ([[1]], r"a sequence of integer indices, got shape \(1, 1\) of int64"),
    ],
)
def test_subset_refuses(indices, message):
    with pytest.raises(ValueError, match=f"^Subset: expected {message}$"):
        Subset(Squares(), indices)


@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(sum), seed=st.integers(0, 99))
def test_random_split_is_a_partition(sizes, seed):
    N = sum(sizes)
    parts = random_split(range(N), sizes, seed=seed)
    assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in part.indices) == list(range(N))
    again = random_split(range(N), sizes, seed=seed)
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(parts, again, strict=True))


def test_random_split_is_random():
    orders = {tuple(random_split(range(50), [50], seed=seed)[0].indices) for seed in range(5)}
    assert len(orders) == 5
    tinycnn.manual_seed(0)
    first = random_split(range(50), [30, 20])[0].indices
    tinycnn.manual_seed(0)
    np.testing.assert_array_equal(random_split(range(50), [30, 20])[0].indices, first)
    assert not np.array_equal(random_split(range(50), [30, 20])[0].indices, first)


@pytest.mark.parametrize(
    "fractions, sizes",
    [([0.8, 0.2], [80, 20]), ([0.25, 0.75], [25, 75]), ([1 / 3, 1 / 3, 1 / 3], [34, 33, 33]), ([1.0], [100])],
)
def test_random_split_by_fractions(fractions, sizes):
    assert [len(part) for part in random_split(range(100), fractions, seed=0)] == sizes


@pytest.mark.parametrize("lengths", [[5, 4], [11, -1], [0.5, 0.4], [1.5, -0.5]])
def test_random_split_refuses(lengths):
    with pytest.raises(ValueError, match="^random_split: expected lengths that add up to 10, or "):
        random_split(Squares(), lengths)
