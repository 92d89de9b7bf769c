"""Our data sets beside torchvision's: the same small files in the published formats, read by both.

torchvision is not among the requirements of the tests: CONTRIBUTING.md says how to run these.
"""

import gzip
import lzma
import pickle

import numpy as np
import pytest

import tinycnn
from tests.data.files import idx_bytes, md5
from tinycnn import data

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
theirs = pytest.importorskip("torchvision", reason="needs torchvision").datasets

RNG = np.random.default_rng(0)


def write(folder, **arrays):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        (folder / name.replace("_", "-")).write_bytes(idx_bytes(array))


def images(N):
    return RNG.integers(0, 256, (N, 28, 28), np.uint8)


def labels(N, first=0, last=9):
    return RNG.integers(first, last, N, np.uint8, endpoint=True)


def assert_same(ours, other):
    """The same attributes and items. torchvision's are arrays, torch tensors and lists."""
    assert len(ours) == len(other) > 0
    for name in ("data", "targets", "labels", "samples", "imgs", "classes", "class_to_idx", "train", "split", "what"):
        if not hasattr(other, name):
            continue
        expected, found = getattr(other, name), getattr(ours, name)
        assert isinstance(found, (list, dict, bool, str, np.ndarray, tinycnn.Tensor))
        if hasattr(expected, "dtype"):
            assert str(expected.dtype).removeprefix("torch.") == str(found.dtype).removeprefix("torch.")
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
        else:
            assert found == expected, name
    for i in (0, len(other) // 2, len(other) - 1):
        (image, target), (expected, wanted) = ours[i], other[i]
        assert (image.mode, image.size) == (expected.mode, expected.size)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
        assert np.asarray(target).tolist() == np.asarray(wanted).tolist()
        assert isinstance(target, int) == isinstance(wanted, int)


# What torchvision gives without a transform, MNIST and its next of kin give with this one.
AS_IT_IS = {"transform": lambda image: image}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist(tmp_path, monkeypatch, name, train):
    kind = getattr(data, name)
    part = "train" if train else "t10k"
    arrays = {f"{part}-images-idx3-ubyte": images(9), f"{part}-labels-idx1-ubyte": labels(9)}
    write(tmp_path / name / "raw", **arrays)
    for other in {"train", "t10k"} - {part}:  # torchvision looks for all four
        write(tmp_path / name / "raw", **{file.replace(part, other): array for file, array in arrays.items()})
    monkeypatch.setattr(kind, "checksums", {file: (md5(idx_bytes(array)), "") for file, array in arrays.items()})
    assert_same(kind(tmp_path, train, **AS_IT_IS), getattr(theirs, name)(tmp_path, train))
    doubled = {"target_transform": lambda target: 2 * target}
    assert_same(kind(tmp_path, train, **AS_IT_IS, **doubled), getattr(theirs, name)(tmp_path, train, **doubled))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("split", data.EMNIST.splits)
def test_emnist(tmp_path, split, train):
    assert data.EMNIST.splits == theirs.EMNIST.splits
    assert data.EMNIST.classes_split_dict == theirs.EMNIST.classes_split_dict
    part, first = "train" if train else "test", int(split == "letters")
    last = len(data.EMNIST.classes_split_dict[split]) - 1
    start = f"emnist-{split}-{part}"
    arrays = {f"{start}-images-idx3-ubyte": images(9), f"{start}-labels-idx1-ubyte": labels(9, first, last)}
    write(tmp_path / "EMNIST" / "raw", **arrays)
    assert_same(data.EMNIST(tmp_path, split, train=train), theirs.EMNIST(tmp_path, split, train=train))
    for file in arrays:
        path = tmp_path / "EMNIST" / "raw" / file
        path.with_name(f"{file}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert len(data.EMNIST(tmp_path, split, train=train)) == 9


@pytest.mark.parametrize("compat", [True, False])
@pytest.mark.parametrize("what, train", [(None, True), (None, False), *[(what, True) for what in data.QMNIST.subsets]])
def test_qmnist(tmp_path, what, train, compat):
    assert data.QMNIST.subsets == theirs.QMNIST.subsets
    start = {"nist": "xnist"}.get(what, f"qmnist-{what or ('train' if train else 'test')}")
    start = start.replace("test10k", "test").replace("test50k", "test")
    N = 10005 if what in ("test10k", "test50k") else 9
    codes = RNG.integers(-(2**31), 2**31, (N, 8)).astype(np.int32)
    codes[:, 0] = labels(N)
    write(tmp_path / "QMNIST" / "raw", **{f"{start}-images-idx3-ubyte": images(N), f"{start}-labels-idx2-int": codes})
    ours = data.QMNIST(tmp_path, what, compat, train)
    assert_same(ours, theirs.QMNIST(tmp_path, what, compat, train))
    _, targets = next(iter(data.DataLoader(ours, 4)))
    np.testing.assert_array_equal(targets.numpy(), ours.targets.numpy()[:4, 0] if compat else ours.targets.numpy()[:4])
    if what == "nist":
        path = tmp_path / "QMNIST" / "raw" / f"{start}-labels-idx2-int"
        path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
        np.testing.assert_array_equal(data.QMNIST(tmp_path, what).targets.numpy(), codes)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifar(tmp_path, monkeypatch, name, train):
    ours, other = getattr(data, name), getattr(theirs, name)
    sums, classes = {}, [f"class {i}" for i in range(7)]
    for file in (*ours.train_files, *ours.test_files, *ours.names_file):
        pixels = RNG.integers(0, 256, (4, 3072), np.uint8)
        if file in ours.names_file:
            content = {ours.names_key: classes}
        else:
            content = {"data": pixels, ours.labels_key: RNG.integers(0, 7, 4).tolist()}
        path = tmp_path / ours.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content, 2))
        sums[file] = md5(path.read_bytes())
    for attribute in ("train_files", "test_files", "names_file"):
        monkeypatch.setattr(ours, attribute, {file: sums[file] for file in getattr(ours, attribute)})
    monkeypatch.setattr(other, "train_list", [[file, sums[file]] for file, _ in other.train_list])
    monkeypatch.setattr(other, "test_list", [[file, sums[file]] for file, _ in other.test_list])
    monkeypatch.setattr(other, "meta", {**other.meta, "md5": sums[other.meta["filename"]]})
    assert_same(ours(tmp_path, train), other(tmp_path, train))


