"""Array-backed data sets, subsets and splits."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycnn
from tinycnn.data import ArrayDataset, DataLoader, Dataset, RandomShift, Subset, TensorDataset, random_split


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


def datasets():
    """One of each kind, of 3 items, by the name in its errors."""
    images, targets = np.zeros((3, 1, 2, 2), np.float32), np.arange(3)
    return {
        "Pets": ArrayDataset(images, targets, name="Pets"),
        "TensorDataset": TensorDataset(images, targets),
        "Subset": Subset(ArrayDataset(images, targets), [2, 1, 0]),
    }


@pytest.mark.parametrize("name", datasets())
@pytest.mark.parametrize("index", [slice(1, 3), 1.0, "1", None, True, [1], np.bool_(1)], ids=str)
def test_an_index_is_an_integer(name, index):
    message = f"{name}: expected an integer as index, got {index!r} ({type(index).__name__})"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        datasets()[name][index]


@pytest.mark.parametrize("name", datasets())
def test_an_index_is_within_the_data_set(name):
    dataset = datasets()[name]
    for index in (3, -4, 10**30):
        with pytest.raises(IndexError, match=rf"^{name}: expected indices within 0\.\.2, got {index}$"):
            dataset[index]
    for index in (-3, np.int8(2), np.array(1), tinycnn.tensor(0)):
        assert len(dataset[index]) == 2


@pytest.mark.parametrize("name", datasets())
@pytest.mark.parametrize("indices, error, message", [
    ([0, 3], IndexError, r"expected indices within 0\.\.2, got 3"),
    ([-4], IndexError, r"expected indices within 0\.\.2, got -4"),
    ([0.0], TypeError, r"expected a sequence of integer indices, got shape \(1,\) of float64"),
    ([True, False, True], TypeError, r"expected a sequence of integer indices, got shape \(3,\) of bool"),
    ([[0], [1]], TypeError, r"expected a sequence of integer indices, got shape \(2, 1\) of int64"),
    (1, TypeError, r"expected a sequence of integer indices, got shape \(\) of int64"),
    (None, TypeError, "expected an array of numbers, got a NoneType of object"),
    ([[0], [1, 2]], TypeError, "expected an array of numbers, got a list: .*"),
])  # fmt: skip
def test_indices_of_a_batch(name, indices, error, message):
    with pytest.raises(error, match=f"^{name}: {message}$"):
        datasets()[name].__getitems__(indices)


@pytest.mark.parametrize("name", datasets())
def test_indices_of_any_integers(name):
    dataset = datasets()[name]
    for indices in ([2, 0], (2, -3), np.array([2, 0], np.uint8), np.array([-1, 0], np.int32), tinycnn.tensor([2, 0])):
        _, targets = dataset.__getitems__(indices)
        assert targets.tolist() == [dataset[2][1], dataset[0][1]]


@pytest.mark.parametrize("transform, error, got", [
    (lambda images: None, TypeError, "NoneType"),
    (lambda images: list(images), TypeError, "list"),
    (lambda images: tinycnn.tensor(images), TypeError, "Tensor of float32"),
    (lambda images: images.astype(object), TypeError, "ndarray of object"),
    (lambda images: images.astype(str), TypeError, "ndarray of <U32"),
    (lambda images: images[:2], ValueError, r"shape \(2, 2, 4, 5\)"),
    (lambda images: np.concatenate([images, images]), ValueError, r"shape \(6, 2, 4, 5\)"),
    (lambda images: images.sum(), TypeError, "float32 of float32"),
    (lambda images: images[0], ValueError, r"shape \(2, 4, 5\)"),
    (lambda images: images[0, 0, 0, 0, None].reshape(()), ValueError, r"shape \(\)"),
])  # fmt: skip
def test_what_a_transform_returns(dataset, transform, error, got):
    dataset.transform = transform
    with pytest.raises(error, match=f"^Pets: expected the transform to return an array of 3 images, got {got}$"):
        dataset.__getitems__([0, 1, 2])


def test_a_transform_may_change_the_size(dataset):
    dataset.transform = lambda images: images.reshape(len(images), -1)
    assert dataset.__getitems__([3, 4])[0].shape == (2, 40)


@pytest.mark.parametrize("transform", [3, "flip", [abs]])
def test_a_transform_can_be_called(arrays, dataset, transform):
    message = rf"Pets\(transform\): expected a function or None, got {re.escape(repr(transform))}$"
    with pytest.raises(TypeError, match=message):
        ArrayDataset(*arrays, transform, name="Pets")
    with pytest.raises(TypeError, match=message):
        dataset.transform = transform


@pytest.mark.parametrize("arguments, message", [
    ({"images": None}, "images: expected an array of numbers, got a NoneType of object"),
    ({"images": [[1], [2, 3]]}, "images: expected an array of numbers, got a list: "),
    ({"images": "abc"}, "images: expected an array of numbers, got a str of <U3"),
    ({"targets": ["a", "b", "c"]}, "targets: expected an array of numbers, got a list of <U1"),
    ({"classes": 3}, "expected classes as a sequence of names, got int"),
    ({"normalize": 0.5}, r"expected normalize as \(mean, std\), got 0.5"),
    ({"normalize": (0.5,)}, r"expected normalize as \(mean, std\), got \(0.5,\)"),
    ({"normalize": "ab"}, r"expected normalize as \(mean, std\), got 'ab'"),
])  # fmt: skip
def test_array_dataset_refuses_other_types(arguments, message):
    given = {"images": np.zeros((3, 1, 2, 2)), "targets": [0, 1, 2], "name": "Pets", **arguments}
    with pytest.raises(TypeError, match=f"^Pets: {message}"):
        ArrayDataset(**given)


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


def test_items_are_views_and_batches_copies():
    array, x = np.zeros((3, 2)), tinycnn.zeros(3, 2)
    dataset = TensorDataset(x, array, np.zeros(3))
    for part in dataset[1]:
        part.fill_(5)
    assert dataset.tensors[2].tolist() == [0, 5, 0]
    assert x.tolist() == array.tolist() == [[0, 0], [5, 5], [0, 0]]
    for part in dataset.__getitems__([1, 2]):
        part.fill_(7)
    assert x.tolist() == array.tolist() == [[0, 0], [5, 5], [0, 0]]


def changes(x, array, dataset):
    """The ways to change the memory behind an item, by name."""

    def through_the_array():
        array[1] = 3

    return {
        "the tensor": x.zero_,
        "a view of the tensor": x[1].zero_,
        "the array": through_the_array,
        "an item": dataset[1][0].zero_,
        "another view of the array": dataset[1][1].zero_,
        "all of it": lambda: dataset.tensors[1].mul_(2),
    }


@pytest.mark.parametrize("change", changes(tinycnn.ones(2), np.ones((2, 2)), TensorDataset(np.ones(2), np.ones(2))))
def test_a_change_behind_an_item_between_forward_and_backward_is_noticed(change):
    array, x = np.ones((3, 2)), tinycnn.ones(3, 2)
    dataset = TensorDataset(x, array)
    w = tinycnn.ones(2, requires_grad=True)
    loss = sum((w * part).sum() for part in dataset[1])
    batch = sum((w * part).sum() for part in dataset.__getitems__([0, 1]))
    changes(x, array, dataset)[change]()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()
    batch.backward()  # of copies
    assert w.grad.tolist() == [4, 4]


def test_gradients_flow_through_items_and_batches():
    x = tinycnn.ones(3, 2, requires_grad=True)
    dataset = TensorDataset(x)
    dataset[2][0].sum().backward()
    dataset.__getitems__([2, 0, 2])[0].sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0], [3, 3]]


@pytest.mark.parametrize("tensors, got", [
    ([np.zeros(2), ["a", "b"]], "list of <U1"), ([[None]], "list of object"), ([[[1], [1, 2]]], "list: "),
])  # fmt: skip
def test_tensor_dataset_is_of_numbers(tensors, got):
    message = rf"^TensorDataset: tensors\[{len(tensors) - 1}\]: expected an array of numbers, got a {got}"
    with pytest.raises(TypeError, match=message):
        TensorDataset(*tensors)


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


def test_subset_keeps_its_indices():
    indices = np.array([1, 2])
    subset = Subset(Squares(), indices)
    indices[:] = 99
    assert [subset[0], *subset.__getitems__([1])] == [1, 4]


@pytest.mark.parametrize("owner, make", [
    ("Subset", lambda dataset: Subset(dataset, [0])), ("random_split", lambda dataset: random_split(dataset, [1])),
])  # fmt: skip
def test_what_is_no_data_set(owner, make):
    with pytest.raises(TypeError, match=f"^{owner}: expected a dataset with __len__ and __getitem__, got a int$"):
        make(3)


@pytest.mark.parametrize("indices", [None, "ab", [[1], [2, 3]], [None]])
def test_subset_refuses_other_types(indices):
    with pytest.raises(TypeError, match=r"^Subset\(indices\): expected an array of numbers, got a "):
        Subset(Squares(), indices)


class Wrong(Squares):
    def __init__(self, items):
        self.items = items

    def __getitems__(self, indices):
        return self.items


@pytest.mark.parametrize("items, error, message", [
    (None, TypeError, "expected a list of samples or a tuple of Tensors, got NoneType"),
    (tinycnn.ones(2), TypeError, "expected a list of samples or a tuple of Tensors, got Tensor"),
    ([1, 2, 3], ValueError, "expected 2 samples, one an index, got 3"),
    ([], ValueError, "expected 2 samples, one an index, got 0"),
])  # fmt: skip
def test_what_getitems_returns(items, error, message):
    with pytest.raises(error, match=rf"^Wrong\.__getitems__: {message}$"):
        next(iter(DataLoader(Wrong(items), 2)))


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


@pytest.mark.parametrize("lengths, seed, error, message", [
    (3, None, TypeError, "random_split: expected lengths as a sequence of numbers, got 3"),
    ([True] * 10, None, TypeError, "random_split: expected lengths as a sequence of numbers, got "),
    (["a"], None, TypeError, r"random_split\(lengths\): expected an array of numbers, got a list of <U1"),
    ([10], -1, ValueError, r"random_split\(seed\): expected an int of at least 0, got -1"),
    ([10], "x", ValueError, r"random_split\(seed\): expected an int of at least 0, got 'x'"),
])  # fmt: skip
def test_random_split_refuses_other_types(lengths, seed, error, message):
    with pytest.raises(error, match=f"^{message}"):
        random_split(Squares(), lengths, seed=seed)


@pytest.mark.parametrize("lengths", [
    [5, 4], [11, -1], [0.5, 0.4], [1.5, -0.5], [], [5.0, 5.0], [0.5, float("nan")], [float("inf"), 0.5],
])  # fmt: skip
def test_random_split_refuses(lengths):
    with pytest.raises(ValueError, match="^random_split: expected lengths that add up to 10, or "):
        random_split(Squares(), lengths)


def test_the_code_blocks_of_the_document_run(capsys):
    """All but the one that needs another library, which test_foreign.py runs."""
    pytest.importorskip("PIL", reason="needs Pillow")
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    blocks, names = re.findall(r"```python\n(.*?)```", text, re.DOTALL), {}
    assert ["import datasets" in block for block in blocks] == [False, True, False, False, False]
    nn = tinycnn.nn
    names |= {"model": nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), "criterion": nn.CrossEntropyLoss()}
    names["device"] = "cpu"
    for block in blocks:
        if "import datasets" not in block:
            exec(block, names)
    assert capsys.readouterr().out.count("32, 3, 32, 32") == 3
    assert names["y"].tolist() == [0, 1, 4, 9]
    assert 1 < names["loss"].item() < 4
    x, y = next(iter(names["DataLoader"](names["FastSquares"](), 3)))
    assert (x.tolist(), y.tolist()) == ([0, 1, 2], [0, 1, 4])
