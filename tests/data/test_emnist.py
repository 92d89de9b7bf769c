"""EMNIST and QMNIST: small files of the published names and structure. Their items are compared with torchvision's in
test_torchvision.py."""

import gzip
import lzma
import re
import zipfile

import numpy as np
import pytest

from tests.data.files import idx_bytes
from tinycnn.data import EMNIST, QMNIST, DataLoader
from tinycnn.data import transforms as T

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 5, 7), np.uint8)
CODES = np.concatenate([[[3], [0], [9], [1], [1], [7]], RNG.integers(-5, 2**31, (6, 7))], axis=1).astype(np.int32)


def write(root, folder, **arrays):
    """IDX files; the ending of a name says how they are packed."""
    (root / folder / "raw").mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        pack = {"gz": gzip.compress, "xz": lzma.compress}.get(name[-2:], bytes)
        (root / folder / "raw" / name).write_bytes(pack(idx_bytes(array)))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_emnist(tmp_path, ending):
    labels = np.array([1, 26, 4, 4, 13, 2], np.uint8)
    start = "emnist-letters-test"
    write(tmp_path, "EMNIST", **{f"{start}-images-idx3-ubyte{ending}": PIXELS, f"{start}-labels-idx1-ubyte": labels})
    dataset = EMNIST(tmp_path, "letters", train=False, transform=T.ToTensor())
    assert (dataset.split, dataset.train, len(dataset.classes)) == ("letters", False, 27)
    assert [dataset.classes[label] for label in labels] == list("azddmb")
    images, targets = next(iter(DataLoader(dataset, 6)))
    np.testing.assert_array_equal(images.numpy()[:, 0], PIXELS / np.float32(255))
    assert targets.tolist() == labels.tolist()
    np.testing.assert_array_equal(dataset.data.numpy(), PIXELS)
    assert repr(dataset) == "EMNIST(6 images of 1×5×7, 27 classes, ToTensor())"


@pytest.mark.parametrize("split, count", list(zip(EMNIST.splits, (62, 47, 47, 27, 10, 10))))
def test_classes_of_emnist(split, count):
    classes = EMNIST.classes_split_dict[split]
    assert len(set(classes)) == count
    assert split == "letters" or classes == sorted(classes)


def test_the_archive_of_emnist_is_unpacked(tmp_path):
    raw = tmp_path / "EMNIST" / "raw"
    labels, archive = RNG.integers(0, 10, 6, np.uint8), tmp_path / "gzip.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for split in EMNIST.splits:
            for part in ("train", "test"):
                file.writestr(f"gzip/emnist-{split}-{part}-images-idx3-ubyte.gz", gzip.compress(idx_bytes(PIXELS)))
                file.writestr(f"gzip/emnist-{split}-{part}-labels-idx1-ubyte.gz", gzip.compress(idx_bytes(labels)))
        file.writestr("gzip/emnist-digits-mapping.txt", "0 48")
        file.writestr("../outside", "x")
    start = "emnist-digits-train"
    write(tmp_path, "EMNIST", **{f"{start}-images-idx3-ubyte": PIXELS, f"{start}-labels-idx1-ubyte": labels})
    for name, content in EMNIST(tmp_path, "digits")._unpack(archive):
        assert re.fullmatch(r"emnist-\w+-(train|test)-(images-idx3|labels-idx1)-ubyte\.gz", name)
        (raw / name).write_bytes(content)
    for split in EMNIST.splits[:-1]:
        assert EMNIST(tmp_path, split, train=False).targets.tolist() == [*labels]


@pytest.mark.parametrize("compat", [True, False])
def test_qmnist(tmp_path, compat):
    write(tmp_path, "QMNIST", **{"xnist-images-idx3-ubyte.xz": PIXELS, "xnist-labels-idx2-int.xz": CODES})
    dataset = QMNIST(tmp_path, "nist", compat, transform=T.ToTensor())
    np.testing.assert_array_equal(dataset.targets.numpy(), CODES)
    images, targets = next(iter(DataLoader(dataset, 4)))
    np.testing.assert_array_equal(images.numpy()[:, 0], PIXELS[:4] / np.float32(255))
    expected = CODES[:, 0] if compat else CODES
    np.testing.assert_array_equal(targets.numpy(), expected[:4])
    assert targets.dtype == np.int64
    dataset.target_transform = lambda target: np.sum(np.asarray(target))
    assert dataset[2][1] == expected[2].sum()


def test_parts_of_qmnist(tmp_path):
    codes, pixels = np.tile(CODES, (2000, 1))[:10007], np.tile(PIXELS, (2000, 1, 1))[:10007]
    names = "qmnist-test-images-idx3-ubyte", "qmnist-test-labels-idx2-int.gz"
    write(tmp_path, "QMNIST", **dict(zip(names, (pixels, codes))))
    for what, part in (("test10k", slice(10000)), ("test50k", slice(10000, None)), ("test", slice(None))):
        dataset = QMNIST(tmp_path, what)
        np.testing.assert_array_equal(dataset.data.numpy(), pixels[part])
        np.testing.assert_array_equal(dataset.targets.numpy(), codes[part])
    assert QMNIST(tmp_path, train=False).what == "test"


@pytest.mark.parametrize("call, error, message", [
    (lambda root: EMNIST(root, "upper"), ValueError,
     "EMNIST: expected split as 'byclass', 'bymerge', 'balanced', 'letters', 'digits' or 'mnist', got 'upper'"),
    (lambda root: EMNIST(root, "digits"), FileNotFoundError,
     "EMNIST: no emnist-digits-train-images-idx3-ubyte.gz and emnist-digits-train-labels-idx1-ubyte.gz in "),
    (lambda root: QMNIST(root, "test60k"), ValueError,
     "QMNIST: expected what as 'train', 'test', 'test10k', 'test50k' or 'nist', got 'test60k'"),
    (lambda root: QMNIST(root, "nist"), FileNotFoundError,
     "QMNIST: no xnist-images-idx3-ubyte.xz and xnist-labels-idx2-int.xz in "),
    (lambda root: QMNIST(root, compat=1), TypeError, "QMNIST: expected compat as True or False, got 1"),
])  # fmt: skip
def test_refusals(tmp_path, call, error, message):
    with pytest.raises(error, match="^" + re.escape(message)) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    images, labels = "qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int"
    write(tmp_path, "QMNIST", **{images: PIXELS, labels: PIXELS[:, 0, 0]})
    with pytest.raises(ValueError, match=rf"{labels}: expected the dimensions that its name tells, got shape \(6,\); "):
        QMNIST(tmp_path)
    write(tmp_path, "QMNIST", **{labels: CODES[:5]})
    with pytest.raises(ValueError, match=f"{labels}: expected 6 labels, got 5$"):
        QMNIST(tmp_path)
    write(tmp_path, "QMNIST", **{labels: CODES - 1})
    with pytest.raises(ValueError, match=r"^QMNIST: expected targets within 0\.\.9, got -1\.\.8$"):
        QMNIST(tmp_path)