@pytest.mark.parametrize("split", data.SVHN.files)
def test_svhn(tmp_path, monkeypatch, split):
    io = pytest.importorskip("scipy.io", reason="needs SciPy")
    name = data.SVHN.files[split][0]
    codes = np.concatenate([[10, 1], RNG.integers(1, 11, 5)]).astype(np.uint8)[:, None]
    io.savemat(tmp_path / name, {"X": RNG.integers(0, 256, (32, 32, 3, 7), np.uint8), "y": codes})
    found = md5((tmp_path / name).read_bytes())
    monkeypatch.setitem(data.SVHN.files, split, (name, found))
    monkeypatch.setitem(theirs.SVHN.split_list, split, [theirs.SVHN.split_list[split][0], name, found])
    ours = data.SVHN(tmp_path, split)
    assert_same(ours, theirs.SVHN(tmp_path, split))
    assert ours.labels is ours.targets


def test_published_addresses_and_checksums():
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        ours, other = getattr(data, name), getattr(theirs, name)
        assert {f"{file}.gz": packed for file, (_, packed) in ours.checksums.items()} == dict(other.resources)
        assert set(other.mirrors) & set(ours.mirrors)
    assert (data.EMNIST.mirrors[0] + "gzip.zip", data.EMNIST.archive[1]) == (theirs.EMNIST.url, theirs.EMNIST.md5)
    published = {data.QMNIST.mirrors[0] + file: sums[1] for file, sums in data.QMNIST.checksums.items()}
    resources = [pair for pairs in theirs.QMNIST.resources.values() for pair in pairs]
    assert published == {url.rsplit(".", 1)[0]: found for url, found in resources}
    for split, (name, found) in data.SVHN.files.items():
        assert [data.SVHN.mirrors[0] + name, name, found] == theirs.SVHN.split_list[split]
    for name in ("CIFAR10", "CIFAR100"):
        ours, other = getattr(data, name), getattr(theirs, name)
        assert [ours.mirrors[0] + ours.archive[0], ours.archive[1]] == [other.url, other.tgz_md5]
        assert ours.train_files == dict(other.train_list)
        assert ours.test_files == dict(other.test_list)


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    for path in ("emu/2.png", "cat/1.PNG", "emu/a/1.png", "emu/1.bmp", "b/1.ppm"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (4, 5, 3), np.uint8)).save(tmp_path / path)
    (tmp_path / "cat/notes.txt").write_text("x")
    return str(tmp_path)


def test_image_folder(root):
    assert_same(data.ImageFolder(root), theirs.ImageFolder(root))
    options = {"is_valid_file": lambda path: "1" in path[-5:], "target_transform": lambda target: target + 1}
    assert_same(data.ImageFolder(root, **options), theirs.ImageFolder(root, **options))


def test_a_subclass_that_chooses_classes(root):
    def made(kind):
        class Some(kind):
            def find_classes(self, directory):
                return ["emu", "cat"], {"emu": 5, "cat": 2}

        return Some(root)

    assert_same(made(data.ImageFolder), made(theirs.ImageFolder))


def test_a_subclass_that_finds_its_files(root):
    def made(kind):
        class Few(kind):
            @staticmethod
            def make_dataset(directory, class_to_idx, extensions=None, is_valid_file=None, allow_empty=False):
                found = kind.make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)
                return found[::2]

        return Few(root)

    assert_same(made(data.ImageFolder), made(theirs.ImageFolder))


def test_empty_classes(root, tmp_path):
    (tmp_path / "dog").mkdir()
    for kind in (data.ImageFolder, theirs.ImageFolder):
        with pytest.raises(FileNotFoundError, match="dog"):
            kind(root)
    assert_same(data.ImageFolder(root, allow_empty=True), theirs.ImageFolder(root, allow_empty=True))
